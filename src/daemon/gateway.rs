//! Wiring of the gateway: the closed beginning, who may pass as `access` sees it, and what wakes whom.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::StartError;
use crate::access::Access;
use crate::base::clock::Clock;
use crate::base::entropy::Entropy;
use crate::base::health::{Health, Severity, Warning};
use crate::base::jobs::{Activator, Job, Jobs, NameTaken, Outcome, Report};
use crate::config::{Config, Garden};
use crate::domain::ids::SubscriberId;
use crate::domain::presence::{Admitted, Counted};
use crate::enforce::{Closed, Enforcer, Parts, Presence};
use crate::firewall::kernel::{Installed, PROGRAM};
use crate::firewall::name::InterfacePattern;
use crate::store::Store;
use crate::store::contract::{CommitError, EventDraft};

/// Puts the rules in force before anything is answered: whoever was online stays so, strangers are captive.
pub(super) fn close(config: &Config) -> Result<Option<Closed>, StartError> {
    if !config.gateway.enabled {
        return Ok(None);
    }
    let policy = config.gateway.policy(&config.portal).map_err(StartError::Policy)?;
    let (closed, installed) = Closed::install(Path::new(PROGRAM), policy).map_err(StartError::Gateway)?;
    match installed {
        Installed::Beside => tracing::info!("The gateway's rules are in force; who was online stays so"),
        Installed::Anew => {
            tracing::warn!(
                "The gateway's rules were of another make and were replaced; sessions are let in again"
            );
        }
    }
    Ok(Some(closed))
}

/// Ends the sessions of the gateway that this box was before its configuration was changed.
pub(super) async fn end_what_it_left(access: &Access, now: Timestamp) -> Result<(), CommitError> {
    let ended = access.end_local_sessions(now).await?;
    if ended > 0 {
        tracing::warn!(ended, "This box is no gateway any more; sessions on its interfaces were ended");
    }
    Ok(())
}

/// What the gateway works with.
pub(super) struct Wiring<'a> {
    pub(super) access: &'a Arc<Access>,
    pub(super) clock: &'a Clock,
    pub(super) entropy: &'a Entropy,
    pub(super) health: &'a Health,
    /// Wakes whoever ends sessions that are due.
    pub(super) due: &'a Activator,
    /// Wakes whoever brings devices online whose service was paid.
    pub(super) paid: &'a Activator,
}

/// Starts the worker, which brings the kernel in step at once.
pub(super) fn start(closed: Closed, wiring: &Wiring<'_>) -> Result<Enforcer, StartError> {
    let presence = Arc::new(ByAccess { access: Arc::clone(wiring.access), due: wiring.due.clone() });
    let parts = Parts {
        presence,
        clock: wiring.clock.clone(),
        entropy: wiring.entropy.clone(),
        health: wiring.health.clone(),
    };
    closed.start(parts).map_err(StartError::Threads)
}

/// What the gateway's own tasks work with, beside its wiring.
pub(super) struct Own<'a> {
    pub(super) jobs: &'a Jobs,
    pub(super) enforcer: &'a Enforcer,
    pub(super) store: &'a Store,
    pub(super) config: &'a Config,
    pub(super) stop: &'a CancellationToken,
}

/// Starts whatever runs beside the worker.
pub(super) fn tasks(own: &Own<'_>, wiring: &Wiring<'_>) -> Result<Vec<JoinHandle<()>>, NameTaken> {
    let now = wiring.clock.now();
    let end_due = EndDue {
        access: Arc::clone(wiring.access),
        enforcer: own.enforcer.clone(),
        clock: wiring.clock.clone(),
        last: (now, wiring.clock.monotonic()),
    };
    let ground = Ground { config: own.config.clone(), health: wiring.health.clone() };
    let stop = || own.stop.clone();
    let garden = WalledGarden { names: names(own.config), enforcer: own.enforcer.clone() };
    Ok(vec![
        own.jobs.start(garden, Activator::new(), now, wiring.clock.clone(), stop())?,
        own.jobs.start(end_due, wiring.due.clone(), now, wiring.clock.clone(), stop())?,
        own.jobs.start(ground, Activator::new(), now, wiring.clock.clone(), stop())?,
        follow(own.store, wiring.access, own.enforcer, (wiring.due, wiring.paid), own.stop),
    ])
}

/// Who may pass, as `access` derives it, and where what was counted goes.
struct ByAccess {
    access: Arc<Access>,
    due: Activator,
}

impl Presence for ByAccess {
    fn admitted(&self, now: Timestamp) -> Vec<Admitted> {
        self.access.admitted(now)
    }

    fn admitted_one(&self, holder: Uuid, now: Timestamp) -> Option<Admitted> {
        self.access.admitted_one(holder, now)
    }

