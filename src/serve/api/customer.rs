//! The subscriber's own part of the API: what they have, what they use, what they may change.
//!
//! Shapes are those that a customer portal of the field reads, so numbers are JSON numbers here. The one rule:
//! everything is about the subscriber who asks; nothing takes another's id.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::commit::{Once, commit_answering};
use super::customer_auth::{text, with_kept_token};
use super::customers::read;
use super::edit::form;
use super::sessions::SessionView;
use super::signups::weak_password;
use super::users::rfc3339;
use super::{Access, Answer, ApiError, App, Body, Call, Form, Route, Window};
use crate::base::secret::Secret;
use crate::billing::own::Overview;
use crate::catalogue::fault::Fault;
use crate::catalogue::form::Form as CatalogueForm;
use crate::catalogue::standing::CustomerStatus;
use crate::domain::entitlement::Usage;
use crate::domain::money::Money;
use crate::domain::plan::ValidityUnit;
use crate::domain::rate::BitsPerSecond;
use crate::domain::subscriber::{Address, Subscriber};
use crate::domain::text::Line;
use crate::people::subscribers::{Details, SubscriberError};
use crate::people::{BegunCustomerVisit, PeopleError};
use crate::reception::{Account, AccountService, ReceptionError};

/// The routes of a subscriber's own account.
#[must_use]
pub fn routes() -> Vec<Route> {
    let own = Access::Customer;
    let routes = vec![
        Route::get("/api/v1/customer/dashboard", own, "Everything at a glance", dashboard)
            .answers::<DashboardView>(200),
        Route::get("/api/v1/customer/profile", own, "Who one is", profile).answers::<ProfileView>(200),
        Route::put("/api/v1/customer/profile", own, "Change name, telephone or address", change_profile)
            .takes::<ProfileBody>()
            .answers::<ProfileView>(200),
        Route::get("/api/v1/customer/service", own, "What one has", service).answers::<OwnServiceView>(200),
        Route::get("/api/v1/customer/usage", own, "What one used", usage).answers::<UsageView>(200),
        Route::get("/api/v1/customer/sessions", own, "The newest sessions", sessions).lists::<SessionView>(),
        Route::post("/api/v1/customer/change-password", own, "Change one's portal password", change_password)
            .takes::<OwnPasswordBody>()
            .answers::<PasswordChangedView>(200),
    ];
    routes.into_iter().map(Route::on_portal).collect()
}

/// Who one is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProfileView {
    /// Identity.
    pub id: String,
    /// The same.
    pub customer_id: String,
    /// The ISP's own number.
    pub account_number: String,
    /// Eight characters to log in with.
    pub portal_id: String,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// E-mail address; empty where there is none.
    pub email: String,
    /// Telephone number; empty where there is none.
    pub phone: String,
    /// Street and number.
    pub service_address: String,
    /// Town.
    pub service_city: String,
    /// State or region.
    pub service_state: String,
    /// Postal code.
    pub service_zip: String,
    /// `active`, `suspended`, `cancelled`.
    pub status: &'static str,
}

/// What changes one's profile; what is left out stays. The e-mail address is changed by staff.
#[derive(Debug, ToSchema)]
pub struct ProfileBody {
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
    /// Street and number.
    pub service_address: Option<String>,
    /// Town.
    pub service_city: Option<String>,
    /// State or region.
    pub service_state: Option<String>,
    /// Postal code.
    pub service_zip: Option<String>,
}

/// What one has.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OwnServiceView {
    /// Identity.
    pub id: String,
    /// The plan's name.
    pub plan_name: String,
    /// The plan.
    pub plan_id: String,
    /// The plan's code.
    pub plan_code: String,
    /// Toward the subscriber, Mbit/s.
    pub speed_down: f64,
    /// From the subscriber, Mbit/s.
    pub speed_up: f64,
    /// Price a period.
    pub monthly_price: f64,
    /// What prices are in.
    pub currency: String,
    /// When it first became active.
    pub installation_date: Option<String>,
    /// How long one payment lasts: `monthly`, `30 days`.
    pub billing_cycle: String,
    /// When what is paid for ends.
    pub next_billing_date: Option<String>,
    /// `pending`, `active`, `suspended`, `cancelled`.
    pub status: &'static str,
    /// A stable code for the reason.
    pub status_detail: &'static str,
}

