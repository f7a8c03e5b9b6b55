//! Services: contracts made under frozen terms, suspended and resumed by locks, changed, ended.
//!
//! Not here: bringing one to life (`provision`) and whether it may be online (derived, see
//! `standing`). The one rule: a service keeps the terms it was made under until somebody changes
//! its plan; nothing here stores "suspended".

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::audit::{self, Deed};
use super::fault::{Fault, must_be_at};
use super::plans;
use super::standing::{self, ServiceStanding};
use crate::base::entropy::Entropy;
use crate::base::secret::Secret;
use crate::domain::audit::Actor;
use crate::domain::entitlement::Used;
use crate::domain::ids::{PlanId, ServiceId, SubscriberId};
use crate::domain::lock::{Lock, LockMode, LockReason};
use crate::domain::plan::Plan;
use crate::domain::provisioning::{ProvisioningTask, TaskState};
use crate::domain::service::{Addresses, Credential, Extras, Phase, Service};
use crate::domain::subscriber::{Standing, Subscriber};
use crate::domain::text::{Code, Username};
use crate::store::Store;
use crate::store::contract::{Page, Range, ReadError, Record, Unit};
use crate::store::draft::Draft;
use crate::store::listing::{self, Listed, Walk, Window};
use crate::store::names::Names;
use crate::store::snapshot::credential_context;
use crate::store::tables;
use crate::store::vault::Vault;

/// The use cases of services.
#[derive(Debug, Clone)]
pub struct Services {
    store: Store,
    entropy: Entropy,
    vault: Vault,
    zone: TimeZone,
    names: Names<tables::Services>,
}

/// A contract to make.
#[derive(Debug, Clone)]
pub struct NewService {
    /// Whose: id or customer number.
    pub customer: String,
    /// Which plan: id or code.
    pub plan: String,
    /// The network login; made from the customer number when absent.
    pub username: Option<Username>,
    /// Its password; generated when absent.
    pub password: Option<Secret>,
    /// Fixed addresses.
    pub addresses: Addresses,
}

/// A contract just made, with what is shown once.
#[derive(Debug, Clone)]
pub struct MadeService {
    /// The contract.
    pub service: ServiceView,
    /// The network password; it cannot be read again.
    pub network_password: Secret,
    /// What staff should know about it.
    pub warnings: Vec<String>,
}

/// A service with its standing.
#[derive(Debug, Clone)]
pub struct ServiceView {
    /// The record.
    pub service: Service,
    /// The record's version.
    pub version: u64,
    /// How it stands.
    pub standing: ServiceStanding,
}

/// Which services a list holds.
#[derive(Debug, Clone, Default)]
pub struct ServiceFilter {
    /// Only this subscriber's: id or customer number.
    pub customer: Option<String>,
    /// Only those on this plan: id or code.
    pub plan: Option<String>,
    /// Only those whose login or service number contains this.
    pub search: Option<String>,
    /// Only those in this phase.
    pub phase: Option<Phase>,
}

/// A suspension to place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Why; one of [`STAFF_REASONS`].
    pub reason: LockReason,
    /// How hard.
    pub mode: LockMode,
    /// What staff wrote down.
    pub note: Option<String>,
}

impl Services {
    /// The use cases over a store; days are those of `zone`.
    #[must_use]
    pub fn new(store: Store, entropy: Entropy, vault: Vault, zone: TimeZone) -> Self {
        let names = Names::new(&store, names);
        Self { store, entropy, vault, zone, names }
    }

    /// Makes a contract: a frozen copy of the plan's terms and a network login.
    ///
    /// # Errors
    /// `NotFound` of customer or plan; `Rule` when either takes no contracts; `Taken` when the
    /// login or the address is in use; faults of ours.
    pub async fn create(
        &self,
        actor: &Actor,
        wanted: NewService,
        now: Timestamp,
    ) -> Result<Draft<MadeService>, Fault> {
        let subscriber = find_subscriber(&self.store, &wanted.customer).await?.body;
        let plan = self.plan_for_sale(&wanted.plan).await?;
        let warnings = wanted.password.as_ref().map(weak).unwrap_or_default();
        let (service, network_password) = self.make(&subscriber, &plan, wanted, now).await?;
        let unit = Unit::once(self.entropy.uuid_v7(now)?);
        let unit = self.entered(unit, actor, &service, now)?;
        let standing = standing::of_service(&service, subscriber.standing, Used::default(), &self.zone, now);
        let service = ServiceView { service, version: 1, standing };
        Ok(Draft::new(unit, MadeService { service, network_password, warnings }))
    }

