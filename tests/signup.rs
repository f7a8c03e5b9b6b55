//! Somebody becomes a subscriber: the form, a real mail by a real mail server, the code or the link, and what
//! comes of it; and nobody gets anything by asking often, at once, or in somebody else's name.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use dotmac_edge::base::secret::Secret;
use dotmac_edge::domain::audit::Actor;
use dotmac_edge::domain::device::{Device, MacAddress};
use dotmac_edge::domain::ids::SignupId;
use dotmac_edge::domain::message::Message;
use dotmac_edge::domain::signup::CodeRefusal;
use dotmac_edge::domain::subscriber::Address;
use dotmac_edge::domain::text::{Email, Line};
use dotmac_edge::reception::{ConfirmOutcome, SignupError, SignupForm, SignupPlace, SignupView, nothing};
use dotmac_edge::store::contract::{Page, Range, Unit};
use dotmac_edge::store::tables::{Messages, Subscribers};
use serde_json::{Value, json};
use support::edge::Edge;
use support::http::Reply;
use support::mail::MailServer;

const SIGNUP: &str = "/api/v1/customers/signup";

async fn start() -> (Edge, MailServer) {
    let server = MailServer::start().await;
    let edge = Edge::with_mail(server.port).await;
    plan(&edge, "free", json!({})).await;
    (edge, server)
}

