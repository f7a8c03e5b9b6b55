//! How all customers stand, kept in memory between two looks at the list.
//!
//! A service stands as `entitle` says, and that changes when its record does or when an interval begins or ends: then
//! it is asked again. Where a plan counts what is used, the store is asked each time. The one rule: what is kept is
//! never older than the facts it follows from, so that a list filtered by status agrees with what it shows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::standing::{self, CustomerStatus, ServiceStatus};
use crate::domain::entitlement::Used;
use crate::domain::ids::{ServiceId, SubscriberId};
use crate::domain::service::Service;
use crate::domain::subscriber::{Standing, Subscriber};
use crate::store::Store;
use crate::store::contract::{ReadError, Record};
use crate::store::names::{Following, body_of};
use crate::store::tables::{Services, Subscribers};

/// How all customers stand. Cheap to clone.
#[derive(Clone)]
pub(super) struct Stands(Arc<Inner>);

struct Inner {
    store: Store,
    zone: TimeZone,
    customers: Arc<Following<Subscribers>>,
    services: Arc<Following<Services>>,
    ledger: Arc<Mutex<Ledger>>,
    /// One at a time brings the ledger up to date.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Ledger {
    customers: BTreeMap<Uuid, Customer>,
    services: HashMap<Uuid, Kept>,
    by_status: [BTreeSet<Uuid>; 4],
    /// When services are to be asked again.
    due: BTreeSet<(Timestamp, Uuid)>,
    /// Services whose standing depends on what they used.
    metered: BTreeSet<Uuid>,
}

#[derive(Default)]
struct Customer {
    version: u64,
    standing: Option<Standing>,
    services: Vec<Uuid>,
    status: Option<CustomerStatus>,
}

struct Kept {
    owner: Uuid,
    version: u64,
    status: ServiceStatus,
    until: Option<Timestamp>,
}

impl Stands {
    pub(super) fn new(store: &Store, zone: &TimeZone) -> Self {
        let (customers, services) = (Following::start(store), Following::start(store));
        let (store, zone) = (store.clone(), zone.clone());
        let (ledger, turn) = (Arc::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Inner { store, zone, customers, services, ledger, turn }))
    }

    /// Those who stand so, in the order of their records.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn of(&self, status: CustomerStatus, now: Timestamp) -> Result<Vec<Uuid>, ReadError> {
        let _turn = self.0.turn.lock().await;
        let (customers, services) = (self.0.customers.take(), self.0.services.take());
        match customers.zip(services) {
            None => self.read_all(now).await?,
            Some((customers, services)) => {
                let mut ledger = self.ledger();
                for change in customers {
                    if let Some((version, body)) = body_of::<Subscribers>(&change) {
                        ledger.put_customer(&body, version);
                    }
                }
                for change in services {
                    match (body_of::<Services>(&change), change.key.parse()) {
                        (Some((version, body)), _) => ledger.put_service(&body, version, &self.0.zone, now),
                        (None, Ok(id)) => ledger.remove_service(id),
                        (None, Err(_)) => {}
                    }
                }
            }
        }
        self.ask_again(now).await?;
        Ok(self.ledger().of(status))
    }

    /// Asks for those whose time has come, and those that count what is used.
    async fn ask_again(&self, now: Timestamp) -> Result<(), ReadError> {
        let (due, metered) = {
            let mut ledger = self.ledger();
            (ledger.take_due(now), ledger.metered.clone())
        };
        for id in due.into_iter().chain(metered) {
            let Some(record) = self.0.store.get::<Services>(&ServiceId(id)).await? else { continue };
            let used = standing::usage(&self.0.store, &record.body, &self.0.zone, now).await?;
            self.ledger().note(&record.body, record.version, used, &self.0.zone, now);
        }
        Ok(())
    }

    async fn read_all(&self, now: Timestamp) -> Result<(), ReadError> {
        *self.ledger() = Ledger::default();
        let read = self.read_both(now).await;
        if read.is_err() {
            self.0.customers.lose();
        }
        read
    }

    async fn read_both(&self, now: Timestamp) -> Result<(), ReadError> {
        let ledger = Arc::clone(&self.0.ledger);
        let each = move |record: Record<Subscribers>| {
            let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            ledger.put_customer(&record.body, record.version);
        };
        self.0.store.load_all::<Subscribers>(each).await?;
        let (ledger, zone) = (Arc::clone(&self.0.ledger), self.0.zone.clone());
        let each = move |record: Record<Services>| {
            let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            ledger.put_service(&record.body, record.version, &zone, now);
        };
        self.0.store.load_all::<Services>(each).await.map(|_| ())
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Stands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stands")
    }
}

