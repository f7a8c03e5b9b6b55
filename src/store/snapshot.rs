//! The in-memory reads: what RADIUS needs to decide, kept in step by the store's observer.
//!
//! Every commit is applied here before it is acknowledged, so a suspension that was answered is
//! in force for the next request. Nothing here is truth: a restart rebuilds it from the store.
//! The one rule: a record that cannot be read keeps its last good form and is named in
//! [`Snapshot::problems`]; it never takes others with it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use serde::de::DeserializeOwned;

use super::contract::{Collection, ReadError, Record};
use super::handle::Store;
use super::record::{Applied, Observer};
use super::tables::{NasTable, Services, Subscribers};
use crate::base::secret::Secret;
use crate::domain::ids::{NasId, ServiceId, SubscriberId};
use crate::domain::nas::Nas;
use crate::domain::service::{Credential, Phase, Service};
use crate::domain::subscriber::{Standing, Subscriber};

/// Opens what was sealed with the box's key: context and sealed text in, secret out.
pub type Unseal = Box<dyn Fn(&str, &str) -> Option<Secret> + Send + Sync>;

/// The reads that never touch the disk.
pub struct Snapshot {
    unseal: Unseal,
    logins: RwLock<Logins>,
    nas: ArcSwap<NasView>,
    nas_records: Mutex<HashMap<NasId, Arc<NasEntry>>>,
    problems: Mutex<HashMap<String, String>>,
}

/// A service as a login sees it.
#[derive(Debug)]
pub struct Login {
    /// The service.
    pub service: Service,
    /// Its network secret, where it is recoverable and could be read.
    pub secret: Option<Secret>,
    /// Standing of its subscriber.
    pub standing: Standing,
    /// What a grant of it is marked with; made once, by whoever grants.
    pub mark: OnceLock<[u8; MARK_OCTETS]>,
}

/// A NAS as the RADIUS door sees it.
#[derive(Debug)]
pub struct NasEntry {
    /// The record.
    pub nas: Nas,
    /// The shared secret.
    pub secret: Secret,
    /// The secret before a rotation.
    pub previous: Option<Secret>,
}

/// The NAS table at one moment; a new one replaces it at each change.
#[derive(Debug, Default)]
pub struct NasView {
    /// By prefix length, longest first; the family is told apart by the network itself.
    by_length: Vec<(u8, HashMap<IpNet, Arc<NasEntry>>)>,
}

#[derive(Default)]
struct Logins {
    by_name: HashMap<Box<str>, Arc<Login>>,
    by_id: HashMap<ServiceId, Arc<Login>>,
    by_subscriber: HashMap<SubscriberId, Vec<ServiceId>>,
    standing: HashMap<SubscriberId, Standing>,
}

impl Snapshot {
    /// An empty snapshot; give it to the store as its observer, then [`Snapshot::load`].
    #[must_use]
    pub fn new(unseal: Unseal) -> Self {
        Self {
            unseal,
            logins: RwLock::default(),
            nas: ArcSwap::default(),
            nas_records: Mutex::default(),
            problems: Mutex::default(),
        }
    }

