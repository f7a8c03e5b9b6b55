//! How a command ends when it does not end well.

/// Why a command did not do what was asked; the text is for the person who typed it.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The thing asked about is not so, or was refused.
    #[error("{0}")]
    NotSo(String),
    /// The command line or the configuration is wrong.
    #[error("{0}")]
    Usage(String),
    /// The daemon cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// The daemon's configuration is wrong, so that it did not start; only from `serve`.
    #[error("{0}")]
    Misconfigured(String),
    /// What was found wrong is already on the screen.
    #[error("")]
    Told,
}

impl CliError {
    /// The exit status that scripts and systemd see.
    #[must_use]
    pub const fn status(&self) -> u8 {
        match self {
            Self::NotSo(_) | Self::Told => 1,
            Self::Usage(_) => USAGE,
            Self::Unreachable(_) => 3,
            Self::Misconfigured(_) => MISCONFIGURED,
        }
    }

    /// Something of this machine did not work: `doing` says what was attempted.
    pub(super) fn failed(doing: &str, error: &dyn std::error::Error) -> Self {
        let mut text = format!("cannot {doing}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        Self::NotSo(text)
    }
}

/// Usage or configuration.
pub(super) const USAGE: u8 = 2;
/// `EX_CONFIG` of `sysexits.h`; the unit file tells systemd not to try again on it.
const MISCONFIGURED: u8 = 78;
