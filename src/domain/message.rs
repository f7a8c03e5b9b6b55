//! Messages to people, as they wait to be sent. What a message says is decided where it is made, in the
//! unit of the change that it is about, so that no change is without its message and none is sent for
//! a change that did not happen.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::MessageId;
use super::text::Email;

/// One mail to one person.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Identity; its Message-ID too, so that a server that got it twice can see that.
    pub id: MessageId,
    /// To whom.
    pub to: Email,
    /// Subject line.
    pub subject: String,
    /// The text, sealed with the box's key: it may hold a code.
    pub sealed_text: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When to try next; `None` once it was sent or given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<Timestamp>,
    /// After this it is of no use any more.
    pub useful_until: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// When a server took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// Why it could not be sent, last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Message({}, {} tries)", self.id, self.tries)
    }
}
