//! Logins and accounting against a real store in memory: what a NAS may do to us, and what must
//! then be true.

use std::sync::mpsc;

use jiff::SignedDuration;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::base::clock::Clock;
use crate::base::secret::Secret;
use crate::domain::ids::{NasId, PlanId, SubscriberId};
use crate::domain::lock::{Lock, LockMode, LockReason};
use crate::domain::money::{Currency, Money};
use crate::domain::owed::{Granted, Settled, Wanted};
use crate::domain::plan::{PlanTerms, ServiceType};
use crate::domain::rate::{BitsPerSecond, Download, Rates, Upload};
use crate::domain::refusal::Refusal;
use crate::domain::service::{Addresses, Credential, Interval, IntervalState, Phase, Service};
use crate::domain::session::{CloseReason, Counters, ReportKind};
use crate::domain::text::{Code, Line, Username};
use crate::domain::usage_terms::OnQuota;
use crate::store::contract::{CommitError, Page, Range, Record, Unit};
use crate::store::tables::{self, Services, Sessions, UsageDays};

struct Clear(&'static str);

impl Evidence for Clear {
    type Extras = ();
    fn check(&self, password: &[u8]) -> Option<()> {
        (password == self.0.as_bytes()).then_some(())
    }
    fn clear_text(&self) -> Option<(&[u8], ())> {
        Some((self.0.as_bytes(), ()))
    }
}

struct Lab {
    access: Arc<Access>,
    store: Store,
    snapshot: Arc<Snapshot>,
    runtime: tokio::runtime::Runtime,
}

const SERVICE: ServiceId = ServiceId(Uuid::from_u128(7));
const NAS: NasId = NasId(Uuid::from_u128(9));

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn service() -> Service {
    let zero = Money::zero(Currency::parse("NGN").unwrap());
    let rate = |bits| BitsPerSecond::new(bits).unwrap();
    Service {
        id: SERVICE,
        subscriber_id: SubscriberId(Uuid::from_u128(8)),
        service_number: Code::parse("S-1").unwrap(),
        plan_id: PlanId(Uuid::from_u128(6)),
        plan_code: Code::parse("home").unwrap(),
        terms: PlanTerms {
            version: 3,
            name: Line::parse("Home").unwrap(),
            description: None,
            service_type: ServiceType::Internet,
            monthly_price: zero,
            setup_fee: zero,
            cancellation_fee: zero,
            rates: Rates { down: Download(rate(20_000_000)), up: Upload(rate(5_000_000)) },
            data_allowance: Some(10_000),
            validity: None,
            device_limit: 1,
            session_limit_secs: None,
            idle_limit_secs: None,
            requires_approval: false,
            confirmation_access_minutes: None,
            min_contract_months: None,
            max_contract_months: None,
            billing: Default::default(),
            usage: Default::default(),
            features: serde_json::Map::new(),
        },
        phase: Phase::Active,
        username: Username::parse("Ada").unwrap(),
        credential: Credential::Sealed { sealed: "sealed".into() },
        locks: vec![],
        intervals: vec![Interval {
            from: at(-1_000),
            until: None,
            state: IntervalState::Active,
            source: "test".into(),
        }],
        addresses: Addresses::default(),
        extras: Default::default(),
        created_at: at(-1_000),
        approved_at: None,
        activated_at: Some(at(-1_000)),
        ended_at: None,
        updated_at: at(-1_000),
    }
}

impl Lab {
    fn new() -> Self {
        Self::with(&service())
    }

    fn with(service: &Service) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let unseal = Box::new(|_: &str, _: &str| Some(Secret::from_text("right")));
        let snapshot = Arc::new(Snapshot::new(unseal));
        let observer = Arc::clone(&snapshot);
        let store = Store::memory(Clock::System, &tables::all(), observer).unwrap();
        let put = Unit::natural().create::<Services>(&SERVICE, service).unwrap();
        runtime.block_on(store.commit(put)).unwrap();
        let access = runtime.block_on(open(&store, &snapshot));
        Self { access, store, snapshot, runtime }
    }

    /// What a restart does: everything in memory is read back from the store.
    fn restart(&mut self) {
        self.access = self.runtime.block_on(open(&self.store, &self.snapshot));
    }

    fn login(&self, password: &'static str, station: Option<&str>, now: Timestamp) -> Answer<()> {
        let evidence = Clear(password);
        let attempt = Attempt { username: "ADA", station, can_be_captive: false, evidence: Some(&evidence) };
        self.access.authenticate(&attempt, now)
    }

    fn report(&self, report: &Report, now: Timestamp) -> Result<(), CommitError> {
        let (tell, told) = mpsc::channel();
        let then = || -> Then { Box::new(move |outcome| tell.send(outcome).unwrap()) };
        match self.access.record(report, now, then)? {
            Recorded::Queued => told.recv().unwrap(),
            Recorded::AskStore => {
                self.runtime.block_on(self.access.learn(report)).unwrap();
                self.report(report, now)
            }
        }
    }

    fn sessions(&self) -> Vec<Record<Sessions>> {
        self.runtime.block_on(self.store.scan::<Sessions>(Range::All, Page::first(1_000))).unwrap().records
    }

    fn used(&self) -> Usage {
        self.access.usage(&self.snapshot.service(SERVICE).unwrap(), at(0))
    }

    /// The day's usage as the store has it, summed.
    fn stored_usage(&self) -> (u64, u64, u64) {
        let days =
            self.runtime.block_on(self.store.scan::<UsageDays>(Range::All, Page::first(1_000))).unwrap();
        days.records.iter().fold((0, 0, 0), |sum, day| {
            (sum.0 + day.counters[0], sum.1 + day.counters[1], sum.2 + day.counters[2])
        })
    }
}

