//! WISPr 1.0 hotspots (vendor 14122): rates in bit/s from the subscriber's view.
//!
//! The attributes are 32 bits wide: a rate above 4,294,967,295 bit/s is left out and reported,
//! never wrapped. The end of access always carries `+00:00`, since a `Z` is read as local time by
//! CoovaChilli.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use crate::nas::stack_text::StackText;
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
        to.vendor_u32(VendorKind::WISPR_BANDWIDTH_MAX_UP, bits)?;
    }
    if let Some(bits) = down {
        to.vendor_u32(VendorKind::WISPR_BANDWIDTH_MAX_DOWN, bits)?;
    }
    write_end(grant, to)?;
    Ok(Untold { rates: up.is_none() || down.is_none(), quota: grant.entitlement.remaining_octets.is_some() })
}

/// When access ends.
pub(super) fn write_end(grant: &Grant<'_>, to: &mut Writer<'_>) -> Result<(), EncodeError> {
    if let Some(end) = grant.entitlement.ends_at {
        let civil = end.to_zoned(TimeZone::UTC).datetime();
        let mut text = StackText::<32>::new();
        let (year, month, day) = (civil.year(), civil.month(), civil.day());
        let (hour, minute, second) = (civil.hour(), civil.minute(), civil.second());
        if write!(text, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+00:00").is_ok() {
            to.vendor_text(VendorKind::WISPR_SESSION_TERMINATE_TIME, text.as_str())?;
        }
    }
    Ok(())
}
