//! Programs of the ISP are told of events: signed, in order, each once by its id, by a real courier to real
//! servers; one that is away loses nothing and holds up nobody; and nothing private is ever called.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use dotmac_edge::base::secret::Secret;
use dotmac_edge::domain::webhook::{Delivery, DeliveryStatus, Webhook};
use dotmac_edge::notify::courier::{Courier, signature};
use dotmac_edge::notify::outbound::Outbound;
use dotmac_edge::store::contract::{Page, Range, Unit};
use dotmac_edge::store::tables::webhooks::{Deliveries, Webhooks};
use serde_json::{Value, json};
use support::edge::Edge;
use support::http::Client;
use tokio::net::TcpListener;

const ENDPOINTS: &str = "/api/v1/webhook-endpoints";

/// A program of the ISP: keeps what it is told and answers as the test says.
#[derive(Clone)]
struct Receiver {
    port: u16,
    answer: Arc<AtomicU16>,
    told: Arc<Mutex<Vec<Told>>>,
}

#[derive(Clone)]
struct Told {
    body: String,
    signature: String,
    delivery: String,
    answered: u16,
}

impl Told {
    fn id(&self) -> String {
        serde_json::from_str::<Value>(&self.body).unwrap()["id"].as_str().unwrap().to_owned()
    }
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let receiver = Self { port, answer: Arc::new(AtomicU16::new(200)), told: Arc::default() };
        let own = receiver.clone();
        let hook = move |headers: HeaderMap, body: Bytes| {
            let own = own.clone();
            async move {
                let text = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
                let answered = own.answer.load(Ordering::SeqCst);
                own.told.lock().unwrap().push(Told {
                    body: String::from_utf8(body.to_vec()).unwrap(),
                    signature: text("dotmac-signature"),
                    delivery: text("dotmac-delivery"),
                    answered,
                });
                StatusCode::from_u16(answered).unwrap()
            }
        };
        let router = Router::new().route("/edge", post(hook));
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/edge", self.port)
    }

    fn answers(&self, status: u16) {
        self.answer.store(status, Ordering::SeqCst);
    }

    fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// The ids of what was taken, in order.
    fn taken(&self) -> Vec<String> {
        self.told().iter().filter(|one| one.answered == 200).map(Told::id).collect()
    }
}

struct Lab {
    edge: Edge,
    staff: Client,
    courier: Courier,
}

impl Lab {
    /// The API, and a courier that may call these receivers although they are on this machine.
    async fn with(receivers: &[&Receiver]) -> Self {
        let edge = Edge::start().await;
        let (_, staff) = edge.staff("ada@example.net", "owner").await;
        let urls: Vec<_> = receivers.iter().map(|one| one.url()).collect();
        let outbound = Outbound::trusted(urls.iter().map(String::as_str)).unwrap();
        let app = &edge.app;
        let courier = Courier::new(&app.store, &app.vault, &app.entropy, outbound);
        let lab = Self { staff, courier, edge };
        lab.turn().await;
        lab
    }

    /// Makes an endpoint by the API, and leads it to this machine as no API would.
    async fn endpoint(&self, url: &str, events: Value) -> Value {
        let body = json!({ "url": "https://hooks.example.net/edge", "name": "books", "events": events });
        let made = self.staff.post(ENDPOINTS, body).await.expect(201);
        let store = &self.edge.app.store;
        let kept =
            store.get::<Webhooks>(&made["id"].as_str().unwrap().parse().unwrap()).await.unwrap().unwrap();
        let led = Webhook { url: url.to_owned(), ..kept.body };
        store.commit(Unit::natural().put::<Webhooks>(&led.id, &led).unwrap()).await.unwrap();
        made
    }

    async fn happens(&self, kind: &str, amount: &str) {
        let unit = Unit::natural().event(kind, "0190f3a2", json!({ "amount": amount, "currency": "NGN" }));
        self.edge.app.store.commit(unit).await.unwrap();
    }

    /// Feeds, and sends what may be sent now.
    async fn turn(&self) {
        self.courier.feed_all(&self.edge.app.clock).await;
        self.courier.send_due(&self.edge.app.clock).await;
    }

