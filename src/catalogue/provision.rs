//! Provisioning: a durable task that brings a service to life, one commit a step.
//!
//! Each step reads the task, does its part and writes the next state under an expectation, so a
//! task may be killed between any two of them, or be run twice at once, and ends the same. Not
//! here: the states themselves (`domain::provisioning`) and the enforcing, which hands in its
//! [`Prover`]. The one rule: a service becomes active only in the commit that had proof.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::audit::{self, Deed};
use super::fault::Fault;
use super::services::{self, ServiceView, Services};
use crate::base::clock::Clock;
use crate::base::entropy::Entropy;
use crate::domain::audit::Actor;
use crate::domain::ids::TaskId;
use crate::domain::plan::BillingMode;
use crate::domain::provisioning::{Proof, ProvisioningTask, TaskState};
use crate::domain::service::{Credential, Interval, IntervalState, Phase, Service};
use crate::domain::subscriber::Standing;
use crate::store::Store;
use crate::store::contract::{CommitError, IndexValue, Page, Range, Record, Unit};
use crate::store::draft::Draft;
use crate::store::snapshot::credential_context;
use crate::store::tables;
use crate::store::vault::{SealedSecret, Vault};

/// Who can say whether the network does what a service is owed: `enforce`, handed in at wiring.
pub trait Prover: Send + Sync {
    /// What can be shown for a service at this moment.
    fn proof<'a>(&'a self, service: &'a Service) -> Pin<Box<dyn Future<Output = Proof> + Send + 'a>>;
}

/// The use cases of provisioning; cheap to clone.
#[derive(Clone)]
pub struct Provisioning {
    store: Store,
    entropy: Entropy,
    vault: Vault,
    zone: TimeZone,
    services: Services,
    prover: Arc<dyn Prover>,
    signal: Arc<Notify>,
}

/// What asking for provisioning came to.
#[derive(Debug, Clone)]
pub enum Begun {
    /// The service is active already; nothing changes.
    Active(ServiceView),
    /// A task is open: a new one, or the one that was open before.
    Open {
        /// The service.
        service: ServiceView,
        /// The task.
        task: ProvisioningTask,
    },
}

/// What one run over the open tasks came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resumed {
    /// Tasks that ended well.
    pub completed: usize,
    /// Tasks that ended because they cannot be done.
    pub failed: usize,
    /// Tasks that wait for proof.
    pub waiting: usize,
    /// Tasks that met a fault of ours and are tried again.
    pub faults: usize,
}

impl Resumed {
    fn count(&mut self, id: TaskId, outcome: Result<TaskState, Fault>) {
        let count = match outcome {
            Ok(TaskState::Completed) => &mut self.completed,
            Ok(TaskState::Failed) => &mut self.failed,
            Ok(
                TaskState::Pending
                | TaskState::Validating
                | TaskState::AllocatingResources
                | TaskState::ConfiguringEquipment
                | TaskState::ActivatingService,
            ) => &mut self.waiting,
            Err(fault) => {
                tracing::error!(task.id = %id, error = %fault, "a provisioning step failed; trying again");
                &mut self.faults
            }
        };
        *count = count.saturating_add(1);
    }
}

