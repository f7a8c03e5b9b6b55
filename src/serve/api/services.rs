//! Services over HTTP: contracts made, suspended, resumed, changed and ended, and their
//! provisioning asked for.
//!
//! The one rule: what a service may do now is shown as `entitle` answers it, with its reason.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;
use super::call::Call;
use super::commit::commit_answering;
use super::edit::{self, expected, form, part, reference, tagged};
use super::error::ApiError;
use super::plans::TermsView;
use super::provisioning::TaskView;
use super::route::{Access, Route};
use super::shape::Answer;
use crate::catalogue::form::{Form, Said};
use crate::catalogue::plan_form::named;
use crate::catalogue::provision::Begun;
use crate::catalogue::services::{
    MadeService, NewService, STAFF_REASONS, ServiceFilter, ServiceView as Kept, Suspension, network_password,
};
use crate::domain::lock::{LockMode, LockReason};
use crate::domain::role::Permission;
use crate::domain::service::{Addresses, Ipv6Prefix, Phase, Service};
use crate::domain::text::{Code, Line, Username};

/// The routes of services.
#[must_use]
pub fn routes() -> Vec<Route> {
    let reading = Access::Staff(Permission::ServicesRead);
    let writing = Access::Staff(Permission::ServicesWrite);
    let one = |path, summary, handler: fn(App, Call) -> Running| {
        Route::post(path, writing, summary, handler).answers::<ServiceView>(200)
    };
    vec![
        Route::get("/api/v1/services", reading, "List services", list)
            .query(&["customer_id", "plan", "phase", "search"])
            .lists::<ServiceView>(),
        Route::post(
            "/api/v1/services",
            writing,
            "Make a contract under the plan's terms as they are",
            create,
        )
        .takes::<ServiceBody>()
        .answers::<MadeView>(201),
        Route::get("/api/v1/services/{id}", reading, "Read a service by id, number or login", get)
            .answers::<ServiceView>(200),
        one("/api/v1/services/{id}/suspend", "Place a lock", |app, call| Box::pin(suspend(app, call)))
            .takes::<SuspendBody>(),
        one("/api/v1/services/{id}/resume", "Resolve a lock", |app, call| Box::pin(resume(app, call)))
            .takes::<ResumeBody>(),
        one("/api/v1/services/{id}/terminate", "End a service for good", |app, call| {
            Box::pin(terminate(app, call))
        }),
        one("/api/v1/services/{id}/change-plan", "Put it under a plan's current terms", |app, call| {
            Box::pin(change_plan(app, call))
        })
        .takes::<ChangePlanBody>(),
        one(
            "/api/v1/services/{id}/add-ons",
            "Set what is billed with each period beside the plan",
            |app, call| Box::pin(set_add_ons(app, call)),
        )
        .takes::<AddOnsBody>(),
        one("/api/v1/services/{id}/approve", "Let it be provisioned", |app, call| {
            Box::pin(approve(app, call))
        }),
        Route::post(
            "/api/v1/services/{id}/reset-password",
            writing,
            "Give it another network password",
            reset_password,
        )
        .takes::<PasswordBody>()
        .answers::<MadeView>(200),
        Route::post("/api/v1/services/{id}/provision", writing, "Bring it to life", provision)
            .answers::<ProvisionView>(202),
    ]
}

/// A handler at work.
type Running = std::pin::Pin<Box<dyn Future<Output = Result<Answer, ApiError>> + Send>>;

/// What makes a contract.
#[derive(Debug, ToSchema)]
pub struct ServiceBody {
    /// Whose: id or customer number.
    pub customer_id: String,
    /// Which plan: code or id; `plan_id` and `service_plan` say the same.
    pub plan_code: String,
    /// The network login; made from the customer number unless given.
    pub username: Option<String>,
    /// Its password; made, and shown once, unless given.
    pub password: Option<String>,
    /// A fixed address.
    pub ipv4: Option<String>,
    /// A fixed link prefix.
    pub ipv6_prefix: Option<String>,
    /// A fixed delegated prefix.
    pub delegated_prefix: Option<String>,
    /// Networks behind the subscriber (Framed-Route texts).
    pub routes: Option<Vec<String>>,
    /// A pool that the NAS knows by this name.
    pub pool: Option<String>,
}

/// What places a lock.
#[derive(Debug, ToSchema)]
pub struct SuspendBody {
    /// `admin` (unless said), `customer_hold`, `fraud`.
    pub reason: Option<String>,
    /// `hard_reject` (unless said), `captive` or `throttle`.
    pub mode: Option<String>,
    /// What staff write down.
    pub note: Option<String>,
    /// The service's version that this is about.
    pub version: Option<u64>,
}