    async fn deliveries(&self) -> Vec<Delivery> {
        let all = self.edge.app.store.scan::<Deliveries>(Range::All, Page::first(1_000)).await.unwrap();
        all.records.into_iter().map(|one| one.body).collect()
    }
}

#[tokio::test]
async fn what_is_on_the_list_is_told_in_order_and_signed_and_nothing_else_is() {
    let receiver = Receiver::start().await;
    let lab = Lab::with(&[&receiver]).await;
    lab.happens("payment.received", "before").await;
    let made = lab.endpoint(&receiver.url(), json!(["payment.received", "invoice.paid"])).await;
    for (kind, amount) in [
        ("payment.received", "1.00"),
        ("staff.changed", "secret"),
        ("audit.entry", "secret"),
        ("invoice.paid", "2.00"),
        ("payment.refunded", "not asked for"),
        ("payment.received", "3.00"),
    ] {
        lab.happens(kind, amount).await;
    }
    lab.turn().await;
    let told = receiver.told();
    let amounts: Vec<_> = told
        .iter()
        .map(|one| serde_json::from_str::<Value>(&one.body).unwrap()["data"]["amount"].clone())
        .collect();
    assert_eq!(amounts, [json!("1.00"), json!("2.00"), json!("3.00")]);
    let secret = Secret::from_text(made["secret"].as_str().unwrap());
    for one in &told {
        let at: i64 = one.signature.split(['=', ',']).nth(1).unwrap().parse().unwrap();
        assert_eq!(at, lab.edge.app.clock.now().as_second());
        assert_eq!(one.signature, signature(std::slice::from_ref(&secret), at, one.body.as_bytes()));
    }
    lab.turn().await;
    assert_eq!(receiver.told().len(), 3, "what was taken is not sent again");
    let listed = lab.staff.get("/api/v1/webhook-deliveries?status=delivered").await.expect(200);
    assert_eq!(listed["total"], 3);
    assert_eq!(listed["items"][0]["log"][0]["status"], 200);
    let ids: Vec<_> = listed["items"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert!(told.iter().all(|one| ids.contains(&json!(one.delivery))));
}

#[tokio::test]
async fn a_receiver_that_is_away_gets_everything_in_order_when_it_is_back() {
    let receiver = Receiver::start().await;
    let lab = Lab::with(&[&receiver]).await;
    let made = lab.endpoint(&receiver.url(), json!([])).await;
    receiver.answers(503);
    for amount in 0..5 {
        lab.happens("payment.received", &amount.to_string()).await;
    }
    for (pause, tries) in [(0, 1), (9, 1), (1, 2), (29, 2), (1, 3)] {
        lab.edge.hand.advance(Duration::from_secs(pause));
        lab.turn().await;
        assert_eq!(receiver.told().len(), tries, "only the first is tried, and with pauses");
    }
    let path = format!("{ENDPOINTS}/{}", made["id"].as_str().unwrap());
    let standing = lab.staff.get(&path).await.expect(200);
    assert_eq!((&standing["failures"], standing["next_try_at"].is_string()), (&json!(3), true));
    receiver.answers(200);
    lab.edge.hand.advance(Duration::from_secs(120));
    lab.turn().await;
    let taken = receiver.taken();
    let mut in_order = taken.clone();
    in_order.dedup();
    assert_eq!((taken.len(), &in_order), (5, &taken), "each once");
    let numbers: Vec<u64> = taken.iter().map(|id| id[4..].parse().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{taken:?}");
    assert_eq!(lab.staff.get(&path).await.expect(200)["failures"], 0);
    let told = receiver.told();
    assert!(told[..4].iter().all(|one| one.delivery == told[0].delivery), "a repeat has the same id");
}

#[tokio::test]
async fn a_courier_that_dies_at_any_moment_neither_loses_nor_doubles() {
    let receiver = Receiver::start().await;
    let lab = Lab::with(&[&receiver]).await;
    lab.endpoint(&receiver.url(), json!([])).await;
    receiver.answers(500);
    for amount in 0..30 {
        lab.happens("payment.received", &amount.to_string()).await;
        // Fed by several that know nothing of one another, as after a crash or by two at once.
        let outbound = Outbound::trusted([receiver.url().as_str()]).unwrap();
        let app = &lab.edge.app;
        let other = Courier::new(&app.store, &app.vault, &app.entropy, outbound);
        tokio::join!(other.feed_all(&app.clock), lab.courier.feed_all(&app.clock));
    }
    assert_eq!(lab.deliveries().await.len(), 30, "each event is written down once");
    receiver.answers(200);
    lab.turn().await;
    let mut taken = receiver.taken();
    taken.sort();
    taken.dedup();
    assert_eq!(taken.len(), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_does_not_answer_holds_up_no_other() {
    let (good, deaf) = (Receiver::start().await, TcpListener::bind("127.0.0.1:0").await.unwrap());
    let edge = Edge::start().await;
    let (_, staff) = edge.staff("ada@example.net", "owner").await;
    // It takes the connection and says nothing until the courier's patience ends.
    let deaf_url = format!("http://127.0.0.1:{}/edge", deaf.local_addr().unwrap().port());
    let outbound = Outbound::trusted([deaf_url.as_str(), good.url().as_str()]).unwrap();
    let app = edge.app.clone();
    let courier = Courier::new(&app.store, &app.vault, &app.entropy, outbound);
    let lab = Lab { edge, staff, courier };
    lab.turn().await;
    lab.endpoint(&deaf_url, json!([])).await;
    lab.endpoint(&good.url(), json!([])).await;
    let (at_work, clock) = (lab.courier.clone(), lab.edge.app.clock.clone());
    let work = tokio::spawn(async move { at_work.work(&clock).await });
    let pause = Duration::from_millis(50);
    for amount in 0..10 {
        lab.happens("payment.received", &amount.to_string()).await;
    }
    let mut waited = Duration::ZERO;
    while good.taken().len() < 10 {
        assert!(waited < Duration::from_secs(4), "{} of 10 after 4 s", good.taken().len());
        tokio::time::sleep(pause).await;
        waited += pause;
    }
    work.abort();
}

#[tokio::test]
async fn nothing_private_is_called_whatever_the_record_says() {
    let receiver = Receiver::start().await;
    let lab = Lab::with(&[]).await;
    let app = &lab.edge.app;
    let public = Outbound::public(Arc::new(Vec::new)).unwrap();
    let courier = Courier::new(&app.store, &app.vault, &app.entropy, public);
    for url in [
        format!("https://127.0.0.1:{}/edge", receiver.port),
        format!("http://127.0.0.1:{}/edge", receiver.port),
        format!("https://[::ffff:127.0.0.1]:{}/edge", receiver.port),
        format!("https://localhost:{}/edge", receiver.port),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://10.0.0.1/".to_owned(),
    ] {
        lab.endpoint(&url, json!([])).await;
    }
    lab.happens("payment.received", "1.00").await;
    courier.feed_all(&app.clock).await;
    courier.send_due(&app.clock).await;
    let all = lab.deliveries().await;
    assert_eq!(all.len(), 6);
    for one in all {
        let fault = one.log[0].fault.clone().unwrap();
        assert_eq!((one.status, one.log[0].status), (DeliveryStatus::Waiting, None), "{fault}");
    }
    assert!(receiver.told().is_empty());
}

#[tokio::test]
async fn what_is_not_taken_for_a_day_is_parked_and_staff_have_it_sent_again() {
    let receiver = Receiver::start().await;
    let lab = Lab::with(&[&receiver]).await;
    lab.endpoint(&receiver.url(), json!([])).await;
    receiver.answers(404);
    lab.happens("payment.received", "1.00").await;
    for _ in 0..40 {
        lab.turn().await;
        lab.edge.hand.advance(Duration::from_secs(3_600));
    }
    let (_, staff) = lab.edge.login("ada@example.net").await;
    let parked = staff.get("/api/v1/webhook-deliveries?status=parked").await.expect(200);
    assert_eq!(parked["total"], 1);
    let tries = parked["items"][0]["tries"].as_u64().unwrap();
    assert!((24..=30).contains(&tries), "{tries}");
    assert_eq!(parked["items"][0]["log"].as_array().unwrap().len(), 10);
    receiver.answers(200);
    lab.happens("payment.received", "2.00").await;
    lab.turn().await;
    assert_eq!(receiver.taken().len(), 1, "what came after is not held up by it");
    let again =
        format!("/api/v1/webhook-deliveries/{}/redeliver", parked["items"][0]["id"].as_str().unwrap());
    assert_eq!(staff.post(&again, json!({})).await.expect(202)["status"], "waiting");
    lab.turn().await;
    assert_eq!(receiver.taken().len(), 2);
    assert_eq!(staff.get("/api/v1/webhook-deliveries?status=parked").await.expect(200)["total"], 0);
}

#[tokio::test]
async fn a_secret_changes_over_and_a_test_shows_the_way() {
    let receiver = Receiver::start().await;
    let lab = Lab::with(&[&receiver]).await;
    let made = lab.endpoint(&receiver.url(), json!([])).await;
    let path = format!("{ENDPOINTS}/{}", made["id"].as_str().unwrap());
    let rotated = lab.staff.post(&format!("{path}/rotate-secret"), json!({})).await.expect(200);
    assert_ne!(rotated["secret"], made["secret"]);
    let sent = lab.staff.post(&format!("{path}/test"), json!({})).await.expect(202);
    lab.turn().await;
    let told = receiver.told();
    assert_eq!((told.len(), &told[0].delivery), (1, &sent["id"].as_str().unwrap().to_owned()));
    let secrets = [&rotated, &made].map(|one| Secret::from_text(one["secret"].as_str().unwrap()));
    let at = lab.edge.app.clock.now().as_second();
    assert_eq!(told[0].signature, signature(&secrets, at, told[0].body.as_bytes()), "both sign for a day");
    for text in [lab.staff.get(ENDPOINTS).await.expect(200), lab.staff.get(&path).await.expect(200)] {
        assert!(!text.to_string().contains("whsec_"), "a secret is shown once");
    }
    lab.edge.hand.advance(Duration::from_secs(86_400));
    lab.happens("payment.received", "1.00").await;
    lab.turn().await;
    let at = lab.edge.app.clock.now().as_second();
    let last = receiver.told().pop().unwrap();
    assert_eq!(last.signature, signature(&secrets[..1], at, last.body.as_bytes()), "then only the new one");
}

#[tokio::test]
async fn a_removed_place_is_told_nothing_more_and_goes_away() {
    let receiver = Receiver::start().await;
    let lab = Lab::with(&[&receiver]).await;
    let made = lab.endpoint(&receiver.url(), json!([])).await;
    receiver.answers(500);
    lab.happens("payment.received", "1.00").await;
    lab.turn().await;
    let path = format!("{ENDPOINTS}/{}", made["id"].as_str().unwrap());
    lab.staff.delete(&path).await.expect(200);
    assert_eq!(lab.staff.get(&path).await.status, 404);
    receiver.answers(200);
    lab.happens("payment.received", "2.00").await;
    lab.turn().await;
    lab.turn().await;
    assert_eq!(receiver.taken().len(), 0);
    assert!(lab.deliveries().await.iter().all(|one| one.status == DeliveryStatus::Parked));
    let left = lab.edge.app.store.scan::<Webhooks>(Range::All, Page::first(10)).await.unwrap();
    assert!(left.records.is_empty());
}

#[tokio::test]
async fn an_address_or_an_event_that_cannot_be_is_a_field_error() {
    let lab = Lab::with(&[]).await;
    for url in ["http://hooks.example.net/", "https://10.0.0.1/", "https://localhost/", "nonsense", ""] {
        let refused = lab.staff.post(ENDPOINTS, json!({ "url": url, "name": "books" })).await;
        assert!(refused.expect(422)["field_errors"]["url"].is_array(), "{url}");
    }
    let good = "https://hooks.example.net/edge";
    for events in [json!(["staff.changed"]), json!(["*"]), json!("payment.received"), json!([7])] {
        let refused =
            lab.staff.post(ENDPOINTS, json!({ "url": good, "name": "books", "events": events })).await;
        assert!(refused.expect(422)["field_errors"]["events"].is_array(), "{events}");
    }
    for number in 0..50 {
        lab.staff
            .post(ENDPOINTS, json!({ "url": good, "name": format!("books {number}") }))
            .await
            .expect(201);
    }
    assert_eq!(lab.staff.post(ENDPOINTS, json!({ "url": good, "name": "one more" })).await.status, 409);
}
