//! What the field's customer app (isp-customer of dotmac-ftth-ops) reads, under its own prefix `/api/isp/v1`.
//!
//! It sums amounts and calls `toFixed` on gigabytes, so those are JSON numbers here; lists are bare arrays; an
//! invoice that nothing is owed by has `amount_due` 0, since the app adds up all that are not `paid`; texts are
//! never null. The one rule: the same use cases as the native surface, in other clothes.
//! `tests/contract_isp_customer.rs` holds field by field what the app's code reads.

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::customer::{OwnServiceView, number};
use super::customer_money::{Decimal, UpgradeBody, change_plan, switch_auto_renew};
use super::users::rfc3339;
use super::{Access, Answer, ApiError, App, Body, Call, Form, Route};
use crate::billing::Wish;
use crate::billing::browse::Document;
use crate::domain::ids::InvoiceId;
use crate::domain::invoice::{DocumentKind, InvoiceStatus};
use crate::domain::payment::{Method, Payment, PaymentStatus};

/// The routes of the app that differ from ours; all others are the native ones under its prefix.
#[must_use]
pub fn routes() -> Vec<Route> {
    let own = Access::Customer;
    let routes = vec![
        Route::get("/api/isp/v1/customer/service", own, "The customer app's service", service)
            .answers::<AppServiceView>(200),
        Route::post(
            "/api/isp/v1/customer/service/upgrade",
            own,
            "The customer app changes the plan",
            upgrade,
        )
        .takes::<UpgradeBody>()
        .answers::<AppServiceView>(200),
        Route::get(
            "/api/isp/v1/customer/invoices",
            own,
            "The customer app's invoices, a bare array",
            invoices,
        )
        .answers::<AppInvoiceView>(200),
        Route::get(
            "/api/isp/v1/customer/payments",
            own,
            "The customer app's payments, a bare array",
            payments,
        )
        .answers::<AppPaymentView>(200),
        Route::post("/api/isp/v1/customer/payments", own, "The customer app pays an invoice", pay)
            .takes::<AppPaymentBody>()
            .answers::<AppPaymentView>(200),
        Route::get("/api/v1/customer/payment-methods", own, "What one can pay with by itself", methods)
            .answers::<AppMethodView>(200),
        Route::post(
            "/api/v1/customer/payment-methods/{id}/default",
            own,
            "Choose how one pays",
            default_method,
        )
        .answers::<AppMethodView>(200),
        Route::post(
            "/api/v1/customer/payment-methods/{id}/toggle-autopay",
            own,
            "Switch automatic renewal",
            toggle,
        )
        .answers::<AppMethodView>(200),
        Route::delete("/api/v1/customer/payment-methods/{id}", own, "Remove a way to pay", remove_method),
        Route::get("/api/v1/customer/settings", own, "What one has chosen", settings),
        Route::put("/api/v1/customer/settings", own, "Choose", change_settings),
        Route::get("/api/v1/customer/tickets", own, "Always empty: this box keeps no tickets", tickets),
    ];
    routes.into_iter().map(Route::on_portal).collect()
}

/// A service as the app reads it: speeds are texts, dates too.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppServiceView {
    /// Identity.
    pub id: String,
    /// The plan's name.
    pub plan_name: String,
    /// The plan.
    pub plan_id: String,
    /// `20 Mbps`.
    pub speed_down: String,
    /// `5 Mbps`.
    pub speed_up: String,
    /// Price a period.
    pub monthly_price: f64,
    /// What it is in.
    pub currency: String,
    /// When it first became active; empty before.
    pub installation_date: String,
    /// `monthly`, `30 days`.
    pub billing_cycle: String,
    /// When what is paid for ends; empty where it does not.
    pub next_billing_date: String,
    /// `active`, `suspended`, `cancelled`.
    pub status: &'static str,
}

