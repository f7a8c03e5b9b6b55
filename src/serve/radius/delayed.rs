//! Rejects that wait: an Access-Reject leaves a second after its request, so that guessing is slow
//! and the time tells nothing. While it waits, repetitions of the request are dropped.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::socket::Route;
use crate::radius::duplicate::RequestKey;

/// Replies that leave later, the earliest first.
#[derive(Debug, Default)]
pub(super) struct Delayed {
    waiting: BinaryHeap<Reverse<Waiting>>,
    sequence: u64,
}

/// One reply that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    due: Instant,
    sequence: u64,
    pub(super) key: RequestKey,
    pub(super) route: Route,
    pub(super) reply: Box<[u8]>,
}

impl Delayed {
    /// Holds a reply back until `due`; gives it back when too many wait.
    pub(super) fn hold(
        &mut self,
        due: Instant,
        key: RequestKey,
        route: Route,
        reply: &[u8],
    ) -> Result<(), ()> {
        if self.waiting.len() >= WAITING {
            return Err(());
        }
        self.sequence = self.sequence.wrapping_add(1);
        let waiting = Waiting { due, sequence: self.sequence, key, route, reply: reply.into() };
        self.waiting.push(Reverse(waiting));
        Ok(())
    }

    /// The next reply whose time has come.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<Waiting> {
        let Reverse(first) = self.waiting.peek()?;
        (first.due <= now).then(|| self.waiting.pop().map(|Reverse(one)| one)).flatten()
    }

    /// How long until the next one.
    pub(super) fn until_next(&self, now: Instant) -> Option<Duration> {
        self.waiting.peek().map(|Reverse(first)| first.due.saturating_duration_since(now))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.sequence).cmp(&(other.due, other.sequence))
    }
}

/// Rejects that may wait at a worker: a storm of 16 Ki wrong passwords a second. More leave at once.
const WAITING: usize = 16_384;
