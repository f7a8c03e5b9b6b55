//! Plans over HTTP: the catalogue for staff, and its public part for everybody.
//!
//! The one rule: a caller without the permission to read plans sees those that are active and
//! public, and nothing of the others.

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::app::App;
use super::call::Call;
use super::commit::commit_answering;
use super::edit::{self, expected, form, part, reference, tagged};
use super::error::ApiError;
use super::plan_terms::{BillingView, FairUseView, HoursView, OnQuotaView, TopUpOfferView, UsageView};
use super::route::{Access, Route};
use super::shape::Answer;
use crate::catalogue::Window;
use crate::catalogue::fault::Fault;
use crate::catalogue::form::Form;
use crate::catalogue::plan_form::{OCTETS_PER_GB, read, scaled, unit_for};
use crate::catalogue::plans::{Kept, PlanFilter, PlanWish};
use crate::domain::plan::{Plan, PlanTerms, ValidityUnit};
use crate::domain::role::Permission;

/// The routes of plans.
#[must_use]
pub fn routes() -> Vec<Route> {
    let (reading, writing) = (Access::Staff(Permission::PlansRead), Access::Staff(Permission::PlansWrite));
    vec![
        Route::get(
            "/api/v1/service-plans",
            Access::Public,
            "List plans; without a login, the public ones",
            list,
        )
        .query(&["search", "is_active"])
        .lists::<PlanView>(),
        Route::post("/api/v1/service-plans", writing, "Make a plan", create)
            .takes::<PlanBody>()
            .answers::<PlanView>(201),
        Route::get("/api/v1/service-plans/{id}", reading, "Read a plan by id or code", get)
            .answers::<PlanView>(200),
        Route::patch(
            "/api/v1/service-plans/{id}",
            writing,
            "Change a plan; running contracts keep theirs",
            change,
        )
        .takes::<PlanBody>()
        .answers::<PlanView>(200),
        Route::post("/api/v1/service-plans/{id}/activate", writing, "Let new contracts be made", activate)
            .answers::<PlanView>(200),
        Route::post(
            "/api/v1/service-plans/{id}/deactivate",
            writing,
            "Let no new contracts be made",
            deactivate,
        )
        .answers::<PlanView>(200),
        Route::get(
            "/api/v1/public/service-plans",
            Access::Public,
            "The public plans, as a bare list",
            public,
        )
        .answers::<Vec<PlanView>>(200)
        .on_portal(),
    ]
}

/// What makes or changes a plan. Prices and speeds are numbers or decimal texts, taken exactly.
#[derive(Debug, ToSchema)]
pub struct PlanBody {
    /// The ISP's own code.
    pub plan_code: String,
    /// Name on pages and bills.
    pub name: String,
    /// What it is, for people.
    pub description: Option<String>,
    /// `internet`, `phone`, `tv`, `bundle`, `hosting`, `cloud`, `managed_services`.
    pub service_type: Option<String>,
    /// Price a period.
    pub monthly_price: String,
    /// Price once, at the start.
    pub setup_fee: Option<String>,
    /// Price of leaving early.
    pub cancellation_fee: Option<String>,
    /// Speed toward the subscriber, in `bandwidth_unit`.
    pub download_speed: f64,
    /// Speed from the subscriber, in `bandwidth_unit`.
    pub upload_speed: f64,
    /// `kbps`, `mbps` (unless said), `gbps`.
    pub bandwidth_unit: Option<String>,
    /// Gigabytes of 10^9 octets a period; null is unlimited.
    pub data_allowance: Option<f64>,
    /// How long one payment lasts; null runs until ended.
    pub validity: Option<ValidityView>,
    /// The same in days.
    pub validity_days: Option<u32>,
    /// The same in hours.
    pub validity_hours: Option<u32>,
    /// Sessions at a time; 1 unless said.
    pub device_limit: Option<u32>,
    /// Longest single session.
    pub session_timeout_seconds: Option<u32>,
    /// Seconds without traffic after which a session ends.
    pub idle_timeout_seconds: Option<u32>,
    /// Free-form features for pages.
    pub features: Option<Value>,
    /// Whether new contracts may be made; yes unless said.
    pub is_active: Option<bool>,
    /// Whether it is shown to the public; yes unless said.
    pub is_public: Option<bool>,
    /// Whether staff must approve each contract.
    pub requires_approval: Option<bool>,
    /// Minutes online for who signs up at the portal, to read the mail with the code; 1 to 60.
    pub confirmation_access_minutes: Option<u32>,
    /// Shortest contract.
    pub min_contract_months: Option<u32>,
    /// Longest contract.
    pub max_contract_months: Option<u32>,
    /// `prepaid` or `postpaid`; null follows the validity.
    pub billing_mode: Option<String>,
    /// Length of a post-paid period: `daily`, `weekly`, `monthly`, `quarterly`, `yearly`, or `{count, unit}`.
    pub billing_cycle: Option<ValidityView>,
    /// Days without charge at the start.
    pub trial_days: Option<u32>,
    /// `exclusive` (unless said), `inclusive` or `exempt`.
    pub tax_treatment: Option<String>,
    /// A percentage such as `7.5%`; null is the site's.
    pub tax_rate: Option<String>,
    /// `immediate` (unless said), `next_cycle` or `none`.
    pub proration: Option<String>,
    /// Days after the invoice until it is due.
    pub due_days: Option<u32>,
    /// Seconds online a period, summed over sessions; null is unlimited.
    pub time_allowance_seconds: Option<u32>,
    /// What happens at the end of the data allowance; a cut unless said.
    pub on_quota: Option<OnQuotaView>,
    /// Speeds that fall with what was used; null is none.
    pub fair_use: Option<FairUseView>,
    /// Peak, off-peak and free hours; the whole list.
    pub hours: Option<Vec<HoursView>>,
    /// What may be bought on top of a period; the whole list.
    pub top_ups: Option<Vec<TopUpOfferView>>,
    /// The record's version that the change is about.
    pub record_version: Option<u64>,
}

