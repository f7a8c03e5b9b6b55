//! What resumption remembers: TLS sessions whose peer has proved itself inside the tunnel.
//!
//! A session that TLS wants to keep waits in its conversation's [`Memory`] until the caller has accepted the claim
//! made inside (CVE-2017-9148 was the lack of this); then it is kept with who that was, and with the caller's mark
//! of what proved it. Who resumes is judged again by its name and mark.
//!
//! The one rule: a session is worth as much as the proof it was kept with, for one kind of tunnel, for so long.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::server::StoresServerSessions;
use zeroize::Zeroizing;

/// The caller's fingerprint of a credential: another password is another mark.
pub type Mark = [u8; 16];

/// The memory of all conversations.
pub struct Sessions {
    lifetime: Duration,
    inner: Mutex<Inner>,
}

struct Inner {
    now: Instant,
    kept: HashMap<Vec<u8>, Kept>,
    order: VecDeque<(Instant, Vec<u8>)>,
}

#[derive(Clone)]
struct Kept {
    value: Zeroizing<Vec<u8>>,
    bearer: Bearer,
}

/// Who a session belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bearer {
    /// The tunnel's Type.
    pub(super) tunnel: u8,
    /// The name inside.
    pub(super) name: Box<[u8]>,
    /// What proved it.
    pub(super) mark: Mark,
    /// When it did: resuming makes nothing younger.
    pub(super) since: Instant,
}

impl Sessions {
    /// An empty memory that keeps sessions for so long.
    #[must_use]
    pub fn new(lifetime: Duration, now: Instant) -> Arc<Self> {
        let inner = Inner { now, kept: HashMap::new(), order: VecDeque::new() };
        Arc::new(Self { lifetime, inner: Mutex::new(inner) })
    }

    /// Tells the time; what is too old is forgotten.
    pub fn tick(&self, now: Instant) {
        let mut inner = self.lock();
        inner.now = inner.now.max(now);
        let now = inner.now;
        while inner
            .order
            .front()
            .is_some_and(|(since, _)| now.saturating_duration_since(*since) >= self.lifetime)
        {
            inner.forget_oldest();
        }
    }

    /// How many sessions are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().kept.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn keep(&self, key: Vec<u8>, value: Zeroizing<Vec<u8>>, bearer: Bearer) {
        let mut inner = self.lock();
        if inner.now.saturating_duration_since(bearer.since) >= self.lifetime {
            return;
        }
        while inner.kept.len() >= MOST_SESSIONS || inner.order.len() >= 2 * MOST_SESSIONS {
            inner.forget_oldest();
        }
        inner.order.push_back((bearer.since, key.clone()));
        inner.kept.insert(key, Kept { value, bearer });
    }

    fn find(&self, key: &[u8], tunnel: u8) -> Option<Kept> {
        let inner = self.lock();
        let kept = inner.kept.get(key).filter(|kept| kept.bearer.tunnel == tunnel)?;
        let age = inner.now.saturating_duration_since(kept.bearer.since);
        (age < self.lifetime).then(|| kept.clone())
    }

    fn remove(&self, key: &[u8]) {
        self.lock().kept.remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.kept.remove(&key);
        }
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sessions({})", self.len())
    }
}

/// What one conversation remembers, and what it found again.
pub(super) struct Memory {
    sessions: Arc<Sessions>,
    tunnel: u8,
    inner: Mutex<OfOne>,
}

#[derive(Default)]
struct OfOne {
    waiting: Vec<(Vec<u8>, Zeroizing<Vec<u8>>)>,
    found: Option<(Vec<u8>, Bearer)>,
}

impl Memory {
    pub(super) fn new(sessions: Arc<Sessions>, tunnel: u8) -> Self {
        Self { sessions, tunnel, inner: Mutex::default() }
    }

    /// Who resumes, where TLS says that it resumed.
    pub(super) fn bearer(&self) -> Option<Bearer> {
        self.lock().found.as_ref().map(|(_, bearer)| bearer.clone())
    }

    /// The claim made inside was accepted: keeps what waits for it.
    pub(super) fn keep(&self, name: &[u8], mark: Mark) {
        let mut inner = self.lock();
        let since = match &inner.found {
            Some((_, bearer)) if bearer.name.as_ref() == name && bearer.mark == mark => bearer.since,
            Some(_) | None => self.sessions.lock().now,
        };
        let bearer = Bearer { tunnel: self.tunnel, name: name.into(), mark, since };
        for (key, value) in inner.waiting.drain(..) {
            self.sessions.keep(key, value, bearer.clone());
        }
    }

