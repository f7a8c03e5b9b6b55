//! Plans: what is sold. A plan has versions; a contract keeps the terms it was made under.
//!
//! [`PlanTerms`] is copied into each service at the moment of the contract, so that a later change
//! of price or speed never touches a running one. Only new contracts see new terms.

use jiff::{Span, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::ids::PlanId;
use super::money::Money;
use super::rate::Rates;
use super::tax::TaxTreatment;
use super::text::{Code, Line};
use super::usage_terms::UsageTerms;

/// A plan as the catalogue lists it: identity and the current terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Identity through all versions.
    pub id: PlanId,
    /// The ISP's own code, unique.
    pub code: Code,
    /// Whether new contracts may be made.
    pub is_active: bool,
    /// Whether it is shown to the public.
    pub is_public: bool,
    /// What a contract made now would say.
    pub terms: PlanTerms,
    /// When the plan was made.
    pub created_at: Timestamp,
    /// When anything of it last changed.
    pub updated_at: Timestamp,
}

/// One version of a plan's terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanTerms {
    /// Version, from 1; grows when any term below changes.
    pub version: u32,
    /// Name on pages and bills.
    pub name: Line,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What kind of service.
    pub service_type: ServiceType,
    /// Price a period.
    pub monthly_price: Money,
    /// Price once, at the start.
    pub setup_fee: Money,
    /// Price of leaving early.
    pub cancellation_fee: Money,
    /// Speeds.
    pub rates: Rates,
    /// Octets a period, both directions together; `None` is unlimited.
    #[serde(default)]
    pub data_allowance: Option<u64>,
    /// How long one payment lasts; `None` runs until ended.
    #[serde(default)]
    pub validity: Option<Validity>,
    /// Sessions at a time.
    pub device_limit: u32,
    /// Longest single session in seconds; the subscriber may log in again.
    #[serde(default)]
    pub session_limit_secs: Option<u32>,
    /// Seconds without traffic after which the NAS ends the session.
    #[serde(default)]
    pub idle_limit_secs: Option<u32>,
    /// Whether staff must approve each contract.
    #[serde(default)]
    pub requires_approval: bool,
    /// Minutes online for who signs up at the portal, to read the mail with the code; `None` gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation_access_minutes: Option<u32>,
    /// Shortest contract, months.
    #[serde(default)]
    pub min_contract_months: Option<u32>,
    /// Longest contract, months.
    #[serde(default)]
    pub max_contract_months: Option<u32>,
    /// How it is billed.
    #[serde(default)]
    pub billing: BillingTerms,
    /// What depends on use and hour.
    #[serde(default, skip_serializing_if = "UsageTerms::is_plain")]
    pub usage: UsageTerms,
    /// Free-form features for pages.
    #[serde(default)]
    pub features: serde_json::Map<String, serde_json::Value>,
}

/// How a contract is billed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillingTerms {
    /// Before or after; `None` as [`PlanTerms::billing_mode`] derives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<BillingMode>,
    /// The period of a post-paid contract; a month where none is said. Prepaid ones last as long as
    /// [`PlanTerms::validity`] says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycle: Option<Validity>,
    /// Days without charge at the start.
    #[serde(default)]
    pub trial_days: u32,
    /// How tax relates to the prices.
    #[serde(default)]
    pub tax_treatment: TaxTreatment,
    /// Parts per million; `None` is the site's rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_ppm: Option<u32>,
    /// What a change to another plan costs in mid-period.
    #[serde(default)]
    pub proration: ProrationPolicy,
    /// Days after the invoice until it is due, post-paid; 14 where none is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_days: Option<u32>,
}

/// Whether money comes before the service or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BillingMode {
    /// Before: each period is bought, and without one there is no access. Never a receivable.
    Prepaid,
    /// After: each period is invoiced, and dunning follows what is not paid.
    Postpaid,
}

/// What a change of plan does to the running period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProrationPolicy {
    /// The change is at once; days left are credited at the old price and charged at the new.
    #[default]
    Immediate,
    /// The change waits for the next period.
    NextCycle,
    /// The change is at once and nothing is credited or charged for the running period.
    None,
}

impl PlanTerms {
    /// Before or after: what the terms say, and where they are silent, a contract with a validity is paid before
    /// and one without after.
    #[must_use]
    pub fn billing_mode(&self) -> BillingMode {
        let silent = if self.validity.is_some() { BillingMode::Prepaid } else { BillingMode::Postpaid };
        self.billing.mode.unwrap_or(silent)
    }

    /// How long one period is.
    #[must_use]
    pub fn period(&self) -> Validity {
        let month = Validity { count: 1, unit: ValidityUnit::Months };
        match self.billing_mode() {
            BillingMode::Prepaid => self.validity.or(self.billing.cycle).unwrap_or(month),
            BillingMode::Postpaid => self.billing.cycle.or(self.validity).unwrap_or(month),
        }
    }