/// What one used in the current period, in gigabytes of 10^9 octets.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UsageView {
    /// From the subscriber.
    pub upload_gb: f64,
    /// Toward the subscriber.
    pub download_gb: f64,
    /// Both together.
    pub total_gb: f64,
    /// The allowance; 0 is unlimited.
    pub limit_gb: f64,
    /// When the period began.
    pub period_start: Option<String>,
    /// When it ends.
    pub period_end: Option<String>,
}

/// Everything at a glance, in the shapes of several frontends.
#[derive(Debug, Serialize, ToSchema)]
pub struct DashboardView {
    /// Always true.
    pub success: bool,
    /// Who, and under which plan.
    pub account: Value,
    /// The service, shortly.
    pub service: Value,
    /// The services.
    pub services: Vec<OwnServiceView>,
    /// Whether a device is online.
    #[serde(rename = "networkStatus")]
    pub network_status: Value,
    /// What is to be paid, and when.
    pub billing: Value,
    /// What was used.
    pub usage: UsageView,
    /// The newest sessions.
    pub recent_activity: Vec<Value>,
    /// When this was so.
    pub last_updated: String,
    /// The same.
    #[serde(rename = "lastUpdated")]
    pub last_updated_camel: String,
    /// The same under other names.
    pub data: Value,
}

/// A new portal password of one's own.
#[derive(Debug, ToSchema)]
pub struct OwnPasswordBody {
    /// The present one, or the network password of one's service.
    #[schema(value_type = String)]
    pub current_password: Secret,
    /// 8 to 128 characters.
    #[schema(value_type = String)]
    pub new_password: Secret,
}

impl Body for OwnPasswordBody {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        let current = form.first_of(&["current_password", "currentPassword"]).unwrap_or("current_password");
        let new = form.first_of(&["new_password", "newPassword"]).unwrap_or("new_password");
        let (current, new) = (form.required::<String>(current), form.required::<String>(new));
        Some(Self { current_password: Secret::from_text(&current?), new_password: Secret::from_text(&new?) })
    }
}

/// What a changed password answers: every visit before has ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct PasswordChangedView {
    /// Always true.
    pub success: bool,
    /// The token of the visit that goes on.
    pub access_token: String,
    /// When it ends.
    pub expires_at: String,
}

impl ProfileView {
    fn of(one: &Subscriber, status: CustomerStatus) -> Self {
        Self {
            id: one.id.to_string(),
            customer_id: one.id.to_string(),
            account_number: one.customer_number.to_string(),
            portal_id: one.portal_id.to_string(),
            first_name: one.first_name.to_string(),
            last_name: one.last_name.to_string(),
            email: one.email.as_ref().map(ToString::to_string).unwrap_or_default(),
            phone: one.phone.as_ref().map(ToString::to_string).unwrap_or_default(),
            service_address: one.service_address.street.clone(),
            service_city: one.service_address.city.clone(),
            service_state: one.service_address.state.clone(),
            service_zip: one.service_address.zip.clone(),
            status: match status {
                CustomerStatus::New | CustomerStatus::Active => "active",
                CustomerStatus::Suspended => "suspended",
                CustomerStatus::Disabled => "cancelled",
            },
        }
    }
}

impl OwnServiceView {
    pub(super) fn of(one: &AccountService) -> Self {
        let (service, terms) = (&one.service, &one.service.terms);
        Self {
            id: service.id.to_string(),
            plan_name: terms.name.to_string(),
            plan_id: service.plan_id.to_string(),
            plan_code: service.plan_code.to_string(),
            speed_down: mbps(terms.rates.down.0),
            speed_up: mbps(terms.rates.up.0),
            monthly_price: number(terms.monthly_price),
            currency: terms.monthly_price.currency.to_string(),
            installation_date: service.activated_at.map(rfc3339),
            billing_cycle: terms.validity.map_or_else(
                || "monthly".to_owned(),
                |validity| match (validity.count, validity.unit) {
                    (1, ValidityUnit::Months) => "monthly".to_owned(),
                    (count, ValidityUnit::Minutes) => format!("{count} minutes"),
                    (count, ValidityUnit::Hours) => format!("{count} hours"),
                    (count, ValidityUnit::Days) => format!("{count} days"),
                    (count, ValidityUnit::Weeks) => format!("{count} weeks"),
                    (count, ValidityUnit::Months) => format!("{count} months"),
                    (count, ValidityUnit::Years) => format!("{count} years"),
                },
            ),
            next_billing_date: one.period.1.map(rfc3339),
            status: one.status_word,
            status_detail: match &one.verdict {
                Ok(_) => "active",
                Err(refusal) => refusal.code(),
            },
        }
    }
}

