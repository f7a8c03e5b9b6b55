//! Authentication events: why each login was accepted or refused.
//!
//! Equal answers to the same login at the same NAS within a flush of the log are one event with a
//! count, so that a router that asks a hundred times a second does not fill the disk.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{AuthEventId, NasId, ServiceId};
use super::refusal::Refusal;

/// One answer, or several equal ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthEvent {
    /// Identity; ordered by time.
    pub id: AuthEventId,
    /// First of them.
    pub at: Timestamp,
    /// Last of them.
    pub last_at: Timestamp,
    /// How many.
    pub count: u64,
    /// The login as the NAS sent it.
    pub username: String,
    /// Which service it meant, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_id: Option<ServiceId>,
    /// Which NAS asked.
    pub nas_id: NasId,
    /// The NAS's name at that time.
    pub nas_name: String,
    /// Calling-Station-Id, as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calling_station: Option<String>,
    /// `pap`, `chap`, `mschapv1`, `mschapv2`, `none`.
    pub method: String,
    /// `None` is an accept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}
