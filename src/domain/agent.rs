//! Agents and tills: who sells vouchers, what they took in, and what a drawer should hold.
//!
//! An agent pays in ahead and sells from that float; a cashier's cash is the ISP's own. The one rule: a sale is
//! always somebody's, and an agent sees and sells only as themselves.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{BatchId, DepositId, SaleId, ShiftId, StaffId};
use super::money::{Money, MoneyError, PPM};

/// What somebody may sell under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Who.
    pub staff_id: StaffId,
    /// What they keep of each price, parts per million.
    pub commission_ppm: u32,
    /// How far below zero their float may go.
    pub credit_limit: Money,
    /// Whether they may sell.
    pub is_active: bool,
    /// When this was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Vouchers sold together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoucherSale {
    /// Identity.
    pub id: SaleId,
    /// By whom.
    pub seller: StaffId,
    /// Of which batch.
    pub batch_id: BatchId,
    /// Their numbers in it.
    pub numbers: Vec<u32>,
    /// What the buyer paid, tax included.
    pub price: Money,
    /// The tax in it.
    pub tax: Money,
    /// What the seller kept of it.
    pub commission: Money,
    /// Whether the float paid for it, or else the cash is in the seller's till.
    pub from_float: bool,
    /// In which shift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift_id: Option<ShiftId>,
    /// When.
    pub at: Timestamp,
}

/// Money that an agent paid in for their float.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposit {
    /// Identity.
    pub id: DepositId,
    /// Whose float.
    pub agent: StaffId,
    /// Who took the cash.
    pub cashier: StaffId,
    /// How much.
    pub amount: Money,
    /// In which shift of the cashier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift_id: Option<ShiftId>,
    /// When.
    pub at: Timestamp,
}

/// One person's time at a drawer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// Identity.
    pub id: ShiftId,
    /// Whose.
    pub staff_id: StaffId,
    /// Whether it is an agent's: then the cash is their own, and a difference is written down and not booked.
    pub is_agent: bool,
    /// What was in the drawer at the start.
    pub opening: Money,
    /// What the till's account held at the start, where it is a till.
    pub account_at_opening: Money,
    /// When it began.
    pub opened_at: Timestamp,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closed>,
}

/// How a shift ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// When.
    pub at: Timestamp,
    /// What the drawer should hold.
    pub expected: Money,
    /// What was counted.
    pub counted: Money,
    /// Counted less expected: negative is missing.
    pub difference: Money,
    /// What the person wrote to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Agent {
    /// What they keep of this price.
    ///
    /// # Errors
    /// An amount beyond 64 bits.
    pub fn commission_on(&self, price: Money) -> Result<Money, MoneyError> {
        price.scaled(i64::from(self.commission_ppm), PPM)
    }

    /// What may still be sold for, when the float's account stands at `balance` (a credit is negative).
    #[must_use]
    pub const fn available(&self, balance: i64) -> i64 {
        balance.saturating_neg().saturating_add(self.credit_limit.minor)
    }
}

impl Closed {
    /// The end of a shift whose drawer should hold `expected`.
    ///
    /// # Errors
    /// Two currencies, or an amount beyond 64 bits.
    pub fn counted(
        expected: Money,
        counted: Money,
        note: Option<String>,
        at: Timestamp,
    ) -> Result<Self, MoneyError> {
        let difference = counted.checked_sub(expected)?;
        Ok(Self { at, expected, counted, difference, note })
    }
}

/// The whole price: an agent keeps no more.
pub const MAX_COMMISSION_PPM: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;

    fn ngn(minor: i64) -> Money {
        Money { minor, currency: Currency::parse("NGN").unwrap() }
    }

    fn agent() -> Agent {
        let at = Timestamp::UNIX_EPOCH;
        let staff_id = StaffId(uuid::Uuid::nil());
        let credit_limit = ngn(200);
        Agent {
            staff_id,
            commission_ppm: 100_000,
            credit_limit,
            is_active: true,
            created_at: at,
            updated_at: at,
        }
    }

    #[test]
    fn rule_18_an_agent_keeps_50_of_500_at_10_percent() {
        assert_eq!(agent().commission_on(ngn(500)), Ok(ngn(50)));
    }

    #[test]
    fn a_float_goes_as_far_below_zero_as_its_credit_limit() {
        // A float of 1,000 is a debt of ours: a credit.
        assert_eq!(agent().available(-1_000), 1_200);
        assert_eq!(agent().available(200), 0);
    }

    #[test]
    fn what_is_missing_in_a_drawer_is_negative() {
        let at = Timestamp::UNIX_EPOCH;
        let closed = Closed::counted(ngn(1_000), ngn(990), None, at).unwrap();
        assert_eq!(closed.difference, ngn(-10));
    }
}
