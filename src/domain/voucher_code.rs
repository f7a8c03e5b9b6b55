//! Voucher codes: twelve symbols that nobody mistakes for others, and the ways in which people type them.
//!
//! The one rule: what is looked up is the canonical form, so that case, spaces, hyphens and the batch's prefix
//! never decide whether a code is right.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A voucher's code in its canonical form: [`SYMBOLS`] of [`ALPHABET`]. A secret.
#[derive(Clone, PartialEq, Eq)]
pub struct VoucherCode(Zeroizing<String>);

/// What stands before the codes of a batch, for people: 1 to [`MAX_PREFIX`] of A to Z and 0 to 9. No secret, and
/// no part of what is looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(String);

/// A text that is no prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {MAX_PREFIX} letters and digits, such as LEKKI")]
pub struct NotAPrefix;

impl VoucherCode {
    /// The code in what somebody typed, pasted or scanned; `None` where it cannot be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_TYPED {
            return None;
        }
        let mut kept = Zeroizing::new(String::with_capacity(MAX_PREFIX + SYMBOLS));
        for symbol in text.chars().filter(|symbol| !is_spacing(*symbol)) {
            if !symbol.is_ascii_alphanumeric() || kept.len() >= MAX_PREFIX + SYMBOLS {
                return None;
            }
            kept.push(symbol.to_ascii_uppercase());
        }
        let code = kept.get(kept.len().checked_sub(SYMBOLS)?..)?;
        let fits = code.bytes().all(|symbol| ALPHABET.contains(&symbol));
        fits.then(|| Self(Zeroizing::new(code.to_owned())))
    }

    /// The code of a card that another system printed, in what somebody typed: all letters and digits of it, in
    /// whatever case and spacing, [`FEWEST_FOREIGN`] to [`MOST_FOREIGN`] of them.
    #[must_use]
    pub fn foreign(text: &str) -> Option<Self> {
        if text.len() > MAX_TYPED {
            return None;
        }
        let mut kept = Zeroizing::new(String::with_capacity(MOST_FOREIGN));
        for symbol in text.chars().filter(|symbol| !is_spacing(*symbol)) {
            if !symbol.is_ascii_alphanumeric() || kept.len() >= MOST_FOREIGN {
                return None;
            }
            kept.push(symbol.to_ascii_uppercase());
        }
        (kept.len() >= FEWEST_FOREIGN).then_some(Self(kept))
    }

    /// A code drawn from random octets, every symbol as likely as every other; `None` where there were too few.
    #[must_use]
    pub fn draw(octets: impl IntoIterator<Item = u8>) -> Option<Self> {
        let symbols = octets.into_iter().filter_map(symbol);
        let code: String = symbols.take(SYMBOLS).collect();
        (code.len() == SYMBOLS).then(|| Self(Zeroizing::new(code)))
    }

    /// The canonical form.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.0
    }

    /// As it is printed: `LEKKI-ABCD-EFGH-JKMN`.
    #[must_use]
    pub fn shown(&self, prefix: Option<&Prefix>) -> String {
        let mut shown = prefix.map(|prefix| prefix.0.clone()).unwrap_or_default();
        for (place, symbol) in self.0.chars().enumerate() {
            if place.is_multiple_of(GROUP) && !shown.is_empty() {
                shown.push('-');
            }
            shown.push(symbol);
        }
        shown
    }
}

impl fmt::Debug for VoucherCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VoucherCode(…)")
    }
}

