//! Tells the ISP's programs of events: writes deliveries down from the change feed, signs and sends them.
//!
//! Two halves. *Feeding* follows the feed from a kept place and writes one delivery for each place that wants
//! the event, in the commit that moves the place on: nothing is lost and nothing is written twice. *Sending*
//! has a task a place, in order of the feed; one that does not take its deliveries waits by itself, and no
//! other place waits with it. The one rule: a delivery is settled only by the receiver's answer, so it may
//! arrive twice, always under the same id.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::json;
use sha2::Sha256;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use super::outbound::{Outbound, OutboundError, Request};
use crate::base::clock::Clock;
use crate::base::entropy::{Entropy, EntropyError};
use crate::base::secret::Secret;
use crate::domain::ids::{DeliveryId, WebhookId};
use crate::domain::webhook::{Delivery, DeliveryStatus, Try, Webhook, pause};
use crate::store::Store;
use crate::store::contract::{
    Change, CommitError, IndexValue, MAX_PAGE, Page, Range, ReadError, Record, Unit,
};
use crate::store::tables::webhooks::{Deliveries, FEED, WebhookFeed, WebhookFeeds, Webhooks, waiting_key};
use crate::store::vault::{SealedSecret, Vault, VaultError};

/// Sends deliveries; cheap to clone.
#[derive(Debug, Clone)]
pub struct Courier(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    store: Store,
    vault: Vault,
    entropy: Entropy,
    outbound: Outbound,
    /// How many wait for each place, counted once and kept up; the bound is [`MOST_WAITING`].
    waiting: Mutex<BTreeMap<WebhookId, usize>>,
}

