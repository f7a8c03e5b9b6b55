//! Vouchers and batches as staff look at them. No code is in any of it: only hashes are kept.

use std::collections::HashMap;

use jiff::Timestamp;

use super::Vouchers;
use super::usage::Found;
use crate::billing::fault::BillingError;
use crate::domain::ids::{BatchId, ServiceId, StaffId};
use crate::domain::voucher::{Voucher, VoucherBatch, VoucherState};
use crate::store::contract::{IndexValue, Range, Record};
use crate::store::listing::{self, Listed, Steps, Walk, Window};
use crate::store::tables::vouchers::{VoucherBatches, Vouchers as Table, place};

/// A voucher with what has become of it.
#[derive(Debug, Clone)]
pub struct VoucherView {
    /// The voucher.
    pub voucher: Voucher,
    /// Its batch.
    pub batch: VoucherBatch,
    /// What has become of it.
    pub state: VoucherState,
}

/// Which vouchers a list holds.
#[derive(Debug, Clone, Default)]
pub struct VoucherFilter {
    /// Only this batch's: id or code.
    pub batch: Option<String>,
    /// Only those in this state.
    pub state: Option<VoucherState>,
    /// Only those whose sale was, or was not, written down.
    pub sold: Option<bool>,
    /// Only those sold by this person.
    pub seller: Option<StaffId>,
}

/// Whether the data that a service was given is used up.
pub type IsSpent<'a> = dyn Fn(ServiceId) -> bool + Send + Sync + 'a;

impl Vouchers {
    /// The batches, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn batches(&self, window: Window) -> Result<Listed<VoucherBatch>, BillingError> {
        let all = Range::Between("created_at", IndexValue::Integer(i64::MIN), IndexValue::Integer(i64::MAX));
        let listed =
            listing::list::<VoucherBatches>(self.store(), Walk::newest_first(all), window, |_| true).await?;
        Ok(listed.map(|record| record.body))
    }

    /// The vouchers that fit: of a batch by their numbers, else by the time they were made.
    ///
    /// # Errors
    /// `NotFound` of the batch to filter by; a read that failed.
    pub async fn vouchers(
        &self,
        filter: &VoucherFilter,
        window: Window,
        is_spent: &IsSpent<'_>,
        now: Timestamp,
    ) -> Result<Listed<VoucherView>, BillingError> {
        let (batches, range) = match &filter.batch {
            Some(reference) => {
                let batch = self.batch(reference).await?.body;
                let ends = [0, u32::MAX].map(|number| IndexValue::from(place(batch.id, number)));
                let [first, last] = ends;
                (HashMap::from([(batch.id, batch)]), Range::Between("place", first, last))
            }
            None => (self.batches_by_id().await?, Range::All),
        };
        let view = |voucher: &Voucher| {
            let batch = batches.get(&voucher.batch_id)?;
            Some(seen(voucher.clone(), batch.clone(), is_spent, now))
        };
        let fits = |record: &Record<Table>| {
            let sold = record.body.sold.as_ref();
            filter.sold.is_none_or(|wanted| sold.is_some() == wanted)
                && filter.seller.is_none_or(|seller| sold.is_some_and(|sold| sold.seller == seller))
                && filter.state.is_none_or(|state| view(&record.body).is_some_and(|one| one.state == state))
        };
        let walk = Walk { range, newest_first: filter.batch.is_none() };
        let listed = listing::list::<Table>(self.store(), walk, window, fits).await?;
        let items = listed.items.iter().filter_map(|record| view(&record.body)).collect();
        Ok(Listed { items, total: listed.total, complete: listed.complete })
    }

    /// How a voucher that was found stands.
    #[must_use]
    pub fn view(&self, found: Found, is_spent: &IsSpent<'_>, now: Timestamp) -> VoucherView {
        seen(found.voucher, found.batch, is_spent, now)
    }

    async fn batches_by_id(&self) -> Result<HashMap<BatchId, VoucherBatch>, BillingError> {
        let mut batches = HashMap::new();
        let mut steps = Steps::new(Walk::all());
        while let Some(records) = steps.next::<VoucherBatches>(self.store()).await? {
            batches.extend(records.into_iter().map(|record| (record.body.id, record.body)));
        }
        Ok(batches)
    }
}

fn seen(voucher: Voucher, batch: VoucherBatch, is_spent: &IsSpent<'_>, now: Timestamp) -> VoucherView {
    let spent = voucher.used.as_ref().is_some_and(|used| is_spent(used.service_id));
    let state = voucher.state(&batch, spent, now);
    VoucherView { voucher, batch, state }
}
