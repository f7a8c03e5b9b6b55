//! The gateway's sessions against a real kernel: what is stored, what is in force and what was counted agree,
//! whoever speaks of a device and whatever was restarted or torn down meanwhile.

#![allow(missing_docs, dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "a test may look at the clock and sleep")]
#![allow(clippy::print_stdout, reason = "what was measured is shown with --nocapture")]

#[path = "support/gateway_core_lab.rs"]
mod gateway_core_lab;
#[path = "support/netns.rs"]
mod netns;
#[path = "support/radius_lab.rs"]
mod radius_lab;

use std::io::{ErrorKind, Read as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use dotmac_edge::access::{self, Holder, Report};
use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::base::secret::Secret;
use dotmac_edge::domain::device::Device;
use dotmac_edge::domain::ids::{NasId, ServiceId};
use dotmac_edge::domain::lock::{Lock, LockMode, LockReason};
use dotmac_edge::domain::rate::{BitsPerSecond, Download};
use dotmac_edge::domain::service::{Interval, Service};
use dotmac_edge::domain::session::{CloseReason, Counters, ReportKind};
use dotmac_edge::store::Vault;
use dotmac_edge::store::snapshot::credential_context;
use gateway_core_lab::{Place, Running};
use jiff::SignedDuration;
use netns::{OTHER4, PHONE_MAC, PHONE4, WEB4, WEB6, connect};
use uuid::Uuid;

const ADA: ServiceId = ServiceId(Uuid::from_u128(1));

fn ada() -> Service {
    let vault = Vault::with_key([5; 32]);
    let sealed = vault
        .seal(&Entropy::System, &credential_context(ADA), &Secret::from_text(radius_lab::PASSWORD))
        .unwrap();
    radius_lab::service(ADA, "ada", sealed.as_str().to_owned())
}

/// So many datagrams of 1,000 octets from the phone: 1,028 each with their IPv4 header.
fn send(place: &Place, datagrams: u64) {
    let target: SocketAddr = format!("{WEB4}:9").parse().unwrap();
    place.world.phone.inside(move || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for n in 0..datagrams {
            socket.send_to(&[0; 1000], target).unwrap();
            if n % 50 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    });
    std::thread::sleep(Duration::from_millis(50));
}

#[test]
fn a_device_passes_when_it_was_let_in_and_what_it_sends_is_counted_to_the_octet() {
    let place = Place::new();
    let running = place.start();
    running.put(&ada());
    let phone = place.phone(&running);
    assert_eq!(phone.mac.to_string(), PHONE_MAC);
    assert_eq!(place.reaches(WEB4), Err(ErrorKind::ConnectionRefused));
    running.online(&phone, ADA);
    assert_eq!((place.reaches(WEB4).as_deref(), place.reaches(WEB6).as_deref()), (Ok("web"), Ok("web")));
    // The last acknowledgements of those connections may still be on their way.
    let before = loop {
        running.read(ADA.0);
        let first = running.sessions()[0].1;
        std::thread::sleep(Duration::from_millis(200));
        running.read(ADA.0);
        let second = running.sessions()[0].1;
        if first.up_octets == second.up_octets {
            break second;
        }
    };
    send(&place, 500);
    running.read(ADA.0);
    let (session, after) = running.sessions()[0].clone();
    assert_eq!(after.up_octets - before.up_octets, 500 * 1028);
    assert_eq!(after.up_packets - before.up_packets, 500);
    assert_eq!(running.usage(), (after.down_octets, after.up_octets), "the day has what the session has");
    assert_eq!(session.calling_station.as_deref(), Some(PHONE_MAC));
    running.stop();
}

#[test]
fn a_restart_goes_on_counting_where_it_was_and_touches_nothing() {
    let place = Place::new();
    let running = place.start();
    running.put(&ada());
    let phone = place.phone(&running);
    running.online(&phone, ADA);
    send(&place, 100);
    running.read(ADA.0);
    let before = running.sessions()[0].1;
    running.stop();
    // While nobody looks, the kernel goes on.
    send(&place, 100);
    let running = place.start();
    assert_eq!(place.reaches(WEB4).as_deref(), Ok("web"), "nobody noticed");
    running.look(ADA.0);
    running.read(ADA.0);
    let sessions = running.sessions();
    assert_eq!(sessions.len(), 1);
    assert!(sessions[0].0.closed_at.is_none());
    let gained = sessions[0].1.up_octets - before.up_octets;
    assert!((100 * 1028..101 * 1028).contains(&gained), "each octet once: {gained}");
    running.stop();
}

#[test]
fn another_speed_begins_another_life_of_the_counters_and_loses_none_of_the_first() {
    let place = Place::new();
    let running = place.start();
    running.put(&ada());
    let phone = place.phone(&running);
    running.online(&phone, ADA);
    send(&place, 100);
    let mut faster = ada();
    faster.terms.rates.down = Download(BitsPerSecond::new(50_000_000).unwrap());
    running.put(&faster);
    running.look(ADA.0);
    send(&place, 100);
    running.read(ADA.0);
    let (_, counters) = running.sessions()[0].clone();
    assert!((200 * 1028..201 * 1028).contains(&counters.up_octets), "{counters:?}");
    assert_eq!(place.reaches(WEB4).as_deref(), Ok("web"));
    running.stop();
}

#[test]
fn a_lock_takes_a_device_out_and_its_last_octets_are_counted() {
    let place = Place::new();
    let running = place.start();
    running.put(&ada());
    let phone = place.phone(&running);
    running.online(&phone, ADA);
    send(&place, 100);
    let mut locked = ada();
    locked.locks.push(Lock {
        reason: LockReason::Overdue,
        mode: LockMode::Captive,
        rates: None,
        placed_at: Clock::System.now(),
        placed_by: "test".into(),
        note: None,
    });
    running.put(&locked);
    running.look(ADA.0);
    assert_eq!(
        place.reaches(WEB4),
        Err(ErrorKind::ConnectionRefused),
        "facts count before the session is ended"
    );
    assert_eq!(running.end_due(), 1);
    running.read(ADA.0);
    let (session, counters) = running.sessions()[0].clone();
    assert!(matches!(session.closed_why, Some(CloseReason::NotEntitled { .. })), "{session:?}");
    assert!((100 * 1028..101 * 1028).contains(&counters.up_octets), "{counters:?}");
    assert_eq!(running.usage().1, counters.up_octets);
    running.stop();
}

#[test]
fn after_a_foreign_flush_the_rules_and_the_online_come_back_and_strangers_never_passed() {
    let place = Place::new();
    let running = place.start();
    running.put(&ada());
    let phone = place.phone(&running);
    running.online(&phone, ADA);
    let other = &place.world.other;
    assert_eq!(connect(other, WEB4, 5000), Err(ErrorKind::ConnectionRefused));
    place.world.gateway.nft("flush ruleset");
    let began = Instant::now();
    let stranger = connect(other, WEB4, 5000);
    assert!(stranger.is_err(), "{stranger:?}");
    while place.reaches(WEB4).as_deref() != Ok("web") {
        assert!(began.elapsed() < Duration::from_secs(5), "the phone did not come back");
    }
    assert!(connect(other, WEB6, 5000).is_err());
    assert_eq!(running.enforcer.state().repairs, 1);
    running.stop();
}

fn report(kind: ReportKind, down: u64, seconds: u64) -> Report {
    Report {
        kind,
        nas_id: NasId(Uuid::from_u128(900)),
        nas_address: None,
        source: "10.20.0.2".parse().unwrap(),
        acct_session_id: "ap-7".into(),
        username: "ada".into(),
        class: None,
        station: Some(PHONE_MAC.replace(':', "-").to_uppercase()),
        called_station: None,
        nas_port: None,
        ipv4: Some(PHONE4.parse().unwrap()),
        ipv6_prefix: None,
        delegated_prefix: None,
        counters: Counters { down_octets: down, seconds, ..Counters::default() },
        happened_at: Clock::System.now(),
        terminate_cause: None,
    }
}

fn tell(running: &Running, report: &Report) {
    let (sender, durable) = std::sync::mpsc::channel();
    let then = || -> access::Then { Box::new(move |outcome| sender.send(outcome).unwrap()) };
    running.access.record(report, Clock::System.now(), then).unwrap();
    durable.recv_timeout(Duration::from_secs(5)).unwrap().unwrap();
}

#[test]
fn a_nas_that_speaks_of_a_device_that_is_online_here_speaks_of_the_same_session() {
    let place = Place::new();
    let running = place.start();
    running.put(&ada());
    let phone = place.phone(&running);
    let id = running.online(&phone, ADA);
    tell(&running, &report(ReportKind::Start, 0, 0));
    send(&place, 100);
    running.read(ADA.0);
    let counted = running.usage();
    assert!(counted.1 >= 100 * 1028, "{counted:?}");
    tell(&running, &report(ReportKind::Interim, 5_000_000, 60));
    let sessions = running.sessions();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert_eq!(sessions[0].0.id, id);
    assert_eq!(running.usage(), counted, "what the kernel counted is not counted again");
    let running = {
        running.stop();
        place.start()
    };
    // It roams: the new access point speaks before the old one says that it has left.
    let roamed = Report { acct_session_id: "ap-9".into(), ..report(ReportKind::Start, 0, 0) };
    tell(&running, &roamed);
    tell(&running, &report(ReportKind::Stop, 6_000_000, 90));
    tell(&running, &report(ReportKind::Stop, 6_000_000, 90));
    running.look(ADA.0);
    assert_eq!(place.reaches(WEB4).as_deref(), Ok("web"), "it is still here");
    let left = Report { acct_session_id: "ap-9".into(), ..report(ReportKind::Stop, 9_000_000, 20) };
    tell(&running, &left);
    running.look(ADA.0);
    assert_eq!(place.reaches(WEB4), Err(ErrorKind::ConnectionRefused), "it has left");
    let running = {
        running.stop();
        place.start()
    };
    tell(&running, &left);
    let sessions = running.sessions();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert!(sessions[0].0.closed_at.is_some());
    let down = running.usage().0;
    assert!((counted.0..counted.0 + 10_000).contains(&down), "each octet once, by the kernel: {down}");
    running.stop();
}

#[test]
fn a_stop_that_is_the_first_word_ends_the_presence_that_it_speaks_of_and_no_later_one() {
    let place = Place::new();
    let running = place.start();
    running.put(&ada());
    let phone = place.phone(&running);
    let before = report(ReportKind::Stop, 3_000, 10);
    running.online(&phone, ADA);
    tell(&running, &Report { acct_session_id: "ap-1".into(), ..before });
    assert_eq!(place.reaches(WEB4).as_deref(), Ok("web"), "that one came before");
    tell(&running, &report(ReportKind::Stop, 6_000_000, 0));
    running.look(ADA.0);
    assert_eq!(place.reaches(WEB4), Err(ErrorKind::ConnectionRefused));
    assert!(running.usage().0 < 10_000, "{:?}", running.usage());
    running.stop();
}

#[test]
fn a_reading_of_the_new_speed_never_comes_before_the_last_one_of_the_old() {
    let place = Place::new();
    let running = place.start();
    running.put(&ada());
    let phone = place.phone(&running);
    running.online(&phone, ADA);
    for round in 0..5u64 {
        send(&place, 40);
        let mut other = ada();
        other.terms.rates.down = Download(BitsPerSecond::new(30_000_000 + round * 1_000_000).unwrap());
        running.put(&other);
        running.runtime.block_on(async {
            let (looked, read) =
                tokio::join!(running.enforcer.carry_out(ADA.0), running.enforcer.read(ADA.0));
            looked.unwrap();
            read.unwrap();
        });
    }
    send(&place, 40);
    running.read(ADA.0);
    let (_, counters) = running.sessions()[0].clone();
    assert!((240 * 1028..241 * 1028).contains(&counters.up_octets), "{counters:?}");
    running.stop();
}

#[test]
fn a_small_quota_is_over_soon_after_it_is_spent() {
    let place = Place::new();
    let running = place.start();
    let mut small = ada();
    small.terms.data_allowance = Some(1_000_000);
    running.put(&small);
    let phone = place.phone(&running);
    running.online(&phone, ADA);
    let target: SocketAddr = format!("{WEB4}:6000").parse().unwrap();
    let got = place.world.phone.inside(move || {
        let mut stream = TcpStream::connect(target).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let (mut got, mut buffer) = (0, vec![0; 65_536]);
        let began = Instant::now();
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            got += count;
            assert!(began.elapsed() < Duration::from_secs(30), "nobody stops it");
        }
        got
    });
    // A second's worth may pass at once (2.5 MB), and readings are a quarter of a second apart.
    assert!((1_000_000..7_000_000).contains(&got), "{got}");
    running.stop();
}

