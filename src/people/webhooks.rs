//! Places that are told of events: make, change, remove; tests, and what was delivered.
//!
//! Only drafts and reads: sending is `notify::courier`. The one rule: a secret is shown when it is made and
//! not again.

use jiff::SignedDuration;
use serde_json::json;

use super::audit::{self, Deed};
use super::staff::By;
use super::{People, PeopleError};
use crate::base::secret::Secret;
use crate::domain::ids::{DeliveryId, WebhookId};
use crate::domain::text::Line;
use crate::domain::webhook::{Delivery, DeliveryStatus, TEST, Webhook};
use crate::store::contract::{Page, Range, Record, Unit};
use crate::store::draft::Draft;
use crate::store::listing::{self, Listed, Walk, Window};
use crate::store::tables::webhooks::{Deliveries, Webhooks};

/// A place to be made.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// Where to.
    pub url: String,
    /// What people call it.
    pub name: Line,
    /// Of which events; empty for all.
    pub events: Vec<String>,
}

/// What to change; `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct WebhookChange {
    /// Where to.
    pub url: Option<String>,
    /// What people call it.
    pub name: Option<Line>,
    /// Of which events; empty for all.
    pub events: Option<Vec<String>>,
    /// Whether it is told anything.
    pub is_active: Option<bool>,
}

/// A place and the secret that was made for it.
#[derive(Debug, Clone)]
pub struct MadeWebhook {
    /// The place.
    pub webhook: Webhook,
    /// Its secret; shown once.
    pub secret: Secret,
}

/// Where a webhook's secret is sealed for.
#[must_use]
pub fn secret_context(id: WebhookId) -> String {
    format!("webhooks/{id}/secret")
}

impl People {
    /// Drafts a place.
    ///
    /// # Errors
    /// `TooManyWebhooks`, or a fault.
    pub async fn create_webhook(
        &self,
        by: By<'_>,
        new: &NewWebhook,
    ) -> Result<Draft<MadeWebhook>, PeopleError> {
        let first = self.store.scan::<Webhooks>(Range::All, Page::first(MOST_WEBHOOKS)).await?;
        if first.records.len() >= MOST_WEBHOOKS {
            return Err(PeopleError::TooManyWebhooks);
        }
        let id = WebhookId(self.entropy.uuid_v7(by.now)?);
        let (secret, sealed) = self.webhook_secret(id)?;
        let webhook = Webhook {
            id,
            url: new.url.clone(),
            name: new.name.clone(),
            events: new.events.clone(),
            secret: sealed,
            previous_secret: None,
            previous_until: None,
            is_active: true,
            since_seq: self.store.last_seq(),
            failures: 0,
            next_try_at: None,
            created_at: by.now,
            updated_at: by.now,
            removed_at: None,
        };
        let unit = Unit::natural().create::<Webhooks>(&id, &webhook)?;
        let unit = self.note_webhook(unit, by, "webhook.create", (None, Some(&webhook)))?;
        Ok(Draft::new(unit, MadeWebhook { webhook, secret }))
    }

    /// Drafts a change of a place.
    ///
    /// # Errors
    /// `NoSuchWebhook`, or a fault.
    pub async fn change_webhook(
        &self,
        by: By<'_>,
        id: WebhookId,
        change: &WebhookChange,
    ) -> Result<Draft<Webhook>, PeopleError> {
        let Record { body: before, version, .. } = self.webhook_record(id).await?;
        let mut after = before.clone();
        after.url = change.url.clone().unwrap_or(after.url);
        after.name = change.name.clone().unwrap_or(after.name);
        after.events = change.events.clone().unwrap_or(after.events);
        after.is_active = change.is_active.unwrap_or(after.is_active);
        after.updated_at = by.now;
        let is_wider = change.events.is_some() || (after.is_active && !before.is_active);
        if is_wider {
            // What happened before it wanted to know is not told afterwards.
            after.since_seq = self.store.last_seq();
        }
        // Somebody has looked after it: it is tried at once.
        (after.failures, after.next_try_at) = (0, None);
        let unit = Unit::natural().replace::<Webhooks>(&id, version, &after)?;
        let unit = self.note_webhook(unit, by, "webhook.update", (Some(&before), Some(&after)))?;
        Ok(Draft::new(unit, after))
    }

