//! The speed that a phone really gets follows the facts: a lock that throttles, and an hour of the plan. Packets
//! through a real kernel are timed before, while and after, and judged by their ratio.

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

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::base::secret::Secret;
use dotmac_edge::domain::ids::ServiceId;
use dotmac_edge::domain::lock::{Lock, LockMode, LockReason};
use dotmac_edge::domain::rate::{BitsPerSecond, Download, Rates, Upload};
use dotmac_edge::domain::service::Service;
use dotmac_edge::domain::usage_terms::{Day, HoursWindow};
use dotmac_edge::store::Vault;
use dotmac_edge::store::snapshot::credential_context;
use gateway_core_lab::{Place, Running};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use netns::WEB4;
use uuid::Uuid;

const ADA: ServiceId = ServiceId(Uuid::from_u128(1));

fn rates(bits: u64) -> Rates {
    let bits = BitsPerSecond::new(bits).unwrap();
    Rates { down: Download(bits), up: Upload(bits) }
}

/// A service at 16 Mbit/s.
fn ada() -> Service {
    let vault = Vault::with_key([5; 32]);
    let password = Secret::from_text(radius_lab::PASSWORD);
    let sealed = vault.seal(&Entropy::System, &credential_context(ADA), &password).unwrap();
    let mut service = radius_lab::service(ADA, "ada", sealed.as_str().to_owned());
    service.terms.rates = rates(16_000_000);
    service
}

/// A download that goes on; what came is counted as it comes.
struct Pour(Arc<AtomicU64>);

impl Pour {
    fn start(place: &Place) -> Self {
        let octets = Arc::new(AtomicU64::new(0));
        let to = Arc::clone(&octets);
        place.world.phone.spawn(move || {
            let target: SocketAddr = format!("{WEB4}:6000").parse().unwrap();
            let mut stream = TcpStream::connect(target).unwrap();
            let mut room = vec![0; 65_536];
            while let Ok(length @ 1..) = stream.read(&mut room) {
                to.fetch_add(u64::try_from(length).unwrap(), Ordering::SeqCst);
            }
        });
        Self(octets)
    }

    /// Bits a second over some time from now, after what was in the bucket has gone.
    fn rate(&self, over: Duration) -> f64 {
        std::thread::sleep(Duration::from_millis(1_500));
        let (before, began) = (self.0.load(Ordering::SeqCst), Instant::now());
        std::thread::sleep(over);
        let octets = u32::try_from(self.0.load(Ordering::SeqCst) - before).unwrap();
        f64::from(octets) * 8.0 / began.elapsed().as_secs_f64()
    }
}

fn online() -> (Place, Running, Pour) {
    let place = Place::new();
    let running = place.start();
    running.put(&ada());
    let phone = place.phone(&running);
    running.online(&phone, ADA);
    let pour = Pour::start(&place);
    (place, running, pour)
}

#[test]
fn a_lock_that_throttles_slows_the_phone_down_and_its_end_gives_the_speed_back() {
    let (_place, running, pour) = online();
    let before = pour.rate(Duration::from_secs(2));
    let mut locked = ada();
    locked.locks.push(Lock {
        reason: LockReason::Overdue,
        mode: LockMode::Throttle,
        rates: Some(rates(1_000_000)),
        placed_at: Clock::System.now(),
        placed_by: "dunning".into(),
        note: None,
    });
    running.put(&locked);
    running.look(ADA.0);
    let throttled = pour.rate(Duration::from_secs(4));
    // What was owed is paid: the lock is gone in the commit of the money.
    running.put(&ada());
    running.look(ADA.0);
    let after = pour.rate(Duration::from_secs(2));
    println!("{:.1}, {:.2}, {:.1} Mbit/s of 16, 1, 16", before / 1e6, throttled / 1e6, after / 1e6);
    assert!(throttled > 0.0, "it is slow, and it goes on");
    assert!((8.0..40.0).contains(&(before / throttled)), "16 to 1: {}", before / throttled);
    assert!((0.6..1.6).contains(&(after / before)), "as before: {}", after / before);
    assert_eq!(running.sessions().len(), 1, "it is the same session all the time");
    running.stop();
}

#[test]
fn an_hour_of_the_plan_slows_the_phone_down_when_it_comes_and_no_longer_than_it_lasts() {
    let (_place, running, pour) = online();
    let now = Clock::System.now();
    let local = |secs: i64| (now + SignedDuration::from_secs(secs)).to_zoned(TimeZone::UTC).time();
    let mut peak = ada();
    peak.terms.usage.hours = vec![HoursWindow {
        days: Day::ALL.to_vec(),
        from: local(6),
        to: local(18),
        rates: Some(rates(2_000_000)),
        counts: true,
    }];
    running.put(&peak);
    running.look(ADA.0);
    let until = |secs: i64| {
        let left = (now + SignedDuration::from_secs(secs)).duration_since(Clock::System.now());
        std::thread::sleep(left.try_into().unwrap_or_default());
    };
    // From here on nobody tells it anything: only the clock goes on.
    let before = pour.rate(Duration::from_secs(2));
    assert!(
        Clock::System.now() < now + SignedDuration::from_secs(6),
        "this machine is too slow for this test"
    );
    until(8);
    let within = pour.rate(Duration::from_secs(4));
    until(20);
    let after = pour.rate(Duration::from_secs(2));
    println!("{:.1}, {:.2}, {:.1} Mbit/s of 16, 2, 16", before / 1e6, within / 1e6, after / 1e6);
    assert!((4.5..16.0).contains(&(before / within)), "16 to 2: {}", before / within);
    assert!((0.6..1.6).contains(&(after / before)), "as before: {}", after / before);
    running.stop();
}