/// Why the courier could not go on: ours; it tries again.
#[derive(Debug, thiserror::Error)]
pub enum CourierError {
    /// The store could not read.
    #[error("deliveries could not be read")]
    Read(#[from] ReadError),
    /// The store could not commit.
    #[error("the store did not take a delivery")]
    Commit(#[from] CommitError),
    /// No randomness.
    #[error("no random bytes for a delivery's id")]
    Entropy(#[from] EntropyError),
    /// The box's key.
    #[error("a webhook's secret could not be opened")]
    Vault(#[from] VaultError),
}

/// Whether there is more to do at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Again,
    Rest,
}

impl Courier {
    /// A courier that calls by `outbound`: the public one, but in tests.
    #[must_use]
    pub fn new(store: &Store, vault: &Vault, entropy: &Entropy, outbound: Outbound) -> Self {
        Self(Arc::new(Parts {
            store: store.clone(),
            vault: vault.clone(),
            entropy: entropy.clone(),
            outbound,
            waiting: Mutex::default(),
        }))
    }

    /// Feeds and sends for ever.
    pub async fn work(&self, clock: &Clock) {
        let (mut tasks, mut busy) = (JoinSet::new(), BTreeSet::new());
        let at_once = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            let fed = self.feed_all(clock).await;
            for id in
                self.ready(clock.now()).await.into_iter().filter(|id| !busy.contains(id)).collect::<Vec<_>>()
            {
                let (courier, clock, at_once) = (self.clone(), clock.clone(), Arc::clone(&at_once));
                busy.insert(id);
                tasks.spawn(async move {
                    if let Ok(_permit) = at_once.acquire().await {
                        courier.drain(id, &clock).await;
                    }
                    id
                });
            }
            tokio::select! {
                Some(done) = tasks.join_next() => match done {
                    Ok(id) => { busy.remove(&id); }
                    // Which one it was is not known: all may be looked at again, each by the store's word.
                    Err(_) => busy.clear(),
                },
                _ = self.0.store.wait(fed) => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Writes down what the feed holds by now; gives how far it was followed.
    pub async fn feed_all(&self, clock: &Clock) -> u64 {
        loop {
            match self.feed(clock.now()).await {
                Ok((_, Step::Again)) => {}
                Ok((fed, Step::Rest)) => return fed,
                Err(error) => {
                    tracing::warn!(%error, "Webhooks could not be fed");
                    return self.0.store.last_seq();
                }
            }
        }
    }

    /// Sends what waits for every place that may be tried now, one place after the other.
    pub async fn send_due(&self, clock: &Clock) {
        for id in self.ready(clock.now()).await {
            self.drain(id, clock).await;
        }
    }

    async fn feed(&self, now: Timestamp) -> Result<(u64, Step), CourierError> {
        let store = &self.0.store;
        let kept = store.get::<WebhookFeeds>(&FEED.to_owned()).await?;
        let Some(kept) = kept else {
            let first = WebhookFeed { fed: store.last_seq() };
            store.commit(Unit::natural().create::<WebhookFeeds>(&FEED.to_owned(), &first)?).await?;
            return Ok((first.fed, Step::Again));
        };
        let changes = store.changes(kept.body.fed, FED_AT_ONCE).await?;
        let Some(last) = changes.last().map(|change| change.seq) else {
            return Ok((kept.body.fed, Step::Rest));
        };
        let more = if changes.len() >= FED_AT_ONCE { Step::Again } else { Step::Rest };
        let places = self.places().await?;
        let mut unit = Unit::natural();
        let mut waiting = self.0.waiting.lock().await;
        for change in &changes {
            for place in places.iter().filter(|place| place.wants(&change.event.kind, change.seq)) {
                let count = self.count(&mut waiting, place.id).await?;
                if *count >= MOST_WAITING {
                    unit = unit.add::<Webhooks>(&place.id, vec![(0, 1)]);
                    continue;
                }
                let delivery = self.delivery(place.id, change, now)?;
                unit = unit.create::<Deliveries>(&delivery.id, &delivery)?;
                *count = count.saturating_add(1);
            }
        }
        drop(waiting);
        // Where nobody is told anything, the position is only noted now and then: a commit for each event is dear.
        let is_far = last.saturating_sub(kept.body.fed) >= NOTED_EVERY;
        if unit.ops.is_empty() && !is_far {
            return Ok((last, Step::Rest));
        }
        let next = WebhookFeed { fed: last };
        let unit = unit.replace::<WebhookFeeds>(&FEED.to_owned(), kept.version, &next)?;
        if let Err(error) = store.commit(unit).await {
            // What was counted above was not written.
            self.0.waiting.lock().await.clear();
            return Err(error.into());
        }
        Ok((last, more))
    }

    fn delivery(&self, id: WebhookId, change: &Change, now: Timestamp) -> Result<Delivery, CourierError> {
        let at = Timestamp::from_millisecond(change.at_millis).unwrap_or(now);
        let body = json!({
            "id": format!("evt_{}", change.seq),
            "type": change.event.kind,
            "created_at": at,
            "subject": change.event.subject,
            "data": change.event.payload,
        });
        Ok(Delivery {
            id: DeliveryId(self.0.entropy.uuid_v7(now)?),
            webhook_id: id,
            seq: change.seq,
            kind: change.event.kind.clone(),
            body: body.to_string(),
            status: DeliveryStatus::Waiting,
            created_at: now,
            tries: 0,
            log: Vec::new(),
            settled_at: None,
            trying_since: now,
        })
    }

    /// How many wait for a place; counted in the store the first time.
    async fn count<'w>(
        &self,
        waiting: &'w mut BTreeMap<WebhookId, usize>,
        id: WebhookId,
    ) -> Result<&'w mut usize, CourierError> {
        if let Entry::Vacant(place) = waiting.entry(id) {
            let mut counted = 0usize;
            let mut page = Page::first(MAX_PAGE);
            while counted < MOST_WAITING {
                let slice = self.0.store.scan::<Deliveries>(waits_for(id), page.clone()).await?;
                counted = counted.saturating_add(slice.records.len());
                let Some(next) = slice.next else { break };
                page.after = Some(next);
            }
            place.insert(counted);
        }
        Ok(waiting.entry(id).or_default())
    }

    async fn places(&self) -> Result<Vec<Webhook>, CourierError> {
        let all = self.0.store.scan::<Webhooks>(Range::All, Page::first(MAX_PAGE)).await?;
        Ok(all.records.into_iter().map(|one| one.body).collect())
    }

    /// Places that may be tried now.
    async fn ready(&self, now: Timestamp) -> Vec<WebhookId> {
        let places = self.places().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "Webhooks could not be read");
            Vec::new()
        });
        let may = |place: &&Webhook| {
            let is_due = place.next_try_at.is_none_or(|at| at <= now);
            place.removed_at.is_some() || (place.is_active && is_due)
        };
        places.iter().filter(may).map(|place| place.id).collect()
    }

