//! Amounts, days and addresses as they are printed. The one rule: an amount is exact, to the last minor unit.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::document::Correspondent;
use crate::domain::invoice::Party;
use crate::domain::money::Money;
use crate::domain::tax::TaxTreatment;

/// An amount as it is printed, without its currency.
pub(super) type Amount = String;

/// `17,500.00`.
pub(super) fn amount(money: Money) -> Amount {
    money.grouped()
}

/// `17,500.00 NGN`.
pub(super) fn priced(money: Money) -> String {
    format!("{} {}", money.grouped(), money.currency)
}

/// Minor units of a currency, negative.
pub(super) fn less(minor: i64, like: Money) -> Amount {
    amount(Money { minor: minor.saturating_neg(), ..like })
}

/// `7.5 %` of parts per million, without trailing zeros.
pub(super) fn percent(ppm: u32) -> String {
    let fraction = format!("{:04}", ppm % 10_000);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction} %", ppm / 10_000)
}

/// The rate in a line of a document.
pub(super) fn rate(treatment: TaxTreatment, ppm: u32) -> String {
    match treatment {
        TaxTreatment::Exempt => "exempt".to_owned(),
        TaxTreatment::Exclusive | TaxTreatment::Inclusive => percent(ppm),
    }
}

/// `26 Nov 2026` at the site.
pub(super) fn day(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%-d %b %Y").to_string()
}

/// `26 Nov 2026, 15:20` at the site.
pub(super) fn moment(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%-d %b %Y, %H:%M").to_string()
}

/// A party as it is printed; `numbered` says what its number is.
pub(super) fn correspondent(label: &'static str, party: &Party, numbered: &str) -> Correspondent {
    let address = &party.address;
    let town = [&address.zip, &address.city, &address.state];
    let town: Vec<&str> = town.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    let number = if party.number.is_empty() { String::new() } else { format!("{numbered} {}", party.number) };
    let lines =
        [address.street.clone(), town.join(" "), address.country.clone(), number, party.email.clone()];
    let lines = lines.into_iter().chain([party.phone.clone()]).filter(|line| !line.is_empty());
    Correspondent { label, name: party.name.clone(), lines: lines.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_printed_as_people_write_them() {
        let printed = [75_000, 100_000, 0, 160_000, 1, 1_000_000].map(percent);
        assert_eq!(printed, ["7.5 %", "10 %", "0 %", "16 %", "0.0001 %", "100 %"]);
        assert_eq!(rate(TaxTreatment::Exempt, 0), "exempt");
    }
}
