//! The gateway's firewall against a real kernel: fresh network namespaces, real `nft`, real packets.

#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "a test may look at the clock and sleep")]
#![allow(clippy::print_stdout, reason = "what was measured is shown with --nocapture")]

#[path = "support/netns.rs"]
mod netns;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dotmac_edge::firewall::admission::{
    Account, Admission, Count, Direction, Generation, Identity, InForce, Limit, Number, State,
};
use dotmac_edge::firewall::change::{Change, Outcome, Wanted, between};
use dotmac_edge::firewall::kernel::{Event, Gateway, Installed, PROGRAM, TableState, Watch};
use dotmac_edge::firewall::name::{InterfaceName, Mac};
use dotmac_edge::firewall::policy::{Limits, Networks, Policy, Portal};
use netns::{GATEWAY4, GATEWAY6, OTHER_MAC, OTHER4, PHONE_MAC, PHONE4, PHONE6, WEB4, WEB6, World};
use netns::{ask, connect, echoes, greets, pours};
use uuid::Uuid;

const SOON: Duration = Duration::from_millis(1500);
const BRIEF: Duration = Duration::from_millis(300);

/// The world with the portal, a resolver, an Internet, and our rules in force.
struct Edge {
    world: World,
    gateway: Mutex<Gateway>,
    policy: Policy,
}

impl Edge {
    fn new() -> Self {
        Self::with(policy("lan0"))
    }

    fn with(policy: Policy) -> Self {
        let world = World::new();
        for (port, word) in [(8080, "portal"), (8443, "tls")] {
            greets(&world.gateway, port, word);
        }
        for port in [80, 443, 5000] {
            greets(&world.internet, port, "web");
        }
        pours(&world.internet, 6000);
        echoes(&world.gateway, 53, "resolver");
        for port in [53, 443, 4000] {
            echoes(&world.internet, port, "far away");
        }
        let gateway = world.gateway.inside(|| Gateway::open(Path::new(PROGRAM)).unwrap());
        let edge = Self { world, gateway: Mutex::new(gateway), policy };
        assert_eq!(edge.install(), Installed::Beside);
        edge
    }

    /// The gateway's hands, in a thread of its namespace.
    fn on<T: Send>(&self, work: impl FnOnce(&mut Gateway) -> T + Send) -> T {
        self.world.gateway.inside(|| work(&mut self.gateway.lock().unwrap()))
    }

    fn install(&self) -> Installed {
        self.on(|gateway| gateway.install(&self.policy).unwrap())
    }

    fn reach(&self, wanted: &Wanted) -> Vec<Outcome> {
        self.on(|gateway| {
            let changes = between(wanted, &gateway.dump().unwrap());
            gateway.apply(&changes)
        })
    }

    /// Makes it so, and holds that it is so.
    fn admit(&self, wanted: &Wanted) -> Vec<Outcome> {
        let outcomes = self.reach(wanted);
        assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()), "{outcomes:?}");
        let left = self.on(|gateway| between(wanted, &gateway.dump().unwrap()));
        assert_eq!(left, Vec::new(), "what was applied is in force");
        outcomes
    }

    fn count(&self, direction: Direction) -> Count {
        let found = self.on(|gateway| gateway.counters().unwrap());
        found.into_iter().find(|(_, reading)| reading.direction == direction).unwrap().1.count
    }
}

fn policy(access: &str) -> Policy {
    policy_at(access, 8080)
}

fn policy_at(access: &str, http: u16) -> Policy {
    Policy::new(
        vec![access.parse().unwrap()],
        vec!["wan0".parse().unwrap()],
        Portal { http, https: 8443, dns: 53, addresses: vec!["192.0.2.80".parse().unwrap()] },
        Networks {
            masquerade: vec!["10.20.0.0/24".parse().unwrap()],
            protected: vec!["192.168.255.0/24".parse().unwrap(), "fd99::/64".parse().unwrap()],
            garden: vec!["203.0.113.0/24".parse().unwrap(), "2001:db8:77::/48".parse().unwrap()],
        },
        Limits::default(),
    )
    .unwrap()
}