async fn open(store: &Store, snapshot: &Arc<Snapshot>) -> Arc<Access> {
    let parts = Parts {
        store: store.clone(),
        snapshot: Arc::clone(snapshot),
        class_key: ClassKey::new(&[1; 32]).unwrap(),
        zone: TimeZone::UTC,
        entropy: Entropy::System,
        now: Timestamp::UNIX_EPOCH,
    };
    Access::open(parts).await.unwrap()
}

fn say(kind: ReportKind, id: &str, down: u64, up: u64, seconds: u64) -> Report {
    let elapsed = i64::try_from(seconds).unwrap();
    Report {
        kind,
        nas_id: NAS,
        nas_address: None,
        source: "10.0.0.1".parse().unwrap(),
        acct_session_id: id.to_owned(),
        username: "ada".to_owned(),
        class: None,
        station: Some("02:00:00:00:00:01".to_owned()),
        called_station: None,
        nas_port: None,
        ipv4: None,
        ipv6_prefix: None,
        delegated_prefix: None,
        counters: Counters { down_octets: down, up_octets: up, seconds, ..Counters::default() },
        happened_at: at(elapsed),
        terminate_cause: (kind == ReportKind::Stop).then_some(1),
    }
}

fn refusal(answer: Answer<()>) -> Option<Refusal> {
    match answer {
        Answer::Refuse { refusal, login } => {
            drop(login);
            Some(refusal)
        }
        Answer::Accept { .. } | Answer::AskHash { .. } | Answer::AskVoucher { .. } => None,
    }
}

#[test]
fn a_login_is_found_without_case_and_a_wrong_password_learns_nothing_else() {
    let mut locked = service();
    let reason = LockReason::Overdue;
    let mode = LockMode::HardReject;
    locked.locks.push(Lock {
        reason,
        mode,
        rates: None,
        placed_at: at(0),
        placed_by: "test".into(),
        note: None,
    });
    let lab = Lab::with(&locked);
    assert_eq!(refusal(lab.login("wrong", None, at(0))), Some(Refusal::WrongPassword));
    assert_eq!(refusal(lab.login("right", None, at(0))), Some(Refusal::Locked { reason }));
    assert!(refusal(Lab::new().login("right", None, at(0))).is_none());
}

#[test]
fn a_captive_subscriber_is_refused_where_the_nas_cannot_hold_it() {
    let mut captive = service();
    let (reason, mode) = (LockReason::Overdue, LockMode::Captive);
    captive.locks.push(Lock {
        reason,
        mode,
        rates: None,
        placed_at: at(0),
        placed_by: "test".into(),
        note: None,
    });
    let lab = Lab::with(&captive);
    assert_eq!(refusal(lab.login("right", None, at(0))), Some(Refusal::Locked { reason }));
}