    /// The bearer was refused: what was found is worth nothing any more.
    pub(super) fn forget(&self) {
        let mut inner = self.lock();
        inner.waiting.clear();
        if let Some((key, _)) = inner.found.take() {
            self.sessions.remove(&key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, OfOne> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, key: &[u8]) -> Option<Vec<u8>> {
        let kept = self.sessions.find(key, self.tunnel)?;
        self.lock().found = Some((key.to_vec(), kept.bearer));
        Some(kept.value.to_vec())
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory(…)")
    }
}

impl StoresServerSessions for Memory {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let mut inner = self.lock();
        if inner.waiting.len() >= MOST_WAITING {
            return false;
        }
        inner.waiting.push((key, Zeroizing::new(value)));
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.find(key)
    }

    /// A ticket of TLS 1.3 is good once.
    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let found = self.find(key);
        self.sessions.remove(key);
        found
    }

    fn can_cache(&self) -> bool {
        true
    }
}

/// Sessions remembered; each takes about a kibibyte.
const MOST_SESSIONS: usize = 20_000;
/// TLS keeps one session, or one ticket, of a connection.
const MOST_WAITING: usize = 4;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant can only be had from the clock")]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const PEAP: u8 = 25;

    fn of(sessions: &Arc<Sessions>, tunnel: u8) -> Memory {
        Memory::new(Arc::clone(sessions), tunnel)
    }

    #[test]
    fn cve_2017_9148_a_session_is_found_again_only_after_the_claim_inside_was_accepted() {
        let sessions = Sessions::new(HOUR, Instant::now());
        let first = of(&sessions, PEAP);
        assert!(first.put(vec![1], vec![9]));
        assert_eq!(of(&sessions, PEAP).get(&[1]), None);
        drop(first);
        assert!(sessions.is_empty());
        let second = of(&sessions, PEAP);
        assert!(second.put(vec![1], vec![9]));
        second.keep(b"ada", [7; 16]);
        let third = of(&sessions, PEAP);
        assert_eq!(third.get(&[1]), Some(vec![9]));
        let bearer = third.bearer().unwrap();
        assert_eq!((bearer.name.as_ref(), bearer.mark), (&b"ada"[..], [7; 16]));
    }

    #[test]
    fn a_session_is_good_for_its_kind_of_tunnel_only_and_a_ticket_once() {
        let sessions = Sessions::new(HOUR, Instant::now());
        let first = of(&sessions, PEAP);
        first.put(vec![1], vec![9]);
        first.keep(b"ada", [7; 16]);
        let other = of(&sessions, 21);
        assert_eq!(other.get(&[1]), None);
        assert_eq!(other.bearer(), None);
        assert_eq!(of(&sessions, PEAP).take(&[1]), Some(vec![9]));
        assert_eq!(of(&sessions, PEAP).take(&[1]), None);
    }

    #[test]
    fn resuming_makes_no_session_younger_and_an_old_one_is_forgotten() {
        let start = Instant::now();
        let sessions = Sessions::new(HOUR, start);
        let first = of(&sessions, PEAP);
        first.put(vec![1], vec![9]);
        first.keep(b"ada", [7; 16]);
        sessions.tick(start + HOUR / 2);
        let second = of(&sessions, PEAP);
        assert!(second.take(&[1]).is_some());
        second.put(vec![2], vec![9]);
        second.keep(b"ada", [7; 16]);
        assert_eq!(of(&sessions, PEAP).get(&[2]), Some(vec![9]));
        sessions.tick(start + HOUR);
        assert_eq!(of(&sessions, PEAP).get(&[2]), None);
        assert!(sessions.is_empty());
    }

    #[test]
    fn who_is_refused_at_resumption_has_no_session_any_more() {
        let sessions = Sessions::new(HOUR, Instant::now());
        let first = of(&sessions, PEAP);
        first.put(vec![1], vec![9]);
        first.keep(b"ada", [7; 16]);
        let second = of(&sessions, PEAP);
        assert!(second.get(&[1]).is_some());
        second.forget();
        assert_eq!(of(&sessions, PEAP).get(&[1]), None);
    }

    #[test]
    fn the_memory_is_bounded_and_the_oldest_goes_first() {
        let sessions = Sessions::new(HOUR, Instant::now());
        for number in 0..=20_000_u32 {
            let one = of(&sessions, PEAP);
            one.put(number.to_be_bytes().to_vec(), vec![9]);
            one.keep(b"ada", [7; 16]);
        }
        assert_eq!(sessions.len(), 20_000);
        assert_eq!(of(&sessions, PEAP).get(&0_u32.to_be_bytes()), None);
        assert!(of(&sessions, PEAP).get(&20_000_u32.to_be_bytes()).is_some());
    }
}
