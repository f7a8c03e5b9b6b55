//! `[gateway]`: whether this box is the way to the Internet for subscribers, and by which interfaces.

use ipnet::{IpNet, Ipv4Net};
use toml::de::DeValue;

use super::fault::Wrong;
use super::kind::{Kind, OneOrMany, quoted, text};
use super::portal::{HostName, Portal};
use super::reader::{Applies, Section, within};
use crate::firewall::name::InterfacePattern;
use crate::firewall::policy::{self, Limits, Networks, Policy, PolicyError};

/// The gateway's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Whether this box enforces who passes it.
    pub enabled: bool,
    /// Interfaces that subscribers come in by.
    pub access: Vec<InterfacePattern>,
    /// Interfaces that lead to the Internet.
    pub uplink: Vec<InterfacePattern>,
    /// Whether private IPv4 sources leave under the uplink's address.
    pub masquerade: bool,
    /// Reached on ports 80 and 443 before login.
    pub garden: Vec<Garden>,
    /// Never reached from an access interface.
    pub protected: Vec<IpNet>,
    /// Local port of the resolver that captive devices get.
    pub dns: u32,
}

impl Gateway {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        use Applies::Restart;
        let many = |OneOrMany(list): OneOrMany<InterfacePattern>| list;
        Self {
            enabled: section.optional("enabled", Restart, false),
            access: many(section.optional("access", Restart, OneOrMany(Vec::new()))),
            uplink: many(section.optional("uplink", Restart, OneOrMany(Vec::new()))),
            masquerade: section.optional("masquerade", Restart, true),
            garden: section.optional("garden", Restart, Vec::new()),
            protected: section.optional("protected", Restart, Vec::new()),
            dns: section.checked("dns", Restart, 53, |port| within(port, &1, &65_535)),
        }
    }

    /// What the kernel is to do, with the portal where it listens.
    ///
    /// # Errors
    /// What contradicts itself, in a sentence.
    pub fn policy(&self, portal: &Portal) -> Result<Policy, PolicyError> {
        let port = |listeners: &[std::net::SocketAddr]| listeners.first().map_or(0, |first| first.port());
        let doors = policy::Portal {
            http: port(&portal.http),
            https: port(&portal.https),
            dns: u16::try_from(self.dns).unwrap_or(0),
            addresses: Vec::new(),
        };
        let networks = Networks {
            masquerade: if self.masquerade { PRIVATE.to_vec() } else { Vec::new() },
            protected: self.protected.clone(),
            garden: self.garden.iter().filter_map(Garden::network).collect(),
        };
        Policy::new(self.access.clone(), self.uplink.clone(), doors, networks, Limits::default())
    }
}

/// What everybody may reach before login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Garden {
    /// An address or a network.
    Network(IpNet),
    /// A name, whose addresses are looked up as long as the daemon runs.
    Name(HostName),
}

impl Garden {
    fn network(&self) -> Option<IpNet> {
        match self {
            Self::Network(network) => Some(*network),
            Self::Name(_) => None,
        }
    }
}

impl Kind for Garden {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let written = text(value, "an address, a network or a name", "\"pay.example.net\"")?;
        if let Ok(network) = IpNet::read(value) {
            return Ok(Self::Network(network));
        }
        let (host, port) = match written.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, Some(port)),
            Some(_) | None => (written, None),
        };
        let fits = port.is_none_or(|port| matches!(port, "80" | "443"));
        HostName::parse(host).filter(|_| fits).map(Self::Name).ok_or_else(|| {
            Wrong::new(
                format!("{} is not an address, a network or a name", quoted(written)),
                "write for example \"203.0.113.0/24\" or \"pay.example.net\"; ports 80 and 443 are opened, no others can be",
            )
        })
    }

    fn show(&self) -> String {
        match self {
            Self::Network(network) => network.show(),
            Self::Name(name) => name.show(),
        }
    }
}

impl Kind for InterfacePattern {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let written = text(value, "the name of an interface", "\"lan0\" or \"vlan*\"")?;
        written.parse().map_err(|error: crate::firewall::name::NameError| {
            Wrong::new(error.to_string(), "write a name as `ip link` shows it, or its beginning and a *")
        })
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Kind for IpNet {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let written = text(value, "an address or a network", "\"203.0.113.0/24\"")?;
        let one = written.parse::<std::net::IpAddr>().map(Self::from);
        one.or_else(|_| written.parse::<Self>().map(|net| net.trunc())).map_err(|_| {
            Wrong::new(
                format!("{} is neither an address nor a network", quoted(written)),
                "write for example \"203.0.113.7\" or \"2001:db8::/32\"",
            )
        })
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

/// Sources that nobody on the Internet can answer: RFC 1918, and RFC 6598 for carriers.
const PRIVATE: [Ipv4Net; 4] = [
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 0, 0, 0), 8),
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(192, 168, 0, 0), 16),
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(100, 64, 0, 0), 10),
];
