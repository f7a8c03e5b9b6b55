//! The memory of what was answered (RFC 5080 section 2.2.2).
//!
//! A NAS that misses a reply sends the same request again. Working it out anew would spend a voucher
//! twice or answer differently, so a repeated request gets the same octets again. A request is known
//! by where it came from, the socket that took it, code, identifier and Request Authenticator; the
//! same identifier with another authenticator is a new request and takes the old one's place.
//! Entries live for a fixed time after they were last written; capacity times 4096 octets bounds the
//! memory, and when full the oldest entry goes.
//!
//! The one rule: only requests that [`super::exchange::admit`] let in may be offered, or a forger
//! could push entries out.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::packet::{Authenticator, Packet};

/// What makes two datagrams the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestKey {
    place: Place,
    authenticator: Authenticator,
}

/// The replies of one worker thread; no locks, since no other thread sees it.
///
/// In the steady state nothing allocates: entries and their buffers are used again.
#[derive(Debug)]
pub struct DuplicateCache {
    lifetime: Duration,
    capacity: usize,
    places: HashMap<Place, usize>,
    entries: Vec<Entry>,
    free: Vec<usize>,
    oldest: Option<usize>,
    newest: Option<usize>,
}

impl RequestKey {
    /// The key of a request that came from `source` to the socket numbered `socket`.
    #[must_use]
    pub fn new(request: &Packet<'_>, source: SocketAddr, socket: u16) -> Self {
        let place = Place { source, socket, code: request.code().octet(), identifier: request.identifier() };
        Self { place, authenticator: *request.authenticator() }
    }

    /// One octet of the request's authenticator: as random as the NAS, the same for repetitions.
    #[must_use]
    pub const fn authenticator_octet(&self) -> u8 {
        let [octet, ..] = self.authenticator;
        octet
    }
}

impl DuplicateCache {
    /// An empty memory for at most `capacity` requests (at least one), each for `lifetime`.
    #[must_use]
    pub fn new(capacity: usize, lifetime: Duration) -> Self {
        let capacity = capacity.max(1);
        Self {
            lifetime,
            capacity,
            // Twice the need: a map at most half full clears removed places without growing.
            places: HashMap::with_capacity(capacity.saturating_mul(2)),
            entries: Vec::with_capacity(capacity),
            free: Vec::with_capacity(capacity),
            oldest: None,
            newest: None,
        }
    }

    /// Asks whether a request is new. If it is, it is in progress from now on, until
    /// [`complete`](Self::complete), [`abandon`](Self::abandon) or the end of its lifetime.
    pub fn offer(&mut self, key: &RequestKey, now: Instant) -> Offer<'_> {
        self.forget_older(now);
        let Some(at) = self.places.get(&key.place).copied() else {
            self.remember(key, now);
            return Offer::New;
        };
        if self.entry(at).is_none_or(|entry| entry.key.authenticator != key.authenticator) {
            self.forget(at);
            self.remember(key, now);
            return Offer::New;
        }
        match self.entry(at) {
            Some(Entry { answered: true, reply, .. }) => Offer::Replay(reply),
            Some(Entry { answered: false, .. }) | None => Offer::InProgress,
        }
    }

    /// Stores the reply to a request in progress; its lifetime begins anew. Of a request that is
    /// no longer remembered nothing is stored.
    pub fn complete(&mut self, key: &RequestKey, reply: &[u8], now: Instant) {
        let Some(at) = self.find(key) else { return };
        self.unlink(at);
        if let Some(entry) = self.entries.get_mut(at) {
            entry.reply.clear();
            entry.reply.extend_from_slice(reply);
            entry.answered = true;
            entry.written = now;
        }
        self.link_newest(at);
    }

    /// Forgets a request that got no answer, so that its repetition is worked out anew.
    pub fn abandon(&mut self, key: &RequestKey) {
        if let Some(at) = self.find(key) {
            self.forget(at);
        }
    }

    /// Forgets what has outlived its lifetime; [`offer`](Self::offer) does so too.
    pub fn forget_older(&mut self, now: Instant) {
        while let Some((at, written)) = self.oldest.and_then(|at| Some((at, self.entry(at)?.written))) {
            if now.saturating_duration_since(written) < self.lifetime {
                return;
            }
            self.forget(at);
        }
    }

    /// How many requests are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// True where nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn entry(&self, at: usize) -> Option<&Entry> {
        self.entries.get(at)
    }

    /// The entry of exactly this request.
    fn find(&self, key: &RequestKey) -> Option<usize> {
        let at = self.places.get(&key.place).copied()?;
        self.entry(at).is_some_and(|entry| entry.key == *key).then_some(at)
    }

    fn remember(&mut self, key: &RequestKey, now: Instant) {
        if self.places.len() >= self.capacity
            && let Some(oldest) = self.oldest
        {
            self.forget(oldest);
        }
        let at = self.free.pop().unwrap_or(self.entries.len());
        if let Some(entry) = self.entries.get_mut(at) {
            entry.key = *key;
            entry.written = now;
            entry.answered = false;
        } else {
            self.entries.push(Entry::new(*key, now));
        }
        self.places.insert(key.place, at);
        self.link_newest(at);
    }

    fn forget(&mut self, at: usize) {
        self.unlink(at);
        if let Some(place) = self.entry(at).map(|entry| entry.key.place) {
            self.places.remove(&place);
            self.free.push(at);
        }
    }

    fn link_newest(&mut self, at: usize) {
        let before = self.newest.replace(at);
        if let Some(entry) = self.entries.get_mut(at) {
            entry.older = before;
            entry.newer = None;
        }
        match before.and_then(|before| self.entries.get_mut(before)) {
            Some(before) => before.newer = Some(at),
            None => self.oldest = Some(at),
        }
    }

    fn unlink(&mut self, at: usize) {
        let Some((older, newer)) = self.entry(at).map(|entry| (entry.older, entry.newer)) else {
            return;
        };
        match older.and_then(|older| self.entries.get_mut(older)) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
        match newer.and_then(|newer| self.entries.get_mut(newer)) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
    }
}

