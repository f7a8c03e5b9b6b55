//! The thread that holds the hands on the kernel: looks (wanted against in force), readings of counters,
//! repairs after foreign hands. Logins that come together are one transaction.
//!
//! It remembers what it believes to be in force only to know where to look; the kernel is asked before each
//! change, and everything is compared every minute. The one rule: whoever waits is answered before anything
//! slow is done.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::state::{ForeignChain, Shared};
use super::wanted::{admission, counted, identities};
use super::{NotCarriedOut, Parts};
use crate::base::health::{Severity, Warning};
use crate::domain::presence::{Admitted, Counted, READING_PERIOD};
use crate::domain::rate::Rates;
use crate::firewall::admission::{Generation, Identity, InForce, Number, Reading};
use crate::firewall::change::{Applied, Change, Outcome, Refused, Wanted, between};
use crate::firewall::kernel::{Event, Gateway, GatewayError, Survey, TableState, Watch};
use crate::firewall::policy::Policy;

/// Something to do.
#[derive(Debug)]
pub(super) enum Task {
    /// Compare one holder, and tell whether it is now as wanted.
    Look(Uuid, Option<Answer>),
    /// Compare everybody.
    LookAtAll,
    /// Read and count one holder.
    Read(Uuid, Answer),
    /// Open the walled garden to these addresses for an hour.
    Garden(Vec<IpAddr>),
    /// Somebody else changed the firewall, or may have.
    News {
        /// Whether our table went.
        table_gone: bool,
    },
    /// Count what passed so far and end; everything stays in force. Its sender is dropped when that is done.
    Stop(oneshot::Sender<()>),
}

/// Where a task's outcome goes.
pub(super) type Answer = oneshot::Sender<Result<(), NotCarriedOut>>;

/// The worker.
pub(super) struct Worker {
    gateway: Gateway,
    policy: Policy,
    parts: Parts,
    shared: Arc<Shared>,
    believed: BTreeMap<Number, Believed>,
    numbers: HashMap<Uuid, Number>,
    /// Readings that the store has not taken yet; they come first.
    owed: Vec<Counted>,
    next_look: Instant,
    next_reading: Instant,
    /// Rules are not looked at again before.
    next_survey: Instant,
    survey_wanted: bool,
}

/// What is believed to be in force of a holder.
#[derive(Debug, Default)]
struct Believed {
    holder: Option<Uuid>,
    rates: Option<Rates>,
    devices: BTreeSet<Identity>,
}

/// What came in since the last round.
#[derive(Default)]
struct Round {
    looks: BTreeMap<Uuid, Vec<Answer>>,
    reads: Vec<(Uuid, Answer)>,
    garden: Vec<IpAddr>,
    all: bool,
    survey: bool,
    at_once: bool,
    stop: Option<oneshot::Sender<()>>,
}

impl Worker {
    pub(super) fn new(gateway: Gateway, policy: Policy, parts: Parts, shared: Arc<Shared>) -> Self {
        let now = parts.clock.monotonic();
        Self {
            gateway,
            policy,
            parts,
            shared,
            believed: BTreeMap::new(),
            numbers: HashMap::new(),
            owed: Vec::new(),
            next_look: now,
            next_reading: now + READING_PERIOD,
            next_survey: now,
            survey_wanted: true,
        }
    }

