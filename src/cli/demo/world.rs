//! The world: phones, the gateway and an Internet, each a network namespace, and the wires between
//! them. Nothing of the host is changed but two interfaces of the demo's own.
//!
//! ```text
//! phone eth0 ---+
//! buyer eth0 ---+
//! guest eth0 ---+--- lan0 [ gateway ] wan0 --- eth0 Internet
//! host edge-l --+           mgmt0 --- edge-m host
//! ```
//!
//! The one rule: what [`World::build`] makes, [`take_down`] removes, whoever calls it.

use std::net::Ipv4Addr;

use super::space::{Space, ip};
use crate::cli::error::CliError;

/// The places.
#[derive(Debug)]
pub(super) struct World {
    pub(super) phone: Space,
    /// The phone of somebody who buys a plan.
    pub(super) buyer: Space,
    /// The phone of somebody who uses a voucher.
    pub(super) guest: Space,
    pub(super) gateway: Space,
    pub(super) internet: Space,
    pub(super) nets: Nets,
    demo: u32,
}

/// The networks that touch the host: picked so that the host has no other use for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nets {
    lan: [u8; 3],
    management: [u8; 3],
    payment: [u8; 3],
}

impl Nets {
    /// The gateway on the access network; the phone's router, resolver and portal.
    pub(super) fn gateway(self) -> Ipv4Addr {
        at(self.lan, 1)
    }

    /// The host on the access network: where a person's browser comes from.
    pub(super) fn browser(self) -> Ipv4Addr {
        at(self.lan, 250)
    }

    /// The first and the last address that DHCP gives away.
    pub(super) fn pool(self) -> (Ipv4Addr, Ipv4Addr) {
        (at(self.lan, 10), at(self.lan, 99))
    }

    /// The gateway on the management network: API, RADIUS, metrics.
    pub(super) fn management(self) -> Ipv4Addr {
        at(self.management, 1)
    }

    /// The host there: the NAS, and who asks the API.
    pub(super) fn host(self) -> Ipv4Addr {
        at(self.management, 2)
    }

    /// The payment gateway: private, so that it may be called without TLS.
    pub(super) fn payment(self) -> Ipv4Addr {
        at(self.payment, 1)
    }

    fn free() -> Result<Self, CliError> {
        let first = |candidates: &[[u8; 3]]| candidates.iter().copied().find(|net| is_free(*net));
        match (first(&LANS), first(&MANAGEMENTS), first(&PAYMENTS)) {
            (Some(lan), Some(management), Some(payment)) => Ok(Self { lan, management, payment }),
            (None, _, _) | (_, None, _) | (_, _, None) => Err(CliError::NotSo(format!(
                "this host uses every network that the demo knows ({}); free one of them",
                LANS.iter()
                    .chain(&MANAGEMENTS)
                    .chain(&PAYMENTS)
                    .map(|net| at(*net, 0).to_string())
                    .collect::<Vec<_>>()
                    .join(", ")
            ))),
        }
    }
}

impl World {
    /// Makes it; what cannot be finished is taken down again.
    pub(super) fn build(demo: u32) -> Result<Self, CliError> {
        let space = |role| Space::named(demo, role);
        let [phone, buyer, guest, gateway, internet] = ROLES.map(space);
        let world = Self { phone, buyer, guest, gateway, internet, nets: Nets::free()?, demo };
        // Dropped on a fault, and then taken down.
        world.wire()?;
        Ok(world)
    }

    /// The host's interfaces: on the access network, and on the management network.
    pub(super) fn host_links(&self) -> [String; 2] {
        host_links(self.demo)
    }

    fn wire(&self) -> Result<(), CliError> {
        let Self { phone, buyer, guest, gateway, internet, nets, .. } = self;
        for space in [phone, buyer, guest, gateway, internet] {
            space.make()?;
        }
        let [lan, management] = self.host_links();
        for (device, mac, port) in
            [(phone, PHONE_MAC, "port1"), (buyer, BUYER_MAC, "port3"), (guest, GUEST_MAC, "port4")]
        {
            let gate = gateway.name();
            device.ip(&format!("link add eth0 address {mac} type veth peer name {port} netns {gate}"))?;
        }
        internet.ip(&format!("link add eth0 type veth peer name wan0 netns {}", gateway.name()))?;
        ip(&["link", "add", &lan, "type", "veth", "peer", "name", "port2", "netns", gateway.name()])?;
        ip(&["link", "add", &management, "type", "veth", "peer", "name", "mgmt0", "netns", gateway.name()])?;
        self.gateway(*nets)?;
        self.host(&lan, &management)?;
        for device in [phone, buyer, guest] {
            device.set("net/ipv6/conf/eth0/use_tempaddr", "0")?;
            device.ip("link set eth0 up")?;
        }
        internet.ip(&format!("addr add {WEB4}/24 dev eth0"))?;
        internet.ip(&format!("addr add {}/32 dev eth0", nets.payment()))?;
        internet.ip(&format!("addr add {WEB6}/64 dev eth0 nodad"))?;
        internet.ip("link set eth0 up")?;
        internet.ip(&format!("-6 route add {LAN6}/64 via {WAN6}"))
    }

