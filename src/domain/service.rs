//! A service: one contract of one subscriber, under frozen terms, with one network login.
//!
//! Its [`Phase`] says how far the contract has come. Whether it works at this moment is never
//! stored; it follows from phase, locks, intervals and usage (`entitlement`).

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{PlanId, ServiceId, SubscriberId};
use super::lock::Lock;
use super::money::Money;
use super::plan::PlanTerms;
use super::text::{Code, Line, Username};
use super::usage_terms::TopUp;

/// A service's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Identity.
    pub id: ServiceId,
    /// Whose.
    pub subscriber_id: SubscriberId,
    /// Number for people, unique.
    pub service_number: Code,
    /// Which plan.
    pub plan_id: PlanId,
    /// The plan's code when the contract was made.
    pub plan_code: Code,
    /// The terms of this contract.
    pub terms: PlanTerms,
    /// How far the contract has come.
    pub phase: Phase,
    /// The network login, unique without case.
    pub username: Username,
    /// How the network login proves itself.
    pub credential: Credential,
    /// What stands against it.
    #[serde(default)]
    pub locks: Vec<Lock>,
    /// When access is paid for.
    #[serde(default)]
    pub intervals: Vec<Interval>,
    /// Fixed addresses.
    #[serde(default)]
    pub addresses: Addresses,
    /// What was bought beside the plan.
    #[serde(default, skip_serializing_if = "Extras::is_none")]
    pub extras: Extras,
    /// When the contract was made.
    pub created_at: Timestamp,
    /// When staff approved it, where its terms require that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<Timestamp>,
    /// When it first became active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// When the record last changed.
    pub updated_at: Timestamp,
}

/// How far a contract has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Made, not provisioned.
    Pending,
    /// Being provisioned.
    Provisioning,
    /// Provisioned: access now depends on facts alone.
    Active,
    /// Ended for good.
    Ended,
}

impl Phase {
    /// The name in API and store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::Ended => "ended",
        }
    }
}

/// How a network login proves itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Credential {
    /// Recoverable, sealed with the box's key, because CHAP and MS-CHAP need the clear text.
    Sealed {
        /// The sealed text, base64.
        sealed: String,
    },
    /// A verifier (PHC string); can answer PAP only.
    Hashed {
        /// The verifier.
        verifier: String,
    },
}

/// A half-open span `[from, until)` in which access is paid for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// First instant.
    pub from: Timestamp,
    /// First instant after; `None` runs on.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Whether it still counts.
    pub state: IntervalState,
    /// What it came from (`provisioning:<task>`, `payment:<id>` …), for `why`.
    pub source: String,
}

/// Whether an interval counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntervalState {
    /// It counts.
    Active,
    /// It never counted (a mistake, undone).
    Void,
    /// It was taken back (a refund, a chargeback).
    Reversed,
}

/// Addresses that belong to a service rather than to a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Framed-IP-Address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Ipv4Addr>,
    /// Framed-IPv6-Prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6_prefix: Option<Ipv6Prefix>,
    /// Delegated-IPv6-Prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegated_prefix: Option<Ipv6Prefix>,
    /// Framed-Route texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// Framed-Pool: a pool that the NAS knows by this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Code>,
}

/// What a contract has beside its plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Extras {
    /// More data or time for a period.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub top_ups: Vec<TopUp>,
    /// What is paid for with each period, such as a fixed address.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add_ons: Vec<AddOn>,
}

/// Something that is paid for with each period. What it gives (an address, a routed block) is in
/// [`Service::addresses`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddOn {
    /// Unique within the contract.
    pub code: Code,
    /// Name on bills.
    pub name: Line,
    /// Price a period, as the plan's tax treatment says.
    pub price: Money,
}

/// An IPv6 prefix, exact to the bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipv6Prefix {
    /// The address; bits past the length are zero.
    pub address: Ipv6Addr,
    /// 0 to 128.
    pub length: u8,
}

impl Service {
    /// Whether it may not be provisioned before staff approve it.
    #[must_use]
    pub fn awaits_approval(&self) -> bool {
        self.phase == Phase::Pending && self.terms.requires_approval && self.approved_at.is_none()
    }
}

impl Extras {
    /// Whether there is nothing.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.top_ups.is_empty() && self.add_ons.is_empty()
    }
}

impl Interval {
    /// Whether access is paid for at `now` by this interval.
    #[must_use]
    pub fn covers(&self, now: Timestamp) -> bool {
        self.state == IntervalState::Active && self.from <= now && self.until.is_none_or(|until| now < until)
    }
}

impl std::fmt::Display for Ipv6Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sealed { .. } => "Credential::Sealed(…)",
            Self::Hashed { .. } => "Credential::Hashed(…)",
        })
    }
}
