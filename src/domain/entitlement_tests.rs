//! Tables and properties of [`entitle`](super::entitle).

use proptest::prelude::*;

use super::*;
use crate::domain::rate::{BitsPerSecond, Download, THROTTLED, Upload};
use crate::domain::usage_terms::{Day, FairUse, FairUseTier, FairUseWindow, HoursWindow};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn terms() -> PlanTerms {
    crate::domain::plan::tests::terms(0)
}

fn interval(from: i64, until: Option<i64>) -> Interval {
    Interval { from: at(from), until: until.map(at), state: IntervalState::Active, source: "test".into() }
}

fn lock(mode: LockMode) -> Lock {
    Lock {
        reason: LockReason::Overdue,
        mode,
        rates: None,
        placed_at: at(1),
        placed_by: "test".into(),
        note: None,
    }
}

struct Case {
    standing: Standing,
    phase: Phase,
    terms: PlanTerms,
    locks: Vec<Lock>,
    intervals: Vec<Interval>,
    usage: Usage,
    window: Option<Usage>,
    top_ups: Vec<TopUp>,
}

impl Case {
    fn good() -> Self {
        Self {
            standing: Standing::Open,
            phase: Phase::Active,
            terms: terms(),
            locks: vec![],
            intervals: vec![interval(0, None)],
            usage: Usage::default(),
            window: None,
            top_ups: vec![],
        }
    }

    fn ask(&self, now: i64) -> Result<Entitlement, Refusal> {
        let facts = Facts {
            standing: self.standing,
            phase: self.phase,
            terms: &self.terms,
            locks: &self.locks,
            intervals: &self.intervals,
            top_ups: &self.top_ups,
            used: Used { period: self.usage, window: self.window.unwrap_or(self.usage) },
            zone: &TimeZone::UTC,
        };
        entitle(&facts, at(now))
    }
}

#[test]
fn an_active_paid_unlocked_service_gets_its_plan_direction_by_direction() {
    let yes = Case::good().ask(100).unwrap();
    assert_eq!(yes.rates.down.0.get(), 20_000_000);
    assert_eq!(yes.rates.up.0.get(), 5_000_000);
    assert_eq!((yes.remaining_octets, yes.session_secs, yes.ends_at), (None, None, None));
    assert_eq!(yes.access, Access::Full);
}

#[test]
fn each_fact_refuses_with_its_own_reason() {
    type Spoil = fn(&mut Case);
    let table: [(&str, Spoil, Refusal); 8] = [
        ("closed account", |c| c.standing = Standing::Closed, Refusal::SubscriberEnded),
        ("pending", |c| c.phase = Phase::Pending, Refusal::ServicePending),
        ("provisioning", |c| c.phase = Phase::Provisioning, Refusal::ServicePending),
        ("ended", |c| c.phase = Phase::Ended, Refusal::ServiceEnded),
        (
            "locked",
            |c| c.locks = vec![lock(LockMode::HardReject)],
            Refusal::Locked { reason: LockReason::Overdue },
        ),
        ("never paid", |c| c.intervals.clear(), Refusal::NothingPaid),
        ("expired", |c| c.intervals = vec![interval(0, Some(100))], Refusal::Expired { at: at(100) }),
        (
            "quota",
            |c| {
                c.terms.data_allowance = Some(10);
                c.usage = Usage { down_octets: 7, up_octets: 3, ..Usage::default() };
            },
            Refusal::QuotaSpent,
        ),
    ];
    for (name, spoil, reason) in table {
        let mut case = Case::good();
        spoil(&mut case);
        assert_eq!(case.ask(100), Err(reason), "{name}");
    }
}

#[test]
fn a_captive_lock_leaves_the_way_to_pay_and_a_hard_one_beats_it() {
    let mut case = Case::good();
    case.locks = vec![lock(LockMode::Captive)];
    assert_eq!(case.ask(100).unwrap().access, Access::Captive { reason: LockReason::Overdue });
    case.locks.push(lock(LockMode::HardReject));
    assert!(case.ask(100).is_err());
}

