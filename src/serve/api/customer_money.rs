//! A subscriber's own money: wallet, invoices, payments, orders; renewing, changing plan, sending money to a friend.
//!
//! The native surface: amounts are decimal texts beside their currency. The one rule: everything is about the
//! subscriber who asks, and a price is looked up here; what a client says it costs is compared, never taken.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::commit::{Once, commit_answering};
use super::users::rfc3339;
use super::{Access, Answer, ApiError, App, Body, Call, Field, Form, Route};
use crate::billing::browse::Document;
use crate::billing::subscribing::PlanChange;
use crate::billing::{BillingError, Wish};
use crate::domain::ids::{InvoiceId, OrderId, PaymentId, PlanId, ServiceId, SubscriberId};
use crate::domain::invoice::DocumentKind;
use crate::domain::money::Money;
use crate::domain::order::{Order, Purchase};
use crate::domain::payment::Payment;
use crate::reception::Account;

/// The routes of a subscriber's own money.
#[must_use]
pub fn routes() -> Vec<Route> {
    let own = Access::Customer;
    let routes = vec![
        Route::get("/api/v1/customer/wallet", own, "What one has, and what one owes", wallet)
            .answers::<WalletView>(200),
        Route::get("/api/v1/customer/invoices", own, "One's invoices and credit notes", invoices)
            .lists::<OwnInvoiceView>(),
        Route::get("/api/v1/customer/invoices/{id}", own, "One of one's invoices", invoice)
            .answers::<OwnInvoiceView>(200),
        Route::get("/api/v1/customer/payments", own, "One's payments", payments).lists::<OwnPaymentView>(),
        Route::get("/api/v1/customer/payments/{id}", own, "One of one's payments", payment)
            .answers::<OwnPaymentView>(200),
        Route::get("/api/v1/customer/orders", own, "One's orders", orders).lists::<OwnOrderView>(),
        Route::post(
            "/api/v1/customer/orders",
            own,
            "Order something, at a price that no longer moves",
            order,
        )
        .takes::<OrderBody>()
        .answers::<OwnOrderView>(201),
        Route::get("/api/v1/customer/orders/{id}", own, "One of one's orders", one_order)
            .answers::<OwnOrderView>(200),
        Route::post("/api/v1/customer/orders/{id}/pay", own, "Pay an order from the wallet", pay_order)
            .answers::<OwnOrderView>(200),
        Route::post("/api/v1/customer/orders/{id}/coupon", own, "Use a coupon for an order", use_coupon)
            .takes::<CouponBody>()
            .answers::<OwnOrderView>(200),
        Route::post("/api/v1/customer/topups", own, "Order more data or time", top_up)
            .takes::<TopUpBody>()
            .answers::<OwnOrderView>(201),
        Route::post("/api/v1/customer/auto-renew", own, "Switch automatic renewal", auto_renew)
            .takes::<AutoRenewBody>()
            .answers::<WalletView>(200),
        Route::post("/api/v1/customer/transfer", own, "Send money to a friend's wallet", transfer)
            .takes::<TransferBody>()
            .answers::<WalletView>(200),
        Route::post("/api/v1/customer/service/upgrade", own, "Change one's plan", upgrade)
            .takes::<UpgradeBody>()
            .answers::<PlanChangedView>(200),
    ];
    routes.into_iter().map(Route::on_portal).collect()
}

/// What one has, and what one owes.
#[derive(Debug, Serialize, ToSchema)]
pub struct WalletView {
    /// What one has, decimal.
    pub balance: String,
    /// What one owes by invoices, decimal.
    pub owed: String,
    /// What both are in.
    pub currency: String,
    /// When the first of what is owed is, or was, due.
    pub due_at: Option<String>,
    /// Whether the next period is bought from the wallet by itself; `null` where nothing is bought before.
    pub auto_renew: Option<bool>,
}

