//! The daemon's periodic work: one struct a job, one line each where they are started.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::audit::LinkAudit;
use super::desk::SendMail;
use super::disk::Disk;
use super::eap::{EapDesk, WatchEapCertificate};
use super::money::{Dun, EndOrders, Resume, Tell, TurnSubscriptions};
use super::payments::AskAboutPayments;
use super::vouchers::CarryVouchersOn;
use crate::access::Access;
use crate::base::clock::Clock;
use crate::base::entropy::Entropy;
use crate::base::health::{Health, Severity, Warning};
use crate::base::jobs::{Activator, Job, Jobs, NameTaken, Outcome, Report};
use crate::billing::notices::Notices;
use crate::catalogue::provision::Provisioning;
use crate::domain::message::Channel;
use crate::domain::nas::MessageAuthenticatorPolicy;
use crate::notify::Post;
use crate::people::People;
use crate::serve::api::App;
use crate::store::contract::{Collection, IndexValue};
use crate::store::tables::webhooks::Deliveries;
use crate::store::tables::{AuthEvents, CustomerVisits, KeptAnswers, Messages, Signups, Visits};
use crate::store::{Store, Sweep, SweepWhat};

/// What the jobs work with.
pub(super) struct Wiring<'a> {
    pub(super) app: &'a App,
    pub(super) access: &'a Arc<Access>,
    pub(super) post: &'a Post,
    pub(super) store: &'a Store,
    pub(super) store_path: &'a Path,
    pub(super) clock: &'a Clock,
    pub(super) health: &'a Health,
    pub(super) interim_secs: &'a Arc<AtomicU32>,
    pub(super) cycle: &'a Activator,
    pub(super) paid: &'a Activator,
    pub(super) eap: &'a Arc<EapDesk>,
}

/// Starts every job; each runs at once and then by its period.
pub(super) fn start(
    jobs: &Jobs,
    wiring: &Wiring<'_>,
    stop: &CancellationToken,
) -> Result<Vec<JoinHandle<()>>, NameTaken> {
    let Wiring { app, access, post, store, store_path, clock, health, interim_secs, cycle, paid, eap } =
        wiring;
    let disk = Disk::of(store, store_path);
    let (access, store, health) = (Arc::clone(access), (*store).clone(), (*health).clone());
    let entropy = app.entropy.clone();
    let flush = FlushAuthLog { access: Arc::clone(&access), store: store.clone(), entropy };
    let now = clock.now();
    let silent =
        EndSilent { access: Arc::clone(&access), interval: Arc::clone(interim_secs), listening_since: now };
    let mail = SendMail { channel: Channel::Mail, post: (*post).clone(), health: health.clone() };
    let sms = SendMail { channel: Channel::Sms, post: (*post).clone(), health: health.clone() };
    let billing = TurnSubscriptions::new(app.billing.till.clone(), store.clone(), health.clone());
    let vouchers = app.reception.vouchers().clone();
    let more = vouchers.work();
    let vouchers = CarryVouchersOn { vouchers };
    let attempts = app.billing.attempts.clone();
    let wake_payments = attempts.activator();
    let payments = AskAboutPayments { attempts, health: health.clone(), unanswered: 0 };
    let resume = Resume { reception: app.reception.clone() };
    let orders = EndOrders { till: app.billing.till.clone() };
    let dun = Dun {
        till: app.billing.till.clone(),
        watch: app.billing.watch.clone(),
        clock: (*clock).clone(),
        health: health.clone(),
    };
    let tell = Tell { notices: Notices::new(app.billing.till.clone()) };
    let certificate = WatchEapCertificate { desk: Arc::clone(eap), health: health.clone() };
    let people = app.people.clone();
    let chain = LinkAudit { people, health: health.clone(), looked_at: None };
    let watch = Watch { access, people: app.people.clone(), store: store.clone(), disk, health };
    Ok(vec![
        jobs.start(flush, Activator::new(), now, (*clock).clone(), stop.clone())?,
        jobs.start(silent, Activator::new(), now, (*clock).clone(), stop.clone())?,
        jobs.start(billing, (*cycle).clone(), now, (*clock).clone(), stop.clone())?,
        jobs.start(vouchers, more, now, (*clock).clone(), stop.clone())?,
        jobs.start(payments, wake_payments, now, (*clock).clone(), stop.clone())?,
        jobs.start(resume, (*paid).clone(), now, (*clock).clone(), stop.clone())?,
        jobs.start(orders, Activator::new(), now, (*clock).clone(), stop.clone())?,
        jobs.start(certificate, Activator::new(), now, (*clock).clone(), stop.clone())?,
        jobs.start(dun, Activator::new(), now, (*clock).clone(), stop.clone())?,
        jobs.start(tell, Activator::new(), now, (*clock).clone(), stop.clone())?,
        jobs.start(chain, Activator::new(), now, (*clock).clone(), stop.clone())?,
        jobs.start(watch, Activator::new(), now, (*clock).clone(), stop.clone())?,
        jobs.start(sms, post.activator(Channel::Sms), now, (*clock).clone(), stop.clone())?,
        jobs.start(mail, post.activator(Channel::Mail), now, (*clock).clone(), stop.clone())?,
        jobs.start(Retention { store, fed: 0 }, Activator::new(), now, (*clock).clone(), stop.clone())?,
        carry_provisioning_on(&app.catalogue.provisioning, clock, stop),
    ])
}

