//! A subscription: how a service is paid for, period by period.
//!
//! One a service, under the same id. Periods are counted from one anchor, so that the 31st comes back after
//! a short month. Nothing here decides access: what is paid becomes intervals of the service, what is
//! not becomes locks.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{PlanId, ServiceId, SubscriberId};
use super::money::Money;
use super::plan::{BillingMode, PlanTerms, Validity};
use super::tax::TaxTreatment;
use super::text::Code;

/// How a service is paid for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Which service; the record's key.
    pub service_id: ServiceId,
    /// Whose.
    pub subscriber_id: SubscriberId,
    /// Before or after.
    pub mode: BillingMode,
    /// Where periods are counted from.
    pub anchor: Timestamp,
    /// How long each is.
    pub period: Validity,
    /// The first period, from 0, that was not charged yet: charging it is what moves this on.
    pub next_index: u32,
    /// Whether the next period is bought from the wallet when this one ends.
    pub auto_renew: bool,
    /// Until when nothing is charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial_until: Option<Timestamp>,
    /// The plan from the next period on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingPlan>,
    /// Since when it is paused, at the subscriber's wish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<Timestamp>,
    /// When a pause that the subscriber began themselves ends by itself; `None` of one that staff began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Timestamp>,
    /// When the subscriber last began pauses themselves: how often is bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_pauses: Vec<Timestamp>,
    /// Lines for the next invoice of a post-paid service: what a change of plan in mid-period came to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carried: Vec<CarriedLine>,
    /// What a post-paid service's running period costs, where the plan was changed in its middle: the price that
    /// it began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_with: Option<CarriedLine>,
    /// What coupons took off the plan's price in periods that are not over: so much less is credited of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<PeriodDiscount>,
    /// When something is to be done about it next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due_at: Option<Timestamp>,
    /// Why the last renewal was not made, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_refusal: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What a coupon took off the plan's price of one bought period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodDiscount {
    /// What the period came of, as its interval says.
    pub source: String,
    /// How much.
    pub off: Money,
}

/// How far subscribers may pause their service themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnPause {
    /// After so many days a pause ends by itself; 0 is no pause without staff.
    pub most_days: u32,
    /// So many within 365 days.
    pub a_year: u32,
}

impl Default for OwnPause {
    fn default() -> Self {
        Self { most_days: 0, a_year: 2 }
    }
}

/// A line that waits for an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedLine {
    /// What it is.
    pub description: String,
    /// Before tax as the plan's treatment says; negative for a credit.
    pub amount: Money,
    /// How tax relates to it.
    pub treatment: TaxTreatment,
    /// Parts per million; `None` is the site's rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_ppm: Option<u32>,
}

/// A plan that begins with the next period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingPlan {
    /// Which.
    pub plan_id: PlanId,
    /// Its code.
    pub plan_code: Code,
    /// Its terms when it was asked for.
    pub terms: PlanTerms,
    /// When it was asked for.
    pub asked_at: Timestamp,
}