/// An invoice as the app reads it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppInvoiceView {
    /// Identity.
    pub invoice_id: String,
    /// Its number.
    pub invoice_number: String,
    /// With tax.
    pub amount: f64,
    /// What is owed; 0 for one that is void or given up.
    pub amount_due: f64,
    /// What was paid.
    pub amount_paid: f64,
    /// What all are in.
    pub currency: String,
    /// `finalized`, `paid`, `void`, `uncollectible`.
    pub status: &'static str,
    /// Until when it is to be paid.
    pub due_date: String,
    /// When nothing was owed any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid_date: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// What it is for, in one line.
    pub description: String,
    /// What it is for.
    pub line_items: Vec<AppLineView>,
}

/// A line of an invoice as the app reads it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppLineView {
    /// What it is.
    pub description: String,
    /// Always 1: a line's price is that of all of it.
    pub quantity: u32,
    /// With tax.
    pub unit_price: f64,
    /// With tax.
    pub total_price: f64,
}

/// A payment as the app reads it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppPaymentView {
    /// Identity.
    pub id: String,
    /// How much.
    pub amount: f64,
    /// When.
    pub date: String,
    /// How.
    pub method: &'static str,
    /// The invoice that it paid; empty where there is none.
    pub invoice_number: String,
    /// `success`, `pending`, `failed`.
    pub status: &'static str,
}

/// How the app pays.
#[derive(Debug, ToSchema)]
pub struct AppPaymentBody {
    /// Which invoice.
    pub invoice_id: String,
    /// What is owed by it, as the payer saw it: another amount is refused.
    #[schema(value_type = f64)]
    pub amount: Decimal,
    /// One of `payment-methods`.
    pub payment_method_id: String,
}

/// A way to pay as the app reads it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppMethodView {
    /// Identity.
    pub payment_method_id: &'static str,
    /// `wallet`.
    pub method_type: &'static str,
    /// `active`.
    pub status: &'static str,
    /// Whether it is taken where none is named.
    pub is_default: bool,
    /// What kind of wallet.
    pub wallet_type: &'static str,
    /// Always true.
    pub is_verified: bool,
    /// Since when.
    pub created_at: String,
    /// Whether the next period is bought with it by itself.
    pub auto_pay_enabled: bool,
}

impl Body for AppPaymentBody {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        let (invoice_id, amount) = (form.required("invoice_id"), form.required("amount"));
        let payment_method_id = form.optional("payment_method_id").unwrap_or_else(|| WALLET.to_owned());
        Some(Self { invoice_id: invoice_id?, amount: amount?, payment_method_id })
    }
}

impl AppServiceView {
    fn of(one: OwnServiceView) -> Self {
        Self {
            id: one.id,
            plan_name: one.plan_name,
            plan_id: one.plan_id,
            speed_down: format!("{} Mbps", one.speed_down),
            speed_up: format!("{} Mbps", one.speed_up),
            monthly_price: one.monthly_price,
            currency: one.currency,
            installation_date: one.installation_date.unwrap_or_default(),
            billing_cycle: one.billing_cycle,
            next_billing_date: one.next_billing_date.unwrap_or_default(),
            // The app knows three words; one that is not yet there is as little online as a suspended one.
            status: if one.status == "pending" { "suspended" } else { one.status },
        }
    }
}

impl AppInvoiceView {
    fn of(one: &Document, now: jiff::Timestamp) -> Self {
        let invoice = &one.invoice;
        let lines = &invoice.quote.lines;
        Self {
            invoice_id: invoice.id.to_string(),
            invoice_number: invoice.number.clone().unwrap_or_default(),
            amount: number(invoice.quote.total),
            amount_due: number(one.owed()),
            amount_paid: number(one.paid()),
            currency: invoice.currency().to_string(),
            status: match one.status(now) {
                InvoiceStatus::Draft => "draft",
                InvoiceStatus::Issued | InvoiceStatus::PartiallyPaid | InvoiceStatus::Overdue => "finalized",
                InvoiceStatus::Paid => "paid",
                InvoiceStatus::Void => "void",
                InvoiceStatus::WrittenOff => "uncollectible",
            },
            due_date: rfc3339(invoice.due_at.unwrap_or(invoice.created_at)),
            paid_date: one.standing.as_ref().and_then(|standing| standing.cleared_at).map(rfc3339),
            created_at: rfc3339(invoice.issued_at.unwrap_or(invoice.created_at)),
            description: lines.first().map(|line| line.description.clone()).unwrap_or_default(),
            line_items: lines
                .iter()
                .map(|line| AppLineView {
                    description: line.description.clone(),
                    quantity: 1,
                    unit_price: number(line.total),
                    total_price: number(line.total),
                })
                .collect(),
        }
    }
}