impl std::fmt::Debug for Provisioning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provisioning").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Provisioning {
    /// The use cases over a store; validity follows the calendar of `zone`.
    #[must_use]
    pub fn new(
        store: Store,
        entropy: Entropy,
        vault: Vault,
        zone: TimeZone,
        prover: Arc<dyn Prover>,
    ) -> Self {
        let services = Services::new(store.clone(), entropy.clone(), vault.clone(), zone.clone());
        Self { store, entropy, vault, zone, services, prover, signal: Arc::new(Notify::new()) }
    }

    /// Asks for a service to be brought to life. Safe to repeat: an open task is given again, and
    /// an active service stays as it is.
    ///
    /// # Errors
    /// `NotFound`; `Rule` when the service has ended or waits for approval; faults of ours.
    pub async fn begin(&self, actor: &Actor, reference: &str, now: Timestamp) -> Result<Draft<Begun>, Fault> {
        let record = services::find(&self.store, reference).await?;
        match record.body.phase {
            Phase::Ended => Err(Fault::Rule("the service has ended; make a new one instead".into())),
            Phase::Pending if record.body.awaits_approval() => {
                Err(Fault::Rule("the service waits for approval; approve it first".into()))
            }
            Phase::Active => {
                let view = self.services.view(record, now).await?;
                Ok(Draft::new(Unit::natural(), Begun::Active(view)))
            }
            Phase::Pending | Phase::Provisioning => {
                let tasks = services::tasks_of(&self.store, record.body.id).await?;
                match tasks.into_iter().find(|task| !task.body.state.is_final()) {
                    Some(open) => {
                        let service = self.services.view(record, now).await?;
                        Ok(Draft::new(Unit::natural(), Begun::Open { service, task: open.body }))
                    }
                    None => self.begin_anew(actor, record, now).await,
                }
            }
        }
    }

    async fn begin_anew(
        &self,
        actor: &Actor,
        record: Record<tables::Services>,
        now: Timestamp,
    ) -> Result<Draft<Begun>, Fault> {
        let mut service = record.body.clone();
        service.updated_at = now;
        let task = self.new_task(&mut service, now)?;
        let id = service.id;
        let unit = Unit::once(self.entropy.uuid_v7(now)?).replace::<tables::Services>(
            &id,
            record.version,
            &service,
        )?;
        let unit = begun(unit, &task)?;
        let deed = Deed::made("service.provision", id, json!({ "task_id": task.id }));
        let unit = audit::record(unit, &self.entropy, actor, deed, now)?;
        let version = record.version.saturating_add(1);
        let service = self.services.view(Record { version, body: service, ..record }, now).await?;
        Ok(Draft::new(unit, Begun::Open { service, task }))
    }

    /// A task for a service that the same unit creates or changes.
    ///
    /// # Errors
    /// When no random bytes are had.
    pub(crate) fn new_task(&self, service: &mut Service, now: Timestamp) -> Result<ProvisioningTask, Fault> {
        service.phase = Phase::Provisioning;
        Ok(ProvisioningTask {
            id: TaskId(self.entropy.uuid_v7(now)?),
            service_id: service.id,
            subscriber_id: service.subscriber_id,
            state: TaskState::Pending,
            detail: None,
            created_at: now,
            updated_at: now,
            ended_at: None,
        })
    }

    /// Wakes the worker: a task was committed, or a proof may have come.
    pub fn wake(&self) {
        self.signal.notify_one();
    }

    /// Runs open tasks when woken and every [`PERIOD`], the first time at once. Never returns:
    /// drop it to stop, at any point.
    pub async fn work(&self, clock: &Clock) {
        loop {
            if let Err(fault) = self.resume_open_tasks(clock).await {
                tracing::error!(error = %fault, "open provisioning tasks could not be read; trying again");
            }
            // Woken or not, the next round is the same.
            let _ = tokio::time::timeout(PERIOD, self.signal.notified()).await;
        }
    }

    /// Carries every open task as far as it goes now, oldest first.
    ///
    /// # Errors
    /// When the open tasks cannot be read. A fault of one task is logged and does not stop others.
    pub async fn resume_open_tasks(&self, clock: &Clock) -> Result<Resumed, Fault> {
        let mut resumed = Resumed::default();
        let open = Range::Between("open_since", IndexValue::Integer(i64::MIN), IndexValue::Integer(i64::MAX));
        let mut page = Page::first(TASKS_A_PAGE);
        loop {
            let slice = self.store.scan::<tables::Tasks>(open.clone(), page.clone()).await?;
            for together in slice.records.chunks(TOGETHER) {
                self.resume_together(together, clock, &mut resumed).await;
            }
            let Some(next) = slice.next else { return Ok(resumed) };
            page.after = Some(next);
        }
    }

    /// Runs tasks side by side, so that their steps share the disk's syncs. Dropped half way, it
    /// stops them where they are.
    async fn resume_together(&self, tasks: &[Record<tables::Tasks>], clock: &Clock, resumed: &mut Resumed) {
        let mut running = JoinSet::new();
        for record in tasks {
            let (one, clock, id) = (self.clone(), clock.clone(), record.body.id);
            running.spawn(async move { (id, one.run(id, &clock).await) });
        }
        while let Some(ended) = running.join_next().await {
            match ended {
                Ok((id, outcome)) => resumed.count(id, outcome),
                Err(error) => {
                    tracing::error!(%error, "a provisioning task broke off; trying again");
                    resumed.faults = resumed.faults.saturating_add(1);
                }
            }
        }
    }

    /// Runs a task's steps until it ends or waits for proof.
    ///
    /// # Errors
    /// `NotFound`; faults of ours. What was committed before stands.
    pub async fn run(&self, id: TaskId, clock: &Clock) -> Result<TaskState, Fault> {
        let mut state = self.step(id, clock.now()).await?;
        for _ in 0..MOST_STEPS {
            let before = state;
            if state.is_final() {
                break;
            }
            state = self.step(id, clock.now()).await?;
            if state == before {
                break;
            }
        }
        Ok(state)
    }

    /// One step of a task as one commit; gives the state that it is in afterwards.
    ///
    /// # Errors
    /// `NotFound`; faults of ours.
    pub async fn step(&self, id: TaskId, now: Timestamp) -> Result<TaskState, Fault> {
        let Some(record) = self.store.get::<tables::Tasks>(&id).await? else {
            return Err(Fault::not_found("provisioning task", id.to_string()));
        };
        let state = record.body.state;
        if state.is_final() {
            return Ok(state);
        }
        let unit = self.draft_step(record, now).await?;
        let Some((unit, next)) = unit else { return Ok(state) };
        match self.store.commit(unit).await {
            Ok(_) => Ok(next),
            // Somebody else moved the task or the service: the next step reads what is now so.
            Err(CommitError::Conflict { .. }) => self.state_of(id).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn state_of(&self, id: TaskId) -> Result<TaskState, Fault> {
        let record = self.store.get::<tables::Tasks>(&id).await?;
        Ok(record.map_or(TaskState::Failed, |record| record.body.state))
    }

    /// The unit of a task's next step; `None` where it waits and there is nothing new to say.
    async fn draft_step(
        &self,
        record: Record<tables::Tasks>,
        now: Timestamp,
    ) -> Result<Option<(Unit, TaskState)>, Fault> {
        let task = &record.body;
        let Some(service) = self.store.get::<tables::Services>(&task.service_id).await? else {
            return fail(&record, None, "the service is gone", now).map(Some);
        };
        let obstacle = match task.state {
            TaskState::Validating => self.obstacle_to_contract(&service.body).await?,
            TaskState::AllocatingResources => self.obstacle_to_resources(&service.body).await?,
            TaskState::Pending
            | TaskState::ConfiguringEquipment
            | TaskState::ActivatingService
            | TaskState::Completed
            | TaskState::Failed => None,
        };
        if let Some(why) = obstacle {
            return fail(&record, Some(&service), &why, now).map(Some);
        }
        if task.state == TaskState::ActivatingService {
            return self.activate(&record, service, now).await;
        }
        let next = task.state.after(&Proof::NothingToEnforce);
        let moved = ProvisioningTask { state: next, detail: None, updated_at: now, ..task.clone() };
        let unit = Unit::natural().replace::<tables::Tasks>(&task.id, record.version, &moved)?;
        Ok(Some((unit, next)))
    }

    async fn obstacle_to_contract(&self, service: &Service) -> Result<Option<String>, Fault> {
        if service.phase == Phase::Ended {
            return Ok(Some("the service was terminated".into()));
        }
        let subscriber = self.store.get::<tables::Subscribers>(&service.subscriber_id).await?;
        Ok(match subscriber.map(|record| record.body.standing) {
            Some(Standing::Open) => None,
            Some(Standing::Closed) => {
                Some("the customer's account is closed; reopen it and try again".into())
            }
            None => Some("the customer's record is gone".into()),
        })
    }

    /// What the network will need: an address of its own where one is fixed, and a password that
    /// this box can open.
    async fn obstacle_to_resources(&self, service: &Service) -> Result<Option<String>, Fault> {
        match services::address_must_be_free(&self.store, &service.addresses, Some(service.id)).await {
            Ok(()) => {}
            Err(Fault::Taken { value, .. }) => {
                return Ok(Some(format!("another service has the address {value}; give this one another")));
            }
            Err(fault) => return Err(fault),
        }
        let Credential::Sealed { sealed } = &service.credential else { return Ok(None) };
        let opened = SealedSecret::parse(sealed)
            .and_then(|sealed| self.vault.unseal(&credential_context(service.id), &sealed));
        Ok(opened
            .err()
            .map(|error| format!("the network password cannot be opened ({error}); set a new one")))
    }

    /// The last step: active with proof, or a note of what is still owed.
    async fn activate(
        &self,
        record: &Record<tables::Tasks>,
        service: Record<tables::Services>,
        now: Timestamp,
    ) -> Result<Option<(Unit, TaskState)>, Fault> {
        let task = &record.body;
        let proof = self.prover.proof(&service.body).await;
        let next = task.state.after(&proof);
        if let Proof::Owed { what } = proof {
            if task.detail.as_ref() == Some(&what) {
                return Ok(None);
            }
            let noted = ProvisioningTask { detail: Some(what), updated_at: now, ..task.clone() };
            let unit = Unit::natural().replace::<tables::Tasks>(&task.id, record.version, &noted)?;
            return Ok(Some((unit, next)));
        }
        let done = ProvisioningTask {
            state: next,
            detail: None,
            updated_at: now,
            ended_at: Some(now),
            ..task.clone()
        };
        let Some(active) = self.activated(&service.body, task.id, now) else {
            return fail(record, Some(&service), "what was paid for ends beyond the calendar", now).map(Some);
        };
        let id = active.id;
        let payload = json!({ "customer_id": active.subscriber_id, "task_id": task.id });
        let unit = Unit::natural()
            .replace::<tables::Tasks>(&task.id, record.version, &done)?
            .replace::<tables::Services>(&id, service.version, &active)?
            .event("service.activated", id, payload);
        let before = services::without_secrets(&service.body);
        let deed = Deed::changed("service.activate", id, before, services::without_secrets(&active));
        Ok(Some((audit::record(unit, &self.entropy, &Actor::system(), deed, now)?, next)))
    }

    /// The service with what its first activation gives it: a post-paid one runs until it is ended; a prepaid one
    /// has what was bought, and where nobody bought anything and the terms do not insist, the period that staff
    /// give it.
    fn activated(&self, service: &Service, task: TaskId, now: Timestamp) -> Option<Service> {
        let mut active = service.clone();
        let is_paid =
            |one: &Interval| one.state == IntervalState::Active && one.until.is_none_or(|until| until > now);
        let must_be_bought = service.terms.billing.mode == Some(BillingMode::Prepaid);
        if !service.intervals.iter().any(is_paid) && (!must_be_bought || service.terms.is_free()) {
            let until = match (service.terms.billing_mode(), service.terms.validity) {
                (BillingMode::Prepaid, Some(validity)) => Some(validity.end(now, &self.zone)?),
                (BillingMode::Prepaid, None) | (BillingMode::Postpaid, _) => None,
            };
            let source = format!("provisioning:{task}");
            active.intervals.push(Interval { from: now, until, state: IntervalState::Active, source });
        }
        active.phase = Phase::Active;
        active.activated_at.get_or_insert(now);
        active.updated_at = now;
        Some(active)
    }
}

/// Adds a new task to the unit that asks for it.
///
/// # Errors
/// When the task does not serialise: our fault.
pub(crate) fn begun(unit: Unit, task: &ProvisioningTask) -> Result<Unit, Fault> {
    let payload = json!({ "customer_id": task.subscriber_id, "task_id": task.id });
    Ok(unit.create::<tables::Tasks>(&task.id, task)?.event("service.provisioning", task.service_id, payload))
}

/// Ends a task that cannot be done; its service may be asked for again once the reason is gone.
fn fail(
    record: &Record<tables::Tasks>,
    service: Option<&Record<tables::Services>>,
    why: &str,
    now: Timestamp,
) -> Result<(Unit, TaskState), Fault> {
    let task = &record.body;
    let failed = ProvisioningTask {
        state: TaskState::Failed,
        detail: Some(why.to_owned()),
        updated_at: now,
        ended_at: Some(now),
        ..task.clone()
    };
    let payload = json!({ "customer_id": task.subscriber_id, "task_id": task.id, "detail": why });
    let mut unit = Unit::natural().replace::<tables::Tasks>(&task.id, record.version, &failed)?.event(
        "service.provisioning_failed",
        task.service_id,
        payload,
    );
    if let Some(service) = service.filter(|service| service.body.phase == Phase::Provisioning) {
        let pending = Service { phase: Phase::Pending, updated_at: now, ..service.body.clone() };
        unit = unit.replace::<tables::Services>(&pending.id, service.version, &pending)?;
    }
    Ok((unit, TaskState::Failed))
}

/// How long a waiting task waits before proof is asked for again, should nobody wake the worker.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Open tasks read at a time.
const TASKS_A_PAGE: usize = 200;
/// Tasks that run side by side: enough for one sync of the disk to serve many.
const TOGETHER: usize = 50;
/// More steps than a task has: a task that loses races to another runner still ends this run.
const MOST_STEPS: usize = 16;
