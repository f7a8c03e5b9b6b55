//! Vouchers are sold: by an agent from their float, by staff for cash.
//!
//! Money is booked here and nowhere else in a voucher's life: its use posts nothing. New codes are made in the
//! commit of their sale and shown once; cards that were printed before are sold by their numbers. The one rule:
//! posting, sale and vouchers are one commit, and the float is read while nobody else can write the ledger.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::batch::later;
use super::envelope::Card;
use super::{MOST_DRAFTS, Vouchers};
use crate::billing::book::{Book, Leaf, may_try_again};
use crate::billing::fault::BillingError;
use crate::domain::agent::{Agent, VoucherSale};
use crate::domain::audit::Actor;
use crate::domain::ids::{SaleId, ShiftId, StaffId, VoucherId};
use crate::domain::ledger::{Account, Entry, PostingKind};
use crate::domain::message::Recipient;
use crate::domain::money::Money;
use crate::domain::text::Phone;
use crate::domain::voucher::{MAX_BATCH, Sold, Voucher, VoucherBatch};
use crate::domain::voucher_code::VoucherCode;
use crate::notify::News;
use crate::store::contract::{CommitError, IndexValue, Range, Record, Unit};
use crate::store::listing::{self, Listed, Walk, Window};
use crate::store::tables::vouchers::{
    Agents, Shifts, VoucherBatches, VoucherSales, Vouchers as Table, place,
};

/// What somebody wants to sell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaleWish {
    /// Of which batch: code or id.
    pub batch: String,
    /// Which.
    pub what: Goods,
    /// Where new codes are sent as well, by SMS.
    pub phone: Option<Phone>,
}

/// Which vouchers are sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goods {
    /// So many new ones.
    New(u32),
    /// Printed cards, by their numbers.
    Printed(Vec<u32>),
}

/// Who sells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seller {
    /// Who.
    pub id: StaffId,
    /// Whether they sell from a float, as agents do, or for the ISP's own cash.
    pub is_agent: bool,
}

/// A sale that was made.
#[derive(Debug, Clone)]
pub struct SaleMade {
    /// The sale.
    pub sale: VoucherSale,
    /// The batch.
    pub batch: VoucherBatch,
    /// New codes; they cannot be read again.
    pub cards: Vec<Card>,
    /// Whether they are on their way by SMS too.
    pub is_sent: bool,
}

/// Which sales a list holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct SaleFilter {
    /// Only this seller's.
    pub seller: Option<StaffId>,
    /// Only those of this shift.
    pub shift: Option<ShiftId>,
}

/// What the door wants in the commit too: the answer that is kept for a repeat.
pub type Beside<'a, T> = &'a (dyn Fn(Unit, &T) -> Result<Unit, CommitError> + Send + Sync);

impl Vouchers {
    pub(in crate::billing) fn book(&self) -> &Book {
        &self.0.book
    }

