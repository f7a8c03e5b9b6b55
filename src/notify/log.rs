//! What was sent to whom, and sending it again.

use jiff::Timestamp;

use super::letter::Letter;
use super::queue::{NotifyError, Post};
use crate::domain::ids::MessageId;
use crate::domain::message::{Channel, Kind, Message, Stage};
use crate::store::contract::{Range, ReadError, Unit};
use crate::store::draft::Draft;
use crate::store::listing::{self, Listed, Walk, Window};
use crate::store::tables::Messages;

/// Which messages to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// About this subscriber.
    pub subscriber: Option<String>,
    /// To exactly this address or number.
    pub recipient: Option<String>,
    /// That far.
    pub stage: Option<Stage>,
    /// By this channel.
    pub channel: Option<Channel>,
    /// About that.
    pub kind: Option<Kind>,
    /// Made not before.
    pub since: Option<Timestamp>,
}

/// Why a message is not sent again: the asker's to know, or ours.
#[derive(Debug, thiserror::Error)]
pub enum NotAgain {
    /// There is no such message.
    #[error("there is no such message")]
    NotFound,
    /// It waits still.
    #[error("the message waits and will be sent; it is not sent twice")]
    Waits,
    /// Its code is gone.
    #[error("the message held a code, which is not kept; have another one made where it came from")]
    Code,
    /// Ours.
    #[error(transparent)]
    Notify(#[from] NotifyError),
}

impl Post {
    /// Messages, the newest first.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn messages(
        &self,
        filter: &MessageFilter,
        window: Window,
    ) -> Result<Listed<Message>, ReadError> {
        let range = match (&filter.subscriber, &filter.recipient, filter.stage) {
            (Some(id), _, _) => Range::Equals("subscriber_id", id.as_str().into()),
            (None, Some(to), _) => Range::Equals("recipient", to.as_str().into()),
            (None, None, Some(stage)) => Range::Equals("stage", stage.name().into()),
            (None, None, None) => Range::All,
        };
        let all = MessageFilter::default();
        let within = match (&filter.subscriber, &filter.recipient, filter.stage) {
            (Some(id), _, _) => MessageFilter { subscriber: Some(id.clone()), ..all },
            (None, Some(to), _) => MessageFilter { recipient: Some(to.clone()), ..all },
            (None, None, stage) => MessageFilter { stage, ..all },
        };
        let walk = Walk::newest_first(range);
        let listed = if *filter == within {
            listing::window::<Messages>(self.store(), walk, window).await?
        } else {
            listing::list::<Messages>(self.store(), walk, window, |one| filter.fits(&one.body)).await?
        };
        Ok(listed.map(|one| one.body))
    }

    /// One message.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn one(&self, id: MessageId) -> Result<Option<Message>, ReadError> {
        Ok(self.store().get::<Messages>(&id).await?.map(|record| record.body))
    }

    /// A message as another one with the same text, to the same recipient.
    ///
    /// # Errors
    /// [`NotAgain`].
    pub async fn again(&self, id: MessageId, now: Timestamp) -> Result<Draft<Message>, NotAgain> {
        let before = self.one(id).await.map_err(NotifyError::from)?.ok_or(NotAgain::NotFound)?;
        if before.stage() == Stage::Waiting {
            return Err(NotAgain::Waits);
        }
        if before.kind.holds_a_code() || before.sealed_text.is_empty() {
            return Err(NotAgain::Code);
        }
        let text = self.text(&before).map_err(NotifyError::from)?;
        let letter = Letter {
            to: before.to.clone(),
            subscriber_id: before.subscriber_id,
            kind: before.kind,
            language: before.language.clone(),
            subject: before.subject.clone(),
            text: text.expose_text().unwrap_or_default().to_owned(),
            segments: before.segments,
            useful_until: now.saturating_add(AGAIN_USEFUL).unwrap_or(Timestamp::MAX),
        };
        let message = Message { repeats: Some(id), ..self.message(&letter, now)? };
        let unit = Unit::natural().create::<Messages>(&message.id, &message).map_err(NotifyError::from)?;
        Ok(Draft::new(unit, message))
    }
}

impl MessageFilter {
    fn fits(&self, message: &Message) -> bool {
        self.subscriber
            .as_ref()
            .is_none_or(|id| message.subscriber_id.is_some_and(|one| one.to_string() == *id))
            && self.recipient.as_ref().is_none_or(|to| message.to.as_str() == to)
            && self.stage.is_none_or(|stage| message.stage() == stage)
            && self.channel.is_none_or(|channel| message.to.channel() == channel)
            && self.kind.is_none_or(|kind| message.kind == kind)
            && self.since.is_none_or(|since| message.created_at >= since)
    }
}

/// Staff send again because somebody asked just now.
const AGAIN_USEFUL: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
