//! Vouchers: time or data that was sold ahead, and counts from its first use.
//!
//! A voucher's state is derived from facts and the time; nothing stores it. What a used one gives is an interval
//! of a service like any other payment's, so `entitlement` alone decides access. The one rule: the first use is a
//! fact that is written once, whoever asks and however many at once.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::ids::{BatchId, PlanId, SaleId, ServiceId, StaffId, SubscriberId, VoucherId};
use super::money::Money;
use super::plan::PlanTerms;
use super::service::{Interval, IntervalState};
use super::text::{Code, Line};
use super::voucher_code::Prefix;

/// Vouchers that were made together, under the same terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoucherBatch {
    /// Identity.
    pub id: BatchId,
    /// Short, unique, for people; what the numbers of its vouchers begin with.
    pub code: Code,
    /// What it is for.
    pub name: Line,
    /// What stands before its codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Prefix>,
    /// Which plan.
    pub plan_id: PlanId,
    /// Its code.
    pub plan_code: Code,
    /// What each voucher gives: the plan's terms when the batch was made, with the batch's own validity, devices
    /// and data. It always has a validity.
    pub terms: PlanTerms,
    /// What one costs, tax included.
    pub price: Money,
    /// The tax in it.
    pub tax: Money,
    /// How many are made at once, to be printed.
    pub count: u32,
    /// How many of those exist.
    pub made: u32,
    /// Whether more are made one by one as they are sold.
    pub for_sale: bool,
    /// How many exist that were made at a sale; their numbers follow those of the printed ones.
    #[serde(default)]
    pub made_at_sale: u32,
    /// From this instant on none can be used for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redeem_by: Option<Timestamp>,
    /// What the printed codes are drawn from, sealed; gone once they were handed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<Envelope>,
    /// When all were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at: Option<Timestamp>,
    /// When the batch was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// Whether what used ones had given has been taken back too.
    #[serde(default)]
    pub revocation_done: bool,
    /// Whether its cards are another system's, under the codes that it printed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imported: bool,
    /// Who made it, as an actor's id.
    pub made_by: String,
    /// When it was begun.
    pub created_at: Timestamp,
}

/// The codes of a batch until they are handed out: a seed from the system's generator, sealed with the box's key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The sealed seed.
    pub sealed: String,
    /// Vouchers (by number) whose first draws were another voucher's code, and which draw counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redrawn: Vec<(u32, u32)>,
    /// When it was opened first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Timestamp>,
    /// From then on it counts no more, and is thrown away.
    pub until: Timestamp,
}

/// One voucher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voucher {
    /// Identity.
    pub id: VoucherId,
    /// Which batch.
    pub batch_id: BatchId,
    /// Its number in the batch, from 1.
    pub number: u32,
    /// Keyed hash of its code.
    pub code_hash: String,
    /// Its first use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<VoucherUse>,
    /// Its sale, where that was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sold: Option<Sold>,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// The one that came in its place, where it was lost or misprinted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<VoucherId>,
}

/// The first use of a voucher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoucherUse {
    /// When.
    pub at: Timestamp,
    /// When what it gave begins: later than the use where other time was still running.
    pub from: Timestamp,
    /// When what it gave ends.
    pub until: Timestamp,
    /// The service that got it.
    pub service_id: ServiceId,
    /// Whose.
    pub subscriber_id: SubscriberId,
    /// Whether service and subscriber were made for this voucher: then its code is their login.
    pub is_own: bool,
}

/// The sale of a voucher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sold {
    /// Which.
    pub sale_id: SaleId,
    /// By whom.
    pub seller: StaffId,
    /// When.
    pub at: Timestamp,
}

/// What has become of a voucher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VoucherState {
    /// Not used yet.
    Unused,
    /// Used, and what it gave is running or still to come.
    Active,
    /// Its data is used up.
    Exhausted,
    /// Its time is over: the time it gave, or the time in which it could be used first.
    Expired,
    /// Taken back.
    Revoked,
}

/// Why a code is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoucherRefusal {
    /// There is no such voucher.
    Unknown,
    /// It was used by somebody else.
    Used,
    /// Its time is over.
    Expired,
    /// Its data is used up.
    Exhausted,
    /// It was taken back.
    Revoked,
    /// Too many wrong codes came from there, or from everywhere.
    TooMany,
}