#[test]
fn a_committed_change_is_in_force_for_the_next_login() {
    let lab = Lab::new();
    let mut ended = service();
    ended.phase = Phase::Ended;
    let put = Unit::natural().replace::<Services>(&SERVICE, 1, &ended).unwrap();
    lab.runtime.block_on(lab.store.commit(put)).unwrap();
    assert_eq!(refusal(lab.login("right", None, at(0))), Some(Refusal::ServiceEnded));
}

#[test]
fn what_a_nas_owes_is_shown_from_the_lock_on_until_it_is_proven_done_and_over_a_restart() {
    let mut lab = Lab::new();
    lab.report(&say(ReportKind::Start, "a", 0, 0, 0), at(0)).unwrap();
    assert_eq!(lab.access.owed(at(1)), []);
    let mut locked = service();
    let (reason, mode) = (LockReason::Overdue, LockMode::HardReject);
    let (placed_at, placed_by) = (at(5), "test".to_owned());
    locked.locks.push(Lock { reason, mode, rates: None, placed_at, placed_by, note: None });
    let put = Unit::natural().replace::<Services>(&SERVICE, 1, &locked).unwrap();
    lab.runtime.block_on(lab.store.commit(put)).unwrap();
    lab.restart();
    let owed = lab.access.owed(at(9));
    let refusal = Refusal::Locked { reason };
    assert_eq!(owed.len(), 1);
    assert_eq!((owed[0].wanted, owed[0].since), (Wanted::Disconnect { refusal }, at(5)));
    lab.report(&say(ReportKind::Stop, "a", 1_000, 100, 10), at(10)).unwrap();
    assert_eq!(lab.access.owed(at(11)), []);
}

/// A Start whose Class says what was granted.
fn start_granted(lab: &Lab, id: &str, rates: (u64, u64), is_captive: bool, at_second: i64) {
    let rate = |bits| BitsPerSecond::new(bits).unwrap();
    let rates = Some(Rates { down: Download(rate(rates.0)), up: Upload(rate(rates.1)) });
    let granted = Granted { terms: service().terms.version, rates, is_captive };
    let mut report = say(ReportKind::Start, id, 0, 0, 0);
    report.class = Some(lab.access.class_of(SERVICE, &granted).to_vec());
    lab.report(&report, at(at_second)).unwrap();
}

#[test]
fn other_speeds_than_were_granted_are_owed_until_the_nas_has_them_and_over_a_restart() {
    let mut lab = Lab::new();
    let sold = service().terms.rates;
    start_granted(&lab, "a", (sold.down.0.get(), sold.up.0.get()), false, 0);
    assert_eq!(lab.access.owed(at(1)), []);
    lab.report(&say(ReportKind::Stop, "a", 0, 0, 1), at(2)).unwrap();
    start_granted(&lab, "b", (1_000, 1_000), false, 3);
    let owed = lab.access.owed(at(4));
    let [change] = &owed[..] else { panic!("{owed:?}") };
    let Wanted::Change(terms) = change.wanted else { panic!("{change:?}") };
    assert_eq!((terms.entitlement.rates, lab.access.owed_of(SERVICE, at(4))), (sold, owed.clone()));
    let settled = Settled::Changed(terms.granted());
    lab.runtime.block_on(lab.access.settle_owed(change, settled, CloseReason::Disconnected, at(5))).unwrap();
    assert_eq!(lab.access.owed(at(6)), []);
    lab.restart();
    assert_eq!(lab.access.owed(at(7)), [], "what the NAS has in force is in the session's record");
}

#[test]
fn whoever_was_held_captive_and_may_go_on_logs_in_anew() {
    let lab = Lab::new();
    let sold = service().terms.rates;
    start_granted(&lab, "a", (sold.down.0.get(), sold.up.0.get()), true, 0);
    assert_eq!(lab.access.owed(at(1)).first().map(|one| one.wanted), Some(Wanted::Reconnect));
}

