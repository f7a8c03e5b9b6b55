//! Money: integer minor units with an ISO 4217 currency. No float ever touches it.
//!
//! What the outside sees is a decimal text beside a currency code; inside it is an `i64` count of
//! the currency's smallest unit, whose number of decimals ISO 4217 gives as the exponent.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A currency by its ISO 4217 code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// An amount in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Count of the currency's smallest unit; may be negative (a credit).
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

/// Why a text is not an amount or a currency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not one of the codes in [`EXPONENTS`].
    #[error("{0:?} is not an ISO 4217 currency code")]
    UnknownCurrency(String),
    /// Not a decimal number.
    #[error("an amount is digits with an optional decimal point, such as 17500.00")]
    NotANumber,
    /// More decimals than the currency has.
    #[error("{currency} has {decimals} decimals, no more")]
    TooManyDecimals {
        /// The currency.
        currency: Currency,
        /// How many it has.
        decimals: u32,
    },
    /// Outside what 64 bits of minor units hold.
    #[error("the amount is too large")]
    TooLarge,
    /// Two currencies that cannot be added.
    #[error("{left} and {right} cannot be added")]
    TwoCurrencies {
        /// One of them.
        left: Currency,
        /// The other.
        right: Currency,
    },
    /// A part of nothing.
    #[error("an amount cannot be divided by nothing")]
    DividedByZero,
}

impl Currency {
    /// The Nigerian naira, which most sites take.
    pub const NGN: Self = Self(*b"NGN");
    /// ISO 4217's code for no currency: of an account that never held anything.
    pub const NONE: Self = Self(*b"XXX");

    /// The currency of that code.
    ///
    /// # Errors
    /// When ISO 4217 does not list it.
    pub fn parse(code: &str) -> Result<Self, MoneyError> {
        let unknown = || MoneyError::UnknownCurrency(code.to_owned());
        let bytes: [u8; 3] = code.as_bytes().try_into().map_err(|_| unknown())?;
        let listed = EXPONENTS.iter().any(|(_, codes)| codes.split(' ').any(|listed| listed == code));
        if listed { Ok(Self(bytes)) } else { Err(unknown()) }
    }

    /// The three letters.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// How many decimals its amounts have.
    #[must_use]
    pub fn exponent(&self) -> u32 {
        EXPONENTS
            .iter()
            .find(|(_, codes)| codes.split(' ').any(|listed| listed == self.code()))
            .map_or(2, |(exponent, _)| *exponent)
    }
}

impl Money {
    /// No money.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self { minor: 0, currency }
    }

    /// An amount from a decimal text such as `"17500.50"` or `"-3"`.
    ///
    /// # Errors
    /// When it is no number, has more decimals than the currency, or does not fit.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let numeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !numeric(whole) || !numeric(fraction) || digits.ends_with('.') {
            return Err(MoneyError::NotANumber);
        }
        let decimals = currency.exponent();
        let fraction = fraction.trim_end_matches('0');
        let given = u32::try_from(fraction.len()).unwrap_or(u32::MAX);
        let Some(missing) = decimals.checked_sub(given) else {
            return Err(MoneyError::TooManyDecimals { currency, decimals });
        };
        let scaled = format!("{whole}{fraction}{}", "0".repeat(missing as usize));
        let minor: i64 = scaled.parse().map_err(|_| MoneyError::TooLarge)?;
        Ok(Self { minor: if negative { -minor } else { minor }, currency })
    }

    /// The sum, in one currency.
    ///
    /// # Errors
    /// Two currencies, or a sum beyond 64 bits.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::TwoCurrencies { left: self.currency, right: other.currency });
        }
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::TooLarge)?;
        Ok(Self { minor, ..self })
    }

    /// The difference, in one currency.
    ///
    /// # Errors
    /// As [`Money::checked_add`].
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        let minor = other.minor.checked_neg().ok_or(MoneyError::TooLarge)?;
        self.checked_add(Self { minor, ..other })
    }

    /// This amount times `count`.
    ///
    /// # Errors
    /// Beyond 64 bits.
    pub fn times(self, count: i64) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_mul(count).ok_or(MoneyError::TooLarge)?;
        Ok(Self { minor, ..self })
    }

    /// This amount times `part` / `whole`, rounded half away from zero.
    ///
    /// # Errors
    /// A whole of zero or less, or a result beyond 64 bits.
    pub fn scaled(self, part: i64, whole: i64) -> Result<Self, MoneyError> {
        if whole <= 0 {
            return Err(MoneyError::DividedByZero);
        }
        let product = i128::from(self.minor) * i128::from(part);
        let whole = i128::from(whole);
        let rounded = (product.abs() * 2 + whole) / (whole * 2);
        let signed = if product < 0 { -rounded } else { rounded };
        let minor = i64::try_from(signed).map_err(|_| MoneyError::TooLarge)?;
        Ok(Self { minor, ..self })
    }

    /// The amount as a decimal text with all of the currency's decimals.
    #[must_use]
    pub fn decimal(&self) -> String {
        let places = self.currency.exponent() as usize;
        let digits = format!("{:0width$}", self.minor.unsigned_abs(), width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        let sign = if self.minor < 0 { "-" } else { "" };
        if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }

    /// As [`Money::decimal`], for people to read: `17,500.00`.
    #[must_use]
    pub fn grouped(&self) -> String {
        let decimal = self.decimal();
        let (whole, fraction) = decimal.split_once('.').unwrap_or((&decimal, ""));
        let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |rest| ("-", rest));
        let mut grouped = String::from(sign);
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        if !fraction.is_empty() {
            grouped.push('.');
            grouped.push_str(fraction);
        }
        grouped
    }
}

