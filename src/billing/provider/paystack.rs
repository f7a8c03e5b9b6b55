//! Paystack: amounts in the smallest unit, looked up by our own reference.
//!
//! It signs webhooks with the secret key itself (HMAC-SHA512) and sends no stamp, so a repeat proves nothing; and it
//! often sends nothing for what failed, so attempts are asked about.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::wire::{self, CallError, JSON, Name, Site};
use super::{Attempt, Delivery, Hint, NotTaken, RefundAnswer, Started, Verdict, sign};
use crate::base::secret::Secret;
use crate::domain::money::Money;
use crate::domain::payment::{
    Confirmation, Dispute, DisputeStand, Method, Outcome, Payment, ProviderName, Refund,
};
use crate::notify::{Outbound, Request};

/// What the configuration says of Paystack.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The secret key: for calls and for the signature of webhooks.
    pub secret_key: Secret,
    /// Where it is.
    pub site: Site,
}

/// Its pages.
pub const HOSTS: &[&str] = &["checkout.paystack.com"];

/// Paystack.
#[derive(Debug)]
pub struct Paystack {
    pub(super) settings: Settings,
}

#[derive(Deserialize)]
struct Envelope<T> {
    #[serde(default)]
    status: bool,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    code: Option<String>,
    data: Option<T>,
}

#[derive(Serialize)]
struct Initialize<'a> {
    email: &'a str,
    amount: i64,
    currency: &'a str,
    reference: &'a str,
    callback_url: &'a str,
}

#[derive(Deserialize)]
struct Initialized {
    authorization_url: String,
    access_code: String,
    reference: String,
}

#[derive(Deserialize)]
struct Transaction {
    id: Name,
    status: String,
    reference: String,
    amount: Box<RawValue>,
    currency: String,
    #[serde(default)]
    fees: Option<Box<RawValue>>,
    #[serde(default)]
    channel: Option<String>,
}

#[derive(Serialize)]
struct Give<'a> {
    transaction: &'a str,
    amount: i64,
    currency: &'a str,
    merchant_note: String,
}

#[derive(Deserialize)]
struct Given {
    id: Name,
    status: String,
    #[serde(default)]
    amount: Option<Box<RawValue>>,
    #[serde(default)]
    merchant_note: Option<String>,
    /// The dispute that it came of; what was accepted there is no refund of its own.
    #[serde(default)]
    dispute: Option<serde_json::Value>,
}

/// It answers with one dispute, or with a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Disputed {
    Many(Vec<DisputeData>),
    One(DisputeData),
}

#[derive(Deserialize)]
struct DisputeData {
    id: u64,
    status: String,
    #[serde(default)]
    resolution: Option<String>,
    #[serde(default)]
    refund_amount: Option<i64>,
}

#[derive(Deserialize)]
struct Event {
    event: String,
    data: About,
}

#[derive(Deserialize)]
struct About {
    id: Option<Name>,
    #[serde(default)]
    reference: Option<String>,
    #[serde(default)]
    transaction_reference: Option<String>,
    #[serde(default)]
    transaction: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(default)]
    reference: Option<String>,
}

