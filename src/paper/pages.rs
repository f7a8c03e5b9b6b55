//! Marks on pages, and pages as PDF.
//!
//! Distances are points from a page's upper left corner. The one rule: the same marks give the same octets;
//! nothing here knows the time.

use krilla::Document;
use krilla::action::{Action, LinkAction};
use krilla::annotation::{Annotation, LinkAnnotation, Target};
use krilla::color::rgb;
use krilla::geom::{Path, PathBuilder, Point, Rect};
use krilla::metadata::Metadata;
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::surface::Surface;
use krilla::text::TextDirection;

use super::PaperError;
use super::font::{Faces, Look};
use super::qr::Code;

/// A4.
pub(super) const WIDTH: f32 = 595.28;
/// A4.
pub(super) const HEIGHT: f32 = 841.89;

/// Colours of print: black, grey for what explains, a light and a strong line, a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Black,
    Soft,
    Line,
    Shade,
    Accent,
    Warn,
}

/// One mark on a page.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mark {
    /// A line of text; `y` is where it stands.
    Text { x: f32, y: f32, look: Look, ink: Ink, text: String },
    /// A filled rectangle.
    Block { x: f32, y: f32, width: f32, height: f32, ink: Ink },
    /// A code with its quiet border.
    Code { x: f32, y: f32, side: f32, code: Code },
    /// A rectangle that leads to an address.
    Link { x: f32, y: f32, width: f32, height: f32, url: String },
}

/// One page.
pub(super) type Page = Vec<Mark>;

/// The pages as PDF.
pub(super) fn pdf(title: &str, pages: Vec<Page>, faces: &Faces) -> Result<Vec<u8>, PaperError> {
    let mut document = Document::new();
    document.set_metadata(Metadata::new().title(faces.shown(title)).language("en".to_owned()));
    for marks in pages {
        let settings = PageSettings::from_wh(WIDTH, HEIGHT).ok_or(PaperError::Page)?;
        let mut page = document.start_page_with(settings);
        let mut surface = page.surface();
        for mark in &marks {
            draw(&mut surface, mark, faces);
        }
        surface.finish();
        for mark in marks {
            if let Mark::Link { x, y, width, height, url } = mark
                && let Some(area) = Rect::from_xywh(x, y, width, height)
            {
                let target = Target::Action(Action::Link(LinkAction::new(url)));
                page.add_annotation(Annotation::from(LinkAnnotation::new(area, target)));
            }
        }
        page.finish();
    }
    document.finish().map_err(|_| PaperError::Page)
}

fn draw(surface: &mut Surface<'_>, mark: &Mark, faces: &Faces) {
    match mark {
        Mark::Text { x, y, look, ink, text } => {
            surface.set_fill(Some(fill(*ink)));
            let font = faces.face(*look).font();
            let text = faces.shown(text);
            if !text.is_empty() {
                surface.draw_text(
                    Point::from_xy(*x, *y),
                    font,
                    look.size,
                    &text,
                    false,
                    TextDirection::LeftToRight,
                );
            }
        }
        Mark::Block { x, y, width, height, ink } => {
            surface.set_fill(Some(fill(*ink)));
            let area = Rect::from_xywh(*x, *y, *width, *height);
            if let Some(path) = area.and_then(|area| filled([area])) {
                surface.draw_path(&path);
            }
        }
        Mark::Code { x, y, side, code } => {
            surface.set_fill(Some(fill(Ink::Black)));
            if let Some(path) = filled(squares(*x, *y, *side, code)) {
                surface.draw_path(&path);
            }
        }
        Mark::Link { .. } => {}
    }
}

/// The dark runs of a code within its square.
fn squares(x: f32, y: f32, side: f32, code: &Code) -> impl Iterator<Item = Rect> {
    let unit = side / f32::from(code.side + 2 * super::qr::QUIET);
    let at = move |count: u16| f32::from(count + super::qr::QUIET) * unit;
    code.runs.iter().filter_map(move |(row, column, length)| {
        Rect::from_xywh(x + at(*column), y + at(*row), f32::from(*length) * unit, unit)
    })
}

fn filled(areas: impl IntoIterator<Item = Rect>) -> Option<Path> {
    let mut path = PathBuilder::new();
    for area in areas {
        path.push_rect(area);
    }
    path.finish()
}

fn fill(ink: Ink) -> Fill {
    let color = match ink {
        Ink::Black => rgb::Color::new(20, 32, 43),
        Ink::Soft => rgb::Color::new(74, 89, 102),
        Ink::Line => rgb::Color::new(201, 211, 219),
        Ink::Shade => rgb::Color::new(243, 246, 248),
        Ink::Accent => rgb::Color::new(11, 95, 122),
        Ink::Warn => rgb::Color::new(163, 20, 30),
    };
    Fill { paint: color.into(), ..Fill::default() }
}
