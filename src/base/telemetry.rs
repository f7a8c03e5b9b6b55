//! What the daemon says about itself: one log, to journald or to a console.
//!
//! A line is a sentence that can be read alone, with fields to search by; the same thing has the
//! same field everywhere (`session.id`, `nas.id`, `refusal`). Not for metrics or warnings.
//!
//! The one rule: above debug nothing identifies a person. Names, numbers and addresses of people go
//! through [`Masked`].

use std::fmt;
use std::io::IsTerminal as _;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

/// Where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// To journald when systemd started us, else to the console.
    Auto,
    /// To journald, with the fields searchable as `EDGE_…`.
    Journald,
    /// To standard error, a line each.
    Console,
}

/// The least important thing that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What somebody must mend now.
    Error,
    /// What somebody must mend soon.
    Warn,
    /// What happened.
    Info,
    /// What a peer did wrong, and who was refused why; names people.
    Debug,
    /// Every step.
    Trace,
}

/// The log could not be set up; the operator's or the machine's fault.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// journald's socket is not there.
    #[error("journald cannot be reached; set log.format = \"console\"")]
    NoJournal(#[source] std::io::Error),
    /// A log was set up before in this process.
    #[error("the log is set up already")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
    /// The log is gone, so its level cannot be changed.
    #[error("the log's level cannot be changed")]
    Gone(#[source] reload::Error),
}

/// A hand on the running log.
#[derive(Clone, Debug)]
pub struct Telemetry {
    level: reload::Handle<LevelFilter, Registry>,
}

/// Starts the log of this process. `under_journal` says that systemd connected standard error to
/// the journal, which decides [`Format::Auto`].
///
/// # Errors
/// When journald was asked for and is not there, or a log is running already.
pub fn start(format: Format, level: Level, under_journal: bool) -> Result<Telemetry, TelemetryError> {
    let (filter, handle) = reload::Layer::new(level.filter());
    let journal = match format {
        Format::Auto => under_journal,
        Format::Journald => true,
        Format::Console => false,
    };
    let output: Box<dyn Layer<_> + Send + Sync> = if journal {
        let layer = tracing_journald::layer().map_err(TelemetryError::NoJournal)?;
        Box::new(layer.with_field_prefix(Some(JOURNAL_PREFIX.to_owned())))
    } else {
        // Colours are for eyes: in a file they are noise.
        let ansi = std::io::stderr().is_terminal();
        Box::new(
            tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(ansi),
        )
    };
    tracing_subscriber::registry().with(filter).with(output).try_init().map_err(TelemetryError::Twice)?;
    Ok(Telemetry { level: handle })
}

impl Telemetry {
    /// Changes the level of the running log, as a reload does.
    ///
    /// # Errors
    /// When the log is gone.
    pub fn set_level(&self, level: Level) -> Result<(), TelemetryError> {
        self.level.reload(level.filter()).map_err(TelemetryError::Gone)
    }
}

impl Level {
    const fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// So that `journalctl EDGE_SESSION_ID=…` finds our fields and nobody else's.
const JOURNAL_PREFIX: &str = "EDGE";

/// What identifies a person, shown so that staff who know it recognise it and others do not.
#[derive(Clone, Copy)]
pub enum Masked<'a> {
    /// A mail address: first character and domain.
    Email(&'a str),
    /// A telephone number: last two digits.
    Phone(&'a str),
    /// A device's address: the maker's half.
    Mac(&'a str),
    /// A login name: first character; the realm, if it has one.
    Username(&'a str),
}

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Email(text) | Self::Username(text) => name(text, f),
            Self::Phone(text) => phone(text, f),
            Self::Mac(text) => mac(text, f),
        }
    }
}

fn name(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (name, realm) = text.rsplit_once('@').map_or((text, None), |(name, realm)| (name, Some(realm)));
    // A name that is itself a device's address must not pass as a name.
    match name.chars().next().filter(|first| !first.is_control() && !is_mac(name)) {
        Some(first) => write!(f, "{first}***")?,
        None => f.write_str("***")?,
    }
    realm.map_or(Ok(()), |realm| write!(f, "@{}", realm.escape_debug()))
}

fn phone(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let hidden = if digits.len() < SHORTEST_PHONE { digits.len() } else { digits.len() - 2 };
    write!(f, "***{}", digits.get(hidden..).unwrap_or(""))
}

fn mac(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if !is_mac(text) {
        return f.write_str("***");
    }
    let digits = text.chars().filter(char::is_ascii_hexdigit).take(6);
    for (place, digit) in digits.enumerate() {
        let colon = if place > 0 && place.is_multiple_of(2) { ":" } else { "" };
        write!(f, "{colon}{}", digit.to_ascii_lowercase())?;
    }
    f.write_str(":**:**:**")
}

impl fmt::Debug for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn is_mac(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_hexdigit).count();
    digits == 12 && text.chars().all(|symbol| symbol.is_ascii_hexdigit() || ":-.".contains(symbol))
}

/// Of a shorter number two digits would tell too much.
const SHORTEST_PHONE: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_identifies_a_person_is_masked() {
        assert_eq!(Masked::Email("amaka@example.net").to_string(), "a***@example.net");
        assert_eq!(Masked::Username("amaka").to_string(), "a***");
        assert_eq!(Masked::Username("AA-BB-CC-11-22-33").to_string(), "***");
        assert_eq!(Masked::Username("").to_string(), "***");
        assert_eq!(Masked::Phone("+234 803 123 4567").to_string(), "***67");
        assert_eq!(Masked::Phone("112").to_string(), "***");
        assert_eq!(Masked::Mac("AA-BB-CC-11-22-33").to_string(), "aa:bb:cc:**:**:**");
        assert_eq!(Masked::Mac("aabb.cc11.2233").to_string(), "aa:bb:cc:**:**:**");
        assert_eq!(Masked::Mac("not an address").to_string(), "***");
        assert_eq!(format!("{:?}", Masked::Username("amaka")), "a***");
    }

    #[test]
    fn a_name_cannot_forge_a_line_of_the_log() {
        let masked = Masked::Username("\nx@realm\nERROR forged").to_string();
        assert!(!masked.contains('\n'), "{masked}");
    }
}