impl AppPaymentView {
    fn of(one: &Payment, invoice_number: String) -> Self {
        Self {
            id: one.id.to_string(),
            amount: number(one.received.unwrap_or(one.expected)),
            date: rfc3339(one.settled_at.unwrap_or(one.created_at)),
            method: method(one.method),
            invoice_number,
            status: match one.status {
                PaymentStatus::Succeeded => "success",
                PaymentStatus::Created | PaymentStatus::Pending | PaymentStatus::Unknown => "pending",
                PaymentStatus::Failed
                | PaymentStatus::Expired
                | PaymentStatus::Cancelled
                | PaymentStatus::PartiallyRefunded
                | PaymentStatus::Refunded
                | PaymentStatus::Disputed => "failed",
            },
        }
    }
}

const fn method(method: Method) -> &'static str {
    match method {
        Method::Card => "card",
        Method::Transfer => "transfer",
        Method::MobileMoney => "mobile_money",
        Method::Cash => "cash",
        Method::Check => "check",
        Method::Wallet => "wallet",
        Method::Other => "other",
    }
}

async fn own_service(app: &App, call: &Call) -> Result<OwnServiceView, ApiError> {
    let account = app.reception.account(call.customer()?.subscriber_id, call.now).await?;
    account.service.as_ref().map(OwnServiceView::of).ok_or_else(|| ApiError::not_found("service"))
}

async fn service(app: App, call: Call) -> Result<Answer, ApiError> {
    Ok(Answer::ok(&AppServiceView::of(own_service(&app, &call).await?)))
}

async fn upgrade(app: App, call: Call) -> Result<Answer, ApiError> {
    let body: UpgradeBody = call.json()?;
    change_plan(&app, &call, &body.plan_id).await?;
    Ok(Answer::ok(&AppServiceView::of(own_service(&app, &call).await?)))
}

async fn invoices(app: App, call: Call) -> Result<Answer, ApiError> {
    let all = app.billing.invoices_of(call.customer()?.subscriber_id).await?;
    // The app knows no credit notes: it would add them up as something that is owed.
    let shown = all.iter().filter(|one| one.invoice.kind == DocumentKind::Invoice);
    let shown: Vec<_> = shown.map(|one| AppInvoiceView::of(one, call.now)).collect();
    Ok(Answer::ok(&shown))
}

async fn payments(app: App, call: Call) -> Result<Answer, ApiError> {
    let all = app.billing.payments_of(call.customer()?.subscriber_id).await?;
    let mut shown = Vec::with_capacity(all.len());
    for one in &all {
        let paid = app.billing.invoice_paid_by(one).await?;
        shown.push(AppPaymentView::of(one, paid.unwrap_or_default()));
    }
    Ok(Answer::ok(&shown))
}

