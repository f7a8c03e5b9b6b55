//! A daemon's life, seen from outside: the real program as a process, told of and signalled as
//! systemd does it, ended in every way that a machine ends a process.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::panic, clippy::indexing_slicing, clippy::print_stdout, clippy::disallowed_methods)]

#[path = "support/http.rs"]
mod http;
#[path = "support/process.rs"]
mod process;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::domain::session::Counters;
use dotmac_edge::radius::Code;
use nix::sys::signal::Signal;
use process::{Daemon, INTERIM, Nas, PASSWORD, PATIENCE, Place, Report, START, STOP, customer};
use serde_json::{Value, json};

fn furnished() -> (Place, Daemon) {
    let place = Place::new();
    let daemon = place.start();
    place.furnish();
    (place, daemon)
}

#[test]
fn systemd_is_told_the_truth_from_ready_to_stopping() {
    let (place, daemon) = furnished();
    daemon.stop();
    place.await_told("STOPPING=1");

    let mut nas = Nas::new();
    let (login, status) = (nas.login(PASSWORD), nas.status());
    let mut command = place.program(&["serve"]);
    command.env("WATCHDOG_USEC", "400000");
    let mut daemon = place.spawn(command);
    let told = place.await_told("READY=1");
    let second = Duration::from_secs(1);
    assert_eq!(nas.ask(place.authentication, &login, 1, second), Some(Code::AccessAccept));
    assert_eq!(nas.ask(place.accounting, &status, 1, second), Some(Code::AccountingResponse));
    place.public(place.admin, "/ready").expect(200);
    assert_eq!(place.public(place.metrics, "/metrics").status, 200);
    assert!(told.contains("STATUS=1 services, 0 sessions open"), "{told}");

    let since = Instant::now();
    for _ in 0..4 {
        place.await_told("WATCHDOG=1");
    }
    assert!(since.elapsed() < 6 * Duration::from_millis(400), "half of the limit is its rhythm");

    daemon.signal(Signal::SIGHUP);
    let told = place.await_told("RELOADING=1");
    let since_boot = told.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
    assert!(since_boot.parse::<u64>().unwrap() > 0, "{told}");
    place.await_told("READY=1");

    daemon.signal(Signal::SIGTERM);
    place.await_told("STOPPING=1");
    assert_eq!(daemon.wait(Duration::from_secs(10)).unwrap().code(), Some(0));
}

#[test]
fn the_heartbeat_does_not_fall_out_of_step_when_the_daemon_is_kept_busy_by_signals() {
    let place = Place::new();
    let mut command = place.program(&["serve"]);
    command.env("WATCHDOG_USEC", "1000000");
    let daemon = place.spawn(command);
    place.await_told("READY=1");
    let until = Instant::now() + Duration::from_secs(3);
    let mut beats = 0;
    while Instant::now() < until {
        daemon.signal(Signal::SIGHUP);
        let end = Instant::now() + Duration::from_millis(200);
        while let Some(told) = place.told(end.saturating_duration_since(Instant::now()).max(SOON)) {
            beats += u32::from(told.contains("WATCHDOG=1"));
        }
    }
    assert!(beats >= 3, "{beats} heartbeats in three seconds");
    daemon.stop();
}