    /// Works until it is told to stop, or nobody is left who could tell.
    pub(super) fn run(mut self, inbox: &Receiver<Task>, runtime: &Handle) {
        loop {
            let now = self.parts.clock.monotonic();
            let survey = if self.survey_wanted { self.next_survey } else { self.next_look };
            let due = self.next_look.min(self.next_reading).min(survey);
            let round = match inbox.recv_timeout(due.saturating_duration_since(now)) {
                Ok(first) => Round::of(std::iter::once(first).chain(inbox.try_iter()).take(MOST_TOGETHER)),
                Err(RecvTimeoutError::Timeout) => Round::default(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Some(waiting) = round.stop {
                self.survey_wanted = false;
                self.carry_out(Round { stop: None, ..round }, runtime);
                self.read_all(runtime);
                drop(waiting);
                return;
            }
            self.survey_wanted |= round.survey;
            if round.at_once {
                self.next_survey = now;
            }
            self.carry_out(round, runtime);
            self.when_due(runtime);
        }
    }

    fn carry_out(&mut self, round: Round, runtime: &Handle) {
        let closed = self.look(round.looks);
        // They come before whatever the same round reads of the lives that follow them.
        self.owe(closed);
        for (holder, answer) in round.reads {
            let read = self.read_one(holder);
            let outcome =
                read.and_then(|counted| self.count(counted, runtime).map_err(NotCarriedOut::Refused));
            // Whoever asked may have gone.
            let _ = answer.send(outcome);
        }
        self.deliver(runtime);
        if let Err(error) = self.gateway.open_garden(&round.garden) {
            tracing::warn!(%error, "The walled garden could not be opened to a name's addresses");
        }
        if round.all || self.shared.take_overflow() {
            self.next_look = self.parts.clock.monotonic();
        }
    }

    fn when_due(&mut self, runtime: &Handle) {
        let now = self.parts.clock.monotonic();
        if self.next_look <= now {
            self.survey_wanted = true;
            self.look_at_all(runtime);
            self.next_look = self.parts.clock.monotonic() + LOOK_PERIOD;
        }
        if self.survey_wanted && self.next_survey <= now {
            self.survey_wanted = false;
            self.next_survey = now + BETWEEN_SURVEYS;
            self.survey(runtime);
        }
        if self.next_reading <= now {
            let pause = self.read_all(runtime);
            self.next_reading = self.parts.clock.monotonic() + pause;
        }
    }

    /// Looks at some holders as one transaction, and answers; gives what closed counters counted.
    fn look(&mut self, looks: BTreeMap<Uuid, Vec<Answer>>) -> Vec<Counted> {
        if looks.is_empty() {
            return Vec::new();
        }
        let (results, closed) = self.look_at(looks.keys().copied());
        for (holder, answers) in looks {
            let result = results.get(&holder).cloned().unwrap_or(Ok(()));
            for answer in answers {
                // Whoever asked may have gone.
                let _ = answer.send(result.clone());
            }
        }
        closed
    }

    fn look_at(
        &mut self,
        holders: impl Iterator<Item = Uuid>,
    ) -> (HashMap<Uuid, Result<(), NotCarriedOut>>, Vec<Counted>) {
        let mut results = HashMap::new();
        let (mut changes, mut owners) = (Vec::new(), Vec::new());
        for holder in holders {
            match self.changes_for(holder) {
                Ok(list) => {
                    results.insert(holder, Ok(()));
                    for (change, believed) in list {
                        changes.push(change);
                        owners.push((holder, believed));
                    }
                }
                Err(error) => {
                    results.insert(holder, Err(NotCarriedOut::Refused(error.to_string())));
                }
            }
        }
        let mut closed = Vec::new();
        for (outcome, (holder, believed)) in self.apply(&changes).into_iter().zip(owners) {
            match outcome.result {
                Ok(applied) => {
                    self.believe(outcome.number, believed);
                    closed.extend(counted(Some(holder), &applied.closed, true));
                }
                Err(refused) => {
                    results.insert(holder, Err(NotCarriedOut::Refused(refused.to_string())));
                }
            }
        }
        self.tell_admitted();
        (results, closed)
    }

    fn tell_admitted(&self) {
        let admitted = self.believed.len();
        self.shared.change(|state| state.admitted = admitted);
        metrics::gauge!("gateway_admitted").set(f64::from(u32::try_from(admitted).unwrap_or(u32::MAX)));
    }

    /// What must change for one holder, and what is believed once it has.
    fn changes_for(&mut self, holder: Uuid) -> Result<Vec<(Change, Option<Believed>)>, GatewayError> {
        let now = self.parts.clock.now();
        let wanted = self.parts.presence.admitted_one(holder, now);
        let number = wanted.as_ref().and_then(|wanted| Number::new(wanted.number));
        let mut list = Vec::new();
        if let Some(before) = self.numbers.get(&holder).copied().filter(|before| number != Some(*before)) {
            list.extend(self.departure(before)?.map(|change| (change, None)));
        }
        let (Some(number), Some(wanted)) = (number, wanted) else { return Ok(list) };
        self.read_before_spent(&wanted);
        let devices: BTreeSet<Identity> = wanted.devices.iter().flat_map(identities).collect();
        let mut asked = devices.clone();
        asked.extend(self.believed.get(&number).into_iter().flat_map(|known| known.devices.iter().cloned()));
        let mut found = self.gateway.find(number, &asked)?;
        found.devices.retain(|identity, one| devices.contains(identity) || one.mark.number == number);
        let Some((number, admission)) = admission(&wanted, &found, self.fresh(), now) else {
            return Ok(list);
        };
        let believed = Believed { holder: Some(holder), rates: Some(wanted.rates), devices };
        match between(&Wanted::from([(number, admission)]), &found).into_iter().next() {
            Some(change) => list.push((change, Some(believed))),
            None => self.believe(number, Some(believed)),
        }
        Ok(list)
    }

    /// A quota that somebody begins with may be spent before the next reading, so that one comes earlier.
    fn read_before_spent(&mut self, wanted: &Admitted) {
        let Some(lasts) = time_to_change(wanted) else { return };
        let next = self.parts.clock.monotonic() + lasts.clamp(SHORTEST_PAUSE, READING_PERIOD);
        self.next_reading = self.next_reading.min(next);
    }

    /// What must change for a number that nobody has any more.
    fn departure(&mut self, number: Number) -> Result<Option<Change>, GatewayError> {
        let devices = self.believed.get(&number).map(|known| known.devices.clone()).unwrap_or_default();
        let mut found = self.gateway.find(number, &devices)?;
        // A device that is another's by now stays that one's.
        found.devices.retain(|_, one| one.mark.number == number);
        let change = between(&Wanted::new(), &found).into_iter().next();
        if change.is_none() {
            self.believe(number, None);
        }
        Ok(change)
    }

    /// Applies changes; where our table is gone, puts it back first and tries once more.
    fn apply(&mut self, changes: &[Change]) -> Vec<Outcome> {
        if changes.is_empty() {
            return Vec::new();
        }
        let outcomes = self.gateway.apply(changes);
        let nobodys = |outcome: &Outcome| matches!(&outcome.result, Err(Refused { own_fault: false, .. }));
        let without_table = |outcome: &Outcome| matches!(&outcome.result, Err(refused) if refused.reason.contains("is not there"));
        if !outcomes.iter().any(|outcome| nobodys(outcome) || without_table(outcome)) {
            return outcomes;
        }
        self.survey_wanted = true;
        if self.gateway.install(&self.policy).is_err() {
            return outcomes;
        }
        // What a lost answer did is not known: everything is compared soon, too.
        self.next_look = self.parts.clock.monotonic();
        let again: Vec<Change> = outcomes
            .iter()
            .zip(changes)
            .filter(|(outcome, _)| outcome.result.is_err())
            .map(|(_, change)| change.clone())
            .collect();
        let mut retried = self.gateway.apply(&again).into_iter();
        let retry = |outcome: Outcome| {
            if outcome.result.is_ok() { outcome } else { retried.next().unwrap_or(outcome) }
        };
        outcomes.into_iter().map(retry).collect()
    }

    fn believe(&mut self, number: Number, believed: Option<Believed>) {
        match believed {
            Some(believed) => {
                if let Some(holder) = believed.holder {
                    self.numbers.insert(holder, number);
                }
                self.believed.insert(number, believed);
            }
            None => {
                let holder = self.believed.remove(&number).and_then(|known| known.holder);
                if let Some(holder) = holder.filter(|holder| self.numbers.get(holder) == Some(&number)) {
                    self.numbers.remove(&holder);
                }
            }
        }
    }

    /// Compares everything that is in force with everything that is wanted.
    fn look_at_all(&mut self, runtime: &Handle) {
        match self.try_look_at_all() {
            Ok(closed) => {
                self.keep(closed, runtime);
                self.parts.health.clear("gateway-out-of-reach", "");
                let now = self.parts.clock.now();
                self.tell_admitted();
                self.shared.change(|state| {
                    state.looked_at = Some(now);
                    state.fault = None;
                });
            }
            Err(error) => {
                self.survey_wanted = true;
                self.fault(&error);
            }
        }
    }

    fn try_look_at_all(&mut self) -> Result<Vec<Counted>, GatewayError> {
        let now = self.parts.clock.now();
        let all = self.parts.presence.admitted(now);
        let in_force = self.gateway.dump()?;
        let mut wanted = Wanted::new();
        let mut owners: HashMap<Number, &Admitted> = HashMap::new();
        for one in &all {
            if let Some((number, admission)) = admission(one, &in_force, self.fresh(), now) {
                wanted.insert(number, admission);
                owners.insert(number, one);
            }
        }
        let changes = between(&wanted, &in_force);
        let repaired = changes.len();
        let outcomes = self.apply(&changes);
        let mut closed = Vec::new();
        let mut failed = BTreeSet::new();
        for outcome in outcomes {
            let holder = owners.get(&outcome.number).map(|one| one.holder);
            let holder = holder.or_else(|| self.believed.get(&outcome.number)?.holder);
            match outcome.result {
                Ok(Applied { closed: readings }) => closed.extend(counted(holder, &readings, true)),
                Err(refused) => {
                    tracing::warn!(number = outcome.number.get(), %refused, "A holder could not be brought in step");
                    failed.insert(outcome.number);
                }
            }
        }
        let mut before = std::mem::take(&mut self.believed);
        self.numbers = HashMap::new();
        for number in &failed {
            // It is as it was, and will be looked at where it is.
            if let Some(known) = before.remove(number) {
                self.believe(*number, Some(known));
            }
        }
        for (number, one) in owners.into_iter().filter(|(number, _)| !failed.contains(number)) {
            let devices = one.devices.iter().flat_map(identities).collect();
            let rates = Some(one.rates);
            self.believe(number, Some(Believed { holder: Some(one.holder), rates, devices }));
        }
        tracing::debug!(admitted = self.believed.len(), changes = repaired, "The gateway was looked at");
        Ok(closed)
    }

    /// Looks at the rules, and puts them back where a foreign hand changed them.
    fn survey(&mut self, runtime: &Handle) {
        let survey = match self.gateway.verify(&self.policy) {
            Ok(survey) => survey,
            Err(error) => return self.fault(&error),
        };
        let is_whole = matches!(survey.table, TableState::Ours);
        if !is_whole {
            tracing::warn!(table = ?survey.table, "The gateway's rules were changed by another program; putting them back");
            self.shared.change(|state| state.repairs = state.repairs.saturating_add(1));
            metrics::counter!("gateway_repairs_total").increment(1);
        }
        let mended = if is_whole {
            self.gateway.close_interfaces(&self.policy)
        } else {
            self.gateway.install(&self.policy).map(drop)
        };
        if let Err(error) = mended {
            return self.fault(&error);
        }
        self.parts.health.clear("gateway-out-of-reach", "");
        self.tell(&survey);
        self.tallies();
        if !is_whole {
            self.look_at_all(runtime);
        }
    }

    /// Chains of others and missing interfaces become warnings, and end as such.
    fn tell(&self, survey: &Survey) {
        let now = self.parts.clock.now();
        let foreign: Vec<ForeignChain> = survey
            .foreign
            .iter()
            .map(|chain| ForeignChain {
                table: format!("{} {}", chain.family, chain.table),
                chain: chain.chain.clone(),
                hook: chain.hook,
                drops: chain.drops,
            })
            .collect();
        let hides = |chain: &&ForeignChain| chain.drops && matches!(chain.hook, "input" | "forward");
        let warnings: Vec<Warning> = foreign
            .iter()
            .filter(hides)
            .map(|chain| Warning {
                code: "gateway-foreign-chain",
                severity: Severity::Warn,
                subject: format!("{}/{}", chain.table, chain.chain),
                text: format!(
                    "the chain {} of table {} ({}) drops what it does not know, also what we accept",
                    chain.chain, chain.table, chain.hook
                ),
                remedy: "accept our traffic there: the portal's ports, DNS and DHCP on access interfaces (input), \
                         and access to uplink (forward)"
                    .to_owned(),
                since: now,
            })
            .collect();
        self.replace("gateway-foreign-chain", warnings);
        self.shared.change(|state| state.foreign = foreign);
    }

    fn replace(&self, code: &'static str, now_so: Vec<Warning>) {
        for warning in self.parts.health.warnings() {
            if warning.code == code && !now_so.iter().any(|one| one.subject == warning.subject) {
                self.parts.health.clear(code, &warning.subject);
            }
        }
        for warning in now_so {
            self.parts.health.raise(warning);
        }
    }

    fn tallies(&mut self) {
        let Ok(tallies) = self.gateway.tallies() else { return };
        for (rule, count) in tallies {
            metrics::counter!("gateway_packets_total", "rule" => rule.clone()).absolute(count.packets);
            metrics::counter!("gateway_octets_total", "rule" => rule).absolute(count.octets);
        }
    }

    fn fault(&self, error: &GatewayError) {
        let text = error.to_string();
        let warning = Warning {
            code: "gateway-out-of-reach",
            severity: Severity::Fail,
            subject: String::new(),
            text: format!("the gateway's rules cannot be read or changed: {text}"),
            remedy: "see the log; whoever is online stays so, nobody new gets in".to_owned(),
            since: self.parts.clock.now(),
        };
        if self.parts.health.raise(warning) {
            tracing::error!(%error, "The gateway cannot be brought in step");
        }
        self.shared.change(|state| state.fault = Some(text));
    }

    /// Reads everybody's counters and counts them; gives when to do so again.
    fn read_all(&mut self, runtime: &Handle) -> Duration {
        let readings = match self.gateway.counters() {
            Ok(readings) => readings,
            Err(error) => {
                self.survey_wanted = true;
                self.fault(&error);
                return READING_PERIOD;
            }
        };
        let mut by_number: BTreeMap<Number, Vec<Reading>> = BTreeMap::new();
        for (number, reading) in readings {
            by_number.entry(number).or_default().push(reading);
        }
        let holder = |number: &Number| self.believed.get(number).and_then(|known| known.holder);
        let all: Vec<Counted> = by_number
            .iter()
            .flat_map(|(number, readings)| counted(holder(number), readings, false))
            .collect();
        if let Err(error) = self.count(all, runtime) {
            // They are absolute: the next ones bring the same again.
            tracing::warn!(%error, "What the gateway counted could not be written down");
        }
        self.follow_the_counted(runtime)
    }

    /// Takes out whoever may no longer pass by what was just counted, and slows down or speeds up whose
    /// speed it changed, or whose hour has come; gives when the next of this may be.
    fn follow_the_counted(&mut self, runtime: &Handle) -> Duration {
        let admitted = self.parts.presence.admitted(self.parts.clock.now());
        let holders: BTreeSet<Uuid> = admitted.iter().map(|one| one.holder).collect();
        let gone = self.numbers.keys().filter(|holder| !holders.contains(holder)).copied();
        let slowed = admitted.iter().filter(|one| self.has_other_rates(one)).map(|one| one.holder);
        let changed: Vec<Uuid> = gone.chain(slowed).collect();
        if !changed.is_empty() {
            let (_, closed) = self.look_at(changed.into_iter());
            self.keep(closed, runtime);
        }
        admitted
            .iter()
            .filter_map(time_to_change)
            .min()
            .unwrap_or(READING_PERIOD)
            .clamp(SHORTEST_PAUSE, READING_PERIOD)
    }

    /// Whether somebody is in force with other speeds than they are to have.
    fn has_other_rates(&self, wanted: &Admitted) -> bool {
        let number = self.numbers.get(&wanted.holder);
        let known = number.and_then(|number| self.believed.get(number)).and_then(|known| known.rates);
        known.is_some_and(|rates| rates != wanted.rates)
    }

    fn read_one(&mut self, holder: Uuid) -> Result<Vec<Counted>, NotCarriedOut> {
        let Some(number) = self.numbers.get(&holder).copied() else { return Ok(Vec::new()) };
        let found: InForce = self
            .gateway
            .find(number, &BTreeSet::new())
            .map_err(|error| NotCarriedOut::Refused(error.to_string()))?;
        let readings: Vec<Reading> = found.accounts.values().map(|account| account.reading).collect();
        Ok(counted(Some(holder), &readings, false))
    }

    /// Counts what came of counters that ended.
    fn keep(&mut self, closed: Vec<Counted>, runtime: &Handle) {
        self.owe(closed);
        self.deliver(runtime);
    }

    /// What came of counters that ended comes once, so it is kept until the store has it.
    fn owe(&mut self, closed: Vec<Counted>) {
        let room = MOST_OWED.saturating_sub(self.owed.len());
        self.owed.extend(closed.into_iter().take(room));
    }

    fn deliver(&mut self, runtime: &Handle) {
        if let Err(error) = self.count(Vec::new(), runtime) {
            tracing::warn!(%error, owed = self.owed.len(), "Last readings wait for the store");
        }
    }

    /// Counts what is owed, then these; in this order, so that no life of counters is told after its successor.
    fn count(&mut self, more: Vec<Counted>, runtime: &Handle) -> Result<(), String> {
        let now = self.parts.clock.now();
        if !self.owed.is_empty() {
            runtime.block_on(self.parts.presence.count(self.owed.clone(), now))?;
            self.owed.clear();
        }
        if more.is_empty() {
            return Ok(());
        }
        runtime.block_on(self.parts.presence.count(more, now))
    }

    /// A name for a new life of counters. Without randomness it is the nil one: readings of it are of
    /// nobody until the next change of speed, which is better than to let nobody in.
    fn fresh(&self) -> Generation {
        Generation(self.parts.entropy.uuid_v7(self.parts.clock.now()).unwrap_or_default())
    }
}

impl Round {
    fn of(tasks: impl Iterator<Item = Task>) -> Self {
        let mut round = Self::default();
        for task in tasks {
            match task {
                Task::Look(holder, answer) => round.looks.entry(holder).or_default().extend(answer),
                Task::LookAtAll => round.all = true,
                Task::Read(holder, answer) => round.reads.push((holder, answer)),
                Task::Garden(addresses) => round.garden = addresses,
                Task::News { table_gone } => {
                    round.survey = true;
                    round.at_once |= table_gone;
                }
                Task::Stop(waiting) => round.stop = Some(waiting),
            }
        }
        round
    }
}

/// How long it stays as it is at the least: octets at full speed in both directions, where a second's worth may
/// have passed at once, and time. `None` without an end.
fn time_to_change(admitted: &Admitted) -> Option<Duration> {
    let rate = admitted.rates.down.0.get().saturating_add(admitted.rates.up.0.get()).max(1);
    let lasts = |octets: u64| {
        let bits = octets.saturating_mul(8);
        Duration::from_millis(bits.saturating_sub(rate).saturating_mul(1000) / rate)
    };
    let by_octets = admitted.octets_to_change.map(lasts);
    // Seconds were rounded down; the look comes just after.
    let by_time = admitted.secs_to_change.map(|secs| Duration::from_secs(secs.saturating_add(1)));
    by_octets.into_iter().chain(by_time).min()
}

/// Listens to the firewall's news and wakes the worker, as long as there is one.
#[expect(clippy::disallowed_methods, reason = "it sleeps on a thread of its own")]
pub(super) fn watch(tasks: SyncSender<Task>) -> std::io::Result<()> {
    let listen = move || {
        while let Err(error) = listen(&tasks) {
            tracing::warn!(%error, "The firewall's news cannot be heard now; it is looked at every minute");
            std::thread::sleep(WATCH_PAUSE);
            // What happened meanwhile was not heard.
            let told = tasks.try_send(Task::News { table_gone: false });
            if matches!(told, Err(std::sync::mpsc::TrySendError::Disconnected(_))) {
                return;
            }
        }
    };
    std::thread::Builder::new().name("gateway-news".to_owned()).spawn(listen).map(drop)
}

/// Passes the news on until the worker is gone.
fn listen(tasks: &SyncSender<Task>) -> Result<(), GatewayError> {
    let mut watch = Watch::open()?;
    loop {
        let events = watch.next(WATCH_PAUSE)?;
        let table_gone = events.contains(&Event::TableGone);
        for event in &events {
            if let Event::ForeignChange { process, program } = event {
                tracing::debug!(process, program, "Another program changed the firewall");
            }
        }
        // A full queue means that the worker looks anyway; a closed one, that it is gone.
        let told = if events.is_empty() { Ok(()) } else { tasks.try_send(Task::News { table_gone }) };
        if matches!(told, Err(std::sync::mpsc::TrySendError::Disconnected(_))) {
            return Ok(());
        }
    }
}

/// How often everything is compared, whatever is heard.
const LOOK_PERIOD: Duration = Duration::from_secs(60);
/// A quota near its end is looked at more often, but not more often than this.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
/// A busy neighbour that changes its own rules all the time costs us a look at most so often.
const BETWEEN_SURVEYS: Duration = Duration::from_millis(500);
/// How long the news is waited for before looking whether the worker is still there.
const WATCH_PAUSE: Duration = Duration::from_secs(5);
/// Tasks that make one round: more would let the first wait for the last.
const MOST_TOGETHER: usize = 512;
/// Last readings kept while the store cannot take them.
const MOST_OWED: usize = 65_536;