/// A plan as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanView {
    /// Identity through all versions.
    pub id: String,
    /// The ISP's own code.
    pub plan_code: String,
    /// Whether new contracts may be made.
    pub is_active: bool,
    /// Whether it is shown to the public.
    pub is_public: bool,
    /// The terms of a contract made now.
    #[serde(flatten)]
    pub terms: TermsView,
    /// When it was made.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
    /// The version to expect when changing it.
    pub record_version: u64,
}

/// Terms as the API shows them, in a plan and in a service.
#[derive(Debug, Serialize, ToSchema)]
pub struct TermsView {
    /// Version of the plan's terms.
    pub version: u32,
    /// Name on pages and bills.
    pub name: String,
    /// What it is, for people.
    pub description: Option<String>,
    /// What kind of service.
    #[schema(value_type = String)]
    pub service_type: crate::domain::plan::ServiceType,
    /// ISO 4217 code of all prices.
    pub currency: String,
    /// Price a period, decimal text.
    pub monthly_price: String,
    /// Price once, at the start, decimal text.
    pub setup_fee: String,
    /// Price of leaving early, decimal text.
    pub cancellation_fee: String,
    /// Speed toward the subscriber, exact in `bandwidth_unit`.
    pub download_speed: Value,
    /// Speed from the subscriber, exact in `bandwidth_unit`.
    pub upload_speed: Value,
    /// Unit of both speeds.
    pub bandwidth_unit: String,
    /// Bits a second toward the subscriber.
    pub download_bps: u64,
    /// Bits a second from the subscriber.
    pub upload_bps: u64,
    /// Gigabytes of 10^9 octets a period; null is unlimited.
    pub data_allowance: Option<Value>,
    /// The same in octets.
    pub data_allowance_octets: Option<u64>,
    /// How long one payment lasts.
    pub validity: Option<ValidityView>,
    /// The same where it is in days.
    pub validity_days: Option<u32>,
    /// The same where it is in hours.
    pub validity_hours: Option<u32>,
    /// Sessions at a time.
    pub device_limit: u32,
    /// Longest single session.
    pub session_timeout_seconds: Option<u32>,
    /// Seconds without traffic after which a session ends.
    pub idle_timeout_seconds: Option<u32>,
    /// Free-form features for pages.
    #[schema(value_type = Object)]
    pub features: Map<String, Value>,
    /// Whether staff must approve each contract.
    pub requires_approval: bool,
    /// Minutes online for who signs up at the portal, to read the mail with the code.
    pub confirmation_access_minutes: Option<u32>,
    /// Shortest contract.
    pub min_contract_months: Option<u32>,
    /// Longest contract.
    pub max_contract_months: Option<u32>,
    /// How it is billed.
    #[serde(flatten)]
    pub billing: BillingView,
    /// What depends on use and hour.
    #[serde(flatten)]
    pub usage: UsageView,
}

/// How long one payment lasts.
#[derive(Debug, Serialize, ToSchema)]
pub struct ValidityView {
    /// How many.
    pub count: u32,
    /// Of `minutes`, `hours`, `days`, `weeks`, `months`, `years`.
    #[schema(value_type = String)]
    pub unit: ValidityUnit,
}

impl PlanView {
    fn of(kept: &Kept<Plan>) -> Self {
        let plan = &kept.body;
        Self {
            id: plan.id.to_string(),
            plan_code: plan.code.to_string(),
            is_active: plan.is_active,
            is_public: plan.is_public,
            terms: TermsView::of(&plan.terms),
            created_at: plan.created_at.to_string(),
            updated_at: plan.updated_at.to_string(),
            record_version: kept.version,
        }
    }
}