#[test]
fn a_session_that_its_nas_has_ended_counts_its_late_stop_and_goes_on_when_it_is_heard_again() {
    let lab = Lab::new();
    lab.report(&say(ReportKind::Start, "a", 0, 0, 0), at(0)).unwrap();
    let session = lab.sessions().remove(0).body;
    let owed = lab.access.owed_at_will(&session, at(10)).unwrap();
    let end = |at| lab.access.settle_owed(&owed, Settled::Ended, CloseReason::Disconnected, at);
    lab.runtime.block_on(end(at(10))).unwrap();
    assert_eq!((lab.access.open_sessions(), lab.access.owed_at_will(&session, at(11))), (0, None));
    lab.runtime.block_on(end(at(12))).unwrap();
    assert_eq!(lab.sessions()[0].body.closed_at, Some(at(10)), "to say it twice changes nothing");
    lab.report(&say(ReportKind::Interim, "a", 500, 50, 60), at(60)).unwrap();
    assert_eq!(lab.access.open_sessions(), 1, "it was there after all");
    lab.report(&say(ReportKind::Stop, "a", 900, 90, 70), at(70)).unwrap();
    let sessions = lab.sessions();
    assert_eq!((sessions.len(), sessions[0].body.closed_at), (1, Some(at(70))));
    assert_eq!(lab.stored_usage(), (900, 90, 70));
}

#[test]
fn where_the_newest_device_wins_the_oldest_session_is_owed_its_end() {
    let lab = Lab::new();
    lab.report(&say(ReportKind::Start, "a", 0, 0, 0), at(0)).unwrap();
    assert!(refusal(lab.login("right", Some("02-00-00-00-00-02"), at(10))).is_some());
    let newest_wins = SessionDefaults { newest_device_wins: true, ..SessionDefaults::default() };
    lab.access.set_defaults(newest_wins);
    assert_eq!(refusal(lab.login("right", Some("02-00-00-00-00-02"), at(10))), None);
    assert_eq!(lab.access.owed(at(11)), [], "until the other one is online");
    let mut second = say(ReportKind::Start, "b", 0, 0, 0);
    (second.station, second.happened_at) = (Some("02-00-00-00-00-02".to_owned()), at(12));
    lab.report(&second, at(12)).unwrap();
    let owed = lab.access.owed(at(13));
    let refusal = Refusal::DeviceLimit { limit: 1 };
    assert_eq!(
        owed.iter().map(|one| (&*one.acct_session_id, one.wanted)).collect::<Vec<_>>(),
        [("a", Wanted::Disconnect { refusal })]
    );
}

#[test]
fn start_interim_and_stop_make_one_session_counted_once() {
    let lab = Lab::new();
    lab.report(&say(ReportKind::Start, "a", 0, 0, 0), at(0)).unwrap();
    assert_eq!(lab.access.open_sessions(), 1);
    lab.report(&say(ReportKind::Interim, "a", 600, 60, 300), at(300)).unwrap();
    lab.report(&say(ReportKind::Stop, "a", 1_000, 100, 500), at(500)).unwrap();
    let sessions = lab.sessions();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].body.opened_at, at(0));
    assert_eq!(sessions[0].body.closed_at, Some(at(500)));
    assert_eq!(sessions[0].body.closed_why, Some(CloseReason::Stop { cause: Some(1) }));
    assert_eq!(sessions[0].counters[..2], [1_000, 100]);
    assert_eq!(lab.stored_usage(), (1_000, 100, 500));
    assert_eq!(lab.used(), Usage { down_octets: 1_000, up_octets: 100, seconds: 500, free_octets: 0 });
    assert_eq!(lab.access.open_sessions(), 0);
}

#[test]
fn a_stop_whose_start_was_lost_still_closes_and_counts_the_session() {
    let lab = Lab::new();
    lab.report(&say(ReportKind::Stop, "a", 5_000_000_000, 7, 500), at(500)).unwrap();
    let sessions = lab.sessions();
    assert_eq!(sessions[0].body.opened_at, at(0), "computed from Acct-Session-Time");
    assert_eq!(sessions[0].counters[0], 5_000_000_000);
    assert_eq!(lab.stored_usage().0, 5_000_000_000);
}

