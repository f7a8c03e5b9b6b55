//! The gateway's other half: what it stands on, its portal, the resolver and the mail server beside it.
//!
//! Looked at from here, in the network that doctor runs in; rules in force are asked of the daemon, which
//! keeps them. Nothing waits longer than [`PATIENCE`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::Check;
use super::live::Daemon;
use crate::base::secret::Secret;
use crate::cli::{Context, human, read};
use crate::config::{Config, Environment, MailServer, SecretRef};
use crate::firewall::kernel::PROGRAM;
use crate::firewall::name::InterfacePattern;
use crate::serve::http::certificate::{Certificate, Facts};

/// Every check of the gateway, the portal and the mail server, as far as they are switched on.
pub(super) fn all(context: &Context, config: &Config, daemon: &Daemon) -> Vec<Check> {
    let mut checks = Vec::new();
    if config.gateway.enabled {
        checks.push(nft(Path::new(PROGRAM)));
        checks.push(right(config, daemon.is_up()));
        checks.extend(interfaces(config, &interfaces_here()));
        checks.extend(FORWARDING.iter().map(|(family, file)| forwarding(family, file)));
        checks.push(rules(daemon));
        checks.push(resolver(u16::try_from(config.gateway.dns).unwrap_or(0), &own_addresses()));
    }
    if let Some(name) = config.portal.name.as_ref().filter(|_| config.portal.is_on()) {
        checks.push(named(name.as_str(), &lookup(name.as_str()), &own_addresses()));
        checks.push(certificate(config, name.as_str(), context.clock.now()));
    }
    if let Some(server) = &config.mail.server {
        checks.push(mail(server));
    } else if config.portal.is_on() && config.portal.signup {
        checks.push(Check::warn(
            "mail",
            "there is no mail server, so nobody can sign up",
            "write mail.server and mail.from, or portal.signup = false",
        ));
    }
    checks
}

/// The program that the rules are loaded by.
fn nft(program: &Path) -> Check {
    const NAME: &str = "nft";
    let output = match Command::new(program).arg("-v").stdin(Stdio::null()).output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => {
            let found = format!("{} cannot be run: {error}", program.display());
            return Check::fail(NAME, found, "run: apt-get install nftables");
        }
    };
    match version(&output) {
        Some(version) if version >= OLDEST => {
            Check::ok(NAME, format!("{} is {}", program.display(), dotted(&version)))
        }
        Some(version) => Check::fail(
            NAME,
            format!("{} is {}, older than {}", program.display(), dotted(&version), dotted(&OLDEST)),
            "update it: apt-get install nftables",
        ),
        None => Check::warn(
            NAME,
            format!("{} does not tell its version: {:?}", program.display(), output.trim()),
            format!("it must be {} or newer", dotted(&OLDEST)),
        ),
    }
}

/// "nftables v1.0.6 (Lester Gooch #5)".
fn version(output: &str) -> Option<[u32; 3]> {
    let word = output.split_whitespace().find_map(|word| word.strip_prefix('v'))?;
    let mut numbers = word.split('.').map(str::parse);
    let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some([major, minor, numbers.next().and_then(Result::ok).unwrap_or(0)])
}

fn dotted(version: &[u32; 3]) -> String {
    version.map(|number| number.to_string()).join(".")
}

/// The right to change the kernel's rules: of the daemon, or of whoever asks while there is none.
fn right(config: &Config, daemon_is_up: bool) -> Check {
    const NAME: &str = "right";
    let remedy =
        "the packaged service grants it; by hand: run it as root, or AmbientCapabilities=CAP_NET_ADMIN";
    let holder = UnixStream::connect(&config.control.socket).and_then(|stream| {
        getsockopt(&stream, PeerCredentials).map(|peer| peer.pid().to_string()).map_err(Into::into)
    });
    let (who, process) = match holder {
        Ok(pid) => (format!("the daemon (process {pid})"), pid),
        Err(_) if daemon_is_up => {
            return Check::warn(
                NAME,
                "it is unknown whether the daemon may change the kernel's rules",
                remedy,
            );
        }
        Err(_) => ("whoever runs doctor".to_owned(), "self".to_owned()),
    };
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    match has_net_admin(&status) {
        Some(true) => Check::ok(NAME, format!("{who} may change the kernel's rules (CAP_NET_ADMIN)")),
        Some(false) if process == "self" => {
            let found = "the daemon does not run, and this user may not change the kernel's rules: unknown";
            Check::warn(NAME, found, remedy)
        }
        Some(false) => {
            Check::fail(NAME, format!("{who} may not change the kernel's rules (no CAP_NET_ADMIN)"), remedy)
        }
        None => Check::warn(NAME, format!("what {who} may do cannot be read: unknown"), remedy),
    }
}