/// What resolves a lock.
#[derive(Debug, ToSchema)]
pub struct ResumeBody {
    /// `admin` (unless said), `customer_hold`, `fraud`.
    pub reason: Option<String>,
    /// The service's version that this is about.
    pub version: Option<u64>,
}

/// What changes the plan of a service.
#[derive(Debug, ToSchema)]
pub struct ChangePlanBody {
    /// Which plan: code or id.
    pub plan_code: String,
    /// The service's version that this is about.
    pub version: Option<u64>,
}

/// What gives a service another network password.
#[derive(Debug, ToSchema)]
pub struct PasswordBody {
    /// The password; made, and shown once, unless given.
    pub password: Option<String>,
    /// The service's version that this is about.
    pub version: Option<u64>,
}

/// A service as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceView {
    /// Identity.
    pub id: String,
    /// Number for people.
    pub service_number: String,
    /// Whose.
    pub customer_id: String,
    /// Which plan.
    pub plan_id: String,
    /// The plan's code when the contract was made.
    pub plan_code: String,
    /// The plan's name in this contract.
    pub plan_name: String,
    /// The terms of this contract.
    pub terms: TermsView,
    /// `pending`, `provisioning`, `active`, `restricted`, `ended`.
    pub status: &'static str,
    /// A stable code for the reason.
    pub status_detail: &'static str,
    /// The reason in a sentence for staff.
    pub reason: Option<String>,
    /// The network login.
    pub username: String,
    /// What stands against it.
    pub locks: Vec<LockView>,
    /// When what is paid for ends; null where it runs on or nothing is paid for.
    pub paid_until: Option<String>,
    /// Octets left in this period, top-ups included; null is unlimited or not entitled.
    pub remaining_octets: Option<u64>,
    /// Seconds online left in this period, top-ups included; null is unlimited or not entitled.
    pub remaining_seconds: Option<u64>,
    /// Bits a second toward the subscriber now, after fair use, hours and throttles; null is not entitled.
    pub download_bps_now: Option<u64>,
    /// Bits a second from the subscriber now; null is not entitled.
    pub upload_bps_now: Option<u64>,
    /// When this may change by time alone; null is not soon.
    pub changes_at: Option<String>,
    /// What was bought on top of a period.
    pub top_ups: Vec<TopUpView>,
    /// What is billed with each period beside the plan.
    pub add_ons: Vec<AddOnView>,
    /// Fixed address.
    pub ipv4: Option<String>,
    /// Fixed link prefix.
    pub ipv6_prefix: Option<String>,
    /// Fixed delegated prefix.
    pub delegated_prefix: Option<String>,
    /// Networks behind the subscriber.
    pub routes: Vec<String>,
    /// A pool of the NAS.
    pub pool: Option<String>,
    /// When the contract was made.
    pub created_at: String,
    /// When staff approved it, where its plan requires that.
    pub approved_at: Option<String>,
    /// When it first became active.
    pub activated_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// When the record last changed.
    pub updated_at: String,
    /// The version to expect when changing it.
    pub version: u64,
}

/// What was bought on top of a period.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopUpView {
    /// Octets more.
    pub octets: u64,
    /// Seconds online more.
    pub seconds: u64,
    /// First instant.
    pub from: String,
    /// First instant after; null is as long as the period.
    pub until: Option<String>,
    /// What it came from.
    pub source: String,
    /// Whether it was taken back.
    pub is_void: bool,
}

/// What is billed with each period beside the plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddOnView {
    /// Unique within the contract.
    pub code: String,
    /// Name on bills.
    pub name: String,
    /// Price a period, decimal text.
    pub price: String,
}

/// The whole list.
#[derive(Debug, ToSchema)]
pub struct AddOnsBody {
    /// What is billed with each period beside the plan, from the next one on.
    pub add_ons: Vec<AddOnView>,
    /// The version that the change is about.
    pub version: Option<u64>,
}

/// One lock.
#[derive(Debug, Serialize, ToSchema)]
pub struct LockView {
    /// Why.
    pub reason: &'static str,
    /// `throttle`, `captive` or `hard_reject`.
    #[schema(value_type = String)]
    pub mode: LockMode,
    /// Since when.
    pub placed_at: String,
    /// Who placed it.
    pub placed_by: String,
    /// What staff wrote down.
    pub note: Option<String>,
}