#[test]
fn the_quota_is_cut_by_what_sessions_used_also_after_a_restart() {
    let mut lab = Lab::new();
    lab.report(&say(ReportKind::Stop, "a", 9_000, 999, 500), at(500)).unwrap();
    let Answer::Accept { entitlement, .. } = lab.login("right", None, at(600)) else { panic!("refused") };
    assert_eq!(entitlement.remaining_octets, Some(1));
    lab.report(&say(ReportKind::Stop, "b", 1, 0, 10), at(700)).unwrap();
    assert_eq!(refusal(lab.login("right", None, at(701))), Some(Refusal::QuotaSpent));
    lab.restart();
    assert_eq!(refusal(lab.login("right", None, at(702))), Some(Refusal::QuotaSpent));
}

#[test]
fn rule_24_start_interims_a_duplicate_a_late_one_and_the_stop_are_300_mb() {
    let mut unlimited = service();
    unlimited.terms.data_allowance = None;
    let mut lab = Lab::with(&unlimited);
    let say = |kind, mb: u64, seconds| say(kind, "a", mb * 1_000_000, 0, seconds);
    lab.report(&say(ReportKind::Start, 0, 0), at(0)).unwrap();
    let told = [
        (say(ReportKind::Interim, 100, 300), 300, 100),
        (say(ReportKind::Interim, 250, 600), 600, 250),
        (say(ReportKind::Interim, 250, 600), 605, 250),
        (say(ReportKind::Interim, 200, 500), 610, 250),
        (say(ReportKind::Stop, 300, 900), 900, 300),
        (say(ReportKind::Stop, 300, 900), 905, 300),
    ];
    for (report, now, mb) in told {
        lab.report(&report, at(now)).unwrap();
        assert_eq!(lab.stored_usage().0, mb * 1_000_000, "{report:?}");
        assert_eq!(lab.used().down_octets, mb * 1_000_000, "{report:?}");
    }
    lab.restart();
    assert_eq!((lab.stored_usage(), lab.sessions().len()), ((300_000_000, 0, 900), 1));
}

#[test]
fn rule_24_two_devices_on_one_plan_are_both_cut_at_1_gb_together() {
    let mut shared = service();
    (shared.terms.data_allowance, shared.terms.device_limit) = (Some(1_000_000_000), 2);
    let lab = Lab::with(&shared);
    let say = |kind, id: &str, device: &str, mb: u64, seconds| {
        let mut report = say(kind, id, mb * 1_000_000, 0, seconds);
        report.station = Some(device.to_owned());
        report
    };
    let (one, other) = ("02:00:00:00:00:01", "02:00:00:00:00:02");
    lab.report(&say(ReportKind::Start, "a", one, 0, 0), at(0)).unwrap();
    lab.report(&say(ReportKind::Start, "b", other, 0, 0), at(0)).unwrap();
    lab.report(&say(ReportKind::Interim, "a", one, 600, 300), at(300)).unwrap();
    lab.report(&say(ReportKind::Interim, "b", other, 399, 300), at(300)).unwrap();
    let Answer::Accept { entitlement, .. } = lab.login("right", Some(one), at(301)) else {
        panic!("refused")
    };
    assert_eq!(entitlement.remaining_octets, Some(1_000_000), "what both have left");
    assert_eq!(lab.access.owed(at(301)), []);
    lab.report(&say(ReportKind::Interim, "b", other, 400, 310), at(310)).unwrap();
    for device in [one, other] {
        assert_eq!(refusal(lab.login("right", Some(device), at(311))), Some(Refusal::QuotaSpent));
    }
    let owed = lab.access.owed(at(311));
    let wanted = Wanted::Disconnect { refusal: Refusal::QuotaSpent };
    assert_eq!(owed.iter().map(|one| one.wanted).collect::<Vec<_>>(), [wanted, wanted], "both are to end");
}

#[test]
fn rule_24_with_nothing_left_a_plan_refuses_or_goes_on_slowly_as_it_says() {
    let slow = |bits| BitsPerSecond::new(bits).unwrap();
    let slow = Rates { down: Download(slow(256_000)), up: Upload(slow(128_000)) };
    for on_quota in [OnQuota::Cut, OnQuota::Throttle(slow)] {
        let mut plan = service();
        plan.terms.usage.on_quota = on_quota;
        let lab = Lab::with(&plan);
        lab.report(&say(ReportKind::Stop, "a", 10_000, 0, 500), at(500)).unwrap();
        match (on_quota, lab.login("right", None, at(600))) {
            (OnQuota::Cut, answer) => assert_eq!(refusal(answer), Some(Refusal::QuotaSpent)),
            (OnQuota::Throttle(_), Answer::Accept { entitlement, .. }) => {
                assert_eq!((entitlement.rates, entitlement.remaining_octets), (slow, None));
            }
            (OnQuota::Throttle(_), _) => panic!("it goes on"),
        }
    }
}