impl Prefix {
    /// A prefix, upper-cased.
    ///
    /// # Errors
    /// [`NotAPrefix`].
    pub fn parse(text: &str) -> Result<Self, NotAPrefix> {
        let text = text.trim();
        let fits =
            (1..=MAX_PREFIX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if fits { Ok(Self(text.to_ascii_uppercase())) } else { Err(NotAPrefix) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Prefix {
    type Error = NotAPrefix;
    fn try_from(text: String) -> Result<Self, NotAPrefix> {
        Self::parse(&text)
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.0
    }
}

/// An octet as a symbol. Octets beyond the largest multiple of 31 are left out: with them the first symbols
/// would come up more often than the others.
fn symbol(octet: u8) -> Option<char> {
    const FAIR: usize = 256 - 256 % ALPHABET.len();
    let octet = usize::from(octet);
    let symbol = ALPHABET.get(octet % ALPHABET.len()).filter(|_| octet < FAIR);
    symbol.map(|symbol| char::from(*symbol))
}

/// What people and programs put between symbols: spaces, dots, and all the dashes that phones make of a hyphen.
fn is_spacing(symbol: char) -> bool {
    symbol.is_whitespace()
        || matches!(symbol, '-' | '.' | '_' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{200B}' | '\u{FEFF}')
}

/// A to Z and 2 to 9 without I, L and O: nothing that a person reads off a card with doubt.
pub const ALPHABET: &[u8; 31] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";
/// Twelve of 31 symbols are 59 bits: at ten guesses a second among 100,000 live codes, one hit in 250 years.
pub const SYMBOLS: usize = 12;
/// Longest prefix: a name that fits on a card in front of the code.
pub const MAX_PREFIX: usize = 8;
/// Shortest code of another system's: less than this is found by guessing, whatever the budget.
pub const FEWEST_FOREIGN: usize = 6;
/// Longest code of another system's.
pub const MOST_FOREIGN: usize = 32;
/// Symbols that stand together where a code is shown.
const GROUP: usize = 4;
/// A code with every spacing that anybody types; more is something else.
const MAX_TYPED: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Option<String> {
        VoucherCode::parse(text).map(|code| code.canonical().to_owned())
    }

    #[test]
    fn a_code_is_one_in_any_case_spacing_and_with_or_without_its_prefix() {
        let code = Some("ABCDEFGHJKMN".to_owned());
        for text in [
            "ABCDEFGHJKMN",
            "abcd-efgh-jkmn",
            " ABCD EFGH JKMN ",
            "abcd–efgh—jkmn",
            "LEKKI-ABCD-EFGH-JKMN",
            "lekki1abcdefghjkmn",
        ] {
            assert_eq!(canonical(text), code, "{text:?}");
        }
    }

    #[test]
    fn a_code_of_another_system_is_all_of_its_letters_and_digits() {
        let code = |text| VoucherCode::foreign(text).map(|code| code.canonical().to_owned());
        for text in ["NUX-l0ve-1OI0", "nuxl0ve1oi0", " NUX l0ve 1oi0 "] {
            assert_eq!(code(text), Some("NUXL0VE1OI0".to_owned()), "{text:?}");
        }
        assert_eq!(code("abcdefghjkmn"), canonical("abcdefghjkmn"), "one that could be ours is the same");
        for text in ["", "12345", "abc/defg", "Äbcdefg", &"A".repeat(33)] {
            assert_eq!(code(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_code_is_none() {
        let too_long = "A".repeat(MAX_PREFIX + SYMBOLS + 1);
        let spaced = " ".repeat(80);
        for text in [
            "",
            "ABCD-EFGH-JKM",
            "ABCD-EFGH-JKM0",
            "ABCD-EFGH-JKMO",
            "ABCD-EFGH-JKM1",
            "ABCD-EFGH-JKMI",
            "ABCD-EFGH-JKML",
            "ABCD/EFGH/JKMN",
            "ÄBCD-EFGH-JKMN",
            &too_long,
            &spaced,
        ] {
            assert_eq!(canonical(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_code_is_shown_in_groups_after_its_prefix_and_read_back() {
        let code = VoucherCode::parse("ABCDEFGHJKMN").unwrap();
        assert_eq!(code.shown(None), "ABCD-EFGH-JKMN");
        let prefix = Prefix::parse("lekki").unwrap();
        assert_eq!(code.shown(Some(&prefix)), "LEKKI-ABCD-EFGH-JKMN");
        assert_eq!(VoucherCode::parse(&code.shown(Some(&prefix))), Some(code.clone()));
        assert_eq!(format!("{code:?}"), "VoucherCode(…)");
    }

    #[test]
    fn every_symbol_comes_of_as_many_octets_as_every_other() {
        let mut counts = std::collections::BTreeMap::<char, u32>::new();
        for octet in 0..=255 {
            if let Some(symbol) = symbol(octet) {
                *counts.entry(symbol).or_default() += 1;
            }
        }
        assert_eq!(counts.len(), 31);
        assert!(counts.values().all(|count| *count == 8), "{counts:?}");
        for confusing in ['0', 'O', '1', 'I', 'L'] {
            assert!(!counts.contains_key(&confusing));
        }
    }

    #[test]
    fn too_few_octets_make_no_code() {
        assert!(VoucherCode::draw([0; 11]).is_none());
        assert!(VoucherCode::draw([255; 100]).is_none());
        assert_eq!(VoucherCode::draw([0; 12]).unwrap().canonical(), "AAAAAAAAAAAA");
    }

    #[test]
    fn rule_23_a_code_holds_at_least_49_bits() {
        let codes = 31u128.pow(u32::try_from(SYMBOLS).unwrap());
        assert!(codes >= 1 << 59, "{codes}");
    }
}
