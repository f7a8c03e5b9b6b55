//! What the answers of providers have in common.
//!
//! Amounts are read as the digits that were sent, never as a float; what cannot be read exactly is a fault, not
//! a guess. The one rule: a page that a provider names is shown only if it is on that provider's own hosts.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::money::{Currency, Money};
use crate::notify::{OutboundError, Reply};

/// Why a provider's answer is not what was hoped for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nothing was sent: nothing can have happened.
    #[error("{0}")]
    NotSent(String),
    /// This provider cannot be asked for it, in a sentence for the payer; nothing was sent.
    #[error("{0}")]
    Unfit(String),
    /// It was sent, and what came of it is not known.
    #[error("the provider gave no answer: {0}")]
    NoAnswer(String),
    /// The provider says no.
    #[error("the provider refused: {0}")]
    Refused(String),
}

impl From<OutboundError> for CallError {
    fn from(error: OutboundError) -> Self {
        match error {
            OutboundError::Forbidden(_) | OutboundError::Unreachable(_) | OutboundError::Ours(_) => {
                Self::NotSent(error.to_string())
            }
            OutboundError::NoAnswer(_) | OutboundError::TooLarge => Self::NoAnswer(error.to_string()),
        }
    }
}

/// Where a provider is called, and where its pages may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its API, without a slash at the end.
    pub base_url: String,
    /// Hosts of pages that payers are sent to.
    pub hosts: Vec<String>,
}

impl Site {
    /// The URL of a path of the API.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base_url.trim_end_matches('/'))
    }

    /// The page that a provider names, if payers may be sent there.
    ///
    /// # Errors
    /// `NoAnswer`: what was begun may still be paid, by whoever finds the page.
    pub fn page(&self, url: &str) -> Result<String, CallError> {
        let ours = origin(&self.base_url);
        let fits = match origin(url) {
            Some((scheme, host, port)) => {
                (scheme == "https" && port.is_none() && self.hosts.contains(&host))
                    || ours == Some((scheme, host, port))
            }
            None => false,
        };
        if fits {
            return Ok(url.to_owned());
        }
        Err(CallError::NoAnswer("it names a page on a host that is not its own (checkout_hosts)".to_owned()))
    }
}

/// Scheme, host in lower case, and port where one is written.
fn origin(url: &str) -> Option<(String, String, Option<String>)> {
    let plain = |c: char| c.is_ascii_graphic() && c != '\\' && c != '"' && c != '<' && c != '>';
    if url.len() > LONGEST_URL || !url.chars().all(plain) {
        return None;
    }
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port.to_owned())),
        Some(_) | None => (authority, None),
    };
    let fits = matches!(scheme, "https" | "http") && !host.is_empty() && !authority.contains('@');
    fits.then(|| (scheme.to_owned(), host.to_ascii_lowercase(), port))
}

/// A reply's JSON, where the provider did what was asked for or says why not.
pub(super) fn read<'r, T: Deserialize<'r>>(reply: &'r Reply) -> Result<T, CallError> {
    if reply.status >= 500 {
        return Err(CallError::NoAnswer(format!("it answered {}", reply.status)));
    }
    serde_json::from_slice(&reply.body)
        .map_err(|_| CallError::NoAnswer(format!("its answer ({}) cannot be read", reply.status)))
}

/// The reason in a refusal, cut to a length for people.
pub(super) fn reason(message: Option<&str>, status: u16) -> String {
    let text = message
        .filter(|text| !text.is_empty())
        .map_or_else(|| format!("it answered {status}"), str::to_owned);
    text.chars().filter(|c| !c.is_control()).take(LONGEST_REASON).collect()
}

/// An amount in major units with its decimals, as the digits in the answer.
pub(super) fn major(raw: &RawValue, currency: &str) -> Result<Money, CallError> {
    let currency = currency_of(currency)?;
    let text = raw.get().trim_matches('"');
    Money::parse(text, currency).map_err(|error| unreadable(&error.to_string()))
}

/// An amount in the smallest unit.
pub(super) fn minor(raw: &RawValue, currency: &str) -> Result<Money, CallError> {
    let currency = currency_of(currency)?;
    let text = raw.get().trim_matches('"');
    text.parse::<i64>().map(|minor| Money { minor, currency }).map_err(|_| unreadable("not a whole number"))
}