impl Default for DuplicateCache {
    fn default() -> Self {
        Self::new(DEFAULT_CAPACITY, DEFAULT_LIFETIME)
    }
}

/// What is known of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Offer<'c> {
    /// Never seen, or forgotten: work it out, then complete or abandon it.
    New,
    /// Being worked out: drop the repetition, the answer is coming.
    InProgress,
    /// Answered: send these octets again.
    Replay(&'c [u8]),
}

/// Where a NAS keeps a request outstanding: one at a time, told apart in time by authenticator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    source: SocketAddr,
    socket: u16,
    code: u8,
    identifier: u8,
}

/// One request, and its neighbours in the order of writing.
#[derive(Debug)]
struct Entry {
    key: RequestKey,
    written: Instant,
    answered: bool,
    reply: Vec<u8>,
    older: Option<usize>,
    newer: Option<usize>,
}

impl Entry {
    const fn new(key: RequestKey, written: Instant) -> Self {
        Self { key, written, answered: false, reply: Vec::new(), older: None, newer: None }
    }
}

/// Between the 5 and 30 seconds of RFC 5080 section 2.2.2, and past the last repetition of a NAS
/// that tries three times at three seconds.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(10);
/// 16 Ki requests of one worker in ten seconds; with replies of 200 octets some 5 MiB.
pub const DEFAULT_CAPACITY: usize = 16_384;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant can only be had from the clock")]
mod rfc5080_s2_2_2_tests {
    use proptest::prelude::*;

    use super::*;

    const LIFETIME: Duration = Duration::from_secs(10);

    fn key(port: u16, identifier: u8, authenticator: u8) -> RequestKey {
        let source = SocketAddr::from(([192, 0, 2, 1], port));
        let place = Place { source, socket: 0, code: 1, identifier };
        RequestKey { place, authenticator: [authenticator; 16] }
    }

    #[test]
    fn a_request_is_new_then_in_progress_then_replayed_then_new_again() {
        let mut cache = DuplicateCache::new(8, LIFETIME);
        let (start, key) = (Instant::now(), key(1, 1, 1));
        assert_eq!(cache.offer(&key, start), Offer::New);
        assert_eq!(cache.offer(&key, start), Offer::InProgress);
        cache.complete(&key, b"reply", start + Duration::from_secs(1));
        assert_eq!(cache.offer(&key, start + Duration::from_millis(10_999)), Offer::Replay(b"reply"));
        assert_eq!(cache.offer(&key, start + Duration::from_secs(11)), Offer::New);
    }

    #[test]
    fn every_part_of_the_key_tells_requests_apart() {
        let mut cache = DuplicateCache::new(8, LIFETIME);
        let now = Instant::now();
        let base = key(1, 1, 1);
        assert_eq!(cache.offer(&base, now), Offer::New);
        assert_eq!(cache.offer(&key(2, 1, 1), now), Offer::New);
        assert_eq!(cache.offer(&key(1, 2, 1), now), Offer::New);
        let socket = RequestKey { place: Place { socket: 1, ..base.place }, ..base };
        assert_eq!(cache.offer(&socket, now), Offer::New);
        let code = RequestKey { place: Place { code: 4, ..base.place }, ..base };
        assert_eq!(cache.offer(&code, now), Offer::New);
        assert_eq!(cache.offer(&base, now), Offer::InProgress);
    }

