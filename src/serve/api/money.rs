//! What the resources of money share: amounts as they are read and shown, and the faults of billing.
//!
//! The one rule: outside, money is a decimal text beside a currency; a number in JSON is read by its own digits,
//! never as a float.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::app::App;
use super::call::{Call, Caller};
use super::commit::{CommitError, Draft, Unit};
use super::error::{ApiError, Code};
use crate::billing::BillingError;
use crate::catalogue::audit::{self, Deed};
use crate::domain::ids::StaffId;
use crate::domain::money::{Currency, Money};
use crate::domain::tax::Quote;

/// A quote as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuoteView {
    /// ISO 4217.
    pub currency: String,
    /// Its lines.
    pub lines: Vec<QuoteLineView>,
    /// Without tax, after discounts.
    pub net: String,
    /// What discounts took off.
    pub discount: String,
    /// Tax.
    pub tax: String,
    /// Tax by rate.
    pub taxes: Vec<TaxView>,
    /// What is to be paid.
    pub total: String,
    /// The same in minor units.
    pub total_minor: i64,
}

/// One line of a quote.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuoteLineView {
    /// What it is.
    pub description: String,
    /// The price as it was given.
    pub price: String,
    /// What was taken off.
    pub discount: String,
    /// Without tax.
    pub net: String,
    /// Percent, as a decimal.
    pub tax_rate: String,
    /// Tax.
    pub tax: String,
    /// Net and tax.
    pub total: String,
}

/// The tax of one rate.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaxView {
    /// Percent, as a decimal.
    pub rate: String,
    /// The nets it is on.
    pub base: String,
    /// How much.
    pub tax: String,
}

impl QuoteView {
    pub(super) fn of(quote: &Quote) -> Self {
        let line = |line: &crate::domain::tax::QuoteLine| QuoteLineView {
            description: line.description.clone(),
            price: line.price.decimal(),
            discount: line.discount.decimal(),
            net: line.net.decimal(),
            tax_rate: percent(line.tax_ppm),
            tax: line.tax.decimal(),
            total: line.total.decimal(),
        };
        let tax = |sum: &crate::domain::tax::TaxSum| TaxView {
            rate: percent(sum.tax_ppm),
            base: sum.base.decimal(),
            tax: sum.tax.decimal(),
        };
        Self {
            currency: quote.total.currency.code().to_owned(),
            lines: quote.lines.iter().map(line).collect(),
            net: quote.net.decimal(),
            discount: quote.discount.decimal(),
            tax: quote.tax.decimal(),
            taxes: quote.taxes.iter().map(tax).collect(),
            total: quote.total.decimal(),
            total_minor: quote.total.minor,
        }
    }
}

/// Parts per million as percent: `7.5`.
pub(super) fn percent(ppm: u32) -> String {
    let (whole, fraction) = (ppm / 10_000, format!("{:04}", ppm % 10_000));
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_string() } else { format!("{whole}.{fraction}") }
}

/// An amount from JSON: a decimal text, or a number by its own digits.
pub(super) fn amount(value: &Value, currency: Currency) -> Result<Money, String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return Err("must be an amount such as \"17500.00\"".to_owned());
        }
    };
    Money::parse(&text, currency).map_err(|error| error.to_string())
}

/// Who takes money at the counter; whoever works on the box itself has no account and is nobody in particular.
pub(super) fn at_the_counter(call: &Call) -> StaffId {
    match &call.caller {
        Caller::Staff(visitor) => visitor.staff_id,
        Caller::Anonymous | Caller::Program(_) | Caller::Customer(_) | Caller::Console { .. } => {
            StaffId(uuid::Uuid::nil())
        }
    }
}

/// A decided change with the audit entry of what was done.
pub(super) fn with_deed<T>(
    app: &App,
    call: &Call,
    draft: Draft<T>,
    deed: Deed,
) -> Result<Draft<T>, BillingError> {
    let Draft { unit, value } = draft;
    Ok(Draft::new(recorded(app, call, unit, deed)?, value))
}

fn recorded(app: &App, call: &Call, unit: Unit, deed: Deed) -> Result<Unit, CommitError> {
    audit::record(unit, &app.entropy, &call.actor, deed, call.now).map_err(|error| {
        tracing::error!(%error, "An audit entry could not be made");
        CommitError::Unavailable("an audit entry could not be made".to_owned())
    })
}

/// Adds an audit entry to the unit of a change of money.
pub(super) fn audited(
    app: &App,
    call: &Call,
    unit: Unit,
    action: &'static str,
    subject: impl std::fmt::Display + Copy,
    after: Value,
) -> Result<Unit, CommitError> {
    recorded(app, call, unit, Deed::made(action, subject, after))
}

impl From<BillingError> for ApiError {
    fn from(error: BillingError) -> Self {
        match error {
            BillingError::NotFound { what, .. } => Self::not_found(what),
            BillingError::Field { field, message } => Self::field(field, message),
            BillingError::Rule(sentence) => Self::rule(sentence_of(&sentence)),
            BillingError::NotAllowed(sentence) => Self::denied(sentence_of(&sentence)),
            BillingError::Short { has, needs } => {
                let message = format!("The wallet holds {has}, and {needs} is needed; add money first.");
                Self::new(Code::NotEnoughMoney, message).with_details(serde_json::json!({
                    "has": has.decimal(), "needs": needs.decimal(), "currency": needs.currency.code(),
                }))
            }
            BillingError::Repeated(_) => Self::conflict("This was done before; nothing was done now."),
            BillingError::Provider(_) => Self::retry_after(
                Code::ProviderUnavailable,
                "The payment service does not answer as it should; please try again.",
                RETRY_SECS,
            ),
            BillingError::Read(error) => error.into(),
            BillingError::Commit(error) => error.into(),
            BillingError::Entropy(error) => error.into(),
            error @ (BillingError::Money(_) | BillingError::Ledger(_)) => Self::internal(&error),
        }
    }
}

/// The first letter large and a full stop at the end.
fn sentence_of(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

/// Until a payment service is worth asking again.
const RETRY_SECS: u32 = 10;