    /// Fills the snapshot from the store. Before it ends, nothing may be answered.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn load(self: &Arc<Self>, store: &Store) -> Result<(), ReadError> {
        let me = Arc::clone(self);
        store.load_all::<Subscribers>(move |one: Record<Subscribers>| me.put_subscriber(&one.body)).await?;
        let me = Arc::clone(self);
        store.load_all::<Services>(move |one: Record<Services>| me.put_service(one.body)).await?;
        let me = Arc::clone(self);
        store.load_all::<NasTable>(move |one: Record<NasTable>| me.put_nas(one.body)).await?;
        self.publish_nas();
        Ok(())
    }

    /// The service with this login, compared without case.
    #[must_use]
    pub fn login(&self, username: &str) -> Option<Arc<Login>> {
        let logins = self.logins.read().unwrap_or_else(PoisonError::into_inner);
        if username.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
            return logins.by_name.get(username).map(Arc::clone);
        }
        logins.by_name.get(username.to_lowercase().as_str()).map(Arc::clone)
    }

    /// The service of this id.
    #[must_use]
    pub fn service(&self, id: ServiceId) -> Option<Arc<Login>> {
        self.logins.read().unwrap_or_else(PoisonError::into_inner).by_id.get(&id).map(Arc::clone)
    }

    /// The services of a subscriber, the oldest first.
    #[must_use]
    pub fn services_of(&self, subscriber: SubscriberId) -> Vec<Arc<Login>> {
        let logins = self.logins.read().unwrap_or_else(PoisonError::into_inner);
        let ids = logins.by_subscriber.get(&subscriber).map_or(&[][..], Vec::as_slice);
        ids.iter().filter_map(|id| logins.by_id.get(id)).map(Arc::clone).collect()
    }

    /// How many services are known.
    #[must_use]
    pub fn services(&self) -> usize {
        self.logins.read().unwrap_or_else(PoisonError::into_inner).by_id.len()
    }

    /// The NAS table as it is now; compare by pointer to see whether it changed.
    #[must_use]
    pub fn nas(&self) -> Arc<NasView> {
        self.nas.load_full()
    }

    /// Records that could not be taken in, with the reason.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.iter().map(|(what, why)| (what.clone(), why.clone())).collect()
    }

    fn put_subscriber(&self, subscriber: &Subscriber) {
        let mut logins = self.logins.write().unwrap_or_else(PoisonError::into_inner);
        let before = logins.standing.insert(subscriber.id, subscriber.standing);
        if before == Some(subscriber.standing) {
            return;
        }
        for id in logins.by_subscriber.get(&subscriber.id).cloned().unwrap_or_default() {
            let Some(login) = logins.by_id.get(&id).map(Arc::clone) else { continue };
            let (service, secret) = (login.service.clone(), login.secret.clone());
            logins.put(Login { service, secret, standing: subscriber.standing, mark: OnceLock::new() });
        }
    }

    fn put_service(&self, service: Service) {
        let what = format!("services/{}", service.id);
        let secret = match &service.credential {
            Credential::Hashed { .. } => None,
            Credential::Sealed { sealed } => {
                let secret = (self.unseal)(&credential_context(service.id), sealed);
                self.note(&what, secret.is_none(), "its password cannot be unsealed with this box's key");
                secret
            }
        };
        let mut logins = self.logins.write().unwrap_or_else(PoisonError::into_inner);
        let standing = logins.standing.get(&service.subscriber_id).copied().unwrap_or_default();
        logins.put(Login { service, secret, standing, mark: OnceLock::new() });
    }

    fn remove_service(&self, key: &str) {
        let Ok(id) = key.parse() else { return };
        self.logins.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    fn put_nas(&self, nas: Nas) {
        let what = format!("nas/{}", nas.id);
        let context = secret_context(nas.id);
        let Some(secret) = (self.unseal)(&context, &nas.sealed_secret) else {
            self.note(&what, true, "its secret cannot be unsealed with this box's key");
            return;
        };
        self.note(&what, false, "");
        let previous = nas.sealed_previous.as_ref().and_then(|sealed| (self.unseal)(&context, sealed));
        let mut records = self.nas_records.lock().unwrap_or_else(PoisonError::into_inner);
        records.insert(nas.id, Arc::new(NasEntry { nas, secret, previous }));
    }

    fn publish_nas(&self) {
        let records = self.nas_records.lock().unwrap_or_else(PoisonError::into_inner);
        self.nas.store(Arc::new(NasView::of(records.values())));
    }

    fn note(&self, what: &str, is_wrong: bool, why: &str) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_wrong {
            problems.remove(what);
        } else if problems.len() < MAX_PROBLEMS {
            problems.insert(what.to_owned(), why.to_owned());
        }
    }

    fn read<C: Collection>(&self, change: &Applied) -> Option<C::Body>
    where
        C::Body: DeserializeOwned,
    {
        let state = change.now.as_ref()?;
        match serde_json::from_slice(&state.body) {
            Ok(body) => Some(body),
            Err(error) => {
                self.note(&format!("{}/{}", C::SPEC.name, change.key), true, &error.to_string());
                None
            }
        }
    }

    fn apply(&self, change: &Applied) -> bool {
        if change.counters_only {
            return false;
        }
        let name = change.collection.name;
        if name == Services::SPEC.name {
            match (&change.now, self.read::<Services>(change)) {
                (None, _) => self.remove_service(&change.key),
                (Some(_), Some(service)) => self.put_service(service),
                (Some(_), None) => {}
            }
        } else if name == Subscribers::SPEC.name {
            if let Some(subscriber) = self.read::<Subscribers>(change) {
                self.put_subscriber(&subscriber);
            }
        } else if name == NasTable::SPEC.name {
            match (&change.now, self.read::<NasTable>(change)) {
                (None, _) => {
                    if let Ok(id) = change.key.parse() {
                        self.nas_records.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                    }
                }
                (Some(_), Some(nas)) => self.put_nas(nas),
                (Some(_), None) => {}
            }
            return true;
        }
        false
    }
}

impl Observer for Snapshot {
    fn applied(&self, batch: &[Applied]) {
        let mut nas_changed = false;
        for change in batch {
            nas_changed |= self.apply(change);
        }
        if nas_changed {
            self.publish_nas();
        }
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({} services)", self.services())
    }
}

