//! Locks: reasons why a service may not be used now, each placed and resolved on its own.
//!
//! Nothing stores "suspended". A service works again when no lock is left; while several stand,
//! the strictest decides. At most one lock a reason.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::rate::{Rates, THROTTLED};

/// One reason that stands against a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Why.
    pub reason: LockReason,
    /// What it does to the subscriber's traffic.
    pub mode: LockMode,
    /// The speed that a throttle leaves; [`THROTTLED`] where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
    /// Since when.
    pub placed_at: Timestamp,
    /// Who or what placed it, for people to read.
    pub placed_by: String,
    /// What staff wrote down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The closed list of reasons; who knows the reason is the only one to place and resolve it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockReason {
    /// A bill is overdue.
    Overdue,
    /// Fair use spent, where the plan blocks rather than slows.
    Fup,
    /// A prepaid balance or period ended.
    Prepaid,
    /// Staff decided so.
    Admin,
    /// The subscriber asked for a pause.
    CustomerHold,
    /// Under suspicion.
    Fraud,
    /// The system could not make the service safe.
    System,
}

/// How hard a lock bites, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockMode {
    /// All of the network, slowly.
    Throttle,
    /// Only the portal and the way to pay.
    Captive,
    /// Nothing.
    HardReject,
}

impl LockReason {
    /// The name in API, logs and store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::Fup => "fup",
            Self::Prepaid => "prepaid",
            Self::Admin => "admin",
            Self::CustomerHold => "customer_hold",
            Self::Fraud => "fraud",
            Self::System => "system",
        }
    }
}

/// The lock that decides: the strictest, and of those the oldest.
#[must_use]
pub fn strictest(locks: &[Lock]) -> Option<&Lock> {
    locks.iter().max_by(|a, b| a.mode.cmp(&b.mode).then(b.placed_at.cmp(&a.placed_at)))
}

/// The speed that all throttles among the locks leave together; `None` where there is none.
#[must_use]
pub fn speed_left_by(locks: &[Lock]) -> Option<Rates> {
    locks
        .iter()
        .filter(|lock| lock.mode == LockMode::Throttle)
        .map(|lock| lock.rates.unwrap_or(THROTTLED))
        .reduce(Rates::slower)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(reason: LockReason, mode: LockMode, second: i64) -> Lock {
        let placed_at = Timestamp::from_second(second).unwrap();
        Lock { reason, mode, placed_at, rates: None, placed_by: "test".into(), note: None }
    }

    #[test]
    fn the_strictest_lock_wins_and_then_the_oldest() {
        let locks = [
            lock(LockReason::Overdue, LockMode::Captive, 1),
            lock(LockReason::Fraud, LockMode::HardReject, 9),
            lock(LockReason::Admin, LockMode::HardReject, 5),
        ];
        assert_eq!(strictest(&locks).unwrap().reason, LockReason::Admin);
        assert!(strictest(&[]).is_none());
    }
}
