//! Events that providers of payments told of: each is kept once, whatever became of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::PaymentId;
use super::payment::ProviderName;

/// An event as a provider told of it; a hint, not a fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentEvent {
    /// Who told.
    pub provider: ProviderName,
    /// What happened, in the provider's words.
    pub kind: String,
    /// What tells it from others of its kind.
    pub object: String,
    /// The payment that it is about, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<PaymentId>,
    /// The reference in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What the provider calls the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkout: Option<String>,
    /// When it came.
    pub received_at: Timestamp,
    /// How often the provider was asked about money that no attempt of ours asked for.
    #[serde(default)]
    pub tries: u32,
    /// When that is done next; `None` when it need not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<Timestamp>,
}