impl VoucherBatch {
    /// The number of a voucher as people read it: `B7K2QM-000017`.
    #[must_use]
    pub fn serial(&self, number: u32) -> String {
        format!("{}-{number:06}", self.code)
    }

    /// How many vouchers it has.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.made.saturating_add(self.made_at_sale)
    }

    /// The number of the next voucher that is made at a sale.
    #[must_use]
    pub const fn next_number(&self) -> u32 {
        self.count.saturating_add(self.made_at_sale).saturating_add(1)
    }

    /// Whether all that are to be printed exist.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.made >= self.count
    }

    /// Whether its codes can still be handed out.
    #[must_use]
    pub fn can_be_opened(&self, now: Timestamp) -> bool {
        self.is_complete() && self.envelope.as_ref().is_some_and(|envelope| now < envelope.until)
    }

    /// What somebody who uses one at `now` gets from `from` on; `None` where that ends beyond the calendar.
    #[must_use]
    pub fn span(&self, from: Timestamp, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        Some((from, self.terms.validity?.end(from, zone)?))
    }
}

impl Voucher {
    /// What has become of it. `is_spent` says whether the data that it gave is used up.
    #[must_use]
    pub fn state(&self, batch: &VoucherBatch, is_spent: bool, now: Timestamp) -> VoucherState {
        if self.revoked_at.is_some() || batch.revoked_at.is_some() {
            return VoucherState::Revoked;
        }
        match &self.used {
            None if batch.redeem_by.is_some_and(|end| now >= end) => VoucherState::Expired,
            None => VoucherState::Unused,
            Some(used) if now >= used.until => VoucherState::Expired,
            Some(_) if is_spent => VoucherState::Exhausted,
            Some(_) => VoucherState::Active,
        }
    }

    /// Whether it can be used for the first time.
    ///
    /// # Errors
    /// Why not.
    pub fn can_be_used(&self, batch: &VoucherBatch, now: Timestamp) -> Result<(), VoucherRefusal> {
        match self.state(batch, false, now) {
            VoucherState::Unused => Ok(()),
            VoucherState::Active => Err(VoucherRefusal::Used),
            VoucherState::Exhausted => Err(VoucherRefusal::Exhausted),
            VoucherState::Expired => Err(VoucherRefusal::Expired),
            VoucherState::Revoked => Err(VoucherRefusal::Revoked),
        }
    }

    /// The interval that it gives.
    #[must_use]
    pub fn interval(&self, from: Timestamp, until: Timestamp) -> Interval {
        Interval { from, until: Some(until), state: IntervalState::Active, source: source(self.id) }
    }
}

impl VoucherState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Unused, Self::Active, Self::Exhausted, Self::Expired, Self::Revoked];

    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unused => "unused",
            Self::Active => "active",
            Self::Exhausted => "exhausted",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl VoucherRefusal {
    /// The stable name in API, metrics and logs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unknown => "voucher_unknown",
            Self::Used => "voucher_used",
            Self::Expired => "voucher_expired",
            Self::Exhausted => "voucher_exhausted",
            Self::Revoked => "voucher_revoked",
            Self::TooMany => "voucher_too_many",
        }
    }

    /// A sentence for staff that says what is so and what to do.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Unknown => "There is no voucher with this code; read it again from the card.",
            Self::Used => "The voucher was used by somebody else; look it up, and sell another.",
            Self::Expired => "The voucher's time is over; sell another.",
            Self::Exhausted => "The voucher's data is used up; sell another.",
            Self::Revoked => "The voucher was taken back; ask who did, or sell another.",
            Self::TooMany => "Too many wrong voucher codes were tried; wait some minutes.",
        }
    }
}

/// What intervals that a voucher gave say of where they come from.
#[must_use]
pub fn source(voucher: VoucherId) -> String {
    format!("voucher:{voucher}")
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Envelope(until {})", self.until)
    }
}

/// Most vouchers in one batch: more cards than anybody prints at once.
pub const MAX_BATCH: u32 = 100_000;

#[cfg(test)]
#[path = "voucher_tests.rs"]
mod tests;
