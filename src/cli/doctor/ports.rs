//! Ports: free, or held by the daemon, or by whom. Read from /proc, as far as that is permitted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use super::Check;
use crate::config::Config;

/// A port we want.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    setting: &'static str,
    transport: Transport,
    address: SocketAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

/// A socket that somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    address: SocketAddr,
    inode: u64,
}

/// One check a listener.
pub(super) fn all(config: &Config, daemon_is_up: bool) -> Vec<Check> {
    let udp = |setting, addresses: &[SocketAddr]| {
        let wanted = |address: &SocketAddr| Wanted { setting, transport: Transport::Udp, address: *address };
        addresses.iter().map(wanted).collect::<Vec<_>>()
    };
    let tcp = |setting, address| Wanted { setting, transport: Transport::Tcp, address };
    let mut wanted = udp("radius.authentication", &config.radius.authentication);
    wanted.extend(udp("radius.accounting", &config.radius.accounting));
    wanted.extend([tcp("http.admin", config.http.admin), tcp("http.metrics", config.http.metrics)]);
    wanted.extend(config.portal.http.iter().map(|address| tcp("portal.http", *address)));
    wanted.extend(config.portal.https.iter().map(|address| tcp("portal.https", *address)));
    wanted.iter().map(|wanted| check(wanted, daemon_is_up)).collect()
}

/// Doors that stand open further than they should.
pub(super) fn exposure(config: &Config) -> Option<Check> {
    let ip = config.http.admin.ip();
    (!ip.is_loopback()).then(|| {
        Check::warn(
            "http",
            format!("http.admin listens on {ip} without TLS: passwords cross the network in clear"),
            "listen on 127.0.0.1 behind a reverse proxy, or on an address of the management network only",
        )
    })
}

fn check(wanted: &Wanted, daemon_is_up: bool) -> Check {
    const NAME: &str = "port";
    let Wanted { setting, transport, address } = wanted;
    let place = format!("{address}/{} ({setting})", transport.name());
    let holders: Vec<String> = held(*transport)
        .into_iter()
        .filter(|held| overlaps(held.address, *address))
        .map(|held| owner(held.inode).unwrap_or_else(|| UNSEEN.to_owned()))
        .collect();
    let ours = holders.iter().any(|holder| holder.starts_with(OUR_NAME));
    match holders.first() {
        Some(holder) if ours || (daemon_is_up && holder == UNSEEN) => {
            Check::ok(NAME, format!("{place} is held by {holder}"))
        }
        Some(holder) if holder == UNSEEN => {
            Check::warn(NAME, format!("{place} is held by {holder}"), "run doctor as root to see by whom")
        }
        Some(holder) => Check::fail(
            NAME,
            format!("{place} is held by {holder}"),
            format!("stop that program, or set {setting} to another port"),
        ),
        None if daemon_is_up => Check::fail(
            NAME,
            format!("{place} is not open although the daemon runs"),
            "the configuration changed since it started: systemctl restart dotmac-edge",
        ),
        None => try_to_bind(*transport, *address).map_or_else(
            |error| refused(&place, setting, &error),
            |()| Check::ok(NAME, format!("{place} is free")),
        ),
    }
}

fn refused(place: &str, setting: &str, error: &std::io::Error) -> Check {
    const NAME: &str = "port";
    let kind = error.kind();
    if kind == std::io::ErrorKind::PermissionDenied {
        let found = format!("{place} is free as far as an ordinary user can see; the service may open it");
        return Check::ok(NAME, found);
    }
    if kind == std::io::ErrorKind::AddrNotAvailable {
        return Check::fail(
            NAME,
            format!("{place}: this box does not have that address"),
            format!("set {setting} to an address of the box (see: ip address), or to 0.0.0.0"),
        );
    }
    Check::fail(NAME, format!("{place} cannot be opened: {error}"), format!("set {setting} to another"))
}

fn try_to_bind(transport: Transport, address: SocketAddr) -> std::io::Result<()> {
    match transport {
        Transport::Tcp => TcpListener::bind(address).map(drop),
        Transport::Udp => UdpSocket::bind(address).map(drop),
    }
}

