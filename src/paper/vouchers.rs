//! Sheets of voucher codes to cut apart: the code, its QR code, what it buys and until when.

use super::font::{Faces, Look};
use super::pages::{self, HEIGHT, Ink, Mark, Page, WIDTH};
use super::qr::{self, Code};
use super::words::priced;
use super::{PaperError, PaperSettings, address};
use crate::domain::money::Money;

/// One voucher as it is printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SheetCode {
    /// The code as people type it.
    pub code: String,
    /// What it buys.
    pub plan: String,
    /// What it costs, where that is printed.
    pub price: Option<Money>,
    /// How long it lasts, in words: `24 hours from first use`.
    pub valid: String,
    /// Its shelf life, in words: `Use before 1 Jun 2027`; may be empty.
    pub redeem_by: String,
    /// The batch's and the voucher's place: `B7 / 0012`; may be empty.
    pub serial: String,
}

/// How a sheet looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SheetLayout {
    /// Across the top of each voucher: what people call the network.
    pub heading: String,
    /// Vouchers side by side, 1 to 4.
    pub columns: u8,
    /// A second code that joins the Wi-Fi; leaves room for fewer columns.
    pub wifi: Option<Wifi>,
}

/// A Wi-Fi network.
#[derive(Clone, PartialEq, Eq)]
pub struct Wifi {
    /// Its name.
    pub name: String,
    /// Its password; `None` for an open one.
    pub password: Option<String>,
}

impl std::fmt::Debug for SheetCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SheetCode({})", self.serial)
    }
}

impl std::fmt::Debug for Wifi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wifi({})", self.name)
    }
}

/// What is on one voucher, as texts and codes; PDF and page are made of it.
pub(super) struct Ticket {
    pub(super) heading: String,
    pub(super) code: String,
    pub(super) plan: String,
    pub(super) lines: Vec<String>,
    pub(super) serial: String,
    /// The address that its code leads to, and how to get there without a camera.
    pub(super) link: Option<(Code, String)>,
    pub(super) wifi: Option<(Code, String)>,
}

/// The tickets of a sheet.
pub(super) fn tickets(
    codes: &[SheetCode],
    layout: &SheetLayout,
    settings: &PaperSettings,
) -> Result<Vec<Ticket>, PaperError> {
    if codes.len() > MOST_CODES {
        return Err(PaperError::TooMany);
    }
    let wifi = layout.wifi.as_ref().map(|wifi| {
        let code = Code::of(&qr::wifi(&wifi.name, wifi.password.as_deref())).ok_or(PaperError::TooLong)?;
        Ok((code, wifi.name.clone()))
    });
    let wifi = wifi.transpose()?;
    codes.iter().map(|one| ticket(one, layout, wifi.as_ref(), settings)).collect()
}

fn ticket(
    one: &SheetCode,
    layout: &SheetLayout,
    wifi: Option<&(Code, String)>,
    settings: &PaperSettings,
) -> Result<Ticket, PaperError> {
    let link = address(settings, &format!("/voucher?code={}", escaped(&one.code)));
    let link = link.map(|url| Code::of(&url).ok_or(PaperError::TooLong)).transpose()?;
    let place = address(settings, "/voucher").unwrap_or_default();
    let place = place.split_once("://").map_or(place.as_str(), |(_, rest)| rest).to_owned();
    let price = one.price.map(priced).unwrap_or_default();
    let lines = [price, one.valid.clone(), one.redeem_by.clone()];
    Ok(Ticket {
        heading: layout.heading.clone(),
        code: one.code.clone(),
        plan: one.plan.clone(),
        lines: lines.into_iter().filter(|line| !line.is_empty()).collect(),
        serial: one.serial.clone(),
        link: link.map(|code| (code, place)),
        wifi: wifi.cloned(),
    })
}

/// A code as a part of an address. Ours need no escape; a foreign one that was imported may.
fn escaped(code: &str) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    for octet in code.bytes() {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(octet));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{octet:02X}");
        }
    }
    out
}

