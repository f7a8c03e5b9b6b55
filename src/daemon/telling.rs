//! Wiring of who tells NAS: what they owe as `access` sees it, and what wakes whom.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::base::clock::Clock;
use crate::base::entropy::Entropy;
use crate::domain::ids::{ServiceId, SubscriberId};
use crate::domain::owed::{OwedChange, Settled};
use crate::domain::session::CloseReason;
use crate::enforce::remote::{Owing, Parts, Patience, Teller, Told};
use crate::radius::SharedSecret;
use crate::store::Store;
use crate::store::contract::Collection;
use crate::store::record::{Applied, Observer};
use crate::store::tables::{Services, Subscribers};

/// Starts who tells NAS, with the tasks that it has; it looks at everything at once.
pub(super) async fn start(
    access: &Arc<Access>,
    clock: &Clock,
    entropy: &Entropy,
    stop: &CancellationToken,
) -> std::io::Result<(Teller, Vec<JoinHandle<()>>)> {
    let parts = Parts {
        owing: Arc::new(ByAccess(Arc::clone(access))),
        clock: clock.clone(),
        entropy: entropy.clone(),
        patience: Patience::default(),
        stop: stop.clone(),
    };
    Teller::start(parts).await
}

/// Has the NAS told of what was committed: a lock, another plan, a closed account reach them at once. What accounting
/// commits passes by without a read.
pub(super) fn follow(
    store: &Store,
    access: &Arc<Access>,
    teller: &Teller,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let woken = Arc::new(Woken { access: Arc::clone(access), teller: teller.clone() });
    let watcher: Arc<dyn Observer> = Arc::<Woken>::clone(&woken);
    store.watch(Arc::downgrade(&watcher));
    let stop = stop.clone();
    tokio::spawn(async move {
        stop.cancelled().await;
        drop(woken);
    })
}

/// Wakes the teller for the services that a commit concerns.
struct Woken {
    access: Arc<Access>,
    teller: Teller,
}

impl Observer for Woken {
    fn applied(&self, batch: &[Applied]) {
        for change in batch.iter().filter(|change| !change.counters_only) {
            let name = change.collection.name;
            if name == Services::SPEC.name {
                change.key.parse().into_iter().for_each(|id| self.teller.look(ServiceId(id)));
            } else if name == Subscribers::SPEC.name {
                let Ok(owner) = change.key.parse() else { continue };
                let services = self.access.snapshot().services_of(SubscriberId(owner));
                services.iter().for_each(|login| self.teller.look(login.service.id));
            }
        }
    }
}

struct ByAccess(Arc<Access>);

impl Owing for ByAccess {
    fn owed(&self, now: Timestamp) -> Vec<OwedChange> {
        self.0.owed(now)
    }

    fn owed_of(&self, service: ServiceId, now: Timestamp) -> Vec<OwedChange> {
        self.0.owed_of(service, now)
    }

    fn still_owed(&self, owed: &OwedChange, now: Timestamp) -> Option<OwedChange> {
        self.0.still_owed(owed, now)
    }

    fn nas(&self, owed: &OwedChange, now: Timestamp) -> Option<Told> {
        let view = self.0.snapshot().nas();
        // Where its reports come from may be another NAS's address by now.
        let entry = view.find(owed.reported_from).filter(|entry| entry.nas.id == owed.nas)?;
        let lasts = entry.nas.previous_until.is_some_and(|until| now < until);
        Some(Told {
            kind: entry.nas.kind,
            at: SocketAddr::new(owed.reported_from.to_canonical(), entry.nas.coa_port?),
            secret: SharedSecret::new(entry.secret.clone()),
            previous_secret: entry.previous.clone().filter(|_| lasts).map(SharedSecret::new),
        })
    }

    fn settle<'a>(
        &'a self,
        owed: &'a OwedChange,
        settled: Settled,
        why: CloseReason,
        now: Timestamp,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async move {
            self.0.settle_owed(owed, settled, why, now).await.map_err(|error| error.to_string())
        })
    }
}
