//! `RouterOS`: PPP and hotspot (MikroTik's RADIUS manual; vendor 14988).
//!
//! Mikrotik-Rate-Limit is written as the router sees it: what it receives comes first, and what it
//! receives is the subscriber's *upload*. Data limits go as two 32-bit halves, always both.

use std::fmt::Write as _;

use super::halves;
use crate::domain::rate::BitsPerSecond;
use crate::nas::stack_text::StackText;
use crate::nas::{Grant, Untold, is_captive};
use crate::radius::{EncodeError, VendorKind, Writer};

/// Writes the vendor's attributes.
///
/// # Errors
/// When the packet is full.
pub fn write(grant: &Grant<'_>, to: &mut Writer<'_>) -> Result<Untold, EncodeError> {
    let mut rate = StackText::<48>::new();
    let rates = grant.entitlement.rates;
    let told = write!(rate, "{}/{}", Number(rates.up.0), Number(rates.down.0)).is_ok();
    if told {
        to.vendor_text(VendorKind::MIKROTIK_RATE_LIMIT, rate.as_str())?;
    }
    if let Some(octets) = grant.entitlement.remaining_octets {
        let (gigawords, low) = halves(octets);
        to.vendor_u32(VendorKind::MIKROTIK_TOTAL_LIMIT, low)?;
        to.vendor_u32(VendorKind::MIKROTIK_TOTAL_LIMIT_GIGAWORDS, gigawords)?;
    }
    if is_captive(grant) {
        to.vendor_text(VendorKind::MIKROTIK_ADDRESS_LIST, CAPTIVE_LIST)?;
    }
    Ok(Untold { rates: !told, quota: false })
}

/// A rate as `RouterOS` reads it: `k` is 1,000 and `M` 1,000,000, used only where exact.
struct Number(BitsPerSecond);

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bits = self.0.get();
        if bits.is_multiple_of(1_000_000) {
            write!(f, "{}M", bits / 1_000_000)
        } else if bits.is_multiple_of(1_000) {
            write!(f, "{}k", bits / 1_000)
        } else {
            write!(f, "{bits}")
        }
    }
}

/// The firewall address list that holds captive subscribers; the router's rules redirect it.
pub const CAPTIVE_LIST: &str = "dotmac-captive";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_use_a_suffix_only_where_it_is_exact() {
        let text = |bits| Number(BitsPerSecond::new(bits).unwrap()).to_string();
        assert_eq!(text(20_000_000), "20M");
        assert_eq!(text(3_750_000), "3750k");
        assert_eq!(text(1_024), "1024");
    }
}