impl Logins {
    fn put(&mut self, login: Login) {
        let id = login.service.id;
        let name = login.service.username.canonical();
        match self.by_id.get(&id).map(|before| before.service.username.canonical()) {
            Some(before) if before != name => self.forget_name(&before, id),
            Some(_) => {}
            None => self.by_subscriber.entry(login.service.subscriber_id).or_default().push(id),
        }
        let login = Arc::new(login);
        if self.by_name.get(name.as_str()).is_none_or(|held| gives_way(held, &login)) {
            self.by_name.insert(name.into_boxed_str(), Arc::clone(&login));
        }
        self.by_id.insert(id, login);
    }

    fn remove(&mut self, id: ServiceId) {
        let Some(login) = self.by_id.remove(&id) else { return };
        self.forget_name(&login.service.username.canonical(), id);
        if let Some(ids) = self.by_subscriber.get_mut(&login.service.subscriber_id) {
            ids.retain(|one| *one != id);
        }
    }

    /// Another service may have taken the name over.
    fn forget_name(&mut self, name: &str, id: ServiceId) {
        if self.by_name.get(name).is_some_and(|held| held.service.id == id) {
            self.by_name.remove(name);
        }
    }
}

/// Whether a name goes from one service to another: a live one has it before those that ended, and
/// of these the newest, so that a login is told that its service ended.
fn gives_way(held: &Login, other: &Login) -> bool {
    let ended = |login: &Login| login.service.phase == Phase::Ended;
    held.service.id == other.service.id
        || !ended(other)
        || (ended(held) && held.service.created_at <= other.service.created_at)
}

impl NasView {
    fn of<'a>(entries: impl Iterator<Item = &'a Arc<NasEntry>>) -> Self {
        let mut by_length: HashMap<u8, HashMap<IpNet, Arc<NasEntry>>> = HashMap::new();
        for entry in entries.filter(|entry| entry.nas.is_active) {
            let network = entry.nas.address.trunc();
            by_length.entry(network.prefix_len()).or_default().insert(network, Arc::clone(entry));
        }
        let mut by_length: Vec<_> = by_length.into_iter().collect();
        by_length.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        Self { by_length }
    }

    /// The NAS that a source address belongs to: the longest prefix wins.
    #[must_use]
    pub fn find(&self, source: IpAddr) -> Option<&Arc<NasEntry>> {
        let source = source.to_canonical();
        self.by_length.iter().find_map(|(length, networks)| {
            let network = IpNet::new(source, *length).ok()?.trunc();
            networks.get(&network)
        })
    }

    /// All active NAS.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<NasEntry>> {
        self.by_length.iter().flat_map(|(_, networks)| networks.values())
    }
}

/// What a service's sealed credential is bound to.
#[must_use]
pub fn credential_context(service: ServiceId) -> String {
    format!("service/{service}/credential")
}

/// What a NAS's sealed secret is bound to.
#[must_use]
pub fn secret_context(nas: NasId) -> String {
    format!("nas/{nas}/secret")
}

/// Length of the mark: what `access` signs.
pub const MARK_OCTETS: usize = 46;
/// Problems remembered; more than this is one problem: a wrong key.
const MAX_PROBLEMS: usize = 1_000;

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn service(id: u128, phase: &str) -> Service {
        let zero = json!({ "minor": 0, "currency": "NGN" });
        serde_json::from_value(json!({
            "id": Uuid::from_u128(id), "subscriber_id": Uuid::from_u128(1), "plan_id": Uuid::from_u128(2),
            "service_number": format!("S-{id}"), "plan_code": "home", "phase": phase, "username": "Ada",
            "terms": {
                "version": 1, "name": "Home", "service_type": "internet", "monthly_price": zero,
                "setup_fee": zero, "cancellation_fee": zero, "rates": { "down": 1, "up": 1 },
                "device_limit": 1,
            },
            "credential": { "kind": "hashed", "verifier": "x" },
            "created_at": Timestamp::from_second(i64::try_from(id).unwrap()).unwrap(),
            "updated_at": Timestamp::UNIX_EPOCH,
        }))
        .unwrap()
    }

    #[test]
    fn a_login_is_the_live_services_whatever_becomes_of_those_that_ended() {
        let snapshot = Snapshot::new(Box::new(|_, _| None));
        let named = || snapshot.login("ada").map(|login| login.service.id.0.as_u128());
        snapshot.put_service(service(10, "active"));
        snapshot.put_service(service(10, "ended"));
        assert_eq!(named(), Some(10), "one that ended answers while nobody else has its name");
        snapshot.put_service(service(12, "active"));
        snapshot.put_service(service(10, "ended"));
        snapshot.put_service(service(11, "ended"));
        assert_eq!(named(), Some(12));
        snapshot.remove_service(&ServiceId(Uuid::from_u128(10)).to_string());
        assert_eq!(named(), Some(12), "removing another does not free it");
        snapshot.put_service(service(12, "ended"));
        snapshot.put_service(service(11, "ended"));
        assert_eq!(named(), Some(12), "of those that ended, the newest");
        assert_eq!(snapshot.services(), 2);
    }
}
