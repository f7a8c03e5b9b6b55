//! Sizes of memory and disk: powers of 1024, said so in the unit.

use toml::de::DeValue;

use super::fault::Wrong;
use super::kind::{Kind, quoted, text};

/// A number of octets, written as `"64 MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    /// So many times 1024 × 1024 octets.
    #[must_use]
    pub const fn mebibytes(count: u64) -> Self {
        Self(count.saturating_mul(1 << 20))
    }

    /// The number of octets.
    #[must_use]
    pub const fn octets(self) -> u64 {
        self.0
    }

    fn parse(written: &str) -> Option<Self> {
        let digits = written.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = written.split_at_checked(digits)?;
        let size = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?.1;
        number.parse::<u64>().ok()?.checked_mul(size).map(Self)
    }
}

impl Kind for ByteSize {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let written = text(value, "a size", "\"64 MiB\"")?;
        Self::parse(written).ok_or_else(|| {
            Wrong::new(
                format!("{} is not a size", quoted(written)),
                "write a whole number and one unit of B, KiB, MiB, GiB, as \"64 MiB\"",
            )
        })
    }

    fn show(&self) -> String {
        let fits = |size: &&(&str, u64)| self.0.is_multiple_of(size.1) && self.0 >= size.1;
        let (unit, size) = UNITS.iter().find(fits).unwrap_or(&("B", 1));
        quoted(&format!("{} {unit}", self.0 / size))
    }
}

/// Octets a unit, largest first.
const UNITS: &[(&str, u64)] = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024_and_say_so() {
        assert_eq!(ByteSize::parse("64 MiB"), Some(ByteSize::mebibytes(64)));
        assert_eq!(ByteSize::parse("64MiB").unwrap().octets(), 67_108_864);
        assert_eq!(ByteSize::mebibytes(2048).show(), "\"2 GiB\"");
        assert_eq!(ByteSize(0).show(), "\"0 B\"");
        for wrong in ["64 MB", "64", "", "64 mib", "-1 B", "99999999999 GiB"] {
            assert_eq!(ByteSize::parse(wrong), None, "{wrong}");
        }
    }
}
