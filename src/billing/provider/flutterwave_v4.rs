//! Flutterwave, API version 4: a token for calls, charges in major units with their decimals.
//!
//! It has no page of its own for every method: a charge is made for one method and answers with what the payer
//! does next, a page or an instruction. Cards would need their numbers here, and never get that. Its webhooks are signed
//! (HMAC-SHA256 in base64); one edition of its documents compares the secret itself, so which of the two counts
//! is a setting and never both.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::token::Kept;
use super::wire::{self, CallError, FORM, JSON, Site};
use super::{Attempt, Delivery, Hint, NotTaken, RefundAnswer, Started, Verdict, sign};
use crate::base::secret::Secret;
use crate::domain::payment::{Confirmation, Method, Outcome, Payment, ProviderName, Refund};
use crate::notify::{Outbound, Reply, Request};

/// What the configuration says of it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program's name at the provider.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// For the signature of webhooks.
    pub secret_hash: Secret,
    /// Whether webhooks carry the secret itself instead of a signature.
    pub is_plain: bool,
    /// What payers pay by: `opay` or `bank_transfer`.
    pub method: String,
    /// Where tokens are had.
    pub token_url: String,
    /// Where it is.
    pub site: Site,
}

/// Pages that a charge may lead to.
pub const HOSTS: &[&str] =
    &["checkout.flutterwave.com", "flutterwave.com", "cashier.opayweb.com", "cashierapi.opayweb.com"];

/// Flutterwave v4.
#[derive(Debug)]
pub struct FlutterwaveV4 {
    pub(super) settings: Settings,
    token: Kept,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    expires_in: i64,
}

#[derive(Deserialize)]
struct Envelope<T> {
    #[serde(default)]
    status: String,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    error: Option<Fault>,
    data: Option<T>,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    message: Option<String>,
}

#[derive(Serialize)]
struct Ask<'a> {
    amount: Box<RawValue>,
    currency: &'a str,
    reference: &'a str,
    redirect_url: &'a str,
    customer: Customer<'a>,
    payment_method: Kind<'a>,
}

#[derive(Serialize)]
struct Customer<'a> {
    email: &'a str,
    name: Names<'a>,
}

#[derive(Serialize)]
struct Names<'a> {
    first: &'a str,
    last: &'a str,
}

#[derive(Serialize)]
struct Kind<'a> {
    r#type: &'a str,
}

#[derive(Deserialize)]
struct Charge {
    id: String,
    reference: String,
    status: String,
    amount: Box<RawValue>,
    currency: String,
    #[serde(default)]
    fees: Vec<Fee>,
    #[serde(default)]
    next_action: Option<Next>,
    #[serde(default)]
    payment_method_details: Option<Details>,
}

#[derive(Deserialize)]
struct Fee {
    amount: Box<RawValue>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    r#type: String,
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    redirect_url: Option<Page>,
    #[serde(default)]
    payment_instruction: Option<Instruction>,
}

#[derive(Deserialize)]
struct Page {
    url: String,
}

#[derive(Deserialize)]
struct Instruction {
    #[serde(default)]
    note: String,
}

#[derive(Serialize)]
struct Give<'a> {
    charge_id: &'a str,
    amount: Box<RawValue>,
    reason: &'a str,
}

#[derive(Deserialize)]
struct Given {
    id: String,
    status: String,
    #[serde(default)]
    charge_id: String,
    #[serde(default)]
    amount_refunded: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Event {
    r#type: String,
    #[serde(default, alias = "webhook_id")]
    id: Option<String>,
    data: About,
}

#[derive(Deserialize)]
struct About {
    id: String,
    #[serde(default)]
    reference: Option<String>,
    #[serde(default)]
    charge_id: Option<String>,
    #[serde(default)]
    status: Option<String>,
}

impl FlutterwaveV4 {
    /// With these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, token: Kept::default() }
    }

