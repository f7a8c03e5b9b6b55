//! A batch is begun, and its vouchers are made a part at a time.
//!
//! Each part is one unit that also says how far the batch is, so a daemon that was killed goes on where it was.
//! The codes come of a seed that the batch keeps sealed until they are handed out; nothing but the seed and their
//! hashes is ever written. The one rule: who makes a part expects the batch as it was read, so two makers make
//! nothing twice.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{MOST_DRAFTS, Vouchers};
use crate::base::secret::Secret;
use crate::billing::fault::BillingError;
use crate::domain::audit::Actor;
use crate::domain::ids::{BatchId, VoucherId};
use crate::domain::money::{Money, PPM};
use crate::domain::plan::{MAX_DEVICE_LIMIT, Plan, PlanTerms, Validity};
use crate::domain::tax::TaxTreatment;
use crate::domain::text::{Code, Line};
use crate::domain::voucher::{Envelope, MAX_BATCH, Voucher, VoucherBatch};
use crate::domain::voucher_code::Prefix;
use crate::store::contract::{CommitError, IndexValue, Page, Range, Record, Unit};
use crate::store::draft::Draft;
use crate::store::listing;
use crate::store::tables::Plans;
use crate::store::tables::vouchers::VoucherBatches;
use crate::store::tables::vouchers::Vouchers as Table;
use crate::store::vault::SealedSecret;
use crate::store::voucher_key::code_of;

/// A batch that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchWish {
    /// What it is for.
    pub name: Line,
    /// Which plan: code or id.
    pub plan: String,
    /// How many to print.
    pub count: u32,
    /// Whether more may be made one by one as they are sold.
    pub for_sale: bool,
    /// What stands before the codes.
    pub prefix: Option<Prefix>,
    /// What one costs, tax included; the plan's price where none is said.
    pub price: Option<Money>,
    /// How long one lasts from its first use; as the plan where none is said.
    pub validity: Option<Validity>,
    /// Devices at a time; as the plan where none is said.
    pub device_limit: Option<u32>,
    /// Octets; as the plan where none is said.
    pub data_allowance: Option<u64>,
    /// From then on none can be used for the first time.
    pub redeem_by: Option<Timestamp>,
}

/// What one run over the batches came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Worked {
    /// Vouchers that were made.
    pub made: u64,
    /// Batches whose codes were thrown away.
    pub forgotten: usize,
    /// Services from which something was taken back.
    pub taken_back: usize,
    /// When codes are to be thrown away next.
    pub next: Option<Timestamp>,
}

impl Vouchers {
    /// Begins a batch. No voucher of it exists yet: [`Vouchers::make_all`] and the job make them.
    ///
    /// # Errors
    /// `Field`, `Rule` for a wish that cannot be had; faults of ours.
    pub async fn begin_batch(
        &self,
        actor: &Actor,
        wish: BatchWish,
        now: Timestamp,
    ) -> Result<Draft<VoucherBatch>, BillingError> {
        if wish.count > MAX_BATCH {
            return Err(BillingError::field("count", format!("must be at most {MAX_BATCH}")));
        }
        if wish.count == 0 && !wish.for_sale {
            return Err(BillingError::field("count", "must be at least 1 where none is made at a sale"));
        }
        if wish.redeem_by.is_some_and(|end| end <= now) {
            return Err(BillingError::field("redeem_by", "must be in the future"));
        }
        let plan = self.plan(&wish.plan).await?;
        let terms = terms(&plan, &wish)?;
        let (price, tax) = self.priced(&terms, wish.price)?;
        let id = BatchId(self.entropy().uuid_v7(now)?);
        let batch = VoucherBatch {
            id,
            code: self.batch_code()?,
            name: wish.name,
            prefix: wish.prefix,
            plan_id: plan.id,
            plan_code: plan.code,
            terms,
            price,
            tax,
            count: wish.count,
            made: 0,
            for_sale: wish.for_sale,
            made_at_sale: 0,
            redeem_by: wish.redeem_by,
            envelope: if wish.count > 0 { Some(self.sealed_seed(id, now)?) } else { None },
            made_at: (wish.count == 0).then_some(now),
            revoked_at: None,
            revocation_done: false,
            imported: false,
            made_by: actor.id.clone(),
            created_at: now,
        };
        let facts = json!({ "plan_code": batch.plan_code, "count": batch.count, "price": batch.price });
        let unit = self.once(now)?.create::<VoucherBatches>(&id, &batch)?;
        let unit = unit.event("voucher_batch.created", id, facts.clone());
        let unit = self.audited(unit, actor, ("voucher_batch.create", &id), (None, Some(facts)), now)?;
        Ok(Draft::new(unit, batch))
    }

