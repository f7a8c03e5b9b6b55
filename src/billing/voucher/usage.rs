//! The first use of a code, as part of the unit of whoever uses it.
//!
//! The one rule: the unit expects the voucher and its batch as they were read, so of many first uses at once one
//! is taken, and none after the batch was taken back.

use jiff::Timestamp;
use serde_json::json;

use super::Vouchers;
use crate::billing::fault::BillingError;
use crate::domain::ids::{ServiceId, VoucherId};
use crate::domain::service::{Interval, IntervalState, Phase, Service};
use crate::domain::voucher::{Voucher, VoucherBatch, VoucherUse};
use crate::domain::voucher_code::VoucherCode;
use crate::store::contract::{Expected, Record, Unit};
use crate::store::listing;
use crate::store::tables::Services;
use crate::store::tables::vouchers::{Vouchers as Table, VoucherBatches, place};

/// A voucher with its batch, as they were read.
#[derive(Debug, Clone)]
pub struct Found {
    /// The voucher.
    pub voucher: Voucher,
    /// Its version.
    pub version: u64,
    /// The batch.
    pub batch: VoucherBatch,
    /// Its version.
    pub batch_version: u64,
}

impl Found {
    /// Its number, for people.
    #[must_use]
    pub fn serial(&self) -> String {
        self.batch.serial(self.voucher.number)
    }
}

impl Vouchers {
    /// The voucher with this code.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find(&self, code: &VoucherCode) -> Result<Option<Found>, BillingError> {
        let hash = self.0.key.hash(code);
        match listing::one_by::<Table>(self.store(), "code_hash", hash).await? {
            Some(record) => self.with_batch(record).await.map(Some),
            None => Ok(None),
        }
    }

    /// The voucher of that id or number (`B7K2QM-000017`).
    ///
    /// # Errors
    /// `NotFound`; a read that failed.
    pub async fn voucher(&self, reference: &str) -> Result<Found, BillingError> {
        let not_found = || BillingError::not_found("voucher", reference);
        let found = if let Ok(id) = reference.parse::<VoucherId>() {
            self.store().get::<Table>(&id).await?
        } else {
            let (batch, number) = reference.trim().rsplit_once('-').ok_or_else(not_found)?;
            let number = number.parse().map_err(|_| not_found())?;
            let batch = self.batch(batch).await.map_err(|_| not_found())?.body.id;
            listing::one_by::<Table>(self.store(), "place", place(batch, number)).await?
        };
        self.with_batch(found.ok_or_else(not_found)?).await
    }

    /// Writes the first use of a voucher into a unit.
    ///
    /// # Errors
    /// Faults of ours.
    pub fn use_in(&self, unit: Unit, found: &Found, used: VoucherUse) -> Result<Unit, BillingError> {
        let payload = json!({
            "batch_id": found.batch.id, "number": found.serial(), "service_id": used.service_id,
            "customer_id": used.subscriber_id, "from": used.from, "until": used.until,
        });
        let id = found.voucher.id;
        let after = Voucher { used: Some(used), ..found.voucher.clone() };
        let unit = unit
            .expect::<VoucherBatches>(&found.batch.id, Expected::Version(found.batch_version))
            .replace::<Table>(&id, found.version, &after)?;
        Ok(unit.event("voucher.redeemed", id, payload))
    }

    /// A service with what the voucher gives, after what is paid for already; and its use.
    ///
    /// # Errors
    /// `Rule` where the service runs on without end, or what the voucher gives ends beyond the calendar.
    pub fn given_to(
        &self,
        found: &Found,
        service: &Service,
        now: Timestamp,
    ) -> Result<(Service, VoucherUse), BillingError> {
        let from = paid_until(&service.intervals, now)?;
        let used = self.used_for(found, service, from, false, now)?;
        let mut after = service.clone();
        after.intervals.push(found.voucher.interval(used.from, used.until));
        if after.phase == Phase::Pending && !after.awaits_approval() {
            (after.phase, after.activated_at) = (Phase::Active, Some(now));
        }
        after.updated_at = now;
        Ok((after, used))
    }

    /// A service that was just made for a voucher, brought to life with what it gives from `from` on.
    ///
    /// # Errors
    /// `Rule` where that ends beyond the calendar.
    pub fn begun_with(
        &self,
        found: &Found,
        service: Service,
        (from, is_own): (Timestamp, bool),
        now: Timestamp,
    ) -> Result<(Service, VoucherUse), BillingError> {
        let used = self.used_for(found, &service, from, is_own, now)?;
        let intervals = vec![found.voucher.interval(used.from, used.until)];
        let after = Service { phase: Phase::Active, activated_at: Some(now), intervals, ..service };
        Ok((after, used))
    }

    fn used_for(
        &self,
        found: &Found,
        service: &Service,
        from: Timestamp,
        is_own: bool,
        now: Timestamp,
    ) -> Result<VoucherUse, BillingError> {
        let span = found.batch.span(from, self.zone());
        let (from, until) = span.ok_or_else(|| BillingError::rule("what it gives ends beyond the calendar"))?;
        let (service_id, subscriber_id) = (service.id, service.subscriber_id);
        Ok(VoucherUse { at: now, from, until, service_id, subscriber_id, is_own })
    }

    /// The service of that id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn service(&self, id: ServiceId) -> Result<Option<Record<Services>>, BillingError> {
        Ok(self.store().get::<Services>(&id).await?)
    }

    async fn with_batch(&self, record: Record<Table>) -> Result<Found, BillingError> {
        let batch = self.batch_of(record.body.batch_id).await?;
        Ok(Found {
            voucher: record.body,
            version: record.version,
            batch: batch.body,
            batch_version: batch.version,
        })
    }
}

/// Where time that is bought now begins: at the end of all that is paid for (rule 14), or now.
///
/// # Errors
/// `Rule` where what is paid for has no end.
pub fn paid_until(intervals: &[Interval], now: Timestamp) -> Result<Timestamp, BillingError> {
    let mut from = now;
    for interval in intervals.iter().filter(|one| one.state == IntervalState::Active) {
        match interval.until {
            Some(until) => from = from.max(until),
            None => {
                return Err(BillingError::rule(
                    "the service runs until it is ended, so a voucher would give it nothing",
                ));
            }
        }
    }
    Ok(from)
}
