//! Payments and orders over HTTP, as staff see and take them.

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::app::App;
use super::call::Call;
use super::commit::Once;
use super::edit::{self, part, reference};
use super::error::ApiError;
use super::form::Form;
use super::invoices::customer_filter;
use super::money::{QuoteView, amount, at_the_counter, audited};
use super::route::{Access, Route};
use super::shape::Answer;
use crate::billing::browse::PaymentFilter;
use crate::billing::counter::{Purpose, Taken};
use crate::billing::refund::{RefundPolicy, RefundWish};
use crate::domain::ids::{InvoiceId, OrderId, PaymentId, ServiceId, SubscriberId};
use crate::domain::order::{Order, Purchase};
use crate::domain::payment::{Method, Payment, PaymentStatus, Refund, RefundStatus};
use crate::domain::role::Permission;
use crate::domain::text::Line;

/// The routes of payments and orders.
#[must_use]
pub fn routes() -> Vec<Route> {
    let (read, write) = (Access::Staff(Permission::PaymentsRead), Access::Staff(Permission::PaymentsWrite));
    let refunds = Access::StaffFresh(Permission::RefundsWrite);
    vec![
        Route::get("/api/v1/payments", read, "List payments, newest first", list)
            .query(&["customer_id", "status", "unmatched", "search"])
            .lists::<PaymentView>(),
        Route::post("/api/v1/payments", write, "Book money that was taken at the counter", take)
            .takes::<PaymentBody>()
            .answers::<PaymentView>(201),
        Route::get("/api/v1/payments/{id}", read, "Read a payment by id or reference", get)
            .answers::<PaymentView>(200),
        Route::post("/api/v1/payments/{id}/refund", refunds, "Give all or part of a payment back", refund)
            .takes::<RefundBody>()
            .answers::<PaymentView>(200),
        Route::get("/api/v1/orders", read, "List orders, newest first", orders)
            .query(&["customer_id"])
            .lists::<OrderView>(),
        Route::get("/api/v1/orders/{id}", read, "Read an order", order).answers::<OrderView>(200),
    ]
}

/// Money that was taken at the counter.
#[derive(Debug, ToSchema)]
pub struct PaymentBody {
    /// Whose; not needed with an invoice or an order.
    pub customer_id: Option<String>,
    /// How much.
    pub amount: String,
    /// `cash`, `bank_transfer`, `check`, `other`.
    pub payment_method: Option<String>,
    /// The invoice that it is for.
    pub invoice_id: Option<String>,
    /// The order that it is for.
    pub order_id: Option<String>,
    /// The service whose next period it buys.
    pub service_id: Option<String>,
    /// With `service_id`: the coupon that its price is by.
    pub coupon: Option<String>,
    /// The number of a receipt or of a bank's statement; booked once.
    pub reference_number: Option<String>,
    /// A line for people.
    pub notes: Option<String>,
}

/// What goes back.
#[derive(Debug, ToSchema)]
pub struct RefundBody {
    /// How much; all that is left where nothing is said.
    pub amount: Option<String>,
    /// What becomes of what was bought: `cut` (unless said) or `keep`.
    pub policy: Option<String>,
    /// Whether somebody gives it back by hand: the gateway is not asked, and it counts as done.
    pub by_hand: Option<bool>,
    /// Why.
    pub reason: String,
}

/// A payment as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentView {
    /// Identity.
    pub id: String,
    /// Whose; null for money that nobody is known for.
    pub customer_id: Option<String>,
    /// The order that it is for.
    pub order_id: Option<String>,
    /// Who took the money.
    pub gateway: &'static str,
    /// Our reference.
    pub reference: String,
    /// What the gateway calls it.
    pub transaction_id: Option<String>,
    /// `created`, `pending`, `unknown`, `succeeded`, `failed`, `expired`, `cancelled`, `partially_refunded`,
    /// `refunded`, `disputed`.
    pub status: &'static str,
    /// How it was paid.
    #[schema(value_type = String)]
    pub payment_method: Method,
    /// ISO 4217.
    pub currency: String,
    /// What came, or, while nothing has, what is to come.
    pub amount: String,
    /// What had to come.
    pub expected: String,
    /// What the gateway kept.
    pub fee: Option<String>,
    /// What went back.
    pub refunded: String,
    /// Each time that something went back.
    pub refunds: Vec<RefundView>,
    /// Where the payer pays, while it is pending.
    pub checkout_url: Option<String>,
    /// A line for people.
    pub notes: Option<String>,
    /// When it began.
    pub created_at: String,
    /// When the money was booked.
    pub settled_at: Option<String>,
}

/// Money that went back.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefundView {
    /// How much.
    pub amount: String,
    /// `pending`, `done`, `failed`.
    #[schema(value_type = String)]
    pub status: RefundStatus,
    /// Whether the payer's bank took it.
    pub is_chargeback: bool,
    /// Why.
    pub reason: String,
    /// When.
    pub at: String,
}

