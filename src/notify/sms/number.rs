//! Telephone numbers as carriers want them: the country's code first, digits only.

use crate::domain::text::Phone;

/// The number with its country's code and without `+`; `None` where nobody said which country.
#[must_use]
pub fn international(phone: &Phone, country: Option<&str>) -> Option<String> {
    let text = phone.as_str();
    if let Some(digits) = text.strip_prefix('+').or_else(|| text.strip_prefix("00")) {
        return Some(digits.to_owned());
    }
    let country = country?;
    match text.strip_prefix('0') {
        Some(rest) => Some(format!("{country}{rest}")),
        // Written with the code and without `+`, as many do.
        None if text.starts_with(country) && text.len() > LONGEST_NATIONAL => Some(text.to_owned()),
        None => Some(format!("{country}{text}")),
    }
}

/// Digits of the longest number without a country's code where we are used (ITU-T E.164 allows 15 with it).
const LONGEST_NATIONAL: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_gets_its_countrys_code_once() {
        let number = |text: &str, country| international(&Phone::parse(text).unwrap(), country);
        for written in ["+2348012345678", "002348012345678", "08012345678", "8012345678", "2348012345678"] {
            assert_eq!(number(written, Some("234")).as_deref(), Some("2348012345678"), "{written}");
        }
        assert_eq!(number("+254712345678", Some("234")).as_deref(), Some("254712345678"));
        assert_eq!(number("0712345678", Some("254")).as_deref(), Some("254712345678"));
        assert_eq!(number("08012345678", None), None);
        assert_eq!(number("+2348012345678", None).as_deref(), Some("2348012345678"));
    }
}