impl Paystack {
    /// With these settings.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        Self { settings }
    }

    pub(super) async fn start(&self, to: &Outbound, attempt: &Attempt<'_>) -> Result<Started, CallError> {
        let body = wire::json(&Initialize {
            email: attempt.email,
            amount: attempt.amount.minor,
            currency: attempt.amount.currency.code(),
            reference: attempt.reference,
            callback_url: attempt.return_url,
        })?;
        let request = Request::post(self.settings.site.at("/transaction/initialize"), JSON, body);
        let reply = to.send(&self.signed(request)).await?;
        let answer: Envelope<Initialized> = wire::read(&reply)?;
        match answer.data {
            Some(data) if answer.status && reply.is_good() => {
                if data.reference != attempt.reference {
                    return Err(CallError::NoAnswer("it answers about another reference".to_owned()));
                }
                let url = self.settings.site.page(&data.authorization_url)?;
                Ok(Started { checkout: Some(data.access_code), url: Some(url), instruction: None })
            }
            Some(_) | None => Err(CallError::Refused(wire::reason(answer.message.as_deref(), reply.status))),
        }
    }

    pub(super) async fn verify(&self, to: &Outbound, payment: &Payment) -> Result<Verdict, CallError> {
        let path = format!("/transaction/verify/{}", wire::part(&payment.reference));
        let reply = to.send(&self.signed(Request::get(self.settings.site.at(&path)))).await?;
        let answer: Envelope<Transaction> = wire::read(&reply)?;
        let Some(data) = answer.data.filter(|_| answer.status && reply.is_good()) else {
            return match (reply.status, answer.code.as_deref(), answer.message.as_deref()) {
                (404, _, _) | (_, Some("transaction_not_found"), _) => Ok(Verdict::NotKnown),
                (400, _, Some(message)) if message.contains("not found") => Ok(Verdict::NotKnown),
                (status, _, message) => Err(CallError::Refused(wire::reason(message, status))),
            };
        };
        let amount = wire::minor(&data.amount, &data.currency)?;
        let outcome = match data.status.as_str() {
            "success" | "reversed" => Outcome::Succeeded,
            "failed" => Outcome::Failed,
            // "abandoned" only says that nobody has paid yet; the page still takes money.
            _ => Outcome::Pending,
        };
        let back = match data.status.as_str() {
            "reversed" => amount.minor,
            "success" if payment.status.is_booked() => self.given(to, payment).await?.0,
            _ => 0,
        };
        let fee = match data.fees.as_deref().filter(|fees| fees.get() != "null") {
            Some(fees) => Some(wire::minor(fees, &data.currency)?),
            None => None,
        };
        let said = Confirmation {
            provider: ProviderName::Paystack,
            reference: data.reference,
            transaction: data.id.to_string(),
            outcome,
            amount,
            fee,
            method: method(data.channel.as_deref()),
        };
        let disputes = if payment.status.is_booked() {
            self.disputes(to, &said.transaction, said.amount).await?
        } else {
            Vec::new()
        };
        Ok(Verdict::Known { said: Box::new(said), back, disputes })
    }

    /// The disputes about a payment; a key that may not read them hears of none.
    async fn disputes(
        &self,
        to: &Outbound,
        transaction: &str,
        came: Money,
    ) -> Result<Vec<Dispute>, CallError> {
        let path = format!("/dispute/transaction/{}", wire::part(transaction));
        let reply = to.send(&self.signed(Request::get(self.settings.site.at(&path)))).await?;
        if (400..500).contains(&reply.status) && reply.status != 429 {
            return Ok(Vec::new());
        }
        let answer: Envelope<Disputed> = wire::read(&reply)?;
        if !answer.status || !reply.is_good() {
            return Err(CallError::NoAnswer(wire::reason(answer.message.as_deref(), reply.status)));
        }
        let all = match answer.data {
            Some(Disputed::Many(all)) => all,
            Some(Disputed::One(one)) => vec![one],
            None => Vec::new(),
        };
        Ok(all.into_iter().map(|one| dispute(&one, came)).collect())
    }

    /// What went back of a payment in all, and its refunds.
    async fn given(&self, to: &Outbound, payment: &Payment) -> Result<(i64, Vec<Given>), CallError> {
        let Some(transaction) = &payment.transaction else { return Ok((0, Vec::new())) };
        let path = format!("/refund?transaction={}&perPage=100", wire::part(transaction));
        let reply = to.send(&self.signed(Request::get(self.settings.site.at(&path)))).await?;
        let answer: Envelope<Vec<Given>> = wire::read(&reply)?;
        let Some(all) = answer.data.filter(|_| answer.status && reply.is_good()) else {
            return Err(CallError::Refused(wire::reason(answer.message.as_deref(), reply.status)));
        };
        let mut back = 0i64;
        for one in all.iter().filter(|one| one.is_own() && one.status == "processed") {
            if let Some(amount) = &one.amount {
                back = back.saturating_add(wire::minor(amount, payment.expected.currency.code())?.minor);
            }
        }
        Ok((back, all))
    }

    pub(super) async fn refund(
        &self,
        to: &Outbound,
        payment: &Payment,
        refund: &Refund,
    ) -> Result<RefundAnswer, CallError> {
        let note = note(payment, refund);
        // It knows no key for repeats, so what it was asked before is looked for.
        let (_, known) = self.given(to, payment).await?;
        if let Some(found) = known.iter().find(|one| one.merchant_note.as_deref() == Some(&note)) {
            return Ok(answered(&found.status, &found.id));
        }
        let body = wire::json(&Give {
            transaction: payment.transaction.as_deref().unwrap_or(&payment.reference),
            amount: refund.amount.minor,
            currency: refund.amount.currency.code(),
            merchant_note: note,
        })?;
        let request = Request::post(self.settings.site.at("/refund"), JSON, body);
        let reply = to.send(&self.signed(request)).await?;
        let answer: Envelope<Given> = wire::read(&reply)?;
        match answer.data {
            Some(data) if answer.status && reply.is_good() => Ok(answered(&data.status, &data.id)),
            Some(_) | None => {
                Ok(RefundAnswer::Refused(wire::reason(answer.message.as_deref(), reply.status)))
            }
        }
    }

    pub(super) fn read(&self, delivery: &Delivery<'_>) -> Result<Hint, NotTaken> {
        let given = delivery.signature.ok_or(NotTaken::Signature)?;
        if !sign::is_sha512_hex(&self.settings.secret_key, delivery.body, given) {
            return Err(NotTaken::Signature);
        }
        let Event { event, data } =
            serde_json::from_slice(delivery.body).map_err(|_| NotTaken::Unreadable)?;
        let of_transaction = data.transaction.and_then(|inner| inner.reference);
        let reference = data.transaction_reference.or(of_transaction).or(data.reference);
        let object =
            data.id.map(|id| id.to_string()).or_else(|| reference.clone()).ok_or(NotTaken::Unreadable)?;
        Ok(Hint { kind: event, object, reference, checkout: None, transaction: None, receipt: None })
    }

    fn signed(&self, request: Request) -> Request {
        request.bearer(&self.settings.secret_key)
    }
}

