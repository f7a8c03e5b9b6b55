//! Vouchers that another system sold go on working: each is one of ours under the code that is printed on its card.
//!
//! Those of one plan are a batch, known again by where they come from, so that the same file again makes nothing. A
//! code of theirs is shorter than ours and is told from it by being looked for second. The one rule: their codes are
//! kept as ours are, as keyed hashes, and are shown to nobody.

use jiff::Timestamp;
use serde_json::json;

use super::batch::BatchWish;
use super::{MOST_DRAFTS, Vouchers};
use crate::billing::fault::BillingError;
use crate::domain::audit::Actor;
use crate::domain::ids::{BatchId, VoucherId};
use crate::domain::text::Line;
use crate::domain::voucher::{Voucher, VoucherBatch};
use crate::domain::voucher_code::VoucherCode;
use crate::store::contract::{CommitError, Page, Range, Record, Unit};
use crate::store::listing;
use crate::store::tables::vouchers::{VoucherBatches, Vouchers as Table};

/// How many vouchers are new, and how many were there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// New.
    pub created: u64,
    /// As they were.
    pub unchanged: u64,
}

impl Vouchers {
    /// The code in what somebody typed: ours, or one of a card that another system printed, where there are such.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn code_in(&self, typed: &str) -> Result<Option<VoucherCode>, BillingError> {
        let (ours, theirs) = (VoucherCode::parse(typed), VoucherCode::foreign(typed));
        let Some(theirs) = theirs.filter(|theirs| ours.as_ref() != Some(theirs)) else { return Ok(ours) };
        if !self.has_imported().await? {
            return Ok(ours);
        }
        match ours {
            Some(ours) if self.find(&ours).await?.is_some() => Ok(Some(ours)),
            Some(ours) => Ok(Some(if self.find(&theirs).await?.is_some() { theirs } else { ours })),
            None => Ok(Some(theirs)),
        }
    }

    async fn has_imported(&self) -> Result<bool, BillingError> {
        let range = Range::Equals("imported", "yes".into());
        Ok(!self.store().scan::<VoucherBatches>(range, Page::first(1)).await?.records.is_empty())
    }

    /// Takes codes of another system in as vouchers of a plan; of a dry run, only what it would come to.
    ///
    /// # Errors
    /// `Field`, `Rule` where no voucher can be of this plan; faults of ours. What was taken until then stands.
    pub async fn take_in(
        &self,
        actor: &Actor,
        (from, plan): (&str, &str),
        codes: &[VoucherCode],
        dry_run: bool,
        now: Timestamp,
    ) -> Result<Taken, BillingError> {
        let mut taken = Taken::default();
        for part in codes.chunks(PART) {
            let mut tries = 0;
            let made = loop {
                tries += 1;
                match self.take_part(actor, (from, plan), part, dry_run, now).await {
                    Err(BillingError::Commit(CommitError::Conflict { .. } | CommitError::Taken { .. }))
                        if tries < MOST_DRAFTS => {}
                    made => break made?,
                }
            };
            let all = u64::try_from(part.len()).unwrap_or(u64::MAX);
            taken.created = taken.created.saturating_add(made);
            taken.unchanged = taken.unchanged.saturating_add(all.saturating_sub(made));
        }
        Ok(taken)
    }

    async fn take_part(
        &self,
        actor: &Actor,
        (from, plan): (&str, &str),
        codes: &[VoucherCode],
        dry_run: bool,
        now: Timestamp,
    ) -> Result<u64, BillingError> {
        let (batch, version) = self.imported_batch(actor, (from, plan), now).await?;
        let (mut unit, mut number) = (self.once(now)?, batch.next_number());
        let mut seen = Vec::with_capacity(codes.len());
        for code in codes {
            let hash = self.0.key.hash(code);
            let is_there = listing::one_by::<Table>(self.store(), "code_hash", hash.clone()).await?.is_some();
            if is_there || seen.contains(&hash) {
                continue;
            }
            seen.push(hash.clone());
            let voucher = Voucher {
                id: VoucherId(self.entropy().uuid_v7(now)?),
                batch_id: batch.id,
                number,
                code_hash: hash,
                used: None,
                sold: None,
                revoked_at: None,
                replaced_by: None,
            };
            unit = unit.create::<Table>(&voucher.id, &voucher)?;
            number = number.saturating_add(1);
        }
        let made = number.saturating_sub(batch.next_number());
        if made == 0 || dry_run {
            return Ok(u64::from(made));
        }
        let after = VoucherBatch { made_at_sale: batch.made_at_sale.saturating_add(made), ..batch.clone() };
        unit = match version {
            Some(version) => unit.replace::<VoucherBatches>(&batch.id, version, &after)?,
            None => unit.create::<VoucherBatches>(&batch.id, &after)?,
        };
        let facts = json!({ "from": from, "plan_code": batch.plan_code, "count": made });
        let unit = unit.event("voucher_batch.imported", batch.id, facts.clone());
        let unit: Unit =
            self.audited(unit, actor, ("voucher_batch.import", &batch.id), (None, Some(facts)), now)?;
        self.commit(unit).await?;
        Ok(u64::from(made))
    }

    /// The batch of a plan's imported vouchers, as it is or as it would begin.
    async fn imported_batch(
        &self,
        actor: &Actor,
        (from, plan): (&str, &str),
        now: Timestamp,
    ) -> Result<(VoucherBatch, Option<u64>), BillingError> {
        let name = Line::parse(&format!("Cards of {from}, {plan}"))
            .map_err(|error| BillingError::field("plan", error.to_string()))?;
        let wish = BatchWish {
            name,
            plan: plan.to_owned(),
            count: 0,
            for_sale: true,
            prefix: None,
            price: None,
            validity: None,
            device_limit: None,
            data_allowance: None,
            redeem_by: None,
        };
        let begun = self.begin_batch(actor, wish, now).await?.value;
        let derived = self.0.vault.derive(&format!("imported vouchers {from} {}", begun.plan_id));
        let mut octets = [0; 16];
        for (target, source) in octets.iter_mut().zip(derived) {
            *target = source;
        }
        let id = BatchId(uuid::Builder::from_custom_bytes(octets).into_uuid());
        let held: Option<Record<VoucherBatches>> = self.store().get::<VoucherBatches>(&id).await?;
        Ok(match held {
            Some(record) => (record.body, Some(record.version)),
            None => {
                let made_by = actor.id.clone();
                (VoucherBatch { id, for_sale: false, imported: true, made_by, ..begun }, None)
            }
        })
    }
}

/// Vouchers in one commit.
const PART: usize = 200;
