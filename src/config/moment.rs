//! Durations as people write them: a whole number and one unit.

use std::time::Duration;

/// `"250ms"`, `"10s"`, `"5m"`, `"24h"`, `"30d"`; `None` for everything else.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let millis = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    number.parse::<u64>().ok()?.checked_mul(millis).map(Duration::from_millis)
}

/// The shortest exact spelling.
pub(super) fn show(duration: Duration) -> String {
    let millis = duration.as_millis();
    let fits =
        |size: &&(&str, u64)| millis.is_multiple_of(u128::from(size.1)) && millis >= u128::from(size.1);
    let (unit, size) = UNITS.iter().find(fits).unwrap_or(&("s", 1_000));
    format!("{}{unit}", millis / u128::from(*size))
}

/// Milliseconds a unit, largest first.
const UNITS: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_whole_number_with_one_unit_is_a_duration() {
        assert_eq!(parse("10s"), Some(Duration::from_secs(10)));
        assert_eq!(parse("5 m"), Some(Duration::from_secs(300)));
        assert_eq!(parse("0s"), Some(Duration::ZERO));
        for wrong in ["", "10", "s", "-1s", "1.5h", "1h30m", "10S", "99999999999999999999d", "٣s", "1é"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_as_the_same(millis in 0u64..10_000_000_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&show(duration)), Some(duration));
        }
    }
}
