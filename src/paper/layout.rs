//! A document on pages: letterhead, table over as many pages as it takes, sums, the way to pay.

use super::PaperError;
use super::document::{Column, Correspondent, Document, Link, Row, Sum};
use super::font::{Faces, Look};
use super::pages::{self, HEIGHT, Ink, Mark, Page, WIDTH};
use super::qr::Code;

/// The document as PDF.
pub(super) fn pdf(document: &Document) -> Result<Vec<u8>, PaperError> {
    let faces = Faces::load()?;
    let mut sheet = Sheet { faces: &faces, pages: vec![Page::new()], y: TOP };
    sheet.head(document);
    sheet.table(&document.columns, &document.rows);
    sheet.sums(&document.sums);
    sheet.notes(&document.notes);
    if let Some(link) = &document.link {
        sheet.link(link)?;
    }
    let title = format!("{} {}", document.title, document.number);
    let pages = sheet.numbered(title.trim());
    pages::pdf(title.trim(), pages, &faces)
}

/// Pages under way, and how far down the last one is.
struct Sheet<'a> {
    faces: &'a Faces,
    pages: Vec<Page>,
    y: f32,
}

impl Sheet<'_> {
    fn put(&mut self, mark: Mark) {
        if let Some(page) = self.pages.last_mut() {
            page.push(mark);
        }
    }

    fn text(&mut self, x: f32, look: Look, ink: Ink, text: &str) {
        let y = self.y + look.size;
        self.put(Mark::Text { x, y, look, ink, text: text.to_owned() });
    }

    /// A text that ends at `right`, made smaller where it has to be.
    fn right(&mut self, right: f32, most: f32, look: Look, ink: Ink, text: &str) {
        let look = self.faces.fitted(text, look, most);
        self.text(right - self.faces.width(text, look), look, ink, text);
    }

    /// Lines one below the other; `y` is below them afterwards.
    fn lines(&mut self, x: f32, most: f32, look: Look, ink: Ink, text: &str) {
        for line in self.faces.wrap(text, look, most) {
            self.need(look.leading());
            self.text(x, look, ink, &line);
            self.y += look.leading();
        }
    }

    fn rule(&mut self, ink: Ink) {
        self.put(Mark::Block { x: LEFT, y: self.y, width: RIGHT - LEFT, height: 0.8, ink });
    }

    /// Begins another page where `height` does not fit on this one; whether it did.
    fn need(&mut self, height: f32) -> bool {
        let is_full = self.y + height > BOTTOM;
        if is_full {
            self.pages.push(Page::new());
            self.y = TOP;
        }
        is_full
    }

    fn head(&mut self, document: &Document) {
        let half = (RIGHT - LEFT) / 2.0 - 12.0;
        let middle = LEFT + half + 24.0;
        // Right: what it is. Left: who sends it.
        self.right(RIGHT, half, Look::bold(20.0), Ink::Accent, &document.title);
        self.y += 28.0;
        self.right(RIGHT, half, Look::bold(10.0), Ink::Black, &document.number);
        self.y += 16.0;
        if let Some(stamp) = document.stamp {
            let ink = if stamp == "PAID" { Ink::Accent } else { Ink::Warn };
            self.right(RIGHT, half, Look::bold(13.0), ink, stamp);
            self.y += 20.0;
        }
        let below_title = self.y;
        self.y = TOP;
        self.lines(LEFT, half, Look::bold(14.0), Ink::Black, &document.from.name);
        for line in &document.from.lines {
            self.lines(LEFT, half, SMALL, Ink::Soft, line);
        }
        self.y = self.y.max(below_title) + 14.0;
        self.rule(Ink::Accent);
        self.y += 12.0;
        let top = self.y;
        self.correspondent(LEFT, half, &document.to);
        let below_names = self.y;
        self.y = top;
        for (label, value) in &document.facts {
            self.text(middle, SMALL, Ink::Soft, label);
            let room = RIGHT - middle - FACT;
            for line in self.faces.wrap(value, SMALL, room) {
                self.text(middle + FACT, SMALL, Ink::Black, &line);
                self.y += SMALL.leading();
            }
        }
        self.y = self.y.max(below_names) + 18.0;
    }

    fn correspondent(&mut self, x: f32, most: f32, who: &Correspondent) {
        self.lines(x, most, SMALL, Ink::Soft, who.label);
        self.lines(x, most, Look::bold(11.0), Ink::Black, &who.name);
        for line in &who.lines {
            self.lines(x, most, SMALL, Ink::Soft, line);
        }
    }

    fn table(&mut self, columns: &[Column], rows: &[Row]) {
        self.table_head(columns);
        for row in rows {
            self.row(columns, row);
        }
    }

    fn table_head(&mut self, columns: &[Column]) {
        let height = SMALL.leading() + 6.0;
        self.put(Mark::Block { x: LEFT, y: self.y, width: RIGHT - LEFT, height, ink: Ink::Shade });
        self.y += 3.0;
        for (column, right) in placed(columns) {
            let look = Look::bold(8.5);
            if column.width == 0 {
                self.text(LEFT + PAD, look, Ink::Black, column.title);
            } else {
                self.right(right - PAD, f32::from(column.width), look, Ink::Black, column.title);
            }
        }
        self.y += height + 2.0;
    }

    fn row(&mut self, columns: &[Column], row: &Row) {
        let taken: f32 = columns.iter().map(|column| f32::from(column.width)).sum();
        let most = RIGHT - LEFT - taken - 2.0 * PAD;
        let detail = row.detail.iter().flat_map(|text| self.faces.wrap(text, DETAIL, most));
        let what = self.faces.wrap(&row.what, BODY, most).into_iter().map(|line| (BODY, Ink::Black, line));
        let lines: Vec<_> = what.chain(detail.map(|line| (DETAIL, Ink::Soft, line))).collect();
        let height: f32 = lines.iter().map(|(look, ..)| look.leading()).sum();
        // A row stays on one page where a page can hold it.
        let together = if height < BOTTOM - TOP - 40.0 { height } else { BODY.leading() };
        if self.need(together + 6.0) {
            self.table_head(columns);
        }
        for ((column, right), cell) in placed(columns).into_iter().skip(1).zip(&row.cells) {
            self.right(right - PAD, f32::from(column.width) - PAD, BODY, Ink::Black, cell);
        }
        for (look, ink, line) in lines {
            if self.need(look.leading()) {
                self.table_head(columns);
            }
            self.text(LEFT + PAD, look, ink, &line);
            self.y += look.leading();
        }
        self.y += 3.0;
        self.rule(Ink::Line);
        self.y += 4.0;
    }

    fn sums(&mut self, sums: &[Sum]) {
        // The sums stay together: a total alone on a page says nothing.
        let height: f32 = sums.iter().map(sum_height).sum();
        self.y += 6.0;
        self.need(height.min(BOTTOM - TOP));
        for sum in sums {
            self.need(sum_height(sum));
            let look = if sum.strong { Look::bold(11.0) } else { BODY };
            self.right(RIGHT - PAD - AMOUNT - 8.0, 230.0, look, Ink::Black, &sum.label);
            self.right(RIGHT - PAD, AMOUNT, look, Ink::Black, &sum.amount);
            self.y += sum_height(sum);
        }
        self.y += 10.0;
    }

    fn notes(&mut self, notes: &[String]) {
        for note in notes {
            self.lines(LEFT, RIGHT - LEFT, BODY, Ink::Black, note);
            self.y += 4.0;
        }
    }

    fn link(&mut self, link: &Link) -> Result<(), PaperError> {
        self.y += 6.0;
        self.need(QR_SIDE);
        let (x, top) = (LEFT + QR_SIDE + 8.0, self.y);
        let code = Code::of(&link.url).ok_or(PaperError::TooLong)?;
        self.put(Mark::Code { x: LEFT, y: top, side: QR_SIDE, code });
        self.y += 28.0;
        self.lines(x, RIGHT - x, BODY, Ink::Black, link.label);
        let from = self.y;
        self.lines(x, RIGHT - x, BODY, Ink::Accent, &link.url);
        let height = self.y - from;
        self.put(Mark::Link { x, y: from, width: RIGHT - x, height, url: link.url.clone() });
        self.y = self.y.max(top + QR_SIDE);
        Ok(())
    }

    /// The pages with what they are and their number at the foot.
    fn numbered(self, title: &str) -> Vec<Page> {
        let count = self.pages.len();
        let faces = self.faces;
        let numbered = self.pages.into_iter().enumerate().map(|(at, mut page)| {
            let text = format!("{title} – page {} of {count}", at + 1);
            let look = faces.fitted(&faces.shown(&text), Look::plain(8.0), RIGHT - LEFT);
            page.push(Mark::Text { x: LEFT, y: HEIGHT - 30.0, look, ink: Ink::Soft, text });
            page
        });
        numbered.collect()
    }
}

/// Each column with its right edge.
fn placed(columns: &[Column]) -> Vec<(Column, f32)> {
    let mut right = RIGHT;
    let mut placed: Vec<(Column, f32)> = columns
        .iter()
        .rev()
        .map(|column| {
            let edge = right;
            right -= f32::from(column.width);
            (*column, edge)
        })
        .collect();
    placed.reverse();
    placed
}

const fn sum_height(sum: &Sum) -> f32 {
    if sum.strong { 18.0 } else { 14.0 }
}

const LEFT: f32 = 48.0;
const RIGHT: f32 = WIDTH - 48.0;
const TOP: f32 = 48.0;
/// Above the foot of the page.
const BOTTOM: f32 = HEIGHT - 52.0;
const PAD: f32 = 4.0;
const AMOUNT: f32 = 130.0;
/// From a fact's label to its value.
const FACT: f32 = 70.0;
/// About 3 cm: a phone reads it from an arm's length.
const QR_SIDE: f32 = 92.0;
const BODY: Look = Look::plain(9.5);
const SMALL: Look = Look::plain(9.0);
const DETAIL: Look = Look::plain(8.0);
