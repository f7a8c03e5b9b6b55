//! What it takes to bring subscribers online, from the decision to the kernel's acknowledgement with the
//! session durable in between: in network namespaces, on a real kernel and a real disk, as root.
//! Prints tables; judges nothing. Compare the rows of one run with one another.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]
#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic, dead_code, unreachable_pub)]

#[path = "../tests/support/gateway_core_lab.rs"]
mod gateway_core_lab;
#[path = "../tests/support/gateway_lab.rs"]
mod gateway_lab;
#[path = "../tests/support/http.rs"]
mod http;
#[path = "../tests/support/netns.rs"]
mod netns;
#[path = "../tests/support/process.rs"]
mod process;
#[path = "../tests/support/radius_lab.rs"]
mod radius_lab;

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dotmac_edge::access::Holder;
use dotmac_edge::base::clock::Clock;
use dotmac_edge::domain::device::{Device, MacAddress};
use dotmac_edge::domain::ids::ServiceId;
use dotmac_edge::store::contract::Unit;
use dotmac_edge::store::tables::Services;
use gateway_core_lab::{Place, Running};
use gateway_lab::GatewayLab;
use netns::{GATEWAY4, WEB4, echoes};
use uuid::Uuid;

const SUBSCRIBERS: u32 = 4_000;

fn main() {
    // On the working directory's disk: a temporary folder may be in memory, where syncing costs nothing.
    let place = Place { folder: tempfile::tempdir_in(".").unwrap(), ..Place::new() };
    let running = place.start();
    furnish(&running);
    println!("at once | activations/s | median ms | 99th ms");
    let mut first = 0;
    for at_once in [1u32, 8, 64, 512] {
        let count = (at_once * 50).clamp(200, 1_500);
        measure(&running, first, count, at_once);
        first += count;
    }
    println!("online in the end: {}", running.access.local_sessions());
    running.stop();
    drop(place);
    logins();
}

/// From the login's POST at the real daemon to the first packet that comes back from the Internet.
fn logins() {
    let lab = GatewayLab::new();
    lab.free_plan("free", 100, 100, &serde_json::json!({}));
    lab.join(&lab.world.phone, EMAIL, "free");
    echoes(&lab.world.internet, 4000, "far");
    let tls = tls(&std::fs::read_to_string(lab.place.path("portal.pem")).unwrap());
    let (mut passed, mut answered) = (Vec::new(), Vec::new());
    for _ in 0..LOGINS {
        let id = lab.open_sessions()[0]["id"].as_str().unwrap().to_owned();
        lab.post(&format!("/api/v1/sessions/{id}/disconnect"), serde_json::json!({})).expect(200);
        let (first, answer) = lab.world.phone.inside(|| log_in(&tls));
        passed.push(first);
        answered.push(answer);
    }
    passed.sort();
    answered.sort();
    let told = |what: &str, all: &[Duration]| {
        let ms = |at: usize| all[at].as_secs_f64() * 1e3;
        println!(
            "{what}: median {:.1} ms, 99th {:.1} ms of {}",
            ms(all.len() / 2),
            ms(all.len() * 99 / 100),
            all.len()
        );
    };
    println!("login POST over TLS, one argon2id check (46 MiB) in it");
    told("  to the first packet forwarded and answered", &passed);
    told("  to the 303", &answered);
}

/// Logs in by the form, and gives how long the first answer from the Internet and the page's took.
fn log_in(tls: &Arc<rustls::ClientConfig>) -> (Duration, Duration) {
    let shown = ask(&mut connected(tls), "GET /login HTTP/1.1", "");
    let (_, rest) = shown.split_once("name=\"form_token\" value=\"").unwrap();
    let token = rest.split_once('"').unwrap().0;
    let body =
        format!("form_token={token}&login={}&password={}", encoded(EMAIL), encoded(gateway_lab::PASSWORD));
    let mut stream = connected(tls);
    let done = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    std::thread::scope(|scope| {
        let asked = Arc::clone(&done);
        // In this thread's namespace, as all that it spawns.
        let probing = scope.spawn(move || first_answer(began, &asked));
        let answer = ask(&mut stream, "POST /login HTTP/1.1", &body);
        let answered = began.elapsed();
        assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
        done.store(true, Ordering::SeqCst);
        (probing.join().unwrap(), answered)
    })
}