    /// A contract that is in no unit yet, and its network password.
    ///
    /// # Errors
    /// As [`Services::create`].
    pub(crate) async fn make(
        &self,
        owner: &Subscriber,
        plan: &Plan,
        wanted: NewService,
        now: Timestamp,
    ) -> Result<(Service, Secret), Fault> {
        if owner.standing == Standing::Closed {
            return Err(Fault::Rule("the customer's account is closed; reopen it first".into()));
        }
        address_must_be_free(&self.store, &wanted.addresses, None).await?;
        let id = ServiceId(self.entropy.uuid_v7(now)?);
        let password = self.given_or_made(wanted.password)?;
        let service = Service {
            id,
            subscriber_id: owner.id,
            service_number: self.number()?,
            plan_id: plan.id,
            plan_code: plan.code.clone(),
            terms: plan.terms.clone(),
            phase: Phase::Pending,
            username: self.login(wanted.username, owner).await?,
            credential: self.sealed(id, &password)?,
            locks: Vec::new(),
            intervals: Vec::new(),
            addresses: wanted.addresses,
            extras: Extras::default(),
            created_at: now,
            approved_at: None,
            activated_at: None,
            ended_at: None,
            updated_at: now,
        };
        Ok((service, password))
    }

    /// Enters a new contract into a unit, with its event and audit entry.
    ///
    /// # Errors
    /// Faults of ours.
    pub(crate) fn entered(
        &self,
        unit: Unit,
        actor: &Actor,
        service: &Service,
        now: Timestamp,
    ) -> Result<Unit, Fault> {
        let id = service.id;
        let payload = json!({ "customer_id": service.subscriber_id, "plan_code": service.plan_code });
        let unit = unit.create::<tables::Services>(&id, service)?.event("service.created", id, payload);
        let deed = Deed::made("service.create", id, without_secrets(service));
        audit::record(unit, &self.entropy, actor, deed, now)
    }

    /// The service of that id, number or login.
    ///
    /// # Errors
    /// `NotFound`; a read that failed.
    pub async fn get(&self, reference: &str, now: Timestamp) -> Result<ServiceView, Fault> {
        let record = find(&self.store, reference).await?;
        self.view(record, now).await
    }

    /// The services that fit, oldest first.
    ///
    /// # Errors
    /// `NotFound` of the customer or plan to filter by; a read that failed.
    pub async fn list(
        &self,
        filter: &ServiceFilter,
        window: Window,
        now: Timestamp,
    ) -> Result<Listed<ServiceView>, Fault> {
        let customer = match &filter.customer {
            Some(reference) => Some(find_subscriber(&self.store, reference).await?.body.id),
            None => None,
        };
        let plan = match &filter.plan {
            Some(reference) => Some(plans::find(&self.store, reference).await?.body.id),
            None => None,
        };
        let phase = filter.phase;
        let fits = |record: &Record<tables::Services>| {
            plan.is_none_or(|plan| record.body.plan_id == plan)
                && customer.is_none_or(|customer| record.body.subscriber_id == customer)
                && phase.is_none_or(|phase| record.body.phase == phase)
        };
        let (range, is_all) = narrowest(customer, plan, phase);
        let walk = Walk { range, newest_first: false };
        let listed = match &filter.search {
            Some(search) => {
                let keys = self.names.find(search).await?.into_iter().map(ServiceId).collect();
                match (customer, plan, phase) {
                    (None, None, None) => listing::of_keys(&self.store, keys, window).await?,
                    _ => listing::of_keys_that_fit(&self.store, keys, window, fits).await?,
                }
            }
            None if is_all => listing::window(&self.store, walk, window).await?,
            None => listing::list(&self.store, walk, window, fits).await?,
        };
        let mut items = Vec::with_capacity(listed.items.len());
        for record in listed.items {
            items.push(self.view(record, now).await?);
        }
        Ok(Listed { items, total: listed.total, complete: listed.complete })
    }