/// Bit 12 of the effective capabilities in `/proc/PID/status` (capabilities(7)).
fn has_net_admin(status: &str) -> Option<bool> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let effective = u64::from_str_radix(line.trim(), 16).ok()?;
    Some(effective & CAP_NET_ADMIN != 0)
}

fn interfaces(config: &Config, here: &[String]) -> Vec<Check> {
    const NAME: &str = "interface";
    let lists = [("access", &config.gateway.access), ("uplink", &config.gateway.uplink)];
    let patterns = lists.into_iter().flat_map(|(role, list)| list.iter().map(move |one| (role, one)));
    let check = |(role, pattern): (&str, &InterfacePattern)| {
        let means = |name: &&String| name.parse().is_ok_and(|name| pattern.matches(&name));
        let found: Vec<&str> = here.iter().filter(means).map(String::as_str).collect();
        if found.is_empty() {
            let remedy =
                format!("bring it up, or mend gateway.{role} (see: ip link); it is taken in when it comes");
            Check::fail(NAME, format!("{pattern} ({role}) is not there"), remedy)
        } else {
            Check::ok(NAME, format!("{} ({role}) is there", found.join(", ")))
        }
    };
    patterns.map(check).collect()
}

fn interfaces_here() -> Vec<String> {
    let list = nix::net::if_::if_nameindex();
    let names = list.map(|list| {
        list.iter().filter_map(|one| one.name().to_str().ok().map(ToOwned::to_owned)).collect::<Vec<_>>()
    });
    names.unwrap_or_default()
}

fn forwarding(family: &str, file: &str) -> Check {
    const NAME: &str = "forwarding";
    match std::fs::read_to_string(file) {
        Ok(text) if text.trim() == "0" => Check::fail(
            NAME,
            format!("the kernel does not forward {family}: nobody gets through, paid or not"),
            format!("write 1 to {file}; docs/gateway.md says how it is done at each start of the daemon"),
        ),
        Ok(_) => Check::ok(NAME, format!("the kernel forwards {family}")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Check::warn(NAME, format!("this kernel has no {family}"), "devices with it alone stay outside")
        }
        Err(error) => {
            Check::warn(NAME, format!("it is unknown whether the kernel forwards {family}: {error}"), "")
        }
    }
}

/// What the daemon last saw of its own table; its warnings of it are among the daemon's.
fn rules(daemon: &Daemon) -> Check {
    const NAME: &str = "rules";
    let unknown = |why: String| {
        let found = format!("it is unknown whether our rules are in force: {why}");
        Check::warn(NAME, found, "see: nft list table inet dotmac_edge")
    };
    if !daemon.is_up() {
        return unknown("the daemon does not run".to_owned());
    }
    let state = match daemon.get("/api/v1/system/gateway") {
        Ok(state) => state,
        Err(error) => return unknown(error.to_string()),
    };
    if let Some(fault) = state.get("fault").and_then(serde_json::Value::as_str) {
        return Check::fail(NAME, format!("the daemon cannot keep our rules: {fault}"), "see its log");
    }
    if state.get("enabled") == Some(&serde_json::Value::Bool(false)) {
        let remedy = "gateway.enabled changed since it started: systemctl restart dotmac-edge";
        return Check::fail(NAME, "the running daemon is no gateway", remedy);
    }
    let number = |pointer| read::number(&state, pointer).unwrap_or(0);
    Check::ok(
        NAME,
        format!(
            "in force; {} subscriber(s) passed when last looked at ({}), {} repair(s)",
            number("/admitted"),
            read::text(&state, "/looked_at"),
            number("/repairs")
        ),
    )
}

