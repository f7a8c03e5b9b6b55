//! Rows that wait, tries, and when to give up.
//!
//! The one rule: a row is changed only after the server answered, so that a message may be sent twice (under
//! one Message-ID) and is never lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::letter::Letter;
use super::smtp::{Smtp, SmtpError};
use crate::base::backoff::Backoff;
use crate::base::entropy::{Entropy, EntropyError};
use crate::base::jobs::Activator;
use crate::base::secret::Secret;
use crate::domain::ids::MessageId;
use crate::domain::message::Message;
use crate::store::Store;
use crate::store::contract::{CommitError, IndexValue, Page, Range, ReadError, Record, Unit};
use crate::store::tables::Messages;
use crate::store::vault::{SealedSecret, Vault, VaultError};

/// Messages to people; cheap to clone.
#[derive(Debug, Clone)]
pub struct Post(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    store: Store,
    vault: Vault,
    entropy: Entropy,
    server: Option<Smtp>,
    wake: Activator,
    /// One run at a time, whoever asks: so a message has at most one send under way.
    running: tokio::sync::Mutex<()>,
    /// Times in a row that the server was away.
    away: AtomicU32,
    /// Messages in a row that were not taken at their first try, and none taken since.
    refused: AtomicU32,
}

/// What one run came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// Messages that the server took.
    pub sent: usize,
    /// Messages that are tried again later.
    pub postponed: usize,
    /// Messages that were given up.
    pub given_up: usize,
    /// Times in a row that the server did not take anything, up to now.
    pub away: u32,
    /// Messages in a row that it refused at their first try, and took none since, up to now.
    pub refused: u32,
    /// What was wrong, last.
    pub fault: Option<String>,
    /// When the next one is due.
    pub next_due: Option<Timestamp>,
}

