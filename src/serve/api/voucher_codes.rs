//! The codes of a batch, handed out: as JSON, as a table, as cards to print.
//!
//! The one rule: no cell of a table is ever a formula.

use jiff::tz::TimeZone;

use super::edit::reference;
use super::papers::{fault as paper_fault, paper_settings, print_page};
use super::users::rfc3339;
use super::vouchers::{BatchView, CardView, CodesView};
use super::{Answer, ApiError, App, Call};
use crate::billing::voucher::envelope::{Card, Opened};
use crate::domain::plan::{Validity, ValidityUnit};
use crate::domain::voucher::VoucherBatch;
use crate::paper::{self, PaperSettings, SheetCode, SheetLayout};

pub(super) async fn codes(app: App, call: Call) -> Result<Answer, ApiError> {
    let format = call.query("format").unwrap_or_else(|| "json".to_owned());
    if !FORMATS.contains(&format.as_str()) {
        return Err(ApiError::field("format", format!("must be one of: {}", FORMATS.join(", "))));
    }
    let opened = app
        .reception
        .vouchers()
        .open_envelope(&call.actor, reference(&call), call.now)
        .await
        .map_err(ApiError::from)?;
    let cards = numbered(&call, &opened)?;
    match format.as_str() {
        "csv" => Ok(Answer::bytes("text/csv; charset=utf-8", csv(&opened.batch, cards)?)),
        "json" => Ok(Answer::ok(&CodesView {
            batch: BatchView::of(&opened.batch),
            codes: cards.iter().map(CardView::of).collect(),
            until: rfc3339(opened.until),
        })),
        paper => {
            let layout = SheetLayout { heading: app.site.name.clone(), columns: SHEET_COLUMNS, wifi: None };
            let codes: Vec<_> =
                cards.iter().map(|card| printed(card, &opened.batch, &app.site.timezone)).collect();
            sheet(paper == "html", codes, layout, paper_settings(&app)).await
        }
    }
}

/// The cards of the numbers that were asked for: a long batch is printed in parts.
fn numbered<'o>(call: &Call, opened: &'o Opened) -> Result<&'o [Card], ApiError> {
    let (from, to) = (call.query_as::<u32>("from")?, call.query_as::<u32>("to")?);
    let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX).min(opened.cards.len());
    let (from, to) = (place(from.unwrap_or(1).saturating_sub(1)), place(to.unwrap_or(u32::MAX)));
    let none = || ApiError::field("from", "must not be beyond the batch, nor beyond `to`");
    opened.cards.get(from..to).ok_or_else(none)
}

fn printed(card: &Card, batch: &VoucherBatch, zone: &TimeZone) -> SheetCode {
    let redeem_by =
        batch.redeem_by.map(|end| end.to_zoned(zone.clone()).strftime("%-d %b %Y, %H:%M").to_string());
    SheetCode {
        code: card.code.clone(),
        plan: batch.terms.name.to_string(),
        price: (batch.price.minor > 0).then_some(batch.price),
        valid: batch
            .terms
            .validity
            .map(|validity| format!("{} from first use", lasting(validity)))
            .unwrap_or_default(),
        redeem_by: redeem_by.map(|end| format!("Use before {end}")).unwrap_or_default(),
        serial: card.serial.clone(),
    }
}

/// Drawing some thousand codes takes a moment, which no other request is to wait for.
async fn sheet(
    as_page: bool,
    codes: Vec<SheetCode>,
    layout: SheetLayout,
    settings: PaperSettings,
) -> Result<Answer, ApiError> {
    let drawn = tokio::task::spawn_blocking(move || match as_page {
        true => paper::html::voucher_sheet(&codes, &layout, &settings).map(print_page),
        false => paper::voucher_sheet_pdf(&codes, &layout, &settings)
            .map(|pdf| Answer::bytes("application/pdf", pdf)),
    });
    drawn.await.map_err(|error| ApiError::internal(&error))?.map_err(paper_fault)
}

/// `24 hours`.
fn lasting(validity: Validity) -> String {
    let unit = match validity.unit {
        ValidityUnit::Minutes => "minute",
        ValidityUnit::Hours => "hour",
        ValidityUnit::Days => "day",
        ValidityUnit::Weeks => "week",
        ValidityUnit::Months => "month",
        ValidityUnit::Years => "year",
    };
    format!("{} {unit}{}", validity.count, if validity.count == 1 { "" } else { "s" })
}

/// One line a voucher. A program for tables must not take any cell for a formula.
fn csv(batch: &VoucherBatch, cards: &[Card]) -> Result<Vec<u8>, ApiError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |error: csv::Error| ApiError::internal(&error);
    writer
        .write_record(["serial", "code", "plan", "batch", "price", "currency", "redeem_by"])
        .map_err(failed)?;
    let redeem_by = batch.redeem_by.map(rfc3339).unwrap_or_default();
    let (plan, name) = (cell(batch.terms.name.as_str()), cell(batch.name.as_str()));
    let (price, currency) = (batch.price.decimal(), batch.price.currency.to_string());
    for card in cards {
        let row = [&card.serial, &card.code, &plan, &name, &price, &currency, &redeem_by];
        writer.write_record(row).map_err(failed)?;
    }
    writer.into_inner().map_err(|error| ApiError::internal(&error.to_string()))
}

/// A text that stays a text in a table.
fn cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

/// What codes can be fetched as.
const FORMATS: &[&str] = &["json", "csv", "pdf", "html"];
/// Cards side by side: a code that is read at arm's length.
const SHEET_COLUMNS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_never_a_formula() {
        assert_eq!(cell("=HYPERLINK(\"http://evil.example\")"), "'=HYPERLINK(\"http://evil.example\")");
        for text in ["+1", "-1", "@x", "\tx"] {
            assert!(cell(text).starts_with('\''));
        }
        assert_eq!(cell("Day 1"), "Day 1");
    }
}
