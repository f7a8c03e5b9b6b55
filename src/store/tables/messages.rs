//! Messages to people, and what sending them came to.

use serde::{Deserialize, Serialize};

use crate::domain::ids::MessageId;
use crate::domain::message::{self, Message};
use crate::store::Registration;
use crate::store::contract::{Collection, CollectionSpec, IndexSpec, IndexValue, SealKind};

/// Messages, waiting and sent.
#[derive(Debug, Clone, Copy)]
pub struct Messages;

// Written out, since its first shape is still in stores: then every message was a mail.
impl Collection for Messages {
    const SPEC: &'static CollectionSpec = &CollectionSpec {
        name: "messages",
        schema: 2,
        indexes: &[
            IndexSpec { name: "place", unique: false },
            IndexSpec { name: "recipient", unique: false },
            IndexSpec { name: "subscriber_id", unique: false },
            IndexSpec { name: "stage", unique: false },
            IndexSpec { name: "look_at", unique: false },
            IndexSpec { name: "created_at", unique: false },
        ],
        counters: &[],
        seal: SealKind::Keyed,
    };
    type Key = MessageId;
    type Body = Message;

    fn index(message: &Message) -> Vec<IndexValue> {
        vec![
            message.place().into(),
            message.to.as_str().into(),
            message.subscriber_id.map(|id| id.to_string()).into(),
            message.stage().name().into(),
            message.look_at.map(jiff::Timestamp::as_millisecond).into(),
            message.created_at.as_millisecond().into(),
        ]
    }

    fn upgrade(from: u16, body: serde_json::Value) -> Result<serde_json::Value, String> {
        match from {
            1 => message::from_mail_only(body),
            _ => Ok(body),
        }
    }
}

/// What was sent on one day of the site's calendar.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmsDay {
    /// Parts that carriers took.
    pub segments: u32,
    /// Messages that carriers took.
    pub messages: u32,
}

collection! {
    /// SMS by day; key `YYYY-MM-DD`.
    SmsDays: "sms_days", String => SmsDay, schema 1, Keyed, counters &[], []
}

/// The collections of this file.
pub(super) fn all() -> Vec<Registration> {
    vec![Registration::of::<Messages>(), Registration::of::<SmsDays>()]
}