/// Megabits a second that a download gets now.
fn speed(place: &Place, lasts: Duration) -> f64 {
    let target: SocketAddr = format!("{WEB4}:6000").parse().unwrap();
    place.world.phone.inside(move || {
        let mut stream = TcpStream::connect(target).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let (mut got, mut buffer, began) = (0_u32, vec![0; 65_536], Instant::now());
        while began.elapsed() < lasts {
            let Ok(count @ 1..) = stream.read(&mut buffer) else { break };
            got += u32::try_from(count).unwrap();
        }
        f64::from(got) * 8.0 / began.elapsed().as_secs_f64() / 1e6
    })
}

#[test]
fn lesson_18_who_used_much_is_slowed_down_and_is_fast_again_when_the_next_period_begins() {
    let place = Place::new();
    let running = place.start();
    let now = Clock::System.now();
    let next = now.checked_add(SignedDuration::from_secs(30)).unwrap();
    let mut heavy = ada();
    heavy.terms.usage =
        serde_json::from_value(serde_json::json!({ "fair_use": { "window": "period", "tiers": [
        { "above_octets": 3_000_000, "rates": { "down": 1_000_000, "up": 1_000_000 } },
    ] } }))
        .unwrap();
    let first = heavy.intervals[0].clone();
    heavy.intervals = vec![
        Interval { until: Some(next), ..first.clone() },
        Interval { from: next, source: "test-2".into(), ..first },
    ];
    running.put(&heavy);
    let phone = place.phone(&running);
    running.online(&phone, ADA);
    let fast = speed(&place, Duration::from_secs(2));
    // The tier was reached within these two seconds; nobody looks, it is followed by itself.
    std::thread::sleep(Duration::from_secs(3));
    let slow = speed(&place, Duration::from_secs(5));
    let left = next.duration_since(Clock::System.now()).as_secs();
    assert!(left > 5, "the machine is too slow to tell: {left} s");
    std::thread::sleep(Duration::from_secs(u64::try_from(left).unwrap() + 4));
    let again = speed(&place, Duration::from_secs(1));
    println!("{fast:.1} Mbit/s, then {slow:.2}, then {again:.1}");
    assert!(fast > 8.0 && again > 8.0, "{fast} {again}");
    assert!((0.3..1.6).contains(&slow), "{slow}");
    running.stop();
}

