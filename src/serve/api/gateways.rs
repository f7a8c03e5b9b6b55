//! Paying by a gateway: which there are, and how a payment begins.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::commit::Once;
use super::users::rfc3339;
use super::{Access, Answer, ApiError, App, Call, Route};
use crate::billing::Wish;
use crate::billing::attempts::Begun;
use crate::domain::money::Money;
use crate::domain::payment::Payment;
use crate::domain::text::Phone;
use crate::reception::PayFor;

/// The routes of paying by a gateway.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/payment-gateways", Access::Public, "Ways to pay that this site offers", list)
            .lists::<GatewayView>()
            .on_portal(),
        Route::post("/api/v1/customer/payments", Access::Customer, "Begin to pay by a gateway", begin)
            .takes::<PayBody>()
            .answers::<BegunView>(201)
            .on_portal(),
    ]
}

/// A way to pay.
#[derive(Debug, Serialize, ToSchema)]
pub struct GatewayView {
    /// Its name, as `gateway` takes it.
    pub name: &'static str,
    /// What people call it.
    pub label: &'static str,
    /// Whether the payer's telephone number is needed.
    pub needs_phone: bool,
}

/// What begins a payment: one of `order_id`, `invoice_id` and `purchase`.
#[derive(Debug, ToSchema)]
pub struct PayBody {
    /// Which gateway.
    pub gateway: String,
    /// An order that was made before.
    pub order_id: Option<String>,
    /// An open invoice.
    pub invoice_id: Option<String>,
    /// What is bought: `kind` is `period`, `top_up`, `change_plan`, `wallet` or `invoices`, with `service_id`, `offer`,
    /// `plan_id` or `amount`.
    pub purchase: Option<Map<String, Value>>,
    /// The telephone that pays; the account's where nothing is said.
    pub phone: Option<String>,
}

/// A payment that began.
#[derive(Debug, Serialize, ToSchema)]
pub struct BegunView {
    /// The payment.
    pub payment: AttemptView,
    /// Where the payer goes; `null` where there is no page.
    pub checkout_url: Option<String>,
    /// What the payer does where there is no page.
    pub instruction: Option<String>,
}

/// An attempt at paying.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptView {
    /// Identity.
    pub id: String,
    /// The reference that the gateway knows it by.
    pub reference: String,
    /// The order.
    pub order_id: Option<String>,
    /// The gateway.
    pub gateway: &'static str,
    /// How far it is.
    pub status: &'static str,
    /// What has to come.
    pub amount: String,
    /// In which currency.
    pub currency: String,
    /// When it began.
    pub created_at: String,
}

impl AttemptView {
    fn of(payment: &Payment) -> Self {
        Self {
            id: payment.id.to_string(),
            reference: payment.reference.clone(),
            order_id: payment.order_id.map(|id| id.to_string()),
            gateway: payment.provider.name(),
            status: payment.status.name(),
            amount: payment.expected.decimal(),
            currency: payment.expected.currency.code().to_owned(),
            created_at: rfc3339(payment.created_at),
        }
    }
}

async fn list(app: App, call: Call) -> Result<Answer, ApiError> {
    use crate::domain::payment::ProviderName as Name;
    let window = call.window()?;
    let providers = app.billing.attempts.providers();
    let all: Vec<GatewayView> = providers
        .names()
        .map(|name| GatewayView {
            name: name.name(),
            label: match name {
                Name::Paystack => "Paystack",
                Name::Flutterwave | Name::FlutterwaveV4 => "Flutterwave",
                Name::Stripe => "Card (Stripe)",
                Name::Mpesa => "M-Pesa",
                Name::Cash => "Cash",
                Name::Wallet => "Wallet",
            },
            needs_phone: providers.get(name).is_some_and(crate::billing::provider::Provider::needs_phone),
        })
        .collect();
    let total = all.len();
    let part = all.into_iter().skip(window.offset).take(window.limit);
    std::future::ready(Ok(Answer::list(part, total, window))).await
}

async fn begin(app: App, call: Call) -> Result<Answer, ApiError> {
    let owner = call.customer()?.subscriber_id;
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return Ok(kept);
    }
    let body = call.object()?;
    let gateway = text(&body, "gateway")?.ok_or_else(|| ApiError::field("gateway", "is required"))?;
    let phone = match text(&body, "phone")? {
        Some(phone) => {
            Some(Phone::parse(phone).map_err(|error| ApiError::field("phone", error.to_string()))?)
        }
        None => None,
    };
    let what = what(&app, &body)?;
    let by = (gateway, phone.as_ref().map(Phone::as_str));
    let begun = app.reception.pay(owner, &what, by, &call.actor, call.now).await?;
    once.keep_after(answer(begun)).await
}

fn answer(begun: Begun) -> Answer {
    let Begun { payment, instruction } = begun;
    Answer::created(&BegunView {
        payment: AttemptView::of(&payment),
        checkout_url: payment.url.clone(),
        instruction,
    })
}

/// What is to be paid: exactly one of three.
fn what(app: &App, body: &Map<String, Value>) -> Result<PayFor, ApiError> {
    let given = ["order_id", "invoice_id", "purchase"].into_iter().filter(|name| is_given(body, name));
    match given.collect::<Vec<_>>().as_slice() {
        ["order_id"] => Ok(PayFor::Order(id(body, "order_id")?)),
        ["invoice_id"] => Ok(PayFor::Wish(Wish::Invoices(vec![id(body, "invoice_id")?]))),
        ["purchase"] => {
            let purchase = body.get("purchase").and_then(Value::as_object);
            let purchase = purchase.ok_or_else(|| ApiError::field("purchase", "must be an object"))?;
            Ok(PayFor::Wish(wish(app, purchase)?))
        }
        _ => Err(ApiError::field("order_id", "give one of order_id, invoice_id and purchase")),
    }
}

fn wish(app: &App, purchase: &Map<String, Value>) -> Result<Wish, ApiError> {
    match text(purchase, "kind")? {
        Some("period") => Ok(Wish::Period(id(purchase, "service_id")?)),
        Some("top_up") => {
            let offer = text(purchase, "offer")?.ok_or_else(|| ApiError::field("offer", "is required"))?;
            Ok(Wish::TopUp(id(purchase, "service_id")?, offer.to_owned()))
        }
        Some("change_plan") => Ok(Wish::ChangePlan(id(purchase, "service_id")?, id(purchase, "plan_id")?)),
        Some("wallet") => {
            let amount = text(purchase, "amount")?.ok_or_else(|| ApiError::field("amount", "is required"))?;
            let money = Money::parse(amount, app.site.currency);
            Ok(Wish::Wallet(money.map_err(|error| ApiError::field("amount", error.to_string()))?))
        }
        Some("invoices") => Ok(Wish::Invoices(Vec::new())),
        Some(_) | None => {
            Err(ApiError::field("kind", "must be period, top_up, change_plan, wallet or invoices"))
        }
    }
}

fn is_given(body: &Map<String, Value>, name: &str) -> bool {
    body.get(name).is_some_and(|value| !value.is_null())
}

fn text<'b>(body: &'b Map<String, Value>, name: &str) -> Result<Option<&'b str>, ApiError> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(ApiError::field(name, "must be a text")),
    }
}

fn id<T: std::str::FromStr>(body: &Map<String, Value>, name: &str) -> Result<T, ApiError> {
    let parsed = text(body, name)?.and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| ApiError::field(name, "must be an id"))
}