/// A contract with a network password that was just set.
#[derive(Debug, Serialize, ToSchema)]
pub struct MadeView {
    /// The service.
    #[serde(flatten)]
    pub service: ServiceView,
    /// The network password; shown this once.
    pub network_password: String,
    /// What staff should know.
    pub warnings: Vec<String>,
}

/// What asking for provisioning came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProvisionView {
    /// The service.
    pub service_instance: ServiceView,
    /// The task; null where the service is active already.
    pub provisioning_task: Option<TaskView>,
    /// What is paid once, decimal text.
    pub total_setup_cost: String,
    /// What is paid a period, decimal text.
    pub monthly_recurring_cost: String,
    /// ISO 4217 code of both.
    pub currency: String,
    /// Where to look how far it is.
    pub provisioning_status_url: String,
}

impl ServiceView {
    /// The view of a service.
    #[must_use]
    pub fn of(kept: &Kept) -> Self {
        let Service { id, subscriber_id, plan_id, terms, addresses, locks, .. } = &kept.service;
        let entitlement = kept.standing.entitlement.as_ref();
        let prefix = |prefix: &Option<Ipv6Prefix>| prefix.map(|held| held.to_string());
        Self {
            id: id.to_string(),
            service_number: kept.service.service_number.to_string(),
            customer_id: subscriber_id.to_string(),
            plan_id: plan_id.to_string(),
            plan_code: kept.service.plan_code.to_string(),
            plan_name: terms.name.to_string(),
            terms: TermsView::of(terms),
            status: kept.standing.status.name(),
            status_detail: kept.standing.detail,
            reason: kept.standing.reason.clone(),
            username: kept.service.username.to_string(),
            locks: locks.iter().map(LockView::of).collect(),
            paid_until: entitlement.and_then(|granted| granted.ends_at).map(|end| end.to_string()),
            remaining_octets: entitlement.and_then(|granted| granted.remaining_octets),
            remaining_seconds: entitlement.and_then(|granted| granted.remaining_secs),
            download_bps_now: entitlement.map(|granted| granted.rates.down.0.get()),
            upload_bps_now: entitlement.map(|granted| granted.rates.up.0.get()),
            changes_at: entitlement.and_then(|granted| granted.changes_at).map(|at| at.to_string()),
            top_ups: kept.service.extras.top_ups.iter().map(TopUpView::of).collect(),
            add_ons: kept.service.extras.add_ons.iter().map(AddOnView::of).collect(),
            ipv4: addresses.ipv4.map(|address| address.to_string()),
            ipv6_prefix: prefix(&addresses.ipv6_prefix),
            delegated_prefix: prefix(&addresses.delegated_prefix),
            routes: addresses.routes.clone(),
            pool: addresses.pool.as_ref().map(ToString::to_string),
            created_at: kept.service.created_at.to_string(),
            approved_at: kept.service.approved_at.map(|at| at.to_string()),
            activated_at: kept.service.activated_at.map(|at| at.to_string()),
            ended_at: kept.service.ended_at.map(|at| at.to_string()),
            updated_at: kept.service.updated_at.to_string(),
            version: kept.version,
        }
    }
}

impl MadeView {
    fn of(made: &MadeService) -> Self {
        Self {
            service: ServiceView::of(&made.service),
            network_password: made.network_password.expose_text().unwrap_or_default().to_owned(),
            warnings: made.warnings.clone(),
        }
    }
}

impl TopUpView {
    fn of(one: &crate::domain::usage_terms::TopUp) -> Self {
        Self {
            octets: one.octets,
            seconds: one.seconds,
            from: one.from.to_string(),
            until: one.until.map(|at| at.to_string()),
            source: one.source.clone(),
            is_void: one.is_void,
        }
    }
}

impl AddOnView {
    fn of(one: &crate::domain::service::AddOn) -> Self {
        Self { code: one.code.to_string(), name: one.name.to_string(), price: one.price.decimal() }
    }
}

impl LockView {
    fn of(lock: &crate::domain::lock::Lock) -> Self {
        Self {
            reason: lock.reason.name(),
            mode: lock.mode,
            placed_at: lock.placed_at.to_string(),
            placed_by: lock.placed_by.clone(),
            note: lock.note.clone(),
        }
    }
}

async fn list(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let phase = match call.query("phase") {
        Some(text) => Some(named::<Phase>(&text).ok_or_else(|| {
            ApiError::field("phase", "must be one of pending, provisioning, active, ended")
        })?),
        None => None,
    };
    let filter = ServiceFilter {
        customer: call.query("customer_id"),
        plan: call.query("plan"),
        search: call.query("search"),
        phase,
    };
    let listed = app.catalogue.services.list(&filter, part(window), call.now).await?;
    Ok(edit::list(listed, window, |kept| ServiceView::of(&kept)))
}