#[test]
fn a_clock_that_is_set_makes_nobody_idle() {
    let place = Place::new();
    let running = place.start();
    running.put(&ada());
    let phone = place.phone(&running);
    running.online(&phone, ADA);
    running.read(ADA.0);
    let hour = SignedDuration::from_hours(1);
    let later = Clock::System.now().checked_add(hour).unwrap();
    running.access.clock_was_set(hour);
    let due = running.runtime.block_on(running.access.end_due(later)).unwrap();
    assert_eq!(due.ended, 0);
    let much_later = later.checked_add(hour).unwrap();
    let due = running.runtime.block_on(running.access.end_due(much_later)).unwrap();
    assert_eq!(due.ended, 1, "an hour in which nothing passed is one");
    running.stop();
}

#[test]
fn the_sessions_of_a_box_that_is_no_gateway_any_more_end() {
    let place = Place::new();
    let running = place.start();
    running.put(&ada());
    let phone = place.phone(&running);
    running.online(&phone, ADA);
    let ended = running.runtime.block_on(running.access.end_local_sessions(Clock::System.now()));
    assert_eq!(ended.unwrap(), 1);
    assert!(running.sessions()[0].0.closed_at.is_some());
    assert_eq!(running.access.local_sessions(), 0);
    running.stop();
}

