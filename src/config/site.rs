//! `[site]`: the place this box serves, and the conventions of its money and time.

use jiff::tz::TimeZone;
use toml::de::DeValue;

use super::fault::Wrong;
use super::kind::{Kind, quoted, text};
use super::reader::{Applies, Section};
use crate::domain::language::Language;
use crate::domain::money::Currency;

/// The place.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// What people call it; shown in lists, mails and on the console.
    pub name: String,
    /// Where days, months and plan hours begin. Stored times are UTC all the same.
    pub timezone: TimeZone,
    /// What prices are in.
    pub currency: Currency,
    /// Tax on top of prices, for plans that do not say their own.
    pub tax_rate: TaxRate,
    /// What people are written to in who did not say.
    pub language: Language,
    /// Whether all staff must have a second factor before they may do anything else.
    pub require_second_factor: bool,
}

impl Site {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let name = section.optional("name", Applies::Restart, "DotMac Edge".to_owned());
        // Neither has a safe default: a wrong zone or currency bills customers wrongly in silence.
        let zone = "name the site's zone, as timezone = \"Africa/Lagos\"";
        let timezone = section.required("timezone", Applies::Restart, zone);
        let prices = "name what prices are in, as currency = \"NGN\"";
        let currency = section.required("currency", Applies::Restart, prices);
        let tax_rate = section.optional("tax_rate", Applies::Restart, TaxRate::ZERO);
        let language = section.optional("language", Applies::Restart, Language::english());
        let require_second_factor = section.optional("require_second_factor", Applies::Restart, false);
        let Zone(timezone) = timezone?;
        Some(Self { name, timezone, currency: currency?, tax_rate, language, require_second_factor })
    }
}

/// A tax rate, exact to a ten-thousandth of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaxRate {
    ppm: u32,
}

impl TaxRate {
    /// No tax.
    pub const ZERO: Self = Self { ppm: 0 };
    /// A tenth, for shares that are written the same way.
    pub(super) const TENTH: Self = Self { ppm: 100_000 };

    /// Parts per million of the net price: 75,000 for 7.5 %.
    #[must_use]
    pub const fn ppm(self) -> u32 {
        self.ppm
    }

    fn parse(written: &str) -> Option<Self> {
        let number = written.strip_suffix('%')?.trim_end();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        if !plain(whole) || !plain(fraction) || fraction.len() > 4 {
            return None;
        }
        let fraction: u32 = format!("{fraction:0<4}").parse().ok()?;
        let ppm = whole.parse::<u32>().ok()?.checked_mul(10_000)?.checked_add(fraction)?;
        (ppm <= 1_000_000).then_some(Self { ppm })
    }
}

impl Kind for TaxRate {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let written = text(value, "a percentage in quotes", "\"7.5%\"")?;
        Self::parse(written).ok_or_else(|| {
            Wrong::new(
                format!("{} is not a tax rate", quoted(written)),
                "write a percentage from 0% to 100% with at most four decimals, as \"7.5%\"",
            )
        })
    }

    fn show(&self) -> String {
        let (whole, fraction) = (self.ppm / 10_000, format!("{:04}", self.ppm % 10_000));
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        quoted(&format!("{whole}{point}{fraction}%"))
    }
}

impl Kind for Currency {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let code = text(value, "a currency code", "\"NGN\"")?;
        Self::parse(code).map_err(|_| {
            let remedy = match Self::parse(&code.to_ascii_uppercase()) {
                Ok(meant) => format!("did you mean \"{meant}\"?"),
                Err(_) => "write its three capital letters from ISO 4217, as \"NGN\" or \"USD\"".to_owned(),
            };
            Wrong::new(format!("{} is not a currency in use", quoted(code)), remedy)
        })
    }

    fn show(&self) -> String {
        quoted(self.code())
    }
}

/// A time zone with an IANA name.
struct Zone(TimeZone);

impl Kind for Zone {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let name = text(value, "a time zone's name", "\"Africa/Lagos\"")?;
        TimeZone::get(name).map(Self).map_err(|_| {
            Wrong::new(
                format!("{} is not a time zone", quoted(name)),
                "write a name from the IANA list, Area/City, as \"Africa/Lagos\" or \"Africa/Nairobi\"",
            )
        })
    }

    fn show(&self) -> String {
        quoted(self.0.iana_name().unwrap_or("UTC"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tax_rate_is_exact() {
        let ppm = |text| TaxRate::parse(text).map(TaxRate::ppm);
        assert_eq!(ppm("7.5%"), Some(75_000));
        assert_eq!(ppm("0%"), Some(0));
        assert_eq!(ppm("16 %"), Some(160_000));
        assert_eq!(ppm("8.875%"), Some(88_750));
        assert_eq!(ppm("100%"), Some(1_000_000));
        for wrong in ["7.5", "%", ".5%", "7.%", "-1%", "100.0001%", "7.50001%", "7,5%", "99999999999%"] {
            assert_eq!(ppm(wrong), None, "{wrong}");
        }
        assert_eq!(TaxRate { ppm: 75_000 }.show(), "\"7.5%\"");
        assert_eq!(TaxRate::ZERO.show(), "\"0%\"");
    }
}
