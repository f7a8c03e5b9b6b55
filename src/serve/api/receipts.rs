//! Payments that went otherwise: a receipt that nobody is known for, one that nobody answered about, one that a bank
//! took back.
//!
//! The one rule: each is safe to repeat, and says in the audit log who decided it.

use serde_json::json;
use utoipa::ToSchema;

use super::app::App;
use super::call::Call;
use super::commit::Once;
use super::edit::reference;
use super::error::ApiError;
use super::form::Form;
use super::money::{amount, audited};
use super::payments::PaymentView;
use super::route::{Access, Route};
use super::shape::Answer;
use crate::domain::ids::SubscriberId;
use crate::domain::order::Order;
use crate::domain::payment::{Dispute, DisputeStand, Payment, ProviderName};
use crate::domain::role::Permission;
use crate::domain::text::Code;

/// The routes of payments that went otherwise.
#[must_use]
pub fn routes() -> Vec<Route> {
    let write = Access::Staff(Permission::PaymentsWrite);
    vec![
        Route::post("/api/v1/payments/{id}/match", write, "Give an unmatched receipt to a customer", matched)
            .takes::<MatchBody>()
            .answers::<PaymentView>(200),
        Route::post("/api/v1/payments/{id}/check", write, "Ask the gateway how a payment stands", check)
            .answers::<PaymentView>(200),
        Route::post(
            "/api/v1/payments/{id}/dispute",
            Access::StaffFresh(Permission::RefundsLarge),
            "Book a chargeback that the gateway tells by mail or in its pages only",
            dispute,
        )
        .takes::<DisputeBody>()
        .answers::<PaymentView>(200),
    ]
}

/// Whose a receipt is.
#[derive(Debug, ToSchema)]
pub struct MatchBody {
    /// The customer.
    pub customer_id: String,
    /// How it is known.
    pub reason: String,
}

/// A chargeback by the word of staff.
#[derive(Debug, ToSchema)]
pub struct DisputeBody {
    /// The gateway's or the bank's number of it; booked once.
    pub case_number: String,
    /// How much; all of the payment where nothing is said.
    pub amount: Option<String>,
    /// `open`, `lost` or `won`.
    #[schema(value_type = String)]
    pub outcome: DisputeStand,
    /// Where it was read.
    pub reason: String,
}

async fn matched(app: App, call: Call) -> Result<Answer, ApiError> {
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return Ok(kept);
    }
    let payment = app.billing.till.payment(reference(&call), None).await?;
    let object = call.object()?;
    let mut form = Form::new(&object);
    let customer: Option<SubscriberId> = form.required("customer_id");
    let customer = form.finish(customer)?;
    let reason = call.reason()?.to_owned();
    let beside = |unit, payment: &Payment, _: Option<&Order>| {
        let after = json!({ "customer_id": customer, "reason": reason });
        let unit = audited(&app, &call, unit, "payment.match", payment.id, after)?;
        once.keep(unit, &Answer::ok(&PaymentView::of(payment)))
    };
    let made = app.billing.till.match_receipt(payment.id, customer, Some(&beside), call.now).await;
    once.or_kept(made.map(|payment| Answer::ok(&PaymentView::of(&payment))).map_err(Into::into)).await
}

async fn check(app: App, call: Call) -> Result<Answer, ApiError> {
    let payment = app.billing.till.payment(reference(&call), None).await?;
    match payment.provider {
        ProviderName::Cash | ProviderName::Wallet => {}
        ProviderName::Paystack
        | ProviderName::Flutterwave
        | ProviderName::FlutterwaveV4
        | ProviderName::Stripe
        | ProviderName::Mpesa => {
            app.billing.attempts.look(payment.id, call.now).await?;
        }
    }
    Ok(Answer::ok(&PaymentView::of(&app.billing.attempts.payment(payment.id).await?)))
}

async fn dispute(app: App, call: Call) -> Result<Answer, ApiError> {
    let payment = app.billing.till.payment(reference(&call), None).await?;
    let object = call.object()?;
    let mut form = Form::new(&object);
    let received = payment.received.unwrap_or(payment.expected);
    let name: Option<Code> = form.required("case_number");
    let asked = form.optional_with("amount", |value| amount(value, received.currency));
    let stand = form.required_with("outcome", |value| {
        serde_json::from_value::<DisputeStand>(value.clone()).map_err(|_| "must be open, lost or won")
    });
    if asked.is_some_and(|asked| asked.minor <= 0 || asked.minor > received.minor) {
        form.fault("amount", format!("must be above zero and at most {received}"));
    }
    let (name, stand) = form.finish(name.zip(stand))?;
    let reason = call.reason()?.to_owned();
    let dispute = Dispute { name: name.to_string(), amount: asked.unwrap_or(received), stand };
    let beside = |unit| {
        let after = json!({
            "case_number": dispute.name, "amount": dispute.amount.decimal(), "outcome": dispute.stand, "reason": reason,
        });
        audited(&app, &call, unit, "payment.dispute", payment.id, after)
    };
    app.billing.till.disputed(payment.id, &dispute, Some(&beside), call.now).await?;
    Ok(Answer::ok(&PaymentView::of(&app.billing.attempts.payment(payment.id).await?)))
}
