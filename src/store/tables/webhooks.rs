//! The collections of webhooks that go out.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{DeliveryId, WebhookId};
use crate::domain::webhook::{Delivery, DeliveryStatus, Webhook};
use crate::store::Registration;
use crate::store::contract::{Collection, CollectionSpec, IndexSpec, IndexValue, RecordKey, SealKind};

id_key!(WebhookId, DeliveryId);

collection! {
    /// Places that are told of events; `skipped` counts what was not written down since too much waited.
    Webhooks: "webhooks", WebhookId => Webhook, schema 1, Keyed, counters &["skipped"], []
}

collection! {
    /// What is told to them.
    Deliveries: "webhook_deliveries", DeliveryId => Delivery, schema 1, Checksum, counters &[],
    [
        +unique place = |one| place(one).into(),
        webhook_id = |one| one.webhook_id.to_key().into(),
        waiting = |one| match one.status {
            DeliveryStatus::Waiting => waiting_key(one.webhook_id, one.seq).into(),
            DeliveryStatus::Delivered | DeliveryStatus::Parked => IndexValue::Null,
        },
        settled_at = |one| one.settled_at.map(jiff::Timestamp::as_millisecond).into(),
    ]
}

/// An event is written down once for each place; tests as often as they are asked for.
fn place(one: &Delivery) -> String {
    match one.kind.as_str() {
        crate::domain::webhook::TEST => format!("{}|test|{}", one.webhook_id, one.id),
        _ => waiting_key(one.webhook_id, one.seq),
    }
}

/// What waits for one place, in order of the feed.
#[must_use]
pub fn waiting_key(webhook: WebhookId, seq: u64) -> String {
    format!("{webhook}|{seq:020}")
}

/// How far the feed was followed for webhooks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookFeed {
    /// Events up to here are written down for whoever wants them.
    pub fed: u64,
}

collection! {
    /// How far the feed was followed; one record, [`FEED`].
    WebhookFeeds: "webhook_feed", String => WebhookFeed, schema 1, Keyed, counters &[], []
}

/// The key of the one [`WebhookFeed`].
pub const FEED: &str = "feed";

/// The collections of this file.
pub(super) fn all() -> Vec<Registration> {
    vec![Registration::of::<Webhooks>(), Registration::of::<Deliveries>(), Registration::of::<WebhookFeeds>()]
}