    /// Places a lock. A lock with the same reason is replaced; the same lock again changes nothing.
    ///
    /// # Errors
    /// `NotFound`, `Stale`, `Rule` when the service has ended; faults of ours.
    pub async fn suspend(
        &self,
        actor: &Actor,
        reference: &str,
        expected: Option<u64>,
        suspension: Suspension,
        now: Timestamp,
    ) -> Result<Draft<ServiceView>, Fault> {
        let placed_by = actor.name.clone();
        let Suspension { reason, mode, note } = suspension;
        let deed = "service.suspend";
        self.change(actor, deed, reference, expected, now, move |service| {
            if service.locks.iter().any(|lock| lock.reason == reason && lock.mode == mode) {
                return Ok(());
            }
            service.locks.retain(|lock| lock.reason != reason);
            service.locks.push(Lock { reason, mode, rates: None, placed_at: now, placed_by, note });
            Ok(())
        })
        .await
    }

    /// Resolves the lock of that reason; where there is none, nothing changes.
    ///
    /// # Errors
    /// As [`Services::suspend`].
    pub async fn resume(
        &self,
        actor: &Actor,
        reference: &str,
        expected: Option<u64>,
        reason: LockReason,
        now: Timestamp,
    ) -> Result<Draft<ServiceView>, Fault> {
        self.change(actor, "service.resume", reference, expected, now, move |service| {
            service.locks.retain(|lock| lock.reason != reason);
            Ok(())
        })
        .await
    }

