//! `[billing]`: how this site does business.

use toml::de::DeValue;

use super::fault::Wrong;
use super::kind::{Kind, choose, chosen, quoted, text};
use super::reader::{Applies, Section};
use crate::domain::money::{Currency, Money, MoneyError};
use crate::domain::subscription::OwnPause;
use crate::domain::tax::TaxRounding;

/// How this site does business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Billing {
    /// In every invoice's number: two sites of one ISP must not have the same.
    pub series: Option<Series>,
    /// Who makes invoices out; the site's name where nothing is said.
    pub seller: Option<String>,
    /// The seller's tax number.
    pub tax_number: Option<String>,
    /// The seller's address, one line.
    pub address: Option<String>,
    /// The seller's mail address for questions about bills.
    pub email: Option<String>,
    /// The seller's telephone number.
    pub phone: Option<String>,
    /// Days after an invoice until it is due, where a plan does not say.
    pub due_days: u32,
    /// Where tax is rounded.
    pub tax_rounding: TaxRounding,
    /// How far subscribers may pause their service themselves.
    pub own_pause: OwnPause,
    /// What may go back of one payment without the permission `refunds:large`; any amount where nothing is said.
    pub large_refund: Option<Decimal>,
}

impl Billing {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        use Applies::Restart;
        Self {
            series: section.optional("series", Restart, None),
            seller: section.optional("seller", Restart, None),
            tax_number: section.optional("tax_number", Restart, None),
            address: section.optional("address", Restart, None),
            email: section.optional("email", Restart, None),
            phone: section.optional("phone", Restart, None),
            due_days: section.optional("due_days", Restart, crate::domain::invoice::DUE_DAYS),
            tax_rounding: section.optional("tax_rounding", Restart, TaxRounding::Invoice),
            own_pause: OwnPause {
                most_days: section.optional("pause_days", Restart, 0),
                a_year: section.optional("pauses_a_year", Restart, OwnPause::default().a_year),
            },
            large_refund: section.optional("large_refund", Restart, None),
        }
    }

    /// The limit of a refund in the site's currency.
    ///
    /// # Errors
    /// Why it is no amount of that currency.
    pub fn large_refund_in(&self, currency: Currency) -> Result<Option<Money>, MoneyError> {
        self.large_refund.as_ref().map(|limit| Money::parse(&limit.0, currency)).transpose()
    }
}

/// An amount in the site's currency, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal(String);

impl Kind for Decimal {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let written = text(value, "an amount in quotes", "\"50000.00\"")?;
        let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        let fits = written.len() <= LONGEST_AMOUNT
            && match written.split_once('.') {
                Some((whole, fraction)) => plain(whole) && plain(fraction),
                None => plain(written),
            };
        if fits {
            return Ok(Self(written.to_owned()));
        }
        Err(Wrong::new(
            format!("{} is not an amount", quoted(written)),
            "write it in the site's currency with a point before its decimals, as \"50000.00\"",
        ))
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// The site's mark in document numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series(String);

impl Series {
    /// The mark.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A mark from the site's name: its capital letters and digits, at most twelve.
    #[must_use]
    pub fn of_site(name: &str) -> Self {
        let mark: String =
            name.to_ascii_uppercase().chars().filter(char::is_ascii_alphanumeric).take(LONGEST).collect();
        Self(if mark.is_empty() { "EDGE".to_owned() } else { mark })
    }
}

impl Kind for Series {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let written = text(value, "the site's mark in invoice numbers", "\"LEKKI1\"")?;
        let fits = (1..=LONGEST).contains(&written.len())
            && written.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if fits {
            return Ok(Self(written.to_owned()));
        }
        Err(Wrong::new(
            format!("{} is not a mark of capital letters and digits", quoted(written)),
            format!("write 1 to {LONGEST} of A to Z and 0 to 9, as \"LEKKI1\""),
        ))
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

const ROUNDINGS: &[(&str, TaxRounding)] = &[("invoice", TaxRounding::Invoice), ("line", TaxRounding::Line)];

impl Kind for TaxRounding {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        choose(value, ROUNDINGS)
    }

    fn show(&self) -> String {
        chosen(*self, ROUNDINGS)
    }
}

/// Longest amount: what a ledger's number holds.
const LONGEST_AMOUNT: usize = 20;
/// Longest mark: with year and number it must fit a line of a receipt.
const LONGEST: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_has_a_mark_of_its_own_name() {
        assert_eq!(Series::of_site("Lekki POP 1").as_str(), "LEKKIPOP1");
        assert_eq!(Series::of_site("Ọ̀yọ́").as_str(), "Y");
        assert_eq!(Series::of_site("…").as_str(), "EDGE");
    }
}
