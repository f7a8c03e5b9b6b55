//! Flutterwave, API version 3: amounts in major units with their decimals, looked up by our own reference.
//!
//! Its webhooks carry a fixed secret instead of a signature: it proves who sends, never what is said. It knows
//! a transaction only once the payer has begun to pay, so "no such transaction" is no end.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::wire::{self, CallError, JSON, Name, Site};
use super::{Attempt, Delivery, Hint, NotTaken, RefundAnswer, Started, Verdict, sign};
use crate::base::secret::Secret;
use crate::domain::payment::{Confirmation, Method, Outcome, Payment, ProviderName, Refund};
use crate::notify::{Outbound, Request};

/// What the configuration says of it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For calls.
    pub secret_key: Secret,
    /// What its webhooks carry.
    pub secret_hash: Secret,
    /// Where it is.
    pub site: Site,
}

/// Its pages, also those of its test mode.
pub const HOSTS: &[&str] =
    &["checkout.flutterwave.com", "checkout-v2.flutterwave.com", "checkout-v2.dev-flutterwave.com"];

/// Flutterwave v3.
#[derive(Debug)]
pub struct Flutterwave {
    pub(super) settings: Settings,
}

#[derive(Deserialize)]
struct Envelope<T> {
    #[serde(default)]
    status: String,
    #[serde(default)]
    message: Option<String>,
    data: Option<T>,
}

#[derive(Serialize)]
struct Ask<'a> {
    tx_ref: &'a str,
    amount: Box<RawValue>,
    currency: &'a str,
    redirect_url: &'a str,
    customer: Customer<'a>,
    customizations: Look<'a>,
}

#[derive(Serialize)]
struct Customer<'a> {
    email: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    phonenumber: Option<&'a str>,
}

#[derive(Serialize)]
struct Look<'a> {
    title: &'a str,
}

#[derive(Deserialize)]
struct Link {
    link: String,
}

#[derive(Deserialize)]
struct Transaction {
    id: Name,
    tx_ref: String,
    status: String,
    amount: Box<RawValue>,
    currency: String,
    #[serde(default)]
    app_fee: Option<Box<RawValue>>,
    #[serde(default)]
    payment_type: Option<String>,
}

#[derive(Serialize)]
struct Give {
    amount: Box<RawValue>,
    comments: String,
}

#[derive(Deserialize)]
struct Given {
    id: Name,
    #[serde(default)]
    status: String,
    #[serde(default, alias = "transaction_id")]
    tx_id: Option<Name>,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    comments: Option<String>,
    #[serde(default)]
    amount_refunded: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Event {
    event: String,
    data: About,
}

#[derive(Deserialize)]
struct About {
    id: Name,
    #[serde(default)]
    tx_ref: Option<String>,
    #[serde(default, rename = "TransactionId")]
    transaction_id: Option<Name>,
    #[serde(default)]
    status: Option<String>,
}

impl Flutterwave {
    /// With these settings.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        Self { settings }
    }

    pub(super) async fn start(&self, to: &Outbound, attempt: &Attempt<'_>) -> Result<Started, CallError> {
        let body = wire::json(&Ask {
            tx_ref: attempt.reference,
            amount: wire::number(attempt.amount)?,
            currency: attempt.amount.currency.code(),
            redirect_url: attempt.return_url,
            customer: Customer { email: attempt.email, name: attempt.name, phonenumber: attempt.phone },
            customizations: Look { title: attempt.title },
        })?;
        let reply =
            to.send(&self.signed(Request::post(self.settings.site.at("/v3/payments"), JSON, body))).await?;
        let answer: Envelope<Link> = wire::read(&reply)?;
        match answer.data {
            Some(data) if answer.status == "success" && reply.is_good() => {
                let url = self.settings.site.page(&data.link)?;
                Ok(Started { checkout: None, url: Some(url), instruction: None })
            }
            Some(_) | None => Err(CallError::Refused(wire::reason(answer.message.as_deref(), reply.status))),
        }
    }

    pub(super) async fn verify(&self, to: &Outbound, payment: &Payment) -> Result<Verdict, CallError> {
        let path = format!("/v3/transactions/verify_by_reference?tx_ref={}", wire::part(&payment.reference));
        let reply = to.send(&self.signed(Request::get(self.settings.site.at(&path)))).await?;
        let answer: Envelope<Transaction> = wire::read(&reply)?;
        let Some(data) = answer.data.filter(|_| answer.status == "success" && reply.is_good()) else {
            return match (reply.status, answer.message.as_deref()) {
                (404, _) => Ok(Verdict::NotKnown),
                (400, Some(message)) if message.contains("No transaction was found") => Ok(Verdict::NotKnown),
                (status, message) => Err(CallError::Refused(wire::reason(message, status))),
            };
        };
        let amount = wire::major(&data.amount, &data.currency)?;
        let outcome = match data.status.as_str() {
            "successful" => Outcome::Succeeded,
            "failed" => Outcome::Failed,
            _ => Outcome::Pending,
        };
        let fee = match data.app_fee.as_deref().filter(|fee| fee.get() != "null") {
            Some(fee) => wire::major(fee, &data.currency).ok(),
            None => None,
        };
        let back = match outcome {
            Outcome::Succeeded if payment.status.is_booked() => self.given(to, payment).await?.0,
            Outcome::Succeeded
            | Outcome::Pending
            | Outcome::Failed
            | Outcome::Cancelled
            | Outcome::Refunded(_) => 0,
        };
        let said = Confirmation {
            provider: ProviderName::Flutterwave,
            reference: data.tx_ref,
            transaction: data.id.to_string(),
            outcome,
            amount,
            fee,
            method: method(data.payment_type.as_deref()),
        };
        Ok(Verdict::Known { said: Box::new(said), back, disputes: Vec::new() })
    }