#[test]
fn a_lock_that_slows_down_leaves_the_network_and_lowers_the_speed_only() {
    let mut case = Case::good();
    case.locks = vec![lock(LockMode::Throttle)];
    let yes = case.ask(100).unwrap();
    assert_eq!((yes.access, yes.rates), (Access::Full, THROTTLED));
    let faster = Rates { up: case.terms.rates.up, ..THROTTLED };
    case.locks = vec![Lock { rates: Some(faster), ..lock(LockMode::Throttle) }];
    assert_eq!(case.ask(100).unwrap().rates, faster);
    let above = Rates { down: Download(BitsPerSecond::new(99_000_000).unwrap()), ..faster };
    case.locks = vec![Lock { rates: Some(above), ..lock(LockMode::Throttle) }];
    assert_eq!(case.ask(100).unwrap().rates, case.terms.rates, "never above the plan");
    case.locks.push(lock(LockMode::Captive));
    assert_eq!(case.ask(100).unwrap().access, Access::Captive { reason: LockReason::Overdue });
}

fn rates(down: u64, up: u64) -> Rates {
    let rate = |bits| BitsPerSecond::new(bits).unwrap();
    Rates { down: Download(rate(down)), up: Upload(rate(up)) }
}

fn used(octets: u64, seconds: u64) -> Usage {
    Usage { down_octets: octets, seconds, ..Usage::default() }
}

fn top_up(octets: u64, seconds: u64, until: i64) -> TopUp {
    let period = at(0);
    let (from, until, source) = (at(1), Some(at(until)), "order:1".to_owned());
    TopUp { octets, seconds, from, until, period, beyond: Amount::default(), source, is_void: false }
}

#[test]
fn lesson_18_fair_use_lowers_the_speed_at_its_tier_and_lifts_at_the_end_of_its_window() {
    let mut case = Case::good();
    let tiers = vec![
        FairUseTier { above_octets: 1_000, rates: rates(2_000_000, 9_000_000) },
        FairUseTier { above_octets: 2_000, rates: rates(500_000, 500_000) },
    ];
    case.terms.usage.fair_use = Some(FairUse { window: FairUseWindow::Daily, tiers });
    case.window = Some(used(999, 0));
    let yes = case.ask(100).unwrap();
    assert_eq!((yes.rates, yes.octets_to_slower), (case.terms.rates, Some(1)));
    assert_eq!(yes.changes_at, None);
    case.window = Some(used(1_000, 0));
    let slower = case.ask(100).unwrap();
    assert_eq!(slower.rates, rates(2_000_000, 5_000_000), "each direction is lowered, none is raised");
    assert_eq!(slower.octets_to_slower, Some(1_000));
    assert_eq!(slower.changes_at, Some(at(86_400)), "it lifts at midnight by itself");
    case.window = Some(Usage::default());
    assert_eq!(case.ask(86_400).unwrap().rates, case.terms.rates);
}

#[test]
fn a_quota_that_throttles_leaves_the_service_on_slowly_until_the_next_period() {
    let mut case = Case::good();
    case.terms.data_allowance = Some(1_000);
    case.terms.usage.on_quota = OnQuota::Throttle(rates(256_000, 128_000));
    case.intervals = vec![interval(0, Some(500)), interval(500, Some(1_000))];
    case.usage = used(1_000, 0);
    let yes = case.ask(100).unwrap();
    assert_eq!((yes.rates, yes.remaining_octets), (rates(256_000, 128_000), None));
    assert_eq!(yes.changes_at, Some(at(500)), "the next period counts from nothing");
    case.usage = used(999, 0);
    let before = case.ask(100).unwrap();
    assert_eq!((before.rates, before.remaining_octets), (case.terms.rates, Some(1)));
}

#[test]
fn time_online_is_an_allowance_of_its_own() {
    let mut case = Case::good();
    case.terms.usage.time_allowance_secs = Some(3_600);
    case.usage = used(0, 3_000);
    let yes = case.ask(100).unwrap();
    assert_eq!((yes.remaining_secs, yes.session_secs), (Some(600), Some(600)));
    case.usage = used(0, 3_600);
    assert_eq!(case.ask(100), Err(Refusal::TimeSpent));
    case.top_ups = vec![top_up(0, 60, 5_000)];
    assert_eq!(case.ask(100).unwrap().remaining_secs, Some(60));
}

