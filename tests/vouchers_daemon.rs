//! Vouchers at the real daemon: a hundred thousand made across a kill, codes as logins of a NAS, and first uses
//! whose answer was lost.

#![allow(clippy::print_stdout, clippy::cognitive_complexity)]
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

#[path = "support/http.rs"]
mod http;
#[path = "support/process.rs"]
mod process;

use std::collections::HashSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dotmac_edge::radius::Code;
use process::{Nas, PATIENCE, Place, SECRET};
use serde_json::{Value, json};

fn plan(place: &Place, more: &Value) {
    let mut plan = json!({
        "plan_code": "day", "name": "Day", "service_type": "internet", "monthly_price": "500.00",
        "download_speed": 20, "upload_speed": 5, "bandwidth_unit": "mbps", "validity_hours": 24,
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        plan[name] = value.clone();
    }
    place.post("/api/v1/service-plans", plan).expect(201);
}

fn until_ready(place: &Place, path: &str, within: Duration) -> Value {
    let until = Instant::now() + within;
    loop {
        let batch = place.get(path).expect(200);
        if batch["status"] == "ready" {
            return batch;
        }
        assert!(Instant::now() < until, "not made: {batch}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A batch with its codes.
fn codes(place: &Place, count: u32) -> Vec<String> {
    let wish = json!({ "name": "Kiosk", "plan": "day", "count": count });
    let made = place.post("/api/v1/voucher-batches", wish).expect(201);
    let path = format!("/api/v1/voucher-batches/{}", made["id"].as_str().unwrap());
    until_ready(place, &path, PATIENCE);
    let opened = place.post(&format!("{path}/codes"), json!({})).expect(200);
    opened["codes"].as_array().unwrap().iter().map(|card| card["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_batch_of_a_hundred_thousand_is_made_across_a_kill_without_a_code_twice() {
    let place = Place::new();
    let daemon = place.start();
    plan(&place, &json!({}));
    let wish = json!({ "name": "Whole site", "plan": "day", "count": 100_000 });
    let made = place.post("/api/v1/voucher-batches", wish).expect(201);
    let path = format!("/api/v1/voucher-batches/{}", made["id"].as_str().unwrap());
    let began = Instant::now();
    let before = loop {
        let made = place.get(&path).expect(200)["made"].as_u64().unwrap();
        if made >= 5_000 {
            break made;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "only {made}");
        std::thread::sleep(Duration::from_millis(20));
    };
    daemon.kill();
    let _daemon = place.start();
    let after = place.get(&path).expect(200)["made"].as_u64().unwrap();
    assert!(after >= before && before < 100_000, "{before} were made, and {after} are there");
    until_ready(&place, &path, Duration::from_secs(600));
    let csv = place.post(&format!("{path}/codes?format=csv"), json!({}));
    let text = String::from_utf8(csv.body).unwrap();
    let codes: HashSet<&str> = text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
    assert_eq!((csv.status, codes.len()), (200, 100_000));
    println!("100,000 vouchers across a kill in {:?}", began.elapsed());
}

/// The real radclient; whether it was accepted, and what it printed.
fn radclient(place: &Place, attributes: &str) -> (bool, String) {
    let mut child = Command::new("radclient")
        .args(["-x", "-r", "1", "-t", "5", &place.authentication.to_string(), "auth", SECRET])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("radclient is installed by `make deps` (package freeradius-utils)");
    child.stdin.take().unwrap().write_all(attributes.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success() && said.contains("Access-Accept"), said)
}

fn login(place: &Place, name: &str, proof: &str, station: &str) -> (bool, String) {
    let attributes = format!(
        "User-Name = \"{name}\"\n{proof}\nCalling-Station-Id = \"{station}\"\nMessage-Authenticator = 0x00\n"
    );
    radclient(place, &attributes)
}

#[test]
fn a_code_is_a_login_at_a_nas_and_guessing_there_is_locked_out() {
    let place = Place::new();
    let daemon = place.start();
    plan(&place, &json!({}));
    let nas = json!({ "name": "hotspot-1", "address": "127.0.0.1", "kind": "mikrotik", "secret": SECRET });
    place.post("/api/v1/nas-devices", nas).expect(201);
    let codes = codes(&place, 5);
    let phone = "02:00:00:00:00:01";

    // As people type it, as hotspots send it: the code as password, in another spelling, by CHAP, or nothing.
    let bare = codes[0].replace('-', "").to_lowercase();
    let began = Instant::now();
    let (accepted, said) = login(&place, &bare, &format!("User-Password = \"{}\"", codes[0]), phone);
    assert!(accepted && said.contains("Mikrotik-Rate-Limit = \"5M/20M\""), "{said}");
    println!("a first use at a NAS took {:?}", began.elapsed());
    let timeout: u32 = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Session-Timeout = ")?.parse().ok())
        .expect("a time-out");
    assert!((86_390..=86_400).contains(&timeout), "{timeout}");
    assert!(login(&place, &codes[1], &format!("CHAP-Password = \"{}\"", codes[1]), phone).0);
    // radclient leaves an empty password out; a hotspot sends it, filled up.
    let mut hotspot = Nas::new();
    let empty = hotspot.login_as(&codes[2], "");
    assert_eq!(
        hotspot.ask(place.authentication, &empty, 1, Duration::from_secs(5)),
        Some(Code::AccessAccept)
    );
    assert!(!login(&place, &codes[3], "User-Password = \"wrong\"", phone).0);
    let used = place.get("/api/v1/vouchers?state=active").expect(200);
    assert_eq!(used["total"], 3, "a wrong password uses nothing: {used}");

    // It is durable: after a kill the same code is the same service, in memory.
    daemon.kill();
    let _daemon = place.start();
    assert!(login(&place, &codes[0], &format!("User-Password = \"{bare}\""), phone).0);
    assert_eq!(place.get("/api/v1/services").expect(200)["total"], 3);

    let eve = "02:00:00:00:00:66";
    for last in ["A", "B", "C", "D", "E"] {
        let guess = format!("ABCD-EFGH-JKM{last}");
        assert!(!login(&place, &guess, &format!("User-Password = \"{guess}\""), eve).0);
    }
    assert!(!login(&place, &codes[4], &format!("User-Password = \"{}\"", codes[4]), eve).0, "locked out");
    assert!(
        login(&place, &codes[4], &format!("User-Password = \"{}\"", codes[4]), phone).0,
        "and nobody else"
    );

    std::thread::sleep(Duration::from_millis(2_500));
    let events = place.get("/api/v1/auth-events?limit=500").expect(200).to_string();
    assert!(events.contains("voucher_unknown") && events.contains("voucher_too_many"), "{events}");
    for code in &codes {
        let plain = code.replace('-', "");
        for spelling in [code.clone(), plain.to_lowercase(), plain] {
            assert!(!events.contains(&spelling), "no code is written down: {events}");
            assert!(!place.log().contains(&spelling), "nor logged");
        }
    }
}

/// A login by `radius test`: whether it was accepted, and what it said.
fn by_method(place: &Place, method: &str, name: &str, password: &str) -> (bool, String) {
    use std::os::unix::fs::PermissionsExt;
    let file = |name: &str, text: &str| {
        let path = place.path(name);
        std::fs::write(&path, format!("{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let (secret, password) = (file("nas.secret", SECRET), file("typed", password));
    let output = Command::new(env!("CARGO_BIN_EXE_dotmac-edge"))
        .args(["radius", "test", &place.authentication.to_string(), "--method", method, "--user", name])
        .args(["--attribute", "Calling-Station-Id=02-00-00-00-00-07", "--tries", "1"])
        .arg("--secret-file")
        .arg(secret)
        .arg("--password-file")
        .arg(password)
        .output()
        .unwrap();
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (output.status.success(), said)
}

#[test]
fn a_code_nobody_used_before_is_a_login_by_pap_chap_and_both_versions_of_mschap() {
    let place = Place::new();
    let _daemon = place.start();
    plan(&place, &json!({}));
    let nas = json!({ "name": "hotspot-1", "address": "127.0.0.1", "kind": "mikrotik", "secret": SECRET });
    place.post("/api/v1/nas-devices", nas).expect(201);
    let codes = codes(&place, 5);
    for (at, method) in ["pap", "chap", "mschapv1", "mschapv2"].into_iter().enumerate() {
        // A wrong password uses nothing; the code by itself is a first use, and a login again after it.
        let (accepted, said) = by_method(&place, method, &codes[at], "wrong");
        assert!(!accepted, "{method}: {said}");
        let state = "/api/v1/vouchers?state=active";
        assert_eq!(place.get(state).expect(200)["total"], at, "{method}");
        for typed in [&codes[at], &codes[at].replace('-', "").to_lowercase()] {
            let (accepted, said) = by_method(&place, method, typed, typed);
            assert!(accepted, "{method} with {typed}: {said}");
        }
        assert_eq!(place.get(state).expect(200)["total"], at + 1, "{method}");
    }
    // Under another name there is nothing to look a code up by: a hash is kept of each, and a challenge shows none.
    for method in ["chap", "mschapv2"] {
        assert!(!by_method(&place, method, "guest", &codes[4]).0, "{method}");
    }
    assert_eq!(place.get("/api/v1/vouchers?state=active").expect(200)["total"], 4);
    std::thread::sleep(Duration::from_millis(2_500));
    let events = place.get("/api/v1/auth-events?limit=500").expect(200);
    let of_guest: Vec<_> =
        events["items"].as_array().unwrap().iter().filter(|one| one["username"] == "guest").collect();
    assert_eq!(of_guest.len(), 2, "{events}");
    assert!(of_guest.iter().all(|one| one["reason"] == "unknown_user"), "{events}");
}

#[test]
fn a_first_use_whose_answer_was_lost_to_a_kill_is_one_use() {
    let place = Place::new();
    let mut daemon = Some(place.start());
    plan(&place, &json!({}));
    let codes = codes(&place, 12);
    let customer = place.post("/api/v1/customers", process::customer("C-1")).expect(201);
    let body = json!({ "email": "c-1@example.net", "password": customer["portal_password"] });
    for (round, code) in codes.iter().enumerate() {
        let log_in = || place.tcp("POST", "/api/v1/auth/customer/login", None, &body);
        let token = log_in().json()["access_token"].as_str().unwrap().to_owned();
        let address = place.admin;
        let (code_sent, token_sent) = (code.clone(), token.clone());
        let asked = std::thread::spawn(move || {
            // The answer may be lost with the daemon: that is what is tried.
            let _ = process::post_raw(
                address,
                "/api/v1/vouchers/redeem",
                &token_sent,
                &json!({ "code": code_sent }),
            );
        });
        std::thread::sleep(Duration::from_micros(u64::try_from(round).unwrap() * 1_500));
        daemon.take().unwrap().kill();
        asked.join().unwrap();
        daemon = Some(place.start());
        let again = place.tcp("POST", "/api/v1/vouchers/redeem", Some(&token), &json!({ "code": code }));
        assert_eq!(again.status, 200, "{again:?}");
    }
    let services = place.get("/api/v1/services").expect(200);
    assert_eq!(services["total"], 1, "all of them are the customer's one service");
    let active = place.get("/api/v1/vouchers?state=active&limit=500").expect(200);
    let mut spans: Vec<_> = active["items"].as_array().unwrap().iter().map(span).collect();
    spans.sort();
    assert_eq!(spans.len(), 12);
    assert!(spans.windows(2).all(|two| two[0].1 == two[1].0), "one after the other, none twice: {spans:?}");
}

fn span(voucher: &Value) -> (String, String) {
    let text = |name: &str| voucher[name].as_str().unwrap().to_owned();
    (text("from"), text("until"))
}

/// A report of a session to the accounting port, by the real radclient; whether it was acknowledged.
fn report(place: &Place, kind: &str, session: &str, name: &str) -> bool {
    let attributes = format!(
        "Acct-Status-Type = {kind}\nAcct-Session-Id = \"{session}\"\nUser-Name = \"{name}\"\n\
         Calling-Station-Id = \"02:00:00:00:00:01\"\nAcct-Session-Time = 5\n"
    );
    let mut child = Command::new("radclient")
        .args(["-r", "3", "-t", "2", &place.accounting.to_string(), "acct", SECRET])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(attributes.as_bytes()).unwrap();
    child.wait().unwrap().success()
}

#[test]
fn what_other_nas_still_owe_of_a_batch_that_was_taken_back_is_counted_and_listed() {
    let place = Place::new();
    let _daemon = place.start();
    plan(&place, &json!({}));
    let nas = json!({ "name": "hotspot-1", "address": "127.0.0.1", "kind": "mikrotik", "secret": SECRET });
    place.post("/api/v1/nas-devices", nas).expect(201);
    let (lost, other) = (codes(&place, 3), codes(&place, 1));
    for (number, code) in [&lost[0], &lost[1], &other[0]].into_iter().enumerate() {
        assert!(login(&place, code, &format!("User-Password = \"{code}\""), "02:00:00:00:00:01").0);
        assert!(report(&place, "Start", &format!("s-{number}"), code));
    }
    let batches = place.get("/api/v1/voucher-batches").expect(200);
    let batch = batches["items"].as_array().unwrap().iter().find(|one| one["count"] == 3).unwrap();
    let path = format!("/api/v1/voucher-batches/{}/revoke", batch["code"].as_str().unwrap());
    let taken = place.post(&path, json!({ "reason": "stolen" })).expect(200);
    assert_eq!((&taken["status"], &taken["pending_at_nas"]), (&json!("revoked"), &json!(2)), "{taken}");
    let sessions: Vec<_> = taken["pending"].as_array().unwrap().iter().collect();
    let mut named: Vec<_> = sessions.iter().map(|one| one["acct_session_id"].as_str().unwrap()).collect();
    named.sort_unstable();
    assert_eq!(named, ["s-0", "s-1"], "the other batch's session is nobody's debt");
    assert!(sessions.iter().all(|one| one["wanted"] == "disconnect"), "{taken}");
    assert_eq!(place.get("/api/v1/pending-changes").expect(200)["total"], 2);
    // The NAS ends them in its own time; a repeat of the revocation says what is left.
    assert!(report(&place, "Stop", "s-0", &lost[0]));
    assert_eq!(place.post(&path, json!({})).expect(200)["pending_at_nas"], 1);
    assert!(report(&place, "Stop", "s-1", &lost[1]));
    assert_eq!(place.post(&path, json!({})).expect(200)["pending_at_nas"], 0);
    assert_eq!(place.get("/api/v1/pending-changes").expect(200)["total"], 0);
}

/// A command of the program: its status, what it printed, and what it complained of.
fn voucher(place: &Place, words: &[&str], typed: &str) -> (i32, String, String) {
    let mut command = place.program(&[&["voucher"], words].concat());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that reads nothing may have ended already.
    let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn said(place: &Place, words: &[&str]) -> String {
    let (status, out, complaint) = voucher(place, words, "");
    assert_eq!(status, 0, "{words:?}: {complaint}");
    out
}

#[test]
fn the_voucher_command_makes_lists_looks_up_sells_replaces_and_takes_back() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let _daemon = place.start();
    plan(&place, &json!({}));
    let till = json!({ "email": "till@example.net", "name": "Ada Obi", "role": "cashier", "password": process::PASSWORD });
    place.post("/api/v1/users", till).expect(201);
    let file = place.path("codes.csv");
    let path = file.display().to_string();

    // Codes that go nowhere are not made, and a file that is there is not written over.
    let (status, _, complaint) = voucher(&place, &["create", "day", "--name", "Kiosk", "--count", "3"], "");
    assert!(status == 2 && complaint.contains("--codes FILE"), "{status}: {complaint}");
    let create = ["create", "day", "--name", "Kiosk", "--count", "3", "--price", "450.00", "--hours", "12"];
    let create = [&create[..], &["--prefix", "lekki", "--for-sale", "--codes", &path]].concat();
    let made = said(&place, &create);
    assert!(made.contains("3 codes are in") && made.contains("450.00 NGN"), "{made}");
    let (status, _, complaint) = voucher(&place, &create, "");
    assert!(status == 2 && complaint.contains("exists already"), "{status}: {complaint}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let csv = std::fs::read_to_string(&file).unwrap();
    let cards: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert!(cards.len() == 3 && cards.iter().all(|card| card[1].starts_with("LEKKI-")), "{csv}");
    let batch = cards[0][0].split('-').next().unwrap();

    let batches = said(&place, &["batches"]);
    assert!(
        batches.contains(batch) && batches.contains("ready") && !batches.contains(cards[0][1]),
        "{batches}"
    );
    let list = said(&place, &["list", batch, "--state", "unused"]);
    assert!(cards.iter().all(|card| list.contains(card[0])) && !list.contains(cards[0][1]), "{list}");
    let looked_up = said(&place, &["lookup", cards[0][0]]);
    assert!(looked_up.contains("unused"), "{looked_up}");
    // A code is a secret: it is read from standard input, never an argument.
    let (status, by_code, complaint) =
        voucher(&place, &["lookup"], &format!("{}\n", cards[1][1].to_lowercase()));
    assert!(status == 0 && by_code.contains(cards[1][0]), "{by_code}{complaint}");

    let sold = said(&place, &["sell", batch, "--as", "till@example.net", "--count", "2"]);
    assert!(sold.contains("Take 900.00 NGN") && sold.matches("LEKKI-").count() == 2, "{sold}");

    let replaced = said(&place, &["replace", cards[0][0], "--reason", "smudged"]);
    let (number, code) = replaced.lines().next().unwrap().split_once("  ").unwrap();
    assert!(replaced.contains(&format!("It replaces {}", cards[0][0])), "{replaced}");
    assert!(said(&place, &["lookup", cards[0][0]]).contains("revoked"));
    assert!(said(&place, &["lookup", number]).contains("unused") && code.starts_with("LEKKI-"));
    let (status, _, complaint) = voucher(&place, &["replace", cards[0][0]], "");
    assert!(status != 0 && complaint.contains("replaced before"), "{complaint}");

    assert!(said(&place, &["revoke", number, "--reason", "returned"]).contains("was taken back"));
    assert!(said(&place, &["lookup", number]).contains("revoked"));
    assert!(
        said(&place, &["revoke", batch, "--batch"]).contains(&format!("The batch {batch} was taken back"))
    );
    let json: Value = serde_json::from_str(&said(&place, &["list", batch, "--json"])).unwrap();
    let states: Vec<_> = json["items"].as_array().unwrap().iter().map(|one| one["state"].clone()).collect();
    assert!(states.len() == 6 && states.iter().all(|state| state == "revoked"), "{json}");
    let (status, _, complaint) = voucher(&place, &["lookup", "NOSUCH-000001"], "");
    assert!(status != 0 && complaint.contains("voucher"), "{complaint}");
    let audit = place.get("/api/v1/audit?action=voucher.replace").expect(200);
    assert_eq!(
        (&audit["total"], &audit["items"][0]["after"]["note"]),
        (&json!(1), &json!("smudged")),
        "{audit}"
    );
    assert!(!audit.to_string().contains(code), "no code is written down");
}