/// An order as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderView {
    /// Identity.
    pub id: String,
    /// Whose.
    pub customer_id: String,
    /// `open`, `underpaid`, `fulfilled`, `cancelled`, `expired`.
    pub status: &'static str,
    /// `period`, `top_up`, `change_plan`, `wallet`, `invoices`.
    pub kind: &'static str,
    /// Which service.
    pub service_id: Option<String>,
    /// ISO 4217.
    pub currency: String,
    /// What has to be paid.
    pub total: String,
    /// How that comes about.
    pub quote: QuoteView,
    /// The coupon that it is by.
    pub coupon: Option<String>,
    /// The invoice that says so.
    pub invoice_id: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// After this its price holds no longer.
    pub expires_at: String,
    /// When it was carried out.
    pub fulfilled_at: Option<String>,
}

impl PaymentView {
    pub(super) fn of(payment: &Payment) -> Self {
        let shown = payment.received.unwrap_or(payment.expected);
        let money = |minor| crate::domain::money::Money { minor, ..shown }.decimal();
        let refund = |refund: &Refund| RefundView {
            amount: refund.amount.decimal(),
            status: refund.status,
            is_chargeback: refund.is_chargeback,
            reason: refund.reason.clone(),
            at: refund.at.to_string(),
        };
        Self {
            id: payment.id.to_string(),
            customer_id: payment.subscriber_id.map(|id| id.to_string()),
            order_id: payment.order_id.map(|id| id.to_string()),
            gateway: payment.provider.name(),
            reference: payment.reference.clone(),
            transaction_id: payment.transaction.clone(),
            status: payment.status.name(),
            payment_method: payment.method,
            currency: shown.currency.code().to_owned(),
            amount: shown.decimal(),
            expected: payment.expected.decimal(),
            fee: payment.fee.map(|fee| fee.decimal()),
            refunded: money(payment.refunded()),
            refunds: payment.refunds.iter().map(refund).collect(),
            checkout_url: payment.url.clone().filter(|_| !payment.status.is_booked()),
            notes: payment.note.clone(),
            created_at: payment.created_at.to_string(),
            settled_at: payment.settled_at.map(|at| at.to_string()),
        }
    }
}

impl OrderView {
    pub(super) fn of(order: &Order) -> Self {
        Self {
            id: order.id.to_string(),
            customer_id: order.subscriber_id.to_string(),
            status: order.status.name(),
            kind: match &order.purchase {
                Purchase::Period { .. } => "period",
                Purchase::TopUp { .. } => "top_up",
                Purchase::ChangePlan { .. } => "change_plan",
                Purchase::Wallet => "wallet",
                Purchase::Invoices { .. } => "invoices",
            },
            service_id: order.service_id().map(|id| id.to_string()),
            currency: order.total().currency.code().to_owned(),
            total: order.total().decimal(),
            quote: QuoteView::of(&order.quote),
            coupon: order.coupon.as_ref().map(|coupon| coupon.code.to_string()),
            invoice_id: order.invoice_id.map(|id| id.to_string()),
            created_at: order.created_at.to_string(),
            expires_at: order.expires_at.to_string(),
            fulfilled_at: order.fulfilled_at.map(|at| at.to_string()),
        }
    }
}

async fn list(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let status: Option<PaymentStatus> = match call.query("status") {
        None => None,
        Some(text) => Some(
            serde_json::from_value(text.to_lowercase().into())
                .map_err(|_| ApiError::field("status", "is not a payment's status"))?,
        ),
    };
    let filter = PaymentFilter {
        subscriber: customer_filter(&call)?,
        status,
        unmatched: call.query_as("unmatched")?.unwrap_or(false),
        search: call.query("search"),
    };
    let listed = app.billing.till.payments(&filter, part(window)).await?;
    Ok(edit::list(listed, window, |payment| PaymentView::of(&payment)))
}

async fn get(app: App, call: Call) -> Result<Answer, ApiError> {
    Ok(Answer::ok(&PaymentView::of(&app.billing.till.payment(reference(&call), None).await?)))
}

async fn take(app: App, call: Call) -> Result<Answer, ApiError> {
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return Ok(kept);
    }
    let taken = read_taken(&app, &call).await?;
    let beside = |unit, payment: &Payment, _: Option<&Order>| {
        let after = json!({ "amount": payment.expected.decimal(), "customer_id": payment.subscriber_id });
        let unit = audited(&app, &call, unit, "payment.take", payment.id, after)?;
        once.keep(unit, &Answer::created(&PaymentView::of(payment)))
    };
    let made = app.billing.till.take(&taken, &call.actor, Some(&beside), call.now).await;
    let answer = made.map(|payment| Answer::created(&PaymentView::of(&payment)));
    once.or_kept(answer.map_err(Into::into)).await
}