/// The sheet as PDF.
pub(super) fn pdf(
    codes: &[SheetCode],
    layout: &SheetLayout,
    settings: &PaperSettings,
) -> Result<Vec<u8>, PaperError> {
    let faces = Faces::load()?;
    let tickets = tickets(codes, layout, settings)?;
    let columns = layout.columns.clamp(1, MOST_COLUMNS);
    let width = (WIDTH - 2.0 * MARGIN) / f32::from(columns);
    let height = if layout.wifi.is_some() { TALL } else { SHORT };
    let mut pages = vec![Page::new()];
    let (mut column, mut y) = (0_u8, MARGIN);
    for ticket in &tickets {
        if column == columns {
            column = 0;
            y += height;
        }
        if y + height > HEIGHT - MARGIN {
            pages.push(Page::new());
            y = MARGIN;
        }
        if let Some(page) = pages.last_mut() {
            draw(page, ticket, &faces, (MARGIN + f32::from(column) * width, y, width, height));
        }
        column += 1;
    }
    pages::pdf("Vouchers", pages, &faces)
}

/// A ticket in its rectangle (left, top, width, height), with a line to cut along.
fn draw(page: &mut Page, ticket: &Ticket, faces: &Faces, area: (f32, f32, f32, f32)) {
    let (x, y, width, height) = area;
    for (x, y, width, height) in [
        (x, y, width, LINE),
        (x, y + height, width, LINE),
        (x, y, LINE, height),
        (x + width, y, LINE, height),
    ] {
        page.push(Mark::Block { x, y, width, height, ink: Ink::Line });
    }
    let (left, most) = (x + INSET, width - 2.0 * INSET);
    let mut at = y + INSET;
    let mut line = |page: &mut Page, look: Look, ink, text: &str, most: f32| {
        let shown = faces.shown(text);
        let look = faces.fitted(&shown, look, most);
        at += look.size;
        page.push(Mark::Text { x: left, y: at, look, ink, text: shown });
        at += look.size * 0.4;
    };
    line(page, Look::bold(8.0), Ink::Soft, &ticket.heading, most);
    line(page, Look::bold(13.0), Ink::Black, &ticket.code, most);
    let beside = if ticket.link.is_some() { most - SIDE } else { most };
    line(page, Look::bold(9.0), Ink::Accent, &ticket.plan, beside);
    for text in &ticket.lines {
        line(page, Look::plain(8.0), Ink::Black, text, beside);
    }
    line(page, Look::plain(6.5), Ink::Soft, &ticket.serial, beside);
    if let Some((code, place)) = &ticket.link {
        let top = y + 34.0;
        page.push(Mark::Code { x: x + width - SIDE - 2.0, y: top, side: SIDE, code: code.clone() });
        foot(page, faces, &format!("Scan, or type the code at {place}"), (left, top + SIDE + 8.0, most));
    }
    if let Some((code, name)) = &ticket.wifi {
        let top = y + SHORT;
        page.push(Mark::Code { x: x + 2.0, y: top, side: SIDE, code: code.clone() });
        let beside = (x + SIDE + 4.0, top + SIDE / 2.0, width - SIDE - 8.0);
        foot(page, faces, &format!("First join the Wi-Fi {name}"), beside);
    }
}

/// A small line, as wide as there is room.
fn foot(page: &mut Page, faces: &Faces, text: &str, (x, y, most): (f32, f32, f32)) {
    let shown = faces.shown(text);
    let look = faces.fitted(&shown, Look::plain(7.5), most);
    page.push(Mark::Text { x, y, look, ink: Ink::Soft, text: shown });
}

/// Most codes of one sheet: some 110 pages, which a browser shows and a printer takes; about 8 MB.
pub const MOST_CODES: usize = 2_000;
/// More, and the codes are smaller than cheap cameras read.
const MOST_COLUMNS: u8 = 4;
const MARGIN: f32 = 28.0;
const INSET: f32 = 8.0;
const LINE: f32 = 0.5;
/// Two centimetres and a half.
const SIDE: f32 = 72.0;
/// Six rows on A4.
const SHORT: f32 = 122.0;
const TALL: f32 = SHORT + SIDE + 6.0;
