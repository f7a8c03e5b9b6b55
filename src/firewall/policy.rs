//! What the gateway must do, said by the operator's configuration: which interfaces subscribers come
//! in by, what leads to the Internet, where the portal listens, what everybody may reach. It knows no
//! plan, no subscriber and no kernel. The one rule: a `Policy` that exists can be rendered; whatever
//! could contradict itself is refused when it is made.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::name::{InterfaceName, InterfacePattern};

/// More patterns than that are a mistake: use a `*`.
const MOST_INTERFACES: usize = 256;
/// The kernel counts in nanoseconds: a limit near one a nanosecond would let nothing pass.
const MOST_A_SECOND: u32 = 1_000_000;
/// A rendering of more entries than that would make one transaction too long to be quick.
const MOST_NETWORKS: usize = 4096;

/// What must be true of the gateway as a whole; subscribers come on top of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    access: Vec<InterfacePattern>,
    uplink: Vec<InterfacePattern>,
    portal: Portal,
    networks: Networks,
    limits: Limits,
}

/// Where the box itself answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Portal {
    /// Local port of the plain portal: every captive request to port 80 comes here.
    pub http: u16,
    /// Local port of the portal over TLS.
    pub https: u16,
    /// Local port of the resolver that captive clients get, whomever they ask.
    pub dns: u16,
    /// Addresses at which the portal is reached by name, on ports 80 and 443, captive or online.
    pub addresses: Vec<IpAddr>,
}

/// Networks with a meaning of their own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks {
    /// IPv4 sources that leave by the uplink under its address; empty when nothing is translated.
    pub masquerade: Vec<Ipv4Net>,
    /// Never reached from an access interface: the operator's own.
    pub protected: Vec<IpNet>,
    /// The walled garden: reached on ports 80 and 443 before login.
    pub garden: Vec<IpNet>,
}

/// What one device may ask of the box or of the walled garden; bounds against abuse, not plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// DNS queries a second.
    pub dns_per_second: u32,
    /// DHCP messages a second.
    pub dhcp_per_second: u32,
    /// Connections to the portal at once.
    pub portal_connections: u32,
    /// Refusals (TCP reset, ICMP) a second; the rest is dropped in silence.
    pub refusals_per_second: u32,
    /// Octets a second into the walled garden before login.
    pub garden_octets_per_second: u32,
}

impl Default for Limits {
    /// A page with many names to resolve passes; a tunnel through DNS or a scan does not.
    fn default() -> Self {
        Self {
            dns_per_second: 30,
            dhcp_per_second: 5,
            portal_connections: 64,
            refusals_per_second: 50,
            garden_octets_per_second: 262_144,
        }
    }
}