    /// Whether anything depends on how much was used.
    #[must_use]
    pub const fn is_metered(&self) -> bool {
        self.data_allowance.is_some()
            || self.usage.time_allowance_secs.is_some()
            || self.usage.fair_use.is_some()
    }

    /// Whether a period costs nothing.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        self.monthly_price.minor == 0
    }
}

/// What kind of service a plan sells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceType {
    /// Internet access: the kind this box enforces.
    Internet,
    /// Telephone.
    Phone,
    /// Television.
    Tv,
    /// Several together.
    Bundle,
    /// Hosting.
    Hosting,
    /// Cloud.
    Cloud,
    /// Managed services.
    ManagedServices,
}

impl ServiceType {
    /// Whether a service of this kind brings devices online.
    #[must_use]
    pub const fn reaches_the_internet(self) -> bool {
        match self {
            Self::Internet | Self::Bundle => true,
            Self::Phone | Self::Tv | Self::Hosting | Self::Cloud | Self::ManagedServices => false,
        }
    }
}

/// How long one payment lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// How many units, at least one.
    pub count: u32,
    /// Of what.
    pub unit: ValidityUnit,
}

/// The unit of a validity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValidityUnit {
    /// 60 seconds.
    Minutes,
    /// 3,600 seconds.
    Hours,
    /// Days of the site's calendar.
    Days,
    /// Seven of those.
    Weeks,
    /// Months of the site's calendar; the end is clamped to a short month's last day.
    Months,
    /// Twelve of those.
    Years,
}

impl Validity {
    /// When a period that starts at `from` ends, by the calendar of `zone`.
    ///
    /// Days and months keep the local time of day over a clock change; January 31 and one month is
    /// the last of February. `None` when the end lies outside what time stamps can hold.
    #[must_use]
    pub fn end(&self, from: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let count = i64::from(self.count);
        let span = match self.unit {
            ValidityUnit::Minutes => Span::new().try_minutes(count),
            ValidityUnit::Hours => Span::new().try_hours(count),
            ValidityUnit::Days => Span::new().try_days(count),
            ValidityUnit::Weeks => Span::new().try_weeks(count),
            ValidityUnit::Months => Span::new().try_months(count),
            ValidityUnit::Years => Span::new().try_years(count),
        }
        .ok()?;
        from.to_zoned(zone.clone()).checked_add(span).ok().map(|end| end.timestamp())
    }
}

/// Most sessions at a time that a plan may allow; bounds the session table a service can fill.
pub const MAX_DEVICE_LIMIT: u32 = 1_000;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::money::Currency;
    use crate::domain::rate::{BitsPerSecond, Download, Upload};

    /// 20 Mbit/s down and 5 up without end, for that price in NGN minor units.
    pub(crate) fn terms(minor: i64) -> PlanTerms {
        let money = |minor| Money { minor, currency: Currency::parse("NGN").unwrap() };
        PlanTerms {
            version: 1,
            name: Line::parse("Home 20").unwrap(),
            description: None,
            service_type: ServiceType::Internet,
            monthly_price: money(minor),
            setup_fee: money(0),
            cancellation_fee: money(0),
            rates: Rates {
                down: Download(BitsPerSecond::new(20_000_000).unwrap()),
                up: Upload(BitsPerSecond::new(5_000_000).unwrap()),
            },
            data_allowance: None,
            validity: None,
            device_limit: 1,
            session_limit_secs: None,
            idle_limit_secs: None,
            requires_approval: false,
            confirmation_access_minutes: None,
            min_contract_months: None,
            max_contract_months: None,
            billing: BillingTerms::default(),
            usage: UsageTerms::default(),
            features: serde_json::Map::new(),
        }
    }

    fn end(from: &str, count: u32, unit: ValidityUnit, zone: &str) -> String {
        let zone = TimeZone::get(zone).unwrap();
        Validity { count, unit }.end(from.parse().unwrap(), &zone).unwrap().to_string()
    }

    #[test]
    fn a_month_ends_on_a_day_that_exists() {
        assert_eq!(end("2026-01-31T09:00:00Z", 1, ValidityUnit::Months, "UTC"), "2026-02-28T09:00:00Z");
    }

    #[test]
    fn days_keep_the_local_time_over_a_clock_change() {
        // Berlin leaves summer time on 2026-10-25: the local day has 25 hours.
        assert_eq!(
            end("2026-10-24T10:00:00Z", 1, ValidityUnit::Days, "Europe/Berlin"),
            "2026-10-25T11:00:00Z"
        );
        assert_eq!(
            end("2026-10-24T10:00:00Z", 24, ValidityUnit::Hours, "Europe/Berlin"),
            "2026-10-25T10:00:00Z"
        );
    }

    #[test]
    fn an_end_beyond_time_is_no_end() {
        let zone = TimeZone::UTC;
        let validity = Validity { count: u32::MAX, unit: ValidityUnit::Months };
        assert_eq!(validity.end(Timestamp::from_second(0).unwrap(), &zone), None);
    }
}
