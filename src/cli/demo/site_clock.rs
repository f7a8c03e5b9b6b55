//! The site's clock: what the daemon takes for the time of day, which the demo moves on by libfaketime. What only
//! measures (the monotonic clock) stays the machine's, and so does every other process.
//!
//! The one rule: it never goes back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::Timestamp;

use super::needs;
use crate::base::clock::Clock;
use crate::cli::error::CliError;

/// The clock of one daemon.
#[derive(Debug)]
pub(super) struct SiteClock {
    file: PathBuf,
    clock: Clock,
    ahead_secs: i64,
}

impl SiteClock {
    /// The machine's time, for now.
    pub(super) fn new(folder: &Path, clock: &Clock) -> Result<Self, CliError> {
        let this = Self { file: folder.join("ahead"), clock: clock.clone(), ahead_secs: 0 };
        this.write()?;
        Ok(this)
    }

    /// Lets a program have this clock.
    pub(super) fn give_to<'a>(&self, program: &'a mut Command) -> &'a mut Command {
        program
            .env("LD_PRELOAD", needs::faketime())
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    /// What it says.
    pub(super) fn now(&self) -> Timestamp {
        let ahead = jiff::SignedDuration::from_secs(self.ahead_secs);
        self.clock.now().checked_add(ahead).unwrap_or(Timestamp::MAX)
    }

    /// Goes on to a moment; stays where it is later already.
    pub(super) fn go_on_to(&mut self, moment: Timestamp) -> Result<(), CliError> {
        let ahead = moment.duration_since(self.clock.now()).as_secs();
        self.ahead_secs = self.ahead_secs.max(ahead);
        self.write()
    }

    /// In one step, since the daemon reads the file whenever it looks at its clock.
    fn write(&self) -> Result<(), CliError> {
        let fresh = self.file.with_extension("fresh");
        let written = fs::write(&fresh, format!("+{}", self.ahead_secs));
        written
            .and_then(|()| fs::rename(&fresh, &self.file))
            .map_err(|error| CliError::failed("move the site's clock", &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_and_never_back() {
        let folder = tempfile::tempdir().unwrap();
        let start: Timestamp = "2026-03-01T08:00:00Z".parse().unwrap();
        let mut clock = SiteClock::new(folder.path(), &Clock::manual(start).0).unwrap();
        let said = || fs::read_to_string(folder.path().join("ahead")).unwrap();
        assert_eq!((clock.now(), said()), (start, "+0".to_owned()));
        clock.go_on_to("2026-03-02T08:00:00Z".parse().unwrap()).unwrap();
        clock.go_on_to(start).unwrap();
        assert_eq!(
            (clock.now().to_string(), said()),
            ("2026-03-02T08:00:00Z".to_owned(), "+86400".to_owned())
        );
    }
}