/// Provisioning has a loop of its own: it is woken by each task and looks again by itself.
fn carry_provisioning_on(
    provisioning: &Provisioning,
    clock: &Clock,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let (provisioning, clock, stop) = (provisioning.clone(), clock.clone(), stop.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = provisioning.work(&clock) => {}
        }
    })
}

/// Writes down why logins were answered as they were.
struct FlushAuthLog {
    access: Arc<Access>,
    store: Store,
    entropy: Entropy,
}

impl Job for FlushAuthLog {
    fn name(&self) -> &'static str {
        "auth-log"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn run(&mut self, _now: Timestamp) -> Report {
        let (written, failed) = flush_auth_log(&self.access, &self.store, &self.entropy).await;
        match (written, failed) {
            (0, 0) => Report::new(Outcome::Idle, "no logins"),
            (written, 0) => Report::new(Outcome::Done, format!("{written} answers written down")),
            (written, failed) => {
                Report::new(Outcome::Failed, format!("{written} answers written down, {failed} lost"))
            }
        }
    }
}

/// Writes gathered answers; gives how many were written and how many could not be.
pub(super) async fn flush_auth_log(access: &Access, store: &Store, entropy: &Entropy) -> (usize, usize) {
    let units = match access.log().flush(entropy) {
        Ok(units) => units,
        Err(error) => {
            tracing::warn!(%error, "Authentication events could not be gathered");
            return (0, 1);
        }
    };
    let (mut written, mut failed) = (0usize, 0usize);
    for unit in units {
        let events = unit.ops.len();
        // A full disk stops this log, never authentication.
        match store.commit(unit).await {
            Ok(_) => written = written.saturating_add(events),
            Err(_) => failed = failed.saturating_add(events),
        }
    }
    (written, failed)
}

/// Turns what is wrong with the box into warnings, and counts what is there.
struct Watch {
    access: Arc<Access>,
    people: People,
    store: Store,
    disk: Disk,
    health: Health,
}

impl Job for Watch {
    fn name(&self) -> &'static str {
        "watch"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(5)
    }

    async fn run(&mut self, now: Timestamp) -> Report {
        super::metrics::gauges(self.access.open_sessions(), self.access.snapshot().services());
        let unreadable = self.access.snapshot().problems();
        self.replace("record-unreadable", Severity::Warn, unreadable, now);
        let damaged = self
            .store
            .damage()
            .into_iter()
            .map(|(collection, key, why)| (format!("{collection}/{key}"), why));
        self.replace("record-damaged", Severity::Fail, damaged.collect(), now);
        let lenient = self.lenient_nas();
        self.replace("nas-message-authenticator-optional", Severity::Warn, lenient, now);
        if let Ok(owners) = self.people.owners_without_factor().await {
            let told =
                "an owner who logs in by a password alone; whoever learns it has the money and the secrets";
            let without = owners.into_iter().map(|(_, name)| (name, told.to_owned())).collect();
            self.replace("owner-without-second-factor", Severity::Warn, without, now);
        }
        self.disk.look(&self.health, now).await;
        Report::new(Outcome::Done, "looked")
    }
}

impl Watch {
    fn lenient_nas(&self) -> Vec<(String, String)> {
        let view = self.access.snapshot().nas();
        let lenient = view
            .entries()
            .filter(|entry| entry.nas.message_authenticator == MessageAuthenticatorPolicy::Allow);
        let told =
            "its requests need no Message-Authenticator, so answers to it can be forged (CVE-2024-3596)";
        lenient.map(|entry| (entry.nas.name.to_string(), told.to_owned())).collect()
    }

    /// Raises what is so now and clears what is no longer.
    fn replace(&self, code: &'static str, severity: Severity, now_so: Vec<(String, String)>, now: Timestamp) {
        for warning in self.health.warnings() {
            if warning.code == code && !now_so.iter().any(|(subject, _)| *subject == warning.subject) {
                self.health.clear(code, &warning.subject);
            }
        }
        for (subject, text) in now_so {
            let text = format!("{subject}: {text}");
            self.health.raise(Warning {
                code,
                severity,
                subject,
                text,
                remedy: remedy(code).to_owned(),
                since: now,
            });
        }
    }
}

fn remedy(code: &str) -> &'static str {
    match code {
        "record-unreadable" => {
            "set its password or secret again; if there are many, the box's key is not the one that sealed them"
        }
        "record-damaged" => "run `dotmac-edge store check`, and restore it from a backup",
        "nas-message-authenticator-optional" => "update the NAS, then set its policy to `require`",
        "owner-without-second-factor" => {
            "log in and set one up: POST /api/v1/auth/mfa/setup, then confirm it"
        }
        _ => "look at the log",
    }
}

