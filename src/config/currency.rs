//! The currencies of ISO 4217 that people pay with: each code and its decimal places.
//! Funds, metals, test codes and withdrawn codes are left out on purpose.

use toml::de::DeValue;

use super::fault::Wrong;
use super::kind::{Kind, quoted, text};

/// An ISO 4217 currency in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Currency {
    code: &'static str,
    exponent: u8,
}

impl Currency {
    /// Fills the place of a missing currency in a configuration that is refused anyway.
    pub(super) const NONE: Self = Self { code: "", exponent: 0 };

    /// The currency with this code of three capital letters.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        all().find(|currency| currency.code == code)
    }

    /// Three capital letters, as `NGN`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.code
    }

    /// Decimal places: 2 for most, 0 for JPY, 3 for KWD.
    #[must_use]
    pub const fn exponent(self) -> u8 {
        self.exponent
    }
}

impl Kind for Currency {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let code = text(value, "a currency code", "\"NGN\"")?;
        Self::of(code).ok_or_else(|| {
            let upper = code.to_ascii_uppercase();
            let remedy = match Self::of(&upper) {
                Some(meant) => format!("did you mean \"{}\"?", meant.code),
                None => {
                    "write its three capital letters from ISO 4217, as \"NGN\", \"KES\" or \"USD\"".to_owned()
                }
            };
            Wrong::new(format!("{} is not a currency in use", quoted(code)), remedy)
        })
    }

    fn show(&self) -> String {
        quoted(self.code)
    }
}

fn all() -> impl Iterator<Item = Currency> {
    CODES.iter().flat_map(|(exponent, codes)| {
        codes.split_ascii_whitespace().map(|code| Currency { code, exponent: *exponent })
    })
}

/// Decimal places, and the codes that have them.
const CODES: &[(u8, &str)] = &[
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"),
    (
        2,
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF \
         CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG \
         HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU \
         MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR \
         SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES \
         WST XCD XCG YER ZAR ZMW ZWG",
    ),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_three_capital_letters_and_stands_once() {
        let mut codes: Vec<_> = all().map(Currency::code).collect();
        assert!(codes.iter().all(|code| code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase())));
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }

    #[test]
    fn decimal_places_follow_the_currency() {
        assert_eq!(Currency::of("NGN").map(Currency::exponent), Some(2));
        assert_eq!(Currency::of("JPY").map(Currency::exponent), Some(0));
        assert_eq!(Currency::of("KWD").map(Currency::exponent), Some(3));
        assert_eq!(Currency::of("XAU"), None);
        assert_eq!(Currency::of("ngn"), None);
    }
}
