//! Whatever a captive device sends to the plain door, it gets the way to the portal, soon, and nothing that
//! it sent comes back; and no device can hold the door against others.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may look at the clock and say what it saw"
)]

#[path = "support/portal_lab.rs"]
mod portal_lab;
mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portal_lab::{Certificate, Lab, NAME, Page, parse};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Host, path and User-Agent of what the usual systems ask to find out whether they are captive.
const PROBES: &[(&str, &str, &str)] = &[
    ("connectivitycheck.gstatic.com", "/generate_204", "Mozilla/5.0 (X11; Linux x86_64) Chrome/60.0.3112.32"),
    ("www.google.com", "/gen_204", "Dalvik/2.1.0"),
    ("play.googleapis.com", "/generate_204", "Dalvik/2.1.0"),
    ("www.gstatic.com", "/generate_204", "Chrome"),
    ("captive.apple.com", "/hotspot-detect.html", "CaptiveNetworkSupport-407.0.1 wispr"),
    ("www.apple.com", "/library/test/success.html", "CaptiveNetworkSupport-355.200.27 wispr"),
    ("www.appleiphonecell.com", "/", "CaptiveNetworkSupport wispr"),
    ("www.msftconnecttest.com", "/connecttest.txt", "Microsoft NCSI"),
    ("ipv6.msftconnecttest.com", "/connecttest.txt", "Microsoft NCSI"),
    ("www.msftconnecttest.com", "/redirect", "Mozilla/5.0"),
    ("www.msftncsi.com", "/ncsi.txt", "Microsoft NCSI"),
    ("detectportal.firefox.com", "/canonical.html", "Mozilla/5.0 Firefox/150.0"),
    ("detectportal.firefox.com", "/success.txt?ipv4", "Mozilla/5.0 Firefox/150.0"),
    ("network-test.debian.org", "/nm", ""),
    ("nmcheck.gnome.org", "/check_network_status.txt", ""),
    ("fedoraproject.org", "/static/hotspot.txt", ""),
    ("networkcheck.kde.org", "/", ""),
    ("ping.archlinux.org", "/", ""),
    ("connectivity-check.ubuntu.com", "/", ""),
    ("ipv4.connman.net", "/online/status.html", "ConnMan/1.41 wispr"),
    ("spectrum.s3.amazonaws.com", "/kindle-wifi/wifistub.html", "Kindle"),
    ("fireoscaptiveportal.com", "/generate_204", "Dalvik"),
    ("connectivitycheck.cbg-app.huawei.com", "/generate_204", ""),
    ("connect.rom.miui.com", "/generate_204", ""),
    ("edge.microsoft.com", "/captiveportal/generate_204", "Edg"),
    ("captive.roku.com", "/ok", "Roku"),
    ("198.51.100.7", "/", "curl/8"),
    ("[2001:db8::7]", "/", "curl/8"),
];

/// What the plain door may say.
const ALLOWED: &[u16] = &[302, 303, 400, 414, 431, 511];
/// A head may take five seconds; more than that and a half is hanging.
const SOON: Duration = Duration::from_millis(7_500);

async fn say(address: SocketAddr, octets: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The door may have closed already when the rest is written.
    let _ = stream.write_all(octets).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await;
    let _ = read.unwrap_or_else(|_| panic!("hung on {:?}", String::from_utf8_lossy(octets)));
    answer
}

async fn ask(address: SocketAddr, text: &str) -> Page {
    parse(&say(address, text.as_bytes()).await).unwrap_or_else(|| panic!("no answer to {text:?}"))
}

fn is_way_to_the_portal(page: &Page, origin: &str) {
    assert_eq!(page.status, 302);
    assert_eq!(page.header("location"), Some(format!("{origin}/").as_str()));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("connection"), Some("close"));
    assert!(page.body.len() < 512 && page.body.contains(&format!("href=\"{origin}/\"")), "{}", page.body);
}

