//! Agents: who may sell from a float, what they paid in, and what became of it.
//!
//! | file | what |
//! |---|---|
//! | this | an agent's terms, deposits, statement |
//! | [`shift`] | a drawer from its opening to its count |
//!
//! Selling itself is `voucher::sale`. The one rule: a float is an account of the ledger and nothing else; it is
//! read where it is written.

pub mod shift;

use jiff::Timestamp;
use serde_json::json;

use super::book::may_try_again;
use super::fault::BillingError;
use super::voucher::sale::{Beside, joined};
use super::voucher::{MOST_DRAFTS, Vouchers};
use crate::domain::agent::{Agent, Deposit, MAX_COMMISSION_PPM};
use crate::domain::audit::Actor;
use crate::domain::ids::{DepositId, StaffId};
use crate::domain::ledger::{Account, Entry, Posting, PostingKind};
use crate::domain::money::{Currency, Money};
use crate::domain::role::Role;
use crate::domain::staff::Staff;
use crate::store::Store;
use crate::store::contract::{CommitError, Cursor, Expected, IndexValue, Page, Range, Unit};
use crate::store::draft::Draft;
use crate::store::listing::{self, Listed, Walk, Window};
use crate::store::tables::Staffs;
use crate::store::tables::money::{LedgerLines, Postings, posting_key};
use crate::store::tables::vouchers::{Agents as Table, Deposits};

/// The use cases of agents and drawers; cheap to clone.
#[derive(Debug, Clone)]
pub struct Agents {
    vouchers: Vouchers,
    currency: Currency,
}

/// An agent as staff look at them.
#[derive(Debug, Clone)]
pub struct AgentView {
    /// Their terms.
    pub agent: Agent,
    /// The account.
    pub staff: Staff,
    /// What they paid in and did not sell for yet; below zero it is credit that was used.
    pub float: Money,
}

/// Terms for an agent, as somebody wants them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentTerms {
    /// What they keep of each price, parts per million.
    pub commission_ppm: u32,
    /// How far below zero their float may go, minor units.
    pub credit_limit: i64,
    /// Whether they may sell.
    pub is_active: bool,
}

/// One line of an agent's statement.
#[derive(Debug, Clone)]
pub struct FloatLine {
    /// The posting.
    pub posting: Posting,
    /// What it changed, from the agent's view.
    pub change: Money,
    /// The float afterwards.
    pub float: Money,
}

impl Agents {
    /// The use cases; all money is in `currency`.
    #[must_use]
    pub const fn new(vouchers: Vouchers, currency: Currency) -> Self {
        Self { vouchers, currency }
    }

