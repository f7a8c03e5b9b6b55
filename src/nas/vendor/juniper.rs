//! Juniper MX (ERX, vendor 4874): the shaping rate toward the subscriber, for `$junos-cos-shaping-rate` of its
//! dynamic profile (attribute 108, tag 2).
//!
//! Upload is policed by a named filter of the router, which no number can set: it is reported as untold.

use std::fmt::Write as _;

use crate::nas::stack_text::StackText;
use crate::nas::{Grant, Untold};
use crate::radius::{EncodeError, VendorKind, Writer};

/// Writes the vendor's attributes.
///
/// # Errors
/// When the packet is full.
pub fn write(grant: &Grant<'_>, to: &mut Writer<'_>) -> Result<Untold, EncodeError> {
    let mut text = StackText::<32>::new();
    if write!(text, "T02 {}", grant.entitlement.rates.down.0.get()).is_ok() {
        to.vendor_text(VendorKind::ERX_COS_SHAPING_PMT_TYPE, text.as_str())?;
    }
    Ok(Untold { rates: true, quota: grant.entitlement.remaining_octets.is_some() })
}
