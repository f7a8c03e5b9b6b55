//! Importing a roster: each line's customer is entered or brought up to date, and its service
//! made and put on its way.
//!
//! Lines are committed in groups, each line as one unit of its own, so that a bad one is reported
//! and the rest goes in. Not here: reading CSV (`roster`) and entering a customer, which `people`
//! does and hands in as [`Register`]. The one rule: the same roster again changes nothing.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;
use uuid::Uuid;

use super::fault::Fault;
use super::provision::{self, Provisioning};
use super::roster::{BadLine, Own, PaidTime, Person, Roster, Row, RowService};
use super::services::{NewService, Services};
use super::standing;
use crate::base::secret::Secret;
use crate::domain::audit::Actor;
use crate::domain::lock::{Lock, LockMode, LockReason};
use crate::domain::plan::{BillingMode, Plan};
use crate::domain::service::{Interval, IntervalState, Phase, Service};
use crate::domain::subscriber::Subscriber;
use crate::store::contract::{CommitError, Committed, Record, Unit};
use crate::store::draft::Draft;
use crate::store::listing;
use crate::store::tables;
use crate::store::vault::Vault;
use crate::store::{Store, Submitted};

/// How a customer is entered: by `people`, handed in by the door, on behalf of who asks.
pub struct Register<'a> {
    /// A new customer, as part of a unit.
    pub enter: Box<dyn Fn(Unit, Person) -> Entering<'a> + Send + Sync + 'a>,
    /// A customer brought up to date, as part of a unit; one that is so already adds nothing.
    pub amend: Box<dyn Fn(Unit, Record<tables::Subscribers>, Person) -> Entering<'a> + Send + Sync + 'a>,
}

impl std::fmt::Debug for Register<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Register")
    }
}

/// A customer being drafted.
pub type Entering<'a> = Pin<Box<dyn Future<Output = Result<Draft<Subscriber>, Fault>> + Send + 'a>>;

/// The use case of importing.
#[derive(Debug, Clone)]
pub struct Import {
    store: Store,
    services: Services,
    provisioning: Provisioning,
    vault: Vault,
}

/// What an import came to; of a dry run, what it would come to.
#[derive(Debug, Default)]
pub struct Report {
    /// Lines whose customer is new.
    pub created: u64,
    /// Lines that changed something of a customer who was there, or gave them a service.
    pub updated: u64,
    /// Lines that changed nothing.
    pub unchanged: u64,
    /// Services put on their way; those that wait for approval are made and not counted here.
    pub services: u64,
    /// Lines that were not taken.
    pub failed: Vec<BadLine>,
    /// The line to go on from, where the roster is longer than one run.
    pub next_line: Option<u64>,
    /// Network passwords that were made, to be shown once.
    pub credentials: Vec<MadeCredential>,
}

/// Which part of a roster to import, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    /// The first line to take: [`Report::next_line`] of the run before, else 0.
    pub from_line: u64,
    /// Whether to commit nothing.
    pub dry_run: bool,
}

/// A network password that was made for a line.
#[derive(Debug, Clone)]
pub struct MadeCredential {
    /// The line.
    pub line: u64,
    /// Whose.
    pub customer_number: String,
    /// The login.
    pub username: String,
    /// Its password.
    pub network_password: Secret,
}

/// What a line means, before it is committed.
struct Decided {
    row: Row,
    unit: Unit,
    was_there: bool,
    service: bool,
    credential: Option<MadeCredential>,
}

/// One run over one roster.
struct Run<'a, 'r> {
    import: &'a Import,
    register: &'a Register<'r>,
    actor: &'a Actor,
    now: Timestamp,
    plans: HashMap<String, Plan>,
    lines: HashMap<String, u64>,
    report: Report,
}

impl Import {
    /// The use case over a store.
    #[must_use]
    pub const fn new(store: Store, services: Services, provisioning: Provisioning, vault: Vault) -> Self {
        Self { store, services, provisioning, vault }
    }

    /// Imports the part of a roster that `part` names, at most [`A_RUN`] lines of it; a dry run
    /// decides every line and commits none.
    ///
    /// # Errors
    /// A field error when the header is wrong; a fault of ours that stops the run: what was
    /// committed stands, and importing again goes on from there.
    pub async fn run(
        &self,
        register: &Register<'_>,
        actor: &Actor,
        roster: &[u8],
        part: Part,
        now: Timestamp,
    ) -> Result<Report, Fault> {
        let rows = Roster::read(roster)
            .map_err(|bad| Fault::field("body", format!("column {:?} {}", bad.field, bad.message)))?;
        self.take_in(register, actor, rows, part, now).await
    }

