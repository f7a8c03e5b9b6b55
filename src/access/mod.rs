//! Who gets on: logins are decided here, and sessions are written here and nowhere else.
//!
//! [`Access::authenticate`] holds a claim against the stored credential and then asks
//! [`entitle`](crate::domain::entitlement::entitle); [`Access::record`] turns an accounting report
//! into a durable change. It knows nothing of RADIUS packets: evidence and reports come in the
//! product's words. The one rule: a report is acknowledged only after its commit.

mod account;
mod authenticate;
mod class;
mod count;
mod local;
mod locals;
mod log;
mod meter;
mod owed;
mod restart;
mod shards;
mod table;
#[cfg(test)]
mod tests;
mod voucher;
mod why;

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use jiff::tz::TimeZone;

pub use account::{Recorded, Report, Then};
pub use authenticate::{Answer, Attempt, Evidence};
pub use class::{CLASS_LENGTH, ClassKey, may_be_ours};
pub use local::{Due, Holder, LocalError, LocalSession, Opened, SessionDefaults};
pub use log::{AuthLog, EVENTS_PER_FLUSH, FlushError, Noted};
pub use meter::OpenSession;
pub use restart::Restart;
pub use voucher::{FirstUse, FirstUsed, VoucherLogins};
pub use why::{CaptiveDevice, Decision, Explained, Explanation, WaitingSignup};

// What the doors see of the store comes through here: they decide nothing and so need no store.
pub use crate::store::contract::CommitError as RecordError;
pub use crate::store::snapshot::{Login, NasEntry, NasView};

use crate::base::entropy::Entropy;
use crate::domain::entitlement::{Entitlement, Usage, Used, period_start};
use crate::domain::ids::ServiceId;
use crate::domain::owed::Granted;
use crate::domain::period::local_day;
use crate::domain::provisioning::Proof;
use crate::domain::usage_terms::FairUseWindow;
use crate::store::Store;
use crate::store::contract::ReadError;
use crate::store::snapshot::Snapshot;
use jiff::Timestamp;
use table::SessionTable;

/// The use case; one a daemon, shared by all doors.
pub struct Access {
    store: Store,
    snapshot: Arc<Snapshot>,
    sessions: Arc<SessionTable>,
    class_key: ClassKey,
    log: AuthLog,
    zone: TimeZone,
    entropy: Entropy,
    defaults: ArcSwap<SessionDefaults>,
    /// How voucher codes are logins; nothing where they are not.
    vouchers: OnceLock<VoucherLogins>,
    /// Before it nobody could be heard or counted.
    listening_since: ArcSwap<Timestamp>,
}

/// What an `Access` is built from.
#[derive(Debug)]
pub struct Parts {
    /// The store.
    pub store: Store,
    /// Its in-memory reads, already loaded.
    pub snapshot: Arc<Snapshot>,
    /// Signs our Class attribute.
    pub class_key: ClassKey,
    /// The site's zone: where a day of usage begins.
    pub zone: TimeZone,
    /// For new ids.
    pub entropy: Entropy,
    /// Now: before it nobody could be heard or counted.
    pub now: Timestamp,
}

impl Access {
    /// Builds the use case and reads open sessions and usage back from the store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open(parts: Parts) -> Result<Arc<Self>, ReadError> {
        let Parts { store, snapshot, class_key, zone, entropy, now } = parts;
        let sessions = SessionTable::load(&store, now).await?;
        Ok(Arc::new(Self {
            store,
            snapshot,
            sessions,
            class_key,
            log: AuthLog::default(),
            zone,
            entropy,
            defaults: ArcSwap::default(),
            vouchers: OnceLock::new(),
            listening_since: ArcSwap::from_pointee(now),
        }))
    }

    /// The log of answers, for the job that writes it down.
    #[must_use]
    pub const fn log(&self) -> &AuthLog {
        &self.log
    }

    /// The in-memory reads.
    #[must_use]
    pub const fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Our Class attribute for a grant of a service.
    #[must_use]
    pub fn class_of(&self, service: ServiceId, granted: &Granted) -> [u8; CLASS_LENGTH] {
        self.class_key.issue(service, granted)
    }

    /// The same for a login; what most get is signed once and then remembered with it.
    #[must_use]
    pub fn class_for(&self, login: &Login, entitlement: &Entitlement) -> [u8; CLASS_LENGTH] {
        let (service, granted) = (&login.service, granted(login, entitlement));
        let as_sold = granted.rates == Some(service.terms.rates) && !granted.is_captive;
        if !as_sold {
            return self.class_key.issue(service.id, &granted);
        }
        *login.mark.get_or_init(|| self.class_key.issue(service.id, &granted))
    }

    /// How many sessions are open.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.sessions.open_count()
    }

    /// The open sessions of a service.
    #[must_use]
    pub fn sessions_of(&self, service: ServiceId) -> Vec<OpenSession> {
        self.sessions.of_service(service)
    }

    /// What a service has used of the period that covers `now`.
    #[must_use]
    pub fn usage(&self, login: &Login, now: Timestamp) -> Usage {
        self.used(login, now).period
    }

    /// The same, with what was used of the fair-use window of its terms.
    pub(crate) fn used(&self, login: &Login, now: Timestamp) -> Used {
        let service = &login.service;
        let window = service.terms.usage.fair_use.as_ref().map_or(FairUseWindow::Period, |fair| fair.window);
        let period = period_start(&service.intervals, now);
        self.sessions.used(service.id, period, window, local_day(now, &self.zone))
    }

    /// What can be shown about a service's enforcement at its NAS: a session that was granted
    /// under other terms, or that we did not grant, still runs under an old answer.
    #[must_use]
    pub fn proof(&self, service: ServiceId, terms_version: u32) -> Proof {
        // What this box's own kernel enforces follows the facts by itself.
        let mut open = self.sessions.of_service(service);
        open.retain(|one| !one.is_local);
        if open.is_empty() {
            return Proof::NothingToEnforce;
        }
        let old = open.iter().filter(|one| one.granted_terms != Some(terms_version)).count();
        if old == 0 {
            return Proof::InForce;
        }
        Proof::Owed {
            what: format!(
                "{old} session(s) opened under an earlier answer must end or be changed at their NAS"
            ),
        }
    }
}

/// What an accept with this entitlement grants.
fn granted(login: &Login, entitlement: &Entitlement) -> Granted {
    Granted {
        terms: login.service.terms.version,
        rates: Some(entitlement.rates),
        is_captive: entitlement.is_captive(),
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Access({} open sessions)", self.open_sessions())
    }
}