#[test]
fn a_top_up_reopens_a_spent_quota_until_it_ends_itself() {
    let mut case = Case::good();
    case.terms.data_allowance = Some(1_000);
    case.usage = used(1_000, 0);
    assert_eq!(case.ask(100), Err(Refusal::QuotaSpent));
    case.top_ups = vec![top_up(500, 0, 200)];
    let yes = case.ask(100).unwrap();
    assert_eq!((yes.remaining_octets, yes.changes_at), (Some(500), Some(at(200))));
    assert_eq!(case.ask(200), Err(Refusal::QuotaSpent), "at its end it is over");
    case.usage = used(1_500, 0);
    assert_eq!(case.ask(100), Err(Refusal::QuotaSpent), "and when it is used up");
}

#[test]
fn free_hours_ask_for_no_quota_and_their_octets_count_against_none() {
    let mut case = Case::good();
    case.terms.data_allowance = Some(1_000);
    let (from, to) = ("01:00".parse().unwrap(), "02:00".parse().unwrap());
    case.terms.usage.hours =
        vec![HoursWindow { days: Day::ALL.to_vec(), from, to, rates: None, counts: false }];
    case.usage = Usage { down_octets: 5_000, free_octets: 4_100, ..Usage::default() };
    let day = case.ask(100).unwrap();
    assert_eq!((day.remaining_octets, day.octets_count, day.changes_at), (Some(100), true, Some(at(3_600))));
    assert_eq!(day.octets_to_change(), Some(100));
    case.usage.free_octets = 0;
    assert_eq!(case.ask(100), Err(Refusal::QuotaSpent));
    let night = case.ask(3_600).unwrap();
    assert_eq!((night.remaining_octets, night.octets_count), (None, false));
    assert_eq!(night.until_it_changes(at(3_600)).session_secs, Some(3_600));
    assert_eq!(case.ask(7_200), Err(Refusal::QuotaSpent));
}

#[test]
fn peak_hours_are_slower_and_a_nas_that_cannot_be_told_asks_again_at_their_end() {
    let mut case = Case::good();
    let (from, to) = ("18:00".parse().unwrap(), "22:00".parse().unwrap());
    let slow = Some(rates(3_000_000, 50_000_000));
    case.terms.usage.hours =
        vec![HoursWindow { days: Day::ALL.to_vec(), from, to, rates: slow, counts: true }];
    let peak = case.ask(19 * 3_600).unwrap();
    assert_eq!(peak.rates, rates(3_000_000, 5_000_000));
    assert_eq!(peak.until_it_changes(at(19 * 3_600)).session_secs, Some(3 * 3_600));
    assert_eq!(peak.session_secs, None);
    assert_eq!(case.ask(22 * 3_600).unwrap().rates, case.terms.rates);
}

#[test]
fn rule_24_devices_of_one_plan_share_its_quota_and_units_are_exact() {
    let mut case = Case::good();
    case.terms.data_allowance = Some(1_000_000_000);
    case.usage = Usage { down_octets: 600_000_000, up_octets: 399_999_999, ..Usage::default() };
    assert_eq!(case.ask(100).unwrap().remaining_octets, Some(1));
    case.usage.up_octets += 1;
    assert_eq!(case.ask(100), Err(Refusal::QuotaSpent));
    case.terms.data_allowance = Some(1 << 30);
    assert_eq!(case.ask(100).unwrap().remaining_octets, Some((1 << 30) - 1_000_000_000));
}

#[test]
fn an_interval_is_half_open() {
    let mut case = Case::good();
    case.intervals = vec![interval(100, Some(200))];
    assert_eq!(case.ask(99), Err(Refusal::NothingPaid));
    assert_eq!(case.ask(100).unwrap().session_secs, Some(100));
    assert_eq!(case.ask(199).unwrap().session_secs, Some(1));
    assert_eq!(case.ask(200), Err(Refusal::Expired { at: at(200) }));
}

#[test]
fn intervals_that_touch_are_one_and_a_gap_ends_it() {
    let mut case = Case::good();
    case.intervals = vec![interval(200, Some(300)), interval(100, Some(200)), interval(301, None)];
    assert_eq!(case.ask(150).unwrap().ends_at, Some(at(300)));
    assert_eq!(case.ask(400).unwrap().ends_at, None);
}

#[test]
fn a_void_or_reversed_interval_does_not_count() {
    for state in [IntervalState::Void, IntervalState::Reversed] {
        let mut case = Case::good();
        case.intervals = vec![Interval { state, ..interval(0, None) }];
        assert_eq!(case.ask(5), Err(Refusal::NothingPaid));
    }
}

