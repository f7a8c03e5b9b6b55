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

use gateway_lab::{GatewayLab, PASSWORD, PORTAL, Page};
use netns::Namespace;
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
