//! What sends a message of one channel, and what it can answer.

use super::smtp::Smtp;
use crate::domain::message::{Channel, Message};

/// What a server or carrier said when it took a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// What it calls the message, where it says so.
    pub carrier_id: Option<String>,
    /// Whether it can be asked later what became of it.
    pub can_be_asked: bool,
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untaken {
    /// The message cannot be sent to anybody as it is.
    #[error("the message cannot be sent: {0}")]
    Message(String),
    /// This message was refused, and will be again.
    #[error("the message was refused: {0}")]
    Refused(String),
    /// This message is not taken now; it may be later, and others may fare better.
    #[error("the message is not taken yet: {0}")]
    Later(String),
    /// Nobody can be reached, all are busy, or we are not let in; another message would fare no better.
    #[error("nothing is taken: {0}")]
    Away(String),
}

/// What sends the messages of one channel.
#[derive(Debug, Clone)]
pub enum Carrier {
    /// A mail server.
    Mail(Smtp),
}

impl Carrier {
    /// By which channel it sends.
    #[must_use]
    pub const fn channel(&self) -> Channel {
        match self {
            Self::Mail(_) => Channel::Mail,
        }
    }

    /// Hands one message over.
    ///
    /// # Errors
    /// [`Untaken`].
    pub async fn send(&self, message: &Message, text: &str) -> Result<Taken, Untaken> {
        match self {
            Self::Mail(server) => server.send(message, text).await.map(|()| Taken::default()),
        }
    }

    /// The settings by which it sends, secrets too: what a proof is for.
    pub(super) fn settings(&self) -> &crate::base::secret::Secret {
        match self {
            Self::Mail(server) => server.settings(),
        }
    }
}
