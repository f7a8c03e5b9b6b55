//! Bit rates, each with its direction in its type.
//!
//! Directions are the subscriber's: *download* flows to the subscriber, *upload* from it. A NAS
//! sees them mirrored (what it receives from the subscriber is the upload), and only the vendor
//! encoders in `nas` do that turn. Plans that are symmetrical hide a wrong turn; the types do not.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bits a second; 1 kbit/s is 1,000 bit/s. Zero is not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct BitsPerSecond(u64);

/// Toward the subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Download(pub BitsPerSecond);

/// From the subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Upload(pub BitsPerSecond);

/// A rate for each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rates {
    /// Toward the subscriber.
    pub down: Download,
    /// From the subscriber.
    pub up: Upload,
}

/// The unit of a speed in the API and on forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BandwidthUnit {
    /// 1,000 bit/s.
    Kbps,
    /// 1,000,000 bit/s.
    Mbps,
    /// 1,000,000,000 bit/s.
    Gbps,
}

/// Why a number is not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Zero would mean "unlimited" to some NAS and "nothing" to others.
    #[error("a rate must be above zero")]
    Zero,
    /// Above [`MAX_BITS_PER_SECOND`].
    #[error("a rate must not exceed 10 Tbit/s")]
    TooFast,
    /// More decimals than the unit can hold.
    #[error("a rate must be a number of whole bits a second")]
    Fraction,
}

impl BitsPerSecond {
    /// A rate of that many bits a second.
    ///
    /// # Errors
    /// When it is zero or above [`MAX_BITS_PER_SECOND`].
    pub const fn new(bits: u64) -> Result<Self, RateError> {
        if bits == 0 {
            return Err(RateError::Zero);
        }
        if bits > MAX_BITS_PER_SECOND {
            return Err(RateError::TooFast);
        }
        Ok(Self(bits))
    }

    /// A rate given as a decimal text in a unit: `("7.5", Mbps)` is 7,500,000 bit/s.
    ///
    /// # Errors
    /// When the text is no such number, or the rate is out of range.
    pub fn in_unit(decimal: &str, unit: BandwidthUnit) -> Result<Self, RateError> {
        let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
        let places = u32::try_from(fraction.len()).map_err(|_| RateError::Fraction)?;
        let scale = unit.bits();
        let fraction_scale = 10u64.checked_pow(places).ok_or(RateError::Fraction)?;
        if !scale.is_multiple_of(fraction_scale) || !decimal.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        {
            return Err(RateError::Fraction);
        }
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| RateError::TooFast)? };
        let part: u64 =
            if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| RateError::Fraction)? };
        let bits = whole
            .checked_mul(scale)
            .and_then(|bits| bits.checked_add(part.checked_mul(scale / fraction_scale)?))
            .ok_or(RateError::TooFast)?;
        Self::new(bits)
    }

    /// The number of bits a second.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The largest unit in which this rate is a whole number, with that number.
    #[must_use]
    pub const fn exact(self) -> Option<(u64, BandwidthUnit)> {
        if self.0.is_multiple_of(1_000_000_000) {
            Some((self.0 / 1_000_000_000, BandwidthUnit::Gbps))
        } else if self.0.is_multiple_of(1_000_000) {
            Some((self.0 / 1_000_000, BandwidthUnit::Mbps))
        } else if self.0.is_multiple_of(1_000) {
            Some((self.0 / 1_000, BandwidthUnit::Kbps))
        } else {
            None
        }
    }
}

impl BandwidthUnit {
    /// Bits a second in one of this unit.
    #[must_use]
    pub const fn bits(self) -> u64 {
        match self {
            Self::Kbps => 1_000,
            Self::Mbps => 1_000_000,
            Self::Gbps => 1_000_000_000,
        }
    }

    /// The unit's name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kbps => "kbps",
            Self::Mbps => "mbps",
            Self::Gbps => "gbps",
        }
    }
}

impl Rates {
    /// The slower of the two, direction by direction.
    #[must_use]
    pub fn slower(self, other: Self) -> Self {
        Self { down: self.down.min(other.down), up: self.up.min(other.up) }
    }
}

impl fmt::Display for BitsPerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.exact() {
            Some((number, BandwidthUnit::Gbps)) => write!(f, "{number} Gbit/s"),
            Some((number, BandwidthUnit::Mbps)) => write!(f, "{number} Mbit/s"),
            Some((number, BandwidthUnit::Kbps)) => write!(f, "{number} kbit/s"),
            None => write!(f, "{} bit/s", self.0),
        }
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} down, {} up", self.down.0, self.up.0)
    }
}

impl TryFrom<u64> for BitsPerSecond {
    type Error = RateError;
    fn try_from(bits: u64) -> Result<Self, RateError> {
        Self::new(bits)
    }
}

impl From<BitsPerSecond> for u64 {
    fn from(rate: BitsPerSecond) -> Self {
        rate.0
    }
}

/// 10 Tbit/s: above any access link, and far below where byte arithmetic could overflow.
pub const MAX_BITS_PER_SECOND: u64 = 10_000_000_000_000;

/// What a lock that slows down leaves where it does not say: messages and the pay page work, films do not.
pub const THROTTLED: Rates =
    Rates { down: Download(BitsPerSecond(256_000)), up: Upload(BitsPerSecond(128_000)) };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_in_a_unit_become_exact_bits() {
        let bits = |text, unit| BitsPerSecond::in_unit(text, unit).map(BitsPerSecond::get);
        assert_eq!(bits("20", BandwidthUnit::Mbps), Ok(20_000_000));
        assert_eq!(bits("7.5", BandwidthUnit::Mbps), Ok(7_500_000));
        assert_eq!(bits("0.064", BandwidthUnit::Mbps), Ok(64_000));
        assert_eq!(bits("1.5", BandwidthUnit::Gbps), Ok(1_500_000_000));
        assert_eq!(bits("0", BandwidthUnit::Mbps), Err(RateError::Zero));
        assert_eq!(bits("0.0001", BandwidthUnit::Kbps), Err(RateError::Fraction));
        assert_eq!(bits("-5", BandwidthUnit::Mbps), Err(RateError::Fraction));
        assert_eq!(bits("99999999999", BandwidthUnit::Gbps), Err(RateError::TooFast));
    }

    #[test]
    fn the_shown_unit_is_the_largest_exact_one() {
        let rate = BitsPerSecond::new(2_500_000).unwrap();
        assert_eq!(rate.exact(), Some((2_500, BandwidthUnit::Kbps)));
        assert_eq!(BitsPerSecond::new(1_001).unwrap().exact(), None);
    }
}