    /// Sells vouchers.
    ///
    /// # Errors
    /// `NotFound`, `Field`, `Rule` with what stands against it; faults of ours. Nothing was sold then.
    pub async fn sell(
        &self,
        seller: Seller,
        wish: &SaleWish,
        actor: &Actor,
        beside: Beside<'_, SaleMade>,
        now: Timestamp,
    ) -> Result<SaleMade, BillingError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.sell_once(seller, wish, actor, beside, now).await {
                Err(error) if may_sell_again(&error) && tries < MOST_DRAFTS => {}
                answer => return answer,
            }
        }
    }

    async fn sell_once(
        &self,
        seller: Seller,
        wish: &SaleWish,
        actor: &Actor,
        beside: Beside<'_, SaleMade>,
        now: Timestamp,
    ) -> Result<SaleMade, BillingError> {
        let mut leaf = self.book().open().await;
        let record = self.batch(&wish.batch).await?;
        must_be_sellable(&record.body, &wish.what, now)?;
        let id = SaleId(self.entropy().uuid_v7(now)?);
        let sold = Sold { sale_id: id, seller: seller.id, at: now };
        let (batch, numbers, cards) = match &wish.what {
            Goods::New(count) => self.new_ones(&mut leaf, &record, *count, &sold, now)?,
            Goods::Printed(numbers) => {
                let numbers = self.printed_ones(&mut leaf, &record.body, numbers, &sold).await?;
                (record.body, numbers, Vec::new())
            }
        };
        let count = i64::try_from(numbers.len()).unwrap_or(i64::MAX);
        let price = times(batch.price, count)?;
        let tax = times(batch.tax, count)?;
        let commission = self.paid_by(&mut leaf, seller, &batch, (price, count)).await?;
        let shift_id = self.open_shift(seller.id).await?;
        let from_float = seller.is_agent;
        let (batch_id, seller_id) = (batch.id, seller.id);
        let sale = VoucherSale {
            id,
            seller: seller_id,
            batch_id,
            numbers,
            price,
            tax,
            commission,
            from_float,
            shift_id,
            at: now,
        };
        leaf.post(posting(&sale, &batch)?);
        let mut made = SaleMade { sale, batch, cards, is_sent: false };
        if let Some(phone) = &wish.phone {
            made.is_sent = self.send(&mut leaf, &made, phone, now).await?;
        }
        self.write_down(leaf, &made, actor, beside, now).await?;
        self.0.bulletin.wake();
        Ok(made)
    }

    /// The sales that fit, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn sales(
        &self,
        filter: SaleFilter,
        window: Window,
    ) -> Result<Listed<VoucherSale>, BillingError> {
        let range = match (filter.shift, filter.seller) {
            (Some(shift), _) => Range::Equals("shift_id", shift.to_string().into()),
            (None, Some(seller)) => Range::Equals("seller", seller.to_string().into()),
            (None, None) => {
                Range::Between("at", IndexValue::Integer(i64::MIN), IndexValue::Integer(i64::MAX))
            }
        };
        let fits =
            |record: &Record<VoucherSales>| filter.seller.is_none_or(|seller| record.body.seller == seller);
        let listed =
            listing::list::<VoucherSales>(self.store(), Walk::newest_first(range), window, fits).await?;
        Ok(listed.map(|record| record.body))
    }

    /// New vouchers, in the leaf; the batch afterwards, their numbers and codes.
    fn new_ones(
        &self,
        leaf: &mut Leaf,
        record: &Record<VoucherBatches>,
        count: u32,
        sold: &Sold,
        now: Timestamp,
    ) -> Result<(VoucherBatch, Vec<u32>, Vec<Card>), BillingError> {
        let batch = &record.body;
        let first = batch.next_number();
        let numbers: Vec<u32> = (first..first.saturating_add(count)).collect();
        let mut cards = Vec::with_capacity(numbers.len());
        for number in &numbers {
            let code = VoucherCode::draw(self.entropy().bytes::<128>()?)
                .ok_or_else(|| BillingError::rule("no code could be drawn; try again"))?;
            let voucher = Voucher {
                id: VoucherId(self.entropy().uuid_v7(now)?),
                batch_id: batch.id,
                number: *number,
                code_hash: self.0.key.hash(&code),
                used: None,
                sold: Some(sold.clone()),
                revoked_at: None,
                replaced_by: None,
            };
            leaf.change(|unit| unit.put::<Table>(&voucher.id, &voucher))?;
            let code = code.shown(batch.prefix.as_ref());
            cards.push(Card { number: *number, serial: batch.serial(*number), code });
        }
        let made_at_sale = batch.made_at_sale.saturating_add(count);
        let after = VoucherBatch { made_at_sale, ..batch.clone() };
        leaf.change(|unit| unit.replace::<VoucherBatches>(&batch.id, record.version, &after))?;
        Ok((after, numbers, cards))
    }

    /// Printed cards, marked as sold in the leaf.
    async fn printed_ones(
        &self,
        leaf: &mut Leaf,
        batch: &VoucherBatch,
        numbers: &[u32],
        sold: &Sold,
    ) -> Result<Vec<u32>, BillingError> {
        let mut numbers = numbers.to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        for number in &numbers {
            let serial = batch.serial(*number);
            let found = listing::one_by::<Table>(self.store(), "place", place(batch.id, *number)).await?;
            let record = found.ok_or_else(|| BillingError::not_found("voucher", &serial))?;
            if record.body.revoked_at.is_some() {
                return Err(BillingError::rule(format!("voucher {serial} was taken back; sell another")));
            }
            if record.body.sold.is_some() {
                return Err(BillingError::rule(format!("voucher {serial} was sold before; sell another")));
            }
            let after = Voucher { sold: Some(sold.clone()), ..record.body };
            leaf.change(|unit| unit.replace::<Table>(&after.id, record.version, &after))?;
        }
        Ok(numbers)
    }

    /// What the seller keeps, once it is sure that they can pay the rest.
    async fn paid_by(
        &self,
        leaf: &mut Leaf,
        seller: Seller,
        batch: &VoucherBatch,
        (price, count): (Money, i64),
    ) -> Result<Money, BillingError> {
        if !seller.is_agent {
            return Ok(Money::zero(price.currency));
        }
        let agent = self.agent_who_sells(seller.id).await?;
        if agent.credit_limit.currency != price.currency {
            return Err(BillingError::rule("the float is in another currency than the vouchers"));
        }
        let commission = times(agent.commission_on(batch.price)?, count)?;
        let charged = price.checked_sub(commission)?;
        let balance = leaf.balance(&Account::AgentFloat(seller.id)).await?;
        let available = agent.available(balance);
        if available < charged.minor {
            let has = Money { minor: available.max(0), ..price };
            return Err(BillingError::rule(format!(
                "the float has {} {} left and this takes {}; pay in first",
                has.decimal(),
                price.currency,
                charged.decimal()
            )));
        }
        Ok(commission)
    }

    /// Queues the new codes as messages in the leaf; `false` where no SMS can be sent.
    async fn send(
        &self,
        leaf: &mut Leaf,
        made: &SaleMade,
        phone: &Phone,
        now: Timestamp,
    ) -> Result<bool, BillingError> {
        let mut is_sent = false;
        for card in &made.cards {
            let news = News::Voucher {
                plan: made.batch.terms.name.to_string(),
                code: card.code.clone(),
                // Of one without a shelf life a year is told: never more than there is.
                until: made.batch.redeem_by.unwrap_or_else(|| later(now, TOLD_SHELF_LIFE)),
            };
            let to = (Recipient::Sms(phone.clone()), None);
            let queued = self.0.bulletin.queue_to(Unit::natural(), to, &news, now).await;
            let (unit, sent) = queued.map_err(|error| CommitError::Unavailable(error.to_string()))?;
            leaf.change(|own| Ok(joined(own, unit)))?;
            is_sent = sent;
        }
        Ok(is_sent)
    }

    async fn agent_who_sells(&self, id: StaffId) -> Result<Agent, BillingError> {
        let agent = self.store().get::<Agents>(&id).await?.map(|record| record.body);
        let agent = agent.ok_or_else(|| {
            BillingError::rule("this account has no float yet; ask the people who run this network for one")
        })?;
        if agent.is_active { Ok(agent) } else { Err(BillingError::rule("this agent may not sell any more")) }
    }

    pub(in crate::billing) async fn open_shift(&self, of: StaffId) -> Result<Option<ShiftId>, BillingError> {
        let open = listing::one_by::<Shifts>(self.store(), "open_of", of.to_string()).await?;
        Ok(open.map(|record| record.body.id))
    }

    async fn write_down(
        &self,
        mut leaf: Leaf,
        made: &SaleMade,
        actor: &Actor,
        beside: Beside<'_, SaleMade>,
        now: Timestamp,
    ) -> Result<(), BillingError> {
        let sale = &made.sale;
        let facts = json!({
            "batch": made.batch.code, "numbers": sale.numbers, "price": sale.price.decimal(),
            "currency": sale.price.currency.code(), "commission": sale.commission.decimal(),
        });
        leaf.change(|unit| unit.create::<VoucherSales>(&sale.id, sale))?;
        leaf.change(|unit| Ok(unit.event("voucher.sold", sale.id, facts.clone())))?;
        let deed = ("voucher_sale.create", &sale.id as &dyn std::fmt::Display);
        let entry = self.audited(Unit::natural(), actor, deed, (None, Some(facts)), now)?;
        leaf.change(|unit| Ok(joined(unit, entry)))?;
        leaf.change(|unit| beside(unit, made))?;
        leaf.commit(now).await
    }
}

