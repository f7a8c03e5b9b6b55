//! Proration: what a change of plan costs in the middle of a period.
//!
//! Counted in whole local days (a plan sold by minutes or hours in seconds), so the time of day does not
//! matter. The one rule: two lines, never their difference; what is credited is never more than what was
//! charged for that span and not credited before.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::money::{Money, MoneyError};
use super::period::{Period, days_between, local_day};
use super::plan::ValidityUnit;

/// How much of a period is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Days left, the day of the change included.
    pub left: i64,
    /// Days of the whole period.
    pub whole: i64,
}

/// The two lines of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proration {
    /// How much of the period they are for.
    pub share: Share,
    /// What is given back of the old plan; not negative.
    pub credit: Money,
    /// What the rest of the period costs under the new plan.
    pub charge: Money,
}

impl Share {
    /// What is left of `period` on the local day of `at`. Outside the period it is all or nothing.
    #[must_use]
    pub fn of(period: Period, at: Timestamp, unit: ValidityUnit, zone: &TimeZone) -> Self {
        let (whole, left) = match unit {
            ValidityUnit::Minutes | ValidityUnit::Hours => (
                period.until.duration_since(period.from).as_secs(),
                period.until.duration_since(at).as_secs(),
            ),
            ValidityUnit::Days | ValidityUnit::Weeks | ValidityUnit::Months | ValidityUnit::Years => {
                let until = local_day(period.until, zone);
                (days_between(local_day(period.from, zone), until), days_between(local_day(at, zone), until))
            }
        };
        let whole = whole.max(1);
        Self { left: left.clamp(0, whole), whole }
    }

    /// That part of an amount, rounded half away from zero.
    ///
    /// # Errors
    /// Beyond 64 bits.
    pub fn of_amount(self, amount: Money) -> Result<Money, MoneyError> {
        amount.scaled(self.left, self.whole)
    }
}

/// The lines of a change from a plan that costs `old` a period to one that costs `new`.
///
/// `creditable` is what was charged for the rest of the period and not credited yet: the whole price after a
/// full charge, less after a discount, nothing in a trial.
///
/// # Errors
/// Two currencies, or beyond 64 bits.
pub fn prorate(share: Share, old: Money, creditable: Money, new: Money) -> Result<Proration, MoneyError> {
    // Refuses two currencies before anything is compared.
    old.checked_add(creditable)?.checked_add(new)?;
    let credit = share.of_amount(old)?;
    let credit = Money { minor: credit.minor.min(creditable.minor).max(0), ..credit };
    Ok(Proration { share, credit, charge: share.of_amount(new)? })
}

impl Proration {
    /// What the change comes to.
    ///
    /// # Errors
    /// Beyond 64 bits.
    pub fn net(&self) -> Result<Money, MoneyError> {
        self.charge.checked_sub(self.credit)
    }
}

#[cfg(test)]
#[path = "proration_tests.rs"]
mod tests;
