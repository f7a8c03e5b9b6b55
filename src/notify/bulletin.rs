//! What billing tells subscribers: one message about one change, in the unit of that change.
//!
//! Goes by the first channel that is proven and reaches the subscriber; where none does, nothing is written
//! and the change happens all the same. The one rule: nobody is told twice of one change, and by one channel
//! only.

use jiff::Timestamp;

use super::letter::Addressee;
use super::news::News;
use super::queue::{NotifyError, Post};
use crate::domain::ids::SubscriberId;
use crate::domain::language::Language;
use crate::domain::message::{Channel, Recipient};
use crate::domain::subscriber::Subscriber;
use crate::store::contract::Unit;
use crate::store::tables::Subscribers;

/// Tells subscribers what happened; cheap to clone.
#[derive(Debug, Clone)]
pub struct Bulletin(Post);

/// Something to tell a subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whom.
    pub subscriber: SubscriberId,
    /// What.
    pub news: News,
}

impl Bulletin {
    /// Tells by this queue.
    #[must_use]
    pub const fn new(post: Post) -> Self {
        Self(post)
    }

    /// Adds the message to the unit of the change that it is about. Call [`Bulletin::wake`] once that is
    /// committed. A subscriber who cannot be reached, or is unknown, leaves the unit as it was.
    ///
    /// # Errors
    /// [`NotifyError`].
    pub async fn queue_in(&self, unit: Unit, notice: &Notice, now: Timestamp) -> Result<Unit, NotifyError> {
        let Some(record) = self.0.store().get::<Subscribers>(&notice.subscriber).await? else {
            return Ok(unit);
        };
        self.queue_for(unit, &record.body, &notice.news, now).await
    }

    /// As [`Bulletin::queue_in`], for whoever has the subscriber's record at hand.
    ///
    /// # Errors
    /// [`NotifyError`].
    pub async fn queue_for(
        &self,
        unit: Unit,
        subscriber: &Subscriber,
        news: &News,
        now: Timestamp,
    ) -> Result<Unit, NotifyError> {
        for channel in self.order(news) {
            let to = match channel {
                Channel::Mail => subscriber.email.clone().map(Recipient::Mail),
                Channel::Sms => subscriber.phone.clone().map(Recipient::Sms),
            };
            let Some(to) = to else { continue };
            if self.0.is_proven(channel).await? {
                let subscriber_id = Some(subscriber.id);
                let to = Addressee { to, subscriber_id, language: subscriber.language.clone() };
                return self.0.queue_in(unit, &self.0.write(&to, news, now), now);
            }
        }
        metrics::counter!("messages_without_a_way_total", "kind" => news.kind().name()).increment(1);
        Ok(unit)
    }

    /// Adds a message to somebody who is known by address or number alone, as one who buys a voucher from an
    /// agent; `false` where that channel is not proven, and then nothing is added.
    ///
    /// # Errors
    /// [`NotifyError`].
    pub async fn queue_to(
        &self,
        unit: Unit,
        (to, language): (Recipient, Option<Language>),
        news: &News,
        now: Timestamp,
    ) -> Result<(Unit, bool), NotifyError> {
        if !self.0.is_proven(to.channel()).await? {
            return Ok((unit, false));
        }
        let to = Addressee { to, subscriber_id: None, language };
        Ok((self.0.queue_in(unit, &self.0.write(&to, news, now), now)?, true))
    }

    /// Has what was committed be sent at once.
    pub fn wake(&self) {
        self.0.wake();
    }

    /// A voucher is wanted where it is typed in; the rest in the operator's order.
    fn order(&self, news: &News) -> Vec<Channel> {
        let mut order = self.0.rules().order.clone();
        if matches!(news, News::Voucher { .. }) {
            order.sort_by_key(|channel| *channel != Channel::Sms);
        }
        order
    }
}
