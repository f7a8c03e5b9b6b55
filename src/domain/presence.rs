//! What a gateway is to let pass, and what it counted: the words between who decides and who carries out.

use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::device::MacAddress;
use super::rate::Rates;

/// A holder whose devices may pass now: a service, or a signup whose address is being confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Whose limit and counter it is.
    pub holder: Uuid,
    /// What its packets are marked with.
    pub number: u32,
    /// Speeds, shared by all its devices.
    pub rates: Rates,
    /// Its devices.
    pub devices: Vec<AdmittedDevice>,
    /// Octets left, both directions together; `None` is unlimited.
    pub remaining_octets: Option<u64>,
    /// Octets after which the answer is another: none left, or slower; `None` is never.
    pub octets_to_change: Option<u64>,
    /// Seconds after which it is another whatever passes, at the earliest; `None` is never.
    pub secs_to_change: Option<u64>,
}

/// One device that may pass now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedDevice {
    /// The access interface.
    pub interface: String,
    /// Its hardware address.
    pub mac: MacAddress,
    /// Its IPv4 address; IPv6 addresses of a device come and go and are not listed.
    pub ipv4: Option<Ipv4Addr>,
    /// Until then; `None` is without end.
    pub until: Option<Timestamp>,
}

/// What the kernel counted of a holder since the generation began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Whose, where that is known; otherwise the generation tells.
    pub holder: Option<Uuid>,
    /// Which life of the counters.
    pub generation: Uuid,
    /// Toward the devices; `None` where nothing was read.
    pub down: Option<Passed>,
    /// From the devices.
    pub up: Option<Passed>,
    /// Whether the counters ended with this.
    pub closed: bool,
}

/// How long counters may go unread: a reading a holder is a write on the disk, and who has no quota loses
/// at most so much of them when the kernel loses its table.
pub const READING_PERIOD: Duration = Duration::from_secs(10);

/// Octets and packets that passed in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    /// Octets of IP packets.
    pub octets: u64,
    /// Packets; several that were merged on reception count as one.
    pub packets: u64,
}
