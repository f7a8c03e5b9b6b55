//! How long to wait before trying again: longer each time, never for ever, never in step with others.
//! Pure: the caller brings the number of failures and the randomness.

use std::time::Duration;

/// Delays that double from a first to a longest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

/// The two bounds do not make sense together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a first delay of {first:?} and a longest of {longest:?} do not fit: 0 < first ≤ longest is needed")]
pub struct BackoffError {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// Delays from `first` to `longest`.
    ///
    /// # Errors
    /// When `first` is zero or longer than `longest`.
    pub fn new(first: Duration, longest: Duration) -> Result<Self, BackoffError> {
        if first.is_zero() || first > longest {
            return Err(BackoffError { first, longest });
        }
        Ok(Self { first, longest })
    }

    /// The wait after `failures` failures in a row: between half and the whole of the doubled
    /// delay, where `random` decides. After no failure there is none.
    #[must_use]
    pub fn delay(&self, failures: u32, random: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let whole = self.first.saturating_mul(factor).min(self.longest);
        let half = whole / 2;
        half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_wait_doubles_up_to_its_bound() {
        let backoff = Backoff::new(SECOND, 60 * SECOND).unwrap();
        let waits: Vec<_> = [0, 1, 2, 3, 7, 40].map(|failures| backoff.delay(failures, u32::MAX)).to_vec();
        assert_eq!(waits, [0, 1, 2, 4, 60, 60].map(Duration::from_secs));
        assert_eq!(backoff.delay(3, 0), 2 * SECOND);
    }

    #[test]
    fn bounds_that_would_never_wait_are_refused() {
        assert!(Backoff::new(Duration::ZERO, SECOND).is_err());
        assert!(Backoff::new(2 * SECOND, SECOND).is_err());
    }

    proptest! {
        #[test]
        fn a_wait_is_between_half_and_the_whole(failures in 1u32.., random: u32) {
            let backoff = Backoff::new(SECOND, 300 * SECOND).unwrap();
            let wait = backoff.delay(failures, random);
            let whole = SECOND.saturating_mul(1u32.checked_shl(failures - 1).unwrap_or(u32::MAX)).min(300 * SECOND);
            prop_assert!(wait >= whole / 2 && wait <= whole);
        }
    }
}