    #[test]
    fn a_new_authenticator_under_an_old_identifier_replaces_the_old_request() {
        let mut cache = DuplicateCache::new(8, LIFETIME);
        let now = Instant::now();
        cache.offer(&key(1, 1, 1), now);
        assert_eq!(cache.offer(&key(1, 1, 2), now), Offer::New);
        cache.complete(&key(1, 1, 1), b"late", now);
        assert_eq!(cache.offer(&key(1, 1, 2), now), Offer::InProgress);
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn an_abandoned_request_is_worked_out_anew() {
        let mut cache = DuplicateCache::new(8, LIFETIME);
        let now = Instant::now();
        cache.offer(&key(1, 1, 1), now);
        cache.abandon(&key(1, 1, 1));
        assert!(cache.is_empty());
        assert_eq!(cache.offer(&key(1, 1, 1), now), Offer::New);
    }

    #[test]
    fn a_request_that_nobody_finishes_does_not_block_its_identifier_for_ever() {
        let mut cache = DuplicateCache::new(8, LIFETIME);
        let now = Instant::now();
        cache.offer(&key(1, 1, 1), now);
        assert_eq!(cache.offer(&key(1, 1, 1), now + LIFETIME), Offer::New);
    }

    #[test]
    fn when_full_the_oldest_goes_and_entries_are_used_again() {
        let mut cache = DuplicateCache::new(3, LIFETIME);
        let now = Instant::now();
        for identifier in 0..200 {
            assert_eq!(cache.offer(&key(1, identifier, 1), now), Offer::New);
            cache.complete(&key(1, identifier, 1), &[identifier], now);
            assert!(cache.len() <= 3);
        }
        assert_eq!(cache.entries.len(), 3);
        assert_eq!(cache.offer(&key(1, 197, 1), now), Offer::Replay(&[197]));
        assert_eq!(cache.offer(&key(1, 196, 1), now), Offer::New);
    }

    #[test]
    fn a_full_cache_in_steady_state_does_not_grow() {
        let mut cache = DuplicateCache::new(64, LIFETIME);
        let now = Instant::now();
        let (map, entries, free) = (cache.places.capacity(), cache.entries.capacity(), cache.free.capacity());
        for round in 0..20_000u16 {
            let key = key(round, 1, 1);
            cache.offer(&key, now);
            cache.complete(&key, &[0; 100], now);
        }
        // A map counts places not yet cleared as taken, so its capacity may look smaller, never larger.
        assert!(cache.places.capacity() <= map);
        assert_eq!((cache.entries.capacity(), cache.free.capacity()), (entries, free));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Offer(u8, u8),
        Complete(u8, u8, u8),
        Abandon(u8, u8),
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..4u8, 0..3u8).prop_map(|(i, a)| Step::Offer(i, a)),
            3 => (0..4u8, 0..3u8, any::<u8>()).prop_map(|(i, a, r)| Step::Complete(i, a, r)),
            1 => (0..4u8, 0..3u8).prop_map(|(i, a)| Step::Abandon(i, a)),
            2 => (0..6u64).prop_map(Step::Wait),
        ];
        prop::collection::vec(step, 0..80)
    }

    /// What the cache promises, without bound or order: identifier → authenticator, reply, when.
    type Naive = HashMap<u8, (u8, Option<u8>, u64)>;

    proptest! {
        #[test]
        fn it_answers_as_a_naive_map_does(steps in steps()) {
            let mut cache = DuplicateCache::new(8, LIFETIME);
            let (start, mut now, mut naive) = (Instant::now(), 0u64, Naive::new());
            for step in steps {
                let at = start + Duration::from_secs(now);
                naive.retain(|_, (_, _, written)| now - *written < LIFETIME.as_secs());
                match step {
                    Step::Offer(i, a) => {
                        let expected = match naive.get(&i) {
                            Some((known, None, _)) if *known == a => Offer::InProgress,
                            Some((known, Some(reply), _)) if *known == a => {
                                Offer::Replay(std::slice::from_ref(reply))
                            }
                            _ => Offer::New,
                        };
                        prop_assert_eq!(&cache.offer(&key(1, i, a), at), &expected);
                        if expected == Offer::New {
                            naive.insert(i, (a, None, now));
                        }
                    }
                    Step::Complete(i, a, reply) => {
                        cache.forget_older(at);
                        cache.complete(&key(1, i, a), &[reply], at);
                        if let Some(known) = naive.get_mut(&i).filter(|known| known.0 == a) {
                            *known = (a, Some(reply), now);
                        }
                    }
                    Step::Abandon(i, a) => {
                        cache.abandon(&key(1, i, a));
                        if naive.get(&i).is_some_and(|known| known.0 == a) {
                            naive.remove(&i);
                        }
                    }
                    Step::Wait(seconds) => now += seconds,
                }
            }
        }
    }
}