    /// What went back of a payment in all, and its refunds.
    async fn given(&self, to: &Outbound, payment: &Payment) -> Result<(i64, Vec<Given>), CallError> {
        let Some(transaction) = &payment.transaction else { return Ok((0, Vec::new())) };
        let path = format!("/v3/refunds?id={}", wire::part(transaction));
        let reply = to.send(&self.signed(Request::get(self.settings.site.at(&path)))).await?;
        let answer: Envelope<Vec<Given>> = wire::read(&reply)?;
        if answer.status != "success" || !reply.is_good() {
            return Err(CallError::Refused(wire::reason(answer.message.as_deref(), reply.status)));
        }
        // Whatever the filter gives, only what is of this transaction counts.
        let is_ours = |one: &Given| one.tx_id.as_ref().is_some_and(|id| id.to_string() == *transaction);
        let all: Vec<Given> = answer.data.unwrap_or_default().into_iter().filter(is_ours).collect();
        let mut back = 0i64;
        for one in all.iter().filter(|one| one.status.starts_with("completed")) {
            if let Some(amount) = &one.amount_refunded {
                back = back.saturating_add(wire::major(amount, payment.expected.currency.code())?.minor);
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
        let Some(transaction) = &payment.transaction else {
            return Ok(RefundAnswer::Refused(
                "the provider's own number of the payment is not known".to_owned(),
            ));
        };
        let note = format!("{}/{}", payment.reference, refund.key);
        let (_, known) = self.given(to, payment).await?;
        let is_it = |one: &&Given| one.comments.as_deref().or(one.comment.as_deref()) == Some(&note);
        if let Some(found) = known.iter().find(is_it) {
            return Ok(answered(&found.status, &found.id));
        }
        let body = wire::json(&Give { amount: wire::number(refund.amount)?, comments: note })?;
        let path = format!("/v3/transactions/{}/refund", wire::part(transaction));
        let reply = to.send(&self.signed(Request::post(self.settings.site.at(&path), JSON, body))).await?;
        let answer: Envelope<Given> = wire::read(&reply)?;
        match answer.data {
            Some(data) if answer.status == "success" && reply.is_good() => {
                Ok(answered(&data.status, &data.id))
            }
            Some(_) | None => {
                Ok(RefundAnswer::Refused(wire::reason(answer.message.as_deref(), reply.status)))
            }
        }
    }

    pub(super) fn read(&self, delivery: &Delivery<'_>) -> Result<Hint, NotTaken> {
        let given = delivery.signature.ok_or(NotTaken::Signature)?;
        if !sign::is_token(&self.settings.secret_hash, given) {
            return Err(NotTaken::Signature);
        }
        let Event { event, data } =
            serde_json::from_slice(delivery.body).map_err(|_| NotTaken::Unreadable)?;
        let status = data.status.unwrap_or_default();
        let transaction = data.transaction_id.as_ref().unwrap_or(&data.id).to_string();
        Ok(Hint {
            // One transaction is told of as pending and as done: two events.
            kind: format!("{event}:{status}"),
            object: data.id.to_string(),
            reference: data.tx_ref,
            checkout: None,
            transaction: Some(transaction),
            receipt: None,
        })
    }

    fn signed(&self, request: Request) -> Request {
        request.bearer(&self.settings.secret_key)
    }
}

fn answered(status: &str, id: &Name) -> RefundAnswer {
    let id = Some(id.to_string());
    match status {
        status if status.starts_with("completed") => RefundAnswer::Done(id),
        "failed" => RefundAnswer::Refused("the refund failed".to_owned()),
        _ => RefundAnswer::Pending(id),
    }
}

fn method(kind: Option<&str>) -> Method {
    match kind {
        Some("bank_transfer" | "account" | "ussd" | "banktransfer") => Method::Transfer,
        Some("mpesa") => Method::MobileMoney,
        Some(kind) if kind.starts_with("mobilemoney") => Method::MobileMoney,
        Some(_) | None => Method::Card,
    }
}
