//! Who is behind an address: asked of the kernel's neighbours at each question, on sockets of their own, so
//! that no page waits behind a batch of changes.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::device::{Device, MacAddress};
use crate::firewall::kernel::Gateway;
use crate::firewall::name::{InterfaceName, Mac};
use crate::firewall::policy::Policy;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Eyes(Arc<Mutex<Gateway>>, Arc<Policy>);

impl Eyes {
    pub(super) fn new(gateway: Gateway, policy: Policy) -> Self {
        Self(Arc::new(Mutex::new(gateway)), Arc::new(policy))
    }

    /// The device; `None` when no access interface knows the address, or more than one does.
    pub(super) fn locate(&self, address: IpAddr) -> Option<Device> {
        let address = address.to_canonical();
        let mut gateway = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = gateway.locate(&self.1, address).ok()?;
        let mut found = found.into_iter();
        let (only, None) = (found.next()?, found.next()) else { return None };
        let (interface, mac) = (only.interface.to_string(), MacAddress::new(only.mac.octets()));
        Some(Device { interface, mac, address })
    }

    pub(super) fn addresses_of(&self, device: &Device) -> Vec<IpAddr> {
        let Ok(interface) = device.interface.parse::<InterfaceName>() else { return Vec::new() };
        let Ok(mac) = Mac::new(device.mac.octets()) else { return Vec::new() };
        let mut gateway = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gateway.addresses_of(&interface, mac).unwrap_or_default()
    }
}
