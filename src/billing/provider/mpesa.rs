//! M-Pesa STK push (Daraja): the payer's telephone asks for the PIN, no page is needed.
//!
//! Its callbacks are not signed: they come to a path that nobody can guess, from known networks, and only say that it
//! is time to ask. The answer to our question names no amount; the push itself fixed it. Whole units only.

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::token::Kept;
use super::wire::{self, CallError, JSON};
use super::{Attempt, Delivery, Hint, NotTaken, Started, Verdict, sign};
use crate::base::secret::Secret;
use crate::domain::money::Money;
use crate::domain::payment::{Confirmation, Method, Outcome, Payment, ProviderName};
use crate::notify::{Outbound, Reply, Request};

/// What the configuration says of it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The business's number.
    pub shortcode: String,
    /// Goes into the password of each call.
    pub passkey: Secret,
    /// The program's name.
    pub consumer_key: Secret,
    /// Its secret.
    pub consumer_secret: Secret,
    /// The part of the callback's path that nobody can guess.
    pub callback_token: Secret,
    /// Where callbacks come from; empty: from anywhere.
    pub sources: Vec<IpNet>,
    /// Where it is.
    pub base_url: String,
}

/// Why nothing goes back by itself.
pub const NO_REFUNDS: &str =
    "M-Pesa gives nothing back by this way; pay it back from the M-Pesa portal, by hand";

/// M-Pesa.
#[derive(Debug)]
pub struct Mpesa {
    pub(super) settings: Settings,
    token: Kept,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    expires_in: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Push<'a> {
    business_short_code: &'a str,
    password: String,
    timestamp: String,
    transaction_type: &'static str,
    amount: i64,
    party_a: &'a str,
    party_b: &'a str,
    phone_number: &'a str,
    #[serde(rename = "CallBackURL")]
    callback_url: String,
    account_reference: &'a str,
    transaction_desc: &'static str,
}

#[derive(Deserialize)]
struct Pushed {
    #[serde(default, rename = "CheckoutRequestID")]
    checkout: Option<String>,
    #[serde(default, rename = "ResponseCode")]
    code: Option<Value>,
    #[serde(default, rename = "errorMessage")]
    error: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Query<'a> {
    business_short_code: &'a str,
    password: String,
    timestamp: String,
    #[serde(rename = "CheckoutRequestID")]
    checkout: &'a str,
}

#[derive(Deserialize)]
struct Queried {
    #[serde(default, rename = "ResultCode")]
    result: Option<Value>,
    #[serde(default, rename = "CheckoutRequestID")]
    checkout: Option<String>,
    #[serde(default, rename = "errorCode")]
    error_code: Option<String>,
    #[serde(default, rename = "errorMessage")]
    error: Option<String>,
}

#[derive(Deserialize)]
struct Callback {
    #[serde(rename = "Body")]
    body: Body,
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "stkCallback")]
    callback: Told,
}

#[derive(Deserialize)]
struct Told {
    #[serde(rename = "CheckoutRequestID")]
    checkout: String,
    #[serde(rename = "ResultCode")]
    result: Value,
    #[serde(default, rename = "CallbackMetadata")]
    metadata: Option<Items>,
}

#[derive(Deserialize)]
struct Items {
    #[serde(default, rename = "Item")]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "Name")]
    name: String,
    #[serde(default, rename = "Value")]
    value: Value,
}