impl TermsView {
    /// The view of terms.
    #[must_use]
    pub fn of(terms: &PlanTerms) -> Self {
        let (down, up) = (terms.rates.down.0.get(), terms.rates.up.0.get());
        let unit = unit_for(terms.rates);
        let count_in = |unit| terms.validity.filter(|held| held.unit == unit).map(|held| held.count);
        Self {
            version: terms.version,
            name: terms.name.to_string(),
            description: terms.description.clone(),
            service_type: terms.service_type,
            currency: terms.monthly_price.currency.to_string(),
            monthly_price: terms.monthly_price.decimal(),
            setup_fee: terms.setup_fee.decimal(),
            cancellation_fee: terms.cancellation_fee.decimal(),
            download_speed: scaled(down, unit.bits()),
            upload_speed: scaled(up, unit.bits()),
            bandwidth_unit: unit.name().to_owned(),
            download_bps: down,
            upload_bps: up,
            data_allowance: terms.data_allowance.map(|octets| scaled(octets, OCTETS_PER_GB)),
            data_allowance_octets: terms.data_allowance,
            validity: terms.validity.map(|held| ValidityView { count: held.count, unit: held.unit }),
            validity_days: count_in(ValidityUnit::Days),
            validity_hours: count_in(ValidityUnit::Hours),
            device_limit: terms.device_limit,
            session_timeout_seconds: terms.session_limit_secs,
            idle_timeout_seconds: terms.idle_limit_secs,
            features: terms.features.clone(),
            requires_approval: terms.requires_approval,
            confirmation_access_minutes: terms.confirmation_access_minutes,
            min_contract_months: terms.min_contract_months,
            max_contract_months: terms.max_contract_months,
            billing: BillingView::of(terms),
            usage: UsageView::of(terms),
        }
    }
}

async fn list(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let filter = PlanFilter {
        public_only: !call.caller.may(Permission::PlansRead),
        is_active: call.query_as("is_active")?,
        search: call.query("search"),
    };
    let listed = app.catalogue.plans.list(&filter, part(window)).await?;
    Ok(edit::list(listed, window, |kept| PlanView::of(&kept)))
}

async fn create(app: App, call: Call) -> Result<Answer, ApiError> {
    let wish = read(form(&call)?, None, app.catalogue.plans.currency())?;
    commit_answering(
        &app,
        &call,
        || app.catalogue.plans.create(&call.actor, wish.clone(), call.now),
        |kept| tagged(Answer::created(&PlanView::of(kept)), kept.version),
    )
    .await
}

async fn get(app: App, call: Call) -> Result<Answer, ApiError> {
    let kept = app.catalogue.plans.get(reference(&call)).await?;
    Ok(tagged(Answer::ok(&PlanView::of(&kept)), kept.version))
}

async fn change(app: App, call: Call) -> Result<Answer, ApiError> {
    let expected = expected(&call, &mut form(&call)?, &["record_version"])?;
    let currency = app.catalogue.plans.currency();
    let wish = |held: &Plan| read(Form::read(&call.body)?, Some(held), currency);
    changed(&app, &call, expected, wish).await
}

async fn activate(app: App, call: Call) -> Result<Answer, ApiError> {
    set_active(&app, &call, true).await
}

async fn deactivate(app: App, call: Call) -> Result<Answer, ApiError> {
    set_active(&app, &call, false).await
}

async fn set_active(app: &App, call: &Call, is_active: bool) -> Result<Answer, ApiError> {
    let wish = |held: &Plan| {
        let (code, is_public, terms) = (held.code.clone(), held.is_public, held.terms.clone());
        Ok(PlanWish { code, is_active, is_public, terms })
    };
    changed(app, call, None, wish).await
}

async fn changed(
    app: &App,
    call: &Call,
    expected: Option<u64>,
    wish: impl Fn(&Plan) -> Result<PlanWish, Fault> + Send + Sync,
) -> Result<Answer, ApiError> {
    commit_answering(
        app,
        call,
        || app.catalogue.plans.change(&call.actor, reference(call), expected, &wish, call.now),
        |kept| tagged(Answer::ok(&PlanView::of(kept)), kept.version),
    )
    .await
}

async fn public(app: App, call: Call) -> Result<Answer, ApiError> {
    let filter = PlanFilter { public_only: true, ..PlanFilter::default() };
    let window = Window { offset: 0, limit: MOST_PUBLIC };
    let listed = app.catalogue.plans.list(&filter, window).await?;
    let views: Vec<_> = listed.items.iter().map(PlanView::of).collect();
    let body = serde_json::to_vec(&views).map_err(|error| ApiError::internal(&error))?;
    let tag = etag(&body);
    let seen =
        call.header(IF_NONE_MATCH.as_str()).is_some_and(|seen| seen.split(',').any(|one| one.trim() == tag));
    let answer = if seen { Answer::bare(StatusCode::NOT_MODIFIED) } else { Answer::ok(&views) };
    let tag = HeaderValue::from_str(&tag).map_err(|error| ApiError::internal(&error))?;
    Ok(answer.header(ETAG, tag).header(CACHE_CONTROL, HeaderValue::from_static(CACHED)))
}

fn etag(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    let hex: String = digest.iter().take(16).map(|octet| format!("{octet:02x}")).collect();
    format!("\"{hex}\"")
}

/// Public plans shown; more than this nobody chooses from.
const MOST_PUBLIC: usize = 500;
/// A minute: a price that changed is seen soon, and a crowded hotspot asks once.
const CACHED: &str = "public, max-age=60";