async fn plan(edge: &Edge, code: &str, more: Value) {
    let mut body = json!({
        "plan_code": code, "name": "Free hour", "service_type": "internet", "monthly_price": 0,
        "download_speed": 20, "upload_speed": 5, "bandwidth_unit": "mbps", "is_public": true,
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    edge.console.post("/api/v1/service-plans", body).await.expect(201);
}

fn form(email: &str) -> Value {
    json!({
        "email": email, "first_name": "Ada", "last_name": "Obi", "phone": "+2348012345678",
        "service_plan": "free", "service_address": { "street": "1 Marina", "city": "Lagos" },
    })
}

async fn sign_up(edge: &Edge, email: &str) -> Value {
    let signup = edge.client.post(SIGNUP, form(email)).await.expect(201);
    send(edge).await;
    signup
}

/// What the daemon's job does.
async fn send(edge: &Edge) -> dotmac_edge::notify::Sent {
    edge.post.send_due(edge.app.clock.now()).await.unwrap()
}

async fn confirm(edge: &Edge, signup: &Value, code: &str) -> Reply {
    let path = format!("{SIGNUP}/{}/confirm", signup["id"].as_str().unwrap());
    edge.client.post(&path, json!({ "code": code })).await
}

fn wrong(code: &str) -> String {
    let first = if code.starts_with('0') { '1' } else { '0' };
    format!("{first}{}", &code[1..])
}

async fn customers(edge: &Edge) -> usize {
    let all = edge.app.store.scan::<Subscribers>(Range::All, Page::first(100)).await.unwrap();
    all.records.len()
}

async fn status(edge: &Edge, signup: &Value) -> Value {
    edge.client.get(signup["provisioning_status_url"].as_str().unwrap()).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_from_the_mail_makes_the_subscriber_the_service_and_the_visit() {
    let (edge, server) = start().await;
    let signup = sign_up(&edge, "ada@example.net").await;
    assert_eq!(signup["status"], "pending_confirmation");
    assert_eq!(signup["next_step"], "confirm_email");
    assert!(signup["customer_number"].is_null() && signup["portal_id"].is_null());
    assert_eq!(customers(&edge).await, 0, "nothing is made for an address that nobody has shown");
    let waiting = status(&edge, &signup).await;
    assert_eq!(
        (&waiting["status"], &waiting["progress_percentage"]),
        (&json!("pending_confirmation"), &json!(0))
    );

    let mail = server.to("ada@example.net");
    assert_eq!(mail.header("From"), ["\"Lekki WiFi\" <wifi@example.net>"]);
    assert_eq!(mail.header("Auto-Submitted"), ["auto-generated"]);
    assert!(!mail.text.contains("Ada"), "nothing that a stranger typed: {}", mail.text);
    let code = mail.code();
    let spaced = format!(" {}-{} ", &code[..3], &code[3..]);
    let reply = confirm(&edge, &signup, &spaced).await;
    let confirmed = reply.expect(200);
    assert_eq!(confirmed["customer_id"], signup["id"]);
    assert_eq!((&confirmed["outcome"], &confirmed["already_customer"]), (&json!("active"), &json!(false)));
    let cookie = reply.header("set-cookie").unwrap();
    assert!(cookie.starts_with("customer_access_token=edc_") && cookie.contains("HttpOnly; SameSite=Lax"));
    assert!(!cookie.contains("Secure"), "this one came without TLS");

    let token = confirmed["access_token"].as_str().unwrap();
    let me = edge.client.token(token);
    assert_eq!(me.get("/api/v1/customer/profile").await.expect(200)["email"], "ada@example.net");
    assert_eq!(me.get("/api/v1/customer/service").await.expect(200)["status"], "active");
    assert_eq!(status(&edge, &signup).await["status"], "ready");
    let login = json!({ "email": "ada@example.net", "password": confirmed["portal_password"] });
    edge.client.post("/api/v1/auth/customer/login", login).await.expect(200);
    assert_eq!(customers(&edge).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_confirms_by_its_button_only_and_logs_nobody_in() {
    let (edge, server) = start().await;
    let signup = sign_up(&edge, "ada@example.net").await;
    let mail = server.to("ada@example.net");
    let (secret, desk, now) = (mail.link().unwrap(), &edge.app.reception, edge.app.clock.now());
    assert!(secret.len() >= 43);
    let id: SignupId = signup["id"].as_str().unwrap().parse().unwrap();
    // The page, opened by a mail scanner as well as by a person.
    assert_eq!(desk.link(&secret, now).await.unwrap().unwrap().id, id);
    assert_eq!(customers(&edge).await, 0);
    assert!(desk.link("guessed", now).await.unwrap().is_none());
    assert!(matches!(
        desk.confirm_by_link("guessed", SignupPlace::default(), &Actor::system(), now).await,
        Err(SignupError::NotFound)
    ));
    let confirmed =
        desk.confirm_by_link(&secret, SignupPlace::default(), &Actor::system(), now).await.unwrap();
    assert_eq!(confirmed.outcome, ConfirmOutcome::Active);
    assert!(confirmed.visit.is_none() && confirmed.portal_password.is_some());
    let again = desk.confirm_by_link(&secret, SignupPlace::default(), &Actor::system(), now).await.unwrap();
    assert_eq!((again.subscriber, again.service), (confirmed.subscriber, confirmed.service));
    assert!(!again.already_customer && again.portal_password.is_none());
    assert_eq!(customers(&edge).await, 1);
    // The device that waits goes on with the code.
    let code = confirm(&edge, &signup, &mail.code()).await.expect(200);
    assert_eq!(code["customer_id"], signup["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_address_is_answered_as_an_unknown_one_and_its_owner_is_logged_in_by_code() {
    let (edge, server) = start().await;
    let (owner, _) = edge.customer("ada@example.net").await;
    let known = edge.client.post(SIGNUP, form("ada@example.net")).await;
    let unknown = edge.client.post(SIGNUP, form("eve@example.net")).await;
    assert_eq!((known.status, unknown.status), (201, 201));
    let names = |reply: &Reply| reply.headers.keys().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(names(&known), names(&unknown));
    let (known, unknown) = (known.json(), unknown.json());
    let but_for_names = |body: &Value| {
        let mut body = body.clone();
        for field in ["id", "email", "provisioning_status_url"] {
            assert!(body.as_object_mut().unwrap().remove(field).is_some());
        }
        body
    };
    assert_eq!(but_for_names(&known), but_for_names(&unknown));
    let (one, other) = (status(&edge, &known).await, status(&edge, &unknown).await);
    assert_eq!((&one["status"], &one["status_message"]), (&other["status"], &other["status_message"]));

    send(&edge).await;
    let mail = server.to("ada@example.net");
    assert!(mail.link().is_none() && mail.text.contains("You have an account"), "{}", mail.text);
    assert_eq!(mail.header("Subject"), server.to("eve@example.net").header("Subject"));
    let wrong_one = confirm(&edge, &known, &wrong(&mail.code())).await;
    let wrong_other = confirm(&edge, &unknown, &wrong(&server.to("eve@example.net").code())).await;
    assert_eq!(wrong_one.expect(422)["message"], wrong_other.expect(422)["message"]);
    let confirmed = confirm(&edge, &known, &mail.code()).await.expect(200);
    assert_eq!((&confirmed["customer_id"], &confirmed["already_customer"]), (&owner["id"], &json!(true)));
    assert!(confirmed["portal_password"].is_null());
    let me = edge.client.token(confirmed["access_token"].as_str().unwrap());
    assert_eq!(me.get("/api/v1/customer/profile").await.expect(200)["id"], owner["id"]);
    assert_eq!(customers(&edge).await, 1, "no second account");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_signups_with_one_address_make_one_account() {
    let (edge, server) = start().await;
    let first = sign_up(&edge, "ada@example.net").await;
    let first_code = server.to("ada@example.net").code();
    let second = sign_up(&edge, "ada@example.net").await;
    let codes: Vec<_> = server.mails().iter().map(support::mail::Mail::code).collect();
    let second_code = codes.iter().find(|code| **code != first_code).unwrap_or(&first_code);
    let (one, other) =
        tokio::join!(confirm(&edge, &first, &first_code), confirm(&edge, &second, second_code));
    let (one, other) = (one.expect(200), other.expect(200));
    assert_eq!(one["customer_id"], other["customer_id"]);
    assert_eq!(customers(&edge).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_wrong_codes_end_a_code_and_another_one_is_asked_for() {
    let (edge, server) = start().await;
    let signup = sign_up(&edge, "ada@example.net").await;
    let code = server.to("ada@example.net").code();
    for left in [4, 3, 2, 1, 0] {
        let reply = confirm(&edge, &signup, &wrong(&code)).await.expect(422);
        let told = reply["field_errors"]["code"][0].as_str().unwrap().to_owned();
        assert!(left < 2 || told.contains(&left.to_string()), "{told}");
    }
    for text in [code.as_str(), "", "12345", "abcdef", &"1".repeat(5_000)] {
        confirm(&edge, &signup, text).await.expect(422);
    }
    let resend = format!("{SIGNUP}/{}/resend", signup["id"].as_str().unwrap());
    let early = edge.client.post(&resend, json!({})).await;
    assert_eq!(early.refusal(429), "rate_limit_exceeded");
    assert_eq!(early.header("retry-after"), Some("30"));
    edge.hand.advance(Duration::from_secs(30));
    assert_eq!(edge.client.post(&resend, json!({})).await.expect(200)["tries_left"], 5);
    send(&edge).await;
    let fresh = server.mails().iter().map(support::mail::Mail::code).find(|one| *one != code).unwrap();
    confirm(&edge, &signup, &code).await.expect(422);
    confirm(&edge, &signup, &fresh).await.expect(200);
    // A repeat of the right code is a repeat; a wrong one is still wrong.
    confirm(&edge, &signup, &fresh).await.expect(200);
    confirm(&edge, &signup, &wrong(&fresh)).await.expect(422);
    assert_eq!(customers(&edge).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_wrong_codes_a_day_are_all_that_an_address_allows_whatever_is_begun_and_sent_again() {
    let (edge, server) = start().await;
    let mut tried = 0;
    for round in 0..6 {
        let Ok(begun) = sign_up_if_let(&edge, "ada@example.net").await else { break };
        for _ in 0..2 {
            let code = server.to("ada@example.net").code();
            for _ in 0..5 {
                let told = confirm(&edge, &begun, &wrong(&code)).await.expect(422).to_string();
                tried += u32::from(told.contains("is wrong"));
            }
            edge.hand.advance(Duration::from_secs(300));
            let resend = format!("{SIGNUP}/{}/resend", begun["id"].as_str().unwrap());
            let _ = edge.client.post(&resend, json!({})).await;
            send(&edge).await;
        }
        assert!(round > 0 || tried == 10, "{tried}");
        edge.hand.advance(Duration::from_secs(3600));
    }
    assert_eq!(tried, 10);
    let last = sign_up(&edge, "eve@example.net").await;
    confirm(&edge, &last, &server.to("eve@example.net").code()).await.expect(200);
    edge.hand.advance(Duration::from_secs(24 * 3600));
    let next_day = sign_up(&edge, "ada@example.net").await;
    confirm(&edge, &next_day, &server.to("ada@example.net").code()).await.expect(200);
}

async fn sign_up_if_let(edge: &Edge, email: &str) -> Result<Value, u16> {
    let reply = edge.client.post(SIGNUP, form(email)).await;
    send(edge).await;
    if reply.status == 201 { Ok(reply.json()) } else { Err(reply.status) }
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_the_same_time_share_no_try() {
    let (edge, server) = start().await;
    let signup = sign_up(&edge, "ada@example.net").await;
    let code = server.to("ada@example.net").code();
    let guesses: Vec<_> = (0..40)
        .map(|number| format!("{number:08}"))
        .filter(|guess| *guess != code)
        .map(|guess| {
            let (desk, now) = (edge.app.reception.clone(), edge.app.clock.now());
            let id: SignupId = signup["id"].as_str().unwrap().parse().unwrap();
            tokio::spawn(async move {
                desk.confirm(id, &guess, SignupPlace::default(), &Actor::system(), now).await
            })
        })
        .collect();
    let mut tried = Vec::new();
    for guess in guesses {
        match guess.await.unwrap() {
            Err(SignupError::Code(CodeRefusal::Wrong { left })) => tried.push(left),
            Err(SignupError::Code(CodeRefusal::NoTriesLeft)) => {}
            other => panic!("{other:?}"),
        }
    }
    tried.sort_unstable();
    assert_eq!(tried, [0, 1, 2, 3, 4]);
    confirm(&edge, &signup, &code).await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_grows_old_and_a_signup_lapses() {
    let (edge, server) = start().await;
    let signup = sign_up(&edge, "ada@example.net").await;
    let mail = server.to("ada@example.net");
    edge.hand.advance(Duration::from_secs(31 * 60));
    let old = confirm(&edge, &signup, &mail.code()).await.expect(422);
    assert!(old["field_errors"]["code"][0].as_str().unwrap().contains("too old"));
    assert!(edge.app.reception.link(&mail.link().unwrap(), edge.app.clock.now()).await.unwrap().is_some());
    edge.hand.advance(Duration::from_secs(24 * 3600));
    assert_eq!(status(&edge, &signup).await["status"], "expired");
    let late = confirm(&edge, &signup, &mail.code()).await.expect(422);
    assert!(late["field_errors"]["code"][0].as_str().unwrap().contains("too late"));
    let now = edge.app.clock.now();
    assert!(edge.app.reception.link(&mail.link().unwrap(), now).await.unwrap().is_none());
    assert_eq!(customers(&edge).await, 0);
}

fn phone(last: u8) -> Device {
    Device {
        interface: "lan0".to_owned(),
        mac: MacAddress::new([2, 0, 0, 0, 0, last]),
        address: format!("10.0.0.{last}").parse().unwrap(),
    }
}

async fn from(edge: &Edge, device: &Device, email: &str) -> Result<SignupView, SignupError> {
    let form = SignupForm {
        email: Email::parse(email).unwrap(),
        first_name: Line::parse("Ada").unwrap(),
        last_name: Line::parse("Obi").unwrap(),
        phone: None,
        service_address: Address::default(),
        plan: "free".to_owned(),
        password: None,
    };
    let place = SignupPlace { device: Some(device), browser: None, source: Some(device.address) };
    edge.app.reception.sign_up(form, place, &nothing, &Actor::system(), edge.app.clock.now()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_and_an_address_have_their_share_of_signups_also_at_once() {
    let (edge, _server) = start().await;
    let sent: Vec<_> = (0..12)
        .map(|number| {
            let (desk, now) = (edge.app.reception.clone(), edge.app.clock.now());
            tokio::spawn(async move {
                let device = phone(1);
                let place = SignupPlace { device: Some(&device), browser: None, source: None };
                let form = SignupForm {
                    email: Email::parse(&format!("ada{number}@example.net")).unwrap(),
                    first_name: Line::parse("Ada").unwrap(),
                    last_name: Line::parse("Obi").unwrap(),
                    phone: None,
                    service_address: Address::default(),
                    plan: "free".to_owned(),
                    password: None,
                };
                desk.sign_up(form, place, &nothing, &Actor::system(), now).await.is_ok()
            })
        })
        .collect();
    let mut taken = 0;
    for one in sent {
        taken += usize::from(one.await.unwrap());
    }
    assert_eq!(taken, 5);
    let refused = from(&edge, &phone(1), "ada@example.net").await;
    assert!(matches!(refused, Err(SignupError::TooMany { wait_secs: 3600 })), "{refused:?}");
    for last in 2..5 {
        from(&edge, &phone(last), "ada@example.net").await.unwrap();
    }
    let refused = from(&edge, &phone(5), "ada@example.net").await;
    assert!(matches!(refused, Err(SignupError::TooMany { .. })), "{refused:?}");
    edge.hand.advance(Duration::from_secs(3600));
    from(&edge, &phone(1), "ada@example.net").await.unwrap();
    let waiting = edge.app.reception.signup_of(&phone(1).key(), edge.app.clock.now()).await.unwrap();
    assert_eq!(waiting.unwrap().email.as_str(), "ada@example.net", "it goes on after its page was closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn minutes_online_to_read_the_mail_are_given_once_a_day_to_a_device_whatever_the_address() {
    let (edge, _server) = start().await;
    plan(&edge, "helped", json!({ "confirmation_access_minutes": 10 })).await;
    let from = async |device: &Device, email: &str| {
        let form = SignupForm {
            email: Email::parse(email).unwrap(),
            first_name: Line::parse("Ada").unwrap(),
            last_name: Line::parse("Obi").unwrap(),
            phone: None,
            service_address: Address::default(),
            plan: "helped".to_owned(),
            password: None,
        };
        let place = SignupPlace { device: Some(device), browser: None, source: None };
        let now = edge.app.clock.now();
        let view = edge.app.reception.sign_up(form, place, &nothing, &Actor::system(), now).await.unwrap();
        view.access_until.map(|until| until.duration_since(now).as_mins())
    };
    assert_eq!(from(&phone(1), "ada@example.net").await, Some(10));
    assert_eq!(from(&phone(1), "eve@example.net").await, None, "the same device");
    assert_eq!(from(&phone(2), "ada@example.net").await, Some(10), "tells nothing about the address");
    assert_eq!(from(&phone(3), "obi@example.net").await, Some(10));
    edge.hand.advance(Duration::from_secs(24 * 3600));
    assert_eq!(from(&phone(1), "ada@example.net").await, Some(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_waits_for_a_mail_server_that_is_down_and_arrives_when_it_is_up() {
    let mut server = MailServer::away();
    let edge = Edge::with_mail(server.port).await;
    plan(&edge, "free", json!({})).await;
    edge.client.post(SIGNUP, form("ada@example.net")).await.expect(201);
    edge.client.post(SIGNUP, form("eve@example.net")).await.expect(201);
    let first = send(&edge).await;
    assert_eq!(
        (first.sent, first.postponed, first.away),
        (0, 1, 1),
        "one try shows that it is down: {first:?}"
    );
    assert!(first.fault.is_some() && first.next_due.is_some());
    edge.hand.advance(Duration::from_secs(10));
    assert_eq!(send(&edge).await.away, 2);
    server.come_up().await;
    edge.hand.advance(Duration::from_secs(10 * 60));
    let up = send(&edge).await;
    assert_eq!((up.sent, up.away), (2, 0), "{up:?}");
    let code = server.to("ada@example.net").code();
    assert_eq!(server.mails().len(), 2);
    assert_eq!(code.len(), 8);
    assert_eq!(send(&edge).await.sent, 0, "a message is sent once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_the_mail_server_cannot_take_holds_no_other_message() {
    let (edge, server) = start().await;
    // The server has not SMTPUTF8.
    edge.client.post(SIGNUP, form("adá@example.net")).await.expect(201);
    edge.client.post(SIGNUP, form("eve@example.net")).await.expect(201);
    let run = send(&edge).await;
    assert_eq!((run.sent, run.given_up, run.away), (1, 1, 0), "{run:?}");
    server.to("eve@example.net");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refused_recipient_holds_no_other_and_a_server_that_refuses_all_is_noticed() {
    for (says, given_up_later) in [("450 4.2.1 busy", 0), ("555 5.5.4 no such parameter", 1)] {
        let mut server = MailServer::away();
        server.come_up_refusing("eve", says).await;
        let edge = Edge::with_mail(server.port).await;
        plan(&edge, "free", json!({})).await;
        edge.client.post(SIGNUP, form("eve@example.net")).await.expect(201);
        edge.hand.advance(Duration::from_secs(1));
        edge.client.post(SIGNUP, form("ada@example.net")).await.expect(201);
        let run = send(&edge).await;
        assert_eq!((run.sent, run.postponed, run.away, run.refused), (1, 1, 0, 0), "{says}: {run:?}");
        server.to("ada@example.net");
        let mut given_up = 0;
        for _ in 0..4 {
            edge.hand.advance(Duration::from_secs(11 * 60));
            given_up += send(&edge).await.given_up;
        }
        assert_eq!(given_up, given_up_later, "{says}");
        for name in ["eve2", "eve3", "eve4"] {
            edge.client.post(SIGNUP, form(&format!("{name}@example.net"))).await.expect(201);
        }
        assert_eq!(send(&edge).await.refused, 3, "{says}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_no_more_use_is_given_up_with_its_fault() {
    let server = MailServer::away();
    let edge = Edge::with_mail(server.port).await;
    plan(&edge, "free", json!({})).await;
    edge.client.post(SIGNUP, form("ada@example.net")).await.expect(201);
    send(&edge).await;
    edge.hand.advance(Duration::from_secs(25 * 3600));
    let late = send(&edge).await;
    assert_eq!((late.given_up, late.next_due), (1, None), "{late:?}");
    let kept = all_messages(&edge).await.pop().unwrap();
    assert!(kept.fault.is_some() && kept.sealed_text.is_empty());
}

async fn all_messages(edge: &Edge) -> Vec<Message> {
    let all = edge.app.store.scan::<Messages>(Range::All, Page::first(100)).await.unwrap();
    all.records.into_iter().map(|record| record.body).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_sent_again_after_a_lost_answer_has_the_same_message_id() {
    let (edge, server) = start().await;
    edge.client.post(SIGNUP, form("ada@example.net")).await.expect(201);
    let before = all_messages(&edge).await.pop().unwrap();
    send(&edge).await;
    // The answer of the server was lost before it was written down.
    let unit = Unit::natural().put::<Messages>(&before.id, &before).unwrap();
    edge.app.store.commit(unit).await.unwrap();
    send(&edge).await;
    let mails = server.mails();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].header("Message-ID"), mails[1].header("Message-ID"));
    assert_eq!(mails[0].header("Message-ID"), [format!("<{}@example.net>", before.id)]);
    let kept = all_messages(&edge).await.pop().unwrap();
    assert!(kept.sent_at.is_some() && kept.sealed_text.is_empty(), "the code goes with the message");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_stranger_types_becomes_a_header_or_another_recipient() {
    let (edge, server) = start().await;
    for address in
        ["ada@example.net\r\nBcc: eve@example.net", "ada@example.net,eve@example.net", "a b@example.net"]
    {
        assert_eq!(
            edge.client.post(SIGNUP, form(address)).await.refusal(422),
            "validation_error",
            "{address:?}"
        );
    }
    let mut named = form("ada@example.net");
    named["first_name"] = json!("Ada\r\nBcc: eve@example.net");
    assert_eq!(edge.client.post(SIGNUP, named).await.refusal(422), "validation_error");
    sign_up(&edge, "o'brien+tag@example.net").await;
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!((mails[0].header("To").len(), mails[0].header("Bcc").len()), (1, 0));
    assert_eq!(mails[0].header("X-RcptTo"), ["o'brien+tag@example.net"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_free_waits_and_what_is_not_for_strangers_is_refused() {
    let (edge, server) = start().await;
    plan(&edge, "paid", json!({ "monthly_price": 17500 })).await;
    plan(&edge, "set-up", json!({ "setup_fee": 1 })).await;
    plan(&edge, "asked", json!({ "requires_approval": true })).await;
    plan(&edge, "secret", json!({ "is_public": false })).await;
    plan(&edge, "gone", json!({ "is_active": false })).await;
    plan(&edge, "phone", json!({ "service_type": "phone" })).await;
    for (code, outcome) in
        [("paid", "awaits_payment"), ("set-up", "awaits_payment"), ("asked", "awaits_approval")]
    {
        let mut wanted = form(&format!("{code}@example.net"));
        wanted["service_plan"] = code.into();
        let signup = edge.client.post(SIGNUP, wanted).await.expect(201);
        send(&edge).await;
        let code = server.to(&format!("{code}@example.net")).code();
        let confirmed = confirm(&edge, &signup, &code).await.expect(200);
        assert_eq!(confirmed["outcome"], outcome);
        assert_eq!(status(&edge, &signup).await["status"], "pending");
        assert_eq!(
            confirm(&edge, &signup, &code).await.expect(200)["outcome"],
            outcome,
            "a repeat says the same"
        );
    }
    for code in ["secret", "gone", "phone", "no-such", ""] {
        let mut wanted = form("ada@example.net");
        wanted["service_plan"] = code.into();
        let refused = edge.client.post(SIGNUP, wanted).await.expect(422);
        assert!(refused["field_errors"]["service_plan"].is_array(), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chosen_password_counts_and_a_weak_one_is_refused() {
    let (edge, server) = start().await;
    let mut wanted = form("ada@example.net");
    wanted["password"] = json!("ada");
    let weak = edge.client.post(SIGNUP, wanted.clone()).await.expect(422);
    assert!(weak["field_errors"]["password"].is_array());
    wanted["password"] = json!("seven green bottles");
    let signup = edge.client.post(SIGNUP, wanted).await.expect(201);
    send(&edge).await;
    let confirmed = confirm(&edge, &signup, &server.to("ada@example.net").code()).await.expect(200);
    assert!(confirmed["portal_password"].is_null());
    let login = json!({ "email": "ada@example.net", "password": "seven green bottles" });
    edge.client.post("/api/v1/auth/customer/login", login).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_opened_elsewhere_takes_no_password_that_whoever_began_the_signup_chose() {
    let (edge, server) = start().await;
    let (begun_on, desk) = (phone(1), &edge.app.reception);
    for (email, opened_on, takes_it) in
        [("ada@example.net", phone(2), false), ("obi@example.net", phone(1), true)]
    {
        let form = SignupForm {
            email: Email::parse(email).unwrap(),
            first_name: Line::parse("Ada").unwrap(),
            last_name: Line::parse("Obi").unwrap(),
            phone: None,
            service_address: Address::default(),
            plan: "free".to_owned(),
            password: Some(Secret::from_text("seven green bottles")),
        };
        let now = edge.app.clock.now();
        let place = SignupPlace { device: Some(&begun_on), browser: None, source: None };
        desk.sign_up(form, place, &nothing, &Actor::system(), now).await.unwrap();
        send(&edge).await;
        let place = SignupPlace { device: Some(&opened_on), browser: None, source: None };
        let secret = server.to(email).link().unwrap();
        let confirmed = desk.confirm_by_link(&secret, place, &Actor::system(), now).await.unwrap();
        assert_eq!(confirmed.portal_password.is_none(), takes_it, "{email}");
        let login = json!({ "email": email, "password": "seven green bottles" });
        let reply = edge.client.post("/api/v1/auth/customer/login", login).await;
        assert_eq!(reply.status, if takes_it { 200 } else { 401 }, "{email}: {}", reply.json());
        if let Some(made) = &confirmed.portal_password {
            let login = json!({ "email": email, "password": made.expose_text().unwrap() });
            edge.client.post("/api/v1/auth/customer/login", login).await.expect(200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_was_used_begins_no_visit_elsewhere_a_minute_later() {
    let (edge, server) = start().await;
    let begun = from(&edge, &phone(1), "ada@example.net").await.unwrap();
    send(&edge).await;
    let (code, desk) = (server.to("ada@example.net").code(), &edge.app.reception);
    let typed = async |device: &Device| {
        let place = SignupPlace { device: Some(device), browser: None, source: None };
        desk.confirm(begun.id, &code, place, &Actor::system(), edge.app.clock.now()).await
    };
    typed(&phone(1)).await.unwrap();
    typed(&phone(2)).await.unwrap();
    edge.hand.advance(Duration::from_secs(61));
    assert!(matches!(typed(&phone(2)).await, Err(SignupError::Code(CodeRefusal::TooOld))));
    assert!(typed(&phone(1)).await.unwrap().visit.is_some(), "its answer may have been lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_with_its_key_gets_the_same_answer_and_makes_nothing_twice() {
    let (edge, server) = start().await;
    let keyed = edge.client.header("idempotency-key", "3f0c6d1a");
    let (one, other) = tokio::join!(
        keyed.post(SIGNUP, form("ada@example.net")),
        keyed.post(SIGNUP, form("ada@example.net"))
    );
    let (one, other) = (one.expect(201), other.expect(201));
    assert_eq!(one, other, "two at the same time, as a client that did not wait for the answer");
    assert_eq!(keyed.post(SIGNUP, form("eve@example.net")).await.refusal(422), "idempotency_key_reused");
    send(&edge).await;
    assert_eq!(server.mails().len(), 1);

    let path = |step: &str| format!("{SIGNUP}/{}/{step}", one["id"].as_str().unwrap());
    edge.hand.advance(Duration::from_secs(30));
    let keyed = edge.client.header("idempotency-key", "resend-1");
    let first = keyed.post(&path("resend"), json!({})).await.expect(200);
    let again = keyed.post(&path("resend"), json!({})).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.expect(200), first);
    send(&edge).await;
    assert_eq!(server.mails().len(), 2);

    let code = newest_code(&server, 2);
    let keyed = edge.client.header("idempotency-key", "wrong-1");
    for _ in 0..3 {
        let told = keyed.post(&path("confirm"), json!({ "code": wrong(&code) })).await.expect(422);
        assert!(told["field_errors"]["code"][0].as_str().unwrap().contains("4 tries"), "one try: {told}");
    }
    let keyed = edge.client.header("idempotency-key", "right-1");
    let first = keyed.post(&path("confirm"), json!({ "code": code })).await;
    let again = keyed.post(&path("confirm"), json!({ "code": code })).await;
    assert_eq!(first.expect(200), again.expect(200));
    assert!(first.json()["portal_password"].is_string(), "shown once, to whoever lost the first answer too");
    assert_eq!(first.header("set-cookie"), again.header("set-cookie"));
    assert_eq!(customers(&edge).await, 1);

    let me = edge.client.token(first.json()["access_token"].as_str().unwrap());
    let keyed = me.header("idempotency-key", "password-1");
    let change =
        json!({ "current_password": first.json()["portal_password"], "new_password": "seven green bottles" });
    let changed = keyed.post("/api/v1/customer/change-password", change.clone()).await.expect(200);
    assert_eq!(me.get("/api/v1/customer/profile").await.status, 401, "the visit before has ended");
    // Whoever lost the answer has only the token of before, which counts no more: they log in by the new password.
    let me = edge.client.token(changed["access_token"].as_str().unwrap());
    let keyed = me.header("idempotency-key", "password-1");
    let again = keyed.post("/api/v1/customer/change-password", change).await;
    assert_eq!(again.expect(200), changed, "and nothing was changed again");
    me.get("/api/v1/customer/profile").await.expect(200);
    let keyed = me.header("idempotency-key", "profile-1");
    let change = json!({ "first_name": "Adaeze" });
    let first = keyed.put("/api/v1/customer/profile", change.clone()).await.expect(200);
    assert_eq!(keyed.put("/api/v1/customer/profile", change).await.expect(200), first);
}

/// The code of the newest of so many mails.
fn newest_code(server: &MailServer, count: usize) -> String {
    let mails = server.mails();
    assert_eq!(mails.len(), count);
    mails.last().unwrap().code()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_tap_on_the_same_form_leads_to_the_signup_of_the_first() {
    let (edge, server) = start().await;
    let first = from(&edge, &phone(1), "ada@example.net").await.unwrap();
    let device = phone(1);
    let tap = || from(&edge, &device, "ada@example.net");
    let (one, other) = tokio::join!(tap(), tap());
    assert_eq!((one.unwrap().id, other.unwrap().id), (first.id, first.id));
    assert_ne!(from(&edge, &phone(2), "ada@example.net").await.unwrap().id, first.id, "another device");
    assert_ne!(from(&edge, &phone(1), "eve@example.net").await.unwrap().id, first.id, "another address");
    edge.hand.advance(Duration::from_secs(61));
    assert_ne!(from(&edge, &phone(1), "ada@example.net").await.unwrap().id, first.id, "another try");
    send(&edge).await;
    assert_eq!(server.mails().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sites_page_signs_nobody_up_and_logs_nobody_in() {
    let (edge, _server) = start().await;
    let login = json!({ "email": "ada@example.net", "password": "seven green bottles" });
    let posts = [
        (SIGNUP.to_owned(), form("ada@example.net")),
        ("/api/v1/auth/customer/login".to_owned(), login),
        (format!("{SIGNUP}/{}/confirm", uuid::Uuid::nil()), json!({ "code": "01234567" })),
        (format!("{SIGNUP}/{}/resend", uuid::Uuid::nil()), json!({})),
    ];
    for (path, body) in posts {
        for (name, value) in
            [("origin", "https://eve.example.net"), ("origin", "null"), ("sec-fetch-site", "cross-site")]
        {
            let reply = edge.client.header(name, value).post(&path, body.clone()).await;
            assert_eq!(reply.status, 403, "{path} {name}: {value}");
        }
        let own = edge.client.header("sec-fetch-site", "same-origin").post(&path, body).await;
        assert_ne!(own.status, 403, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_goes_on_with_its_own_signup_on_a_device_that_others_use_too() {
    let (edge, _server) = start().await;
    let (device, desk) = (phone(1), &edge.app.reception);
    let mut begun = Vec::new();
    for (browser, email) in [("browser:ada", "ada@example.net"), ("browser:obi", "obi@example.net")] {
        let form = SignupForm {
            email: Email::parse(email).unwrap(),
            first_name: Line::parse("Ada").unwrap(),
            last_name: Line::parse("Obi").unwrap(),
            phone: None,
            service_address: Address::default(),
            plan: "free".to_owned(),
            password: None,
        };
        let place = SignupPlace { device: Some(&device), browser: Some(browser), source: None };
        begun.push(
            desk.sign_up(form, place, &nothing, &Actor::system(), edge.app.clock.now()).await.unwrap().id,
        );
        edge.hand.advance(Duration::from_secs(1));
    }
    let of = async |key: &str| desk.signup_of(key, edge.app.clock.now()).await.unwrap().map(|found| found.id);
    assert_eq!(of("browser:ada").await, Some(begun[0]));
    assert_eq!(of("browser:obi").await, Some(begun[1]));
    assert_eq!(of(&device.key()).await, Some(begun[1]), "without its cookie, the newest");
}
