//! What is printed: invoices, credit notes, receipts, statements and sheets of vouchers, as PDF and as pages.
//!
//! | file | what it is |
//! |---|---|
//! | `document` | a paper before it has a form: its numbers as texts |
//! | `invoice`, `receipt`, `statement` | facts in, a document out |
//! | `layout` | a document on pages |
//! | `vouchers` | sheets of codes, on pages |
//! | `pages` | marks on pages, and pages as PDF |
//! | `html` | the same documents and sheets for a browser that prints |
//! | `font`, `qr`, `words` | faces and line breaks; codes for cameras; amounts and days |
//!
//! A room without I/O, without a clock: the same facts give the same octets. The one rule: nothing is worked out
//! here. An amount on paper is an amount of the record, to the last minor unit, and PDF and page are
//! made of the same texts.

mod document;
mod font;
pub mod html;
mod invoice;
mod layout;
mod pages;
mod qr;
mod receipt;
mod statement;
mod vouchers;
mod words;

use jiff::tz::TimeZone;

use crate::domain::invoice::{Invoice, InvoiceStanding};
use crate::domain::payment::Payment;

pub use document::Document;
pub use invoice::invoice;
pub use receipt::{ReceiptFacts, receipt};
pub use statement::{Statement, StatementLine, statement};
pub use vouchers::{MOST_CODES, SheetCode, SheetLayout, Wifi};

/// What papers of a site have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaperSettings {
    /// Where its days begin.
    pub zone: TimeZone,
    /// The portal's origin, `https://portal.example.net`; `None` where there is no portal, and no links then.
    pub portal: Option<String>,
}

/// Why there is no paper. All but the last two are faults of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PaperError {
    /// A face of ours cannot be read.
    #[error("a font that is part of this program cannot be read")]
    Font,
    /// The PDF cannot be written.
    #[error("the pages cannot be written as PDF")]
    Page,
    /// The page cannot be written.
    #[error("the page cannot be written")]
    Template,
    /// A code would be too long to be read by a phone.
    #[error("an address or a Wi-Fi name is too long for a QR code")]
    TooLong,
    /// More codes than a sheet may have.
    #[error("a print sheet has at most {MOST_CODES} codes; print the batch in parts")]
    TooMany,
}

/// A document as PDF.
///
/// # Errors
/// Faults of ours.
pub fn pdf(document: &Document) -> Result<Vec<u8>, PaperError> {
    layout::pdf(document)
}

/// An invoice or credit note as PDF; `standing` is `None` for a draft.
///
/// # Errors
/// Faults of ours.
pub fn invoice_pdf(
    of: &Invoice,
    standing: Option<&InvoiceStanding>,
    settings: &PaperSettings,
) -> Result<Vec<u8>, PaperError> {
    pdf(&invoice(of, standing, settings))
}

/// A receipt as PDF.
///
/// # Errors
/// Faults of ours.
pub fn receipt_pdf(
    payment: &Payment,
    facts: &ReceiptFacts,
    settings: &PaperSettings,
) -> Result<Vec<u8>, PaperError> {
    pdf(&receipt(payment, facts, settings))
}

/// A statement as PDF.
///
/// # Errors
/// Faults of ours.
pub fn statement_pdf(facts: &Statement, settings: &PaperSettings) -> Result<Vec<u8>, PaperError> {
    pdf(&statement(facts, settings))
}

/// A sheet of vouchers as PDF.
///
/// # Errors
/// Too many codes, or one that is too long.
pub fn voucher_sheet_pdf(
    codes: &[SheetCode],
    layout: &SheetLayout,
    settings: &PaperSettings,
) -> Result<Vec<u8>, PaperError> {
    vouchers::pdf(codes, layout, settings)
}

/// A text as a code for a phone's camera, an SVG image of its own; `None` for one that is too long.
#[must_use]
pub fn qr_image(text: &str) -> Option<String> {
    qr::Code::of(text).map(|code| code.image())
}

/// The address of a page of the portal.
fn address(settings: &PaperSettings, path: &str) -> Option<String> {
    settings.portal.as_ref().map(|origin| format!("{origin}{path}"))
}