/// Captive devices are led to this port whomever they ask, so something must answer there.
fn resolver(port: u16, addresses: &[IpAddr]) -> Check {
    const NAME: &str = "dns";
    let mut places: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    places.extend(addresses.iter().filter(|one| !one.is_loopback()).take(MOST_ADDRESSES));
    match places.into_iter().map(|ip| SocketAddr::new(ip, port)).find(|place| answers_dns(*place)) {
        Some(place) => Check::ok(NAME, format!("a resolver answers at {place}")),
        None => Check::fail(
            NAME,
            format!("nothing answers DNS on port {port}: no captive device finds the portal"),
            "run a resolver there (apt-get install dnsmasq), or set gateway.dns to its port",
        ),
    }
}

fn answers_dns(place: SocketAddr) -> bool {
    let any: IpAddr =
        if place.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let exchange = || {
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.set_read_timeout(Some(SHORT_PATIENCE))?;
        socket.connect(place)?;
        socket.send(&QUESTION)?;
        let mut room = [0; 512];
        let length = socket.recv(&mut room)?;
        Ok::<_, std::io::Error>(room.get(..length).is_some_and(is_answer))
    };
    exchange().unwrap_or(false)
}

/// Ours, by its number, and an answer, whatever it says.
fn is_answer(octets: &[u8]) -> bool {
    matches!((octets, QUESTION), ([a, b, flags, ..], [x, y, ..]) if (*a, *b) == (x, y) && flags & 0x80 != 0)
}

/// Where the portal's name leads, as this box's resolver says.
fn named(name: &str, found: &Result<Vec<IpAddr>, String>, own: &[IpAddr]) -> Check {
    const NAME: &str = "portal";
    let remedy =
        "enter it in the resolver that subscribers get, with this box's addresses on the access network";
    let found = match found {
        Ok(found) => found,
        Err(why) => {
            return Check::warn(NAME, format!("{name} is not resolved on this box: {why}"), remedy);
        }
    };
    let listed = found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if found.iter().any(|address| own.contains(address)) {
        Check::ok(NAME, format!("{name} is {listed}"))
    } else {
        Check::fail(NAME, format!("{name} is {listed}, which is not this box"), remedy)
    }
}

fn certificate(config: &Config, name: &str, now: Timestamp) -> Check {
    const NAME: &str = "certificate";
    let (Some(chain), Some(key)) = (&config.portal.certificate, &config.portal.private_key) else {
        let remedy = "phones warn of it: set portal.certificate and portal.private_key";
        let [chain, key] = OWN.map(|name| config.store.path.join(name));
        let read = std::fs::read(chain).and_then(|chain| Ok((chain, std::fs::read(key)?)));
        let found = read.ok().and_then(|(chain, key)| Certificate::read(&chain, &Secret::new(key)).ok());
        let found = found.map_or_else(
            || "none is configured; the daemon makes its own".to_owned(),
            |own| {
                format!("made by this box, SHA-256 {}, {}", own.facts().fingerprint, left(own.facts(), now))
            },
        );
        return Check::warn(NAME, found, remedy);
    };
    if [chain, key].iter().any(|one| matches!(one, SecretRef::Credential(_))) {
        let found = "handed over at start, so it is unknown from here; the daemon warns of its end";
        return Check::warn(NAME, found, "");
    }
    let remedy = "mend portal.certificate and portal.private_key, then: systemctl restart dotmac-edge";
    let good = chain_of(chain).and_then(|chain| {
        let key = key.resolve(&Environment::Process).map_err(|error| told(&error))?;
        Certificate::read(&chain, &key).map_err(|error| told(&error))
    });
    match good {
        Ok(good) => dated(name, good.facts(), now),
        Err(why) => Check::fail(NAME, why, remedy),
    }
}

/// A chain is no secret, so its file may be anybody's to read.
fn chain_of(place: &SecretRef) -> Result<Vec<u8>, String> {
    match place {
        SecretRef::File(path) => {
            std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
        }
        SecretRef::Credential(_) | SecretRef::Environment(_) => {
            let secret = place.resolve(&Environment::Process).map_err(|error| told(&error))?;
            Ok(secret.expose().to_vec())
        }
    }
}

