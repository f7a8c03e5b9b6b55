//! Rules 10 and 11 of proration, with their worked numbers.

use proptest::prelude::*;

use super::super::money::Currency;
use super::*;
use crate::domain::period::{at_local, day_start};

fn ngn(minor: i64) -> Money {
    Money { minor, currency: Currency::parse("NGN").unwrap() }
}

fn lagos() -> TimeZone {
    TimeZone::get("Africa/Lagos").unwrap()
}

fn day(text: &str) -> Timestamp {
    day_start(text.parse().unwrap(), &lagos()).unwrap()
}

fn month(from: &str, until: &str) -> Period {
    Period { from: day(from), until: day(until) }
}

fn share(period: Period, local: &str) -> Share {
    let at = at_local(local.parse().unwrap(), &lagos()).unwrap();
    Share::of(period, at, ValidityUnit::Months, &lagos())
}

fn change(share: Share, old: i64, creditable: i64, new: i64) -> (i64, i64, i64) {
    let lines = prorate(share, ngn(old), ngn(creditable), ngn(new)).unwrap();
    (-lines.credit.minor, lines.charge.minor, lines.net().unwrap().minor)
}

const BASIC: i64 = 1_000_000;
const FAST: i64 = 1_500_000;

#[test]
fn rule_10_the_days_left_are_credited_and_charged() {
    let april = share(month("2026-04-01", "2026-05-01"), "2026-04-11T00:00:00");
    assert_eq!(april, Share { left: 20, whole: 30 });
    assert_eq!(change(april, BASIC, BASIC, FAST), (-666_667, 1_000_000, 333_333));
    let march = share(month("2026-03-01", "2026-04-01"), "2026-03-17T00:00:00");
    assert_eq!(march, Share { left: 15, whole: 31 });
    assert_eq!(change(march, BASIC, BASIC, FAST), (-483_871, 725_806, 241_935));
}

#[test]
fn rule_10_the_time_of_day_does_not_matter() {
    let april = month("2026-04-01", "2026-05-01");
    for local in ["2026-04-11T00:00:00", "2026-04-11T12:00:00", "2026-04-11T23:59:59"] {
        assert_eq!(share(april, local), Share { left: 20, whole: 30 }, "{local}");
    }
    assert_eq!(share(april, "2026-04-01T00:00:00").left, 30);
    assert_eq!(share(april, "2026-04-30T23:59:59").left, 1);
}

#[test]
fn rule_10_a_plan_by_the_hour_is_counted_in_seconds() {
    let zone = lagos();
    let from = day("2026-04-01");
    let hour = |hours| from.checked_add(jiff::SignedDuration::from_hours(hours)).unwrap();
    let period = Period { from, until: hour(4) };
    assert_eq!(Share::of(period, hour(1), ValidityUnit::Hours, &zone), Share { left: 10_800, whole: 14_400 });
    assert_eq!(Share::of(period, hour(9), ValidityUnit::Hours, &zone).left, 0);
}

#[test]
fn rule_11_there_and_back_on_one_day_costs_nothing() {
    let april = share(month("2026-04-01", "2026-05-01"), "2026-04-11T09:00:00");
    let (credit, charge, there) = change(april, BASIC, BASIC, FAST);
    assert_eq!((credit, charge), (-666_667, 1_000_000));
    let (credit, charge, back) = change(april, FAST, charge, BASIC);
    assert_eq!((credit, charge), (-1_000_000, 666_667));
    assert_eq!(there + back, 0);
}

#[test]
fn rule_11_a_credit_is_never_more_than_what_was_charged() {
    let april = share(month("2026-04-01", "2026-05-01"), "2026-04-11T09:00:00");
    assert_eq!(change(april, BASIC, 0, FAST), (0, 1_000_000, 1_000_000), "a trial is not paid out");
    assert_eq!(change(april, BASIC, 500_000, FAST).0, -500_000, "nor is a discount");
    assert!(
        prorate(april, ngn(1), ngn(1), Money { minor: 1, currency: Currency::parse("USD").unwrap() })
            .is_err()
    );
}

proptest! {
    /// Whatever is changed to on whatever days: between the cheapest and the dearest plan's price, one minor
    /// unit for each change aside.
    #[test]
    fn rule_11_no_sequence_of_changes_pumps_money(
        first in 0i64..3_000_000,
        mut changes in proptest::collection::vec((0i64..31, 0i64..3_000_000), 0..20),
    ) {
        changes.sort_by_key(|(day, _)| *day);
        let period = month("2026-03-01", "2026-04-01");
        let (mut price, mut creditable, mut paid) = (first, first, first);
        let (mut low, mut high) = (first, first);
        for (day, next) in &changes {
            let at = period.from.checked_add(jiff::SignedDuration::from_hours(24 * day)).unwrap();
            let share = Share::of(period, at, ValidityUnit::Months, &lagos());
            let lines = prorate(share, ngn(price), ngn(creditable), ngn(*next)).unwrap();
            prop_assert!(lines.credit.minor <= creditable);
            paid += lines.net().unwrap().minor;
            (price, creditable) = (*next, lines.charge.minor);
            (low, high) = (low.min(price), high.max(price));
        }
        let slack = i64::try_from(changes.len()).unwrap();
        prop_assert!(low - slack <= paid && paid <= high + slack, "{low} {paid} {high}");
    }
}