    /// Sends what waits for one place, in order, until nothing waits or something is not taken.
    async fn drain(&self, id: WebhookId, clock: &Clock) {
        loop {
            match self.send_next(id, clock).await {
                Ok(Step::Again) => {}
                Ok(Step::Rest) => return,
                Err(error) => {
                    tracing::warn!(webhook.id = %id, %error, "A webhook's deliveries could not be worked on");
                    return;
                }
            }
        }
    }

    async fn send_next(&self, id: WebhookId, clock: &Clock) -> Result<Step, CourierError> {
        let store = &self.0.store;
        let Some(place) = store.get::<Webhooks>(&id).await? else { return Ok(Step::Rest) };
        let first = store.scan::<Deliveries>(waits_for(id), Page::first(1)).await?.records.into_iter().next();
        if place.body.removed_at.is_some() {
            return self.bury(place, clock.now()).await;
        }
        let Some(delivery) = first else { return Ok(Step::Rest) };
        if !place.body.is_active || place.body.next_try_at.is_some_and(|at| at > clock.now()) {
            return Ok(Step::Rest);
        }
        let began = clock.now();
        let answer = self.call(&place.body, &delivery.body, began).await?;
        let tried = tried(answer, began);
        self.settle(place, delivery, tried, clock.now()).await
    }

    /// Writes down what became of a try. Staff may have changed the place meanwhile: then theirs stays.
    async fn settle(
        &self,
        place: Record<Webhooks>,
        delivery: Record<Deliveries>,
        tried: Try,
        now: Timestamp,
    ) -> Result<Step, CourierError> {
        let (id, version) = (place.body.id, delivery.version);
        let mut settled = delivery.body;
        settled.note(tried);
        let taken = settled.status == DeliveryStatus::Delivered;
        let mut unit = Unit::natural().replace::<Deliveries>(&settled.id, version, &settled)?;
        let was_ill = place.body.failures > 0 || place.body.next_try_at.is_some();
        if !taken || was_ill {
            let mut after = place.body;
            after.failures = if taken { 0 } else { after.failures.saturating_add(1) };
            after.next_try_at = if taken { None } else { now.checked_add(pause(after.failures)).ok() };
            unit = unit.replace::<Webhooks>(&id, place.version, &after)?;
        }
        match self.0.store.commit(unit).await {
            // Read afresh: it is sent again under the same id, which the receiver knows.
            Err(CommitError::Conflict { .. }) => return Ok(Step::Again),
            other => other?,
        };
        metrics::counter!("webhook_tries_total", "outcome" => if taken { "taken" } else { "refused" })
            .increment(1);
        if settled.status != DeliveryStatus::Waiting {
            self.uncount(id, 1).await;
        }
        Ok(if taken { Step::Again } else { Step::Rest })
    }

    /// A removed place: what waits for it is given up, some at once, and then it is gone.
    async fn bury(&self, place: Record<Webhooks>, now: Timestamp) -> Result<Step, CourierError> {
        let id = place.body.id;
        let waiting = self.0.store.scan::<Deliveries>(waits_for(id), Page::first(BURIED_AT_ONCE)).await?;
        let count = waiting.records.len();
        let mut unit = Unit::natural();
        for Record { body: mut delivery, version, .. } in waiting.records {
            (delivery.status, delivery.settled_at) = (DeliveryStatus::Parked, Some(now));
            unit = unit.replace::<Deliveries>(&delivery.id, version, &delivery)?;
        }
        if count == 0 {
            unit = unit.delete::<Webhooks>(&id);
        }
        self.0.store.commit(unit).await?;
        self.uncount(id, count).await;
        Ok(if count == 0 { Step::Rest } else { Step::Again })
    }

