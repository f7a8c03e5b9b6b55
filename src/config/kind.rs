//! How each kind of value is written in the file: read strictly, shown the same way.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::fault::{Wrong, nearest};
use super::moment;
use super::reader::wrong_type;

/// A type that a setting can have.
pub(super) trait Kind: Sized {
    /// The value, or why it is refused. What was written is repeated only where it cannot be a secret.
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong>;

    /// The value as TOML, in its one canonical spelling.
    fn show(&self) -> String;
}

impl Kind for bool {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        value.as_bool().ok_or_else(|| wrong_type(value, "true or false", "true"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Kind for u32 {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let integer = value.as_integer().ok_or_else(|| wrong_type(value, "a whole number", "4"))?;
        Self::from_str_radix(integer.as_str(), integer.radix()).map_err(|_| {
            Wrong::new(format!("{integer} is out of range"), format!("give a value from 0 to {}", Self::MAX))
        })
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Kind for String {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text(value, "text in double quotes", "\"…\"")?;
        if text.is_empty() || text.len() > MAX_TEXT_OCTETS || text.chars().any(char::is_control) {
            return Err(Wrong::new(
                format!("the text is empty, longer than {MAX_TEXT_OCTETS} octets or has control characters"),
                "write one short line of text",
            ));
        }
        Ok(text.to_owned())
    }

    fn show(&self) -> String {
        quoted(self)
    }
}

impl Kind for PathBuf {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text(value, "a path", "\"/var/lib/dotmac-edge/store\"")?;
        let path = Self::from(text);
        if !path.is_absolute() || text.chars().any(char::is_control) {
            return Err(Wrong::new(
                "the path does not start with /",
                "write the whole path; the daemon's working folder is not yours",
            ));
        }
        Ok(path)
    }

    fn show(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

impl Kind for Duration {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text(value, "a duration", "\"10s\" or \"5m\"")?;
        moment::parse(text).ok_or_else(|| {
            Wrong::new(
                format!("{} is not a duration", quoted(text)),
                "write a whole number and one unit of ms, s, m, h, d, as \"10s\" or \"5m\"",
            )
        })
    }

    fn show(&self) -> String {
        quoted(&moment::show(*self))
    }
}

impl Kind for SocketAddr {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text(value, "an address with a port", "\"127.0.0.1:8080\" or \"[::1]:8080\"")?;
        text.parse().map_err(|_| {
            Wrong::new(
                format!("{} is not an address with a port", quoted(text)),
                "write for example \"0.0.0.0:1812\" or \"[::]:1812\"; names are not looked up",
            )
        })
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl<T: Kind> Kind for Vec<T> {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let array = value.as_array().ok_or_else(|| wrong_type(value, "a list", "[\"…\", \"…\"]"))?;
        if array.len() > MAX_LIST {
            return Err(Wrong::new(
                format!("the list has {} entries", array.len()),
                format!("give at most {MAX_LIST}"),
            ));
        }
        let read = |(index, entry): (usize, &serde_spanned::Spanned<DeValue<'_>>)| {
            T::read(entry.get_ref()).map_err(|wrong| wrong.inside(entry.span(), index))
        };
        array.iter().enumerate().map(read).collect()
    }

    fn show(&self) -> String {
        format!("[{}]", self.iter().map(Kind::show).collect::<Vec<_>>().join(", "))
    }
}

/// A setting that may be left empty: `""` is none.
impl<T: Kind> Kind for Option<T> {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        if value.as_str() == Some("") { Ok(None) } else { T::read(value).map(Some) }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| quoted(""), Kind::show)
    }
}

/// A list that may be written as its only entry.
pub(super) struct OneOrMany<T>(pub(super) Vec<T>);

impl<T: Kind> Kind for OneOrMany<T> {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        if value.as_array().is_some() {
            Vec::read(value).map(Self)
        } else {
            T::read(value).map(|one| Self(vec![one]))
        }
    }

    fn show(&self) -> String {
        self.0.show()
    }
}

/// One of a closed list of words.
pub(super) fn choose<T: Copy>(value: &DeValue<'_>, choices: &[(&str, T)]) -> Result<T, Wrong> {
    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    let written = text(value, "one of a few words", &words.join(", "))?;
    if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == written) {
        return Ok(*choice);
    }
    let remedy = nearest(written, &words).map_or_else(
        || format!("write one of: {}", words.join(", ")),
        |meant| format!("did you mean \"{meant}\"?"),
    );
    Err(Wrong::new(format!("{} is not among the choices", quoted(written)), remedy))
}

/// The word for a choice, quoted.
pub(super) fn chosen<T: Copy + PartialEq>(choice: T, choices: &[(&str, T)]) -> String {
    quoted(choices.iter().find(|(_, other)| *other == choice).map_or("", |(word, _)| word))
}

/// The text of a value, or what was expected instead.
pub(super) fn text<'v>(value: &'v DeValue<'_>, what: &str, example: &str) -> Result<&'v str, Wrong> {
    value.as_str().ok_or_else(|| wrong_type(value, what, example))
}

/// `text` as a TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Longer than any name, short enough for a line of a terminal and for every protocol field.
const MAX_TEXT_OCTETS: usize = 200;

/// More listeners than a gateway has addresses; bounds what a mistaken file can make us open.
const MAX_LIST: usize = 64;
