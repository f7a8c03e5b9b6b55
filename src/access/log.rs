//! Why each login was accepted or refused: gathered in memory, written down every few seconds.
//!
//! Equal answers to one login at one NAS become one event with a count. The log is bounded: past
//! [`EVENTS_PER_FLUSH`] different answers between two flushes, further ones are only counted, so a
//! storm cannot fill the memory or the disk. Losing the last seconds in a crash loses no money.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

use super::shards::Shards;
use crate::base::entropy::{Entropy, EntropyError};
use crate::domain::auth_event::AuthEvent;
use crate::domain::ids::{AuthEventId, NasId, ServiceId};
use crate::domain::refusal::Refusal;
use crate::store::contract::{CommitError, Unit};
use crate::store::tables::AuthEvents;

/// Answers since the last flush.
#[derive(Debug)]
pub struct AuthLog {
    hasher: RandomState,
    gathered: Shards<HashMap<u64, AuthEvent>>,
    left_out: AtomicU64,
}

/// One answer to a login.
#[derive(Debug, Clone, Copy)]
pub struct Noted<'a> {
    /// The login as sent.
    pub username: &'a str,
    /// Which service it meant.
    pub service_id: Option<ServiceId>,
    /// Which NAS asked, and how it is called.
    pub nas: (NasId, &'a str),
    /// Which device.
    pub station: Option<&'a str>,
    /// The method's name.
    pub method: &'static str,
    /// `None` is an accept.
    pub refusal: Option<Refusal>,
}

impl Default for AuthLog {
    fn default() -> Self {
        Self { hasher: RandomState::new(), gathered: Shards::new(), left_out: AtomicU64::new(0) }
    }
}

impl AuthLog {
    /// Takes an answer down.
    pub fn note(&self, noted: &Noted<'_>, now: Timestamp) {
        let hash = self.hash(noted);
        let mut gathered = self.gathered.lock(hash);
        if let Some(event) = gathered.get_mut(&hash) {
            event.count = event.count.saturating_add(1);
            event.last_at = now;
            return;
        }
        if gathered.len() >= EVENTS_PER_SHARD {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        gathered.insert(
            hash,
            AuthEvent {
                id: AuthEventId(uuid::Uuid::nil()),
                at: now,
                last_at: now,
                count: 1,
                username: noted.username.to_owned(),
                service_id: noted.service_id,
                nas_id: noted.nas.0,
                nas_name: noted.nas.1.to_owned(),
                calling_station: noted.station.map(ToOwned::to_owned),
                method: noted.method.to_owned(),
                refusal: noted.refusal,
            },
        );
    }

    /// Takes everything gathered out, as units that write it down.
    ///
    /// # Errors
    /// When ids cannot be made, or an event does not serialise.
    pub fn flush(&self, entropy: &Entropy) -> Result<Vec<Unit>, FlushError> {
        let mut units = Vec::new();
        let mut unit = Unit::natural();
        for mut shard in self.gathered.each() {
            for (_, mut event) in shard.drain() {
                event.id = AuthEventId(entropy.uuid_v7(event.at)?);
                unit = unit.create::<AuthEvents>(&event.id, &event)?;
                if unit.ops.len() >= EVENTS_PER_UNIT {
                    units.push(std::mem::take(&mut unit));
                }
            }
        }
        if !unit.ops.is_empty() {
            units.push(unit);
        }
        Ok(units)
    }

    /// How many answers were counted but not written down, ever.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    fn hash(&self, noted: &Noted<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        noted.username.hash(&mut hasher);
        noted.nas.0.hash(&mut hasher);
        noted.station.hash(&mut hasher);
        noted.method.hash(&mut hasher);
        noted.refusal.hash(&mut hasher);
        hasher.finish()
    }
}

/// Why gathered answers could not be turned into units.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// No randomness for ids.
    #[error("no id could be made for an authentication event")]
    Entropy(#[from] EntropyError),
    /// An event does not serialise: our fault.
    #[error("an authentication event could not be written")]
    Unit(#[from] CommitError),
}

/// Different answers written down between two flushes; more are only counted.
pub const EVENTS_PER_FLUSH: usize = EVENTS_PER_SHARD * 64;
const EVENTS_PER_SHARD: usize = 64;
/// Bounds the size of one commit.
const EVENTS_PER_UNIT: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    const TOWER: (NasId, &str) = (NasId(uuid::Uuid::from_u128(1)), "tower");

    #[test]
    fn equal_answers_become_one_event_with_a_count_and_others_their_own() {
        let log = AuthLog::default();
        let wrong = Noted {
            username: "ada",
            service_id: None,
            nas: TOWER,
            station: None,
            method: "pap",
            refusal: Some(Refusal::WrongPassword),
        };
        for second in 0..5 {
            log.note(&wrong, Timestamp::from_second(second).unwrap());
        }
        log.note(&Noted { refusal: None, ..wrong }, Timestamp::from_second(9).unwrap());
        let units = log.flush(&Entropy::seeded(1)).unwrap();
        assert_eq!(units.iter().map(|unit| unit.ops.len()).sum::<usize>(), 2);
        assert!(log.flush(&Entropy::seeded(1)).unwrap().is_empty());
    }

    #[test]
    fn the_log_is_bounded_between_flushes() {
        let log = AuthLog::default();
        for number in 0..20_000 {
            let username = format!("user{number}");
            let noted = Noted {
                username: &username,
                service_id: None,
                nas: TOWER,
                station: None,
                method: "pap",
                refusal: Some(Refusal::UnknownUser),
            };
            log.note(&noted, Timestamp::from_second(0).unwrap());
        }
        let written: usize = log.flush(&Entropy::seeded(1)).unwrap().iter().map(|unit| unit.ops.len()).sum();
        assert!(written <= EVENTS_PER_FLUSH);
        assert_eq!(u64::try_from(written).unwrap() + log.left_out(), 20_000);
    }
}
