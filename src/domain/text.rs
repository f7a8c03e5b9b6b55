//! Texts from outside, made safe once: names, codes, e-mail addresses, telephone numbers.
//!
//! Each type can only hold what it promises; the border turns a field into one of these or into
//! a field error with a remedy.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text cannot be what it should be; the sentence is a field error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing there.
    #[error("must not be empty")]
    Empty,
    /// Longer than the limit.
    #[error("must not be longer than {0} characters")]
    TooLong(usize),
    /// Control characters, line breaks.
    #[error("must not contain control characters or line breaks")]
    Control,
    /// Not an e-mail address.
    #[error("must be an e-mail address such as ada@example.net")]
    NotEmail,
    /// Not a telephone number.
    #[error("must be a telephone number with 6 to 15 digits, such as +2348012345678")]
    NotPhone,
    /// Not a code.
    #[error("must be letters, digits, '-', '_' or '.' only")]
    NotCode,
}

macro_rules! text_type {
    ($($(#[$doc:meta])* $name:ident => $parse:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes a text that keeps this type's promise.
            ///
            /// # Errors
            /// A sentence for the person who wrote it.
            pub fn parse(text: &str) -> Result<Self, TextError> {
                $parse(text).map(Self)
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = TextError;
            fn try_from(text: String) -> Result<Self, TextError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
    )+};
}

text_type! {
    /// A name or a line of text: 1 to 200 characters, no control characters, trimmed.
    Line => line,
    /// A code: 1 to 64 of letters, digits, `-`, `_`, `.`; kept as written.
    Code => code,
    /// An e-mail address, lower-cased.
    Email => email,
    /// A telephone number: an optional `+` and 6 to 15 digits.
    Phone => phone,
    /// A network login (RADIUS User-Name), 1 to 253 octets, compared without case.
    Username => username,
}

fn line(text: &str) -> Result<String, TextError> {
    bounded(text.trim(), 200)
}

fn code(text: &str) -> Result<String, TextError> {
    let text = bounded(text.trim(), 64)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.chars().all(allowed) { Ok(text) } else { Err(TextError::NotCode) }
}

/// RFC 5321 section 4.5.3.1 limits, and the shape that mail servers take in practice.
fn email(text: &str) -> Result<String, TextError> {
    let text = bounded(text.trim(), 254)?.to_lowercase();
    let (local, domain) = text.rsplit_once('@').ok_or(TextError::NotEmail)?;
    let local_fits = !local.is_empty()
        && local.len() <= 64
        && local.chars().all(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c));
    let label_fits = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let domain_fits = domain.contains('.') && domain.split('.').all(label_fits);
    let dots_fit = !local.starts_with('.') && !local.ends_with('.') && !local.contains("..");
    if local_fits && domain_fits && dots_fit { Ok(text) } else { Err(TextError::NotEmail) }
}

fn phone(text: &str) -> Result<String, TextError> {
    let kept: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.')).collect();
    let digits = kept.strip_prefix('+').unwrap_or(&kept);
    let fits = (6..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if fits { Ok(kept) } else { Err(TextError::NotPhone) }
}

fn username(text: &str) -> Result<String, TextError> {
    bounded(text.trim(), 253)
}

fn bounded(text: &str, limit: usize) -> Result<String, TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    if text.chars().count() > limit || text.len() > limit * 4 {
        return Err(TextError::TooLong(limit));
    }
    if text.chars().any(char::is_control) {
        return Err(TextError::Control);
    }
    Ok(text.to_owned())
}

impl Username {
    /// The form under which logins are compared and stored: without case.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.0.to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e_mail_addresses_are_lower_cased_and_checked() {
        assert_eq!(Email::parse(" Ada@Example.NET ").unwrap().as_str(), "ada@example.net");
        for bad in ["", "ada", "ada@", "@x.y", "ada@x", "a b@x.y", "ada@x..y", ".a@x.y", "a@-x.y", "a\n@x.y"]
        {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn telephone_numbers_lose_their_spacing() {
        assert_eq!(Phone::parse("+234 (801) 234-5678").unwrap().as_str(), "+2348012345678");
        assert_eq!(Phone::parse("call me"), Err(TextError::NotPhone));
    }

    #[test]
    fn lines_hold_no_control_characters() {
        assert_eq!(Line::parse("a\u{0}b"), Err(TextError::Control));
        assert_eq!(Line::parse("  "), Err(TextError::Empty));
        assert_eq!(Line::parse("=cmd|x").unwrap().as_str(), "=cmd|x");
    }

    #[test]
    fn a_stored_text_is_checked_again_when_read() {
        assert!(serde_json::from_str::<Code>("\"home 20\"").is_err());
        assert_eq!(serde_json::from_str::<Code>("\"home-20\"").unwrap().as_str(), "home-20");
    }
}
