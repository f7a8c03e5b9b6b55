//! The codes of a batch, handed out once.
//!
//! They are not kept: a sealed seed is, from which they are made again while the envelope counts. Opening it starts
//! a short time in which every form (JSON, CSV, cards) can be fetched, so that an answer that got lost loses no
//! codes; then the seed is thrown away, and nobody can learn them any more.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::batch::later;
use super::{MOST_DRAFTS, Vouchers};
use crate::billing::fault::BillingError;
use crate::domain::audit::Actor;
use crate::domain::ids::BatchId;
use crate::domain::voucher::{Envelope, VoucherBatch};
use crate::store::contract::{CommitError, Unit};
use crate::store::tables::vouchers::VoucherBatches;

/// The codes of a batch.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The batch.
    pub batch: VoucherBatch,
    /// Its vouchers in the order of their numbers.
    pub cards: Vec<Card>,
    /// Until when they can be fetched again.
    pub until: Timestamp,
}

/// One voucher with its code.
#[derive(Clone, PartialEq, Eq)]
pub struct Card {
    /// Its number in the batch.
    pub number: u32,
    /// The same for people.
    pub serial: String,
    /// The code, as it is printed.
    pub code: String,
}

impl std::fmt::Debug for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Card({})", self.serial)
    }
}

impl Vouchers {
    /// The codes of a batch. The first time is written down before anybody sees one.
    ///
    /// # Errors
    /// `NotFound`; `Rule` while it is being made, when it was taken back, and when its codes are gone.
    pub async fn open_envelope(
        &self,
        actor: &Actor,
        reference: &str,
        now: Timestamp,
    ) -> Result<Opened, BillingError> {
        let id = self.batch(reference).await?.body.id;
        for _ in 0..MOST_DRAFTS {
            let record = self.batch_of(id).await?;
            must_be_open(&record.body, now)?;
            let Some(envelope) = &record.body.envelope else { continue };
            if envelope.opened_at.is_some() {
                return self.opened(record.body);
            }
            let until = envelope.until.min(later(now, OPEN_FOR));
            let envelope = Some(Envelope { opened_at: Some(now), until, ..envelope.clone() });
            let after = VoucherBatch { envelope, ..record.body };
            let unit = self.once(now)?.replace::<VoucherBatches>(&id, record.version, &after)?;
            let deed = ("voucher_batch.open_codes", &id as &dyn std::fmt::Display);
            let facts = json!({ "count": after.count, "until": until });
            let unit = self.audited(unit, actor, deed, (None, Some(facts)), now)?;
            match self.commit(unit).await {
                Ok(()) => {
                    self.0.work.pull();
                    return self.opened(after);
                }
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict { collection: "voucher_batches", key: id.to_string() }.into())
    }

    /// Throws the codes of a batch away at once: whoever has them on paper wants nobody else to fetch them.
    ///
    /// # Errors
    /// `NotFound`; `Rule` while it is being made; faults of ours.
    pub async fn forget_codes(
        &self,
        actor: &Actor,
        reference: &str,
        now: Timestamp,
    ) -> Result<VoucherBatch, BillingError> {
        let id = self.batch(reference).await?.body.id;
        for _ in 0..MOST_DRAFTS {
            let record = self.batch_of(id).await?;
            if record.body.envelope.is_none() {
                return Ok(record.body);
            }
            if !record.body.is_complete() && record.body.revoked_at.is_none() {
                return Err(BillingError::rule(
                    "the batch is still being made; wait until it is, or revoke it",
                ));
            }
            let after = VoucherBatch { envelope: None, ..record.body };
            let unit = self.once(now)?.replace::<VoucherBatches>(&id, record.version, &after)?;
            let deed = ("voucher_batch.forget_codes", &id as &dyn std::fmt::Display);
            let unit = self.audited(unit, actor, deed, (None, None), now)?;
            match self.commit(unit).await {
                Ok(()) => return Ok(after),
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict { collection: "voucher_batches", key: id.to_string() }.into())
    }

    /// Throws codes away whose time is over; when that will be, where they still count.
    pub(super) async fn forget_when_over(
        &self,
        id: BatchId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, BillingError> {
        let record = self.batch_of(id).await?;
        let batch = &record.body;
        let Some(envelope) = &batch.envelope else { return Ok(None) };
        if batch.revoked_at.is_none() && (!batch.is_complete() || now < envelope.until) {
            return Ok(Some(envelope.until));
        }
        let after = VoucherBatch { envelope: None, ..batch.clone() };
        let unit = Unit::natural().replace::<VoucherBatches>(&id, record.version, &after)?;
        match self.commit(unit).await {
            Ok(()) => Ok(None),
            // Somebody changed it in this moment: the next run looks again.
            Err(CommitError::Conflict { .. }) => Ok(Some(now)),
            Err(error) => Err(error.into()),
        }
    }

    fn opened(&self, batch: VoucherBatch) -> Result<Opened, BillingError> {
        let seed = self.seed(&batch)?;
        let card = |number| {
            let code = self.code(&batch, &seed, number)?.shown(batch.prefix.as_ref());
            Ok(Card { number, serial: batch.serial(number), code })
        };
        let cards = (1..=batch.count).map(card).collect::<Result<_, BillingError>>()?;
        let until = batch.envelope.as_ref().map_or(batch.created_at, |envelope| envelope.until);
        Ok(Opened { batch, cards, until })
    }
}

fn must_be_open(batch: &VoucherBatch, now: Timestamp) -> Result<(), BillingError> {
    if batch.revoked_at.is_some() {
        return Err(BillingError::rule("the batch was taken back, so its codes are of no use"));
    }
    if !batch.is_complete() {
        let (made, count) = (batch.made, batch.count);
        return Err(BillingError::rule(format!("the batch is still being made: {made} of {count}")));
    }
    if !batch.can_be_opened(now) {
        return Err(BillingError::rule(
            "the codes of this batch were handed out and are not kept any more; make another batch",
        ));
    }
    Ok(())
}

/// Enough to fetch every form and to fetch again what got lost; short enough to be "once".
const OPEN_FOR: SignedDuration = SignedDuration::from_mins(15);