fn number(n: u32) -> Number {
    Number::new(n).unwrap()
}

fn lan0() -> InterfaceName {
    "lan0".parse().unwrap()
}

fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}

/// The phone's IPv4 address and any of its IPv6 addresses.
fn phone() -> [Identity; 2] {
    let mac = mac(PHONE_MAC);
    [Identity::V4(lan0(), mac, PHONE4.parse().unwrap()), Identity::AnyV6(lan0(), mac)]
}

fn account(limit: Limit, generation: u128) -> Account {
    Account { up: limit, down: limit, generation: Generation(Uuid::from_u128(generation)) }
}

/// Subscriber 7, with the phone.
fn seven(state: State, limit: Limit, generation: u128) -> Wanted {
    let devices = phone().into_iter().map(|identity| (identity, None)).collect();
    Wanted::from([(number(7), Admission { state, devices, account: account(limit, generation) })])
}

fn online() -> Wanted {
    seven(State::Online, Limit::NONE, 1)
}

/// A download by the phone that counts what came and notes how it ended.
struct Download {
    octets: Arc<AtomicU64>,
    longest_gap: Arc<AtomicU64>,
    ended: Arc<Mutex<Option<Instant>>>,
}

impl Download {
    fn start(edge: &Edge, address: &str) -> Self {
        let target = SocketAddr::new(address.parse().unwrap(), 6000);
        let octets = Arc::new(AtomicU64::new(0));
        let longest_gap = Arc::new(AtomicU64::new(0));
        let ended = Arc::new(Mutex::new(None));
        let shared = (Arc::clone(&octets), Arc::clone(&longest_gap), Arc::clone(&ended));
        edge.world.phone.spawn(move || {
            let mut stream = TcpStream::connect(target).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let mut buffer = vec![0; 65536];
            let mut before = Instant::now();
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                shared.0.fetch_add(u64::try_from(length).unwrap(), Ordering::SeqCst);
                shared.1.fetch_max(u64::try_from(before.elapsed().as_millis()).unwrap(), Ordering::SeqCst);
                before = Instant::now();
                // The reader sets the pace where the limit does not, and leaves the processors to others.
                std::thread::sleep(Duration::from_millis(1));
            }
            *shared.2.lock().unwrap() = Some(Instant::now());
        });
        let download = Self { octets, longest_gap, ended };
        let began = Instant::now();
        while download.got() == 0 {
            assert!(began.elapsed() < SOON, "the download did not begin");
            std::thread::sleep(Duration::from_millis(5));
        }
        download
    }

    fn got(&self) -> u64 {
        self.octets.load(Ordering::SeqCst)
    }

    fn runs(&self) -> bool {
        self.ended.lock().unwrap().is_none()
    }
}

#[test]
fn an_unknown_client_reaches_nothing_but_the_portal_dns_and_dhcp() {
    let edge = Edge::new();
    for (web, gate) in [(WEB4, GATEWAY4), (WEB6, GATEWAY6)] {
        only_the_box_answers(&edge, web, gate);
    }
    assert_eq!(
        connect(&edge.world.phone, "192.0.2.80", 443).as_deref(),
        Ok("tls"),
        "the portal's own address"
    );
    dhcp_passes(&edge);
    let tallies = edge.on(|gateway| gateway.tallies().unwrap());
    assert_eq!(tallies["redirected"].packets, 2, "one for each family");
    assert!(tallies["refused"].packets >= 8, "{tallies:?}");
}

