//! A value split into parts, each under its own lock, picked by a hash.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Parts of a table; a part is locked for microseconds and never across an await.
#[derive(Debug)]
pub(super) struct Shards<T> {
    first: Mutex<T>,
    rest: Vec<Mutex<T>>,
}

impl<T: Default> Shards<T> {
    pub(super) fn new() -> Self {
        Self { first: Mutex::default(), rest: (1..COUNT).map(|_| Mutex::default()).collect() }
    }

    /// The part that a hash falls into.
    pub(super) fn lock(&self, hash: u64) -> MutexGuard<'_, T> {
        let part = usize::try_from(hash % COUNT).unwrap_or(0);
        let part = part.checked_sub(1).and_then(|position| self.rest.get(position)).unwrap_or(&self.first);
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every part, one after the other.
    pub(super) fn each(&self) -> impl Iterator<Item = MutexGuard<'_, T>> {
        let lock = |part| Mutex::lock(part).unwrap_or_else(PoisonError::into_inner);
        std::iter::once(&self.first).chain(&self.rest).map(lock)
    }
}

/// 64 parts keep two dozen workers apart.
pub(super) const COUNT: u64 = 64;
