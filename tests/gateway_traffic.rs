//! Real packets through the real daemon's gateway: what passes, how fast, how much was counted, and what a
//! start without its ground says.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]
#![allow(clippy::print_stdout, reason = "what was measured is shown with --nocapture")]

#[path = "support/gateway_lab.rs"]
mod gateway_lab;
#[path = "support/http.rs"]
mod http;
#[path = "support/netns.rs"]
mod netns;
#[path = "support/process.rs"]
mod process;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gateway_lab::{GatewayLab, PORTAL};
use netns::{Namespace, WEB4, WEB6, connect};
use serde_json::{Value, json};

const EMAIL: &str = "ada.obi@example.net";

/// A lab whose phone is online under a plan of these speeds.
fn online(down_mbps: u32, up_mbps: u32) -> GatewayLab {
    let lab = GatewayLab::new();
    lab.free_plan("free", down_mbps, up_mbps, &json!({}));
    let confirmed = lab.join(&lab.world.phone, EMAIL, "free");
    assert_eq!(confirmed.answer["outcome"], "online", "{}", confirmed.answer);
    lab
}

fn web(port: u16) -> [SocketAddr; 2] {
    [WEB4, WEB6].map(|address| SocketAddr::new(address.parse().unwrap(), port))
}

/// A download that counts what came, until it ends or the lab does.
struct Download {
    octets: Arc<AtomicU64>,
    last: Arc<AtomicU64>,
    began: Instant,
}

impl Download {
    fn start(from: &Namespace, target: SocketAddr) -> Self {
        let (octets, last, began) =
            (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Instant::now());
        let (to, at) = (Arc::clone(&octets), Arc::clone(&last));
        from.spawn(move || {
            let mut stream = TcpStream::connect(target).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let mut room = vec![0; 65_536];
            while let Ok(length @ 1..) = stream.read(&mut room) {
                to.fetch_add(u64::try_from(length).unwrap(), Ordering::SeqCst);
                at.store(u64::try_from(began.elapsed().as_millis()).unwrap(), Ordering::SeqCst);
            }
        });
        let download = Self { octets, last, began };
        let until = Instant::now() + Duration::from_secs(5);
        while download.octets() == 0 {
            assert!(Instant::now() < until, "the download did not begin");
            std::thread::sleep(Duration::from_millis(5));
        }
        download
    }

    fn octets(&self) -> u64 {
        self.octets.load(Ordering::SeqCst)
    }

    /// How long nothing has come.
    fn silent_for(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::SeqCst)))
    }
}

/// Whether a probe from this thread's namespace gets its real answer, rather than the portal's or none.
fn gets_real_answer(target: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&target, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /generate_204 HTTP/1.1\r\nHost: connectivitycheck.gstatic.com\r\n\r\n")?;
        let mut said = String::new();
        stream.read_to_string(&mut said)?;
        Ok(said)
    };
    ask().is_ok_and(|said| said.starts_with("HTTP/1.1 204"))
}

/// The phone's open session, with counters read now: its status page asks the kernel.
fn session(lab: &GatewayLab) -> Value {
    let page = lab.phone_curl(&[&format!("https://{PORTAL}/status")]);
    assert_eq!(page.status, 200, "{page:?}");
    let open = lab.open_sessions();
    assert_eq!(open.len(), 1, "{open:?}");
    open[0].clone()
}

#[test]
fn a_thousand_probes_in_a_row_get_their_real_answer() {
    let lab = online(100, 100);
    let missed = lab.world.phone.inside(|| (0..1_000).filter(|n| !gets_real_answer(web(80)[n % 2])).count());
    assert_eq!(missed, 0);
}

#[test]
fn the_plans_rate_holds_over_twenty_seconds_in_both_families() {
    let lab = online(8, 4);
    let [v4, v6] = web(6000);
    // Both at once share one rate; the first seconds empty the bucket.
    let downloads = [Download::start(&lab.world.phone, v4), Download::start(&lab.world.phone, v6)];
    std::thread::sleep(Duration::from_secs(3));
    let all = || downloads.iter().map(Download::octets).sum::<u64>();
    let (before, began) = (all(), Instant::now());
    std::thread::sleep(Duration::from_secs(20));
    let rate = f64::from(u32::try_from(all() - before).unwrap()) * 8.0 / began.elapsed().as_secs_f64() / 1e6;
    println!("{rate:.2} Mbit/s of 8");
    assert!((7.2..8.8).contains(&rate), "{rate}");
    assert!(downloads.iter().all(|one| one.octets() > 0));
}