#[test]
fn a_device_that_a_nas_reported_first_goes_on_with_that_session_here() {
    let place = Place::new();
    let running = place.start();
    running.put(&ada());
    tell(&running, &report(ReportKind::Start, 0, 0));
    let phone = place.phone(&running);
    running.online(&phone, ADA);
    assert_eq!(place.reaches(WEB4).as_deref(), Ok("web"));
    send(&place, 50);
    running.read(ADA.0);
    let sessions = running.sessions();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert!(sessions[0].1.up_octets >= 50 * 1028);
    running.stop();
}

#[test]
fn two_devices_share_one_limit_and_their_octets_add_up() {
    let place = Place::new();
    let running = place.start();
    running.put(&ada());
    let phone = place.phone(&running);
    running.online(&phone, ADA);
    let other = place.device(&running, &place.world.other, OTHER4);
    running.runtime.block_on(async {
        let login = running.access.snapshot().service(ADA).unwrap();
        let holder = Holder::Service { login, device_limit: 2 };
        let at = Some(OTHER4.parse().unwrap());
        running.access.open_local(&other, at, holder, Clock::System.now()).await.unwrap();
        running.enforcer.carry_out(ADA.0).await.unwrap();
    });
    assert_eq!(connect(&place.world.other, WEB4, 5000).as_deref(), Ok("web"));
    send(&place, 101);
    running.read(ADA.0);
    let sessions = running.sessions();
    assert_eq!(sessions.len(), 2);
    let sum: u64 = sessions.iter().map(|(_, counters)| counters.up_octets).sum();
    assert_eq!(running.usage().1, sum);
    let third = running.runtime.block_on(async {
        let login = running.access.snapshot().service(ADA).unwrap();
        let device = Device { mac: "02:00:00:00:00:0c".parse().unwrap(), ..other.clone() };
        let holder = Holder::Service { login, device_limit: 2 };
        running.access.open_local(&device, None, holder, Clock::System.now()).await
    });
    assert!(third.unwrap_err().to_string().contains("device_limit"));
    running.stop();
}