    /// Drafts the end of a place; what waits for it is not sent any more.
    ///
    /// # Errors
    /// `NoSuchWebhook`, or a fault.
    pub async fn remove_webhook(&self, by: By<'_>, id: WebhookId) -> Result<Draft<Webhook>, PeopleError> {
        let Record { body: before, version, .. } = self.webhook_record(id).await?;
        let after =
            Webhook { is_active: false, removed_at: Some(by.now), updated_at: by.now, ..before.clone() };
        let unit = Unit::natural().replace::<Webhooks>(&id, version, &after)?;
        let unit = self.note_webhook(unit, by, "webhook.remove", (Some(&before), None))?;
        Ok(Draft::new(unit, after))
    }

    /// Drafts a new secret; the one before signs too for a day.
    ///
    /// # Errors
    /// `NoSuchWebhook`, or a fault.
    pub async fn rotate_webhook_secret(
        &self,
        by: By<'_>,
        id: WebhookId,
    ) -> Result<Draft<MadeWebhook>, PeopleError> {
        let Record { body: before, version, .. } = self.webhook_record(id).await?;
        let (secret, sealed) = self.webhook_secret(id)?;
        let webhook = Webhook {
            previous_secret: Some(before.secret.clone()),
            previous_until: by.now.checked_add(OVERLAP).ok(),
            secret: sealed,
            updated_at: by.now,
            ..before.clone()
        };
        let unit = Unit::natural().replace::<Webhooks>(&id, version, &webhook)?;
        let unit = self.note_webhook(unit, by, "webhook.rotate_secret", (Some(&before), Some(&webhook)))?;
        Ok(Draft::new(unit, MadeWebhook { webhook, secret }))
    }

    /// Drafts a delivery that only tests the way.
    ///
    /// # Errors
    /// `NoSuchWebhook`, or a fault.
    pub async fn test_webhook(&self, by: By<'_>, id: WebhookId) -> Result<Draft<Delivery>, PeopleError> {
        let Record { body: webhook, version, .. } = self.webhook_record(id).await?;
        let delivery = DeliveryId(self.entropy.uuid_v7(by.now)?);
        let body = json!({
            "id": format!("test_{delivery}"), "type": TEST, "created_at": by.now, "subject": id,
            "data": { "message": "If you can read this, deliveries arrive." },
        });
        let delivery = Delivery {
            id: delivery,
            webhook_id: id,
            seq: self.store.last_seq(),
            kind: TEST.to_owned(),
            body: body.to_string(),
            status: DeliveryStatus::Waiting,
            created_at: by.now,
            tries: 0,
            log: Vec::new(),
            settled_at: None,
            trying_since: by.now,
        };
        let tried_now = Webhook { failures: 0, next_try_at: None, ..webhook };
        let unit = Unit::natural()
            .create::<Deliveries>(&delivery.id, &delivery)?
            .replace::<Webhooks>(&id, version, &tried_now)?;
        Ok(Draft::new(unit, delivery))
    }