impl UsageView {
    fn of(service: Option<&AccountService>) -> Self {
        let used = service.map_or_else(Usage::default, |one| one.usage);
        let period = service.map_or((None, None), |one| one.period);
        let limit = service.and_then(|one| one.service.terms.data_allowance).unwrap_or(0);
        Self {
            upload_gb: gigabytes(used.up_octets),
            download_gb: gigabytes(used.down_octets),
            total_gb: gigabytes(used.down_octets.saturating_add(used.up_octets)),
            limit_gb: gigabytes(limit),
            period_start: period.0.map(rfc3339),
            period_end: period.1.map(rfc3339),
        }
    }
}

impl DashboardView {
    fn of(app: &App, call: &Call, account: &Account, stands: &Overview) -> Self {
        let services: Vec<_> = account.service.iter().map(OwnServiceView::of).collect();
        let first = services.first();
        let usage = UsageView::of(account.service.as_ref());
        let online = account.sessions.iter().any(|one| one.session.closed_at.is_none());
        let connection = if online { "connected" } else { "disconnected" };
        let recent: Vec<Value> = account.sessions.iter().take(RECENT).map(activity).collect();
        let due = first.and_then(|one| one.next_billing_date.clone());
        let bill_due = stands.due_at.map(rfc3339).or_else(|| due.clone());
        let cost = first.map_or(0.0, |one| one.monthly_price);
        let currency = app.site.currency.to_string();
        let speed = first.map(|one| format!("{} / {} Mbps", one.speed_down, one.speed_up));
        let data = json!({
            "connectionStatus": connection,
            "monthlyUsage": { "used": usage.total_gb, "total": usage.limit_gb, "unit": "GB" },
            "currentBill": { "amount": number(stands.owed), "currency": currency, "dueDate": bill_due },
            "supportTickets": [],
            "services": services,
            "recentActivity": recent,
        });
        let now = rfc3339(call.now);
        Self {
            success: true,
            account: json!({
                "id": account.subscriber.id, "name": account.subscriber.display_name(),
                "account_number": account.subscriber.customer_number, "status": account.status.name(),
                "plan": first.map(|one| &one.plan_name), "monthly_cost": cost,
            }),
            service: json!({
                "status": first.map_or("none", |one| one.status), "connection_speed": speed, "uptime": null,
            }),
            network_status: json!({ "status": connection, "online": online }),
            billing: json!({
                "balance": number(stands.owed), "wallet": number(stands.wallet), "currency": currency,
                "monthly_cost": cost, "next_billing_date": due,
            }),
            recent_activity: recent,
            last_updated: now.clone(),
            last_updated_camel: now,
            services,
            usage,
            data,
        }
    }
}

fn activity(one: &crate::catalogue::logbook::SessionView) -> Value {
    let session = &one.session;
    json!({
        "id": session.id, "type": "session", "timestamp": rfc3339(session.opened_at),
        "description": if session.closed_at.is_none() { "Online" } else { "Was online" },
    })
}

async fn account(app: &App, call: &Call) -> Result<Account, ApiError> {
    Ok(app.reception.account(call.customer()?.subscriber_id, call.now).await?)
}

async fn dashboard(app: App, call: Call) -> Result<Answer, ApiError> {
    let account = account(&app, &call).await?;
    let service = account.service.as_ref().map(|one| one.service.id);
    let stands = app.billing.overview(account.subscriber.id, service).await?;
    Ok(Answer::ok(&DashboardView::of(&app, &call, &account, &stands)))
}

async fn profile(app: App, call: Call) -> Result<Answer, ApiError> {
    let account = account(&app, &call).await?;
    Ok(Answer::ok(&ProfileView::of(&account.subscriber, account.status)))
}

