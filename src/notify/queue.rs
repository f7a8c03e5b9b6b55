//! Rows that wait: how a message is written down, and what the queue is built from.
//!
//! Sending is in [`super::send`].

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use jiff::Timestamp;

use super::carrier::Carrier;
use super::letter::{Addressee, Letter, Writer};
use super::news::News;
use super::quiet::QuietHours;
use crate::base::entropy::{Entropy, EntropyError};
use crate::base::jobs::Activator;
use crate::base::secret::Secret;
use crate::domain::ids::MessageId;
use crate::domain::message::{Channel, Kind, Message, Priority};
use crate::store::Store;
use crate::store::contract::{CommitError, ReadError, Unit};
use crate::store::tables::Messages;
use crate::store::vault::{SealedSecret, Vault, VaultError};

/// Messages to people; cheap to clone.
#[derive(Debug, Clone)]
pub struct Post(pub(super) Arc<Parts>);

/// What the queue is built from.
#[derive(Debug)]
pub struct PostParts {
    /// The store.
    pub store: Store,
    /// Seals texts.
    pub vault: Vault,
    /// For ids and codes.
    pub entropy: Entropy,
    /// Writes letters.
    pub writer: Writer,
    /// When and how much.
    pub rules: Rules,
    /// What sends; a channel without one has its messages wait until they are of no use.
    pub carriers: Vec<Carrier>,
}

/// When messages go, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Which channel is asked first.
    pub order: Vec<Channel>,
    /// When nobody is written to but about what they wait for.
    pub quiet: Option<QuietHours>,
    /// Parts of SMS a day of the site's calendar, at most.
    pub sms_per_day: u32,
}

#[derive(Debug)]
pub(super) struct Parts {
    pub(super) store: Store,
    pub(super) vault: Vault,
    pub(super) entropy: Entropy,
    pub(super) writer: Writer,
    pub(super) rules: Rules,
    mail: Lane,
    sms: Lane,
}

/// What sending by one channel has to itself: one that is ill holds no other up.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) carrier: Option<Carrier>,
    pub(super) wake: Activator,
    /// One run at a time, whoever asks: so a message has at most one send under way.
    pub(super) running: tokio::sync::Mutex<()>,
    /// Times in a row that nobody was there.
    pub(super) away: AtomicU32,
    /// Messages in a row that were not taken at their first try, and none taken since.
    pub(super) refused: AtomicU32,
}

impl Lane {
    fn new(carrier: Option<Carrier>) -> Self {
        let (wake, running) = (Activator::new(), tokio::sync::Mutex::new(()));
        Self { carrier, wake, running, away: AtomicU32::new(0), refused: AtomicU32::new(0) }
    }
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
    /// A queue over a store.
    #[must_use]
    pub fn new(parts: PostParts) -> Self {
        let PostParts { store, vault, entropy, writer, rules, carriers } = parts;
        let find = |channel: Channel| carriers.iter().find(|one| one.channel() == channel).cloned();
        let (mail, sms) = (Lane::new(find(Channel::Mail)), Lane::new(find(Channel::Sms)));
        Self(Arc::new(Parts { store, vault, entropy, writer, rules, mail, sms }))
    }

    /// Whether there is a mail server to send by.
    #[must_use]
    pub fn has_server(&self) -> bool {
        self.has(Channel::Mail)
    }

    /// Whether there is something to send by on that channel.
    #[must_use]
    pub fn has(&self, channel: Channel) -> bool {
        self.lane(channel).carrier.is_some()
    }

    /// What wakes the job that sends by that channel.
    #[must_use]
    pub fn activator(&self, channel: Channel) -> Activator {
        self.lane(channel).wake.clone()
    }

    /// Has what was committed be sent at once.
    pub fn wake(&self) {
        for channel in Channel::ALL {
            self.lane(channel).wake.pull();
        }
    }

    /// News as a letter, in the reader's language.
    #[must_use]
    pub fn write(&self, to: &Addressee, news: &News, now: Timestamp) -> Letter {
        self.0.writer.write(to, news, now)
    }

    /// Adds a message to the unit of the change that it is about.
    ///
    /// # Errors
    /// [`NotifyError`].
    pub fn queue_in(&self, unit: Unit, letter: &Letter, now: Timestamp) -> Result<Unit, NotifyError> {
        let message = self.message(letter, now)?;
        Ok(unit.create::<Messages>(&message.id, &message)?)
    }

    /// A letter as the row that waits.
    pub(super) fn message(&self, letter: &Letter, now: Timestamp) -> Result<Message, NotifyError> {
        let id = MessageId(self.0.entropy.uuid_v7(now)?);
        let sealed = self.0.vault.seal(&self.0.entropy, &context(id), &Secret::from_text(&letter.text))?;
        Ok(Message {
            id,
            kind: letter.kind,
            to: letter.to.clone(),
            subscriber_id: letter.subscriber_id,
            language: letter.language.clone(),
            subject: letter.subject.clone(),
            sealed_text: sealed.into(),
            segments: letter.segments,
            created_at: now,
            next_try_at: Some(self.quiet_until(letter.kind, now).unwrap_or(now)),
            useful_until: letter.useful_until,
            tries: 0,
            sent_at: None,
            fault: None,
            unsure: 0,
            carrier_id: None,
            delivery: None,
            look_at: None,
            looks: 0,
            repeats: None,
        })
    }

    /// Until when a message of that kind has to wait for the end of the quiet hours.
    pub(super) fn quiet_until(&self, kind: Kind, now: Timestamp) -> Option<Timestamp> {
        match kind.priority() {
            Priority::Now => None,
            Priority::ByDay => self.0.rules.quiet?.end(now, &self.0.writer.site().zone),
        }
    }

    pub(super) fn text(&self, message: &Message) -> Result<Secret, VaultError> {
        self.0.vault.unseal(&context(message.id), &SealedSecret::parse(&message.sealed_text)?)
    }

    pub(super) fn lane(&self, channel: Channel) -> &Lane {
        match channel {
            Channel::Mail => &self.0.mail,
            Channel::Sms => &self.0.sms,
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// Writes letters, for whoever shows which languages there are.
    #[must_use]
    pub fn writer(&self) -> &Writer {
        &self.0.writer
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self { order: Channel::ALL.to_vec(), quiet: None, sms_per_day: DEFAULT_SMS_PER_DAY }
    }
}

fn context(id: MessageId) -> String {
    format!("messages/{id}/text")
}

/// What a site of some thousand subscribers sends on its busiest day, and what a mistake may cost at most.
pub const DEFAULT_SMS_PER_DAY: u32 = 2_000;
