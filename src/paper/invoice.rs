//! An invoice or a credit note as a document.
//!
//! The one rule: nothing is worked out here. The numbers are those of the quote, which was made once, and those of
//! the standing, which follows the payments.

use super::document::{Column, Document, Link, Row, Sum};
use super::words::{amount, correspondent, day, less, percent, rate};
use super::{PaperSettings, address};
use crate::domain::invoice::{DocumentKind, Invoice, InvoiceStanding, LineSubject};
use crate::domain::money::Money;
use crate::domain::tax::QuoteLine;

/// The document of an invoice; `standing` is `None` for a draft.
#[must_use]
pub fn invoice(invoice: &Invoice, standing: Option<&InvoiceStanding>, settings: &PaperSettings) -> Document {
    let is_credit = invoice.kind == DocumentKind::CreditNote;
    let total = invoice.quote.total;
    Document {
        title: if is_credit { "Credit note" } else { "Invoice" }.to_owned(),
        number: invoice.number.clone().unwrap_or_default(),
        stamp: stamp(invoice, standing),
        from: correspondent("From", &invoice.seller, "Tax number"),
        to: correspondent(if is_credit { "Credited to" } else { "Billed to" }, &invoice.customer, "Customer"),
        facts: facts(invoice, standing, settings),
        columns: COLUMNS.to_vec(),
        rows: rows(invoice, settings),
        sums: sums(invoice, standing),
        notes: invoice.note.clone().into_iter().collect(),
        link: standing.filter(|one| one.owed() > 0 && !is_credit).and_then(|_| {
            let url = address(settings, &format!("/invoices/{}", invoice.id))?;
            Some(Link { label: "Pay with your phone, or at", url })
        }),
    }
    .in_currency(total)
}

fn stamp(invoice: &Invoice, standing: Option<&InvoiceStanding>) -> Option<&'static str> {
    if invoice.number.is_none() {
        return Some("DRAFT");
    }
    let standing = standing.filter(|_| invoice.kind == DocumentKind::Invoice)?;
    if standing.is_void {
        Some("VOID")
    } else if standing.owed() == 0 && standing.written_off == 0 {
        Some("PAID")
    } else {
        None
    }
}

fn facts(
    invoice: &Invoice,
    standing: Option<&InvoiceStanding>,
    settings: &PaperSettings,
) -> Vec<(&'static str, String)> {
    let said = |label, at: Option<jiff::Timestamp>| at.map(|at| (label, day(at, &settings.zone)));
    let is_invoice = invoice.kind == DocumentKind::Invoice;
    let facts = [
        said("Issued", invoice.issued_at),
        said("Due", invoice.due_at.filter(|_| is_invoice)),
        said("Settled", standing.filter(|_| is_invoice).and_then(|one| one.cleared_at)),
    ];
    facts.into_iter().flatten().collect()
}

fn rows(invoice: &Invoice, settings: &PaperSettings) -> Vec<Row> {
    let none = LineSubject::default();
    let subjects = invoice.subjects.iter().chain(std::iter::repeat(&none));
    invoice.quote.lines.iter().zip(subjects).map(|(line, subject)| row(line, subject, settings)).collect()
}

fn row(line: &QuoteLine, subject: &LineSubject, settings: &PaperSettings) -> Row {
    let mut detail = Vec::new();
    if let (Some(from), Some(until)) = (subject.from, subject.until) {
        detail.push(format!("{} to {}", day(from, &settings.zone), day(until, &settings.zone)));
    }
    if line.discount.minor != 0 {
        detail.push(format!("{} less {} discount", amount(line.price), amount(line.discount)));
    }
    Row {
        what: line.description.clone(),
        detail,
        cells: vec![
            amount(line.net),
            rate(line.treatment, line.tax_ppm),
            amount(line.tax),
            amount(line.total),
        ],
    }
}

fn sums(invoice: &Invoice, standing: Option<&InvoiceStanding>) -> Vec<Sum> {
    let quote = &invoice.quote;
    let mut sums = Vec::new();
    if quote.discount.minor != 0 {
        sums.push(Sum::new("Discounts, taken off above", amount(quote.discount)));
    }
    sums.push(Sum::new("Net", amount(quote.net)));
    for tax in &quote.taxes {
        sums.push(Sum::new(format!("Tax {} on {}", percent(tax.tax_ppm), amount(tax.base)), amount(tax.tax)));
    }
    sums.push(Sum::strong(format!("Total {}", quote.total.currency), amount(quote.total)));
    let Some(standing) = standing.filter(|_| invoice.kind == DocumentKind::Invoice) else { return sums };
    let parts =
        [("Paid", standing.paid), ("Credited", standing.credited), ("Written off", standing.written_off)];
    sums.extend(
        parts
            .into_iter()
            .filter(|(_, minor)| *minor != 0)
            .map(|(label, minor)| Sum::new(label, less(minor, quote.total))),
    );
    let due = Money { minor: standing.owed(), ..quote.total };
    sums.push(Sum::strong(format!("Due {}", due.currency), amount(due)));
    sums
}

impl Document {
    /// Says once which currency all numbers are in.
    pub(super) fn in_currency(mut self, like: Money) -> Self {
        self.facts.push(("Currency", like.currency.code().to_owned()));
        self
    }
}

const COLUMNS: [Column; 5] = [
    Column { title: "What", width: 0 },
    Column { title: "Net", width: 82 },
    Column { title: "Tax rate", width: 56 },
    Column { title: "Tax", width: 76 },
    Column { title: "Total", width: 88 },
];
