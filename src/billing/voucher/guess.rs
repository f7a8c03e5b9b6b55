//! How often a code may be tried.
//!
//! Wrong codes are counted by where they come from and in all. A try is counted before it is made, so that many
//! at once gain nothing; a right code is no guess, and takes no earlier ones back. No clock and no store here.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::Vouchers;

/// What was tried lately.
#[derive(Debug)]
pub(super) struct Guesses {
    sources: HashMap<String, Tries>,
    /// When wrong codes from everywhere will have been earned back, Unix milliseconds.
    earned_back: i64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tries {
    /// When the minute began that `wrong` counts in.
    since: i64,
    wrong: u32,
    under_way: u32,
    locked_until: i64,
}

/// A try that is under way; it ends as no guess unless it is said to be one.
#[derive(Debug)]
pub struct Try {
    vouchers: Vouchers,
    source: String,
}

impl Vouchers {
    /// Lets a code be tried by `source`: what somebody cannot leave without cost.
    ///
    /// # Errors
    /// How long no code is looked at.
    pub fn may_try(&self, source: &str, now: Timestamp) -> Result<Try, SignedDuration> {
        let begun = self.guesses().begin(source, now.as_millisecond());
        begun.map_err(SignedDuration::from_millis)?;
        Ok(Try { vouchers: self.clone(), source: source.to_owned() })
    }
}

impl Try {
    /// The code was wrong.
    pub fn was_wrong(self, now: Timestamp) {
        self.vouchers.guesses().count_wrong(&self.source, now.as_millisecond());
    }
}

impl Drop for Try {
    fn drop(&mut self) {
        self.vouchers.guesses().end(&self.source);
    }
}

impl Guesses {
    pub(super) fn new() -> Self {
        Self { sources: HashMap::new(), earned_back: i64::MIN }
    }

    /// Milliseconds to wait, where no code is looked at now.
    fn begin(&mut self, source: &str, now: i64) -> Result<(), i64> {
        let spare = GLOBAL_EVERY * (GLOBAL_BURST - 1);
        let wait = self.earned_back.saturating_sub(now).saturating_sub(spare);
        if wait > 0 {
            return Err(wait);
        }
        if self.sources.len() >= MAX_SOURCES && !self.sources.contains_key(source) {
            self.make_room(now);
        }
        let tries = self.sources.entry(source.to_owned()).or_default();
        if tries.locked_until > now {
            return Err(tries.locked_until - now);
        }
        if now.saturating_sub(tries.since) >= WINDOW {
            (tries.since, tries.wrong) = (now, 0);
        }
        if tries.wrong.saturating_add(tries.under_way) >= MOST_WRONG {
            // So many at once are answered soon, one way or the other.
            return Err(PAUSE);
        }
        tries.under_way = tries.under_way.saturating_add(1);
        Ok(())
    }

    fn count_wrong(&mut self, source: &str, now: i64) {
        self.earned_back = self.earned_back.max(now).saturating_add(GLOBAL_EVERY);
        let Some(tries) = self.sources.get_mut(source) else { return };
        tries.wrong = tries.wrong.saturating_add(1);
        if tries.wrong >= MOST_WRONG {
            (tries.locked_until, tries.wrong) = (now.saturating_add(LOCK_OUT), 0);
        }
    }

    fn end(&mut self, source: &str) {
        if let Some(tries) = self.sources.get_mut(source) {
            tries.under_way = tries.under_way.saturating_sub(1);
        }
    }

    /// Drops what has no effect any more, and if that is nothing, the one whose effect ends first.
    fn make_room(&mut self, now: i64) {
        let ends = |tries: &Tries| tries.locked_until.max(tries.since.saturating_add(WINDOW));
        self.sources.retain(|_, tries| tries.under_way > 0 || ends(tries) > now);
        if self.sources.len() < MAX_SOURCES {
            return;
        }
        let nearest = self.sources.iter().min_by_key(|(_, tries)| ends(tries));
        if let Some(source) = nearest.map(|(source, _)| source.clone()) {
            self.sources.remove(&source);
        }
    }
}

/// Wrong codes of one device within [`WINDOW`]: somebody who misreads a card stays below.
const MOST_WRONG: u32 = 5;
/// A minute, in milliseconds.
const WINDOW: i64 = 60_000;
/// Five minutes: at most 1,440 guesses a day from one device, among 31^12 codes.
const LOCK_OUT: i64 = 5 * 60_000;
/// One wrong code each from everywhere, milliseconds: ten a second.
const GLOBAL_EVERY: i64 = 100;
/// Wrong codes at once from everywhere.
const GLOBAL_BURST: i64 = 10;
/// For who tries as many codes at once as may be wrong.
const PAUSE: i64 = 1_000;
/// Sources remembered: about 8 MiB when somebody tries to fill it.
const MAX_SOURCES: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(guesses: &mut Guesses, source: &str, now: i64) -> Result<(), i64> {
        guesses.begin(source, now)?;
        guesses.count_wrong(source, now);
        guesses.end(source);
        Ok(())
    }

    #[test]
    fn rule_23_five_wrong_codes_a_minute_lock_a_device_out_and_no_other() {
        let mut guesses = Guesses::new();
        for second in 0..5 {
            assert_eq!(wrong(&mut guesses, "ada", second * 1_000), Ok(()));
        }
        assert_eq!(wrong(&mut guesses, "ada", 5_000), Err(LOCK_OUT - 1_000));
        assert_eq!(guesses.begin("eve", 5_000), Ok(()));
        assert_eq!(wrong(&mut guesses, "ada", 4_000 + LOCK_OUT), Ok(()));
    }

    #[test]
    fn four_wrong_codes_a_minute_lock_nobody_out() {
        let mut guesses = Guesses::new();
        for minute in 0..100 {
            for one in 0..4 {
                assert_eq!(wrong(&mut guesses, "ada", minute * WINDOW + one * 1_000), Ok(()));
            }
        }
    }

    #[test]
    fn a_right_code_is_no_guess_and_takes_none_back() {
        let mut guesses = Guesses::new();
        for second in 0..4 {
            assert_eq!(wrong(&mut guesses, "ada", second * 1_000), Ok(()));
            assert_eq!(guesses.begin("ada", second * 1_000), Ok(()));
            guesses.end("ada");
        }
        assert_eq!(wrong(&mut guesses, "ada", 4_000), Ok(()));
        assert!(wrong(&mut guesses, "ada", 4_500).is_err());
    }

    #[test]
    fn many_at_once_are_counted_before_they_are_made() {
        let mut guesses = Guesses::new();
        let begun = (0..100).filter(|_| guesses.begin("ada", 0).is_ok()).count();
        assert_eq!(begun, 5);
        for _ in 0..5 {
            guesses.end("ada");
        }
        assert_eq!(guesses.begin("ada", 0), Ok(()), "none of them was wrong");
    }

    #[test]
    fn wrong_codes_from_everywhere_are_ten_a_second() {
        let mut guesses = Guesses::new();
        let mut passed = 0;
        for milli in 0..10_000 {
            passed += i64::from(wrong(&mut guesses, &milli.to_string(), milli).is_ok());
        }
        assert!((100..=110).contains(&passed), "{passed}");
    }

    #[test]
    fn memory_is_bounded_however_many_devices_try() {
        let mut guesses = Guesses::new();
        for source in 0..MAX_SOURCES + 50 {
            assert_eq!(guesses.begin(&source.to_string(), 0), Ok(()));
            guesses.end(&source.to_string());
        }
        assert!(guesses.sources.len() <= MAX_SOURCES);
    }
}
