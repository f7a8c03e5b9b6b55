//! Drafts of invoices: what staff write before it is final.
//!
//! A draft has no number, moves no money and is nobody's debt; it can be changed and thrown away. What becomes of it is
//! an invoice under the same id. The one rule: its price is worked out from its lines each time, never kept.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{InvoiceId, ServiceId, SubscriberId};
use super::money::{Money, MoneyError};
use super::tax::{Item, Quote, TaxRounding, TaxTreatment, quote};
use super::text::Line;

/// A draft of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceDraft {
    /// Identity; the invoice has it, too.
    pub id: InvoiceId,
    /// Whose.
    pub subscriber_id: SubscriberId,
    /// What it is to say.
    #[serde(flatten)]
    pub content: DraftContent,
    /// Who made it, as an actor's id.
    pub made_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What a draft is to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftContent {
    /// What is billed.
    pub lines: Vec<DraftLine>,
    /// The service that it is for: what dunning may lock when it is not paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_id: Option<ServiceId>,
    /// Days until it is due; the site's where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_days: Option<u32>,
    /// A line for people, printed below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Line>,
}

/// One line of a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftLine {
    /// What it is.
    pub text: Line,
    /// How many.
    pub quantity: u32,
    /// What one costs.
    pub unit_price: Money,
    /// How tax relates to that.
    pub treatment: TaxTreatment,
    /// Parts per million; the site's where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_ppm: Option<u32>,
}

impl DraftContent {
    /// What it comes to, with the site's rate where a line says none.
    ///
    /// # Errors
    /// No lines, two currencies, or amounts beyond 64 bits.
    pub fn quote(&self, site_ppm: u32, rounding: TaxRounding) -> Result<Quote, MoneyError> {
        let items: Result<Vec<Item>, MoneyError> =
            self.lines.iter().map(|line| line.item(site_ppm)).collect();
        quote(items?, &[], rounding)
    }
}

impl DraftLine {
    fn item(&self, site_ppm: u32) -> Result<Item, MoneyError> {
        let description = match self.quantity {
            1 => self.text.to_string(),
            many => format!("{} ({many} × {})", self.text, self.unit_price.decimal()),
        };
        Ok(Item {
            description,
            amount: self.unit_price.scaled(i64::from(self.quantity), 1)?,
            treatment: self.treatment,
            tax_ppm: self.tax_ppm.unwrap_or(site_ppm),
        })
    }
}

/// Lines of one draft: three pages of paper.
pub const MOST_LINES: usize = 100;
/// How many of one thing a line bills.
pub const MOST_OF_ONE: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;

    #[test]
    fn rule_3_a_draft_is_priced_as_the_invoice_will_be() {
        let ngn = |minor| Money { minor, currency: Currency::parse("NGN").unwrap() };
        let line = |quantity, minor, treatment| DraftLine {
            text: Line::parse("Cable").unwrap(),
            quantity,
            unit_price: ngn(minor),
            treatment,
            tax_ppm: None,
        };
        let lines = vec![
            line(3, 100, TaxTreatment::Exclusive),
            line(1, 10_000, TaxTreatment::Inclusive),
            line(2, 50, TaxTreatment::Exempt),
        ];
        let content = DraftContent { lines, service_id: None, due_days: None, note: None };
        let quote = content.quote(75_000, TaxRounding::Invoice).unwrap();
        let of = |line: &crate::domain::tax::QuoteLine| (line.net.minor, line.tax.minor);
        assert_eq!(quote.lines.iter().map(of).collect::<Vec<_>>(), [(300, 23), (9_302, 698), (100, 0)]);
        assert_eq!(quote.total, ngn(10_423));
        assert_eq!(quote.lines[0].description, "Cable (3 × 1.00)");
        let empty = DraftContent { lines: Vec::new(), ..content.clone() };
        assert!(empty.quote(0, TaxRounding::Invoice).is_err());
        let huge = DraftContent { lines: vec![line(3, i64::MAX / 2, TaxTreatment::Exempt)], ..content };
        assert!(huge.quote(0, TaxRounding::Invoice).is_err());
    }
}