async fn pay(app: App, call: Call) -> Result<Answer, ApiError> {
    let body: AppPaymentBody = call.json()?;
    let me = call.customer()?.subscriber_id;
    let id: InvoiceId = body.invoice_id.parse().map_err(|_| ApiError::not_found("invoice"))?;
    if body.payment_method_id != WALLET {
        return Err(ApiError::field("payment_method_id", "must be one of your payment methods: wallet"));
    }
    let invoice = app.billing.invoice_of(me, id).await?;
    let (owed, said) = (invoice.owed(), body.amount.money(&app, "amount")?);
    if owed.minor == 0 {
        return Err(ApiError::rule("Nothing is owed by this invoice."));
    }
    if said != owed {
        return Err(ApiError::field("amount", format!("must be what is owed: {owed}")));
    }
    let wish = Wish::Invoices(vec![id]);
    let draft = || app.billing.shop.order(me, &wish, &call.actor, call.now);
    let order = super::commit::commit(&app, &call, draft).await?;
    app.billing.till.pay_from_wallet(order.id, me, None, call.now).await?;
    let paid = AppPaymentView {
        id: order.id.to_string(),
        amount: number(owed),
        date: rfc3339(call.now),
        method: WALLET,
        invoice_number: invoice.invoice.number.unwrap_or_default(),
        status: "success",
    };
    Ok(Answer::ok(&paid))
}

/// The wallet: what is paid with by itself. Cards are asked for by their provider each time, and kept nowhere here.
async fn wallet_method(app: &App, call: &Call) -> Result<AppMethodView, ApiError> {
    let account = app.reception.account(call.customer()?.subscriber_id, call.now).await?;
    let service = account.service.as_ref().map(|one| one.service.id);
    let stands = app.billing.overview(account.subscriber.id, service).await?;
    Ok(AppMethodView {
        payment_method_id: WALLET,
        method_type: WALLET,
        status: "active",
        is_default: true,
        wallet_type: "prepaid",
        is_verified: true,
        created_at: rfc3339(account.subscriber.created_at),
        auto_pay_enabled: stands.subscription.is_some_and(|one| one.auto_renew),
    })
}

async fn methods(app: App, call: Call) -> Result<Answer, ApiError> {
    Ok(Answer::ok(&[wallet_method(&app, &call).await?]))
}

fn must_be_wallet(call: &Call) -> Result<(), ApiError> {
    let id: String = call.id("payment method")?;
    if id == WALLET { Ok(()) } else { Err(ApiError::not_found("payment method")) }
}

async fn default_method(app: App, call: Call) -> Result<Answer, ApiError> {
    must_be_wallet(&call)?;
    Ok(Answer::ok(&wallet_method(&app, &call).await?))
}

async fn toggle(app: App, call: Call) -> Result<Answer, ApiError> {
    must_be_wallet(&call)?;
    let was = wallet_method(&app, &call).await?.auto_pay_enabled;
    switch_auto_renew(&app, &call, !was).await?;
    Ok(Answer::ok(&wallet_method(&app, &call).await?))
}

async fn remove_method(_: App, call: Call) -> Result<Answer, ApiError> {
    must_be_wallet(&call)?;
    std::future::ready(Err(ApiError::rule("The wallet belongs to the account; it cannot be removed."))).await
}

async fn settings_of(app: &App, call: &Call) -> Result<Value, ApiError> {
    let wallet = wallet_method(app, call).await?;
    Ok(json!({ "auto_renew": wallet.auto_pay_enabled, "currency": app.site.currency.code() }))
}

async fn settings(app: App, call: Call) -> Result<Answer, ApiError> {
    Ok(Answer::ok(&settings_of(&app, &call).await?))
}

async fn change_settings(app: App, call: Call) -> Result<Answer, ApiError> {
    let object = call.object()?;
    let mut form = Form::new(&object);
    let on: Option<bool> = form.optional("auto_renew");
    form.finish(Some(()))?;
    if let Some(on) = on {
        switch_auto_renew(&app, &call, on).await?;
    }
    Ok(Answer::json(StatusCode::OK, &settings_of(&app, &call).await?))
}

async fn tickets(_: App, call: Call) -> Result<Answer, ApiError> {
    call.customer()?;
    std::future::ready(Ok(Answer::ok(&Vec::<Value>::new()))).await
}

/// The one way to pay that is kept here.
const WALLET: &str = "wallet";