impl Mpesa {
    /// With these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, token: Kept::default() }
    }

    pub(super) async fn start(&self, to: &Outbound, attempt: &Attempt<'_>) -> Result<Started, CallError> {
        let amount = whole(attempt.amount)?;
        let phone = attempt.phone.map(digits).filter(|digits| is_international(digits));
        let phone = phone.ok_or_else(|| {
            CallError::Unfit("M-Pesa needs the payer's number with its country, as +254712345678".to_owned())
        })?;
        let (password, timestamp) = self.password(attempt.now);
        let token = self.settings.callback_token.expose_text().unwrap_or_default();
        let tail = attempt.reference.len().saturating_sub(LONGEST_ACCOUNT);
        let push = Push {
            business_short_code: &self.settings.shortcode,
            password,
            timestamp,
            transaction_type: "CustomerPayBillOnline",
            amount,
            party_a: &phone,
            party_b: &self.settings.shortcode,
            phone_number: &phone,
            // With our reference, so that a push whose answer was lost is known again.
            callback_url: format!(
                "{}/api/v1/webhooks/mpesa/{}/{}",
                attempt.origin,
                wire::part(token),
                wire::part(attempt.reference)
            ),
            account_reference: attempt.reference.get(tail..).unwrap_or(attempt.reference),
            transaction_desc: "Internet",
        };
        let request = Request::post(self.at("/mpesa/stkpush/v1/processrequest"), JSON, wire::json(&push)?);
        let reply = self.send(to, request, attempt.now).await?;
        let pushed: Pushed = if reply.status >= 500 { lenient(&reply)? } else { wire::read(&reply)? };
        let is_taken = reply.is_good() && pushed.code.as_ref().map(text).as_deref() == Some("0");
        match pushed.checkout {
            Some(checkout) if is_taken => {
                let asks = "Your telephone asks for your M-Pesa PIN now. Type it there, then come back here.";
                Ok(Started { checkout: Some(checkout), url: None, instruction: Some(asks.to_owned()) })
            }
            Some(_) | None => Err(CallError::Refused(wire::reason(pushed.error.as_deref(), reply.status))),
        }
    }

    pub(super) async fn verify(
        &self,
        to: &Outbound,
        payment: &Payment,
        now: Timestamp,
    ) -> Result<Verdict, CallError> {
        let Some(checkout) = &payment.checkout else { return Ok(Verdict::NotKnown) };
        let (password, timestamp) = self.password(now);
        let query = Query { business_short_code: &self.settings.shortcode, password, timestamp, checkout };
        let request = Request::post(self.at("/mpesa/stkpushquery/v1/query"), JSON, wire::json(&query)?);
        let reply = self.send(to, request, now).await?;
        let answer: Queried = lenient(&reply)?;
        if answer.checkout.as_ref().is_some_and(|told| told != checkout) {
            return Err(CallError::NoAnswer("it answers about another request".to_owned()));
        }
        let outcome = match (answer.result.as_ref().map(text).as_deref(), answer.error_code.as_deref()) {
            (Some("0"), _) if reply.is_good() => Outcome::Succeeded,
            (Some("1032"), _) => Outcome::Cancelled,
            // "Under processing", also as an error.
            (Some("4999"), _) | (None, Some("500.001.1001")) => Outcome::Pending,
            (Some(_), _) if reply.is_good() => Outcome::Failed,
            (Some(_) | None, _) => {
                return Err(CallError::NoAnswer(wire::reason(answer.error.as_deref(), reply.status)));
            }
        };
        let said = Confirmation {
            provider: ProviderName::Mpesa,
            reference: payment.reference.clone(),
            transaction: checkout.clone(),
            outcome,
            amount: payment.expected,
            fee: None,
            method: Method::MobileMoney,
        };
        Ok(Verdict::Known { said: Box::new(said), back: 0, disputes: Vec::new() })
    }

    pub(super) fn read(&self, delivery: &Delivery<'_>) -> Result<Hint, NotTaken> {
        let token = delivery.token.ok_or(NotTaken::Signature)?;
        let from =
            |network: &IpNet| delivery.source.is_some_and(|source| network.contains(&source.to_canonical()));
        let is_known = self.settings.sources.is_empty() || self.settings.sources.iter().any(from);
        if !sign::is_token(&self.settings.callback_token, token) || !is_known {
            return Err(NotTaken::Signature);
        }
        let Callback { body: Body { callback } } =
            serde_json::from_slice(delivery.body).map_err(|_| NotTaken::Unreadable)?;
        let items = callback.metadata.map(|metadata| metadata.items).unwrap_or_default();
        let receipt =
            items.iter().find(|item| item.name == "MpesaReceiptNumber").map(|item| text(&item.value));
        let plain =
            |text: &String| (1..=32).contains(&text.len()) && text.bytes().all(|o| o.is_ascii_alphanumeric());
        Ok(Hint {
            kind: format!("stk_callback:{}", text(&callback.result)),
            object: callback.checkout.clone(),
            reference: delivery.reference.map(str::to_owned),
            checkout: Some(callback.checkout),
            transaction: None,
            receipt: receipt.filter(plain),
        })
    }

    async fn send(&self, to: &Outbound, request: Request, now: Timestamp) -> Result<Reply, CallError> {
        let token = self.token.get(now, self.ask(to)).await?;
        let reply = to.send(&request.bearer(&token)).await?;
        let is_stale =
            lenient::<Queried>(&reply).is_ok_and(|one| one.error_code.as_deref() == Some("404.001.03"));
        if reply.status == 401 || is_stale {
            self.token.forget().await;
            return Err(CallError::NotSent("M-Pesa did not take our access token".to_owned()));
        }
        Ok(reply)
    }

    async fn ask(&self, to: &Outbound) -> Result<(Secret, i64), CallError> {
        let login = self.settings.consumer_key.expose_text().unwrap_or_default();
        let request = Request::get(self.at("/oauth/v1/generate?grant_type=client_credentials"));
        let reply = to.send(&request.basic(login, &self.settings.consumer_secret)).await?;
        if !reply.is_good() {
            return Err(CallError::Refused(wire::reason(None, reply.status)));
        }
        let Token { access_token, expires_in } = wire::read(&reply)?;
        Ok((Secret::from_text(&access_token), text(&expires_in).parse().unwrap_or(0)))
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.settings.base_url.trim_end_matches('/'))
    }

    /// The password of a call and the moment that it is made for, in Nairobi's time.
    fn password(&self, now: Timestamp) -> (String, String) {
        use base64::Engine as _;
        let nairobi = TimeZone::fixed(jiff::tz::offset(3));
        let stamp = now.to_zoned(nairobi).strftime("%Y%m%d%H%M%S").to_string();
        let (shortcode, passkey) = (self.settings.shortcode.as_bytes(), self.settings.passkey.expose());
        let joined = zeroize::Zeroizing::new([shortcode, passkey, stamp.as_bytes()].concat());
        (base64::engine::general_purpose::STANDARD.encode(joined.as_slice()), stamp)
    }
}