/// Asks the Internet twice a millisecond until it answers.
fn first_answer(began: Instant, done: &AtomicBool) -> Duration {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect((WEB4, 4000)).unwrap();
    socket.set_read_timeout(Some(Duration::from_micros(500))).unwrap();
    let mut room = [0; 64];
    loop {
        // Refused while captive, which is what is waited out.
        let _ = socket.send(b"?");
        if socket.recv(&mut room).is_ok() {
            return began.elapsed();
        }
        let late = done.load(Ordering::SeqCst) && began.elapsed() > Duration::from_secs(20);
        assert!(!late, "no packet got through after the login was answered");
    }
}

type Tls = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

fn connected(tls: &Arc<rustls::ClientConfig>) -> Tls {
    let name = gateway_lab::PORTAL.try_into().unwrap();
    let connection = rustls::ClientConnection::new(Arc::clone(tls), name).unwrap();
    let stream = TcpStream::connect((GATEWAY4, 443)).unwrap();
    stream.set_nodelay(true).unwrap();
    rustls::StreamOwned::new(connection, stream)
}

fn ask(stream: &mut Tls, first: &str, body: &str) -> String {
    let host = gateway_lab::PORTAL;
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let length = body.len();
    let text = format!(
        "{first}\r\nHost: {host}\r\nConnection: close\r\n{kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).unwrap();
    let mut said = Vec::new();
    // A peer that closes without a word of TLS has said all that it had to.
    let _ = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

fn tls(pem: &str) -> Arc<rustls::ClientConfig> {
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

const EMAIL: &str = "ada.obi@example.net";
const LOGINS: usize = 500;

fn furnish(running: &Running) {
    for first in (0..SUBSCRIBERS).step_by(500) {
        let unit = (first..first + 500).fold(Unit::natural(), |unit, number| {
            let id = ServiceId(Uuid::from_u128(u128::from(number) + 1));
            let mut service = radius_lab::service(id, &format!("sub{number}"), "eA".to_owned());
            service.addresses = dotmac_edge::domain::service::Addresses::default();
            unit.put::<Services>(&id, &service).unwrap()
        });
        running.runtime.block_on(running.store.commit(unit)).unwrap();
    }
}

fn measure(running: &Running, first: u32, count: u32, at_once: u32) {
    let next = Arc::new(std::sync::atomic::AtomicU32::new(first));
    let began = Instant::now();
    let mut each: Vec<Duration> = running.runtime.block_on(async {
        let workers = (0..at_once).map(|_| {
            let (next, access, enforcer) =
                (Arc::clone(&next), Arc::clone(&running.access), running.enforcer.clone());
            tokio::spawn(async move {
                let mut took = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= first + count {
                        return took;
                    }
                    let began = Instant::now();
                    let id = ServiceId(Uuid::from_u128(u128::from(number) + 1));
                    let login = access.snapshot().service(id).unwrap();
                    let holder = Holder::Service { login, device_limit: 2 };
                    let (device, ipv4) = device(number);
                    access.open_local(&device, Some(ipv4), holder, Clock::System.now()).await.unwrap();
                    enforcer.carry_out(id.0).await.unwrap();
                    took.push(began.elapsed());
                }
            })
        });
        let mut all = Vec::new();
        for worker in workers.collect::<Vec<_>>() {
            all.extend(worker.await.unwrap());
        }
        all
    });
    let total = began.elapsed();
    each.sort();
    let (median, late) = (each[each.len() / 2], each[each.len() * 99 / 100]);
    println!(
        "{at_once:7} | {:13.0} | {:9.2} | {:7.2}",
        f64::from(count) / total.as_secs_f64(),
        median.as_secs_f64() * 1e3,
        late.as_secs_f64() * 1e3,
    );
}

fn device(number: u32) -> (Device, std::net::Ipv4Addr) {
    let [_, a, b, c] = number.to_be_bytes();
    let ipv4 = std::net::Ipv4Addr::new(10, 20 + a, b, c);
    let mac = MacAddress::new([2, 0, 1, a, b, c]);
    (Device { interface: "lan0".into(), mac, address: ipv4.into() }, ipv4)
}