#[test]
fn what_the_phone_sends_is_counted_to_the_octet() {
    let lab = online(100, 100);
    let before = session(&lab)["upload_octets"].as_u64().unwrap();
    lab.world.phone.inside(|| {
        for target in web(9) {
            let any: SocketAddr = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
            let socket = UdpSocket::bind(any).unwrap();
            for n in 0..500 {
                socket.send_to(&[0; 1000], target).unwrap();
                if n % 25 == 0 {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        }
    });
    std::thread::sleep(Duration::from_millis(100));
    let after = session(&lab);
    // A header of 20 octets in IPv4 and of 40 in IPv6, and 8 of UDP; the pages themselves are not counted.
    assert_eq!(after["upload_octets"].as_u64().unwrap() - before, 500 * 1028 + 500 * 1048);
    let page = lab.phone_curl(&[&format!("https://{PORTAL}/status")]);
    assert!(page.body.contains("1 MB"), "the page shows it:\n{}", page.body);
}

#[test]
fn a_disconnect_ends_an_open_download_within_a_second_and_the_next_packet_is_refused() {
    let lab = online(20, 20);
    let downloads = web(6000).map(|target| Download::start(&lab.world.phone, target));
    std::thread::sleep(Duration::from_millis(500));
    let id = lab.open_sessions()[0]["id"].as_str().unwrap().to_owned();
    let began = Instant::now();
    lab.post(&format!("/api/v1/sessions/{id}/disconnect"), json!({})).expect(200);
    let took = began.elapsed();
    for target in web(6000) {
        let address = target.ip().to_string();
        assert_eq!(connect(&lab.world.phone, &address, 6000), Err(ErrorKind::ConnectionRefused), "{address}");
    }
    std::thread::sleep(Duration::from_secs(1).saturating_sub(began.elapsed()));
    let before: Vec<u64> = downloads.iter().map(Download::octets).collect();
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(downloads.iter().map(Download::octets).collect::<Vec<_>>(), before, "nothing comes any more");
    println!("answered after {took:?}, silent for {:?}", downloads[0].silent_for());
    let again = lab.post(&format!("/api/v1/sessions/{id}/disconnect"), json!({})).expect(200);
    assert_eq!(again["already"], true);
    let closed = lab.get(&format!("/api/v1/sessions/{id}")).expect(200);
    assert_eq!((&closed["open"], &closed["closed_why"]["why"]), (&json!(false), &json!("disconnected")));
    assert!(closed["download_octets"].as_u64().unwrap() >= before.iter().sum(), "{closed}");
}

#[test]
fn a_download_does_not_notice_that_the_daemon_is_killed_and_started_again() {
    let mut lab = online(20, 20);
    let download = Download::start(&lab.world.phone, web(6000)[0]);
    let mut longest = Duration::ZERO;
    let mut watched = |until: Instant| {
        while Instant::now() < until {
            longest = longest.max(download.silent_for());
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    watched(Instant::now() + Duration::from_millis(500));
    let before = lab.open_sessions()[0]["id"].clone();
    lab.kill();
    watched(Instant::now() + Duration::from_secs(1));
    lab.start();
    watched(Instant::now() + Duration::from_secs(1));
    println!("the longest silence was {longest:?}");
    assert!(longest < Duration::from_millis(900), "{longest:?}");
    let got = download.octets();
    let after = session(&lab);
    assert_eq!(after["id"], before, "the session is the same");
    assert!(after["download_octets"].as_u64().unwrap() >= got, "what passed meanwhile is counted: {after}");
}

#[test]
fn nobody_gets_through_a_flushed_ruleset_and_who_was_online_is_back_soon() {
    let lab = online(100, 100);
    let (phone, other) = (&lab.world.phone, &lab.world.other);
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        lab.world.gateway.nft("flush ruleset");
        let began = Instant::now();
        for target in web(6000) {
            let passed =
                other.inside(move || TcpStream::connect_timeout(&target, Duration::from_millis(300)));
            assert!(passed.is_err(), "a stranger reached {target}");
        }
        while !phone.inside(|| web(80).into_iter().all(gets_real_answer)) {
            assert!(began.elapsed() < Duration::from_secs(5), "the phone is not back");
        }
        slowest = slowest.max(began.elapsed());
    }
    println!("back within {slowest:?} at the slowest, the strangers' tries in it");
    let state = lab.get("/api/v1/system/gateway").expect(200);
    assert!(state["repairs"].as_u64().unwrap() >= 10, "{state}");
    assert_eq!((&state["admitted"], &state["fault"]), (&json!(1), &Value::Null));
}

#[test]
fn a_start_without_nft_or_without_the_right_is_one_readable_line() {
    let mut lab = GatewayLab::new();
    lab.stop();
    let inside = ["ip", "netns", "exec", &lab.world.gateway.name];
    // As on a box without the package: a folder of its own over the one that has the program.
    let hidden = ["unshare", "-m", "sh", "-c", "mount -t tmpfs none /usr/sbin && exec \"$@\"", "sh"];
    let powerless = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"];
    let cases: [(&[&str], &str); 2] =
        [(&hidden, "install the package nftables"), (&powerless, "CAP_NET_ADMIN")];
    for (before, told) in cases {
        let before = [&inside, before].concat();
        let mut daemon = lab.place.spawn(lab.place.program_under(&before, &["serve"]));
        let status = daemon.wait(Duration::from_secs(20)).expect("it ends");
        assert_ne!(status.code(), Some(0));
        let line = lab.place.await_log(&["could not start", told]);
        assert!(line.contains("closed to strangers"), "{line}");
    }
}

#[test]
fn an_interface_that_is_not_there_yet_is_said_and_taken_in_when_it_comes() {
    let mut lab = GatewayLab::new();
    lab.stop();
    lab.world.gateway.ip("link set lan0 name later0");
    lab.start();
    lab.place.await_log(&["the access interface lan0 is not there"]);
    let warned = |lab: &GatewayLab| lab.get("/api/v1/system/health").expect(200).to_string();
    assert!(warned(&lab).contains("gateway-interface-missing"));
    lab.world.gateway.ip("link set later0 name lan0");
    lab.world.gateway.ip("link set lan0 up");
    let page = lab.phone_curl(&[gateway_lab::PROBE]);
    assert_eq!(page.status, 302, "{page:?}");
}