#[test]
fn the_session_lasts_the_shorter_of_plan_limit_and_paid_time() {
    let mut case = Case::good();
    case.terms.session_limit_secs = Some(60);
    case.intervals = vec![interval(0, Some(1_000))];
    assert_eq!(case.ask(100).unwrap().session_secs, Some(60));
    assert_eq!(case.ask(970).unwrap().session_secs, Some(30));
}

proptest! {
    /// Zero would be read as "unlimited" by some NAS, so no yes ever carries one.
    #[test]
    fn a_yes_never_carries_a_zero_limit(
        now in 0i64..2_000, from in 0i64..1_000, length in 1i64..5_000_000_000,
        allowance in proptest::option::of(0u64..1_000), down in 0u64..600, up in 0u64..600,
        limit in proptest::option::of(1u32..100),
    ) {
        let mut case = Case::good();
        case.terms.data_allowance = allowance;
        case.terms.session_limit_secs = limit;
        case.usage = Usage { down_octets: down, up_octets: up, ..Usage::default() };
        case.intervals = vec![interval(from, Some(from + length))];
        if let Ok(yes) = case.ask(now) {
            prop_assert_ne!(yes.remaining_octets, Some(0));
            prop_assert_ne!(yes.session_secs, Some(0));
            prop_assert!(yes.session_secs.unwrap_or(0) <= MAX_SESSION_SECS);
            prop_assert!(yes.ends_at.is_none_or(|end| end > at(now)));
        }
    }

    /// More usage never turns a no into a yes, nor leaves more behind.
    #[test]
    fn more_usage_never_gives_more(used in 0u64..2_000, more in 0u64..2_000, allowance in 1u64..2_000) {
        let mut case = Case::good();
        case.terms.data_allowance = Some(allowance);
        case.usage.down_octets = used;
        let before = case.ask(10);
        case.usage.up_octets = more;
        let after = case.ask(10);
        match (before, after) {
            (Err(_), Ok(_)) => prop_assert!(false, "usage opened a closed service"),
            (Ok(b), Ok(a)) => prop_assert!(a.remaining_octets <= b.remaining_octets),
            (Ok(_) | Err(_), Err(_)) => {}
        }
    }

    /// A lock never opens anything.
    #[test]
    fn a_lock_never_opens(paid in any::<bool>(), hard in any::<bool>()) {
        let mut case = Case::good();
        if !paid { case.intervals.clear(); }
        let free = case.ask(10);
        case.locks = vec![lock(if hard { LockMode::HardReject } else { LockMode::Captive })];
        let locked = case.ask(10);
        prop_assert!(free.is_ok() || locked.is_err());
        if hard { prop_assert!(locked.is_err()); }
    }

    /// Lesson 18: whatever was used and whatever the hour, no term of use ever raises a speed.
    #[test]
    fn no_term_of_use_ever_raises_a_speed(
        octets in 0u64..5_000, now in 0i64..700_000, down in 1u64..50_000_000, up in 1u64..50_000_000,
        allowance in proptest::option::of(1u64..3_000), from in 0i8..24, to in 0i8..24,
    ) {
        let mut case = Case::good();
        let plan = case.terms.rates;
        let tiers = vec![FairUseTier { above_octets: 1_000, rates: rates(down, up) }];
        case.terms.usage.fair_use = Some(FairUse { window: FairUseWindow::Daily, tiers });
        case.terms.usage.on_quota = OnQuota::Throttle(rates(up, down));
        case.terms.data_allowance = allowance;
        let (from, to) = (format!("{from:02}:00").parse().unwrap(), format!("{to:02}:00").parse().unwrap());
        let hours = HoursWindow { days: vec![Day::Thu, Day::Sun], from, to, rates: Some(rates(down, down)), counts: true };
        case.terms.usage.hours = vec![hours];
        case.usage = used(octets, 0);
        let yes = case.ask(now).unwrap();
        prop_assert!(yes.rates.down <= plan.down && yes.rates.up <= plan.up);
        prop_assert!(yes.changes_at.is_none_or(|at| at > Timestamp::from_second(now).unwrap()));
        prop_assert_ne!(yes.remaining_octets, Some(0));
    }
}