    /// The same for rows that were read already, in order of their lines.
    ///
    /// # Errors
    /// As [`Import::run`].
    pub async fn take_in(
        &self,
        register: &Register<'_>,
        actor: &Actor,
        rows: impl Iterator<Item = Result<Row, BadLine>> + Send,
        part: Part,
        now: Timestamp,
    ) -> Result<Report, Fault> {
        let mut run = Run {
            import: self,
            register,
            actor,
            now,
            plans: HashMap::new(),
            lines: HashMap::new(),
            report: Report::default(),
        };
        let mut waiting = Vec::new();
        for (taken, row) in rows.skip_while(|row| line_of(row) < part.from_line).enumerate() {
            if taken >= A_RUN {
                run.report.next_line = Some(line_of(&row));
                break;
            }
            let numbered = row.as_ref().is_ok_and(|row| row.person.customer_number.is_some());
            if waiting.len() >= GROUP || !numbered {
                run.settle(std::mem::take(&mut waiting)).await?;
            }
            let Some(decided) = run.decide(row).await? else { continue };
            if part.dry_run {
                run.count(decided);
            } else {
                waiting.push(self.submit(decided));
                if !numbered {
                    // The next number is counted up from this one.
                    run.settle(std::mem::take(&mut waiting)).await?;
                }
            }
        }
        run.settle(waiting).await?;
        self.provisioning.wake();
        Ok(run.report)
    }

    fn submit(&self, decided: Decided) -> Waiting {
        let submitted = self.store.try_submit(decided.unit.clone());
        (decided, submitted)
    }
}

impl Run<'_, '_> {
    /// What a line means; `None` where it changes nothing or is not taken.
    async fn decide(&mut self, row: Result<Row, BadLine>) -> Result<Option<Decided>, Fault> {
        let row = match row {
            Ok(row) => row,
            Err(bad) => {
                self.report.failed.push(bad);
                return Ok(None);
            }
        };
        let line = row.line;
        if let Some((field, earlier)) = self.repeats(&row) {
            let message = format!("is on line {earlier} as well; keep one of them");
            self.report.failed.push(BadLine { line, field: field.to_owned(), message });
            return Ok(None);
        }
        let drafted = match self.draft(row.clone()).await {
            // The same roster may be coming in at the same time: look again before blaming the line.
            Err(Fault::Taken { .. }) => self.draft(row).await,
            known => known,
        };
        self.noted(line, drafted)
    }

    /// What was drafted for a line, with what needs no commit counted.
    fn noted(
        &mut self,
        line: u64,
        drafted: Result<Option<Decided>, Fault>,
    ) -> Result<Option<Decided>, Fault> {
        match drafted {
            Ok(Some(decided)) => return Ok(Some(decided)),
            Ok(None) => self.report.unchanged = self.report.unchanged.saturating_add(1),
            Err(fault) => self.report.failed.push(bad_line(line, fault)?),
        }
        Ok(None)
    }

    /// Whether a line before names the same customer or login.
    fn repeats(&mut self, row: &Row) -> Option<(&'static str, u64)> {
        let number = row.person.customer_number.as_ref().map(|number| number.as_str().to_lowercase());
        let email = row.person.email.as_ref().map(|email| email.as_str().to_owned());
        let username = row.service.as_ref().and_then(|service| service.username.as_ref());
        let keys = [
            ("customer_number", number),
            ("email", email),
            ("username", username.map(crate::domain::text::Username::canonical)),
        ];
        let named = |(field, text): &(&'static str, Option<String>)| {
            text.as_ref().map(|text| (*field, format!("{field} {text}")))
        };
        let keys: Vec<_> = keys.iter().filter_map(named).collect();
        let earlier = keys.iter().find_map(|(field, key)| self.lines.get(key).map(|line| (*field, *line)));
        for (_, key) in keys {
            self.lines.entry(key).or_insert(row.line);
        }
        earlier
    }