fn only_the_box_answers(edge: &Edge, web: &str, gate: &str) {
    let phone = &edge.world.phone;
    assert_eq!(connect(phone, web, 80).as_deref(), Ok("portal"), "{web}");
    assert_eq!(connect(phone, gate, 80).as_deref(), Ok("portal"), "{gate}");
    assert_eq!(connect(phone, gate, 443).as_deref(), Ok("tls"), "{gate}");
    for (host, port) in [(web, 443), (web, 5000), (gate, 22)] {
        assert_eq!(connect(phone, host, port), Err(ErrorKind::ConnectionRefused), "{host} {port}");
    }
    for asked in [web, gate] {
        assert_eq!(ask(phone, asked, 53, SOON).unwrap(), "resolver", "whoever is asked");
    }
    let quic = ask(phone, web, 443, SOON).unwrap_err();
    assert_eq!(quic.kind(), ErrorKind::ConnectionRefused, "so that a browser falls back at once");
    let other = ask(phone, web, 4000, SOON).unwrap_err().kind();
    assert!(matches!(other, ErrorKind::HostUnreachable | ErrorKind::PermissionDenied), "{web} {other:?}");
}

#[test]
fn a_connection_from_before_the_login_ends_and_does_not_lead_back_to_the_portal() {
    let edge = Edge::with(policy_at("lan0", 6000));
    pours(&edge.world.gateway, 6000);
    let ahead = [WEB4, WEB6, GATEWAY4, GATEWAY6].map(|to| {
        let target = SocketAddr::new(to.parse().unwrap(), 80);
        let mut stream = edge.world.phone.inside(|| TcpStream::connect(target).unwrap());
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.read_exact(&mut [0; 4096]).unwrap();
        stream
    });
    edge.admit(&online());
    let ends = ahead.map(|mut stream| {
        let began = Instant::now();
        loop {
            match stream.read(&mut [0; 65536]) {
                Ok(1..) if began.elapsed() < BRIEF => {}
                Ok(_) => break None,
                Err(error) => break Some(error.kind()),
            }
        }
    });
    let reset = Some(ErrorKind::ConnectionReset);
    assert_eq!(ends, [reset, reset, None, None], "what was meant for the portal itself goes on");
    for web in [WEB4, WEB6] {
        assert_eq!(connect(&edge.world.phone, web, 80).as_deref(), Ok("web"));
    }
}

#[test]
fn when_the_table_is_lost_the_gateway_is_closed() {
    let edge = Edge::new();
    let World { phone, gateway, .. } = &edge.world;
    gateway.nft("flush ruleset");
    for web in [WEB4, WEB6] {
        for port in [80, 5000] {
            let end = connect(phone, web, port);
            assert!(end.is_err(), "{web} {port}: {end:?}");
        }
        assert!(ask(phone, web, 4000, BRIEF).is_err(), "{web}");
    }
    let survey = edge.on(|gateway| gateway.verify(&edge.policy).unwrap());
    assert_eq!(survey.table, TableState::Missing);
    assert!(edge.on(Gateway::dump).is_err(), "nothing in force is not the same as no table");
    edge.install();
    assert_eq!(connect(phone, WEB4, 80).as_deref(), Ok("portal"));
}

/// A device without an address broadcasts from 0.0.0.0, as DHCP does.
fn dhcp_passes(edge: &Edge) {
    let World { other, gateway, .. } = &edge.world;
    let server = gateway.inside(|| UdpSocket::bind("0.0.0.0:67").unwrap());
    server.set_read_timeout(Some(SOON)).unwrap();
    other.ip("addr flush dev eth0");
    other.ip("route add default dev eth0");
    other.inside(|| {
        let client = UdpSocket::bind("0.0.0.0:68").unwrap();
        client.set_broadcast(true).unwrap();
        client.send_to(b"discover", "255.255.255.255:67").unwrap();
    });
    let mut buffer = [0; 64];
    let (length, from) = server.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from), (&b"discover"[..], "0.0.0.0:68".parse().unwrap()));
}

