//! People at a real gateway: a plan with one place and two devices, a mail server that is away, and what happens
//! to their mails when the daemon is killed.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

#[path = "support/gateway_lab.rs"]
mod gateway_lab;
#[path = "support/http.rs"]
mod http;
#[path = "support/netns.rs"]
mod netns;
#[path = "support/process.rs"]
mod process;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gateway_lab::{GatewayLab, PASSWORD, PORTAL, Page};
use netns::Namespace;
use process::PATIENCE;
use serde_json::{Value, json};

const EMAIL: &str = "ada.obi@example.net";

/// Presses the button beside the first device of a page.
fn press(lab: &GatewayLab, from: &Namespace, page: &Page, wish: &str) -> Page {
    let url = format!("https://{PORTAL}/devices");
    let (_, form) = page.body.split_once("action=\"/devices\"").expect("a form for a device");
    let form = Page { body: form.to_owned(), ..page.clone() };
    let fields = ["form_token", "session"].map(|name| format!("{name}={}", form.hidden(name)));
    let wish = format!("do={wish}");
    let mut arguments = vec!["-e", &url, "-L"];
    for field in [&fields[0], &fields[1], &wish] {
        arguments.extend(["--data-urlencode", field]);
    }
    lab.curl(from, &[&arguments[..], &[&url]].concat())
}

#[test]
fn a_phone_takes_the_place_of_another_that_its_owner_chooses() {
    let lab = GatewayLab::new();
    lab.free_plan("free", 20, 5, &json!({ "device_limit": 1 }));
    let confirmed = lab.join(&lab.world.phone, EMAIL, "free");
    assert!(lab.is_online(&lab.world.phone));
    let full = lab.log_in(&lab.world.other, EMAIL, PASSWORD);
    assert!(full.status == 200 && full.body.contains("Too many devices"), "{full:?}");
    assert!(full.body.contains("Disconnect and use this phone"), "{full:?}");
    assert!(!lab.is_online(&lab.world.other) && lab.is_online(&lab.world.phone));

    let forged = format!("https://{PORTAL}/devices");
    let session = format!("session={}", lab.open_sessions()[0]["id"].as_str().unwrap());
    let refused = lab.curl(&lab.world.other, &["--data-urlencode", &session, "-d", "form_token=x", &forged]);
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(lab.is_online(&lab.world.phone), "another site's form takes nobody offline");

    let done = press(&lab, &lab.world.other, &full, "use");
    assert!(done.status == 200 && done.body.contains("You are online"), "{done:?}");
    assert!(lab.is_online(&lab.world.other) && !lab.is_online(&lab.world.phone));
    let again = press(&lab, &lab.world.other, &full, "use");
    assert_eq!(again.status, 200, "a second tap changes nothing: {again:?}");
    assert!(lab.is_online(&lab.world.other));

    let owner = format!("subscriber:{}", confirmed.answer["customer_id"].as_str().unwrap());
    let audit = lab.get("/api/v1/audit").expect(200);
    let entries = audit["items"].as_array().unwrap();
    let ended = entries.iter().find(|entry| entry["action"] == "session.disconnect").expect("an entry");
    assert!(ended.to_string().contains(&owner), "{ended}");
    by_the_api(&lab, confirmed.answer["access_token"].as_str().unwrap());

    let account = lab.curl(&lab.world.other, &[&format!("https://{PORTAL}/customer")]);
    assert!(account.body.contains("this device"), "{account:?}");
    let left = press(&lab, &lab.world.other, &account, "");
    assert!(left.status == 200 && left.body.contains("Your account"), "{left:?}");
    assert!(!lab.is_online(&lab.world.other));
}

/// The same list for programs; a stranger's session is not there for its asker.
fn by_the_api(lab: &GatewayLab, token: &str) {
    let ask = |token: &str, more: &[&str], path: &str| {
        let (bearer, url) = (format!("Authorization: Bearer {token}"), format!("https://{PORTAL}{path}"));
        lab.phone_curl(&[&["-H", &bearer], more, &[&url]].concat())
    };
    let list = ask(token, &[], "/api/v1/customer/devices").json(200);
    let device = &list["items"][0];
    assert_eq!((list["items"].as_array().unwrap().len(), &device["this_device"]), (1, &json!(false)));
    for field in ["session_id", "mac", "since", "interface", "ipv4"] {
        assert!(device[field].is_string(), "{field}: {list}");
    }
    let eve = lab.join(&lab.world.phone, "eve@example.net", "free").answer;
    let path = format!("/api/v1/customer/devices/{}/disconnect", device["session_id"].as_str().unwrap());
    let refused = ask(eve["access_token"].as_str().unwrap(), &["-X", "POST"], &path);
    assert_eq!(refused.json(404)["code"], "not_found");
    assert!(lab.is_online(&lab.world.other));
    let own: Value = ask(eve["access_token"].as_str().unwrap(), &[], "/api/v1/customer/devices").json(200);
    assert_eq!(own["items"][0]["this_device"], true, "{own}");
}

/// The warning of mail, when there is one.
fn mail_warning(lab: &GatewayLab) -> Option<Value> {
    let health = lab.get("/api/v1/system/health").expect(200);
    let warnings = health["warnings"].as_array().unwrap().clone();
    warnings.into_iter().find(|warning| warning["code"] == "mail-not-accepted")
}

