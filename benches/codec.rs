//! What the codec costs: nanoseconds and allocations an operation, and the ratio to one decode by
//! the crate `radius` in the same run, since only ratios compare between machines.
//!
//! Rounds of all operations alternate and the median round counts, so that a busy moment of the
//! machine falls on all alike. The one rule: the in-place exchange allocates nothing, or this fails.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::cast_precision_loss)]

use std::alloc::System;
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dotmac_edge::base::secret::Secret;
use dotmac_edge::radius::client::{Ask, Login, LoginRandom};
use dotmac_edge::radius::{
    Buffer, Code, DuplicateCache, Kind, MessageAuthenticatorRule, Method, NasFacts, Offer, Packet,
    PasswordBuffer, PortKind, Proof, Reply, RequestKey, Salt, SharedSecret, VendorKind, Verdict, admit,
};
use radius::core::packet::Packet as CratePacket;
use radius::core::{rfc2865, rfc2869};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SECRET: &str = "a secret of thirty-two octets...";
const ROUNDS: usize = 31;
const ITERATIONS: u32 = 20_000;

struct Measured {
    name: &'static str,
    nanoseconds: Vec<f64>,
    allocations: f64,
}

fn request(method: Method) -> Vec<u8> {
    let secret = SharedSecret::new(Secret::from_text(SECRET));
    let mut buffer = [0; 4096];
    let login = Login { user_name: b"user000042", password: b"pass000042", method };
    let random = LoginRandom { authenticator: [9; 16], challenge: [8; 16], peer_challenge: [7; 16] };
    let mut ask = Ask::login(&mut buffer, 1, &login, &random, &secret).unwrap();
    let attributes = ask.attributes();
    attributes.ipv4(Kind::NAS_IP_ADDRESS, [192, 0, 2, 1].into()).unwrap();
    attributes.u32(Kind::NAS_PORT, 42).unwrap();
    attributes.u32(Kind::NAS_PORT_TYPE, 15).unwrap();
    attributes.u32(Kind::SERVICE_TYPE, 2).unwrap();
    attributes.u32(Kind::FRAMED_PROTOCOL, 1).unwrap();
    attributes.text(Kind::CALLING_STATION_ID, "02-00-00-00-00-01").unwrap();
    attributes.text(Kind::CALLED_STATION_ID, "internet").unwrap();
    attributes.text(Kind::NAS_PORT_ID, "ether5").unwrap();
    ask.finish(&secret).0.to_vec()
}

/// Everything between a datagram and its answer but the product's own decision.
fn exchange(datagram: &[u8], facts: &NasFacts<'_>, buffer: &mut Buffer) -> usize {
    let admitted = admit(datagram, PortKind::Authentication, facts).unwrap();
    let (packet, secret) = (admitted.packet, facts.secret(admitted.fit));
    let mut room = PasswordBuffer::default();
    let proof = Proof::from_request(&packet, secret, &mut room).unwrap().unwrap();
    let user_name = packet.first(Kind::USER_NAME).unwrap().value;
    let Verdict::Accepted(extras) = proof.verify(user_name, b"pass000042") else { panic!("refused") };
    let mut reply = Reply::start(buffer, &packet, Code::AccessAccept).unwrap();
    reply.extras(&extras, secret, Salt::pair_from_random([1, 2])).unwrap();
    let attributes = reply.attributes();
    attributes.u32(Kind::SESSION_TIMEOUT, 86_400).unwrap();
    attributes.u32(Kind::ACCT_INTERIM_INTERVAL, 300).unwrap();
    attributes.ipv4(Kind::FRAMED_IP_ADDRESS, [100, 64, 0, 42].into()).unwrap();
    attributes.vendor_text(VendorKind::MIKROTIK_RATE_LIMIT, "5M/20M").unwrap();
    reply.finish(secret).len()
}

/// The same with the crate: no Message-Authenticator is checked or written, since it cannot.
fn crate_exchange(datagram: &[u8]) -> usize {
    let packet = CratePacket::decode(datagram, SECRET.as_bytes()).unwrap();
    let password = rfc2865::lookup_user_password(&packet).unwrap().unwrap();
    assert_eq!(password, b"pass000042");
    let mut reply = packet.make_response_packet(radius::core::code::Code::AccessAccept);
    rfc2865::add_session_timeout(&mut reply, 86_400);
    rfc2869::add_acct_interim_interval(&mut reply, 300);
    rfc2865::add_framed_ip_address(&mut reply, &[100, 64, 0, 42].into());
    rfc2865::add_reply_message(&mut reply, "5M/20M");
    reply.encode().unwrap().len()
}