/// Shares an amount out by weights so that the parts sum exactly: largest remainder first, and of equal ones the
/// earlier. Where all weights are zero, the first part gets it all.
///
/// # Errors
/// No weights, or an amount that cannot be negated.
pub fn allocate(amount: Money, weights: &[u64]) -> Result<Vec<Money>, MoneyError> {
    if weights.is_empty() {
        return Err(MoneyError::DividedByZero);
    }
    let whole: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let size = u128::from(amount.minor.unsigned_abs());
    if whole == 0 {
        let first = std::iter::once(amount);
        return Ok(first.chain(weights.iter().skip(1).map(|_| Money::zero(amount.currency))).collect());
    }
    let mut parts = Vec::with_capacity(weights.len());
    for (at, weight) in weights.iter().enumerate() {
        let product = size.checked_mul(u128::from(*weight)).ok_or(MoneyError::TooLarge)?;
        parts.push((at, product / whole, product % whole));
    }
    let given: u128 = parts.iter().map(|(_, part, _)| part).sum();
    let mut left = size - given;
    parts.sort_by(|a, b| b.2.cmp(&a.2).then(a.0.cmp(&b.0)));
    for (_, part, _) in &mut parts {
        if left == 0 {
            break;
        }
        *part += 1;
        left -= 1;
    }
    parts.sort_unstable_by_key(|(at, _, _)| *at);
    let negative = amount.minor < 0;
    parts
        .into_iter()
        .map(|(_, part, _)| {
            let minor = i64::try_from(part).map_err(|_| MoneyError::TooLarge)?;
            Ok(Money { minor: if negative { -minor } else { minor }, ..amount })
        })
        .collect()
}

/// Rates are in parts of this.
pub const PPM: i64 = 1_000_000;

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;
    fn try_from(code: String) -> Result<Self, MoneyError> {
        Self::parse(&code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

/// ISO 4217 active codes of circulating currencies by number of decimals.
pub const EXPONENTS: &[(u32, &str)] = &[
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"),
    (
        2,
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF \
         CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD \
         HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK \
         MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD \
         RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS \
         UAH USD UYU UZS VES WST XCD XCG YER ZAR ZMW ZWG",
    ),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn ngn() -> Currency {
        Currency::parse("NGN").unwrap()
    }

    #[test]
    fn decimal_texts_become_minor_units_and_back() {
        let amount = |text| Money::parse(text, ngn()).map(|money| money.minor);
        assert_eq!(amount("17500"), Ok(1_750_000));
        assert_eq!(amount("17500.5"), Ok(1_750_050));
        assert_eq!(amount("17500.500"), Ok(1_750_050));
        assert_eq!(amount("-0.05"), Ok(-5));
        assert_eq!(Money { minor: -5, currency: ngn() }.decimal(), "-0.05");
        assert_eq!(Money { minor: 1_750_050, currency: ngn() }.to_string(), "17500.50 NGN");
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", ".", "1.", "1,5", "1e3", "NaN", "--1", "+1", " 1"] {
            assert_eq!(Money::parse(text, ngn()), Err(MoneyError::NotANumber), "{text:?}");
        }
        assert!(matches!(Money::parse("1.005", ngn()), Err(MoneyError::TooManyDecimals { .. })));
        assert_eq!(Money::parse("99999999999999999999", ngn()), Err(MoneyError::TooLarge));
    }

    #[test]
    fn rule_6_parts_sum_exactly_largest_remainder_first() {
        let parts = |minor, weights: &[u64]| -> Vec<i64> {
            let shared = allocate(Money { minor, currency: ngn() }, weights).unwrap();
            shared.into_iter().map(|part| part.minor).collect()
        };
        assert_eq!(parts(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(parts(1_000, &[3_333, 3_333, 3_334]), [333, 333, 334]);
        assert_eq!(parts(5, &[7, 0, 3]), [4, 0, 1]);
        assert_eq!(parts(1_000, &[5_000, 2_500, 1]), [667, 333, 0]);
        assert_eq!(parts(-100, &[1, 1, 1]), [-34, -33, -33]);
        assert_eq!(parts(7, &[0, 0]), [7, 0]);
    }

    #[test]
    fn exponents_follow_iso_4217() {
        let exponent = |code| Currency::parse(code).map(|currency| currency.exponent());
        assert_eq!(exponent("UGX"), Ok(0));
        assert_eq!(exponent("KWD"), Ok(3));
        assert_eq!(exponent("KES"), Ok(2));
        assert!(Currency::parse("ngn").is_err());
        assert!(Currency::parse("ABC").is_err());
    }
}
