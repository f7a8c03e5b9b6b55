//! Passwords of people: argon2id in a bounded pool of threads, and which passwords are refused.
//!
//! Checking is slow by design, so it never runs on a runtime's threads and never without bound: at
//! most one check a core, at most [`QUEUE`] waiting. The one rule: an account that does not exist
//! costs the same time as a wrong password. What comes by HTTP, where strangers ask, may hold a
//! quarter of the queue at most, so that RADIUS always finds room.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::base::entropy::{Entropy, EntropyError};
use crate::base::secret::Secret;

/// The pool; cheap to clone. Its threads end when the last clone is dropped.
#[derive(Clone)]
pub struct Passwords {
    queue: SyncSender<Queued>,
    entropy: Entropy,
    /// The verifier of no password, at our cost: what unknown accounts are checked against.
    nobody: Arc<str>,
    /// What clones for HTTP may hold of the queue, together.
    share: Arc<Semaphore>,
    /// Whether this clone is one of those.
    is_shared: bool,
}

/// What one check costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// Why a password was not worked on.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many are waiting: the peer may ask again.
    #[error("too many passwords are being checked")]
    Busy,
    /// Parameters or a stored verifier are wrong: our fault.
    #[error("argon2 refused its input")]
    Argon2,
    /// The pool has ended.
    #[error("the password threads have ended")]
    Ended,
    /// No thread could be started.
    #[error("a password thread could not be started")]
    Thread(#[source] std::io::Error),
    /// No salt.
    #[error("no random bytes for a salt")]
    Entropy(#[from] EntropyError),
}

/// Why a password is refused; the sentence is a field error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// Too short.
    #[error("must have at least {MIN_LENGTH} characters")]
    TooShort,
    /// Too long.
    #[error("must not have more than {MAX_LENGTH} characters")]
    TooLong,
    /// One of those that are tried first.
    #[error("is one of the most common passwords; choose another")]
    Common,
    /// The account's own e-mail address or its first part.
    #[error("must not be your e-mail address")]
    OwnName,
}

enum Job {
    Hash { password: Secret, salt: [u8; SALT_OCTETS], answer: oneshot::Sender<Result<String, PasswordError>> },
    Verify { password: Secret, verifier: Arc<str>, answer: oneshot::Sender<Result<bool, PasswordError>> },
}

/// A job with its part of HTTP's share, which it gives back when it is done, whoever still waits for it.
struct Queued {
    job: Job,
    _part: Option<OwnedSemaphorePermit>,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords(…)")
    }
}

impl Passwords {
    /// A pool of `threads` threads, each with up to the cost's memory at work.
    ///
    /// # Errors
    /// When a thread cannot be started or the cost is impossible.
    pub fn start(cost: Cost, threads: usize, queue: usize, entropy: Entropy) -> Result<Self, PasswordError> {
        let params =
            Params::new(cost.memory_kib, cost.passes, cost.lanes, None).map_err(|_| PasswordError::Argon2)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = hash(&argon2, &entropy.bytes::<32>()?, &entropy.bytes::<SALT_OCTETS>()?)?;
        let share = Arc::new(Semaphore::new((queue / HTTP_PART).max(1)));
        let (queue, jobs) = sync_channel(queue);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..threads.max(1) {
            let (jobs, argon2) = (Arc::clone(&jobs), argon2.clone());
            std::thread::Builder::new()
                .name(format!("password-{number}"))
                .spawn(move || work(&jobs, &argon2))
                .map_err(PasswordError::Thread)?;
        }
        Ok(Self { queue, entropy, nobody: nobody.into(), share, is_shared: false })
    }

    /// The same pool for what comes by HTTP: all such clones together hold a quarter of the queue at most.
    #[must_use]
    pub fn for_http(self) -> Self {
        Self { is_shared: true, ..self }
    }

