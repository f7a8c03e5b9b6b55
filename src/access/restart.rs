//! A NAS that restarts or shuts down ends all of its sessions (Accounting-On and Accounting-Off,
//! RFC 2866 section 5.1); their Stops never come, so their end is the moment it said so.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::Access;
use super::account::event_of;
use super::table::Entry;
use crate::domain::ids::NasId;
use crate::domain::session::{CloseReason, Session};
use crate::store::contract::{CommitError, Expected, Unit};
use crate::store::tables::Sessions;

/// One Accounting-On or Accounting-Off.
#[derive(Debug, Clone)]
pub struct Restart {
    /// Of which NAS.
    pub nas_id: NasId,
    /// Its own address, where its record covers a network.
    pub nas_address: Option<IpAddr>,
    /// Off rather than On.
    pub going_down: bool,
    /// When it happened.
    pub happened_at: Timestamp,
}

impl Access {
    /// Ends all open sessions of a NAS; gives how many. Safe to repeat.
    ///
    /// # Errors
    /// When a commit fails: what it covered stays open, and the NAS must not be acknowledged.
    pub async fn nas_restarted(self: &Arc<Self>, restart: &Restart) -> Result<usize, CommitError> {
        let concerned = |session: &Session| {
            session.nas_id == restart.nas_id
                && session.nas_address == restart.nas_address
                && session.opened_at <= restart.happened_at
        };
        let keys = self.sessions.keys_where(concerned);
        for chunk in keys.chunks(SESSIONS_PER_UNIT) {
            self.end_all(chunk, restart).await?;
        }
        Ok(keys.len())
    }

    async fn end_all(&self, keys: &[Box<str>], restart: &Restart) -> Result<(), CommitError> {
        let mut unit = Unit::natural();
        let mut taken = Vec::with_capacity(keys.len());
        for key in keys {
            let mut shard = self.sessions.shard(key);
            let Some(entry) = self.sessions.remove_open(&mut shard, key) else { continue };
            let mut session = entry.session.clone();
            session.closed_at = Some(restart.happened_at);
            session.closed_why =
                Some(if restart.going_down { CloseReason::NasShutDown } else { CloseReason::NasRestarted });
            self.sessions.remember_ended(&mut shard, key, &session, entry.counters);
            drop(shard);
            unit = unit
                .expect::<Sessions>(&session.id, Expected::Present)
                .put::<Sessions>(&session.id, &session)?
                .event("session.ended", session.id, event_of(&session, entry.counters));
            taken.push((key.as_ref(), entry));
        }
        let outcome = self.store.commit(unit).await;
        if outcome.is_err() {
            self.put_back(taken);
        }
        outcome.map(|_| ())
    }

    fn put_back(&self, taken: Vec<(&str, Entry)>) {
        for (key, entry) in taken {
            let mut shard = self.sessions.shard(key);
            self.sessions.insert_open(&mut shard, key, entry);
        }
    }
}

/// Bounds the size of one commit.
const SESSIONS_PER_UNIT: usize = 200;