#[test]
fn a_second_device_finds_no_place_and_the_same_device_replaces_its_ghost() {
    let lab = Lab::new();
    lab.report(&say(ReportKind::Start, "a", 0, 0, 0), at(0)).unwrap();
    let other = lab.login("right", Some("02-00-00-00-00-02"), at(10));
    assert_eq!(refusal(other), Some(Refusal::DeviceLimit { limit: 1 }));
    assert_eq!(refusal(lab.login("right", Some("02-00-00-00-00-01"), at(10))), None);
}

#[test]
fn our_class_names_the_service_whatever_the_user_name_says_and_a_forged_one_does_not() {
    let lab = Lab::new();
    let granted = Granted { terms: 3, rates: None, is_captive: false };
    let class = lab.access.class_of(SERVICE, &granted).to_vec();
    let mut report = say(ReportKind::Start, "a", 0, 0, 0);
    report.username = "someone".into();
    report.class = Some(class.clone());
    lab.report(&report, at(0)).unwrap();
    assert_eq!(lab.access.proof(SERVICE, 3), Proof::InForce);
    assert!(matches!(lab.access.proof(SERVICE, 4), Proof::Owed { .. }), "opened under earlier terms");
    let mut forged = report.clone();
    forged.acct_session_id = "b".into();
    forged.class = Some(class.iter().map(|octet| octet ^ 1).collect());
    lab.report(&forged, at(1)).unwrap();
    let sessions = lab.sessions();
    let of = |id: &str| sessions.iter().find(|one| one.body.acct_session_id == id).unwrap().body.service_id;
    assert_eq!((of("a"), of("b")), (Some(SERVICE), None));
}

#[test]
fn a_nas_that_restarts_ends_its_sessions_and_no_others() {
    let lab = Lab::new();
    lab.report(&say(ReportKind::Start, "a", 0, 0, 0), at(0)).unwrap();
    let mut elsewhere = say(ReportKind::Start, "b", 0, 0, 0);
    elsewhere.nas_id = NasId(Uuid::from_u128(10));
    lab.report(&elsewhere, at(0)).unwrap();
    let restart = Restart { nas_id: NAS, nas_address: None, going_down: false, happened_at: at(60) };
    assert_eq!(lab.runtime.block_on(lab.access.nas_restarted(&restart)).unwrap(), 1);
    assert_eq!(lab.runtime.block_on(lab.access.nas_restarted(&restart)).unwrap(), 0, "a repeat does nothing");
    assert_eq!(lab.access.open_sessions(), 1);
    let ended: Vec<_> = lab.sessions().into_iter().filter(|one| one.body.closed_at.is_some()).collect();
    assert_eq!(ended[0].body.closed_why, Some(CloseReason::NasRestarted));
}

const INTERVAL: std::time::Duration = std::time::Duration::from_secs(300);

#[test]
fn a_session_that_falls_silent_is_ended_at_its_last_report_and_frees_its_place() {
    let lab = Lab::new();
    lab.report(&say(ReportKind::Start, "a", 0, 0, 0), at(0)).unwrap();
    lab.report(&say(ReportKind::Interim, "a", 100, 10, 300), at(300)).unwrap();
    let end_silent = |now| lab.runtime.block_on(lab.access.end_silent(INTERVAL, at(0), at(now))).unwrap();
    assert_eq!(end_silent(300 + 750), 0, "two and a half intervals are patience");
    assert_eq!(end_silent(300 + 751), 1);
    assert_eq!(end_silent(300 + 752), 0);
    let sessions = lab.sessions();
    assert_eq!(sessions[0].body.closed_at, Some(at(300)));
    assert_eq!(sessions[0].body.closed_why, Some(CloseReason::Silence));
    assert_eq!(refusal(lab.login("right", Some("02-00-00-00-00-02"), at(1_100))), None, "the place is free");
}