    async fn uncount(&self, id: WebhookId, by: usize) {
        if let Some(count) = self.0.waiting.lock().await.get_mut(&id) {
            *count = count.saturating_sub(by);
        }
    }

    async fn call(
        &self,
        place: &Webhook,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Result<Result<u16, OutboundError>, CourierError> {
        let mut secrets = vec![self.secret(place.id, &place.secret)?];
        if let Some(previous) = place.previous_secret.as_ref().filter(|_| place.previous_until > Some(now)) {
            secrets.push(self.secret(place.id, previous)?);
        }
        let signature = signature(&secrets, now.as_second(), delivery.body.as_bytes());
        let request = Request::post(&place.url, "application/json", delivery.body.as_bytes())
            .header(SIGNATURE, &Secret::from_text(&signature))
            .header(DELIVERY, &Secret::from_text(&delivery.id.to_string()));
        Ok(self.0.outbound.send(&request).await.map(|reply| reply.status))
    }

    fn secret(&self, id: WebhookId, sealed: &str) -> Result<Secret, CourierError> {
        let context = format!("webhooks/{id}/secret");
        Ok(self.0.vault.unseal(&context, &SealedSecret::parse(sealed)?)?)
    }
}

fn tried(answer: Result<u16, OutboundError>, at: Timestamp) -> Try {
    match answer {
        Ok(status) => {
            let fault = (!(200..300).contains(&status)).then(|| format!("the receiver answered {status}"));
            Try { at, status: Some(status), fault }
        }
        Err(error) => Try { at, status: None, fault: Some(error.to_string()) },
    }
}

/// What waits for one place, in order of the feed.
fn waits_for(id: WebhookId) -> Range {
    let (from, to) = (waiting_key(id, 0), waiting_key(id, u64::MAX));
    Range::Between("waiting", IndexValue::Text(from), IndexValue::Text(to))
}

/// `t=<Unix seconds>,v1=<hex>`: HMAC-SHA256 over `<t>.<body>` for each secret that counts.
#[must_use]
pub fn signature(secrets: &[Secret], at: i64, body: &[u8]) -> String {
    let mut text = format!("t={at}");
    for secret in secrets {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.expose()) else { continue };
        let tag = mac.chain_update(at.to_string()).chain_update(b".").chain_update(body).finalize();
        text.push_str(",v1=");
        for octet in tag.into_bytes() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{octet:02x}");
        }
    }
    text
}

/// The header with the signature.
pub const SIGNATURE: &str = "dotmac-signature";
/// The header with the delivery's id, the same at each try.
pub const DELIVERY: &str = "dotmac-delivery";
/// Places that are sent to at the same moment.
const AT_ONCE: usize = 8;
/// Events of the feed looked at in one commit.
const FED_AT_ONCE: usize = 500;
/// Events after which the position is noted although nobody wants any.
const NOTED_EVERY: u64 = 400;
/// Deliveries that wait for one place at most: a busy day of an outage. What comes beyond is counted as skipped.
pub const MOST_WAITING: usize = 10_000;
/// Deliveries of a removed place given up in one commit.
const BURIED_AT_ONCE: usize = 200;
/// Between looks without an event: for tries that have become due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After an event, before looking: a purchase makes several.
const GATHER: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_checked_as_stripes_is() {
        let secret = Secret::from_text("whsec_test");
        let text = signature(&[secret], 1_800_000_000, b"{\"id\":\"evt_1\"}");
        // printf '1800000000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test
        assert_eq!(text, EXPECTED);
    }

    const EXPECTED: &str = "t=1800000000,v1=45705be2a45ab5acdd1395cc695e9e7073125385ec24194921c401dff44176f8";
}
