//! `[log]`: how much is written, and where to.

use toml::de::DeValue;

use super::fault::Wrong;
use super::kind::{Kind, choose, chosen};
use super::reader::{Applies, Section};
use crate::base::telemetry::{Format, Level};

/// The log's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// Where the log goes.
    pub format: Format,
    /// The least important thing that is written.
    pub level: Level,
}

impl Log {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let format = section.optional("format", Applies::Restart, Format::Auto);
        let level = section.optional("level", Applies::Live, Level::Info);
        Self { format, level }
    }
}

impl Kind for Format {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        choose(value, FORMATS)
    }

    fn show(&self) -> String {
        chosen(*self, FORMATS)
    }
}

impl Kind for Level {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        choose(value, LEVELS)
    }

    fn show(&self) -> String {
        chosen(*self, LEVELS)
    }
}

const FORMATS: &[(&str, Format)] =
    &[("auto", Format::Auto), ("journald", Format::Journald), ("console", Format::Console)];

const LEVELS: &[(&str, Level)] = &[
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
    ("trace", Level::Trace),
];