/// An invoice or a credit note.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnInvoiceView {
    /// Identity.
    pub id: String,
    /// Its number.
    pub invoice_number: String,
    /// `invoice` or `credit_note`.
    pub kind: &'static str,
    /// `issued`, `partially_paid`, `paid`, `overdue`, `void`, `written_off`.
    pub status: &'static str,
    /// What all amounts are in.
    pub currency: String,
    /// Without tax, decimal.
    pub net: String,
    /// Tax, decimal.
    pub tax: String,
    /// Both together, decimal.
    pub total: String,
    /// What was paid, decimal.
    pub amount_paid: String,
    /// What is owed, decimal.
    pub amount_due: String,
    /// When it was made final.
    pub issued_at: Option<String>,
    /// Until when it is to be paid.
    pub due_at: Option<String>,
    /// When nothing was owed any more.
    pub paid_at: Option<String>,
    /// What it is for.
    pub lines: Vec<OwnLineView>,
}

/// A line of an invoice or an order.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnLineView {
    /// What it is.
    pub description: String,
    /// Without tax, decimal.
    pub net: String,
    /// Tax, decimal.
    pub tax: String,
    /// Both together, decimal.
    pub total: String,
    /// First instant of what it pays for.
    pub period_start: Option<String>,
    /// First instant after.
    pub period_end: Option<String>,
}

/// A payment.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnPaymentView {
    /// Identity.
    pub id: String,
    /// Our reference.
    pub reference: String,
    /// Who takes the money.
    pub gateway: &'static str,
    /// How far it is.
    pub status: &'static str,
    /// What came, or is to come, decimal.
    pub amount: String,
    /// What went back, decimal.
    pub refunded: String,
    /// What all are in.
    pub currency: String,
    /// The order that it is for.
    pub order_id: Option<String>,
    /// Where one pays, while it is pending.
    pub checkout_url: Option<String>,
    /// When it began.
    pub created_at: String,
    /// When the money was booked.
    pub settled_at: Option<String>,
}

/// An order.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnOrderView {
    /// Identity.
    pub id: String,
    /// `period`, `top_up`, `change_plan`, `wallet`, `invoices`.
    pub kind: &'static str,
    /// `open`, `underpaid`, `fulfilled`, `cancelled`, `expired`.
    pub status: &'static str,
    /// What is to be paid, decimal.
    pub total: String,
    /// Of it tax, decimal.
    pub tax: String,
    /// What a coupon took off, decimal.
    pub discount: String,
    /// The coupon.
    pub coupon: Option<String>,
    /// What all are in.
    pub currency: String,
    /// Which service it is about.
    pub service_id: Option<String>,
    /// What it is for.
    pub lines: Vec<OwnLineView>,
    /// Until when the price holds.
    pub expires_at: String,
    /// When it was carried out.
    pub fulfilled_at: Option<String>,
    /// The invoice that says so.
    pub invoice_id: Option<String>,
}

/// What is ordered. Prices are ours; a client's are not read.
#[derive(Debug, ToSchema)]
pub struct OrderBody {
    /// `period`, `top_up`, `change_plan`, `wallet`, `invoices`.
    pub kind: String,
    /// Which service; one's own where none is named.
    pub service_id: Option<String>,
    /// For `top_up`: the offer's code.
    pub offer: Option<String>,
    /// For `change_plan`: the plan's id or code.
    pub plan_id: Option<String>,
    /// For `wallet`: how much, decimal.
    pub amount: Option<String>,
    /// For `invoices`: which; all open ones where none is named.
    pub invoice_ids: Option<Vec<String>>,
    /// For `period` and `top_up`: a coupon.
    pub coupon: Option<String>,
}

/// A coupon for an order.
#[derive(Debug, ToSchema)]
pub struct CouponBody {
    /// Its code.
    pub coupon: String,
}

/// What more is ordered for the running period.
#[derive(Debug, ToSchema)]
pub struct TopUpBody {
    /// The offer's code.
    pub offer: String,
    /// Which service; one's own where none is named.
    pub service_id: Option<String>,
    /// A coupon.
    pub coupon: Option<String>,
}

/// Whether the next period is bought by itself.
#[derive(Debug, ToSchema)]
pub struct AutoRenewBody {
    /// On or off.
    pub enabled: bool,
}

/// Money for a friend.
#[derive(Debug, ToSchema)]
pub struct TransferBody {
    /// The friend's customer number.
    pub to: String,
    /// How much, decimal.
    #[schema(value_type = String)]
    pub amount: Decimal,
}