/// Why a message was not written down, or the queue not worked on: ours.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The box's key.
    #[error("the message could not be sealed")]
    Vault(#[from] VaultError),
    /// No randomness.
    #[error("no random bytes for a message's id")]
    Entropy(#[from] EntropyError),
    /// The store could not read.
    #[error("the messages that wait could not be read")]
    Read(#[from] ReadError),
    /// The store could not commit.
    #[error("the store did not take a message")]
    Commit(#[from] CommitError),
}

impl Post {
    /// A queue over a store; without a server, messages wait until they are of no use.
    #[must_use]
    pub fn new(store: Store, vault: Vault, entropy: Entropy, server: Option<Smtp>) -> Self {
        let (wake, running) = (Activator::new(), tokio::sync::Mutex::new(()));
        let (away, refused) = (AtomicU32::new(0), AtomicU32::new(0));
        Self(Arc::new(Parts { store, vault, entropy, server, wake, running, away, refused }))
    }

    /// Whether there is a server to send by.
    #[must_use]
    pub fn has_server(&self) -> bool {
        self.0.server.is_some()
    }

    /// What wakes the job that sends.
    #[must_use]
    pub fn activator(&self) -> Activator {
        self.0.wake.clone()
    }

    /// Has what was committed be sent at once.
    pub fn wake(&self) {
        self.0.wake.pull();
    }

    /// Adds a message to the unit of the change that it is about.
    ///
    /// # Errors
    /// [`NotifyError`].
    pub fn queue_in(&self, unit: Unit, letter: &Letter, now: Timestamp) -> Result<Unit, NotifyError> {
        let id = MessageId(self.0.entropy.uuid_v7(now)?);
        let sealed = self.0.vault.seal(&self.0.entropy, &context(id), &Secret::from_text(&letter.text))?;
        let message = Message {
            id,
            to: letter.to.clone(),
            subject: letter.subject.clone(),
            sealed_text: sealed.into(),
            created_at: now,
            next_try_at: Some(now),
            useful_until: letter.useful_until,
            tries: 0,
            sent_at: None,
            fault: None,
        };
        Ok(unit.create::<Messages>(&id, &message)?)
    }

    /// Sends what is due, the oldest first, at most [`BATCH`]; stops at the first sign that the server is
    /// away, since the others would wait for the same.
    ///
    /// # Errors
    /// When the queue cannot be read; what was sent before stands.
    pub async fn send_due(&self, now: Timestamp) -> Result<Sent, NotifyError> {
        let _one_at_a_time = self.0.running.lock().await;
        let mut run = Sent::default();
        for record in self.waiting(now.as_millisecond(), BATCH).await? {
            if self.send_one(record, now, &mut run).await? == Server::Away {
                break;
            }
        }
        run.away = self.0.away.load(Ordering::Relaxed);
        run.refused = self.0.refused.load(Ordering::Relaxed);
        let next = self.waiting(i64::MAX, 1).await?;
        run.next_due = next.first().and_then(|record| record.body.next_try_at);
        Ok(run)
    }

    async fn waiting(&self, until_millis: i64, most: usize) -> Result<Vec<Record<Messages>>, ReadError> {
        let (from, to) = (IndexValue::Integer(i64::MIN), IndexValue::Integer(until_millis));
        let range = Range::Between("next_try_at", from, to);
        Ok(self.0.store.scan::<Messages>(range, Page::first(most)).await?.records)
    }

    async fn send_one(
        &self,
        record: Record<Messages>,
        now: Timestamp,
        run: &mut Sent,
    ) -> Result<Server, NotifyError> {
        let message = &record.body;
        if now >= message.useful_until {
            let fault = message.fault.clone().unwrap_or_else(|| "not sent in time".to_owned());
            self.settle(&record, given_up(message, fault), run).await?;
            return Ok(Server::There);
        }
        let sent = match (&self.0.server, self.text(message)) {
            (_, Err(error)) => Err(SmtpError::Message(error.to_string())),
            (None, Ok(_)) => Err(SmtpError::Away("no mail server is configured".to_owned())),
            (Some(server), Ok(text)) => server.send(message, text.expose_text().unwrap_or_default()).await,
        };
        let (server, after) = match sent {
            Ok(()) => {
                self.0.refused.store(0, Ordering::Relaxed);
                (Server::There, taken(message, now))
            }
            Err(SmtpError::Away(fault)) => (Server::Away, self.postponed(message, fault, now)?),
            Err(SmtpError::Later(fault)) => {
                self.count_refused(message);
                (Server::There, self.postponed(message, fault, now)?)
            }
            Err(SmtpError::Refused(fault)) if message.tries.saturating_add(1) < MOST_REFUSALS => {
                self.count_refused(message);
                (Server::There, self.postponed(message, fault, now)?)
            }
            Err(error) => (Server::There, given_up(message, error.to_string())),
        };
        match server {
            Server::There => self.0.away.store(0, Ordering::Relaxed),
            Server::Away => {
                self.0.away.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.settle(&record, after, run).await?;
        Ok(server)
    }

    /// Once a message: one that nobody takes is no sign that none is taken.
    fn count_refused(&self, message: &Message) {
        if message.tries == 0 {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn text(&self, message: &Message) -> Result<Secret, VaultError> {
        self.0.vault.unseal(&context(message.id), &SealedSecret::parse(&message.sealed_text)?)
    }

    fn postponed(&self, message: &Message, fault: String, now: Timestamp) -> Result<Message, NotifyError> {
        let tries = message.tries.saturating_add(1);
        let random = u32::from_le_bytes(self.0.entropy.bytes()?);
        let wait =
            Backoff::new(FIRST_WAIT, LONGEST_WAIT).map_or(LONGEST_WAIT, |back| back.delay(tries, random));
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::ZERO);
        let next = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        // Looked at once more when its time is over, to be given up.
        let next = next.min(message.useful_until);
        Ok(Message { tries, next_try_at: Some(next), fault: Some(fault), ..message.clone() })
    }

    /// Writes down what became of a message. Only this queue changes it, one run at a time.
    async fn settle(
        &self,
        record: &Record<Messages>,
        after: Message,
        run: &mut Sent,
    ) -> Result<(), NotifyError> {
        let count = match (after.sent_at, after.next_try_at) {
            (Some(_), _) => &mut run.sent,
            (None, Some(_)) => &mut run.postponed,
            (None, None) => &mut run.given_up,
        };
        *count = count.saturating_add(1);
        run.fault = after.fault.clone().or_else(|| run.fault.take());
        let unit = Unit::natural().replace::<Messages>(&after.id, record.version, &after)?;
        self.0.store.commit(unit).await?;
        Ok(())
    }
}

/// Whether the server answered about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    There,
    Away,
}

/// The text goes: it may hold a code, and nobody needs it any more.
fn taken(message: &Message, now: Timestamp) -> Message {
    Message {
        tries: message.tries.saturating_add(1),
        sent_at: Some(now),
        next_try_at: None,
        fault: None,
        sealed_text: String::new(),
        ..message.clone()
    }
}

fn given_up(message: &Message, fault: String) -> Message {
    Message {
        tries: message.tries.saturating_add(1),
        next_try_at: None,
        fault: Some(fault),
        sealed_text: String::new(),
        ..message.clone()
    }
}

fn context(id: MessageId) -> String {
    format!("messages/{id}/text")
}

/// Messages a run: some seconds of work; the next run is due at once while more wait.
pub const BATCH: usize = 50;
/// The first wait after a failed try: somebody is waiting for the code.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest wait between tries.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// Refusals of one message before it is given up: some servers refuse strangers at first.
const MOST_REFUSALS: u32 = 3;