    /// The verifier (PHC string) of a password.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn hash(&self, password: Secret) -> Result<String, PasswordError> {
        let salt = self.entropy.bytes()?;
        let (answer, hashed) = oneshot::channel();
        self.submit(Job::Hash { password, salt, answer })?;
        hashed.await.map_err(|_| PasswordError::Ended)?
    }

    /// Whether a password fits a verifier. Without one it takes as long, and does not.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn verify(&self, password: Secret, verifier: Option<&str>) -> Result<bool, PasswordError> {
        let known = verifier.is_some();
        let verifier = verifier.map_or_else(|| Arc::clone(&self.nobody), Arc::from);
        let (answer, verified) = oneshot::channel();
        self.submit(Job::Verify { password, verifier, answer })?;
        Ok(verified.await.map_err(|_| PasswordError::Ended)?? && known)
    }

    fn submit(&self, job: Job) -> Result<(), PasswordError> {
        let part = match self.is_shared {
            true => Some(Arc::clone(&self.share).try_acquire_owned().map_err(|_| PasswordError::Busy)?),
            false => None,
        };
        self.queue.try_send(Queued { job, _part: part }).map_err(|error| match error {
            TrySendError::Full(_) => PasswordError::Busy,
            TrySendError::Disconnected(_) => PasswordError::Ended,
        })
    }
}

/// Whether a person may have this password.
///
/// # Errors
/// [`WeakPassword`].
pub fn check_strength(password: &str, email: &str) -> Result<(), WeakPassword> {
    let length = password.chars().count();
    let lower = password.to_lowercase();
    let local = email.split('@').next().unwrap_or_default();
    if length < MIN_LENGTH {
        Err(WeakPassword::TooShort)
    } else if length > MAX_LENGTH {
        Err(WeakPassword::TooLong)
    } else if COMMON.lines().any(|common| common == lower) || is_monotonous(password) {
        Err(WeakPassword::Common)
    } else if lower == email.to_lowercase() || lower == local.to_lowercase() {
        Err(WeakPassword::OwnName)
    } else {
        Ok(())
    }
}

/// One symbol over and over.
fn is_monotonous(password: &str) -> bool {
    let mut symbols = password.chars();
    let first = symbols.next();
    symbols.all(|symbol| Some(symbol) == first)
}

fn work(jobs: &Mutex<Receiver<Queued>>, argon2: &Argon2<'_>) {
    loop {
        let queued = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Queued { job, _part }) = queued else { return };
        match job {
            // A peer that went away does not need its answer.
            Job::Hash { password, salt, answer } => {
                if !answer.is_closed() {
                    let _ = answer.send(hash(argon2, password.expose(), &salt));
                }
            }
            Job::Verify { password, verifier, answer } => {
                if !answer.is_closed() {
                    let _ = answer.send(verify(argon2, password.expose(), &verifier));
                }
            }
        }
    }
}

fn hash(argon2: &Argon2<'_>, password: &[u8], salt: &[u8]) -> Result<String, PasswordError> {
    let hashed = argon2.hash_password_with_salt(password, salt).map_err(|_| PasswordError::Argon2)?;
    Ok(hashed.to_string())
}

fn verify(argon2: &Argon2<'_>, password: &[u8], verifier: &str) -> Result<bool, PasswordError> {
    let verifier = PasswordHash::new(verifier).map_err(|_| PasswordError::Argon2)?;
    match argon2.verify_password(password, &verifier) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(_) => Err(PasswordError::Argon2),
    }
}

impl Cost {
    /// The floor of OWASP ASVS 5.0, appendix C: 46 MiB, one pass, one lane; about 50 ms of a core.
    pub const STANDARD: Self = Self { memory_kib: 46 * 1024, passes: 1, lanes: 1 };
}