    /// What money is in.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.currency
    }

    fn store(&self) -> &Store {
        self.vouchers.store()
    }

    /// Makes somebody an agent, or changes their terms.
    ///
    /// # Errors
    /// `NotFound`; `Rule` where the account is not an agent's; `Field`; faults of ours.
    pub async fn set(
        &self,
        actor: &Actor,
        id: StaffId,
        terms: AgentTerms,
        now: Timestamp,
    ) -> Result<Draft<AgentView>, BillingError> {
        let staff = self.staff(id).await?;
        if staff.role != Role::Agent {
            return Err(BillingError::rule("the account's role is not agent; give it that role first"));
        }
        if terms.commission_ppm > MAX_COMMISSION_PPM {
            return Err(BillingError::field("commission", "must not be more than the whole price"));
        }
        if terms.credit_limit < 0 {
            return Err(BillingError::field("credit_limit", "must not be below zero"));
        }
        let held = self.store().get::<Table>(&id).await?;
        let created_at = held.as_ref().map_or(now, |record| record.body.created_at);
        let agent = Agent {
            staff_id: id,
            commission_ppm: terms.commission_ppm,
            credit_limit: Money { minor: terms.credit_limit, currency: self.currency },
            is_active: terms.is_active,
            created_at,
            updated_at: now,
        };
        let expected = held.as_ref().map_or(Expected::Absent, |record| Expected::Version(record.version));
        let unit = Unit::once(self.vouchers.entropy().uuid_v7(now)?);
        let unit = unit.expect::<Table>(&id, expected).put::<Table>(&id, &agent)?;
        let before = held.map(|record| facts(&record.body));
        let after = Some(facts(&agent));
        let unit = self.vouchers.audited(unit, actor, ("agent.set", &id), (before, after), now)?;
        let float = self.float(id).await?;
        Ok(Draft::new(unit, AgentView { agent, staff, float }))
    }

    /// An agent.
    ///
    /// # Errors
    /// `NotFound`; a read that failed.
    pub async fn get(&self, id: StaffId) -> Result<AgentView, BillingError> {
        let record = self.store().get::<Table>(&id).await?;
        let agent = record.ok_or_else(|| BillingError::not_found("agent", id))?.body;
        self.view(agent).await
    }

    /// The agents.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn list(&self, window: Window) -> Result<Listed<AgentView>, BillingError> {
        let listed = listing::list::<Table>(self.store(), Walk::all(), window, |_| true).await?;
        let mut items = Vec::with_capacity(listed.items.len());
        for record in listed.items {
            items.push(self.view(record.body).await?);
        }
        Ok(Listed { items, total: listed.total, complete: listed.complete })
    }

    /// An agent pays in: the cash is in the cashier's till, the float grows.
    ///
    /// # Errors
    /// `NotFound`, `Field`; faults of ours.
    pub async fn deposit(
        &self,
        agent: StaffId,
        (amount, cashier): (Money, StaffId),
        actor: &Actor,
        beside: Beside<'_, Deposit>,
        now: Timestamp,
    ) -> Result<Deposit, BillingError> {
        if amount.currency != self.currency || amount.minor <= 0 {
            return Err(BillingError::field("amount", "must be above zero, in the currency of this site"));
        }
        self.get(agent).await?;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut leaf = self.vouchers.book().open().await;
            let id = DepositId(self.vouchers.entropy().uuid_v7(now)?);
            let shift_id = self.vouchers.open_shift(cashier).await?;
            let deposit = Deposit { id, agent, cashier, amount, shift_id, at: now };
            let entry = Entry::new(PostingKind::Agent, format!("agent_deposit:{id}"), "Paid in by an agent")
                .debit(Account::Cash(cashier), amount)
                .credit(Account::AgentFloat(agent), amount);
            leaf.post(entry);
            let facts = json!({ "amount": amount.decimal(), "currency": amount.currency.code() });
            let deed = ("agent.deposit", &agent as &dyn std::fmt::Display);
            let audited =
                self.vouchers.audited(Unit::natural(), actor, deed, (None, Some(facts.clone())), now)?;
            leaf.change(|unit| unit.create::<Deposits>(&id, &deposit))?;
            leaf.change(|unit| Ok(joined(unit, audited).event("agent.deposited", agent, facts)))?;
            leaf.change(|unit| beside(unit, &deposit))?;
            match leaf.commit(now).await {
                Err(error) if may_try_again(&error) && tries < MOST_DRAFTS => {}
                answer => return answer.map(|()| deposit),
            }
        }
    }

    /// What happened to a float, newest first, before that place in the ledger.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn statement(
        &self,
        agent: StaffId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<FloatLine>, BillingError> {
        let account = Account::AgentFloat(agent);
        let prefix = format!("{account}/");
        let place = |seq| Cursor { index: IndexValue::Null, key: format!("{prefix}{}", posting_key(seq)) };
        let page = Page { after: before.map(place), limit, reverse: true };
        let slice = self.store().scan::<LedgerLines>(Range::KeyPrefix(prefix.clone()), page).await?;
        let mut lines = Vec::with_capacity(slice.records.len());
        for record in slice.records {
            let line = record.body;
            let Some(posting) = self.store().get::<Postings>(&posting_key(line.seq)).await? else { continue };
            let seen = |minor: i64| Money { minor: minor.saturating_neg(), currency: posting.body.currency };
            let (change, float) = (seen(line.amount), seen(line.balance));
            lines.push(FloatLine { posting: posting.body, change, float });
        }
        Ok(lines)
    }

    /// The float of an agent.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn float(&self, id: StaffId) -> Result<Money, BillingError> {
        let minor = self.vouchers.book().balance(&Account::AgentFloat(id)).await?.saturating_neg();
        Ok(Money { minor, currency: self.currency })
    }

    /// A member of staff by id or e-mail address: for whoever acts at the console on somebody's behalf.
    ///
    /// # Errors
    /// `NotFound`; a read that failed.
    pub async fn person(&self, reference: &str) -> Result<Staff, BillingError> {
        let found = match reference.parse::<StaffId>() {
            Ok(id) => self.store().get::<Staffs>(&id).await?,
            Err(_) => {
                listing::one_by::<Staffs>(self.store(), "email", reference.trim().to_lowercase()).await?
            }
        };
        let staff = found.ok_or_else(|| BillingError::not_found("member of staff", reference))?.body;
        if staff.is_active {
            Ok(staff)
        } else {
            Err(BillingError::rule("this account may not be used any more"))
        }
    }

    async fn view(&self, agent: Agent) -> Result<AgentView, BillingError> {
        let staff = self.staff(agent.staff_id).await?;
        let float = self.float(agent.staff_id).await?;
        Ok(AgentView { agent, staff, float })
    }

    async fn staff(&self, id: StaffId) -> Result<Staff, BillingError> {
        let found = self.store().get::<Staffs>(&id).await?;
        Ok(found.ok_or_else(|| BillingError::not_found("member of staff", id))?.body)
    }

    async fn submit(&self, unit: Unit) -> Result<(), CommitError> {
        super::book::submit(self.store(), unit).await
    }
}

fn facts(agent: &Agent) -> serde_json::Value {
    json!({
        "commission_ppm": agent.commission_ppm, "credit_limit": agent.credit_limit.decimal(),
        "currency": agent.credit_limit.currency.code(), "is_active": agent.is_active,
    })
}
