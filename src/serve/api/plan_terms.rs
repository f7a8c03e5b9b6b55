//! The parts of a plan that depend on use, hour and billing, as the API describes and shows them.
//!
//! The one rule: what is shown can be sent back as it is.

use serde::Serialize;
use utoipa::ToSchema;

use super::plans::ValidityView;
use crate::catalogue::billing_form::percent;
use crate::catalogue::usage_form::{FairUseShape, HoursShape, OnQuotaShape, TopUpShape};
use crate::domain::plan::{BillingMode, PlanTerms, ProrationPolicy};
use crate::domain::tax::TaxTreatment;

/// What happens at the end of the data allowance.
#[derive(Debug, Serialize, ToSchema)]
pub struct OnQuotaView {
    /// `cut` or `throttle`.
    pub action: String,
    /// Bits a second toward the subscriber, of a throttle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_bps: Option<u64>,
    /// Bits a second from the subscriber, of a throttle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_bps: Option<u64>,
}

/// Speeds that fall with what was used; they lift by themselves at the end of the window.
#[derive(Debug, Serialize, ToSchema)]
pub struct FairUseView {
    /// `daily`, `weekly`, `monthly` or `period`, by the site's calendar.
    pub window: String,
    /// From the least octets to the most.
    pub tiers: Vec<TierView>,
}

/// One tier of fair use.
#[derive(Debug, Serialize, ToSchema)]
pub struct TierView {
    /// Octets, both directions together, from which on it counts.
    pub above_octets: u64,
    /// Bits a second toward the subscriber; never above the plan's.
    pub download_bps: u64,
    /// Bits a second from the subscriber; never above the plan's.
    pub upload_bps: u64,
}

/// Hours of the site's clock with terms of their own.
#[derive(Debug, Serialize, ToSchema)]
pub struct HoursView {
    /// `mon` to `sun`, on which they begin; all where none is said.
    pub days: Vec<String>,
    /// `HH:MM`.
    pub from: String,
    /// `HH:MM`; one that is not after `from` is on the next day.
    pub to: String,
    /// Bits a second toward the subscriber in these hours; never above the plan's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_bps: Option<u64>,
    /// Bits a second from the subscriber in these hours; never above the plan's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_bps: Option<u64>,
    /// Whether octets count against allowance and fair use; yes unless said.
    pub counts: Option<bool>,
}

/// What may be bought on top of a running period.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopUpOfferView {
    /// Unique within the plan.
    pub code: String,
    /// Name on pages and bills.
    pub name: String,
    /// Price, decimal text.
    pub price: String,
    /// Octets more.
    pub octets: u64,
    /// Seconds online more.
    pub seconds: u64,
    /// How long it may be used; to the end of the period at most.
    pub validity: Option<ValidityView>,
}

/// What depends on use and hour.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageView {
    /// Seconds online a period, summed over sessions; null is unlimited.
    pub time_allowance_seconds: Option<u64>,
    /// What happens at the end of the data allowance.
    pub on_quota: OnQuotaView,
    /// Fair use; null is none.
    pub fair_use: Option<FairUseView>,
    /// Peak, off-peak and free hours.
    pub hours: Vec<HoursView>,
    /// What may be bought on top.
    pub top_ups: Vec<TopUpOfferView>,
}

/// How a contract is billed.
#[derive(Debug, Serialize, ToSchema)]
pub struct BillingView {
    /// `prepaid` or `postpaid`.
    #[schema(value_type = String)]
    pub billing_mode: BillingMode,
    /// How long one period is.
    pub billing_cycle: ValidityView,
    /// Days without charge at the start.
    pub trial_days: u32,
    /// `exclusive`, `inclusive` or `exempt`.
    #[schema(value_type = String)]
    pub tax_treatment: TaxTreatment,
    /// A percentage such as `7.5%`; null is the site's.
    pub tax_rate: Option<String>,
    /// `immediate`, `next_cycle` or `none`.
    #[schema(value_type = String)]
    pub proration: ProrationPolicy,
    /// Days after the invoice until it is due; null is the site's.
    pub due_days: Option<u32>,
}

impl UsageView {
    pub(super) fn of(terms: &PlanTerms) -> Self {
        let usage = &terms.usage;
        Self {
            time_allowance_seconds: usage.time_allowance_secs,
            on_quota: OnQuotaView::of(OnQuotaShape::from(&usage.on_quota)),
            fair_use: usage.fair_use.as_ref().map(|held| FairUseView::of(FairUseShape::from(held))),
            hours: usage.hours.iter().map(|held| HoursView::of(HoursShape::from(held))).collect(),
            top_ups: usage.top_ups.iter().map(|held| TopUpOfferView::of(TopUpShape::from(held))).collect(),
        }
    }
}

impl BillingView {
    pub(super) fn of(terms: &PlanTerms) -> Self {
        let period = terms.period();
        Self {
            billing_mode: terms.billing_mode(),
            billing_cycle: ValidityView { count: period.count, unit: period.unit },
            trial_days: terms.billing.trial_days,
            tax_treatment: terms.billing.tax_treatment,
            tax_rate: terms.billing.tax_ppm.map(percent),
            proration: terms.billing.proration,
            due_days: terms.billing.due_days,
        }
    }
}

impl OnQuotaView {
    fn of(shape: OnQuotaShape) -> Self {
        let OnQuotaShape { action, download_bps, upload_bps } = shape;
        Self { action, download_bps, upload_bps }
    }
}

impl FairUseView {
    fn of(shape: FairUseShape) -> Self {
        let tiers = shape.tiers.into_iter().map(|tier| TierView {
            above_octets: tier.above_octets,
            download_bps: tier.download_bps,
            upload_bps: tier.upload_bps,
        });
        Self { window: shape.window, tiers: tiers.collect() }
    }
}

impl HoursView {
    fn of(shape: HoursShape) -> Self {
        let HoursShape { days, from, to, download_bps, upload_bps, counts } = shape;
        Self { days, from, to, download_bps, upload_bps, counts }
    }
}

impl TopUpOfferView {
    fn of(shape: TopUpShape) -> Self {
        let TopUpShape { code, name, price, octets, seconds, validity } = shape;
        let validity = validity.map(|held| ValidityView { count: held.count, unit: held.unit });
        Self { code, name, price, octets, seconds, validity }
    }
}
