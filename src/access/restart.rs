//! Sessions that end without a Stop: their NAS restarted, or nothing was heard of them for too long.
//!
//! A NAS that says Accounting-On or Accounting-Off (RFC 2866 section 5.1) has ended all of its
//! sessions. A session whose NAS lost power says nothing at all: after two and a half intervals of
//! silence it is ended at the last that was heard, so that it neither holds a place nor counts as
//! online for ever. If it was only the way to us that was broken, its next report takes that back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Access;
use super::account::event_of;
use super::table::Entry;
use crate::domain::ids::NasId;
use crate::domain::session::CloseReason;
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
        let concerned = |entry: &Entry| {
            let session = &entry.session;
            session.nas_id == restart.nas_id
                && session.nas_address == restart.nas_address
                && session.opened_at <= restart.happened_at
        };
        let why = if restart.going_down { CloseReason::NasShutDown } else { CloseReason::NasRestarted };
        self.end_where(concerned, |_| (restart.happened_at, why.clone())).await
    }

    /// Ends the sessions of which nothing was heard for two and a half times `interval`; gives how
    /// many. Silence counts from `listening_since` at the earliest: while the daemon was away,
    /// nobody could be heard.
    ///
    /// # Errors
    /// When a commit fails: what it covered stays open.
    pub async fn end_silent(
        self: &Arc<Self>,
        interval: Duration,
        listening_since: Timestamp,
        now: Timestamp,
    ) -> Result<usize, CommitError> {
        let patience =
            SignedDuration::try_from(interval.saturating_mul(5) / 2).unwrap_or(SignedDuration::MAX);
        // Of a local session we are the reporter ourselves, and it has an end of its own.
        let silent = |entry: &Entry| {
            entry.session.local.is_none()
                && now.duration_since(heard_at(entry).max(listening_since)) > patience
        };
        self.end_where(silent, |entry| (heard_at(entry), CloseReason::Silence)).await
    }

    async fn end_where(
        &self,
        concerned: impl Fn(&Entry) -> bool,
        how: impl Fn(&Entry) -> (Timestamp, CloseReason),
    ) -> Result<usize, CommitError> {
        let keys = self.sessions.keys_where(&concerned);
        for chunk in keys.chunks(SESSIONS_PER_UNIT) {
            self.end_all(chunk, &concerned, &how).await?;
        }
        Ok(keys.len())
    }

    /// Ends the sessions under these keys that are still `concerned`: another may have taken a key meanwhile.
    pub(super) async fn end_all(
        &self,
        keys: &[Box<str>],
        concerned: impl Fn(&Entry) -> bool,
        how: impl Fn(&Entry) -> (Timestamp, CloseReason),
    ) -> Result<(), CommitError> {
        let mut unit = Unit::natural();
        let mut taken = Vec::with_capacity(keys.len());
        for key in keys {
            let mut shard = self.sessions.shard(key);
            if !shard.open.get(key).is_some_and(&concerned) {
                continue;
            }
            let Some(entry) = self.sessions.remove_open(&mut shard, key) else { continue };
            let (closed_at, why) = how(&entry);
            let mut session = entry.session.clone();
            session.closed_at = Some(closed_at.max(session.opened_at));
            session.closed_why = Some(why);
            self.sessions.remember_ended(&mut shard, key, &session, entry.counters);
            drop(shard);
            self.sessions.remember_aliases(&session, entry.counters);
            unit = unit
                .expect::<Sessions>(&session.id, Expected::Present)
                .put::<Sessions>(&session.id, &session)?
                .event("session.ended", session.id, event_of(&session, entry.counters));
            if session.local.is_some() {
                // What the kernel counted and could not be written down yet goes with it.
                let login = session.service_id.and_then(|id| self.snapshot.service(id));
                let counters = entry.counters;
                (unit, ..) = self.merge(unit, session.id, login.as_deref(), counters, counters, closed_at)?;
            }
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

/// When the session was last heard of, by our clock.
fn heard_at(entry: &Entry) -> Timestamp {
    let millis = i64::try_from(entry.counters.heard_millis).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(entry.session.opened_at)
}

/// Bounds the size of one commit.
const SESSIONS_PER_UNIT: usize = 200;