    fn count(
        &self,
        counted: Vec<Counted>,
        now: Timestamp,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move {
            let outcome = self.access.count(&counted, now).await;
            // A quota may be spent by it.
            self.due.pull();
            outcome.map_err(|error| error.to_string())
        })
    }
}

/// Ends sessions of this gateway whose time, quota, entitlement or patience is over.
pub(super) struct EndDue {
    pub(super) access: Arc<Access>,
    pub(super) enforcer: Enforcer,
    clock: Clock,
    /// When it last ran, by both clocks.
    last: (Timestamp, Instant),
}

impl EndDue {
    /// A clock that is set, as it is by the first answer of a time server, makes nobody idle.
    fn follow_the_clock(&mut self, now: Timestamp) {
        let monotonic = self.clock.monotonic();
        let (before, then) = std::mem::replace(&mut self.last, (now, monotonic));
        let passed = SignedDuration::try_from(monotonic.saturating_duration_since(then)).unwrap_or_default();
        let set_by = now.duration_since(before).saturating_sub(passed);
        if set_by.abs() > STEP {
            tracing::warn!(seconds = set_by.as_secs(), "The clock was set");
            self.access.clock_was_set(set_by);
        }
    }
}

impl Job for EndDue {
    fn name(&self) -> &'static str {
        "gateway-sessions"
    }

    fn period(&self) -> Duration {
        LONGEST_PAUSE
    }

    async fn run(&mut self, now: Timestamp) -> Report {
        self.follow_the_clock(now);
        match self.access.end_due(now).await {
            Ok(due) => {
                let report = if due.ended == 0 {
                    Report::new(Outcome::Idle, "every session of this gateway goes on")
                } else {
                    self.enforcer.wake();
                    Report::new(Outcome::Done, format!("{} sessions of this gateway ended", due.ended))
                };
                report.next_in(pause_until(due.next, now))
            }
            Err(error) => Report::new(Outcome::Failed, error.to_string()),
        }
    }
}

