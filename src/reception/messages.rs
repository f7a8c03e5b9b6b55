//! What staff do about messages: see what was sent, send it again, prove a channel.
//!
//! Writing and sending is `notify`'s; here each deed gets its audit entry.

use jiff::Timestamp;
use serde_json::json;

use super::Reception;
use crate::catalogue::audit::{self, Deed};
use crate::catalogue::fault::Fault;
use crate::domain::audit::Actor;
use crate::domain::ids::MessageId;
use crate::domain::language::Language;
use crate::domain::message::{Channel, Message, Recipient};
use crate::store::contract::ReadError;
use crate::store::draft::Draft;
use crate::store::listing::{Listed, Window};

pub use crate::notify::log::{MessageFilter, NotAgain};
pub use crate::notify::{ChannelState, Confirmation, NotifyError, ProofError};

/// Why nothing was done about a message or a channel.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// It is not sent again.
    #[error(transparent)]
    NotAgain(#[from] NotAgain),
    /// The channel is not tested or proven.
    #[error(transparent)]
    Channel(#[from] ProofError),
    /// The audit entry: ours.
    #[error(transparent)]
    Audit(#[from] Fault),
}

impl Reception {
    /// Messages, the newest first.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn messages(
        &self,
        filter: &MessageFilter,
        window: Window,
    ) -> Result<Listed<Message>, ReadError> {
        self.0.post.messages(filter, window).await
    }

    /// One message.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn message(&self, id: MessageId) -> Result<Option<Message>, ReadError> {
        self.0.post.one(id).await
    }

    /// Sends a message again, as another one.
    ///
    /// # Errors
    /// [`MessageError`].
    pub async fn send_again(
        &self,
        actor: &Actor,
        id: MessageId,
        now: Timestamp,
    ) -> Result<Draft<Message>, MessageError> {
        let Draft { unit, value } = self.0.post.again(id, now).await?;
        let after = json!({ "repeats": id, "kind": value.kind.name(), "channel": value.to.channel().name() });
        let deed = Deed::made("message.resend", value.id, after);
        Ok(Draft::new(audit::record(unit, &self.0.entropy, actor, deed, now)?, value))
    }

    /// What is known about every channel.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn channels(&self, now: Timestamp) -> Result<Vec<ChannelState>, ReadError> {
        self.0.post.channels(now).await
    }

    /// The languages that there are words in, and the site's own.
    #[must_use]
    pub fn languages(&self) -> (Vec<Language>, Language) {
        let writer = self.0.post.writer();
        (writer.languages().cloned().collect(), writer.site().language.clone())
    }

    /// Sends a code by a channel.
    ///
    /// # Errors
    /// [`MessageError`].
    pub async fn test_channel(
        &self,
        actor: &Actor,
        channel: Channel,
        to: (Recipient, Option<Language>),
        now: Timestamp,
    ) -> Result<Draft<Timestamp>, MessageError> {
        let masked = to.0.masked();
        let Draft { unit, value } = self.0.post.test(channel, to, now).await?;
        let deed = Deed::made("channel.test", channel.name(), json!({ "to": masked }));
        Ok(Draft::new(audit::record(unit, &self.0.entropy, actor, deed, now)?, value))
    }

    /// Takes the code that came out of a channel. Commit the draft whatever it says.
    ///
    /// # Errors
    /// [`MessageError`].
    pub async fn confirm_channel(
        &self,
        actor: &Actor,
        channel: Channel,
        code: &str,
        now: Timestamp,
    ) -> Result<Draft<Confirmation>, MessageError> {
        let Draft { unit, value } = self.0.post.confirm(channel, code, &actor.id, now).await?;
        let unit = match value {
            Confirmation::Proven => {
                let deed = Deed::made("channel.prove", channel.name(), json!({ "proven": true }));
                audit::record(unit, &self.0.entropy, actor, deed, now)?
            }
            Confirmation::Wrong | Confirmation::Lapsed => unit,
        };
        Ok(Draft::new(unit, value))
    }

    /// Has what waits be sent at once.
    pub fn send_now(&self) {
        self.0.post.wake();
    }
}
