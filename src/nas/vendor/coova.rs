//! `CoovaChilli` and its forebear `ChilliSpot` (vendor 14559): hotspots.
//!
//! Its own speeds are in kbit/s of 1,000 bit, from the subscriber's view, and win over WISPr's. A limit of zero octets is read as
//! none, so it is never sent. A speed that is no whole number of kbit/s is rounded up: a subscriber gets what was sold.

use super::{halves, wispr};
use crate::domain::rate::BitsPerSecond;
use crate::nas::{Grant, Untold};
use crate::radius::{EncodeError, VendorKind, Writer};

/// Writes the vendor's attributes.
///
/// # Errors
/// When the packet is full.
pub fn write(grant: &Grant<'_>, to: &mut Writer<'_>) -> Result<Untold, EncodeError> {
    let rates = grant.entitlement.rates;
    let (up, down) = (kilobits(rates.up.0), kilobits(rates.down.0));
    if let Some(kilobits) = up {
        to.vendor_u32(VendorKind::CHILLISPOT_BANDWIDTH_MAX_UP, kilobits)?;
    }
    if let Some(kilobits) = down {
        to.vendor_u32(VendorKind::CHILLISPOT_BANDWIDTH_MAX_DOWN, kilobits)?;
    }
    if let Some(octets) = grant.entitlement.remaining_octets {
        let (gigawords, low) = halves(octets);
        to.vendor_u32(VendorKind::CHILLISPOT_MAX_TOTAL_OCTETS, low)?;
        to.vendor_u32(VendorKind::CHILLISPOT_MAX_TOTAL_GIGAWORDS, gigawords)?;
    }
    wispr::write_end(grant, to)?;
    Ok(Untold { rates: up.is_none() || down.is_none(), quota: false })
}

fn kilobits(rate: BitsPerSecond) -> Option<u32> {
    u32::try_from(rate.get().div_ceil(1_000)).ok()
}
