//! How this site does business: what the configuration says of it.

use jiff::tz::TimeZone;

use crate::domain::invoice::{DUE_DAYS, Party};
use crate::domain::money::Currency;
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
        }
    }
}