/// Another plan.
#[derive(Debug, ToSchema)]
pub struct UpgradeBody {
    /// The plan's id or code.
    pub plan_id: String,
}

/// What a change of plan came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanChangedView {
    /// Always true.
    pub success: bool,
    /// `at_once`, `next_period`.
    pub begins: &'static str,
    /// When, where it is known and later.
    pub begins_at: Option<String>,
    /// The plan.
    pub plan_id: String,
    /// What it cost, where it cost something now.
    pub order: Option<OwnOrderView>,
}

/// An amount as a client writes it: a decimal text, or a number that looks like one.
#[derive(Debug, Clone)]
pub struct Decimal(pub(super) String);

impl Field for Decimal {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(Self(text.trim().to_owned())),
            Value::Number(number) => Ok(Self(number.to_string())),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                Err("must be an amount such as \"17500.00\"".to_owned())
            }
        }
    }
}

impl Decimal {
    /// The amount in the currency of this site.
    pub(super) fn money(&self, app: &App, field: &str) -> Result<Money, ApiError> {
        Money::parse(&self.0, app.site.currency).map_err(|error| ApiError::field(field, error.to_string()))
    }
}

impl Body for AutoRenewBody {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        Some(Self { enabled: form.required("enabled")? })
    }
}

impl Body for CouponBody {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        Some(Self { coupon: form.required("coupon")? })
    }
}

impl Body for TransferBody {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        let (to, amount) = (form.required("to"), form.required("amount"));
        Some(Self { to: to?, amount: amount? })
    }
}

impl Body for UpgradeBody {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        let name = form.first_of(&["plan_id", "plan_code"]).unwrap_or("plan_id");
        Some(Self { plan_id: form.required(name)? })
    }
}

impl OwnInvoiceView {
    fn of(one: &Document, now: Timestamp) -> Self {
        let (invoice, quote) = (&one.invoice, &one.invoice.quote);
        let subjects = invoice.subjects.iter().map(Some).chain(std::iter::repeat(None));
        Self {
            id: invoice.id.to_string(),
            invoice_number: invoice.number.clone().unwrap_or_default(),
            kind: match invoice.kind {
                DocumentKind::Invoice => "invoice",
                DocumentKind::CreditNote => "credit_note",
            },
            status: one.status(now).name(),
            currency: invoice.currency().to_string(),
            net: quote.net.decimal(),
            tax: quote.tax.decimal(),
            total: quote.total.decimal(),
            amount_paid: one.paid().decimal(),
            amount_due: one.owed().decimal(),
            issued_at: invoice.issued_at.map(rfc3339),
            due_at: invoice.due_at.map(rfc3339),
            paid_at: one.standing.as_ref().and_then(|standing| standing.cleared_at).map(rfc3339),
            lines: quote
                .lines
                .iter()
                .zip(subjects)
                .map(|(line, subject)| OwnLineView {
                    description: line.description.clone(),
                    net: line.net.decimal(),
                    tax: line.tax.decimal(),
                    total: line.total.decimal(),
                    period_start: subject.and_then(|subject| subject.from).map(rfc3339),
                    period_end: subject.and_then(|subject| subject.until).map(rfc3339),
                })
                .collect(),
        }
    }
}

impl OwnPaymentView {
    pub(super) fn of(one: &Payment) -> Self {
        let amount = one.received.unwrap_or(one.expected);
        Self {
            id: one.id.to_string(),
            reference: one.reference.clone(),
            gateway: one.provider.name(),
            status: one.status.name(),
            amount: amount.decimal(),
            refunded: Money { minor: one.refunded(), ..amount }.decimal(),
            currency: amount.currency.to_string(),
            order_id: one.order_id.map(|id| id.to_string()),
            checkout_url: one.url.clone().filter(|_| !one.status.is_booked()),
            created_at: rfc3339(one.created_at),
            settled_at: one.settled_at.map(rfc3339),
        }
    }
}

