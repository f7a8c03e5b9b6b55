//! From a device and a subscriber to packets that pass, and back.

use std::net::IpAddr;

use jiff::Timestamp;

use super::Reception;
use crate::domain::device::Device;
use crate::domain::ids::{ServiceId, SessionId, SignupId, SubscriberId};
use crate::domain::rate::Rates;
use crate::domain::refusal::Refusal;

/// A device that is online.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Online {
    /// Its session.
    pub session: SessionId,
    /// Since when.
    pub since: Timestamp,
    /// Under which service; `None` while an address is unconfirmed.
    pub service: Option<ServiceId>,
    /// Whose.
    pub subscriber: Option<SubscriberId>,
    /// The signup that it is online to confirm.
    pub confirming: Option<SignupId>,
    /// The plan's name.
    pub plan: String,
    /// Speeds.
    pub rates: Rates,
    /// Octets toward the device in this session.
    pub down_octets: u64,
    /// Octets from it.
    pub up_octets: u64,
    /// Octets left of the plan, both directions together; `None` is unlimited.
    pub remaining_octets: Option<u64>,
    /// When it ends; `None` runs on.
    pub ends_at: Option<Timestamp>,
}

/// Why a device is not online now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unconnected {
    /// It does not come in by an access interface of this gateway.
    #[error("this device is not on the network that this box serves")]
    NotHere,
    /// The subscriber has no service for the Internet.
    #[error("there is no Internet service on this account")]
    NoService,
    /// The service may not be online.
    #[error("refused: {}", .0.code())]
    Refused(Refusal),
    /// Ours: the kernel did not take it.
    #[error("the gateway could not let the device in: {0}")]
    NotCarriedOut(String),
    /// Ours: the store did not take it.
    #[error("the session could not be written down: {0}")]
    Store(String),
}

impl Reception {
    /// The device behind a connection's address; `None` when it does not come from an access interface.
    #[must_use]
    pub fn device(&self, peer: IpAddr) -> Option<Device> {
        let _ = peer;
        None
    }

    /// What a device is doing online, with counters read now; `None` when it is captive.
    pub async fn online(&self, device: &Device, now: Timestamp) -> Option<Online> {
        let _ = (device, now);
        None
    }

    /// Brings a device online under the subscriber's service; packets pass when it returns. A device that
    /// is online under it already stays so.
    ///
    /// # Errors
    /// Why it is not online.
    pub async fn connect(
        &self,
        subscriber: SubscriberId,
        device: &Device,
        now: Timestamp,
    ) -> Result<SessionId, Unconnected> {
        let _ = (subscriber, device, now);
        Err(Unconnected::NotHere)
    }

    /// The same for a device whose owner has still to confirm an address, until the signup's
    /// `access_until`.
    ///
    /// # Errors
    /// Why it is not online.
    pub async fn connect_to_confirm(
        &self,
        signup: SignupId,
        device: &Device,
        now: Timestamp,
    ) -> Result<SessionId, Unconnected> {
        let _ = (signup, device, now);
        Err(Unconnected::NotHere)
    }

    /// Takes a device offline because its owner says so; false when it was not online.
    ///
    /// # Errors
    /// Why it still is.
    pub async fn disconnect(&self, device: &Device, now: Timestamp) -> Result<bool, Unconnected> {
        let _ = (device, now);
        Ok(false)
    }
}