/// Every bound socket of a transport.
fn held(transport: Transport) -> Vec<Held> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let text = match transport {
        Transport::Tcp => [read("/proc/net/tcp"), read("/proc/net/tcp6")],
        Transport::Udp => [read("/proc/net/udp"), read("/proc/net/udp6")],
    };
    text.iter().flat_map(|text| text.lines().filter_map(|line| parse(line, transport))).collect()
}

/// One line of `proc_net_tcp(5)`: local address, state and inode are what counts.
fn parse(line: &str, transport: Transport) -> Option<Held> {
    let mut fields = line.split_whitespace();
    let (local, state) = (fields.nth(1)?, fields.nth(1)?);
    if transport == Transport::Tcp && state != LISTENING {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    let (ip, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(Held { address: SocketAddr::new(address(ip)?, port), inode })
}

/// An address as the kernel prints it: 32-bit words in the machine's order.
fn address(hexadecimal: &str) -> Option<IpAddr> {
    let mut octets = Vec::new();
    for at in (0..hexadecimal.len()).step_by(8) {
        let word = u32::from_str_radix(hexadecimal.get(at..at + 8)?, 16).ok()?;
        octets.extend(word.to_ne_bytes());
    }
    let v4 = <[u8; 4]>::try_from(octets.as_slice()).ok().map(|octets| Ipv4Addr::from(octets).into());
    v4.or_else(|| <[u8; 16]>::try_from(octets.as_slice()).ok().map(|octets| Ipv6Addr::from(octets).into()))
}

/// Whether a holder of the one keeps us from the other.
fn overlaps(held: SocketAddr, wanted: SocketAddr) -> bool {
    let (a, b) = (held.ip().to_canonical(), wanted.ip().to_canonical());
    let dual = held.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let same = a == b || (a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified()));
    held.port() == wanted.port() && (same || (dual && wanted.is_ipv4()))
}

/// The program that has a socket, as "name (process 12)".
fn owner(inode: u64) -> Option<String> {
    let wanted = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?;
    processes.filter_map(Result::ok).find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let has =
            |file: &Path| std::fs::read_link(file).is_ok_and(|link| link.as_os_str() == wanted.as_str());
        let files = std::fs::read_dir(process.path().join("fd")).ok()?;
        files.filter_map(Result::ok).any(|file| has(&file.path())).then(|| {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            format!("{} (process {pid})", name.trim())
        })
    })
}

impl Transport {
    const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// `TCP_LISTEN` of the kernel's `tcp_states.h`.
const LISTENING: &str = "0A";
/// For a holder whose files this user may not look at.
const UNSEEN: &str = "a process that cannot be seen from here";
/// Our own process name.
const OUR_NAME: &str = "dotmac-edge ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let tcp = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100";
        let held = parse(tcp, Transport::Tcp).unwrap();
        assert_eq!((held.address, held.inode), ("127.0.0.1:8080".parse().unwrap(), 4242));
        assert_eq!(parse(&tcp.replace(" 0A ", " 01 "), Transport::Tcp), None);
        let six = "  1: 00000000000000000000000000000000:0714 00000000000000000000000000000000:0000 07 \
                   00000000:00000000 00:00000000 00000000 0 0 77 2 0 0";
        assert_eq!(parse(six, Transport::Udp).unwrap().address, "[::]:1812".parse().unwrap());
    }

    #[test]
    fn a_holder_of_every_address_is_in_the_way_of_one() {
        let overlap = |a: &str, b: &str| overlaps(a.parse().unwrap(), b.parse().unwrap());
        assert!(overlap("0.0.0.0:1812", "127.0.0.1:1812"));
        assert!(overlap("[::]:1812", "0.0.0.0:1812"));
        assert!(!overlap("127.0.0.1:1812", "127.0.0.2:1812"));
        assert!(!overlap("0.0.0.0:1812", "0.0.0.0:1813"));
    }

    #[test]
    fn a_socket_of_our_own_is_found_with_its_owner() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let found = held(Transport::Udp).into_iter().find(|held| held.address == address).unwrap();
        assert!(owner(found.inode).unwrap().contains(&format!("(process {})", std::process::id())));
    }
}
