//! Cisco IOS (vendor 9): speeds as a `rate-limit` line for the subscriber's interface.
//!
//! IOS names directions from the router: `output` goes to the subscriber. The bursts are those that Cisco advises: what
//! passes in one and a half seconds, and twice that. There is no attribute for a data limit.

use std::fmt::Write as _;

use crate::domain::rate::BitsPerSecond;
use crate::nas::stack_text::StackText;
use crate::nas::{Grant, Untold};
use crate::radius::{EncodeError, VendorKind, Writer};

/// Writes the vendor's attributes.
///
/// # Errors
/// When the packet is full.
pub fn write(grant: &Grant<'_>, to: &mut Writer<'_>) -> Result<Untold, EncodeError> {
    let rates = grant.entitlement.rates;
    let mut told = true;
    for (number, direction, rate) in [(1, "output", rates.down.0), (2, "input", rates.up.0)] {
        let mut text = StackText::<160>::new();
        if line(&mut text, number, direction, rate).is_ok() {
            to.vendor_text(VendorKind::CISCO_AVPAIR, text.as_str())?;
        } else {
            told = false;
        }
    }
    if let Some(pool) = grant.addresses.pool.as_ref().filter(|_| grant.addresses.ipv4.is_none()) {
        let mut text = StackText::<96>::new();
        if write!(text, "ip:addr-pool={}", pool.as_str()).is_ok() {
            to.vendor_text(VendorKind::CISCO_AVPAIR, text.as_str())?;
        }
    }
    Ok(Untold { rates: !told, quota: grant.entitlement.remaining_octets.is_some() })
}

fn line(
    to: &mut StackText<160>,
    number: u8,
    direction: &str,
    rate: BitsPerSecond,
) -> Result<(), std::fmt::Error> {
    let bits = rate.get();
    let burst = bits.saturating_mul(3) / 16;
    write!(
        to,
        "lcp:interface-config#{number}=rate-limit {direction} {bits} {burst} {most} conform-action transmit \
         exceed-action drop",
        most = burst.saturating_mul(2)
    )
}