impl OwnOrderView {
    pub(super) fn of(one: &Order) -> Self {
        Self {
            id: one.id.to_string(),
            kind: match &one.purchase {
                Purchase::Period { .. } => "period",
                Purchase::TopUp { .. } => "top_up",
                Purchase::ChangePlan { .. } => "change_plan",
                Purchase::Wallet => "wallet",
                Purchase::Invoices { .. } => "invoices",
            },
            status: one.status.name(),
            total: one.total().decimal(),
            tax: one.quote.tax.decimal(),
            discount: one.quote.discount.decimal(),
            coupon: one.coupon.as_ref().map(|coupon| coupon.code.to_string()),
            currency: one.total().currency.to_string(),
            service_id: one.service_id().map(|id| id.to_string()),
            lines: one
                .quote
                .lines
                .iter()
                .map(|line| OwnLineView {
                    description: line.description.clone(),
                    net: line.net.decimal(),
                    tax: line.tax.decimal(),
                    total: line.total.decimal(),
                    period_start: None,
                    period_end: None,
                })
                .collect(),
            expires_at: rfc3339(one.expires_at),
            fulfilled_at: one.fulfilled_at.map(rfc3339),
            invoice_id: one.invoice_id.map(|id| id.to_string()),
        }
    }
}

pub(super) fn me(call: &Call) -> Result<SubscriberId, ApiError> {
    Ok(call.customer()?.subscriber_id)
}

async fn account(app: &App, call: &Call) -> Result<Account, ApiError> {
    Ok(app.reception.account(me(call)?, call.now).await?)
}

/// The service that a request means: the one it names, or the one that counts for who asks.
pub(super) async fn service_of(
    app: &App,
    call: &Call,
    named: Option<ServiceId>,
) -> Result<ServiceId, ApiError> {
    match named {
        Some(id) => Ok(id),
        None => {
            let service = account(app, call).await?.service.map(|one| one.service.id);
            service.ok_or_else(|| ApiError::not_found("service"))
        }
    }
}

/// A plan by its id or code.
pub(super) async fn plan_of(app: &App, reference: &str) -> Result<PlanId, ApiError> {
    let found = app.catalogue.plans.get(reference).await;
    let found = found.ok().filter(|plan| plan.body.is_active && plan.body.is_public);
    found
        .map(|plan| plan.body.id)
        .ok_or_else(|| ApiError::field("plan_id", "there is no such plan to change to"))
}

async fn wallet_view(app: &App, call: &Call) -> Result<WalletView, ApiError> {
    let service = account(app, call).await?.service.map(|one| one.service.id);
    let stands = app.billing.overview(me(call)?, service).await?;
    Ok(WalletView {
        balance: stands.wallet.decimal(),
        owed: stands.owed.decimal(),
        currency: stands.wallet.currency.to_string(),
        due_at: stands.due_at.map(rfc3339),
        auto_renew: stands.subscription.map(|one| one.auto_renew),
    })
}

async fn wallet(app: App, call: Call) -> Result<Answer, ApiError> {
    Ok(Answer::ok(&wallet_view(&app, &call).await?))
}

async fn invoices(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let all = app.billing.invoices_of(me(&call)?).await?;
    let total = all.len();
    Ok(Answer::list(window.of(all).iter().map(|one| OwnInvoiceView::of(one, call.now)), total, window))
}

async fn invoice(app: App, call: Call) -> Result<Answer, ApiError> {
    let id = call.id::<InvoiceId>("invoice")?;
    Ok(Answer::ok(&OwnInvoiceView::of(&app.billing.invoice_of(me(&call)?, id).await?, call.now)))
}

async fn payments(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let all = app.billing.payments_of(me(&call)?).await?;
    let total = all.len();
    Ok(Answer::list(window.of(all).iter().map(OwnPaymentView::of), total, window))
}

async fn payment(app: App, call: Call) -> Result<Answer, ApiError> {
    let id = call.id::<PaymentId>("payment")?;
    Ok(Answer::ok(&OwnPaymentView::of(&app.billing.payment_of(me(&call)?, id).await?)))
}

async fn orders(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let all = app.billing.orders_of(me(&call)?).await?;
    let total = all.len();
    Ok(Answer::list(window.of(all).iter().map(OwnOrderView::of), total, window))
}

