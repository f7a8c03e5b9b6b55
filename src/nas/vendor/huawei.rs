//! Huawei NE and ME60 (vendor 2011): speeds in bit/s, named from the router.
//!
//! `Input` comes from the subscriber. A peak rate counts only beside its average, so both are sent. The attributes are 32 bits
//! wide: a speed above 4,294,967,295 bit/s is left out and reported, never wrapped.

use crate::nas::{Grant, Untold};
use crate::radius::{EncodeError, VendorKind, Writer};

/// Writes the vendor's attributes.
///
/// # Errors
/// When the packet is full.
pub fn write(grant: &Grant<'_>, to: &mut Writer<'_>) -> Result<Untold, EncodeError> {
    let rates = grant.entitlement.rates;
    let up = u32::try_from(rates.up.0.get()).ok();
    let down = u32::try_from(rates.down.0.get()).ok();
    if let Some(bits) = up {
        to.vendor_u32(VendorKind::HUAWEI_INPUT_AVERAGE_RATE, bits)?;
        to.vendor_u32(VendorKind::HUAWEI_INPUT_PEAK_RATE, bits)?;
    }
    if let Some(bits) = down {
        to.vendor_u32(VendorKind::HUAWEI_OUTPUT_AVERAGE_RATE, bits)?;
        to.vendor_u32(VendorKind::HUAWEI_OUTPUT_PEAK_RATE, bits)?;
    }
    Ok(Untold { rates: up.is_none() || down.is_none(), quota: grant.entitlement.remaining_octets.is_some() })
}
