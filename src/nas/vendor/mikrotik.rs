//! `RouterOS`: PPP and hotspot (MikroTik's RADIUS manual; vendor 14988).
//!
//! Mikrotik-Rate-Limit is written as the router sees it: what it receives comes first, and what it
//! receives is the subscriber's *upload*. Data limits go as two 32-bit halves, always both.

use std::fmt::Write as _;

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

/// The high and low 32 bits of a limit. A low half of zero is read as "no limit" by some firmware,
/// so a limit that is an exact multiple of 2^32 is given one octet less.
fn halves(octets: u64) -> (u32, u32) {
    let octets = if octets.trailing_zeros() >= 32 { octets.saturating_sub(1) } else { octets };
    let high = u32::try_from(octets >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(octets & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    (high, low)
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
    fn limits_split_as_the_golden_vectors_say() {
        assert_eq!(halves(5_000_000_000), (1, 705_032_704));
        assert_eq!(halves(10_000_000_000), (2, 1_410_065_408));
        assert_eq!(halves(10_737_418_240), (2, 2_147_483_648));
        assert_eq!(halves(4_294_967_296), (0, 4_294_967_295));
    }

    #[test]
    fn rates_use_a_suffix_only_where_it_is_exact() {
        let text = |bits| Number(BitsPerSecond::new(bits).unwrap()).to_string();
        assert_eq!(text(20_000_000), "20M");
        assert_eq!(text(3_750_000), "3750k");
        assert_eq!(text(1_024), "1024");
    }
}
