//! The only place that asks what time it is.
//!
//! Rooms with rules never call a clock: they take [`Timestamp`] as an argument. The daemon owns one
//! [`Clock`] and asks it once per datagram, request or job run. Tests use [`Clock::manual`].

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// A source of wall-clock and monotonic time; cheap to clone.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clocks.
    System,
    /// A clock that moves only when told to; for tests and simulations.
    Manual(Arc<ManualClock>),
}

/// The state of a clock that stands still until [`ManualClock::advance`] moves it.
#[derive(Debug)]
pub struct ManualClock {
    origin: Instant,
    start_millis: i64,
    elapsed_millis: AtomicI64,
    ahead_millis: AtomicI64,
}

impl Clock {
    /// A clock that shows `start` until it is advanced.
    #[must_use]
    pub fn manual(start: Timestamp) -> (Self, Arc<ManualClock>) {
        let manual = Arc::new(ManualClock {
            origin: monotonic_now(),
            start_millis: start.as_millisecond(),
            elapsed_millis: AtomicI64::new(0),
            ahead_millis: AtomicI64::new(0),
        });
        (Self::Manual(Arc::clone(&manual)), manual)
    }

    /// The wall-clock time, UTC.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => system_now(),
            Self::Manual(manual) => {
                let passed = manual.elapsed_millis.load(Ordering::SeqCst);
                let ahead = manual.ahead_millis.load(Ordering::SeqCst);
                let millis = manual.start_millis.saturating_add(passed).saturating_add(ahead);
                Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Monotonic time, for durations and time-outs.
    #[must_use]
    pub fn monotonic(&self) -> Instant {
        match self {
            Self::System => monotonic_now(),
            Self::Manual(manual) => {
                let millis = u64::try_from(manual.elapsed_millis.load(Ordering::SeqCst)).unwrap_or(0);
                manual.origin + Duration::from_millis(millis)
            }
        }
    }
}

impl ManualClock {
    /// Moves both the wall clock and the monotonic clock forward.
    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.elapsed_millis.fetch_add(millis, Ordering::SeqCst);
    }

    /// Moves the wall clock alone, as somebody who sets it wrong or right does.
    pub fn set_ahead(&self, by: SignedDuration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.ahead_millis.store(millis, Ordering::SeqCst);
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that may ask")]
fn system_now() -> Timestamp {
    Timestamp::now()
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that may ask")]
fn monotonic_now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let start = Timestamp::from_second(1_000_000).unwrap();
        let (clock, hand) = Clock::manual(start);
        let before = clock.monotonic();
        assert_eq!(clock.now(), start);
        hand.advance(Duration::from_secs(60));
        assert_eq!(clock.now(), Timestamp::from_second(1_000_060).unwrap());
        assert_eq!(clock.monotonic() - before, Duration::from_secs(60));
    }
}
