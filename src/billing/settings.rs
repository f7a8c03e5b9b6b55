//! How this site does business: what the configuration says of it.

use jiff::tz::TimeZone;

use crate::domain::dunning::Policy;
use crate::domain::invoice::{DUE_DAYS, Party};
use crate::domain::money::{Currency, Money};
use crate::domain::subscription::OwnPause;
use crate::domain::tax::TaxRounding;

/// How this site does business.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What everything is in.
    pub currency: Currency,
    /// Where days and months begin.
    pub zone: TimeZone,
    /// Tax on prices that do not say their own, parts per million.
    pub tax_ppm: u32,
    /// Where tax is rounded.
    pub rounding: TaxRounding,
    /// In every document's number, so that two sites of one ISP never give the same.
    pub series: String,
    /// Who makes invoices out.
    pub seller: Party,
    /// Days after an invoice until it is due, where a plan does not say.
    pub due_days: u32,
    /// When what is done about unpaid invoices.
    pub dunning: Policy,
    /// How much one run of dunning may do by itself.
    pub caps: Caps,
    /// How far subscribers may pause their service themselves.
    pub own_pause: OwnPause,
    /// What may go back of one payment without `refunds:large`; `None` is any amount.
    pub large_refund: Option<Money>,
}

/// How much one run of dunning may take away by itself; more stops the run and asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Services.
    pub count: u32,
    /// What they owe together, minor units; `None` is any amount.
    pub amount: Option<i64>,
    /// Share of all live services, parts per million.
    pub share_ppm: u32,
    /// Up to so many services the share is not asked about: a box with ten customers has no tenth.
    pub few: u32,
}

impl Default for Caps {
    fn default() -> Self {
        Self { count: 100, amount: None, share_ppm: 100_000, few: 5 }
    }
}

impl Settings {
    /// A site that says nothing but what everything is in and where days begin.
    #[must_use]
    pub fn plain(currency: Currency, zone: TimeZone) -> Self {
        Self {
            currency,
            zone,
            tax_ppm: 0,
            rounding: TaxRounding::Invoice,
            series: "INV".to_owned(),
            seller: Party::default(),
            due_days: DUE_DAYS,
            dunning: Policy::default(),
            caps: Caps::default(),
            own_pause: OwnPause::default(),
            large_refund: None,
        }
    }
}