#[test]
fn after_admission_a_thousand_probes_pass_without_a_miss_while_others_come_and_go() {
    let edge = Edge::new();
    let outcomes = edge.admit(&online());
    assert_eq!(outcomes.len(), 1);
    let stop = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 1u32;
            while !stop.load(Ordering::SeqCst) {
                let crowd = crowd(100 + (round % 2) * 50, 100);
                edge.reach(&online().into_iter().chain(crowd).collect());
                round += 1;
                if round.is_multiple_of(8) {
                    edge.install();
                }
            }
        });
        let misses: Vec<(usize, std::io::Error)> = edge.world.phone.inside(|| {
            let targets = [WEB4, WEB6].map(|web| SocketAddr::new(web.parse().unwrap(), 5000));
            let probe = |n: usize| {
                let mut stream = TcpStream::connect_timeout(&targets[n % 2], SOON)?;
                stream.set_read_timeout(Some(SOON))?;
                let mut said = String::new();
                stream.read_to_string(&mut said)?;
                assert_eq!(said, "web");
                Ok(())
            };
            (0..1000).filter_map(|n| probe(n).err().map(|error| (n, error))).collect()
        });
        stop.store(true, Ordering::SeqCst);
        assert!(misses.is_empty(), "{} misses, the first {:?}", misses.len(), misses[0]);
    });
    let quiet = connect(&edge.world.other, WEB4, 5000);
    assert_eq!(quiet, Err(ErrorKind::ConnectionRefused), "the neighbour is still captive");
}

/// Many subscribers with a device each.
fn crowd(first: u32, many: u32) -> Wanted {
    let one = |n: u32| {
        let [_, b, c, d] = n.to_be_bytes();
        let device = Identity::V4(lan0(), Mac::new([2, 1, 0, b, c, d]).unwrap(), [10, 30, c, d].into());
        let devices = BTreeMap::from([(device, Some(Duration::from_secs(3600)))]);
        let account = account(Limit::bits_per_second(5_000_000), 9);
        (number(n), Admission { state: State::Online, devices, account })
    };
    (first..first + many).map(one).collect()
}

#[test]
fn the_rate_is_held_over_seconds_and_shared_by_both_families() {
    let edge = Edge::new();
    edge.admit(&seven(State::Online, Limit::bits_per_second(16_000_000), 1));
    let both = [WEB4, WEB6].map(|web| Download::start(&edge, web));
    // The bucket holds a second's worth at the start.
    std::thread::sleep(Duration::from_secs(3));
    let sum = || both.iter().map(Download::got).sum::<u64>();
    let (began, before) = (Instant::now(), edge.count(Direction::Down).octets);
    let payload_before = sum();
    std::thread::sleep(Duration::from_secs(6));
    let seconds = began.elapsed().as_secs_f64();
    let rate = (edge.count(Direction::Down).octets - before) as f64 * 8.0 / seconds;
    let payload = (sum() - payload_before) as f64 * 8.0 / seconds;
    println!("16 Mbit/s wanted: {:.2} counted, {:.2} of payload", rate / 1e6, payload / 1e6);
    assert!((14.4e6..17.6e6).contains(&rate), "{rate}");
    assert!((14.0e6..17.6e6).contains(&payload), "{payload}");
}

