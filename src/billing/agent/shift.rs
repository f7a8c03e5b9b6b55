//! A shift: one person's time at a drawer, from its opening to its count.
//!
//! A till is the ISP's: what should be in it follows from the ledger, and a difference is booked. An agent's
//! drawer is their own: what should be in it follows from their sales, and a difference is only written down.
//! The one rule: what is expected is worked out from facts at the close, never carried along.

use jiff::Timestamp;
use serde_json::json;

use super::Agents;
use crate::billing::book::{Leaf, may_try_again};
use crate::billing::fault::BillingError;
use crate::billing::voucher::MOST_DRAFTS;
use crate::billing::voucher::sale::{Beside, Seller, joined};
use crate::domain::agent::{Closed, Shift};
use crate::domain::audit::Actor;
use crate::domain::ids::{ShiftId, StaffId};
use crate::domain::ledger::{Account, Entry, PostingKind};
use crate::domain::money::Money;
use crate::store::contract::{CommitError, IndexValue, Page, Range, Record, Unit};
use crate::store::listing::{self, Listed, Walk, Window};
use crate::store::tables::vouchers::{Shifts, VoucherSales};

/// What was counted at the end of a shift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// What is in the drawer.
    pub counted: Money,
    /// What the person wrote to it.
    pub note: Option<String>,
}

impl Agents {
    /// Opens a shift. One that is open already is an error: it is closed first.
    ///
    /// # Errors
    /// `Field`, `Rule`; faults of ours.
    pub async fn open_shift(
        &self,
        who: Seller,
        opening: Money,
        actor: &Actor,
        beside: Beside<'_, Shift>,
        now: Timestamp,
    ) -> Result<Shift, BillingError> {
        self.must_be_countable("opening", opening)?;
        let account = self.vouchers.book().balance(&Account::Cash(who.id)).await?;
        let id = ShiftId(self.vouchers.entropy().uuid_v7(now)?);
        let shift = Shift {
            id,
            staff_id: who.id,
            is_agent: who.is_agent,
            opening,
            account_at_opening: Money { minor: account, ..opening },
            opened_at: now,
            closed: None,
        };
        let unit = Unit::once(self.vouchers.entropy().uuid_v7(now)?).create::<Shifts>(&id, &shift)?;
        let facts = json!({ "opening": opening.decimal(), "currency": opening.currency.code() });
        let unit =
            self.vouchers.audited(unit, actor, ("shift.open", &id), (None, Some(facts.clone())), now)?;
        let unit = beside(unit.event("shift.opened", id, facts), &shift)?;
        match self.submit(unit).await {
            Ok(()) => Ok(shift),
            Err(CommitError::Taken { collection: "shifts", .. }) => {
                Err(BillingError::rule("a shift of yours is open already; close it first"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Closes a shift by what was counted. Closed already: as it was.
    ///
    /// # Errors
    /// `NotFound` also for another's shift, where `of` says whose may be closed; `Field`; faults of ours.
    pub async fn close_shift(
        &self,
        (id, of): (ShiftId, Option<StaffId>),
        count: &Count,
        actor: &Actor,
        beside: Beside<'_, Shift>,
        now: Timestamp,
    ) -> Result<Shift, BillingError> {
        self.must_be_countable("counted", count.counted)?;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut leaf = self.vouchers.book().open().await;
            let record = self.shift_of(id, of).await?;
            if record.body.closed.is_some() {
                return Ok(record.body);
            }
            let closed = self.closed(&mut leaf, &record.body, count, now).await?;
            let shift = Shift { closed: Some(closed.clone()), ..record.body };
            let facts = json!({
                "expected": closed.expected.decimal(), "counted": closed.counted.decimal(),
                "difference": closed.difference.decimal(), "currency": closed.counted.currency.code(),
            });
            let deed = ("shift.close", &id as &dyn std::fmt::Display);
            let audited =
                self.vouchers.audited(Unit::natural(), actor, deed, (None, Some(facts.clone())), now)?;
            leaf.change(|unit| unit.replace::<Shifts>(&id, record.version, &shift))?;
            leaf.change(|unit| Ok(joined(unit, audited).event("shift.closed", id, facts)))?;
            leaf.change(|unit| beside(unit, &shift))?;
            match leaf.commit(now).await {
                Err(error) if may_try_again(&error) && tries < MOST_DRAFTS => {}
                answer => return answer.map(|()| shift),
            }
        }
    }

    /// The shifts, newest first; only those of `of` where it is said.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn shifts(&self, of: Option<StaffId>, window: Window) -> Result<Listed<Shift>, BillingError> {
        let range = match of {
            Some(id) => Range::Equals("staff_id", id.to_string().into()),
            None => Range::Between("opened_at", IndexValue::Integer(i64::MIN), IndexValue::Integer(i64::MAX)),
        };
        let walk = Walk::newest_first(range);
        let listed = listing::list::<Shifts>(self.store(), walk, window, |_| true).await?;
        Ok(listed.map(|record| record.body))
    }

    /// What a drawer should hold, and with the count of it the end of its shift; a till's difference is booked.
    async fn closed(
        &self,
        leaf: &mut Leaf,
        shift: &Shift,
        count: &Count,
        now: Timestamp,
    ) -> Result<Closed, BillingError> {
        let taken = if shift.is_agent {
            self.sold_in(shift.id).await?
        } else {
            let account = leaf.balance(&Account::Cash(shift.staff_id)).await?;
            Money { minor: account, ..shift.opening }.checked_sub(shift.account_at_opening)?
        };
        let expected = shift.opening.checked_add(taken)?;
        let closed = Closed::counted(expected, count.counted, count.note.clone(), now)?;
        if !shift.is_agent {
            let source = format!("shift:{}", shift.id);
            let entry = Entry::new(PostingKind::CashCount, source, "A till was counted")
                .debit(Account::Cash(shift.staff_id), closed.difference)
                .credit(Account::CashDifference, closed.difference);
            leaf.post(entry);
        }
        Ok(closed)
    }

    /// What the buyers of a shift paid.
    async fn sold_in(&self, shift: ShiftId) -> Result<Money, BillingError> {
        let mut sum = Money::zero(self.currency());
        let range = Range::Equals("shift_id", shift.to_string().into());
        let mut page = Page::first(crate::store::contract::MAX_PAGE);
        loop {
            let slice = self.store().scan::<VoucherSales>(range.clone(), page.clone()).await?;
            for record in slice.records {
                sum = sum.checked_add(record.body.price)?;
            }
            let Some(next) = slice.next else { return Ok(sum) };
            page.after = Some(next);
        }
    }

    async fn shift_of(&self, id: ShiftId, of: Option<StaffId>) -> Result<Record<Shifts>, BillingError> {
        let record = self.store().get::<Shifts>(&id).await?;
        let own = record.filter(|record| of.is_none_or(|of| record.body.staff_id == of));
        own.ok_or_else(|| BillingError::not_found("shift", id))
    }

    fn must_be_countable(&self, field: &'static str, amount: Money) -> Result<(), BillingError> {
        if amount.currency != self.currency() || amount.minor < 0 {
            return Err(BillingError::field(field, "must not be below zero, in the currency of this site"));
        }
        Ok(())
    }
}