fn measure<T>(into: &mut Measured, mut work: impl FnMut() -> T) {
    let region = Region::new(ALLOCATOR);
    let begun = Instant::now();
    for _ in 0..ITERATIONS {
        black_box(work());
    }
    let took = begun.elapsed();
    let change = region.change();
    into.nanoseconds.push(took.as_nanos() as f64 / f64::from(ITERATIONS));
    into.allocations = (change.allocations + change.reallocations) as f64 / f64::from(ITERATIONS);
}

fn main() {
    let names = [
        "crate radius: decode",
        "crate radius: PAP request to reply, unsigned",
        "decode",
        "decode and walk all attributes",
        "admit (decode, Message-Authenticator)",
        "PAP: reveal and compare",
        "PAP request to signed reply",
        "PAP request to signed reply, duplicate cache",
        "CHAP request to signed reply",
        "MS-CHAPv2 request to signed reply and keys",
    ];
    let mut results = names.map(|name| Measured { name, nanoseconds: Vec::new(), allocations: 0.0 });
    let (pap, chap, ms_chap_v2) = (request(Method::Pap), request(Method::Chap), request(Method::MsChapV2));
    let secret = SharedSecret::new(Secret::from_text(SECRET));
    let facts = NasFacts {
        secret: &secret,
        previous_secret: None,
        message_authenticator: MessageAuthenticatorRule::Require,
    };
    let (mut buffer, mut cache) = ([0; 4096], DuplicateCache::new(1024, Duration::from_secs(10)));
    let mut port = 0u16;
    let mut cached = || {
        let packet = Packet::decode(black_box(&pap)).unwrap();
        port = port.wrapping_add(1);
        let key = RequestKey::new(&packet, SocketAddr::from(([192, 0, 2, 1], port)), 0);
        let now = Instant::now();
        if cache.offer(&key, now) == Offer::New {
            let length = exchange(&pap, &facts, &mut buffer);
            cache.complete(&key, &buffer[..length], now);
        }
    };
    (0..4096).for_each(|_| cached());

    let mut scratch = [0; 4096];
    let packet = Packet::decode(&pap).unwrap();
    for _ in 0..ROUNDS {
        let [crate_decode, crate_full, decode, walk, admitted, proof, full, with_cache, chap_full, v2_full] =
            &mut results;
        measure(crate_decode, || CratePacket::decode(black_box(&pap), SECRET.as_bytes()));
        measure(crate_full, || crate_exchange(black_box(&pap)));
        measure(decode, || Packet::decode(black_box(&pap)));
        measure(walk, || {
            let packet = Packet::decode(black_box(&pap)).unwrap();
            black_box(packet.attributes().map(|found| found.value.len()).sum::<usize>());
        });
        measure(admitted, || admit(black_box(&pap), PortKind::Authentication, &facts));
        measure(proof, || {
            let mut room = PasswordBuffer::default();
            let proof = Proof::from_request(black_box(&packet), &secret, &mut room).unwrap().unwrap();
            assert!(proof.verify(b"user000042", b"pass000042").is_accepted());
        });
        measure(full, || exchange(black_box(&pap), &facts, &mut scratch));
        measure(with_cache, &mut cached);
        measure(chap_full, || exchange(black_box(&chap), &facts, &mut scratch));
        measure(v2_full, || exchange(black_box(&ms_chap_v2), &facts, &mut scratch));
    }
    report(&mut results, pap.len());
}

fn report(results: &mut [Measured], octets: usize) {
    let mut base = None;
    println!("request of {octets} octets; median of {ROUNDS} rounds of {ITERATIONS}");
    println!("{:>9} {:>7} {:>8}", "ns/op", "ratio", "allocs");
    for result in results.iter_mut() {
        result.nanoseconds.sort_by(f64::total_cmp);
        let median = result.nanoseconds[ROUNDS / 2];
        let base = *base.get_or_insert(median);
        println!("{median:>9.0} {:>7.2} {:>8.2}  {}", median / base, result.allocations, result.name);
    }
    let ours = results.iter().filter(|result| !result.name.starts_with("crate"));
    for result in ours {
        assert!(result.allocations == 0.0, "{} allocates", result.name);
    }
}
