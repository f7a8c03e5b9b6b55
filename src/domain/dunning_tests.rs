//! Rule 25, with its worked numbers.

use proptest::prelude::*;

use super::*;

fn lagos() -> TimeZone {
    TimeZone::get("Africa/Lagos").unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Noon of the due day in Lagos.
fn due_at() -> Timestamp {
    at("2026-05-10T11:00:00Z")
}

fn plain() -> Policy {
    Policy { quiet: None, ..Policy::default() }
}

fn ask(policy: &Policy, done: Done, now: &str) -> Next {
    due(policy, due_at(), done, at(now), &lagos())
}

fn done(taken: Step, told: Step) -> Done {
    Done { taken: Some(taken), told: Some(told) }
}

#[test]
fn rule_25_each_step_has_its_local_day() {
    let begins = |step| plain().begins(step, due_at(), &lagos()).map(|at| at.to_string());
    assert_eq!(begins(Step::Reminder).as_deref(), Some("2026-05-06T23:00:00Z"));
    assert_eq!(begins(Step::Due).as_deref(), Some("2026-05-09T23:00:00Z"));
    assert_eq!(begins(Step::Throttle).as_deref(), Some("2026-05-12T23:00:00Z"));
    assert_eq!(begins(Step::Garden).as_deref(), Some("2026-05-16T23:00:00Z"));
    assert_eq!(begins(Step::Suspend).as_deref(), Some("2026-05-23T23:00:00Z"));
    assert_eq!(begins(Step::Terminate), None);
}

#[test]
fn rule_25_each_step_fires_once_at_its_instant() {
    let before = ask(&plain(), done(Step::Due, Step::Due), "2026-05-12T22:59:59Z");
    assert_eq!(before, Next { take: None, tell: None, at: Some(at("2026-05-12T23:00:00Z")) });
    let now = ask(&plain(), done(Step::Due, Step::Due), "2026-05-12T23:00:00Z");
    let throttle = Some(Step::Throttle);
    assert_eq!(now, Next { take: throttle, tell: throttle, at: Some(at("2026-05-16T23:00:00Z")) });
    let again = ask(&plain(), done(Step::Throttle, Step::Throttle), "2026-05-12T23:00:01Z");
    assert_eq!(again, Next { take: None, tell: None, at: Some(at("2026-05-16T23:00:00Z")) });
}

#[test]
fn rule_25_after_being_down_only_the_latest_state_and_one_message() {
    let late = ask(&plain(), Done::default(), "2026-05-18T12:00:00Z");
    assert_eq!((late.take, late.tell), (Some(Step::Garden), Some(Step::Garden)));
    assert_eq!(late.at, Some(at("2026-05-23T23:00:00Z")));
}

#[test]
fn rule_25_a_clock_set_back_fires_nothing_again() {
    for now in ["2026-05-16T12:00:00Z", "2026-05-10T12:00:00Z", "2026-05-01T12:00:00Z"] {
        let back = ask(&plain(), done(Step::Garden, Step::Garden), now);
        assert_eq!((back.take, back.tell), (None, None), "{now}");
    }
}

#[test]
fn rule_25_quiet_hours_put_off_the_message_but_not_the_lock() {
    let night = ask(&Policy::default(), done(Step::Due, Step::Due), "2026-05-12T23:00:00Z");
    assert_eq!(night.take, Some(Step::Throttle));
    assert_eq!(night.tell, None);
    assert_eq!(night.at, Some(at("2026-05-13T07:00:00Z")), "08:00 in Lagos");
    let morning = ask(&Policy::default(), done(Step::Throttle, Step::Due), "2026-05-13T07:00:00Z");
    assert_eq!((morning.take, morning.tell), (None, Some(Step::Throttle)));
}

#[test]
fn rule_25_a_lock_waits_for_the_hours_in_which_somebody_answers() {
    let hours = Hours { from: Time::constant(9, 0, 0, 0), to: Time::constant(17, 0, 0, 0) };
    let policy = Policy { enforcement: Some(hours), ..plain() };
    let night = ask(&policy, done(Step::Due, Step::Due), "2026-05-12T23:00:00Z");
    assert_eq!((night.take, night.tell), (None, None), "nobody is told of what was not done");
    assert_eq!(night.at, Some(at("2026-05-13T08:00:00Z")), "09:00 in Lagos");
    let morning = ask(&policy, done(Step::Due, Step::Due), "2026-05-13T08:00:00Z");
    assert_eq!((morning.take, morning.tell), (Some(Step::Throttle), Some(Step::Throttle)));
    let reminder = ask(&policy, Done::default(), "2026-05-07T02:00:00Z");
    assert_eq!((reminder.take, reminder.tell), (Some(Step::Reminder), Some(Step::Reminder)));
}

#[test]
fn rule_25_hours_may_go_over_midnight() {
    let night = Hours { from: Time::constant(21, 0, 0, 0), to: Time::constant(8, 0, 0, 0) };
    let inside = |text: &str| night.contain_time(text.parse().unwrap());
    assert!(inside("21:00") && inside("23:59") && inside("00:00") && inside("07:59"));
    assert!(!inside("08:00") && !inside("20:59"));
}

#[test]
fn rule_25_a_clock_set_a_year_ahead_is_held_until_two_sources_agree() {
    let start = at("2026-05-10T11:00:00Z");
    let after =
        |secs| (start.checked_add(SignedDuration::from_secs(secs)).unwrap(), SignedDuration::from_secs(secs));
    let mut watch = Watch::new(start, SignedDuration::ZERO);
    let (wall, ticks) = after(600);
    assert_eq!(watch.look(wall, ticks), None);
    let wrong = at("2027-05-10T11:20:00Z");
    let ticks = SignedDuration::from_secs(1_200);
    assert!(watch.look(wrong, ticks).is_some() && watch.holds());
    let later = SignedDuration::from_secs(7_200);
    assert!(watch.look(at("2027-05-10T13:00:00Z"), later).is_some(), "it is held however long it lasts");
    assert!(!watch.second_source(at("2026-05-10T13:00:00Z"), at("2027-05-10T13:00:00Z"), later));
    assert!(watch.holds());
    let (right, ticks) = after(7_300);
    assert_eq!(watch.look(right, ticks), None, "set right");
    assert!(!watch.holds());
    assert!(watch.look(wrong, ticks).is_some());
    assert!(watch.second_source(wrong, wrong, ticks), "two sources agree");
    assert_eq!(watch.look(wrong, ticks), None);
}

#[test]
fn rule_25_a_clock_set_back_a_day_holds_nothing_and_coming_back_is_no_jump() {
    let start = at("2026-05-10T11:00:00Z");
    let mut watch = Watch::new(start, SignedDuration::ZERO);
    assert_eq!(watch.look(at("2026-05-09T11:01:00Z"), SignedDuration::from_secs(60)), None);
    assert_eq!(watch.look(at("2026-05-10T11:02:00Z"), SignedDuration::from_secs(120)), None);
}

#[test]
fn each_step_that_bites_has_its_lock_and_they_only_get_harder() {
    let locks: Vec<_> = Step::ALL.into_iter().filter_map(Step::lock).collect();
    assert_eq!(locks, [LockMode::Throttle, LockMode::Captive, LockMode::HardReject]);
}

proptest! {
    /// However often and whenever it is asked, clock going either way: no step twice, and never a milder one
    /// after a harder one.
    #[test]
    fn rule_25_no_step_is_taken_or_told_twice(
        moments in proptest::collection::vec(0i64..40 * 86_400, 1..60), quiet in any::<bool>(), office in any::<bool>(),
    ) {
        let office = office.then(|| Hours { from: Time::constant(9, 0, 0, 0), to: Time::constant(17, 0, 0, 0) });
        let policy = Policy {
            quiet: Policy::default().quiet.filter(|_| quiet), enforcement: office, ..Policy::default()
        };
        let start = at("2026-05-01T00:00:00Z");
        let mut held = Done::default();
        let (mut taken, mut told) = (Vec::new(), Vec::new());
        for moment in moments {
            let now = start.checked_add(SignedDuration::from_secs(moment)).unwrap();
            let next = due(&policy, due_at(), held, now, &lagos());
            prop_assert!(next.at.is_none_or(|at| at > now));
            if let Some(step) = next.take { held.taken = Some(step); taken.push(step); }
            if let Some(step) = next.tell { held.told = Some(step); told.push(step); }
            prop_assert!(held.told <= held.taken);
        }
        prop_assert!(taken.windows(2).all(|pair| matches!(pair, [a, b] if a < b)), "{taken:?}");
        prop_assert!(told.windows(2).all(|pair| matches!(pair, [a, b] if a < b)), "{told:?}");
    }

    /// Asked again at the instant it named, it never leaves a step out that is the last one.
    #[test]
    fn rule_25_who_wakes_when_told_to_ends_suspended(quiet in any::<bool>()) {
        let policy = Policy { quiet: Policy::default().quiet.filter(|_| quiet), ..Policy::default() };
        let (mut now, mut held, mut steps) = (at("2026-05-01T00:00:00Z"), Done::default(), Vec::new());
        for _ in 0..50 {
            let next = due(&policy, due_at(), held, now, &lagos());
            held = Done { taken: next.take.or(held.taken), told: next.tell.or(held.told) };
            steps.extend(next.tell);
            let Some(at) = next.at else { break };
            now = at;
        }
        prop_assert_eq!(held, done(Step::Suspend, Step::Suspend));
        prop_assert_eq!(steps, &Step::ALL[..5]);
    }
}
