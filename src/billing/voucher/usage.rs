//! The first use of a code, as part of the unit of whoever uses it.
//!
//! The one rule: the unit expects the voucher and its batch as they were read, so of many first uses at once one
//! is taken, and none after the batch was taken back.

use jiff::Timestamp;
use serde_json::json;

use super::Vouchers;
use crate::billing::contract::Contract;
use crate::billing::fault::BillingError;
use crate::billing::grant;
use crate::domain::ids::{BatchId, ServiceId, VoucherId};
use crate::domain::service::{Interval, Phase, Service};
use crate::domain::voucher::{Voucher, VoucherBatch, VoucherUse, source};
use crate::domain::voucher_code::VoucherCode;
use crate::store::contract::{Expected, MAX_PAGE, Page, Range, Record, Unit};
use crate::store::listing;
use crate::store::tables::Services;
use crate::store::tables::vouchers::{VoucherBatches, Vouchers as Table, place};

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

    /// Writes the first use of a voucher by the owner of a prepaid service into a unit: what it gives begins where
    /// what is paid for ends (rule 14), and the next period is due after it. `is_own` says that the code is a login of
    /// it, as of somebody who is known by vouchers only.
    ///
    /// # Errors
    /// `NotFound` of the service; `Rule` where it is billed afterwards or runs on without end; faults of ours.
    pub async fn give_in(
        &self,
        unit: Unit,
        found: &Found,
        (service, is_own): (ServiceId, bool),
        now: Timestamp,
    ) -> Result<(Unit, VoucherUse), BillingError> {
        let mut contract = Contract::read(self.store(), service, now).await?;
        let Contract { service, subscription, .. } = &mut contract;
        if !grant::is_prepaid(service) {
            return Err(BillingError::rule("the service is billed afterwards, so no voucher can pay for it"));
        }
        let validity = found.batch.terms.validity;
        let source = source(found.voucher.id);
        let interval = if validity == Some(service.terms.period()) {
            grant::buy_period(service, subscription, &source, now, self.zone())?
        } else {
            let interval = self.next_span(found, service, now)?;
            (subscription.anchor, subscription.next_index) = (interval.until.unwrap_or(now), 0);
            (subscription.next_due_at, subscription.last_refusal) = (interval.until, None);
            service.intervals.push(interval.clone());
            interval
        };
        if service.phase == Phase::Pending {
            (service.phase, service.activated_at) = (Phase::Active, Some(now));
        }
        service.updated_at = now;
        let (service_id, subscriber_id) = (service.id, service.subscriber_id);
        let until = interval.until.ok_or_else(beyond)?;
        let used = VoucherUse { at: now, from: interval.from, until, service_id, subscriber_id, is_own };
        let payload = json!({ "customer_id": subscriber_id, "action": "voucher.redeem" });
        let unit = contract.write(unit)?.event("service.renewed", service_id, payload);
        Ok((self.use_in(unit, found, used.clone())?, used))
    }

    /// From when time that is bought for a service now would run.
    ///
    /// # Errors
    /// `Rule` where the service runs on without end.
    pub fn begins(&self, service: &Service, now: Timestamp) -> Result<Timestamp, BillingError> {
        match grant::paid_until(service, now) {
            Some(None) => Err(BillingError::rule(
                "the service runs until it is ended, so a voucher would give it nothing",
            )),
            Some(Some(until)) => Ok(until),
            None => Ok(now),
        }
    }

    fn next_span(&self, found: &Found, service: &Service, now: Timestamp) -> Result<Interval, BillingError> {
        let from = self.begins(service, now)?;
        let (from, until) = found.batch.span(from, self.zone()).ok_or_else(beyond)?;
        Ok(found.voucher.interval(from, until))
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
        let (from, until) = found.batch.span(from, self.zone()).ok_or_else(beyond)?;
        let (service_id, subscriber_id) = (service.id, service.subscriber_id);
        let used = VoucherUse { at: now, from, until, service_id, subscriber_id, is_own };
        let intervals = vec![found.voucher.interval(from, until)];
        let after = Service { phase: Phase::Active, activated_at: Some(now), intervals, ..service };
        Ok((after, used))
    }

    /// The service of that id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn service(&self, id: ServiceId) -> Result<Option<Record<Services>>, BillingError> {
        Ok(self.store().get::<Services>(&id).await?)
    }

    /// Whether a voucher of this batch was used for this service.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn gave_to(&self, batch: BatchId, service: ServiceId) -> Result<bool, BillingError> {
        let range = Range::Equals("service_id", service.to_string().into());
        let slice = self.store().scan::<Table>(range, Page::first(MAX_PAGE)).await?;
        Ok(slice.records.iter().any(|record| record.body.batch_id == batch))
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

fn beyond() -> BillingError {
    BillingError::rule("what the voucher gives ends beyond the calendar")
}
