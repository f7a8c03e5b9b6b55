//! What is wrong with the box right now, in words that say what to do.
//!
//! One registry feeds `/ready`, the metrics and `doctor`, so that they cannot disagree. A part raises
//! a warning when it finds itself ill and clears it when it is well again. Not a log: a warning is a
//! state, not an event.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Subscribers do not notice yet.
    Warn,
    /// The box does not do its work: `/ready` says no.
    Fail,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Kebab-case name, stable over versions, as `disk-almost-full`.
    pub code: &'static str,
    /// What it concerns where a code can hold for several things, as a NAS's name; else empty.
    pub subject: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is the matter, in a sentence.
    pub text: String,
    /// What to do about it.
    pub remedy: String,
    /// Since when it has been so.
    pub since: Timestamp,
}

/// The warnings in force; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health {
    warnings: Arc<Mutex<BTreeMap<Key, Warning>>>,
}

type Key = (&'static str, String);

impl Health {
    /// A registry in which all is well.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a warning in force. If it was in force already, text and severity are renewed and its
    /// beginning is kept. Returns true when it is new, which is the moment to log it.
    pub fn raise(&self, warning: Warning) -> bool {
        let mut warnings = self.lock();
        let key = (warning.code, warning.subject.clone());
        if let Some(known) = warnings.get_mut(&key) {
            let since = known.since;
            *known = Warning { since, ..warning };
            return false;
        }
        if warnings.len() >= MAX_WARNINGS {
            return false;
        }
        warnings.insert(key, warning);
        true
    }

    /// Ends a warning. Returns it when it was in force, which is the moment to log its end.
    pub fn clear(&self, code: &'static str, subject: &str) -> Option<Warning> {
        self.lock().remove(&(code, subject.to_owned()))
    }

    /// The warnings in force, the worst first, then by code.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings: Vec<_> = self.lock().values().cloned().collect();
        warnings.sort_by_key(|warning| std::cmp::Reverse(warning.severity));
        warnings
    }

    /// How bad the worst warning is; `None` when all is well.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.lock().values().map(|warning| warning.severity).max()
    }

    /// True unless something keeps the box from doing its work.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        match self.worst() {
            Some(Severity::Fail) => false,
            Some(Severity::Warn) | None => true,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Warning>> {
        // A map of finished values is whole even if a holder of the lock panicked.
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// More than a person reads; bounds what a thousand ill NAS can make us keep.
const MAX_WARNINGS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(code: &'static str, subject: &str, severity: Severity, second: i64) -> Warning {
        let since = Timestamp::from_second(second).unwrap();
        Warning { code, subject: subject.into(), severity, text: "t".into(), remedy: "r".into(), since }
    }

    #[test]
    fn a_warning_raised_again_keeps_its_beginning_and_takes_the_new_severity() {
        let health = Health::new();
        assert!(health.raise(warning("disk-almost-full", "", Severity::Warn, 10)));
        assert!(!health.raise(warning("disk-almost-full", "", Severity::Fail, 20)));
        let known = health.warnings();
        assert_eq!(known, [warning("disk-almost-full", "", Severity::Fail, 10)]);
        assert!(!health.is_ready());
    }

    #[test]
    fn a_warning_ends_for_its_own_subject_only() {
        let health = Health::new();
        health.raise(warning("nas-silent", "a", Severity::Warn, 1));
        health.raise(warning("nas-silent", "b", Severity::Warn, 1));
        assert!(health.clear("nas-silent", "a").is_some());
        assert!(health.clear("nas-silent", "a").is_none());
        assert_eq!(health.warnings().len(), 1);
        assert!(health.is_ready());
        assert_eq!(health.worst(), Some(Severity::Warn));
    }

    #[test]
    fn the_worst_comes_first_and_the_number_is_bounded() {
        let health = Health::new();
        for number in 0..600 {
            health.raise(warning("nas-silent", &number.to_string(), Severity::Warn, 1));
        }
        assert_eq!(health.warnings().len(), MAX_WARNINGS);
        health.clear("nas-silent", "5");
        health.raise(warning("store-closed", "", Severity::Fail, 1));
        assert_eq!(health.warnings()[0].code, "store-closed");
    }
}
