//! The two faces that everything is printed in: how wide a text is, where it may break.
//!
//! The one rule: a character that the fonts lack is shown as a substitute, never left out; so is one that would
//! turn the direction of what follows it.

use krilla::text::Font;
use skrifa::charmap::Charmap;
use skrifa::instance::{LocationRef, Size};
use skrifa::metrics::GlyphMetrics;
use skrifa::{FontRef, MetadataProvider};

use super::PaperError;

/// A font that can be measured and drawn.
pub(super) struct Face {
    font: Font,
    characters: Charmap<'static>,
    metrics: GlyphMetrics<'static>,
    units: f32,
}

/// Regular and bold.
pub(super) struct Faces {
    regular: Face,
    bold: Face,
}

/// How a text looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Look {
    /// Points.
    pub(super) size: f32,
    pub(super) bold: bool,
}

impl Look {
    pub(super) const fn plain(size: f32) -> Self {
        Self { size, bold: false }
    }

    pub(super) const fn bold(size: f32) -> Self {
        Self { size, bold: true }
    }

    /// From one line of text to the next.
    pub(super) const fn leading(self) -> f32 {
        self.size * 1.4
    }
}

impl Faces {
    /// The faces that are part of this program.
    pub(super) fn load() -> Result<Self, PaperError> {
        Ok(Self { regular: Face::read(REGULAR)?, bold: Face::read(BOLD)? })
    }

    pub(super) const fn face(&self, look: Look) -> &Face {
        if look.bold { &self.bold } else { &self.regular }
    }

    /// The width of a text, in points.
    pub(super) fn width(&self, text: &str, look: Look) -> f32 {
        text.chars().map(|one| self.face(look).advance(one) * look.size).sum()
    }

    /// The same look, smaller where the text would not fit; numbers are never cut.
    pub(super) fn fitted(&self, text: &str, look: Look, most: f32) -> Look {
        let width = self.width(text, look);
        if width <= most { look } else { Look { size: look.size * most / width, ..look } }
    }

    /// The text in lines of at most `most` points, broken at spaces where there are some, anywhere else where
    /// a word alone is too wide. At least one line.
    pub(super) fn wrap(&self, text: &str, look: Look, most: f32) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = String::new();
        for word in self.shown(text).split(' ').filter(|word| !word.is_empty()) {
            let joined = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
            if self.width(&joined, look) <= most {
                line = joined;
                continue;
            }
            if !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            line = self.broken(word, look, most, &mut lines);
        }
        if !line.is_empty() || lines.is_empty() {
            lines.push(line);
        }
        lines
    }

    /// Puts all but the last line of one word into `lines` and returns that.
    fn broken(&self, word: &str, look: Look, most: f32, lines: &mut Vec<String>) -> String {
        let mut line = String::new();
        let mut width = 0.0;
        for one in word.chars() {
            let advance = self.face(look).advance(one) * look.size;
            // A mark stands on the character before it and has no width of its own.
            if width + advance > most && advance > 0.0 && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
                width = 0.0;
            }
            line.push(one);
            width += advance;
        }
        line
    }

    /// The text with what cannot be drawn made visible.
    pub(super) fn shown(&self, text: &str) -> String {
        text.chars()
            .map(|one| match one {
                '\n' | '\r' | '\t' | '\u{a0}' => ' ',
                _ if self.regular.has(one) => one,
                _ => SUBSTITUTE,
            })
            .collect()
    }
}

impl Face {
    fn read(octets: &'static [u8]) -> Result<Self, PaperError> {
        let reader = FontRef::new(octets).map_err(|_| PaperError::Font)?;
        let font = Font::new(octets.into(), 0).ok_or(PaperError::Font)?;
        Ok(Self {
            units: font.units_per_em(),
            font,
            characters: reader.charmap(),
            metrics: reader.glyph_metrics(Size::unscaled(), LocationRef::default()),
        })
    }

    pub(super) fn font(&self) -> Font {
        self.font.clone()
    }

    fn has(&self, one: char) -> bool {
        self.characters.map(one).is_some()
    }

    /// In parts of the font's size.
    fn advance(&self, one: char) -> f32 {
        let glyph = self.characters.map(one).unwrap_or_default();
        self.metrics.advance_width(glyph).unwrap_or(self.units) / self.units
    }
}

/// What stands for a character that the fonts lack.
const SUBSTITUTE: char = '\u{fffd}';
const REGULAR: &[u8] = include_bytes!("fonts/NotoSans-Regular.ttf");
const BOLD: &[u8] = include_bytes!("fonts/NotoSans-Bold.ttf");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letters_of_our_places_are_there_and_others_are_seen_to_be_missing() {
        let faces = Faces::load().unwrap();
        let here = "₦ ₵ £ € Ẹ̀kọ́ ṣẹ́gun ƙ ɗ ɓ ƴ ŋ ɛ ɔ Ọ̀ṣun ñ ü ç ' \" & < >";
        assert_eq!(faces.shown(here), here);
        assert_eq!(faces.shown("中\u{202e}x\n\u{7}\u{200b}"), "\u{fffd}\u{fffd}x \u{fffd}\u{fffd}");
        assert!(here.chars().all(|one| faces.bold.has(one)));
    }

    #[test]
    fn lines_are_no_wider_than_asked_for_and_nothing_is_lost() {
        let faces = Faces::load().unwrap();
        let look = Look::plain(9.0);
        for text in ["Ada Obi", &"W".repeat(500), &"ẹ́".repeat(300), "a  b   c", "", &"word ".repeat(90)] {
            let lines = faces.wrap(text, look, 80.0);
            assert!(lines.iter().all(|line| faces.width(line, look) <= 80.0), "{text}");
            let squeezed = |text: &str| text.replace(' ', "");
            assert_eq!(squeezed(&lines.concat()), squeezed(text));
            assert!(lines.iter().all(|line| !line.starts_with('\u{301}')));
            assert!(!lines.is_empty());
        }
    }
}
