//! Rules 7, 8, 9 and 14 of periods, with their worked numbers.

use proptest::prelude::*;

use super::*;

const MONTH: Validity = Validity { count: 1, unit: ValidityUnit::Months };
const DAY: Validity = Validity { count: 1, unit: ValidityUnit::Days };

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The local days on which the first periods from a local day begin.
fn days(anchor: &str, count: u32, unit: ValidityUnit, periods: u32) -> Vec<String> {
    let zone = zone("Africa/Lagos");
    let anchor = day_start(anchor.parse().unwrap(), &zone).unwrap();
    (0..periods)
        .map(|index| {
            let start = period_start(anchor, index, Validity { count, unit }, &zone).unwrap();
            local_day(start, &zone).to_string()
        })
        .collect()
}

#[test]
fn rule_7_months_count_from_the_anchor_and_the_31st_comes_back() {
    assert_eq!(
        days("2026-01-31", 1, ValidityUnit::Months, 5),
        ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]
    );
    assert_eq!(
        days("2027-12-31", 1, ValidityUnit::Months, 4),
        ["2027-12-31", "2028-01-31", "2028-02-29", "2028-03-31"]
    );
}

#[test]
fn rule_7_years_from_a_leap_day_return_to_it() {
    let expected = ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"];
    assert_eq!(days("2024-02-29", 1, ValidityUnit::Years, 5), expected);
    assert_eq!(days("2024-02-29", 12, ValidityUnit::Months, 5), expected);
}

#[test]
fn rule_7_a_quarter_is_three_months_and_not_ninety_days() {
    assert_eq!(
        days("2026-11-30", 3, ValidityUnit::Months, 4),
        ["2026-11-30", "2027-02-28", "2027-05-30", "2027-08-30"]
    );
    assert_eq!(days("2026-11-30", 90, ValidityUnit::Days, 2), ["2026-11-30", "2027-02-28"]);
    assert_eq!(days("2026-01-01", 90, ValidityUnit::Days, 2), ["2026-01-01", "2026-04-01"]);
    assert_eq!(days("2026-11-30", 1, ValidityUnit::Weeks, 3), ["2026-11-30", "2026-12-07", "2026-12-14"]);
}