/// Ends sessions of which nothing is heard any more.
struct EndSilent {
    access: Arc<Access>,
    /// Acct-Interim-Interval as NAS are told it now; a reload changes it.
    interval: Arc<AtomicU32>,
    listening_since: Timestamp,
}

impl Job for EndSilent {
    fn name(&self) -> &'static str {
        "silent-sessions"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn run(&mut self, now: Timestamp) -> Report {
        let interval = Duration::from_secs(self.interval.load(Ordering::Relaxed).into());
        match self.access.end_silent(interval, self.listening_since, now).await {
            Ok(0) => Report::new(Outcome::Idle, "every open session is heard of"),
            Ok(ended) => Report::new(Outcome::Done, format!("{ended} silent sessions ended")),
            Err(error) => Report::new(Outcome::Failed, error.to_string()),
        }
    }
}

/// Removes what is kept for a time only.
struct Retention {
    store: Store,
    /// Events up to here are known to be younger than [`EVENTS_KEPT`].
    fed: u64,
}

impl Job for Retention {
    fn name(&self) -> &'static str {
        "retention"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(600)
    }

    async fn run(&mut self, now: Timestamp) -> Report {
        let before = |kept: SignedDuration| now.checked_sub(kept).unwrap_or(Timestamp::MIN).as_millisecond();
        let old = |spec, index, kept| SweepWhat::Records {
            collection: spec,
            index,
            before: IndexValue::Integer(before(kept)),
        };
        let mut sweeps = vec![
            old(AuthEvents::SPEC, "at", AUTH_EVENTS_KEPT),
            old(KeptAnswers::SPEC, "at", ANSWERS_KEPT),
            old(Visits::SPEC, "expires_at", VISITS_KEPT),
            old(CustomerVisits::SPEC, "expires_at", SignedDuration::ZERO),
            old(Signups::SPEC, "expires_at", SIGNUPS_KEPT),
            old(Messages::SPEC, "created_at", MESSAGES_KEPT),
            old(Deliveries::SPEC, "settled_at", DELIVERIES_KEPT),
            SweepWhat::Units { before_millis: before(UNITS_KEPT) },
        ];
        let (mut removed, mut is_more) = (0u64, false);
        if let Some((through_seq, count)) = self.old_events(before(EVENTS_KEPT)).await {
            sweeps.push(SweepWhat::Changes { through_seq });
            is_more = count >= SWEEP_BUDGET;
        }
        for what in sweeps {
            match self.store.sweep(Sweep { what, budget: SWEEP_BUDGET }).await {
                Ok(swept) => {
                    removed = removed.saturating_add(swept.removed);
                    is_more |= swept.more;
                }
                Err(error) => return Report::new(Outcome::Failed, format!("a sweep failed: {error}")),
            }
        }
        let report = Report::new(Outcome::Done, format!("{removed} old records removed"));
        // A busy day makes more than a run takes: what is left is not left to the next period.
        if is_more { report.next_in(SWEEP_AGAIN) } else { report }
    }
}

impl Retention {
    /// The last of the next events that are older than `before_millis`, and how many they are.
    async fn old_events(&mut self, before_millis: i64) -> Option<(u64, usize)> {
        let next = self.store.changes(self.fed, SWEEP_BUDGET).await.ok()?;
        let old: Vec<_> = next.iter().take_while(|event| event.at_millis < before_millis).collect();
        let last_old = old.last()?.seq;
        self.fed = last_old;
        Some((last_old, old.len()))
    }
}

/// Why logins were refused is asked within days; two weeks cover a holiday.
const AUTH_EVENTS_KEPT: SignedDuration = SignedDuration::from_hours(14 * 24);
/// A client that repeats a request does so within minutes; two days cover an outage.
const ANSWERS_KEPT: SignedDuration = SignedDuration::from_hours(48);
/// A unit is submitted again within minutes of a lost answer, if at all.
const UNITS_KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Ended visits are kept a while to recognise a stolen token.
const VISITS_KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Names and addresses of people who went no further; limits look back one day.
const SIGNUPS_KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// "I got no mail" is asked within days; none waits longer than a day.
const MESSAGES_KEPT: SignedDuration = SignedDuration::from_hours(14 * 24);
/// What was told to a program is asked for when its books differ: within days.
const DELIVERIES_KEPT: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Followers of the feed may be away for weeks.
const EVENTS_KEPT: SignedDuration = SignedDuration::from_hours(60 * 24);
/// Rows a sweep removes at once, so that it never holds the writer for long.
const SWEEP_BUDGET: usize = 1_000;
/// Between runs while more is left: time for what people wait for, and some 200 rows a second.
const SWEEP_AGAIN: Duration = Duration::from_secs(5);