/// Why a policy cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Nobody could come in.
    #[error("name at least one access interface")]
    NoAccess,
    /// Nobody could get out.
    #[error("name at least one uplink interface")]
    NoUplink,
    /// Subscribers and the Internet on one side.
    #[error("{0} is an access interface and {1} an uplink: one interface cannot be both")]
    BothSides(InterfacePattern, InterfacePattern),
    /// Two patterns of one list that mean the same interface.
    #[error("{0} and {1} both name the same interfaces")]
    Twice(InterfacePattern, InterfacePattern),
    /// Port 0.
    #[error("the portal's {0} port is 0")]
    PortZero(&'static str),
    /// One port for two.
    #[error("the portal's ports for http, https and dns must differ, {0} is given twice")]
    PortTwice(u16),
    /// A limit that would lock everybody out, or that the kernel cannot count.
    #[error("the limit of {0} must be 1 to {1}")]
    Limit(&'static str, u32),
    /// Too long a list.
    #[error("{what} has {got} entries, at most {most} can be")]
    TooMany {
        /// Which list.
        what: &'static str,
        /// Its length.
        got: usize,
        /// The longest possible.
        most: usize,
    },
}

impl Policy {
    /// A policy in which nothing contradicts.
    ///
    /// # Errors
    /// When it does; the error says what to change.
    pub fn new(
        access: Vec<InterfacePattern>,
        uplink: Vec<InterfacePattern>,
        portal: Portal,
        networks: Networks,
        limits: Limits,
    ) -> Result<Self, PolicyError> {
        check_interfaces(&access, &uplink)?;
        check_portal(&portal)?;
        check_limits(&limits)?;
        check_lengths(&networks, &portal)?;
        Ok(Self { access, uplink, portal, networks: networks.aggregated(), limits })
    }

    /// The interfaces that subscribers come in by.
    #[must_use]
    pub fn access(&self) -> &[InterfacePattern] {
        &self.access
    }

    /// The interfaces that lead to the Internet.
    #[must_use]
    pub fn uplink(&self) -> &[InterfacePattern] {
        &self.uplink
    }

    /// Where the box itself answers.
    #[must_use]
    pub const fn portal(&self) -> &Portal {
        &self.portal
    }

    /// Networks with a meaning of their own; none overlaps another of its list.
    #[must_use]
    pub const fn networks(&self) -> &Networks {
        &self.networks
    }

    /// What one device may ask.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether subscribers come in by this interface.
    #[must_use]
    pub fn is_access(&self, name: &InterfaceName) -> bool {
        self.access.iter().any(|pattern| pattern.matches(name))
    }
}

impl Networks {
    /// The same addresses without overlaps: an interval set refuses overlapping elements.
    fn aggregated(self) -> Self {
        Self {
            masquerade: Ipv4Net::aggregate(&self.masquerade),
            protected: IpNet::aggregate(&self.protected),
            garden: IpNet::aggregate(&self.garden),
        }
    }
}

fn check_interfaces(access: &[InterfacePattern], uplink: &[InterfacePattern]) -> Result<(), PolicyError> {
    if access.is_empty() {
        return Err(PolicyError::NoAccess);
    }
    if uplink.is_empty() {
        return Err(PolicyError::NoUplink);
    }
    within("the list of access interfaces", access.len(), MOST_INTERFACES)?;
    within("the list of uplinks", uplink.len(), MOST_INTERFACES)?;
    for list in [access, uplink] {
        for (index, one) in list.iter().enumerate() {
            if let Some(other) = list.iter().skip(index.saturating_add(1)).find(|other| one.overlaps(other)) {
                return Err(PolicyError::Twice(one.clone(), other.clone()));
            }
        }
    }
    for one in access {
        if let Some(other) = uplink.iter().find(|other| one.overlaps(other)) {
            return Err(PolicyError::BothSides(one.clone(), other.clone()));
        }
    }
    Ok(())
}

fn check_portal(portal: &Portal) -> Result<(), PolicyError> {
    for (name, port) in [("http", portal.http), ("https", portal.https), ("dns", portal.dns)] {
        if port == 0 {
            return Err(PolicyError::PortZero(name));
        }
    }
    if portal.http == portal.https || portal.http == portal.dns {
        return Err(PolicyError::PortTwice(portal.http));
    }
    if portal.https == portal.dns {
        return Err(PolicyError::PortTwice(portal.https));
    }
    Ok(())
}

fn check_limits(limits: &Limits) -> Result<(), PolicyError> {
    let named = [
        ("DNS queries a second", limits.dns_per_second, MOST_A_SECOND),
        ("DHCP messages a second", limits.dhcp_per_second, MOST_A_SECOND),
        ("portal connections", limits.portal_connections, MOST_A_SECOND),
        ("refusals a second", limits.refusals_per_second, MOST_A_SECOND),
        ("octets a second into the walled garden", limits.garden_octets_per_second, u32::MAX),
    ];
    match named.into_iter().find(|(_, limit, most)| *limit == 0 || limit > most) {
        Some((name, _, most)) => Err(PolicyError::Limit(name, most)),
        None => Ok(()),
    }
}

fn check_lengths(networks: &Networks, portal: &Portal) -> Result<(), PolicyError> {
    within("the list of networks to masquerade", networks.masquerade.len(), MOST_NETWORKS)?;
    within("the list of protected networks", networks.protected.len(), MOST_NETWORKS)?;
    within("the walled garden", networks.garden.len(), MOST_NETWORKS)?;
    within("the list of portal addresses", portal.addresses.len(), MOST_INTERFACES)
}

fn within(what: &'static str, got: usize, most: usize) -> Result<(), PolicyError> {
    if got > most { Err(PolicyError::TooMany { what, got, most }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(access: &[&str], uplink: &[&str], portal: Portal) -> Result<Policy, PolicyError> {
        let parsed = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        Policy::new(parsed(access), parsed(uplink), portal, Networks::default(), Limits::default())
    }

    fn portal() -> Portal {
        Portal { http: 8080, https: 8443, dns: 53, addresses: Vec::new() }
    }

    #[test]
    fn an_interface_is_of_one_side_and_named_once() {
        assert!(policy(&["lan0", "vlan*"], &["wan0"], portal()).is_ok());
        assert_eq!(policy(&[], &["wan0"], portal()), Err(PolicyError::NoAccess));
        assert_eq!(policy(&["lan0"], &[], portal()), Err(PolicyError::NoUplink));
        assert!(matches!(policy(&["eth*"], &["eth1"], portal()), Err(PolicyError::BothSides(..))));
        assert!(matches!(policy(&["lan0", "lan*"], &["wan0"], portal()), Err(PolicyError::Twice(..))));
    }

    #[test]
    fn the_portals_ports_are_three_different_ones() {
        let zero = Portal { https: 0, ..portal() };
        assert_eq!(policy(&["lan0"], &["wan0"], zero), Err(PolicyError::PortZero("https")));
        let twice = Portal { dns: 8443, ..portal() };
        assert_eq!(policy(&["lan0"], &["wan0"], twice), Err(PolicyError::PortTwice(8443)));
    }

    #[test]
    fn overlapping_networks_become_one() {
        let networks = Networks {
            garden: vec!["203.0.113.0/24".parse().unwrap(), "203.0.113.7/32".parse().unwrap()],
            ..Networks::default()
        };
        let made = Policy::new(
            vec!["lan0".parse().unwrap()],
            vec!["wan0".parse().unwrap()],
            portal(),
            networks,
            Limits::default(),
        );
        assert_eq!(made.unwrap().networks().garden, vec!["203.0.113.0/24".parse::<IpNet>().unwrap()]);
    }
}