    fn gateway(&self, nets: Nets) -> Result<(), CliError> {
        let gateway = &self.gateway;
        gateway.ip("link add lan0 type bridge")?;
        for port in ["port1", "port2", "port3", "port4"] {
            gateway.ip(&format!("link set {port} master lan0"))?;
            gateway.ip(&format!("link set {port} up"))?;
        }
        for (address, interface) in [
            (format!("{}/24", nets.gateway()), "lan0"),
            (format!("{GATEWAY6}/64"), "lan0"),
            (format!("{WAN4}/24"), "wan0"),
            (format!("{WAN6}/64"), "wan0"),
            (format!("{} peer {}/32", nets.management(), nets.host()), "mgmt0"),
        ] {
            gateway.ip(&format!("addr add {address} dev {interface}"))?;
        }
        for interface in ["lan0", "wan0", "mgmt0"] {
            gateway.ip(&format!("link set {interface} up"))?;
        }
        gateway.ip(&format!("route add default via {WEB4}"))?;
        gateway.ip(&format!("-6 route add default via {WEB6}"))?;
        gateway.set("net/ipv4/ip_forward", "1")?;
        gateway.set("net/ipv6/conf/all/forwarding", "1")?;
        // Where this module of the kernel is loaded, bridged frames would pass the rules as well.
        let _ = gateway.set("net/bridge/bridge-nf-call-iptables", "0");
        let _ = gateway.set("net/bridge/bridge-nf-call-ip6tables", "0");
        Ok(())
    }

    /// Single addresses only, so that no route of the host is in the way of another.
    fn host(&self, lan: &str, management: &str) -> Result<(), CliError> {
        let nets = self.nets;
        for (link, own, peer) in
            [(lan, nets.browser(), nets.gateway()), (management, nets.host(), nets.management())]
        {
            // Else the host would take the demo's router advertisements for its own way out.
            if std::path::Path::new("/proc/sys/net/ipv6").exists() {
                let path = format!("/proc/sys/net/ipv6/conf/{link}/disable_ipv6");
                let off = std::fs::write(&path, "1");
                off.map_err(|error| CliError::failed(&format!("write {path}"), &error))?;
            }
            let (own, peer) = (own.to_string(), format!("{peer}/32"));
            ip(&["addr", "add", &own, "peer", &peer, "dev", link])?;
            ip(&["link", "set", link, "up"])?;
        }
        // So that a person's browser follows the portal to the payment page.
        let (payment, via) = (format!("{}/32", nets.payment()), nets.gateway().to_string());
        ip(&["route", "add", &payment, "via", &via, "dev", lan]).map(drop)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        take_down(self.demo);
    }
}

/// Removes the world of a demo: processes, namespaces, interfaces. Fine when there is none.
pub(super) fn take_down(demo: u32) {
    for role in ROLES {
        Space::named(demo, role).remove();
    }
    for link in host_links(demo) {
        // They go with the gateway's namespace, unless it was never made.
        let _ = ip(&["link", "del", &link]);
    }
}

fn host_links(demo: u32) -> [String; 2] {
    // 15 characters at most, and a process id has up to 7.
    [format!("edge-l-{demo}"), format!("edge-m-{demo}")]
}

/// Whether the host has no route of its own to that network.
fn is_free(net: [u8; 3]) -> bool {
    let routes = ip(&["-4", "route", "show", "match", &at(net, 1).to_string()]).unwrap_or_default();
    routes.lines().all(|route| route.trim().is_empty() || route.starts_with("default"))
}

const fn at(net: [u8; 3], host: u8) -> Ipv4Addr {
    let [a, b, c] = net;
    Ipv4Addr::new(a, b, c, host)
}

const ROLES: [&str; 5] = ["phone", "buyer", "guest", "gate", "inet"];
/// Locally administered addresses, of no maker.
const PHONE_MAC: &str = "02:00:00:00:00:0a";
const BUYER_MAC: &str = "02:00:00:00:00:0b";
const GUEST_MAC: &str = "02:00:00:00:00:0c";
pub(super) const LAN6: &str = "fd20::";
pub(super) const GATEWAY6: &str = "fd20::1";
const WAN4: &str = "198.51.100.1";
const WAN6: &str = "2001:db8:99::1";
/// The whole Internet: of the documentation's networks (RFC 5737, RFC 3849).
pub(super) const WEB4: &str = "198.51.100.9";
pub(super) const WEB6: &str = "2001:db8:99::9";
/// What the payment gateway's name leads to as well; nobody is there.
pub(super) const PAYMENT6: &str = "2001:db8:99::10";
/// Private networks, the likeliest free one first.
const LANS: [[u8; 3]; 4] = [[10, 20, 0], [10, 213, 20], [172, 29, 213], [192, 168, 213]];
const MANAGEMENTS: [[u8; 3]; 4] = [[10, 21, 0], [10, 214, 20], [172, 29, 214], [192, 168, 214]];
const PAYMENTS: [[u8; 3]; 4] = [[10, 22, 0], [10, 215, 20], [172, 29, 215], [192, 168, 215]];
