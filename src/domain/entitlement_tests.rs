//! Tables and properties of [`entitle`](super::entitle).

use proptest::prelude::*;

use super::*;
use crate::domain::rate::{BitsPerSecond, Download, THROTTLED};

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
        }
    }

    fn ask(&self, now: i64) -> Result<Entitlement, Refusal> {
        let facts = Facts {
            standing: self.standing,
            phase: self.phase,
            terms: &self.terms,
            locks: &self.locks,
            intervals: &self.intervals,
            usage: self.usage,
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
                c.usage = Usage { down_octets: 7, up_octets: 3, seconds: 1 };
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
        case.usage = Usage { down_octets: down, up_octets: up, seconds: 0 };
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
}
