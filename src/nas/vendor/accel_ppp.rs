//! accel-ppp with its shaper: `Filter-Id` as download and upload in kbit/s.
//!
//! Download comes first, the other way round than `RouterOS` wants it. A speed that is no whole number of kbit/s is
//! rounded up: a subscriber gets what was sold. There is no attribute for a data limit.

use std::fmt::Write as _;

use crate::nas::stack_text::StackText;
use crate::nas::{Grant, Untold};
use crate::radius::{EncodeError, Kind, Writer};

/// Writes the vendor's attributes.
///
/// # Errors
/// When the packet is full.
pub fn write(grant: &Grant<'_>, to: &mut Writer<'_>) -> Result<Untold, EncodeError> {
    let rates = grant.entitlement.rates;
    let kilobits = |bits: u64| bits.div_ceil(1_000);
    let mut text = StackText::<48>::new();
    let told = write!(text, "{}/{}", kilobits(rates.down.0.get()), kilobits(rates.up.0.get())).is_ok();
    if told {
        to.text(Kind::FILTER_ID, text.as_str())?;
    }
    Ok(Untold { rates: !told, quota: grant.entitlement.remaining_octets.is_some() })
}