/// Reads what was taken; whose it is follows from an invoice or an order where nobody is named.
async fn read_taken(app: &App, call: &Call) -> Result<Taken, ApiError> {
    let object = call.object()?;
    let mut form = Form::new(&object);
    let parsed = |value: &serde_json::Value| -> Result<uuid::Uuid, &'static str> {
        value.as_str().and_then(|text| text.parse().ok()).ok_or("must be an id")
    };
    let money = form.required_with("amount", |value| amount(value, app.site.currency));
    let method = form.optional_with("payment_method", |value| method(value.as_str().unwrap_or_default()));
    let customer = form.optional_with("customer_id", parsed).map(SubscriberId);
    let invoice = form.optional_with("invoice_id", parsed).map(InvoiceId);
    let order = form.optional_with("order_id", parsed).map(OrderId);
    let service = form.optional_with("service_id", parsed).map(ServiceId);
    let reference: Option<Line> = form.optional("reference_number");
    let note: Option<Line> = form.optional("notes");
    let coupon: Option<String> = form.optional("coupon");
    let amount = form.finish(money)?;
    let purpose = match (order, invoice, service) {
        (Some(id), None, None) => Purpose::Order(id),
        (None, Some(id), None) => Purpose::Invoice(id),
        (None, None, Some(id)) => match coupon {
            Some(code) => Purpose::RenewWith(id, code),
            None => Purpose::Renew(id),
        },
        (None, None, None) => Purpose::Account,
        _ => return Err(ApiError::field("invoice_id", "name one of order_id, invoice_id and service_id")),
    };
    let owner = match &purpose {
        Purpose::Order(id) => Some(app.billing.till.order(*id, None).await?.subscriber_id),
        Purpose::Invoice(id) => {
            Some(app.billing.till.document(&id.to_string(), None).await?.invoice.subscriber_id)
        }
        Purpose::Renew(id) | Purpose::RenewWith(id, _) => {
            Some(app.catalogue.services.get(&id.to_string(), call.now).await?.service.subscriber_id)
        }
        Purpose::Account => None,
    };
    let subscriber = match (customer, owner) {
        (Some(named), Some(owner)) if named != owner => {
            return Err(ApiError::field("customer_id", "is not whose it is for"));
        }
        (Some(one), _) | (None, Some(one)) => one,
        (None, None) => return Err(ApiError::field("customer_id", "is required")),
    };
    Ok(Taken {
        subscriber,
        amount,
        method: method.unwrap_or(Method::Cash),
        purpose,
        reference: reference.map(|line| line.to_string()),
        note: note.map(|line| line.to_string()),
        by: at_the_counter(call),
    })
}

/// How money was taken; what is not known is refused, never guessed.
fn method(text: &str) -> Result<Method, &'static str> {
    match text.to_lowercase().as_str() {
        "cash" => Ok(Method::Cash),
        "bank_transfer" | "transfer" | "ach" | "bank_account" => Ok(Method::Transfer),
        "check" | "cheque" => Ok(Method::Check),
        "other" => Ok(Method::Other),
        _ => Err("must be one of cash, bank_transfer, check, other; cards are taken by a gateway"),
    }
}

async fn refund(app: App, call: Call) -> Result<Answer, ApiError> {
    let payment = app.billing.till.payment(reference(&call), None).await?;
    let object = call.object()?;
    let mut form = Form::new(&object);
    let currency = payment.expected.currency;
    let asked = form.optional_with("amount", |value| amount(value, currency));
    let policy = form.optional_with("policy", |value| {
        serde_json::from_value::<RefundPolicy>(value.clone()).map_err(|_| "must be cut or keep")
    });
    let by_hand: Option<bool> = form.optional("by_hand");
    form.finish(Some(()))?;
    let reason = call.reason()?.to_owned();
    // A repeat of the request is the same refund: its key is the client's, or this request's own.
    let key = call
        .header(super::commit::KEY_HEADER)
        .map_or_else(|| app.entropy.uuid_v7(call.now).map(|id| id.to_string()), |key| Ok(key.to_owned()))?;
    let wish = RefundWish {
        key,
        amount: asked,
        reason,
        policy: policy.unwrap_or_default(),
        by_hand: by_hand.unwrap_or(false),
        may_be_large: call.caller.may(Permission::RefundsLarge),
    };
    let id: PaymentId = payment.id;
    let beside = |unit| {
        let amount = wish.amount.map(|amount| amount.decimal());
        let after = json!({ "amount": amount, "reason": wish.reason, "by_hand": wish.by_hand });
        audited(&app, &call, unit, "payment.refund", id, after)
    };
    let (payment, _) = app.billing.till.refund(id, &wish, Some(&beside), call.now).await?;
    // Whoever asks gateways has this one give the money back.
    app.billing.attempts.activator().pull();
    Ok(Answer::ok(&PaymentView::of(&payment)))
}

async fn orders(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let listed = app.billing.till.orders(customer_filter(&call)?, part(window)).await?;
    Ok(edit::list(listed, window, |order| OrderView::of(&order)))
}

async fn order(app: App, call: Call) -> Result<Answer, ApiError> {
    let order = app.billing.till.order(call.id("order")?, None).await?;
    Ok(Answer::ok(&OrderView::of(&order)))
}