impl Given {
    /// Whether it is no part of a dispute.
    fn is_own(&self) -> bool {
        self.dispute.as_ref().is_none_or(serde_json::Value::is_null)
    }
}

/// The shop has "declined" a dispute that it won; whatever else was resolved is lost.
fn dispute(one: &DisputeData, came: Money) -> Dispute {
    let stand = match (one.status.as_str(), one.resolution.as_deref()) {
        ("resolved" | "archived", Some("declined")) => DisputeStand::Won,
        ("resolved" | "archived", _) => DisputeStand::Lost,
        (_, _) => DisputeStand::Open,
    };
    let amount = Money { minor: one.refund_amount.unwrap_or(came.minor), ..came };
    Dispute { name: one.id.to_string(), amount, stand }
}

/// What tells a refund from others of the same payment.
fn note(payment: &Payment, refund: &Refund) -> String {
    format!("{}/{}", payment.reference, refund.key)
}

fn answered(status: &str, id: &Name) -> RefundAnswer {
    let id = Some(id.to_string());
    match status {
        "processed" => RefundAnswer::Done(id),
        "failed" => RefundAnswer::Refused("the refund failed".to_owned()),
        _ => RefundAnswer::Pending(id),
    }
}

fn method(channel: Option<&str>) -> Method {
    match channel {
        Some("bank_transfer" | "bank" | "ussd" | "eft") => Method::Transfer,
        Some("mobile_money") => Method::MobileMoney,
        Some(_) | None => Method::Card,
    }
}
