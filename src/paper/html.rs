//! The same papers for a browser that prints them.
//!
//! The one rule: everything but the style and our own drawings is escaped; no page here has a script or loads
//! anything, and who serves one says so in its policy, with the style's hash.

use askama::Template;

use super::qr::Code;
use super::vouchers::{self, SheetCode, SheetLayout, Ticket};
use super::{Document, PaperError, PaperSettings};

#[derive(Template)]
#[template(path = "print_document.html")]
struct DocumentPage<'a> {
    document: &'a Document,
    style: &'static str,
    /// The drawing of the link's code.
    code: String,
}

#[derive(Template)]
#[template(path = "print_vouchers.html")]
struct VouchersPage {
    tickets: Vec<Ticket>,
    columns: u8,
    style: &'static str,
}

/// A document as a page.
///
/// # Errors
/// Faults of ours.
pub fn document(document: &Document) -> Result<String, PaperError> {
    let code = document.link.as_ref().map(|link| Code::of(&link.url).ok_or(PaperError::TooLong));
    let code = code.transpose()?.map(|code| code.svg()).unwrap_or_default();
    rendered(&DocumentPage { document, style: STYLE, code })
}

/// A sheet of vouchers as a page. It holds codes: it is never kept by anybody on the way.
///
/// # Errors
/// Too many codes, or one that is too long.
pub fn voucher_sheet(
    codes: &[SheetCode],
    layout: &SheetLayout,
    settings: &PaperSettings,
) -> Result<String, PaperError> {
    let tickets = vouchers::tickets(codes, layout, settings)?;
    let columns = layout.columns.clamp(1, 4);
    rendered(&VouchersPage { tickets, columns, style: STYLE })
}

/// The page, with what would turn the direction of a text made visible, as on paper.
fn rendered(page: &impl Template) -> Result<String, PaperError> {
    let page = page.render().map_err(|_| PaperError::Template)?;
    let turns = |one: char| matches!(one, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    Ok(page.replace(turns, "\u{fffd}"))
}

/// The style of all these pages; whoever serves one names its hash in the page's policy.
pub const STYLE: &str = include_str!("templates/print.css");