/// A currency in whichever case it is written.
pub(super) fn currency_of(code: &str) -> Result<Currency, CallError> {
    Currency::parse(&code.to_ascii_uppercase()).map_err(|error| unreadable(&error.to_string()))
}

/// A number as JSON, digit by digit.
pub(super) fn number(money: Money) -> Result<Box<RawValue>, CallError> {
    RawValue::from_string(money.decimal()).map_err(|error| CallError::NotSent(error.to_string()))
}

/// A body of JSON.
pub(super) fn json(body: &impl serde::Serialize) -> Result<Vec<u8>, CallError> {
    serde_json::to_vec(body).map_err(|error| CallError::NotSent(error.to_string()))
}

fn unreadable(why: &str) -> CallError {
    CallError::NoAnswer(format!("the amount in its answer cannot be read: {why}"))
}

/// What a provider calls something: a number or a text.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Name {
    Number(u64),
    Text(String),
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A part of a URL's path or query, encoded (RFC 3986 section 2).
pub(super) fn part(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            out.push('%');
            out.extend(
                [octet >> 4, octet & 15].into_iter().filter_map(|half| char::from_digit(u32::from(half), 16)),
            );
        }
    }
    out
}

/// A form's body (`application/x-www-form-urlencoded`).
pub(super) fn form(pairs: &[(&str, &str)]) -> Vec<u8> {
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", part(name), part(value))).collect();
    pairs.join("&").into_bytes()
}

/// As `Content-Type`.
pub(super) const JSON: &str = "application/json";
/// As `Content-Type`.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";
/// Longer addresses of pages are nobody's.
const LONGEST_URL: usize = 2_000;
/// A sentence, not a page.
const LONGEST_REASON: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payer_is_sent_only_to_the_providers_own_pages() {
        let site =
            Site { base_url: "https://api.paystack.co".into(), hosts: vec!["checkout.paystack.com".into()] };
        for fine in ["https://checkout.paystack.com/abc", "https://Checkout.Paystack.com/a?b=c#d"] {
            assert_eq!(site.page(fine).unwrap(), fine);
        }
        for wrong in [
            "http://checkout.paystack.com/abc",
            "https://checkout.paystack.com.evil.example/",
            "https://evil.example/checkout.paystack.com",
            "https://checkout.paystack.com@evil.example/",
            "https://checkout.paystack.com:8443/",
            "https://evil.example\\@checkout.paystack.com/",
            "javascript:alert(1)",
            "//checkout.paystack.com/",
            "https://checkout.paystack.com/\"><script>",
            "",
        ] {
            assert!(site.page(wrong).is_err(), "{wrong}");
        }
        let stand_in = Site { base_url: "http://127.0.0.1:9000/paystack".into(), hosts: Vec::new() };
        assert!(stand_in.page("http://127.0.0.1:9000/pay/1").is_ok());
        assert!(stand_in.page("http://127.0.0.1:9001/pay/1").is_err());
        assert!(stand_in.page("https://127.0.0.1:9000/pay/1").is_err());
    }

    #[test]
    fn an_amount_is_read_digit_by_digit() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let ngn = |text: &str| major(&raw(text), "NGN").map(|money| money.minor);
        assert_eq!(ngn("1500.5"), Ok(150_050));
        assert_eq!(ngn("\"1500.50\""), Ok(150_050));
        assert_eq!(ngn("0.1"), Ok(10));
        assert_eq!(ngn("90071992547409.93"), Ok(9_007_199_254_740_993), "a float would lose the last digit");
        for wrong in ["1e3", "10.005", "null", "true", "\"NaN\"", "\"\""] {
            assert!(ngn(wrong).is_err(), "{wrong}");
        }
        assert_eq!(minor(&raw("100000"), "ngn").map(|money| money.minor), Ok(100_000));
        assert!(minor(&raw("1000.5"), "NGN").is_err() && minor(&raw("1"), "???").is_err());
    }

    #[test]
    fn whatever_is_put_into_a_url_stays_one_part_of_it() {
        assert_eq!(part("pay-1_a.b~c"), "pay-1_a.b~c");
        assert_eq!(part("a/b?c=d&e f%\u{e4}"), "a%2fb%3fc%3dd%26e%20f%25%c3%a4");
        assert_eq!(form(&[("a[b]", "c d"), ("e", "&")]), b"a%5bb%5d=c%20d&e=%26");
    }
}