#[test]
fn counters_equal_the_octets_sent_and_the_end_returns_them() {
    let edge = Edge::new();
    edge.admit(&online());
    let exchanged = edge.world.phone.inside(|| {
        let mut sum = (0u64, 0u64);
        for (any, web, headers) in [("0.0.0.0:0", WEB4, 28), ("[::]:0", WEB6, 48)] {
            let socket = UdpSocket::bind(any).unwrap();
            socket.set_read_timeout(Some(SOON)).unwrap();
            socket.connect(SocketAddr::new(web.parse().unwrap(), 4000)).unwrap();
            let mut buffer = [0; 2048];
            for _ in 0..200 {
                sum.0 += socket.send(&[7; 1000]).unwrap() as u64 + headers;
                sum.1 += socket.recv(&mut buffer).unwrap() as u64 + headers;
            }
        }
        sum
    });
    let counted = (edge.count(Direction::Up), edge.count(Direction::Down));
    assert_eq!((counted.0.octets, counted.1.octets), exchanged);
    assert_eq!((counted.0.packets, counted.1.packets), (400, 400));

    let faster = edge.admit(&seven(State::Online, Limit::bits_per_second(50_000_000), 2));
    let closed = &faster[0].result.as_ref().unwrap().closed;
    let finals: Vec<(Direction, Count)> =
        closed.iter().map(|reading| (reading.direction, reading.count)).collect();
    assert_eq!(finals, [(Direction::Up, counted.0), (Direction::Down, counted.1)]);
    assert!(closed.iter().all(|reading| reading.generation == Some(Generation(Uuid::from_u128(1)))));
    assert_eq!(edge.count(Direction::Up), Count::default(), "a new generation begins at nothing");
    assert_eq!(
        connect(&edge.world.phone, WEB6, 80).as_deref(),
        Ok("web"),
        "and the subscriber stayed online"
    );
}

#[test]
fn after_revocation_an_open_download_dies_within_a_second() {
    let edge = Edge::new();
    edge.admit(&online());
    let both = [WEB4, WEB6].map(|web| Download::start(&edge, web));
    let began = Instant::now();
    let outcomes = edge.admit(&Wanted::new());
    let revoked = Instant::now();
    assert_eq!(outcomes[0].result.as_ref().unwrap().closed.len(), 2);
    while both.iter().any(Download::runs) {
        assert!(revoked.elapsed() < Duration::from_secs(1), "a download still runs");
        std::thread::sleep(Duration::from_millis(1));
    }
    let last = both.iter().filter_map(|one| *one.ended.lock().unwrap()).max().unwrap();
    println!("revoked and dead after {:?}", last.duration_since(began));
    assert_eq!(connect(&edge.world.phone, WEB4, 80).as_deref(), Ok("portal"));
    assert_eq!(connect(&edge.world.phone, WEB6, 5000), Err(ErrorKind::ConnectionRefused));
}

#[test]
fn a_download_does_not_notice_that_the_rules_are_installed_again() {
    let edge = Edge::new();
    edge.admit(&online());
    let download = Download::start(&edge, WEB4);
    let mut before = edge.count(Direction::Down);
    // What another process of ours, started anew, would do.
    for _ in 0..10 {
        edge.world.gateway.inside(|| {
            let mut anew = Gateway::open(Path::new(PROGRAM)).unwrap();
            assert_eq!(anew.install(&edge.policy).unwrap(), Installed::Beside);
        });
        std::thread::sleep(Duration::from_millis(50));
        let now = edge.count(Direction::Down);
        assert!(now.octets > before.octets, "the counter went on");
        before = now;
    }
    assert!(download.runs());
    let gap = download.longest_gap.load(Ordering::SeqCst);
    assert!(gap < 700, "the longest silence was {gap} ms");
    assert_eq!(connect(&edge.world.phone, WEB4, 5000).as_deref(), Ok("web"));
}