async fn one_order(app: App, call: Call) -> Result<Answer, ApiError> {
    let id = call.id::<OrderId>("order")?;
    Ok(Answer::ok(&OwnOrderView::of(&app.billing.order_of(me(&call)?, id).await?)))
}

async fn order(app: App, call: Call) -> Result<Answer, ApiError> {
    let wish = wish(&app, &call).await?;
    ordered(&app, &call, &wish).await
}

async fn top_up(app: App, call: Call) -> Result<Answer, ApiError> {
    let mut object = call.object()?;
    object.insert("kind".to_owned(), "top_up".into());
    let wish = wish_in(&app, &call, &object).await?;
    ordered(&app, &call, &wish).await
}

async fn ordered(app: &App, call: &Call, wish: &Wish) -> Result<Answer, ApiError> {
    let subscriber = me(call)?;
    let answer = |order: &Order| Answer::created(&OwnOrderView::of(order));
    let object = call.object()?;
    let mut form = Form::new(&object);
    let coupon: Option<String> = form.optional("coupon");
    form.finish(Some(()))?;
    let Some(code) = coupon else {
        let draft = || app.billing.shop.order(subscriber, wish, &call.actor, call.now);
        return commit_answering(app, call, draft, answer).await;
    };
    let once = Once::of(app, call)?;
    if let Some(kept) = once.kept().await? {
        return Ok(kept);
    }
    let extra = |unit, order: &Order| once.keep(unit, &answer(order));
    let (till, what) = (&app.billing.till, (subscriber, wish));
    let made = till.order_with_coupon(what, &code, &call.actor, Some(&extra), call.now).await;
    once.or_kept(made.map(|order| answer(&order)).map_err(Into::into)).await
}

async fn use_coupon(app: App, call: Call) -> Result<Answer, ApiError> {
    let id = call.id::<OrderId>("order")?;
    let body: CouponBody = call.json()?;
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return Ok(kept);
    }
    let answer = |order: &Order| Answer::ok(&OwnOrderView::of(order));
    let extra = |unit, order: &Order| once.keep(unit, &answer(order));
    let used = app.billing.till.apply_coupon(id, me(&call)?, &body.coupon, Some(&extra), call.now).await;
    once.or_kept(used.map(|order| answer(&order)).map_err(Into::into)).await
}

async fn wish(app: &App, call: &Call) -> Result<Wish, ApiError> {
    wish_in(app, call, &call.object()?).await
}

async fn wish_in(app: &App, call: &Call, object: &Map<String, Value>) -> Result<Wish, ApiError> {
    let mut form = Form::new(object);
    let kind: Option<String> = form.required("kind");
    let service: Option<ServiceId> = form.optional("service_id");
    let offer: Option<String> = form.optional("offer");
    let plan: Option<String> = form.optional("plan_id");
    let amount: Option<Decimal> = form.optional("amount");
    let invoices = form.value("invoice_ids").map(ids);
    let kind = form.finish(kind)?;
    let missing = |field: &str| ApiError::field(field, "is required");
    match kind.as_str() {
        "period" => Ok(Wish::Period(service_of(app, call, service).await?)),
        "top_up" => {
            let offer = offer.ok_or_else(|| missing("offer"))?;
            Ok(Wish::TopUp(service_of(app, call, service).await?, offer))
        }
        "change_plan" => {
            let plan = plan_of(app, &plan.ok_or_else(|| missing("plan_id"))?).await?;
            Ok(Wish::ChangePlan(service_of(app, call, service).await?, plan))
        }
        "wallet" => Ok(Wish::Wallet(amount.ok_or_else(|| missing("amount"))?.money(app, "amount")?)),
        "invoices" => Ok(Wish::Invoices(invoices.transpose()?.unwrap_or_default())),
        _ => Err(ApiError::field("kind", "must be one of: period, top_up, change_plan, wallet, invoices")),
    }
}

fn ids(value: &Value) -> Result<Vec<InvoiceId>, ApiError> {
    let fault = || ApiError::field("invoice_ids", "must be a list of at most 100 ids of invoices");
    let listed = value.as_array().filter(|all| all.len() <= MOST_NAMED).ok_or_else(fault)?;
    listed.iter().map(|one| one.as_str().and_then(|text| text.parse().ok()).ok_or_else(fault)).collect()
}