/// An error with what caused it.
fn told(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn dated(name: &str, facts: &Facts, now: Timestamp) -> Check {
    const NAME: &str = "certificate";
    let remedy = "renew it, then: systemctl restart dotmac-edge";
    let found = format!("for {}, {}", facts.names.join(", "), left(facts, now));
    if !facts.is_for(name) {
        return Check::fail(NAME, format!("{found}; not for {name} (portal.name)"), remedy);
    }
    if now < facts.not_before {
        let remedy = "set the clock, or take a certificate that counts already";
        return Check::fail(NAME, format!("{found}; it counts only from {}", facts.not_before), remedy);
    }
    match days(facts, now) {
        None => Check::fail(NAME, found, remedy),
        Some(..WARN_DAYS) => Check::warn(NAME, found, remedy),
        Some(WARN_DAYS..) => Check::ok(NAME, found),
    }
}

fn left(facts: &Facts, now: Timestamp) -> String {
    match days(facts, now) {
        None => format!("it ended {}", facts.not_after),
        Some(days) => format!("{days} day(s) left"),
    }
}

/// Whole days to its end; `None` when it is over.
fn days(facts: &Facts, now: Timestamp) -> Option<i64> {
    let left = facts.not_after.duration_since(now).as_secs();
    (left > 0).then_some(left / 86_400)
}

/// Only that somebody takes a connection: what is said there needs a letter.
fn mail(server: &MailServer) -> Check {
    const NAME: &str = "mail";
    let place = format!("{}:{}", server.host, server.port);
    let remedy = "codes cannot be mailed: see mail.server, and what is between";
    let addresses = match lookup(&server.host) {
        Ok(addresses) => addresses,
        Err(why) => return Check::fail(NAME, format!("{} is not resolved: {why}", server.host), remedy),
    };
    let mut why = "it has no address".to_owned();
    for address in addresses.into_iter().take(MOST_ADDRESSES) {
        match TcpStream::connect_timeout(&SocketAddr::new(address, server.port), SHORT_PATIENCE) {
            Ok(_) => return Check::ok(NAME, format!("{place} takes connections ({address})")),
            Err(error) => why = format!("{address}: {error}"),
        }
    }
    let waited = human::took(SHORT_PATIENCE);
    Check::fail(NAME, format!("{place} takes no connection within {waited}: {why}"), remedy)
}

/// A name's addresses, or why there are none; a resolver that does not answer is not waited for long.
fn lookup(host: &str) -> Result<Vec<IpAddr>, String> {
    let (sender, found) = std::sync::mpsc::channel();
    let host = host.to_owned();
    let _resolving = std::thread::spawn(move || {
        let found = (host.as_str(), 0).to_socket_addrs();
        let mut addresses: Vec<IpAddr> = match found {
            Ok(found) => found.map(|one| one.ip()).collect(),
            Err(error) => {
                let _ = sender.send(Err(error.to_string()));
                return;
            }
        };
        addresses.dedup();
        let _ = sender.send(Ok(addresses));
    });
    let late = || Err(format!("no answer within {} s", PATIENCE.as_secs()));
    found.recv_timeout(PATIENCE).unwrap_or_else(|_| late())
}

/// The addresses of this box.
fn own_addresses() -> Vec<IpAddr> {
    let Ok(list) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let ip = |one: nix::ifaddrs::InterfaceAddress| {
        let address = one.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    list.filter_map(ip).collect()
}

/// The first that reads our rules whole.
const OLDEST: [u32; 3] = [1, 0, 6];
/// `CAP_NET_ADMIN` of the kernel's `capability.h`.
const CAP_NET_ADMIN: u64 = 1 << 12;
/// Where the kernel says whether it forwards.
const FORWARDING: &[(&str, &str)] =
    &[("IPv4", "/proc/sys/net/ipv4/ip_forward"), ("IPv6", "/proc/sys/net/ipv6/conf/all/forwarding")];
/// "Which are the root's name servers?", which every resolver answers with something (RFC 1035, 4.1).
const QUESTION: [u8; 17] = [0x2d, 0xed, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
/// The files of the certificate that the box makes for itself.
const OWN: [&str; 2] = ["portal.pem", "portal.key"];
/// An authority's own renewal comes at a third of 90 days; later than this somebody must look.
const WARN_DAYS: i64 = 21;
/// Addresses tried of one name or box.
const MOST_ADDRESSES: usize = 4;
/// For one exchange on the way to a machine nearby.
const SHORT_PATIENCE: Duration = Duration::from_secs(2);
/// For a resolver that asks others.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn the_version_of_nft_is_read_and_held_against_the_oldest_that_serves() {
        assert_eq!(version("nftables v1.0.6 (Lester Gooch #5)\n"), Some([1, 0, 6]));
        assert_eq!(version("nftables v1.1 (x)"), Some([1, 1, 0]));
        assert_eq!(version("something"), None);
        assert!(OLDEST <= [1, 0, 6] && OLDEST > [0, 9, 8] && OLDEST < [1, 1, 0]);
        assert_eq!(nft(Path::new("/nonexistent/nft")).level, Level::Fail);
    }

    #[test]
    fn the_right_is_one_bit_of_what_the_kernel_tells() {
        assert_eq!(has_net_admin("CapPrm:\t0\nCapEff:\t0000000000001000\n"), Some(true));
        assert_eq!(has_net_admin("CapEff:\t0000000000000400\n"), Some(false));
        assert_eq!(has_net_admin("Name: x\n"), None);
    }

    #[test]
    fn a_resolver_is_one_that_answers_whatever_it_says() {
        let [a, b, ..] = QUESTION;
        assert!(is_answer(&[a, b, 0x81, 0x85, 0, 0]));
        assert!(!is_answer(&[a, b, 0x01, 0, 0]));
        assert!(!is_answer(&[a, 0, 0x81]));
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let place = server.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            let mut room = [0; 512];
            let (length, from) = server.recv_from(&mut room).unwrap();
            room[2] |= 0x80;
            server.send_to(&room[..length], from).unwrap();
        });
        assert!(answers_dns(place));
        answering.join().unwrap();
        assert!(!answers_dns(place), "nobody is there any more");
    }

    #[test]
    fn the_portals_name_must_lead_to_this_box() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let own = [ip("10.20.0.1"), ip("fd20::1")];
        let level = |found| named("portal.example.net", &found, &own).level;
        assert_eq!(level(Ok(vec![ip("fd20::1")])), Level::Ok);
        assert_eq!(level(Ok(vec![ip("192.0.2.1")])), Level::Fail);
        assert_eq!(level(Err("no such name".to_owned())), Level::Warn);
    }

    #[test]
    fn a_certificate_warns_before_it_ends_and_fails_after() {
        let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let facts = |days: i64, name: &str| Facts {
            not_before: now,
            not_after: now + jiff::SignedDuration::from_hours(days * 24),
            fingerprint: String::new(),
            names: vec![name.to_owned()],
        };
        let level = |days, name| dated("portal.example.net", &facts(days, name), now).level;
        assert_eq!(level(60, "portal.example.net"), Level::Ok);
        assert_eq!(level(60, "*.example.net"), Level::Ok);
        assert_eq!(level(20, "portal.example.net"), Level::Warn);
        assert_eq!(level(-1, "portal.example.net"), Level::Fail);
        assert_eq!(level(60, "other.example.net"), Level::Fail);
        let early = Facts {
            not_before: now + jiff::SignedDuration::from_hours(1),
            ..facts(60, "portal.example.net")
        };
        assert_eq!(dated("portal.example.net", &early, now).level, Level::Fail, "not yet");
    }

    #[test]
    fn a_mail_server_is_there_when_it_takes_a_connection() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = MailServer { host: "127.0.0.1".to_owned(), port };
        assert_eq!(mail(&server).level, Level::Ok);
        drop(listener);
        let gone = mail(&server);
        assert_eq!(gone.level, Level::Fail);
        assert!(gone.found.contains(&format!("127.0.0.1:{port}")), "{}", gone.found);
    }
}