fn pause_until(next: Option<Timestamp>, now: Timestamp) -> Duration {
    let wait = next.map(|next| Duration::try_from(next.duration_since(now)).unwrap_or_default());
    wait.unwrap_or(LONGEST_PAUSE).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

/// Follows the feed of what was committed: a lock, another plan, a closed account reach the kernel at once.
pub(super) fn follow(
    store: &Store,
    access: &Arc<Access>,
    enforcer: &Enforcer,
    (due, paid): (&Activator, &Activator),
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let (store, access, stop) = (store.clone(), Arc::clone(access), stop.clone());
    let (enforcer, due, paid) = (enforcer.clone(), due.clone(), paid.clone());
    tokio::spawn(async move {
        let mut seen = store.last_seq();
        loop {
            let waited = tokio::select! {
                waited = store.wait(seen) => waited,
                () = stop.cancelled() => return,
            };
            // A store that is closed has nothing more to tell.
            if waited.is_err() {
                return;
            }
            seen = pass_on(&store, seen, &access, &enforcer, (&due, &paid)).await;
        }
    })
}

/// Wakes whom the next events concern; gives the position after them.
async fn pass_on(
    store: &Store,
    seen: u64,
    access: &Access,
    enforcer: &Enforcer,
    (due, paid): (&Activator, &Activator),
) -> u64 {
    let events = match store.changes(seen, EVENTS_AT_ONCE).await {
        Ok(events) => events,
        Err(error) => {
            // What they were about is not known, so everybody is looked at.
            tracing::warn!(%error, "The feed of changes could not be read");
            enforcer.wake();
            due.pull();
            paid.pull();
            return store.last_seq();
        }
    };
    let (mut after, mut concerned) = (seen, false);
    for change in events {
        after = change.seq;
        for holder in concerned_by(&change.event, access) {
            enforcer.look(holder);
            concerned = true;
        }
    }
    if concerned {
        due.pull();
        paid.pull();
    }
    after
}

/// Whose devices may pass, or not any more, by what happened.
fn concerned_by(event: &EventDraft, access: &Access) -> Vec<Uuid> {
    match event.kind.as_str() {
        "customer.closed" | "customer.reopened" => {
            let Ok(owner) = event.subject.parse() else { return Vec::new() };
            let services = access.snapshot().services_of(SubscriberId(owner));
            services.iter().map(|login| login.service.id.0).collect()
        }
        // A reporter's Stop, or its NAS's restart: nobody else takes it out of the kernel.
        "session.ended" if event.payload.get("is_local") == Some(&Value::Bool(true)) => {
            let holder = event.payload.get("service_id").and_then(Value::as_str);
            holder.and_then(|id| id.parse().ok()).into_iter().collect()
        }
        kind if kind.starts_with("service.") => event.subject.parse().into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Looks up the names of the walled garden, and opens it to their addresses.
struct WalledGarden {
    names: Vec<String>,
    enforcer: Enforcer,
}

fn names(config: &Config) -> Vec<String> {
    let name = |entry: &Garden| match entry {
        Garden::Name(name) => Some(name.as_str().to_owned()),
        Garden::Network(_) => None,
    };
    config.gateway.garden.iter().filter_map(name).collect()
}

impl Job for WalledGarden {
    fn name(&self) -> &'static str {
        "walled-garden"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn run(&mut self, _now: Timestamp) -> Report {
        let (mut addresses, mut unknown) = (Vec::new(), Vec::new());
        for name in &self.names {
            let asked =
                tokio::time::timeout(LOOKUP_LIMIT, tokio::net::lookup_host((name.as_str(), 443))).await;
            match asked {
                Ok(Ok(found)) => addresses.extend(found.map(|found| found.ip()).take(MOST_ADDRESSES)),
                Ok(Err(_)) | Err(_) => unknown.push(name.as_str()),
            }
        }
        let count = addresses.len();
        if count > 0 {
            self.enforcer.open_garden(addresses);
        }
        if !unknown.is_empty() {
            // An address that was known stays open for its hour.
            return Report::new(Outcome::Failed, format!("no answer for {}", unknown.join(", ")));
        }
        let outcome = if count == 0 { Outcome::Idle } else { Outcome::Done };
        Report::new(outcome, format!("open to {count} addresses of {} names", self.names.len()))
    }
}

/// Looks at what the gateway stands on: its interfaces, and that the kernel forwards at all.
struct Ground {
    config: Config,
    health: Health,
}

impl Job for Ground {
    fn name(&self) -> &'static str {
        "gateway-ground"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(10)
    }

    async fn run(&mut self, now: Timestamp) -> Report {
        missing_interfaces(&self.config, &self.health, now);
        forwarding(&self.health, now);
        std::future::ready(Report::new(Outcome::Done, "looked")).await
    }
}

/// A kernel that does not forward lets nobody through, whatever our rules say.
fn forwarding(health: &Health, now: Timestamp) {
    for (family, file) in FORWARDING {
        // A host without the family has no such file, and nothing to forward.
        let is_off = std::fs::read_to_string(file).is_ok_and(|text| text.trim() == "0");
        if !is_off {
            health.clear(NOT_FORWARDING, family);
            continue;
        }
        let warning = Warning {
            code: NOT_FORWARDING,
            severity: Severity::Warn,
            subject: (*family).to_owned(),
            text: format!("the kernel does not forward {family}: nobody gets through, paid or not"),
            remedy: format!(
                "write 1 to {file}; docs/gateway.md says how it is done at each start of the daemon"
            ),
            since: now,
        };
        if health.raise(warning) {
            tracing::warn!("The kernel does not forward {family}");
        }
    }
}

/// Interfaces of the configuration that are not there: no fault, since they may come, but said.
fn missing_interfaces(config: &Config, health: &Health, now: Timestamp) {
    let here: Vec<String> = nix::net::if_::if_nameindex()
        .map(|list| list.iter().filter_map(|one| one.name().to_str().ok().map(ToOwned::to_owned)).collect())
        .unwrap_or_default();
    let lists = [("access", &config.gateway.access), ("uplink", &config.gateway.uplink)];
    for (role, pattern) in lists.into_iter().flat_map(|(role, list)| list.iter().map(move |one| (role, one)))
    {
        let subject = pattern.to_string();
        if here.iter().any(|name| name.parse().is_ok_and(|name| InterfacePattern::matches(pattern, &name))) {
            health.clear(MISSING, &subject);
            continue;
        }
        let text = format!("the {role} interface {subject} is not there");
        let warning = Warning {
            code: MISSING,
            severity: Severity::Warn,
            subject,
            text: text.clone(),
            remedy: "bring it up, or mend gateway.access and gateway.uplink; it is taken in when it comes"
                .to_owned(),
            since: now,
        };
        if health.raise(warning) {
            tracing::warn!("{text}; it is taken in when it comes");
        }
    }
}

/// Where the kernel says whether it forwards.
const FORWARDING: &[(&str, &str)] =
    &[("IPv4", "/proc/sys/net/ipv4/ip_forward"), ("IPv6", "/proc/sys/net/ipv6/conf/all/forwarding")];
/// A resolver that takes longer has lost the question.
const LOOKUP_LIMIT: Duration = Duration::from_secs(5);
/// Addresses of one name: more than the largest sites give at once.
const MOST_ADDRESSES: usize = 32;
const NOT_FORWARDING: &str = "gateway-not-forwarding";
const MISSING: &str = "gateway-interface-missing";
/// Clocks that differ by less are steered, not set.
const STEP: SignedDuration = SignedDuration::from_secs(5);
/// Whatever is believed of the next end, it is looked at so often.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Many ends close together are one look.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// Events read at a time.
const EVENTS_AT_ONCE: usize = 500;