#[test]
fn a_foreign_chain_that_hides_the_portal_is_named() {
    let edge = Edge::new();
    let World { gateway, phone, .. } = &edge.world;
    let clean = edge.on(|gateway| gateway.verify(&edge.policy).unwrap());
    assert_eq!((clean.table, clean.foreign, clean.open_interfaces.len()), (TableState::Ours, Vec::new(), 0));
    gateway.nft("add table inet office");
    gateway.nft("add chain inet office harmless { type filter hook input priority 10 ; }");
    gateway.nft("add chain inet office late { type filter hook input priority 0 ; policy drop ; }");
    gateway.nft("add chain inet office early { type filter hook forward priority -100 ; }");
    let survey = edge.on(|gateway| gateway.verify(&edge.policy).unwrap());
    let named: Vec<(&str, &str, &str, bool, bool)> = survey
        .foreign
        .iter()
        .map(|chain| (chain.table.as_str(), chain.chain.as_str(), chain.hook, chain.before_ours, chain.drops))
        .collect();
    assert_eq!(
        named,
        [("office", "early", "forward", true, false), ("office", "late", "input", false, true)]
    );
    assert!(connect(phone, WEB4, 80).is_err(), "it does hide the portal");
    assert_eq!(survey.table, TableState::Ours);
    gateway.nft("insert rule inet dotmac_edge forward accept");
    assert_eq!(edge.on(|gateway| gateway.verify(&edge.policy).unwrap().table), TableState::Changed);
    edge.install();
    assert_eq!(edge.on(|gateway| gateway.verify(&edge.policy).unwrap().table), TableState::Ours);
    gateway.ip("rule del pref 900");
    let open = edge.on(|gateway| gateway.verify(&edge.policy).unwrap().open_interfaces);
    assert_eq!(open.into_iter().map(|(_, name)| name).collect::<Vec<_>>(), [lan0()]);
}

#[test]
fn an_element_that_the_kernel_refuses_fails_alone_with_a_reason() {
    let edge = Edge::new();
    let mut wanted = crowd(1, 50);
    let taken = wanted[&number(20)].devices.keys().next().unwrap().clone();
    wanted.get_mut(&number(30)).unwrap().devices.insert(taken, None);
    let outcomes = edge.reach(&wanted);
    let refused: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.result.is_err()).collect();
    assert_eq!((outcomes.len(), refused.len()), (50, 1));
    assert_eq!(refused[0].number, number(30));
    let said = refused[0].result.as_ref().unwrap_err().to_string();
    assert_eq!(said, "the kernel refused to admit a device: it is there already (EEXIST)");
    let in_force = edge.on(|gateway| gateway.dump().unwrap());
    assert_eq!((in_force.devices.len(), in_force.accounts.len()), (49, 98), "nothing of it is half in force");
}

#[test]
fn without_the_table_each_change_says_so_and_what_is_gone_already_is_no_fault() {
    let edge = Edge::new();
    let admit = between(&online(), &InForce::default());
    let in_force = {
        edge.admit(&online());
        edge.on(|gateway| gateway.dump().unwrap())
    };
    let revoke: Vec<Change> = between(&Wanted::new(), &in_force);
    edge.world
        .gateway
        .nft("delete element inet dotmac_edge client4 { lan0 . 02:00:00:00:00:0a . 10.20.0.10 }");
    edge.world.gateway.nft("delete element inet dotmac_edge up { 0x10000007 }");
    let outcomes = edge.on(|gateway| gateway.apply(&revoke));
    let closed = &outcomes[0].result.as_ref().unwrap().closed;
    assert_eq!(closed.len(), 1, "the one that was still there gave its count");
    assert_eq!(edge.on(|gateway| gateway.dump().unwrap()), InForce::default());
    edge.world.gateway.nft("flush ruleset");
    let said = edge.on(|gateway| gateway.apply(&admit)).remove(0).result.unwrap_err().to_string();
    assert!(said.contains("the table inet dotmac_edge or its set is not there"), "{said}");
}

#[test]
fn access_ends_in_the_kernel_at_the_end_of_the_time() {
    let edge = Edge::new();
    let mut wanted = online();
    for left in wanted.get_mut(&number(7)).unwrap().devices.values_mut() {
        *left = Some(Duration::from_millis(1500));
    }
    edge.admit(&wanted);
    let download = Download::start(&edge, WEB4);
    assert_eq!(connect(&edge.world.phone, WEB4, 5000).as_deref(), Ok("web"));
    std::thread::sleep(Duration::from_millis(2000));
    for web in [WEB4, WEB6] {
        assert_eq!(connect(&edge.world.phone, web, 5000), Err(ErrorKind::ConnectionRefused), "{web}");
    }
    assert!(!download.runs(), "what was open ended with it");
    let found = edge.on(|gateway| gateway.find(number(7), &phone().into()).unwrap());
    assert_eq!((found.devices.len(), found.accounts.len()), (0, 2), "the counters wait to be read");
}