    pub(super) async fn start(&self, to: &Outbound, attempt: &Attempt<'_>) -> Result<Started, CallError> {
        let (first, last) = attempt.name.split_once(' ').unwrap_or((attempt.name, attempt.name));
        let body = wire::json(&Ask {
            amount: wire::number(attempt.amount)?,
            currency: attempt.amount.currency.code(),
            reference: attempt.reference,
            redirect_url: attempt.return_url,
            customer: Customer { email: attempt.email, name: Names { first, last } },
            payment_method: Kind { r#type: &self.settings.method },
        })?;
        let request = Request::post(self.settings.site.at("/orchestration/direct-charges"), JSON, body);
        let key = Secret::from_text(attempt.reference);
        let reply = self.send(to, request.header(IDEMPOTENCY, &key), attempt.now).await?;
        let charge: Charge = taken(&reply)?.ok_or_else(|| refused(&reply))?;
        if charge.reference != attempt.reference {
            return Err(CallError::NoAnswer("it answers about another reference".to_owned()));
        }
        let Next { redirect_url, payment_instruction } =
            charge.next_action.unwrap_or(Next { redirect_url: None, payment_instruction: None });
        let url = redirect_url.map(|page| self.settings.site.page(&page.url)).transpose()?;
        let instruction = payment_instruction.map(|one| one.note).filter(|note| !note.is_empty());
        Ok(Started { checkout: Some(charge.id), url, instruction })
    }

    pub(super) async fn verify(
        &self,
        to: &Outbound,
        payment: &Payment,
        now: Timestamp,
    ) -> Result<Verdict, CallError> {
        let found = match &payment.checkout {
            Some(id) => {
                let url = self.settings.site.at(&format!("/charges/{}", wire::part(id)));
                taken::<Charge>(&self.send(to, Request::get(url), now).await?)?
            }
            None => {
                let url =
                    self.settings.site.at(&format!("/charges?reference={}", wire::part(&payment.reference)));
                let all = taken::<Vec<Charge>>(&self.send(to, Request::get(url), now).await?)?;
                all.unwrap_or_default().into_iter().find(|one| one.reference == payment.reference)
            }
        };
        let Some(charge) = found else { return Ok(Verdict::NotKnown) };
        let outcome = match charge.status.as_str() {
            "succeeded" => Outcome::Succeeded,
            "failed" => Outcome::Failed,
            "voided" | "cancelled" => Outcome::Cancelled,
            _ => Outcome::Pending,
        };
        let amount = wire::major(&charge.amount, &charge.currency)?;
        let mut fee = None;
        for one in &charge.fees {
            let more = wire::major(&one.amount, &charge.currency)?;
            fee = Some(
                fee.map_or(more, |sum: crate::domain::money::Money| sum.checked_add(more).unwrap_or(sum)),
            );
        }
        let back = if payment.status.is_booked() { self.back(to, payment, now).await? } else { 0 };
        let kind = charge.payment_method_details.map(|details| details.r#type).unwrap_or_default();
        let said = Confirmation {
            provider: ProviderName::FlutterwaveV4,
            reference: charge.reference,
            transaction: charge.id,
            outcome,
            amount,
            fee,
            method: match kind.as_str() {
                "bank_transfer" | "ussd" => Method::Transfer,
                "mobile_money" | "opay" => Method::MobileMoney,
                _ => Method::Card,
            },
        };
        Ok(Verdict::Known { said: Box::new(said), back, disputes: Vec::new() })
    }

    /// What went back of a payment in all.
    async fn back(&self, to: &Outbound, payment: &Payment, now: Timestamp) -> Result<i64, CallError> {
        let Some(charge) = &payment.transaction else { return Ok(0) };
        let url = self.settings.site.at(&format!("/refunds?charge_id={}", wire::part(charge)));
        let all = taken::<Vec<Given>>(&self.send(to, Request::get(url), now).await?)?.unwrap_or_default();
        let mut back = 0i64;
        for one in all.iter().filter(|one| one.charge_id == *charge && one.status == "succeeded") {
            if let Some(amount) = &one.amount_refunded {
                back = back.saturating_add(wire::major(amount, payment.expected.currency.code())?.minor);
            }
        }
        Ok(back)
    }

    pub(super) async fn refund(
        &self,
        to: &Outbound,
        payment: &Payment,
        refund: &Refund,
        now: Timestamp,
    ) -> Result<RefundAnswer, CallError> {
        let Some(charge) = &payment.transaction else {
            return Ok(RefundAnswer::Refused(
                "the provider's own number of the payment is not known".to_owned(),
            ));
        };
        let reply = match &refund.transaction {
            Some(known) => {
                let url = self.settings.site.at(&format!("/refunds/{}", wire::part(known)));
                self.send(to, Request::get(url), now).await?
            }
            None => {
                let amount = wire::number(refund.amount)?;
                let body = wire::json(&Give { charge_id: charge, amount, reason: "requested_by_customer" })?;
                let key = Secret::from_text(&format!("{}-{}", payment.reference, refund.key));
                let request = Request::post(self.settings.site.at("/refunds"), JSON, body);
                self.send(to, request.header(IDEMPOTENCY, &key), now).await?
            }
        };
        let Some(given) = taken::<Given>(&reply)? else { return Ok(RefundAnswer::Refused(refusal(&reply))) };
        Ok(match given.status.as_str() {
            "succeeded" => RefundAnswer::Done(Some(given.id)),
            "failed" => RefundAnswer::Refused("the refund failed".to_owned()),
            _ => RefundAnswer::Pending(Some(given.id)),
        })
    }

    pub(super) fn read(&self, delivery: &Delivery<'_>) -> Result<Hint, NotTaken> {
        let given = delivery.signature.ok_or(NotTaken::Signature)?;
        let secret = &self.settings.secret_hash;
        let holds = if self.settings.is_plain {
            sign::is_token(secret, given)
        } else {
            sign::is_sha256_base64(secret, delivery.body, given)
        };
        if !holds {
            return Err(NotTaken::Signature);
        }
        let Event { r#type, id, data } =
            serde_json::from_slice(delivery.body).map_err(|_| NotTaken::Unreadable)?;
        let kind = format!("{}:{}", r#type, data.status.unwrap_or_default());
        let is_charge = r#type.starts_with("charge");
        Ok(Hint {
            kind,
            object: id.unwrap_or_else(|| data.id.clone()),
            reference: data.reference.filter(|_| is_charge),
            checkout: data.charge_id.or_else(|| is_charge.then_some(data.id)),
            transaction: None,
            receipt: None,
        })
    }

    async fn send(&self, to: &Outbound, request: Request, now: Timestamp) -> Result<Reply, CallError> {
        let token = self.token.get(now, self.ask(to)).await?;
        let reply = to.send(&request.bearer(&token)).await?;
        if reply.status == 401 {
            self.token.forget().await;
            return Err(CallError::NotSent("the provider did not take our access token".to_owned()));
        }
        Ok(reply)
    }

    async fn ask(&self, to: &Outbound) -> Result<(Secret, i64), CallError> {
        let secret = self.settings.client_secret.expose_text().unwrap_or_default();
        let body = wire::form(&[
            ("client_id", &self.settings.client_id),
            ("client_secret", secret),
            ("grant_type", "client_credentials"),
        ]);
        let reply = to.send(&Request::post(self.settings.token_url.clone(), FORM, body)).await?;
        if !reply.is_good() {
            return Err(CallError::Refused(wire::reason(None, reply.status)));
        }
        let Token { access_token, expires_in } = wire::read(&reply)?;
        Ok((Secret::from_text(&access_token), expires_in))
    }
}

/// What an answer carries; nothing where the provider knows nothing of it.
fn taken<'r, T: Deserialize<'r>>(reply: &'r Reply) -> Result<Option<T>, CallError> {
    let answer: Envelope<T> = wire::read(reply)?;
    match answer.data {
        Some(data) if answer.status == "success" && reply.is_good() => Ok(Some(data)),
        Some(_) | None if matches!(reply.status, 400 | 404 | 409 | 422) => Ok(None),
        Some(_) | None => Err(refused(reply)),
    }
}

fn refused(reply: &Reply) -> CallError {
    CallError::Refused(refusal(reply))
}

fn refusal(reply: &Reply) -> String {
    let answer: Option<Envelope<serde::de::IgnoredAny>> = serde_json::from_slice(&reply.body).ok();
    let message = answer.and_then(|one| one.error.and_then(|fault| fault.message).or(one.message));
    wire::reason(message.as_deref(), reply.status)
}

/// A repeat under the same key gives the first answer.
const IDEMPOTENCY: &str = "x-idempotency-key";