/// An amount in whole units.
///
/// # Errors
/// `NotSent` with a sentence for the payer.
fn whole(money: Money) -> Result<i64, CallError> {
    let scale = 10i64.checked_pow(money.currency.exponent()).unwrap_or(1);
    match (money.minor.checked_rem(scale), money.minor.checked_div(scale)) {
        (Some(0), Some(units)) => Ok(units),
        (_, _) => Err(CallError::Unfit(format!(
            "M-Pesa takes whole amounts only, and this one is {money}; choose another way to pay"
        ))),
    }
}

/// JSON whatever the status: Daraja answers "in progress" with 500.
fn lenient<'r, T: Deserialize<'r>>(reply: &'r Reply) -> Result<T, CallError> {
    serde_json::from_slice(&reply.body)
        .map_err(|_| CallError::NoAnswer(format!("its answer ({}) cannot be read", reply.status)))
}

/// A number or a text as text.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn digits(phone: &str) -> String {
    phone.chars().filter(char::is_ascii_digit).collect()
}

/// No country's code begins with a zero: a number as it is dialled at home leads to nobody.
fn is_international(digits: &str) -> bool {
    (10..=15).contains(&digits.len()) && !digits.starts_with('0')
}

/// Longest account reference that the telephone shows.
const LONGEST_ACCOUNT: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;

    fn mpesa() -> Mpesa {
        Mpesa::new(Settings {
            shortcode: "174379".into(),
            passkey: Secret::from_text("key"),
            consumer_key: Secret::from_text("a"),
            consumer_secret: Secret::from_text("b"),
            callback_token: Secret::from_text("0123456789abcdef0123"),
            sources: vec!["196.201.214.0/24".parse().unwrap()],
            base_url: "https://api.safaricom.co.ke".into(),
        })
    }

    fn read(token: &str, source: &str, body: &str) -> Result<Hint, NotTaken> {
        mpesa().read(&Delivery {
            signature: None,
            body: body.as_bytes(),
            token: Some(token),
            reference: Some("pay-1"),
            source: Some(source.parse().unwrap()),
            now: Timestamp::UNIX_EPOCH,
        })
    }

    #[test]
    fn the_password_is_shortcode_passkey_and_nairobis_time() {
        let (password, stamp) = mpesa().password("2026-05-01T21:30:00Z".parse().unwrap());
        assert_eq!(stamp, "20260502003000");
        assert_eq!(password, "MTc0Mzc5a2V5MjAyNjA1MDIwMDMwMDA=");
    }

    #[test]
    fn an_amount_with_cents_is_refused_with_a_sentence() {
        let money = |minor| Money { minor, currency: Currency::parse("KES").unwrap() };
        assert_eq!(whole(money(150_000)), Ok(1500));
        let refused = whole(money(150_050)).unwrap_err();
        assert!(refused.to_string().contains("whole amounts only"), "{refused}");
    }

    #[test]
    fn a_callback_counts_only_with_the_token_and_from_the_known_networks() {
        let body = r#"{"Body":{"stkCallback":{"MerchantRequestID":"1","CheckoutRequestID":"ws_CO_1","ResultCode":0,
            "ResultDesc":"ok","CallbackMetadata":{"Item":[{"Name":"Amount","Value":1500},{"Name":"Balance"},
            {"Name":"MpesaReceiptNumber","Value":"QK12ABC34"}]}}}}"#;
        let hint = read("0123456789abcdef0123", "196.201.214.200", body).unwrap();
        assert_eq!((hint.checkout.as_deref(), hint.receipt.as_deref()), (Some("ws_CO_1"), Some("QK12ABC34")));
        assert_eq!(read("0123456789abcdef0124", "196.201.214.200", body), Err(NotTaken::Signature));
        assert_eq!(read("0123456789abcdef0123", "203.0.113.7", body), Err(NotTaken::Signature));
        assert_eq!(read("0123456789abcdef0123", "196.201.214.200", "{}"), Err(NotTaken::Unreadable));
        assert!(read("0123456789abcdef0123", "::ffff:196.201.214.200", body).is_ok());
    }
}