#[test]
fn the_suspended_see_the_portal_the_blocked_see_nothing_and_both_come_back_at_once() {
    let edge = Edge::new();
    let phone = &edge.world.phone;
    let end = |state| {
        edge.admit(&seven(state, Limit::NONE, 1));
        [WEB4, WEB6].map(|web| (connect(phone, web, 80), connect(phone, web, 5000)))
    };
    let portal = || (Ok("portal".to_owned()), Err(ErrorKind::ConnectionRefused));
    assert_eq!(end(State::Suspended), [portal(), portal()]);
    let web = || (Ok("web".to_owned()), Ok("web".to_owned()));
    assert_eq!(end(State::Online), [web(), web()]);
    let blocked = end(State::Blocked);
    assert!(blocked.iter().all(|(_, far)| *far == Err(ErrorKind::TimedOut)), "{blocked:?}");
    assert_eq!(end(State::Online), [web(), web()]);
}

#[test]
fn another_device_with_the_phones_address_is_not_the_phone() {
    let edge = Edge::new();
    edge.admit(&online());
    let World { phone, other, .. } = &edge.world;
    assert_eq!(connect(phone, WEB4, 5000).as_deref(), Ok("web"));
    phone.ip("link set eth0 down");
    other.ip(&format!("addr del {OTHER4}/24 dev eth0"));
    other.ip(&format!("addr add {PHONE4}/24 dev eth0"));
    other.ip(&format!("route replace default via {GATEWAY4}"));
    edge.world.gateway.ip("neigh flush dev lan0");
    assert_eq!(connect(other, WEB4, 5000), Err(ErrorKind::ConnectionRefused));
    let seen = edge.on(|gateway| gateway.locate(&edge.policy, PHONE4.parse().unwrap()).unwrap());
    assert_eq!(seen.iter().map(|seen| seen.mac).collect::<Vec<_>>(), [mac(OTHER_MAC)]);
}

#[test]
fn the_kernel_says_who_is_behind_an_address() {
    let edge = Edge::new();
    for gate in [GATEWAY4, GATEWAY6] {
        connect(&edge.world.phone, gate, 80).unwrap();
    }
    let seen = edge.on(|gateway| gateway.locate(&edge.policy, PHONE6.parse().unwrap()).unwrap());
    assert_eq!(seen.len(), 1);
    assert_eq!((&seen[0].interface, seen[0].mac), (&lan0(), mac(PHONE_MAC)));
    let addresses = edge.on(|gateway| gateway.addresses_of(&lan0(), mac(PHONE_MAC)).unwrap());
    assert!(addresses.contains(&PHONE4.parse().unwrap()) && addresses.contains(&PHONE6.parse().unwrap()));
    let nobody = edge.on(|gateway| gateway.locate(&edge.policy, "10.20.0.99".parse().unwrap()).unwrap());
    assert!(nobody.is_empty());
}

#[test]
fn teardown_removes_what_is_ours_and_nothing_else() {
    let edge = Edge::new();
    let gateway = &edge.world.gateway;
    edge.admit(&online());
    gateway.nft("add table inet office");
    gateway.ip("rule add pref 901 iif lan0 fwmark 0/0xf0000000 prohibit");
    edge.on(|gateway| gateway.teardown().unwrap());
    edge.on(|gateway| gateway.teardown().expect("twice is no fault"));
    assert_eq!(gateway.run("nft", &["list", "tables"]).1.trim(), "table inet office");
    let rules = gateway.run("ip", &["rule"]).1 + &gateway.run("ip", &["-6", "rule"]).1;
    assert!(rules.contains("901:") && !rules.contains("900:"), "{rules}");
}