#[test]
fn rule_8_a_thousand_periods_touch_in_any_zone() {
    let zones =
        ["UTC", "Africa/Lagos", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Cairo"];
    let lengths = [
        MONTH,
        DAY,
        Validity { count: 3, unit: ValidityUnit::Months },
        Validity { count: 2, unit: ValidityUnit::Weeks },
        Validity { count: 1, unit: ValidityUnit::Years },
        Validity { count: 90, unit: ValidityUnit::Minutes },
        Validity { count: 24, unit: ValidityUnit::Hours },
    ];
    for name in zones {
        let zone = zone(name);
        let anchor = at("2024-01-31T07:30:00Z");
        for length in lengths {
            for index in 0..1_000 {
                let now = period(anchor, index, length, &zone).unwrap();
                assert!(now.from < now.until, "{name} {length:?} {index}");
                assert_eq!(now.until, period_start(anchor, index + 1, length, &zone).unwrap());
                assert_eq!(index_at(anchor, now.from, length, &zone), Some(index), "{name} {length:?}");
                let last = now.until.checked_sub(SignedDuration::from_millis(1)).unwrap();
                assert_eq!(index_at(anchor, last, length, &zone), Some(index), "{name} {length:?}");
                assert!(now.covers(last) && !now.covers(now.until));
            }
        }
    }
}

#[test]
fn rule_8_nothing_is_before_the_anchor() {
    let anchor = at("2026-05-10T10:00:00Z");
    assert_eq!(index_at(anchor, at("2026-05-10T09:59:59.999Z"), MONTH, &TimeZone::UTC), None);
    assert_eq!(index_at(anchor, anchor, MONTH, &TimeZone::UTC), Some(0));
}

#[test]
fn rule_9_a_month_of_lagos_begins_at_its_midnight() {
    let lagos = zone("Africa/Lagos");
    let march = period(at("2026-02-28T23:00:00Z"), 0, MONTH, &lagos).unwrap();
    assert_eq!(march, Period { from: at("2026-02-28T23:00:00Z"), until: at("2026-03-31T23:00:00Z") });
}

#[test]
fn rule_9_a_day_has_23_or_25_hours_when_clocks_change() {
    let new_york = zone("America/New_York");
    let short = period(at("2026-03-08T05:00:00Z"), 0, DAY, &new_york).unwrap();
    assert_eq!(short.until, at("2026-03-09T04:00:00Z"));
    let long = period(at("2026-11-01T04:00:00Z"), 0, DAY, &new_york).unwrap();
    assert_eq!(long.until, at("2026-11-02T05:00:00Z"));
}

#[test]
fn rule_9_a_day_is_no_24_hours() {
    let new_york = zone("America/New_York");
    let bought = at("2026-03-07T12:00:00-05:00");
    let hours = Validity { count: 24, unit: ValidityUnit::Hours };
    assert_eq!(period(bought, 0, hours, &new_york).unwrap().until, at("2026-03-08T13:00:00-04:00"));
    assert_eq!(period(bought, 0, DAY, &new_york).unwrap().until, at("2026-03-08T16:00:00Z"));
}

#[test]
fn rule_9_a_skipped_local_time_moves_on_and_a_repeated_one_is_the_first() {
    let new_york = zone("America/New_York");
    let local = |text: &str| at_local(text.parse().unwrap(), &new_york).unwrap();
    assert_eq!(local("2026-03-08T02:30:00"), at("2026-03-08T07:30:00Z"));
    assert_eq!(local("2026-11-01T01:30:00"), at("2026-11-01T05:30:00Z"));
    let daily = period_start(at("2026-03-07T02:30:00-05:00"), 2, DAY, &new_york).unwrap();
    assert_eq!(daily, at("2026-03-09T02:30:00-04:00"), "the day after is at its own time again");
}

#[test]
fn rule_9_a_time_without_offset_and_an_unknown_zone_are_refused() {
    for naive in ["2026-03-08T02:30:00", "2026-03-08", "2026-03-08 02:30"] {
        assert!(naive.parse::<Timestamp>().is_err(), "{naive}");
        assert!(serde_json::from_value::<Timestamp>(serde_json::json!(naive)).is_err(), "{naive}");
    }
    for unknown in ["Africa/Lagoss", "WAT+1", "", "Mars/Olympus"] {
        assert!(TimeZone::get(unknown).is_err(), "{unknown}");
    }
}

#[test]
fn rule_14_more_of_the_same_follows_what_is_paid() {
    let week = Validity { count: 7, unit: ValidityUnit::Days };
    let anchor = at("2026-05-03T10:00:00Z");
    let bought =
        extend(anchor, Some(at("2026-05-10T10:00:00Z")), at("2026-05-08T12:00:00Z"), week, &TimeZone::UTC)
            .unwrap();
    assert_eq!(bought.period.until, at("2026-05-17T10:00:00Z"));
    assert_eq!((bought.anchor, bought.index), (anchor, 1));
    let late =
        extend(anchor, Some(at("2026-05-10T10:00:00Z")), at("2026-05-12T12:00:00Z"), week, &TimeZone::UTC)
            .unwrap();
    assert_eq!(late.period, Period { from: at("2026-05-12T12:00:00Z"), until: at("2026-05-19T12:00:00Z") });
    assert_eq!((late.anchor, late.index), (at("2026-05-12T12:00:00Z"), 0));
}

#[test]
fn rule_14_months_keep_the_day_of_the_anchor() {
    let anchor = at("2026-01-31T09:00:00Z");
    let first = extend(anchor, None, anchor, MONTH, &TimeZone::UTC).unwrap();
    assert_eq!(first.period.until, at("2026-02-28T09:00:00Z"));
    let second = extend(first.anchor, Some(first.period.until), anchor, MONTH, &TimeZone::UTC).unwrap();
    assert_eq!(second.period.until, at("2026-03-31T09:00:00Z"));
    assert_eq!(second.index, 1);
}

#[test]
fn rule_14_what_ends_off_the_anchor_is_counted_anew_from_there() {
    let (anchor, until) = (at("2026-01-31T09:00:00Z"), at("2026-02-03T00:00:00Z"));
    let bought = extend(anchor, Some(until), anchor, MONTH, &TimeZone::UTC).unwrap();
    assert_eq!((bought.anchor, bought.index, bought.period.from), (until, 0, until));
    assert_eq!(bought.period.until, at("2026-03-03T00:00:00Z"));
}

#[test]
fn beyond_time_there_is_no_period() {
    let far = Validity { count: u32::MAX, unit: ValidityUnit::Months };
    assert_eq!(period_start(at("2026-01-01T00:00:00Z"), u32::MAX, far, &TimeZone::UTC), None);
}

proptest! {
    /// Whatever the anchor, the period found for an instant is the one that covers it.
    #[test]
    fn the_period_of_an_instant_covers_it(
        anchor in 1_600_000_000i64..1_900_000_000, after in 0i64..200_000_000, count in 1u32..40, unit in 0usize..6,
        zone in 0usize..3,
    ) {
        use ValidityUnit::{Days, Hours, Minutes, Months, Weeks, Years};
        let unit = [Minutes, Hours, Days, Weeks, Months, Years][unit];
        let zone = TimeZone::get(["Africa/Lagos", "America/New_York", "Australia/Lord_Howe"][zone]).unwrap();
        let length = Validity { count, unit };
        let (anchor, at) =
            (Timestamp::from_second(anchor).unwrap(), Timestamp::from_second(anchor + after).unwrap());
        let index = index_at(anchor, at, length, &zone).unwrap();
        prop_assert!(period(anchor, index, length, &zone).unwrap().covers(at));
    }
}