async fn change_profile(app: App, call: Call) -> Result<Answer, ApiError> {
    let id = call.customer()?.subscriber_id.to_string();
    form(&call)?;
    let status = account(&app, &call).await?.status;
    let wish = |held: &Subscriber| Ok::<_, ApiError>(wished(&call, held)?);
    commit_answering(
        &app,
        &call,
        || app.subscribers.change(&call.actor, &id, None, wish, call.now),
        |changed| Answer::ok(&ProfileView::of(&changed.subscriber, status)),
    )
    .await
}

/// What a subscriber may change of their own record, read as staff's form is; all else stays.
fn wished(call: &Call, held: &Subscriber) -> Result<Details, Fault> {
    let asked = read(CatalogueForm::read(&call.body)?, Some(held))?;
    let mut form = CatalogueForm::read(&call.body)?;
    let is_whole = form.inner("service_address").is_some();
    let was = if is_whole { asked.service_address } else { held.service_address.clone() };
    let mut part = |name: &str, held: String| {
        form.nullable(&[name], Line::parse(&held).ok(), Line::parse).map(String::from).unwrap_or_default()
    };
    let service_address = Address {
        street: if is_whole { was.street } else { part("service_address", was.street) },
        city: part("service_city", was.city),
        state: part("service_state", was.state),
        zip: part("service_zip", was.zip),
        country: was.country,
    };
    form.finish(Some(()))?;
    let (first_name, last_name, phone) = (asked.first_name, asked.last_name, asked.phone);
    Ok(Details { first_name, last_name, phone, service_address, ..Details::of(held) })
}

async fn service(app: App, call: Call) -> Result<Answer, ApiError> {
    let account = account(&app, &call).await?;
    let service = account.service.as_ref().ok_or_else(|| ApiError::not_found("service"))?;
    Ok(Answer::ok(&OwnServiceView::of(service)))
}

async fn usage(app: App, call: Call) -> Result<Answer, ApiError> {
    let account = account(&app, &call).await?;
    Ok(Answer::ok(&UsageView::of(account.service.as_ref())))
}

async fn sessions(app: App, call: Call) -> Result<Answer, ApiError> {
    let Window { offset, limit } = call.window()?;
    let account = account(&app, &call).await?;
    let total = account.sessions.len();
    let part = account.sessions.iter().skip(offset).take(limit).map(SessionView::of);
    Ok(Answer::list(part, total, Window { offset, limit }))
}

async fn change_password(app: App, call: Call) -> Result<Answer, ApiError> {
    let visitor = *call.customer()?;
    let body: OwnPasswordBody = call.json()?;
    let passwords = (body.current_password, body.new_password);
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return with_kept_token(kept, &call);
    }
    let answer = |visit: &BegunCustomerVisit| {
        Answer::ok(&PasswordChangedView {
            success: true,
            access_token: text(visit).to_owned(),
            expires_at: rfc3339(visit.expires_at),
        })
    };
    let beside = |unit, visit: &BegunCustomerVisit| once.keep(unit, &answer(visit));
    let changed = app.reception.change_password(&visitor, passwords, &beside, &call.actor, call.now).await;
    let answer = match changed {
        Ok(visit) => Ok(answer(&visit)),
        // 401 would say that the visit has ended.
        Err(ReceptionError::People(PeopleError::WrongCredentials)) => {
            Err(ApiError::field("current_password", "is wrong"))
        }
        Err(ReceptionError::Subscriber(SubscriberError::Weak(weak))) => {
            Err(weak_password("new_password", weak))
        }
        Err(error) => Err(error.into()),
    };
    with_kept_token(once.or_kept(answer).await?, &call)
}

/// Money as the number that these frontends sum and show; exact up to 15 digits.
pub(super) fn number(money: Money) -> f64 {
    money.decimal().parse().unwrap_or(0.0)
}

fn mbps(rate: BitsPerSecond) -> f64 {
    rate.get() as f64 / 1e6
}

fn gigabytes(octets: u64) -> f64 {
    octets as f64 / 1e9
}

/// Sessions shown as recent activity.
const RECENT: usize = 5;
