//! Whether the store can still write, found out before somebody waits for it in vain.
//!
//! It is not asked of the file system alone: a quota, a read-only mount or a broken disk have free
//! space too. The one rule: only a write that became durable counts as well.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::json;

use crate::base::health::{Health, Severity, Warning};
use crate::store::Store;
use crate::store::contract::{CommitError, Unit};
use crate::store::tables::Settings;

/// Looks at the store's disk, again and again.
pub(super) struct Disk {
    store: Store,
    path: PathBuf,
    /// The warning in force.
    ill: Option<&'static str>,
    /// Looks since the last write.
    looks: u32,
}

impl Disk {
    pub(super) fn of(store: &Store, path: &Path) -> Self {
        Self { store: store.clone(), path: path.to_owned(), ill: None, looks: 0 }
    }

    /// Writes a little where there is a suspicion or it is time, and warns by the outcome.
    pub(super) async fn look(&mut self, health: &Health, now: Timestamp) {
        let free = free_octets(&self.path);
        self.looks = self.looks.saturating_add(1);
        let suspicious = self.ill.is_some() || free.is_some_and(|free| free < SCARCE);
        if !suspicious && self.looks < LOOKS_PER_WRITE {
            return;
        }
        self.looks = 0;
        let warning = match self.write(now).await {
            Ok(()) => None,
            Err(CommitError::Full(_)) if free.is_none_or(|free| free < SCARCE) => Some(full(now)),
            Err(error) => Some(unwritable(&error, now)),
        };
        self.tell(health, warning);
    }

    async fn write(&self, now: Timestamp) -> Result<(), CommitError> {
        let unit = Unit::natural().put::<Settings>(&PROBE.to_owned(), &json!(now.as_millisecond()))?;
        self.store.commit(unit).await.map(|_| ())
    }

    fn tell(&mut self, health: &Health, warning: Option<Warning>) {
        let code = warning.as_ref().map(|warning| warning.code);
        if let Some(past) = self.ill.filter(|past| Some(*past) != code) {
            health.clear(past, "");
        }
        self.ill = code;
        if let Some(warning) = warning {
            health.raise(warning);
        }
    }
}

fn full(now: Timestamp) -> Warning {
    Warning {
        code: "disk-full",
        subject: String::new(),
        severity: Severity::Fail,
        text: "the store's disk is full: subscribers still get on, but accounting is not acknowledged and \
               nothing can be changed"
            .to_owned(),
        remedy: "make room on the store's file system; work goes on by itself".to_owned(),
        since: now,
    }
}

fn unwritable(error: &CommitError, now: Timestamp) -> Warning {
    Warning {
        code: "store-cannot-write",
        subject: String::new(),
        severity: Severity::Fail,
        text: format!("the store cannot write, so that accounting is not acknowledged: {error}"),
        remedy: "look at the disk (dmesg, mount options, quota) and at the log".to_owned(),
        since: now,
    }
}

#[allow(clippy::useless_conversion, reason = "these numbers are narrower on 32-bit machines")]
fn free_octets(path: &Path) -> Option<u64> {
    let found = nix::sys::statvfs::statvfs(path).ok()?;
    Some(u64::from(found.blocks_available()).saturating_mul(u64::from(found.fragment_size())))
}

/// The record that is written to see whether writing works.
const PROBE: &str = "write-probe";
/// Below this much free space a disk may be full for the next commit.
const SCARCE: u64 = 32 << 20;
/// Without a suspicion every sixth look writes: twice a minute, which no flash notices.
const LOOKS_PER_WRITE: u32 = 6;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::clock::Clock;
    use crate::store::tables;

    #[tokio::test]
    async fn a_store_that_cannot_write_is_told_and_one_that_can_is_not() {
        let store = Store::memory(Clock::System, &tables::all(), Arc::new(())).unwrap();
        let (health, now) = (Health::new(), Timestamp::UNIX_EPOCH);
        let mut disk = Disk::of(&store, Path::new("/"));
        for _ in 0..LOOKS_PER_WRITE {
            disk.look(&health, now).await;
        }
        assert_eq!(health.warnings(), []);
        assert!(store.get::<Settings>(&PROBE.to_owned()).await.unwrap().is_some());
        store.close().await;
        for _ in 0..LOOKS_PER_WRITE {
            disk.look(&health, now).await;
        }
        assert_eq!(health.warnings()[0].code, "store-cannot-write");
        assert!(!health.is_ready());
        disk.tell(&health, Some(full(now)));
        let codes: Vec<_> = health.warnings().iter().map(|warning| warning.code).collect();
        assert_eq!(codes, ["disk-full"], "one takes the other's place");
        disk.tell(&health, None);
        assert!(health.is_ready());
    }
}