/// Waiting checks: five seconds of work for two cores; who comes later is told to wait.
pub const QUEUE: usize = 256;
/// HTTP's part of the queue is one in this many: a flood of forms leaves RADIUS the other three.
const HTTP_PART: usize = 4;
/// Shortest password (OWASP ASVS 5.0, 6.2.1).
pub const MIN_LENGTH: usize = 8;
/// Longest password: bounds the work before argon2.
pub const MAX_LENGTH: usize = 128;
const SALT_OCTETS: usize = 16;
/// What guessers try first, in lower case and of a length that would pass, one a line.
const COMMON: &str = include_str!("common_passwords.txt");

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };

    #[tokio::test]
    async fn a_password_fits_its_own_verifier_only_and_nobody_has_none() {
        let pool = Passwords::start(CHEAP, 2, QUEUE, Entropy::seeded(1)).unwrap();
        let verifier = pool.hash(Secret::from_text("correct horse")).await.unwrap();
        assert!(verifier.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{verifier}");
        assert!(pool.verify(Secret::from_text("correct horse"), Some(&verifier)).await.unwrap());
        assert!(!pool.verify(Secret::from_text("wrong horse"), Some(&verifier)).await.unwrap());
        assert!(!pool.verify(Secret::from_text("correct horse"), None).await.unwrap());
        let broken = pool.verify(Secret::from_text("x"), Some("not a verifier")).await;
        assert!(matches!(broken, Err(PasswordError::Argon2)));
    }

    fn pool(queue: SyncSender<Queued>, share: usize) -> Passwords {
        let share = Arc::new(Semaphore::new(share));
        Passwords { queue, entropy: Entropy::seeded(1), nobody: "".into(), share, is_shared: false }
    }

    #[tokio::test]
    async fn what_comes_by_http_leaves_room_for_radius_also_when_its_askers_hang_up() {
        let (queue, jobs) = sync_channel(8);
        let pool = pool(queue, 2);
        let http = pool.clone().for_http();
        for _ in 0..2 {
            let asked = http.hash(Secret::from_text("a"));
            // Whoever asked goes away; the job stays in the queue, and so does its part of the share.
            assert!(tokio::time::timeout(std::time::Duration::ZERO, asked).await.is_err());
        }
        assert!(matches!(http.hash(Secret::from_text("b")).await, Err(PasswordError::Busy)));
        let radius = tokio::spawn(async move { pool.verify(Secret::from_text("c"), None).await });
        std::thread::spawn(move || {
            let params = Params::new(64, 1, 1, None).unwrap();
            work(&Mutex::new(jobs), &Argon2::new(Algorithm::Argon2id, Version::V0x13, params));
        });
        assert!(matches!(radius.await.unwrap(), Err(PasswordError::Argon2)), "its verifier is none");
        tokio::time::timeout(std::time::Duration::from_secs(30), http.hash(Secret::from_text("d")))
            .await
            .unwrap()
            .unwrap();
    }

    #[tokio::test]
    async fn a_full_queue_says_so_at_once() {
        let (queue, jobs) = sync_channel(1);
        let pool = pool(queue, 1);
        let waiting = tokio::spawn({
            let pool = pool.clone();
            async move { pool.hash(Secret::from_text("a")).await }
        });
        tokio::task::yield_now().await;
        assert!(matches!(pool.hash(Secret::from_text("b")).await, Err(PasswordError::Busy)));
        drop(jobs);
        assert!(matches!(waiting.await.unwrap(), Err(PasswordError::Ended)));
    }

    #[test]
    fn weak_passwords_are_refused_with_what_to_do() {
        let check = |password: &str| check_strength(password, "ada.obi@example.net");
        assert_eq!(check("short"), Err(WeakPassword::TooShort));
        assert_eq!(check(&"é".repeat(129)), Err(WeakPassword::TooLong));
        assert_eq!(check("Password1"), Err(WeakPassword::Common));
        assert_eq!(check("zzzzzzzzzz"), Err(WeakPassword::Common));
        assert_eq!(check("Ada.Obi@example.net"), Err(WeakPassword::OwnName));
        assert_eq!(check("éééééééa"), Ok(()));
    }

    #[test]
    fn the_list_of_common_passwords_holds_only_what_the_length_rule_lets_through() {
        for line in COMMON.lines() {
            assert!(line.chars().count() >= MIN_LENGTH && line == line.to_lowercase(), "{line}");
        }
    }
}
