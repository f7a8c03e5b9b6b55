//! What the subscriber of a service was told of a running period, so that nobody is told twice of one thing.
//!
//! Written in the commit of the message that it is about: a restart neither forgets nor repeats.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::ServiceId;

/// What was told of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Which service; the record's key.
    pub service_id: ServiceId,
    /// The end of the trial whose nearing end was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Timestamp>,
    /// The end of the period of which was told that the wallet does not hold the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_balance: Option<Timestamp>,
    /// What was told of the use of a period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<QuotaTold>,
}

/// What was told of the use of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaTold {
    /// When the period began.
    pub period: Timestamp,
    /// How many top-ups it had: with another one there is more to use, and another end of it.
    pub top_ups: u32,
    /// The highest mark that was told of, of a hundred.
    pub percent: u8,
}

impl Told {
    /// Of a service of which nothing was told.
    #[must_use]
    pub const fn nothing(service_id: ServiceId) -> Self {
        Self { service_id, trial: None, low_balance: None, quota: None }
    }
}
