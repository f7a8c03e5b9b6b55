//! Forms: their fields, what came back, and the proof that it came from our own page.
//!
//! The one rule: a form changes something only when it carries a token that was made for this client
//! and this form within the last day, and no browser says that another site sent it.

use std::borrow::Cow;

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, ORIGIN};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A form as a page shows it.
#[derive(Debug, Default)]
pub(super) struct Form {
    pub(super) token: String,
    pub(super) inputs: Vec<Input>,
    /// What went wrong, in one line.
    pub(super) summary: Option<String>,
    pub(super) remedy: Option<String>,
}

/// One labelled field.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) kind: &'static str,
    pub(super) autocomplete: &'static str,
    pub(super) value: String,
    pub(super) hint: &'static str,
    pub(super) fault: Option<String>,
    pub(super) required: bool,
    pub(super) longest: usize,
    /// Value and words of each choice; empty for what is typed.
    pub(super) choices: Vec<(String, String)>,
}

impl Form {
    pub(super) fn has_faults(&self) -> bool {
        self.inputs.iter().any(|input| input.fault.is_some())
    }

    /// The same form after an answer that could not be taken.
    pub(super) fn refused(mut self, summary: impl Into<String>, remedy: Option<String>) -> Self {
        self.summary = Some(summary.into());
        self.remedy = remedy;
        self
    }
}

impl Input {
    pub(super) fn new(
        name: &'static str,
        label: &'static str,
        kind: &'static str,
        auto: &'static str,
    ) -> Self {
        Self { name, label, kind, autocomplete: auto, required: true, longest: 200, ..Self::default() }
    }

    pub(super) fn is_code(&self) -> bool {
        self.autocomplete == "one-time-code"
    }

    /// What a phone must not begin with a capital or correct.
    pub(super) fn is_plain_word(&self) -> bool {
        matches!(self.autocomplete, "username" | "email" | "one-time-code")
    }

    pub(super) fn described_by(&self) -> Option<String> {
        let fault = self.fault.is_some().then(|| format!("{}-fault", self.name));
        let hint = (!self.hint.is_empty()).then(|| format!("{}-hint", self.name));
        match (fault, hint) {
            (Some(fault), Some(hint)) => Some(format!("{fault} {hint}")),
            (one, other) => one.or(other),
        }
    }
}

/// What was filled in.
pub(super) struct Filled(Vec<(String, Zeroizing<String>)>);

impl Filled {
    /// `application/x-www-form-urlencoded`; a pair without `=` has no value, a wrong escape stays as it is.
    pub(super) fn read(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name).into_owned(), Zeroizing::new(decoded(value).into_owned()))
        };
        Self(text.split('&').filter(|part| !part.is_empty()).take(MOST_FIELDS).map(pair).collect())
    }

    /// A field's text without spaces around it; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.exact(name).trim()
    }

    /// A field's text as it was typed: spaces belong to a password.
    pub(super) fn exact(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }
}

fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).filter(|_| *first == b'%').and_then(hex);
        out.push(escaped.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if escaped.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
    u8::from_str_radix(digits, 16).ok()
}

/// Makes and checks the tokens of forms.
pub(super) struct Tokens(Zeroizing<[u8; 32]>);

impl Tokens {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    /// The token of a form for a client.
    pub(super) fn make(&self, client: &str, form: &str, now: Timestamp) -> String {
        self.of_window(client, form, window(now))
    }

    /// Whether a token was made for one of these names of a client, in this window or the one before.
    pub(super) fn fits(&self, given: &str, clients: &[String], form: &str, now: Timestamp) -> bool {
        let windows = [window(now), window(now).saturating_sub(1)];
        let mut expected =
            clients.iter().flat_map(|client| windows.map(|window| self.of_window(client, form, window)));
        expected.any(|expected| expected.as_bytes().ct_eq(given.as_bytes()).into())
    }

    fn of_window(&self, client: &str, form: &str, window: i64) -> String {
        // A key of 32 octets is never refused.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.as_slice()) else { return String::new() };
        for part in [client, form] {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac.update(&window.to_be_bytes());
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }
}

fn window(now: Timestamp) -> i64 {
    now.as_second().div_euclid(WINDOW_SECS)
}

/// Whether the browser says that another site made it send this.
pub(super) fn is_cross_site(headers: &HeaderMap, name: &str) -> bool {
    let site = headers.get(SEC_FETCH_SITE).map(|value| value.as_bytes());
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return true;
    }
    let Some(origin) = headers.get(ORIGIN).map(|value| value.to_str().unwrap_or_default()) else {
        return false;
    };
    // Our pages forbid referrers, for which browsers write "null" here; the token decides then.
    if origin == "null" {
        return false;
    }
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    !host.eq_ignore_ascii_case(name)
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// A page left open overnight still works in the morning.
const WINDOW_SECS: i64 = 12 * 3_600;
/// More than any form of ours has.
const MOST_FIELDS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_token_is_good_for_its_client_its_form_and_a_day() {
        let tokens = Tokens::new([1; 32]);
        let ada = ["lan0/02:00:00:00:00:01".to_owned()];
        let token = tokens.make(&ada[0], "login", at(100));
        assert!(tokens.fits(&token, &ada, "login", at(100)));
        assert!(tokens.fits(&token, &ada, "login", at(WINDOW_SECS + 99)));
        assert!(!tokens.fits(&token, &ada, "login", at(2 * WINDOW_SECS)));
        assert!(!tokens.fits(&token, &ada, "logout", at(100)));
        assert!(!tokens.fits(&token, &["lan0/02:00:00:00:00:02".to_owned()], "login", at(100)));
        assert!(!tokens.fits("", &ada, "login", at(100)));
        assert!(!Tokens::new([2; 32]).fits(&token, &ada, "login", at(100)));
    }

    #[test]
    fn a_form_is_read_whatever_its_escapes_are() {
        let filled = Filled::read(b"a=+x%2By+&b=%zz%&c&=d&%C3=%FF&p=+s+");
        assert_eq!(filled.text("a"), "x+y");
        assert_eq!(filled.text("b"), "%zz%");
        assert_eq!(filled.text("c"), "");
        assert_eq!(filled.exact("p"), " s ");
        assert_eq!(filled.text("none"), "");
    }

    #[test]
    fn another_site_is_told_from_our_own() {
        let with = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            is_cross_site(&headers, "portal.example.net")
        };
        assert!(!is_cross_site(&HeaderMap::new(), "portal.example.net"));
        for value in ["https://portal.example.net", "http://portal.example.net:8080", "null"] {
            assert!(!with("origin", value), "{value}");
        }
        for value in [
            "https://evil.example",
            "https://portal.example.net.evil.example",
            "",
            "ftp://portal.example.net",
        ] {
            assert!(with("origin", value), "{value}");
        }
        assert!(with("sec-fetch-site", "cross-site") && with("sec-fetch-site", "same-site"));
        assert!(!with("sec-fetch-site", "same-origin"));
    }
}