/// Two units as one.
pub(in crate::billing) fn joined(mut unit: Unit, more: Unit) -> Unit {
    unit.expect.extend(more.expect);
    unit.ops.extend(more.ops);
    unit.events.extend(more.events);
    unit
}

/// Whether the seller's float or till, and what the ISP earned by it, balance: rule 18.
fn posting(sale: &VoucherSale, batch: &VoucherBatch) -> Result<Entry, BillingError> {
    let memo = format!("{} voucher(s) of {}", sale.numbers.len(), batch.code);
    let source = format!("voucher_sale:{}", sale.id);
    let kind = if sale.from_float { PostingKind::Agent } else { PostingKind::Voucher };
    let payer = if sale.from_float { Account::AgentFloat(sale.seller) } else { Account::Cash(sale.seller) };
    Ok(Entry::new(kind, source, memo)
        .debit(payer, sale.price.checked_sub(sale.commission)?)
        .debit(Account::Commission, sale.commission)
        .credit(Account::Revenue, sale.price.checked_sub(sale.tax)?)
        .credit(Account::Tax, sale.tax))
}

fn must_be_sellable(batch: &VoucherBatch, goods: &Goods, now: Timestamp) -> Result<(), BillingError> {
    let count = match goods {
        Goods::New(count) => usize::try_from(*count).unwrap_or(usize::MAX),
        Goods::Printed(numbers) => numbers.len(),
    };
    if count == 0 || count > MOST_AT_ONCE {
        return Err(BillingError::field("count", format!("must be from 1 to {MOST_AT_ONCE}")));
    }
    if batch.revoked_at.is_some() {
        return Err(BillingError::rule("the batch was taken back; sell of another"));
    }
    if batch.redeem_by.is_some_and(|end| end <= now) {
        return Err(BillingError::rule("the batch cannot be used any more; sell of another"));
    }
    match goods {
        Goods::New(_) if !batch.for_sale => Err(BillingError::rule(
            "no new vouchers are made of this batch; sell its printed cards by their numbers",
        )),
        Goods::New(count) if batch.size().saturating_add(*count) > MAX_BATCH => {
            Err(BillingError::rule(format!("a batch has at most {MAX_BATCH} vouchers; sell of another")))
        }
        Goods::New(_) | Goods::Printed(_) => Ok(()),
    }
}

fn times(amount: Money, count: i64) -> Result<Money, BillingError> {
    Ok(amount.scaled(count, 1)?)
}

/// Whether deciding again may go through: somebody changed the same things, or drew the same code.
fn may_sell_again(error: &BillingError) -> bool {
    let drawn_before =
        matches!(error, BillingError::Commit(CommitError::Taken { collection: "vouchers", .. }));
    may_try_again(error) || drawn_before
}

/// What is told of a shelf life that has no end.
const TOLD_SHELF_LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);
/// More than one buyer takes home; bounds a commit.
pub const MOST_AT_ONCE: usize = 100;