#[test]
fn silence_counts_only_while_somebody_listens() {
    let lab = Lab::new();
    lab.report(&say(ReportKind::Start, "a", 0, 0, 0), at(0)).unwrap();
    let listening_since = at(86_400);
    let ended = lab.access.end_silent(INTERVAL, listening_since, at(86_400 + 700));
    assert_eq!(lab.runtime.block_on(ended).unwrap(), 0);
}

#[test]
fn a_silent_session_that_is_heard_again_goes_on_and_an_old_report_does_not_wake_it() {
    let mut lab = Lab::new();
    lab.report(&say(ReportKind::Start, "a", 0, 0, 0), at(0)).unwrap();
    lab.report(&say(ReportKind::Interim, "a", 100, 10, 300), at(300)).unwrap();
    lab.runtime.block_on(lab.access.end_silent(INTERVAL, at(0), at(2_000))).unwrap();
    lab.report(&say(ReportKind::Interim, "a", 100, 10, 300), at(2_001)).unwrap();
    assert_eq!(lab.access.open_sessions(), 0, "the same report again is no sign of life");
    lab.report(&say(ReportKind::Interim, "a", 900, 90, 2_100), at(2_100)).unwrap();
    assert_eq!(lab.access.open_sessions(), 1);
    lab.restart();
    assert_eq!(lab.access.open_sessions(), 1, "written down");
    lab.report(&say(ReportKind::Stop, "a", 1_000, 100, 2_400), at(2_400)).unwrap();
    let sessions = lab.sessions();
    assert_eq!((sessions.len(), sessions[0].body.closed_at), (1, Some(at(2_400))));
    assert_eq!(lab.stored_usage(), (1_000, 100, 2_400));
}

#[test]
fn a_late_interim_after_the_stop_and_a_restart_does_not_reopen_the_session() {
    let mut lab = Lab::new();
    lab.report(&say(ReportKind::Stop, "a", 100, 10, 500), at(500)).unwrap();
    lab.restart();
    lab.report(&say(ReportKind::Interim, "a", 50, 5, 300), at(501)).unwrap();
    assert_eq!(lab.access.open_sessions(), 0);
    assert_eq!(lab.stored_usage(), (100, 10, 500));
}

#[test]
fn a_report_that_cannot_be_written_leaves_no_trace_and_its_repeat_succeeds() {
    let lab = Lab::new();
    lab.runtime.block_on(lab.store.close());
    let start = say(ReportKind::Start, "a", 7, 7, 7);
    assert!(lab.report(&start, at(0)).is_err());
    assert_eq!(lab.access.open_sessions(), 0);
    assert_eq!(lab.used(), Usage::default());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever order reports come in, and however often each is repeated: one session, the
    /// largest counters, each octet counted once, in memory and on disk.
    #[test]
    fn any_order_and_any_repetition_ends_in_the_same_truth(
        order in proptest::collection::vec(0usize..6, 6..40),
    ) {
        let lab = Lab::new();
        let story = [
            say(ReportKind::Start, "a", 0, 0, 0),
            say(ReportKind::Interim, "a", 100, 10, 60),
            say(ReportKind::Interim, "a", 200, 20, 120),
            say(ReportKind::Interim, "a", 300, 30, 180),
            say(ReportKind::Interim, "a", 350, 40, 240),
            say(ReportKind::Stop, "a", 400, 50, 300),
        ];
        for position in order.iter().copied().chain([5]) {
            let report = &story[position];
            let delay = SignedDuration::from_secs(2);
            lab.report(report, report.happened_at + delay).unwrap();
        }
        let sessions = lab.sessions();
        prop_assert_eq!(sessions.len(), 1);
        prop_assert_eq!(&sessions[0].counters[..2], &[400, 50]);
        prop_assert_eq!(sessions[0].body.closed_at, Some(at(300)));
        prop_assert_eq!(lab.stored_usage(), (400, 50, 300));
        prop_assert_eq!(lab.used(), Usage { down_octets: 400, up_octets: 50, seconds: 300, free_octets: 0 });
        prop_assert_eq!(lab.access.open_sessions(), 0);
    }
}
