//! Codes that a phone's camera reads, as runs of dark squares.

use std::fmt::Write;

use qrcode::{Color, EcLevel, QrCode};

/// A code's dark runs: row, first column, how many; and how many squares a side has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) side: u16,
    pub(super) runs: Vec<(u16, u16, u16)>,
}

impl Code {
    /// The code of a text; `None` for one that is longer than a code holds.
    ///
    /// With the second of four levels of repair, which outlives a fold and a thumb.
    pub(super) fn of(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
        let side = code.width();
        let mut runs: Vec<(u16, u16, u16)> = Vec::new();
        for (row, colors) in code.to_colors().chunks(side).enumerate() {
            let row = u16::try_from(row).ok()?;
            let mut column = 0;
            for same in colors.chunk_by(|a, b| a == b) {
                let length = u16::try_from(same.len()).ok()?;
                if same.first() == Some(&Color::Dark) {
                    runs.push((row, column, length));
                }
                column += length;
            }
        }
        Some(Self { side: u16::try_from(side).ok()?, runs })
    }

    /// As SVG for a page, with the quiet border that scanners need.
    pub(super) fn svg(&self) -> String {
        self.svg_with("class=\"qr\"")
    }

    /// The same as an image of its own.
    pub(super) fn image(&self) -> String {
        let pixels = (self.side + 2 * QUIET).saturating_mul(PIXELS);
        self.svg_with(&format!("xmlns=\"http://www.w3.org/2000/svg\" width=\"{pixels}\" height=\"{pixels}\""))
    }

    fn svg_with(&self, attributes: &str) -> String {
        let whole = self.side + 2 * QUIET;
        let mut path = String::new();
        for (row, column, length) in &self.runs {
            // Writing to a String cannot fail.
            let _ = write!(path, "M{} {}h{length}v1h-{length}z", column + QUIET, row + QUIET);
        }
        format!(
            "<svg {attributes} viewBox=\"0 0 {whole} {whole}\" role=\"img\" aria-label=\"QR code\" \
             shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h{whole}v{whole}H0z\"/><path fill=\"#000\" \
             d=\"{path}\"/></svg>"
        )
    }
}

/// Light squares around a code.
pub(super) const QUIET: u16 = 4;

/// Of a square's side, where nothing else says how large the code is: a phone reads that from a screen.
const PIXELS: u16 = 6;

/// What joins a Wi-Fi network when a phone reads it; the format's own characters are escaped.
pub(super) fn wifi(name: &str, password: Option<&str>) -> String {
    let escaped = |text: &str| {
        let mut out = String::new();
        for one in text.chars() {
            if matches!(one, '\\' | ';' | ',' | ':' | '"') {
                out.push('\\');
            }
            out.push(one);
        }
        out
    };
    match password {
        Some(password) => format!("WIFI:T:WPA;S:{};P:{};;", escaped(name), escaped(password)),
        None => format!("WIFI:T:nopass;S:{};;", escaped(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_the_codes_dark_squares() {
        let text = "https://portal.example.net/voucher?code=ABCD-EFGH-JKLM";
        let code = Code::of(text).unwrap();
        let whole = QrCode::with_error_correction_level(text, EcLevel::M).unwrap();
        let dark = whole.to_colors().into_iter().filter(|one| *one == Color::Dark).count();
        assert_eq!(code.runs.iter().map(|(_, _, length)| usize::from(*length)).sum::<usize>(), dark);
        assert!(Code::of(&"x".repeat(5_000)).is_none());
    }

    #[test]
    fn a_networks_name_cannot_add_fields_of_its_own() {
        assert_eq!(wifi("Ada;T:WEP", Some("a\\b\"c")), "WIFI:T:WPA;S:Ada\\;T\\:WEP;P:a\\\\b\\\"c;;");
        assert_eq!(wifi("Lekki", None), "WIFI:T:nopass;S:Lekki;;");
    }
}