    /// Ends a service for good, and its open provisioning with it. Ended already: nothing changes.
    ///
    /// # Errors
    /// `NotFound`, `Stale`; faults of ours.
    pub async fn terminate(
        &self,
        actor: &Actor,
        reference: &str,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<Draft<ServiceView>, Fault> {
        let record = find(&self.store, reference).await?;
        if record.body.phase == Phase::Ended {
            return Ok(Draft::new(Unit::natural(), self.view(record, now).await?));
        }
        let id = record.body.id;
        let draft = self
            .change(actor, "service.terminate", reference, expected, now, move |service| {
                service.phase = Phase::Ended;
                service.ended_at = Some(now);
                Ok(())
            })
            .await?;
        let unit = end_tasks(&self.store, draft.unit, id, now).await?;
        Ok(Draft::new(unit, draft.value))
    }

    /// Puts a service under the current terms of a plan, from now on and without proration.
    ///
    /// # Errors
    /// `NotFound` of service or plan, `Stale`, `Rule` when either takes no change; faults of ours.
    pub async fn change_plan(
        &self,
        actor: &Actor,
        reference: &str,
        expected: Option<u64>,
        plan: &str,
        now: Timestamp,
    ) -> Result<Draft<ServiceView>, Fault> {
        let plan = self.plan_for_sale(plan).await?;
        self.change(actor, "service.change_plan", reference, expected, now, move |service| {
            if service.phase == Phase::Pending && service.plan_id != plan.id {
                // What was approved was the other plan.
                service.approved_at = None;
            }
            service.plan_id = plan.id;
            service.plan_code = plan.code;
            service.terms = plan.terms;
            Ok(())
        })
        .await
    }

    /// Lets a service whose plan requires approval be provisioned. One that waits for none stays as
    /// it is.
    ///
    /// # Errors
    /// As [`Services::suspend`].
    pub async fn approve(
        &self,
        actor: &Actor,
        reference: &str,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<Draft<ServiceView>, Fault> {
        self.change(actor, "service.approve", reference, expected, now, move |service| {
            if service.awaits_approval() {
                service.approved_at = Some(now);
            }
            Ok(())
        })
        .await
    }

    /// Gives a live service another network password; the one before stops working at once, and
    /// sessions that run go on.
    ///
    /// # Errors
    /// `NotFound`, `Stale`, `Rule` when the service has ended; faults of ours.
    pub async fn reset_password(
        &self,
        actor: &Actor,
        reference: &str,
        expected: Option<u64>,
        given: Option<Secret>,
        now: Timestamp,
    ) -> Result<Draft<MadeService>, Fault> {
        let warnings = given.as_ref().map(weak).unwrap_or_default();
        let network_password = self.given_or_made(given)?;
        let draft = self
            .change(actor, "service.reset_password", reference, expected, now, |service| {
                service.credential = self.sealed(service.id, &network_password)?;
                Ok(())
            })
            .await?;
        Ok(draft.map(|service| MadeService { service, network_password, warnings }))
    }

    fn given_or_made(&self, given: Option<Secret>) -> Result<Secret, Fault> {
        match given {
            Some(password) => Ok(password),
            None => Ok(Secret::from_text(&self.entropy.readable(SECRET_SYMBOLS)?)),
        }
    }

    fn sealed(&self, service: ServiceId, password: &Secret) -> Result<Credential, Fault> {
        let sealed = self.vault.seal(&self.entropy, &credential_context(service), password)?;
        Ok(Credential::Sealed { sealed: sealed.as_str().to_owned() })
    }

    /// One change of a live service, audited, with the event that wakes whoever carries it out.
    pub(super) async fn change(
        &self,
        actor: &Actor,
        action: &'static str,
        reference: &str,
        expected: Option<u64>,
        now: Timestamp,
        change: impl FnOnce(&mut Service) -> Result<(), Fault> + Send,
    ) -> Result<Draft<ServiceView>, Fault> {
        let record = find(&self.store, reference).await?;
        must_be_at(record.version, expected)?;
        if record.body.phase == Phase::Ended {
            return Err(Fault::Rule("the service has ended; make a new one instead".into()));
        }
        let mut after = record.body.clone();
        change(&mut after)?;
        if after == record.body {
            return Ok(Draft::new(Unit::natural(), self.view(record, now).await?));
        }
        after.updated_at = now;
        let id = after.id;
        let payload = json!({ "customer_id": after.subscriber_id, "action": action });
        let unit = Unit::once(self.entropy.uuid_v7(now)?)
            .replace::<tables::Services>(&id, record.version, &after)?
            .event(event_of(action), id, payload);
        let deed = Deed::changed(action, id, without_secrets(&record.body), without_secrets(&after));
        let unit = audit::record(unit, &self.entropy, actor, deed, now)?;
        let version = record.version.saturating_add(1);
        let view = self.view(Record { version, body: after, ..record }, now).await?;
        Ok(Draft::new(unit, view))
    }

    /// What a service used in its current period.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn used(&self, service: &Service, now: Timestamp) -> Result<Used, ReadError> {
        standing::used(&self.store, service, &self.zone, now).await
    }

    /// Whose days the terms mean.
    #[must_use]
    pub const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// How a record stands.
    pub(crate) async fn view(
        &self,
        record: Record<tables::Services>,
        now: Timestamp,
    ) -> Result<ServiceView, Fault> {
        let subscriber = self.store.get::<tables::Subscribers>(&record.body.subscriber_id).await?;
        let owner = subscriber.map_or(Standing::Closed, |record| record.body.standing);
        self.view_for(record, owner, now).await
    }

    /// As [`Services::view`] where the owner's standing is known.
    pub(crate) async fn view_for(
        &self,
        record: Record<tables::Services>,
        owner: Standing,
        now: Timestamp,
    ) -> Result<ServiceView, Fault> {
        let usage = standing::usage(&self.store, &record.body, &self.zone, now).await?;
        let standing = standing::of_service(&record.body, owner, usage, &self.zone, now);
        Ok(ServiceView { service: record.body, version: record.version, standing })
    }

    pub(crate) async fn plan_for_sale(&self, reference: &str) -> Result<Plan, Fault> {
        let plan = plans::find(&self.store, reference).await?.body;
        if plan.is_active {
            return Ok(plan);
        }
        Err(Fault::Rule(format!("the plan {} is not active; activate it or choose another", plan.code)))
    }

    /// The login: as wanted if free, else made from the customer number, with a number after it
    /// for a second and further service.
    async fn login(&self, wanted: Option<Username>, owner: &Subscriber) -> Result<Username, Fault> {
        if let Some(username) = wanted {
            if self.is_free(&username).await? {
                return Ok(username);
            }
            return Err(Fault::Taken { field: "username", value: username.to_string() });
        }
        let base = owner.customer_number.as_str().to_lowercase();
        for number in 1..=MOST_LOGINS {
            let text = if number == 1 { base.clone() } else { format!("{base}-{number}") };
            let username = Username::parse(&text)
                .map_err(|error| Fault::field("username", format!("{text:?} {error}")))?;
            if self.is_free(&username).await? {
                return Ok(username);
            }
        }
        Err(Fault::field("username", "give one; those made from the customer number are all in use"))
    }

    async fn is_free(&self, username: &Username) -> Result<bool, Fault> {
        let index = username.canonical();
        Ok(listing::one_by::<tables::Services>(&self.store, "username", index).await?.is_none())
    }

    /// A number for people. Random rather than counted, so that contracts made at the same time
    /// never wait for one another.
    fn number(&self) -> Result<Code, Fault> {
        let text = format!("S-{}", self.entropy.readable(NUMBER_SYMBOLS)?);
        Code::parse(&text).map_err(|error| Fault::field("service_number", error.to_string()))
    }
}

/// The range to look at, and whether everything in it is wanted.
fn narrowest(customer: Option<SubscriberId>, plan: Option<PlanId>, phase: Option<Phase>) -> (Range, bool) {
    match (customer, plan, phase) {
        (Some(id), plan, phase) => {
            let is_all = plan.is_none() && phase.is_none();
            (Range::Equals("subscriber_id", id.to_string().into()), is_all)
        }
        (None, Some(id), phase) => (Range::Equals("plan_id", id.to_string().into()), phase.is_none()),
        (None, None, Some(phase)) => (Range::Equals("phase", phase.name().into()), true),
        (None, None, None) => (Range::All, true),
    }
}

/// What a service can be found by.
fn names(service: &Service) -> Vec<String> {
    vec![service.username.canonical(), service.service_number.to_string()]
}

/// The service of that id, number or login; of a login that only ended ones had, the newest.
///
/// # Errors
/// `NotFound`; a read that failed.
pub(crate) async fn find(store: &Store, reference: &str) -> Result<Record<tables::Services>, Fault> {
    if let Ok(id) = reference.parse::<ServiceId>()
        && let Some(record) = store.get::<tables::Services>(&id).await?
    {
        return Ok(record);
    }
    let text = reference.trim().to_lowercase();
    for index in ["service_number", "username"] {
        if let Some(record) = listing::one_by::<tables::Services>(store, index, text.clone()).await? {
            return Ok(record);
        }
    }
    let ended = Range::Equals("login", text.into());
    let newest = Page { after: None, limit: 1, reverse: true };
    let found = store.scan::<tables::Services>(ended, newest).await?.records.into_iter().next();
    found.ok_or_else(|| Fault::not_found("service", reference))
}

/// The subscriber of that id or customer number.
///
/// # Errors
/// `NotFound`; a read that failed.
pub(crate) async fn find_subscriber(
    store: &Store,
    reference: &str,
) -> Result<Record<tables::Subscribers>, Fault> {
    if let Ok(id) = reference.parse::<SubscriberId>()
        && let Some(record) = store.get::<tables::Subscribers>(&id).await?
    {
        return Ok(record);
    }
    let text = reference.trim().to_lowercase();
    let found = listing::one_by::<tables::Subscribers>(store, "customer_number", text).await?;
    found.ok_or_else(|| Fault::not_found("customer", reference))
}

/// A fixed address or prefix belongs to one live service. Who commits at the same time is refused
/// by the same indexes.
///
/// # Errors
/// `Taken`; a read that failed.
pub(crate) async fn address_must_be_free(
    store: &Store,
    wanted: &Addresses,
    owner: Option<ServiceId>,
) -> Result<(), Fault> {
    let Addresses { ipv4, ipv6_prefix, delegated_prefix, .. } = wanted;
    let fixed = [
        ("ipv4", ipv4.map(|address| address.to_string())),
        ("ipv6_prefix", ipv6_prefix.map(|prefix| prefix.to_string())),
        ("delegated_prefix", delegated_prefix.map(|prefix| prefix.to_string())),
    ];
    for (field, value) in fixed {
        let Some(value) = value else { continue };
        let holder = listing::one_by::<tables::Services>(store, field, value.clone()).await?;
        if holder.is_some_and(|record| Some(record.body.id) != owner) {
            return Err(Fault::Taken { field, value });
        }
    }
    Ok(())
}

/// The provisioning tasks of a service, newest first.
///
/// # Errors
/// A read that failed.
pub(crate) async fn tasks_of(store: &Store, service: ServiceId) -> Result<Vec<Record<tables::Tasks>>, Fault> {
    let range = Range::Equals("service_id", service.to_string().into());
    let page = Page { after: None, limit: MOST_TASKS, reverse: true };
    Ok(store.scan::<tables::Tasks>(range, page).await?.records)
}

async fn end_tasks(store: &Store, mut unit: Unit, service: ServiceId, now: Timestamp) -> Result<Unit, Fault> {
    for record in tasks_of(store, service).await? {
        if record.body.state.is_final() {
            continue;
        }
        let ended = ProvisioningTask {
            state: TaskState::Failed,
            detail: Some("the service was terminated".into()),
            updated_at: now,
            ended_at: Some(now),
            ..record.body
        };
        unit = unit.replace::<tables::Tasks>(&ended.id, record.version, &ended)?;
    }
    Ok(unit)
}

/// A service as the audit log keeps it.
pub(crate) fn without_secrets(service: &Service) -> Value {
    let mut value = json!(service);
    if let Value::Object(fields) = &mut value {
        fields.remove("credential");
    }
    value
}

/// A network password that somebody chose.
///
/// # Errors
/// A sentence for the person who wrote it.
pub fn network_password(text: &str) -> Result<Secret, String> {
    let fits = (LEAST_PASSWORD..=MOST_PASSWORD).contains(&text.len());
    if fits && !text.chars().any(char::is_control) {
        return Ok(Secret::from_text(text));
    }
    Err(format!(
        "must be {LEAST_PASSWORD} to {MOST_PASSWORD} octets without control characters; leave it out to have one made"
    ))
}

fn weak(password: &Secret) -> Vec<String> {
    if password.len() >= WEAK_BELOW {
        return Vec::new();
    }
    vec![format!(
        "The network password has fewer than {WEAK_BELOW} characters and can be guessed; leave it out to have one made."
    )]
}

fn event_of(action: &str) -> &'static str {
    match action {
        "service.suspend" => "service.suspended",
        "service.resume" => "service.resumed",
        "service.terminate" => "service.terminated",
        "service.change_plan" => "service.plan_changed",
        "service.approve" => "service.approved",
        "service.reset_password" => "service.password_reset",
        _ => "service.updated",
    }
}

/// The locks that staff place and resolve; the others belong to who knows their reason.
pub const STAFF_REASONS: [LockReason; 3] = [LockReason::Admin, LockReason::CustomerHold, LockReason::Fraud];
/// 24 symbols of 5 bits: 120 bits, above the 112 at which a secret needs no slow hash.
const SECRET_SYMBOLS: usize = 24;
/// 40 bits: no two alike among the services of one ISP, and short enough to read aloud.
const NUMBER_SYMBOLS: usize = 8;
/// Logins tried from one customer number.
const MOST_LOGINS: u32 = 100;
/// Routers in the field hold short passwords; they must be importable, with a warning.
const LEAST_PASSWORD: usize = 4;
/// RFC 2865 section 5.2: a User-Password has at most 128 octets.
const MOST_PASSWORD: usize = 128;
/// Below this a chosen password is worth a warning.
const WEAK_BELOW: usize = 12;
/// Tasks of one service that are looked at, newest first.
const MOST_TASKS: usize = 100;