async fn create(app: App, call: Call) -> Result<Answer, ApiError> {
    let wanted = new_service(form(&call)?)?;
    commit_answering(
        &app,
        &call,
        || app.catalogue.services.create(&call.actor, wanted.clone(), call.now),
        |made| tagged(Answer::created(&MadeView::of(made)), made.service.version),
    )
    .await
}

async fn get(app: App, call: Call) -> Result<Answer, ApiError> {
    let kept = app.catalogue.services.get(reference(&call), call.now).await?;
    Ok(shown(&kept))
}

async fn suspend(app: App, call: Call) -> Result<Answer, ApiError> {
    let mut form = form(&call)?;
    let expected = expected(&call, &mut form, &["version"])?;
    let reason = reason(&mut form);
    let mode = form.required(&["mode"], Some(LockMode::HardReject), |text| {
        named::<LockMode>(text).ok_or("must be hard_reject, captive or throttle")
    });
    let note = form.nullable(&["note"], None, Line::parse).map(String::from);
    let suspension = reason.zip(mode).map(|(reason, mode)| Suspension { reason, mode, note });
    let suspension = form.finish(suspension)?;
    let services = &app.catalogue.services;
    let draft = || services.suspend(&call.actor, reference(&call), expected, suspension.clone(), call.now);
    commit_answering(&app, &call, draft, shown).await
}

async fn resume(app: App, call: Call) -> Result<Answer, ApiError> {
    let mut form = form(&call)?;
    let expected = expected(&call, &mut form, &["version"])?;
    let reason = reason(&mut form);
    let reason = form.finish(reason)?;
    let services = &app.catalogue.services;
    let draft = || services.resume(&call.actor, reference(&call), expected, reason, call.now);
    commit_answering(&app, &call, draft, shown).await
}

async fn terminate(app: App, call: Call) -> Result<Answer, ApiError> {
    let mut form = form(&call)?;
    let expected = expected(&call, &mut form, &["version"])?;
    form.finish(Some(()))?;
    let services = &app.catalogue.services;
    let draft = || services.terminate(&call.actor, reference(&call), expected, call.now);
    commit_answering(&app, &call, draft, shown).await
}

async fn approve(app: App, call: Call) -> Result<Answer, ApiError> {
    let mut form = form(&call)?;
    let expected = expected(&call, &mut form, &["version"])?;
    form.finish(Some(()))?;
    let services = &app.catalogue.services;
    let draft = || services.approve(&call.actor, reference(&call), expected, call.now);
    commit_answering(&app, &call, draft, shown).await
}

async fn change_plan(app: App, call: Call) -> Result<Answer, ApiError> {
    let mut form = form(&call)?;
    let expected = expected(&call, &mut form, &["version"])?;
    let plan = form.required(&PLAN_NAMES, None, |text| Ok::<_, &str>(text.to_owned()));
    let plan = form.finish(plan)?;
    let services = &app.catalogue.services;
    let draft = || services.change_plan(&call.actor, reference(&call), expected, &plan, call.now);
    commit_answering(&app, &call, draft, shown).await
}

async fn set_add_ons(app: App, call: Call) -> Result<Answer, ApiError> {
    let mut form = form(&call)?;
    let expected = expected(&call, &mut form, &["version"])?;
    let add_ons = crate::catalogue::add_ons::read(&mut form, app.catalogue.plans.currency());
    let add_ons = form.finish(add_ons)?;
    let services = &app.catalogue.services;
    let draft = || services.set_add_ons(&call.actor, reference(&call), expected, add_ons.clone(), call.now);
    commit_answering(&app, &call, draft, shown).await
}

async fn reset_password(app: App, call: Call) -> Result<Answer, ApiError> {
    let mut form = form(&call)?;
    let expected = expected(&call, &mut form, &["version"])?;
    let given = form.nullable(&["password", "network_password"], None, network_password);
    form.finish(Some(()))?;
    let services = &app.catalogue.services;
    let draft = || services.reset_password(&call.actor, reference(&call), expected, given.clone(), call.now);
    commit_answering(&app, &call, draft, |made| tagged(Answer::ok(&MadeView::of(made)), made.service.version))
        .await
}