    async fn draft(&mut self, row: Row) -> Result<Option<Decided>, Fault> {
        let held = self.held(&row.person).await?;
        let was_there = held.is_some();
        let unit = Unit::once(self.unit_id(&row, held.as_ref().map_or(0, |held| held.version)));
        let person = row.person.clone();
        let draft = match held {
            Some(held) => (self.register.amend)(unit, held, person).await?,
            None => (self.register.enter)(unit, person).await?,
        };
        let wanted = row.service.clone();
        let mut decided = Decided { row, unit: draft.unit, was_there, service: false, credential: None };
        if let Some(wanted) = wanted {
            self.add_service(&mut decided, &draft.value, wanted).await?;
        }
        Ok(if decided.unit.ops.is_empty() { None } else { Some(decided) })
    }

    /// The customer that a line is about, by number or, where it has none, by e-mail.
    async fn held(&self, person: &Person) -> Result<Option<Record<tables::Subscribers>>, Fault> {
        let (index, value) = match (&person.customer_number, &person.email) {
            (Some(number), _) => ("customer_number", number.as_str().to_lowercase()),
            (None, Some(email)) => ("email", email.as_str().to_owned()),
            (None, None) => return Ok(None),
        };
        Ok(listing::one_by::<tables::Subscribers>(&self.import.store, index, value).await?)
    }

    /// Adds the line's service, unless the customer has it: the one of that login, or where the
    /// line names no login, any live one on that plan.
    async fn add_service(
        &mut self,
        decided: &mut Decided,
        owner: &Subscriber,
        wanted: RowService,
    ) -> Result<(), Fault> {
        if decided.was_there {
            for record in standing::services_of(&self.import.store, owner).await? {
                let same_login = wanted.username.as_ref().map(|login| *login == record.body.username);
                let same_plan = record.body.plan_code.as_str().eq_ignore_ascii_case(&wanted.plan)
                    && record.body.phase != Phase::Ended;
                if same_login.unwrap_or(same_plan) {
                    return Ok(());
                }
            }
        }
        let plan = self.plan(&wanted.plan).await?;
        let given = wanted.password.is_some();
        let new = NewService {
            customer: owner.id.to_string(),
            plan: wanted.plan,
            username: wanted.username,
            password: wanted.password,
            addresses: wanted.own.addresses.clone(),
        };
        let (mut service, network_password) = self.import.services.make(owner, &plan, new, self.now).await?;
        take_over(&mut service, &wanted.own, self.now);
        let task = match service.awaits_approval() {
            true => None,
            false => Some(self.import.provisioning.new_task(&mut service, self.now)?),
        };
        let unit = std::mem::take(&mut decided.unit);
        let unit = self.import.services.entered(unit, self.actor, &service, self.now)?;
        decided.unit = match &task {
            Some(task) => provision::begun(unit, task)?,
            None => unit,
        };
        decided.service = task.is_some();
        decided.credential = (!given).then(|| MadeCredential {
            line: decided.row.line,
            customer_number: owner.customer_number.to_string(),
            username: service.username.to_string(),
            network_password,
        });
        Ok(())
    }

    async fn plan(&mut self, code: &str) -> Result<Plan, Fault> {
        let key = code.to_lowercase();
        if let Some(plan) = self.plans.get(&key) {
            return Ok(plan.clone());
        }
        let plan = self.import.services.plan_for_sale(code).await?;
        self.plans.insert(key, plan.clone());
        Ok(plan)
    }

    /// The same line about the same state of its customer makes the same unit, so that two runs
    /// of one roster at the same time enter nobody twice.
    fn unit_id(&self, row: &Row, version: u64) -> Uuid {
        let login = row.service.as_ref().map(|service| (&service.plan, &service.username));
        let name = format!("import {version} {:?} {login:?}", row.person);
        let mut octets = [0; 16];
        for (target, source) in octets.iter_mut().zip(self.import.vault.derive(&name)) {
            *target = source;
        }
        uuid::Builder::from_custom_bytes(octets).into_uuid()
    }

    /// Waits for what was submitted and counts it.
    async fn settle(&mut self, waiting: Vec<Waiting>) -> Result<(), Fault> {
        for (decided, submitted) in waiting {
            let answer = match submitted {
                Ok(submitted) => submitted.await,
                Err(error) => Err(error),
            };
            let answer = match answer {
                // Full of units: wait in line. Lost: ask again, which changes nothing twice.
                Err(CommitError::Full(_) | CommitError::Unknown(_)) => {
                    self.import.store.commit(decided.unit.clone()).await
                }
                known => known,
            };
            self.settle_one(decided, answer).await?;
        }
        Ok(())
    }

