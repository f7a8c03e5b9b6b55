//! What sends a message of one channel, and what it can answer.

use super::sms::Sms;
use super::smtp::Smtp;
use crate::domain::message::{Channel, Delivery, Message};

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
    /// It was handed over and no answer came: it may have been taken.
    #[error("no answer came, so it may have been sent: {0}")]
    Unsure(String),
    /// Nobody can be reached, all are busy, or we are not let in; another message would fare no better.
    #[error("nothing is taken: {0}")]
    Away(String),
}

/// What sends the messages of one channel.
#[derive(Debug, Clone)]
pub enum Carrier {
    /// A mail server.
    Mail(Smtp),
    /// A carrier of SMS.
    Sms(Sms),
}

impl Carrier {
    /// By which channel it sends.
    #[must_use]
    pub const fn channel(&self) -> Channel {
        match self {
            Self::Mail(_) => Channel::Mail,
            Self::Sms(_) => Channel::Sms,
        }
    }

    /// Hands one message over.
    ///
    /// # Errors
    /// [`Untaken`].
    pub async fn send(&self, message: &Message, text: &str) -> Result<Taken, Untaken> {
        match self {
            Self::Mail(server) => server.send(message, text).await.map(|()| Taken::default()),
            Self::Sms(carrier) => carrier.send(message, text).await,
        }
    }

    /// Asks what became of a message that was taken; `None` where nobody can be asked.
    ///
    /// # Errors
    /// [`Untaken`].
    pub async fn ask(&self, carrier_id: &str) -> Result<Option<Delivery>, Untaken> {
        match self {
            Self::Mail(_) => Ok(None),
            Self::Sms(carrier) => carrier.ask(carrier_id).await,
        }
    }

    /// The settings by which it sends, secrets too: what a proof is for.
    pub(super) fn settings(&self) -> &crate::base::secret::Secret {
        match self {
            Self::Mail(server) => server.settings(),
            Self::Sms(carrier) => carrier.settings(),
        }
    }
}