async fn pay_order(app: App, call: Call) -> Result<Answer, ApiError> {
    let id = call.id::<OrderId>("order")?;
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return Ok(kept);
    }
    let answer = |order: &Order| Answer::ok(&OwnOrderView::of(order));
    let extra = |unit, order: &Order| once.keep(unit, &answer(order));
    let paid = app.billing.till.pay_from_wallet(id, me(&call)?, Some(&extra), call.now).await;
    once.or_kept(paid.map(|order| answer(&order)).map_err(Into::into)).await
}

async fn auto_renew(app: App, call: Call) -> Result<Answer, ApiError> {
    let body: AutoRenewBody = call.json()?;
    switch_auto_renew(&app, &call, body.enabled).await?;
    Ok(Answer::ok(&wallet_view(&app, &call).await?))
}

/// Switches automatic renewal; safe to repeat.
pub(super) async fn switch_auto_renew(app: &App, call: &Call, on: bool) -> Result<(), ApiError> {
    let service = service_of(app, call, None).await?;
    app.billing.till.set_auto_renew(service, me(call)?, on, None, call.now).await?;
    Ok(())
}

async fn transfer(app: App, call: Call) -> Result<Answer, ApiError> {
    let body: TransferBody = call.json()?;
    let (from, amount) = (me(&call)?, body.amount.money(&app, "amount")?);
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return Ok(kept);
    }
    let friend = app.billing.friend(&body.to).await?;
    let key = match call.header(super::commit::KEY_HEADER) {
        Some(key) => key.to_owned(),
        None => app.entropy.uuid_v7(call.now).map_err(|error| ApiError::internal(&error))?.to_string(),
    };
    let sent = json!({
        "success": true, "to": friend.customer_number, "amount": amount.decimal(),
        "currency": amount.currency.code(),
    });
    let answer = || Answer::ok(&sent);
    let extra = |unit| once.keep(unit, &answer());
    let moved = app.billing.till.transfer((from, friend.id), amount, &key, Some(&extra), call.now).await;
    once.or_kept(moved.map(|()| answer()).map_err(Into::into)).await
}

async fn upgrade(app: App, call: Call) -> Result<Answer, ApiError> {
    let body: UpgradeBody = call.json()?;
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return Ok(kept);
    }
    let changed = change_plan(&app, &call, &body.plan_id).await?;
    once.keep_after(Answer::ok(&changed)).await
}

/// Changes the plan: by itself where that costs nothing now, else paid from the wallet.
pub(super) async fn change_plan(app: &App, call: &Call, plan: &str) -> Result<PlanChangedView, ApiError> {
    let (subscriber, plan) = (me(call)?, plan_of(app, plan).await?);
    let service = service_of(app, call, None).await?;
    let till = &app.billing.till;
    let mut view = PlanChangedView {
        success: true,
        begins: "at_once",
        begins_at: None,
        plan_id: plan.to_string(),
        order: None,
    };
    match till.change_plan(service, subscriber, plan, None, call.now).await? {
        PlanChange::AtOnce => {}
        PlanChange::Next { at } => {
            view.begins = "next_period";
            view.begins_at = at.map(rfc3339);
        }
        PlanChange::NeedsPayment => {
            let wish = Wish::ChangePlan(service, plan);
            let draft = || app.billing.shop.order(subscriber, &wish, &call.actor, call.now);
            let order = super::commit::commit(app, call, draft).await?;
            let paid = till.pay_from_wallet(order.id, subscriber, None, call.now).await;
            view.order = Some(OwnOrderView::of(&paid.map_err(|error| unpaid(error, &order))?));
        }
    }
    Ok(view)
}

/// A wallet that does not hold enough: the order stays, and can be paid in another way.
fn unpaid(error: BillingError, order: &Order) -> ApiError {
    let details = json!({
        "order_id": order.id, "total": order.total().decimal(), "currency": order.total().currency.code(),
    });
    ApiError::from(error).with_details(details)
}

/// Invoices that one order may name: more is somebody's mistake.
const MOST_NAMED: usize = 100;