impl Ledger {
    fn of(&self, status: CustomerStatus) -> Vec<Uuid> {
        self.by_status.get(place(status)).map(|ids| ids.iter().copied().collect()).unwrap_or_default()
    }

    fn put_customer(&mut self, one: &Subscriber, version: u64) {
        let SubscriberId(id) = one.id;
        let customer = self.customers.entry(id).or_default();
        if customer.standing.is_none() || customer.version < version {
            (customer.version, customer.standing) = (version, Some(one.standing));
            self.settle(id);
        }
    }

    fn put_service(&mut self, service: &Service, version: u64, zone: &TimeZone, now: Timestamp) {
        self.note(service, version, Used::default(), zone, now);
        let ServiceId(id) = service.id;
        // By time and locks alone it may be online: then what was used decides.
        let is_open = self.services.get(&id).is_some_and(|kept| kept.status == ServiceStatus::Active);
        if service.terms.is_metered() && is_open {
            self.metered.insert(id);
        } else {
            self.metered.remove(&id);
        }
    }

    /// Writes down how a service stands, unless a newer record of it was looked at.
    fn note(&mut self, service: &Service, version: u64, used: Used, zone: &TimeZone, now: Timestamp) {
        let (ServiceId(id), SubscriberId(owner)) = (service.id, service.subscriber_id);
        if self.services.get(&id).is_some_and(|kept| kept.version > version) {
            return;
        }
        let status = standing::of_service(service, Standing::Open, used, zone, now).status;
        let until = next_bound(service, now);
        let before = self.services.insert(id, Kept { owner, version, status, until });
        if let Some(before) = &before {
            self.forget_due(id, before.until);
        }
        self.due.extend(until.map(|until| (until, id)));
        if before.is_none_or(|before| before.status != status) {
            let customer = self.customers.entry(owner).or_default();
            if !customer.services.contains(&id) {
                customer.services.push(id);
            }
            self.settle(owner);
        }
    }

    fn remove_service(&mut self, id: Uuid) {
        let Some(kept) = self.services.remove(&id) else { return };
        self.forget_due(id, kept.until);
        self.metered.remove(&id);
        if let Some(customer) = self.customers.get_mut(&kept.owner) {
            customer.services.retain(|one| *one != id);
        }
        self.settle(kept.owner);
    }

    fn forget_due(&mut self, id: Uuid, until: Option<Timestamp>) {
        if let Some(until) = until {
            self.due.remove(&(until, id));
        }
    }

    fn take_due(&mut self, now: Timestamp) -> Vec<Uuid> {
        let due: Vec<_> = self.due.iter().take_while(|(at, _)| *at <= now).copied().collect();
        for one in &due {
            self.due.remove(one);
        }
        due.into_iter().map(|(_, id)| id).collect()
    }

    /// Puts a customer where they belong.
    fn settle(&mut self, id: Uuid) {
        let Some(customer) = self.customers.get_mut(&id) else { return };
        // A service may be read before the customer whose it is.
        let Some(standing) = customer.standing else { return };
        let statuses = customer.services.iter().filter_map(|service| self.services.get(service));
        let statuses: Vec<_> = statuses.map(|kept| kept.status).collect();
        let status = standing::of_customer(standing, &statuses);
        let before = customer.status.replace(status);
        if before == Some(status) {
            return;
        }
        if let Some(ids) = before.and_then(|before| self.by_status.get_mut(place(before))) {
            ids.remove(&id);
        }
        if let Some(ids) = self.by_status.get_mut(place(status)) {
            ids.insert(id);
        }
    }
}

/// The next instant at which an interval begins or ends.
fn next_bound(service: &Service, now: Timestamp) -> Option<Timestamp> {
    let bounds = service.intervals.iter().flat_map(|one| [Some(one.from), one.until]);
    bounds.flatten().filter(|at| *at > now).min()
}

const fn place(status: CustomerStatus) -> usize {
    match status {
        CustomerStatus::New => 0,
        CustomerStatus::Active => 1,
        CustomerStatus::Suspended => 2,
        CustomerStatus::Disabled => 3,
    }
}