    /// Makes what is left to make of a batch.
    ///
    /// # Errors
    /// `NotFound`; faults of ours. What was made stays, and is not made again.
    pub async fn make_all(&self, id: BatchId, now: Timestamp) -> Result<VoucherBatch, BillingError> {
        loop {
            let (record, _) = self.make_some(id, now).await?;
            if record.body.is_complete() || record.body.revoked_at.is_some() {
                return Ok(record.body);
            }
            // Making 100,000 of them must not keep everybody else from the store's writer.
            tokio::task::yield_now().await;
        }
    }

    /// Carries on what is left to do: vouchers to make, codes to throw away, revocations to carry through.
    ///
    /// # Errors
    /// Faults of ours; the next run tries again.
    pub async fn carry_on(&self, now: Timestamp) -> Result<Worked, BillingError> {
        let mut worked = Worked::default();
        let all = Range::Between("waits", IndexValue::Integer(i64::MIN), IndexValue::Integer(i64::MAX));
        let waiting = self.store().scan::<VoucherBatches>(all, Page::first(MOST_WAITING)).await?;
        for record in waiting.records {
            let batch = record.body;
            if batch.revoked_at.is_some() {
                let taken = self.take_back_all(batch.id, now).await?;
                worked.taken_back = worked.taken_back.saturating_add(taken);
            } else if !batch.is_complete() {
                worked.made = worked.made.saturating_add(u64::from(batch.count.saturating_sub(batch.made)));
                self.make_all(batch.id, now).await?;
            }
            match self.forget_when_over(batch.id, now).await? {
                None => worked.forgotten = worked.forgotten.saturating_add(1),
                Some(until) => worked.next = Some(worked.next.map_or(until, |next| next.min(until))),
            }
        }
        Ok(worked)
    }

    /// The batch of that id or code.
    ///
    /// # Errors
    /// `NotFound`; a read that failed.
    pub async fn batch(&self, reference: &str) -> Result<Record<VoucherBatches>, BillingError> {
        let found = match reference.parse::<BatchId>() {
            Ok(id) => self.store().get::<VoucherBatches>(&id).await?,
            Err(_) => {
                listing::one_by::<VoucherBatches>(self.store(), "code", reference.trim().to_uppercase())
                    .await?
            }
        };
        found.ok_or_else(|| BillingError::not_found("voucher batch", reference))
    }

    pub(super) async fn batch_of(&self, id: BatchId) -> Result<Record<VoucherBatches>, BillingError> {
        let found = self.store().get::<VoucherBatches>(&id).await?;
        found.ok_or_else(|| BillingError::not_found("voucher batch", id))
    }

