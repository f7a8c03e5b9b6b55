//! Hours, fair use and top-ups.

use proptest::prelude::*;

use super::super::rate::{BitsPerSecond, Download, Upload};
use super::*;

fn lagos() -> TimeZone {
    TimeZone::get("Africa/Lagos").unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn rates(down: u64, up: u64) -> Rates {
    let rate = |bits| BitsPerSecond::new(bits).unwrap();
    Rates { down: Download(rate(down)), up: Upload(rate(up)) }
}

fn window(days: &[Day], from: &str, to: &str) -> HoursWindow {
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    HoursWindow { days: days.to_vec(), from, to, rates: Some(rates(1, 1)), counts: false }
}

#[test]
fn hours_over_midnight_belong_to_the_day_on_which_they_begin() {
    // Friday 22:00 to Saturday 06:00 in Lagos, which is an hour ahead of UTC.
    let night = window(&[Day::Fri], "22:00", "06:00");
    let inside = |text| night.contains(at(text), &lagos());
    assert!(!inside("2026-05-08T20:59:59Z"));
    assert!(inside("2026-05-08T21:00:00Z"));
    assert!(inside("2026-05-09T04:59:59Z"));
    assert!(!inside("2026-05-09T05:00:00Z"));
    assert!(!inside("2026-05-08T03:00:00Z"), "the night before began on Thursday");
    let border = |text| night.next_border(at(text), &lagos()).unwrap().to_string();
    assert_eq!(border("2026-05-08T20:00:00Z"), "2026-05-08T21:00:00Z");
    assert_eq!(border("2026-05-08T21:00:00Z"), "2026-05-09T05:00:00Z");
    assert_eq!(border("2026-05-09T05:00:00Z"), "2026-05-15T21:00:00Z");
}

#[test]
fn a_window_of_fair_use_ends_at_the_sites_midnight() {
    let now = at("2026-05-13T22:30:00Z"); // 23:30 on Wednesday in Lagos
    let end = |window: FairUseWindow| window.end(now, &lagos()).map(|at| at.to_string());
    assert_eq!(end(FairUseWindow::Daily).as_deref(), Some("2026-05-13T23:00:00Z"));
    assert_eq!(end(FairUseWindow::Weekly).as_deref(), Some("2026-05-17T23:00:00Z"));
    assert_eq!(end(FairUseWindow::Monthly).as_deref(), Some("2026-05-31T23:00:00Z"));
    assert_eq!(end(FairUseWindow::Period), None);
}

#[test]
fn the_slowest_tier_that_was_reached_counts() {
    let tier = |above_octets, bits| FairUseTier { above_octets, rates: rates(bits, bits) };
    let tiers = vec![tier(100, 50), tier(200, 20)];
    let terms = UsageTerms {
        fair_use: Some(FairUse { window: FairUseWindow::Daily, tiers }),
        ..UsageTerms::default()
    };
    let now = at("2026-05-13T12:00:00Z");
    let down = |used| terms.rates_at(used, now, &lagos()).map(|rates| rates.down.0.get());
    assert_eq!((down(99), down(100), down(199), down(200)), (None, Some(50), Some(50), Some(20)));
    let next = |used| terms.octets_to_next_tier(used);
    assert_eq!((next(0), next(99), next(100), next(200)), (Some(100), Some(1), Some(100), None));
    assert_eq!(terms.changes_at(99, now, &lagos()), None, "nothing was slowed, nothing lifts");
    assert_eq!(terms.changes_at(100, now, &lagos()), Some(at("2026-05-13T23:00:00Z")));
}

fn top_up(octets: u64, from: i64, until: i64, beyond: u64) -> TopUp {
    TopUp {
        octets,
        seconds: 0,
        from: Timestamp::from_second(from).unwrap(),
        until: Timestamp::from_second(until).ok(),
        period: Timestamp::UNIX_EPOCH,
        beyond: Amount { octets: beyond, seconds: 0 },
        source: "order:1".into(),
        is_void: false,
    }
}

fn left(top_ups: &[TopUp], beyond: u64, now: i64) -> u64 {
    let now = Timestamp::from_second(now).unwrap();
    left_of(top_ups, Amount { octets: beyond, seconds: 0 }, Some(Timestamp::UNIX_EPOCH), now).octets
}

#[test]
fn a_top_up_is_used_after_the_allowance_and_ends_with_its_own_validity() {
    let one = [top_up(1_000, 10, 100, 0)];
    assert_eq!((left(&one, 0, 50), left(&one, 400, 50), left(&one, 1_400, 50)), (1_000, 600, 0));
    assert_eq!(left(&one, 400, 100), 0, "at its end it is over");
    assert_eq!(left(&one, 0, 9), 0, "and before its beginning nothing");
}

#[test]
fn of_several_top_ups_the_one_that_ends_first_is_used_first() {
    let both = [top_up(1_000, 10, 500, 0), top_up(1_000, 20, 100, 0)];
    assert_eq!(left(&both, 600, 50), 1_400);
    assert_eq!(left(&both, 600, 200), 1_000, "the short one took the 600 with it");
    assert_eq!(left(&both, 1_300, 200), 700);
}

#[test]
fn what_a_top_up_left_unused_at_its_end_is_not_used_later() {
    let chain = [top_up(1_000, 10, 100, 0), top_up(1_000, 200, 300, 400)];
    assert_eq!(left(&chain, 400, 150), 0);
    assert_eq!(left(&chain, 400, 250), 1_000);
    assert_eq!(left(&chain, 900, 250), 500);
}

#[test]
fn a_top_up_of_another_period_or_one_taken_back_gives_nothing() {
    let other = TopUp { period: Timestamp::from_second(7).unwrap(), ..top_up(1_000, 10, 100, 0) };
    let void = TopUp { is_void: true, ..top_up(1_000, 10, 100, 0) };
    assert_eq!(left(&[other, void], 0, 50), 0);
}

#[test]
fn old_records_have_plain_terms() {
    let terms: UsageTerms = serde_json::from_str("{}").unwrap();
    assert!(terms.is_plain());
}

proptest! {
    /// More use never leaves more of the top-ups, and never more than was bought.
    #[test]
    fn more_use_never_leaves_more(
        bought in proptest::collection::vec((1u64..2_000, 0i64..500, 1i64..500), 0..6), used in 0u64..8_000, more in 0u64..3_000,
    ) {
        let list: Vec<TopUp> = bought.iter().map(|(octets, from, length)| top_up(*octets, *from, from + length, 0)).collect();
        let all: u64 = bought.iter().map(|(octets, _, _)| octets).sum();
        let (before, after) = (left(&list, used, 400), left(&list, used + more, 400));
        prop_assert!(after <= before && before <= all);
    }

    /// The next border is where the answer changes, and nothing changes before it.
    #[test]
    fn nothing_changes_before_the_next_border(
        from in 0i8..24, to in 0i8..24, day in 0usize..7, second in 0i64..2_000_000, step in 1i64..100,
    ) {
        let day = Day::ALL[day];
        let window = window(&[day], &format!("{from:02}:00"), &format!("{to:02}:00"));
        let now = Timestamp::from_second(1_780_000_000 + second).unwrap();
        let border = window.next_border(now, &lagos()).unwrap();
        prop_assert!(border > now);
        let before = border.duration_since(now).as_secs() * step / 100;
        let between = Timestamp::from_second(now.as_second() + before).unwrap();
        prop_assert_eq!(window.contains(between, &lagos()), window.contains(now, &lagos()));
    }
}
