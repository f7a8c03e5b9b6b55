//! `[notify]`: when and in which order people are written to.

use std::path::PathBuf;

use jiff::civil::Time;
use toml::de::DeValue;

use super::fault::Wrong;
use super::kind::{Kind, choose, chosen, quoted, text};
use super::reader::{Applies, Section};
use crate::domain::language::Language;
use crate::domain::message::Channel;

/// How messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// Which channel is asked first; the first that is proven and reaches somebody is used.
    pub order: Vec<Channel>,
    /// When nobody is written to but about what they wait for.
    pub quiet: Option<Quiet>,
    /// The folder with the operator's own words.
    pub languages: PathBuf,
}

impl Notify {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        use Applies::Restart;
        Self {
            order: section.checked("order", Restart, Channel::ALL.to_vec(), |order| {
                let is_twice =
                    order.iter().enumerate().any(|(at, one)| order.iter().take(at).any(|other| other == one));
                if order.is_empty() || is_twice {
                    return Err(Wrong::new(
                        "the list is empty or names one twice",
                        "write [\"mail\", \"sms\"]",
                    ));
                }
                Ok(())
            }),
            quiet: section.optional("quiet", Restart, None),
            languages: section.optional("languages", Restart, PathBuf::from("/etc/dotmac-edge/languages")),
        }
    }
}

/// A span of the site's day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// When it begins.
    pub from: Time,
    /// When it ends.
    pub until: Time,
}

impl Kind for Quiet {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let written = text(value, "a span of the day", "\"21:00-07:00\"")?;
        let time = |text: &str| {
            let (hour, minute) = text.trim().split_once(':')?;
            let digits = |part: &str| part.len() == 2 && part.bytes().all(|octet| octet.is_ascii_digit());
            if !digits(hour) || !digits(minute) {
                return None;
            }
            Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
        };
        let span = written.split_once('-').and_then(|(from, until)| Some((time(from)?, time(until)?)));
        span.filter(|(from, until)| from != until).map(|(from, until)| Self { from, until }).ok_or_else(
            || {
                Wrong::new(
                    format!("{} is not a span of the day", quoted(written)),
                    "write two times of the site's day, as \"21:00-07:00\"",
                )
            },
        )
    }

    fn show(&self) -> String {
        let time = |time: Time| format!("{:02}:{:02}", time.hour(), time.minute());
        quoted(&format!("{}-{}", time(self.from), time(self.until)))
    }
}

const CHANNELS: &[(&str, Channel)] = &[("mail", Channel::Mail), ("sms", Channel::Sms)];

impl Kind for Channel {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        choose(value, CHANNELS)
    }

    fn show(&self) -> String {
        chosen(*self, CHANNELS)
    }
}

impl Kind for Language {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let written = text(value, "a language's tag", "\"en\"")?;
        Self::parse(written).map_err(|_| {
            Wrong::new(
                format!("{} is not a language's tag", quoted(written)),
                "write for example \"en\", \"fr\", \"sw\", \"ha\" or \"pt\"",
            )
        })
    }

    fn show(&self) -> String {
        quoted(self.as_str())
    }
}