async fn provision(app: App, call: Call) -> Result<Answer, ApiError> {
    let provisioning = &app.catalogue.provisioning;
    let draft = || provisioning.begin(&call.actor, reference(&call), call.now);
    let answer = commit_answering(&app, &call, draft, begun).await?;
    provisioning.wake();
    Ok(answer)
}

fn begun(begun: &Begun) -> Answer {
    let (service, task) = match begun {
        Begun::Active(service) => (service, None),
        Begun::Open { service, task } => (service, Some(TaskView::of(task))),
    };
    let terms = &service.service.terms;
    let view = ProvisionView {
        total_setup_cost: terms.setup_fee.decimal(),
        monthly_recurring_cost: terms.monthly_price.decimal(),
        currency: terms.monthly_price.currency.to_string(),
        provisioning_status_url: format!("/api/v1/provisioning/status/{}", service.service.subscriber_id),
        service_instance: ServiceView::of(service),
        provisioning_task: task,
    };
    match begun {
        Begun::Active(_) => Answer::ok(&view),
        Begun::Open { .. } => Answer::accepted(&view),
    }
}

fn shown(kept: &Kept) -> Answer {
    tagged(Answer::ok(&ServiceView::of(kept)), kept.version)
}

fn new_service(mut form: Form) -> Result<NewService, ApiError> {
    let text = |text: &str| Ok::<_, &str>(text.to_owned());
    let customer = form.required(&["customer_id", "customer_number", "customer"], None, text);
    let plan = form.required(&PLAN_NAMES, None, text);
    let username = form.nullable(&["username", "login"], None, Username::parse);
    let password = form.nullable(&["password", "network_password"], None, network_password);
    let addresses = addresses(&mut form);
    let wanted = customer.zip(plan).map(|(customer, plan)| NewService {
        customer,
        plan,
        username,
        password,
        addresses,
    });
    Ok(form.finish(wanted)?)
}

fn addresses(form: &mut Form) -> Addresses {
    Addresses {
        ipv4: form.nullable(&["ipv4", "static_ip"], None, ipv4),
        ipv6_prefix: form.nullable(&["ipv6_prefix"], None, ipv6_prefix),
        delegated_prefix: form.nullable(&["delegated_prefix"], None, ipv6_prefix),
        routes: framed_routes(form),
        pool: form.nullable(&["pool", "ip_pool"], None, Code::parse),
    }
}

/// RFC 2865 section 5.8 gives 255.255.255.255 and .254 a meaning of their own; the others are no
/// subscriber's.
fn ipv4(text: &str) -> Result<Ipv4Addr, &'static str> {
    text.trim()
        .parse()
        .ok()
        .filter(|address: &Ipv4Addr| {
            let [first, ..] = address.octets();
            (1..=223).contains(&first) && first != 127
        })
        .ok_or("must be an IPv4 address that a subscriber can have")
}

fn ipv6_prefix(text: &str) -> Result<Ipv6Prefix, &'static str> {
    const FAULT: &str = "must be an IPv6 prefix such as 2001:db8:1::/56 with no bit set past its length";
    let (address, length) = text.trim().split_once('/').ok_or(FAULT)?;
    let address: Ipv6Addr = address.parse().map_err(|_| FAULT)?;
    let length: u8 = length.parse().map_err(|_| FAULT)?;
    let host = u128::MAX.checked_shr(length.into()).unwrap_or(0);
    let clean = address.to_bits() & host == 0;
    if (1..=128).contains(&length) && clean { Ok(Ipv6Prefix { address, length }) } else { Err(FAULT) }
}

fn framed_routes(form: &mut Form) -> Vec<String> {
    match form.json::<Vec<Line>>("routes", "a list of texts such as \"192.0.2.0/28 0.0.0.0 1\"") {
        Said::Nothing | Said::Null => Vec::new(),
        Said::Value(routes) => {
            if routes.len() > MOST_ROUTES {
                form.refuse("routes", &format!("must not be more than {MOST_ROUTES}"));
            }
            routes.into_iter().map(String::from).collect()
        }
    }
}

fn reason(form: &mut Form) -> Option<LockReason> {
    form.required(&["reason"], Some(LockReason::Admin), |text| {
        named::<LockReason>(text)
            .filter(|reason| STAFF_REASONS.contains(reason))
            .ok_or("must be admin, customer_hold or fraud; put words into note")
    })
}

/// What frontends call the plan of a service.
const PLAN_NAMES: [&str; 4] = ["plan_code", "plan_id", "service_plan", "plan"];
/// Routes of one service: a reply must fit into one datagram.
const MOST_ROUTES: usize = 16;
