//! Stripe Checkout: a page of its own, amounts in its own smallest units, repeats known by a key.
//!
//! A session cannot be looked up by our reference; so a start without an answer is sent again under the same
//! key, which gives the session that exists or makes the one that was asked for.

use serde::Deserialize;

use super::wire::{self, CallError, FORM, Site};
use super::{Attempt, Delivery, Hint, NotTaken, RefundAnswer, Started, Verdict, sign};
use crate::base::secret::Secret;
use crate::domain::money::{Currency, Money};
use crate::domain::payment::{
    Confirmation, Dispute, DisputeStand, Method, Outcome, Payment, ProviderName, Refund,
};
use crate::notify::{Outbound, Reply, Request};

/// What the configuration says of Stripe.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For calls.
    pub secret_key: Secret,
    /// For the signature of webhooks.
    pub webhook_secret: Secret,
    /// Where it is.
    pub site: Site,
}

/// Its pages.
pub const HOSTS: &[&str] = &["checkout.stripe.com", "pay.stripe.com"];

/// Stripe.
#[derive(Debug)]
pub struct Stripe {
    pub(super) settings: Settings,
}

#[derive(Deserialize)]
struct Refusal {
    error: Fault,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    message: Option<String>,
}

#[derive(Deserialize)]
struct Session {
    id: String,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    status: Option<String>,
    payment_status: String,
    #[serde(default)]
    amount_total: Option<i64>,
    #[serde(default)]
    currency: Option<String>,
    #[serde(default)]
    client_reference_id: Option<String>,
    #[serde(default)]
    payment_intent: Option<Intent>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Intent {
    Named(String),
    Whole {
        id: String,
        #[serde(default)]
        latest_charge: Option<Charge>,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Charge {
    #[allow(dead_code, reason = "the other form of the same field")]
    Named(String),
    Whole {
        #[serde(default)]
        amount_refunded: i64,
        #[serde(default)]
        disputed: bool,
        #[serde(default)]
        balance_transaction: Option<Bookkeeping>,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Bookkeeping {
    #[allow(dead_code, reason = "the other form of the same field")]
    Named(String),
    Whole {
        fee: i64,
        currency: String,
    },
}

#[derive(Deserialize)]
struct Disputes {
    data: Vec<Disputed>,
}

#[derive(Deserialize)]
struct Disputed {
    id: String,
    amount: i64,
    currency: String,
    status: String,
}

#[derive(Deserialize)]
struct Given {
    id: String,
    status: String,
    #[serde(default)]
    failure_reason: Option<String>,
}

#[derive(Deserialize)]
struct Event {
    id: String,
    r#type: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    object: String,
    #[serde(default)]
    client_reference_id: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
    #[serde(default)]
    payment_intent: Option<Intent>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    reference: Option<String>,
}

impl Stripe {
    /// With these settings.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        Self { settings }
    }

    pub(super) async fn start(&self, to: &Outbound, attempt: &Attempt<'_>) -> Result<Started, CallError> {
        let amount = to_units(attempt.amount)?.to_string();
        let currency = attempt.amount.currency.code().to_ascii_lowercase();
        let body = wire::form(&[
            ("mode", "payment"),
            ("client_reference_id", attempt.reference),
            ("metadata[reference]", attempt.reference),
            ("payment_intent_data[metadata][reference]", attempt.reference),
            ("success_url", attempt.return_url),
            ("cancel_url", attempt.return_url),
            ("line_items[0][quantity]", "1"),
            ("line_items[0][price_data][currency]", &currency),
            ("line_items[0][price_data][unit_amount]", &amount),
            ("line_items[0][price_data][product_data][name]", attempt.title),
        ]);
        let request = Request::post(self.settings.site.at("/v1/checkout/sessions"), FORM, body);
        let reply = to.send(&self.signed(request, Some(attempt.reference))).await?;
        let session: Session = taken(&reply)?;
        if session.client_reference_id.as_deref() != Some(attempt.reference) {
            return Err(CallError::NoAnswer("it answers about another reference".to_owned()));
        }
        let url = session.url.map(|url| self.settings.site.page(&url)).transpose()?;
        Ok(Started { checkout: Some(session.id), url, instruction: None })
    }

    pub(super) async fn verify(&self, to: &Outbound, payment: &Payment) -> Result<Verdict, CallError> {
        let Some(checkout) = &payment.checkout else { return Ok(Verdict::NotKnown) };
        let path = format!(
            "/v1/checkout/sessions/{}?expand%5B%5D=payment_intent.latest_charge.balance_transaction",
            wire::part(checkout)
        );
        let reply = to.send(&self.signed(Request::get(self.settings.site.at(&path)), None)).await?;
        if reply.status == 404 {
            return Ok(Verdict::NotKnown);
        }
        let session: Session = taken(&reply)?;
        let outcome = match (session.payment_status.as_str(), session.status.as_deref()) {
            ("paid", _) => Outcome::Succeeded,
            (_, Some("expired")) => Outcome::Cancelled,
            (_, Some(_) | None) => Outcome::Pending,
        };
        let code = session.currency.as_deref().unwrap_or_else(|| payment.expected.currency.code());
        let currency = wire::currency_of(code)?;
        let amount = from_units(session.amount_total.unwrap_or(0), currency)?;
        let (transaction, charge) = match session.payment_intent {
            Some(Intent::Named(id)) => (id, None),
            Some(Intent::Whole { id, latest_charge }) => (id, latest_charge),
            None => (session.id.clone(), None),
        };
        let (back, was_disputed, booked) = match charge {
            Some(Charge::Whole { amount_refunded, disputed, balance_transaction }) => {
                (from_units(amount_refunded, currency)?.minor, disputed, balance_transaction)
            }
            Some(Charge::Named(_)) | None => (0, false, None),
        };
        let fee = match booked {
            Some(Bookkeeping::Whole { fee, currency }) => {
                Some(from_units(fee, wire::currency_of(&currency)?)?)
            }
            Some(Bookkeeping::Named(_)) | None => None,
        };
        let said = Confirmation {
            provider: ProviderName::Stripe,
            reference: session.client_reference_id.unwrap_or_default(),
            transaction,
            outcome,
            amount,
            fee,
            method: Method::Card,
        };
        // The charge says for ever that it was disputed; how that ended is asked for.
        let disputes = if was_disputed { self.disputes(to, &said.transaction).await? } else { Vec::new() };
        Ok(Verdict::Known { said: Box::new(said), back, disputes })
    }

    /// The disputes about a payment. Inquiries are none: no money has moved.
    async fn disputes(&self, to: &Outbound, intent: &str) -> Result<Vec<Dispute>, CallError> {
        let path = format!("/v1/disputes?payment_intent={}&limit=100", wire::part(intent));
        let reply = to.send(&self.signed(Request::get(self.settings.site.at(&path)), None)).await?;
        let Disputes { data } = taken(&reply)?;
        let mut disputes = Vec::with_capacity(data.len());
        for one in data {
            let stand = match one.status.as_str() {
                "needs_response" | "under_review" => DisputeStand::Open,
                "lost" => DisputeStand::Lost,
                "won" | "prevented" => DisputeStand::Won,
                _ => continue,
            };
            let amount = from_units(one.amount, wire::currency_of(&one.currency)?)?;
            disputes.push(Dispute { name: one.id, amount, stand });
        }
        Ok(disputes)
    }

    pub(super) async fn refund(
        &self,
        to: &Outbound,
        payment: &Payment,
        refund: &Refund,
    ) -> Result<RefundAnswer, CallError> {
        let request = match (&refund.transaction, &payment.transaction) {
            (Some(known), _) => {
                let path = format!("/v1/refunds/{}", wire::part(known));
                self.signed(Request::get(self.settings.site.at(&path)), None)
            }
            (None, Some(intent)) => {
                let amount = to_units(refund.amount)?.to_string();
                let body = wire::form(&[
                    ("payment_intent", intent),
                    ("amount", &amount),
                    ("metadata[reference]", &payment.reference),
                    ("metadata[key]", &refund.key),
                ]);
                let key = format!("{}-{}", payment.reference, refund.key);
                self.signed(Request::post(self.settings.site.at("/v1/refunds"), FORM, body), Some(&key))
            }
            (None, None) => {
                let why = "the provider's own number of the payment is not known";
                return Ok(RefundAnswer::Refused(why.to_owned()));
            }
        };
        let reply = to.send(&request).await?;
        let given: Given = match taken(&reply) {
            Ok(given) => given,
            Err(CallError::Refused(why)) => return Ok(RefundAnswer::Refused(why)),
            Err(error) => return Err(error),
        };
        Ok(match given.status.as_str() {
            "succeeded" => RefundAnswer::Done(Some(given.id)),
            "failed" | "canceled" => {
                RefundAnswer::Refused(wire::reason(given.failure_reason.as_deref(), reply.status))
            }
            _ => RefundAnswer::Pending(Some(given.id)),
        })
    }

    pub(super) fn read(&self, delivery: &Delivery<'_>) -> Result<Hint, NotTaken> {
        let header = delivery.signature.ok_or(NotTaken::Signature)?;
        if !sign::is_stripe(&self.settings.webhook_secret, delivery.body, header, delivery.now) {
            return Err(NotTaken::Signature);
        }
        let Event { id, r#type, data: Data { object } } =
            serde_json::from_slice(delivery.body).map_err(|_| NotTaken::Unreadable)?;
        let intent = object.payment_intent.map(|intent| match intent {
            Intent::Named(id) | Intent::Whole { id, .. } => id,
        });
        let own = object.id.unwrap_or_default();
        let is = |kind: &str| object.object == kind && !own.is_empty();
        Ok(Hint {
            kind: r#type,
            // A charge is refunded in parts under its one name; the event's own name tells them apart.
            object: id,
            reference: object.client_reference_id.or_else(|| object.metadata.and_then(|one| one.reference)),
            checkout: is("checkout.session").then(|| own.clone()),
            transaction: if is("payment_intent") { Some(own) } else { intent },
            receipt: None,
        })
    }

    fn signed(&self, request: Request, key: Option<&str>) -> Request {
        let request = request.bearer(&self.settings.secret_key);
        match key {
            Some(key) => request.header("idempotency-key", &Secret::from_text(key)),
            None => request,
        }
    }
}

fn taken<'r, T: Deserialize<'r>>(reply: &'r Reply) -> Result<T, CallError> {
    if reply.is_good() {
        return wire::read(reply);
    }
    match reply.status {
        // The first request under this key is still at work, or too many came: nothing is known.
        409 | 429 => Err(CallError::NoAnswer(format!("it answered {}", reply.status))),
        status => {
            let Refusal { error } = wire::read(reply)?;
            Err(CallError::Refused(wire::reason(error.message.as_deref(), status)))
        }
    }
}

/// Decimals that Stripe counts in, which are not always those of ISO 4217.
fn decimals(currency: Currency) -> u32 {
    match currency.code() {
        code if ZERO_DECIMAL.contains(&code) => 0,
        code if THREE_DECIMAL.contains(&code) => 3,
        _ => 2,
    }
}

/// Our amount in Stripe's units; refused where it has decimals that Stripe does not take.
fn to_units(money: Money) -> Result<i64, CallError> {
    let (ours, theirs) = (money.currency.exponent(), decimals(money.currency));
    let fault = || CallError::Unfit(format!("Stripe takes {} with {theirs} decimals only", money.currency));
    if theirs >= ours {
        let factor = 10i64.checked_pow(theirs.saturating_sub(ours)).ok_or_else(fault)?;
        return money.minor.checked_mul(factor).ok_or_else(fault);
    }
    let factor = 10i64.checked_pow(ours.saturating_sub(theirs)).ok_or_else(fault)?;
    if money.minor.checked_rem(factor) != Some(0) {
        return Err(fault());
    }
    money.minor.checked_div(factor).ok_or_else(fault)
}

/// Stripe's amount in ours.
fn from_units(units: i64, currency: Currency) -> Result<Money, CallError> {
    let (ours, theirs) = (currency.exponent(), decimals(currency));
    let fault = || CallError::NoAnswer(format!("{units} is no amount in {currency}"));
    let minor = if ours >= theirs {
        let factor = 10i64.checked_pow(ours.saturating_sub(theirs)).ok_or_else(fault)?;
        units.checked_mul(factor).ok_or_else(fault)?
    } else {
        let factor = 10i64.checked_pow(theirs.saturating_sub(ours)).ok_or_else(fault)?;
        if units.checked_rem(factor) != Some(0) {
            return Err(fault());
        }
        units.checked_div(factor).ok_or_else(fault)?
    };
    Ok(Money { minor, currency })
}

/// Stripe's list of currencies without decimals. UGX is none of them there: it is counted in hundredths.
const ZERO_DECIMAL: &[&str] = &[
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF",
];
/// Stripe's list of currencies with three.
const THREE_DECIMAL: &[&str] = &["BHD", "JOD", "KWD", "OMR", "TND"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_in_stripes_units_and_back_exactly() {
        let money = |minor, code: &str| Money { minor, currency: Currency::parse(code).unwrap() };
        for (ours, units) in [
            (money(150_050, "NGN"), 150_050),
            (money(1500, "UGX"), 150_000),
            (money(500, "JPY"), 500),
            (money(1500, "RWF"), 1500),
            (money(1234, "KWD"), 1234),
            (money(150_000, "KES"), 150_000),
        ] {
            assert_eq!(to_units(ours), Ok(units), "{ours}");
            assert_eq!(from_units(units, ours.currency), Ok(ours));
        }
        assert!(from_units(150_050, Currency::parse("UGX").unwrap()).is_err());
        assert!(to_units(money(i64::MAX, "UGX")).is_err());
    }
}
