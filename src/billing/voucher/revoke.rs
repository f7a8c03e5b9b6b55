//! A voucher or a whole batch is taken back.
//!
//! What a used one gave is an interval; taking it back reverses that, and the event that names the service wakes
//! whoever carries it out. A batch is taken back by one commit, from which on none of it can be used; then what
//! its used ones gave is reversed a part at a time, by whoever asked and after a restart by the job.

use std::fmt::Display;

use jiff::Timestamp;
use serde_json::json;

use super::usage::Found;
use super::{MOST_DRAFTS, Vouchers};
use crate::billing::fault::BillingError;
use crate::domain::audit::Actor;
use crate::domain::ids::{BatchId, ServiceId, VoucherId};
use crate::domain::service::{IntervalState, Service};
use crate::domain::voucher::{Voucher, VoucherBatch, source};
use crate::store::contract::{CommitError, Page, Range, Record, Unit};
use crate::store::draft::Draft;
use crate::store::tables::Services;
use crate::store::tables::vouchers::{VoucherBatches, Vouchers as Table};

impl Vouchers {
    /// Takes a voucher back, and what it gave. Taken back already: nothing changes.
    ///
    /// # Errors
    /// `NotFound`; faults of ours.
    pub async fn revoke(
        &self,
        actor: &Actor,
        reference: &str,
        note: Option<&str>,
        now: Timestamp,
    ) -> Result<Draft<Found>, BillingError> {
        let found = self.voucher(reference).await?;
        if found.voucher.revoked_at.is_some() {
            return Ok(Draft::new(Unit::natural(), found));
        }
        let id = found.voucher.id;
        let after = Voucher { revoked_at: Some(now), ..found.voucher.clone() };
        let mut unit = self.once(now)?.replace::<Table>(&id, found.version, &after)?;
        if let Some(used) = &after.used {
            (unit, _) = self.reversed(unit, used.service_id, &[id], now).await?;
        }
        let unit = unit.event("voucher.revoked", id, json!({ "number": found.serial(), "by": actor.id }));
        let facts = json!({ "number": found.serial(), "note": note });
        let unit = self.audited(unit, actor, ("voucher.revoke", &id), (None, Some(facts)), now)?;
        Ok(Draft::new(unit, Found { voucher: after, ..found }))
    }

    /// Takes a batch back: from the commit on none of it can be used. What used ones gave is reversed by
    /// [`Vouchers::take_back_all`].
    ///
    /// # Errors
    /// `NotFound`; faults of ours.
    pub async fn revoke_batch(
        &self,
        actor: &Actor,
        reference: &str,
        note: Option<&str>,
        now: Timestamp,
    ) -> Result<Draft<VoucherBatch>, BillingError> {
        let record = self.batch(reference).await?;
        if record.body.revoked_at.is_some() {
            return Ok(Draft::new(Unit::natural(), record.body));
        }
        let id = record.body.id;
        let after = VoucherBatch { revoked_at: Some(now), envelope: None, ..record.body };
        let unit = self.once(now)?.replace::<VoucherBatches>(&id, record.version, &after)?;
        let unit = unit.event("voucher_batch.revoked", id, json!({ "code": after.code, "by": actor.id }));
        let facts = json!({ "code": after.code, "note": note });
        let deed = ("voucher_batch.revoke", &id as &dyn Display);
        let unit = self.audited(unit, actor, deed, (None, Some(facts)), now)?;
        Ok(Draft::new(unit, after))
    }

    /// Reverses what the used vouchers of a batch that was taken back gave; from how many services.
    ///
    /// # Errors
    /// Faults of ours; what was reversed stays so.
    pub async fn take_back_all(&self, id: BatchId, now: Timestamp) -> Result<usize, BillingError> {
        let mut taken = 0usize;
        let mut after = None;
        loop {
            let page = Page { after, limit: PART, reverse: false };
            let range = Range::Equals("used_of_batch", id.to_string().into());
            let slice = self.store().scan::<Table>(range, page).await?;
            taken = taken.saturating_add(self.take_back(&slice.records, now).await?);
            after = slice.next;
            if after.is_none() {
                break;
            }
        }
        self.note_done(id).await?;
        Ok(taken)
    }

    async fn take_back(&self, part: &[Record<Table>], now: Timestamp) -> Result<usize, BillingError> {
        for _ in 0..MOST_DRAFTS {
            let (mut unit, mut taken) = (Unit::natural(), 0usize);
            for record in part {
                let Some(used) = &record.body.used else { continue };
                let vouchers: Vec<_> = of_service(part, used.service_id).collect();
                // Several vouchers of one service are reversed with the first of them.
                if vouchers.first() != Some(&record.body.id) {
                    continue;
                }
                let reversed;
                (unit, reversed) = self.reversed(unit, used.service_id, &vouchers, now).await?;
                taken = taken.saturating_add(usize::from(reversed));
            }
            if taken == 0 {
                return Ok(0);
            }
            match self.commit(unit).await {
                Ok(()) => return Ok(taken),
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict { collection: "services", key: "of a voucher batch".to_owned() }.into())
    }

    async fn note_done(&self, id: BatchId) -> Result<(), BillingError> {
        for _ in 0..MOST_DRAFTS {
            let record = self.batch_of(id).await?;
            if record.body.revocation_done {
                return Ok(());
            }
            let done = VoucherBatch { revocation_done: true, ..record.body };
            let unit = Unit::natural().replace::<VoucherBatches>(&id, record.version, &done)?;
            match self.commit(unit).await {
                Ok(()) => return Ok(()),
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict { collection: "voucher_batches", key: id.to_string() }.into())
    }

    /// The unit with a service from which these vouchers' intervals are taken back, and whether there were any.
    async fn reversed(
        &self,
        unit: Unit,
        service: ServiceId,
        vouchers: &[VoucherId],
        now: Timestamp,
    ) -> Result<(Unit, bool), BillingError> {
        let Some(record) = self.store().get::<Services>(&service).await? else { return Ok((unit, false)) };
        let sources: Vec<_> = vouchers.iter().map(|id| source(*id)).collect();
        let mut after: Service = record.body.clone();
        for interval in &mut after.intervals {
            if interval.state == IntervalState::Active && sources.contains(&interval.source) {
                interval.state = IntervalState::Reversed;
            }
        }
        if after == record.body {
            return Ok((unit, false));
        }
        after.updated_at = now;
        let payload = json!({ "customer_id": after.subscriber_id, "action": "voucher.revoke" });
        let unit = unit.replace::<Services>(&service, record.version, &after)?;
        Ok((unit.event("service.changed", service, payload), true))
    }
}

fn of_service(part: &[Record<Table>], service: ServiceId) -> impl Iterator<Item = VoucherId> + '_ {
    let is_its = move |record: &&Record<Table>| {
        record.body.used.as_ref().is_some_and(|used| used.service_id == service)
    };
    part.iter().filter(is_its).map(|record| record.body.id)
}

/// Used vouchers looked at in one unit.
const PART: usize = 100;
