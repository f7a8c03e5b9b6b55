//! Which language somebody is written to in, as an IETF tag: `en`, `sw`, `pt-BR`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A language's tag: two or three small letters, and a region where it matters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Language(String);

/// A text that is no language's tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a language's tag such as en, fr, sw, ha, pt or pt-BR")]
pub struct NotALanguage;

impl Language {
    /// The language of that tag; a region may be written either way (`pt-br`, `pt_BR`).
    ///
    /// # Errors
    /// A sentence for the person who wrote it.
    pub fn parse(text: &str) -> Result<Self, NotALanguage> {
        let text = text.trim().replace('_', "-");
        let (tongue, region) = match text.split_once('-') {
            Some((tongue, region)) => (tongue, Some(region)),
            None => (text.as_str(), None),
        };
        let letters = |part: &str| part.bytes().all(|octet| octet.is_ascii_alphabetic());
        if !(2..=3).contains(&tongue.len()) || !letters(tongue) {
            return Err(NotALanguage);
        }
        let tongue = tongue.to_ascii_lowercase();
        match region {
            None => Ok(Self(tongue)),
            Some(region) if region.len() == 2 && letters(region) => {
                Ok(Self(format!("{tongue}-{}", region.to_ascii_uppercase())))
            }
            Some(_) => Err(NotALanguage),
        }
    }

    /// The language that every text exists in.
    #[must_use]
    pub fn english() -> Self {
        Self("en".to_owned())
    }

    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without its region: `pt` of `pt-BR`.
    #[must_use]
    pub fn tongue(&self) -> Self {
        Self(self.0.split('-').next().unwrap_or(&self.0).to_owned())
    }
}

impl Default for Language {
    fn default() -> Self {
        Self::english()
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Language {
    type Error = NotALanguage;
    fn try_from(text: String) -> Result<Self, NotALanguage> {
        Self::parse(&text)
    }
}

impl From<Language> for String {
    fn from(language: Language) -> Self {
        language.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_one_spelling_and_nothing_else_is_one() {
        for (written, kept) in [("EN", "en"), ("pt_br", "pt-BR"), (" sw ", "sw"), ("yor", "yor")] {
            assert_eq!(Language::parse(written).unwrap().as_str(), kept);
        }
        for wrong in ["", "e", "english", "pt-Brazil", "p1", "../en", "en-", "en-US-x", "é1"] {
            assert!(Language::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Language::parse("pt-BR").unwrap().tongue().as_str(), "pt");
    }
}