    /// Counts a line; one that somebody else got in the way of is decided again from what is now so.
    async fn settle_one(
        &mut self,
        mut decided: Decided,
        mut answer: Result<Committed, CommitError>,
    ) -> Result<(), Fault> {
        let line = decided.row.line;
        for _ in 0..MOST_TRIES {
            let Err(CommitError::Conflict { .. } | CommitError::Taken { .. }) = &answer else { break };
            let drafted = self.draft(decided.row).await;
            let Some(again) = self.noted(line, drafted)? else { return Ok(()) };
            answer = self.import.store.commit(again.unit.clone()).await;
            decided = again;
        }
        match answer {
            Ok(committed) if committed.repeated => {
                self.report.unchanged = self.report.unchanged.saturating_add(1);
            }
            Ok(_) => self.count(decided),
            Err(error) => self.report.failed.push(bad_line(line, error.into())?),
        }
        Ok(())
    }

    fn count(&mut self, decided: Decided) {
        let report = &mut self.report;
        let lines = if decided.was_there { &mut report.updated } else { &mut report.created };
        *lines = lines.saturating_add(1);
        report.services = report.services.saturating_add(u64::from(decided.service));
        report.credentials.extend(decided.credential);
    }
}

/// What a service has for itself goes into its terms; time that was paid for elsewhere is an interval as any other.
fn take_over(service: &mut Service, own: &Own, now: Timestamp) {
    let terms = &mut service.terms;
    terms.rates = own.rates.unwrap_or(terms.rates);
    terms.session_limit_secs = own.session_secs.or(terms.session_limit_secs);
    terms.idle_limit_secs = own.idle_secs.or(terms.idle_limit_secs);
    terms.device_limit = own.device_limit.unwrap_or(terms.device_limit);
    let Some(PaidTime { from, until }) = own.paid else { return };
    let from = from.unwrap_or(now);
    if from < until {
        let (until, state) = (Some(until), IntervalState::Active);
        service.intervals.push(Interval { from, until, state, source: IMPORTED.to_owned() });
    }
    if until <= now && service.terms.billing.mode != Some(BillingMode::Prepaid) {
        // What is not bought period by period would run again: it ended there, and stays so until staff say otherwise.
        service.locks.push(Lock {
            reason: LockReason::Admin,
            mode: LockMode::HardReject,
            rates: None,
            placed_at: now,
            placed_by: IMPORTED.to_owned(),
            note: Some(format!("it had ended on {until} in the system that it came from")),
        });
    }
}

const fn line_of(row: &Result<Row, BadLine>) -> u64 {
    match row {
        Ok(row) => row.line,
        Err(bad) => bad.line,
    }
}

/// What a fault says about one line; a fault of ours is given back and ends the run.
fn bad_line(line: u64, fault: Fault) -> Result<BadLine, Fault> {
    let bad = |field: &str, message: String| Ok(BadLine { line, field: field.to_owned(), message });
    match fault {
        Fault::Fields(errors) => match errors.into_iter().next() {
            Some(error) => bad(&error.field, error.message),
            None => bad("", "cannot be taken".to_owned()),
        },
        Fault::NotFound { what: "plan", reference } => {
            bad("plan_code", format!("there is no plan {reference:?}; make it first"))
        }
        Fault::NotFound { .. } | Fault::Rule(_) | Fault::Stale { .. } => bad("", fault.to_string()),
        Fault::Taken { field, value } => bad(field, format!("{value:?} belongs to another record")),
        Fault::Commit(CommitError::Taken { index, .. }) => bad(index, "belongs to another record".to_owned()),
        Fault::Commit(CommitError::Conflict { .. }) => {
            bad("", "was being changed by somebody else; import it again".to_owned())
        }
        Fault::Read(_) | Fault::Commit(_) | Fault::Vault(_) | Fault::Entropy(_) => Err(fault),
    }
}

/// A line that was decided, and its place in the store's queue.
type Waiting = (Decided, Result<Submitted, CommitError>);

/// Where intervals and locks come from that another system had.
const IMPORTED: &str = "import";
/// Lines of one run: some seconds of work on a small box, well within the time that a client waits.
pub const A_RUN: usize = 5_000;
/// Times that one line is decided again: more contention than this is worth a person's look.
const MOST_TRIES: usize = 8;
/// Lines that are committed together: one sync of the disk for all of them.
const GROUP: usize = 256;