#[test]
fn told_to_stop_under_load_it_ends_soon_and_every_acknowledged_session_is_on_disk() {
    let (place, daemon) = furnished();
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let senders: Vec<_> = (0..4)
        .map(|sender| {
            let (to, stop, acknowledged) = (place.accounting, Arc::clone(&stop), Arc::clone(&acknowledged));
            std::thread::spawn(move || pour(sender, to, &stop, &acknowledged))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(700));
    let took = daemon.stop();
    stop.store(true, Ordering::Release);
    for sender in senders {
        sender.join().unwrap();
    }
    let there: Vec<String> =
        place.sessions().into_iter().map(|session| session.body.acct_session_id).collect();
    let acknowledged = acknowledged.lock().unwrap();
    for session in acknowledged.iter() {
        let times = there.iter().filter(|one| *one == session).count();
        assert_eq!(times, 1, "{session} was acknowledged");
    }
    println!("ended {took:?} after SIGTERM; {} sessions acknowledged, all there once", acknowledged.len());
    assert!(acknowledged.len() > 100, "only {} were acknowledged", acknowledged.len());
    assert!(took < Duration::from_secs(4), "new requests must not prolong the end: {took:?}");
    let daemon = place.start();
    let health = place.get("/api/v1/system/health").expect(200);
    assert_eq!(health["sessions_open"], there.len(), "read back");
    daemon.stop();
}

/// Opens sessions without waiting for one acknowledgement before the next request.
fn pour(sender: u32, to: std::net::SocketAddr, stop: &AtomicBool, acknowledged: &Mutex<Vec<String>>) {
    let mut nas = Nas::new();
    nas.socket.set_nonblocking(true).unwrap();
    let (mut number, mut open, mut room) = (0u32, BTreeMap::new(), [0; 4096]);
    while !stop.load(Ordering::Acquire) {
        number += 1;
        let session = format!("{sender}-{number}");
        let (octets, expectation) = nas.accounting(&Report {
            status: START,
            username: "ada",
            session: session.clone(),
            octets: 0,
            seconds: 0,
        });
        open.insert(octets[1], (session, expectation));
        let _ = nas.socket.send_to(&octets, to);
        std::thread::sleep(Duration::from_millis(3));
        while let Ok(length) = nas.socket.recv(&mut room) {
            let Some((session, expectation)) = open.remove(&room[1]) else { continue };
            if expectation.check(&room[..length], &nas.secret).is_ok() {
                acknowledged.lock().unwrap().push(session);
            }
        }
    }
}

#[test]
fn a_reload_takes_what_it_can_names_what_must_wait_and_refuses_a_wrong_file_whole() {
    let (place, daemon) = furnished();
    let text = place.text();
    let mut nas = Nas::new();
    assert!(time_of_refusal(&mut nas, &place) < Duration::from_millis(900));

    // What can be taken over while running is.
    let changed =
        text.replace("reject_delay = \"0s\"", "reject_delay = \"2s\"").replace("\"info\"", "\"debug\"");
    reload(&place, &daemon, &changed);
    assert!(time_of_refusal(&mut nas, &place) > Duration::from_millis(1_700));
    place.await_log(&["radius.reject_delay", "0s", "2s"]);
    place.await_log(&["log.level", "info", "debug"]);
    nas.socket.send_to(&[1; 30], place.authentication).unwrap();
    place.public(place.admin, "/health").expect(200);

    // A wrong file: line, key, remedy in the log, and nothing changes, the right lines neither.
    let wrong = changed
        .replace("reject_delay = \"2s\"", "reject_delay = \"0s\"")
        .replace("workers = 2", "workers = \"two\"");
    let line = wrong.lines().position(|line| line.starts_with("workers")).unwrap() + 1;
    reload(&place, &daemon, &wrong);
    let said = place.await_log(&["ERROR", &format!("edge.toml:{line}:"), "radius.workers", "; "]);
    assert!(said.contains("the old one stays in force"), "{said}");
    assert!(time_of_refusal(&mut nas, &place) > Duration::from_millis(1_700));

    // What needs a restart is named, and named again as long as it waits.
    reload(&place, &daemon, &changed.replace("workers = 2", "workers = 3"));
    place.await_log(&["radius.workers would change from 2 to 3", "restart"]);
    reload(&place, &daemon, &changed.replace("workers = 2", "workers = 3"));
    let named = || place.log().matches("radius.workers would change from 2 to 3").count();
    assert_eq!(named(), 2);
    reload(&place, &daemon, &changed);
    assert_eq!(named(), 2, "the change was taken back");
    daemon.stop();
}

#[test]
fn a_setting_said_to_change_on_reload_does_or_is_said_to_need_a_restart() {
    let place = Place::new();
    let daemon = place.start();
    reload(&place, &daemon, &place.text().replace("\"Lekki\"", "\"Ajah\""));
    let said = place.await_log(&["site.name", "Lekki", "Ajah"]);
    let shown = place.public(place.admin, "/api/v1/setup/status").expect(200)["site"].clone();
    assert!(shown == "Ajah" || said.contains("restart"), "shown: {shown}; said: {said}");
    daemon.stop();
}

fn reload(place: &Place, daemon: &Daemon, text: &str) {
    place.configure(text);
    daemon.signal(Signal::SIGHUP);
    place.await_told("RELOADING=1");
    place.await_told("READY=1");
}

fn time_of_refusal(nas: &mut Nas, place: &Place) -> Duration {
    let (request, began) = (nas.login("not the password"), Instant::now());
    let answer = nas.ask(place.authentication, &request, 1, Duration::from_secs(5));
    assert_eq!(answer, Some(Code::AccessReject));
    began.elapsed()
}

#[test]
fn a_wrong_configuration_ends_with_78_before_anything_is_bound_or_made() {
    let place = Place::new();
    let wrong = place.text().replace("workers = 2", "wokers = 2").replace("\"NGN\"", "\"Naira\"");
    place.configure(&wrong);
    let output = place.program(&["serve"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    for (key, words) in [("radius.wokers", "workers"), ("site.currency", "; ")] {
        let fault = said.lines().find(|line| line.contains(key)).unwrap_or_else(|| panic!("{key}: {said}"));
        assert!(fault.contains("edge.toml:") && fault.contains(words), "{fault}");
    }
    assert_eq!(place.told(SOON), None, "nothing was ready");
    for name in ["store", "control.sock", "box.key"] {
        assert!(!place.path(name).exists(), "{name} was made");
    }
}

#[test]
fn a_second_daemon_on_the_same_store_names_the_first_and_takes_no_request_from_it() {
    let (place, daemon) = furnished();
    let stop = Arc::new(AtomicBool::new(false));
    let (to, ended) = (place.authentication, Arc::clone(&stop));
    let subscriber = std::thread::spawn(move || {
        let (mut asked, mut answered) = (0, 0);
        while !ended.load(Ordering::Acquire) {
            // A socket each, since the kernel parts requests by their source.
            let mut nas = Nas::new();
            let request = nas.login(PASSWORD);
            asked += 1;
            answered +=
                u32::from(nas.ask(to, &request, 1, Duration::from_secs(1)) == Some(Code::AccessAccept));
        }
        (asked, answered)
    });
    for _ in 0..5 {
        let output = place.program(&["serve"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(said.contains(&format!("held by process {}", daemon.pid())), "{said}");
    }
    stop.store(true, Ordering::Release);
    let (asked, answered) = subscriber.join().unwrap();
    println!("{answered} of {asked} logins answered while five others tried to start");
    assert_eq!(asked, answered, "a request went to the other daemon");
    place.get("/api/v1/system/health").expect(200);
    daemon.stop();
}

#[test]
fn a_daemon_with_another_store_does_not_share_the_radius_ports() {
    let (first, daemon) = furnished();
    let second = Place::new();
    let port = |place: &Place| place.authentication.to_string();
    second.configure(&second.text().replace(&port(&second), &port(&first)));
    let mut other = second.spawn(second.program(&["serve"]));
    let status = other.wait(Duration::from_secs(10)).expect("it does not start");
    assert!(!status.success());
    second.await_log(&["cannot listen for RADIUS", &port(&first)]);
    assert!(Nas::new().is_let_in(&first));
    daemon.stop();
}

#[test]
fn a_full_disk_stops_acknowledgements_and_not_authentication() {
    let place = Place::new();
    let store = place.path("store");
    std::fs::create_dir(&store).unwrap();
    // The file system is the daemon's alone and goes with it.
    let mount = format!("mount -t tmpfs -o size=24m,mode=0700 tmpfs {} && exec \"$@\"", store.display());
    let root = nix::unistd::geteuid().is_root();
    let namespaces = if root { "-m" } else { "-rm" };
    let before = ["unshare", namespaces, "sh", "-ec", &mount, "sh"];
    let daemon = place.spawn(place.program_under(&before, &["serve"]));
    place.await_told("READY=1");
    place.furnish();
    let mut nas = Nas::new();
    let report = |number: u32, octets: u32| {
        let session = format!("full-{number}");
        Report { status: INTERIM, username: "guest", session, octets, seconds: 60 }
    };
    assert!(is_acknowledged(&mut nas, &place, &report(0, 1), 1));
    place.public(place.admin, "/ready").expect(200);

    let filler = std::path::PathBuf::from(format!("/proc/{}/root{}/filler", daemon.pid(), store.display()));
    process::fill(&filler);
    // The log on the disk may have some room left of its own.
    let refused = (1..2_000).find(|number| !is_acknowledged(&mut nas, &place, &report(*number, 1), 1));
    let refused = refused.expect("a full disk acknowledges nothing");
    let full_since = Instant::now();
    for _ in 0..20 {
        let request = nas.login(PASSWORD);
        let answer = nas.ask(place.authentication, &request, 1, Duration::from_secs(2));
        assert_eq!(answer, Some(Code::AccessAccept), "authentication goes on {}", place.log());
    }
    let written = place.post("/api/v1/customers", customer("C-78"));
    assert_eq!(written.status, 503, "{written:?}");
    let said = written.json();
    assert!(said["message"].as_str().is_some_and(|text| text.len() > 20), "{said}");
    place.public(place.admin, "/health").expect(200);
    let warning = await_warning(&place, true);
    assert_eq!(warning["severity"], "fail", "{warning}");
    println!("a full disk is known {:?} after the first refusal", full_since.elapsed());
    place.public(place.admin, "/ready").expect(503);
    let doctor = doctor(&place, &daemon, root);
    assert_eq!(doctor.status.code(), Some(1));
    let said = String::from_utf8(doctor.stdout).unwrap();
    assert!(said.contains("disk-full"), "{said}");
    assert!(!is_acknowledged(&mut nas, &place, &report(refused, 2), 2), "still full");
    assert!(nas.is_let_in(&place));

    std::fs::remove_file(&filler).unwrap();
    let room_since = Instant::now();
    assert!(is_acknowledged(&mut nas, &place, &report(refused, 3), 20), "there is room again");
    println!("acknowledged {:?} after there was room", room_since.elapsed());
    await_warning(&place, false);
    place.public(place.admin, "/ready").expect(200);
    place.post("/api/v1/customers", customer("C-78")).expect(201);
    let listed = place.get("/api/v1/sessions?limit=500").expect(200);
    let is_ours = |one: &&Value| one["acct_session_id"] == format!("full-{refused}");
    let ours: Vec<_> = listed["items"].as_array().unwrap().iter().filter(is_ours).collect();
    assert_eq!(ours.len(), 1);
    assert_eq!(ours[0]["download_octets"], 3);
    daemon.stop();
}

fn is_acknowledged(nas: &mut Nas, place: &Place, report: &Report, tries: u32) -> bool {
    let request = nas.accounting(report);
    nas.ask(place.accounting, &request, tries, Duration::from_millis(700)).is_some()
}

/// Waits until the box does or does not warn of its full disk.
fn await_warning(place: &Place, wanted: bool) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let health = place.get("/api/v1/system/health").expect(200);
        let warnings = health["warnings"].as_array().unwrap();
        let warning = warnings.iter().find(|warning| warning["code"] == "disk-full");
        match (warning, wanted) {
            (Some(warning), true) => return warning.clone(),
            (None, false) => return Value::Null,
            (Some(_), false) | (None, true) => {}
        }
        assert!(Instant::now() < until, "{health}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn doctor(place: &Place, daemon: &Daemon, root: bool) -> std::process::Output {
    let pid = daemon.pid().to_string();
    let user: &[&str] = if root { &[] } else { &["-U", "--preserve-credentials"] };
    let before = [&["nsenter", "-t", &pid, "-m"], user].concat();
    place.program_under(&before, &["doctor"]).output().unwrap()
}

/// What one session's NAS knows of it.
#[derive(Clone, Copy, Default)]
struct Known {
    started: bool,
    acknowledged: u32,
    sent: u32,
    stopped: bool,
}

type History = Arc<Mutex<BTreeMap<String, Known>>>;

#[test]
fn killed_at_any_moment_every_acknowledged_report_is_there_once() {
    const KILLS: u32 = 24;
    let (place, mut daemon) = furnished();
    let (stop, history) = (Arc::new(AtomicBool::new(false)), History::default());
    let senders: Vec<_> = (0..6)
        .map(|sender| {
            let (to, stop, history) = (place.accounting, Arc::clone(&stop), Arc::clone(&history));
            std::thread::spawn(move || account_for_sessions(sender, to, &stop, &history))
        })
        .collect();
    for round in 0..KILLS {
        let [moment] = Entropy::System.bytes::<1>().unwrap();
        std::thread::sleep(Duration::from_millis(20 + 2 * u64::from(moment)));
        let before = history.lock().unwrap().clone();
        daemon.kill();
        hold_against(&place, &before, &history, &format!("after kill {round}"));
        daemon = place.start();
    }
    stop.store(true, Ordering::Release);
    for sender in senders {
        sender.join().unwrap();
    }
    let last = history.lock().unwrap().clone();
    let total: u64 = last.values().map(|known| u64::from(known.acknowledged)).sum();
    let why = place.get("/api/v1/why?who=ada").expect(200);
    assert_eq!(why["services"][0]["usage"]["down_octets"], total, "each octet is counted once: {why}");
    assert!(last.values().all(|known| known.stopped && known.sent == known.acknowledged));
    let check = place.post("/api/v1/system/store-check", json!({})).expect(200);
    assert_eq!(check["damaged"], json!([]));
    daemon.stop();
    hold_against(&place, &last, &history, "at the end");
    println!("{KILLS} kills, {} sessions, {total} octets, all there once", last.len());
    assert!(last.len() > 100, "only {} sessions", last.len());
}

/// Accounts one session after the other, each report repeated until it is acknowledged.
fn account_for_sessions(sender: u32, to: std::net::SocketAddr, stop: &AtomicBool, history: &History) {
    let mut nas = Nas::new();
    for number in 0u32.. {
        if stop.load(Ordering::Acquire) {
            return;
        }
        let session = format!("{sender}-{number}");
        for step in 0..4u32 {
            let status = [START, INTERIM, INTERIM, STOP][step as usize];
            let octets = step * (1_000 + number);
            let report = Report { status, username: "ada", session: session.clone(), octets, seconds: step };
            let request = nas.accounting(&report);
            history.lock().unwrap().entry(session.clone()).or_default().sent = octets;
            let answer = nas.ask(to, &request, 100, Duration::from_millis(300));
            assert!(answer.is_some(), "{report:?} was never acknowledged");
            let mut history = history.lock().unwrap();
            let known = history.get_mut(&session).unwrap();
            known.started = true;
            known.acknowledged = octets;
            known.stopped = status == STOP;
        }
    }
}

/// Every report that was acknowledged before is in the store, and nothing that was never said.
fn hold_against(place: &Place, before: &BTreeMap<String, Known>, history: &History, when: &str) {
    let mut there = BTreeMap::new();
    for session in place.sessions() {
        let twice = there.insert(session.body.acct_session_id.clone(), session);
        assert!(twice.is_none(), "{when}: {twice:?} is there twice");
    }
    let after = history.lock().unwrap();
    for (id, known) in before.iter().filter(|(_, known)| known.started) {
        let session = there.get(id).unwrap_or_else(|| panic!("{when}: {id} is lost"));
        let octets = Counters::from_slice(&session.counters).down_octets;
        let said = u64::from(known.acknowledged)..=u64::from(after[id].sent);
        assert!(said.contains(&octets), "{when}: {id} has {octets}, said were {said:?}");
        assert!(!known.stopped || session.body.closed_at.is_some(), "{when}: {id} was stopped");
    }
}

#[test]
fn a_hundred_thousand_malformed_datagrams_change_nothing() {
    const DATAGRAMS: usize = 100_000;
    const SEED: u64 = 0x5eed_2024;
    let (place, daemon) = furnished();
    let mut nas = Nas::new();
    assert!(nas.is_let_in(&place));
    let ports = [place.authentication, place.accounting];
    let (entropy, before) = (Entropy::seeded(SEED), daemon.resident());
    nas.entropy = Entropy::seeded(SEED + 1);
    let (mut room, attacker) = ([0; 4096], Nas::new());
    attacker.socket.set_nonblocking(true).unwrap();
    let mut answers = 0u32;
    for number in 0..DATAGRAMS {
        let datagram = malformed(&mut nas, &entropy, number);
        attacker.socket.send_to(&datagram, ports[number / 2 % 2]).unwrap();
        if number % 250 == 249 {
            // So that the kernel drops none and each is really looked at.
            for to in ports {
                let status = nas.status();
                assert!(nas.ask(to, &status, 3, Duration::from_secs(5)).is_some(), "seed {SEED} at {number}");
            }
            while attacker.socket.recv(&mut room).is_ok() {
                assert_ne!(room[0], 2, "an Access-Accept; seed {SEED} before {number}");
                answers += 1;
            }
        }
    }
    let grown = daemon.resident().saturating_sub(before);
    let metrics = String::from_utf8(place.public(place.metrics, "/metrics").body).unwrap();
    let dropped: u64 = metrics
        .lines()
        .filter(|line| line.starts_with("dotmac_radius_dropped_total"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    println!("{dropped} dropped, {answers} answered, resident memory {before} KiB and {grown} KiB more");
    assert_eq!(answers, 0, "seed {SEED}");
    assert_eq!(dropped, DATAGRAMS as u64);
    assert!(grown < 32 * 1024, "{grown} KiB more");
    assert!(nas.is_let_in(&place));
    daemon.stop();
    assert!(place.sessions().is_empty());
}

/// A datagram that is no valid request: noise, or a good one that was cut, bent or stretched.
fn malformed(nas: &mut Nas, entropy: &Entropy, number: usize) -> Vec<u8> {
    let [kind, low, high, bit] = entropy.bytes::<4>().unwrap();
    let place = usize::from(u16::from_be_bytes([low, high]));
    let good = |nas: &mut Nas| {
        if number.is_multiple_of(2) {
            nas.login(PASSWORD).0
        } else {
            let session = format!("bad-{number}");
            nas.accounting(&Report { status: START, username: "ada", session, octets: 1, seconds: 1 }).0
        }
    };
    let mut datagram = match kind % 8 {
        0 | 1 => {
            let mut noise = vec![0; place % 4_096];
            entropy.fill(&mut noise).unwrap();
            return noise;
        }
        _ => good(nas),
    };
    let length = datagram.len();
    match kind % 8 {
        // One bit changed, anywhere but in the identifier, which nothing protects in a request.
        2 | 3 => {
            let at = place % length;
            let at = if at == 1 { 0 } else { at };
            datagram[at] ^= 1 << (bit % 8);
        }
        4 => datagram.truncate(place % length),
        5 => datagram.extend_from_slice(&[0; 3]),
        // An attribute that says it is longer or shorter than it is.
        6 => datagram[21] = if datagram[21] == bit { 1 } else { bit },
        _ => datagram[0] = 5 + bit % 200,
    }
    if kind % 8 == 5 {
        // Octets beyond the length are padding (RFC 2865 section 3); with a length that counts
        // them they are a broken attribute.
        let longer = u16::try_from(datagram.len()).unwrap();
        datagram[2..4].copy_from_slice(&longer.to_be_bytes());
    }
    datagram
}

/// Long enough for what has happened already.
const SOON: Duration = Duration::from_millis(50);