    /// One part of a batch, and the batch afterwards.
    async fn make_some(
        &self,
        id: BatchId,
        now: Timestamp,
    ) -> Result<(Record<VoucherBatches>, u32), BillingError> {
        for _ in 0..MOST_DRAFTS {
            let record = self.batch_of(id).await?;
            if record.body.is_complete() || record.body.revoked_at.is_some() {
                return Ok((record, 0));
            }
            let (unit, part) = self.part(&record, now)?;
            match self.commit(unit).await {
                Ok(()) => return Ok((self.batch_of(id).await?, part)),
                Err(CommitError::Conflict { .. }) => {}
                Err(CommitError::Taken { index: "code_hash", .. }) => self.redraw(&record).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict { collection: "voucher_batches", key: id.to_string() }.into())
    }

    fn part(&self, record: &Record<VoucherBatches>, now: Timestamp) -> Result<(Unit, u32), BillingError> {
        let batch = &record.body;
        let (seed, last) = (self.seed(batch)?, batch.count.min(batch.made.saturating_add(PART)));
        let mut unit = Unit::natural();
        for number in batch.made.saturating_add(1)..=last {
            let code = self.code(batch, &seed, number)?;
            let voucher = Voucher {
                id: VoucherId(self.entropy().uuid_v7(now)?),
                batch_id: batch.id,
                number,
                code_hash: self.0.key.hash(&code),
                used: None,
                sold: None,
                revoked_at: None,
                replaced_by: None,
            };
            unit = unit.put::<Table>(&voucher.id, &voucher)?;
        }
        let mut after = VoucherBatch { made: last, ..batch.clone() };
        if after.is_complete() {
            after.made_at = Some(now);
            if let Some(envelope) = &mut after.envelope {
                envelope.until = later(now, ENVELOPE_LIFETIME);
            }
            unit = unit.event("voucher_batch.made", batch.id, json!({ "count": batch.count }));
        }
        let part = last.saturating_sub(batch.made);
        Ok((unit.replace::<VoucherBatches>(&batch.id, record.version, &after)?, part))
    }

    /// Of the part that comes next, the vouchers whose codes are others' already draw again.
    async fn redraw(&self, record: &Record<VoucherBatches>) -> Result<(), BillingError> {
        let mut batch = record.body.clone();
        let (seed, last) = (self.seed(&batch)?, batch.count.min(batch.made.saturating_add(PART)));
        for number in batch.made.saturating_add(1)..=last {
            let hash = self.0.key.hash(&self.code(&batch, &seed, number)?);
            if listing::one_by::<Table>(self.store(), "code_hash", hash).await?.is_none() {
                continue;
            }
            let draw = draw_of(&batch, number).saturating_add(1);
            if let Some(envelope) = &mut batch.envelope {
                envelope.redrawn.retain(|(redrawn, _)| *redrawn != number);
                envelope.redrawn.push((number, draw));
            }
        }
        let unit = Unit::natural().replace::<VoucherBatches>(&batch.id, record.version, &batch)?;
        match self.commit(unit).await {
            Ok(()) | Err(CommitError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn code(
        &self,
        batch: &VoucherBatch,
        seed: &Secret,
        number: u32,
    ) -> Result<crate::domain::voucher_code::VoucherCode, BillingError> {
        let code = code_of(seed.expose(), number, draw_of(batch, number));
        // 128 octets hold no twelve symbols once in 10^80.
        code.ok_or_else(|| BillingError::rule("no code could be drawn; make another batch"))
    }

    pub(super) fn seed(&self, batch: &VoucherBatch) -> Result<Secret, BillingError> {
        let gone = || BillingError::rule("the codes of this batch were handed out and are not kept any more");
        let envelope = batch.envelope.as_ref().ok_or_else(gone)?;
        let unsealed = SealedSecret::parse(&envelope.sealed)
            .and_then(|sealed| self.0.vault.unseal(&context(batch.id), &sealed));
        unsealed.map_err(|_| {
            BillingError::rule("this box has not the key to the codes of this batch; make another batch")
        })
    }

    fn sealed_seed(&self, id: BatchId, now: Timestamp) -> Result<Envelope, BillingError> {
        let seed = Secret::new(self.entropy().bytes::<32>()?);
        let sealed = self.0.vault.seal(self.entropy(), &context(id), &seed);
        let sealed = sealed.map_err(|error| CommitError::Unavailable(error.to_string()))?;
        let until = later(now, ENVELOPE_LIFETIME);
        Ok(Envelope { sealed: sealed.into(), redrawn: Vec::new(), opened_at: None, until })
    }

    fn batch_code(&self) -> Result<Code, BillingError> {
        let text = self.entropy().readable(BATCH_SYMBOLS)?;
        Code::parse(&text).map_err(|error| BillingError::field("code", error.to_string()))
    }

    async fn plan(&self, reference: &str) -> Result<Plan, BillingError> {
        let found = match reference.parse() {
            Ok(id) => self.store().get::<Plans>(&id).await?,
            Err(_) => listing::one_by::<Plans>(self.store(), "code", reference.trim().to_lowercase()).await?,
        };
        let plan = found.ok_or_else(|| BillingError::field("plan", "is not the code or id of a plan"))?.body;
        if !plan.is_active {
            return Err(BillingError::rule("the plan takes no new contracts; activate it first"));
        }
        if !plan.terms.service_type.reaches_the_internet() {
            return Err(BillingError::field(
                "plan",
                "is not a plan for the Internet, so no voucher can use it",
            ));
        }
        Ok(plan)
    }

    /// The price with tax in it, and the tax. A price that is said includes it; the plan's is as the plan says.
    fn priced(&self, terms: &PlanTerms, said: Option<Money>) -> Result<(Money, Money), BillingError> {
        let currency = terms.monthly_price.currency;
        if said.is_some_and(|price| price.currency != currency) {
            return Err(BillingError::field("price", format!("must be in {currency}, as the plan")));
        }
        if said.is_some_and(|price| price.minor < 0) {
            return Err(BillingError::field("price", "must not be below zero"));
        }
        let rate = i64::from(terms.billing.tax_ppm.unwrap_or(self.0.tax_ppm));
        let included = |price: Money| price.scaled(rate, PPM.saturating_add(rate));
        Ok(match (said, terms.billing.tax_treatment) {
            (said, TaxTreatment::Exempt) => (said.unwrap_or(terms.monthly_price), Money::zero(currency)),
            (Some(price), TaxTreatment::Exclusive | TaxTreatment::Inclusive) => (price, included(price)?),
            (None, TaxTreatment::Inclusive) => (terms.monthly_price, included(terms.monthly_price)?),
            (None, TaxTreatment::Exclusive) => {
                let tax = terms.monthly_price.scaled(rate, PPM)?;
                (terms.monthly_price.checked_add(tax)?, tax)
            }
        })
    }
}

/// The plan's terms with the batch's own.
fn terms(plan: &Plan, wish: &BatchWish) -> Result<PlanTerms, BillingError> {
    let mut terms = plan.terms.clone();
    terms.validity = wish.validity.or(terms.validity);
    terms.data_allowance = wish.data_allowance.or(terms.data_allowance);
    terms.device_limit = wish.device_limit.unwrap_or(terms.device_limit);
    // Whoever sells a voucher has approved its use.
    terms.requires_approval = false;
    match terms.validity {
        None => Err(BillingError::field(
            "validity",
            "is required, because the plan runs until it is ended and a voucher does not",
        )),
        Some(Validity { count: 0, .. }) => Err(BillingError::field("validity", "must be at least 1")),
        Some(_) if !(1..=MAX_DEVICE_LIMIT).contains(&terms.device_limit) => {
            Err(BillingError::field("device_limit", format!("must be from 1 to {MAX_DEVICE_LIMIT}")))
        }
        Some(_) if terms.data_allowance == Some(0) => {
            Err(BillingError::field("data_allowance", "must be more than nothing"))
        }
        Some(_) => Ok(terms),
    }
}

fn draw_of(batch: &VoucherBatch, number: u32) -> u32 {
    let redrawn = batch.envelope.iter().flat_map(|envelope| &envelope.redrawn);
    redrawn.filter(|(redrawn, _)| *redrawn == number).map(|(_, draw)| *draw).next().unwrap_or(0)
}

fn context(id: BatchId) -> String {
    format!("voucher_batch/{id}/codes")
}

pub(super) fn later(from: Timestamp, by: SignedDuration) -> Timestamp {
    from.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// Vouchers in one unit: some milliseconds of the store's writer.
const PART: u32 = 500;
/// How long codes that nobody fetched are kept, sealed: until the morning after.
const ENVELOPE_LIFETIME: SignedDuration = SignedDuration::from_hours(24);
/// Symbols of a batch's own code: unique among more batches than a box has.
const BATCH_SYMBOLS: usize = 6;
/// Batches that one run of the job looks at; the next run sees the others.
const MOST_WAITING: usize = 100;
