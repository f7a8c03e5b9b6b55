//! Devices: what connects, by its hardware address on one of our interfaces.
//!
//! A hardware address is a hint about who it is and never a proof: phones change it, and anybody
//! can copy one. What it is good for is to find a device again within one presence.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{ServiceId, SubscriberId};

/// The hardware address of one device, in any of the spellings that NAS and people use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress([u8; 6]);

/// A text that is no hardware address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a hardware address is twelve hexadecimal digits, as 02:00:00:aa:bb:cc")]
pub struct NotAMac;

impl MacAddress {
    /// The address with these octets, in the order they are sent.
    #[must_use]
    pub const fn new(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    /// Its octets, in the order they are sent.
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Whether the device chose it for privacy rather than got it from its maker: the second bit
    /// of the first octet. Such an address may be another one next time.
    #[must_use]
    pub const fn is_private(self) -> bool {
        let [first, ..] = self.0;
        first & 2 == 2
    }
}

impl FromStr for MacAddress {
    type Err = NotAMac;

    fn from_str(text: &str) -> Result<Self, NotAMac> {
        let is_spacing = |c: &char| matches!(c, ':' | '-' | '.');
        let digits: String = text.chars().filter(|c| !is_spacing(c)).collect();
        if digits.len() != 12 || text.len() > 17 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(NotAMac);
        }
        let mut octets = [0; 6];
        for (octet, pair) in octets.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| NotAMac)?;
            *octet = u8::from_str_radix(pair, 16).map_err(|_| NotAMac)?;
        }
        Ok(Self(octets))
    }
}

impl TryFrom<String> for MacAddress {
    type Error = NotAMac;

    fn try_from(text: String) -> Result<Self, NotAMac> {
        text.parse()
    }
}

impl From<MacAddress> for String {
    fn from(mac: MacAddress) -> Self {
        mac.to_string()
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A device as this gateway sees it: where its packets come in, its hardware address, and the IP
/// address that it spoke from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Device {
    /// The access interface.
    pub interface: String,
    /// Its hardware address.
    pub mac: MacAddress,
    /// The address that it spoke from.
    pub address: IpAddr,
}

impl Device {
    /// What stays the same while it is here, whichever of its addresses it speaks from.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.interface, self.mac)
    }
}

/// A device whose service could not be online for want of money: it goes online by itself once that has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingDevice {
    /// Under which service.
    pub service_id: ServiceId,
    /// Whose.
    pub subscriber_id: SubscriberId,
    /// The access interface.
    pub interface: String,
    /// Its hardware address.
    pub mac: MacAddress,
    /// The address that it spoke from.
    pub address: IpAddr,
    /// Since when.
    pub since: Timestamp,
}

impl WaitingDevice {
    /// The device, as it was seen last.
    #[must_use]
    pub fn device(&self) -> Device {
        Device { interface: self.interface.clone(), mac: self.mac, address: self.address }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_address_is_one_in_any_spelling() {
        let mac = MacAddress::new([2, 0, 0, 0xaa, 0xbb, 0xcc]);
        for text in ["02:00:00:aa:bb:cc", "02-00-00-AA-BB-CC", "0200.00aa.bbcc", "020000aabbcc"] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
        for text in ["", "02:00:00:aa:bb", "02:00:00:aa:bb:cc:dd", "zz:00:00:aa:bb:cc", "ada"] {
            assert_eq!(text.parse::<MacAddress>(), Err(NotAMac), "{text}");
        }
        assert!(mac.is_private() && !MacAddress::new([0, 1, 2, 3, 4, 5]).is_private());
    }
}