#[test]
fn a_refused_login_at_the_portal_is_told_and_so_is_a_device_that_is_still_captive() {
    let lab = GatewayLab::new();
    lab.free_plan("free", 20, 5, &json!({}));
    let confirmed = lab.join(&lab.world.phone, EMAIL, "free");
    let wrong = lab.log_in(&lab.world.other, EMAIL, "not the password");
    assert_eq!(wrong.status, 422, "{wrong:?}");
    let unknown =
        lab.log_in(&lab.world.other, &format!("mallory{}@example.net", "x".repeat(400)), "guessed one");
    assert_eq!(unknown.status, 422, "{unknown:?}");
    lab.sign_up(&lab.world.other, "eve@example.net", "free");

    let service = confirmed.answer["service_id"].as_str().unwrap();
    let events = until(&lab, || {
        let events = lab.get("/api/v1/auth-events?result=refuse").expect(200)["items"].clone();
        (events.as_array().unwrap().len() == 2).then_some(events)
    });
    let of =
        |reason: &str| events.as_array().unwrap().iter().find(|one| one["reason"] == reason).unwrap().clone();
    let (wrong, unknown) = (of("wrong_password"), of("unknown_user"));
    assert_eq!((&wrong["method"], &wrong["service_id"]), (&json!("portal"), &json!(service)));
    assert_eq!(wrong["nas_name"], "gateway");
    let mac = wrong["calling_station"].as_str().unwrap().to_owned();
    assert_eq!(unknown["username"].as_str().unwrap().len(), 254, "bounded");

    let why = lab.get(&format!("/api/v1/why?who={mac}")).expect(200);
    assert_eq!(
        (&why["known"], &why["device"]["signup"]["stage"]),
        (&json!(false), &json!("waiting")),
        "{why}"
    );
    assert_eq!(why["decisions"].as_array().unwrap().len(), 2, "{why}");
    assert!(!why.to_string().contains("eve@example.net"), "an address that is nobody's yet: {why}");
    let told = lab.place.program(&["why", &mac]).output().unwrap();
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(text.contains("has no session here") && text.contains("wrong_password"), "{text}");
    assert!(text.contains("for free, waits for its code"), "{text}");
}

/// Waits for what comes soon.
fn until<T>(lab: &GatewayLab, mut seen: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = seen() {
            return seen;
        }
        assert!(Instant::now() < end, "it did not come\n{}", lab.place.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_mail_server_that_is_away_is_told_and_each_mail_is_sent_once_when_it_is_back() {
    let mut lab = GatewayLab::new();
    lab.free_plan("free", 20, 5, &json!({}));
    lab.mail_away();
    lab.sign_up(&lab.world.phone, EMAIL, "free");
    let warning = until(&lab, || mail_warning(&lab));
    assert!(warning["remedy"].as_str().unwrap().contains("[mail]"), "{warning}");
    let doctor = lab.place.program(&["doctor"]).output().unwrap();
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    assert!(doctor.contains("mail-not-accepted"), "{doctor}");

    // Killed between the row and the server, twice over.
    lab.restart();
    lab.sign_up(&lab.world.other, "eve@example.net", "free");
    lab.restart();
    lab.mail_back();
    for address in [EMAIL, "eve@example.net"] {
        assert_eq!(lab.code(address, 1).len(), 6);
    }
    until(&lab, || mail_warning(&lab).is_none().then_some(()));
    lab.restart();
    std::thread::sleep(Duration::from_secs(2));
    for address in [EMAIL, "eve@example.net"] {
        assert_eq!(lab.mailbox(address).len(), 1, "none is sent twice");
    }
}

#[test]
fn the_warning_of_mail_ends_when_the_server_is_back_without_a_restart() {
    let mut lab = GatewayLab::new();
    lab.free_plan("free", 20, 5, &json!({}));
    lab.mail_away();
    lab.sign_up(&lab.world.phone, EMAIL, "free");
    until(&lab, || mail_warning(&lab));
    lab.mail_back();
    lab.code(EMAIL, 1);
    until(&lab, || mail_warning(&lab).is_none().then_some(()));
}

#[test]
fn a_thousand_signups_of_one_device_leave_limits_memory_and_the_others_as_they_were() {
    let lab = GatewayLab::new();
    lab.free_plan("free", 20, 5, &json!({}));
    let body = |number: u32| {
        json!({ "email": format!("ada{number}@example.net"), "first_name": "Ada", "last_name": "Obi",
                "service_plan": "free" })
        .to_string()
    };
    lab.sign_up(&lab.world.other, "eve@example.net", "free");
    let before = lab.daemon().resident();
    let requests: String = (0..1_000)
        .map(|number| {
            let data = body(number).replace('"', "\\\"");
            format!(
                "url = \"https://{PORTAL}/api/v1/customers/signup\"\nheader = \"Content-Type: application/json\"\n\
                 data-binary = \"{data}\"\noutput = \"/dev/null\"\nwrite-out = \"%{{http_code}}\\n\"\nnext\n\
                 cacert = \"{}\"\n",
                lab.place.path("portal.pem").display()
            )
        })
        .collect();
    std::fs::write(lab.place.path("storm"), requests.trim_end().rsplit_once("next").unwrap().0).unwrap();
    let storm = Command::new("ip")
        .args(["netns", "exec", &lab.world.phone.name, "curl", "-s", "--cacert"])
        .args([&lab.place.path("portal.pem"), std::path::Path::new("-K"), &lab.place.path("storm")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let asked = Instant::now();
        assert_eq!(lab.curl(&lab.world.other, &[&format!("https://{PORTAL}/plans")]).status, 200);
        slowest = slowest.max(asked.elapsed());
    }
    let output = String::from_utf8(storm.wait_with_output().unwrap().stdout).unwrap();
    let count = |status: &str| output.lines().filter(|line| *line == status).count();
    let grown = lab.daemon().resident().saturating_sub(before);
    assert_eq!((count("201"), count("429")), (5, 995), "{}", output.len());
    assert!(grown < 8 * 1024, "{grown} KiB");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}