    /// Drafts that a delivery is sent again, under the same id.
    ///
    /// # Errors
    /// `NoSuchDelivery`, `NoSuchWebhook`, or a fault.
    pub async fn redeliver(&self, by: By<'_>, id: DeliveryId) -> Result<Draft<Delivery>, PeopleError> {
        let kept = self.store.get::<Deliveries>(&id).await?.ok_or(PeopleError::NoSuchDelivery)?;
        let Record { body: webhook, version, .. } = self.webhook_record(kept.body.webhook_id).await?;
        let mut delivery = kept.body;
        delivery.again(by.now);
        let tried_now = Webhook { failures: 0, next_try_at: None, ..webhook };
        let unit = Unit::natural().replace::<Deliveries>(&id, kept.version, &delivery)?.replace::<Webhooks>(
            &tried_now.id,
            version,
            &tried_now,
        )?;
        let deed = Deed { action: "webhook.redeliver", kind: "webhook_delivery", subject: &id.to_string() };
        let nothing = (None::<&()>, None::<&()>);
        Ok(Draft::new(audit::record(unit, &self.entropy, by.actor, by.now, deed, nothing)?, delivery))
    }

    /// Places, by the time of their making, each with how many events it missed since too much waited.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn list_webhooks(&self) -> Result<Vec<(Webhook, u64)>, PeopleError> {
        let all = self.store.scan::<Webhooks>(Range::All, Page::first(MOST_WEBHOOKS)).await?.records;
        let there = all.into_iter().filter(|one| one.body.removed_at.is_none());
        Ok(there.map(|one| (one.body, one.counters.first().copied().unwrap_or(0))).collect())
    }

    /// One place, and how many events it missed.
    ///
    /// # Errors
    /// `NoSuchWebhook`.
    pub async fn get_webhook(&self, id: WebhookId) -> Result<(Webhook, u64), PeopleError> {
        let one = self.webhook_record(id).await?;
        Ok((one.body, one.counters.first().copied().unwrap_or(0)))
    }

    /// Deliveries, the newest first.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn list_deliveries(
        &self,
        webhook: Option<WebhookId>,
        status: Option<DeliveryStatus>,
        offset: usize,
        limit: usize,
    ) -> Result<Listed<Delivery>, PeopleError> {
        let range = webhook.map_or(Range::All, |id| Range::Equals("webhook_id", id.to_string().into()));
        let fits = |one: &Record<Deliveries>| status.is_none_or(|status| one.body.status == status);
        let (walk, window) = (Walk::newest_first(range), Window { offset, limit });
        let listed = listing::list::<Deliveries>(&self.store, walk, window, fits).await?;
        Ok(listed.map(|one| one.body))
    }

    /// One delivery.
    ///
    /// # Errors
    /// `NoSuchDelivery`.
    pub async fn get_delivery(&self, id: DeliveryId) -> Result<Delivery, PeopleError> {
        Ok(self.store.get::<Deliveries>(&id).await?.ok_or(PeopleError::NoSuchDelivery)?.body)
    }

    async fn webhook_record(&self, id: WebhookId) -> Result<Record<Webhooks>, PeopleError> {
        let kept = self.store.get::<Webhooks>(&id).await?;
        kept.filter(|one| one.body.removed_at.is_none()).ok_or(PeopleError::NoSuchWebhook)
    }

    fn webhook_secret(&self, id: WebhookId) -> Result<(Secret, String), PeopleError> {
        let secret = Secret::from_text(&format!("whsec_{}", self.entropy.readable(SECRET_LENGTH)?));
        let sealed = self.vault.seal(&self.entropy, &secret_context(id), &secret)?;
        Ok((secret, sealed.into()))
    }

    fn note_webhook(
        &self,
        unit: Unit,
        by: By<'_>,
        action: &str,
        change: (Option<&Webhook>, Option<&Webhook>),
    ) -> Result<Unit, PeopleError> {
        let id = change.1.or(change.0).map(|one| one.id.to_string()).unwrap_or_default();
        let deed = Deed { action, kind: "webhook", subject: &id };
        audit::record(unit, &self.entropy, by.actor, by.now, deed, change)
    }
}

/// Places at most: each event is looked at for each of them.
pub const MOST_WEBHOOKS: usize = 50;
/// Symbols of a secret: 200 bits.
const SECRET_LENGTH: usize = 40;
/// How long the secret before signs beside the new one.
const OVERLAP: SignedDuration = SignedDuration::from_hours(24);
