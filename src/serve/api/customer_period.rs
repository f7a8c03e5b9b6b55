//! A subscriber's running period: what is left of it, what more can be bought for it, and a pause of it.
//!
//! What is bought becomes an order (`customer_money`). The one rule: an offer is shown as it would be if it were
//! bought now, its price with tax.

use serde::Serialize;
use utoipa::ToSchema;

use super::commit::Once;
use super::customer_money::{me, service_of};
use super::users::rfc3339;
use super::{Access, Answer, ApiError, App, Call, Route};
use crate::billing::own_pause::PauseStanding;
use crate::billing::top_up::{More, Offered};
use crate::domain::subscription::Subscription;
use crate::domain::usage_terms::TopUp;

/// The routes of a subscriber's running period.
#[must_use]
pub fn routes() -> Vec<Route> {
    let own = Access::Customer;
    let routes = vec![
        Route::get("/api/v1/customer/topups", own, "What more there is for the running period", topups)
            .answers::<MoreView>(200),
        Route::get("/api/v1/customer/service/pause", own, "Whether one's service is paused", pause_standing)
            .answers::<PauseView>(200),
        Route::post("/api/v1/customer/service/pause", own, "Pause one's service", pause)
            .answers::<PausedView>(200),
        Route::post("/api/v1/customer/service/resume", own, "End one's own pause", resume)
            .answers::<PausedView>(200),
    ];
    routes.into_iter().map(Route::on_portal).collect()
}

/// What more there is for a running period.
#[derive(Debug, Serialize, ToSchema)]
pub struct MoreView {
    /// Which service.
    pub service_id: String,
    /// Whether a period runs; only then can more be bought.
    pub is_running: bool,
    /// When the period ends, and every top-up of it at the latest; null is not by itself.
    pub period_end: Option<String>,
    /// What the plan offers.
    pub offers: Vec<OwnOfferView>,
    /// What was bought before and counts now.
    pub bought: Vec<OwnTopUpView>,
    /// Octets that all of it together still holds.
    pub left_octets: u64,
    /// Seconds online that all of it together still holds.
    pub left_seconds: u64,
}

/// Something that may be bought on top of the running period.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnOfferView {
    /// What to order it by.
    pub code: String,
    /// Name on pages and bills.
    pub name: String,
    /// Price with tax, decimal.
    pub total: String,
    /// Of it tax, decimal.
    pub tax: String,
    /// What both are in.
    pub currency: String,
    /// Octets more.
    pub octets: u64,
    /// Seconds online more.
    pub seconds: u64,
    /// When it would end if it were bought now; null is as long as the period.
    pub until: Option<String>,
}

/// What was bought on top of the running period.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnTopUpView {
    /// Octets more.
    pub octets: u64,
    /// Seconds online more.
    pub seconds: u64,
    /// Since when.
    pub from: String,
    /// Until when; null is as long as the period.
    pub until: Option<String>,
}

/// How a pause stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct PauseView {
    /// Which service.
    pub service_id: String,
    /// Since when it is paused; null is not.
    pub paused_at: Option<String>,
    /// When it goes on by itself; null of a pause that staff began.
    pub paused_until: Option<String>,
    /// Whether one can end it oneself.
    pub is_own: bool,
    /// Days that a pause of one's own may last; 0 where only staff pause.
    pub most_days: u32,
    /// Pauses of one's own within 365 days.
    pub a_year: u32,
    /// How many of them are left.
    pub left: u32,
    /// Why none can begin now; null where one can.
    pub refusal: Option<String>,
}

/// What a pause, or its end, came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct PausedView {
    /// Always true.
    pub success: bool,
    /// Which service.
    pub service_id: String,
    /// Since when it is paused; null is not any more.
    pub paused_at: Option<String>,
    /// When it goes on by itself.
    pub paused_until: Option<String>,
}

impl PauseView {
    fn of(service: String, standing: &PauseStanding) -> Self {
        Self {
            service_id: service,
            paused_at: standing.paused_at.map(rfc3339),
            paused_until: standing.paused_until.map(rfc3339),
            is_own: standing.is_own,
            most_days: standing.most_days,
            a_year: standing.a_year,
            left: standing.left,
            refusal: standing.refusal.clone(),
        }
    }
}

impl PausedView {
    fn of(held: &Subscription) -> Self {
        Self {
            success: true,
            service_id: held.service_id.to_string(),
            paused_at: held.paused_at.map(rfc3339),
            paused_until: held.paused_until.map(rfc3339),
        }
    }
}

impl MoreView {
    fn of(service: String, more: &More) -> Self {
        Self {
            service_id: service,
            is_running: more.is_running,
            period_end: more.period_ends.map(rfc3339),
            offers: more.offers.iter().map(OwnOfferView::of).collect(),
            bought: more.bought.iter().map(OwnTopUpView::of).collect(),
            left_octets: more.left.octets,
            left_seconds: more.left.seconds,
        }
    }
}

impl OwnOfferView {
    fn of(one: &Offered) -> Self {
        let (offer, quote) = (&one.offer, &one.quote);
        Self {
            code: offer.code.to_string(),
            name: offer.name.to_string(),
            total: quote.total.decimal(),
            tax: quote.tax.decimal(),
            currency: quote.total.currency.to_string(),
            octets: offer.octets,
            seconds: offer.seconds,
            until: one.until.map(rfc3339),
        }
    }
}

impl OwnTopUpView {
    fn of(one: &TopUp) -> Self {
        let (octets, seconds) = (one.octets, one.seconds);
        Self { octets, seconds, from: rfc3339(one.from), until: one.until.map(rfc3339) }
    }
}

async fn topups(app: App, call: Call) -> Result<Answer, ApiError> {
    let owner = me(&call)?;
    let service = service_of(&app, &call, None).await?;
    let more = app.billing.more(owner, service, call.now).await?;
    Ok(Answer::ok(&MoreView::of(service.to_string(), &more)))
}

async fn pause_standing(app: App, call: Call) -> Result<Answer, ApiError> {
    let owner = me(&call)?;
    let service = service_of(&app, &call, None).await?;
    let standing = app.billing.pause_standing(owner, service, call.now).await?;
    Ok(Answer::ok(&PauseView::of(service.to_string(), &standing)))
}

async fn pause(app: App, call: Call) -> Result<Answer, ApiError> {
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return Ok(kept);
    }
    let (owner, service) = (me(&call)?, service_of(&app, &call, None).await?);
    let answer = |held: &Subscription| Answer::ok(&PausedView::of(held));
    let extra = |unit, held: &Subscription| once.keep(unit, &answer(held));
    let paused = app.billing.pause_own(owner, service, &extra, call.now).await;
    once.or_kept(paused.map(|held| answer(&held)).map_err(Into::into)).await
}

async fn resume(app: App, call: Call) -> Result<Answer, ApiError> {
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return Ok(kept);
    }
    let (owner, service) = (me(&call)?, service_of(&app, &call, None).await?);
    let answer = |held: &Subscription| Answer::ok(&PausedView::of(held));
    let extra = |unit, held: &Subscription| once.keep(unit, &answer(held));
    let resumed = app.billing.resume_own(owner, service, &extra, call.now).await;
    once.or_kept(resumed.map(|held| answer(&held)).map_err(Into::into)).await
}