#[test]
fn a_foreign_flush_is_news_with_its_program_and_our_own_changes_are_not() {
    let edge = Edge::new();
    let mut watch = edge.world.gateway.inside(|| Watch::open().unwrap());
    edge.admit(&online());
    assert_eq!(watch.next(BRIEF).unwrap().len(), 0);
    while !watch.next(Duration::ZERO).unwrap().is_empty() {}
    let began = Instant::now();
    edge.world.gateway.nft("flush ruleset");
    let mut heard = Vec::new();
    while !heard.iter().any(|event| matches!(event, Event::ForeignChange { .. })) {
        assert!(began.elapsed() < Duration::from_secs(2), "{heard:?}");
        heard.extend(watch.next(BRIEF).unwrap());
    }
    assert!(heard.contains(&Event::TableGone), "{heard:?}");
    let by_nft = |event: &Event| matches!(event, Event::ForeignChange { program, .. } if program == "nft");
    assert!(heard.iter().any(by_nft), "{heard:?}");
}

#[test]
fn a_table_of_another_make_is_replaced_and_interfaces_may_be_named_by_their_beginning() {
    let edge = Edge::with(policy("lan*"));
    edge.admit(&online());
    assert_eq!(connect(&edge.world.phone, WEB6, 5000).as_deref(), Ok("web"));
    let gateway = &edge.world.gateway;
    gateway.nft("delete table inet dotmac_edge");
    gateway.nft("add table inet dotmac_edge");
    gateway.nft("add set inet dotmac_edge up { type ipv4_addr ; }");
    assert_eq!(edge.install(), Installed::Anew);
    assert_eq!(edge.on(|gateway| gateway.dump().unwrap()), InForce::default());
    assert_eq!(connect(&edge.world.phone, WEB6, 5000), Err(ErrorKind::ConnectionRefused));
    let rules = gateway.run("ip", &["rule"]).1;
    assert!(rules.contains("iif lan0"), "{rules}");
}

#[test]
fn a_thousand_single_activations_and_ten_thousand_at_once_are_quick() {
    let edge = Edge::new();
    let wanted = crowd(1, 1000);
    let changes = between(&wanted, &InForce::default());
    let mut each: Vec<Duration> = edge.on(|gateway| {
        let timed = |change: &Change| {
            let began = Instant::now();
            assert!(gateway.apply(std::slice::from_ref(change))[0].result.is_ok());
            began.elapsed()
        };
        changes.iter().map(timed).collect()
    });
    each.sort();
    let total: Duration = each.iter().sum();
    println!("1,000 single: {total:?}, median {:?}, 99th {:?}", each[500], each[990]);
    let timed = |what: &str, wanted: &Wanted| {
        let began = Instant::now();
        edge.admit(wanted);
        println!("{what}: {:?}", began.elapsed());
    };
    timed("to 10,000, with two listings", &crowd(1, 10_000));
    let began = Instant::now();
    edge.install();
    println!("rules installed beside 10,000: {:?}", began.elapsed());
    timed("to none, with two listings", &Wanted::new());
    assert!(total < Duration::from_secs(5), "{total:?}");
}

#[test]
fn the_walled_garden_opens_to_a_names_addresses_on_the_webs_ports_and_only_there() {
    let edge = Edge::new();
    let phone = &edge.world.phone;
    assert_eq!(connect(phone, WEB4, 443), Err(ErrorKind::ConnectionRefused));
    let addresses = [WEB4, WEB6].map(|address| address.parse().unwrap());
    edge.on(|gateway| gateway.open_garden(&addresses).unwrap());
    edge.on(|gateway| gateway.open_garden(&addresses).expect("again begins the hour anew"));
    for web in [WEB4, WEB6] {
        assert_eq!(connect(phone, web, 443).as_deref(), Ok("web"), "{web}");
        assert_eq!(connect(phone, web, 80).as_deref(), Ok("web"), "{web} is not the portal");
        assert_eq!(connect(phone, web, 5000), Err(ErrorKind::ConnectionRefused), "{web}");
    }
}
