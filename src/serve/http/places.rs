//! Places at a door: how many connections it holds, and how many of them one peer may have.
//!
//! The one rule: a connection holds its place for as long as it lives, whatever it does, and nobody
//! holds so many that there are none left for others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of one door.
#[derive(Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    sources: Arc<Sources>,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _one: OwnedSemaphorePermit,
    source: Option<(Arc<Sources>, IpAddr)>,
}

#[derive(Debug)]
struct Sources {
    most: usize,
    // At most as long as there are places.
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Places {
    pub(super) fn new(all: usize, most_of_one: usize) -> Self {
        let sources = Sources { most: most_of_one, open: Mutex::default() };
        Self { all: Arc::new(Semaphore::new(all)), sources: Arc::new(sources) }
    }

    /// Waits for a place; `None` once there will be none any more.
    pub(super) async fn next(&self) -> Option<Place> {
        let one = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Place { _one: one, source: None })
    }

    /// Whether the peer may have this place too; it is counted then.
    pub(super) fn admit(&self, place: &mut Place, source: Option<IpAddr>) -> bool {
        let Some(source) = source else { return true };
        if !self.sources.enter(source) {
            return false;
        }
        place.source = Some((Arc::clone(&self.sources), source));
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((sources, source)) = self.source.take() {
            sources.leave(source);
        }
    }
}

impl Sources {
    fn enter(&self, source: IpAddr) -> bool {
        let mut open = self.lock();
        let count = open.entry(source).or_insert(0);
        if *count >= self.most {
            return false;
        }
        *count += 1;
        true
    }

    fn leave(&self, source: IpAddr) {
        let mut open = self.lock();
        if let Some(count) = open.get_mut(&source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&source);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Counts are whole even if a holder of the lock panicked.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_source_fills_its_own_places_and_no_more() {
        let places = Places::new(4, 2);
        let (greedy, other) = ("10.0.0.9".parse().unwrap(), "10.0.0.10".parse().unwrap());
        let mut held = Vec::new();
        for expected in [true, true, false] {
            let mut place = places.next().await.unwrap();
            assert_eq!(places.admit(&mut place, Some(greedy)), expected);
            if expected {
                held.push(place);
            }
        }
        let mut place = places.next().await.unwrap();
        assert!(places.admit(&mut place, Some(other)));
        drop(held);
        assert!(places.admit(&mut places.next().await.unwrap(), Some(greedy)));
        drop(place);
        assert!(places.sources.lock().is_empty(), "nothing is remembered of who left");
    }
}