#[tokio::test]
async fn every_systems_probe_gets_the_same_way_to_the_portal() {
    let lab = Lab::open(Certificate::Configured).await;
    for (host, path, agent) in PROBES {
        let agent = if agent.is_empty() { String::new() } else { format!("User-Agent: {agent}\r\n") };
        let text = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{agent}\r\n");
        is_way_to_the_portal(&ask(lab.http, &text).await, &format!("https://{NAME}"));
    }
    let head = ask(lab.http, "HEAD / HTTP/1.1\r\nHost: captive.apple.com\r\n\r\n").await;
    assert_eq!((head.status, head.body.as_str()), (302, ""));
}

#[tokio::test]
async fn what_is_no_read_is_told_that_the_network_wants_a_login() {
    let lab = Lab::open(Certificate::Configured).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "MARK"] {
        let text = format!("{method} /x HTTP/1.1\r\nHost: api.example.org\r\nContent-Length: 4\r\n\r\nMARK");
        let page = ask(lab.http, &text).await;
        assert_eq!(page.status, 511, "{method}");
        assert_eq!(page.header("location"), None);
        assert_eq!(page.header("connection"), Some("close"));
        assert!(page.body.contains(&format!("https://{NAME}/")) && !page.body.contains("MARK"));
    }
}

#[tokio::test]
async fn with_a_configured_certificate_our_own_name_is_sent_to_https_and_without_one_it_is_served() {
    let lab = Lab::open(Certificate::Configured).await;
    for (path, to) in [("/login", "/login"), ("/login?x=//evil.example", "/login"), ("/unknown", "/")] {
        let page = ask(lab.http, &format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\n\r\n")).await;
        assert_eq!(page.status, 302);
        assert_eq!(page.header("location"), Some(format!("https://{NAME}{to}").as_str()));
    }
    let post = format!("POST /login HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 1\r\n\r\nx");
    let page = ask(lab.http, &post).await;
    assert_eq!((page.status, page.header("location")), (303, Some(format!("https://{NAME}/").as_str())));
    assert!(lab.health.warnings().is_empty());

    let lab = Lab::open(Certificate::MadeHere).await;
    let page = ask(lab.http, "GET /generate_204 HTTP/1.1\r\nHost: www.gstatic.com\r\n\r\n").await;
    is_way_to_the_portal(&page, &format!("http://{NAME}"));
    let page = ask(lab.http, &format!("GET /login HTTP/1.1\r\nHost: {NAME}\r\n\r\n")).await;
    assert_eq!((page.status, page.header("connection")), (200, Some("close")));
    let codes: Vec<_> = lab.health.warnings().iter().map(|warning| warning.code).collect();
    assert_eq!(codes, ["portal-certificate-self-made"]);
}

/// Requests that no browser sends. MARK must never come back.
fn malformed() -> Vec<Vec<u8>> {
    let long = "a".repeat(70_000);
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        text("GET /MARK HTTP/1.1\r\n\r\n"),
        text("GET /MARK HTTP/1.0\r\n\r\n"),
        text("GET /MARK HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        text("GET /MARK HTTP/1.1\r\nHost:\r\n\r\n"),
        text("GET /MARK HTTP/1.1\r\nHost: MARK MARK\r\n\r\n"),
        text("GET /MARK HTTP/1.1\r\nHost: a.example\r\nHost: MARK.example\r\n\r\n"),
        text("GET /MARK HTTP/1.1\r\nHost: MARK@portal.example.net\r\n\r\n"),
        text("GET /MARK HTTP/1.1\r\nHost: [::1\r\n\r\n"),
        text("GET /MARK HTTP/1.1\r\nHost: \"><script>MARK</script>\r\n\r\n"),
        text("GET http://MARK.example/MARK HTTP/1.1\r\nHost: MARK.example\r\n\r\n"),
        text("GET http:///MARK HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        text("OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        text("GET * HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        text("CONNECT MARK.example:443 HTTP/1.1\r\nHost: MARK.example:443\r\n\r\n"),
        text("GET MARK HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        text("GET /%zz%00%0d%0aMARK HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        text("GET /?\"><script>MARK</script> HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        text("get / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        text("GET /MARK HTTP/9.9\r\nHost: a.example\r\n\r\n"),
        text("GET /MARK\r\n\r\n"),
        text("MARK\r\n\r\n"),
        text("\r\n\r\n\r\n\r\n"),
        text("GET / HTTP/1.1\nHost: a.example\n\n"),
        text("GET / HTTP/1.1\r\nHost: a.example\r\n MARK: folded\r\n\r\n"),
        text("GET / HTTP/1.1\r\nMARK\r\nHost: a.example\r\n\r\n"),
        text("GET / HTTP/1.1\r\nHost: a.example\r\nMARK \u{0}: x\r\n\r\n"),
        text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        text("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nMARK"),
        text("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: -1\r\n\r\nMARK"),
        text(
            "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nzz",
        ),
        text("POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: MARK\r\n\r\nMARK"),
        text("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 99999999999\r\n\r\nMARK"),
        text("POST / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"),
        format!("GET /{long}MARK HTTP/1.1\r\nHost: a.example\r\n\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\nHost: a.example\r\nX: {long}MARK\r\n\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\nHost: a.example\r\n{}\r\n", "X: MARK\r\n".repeat(200)).into_bytes(),
        format!("GET / HTTP/1.1\r\nHost: {long}\r\n\r\n").into_bytes(),
        [&b"GET /\xff\xfe HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n"[..]].concat(),
        // What a browser sends that takes the port for one of TLS.
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03MARK"[..], &[0; 512]].concat(),
        vec![0; 4_096],
    ]
}

fn is_fine(sent: &[u8], answer: &[u8]) {
    let sent = String::from_utf8_lossy(&sent[..sent.len().min(80)]).into_owned();
    let said = String::from_utf8_lossy(answer);
    assert!(!said.contains("MARK"), "{sent:?} came back: {said}");
    if answer.is_empty() {
        return;
    }
    let page = parse(answer).unwrap_or_else(|| panic!("{sent:?}: {said}"));
    assert!(ALLOWED.contains(&page.status), "{sent:?}: {said}");
    if let Some(location) = page.header("location") {
        assert!(location.starts_with(&format!("https://{NAME}/")), "{sent:?}: {location}");
    }
}

#[tokio::test]
async fn whatever_is_malformed_is_answered_soon_or_hung_up_on_and_never_repeated() {
    let lab = Lab::open(Certificate::Configured).await;
    for sent in malformed() {
        is_fine(&sent, &say(lab.http, &sent).await);
    }
    is_way_to_the_portal(
        &ask(lab.http, "GET / HTTP/1.1\r\nHost: x.example\r\n\r\n").await,
        "https://portal.example.net",
    );
}

#[test]
fn no_request_line_or_header_makes_it_hang_repeat_or_fall() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let lab = runtime.block_on(Lab::open(Certificate::Configured));
    let word = "[ -~]{0,40}";
    let line = (
        prop_oneof!["[A-Z]{1,8}", Just("GET".to_owned()), word],
        prop_oneof!["/[ -~]{0,60}", "[a-z]{2,5}://[ -~]{0,40}", Just("*".to_owned()), word],
        prop_oneof![Just("HTTP/1.1".to_owned()), Just("HTTP/1.0".to_owned()), "[ -~]{0,12}"],
    );
    let headers = prop::collection::vec(
        (prop_oneof![Just("Host".to_owned()), "[A-Za-z-]{1,12}", word], "[ -~\\x80-\\xff]{0,60}"),
        0..6,
    );
    let strategy = (line, headers, any::<bool>());
    let mut runner = TestRunner::new(ProptestConfig { cases: 400, ..ProptestConfig::default() });
    let result = runner.run(&strategy, |((method, target, version), headers, is_whole)| {
        let mut text = format!("{method} {target} {version}\r\n");
        for (name, value) in &headers {
            text.push_str(&format!("{name}: {value}MARK\r\n"));
        }
        text.push_str(if is_whole { "\r\n\r\n" } else { "\r\n\r\n\r\n" });
        is_fine(text.as_bytes(), &runtime.block_on(say(lab.http, text.as_bytes())));
        Ok(())
    });
    result.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_slowly_or_not_at_all_is_hung_up_on() {
    let lab = Lab::open(Certificate::Configured).await;
    let (http, https) = (lab.http, lab.https);
    // A head that never ends, a connection that says nothing, and a handshake that never begins.
    let dribble = tokio::spawn(async move {
        let began = Instant::now();
        let mut stream = TcpStream::connect(http).await.unwrap();
        for octet in b"GET / HTTP/1.1\r\nX: ".iter().chain(std::iter::repeat_n(&b'a', 60)) {
            if stream.write_all(&[*octet]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            if began.elapsed() > Duration::from_secs(15) {
                break;
            }
        }
        began.elapsed()
    });
    let silent = |address| async move {
        let began = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
        began.elapsed()
    };
    let (dribbled, plain, safe) = tokio::join!(dribble, silent(http), silent(https));
    assert!(dribbled.unwrap() < Duration::from_secs(8));
    assert!(plain < Duration::from_secs(8), "{plain:?}");
    assert!(safe < Duration::from_secs(13), "{safe:?}");
}

#[tokio::test]
async fn one_address_cannot_take_all_places() {
    let lab = Lab::open(Certificate::Configured).await;
    let from = |source: &'static str| async move {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
        socket.connect(lab.http).await.unwrap()
    };
    let mut held = Vec::new();
    for _ in 0..32 {
        held.push(from("127.0.0.9").await);
    }
    // The last ones are accepted when they are looked at.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut one_more = from("127.0.0.9").await;
    let began = Instant::now();
    let _ = one_more.read_to_end(&mut Vec::new()).await;
    assert!(began.elapsed() < Duration::from_secs(2), "the 33rd is turned away at once");
    let mut other = from("127.0.0.10").await;
    other.write_all(b"GET / HTTP/1.1\r\nHost: x.example\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = other.read_to_end(&mut answer).await;
    assert_eq!(parse(&answer).unwrap().status, 302, "others are served");
    drop(held);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut again = from("127.0.0.9").await;
    again.write_all(b"GET / HTTP/1.1\r\nHost: x.example\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = again.read_to_end(&mut answer).await;
    assert_eq!(parse(&answer).unwrap().status, 302, "places come back");
}

/// Connections that the test may hold, both ends being its own; at most 5,000.
fn as_many_as_there_are_descriptors() -> usize {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    usize::try_from(most / 2).unwrap_or(5_000).saturating_sub(300).min(5_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_slow_devices_do_not_slow_the_others() {
    let lab = Lab::open(Certificate::Configured).await;
    let slow = as_many_as_there_are_descriptors();
    let began = Instant::now();
    let mut held = Vec::with_capacity(slow);
    for number in 0..slow {
        let device = number / 25;
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("127.1.{}.{}:0", device / 250, device % 250 + 1).parse().unwrap()).unwrap();
        let mut stream = socket.connect(lab.http).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        held.push(stream);
    }
    let mut took = Vec::new();
    for _ in 0..100 {
        let began = Instant::now();
        let page = ask(lab.http, "GET / HTTP/1.1\r\nHost: captive.apple.com\r\n\r\n").await;
        assert_eq!(page.status, 302);
        took.push(began.elapsed());
    }
    took.sort();
    println!("{slow} slow devices: half within {:?}, 95 of 100 within {:?}", took[50], took[95]);
    assert!(took[95] < Duration::from_millis(500), "{:?}", took[95]);
    let still_held = |stream: &TcpStream| {
        stream.try_read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    let held = held.iter().filter(|stream| still_held(stream)).count();
    println!("{held} were held all the time, {:?}", began.elapsed());
    assert!(held > slow / 2, "only {held} of {slow} were held");
}
