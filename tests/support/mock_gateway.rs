//! A stand-in for payment gateways: it speaks the dialects of Paystack, Flutterwave v3 and v4, Stripe Checkout and
//! Daraja below a path each, has a page with a "Pay" form for browsers, sends webhooks, and has faults on order.
//!
//! Its books are apart from ours: what was asked for, paid and given back, so that both can be compared. It is no
//! oracle; what it signs as Stripe is held against Stripe's own library.

#![allow(missing_docs, dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const SECRET: &str = "a-secret-of-the-stand-in";
pub const CALLBACK_TOKEN: &str = "f3kq8w2m5z7x9c1v4b6n0p2r";

/// A stand-in at work; cheap to clone.
#[derive(Clone)]
pub struct StandIn(Arc<Inner>);

struct Inner {
    origin: String,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    charges: BTreeMap<String, Charge>,
    faults: VecDeque<Fault>,
    refunds: Vec<Given>,
    next: u64,
    calls: BTreeMap<String, u64>,
    hooks_to: Option<SocketAddr>,
}

#[derive(Debug, Clone)]
pub struct Charge {
    pub dialect: String,
    pub reference: String,
    pub id: String,
    pub asked: i64,
    pub came: i64,
    pub currency: String,
    pub back: String,
    /// `pending`, `paid`, `failed`.
    pub status: &'static str,
    /// How often money was taken for it.
    pub charged: u32,
    /// How a dispute about it stands: `open`, `lost`, `won`; empty where there is none.
    pub dispute: &'static str,
}

#[derive(Debug, Clone)]
struct Given {
    id: String,
    charge: String,
    amount: i64,
    note: String,
}

/// What goes wrong with the next call that it fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A start is carried out and its answer never comes whole.
    LostReply,
    /// A start answers 500 and does nothing.
    Broken,
    /// A question how it stands answers 502.
    NoAnswer,
    /// An answer is late.
    Late(Duration),
}

/// A webhook, ready to be sent as often as one likes.
#[derive(Debug, Clone)]
pub struct Hook {
    pub path: String,
    pub header: (String, String),
    pub body: String,
}

impl StandIn {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let this = Self::named(format!("http://{}", listener.local_addr().unwrap()));
        this.serve(listener);
        this
    }

    /// One that will be at this origin.
    pub fn named(origin: String) -> Self {
        Self(Arc::new(Inner { origin, books: Mutex::default() }))
    }

    /// Takes calls and payers from now on; within a runtime.
    pub fn serve(&self, listener: TcpListener) {
        let app = Router::new()
            .route("/pay/{reference}", get(page).post(pressed))
            .fallback(any(answer))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
    }

    /// Where it is.
    pub fn origin(&self) -> &str {
        &self.0.origin
    }

    /// Settings of a daemon that is to use it; secrets are put into files in `dir`.
    pub fn settings(&self, dir: &std::path::Path, version: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        for (name, text) in [("gateway.key", SECRET), ("callback.token", CALLBACK_TOKEN)] {
            std::fs::write(dir.join(name), text).unwrap();
            std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let (key, token) =
            (format!("file:{}/gateway.key", dir.display()), format!("file:{}/callback.token", dir.display()));
        let at = &self.0.origin;
        let flutterwave = match version {
            "v3" => format!("secret_key = \"{key}\"\nbase_url = \"{at}/flutterwave\"\n"),
            _ => format!(
                "client_id = \"client\"\nclient_secret = \"{key}\"\nbase_url = \"{at}/flutterwave_v4\"\n\
                 token_url = \"{at}/flutterwave_v4/token\"\n"
            ),
        };
        format!(
            "[payments.paystack]\nsecret_key = \"{key}\"\nbase_url = \"{at}/paystack\"\n\
             [payments.flutterwave]\nversion = \"{version}\"\nsecret_hash = \"{key}\"\n{flutterwave}\
             [payments.stripe]\nsecret_key = \"{key}\"\nwebhook_secret = \"{key}\"\nbase_url = \"{at}/stripe\"\n\
             [payments.mpesa]\nshortcode = \"174379\"\npasskey = \"{key}\"\nconsumer_key = \"{key}\"\n\
             consumer_secret = \"{key}\"\ncallback_token = \"{token}\"\nsources = [\"127.0.0.0/8\"]\n\
             base_url = \"{at}/mpesa\"\n"
        )
    }

    /// Where one of its dialects is spoken.
    pub fn at(&self, dialect: &str) -> String {
        format!("{}/{dialect}", self.0.origin)
    }

    /// From now on webhooks go to this daemon.
    pub fn hooks_to(&self, address: SocketAddr) {
        self.books().hooks_to = Some(address);
    }

    pub fn plan(&self, fault: Fault) {
        self.books().faults.push_back(fault);
    }

    pub fn charge(&self, reference: &str) -> Charge {
        self.books().charges.get(reference).cloned().unwrap_or_else(|| panic!("no charge {reference}"))
    }

    pub fn references(&self) -> Vec<String> {
        self.books().charges.keys().cloned().collect()
    }

    /// How often something was asked of it: `start`, `verify`, `refund`.
    pub fn calls(&self, what: &str) -> u64 {
        self.books().calls.get(what).copied().unwrap_or(0)
    }

    pub fn given_back(&self) -> i64 {
        self.books().refunds.iter().map(|one| one.amount).sum()
    }

    /// Somebody pays, as asked or otherwise; tells nobody.
    pub fn pay(&self, reference: &str, other: Option<(i64, &str)>) {
        let mut books = self.books();
        let charge = books.charges.get_mut(reference).unwrap();
        (charge.status, charge.charged, charge.came) = ("paid", charge.charged + 1, charge.asked);
        if let Some((amount, currency)) = other {
            (charge.came, charge.currency) = (amount, currency.to_owned());
        }
    }

    pub fn fail(&self, reference: &str) {
        self.books().charges.get_mut(reference).unwrap().status = "failed";
    }

    /// The payer's bank disputes a payment, or has decided: `open`, `lost`, `won`.
    pub fn dispute(&self, reference: &str, stand: &'static str) {
        self.books().charges.get_mut(reference).unwrap().dispute = stand;
    }

    /// The webhook about a dispute: `create` or `resolve`.
    pub fn dispute_hook(&self, reference: &str, what: &str) -> Hook {
        dispute_hook(&self.charge(reference), what)
    }

    /// Money that no shop asked for.
    pub fn stranger(&self, dialect: &str, reference: &str, amount: i64) {
        let mut books = self.books();
        books.begin(dialect, reference, amount, "NGN", "");
        drop(books);
        self.pay(reference, None);
    }

    /// The webhook about a charge as it stands.
    pub fn hook(&self, reference: &str) -> Hook {
        hook(&self.charge(reference), SECRET)
    }

    /// The same, signed by somebody else.
    pub fn forged(&self, reference: &str) -> Hook {
        hook(&self.charge(reference), "another secret")
    }

    /// Sends a webhook; the status of the answer, where one came.
    pub async fn send(&self, hook: &Hook) -> Option<u16> {
        let to = self.books().hooks_to?;
        post(to, hook).await
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.books.lock().unwrap()
    }
}

impl Books {
    fn count(&mut self, what: &str) {
        *self.calls.entry(what.to_owned()).or_default() += 1;
    }

    fn takes(&mut self, fault: &Fault) -> bool {
        let at = self.faults.iter().position(|one| one == fault);
        at.map(|at| self.faults.remove(at)).is_some()
    }

    fn begin(&mut self, dialect: &str, reference: &str, asked: i64, currency: &str, back: &str) -> Charge {
        self.next += 1;
        let id = match dialect {
            "stripe" => format!("cs_{}", self.next),
            "mpesa" => format!("ws_CO_{}", self.next),
            "flutterwave_v4" => format!("chg_{}", self.next),
            _ => (900_000 + self.next).to_string(),
        };
        let charge = Charge {
            dialect: dialect.to_owned(),
            reference: reference.to_owned(),
            id,
            asked,
            came: 0,
            currency: currency.to_owned(),
            back: back.to_owned(),
            status: "pending",
            charged: 0,
            dispute: "",
        };
        self.charges.insert(reference.to_owned(), charge.clone());
        charge
    }

    fn by_id(&self, id: &str) -> Option<Charge> {
        self.charges.values().find(|charge| charge.id == id || intent(charge) == id).cloned()
    }

    fn back_of(&self, charge: &Charge) -> i64 {
        self.refunds.iter().filter(|one| one.charge == charge.reference).map(|one| one.amount).sum()
    }
}

/// What a call came to.
enum Said {
    Json(u16, Value),
    Lost,
}

struct Call<'a> {
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
    body: &'a [u8],
}

impl Call<'_> {
    fn json(&self) -> Value {
        serde_json::from_slice(self.body).unwrap_or(Value::Null)
    }

    fn form(&self, name: &str) -> String {
        pair(std::str::from_utf8(self.body).unwrap(), name)
    }

    fn query(&self, name: &str) -> String {
        pair(self.query, name)
    }

    /// Whether the call shows the key.
    fn has_key(&self, expected: &str) -> bool {
        self.headers.get("authorization").is_some_and(|given| given.to_str().unwrap() == expected)
    }
}

fn pair(text: &str, name: &str) -> String {
    let found = text.split('&').filter_map(|one| one.split_once('=')).find(|(key, _)| decode(key) == name);
    found.map(|(_, value)| decode(value)).unwrap_or_default()
}

fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        match octet {
            b'%' => {
                let pair = [octets.next().unwrap(), octets.next().unwrap()];
                out.push(u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap());
            }
            b'+' => out.push(b' '),
            other => out.push(other),
        }
    }
    String::from_utf8(out).unwrap()
}

async fn answer(State(this): State<StandIn>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let late = {
        let mut books = this.books();
        let at = books.faults.iter().position(|fault| matches!(fault, Fault::Late(_)));
        at.and_then(|at| books.faults.remove(at))
    };
    if let Some(Fault::Late(by)) = late {
        tokio::time::sleep(by).await;
    }
    let path = head.uri.path().to_owned();
    let (_, rest) = path.split_at(1);
    let (dialect, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let query = head.uri.query().unwrap_or_default();
    let call = Call { path: rest, query, headers: &head.headers, body: &body };
    let said = match dialect {
        "paystack" => paystack(&this, &call),
        "flutterwave" => flutterwave(&this, &call),
        "flutterwave_v4" => flutterwave_v4(&this, &call),
        "stripe" => stripe(&this, &call),
        "mpesa" => mpesa(&this, &call),
        _ => Said::Json(404, json!({})),
    };
    match said {
        Said::Json(status, value) => {
            let status = StatusCode::from_u16(status).unwrap();
            (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
        }
        Said::Lost => Response::new(Body::new(Cut)),
    }
}

/// A body whose connection breaks.
struct Cut;

impl hyper::body::Body for Cut {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(Some(Err(std::io::Error::other("broken off"))))
    }
}

/// Begins a charge, with what is planned to go wrong.
fn begun(
    this: &StandIn,
    (dialect, reference, asked, currency, back): (&str, &str, i64, &str, &str),
    say: impl FnOnce(&Charge, &str) -> Value,
) -> Said {
    let mut books = this.books();
    books.count("start");
    if books.takes(&Fault::Broken) {
        return Said::Json(500, json!({ "message": "out of order" }));
    }
    let charge = match books.charges.get(reference) {
        Some(known) => known.clone(),
        None => books.begin(dialect, reference, asked, currency, back),
    };
    if books.takes(&Fault::LostReply) {
        return Said::Lost;
    }
    let url = format!("{}/pay/{reference}", this.0.origin);
    Said::Json(200, say(&charge, &url))
}

fn asked(this: &StandIn) -> Option<Said> {
    let mut books = this.books();
    books.count("verify");
    books.takes(&Fault::NoAnswer).then(|| Said::Json(502, json!({})))
}

fn decimal(minor: i64) -> Value {
    serde_json::from_str(&format!("{}.{:02}", minor / 100, minor % 100)).unwrap()
}

/// Minor units of an amount in a body, by its digits.
fn minor(value: &Value) -> i64 {
    let text = value.to_string();
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}{:0<2}", rest).parse().unwrap()
}

fn paystack(this: &StandIn, call: &Call<'_>) -> Said {
    if !call.has_key(&format!("Bearer {SECRET}")) {
        return Said::Json(401, json!({ "status": false, "message": "Invalid key" }));
    }
    let body = call.json();
    match call.path {
        "transaction/initialize" => {
            let reference = body["reference"].as_str().unwrap();
            if this.books().charges.contains_key(reference) {
                return Said::Json(
                    400,
                    json!({ "status": false, "message": "Duplicate Transaction Reference" }),
                );
            }
            let asked = (
                "paystack",
                reference,
                body["amount"].as_i64().unwrap(),
                body["currency"].as_str().unwrap(),
                body["callback_url"].as_str().unwrap(),
            );
            begun(this, asked, |charge, url| {
                json!({ "status": true, "message": "Authorization URL created", "data": {
                    "authorization_url": url, "access_code": format!("ac_{}", charge.id), "reference": charge.reference,
                }})
            })
        }
        "refund" if call.body.is_empty() => {
            let books = this.books();
            let charge = books.by_id(&call.query("transaction"));
            let of = |one: &&Given| charge.as_ref().is_some_and(|charge| charge.reference == one.charge);
            let all: Vec<Value> = books.refunds.iter().filter(of).map(paystack_refund).collect();
            Said::Json(200, json!({ "status": true, "data": all }))
        }
        "refund" => {
            let id = body["transaction"].as_str().unwrap();
            let given =
                give(this, id, body["amount"].as_i64().unwrap(), body["merchant_note"].as_str().unwrap());
            Said::Json(200, json!({ "status": true, "data": paystack_refund(&given) }))
        }
        path if path.starts_with("dispute/transaction/") => {
            let books = this.books();
            let charge = books.by_id(path.trim_start_matches("dispute/transaction/"));
            match charge.filter(|charge| !charge.dispute.is_empty()) {
                Some(charge) => Said::Json(200, json!({ "status": true, "data": paystack_dispute(&charge) })),
                None => Said::Json(404, json!({ "status": false, "message": "Dispute not found" })),
            }
        }
        path => paystack_verified(this, path),
    }
}

fn paystack_verified(this: &StandIn, path: &str) -> Said {
    if let Some(fault) = asked(this) {
        return fault;
    }
    let books = this.books();
    let Some(charge) = path.strip_prefix("transaction/verify/").and_then(|one| books.charges.get(one)) else {
        let said = json!({ "status": false, "message": "Transaction reference not found.", "code": "transaction_not_found" });
        return Said::Json(404, said);
    };
    let status = match charge.status {
        "paid" => "success",
        "failed" => "failed",
        _ => "abandoned",
    };
    Said::Json(
        200,
        json!({ "status": true, "message": "Verification successful", "data": {
            "id": charge.id.parse::<u64>().unwrap(), "status": status, "reference": charge.reference,
            "amount": if charge.came > 0 { charge.came } else { charge.asked }, "currency": charge.currency,
            "fees": (charge.status == "paid").then_some(1500), "channel": "card",
        }}),
    )
}

fn paystack_dispute(charge: &Charge) -> Value {
    let (status, resolution) = match charge.dispute {
        "won" => ("resolved", Some("declined")),
        "lost" => ("resolved", Some("merchant-accepted")),
        _ => ("awaiting-merchant-feedback", None),
    };
    json!({ "id": charge.id.parse::<u64>().unwrap() + 50_000, "refund_amount": charge.came, "currency": charge.currency,
        "status": status, "resolution": resolution, "domain": "test", "category": "general",
        "transaction": { "id": charge.id.parse::<u64>().unwrap(), "reference": charge.reference } })
}

fn stripe_dispute(charge: &Charge) -> Value {
    let status = match charge.dispute {
        "won" => "won",
        "lost" => "lost",
        _ => "needs_response",
    };
    json!({ "id": format!("dp_{}", charge.id), "object": "dispute", "amount": charge.came, "status": status,
        "currency": charge.currency.to_lowercase(), "charge": format!("ch_{}", charge.id),
        "payment_intent": intent(charge), "reason": "fraudulent", "metadata": {} })
}

fn dispute_hook(charge: &Charge, what: &str) -> Hook {
    let path = format!("/api/v1/webhooks/{}", charge.dialect);
    if charge.dialect == "paystack" {
        let body = json!({ "event": format!("charge.dispute.{what}"), "data": paystack_dispute(charge) })
            .to_string();
        let mac = Hmac::<Sha512>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(&body).finalize();
        return Hook { path, header: ("x-paystack-signature".into(), hex(&mac.into_bytes())), body };
    }
    let kind = if what == "create" { "created" } else { "closed" };
    let body = json!({ "id": format!("evt_{kind}_{}", charge.id), "object": "event",
        "type": format!("charge.dispute.{kind}"), "data": { "object": stripe_dispute(charge) } })
    .to_string();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    Hook { path, header: ("stripe-signature".into(), stripe_signature(SECRET, now, &body)), body }
}

fn paystack_refund(one: &Given) -> Value {
    json!({ "id": one.id.trim_start_matches("rf_").parse::<u64>().unwrap(), "status": "processed",
        "amount": one.amount, "merchant_note": one.note })
}

fn give(this: &StandIn, id: &str, amount: i64, note: &str) -> Given {
    let mut books = this.books();
    books.count("refund");
    books.next += 1;
    let charge = books.by_id(id).map_or_else(|| id.to_owned(), |charge| charge.reference);
    let given = Given { id: format!("rf_{}", books.next), charge, amount, note: note.to_owned() };
    books.refunds.push(given.clone());
    given
}

fn flutterwave(this: &StandIn, call: &Call<'_>) -> Said {
    let body = call.json();
    if call.path == "v3/payments" {
        let asked = (
            "flutterwave",
            body["tx_ref"].as_str().unwrap(),
            minor(&body["amount"]),
            body["currency"].as_str().unwrap(),
            body["redirect_url"].as_str().unwrap(),
        );
        return begun(this, asked, |_, url| json!({ "status": "success", "data": { "link": url } }));
    }
    if let Some(id) = call.path.strip_prefix("v3/transactions/").and_then(|rest| rest.strip_suffix("/refund"))
    {
        let given = give(this, id, minor(&body["amount"]), body["comments"].as_str().unwrap());
        return Said::Json(200, json!({ "status": "success", "data": flutterwave_refund(&given, id) }));
    }
    if call.path == "v3/refunds" {
        let (books, id) = (this.books(), call.query("id"));
        let charge = books.by_id(&id);
        let of = |one: &&Given| charge.as_ref().is_some_and(|charge| charge.reference == one.charge);
        let all: Vec<Value> =
            books.refunds.iter().filter(of).map(|one| flutterwave_refund(one, &id)).collect();
        return Said::Json(200, json!({ "status": "success", "data": all }));
    }
    if let Some(fault) = asked(this) {
        return fault;
    }
    let books = this.books();
    let found = books.charges.get(&call.query("tx_ref")).filter(|charge| charge.status != "pending");
    let Some(charge) = found else {
        let message = "No transaction was found for this id";
        return Said::Json(400, json!({ "status": "error", "message": message, "data": null }));
    };
    let status = if charge.status == "paid" { "successful" } else { "failed" };
    Said::Json(
        200,
        json!({ "status": "success", "data": {
            "id": charge.id.parse::<u64>().unwrap(), "tx_ref": charge.reference, "status": status,
            "amount": decimal(charge.came), "currency": charge.currency, "app_fee": decimal(1400), "payment_type": "card",
        }}),
    )
}

fn flutterwave_refund(one: &Given, id: &str) -> Value {
    json!({ "id": one.id.trim_start_matches("rf_").parse::<u64>().unwrap(), "tx_id": id.parse::<u64>().unwrap(),
        "status": "completed", "amount_refunded": decimal(one.amount), "comments": one.note })
}

fn flutterwave_v4(this: &StandIn, call: &Call<'_>) -> Said {
    if call.path == "token" {
        let fits = call.form("client_secret") == SECRET && call.form("grant_type") == "client_credentials";
        return match fits {
            true => Said::Json(200, json!({ "access_token": "token-1", "expires_in": 600 })),
            false => Said::Json(401, json!({ "error": "invalid_client" })),
        };
    }
    if !call.has_key("Bearer token-1") {
        return Said::Json(401, json!({ "status": "failed" }));
    }
    let body = call.json();
    match call.path {
        "orchestration/direct-charges" => {
            let asked = (
                "flutterwave_v4",
                body["reference"].as_str().unwrap(),
                minor(&body["amount"]),
                body["currency"].as_str().unwrap(),
                body["redirect_url"].as_str().unwrap(),
            );
            begun(this, asked, |charge, url| {
                let mut said = charge_v4(charge);
                said["next_action"] = json!({ "type": "redirect_url", "redirect_url": { "url": url } });
                json!({ "status": "success", "data": said })
            })
        }
        "refunds" if call.body.is_empty() => {
            let (books, id) = (this.books(), call.query("charge_id"));
            let charge = books.by_id(&id);
            let of = |one: &&Given| charge.as_ref().is_some_and(|charge| charge.reference == one.charge);
            let all: Vec<Value> = books.refunds.iter().filter(of).map(|one| refund_v4(one, &id)).collect();
            Said::Json(200, json!({ "status": "success", "data": all }))
        }
        "refunds" => {
            let id = body["charge_id"].as_str().unwrap();
            let given = give(this, id, minor(&body["amount"]), "");
            Said::Json(201, json!({ "status": "success", "data": refund_v4(&given, id) }))
        }
        path => {
            if let Some(fault) = asked(this) {
                return fault;
            }
            let books = this.books();
            if path == "charges" {
                let found: Vec<Value> =
                    books.charges.get(&call.query("reference")).map(charge_v4).into_iter().collect();
                return Said::Json(200, json!({ "status": "success", "data": found }));
            }
            match path.strip_prefix("charges/").and_then(|id| books.by_id(id)) {
                Some(charge) => Said::Json(200, json!({ "status": "success", "data": charge_v4(&charge) })),
                None => Said::Json(404, json!({ "status": "failed", "error": { "message": "not found" } })),
            }
        }
    }
}

fn charge_v4(charge: &Charge) -> Value {
    let status = match charge.status {
        "paid" => "succeeded",
        other => other,
    };
    json!({ "id": charge.id, "reference": charge.reference, "status": status,
        "amount": decimal(if charge.came > 0 { charge.came } else { charge.asked }), "currency": charge.currency,
        "fees": [{ "type": "app", "amount": decimal(1400) }], "payment_method_details": { "type": "opay" } })
}

fn refund_v4(one: &Given, charge: &str) -> Value {
    json!({ "id": one.id, "status": "succeeded", "charge_id": charge, "amount_refunded": decimal(one.amount) })
}

/// What Stripe calls the money of a session.
fn intent(charge: &Charge) -> String {
    format!("pi_{}", charge.id)
}

fn stripe(this: &StandIn, call: &Call<'_>) -> Said {
    if !call.has_key(&format!("Bearer {SECRET}")) {
        return Said::Json(401, json!({ "error": { "message": "Invalid API Key" } }));
    }
    match call.path {
        "v1/checkout/sessions" => {
            let reference = call.form("client_reference_id");
            assert_eq!(call.headers["idempotency-key"], reference.as_str());
            let amount = call.form("line_items[0][price_data][unit_amount]").parse().unwrap();
            let currency = call.form("line_items[0][price_data][currency]").to_uppercase();
            let back = call.form("success_url");
            begun(this, ("stripe", &reference, amount, &currency, &back), |charge, url| {
                let mut said = session(charge, 0);
                said["url"] = json!(url);
                said
            })
        }
        "v1/refunds" => {
            let amount = call.form("amount").parse().unwrap();
            let given = give(this, &call.form("payment_intent"), amount, &call.form("metadata[key]"));
            Said::Json(200, json!({ "id": given.id, "object": "refund", "status": "succeeded" }))
        }
        "v1/disputes" => {
            let charge = this.books().by_id(&call.query("payment_intent"));
            let all: Vec<Value> =
                charge.iter().filter(|charge| !charge.dispute.is_empty()).map(stripe_dispute).collect();
            Said::Json(200, json!({ "object": "list", "data": all, "has_more": false }))
        }
        path => {
            if let Some(fault) = asked(this) {
                return fault;
            }
            let books = this.books();
            match path.strip_prefix("v1/checkout/sessions/").and_then(|id| books.by_id(id)) {
                Some(charge) => Said::Json(200, session(&charge, books.back_of(&charge))),
                None => Said::Json(404, json!({ "error": { "message": "No such checkout.session" } })),
            }
        }
    }
}

fn session(charge: &Charge, back: i64) -> Value {
    let is_paid = charge.status == "paid";
    let intent = is_paid.then(|| {
        json!({ "id": intent(charge), "object": "payment_intent", "latest_charge": {
            "id": format!("ch_{}", charge.id), "amount_refunded": back,
            "disputed": !charge.dispute.is_empty(),
            "balance_transaction": { "fee": 1600, "currency": charge.currency.to_lowercase() },
        }})
    });
    json!({ "id": charge.id, "object": "checkout.session", "status": if is_paid { "complete" } else { "open" },
        "payment_status": if is_paid { "paid" } else { "unpaid" },
        "amount_total": if charge.came > 0 { charge.came } else { charge.asked },
        "currency": charge.currency.to_lowercase(), "client_reference_id": charge.reference, "payment_intent": intent })
}

fn mpesa(this: &StandIn, call: &Call<'_>) -> Said {
    if call.path == "oauth/v1/generate" {
        let login = format!("Basic {}", BASE64.encode(format!("{SECRET}:{SECRET}")));
        return match call.has_key(&login) {
            true => Said::Json(200, json!({ "access_token": "mpesa-1", "expires_in": "3599" })),
            false => Said::Json(400, json!({ "errorCode": "400.008.01" })),
        };
    }
    if !call.has_key("Bearer mpesa-1") {
        return Said::Json(404, json!({ "errorCode": "404.001.03", "errorMessage": "Invalid Access Token" }));
    }
    let body = call.json();
    if call.path == "mpesa/stkpush/v1/processrequest" {
        let back = body["CallBackURL"].as_str().unwrap();
        let reference = back.rsplit('/').next().unwrap();
        let asked = ("mpesa", reference, body["Amount"].as_i64().unwrap() * 100, "NGN", back);
        return begun(this, asked, |charge, _| {
            json!({ "MerchantRequestID": "1", "CheckoutRequestID": charge.id,
            "ResponseCode": "0", "ResponseDescription": "ok", "CustomerMessage": "ok" })
        });
    }
    if let Some(fault) = asked(this) {
        return fault;
    }
    let books = this.books();
    let id = body["CheckoutRequestID"].as_str().unwrap();
    match books.by_id(id).map(|charge| charge.status) {
        Some("paid") => {
            Said::Json(200, json!({ "ResponseCode": "0", "ResultCode": "0", "CheckoutRequestID": id }))
        }
        Some("failed") => {
            Said::Json(200, json!({ "ResponseCode": "0", "ResultCode": "1032", "CheckoutRequestID": id }))
        }
        _ => Said::Json(
            500,
            json!({ "errorCode": "500.001.1001", "errorMessage": "The transaction is being processed" }),
        ),
    }
}

/// A page as gateways have it, without script.
async fn page(State(this): State<StandIn>, Path(reference): Path<String>) -> Response {
    let charge = this.charge(&reference);
    let (amount, currency) = (decimal(charge.asked), &charge.currency);
    let html = format!(
        "<!doctype html><html lang=en><title>Pay</title><h1>Pay {currency} {amount}</h1>\
         <form method=post action=\"/pay/{reference}\"><button>Pay</button></form></html>"
    );
    ([(header::CONTENT_TYPE, "text/html")], html).into_response()
}

async fn pressed(State(this): State<StandIn>, Path(reference): Path<String>) -> Response {
    this.pay(&reference, None);
    let charge = this.charge(&reference);
    let teller = this.clone();
    tokio::spawn(async move { teller.send(&hook(&charge, SECRET)).await });
    (StatusCode::SEE_OTHER, [(header::LOCATION, this.charge(&reference).back)]).into_response()
}

/// The webhook about a charge, in its dialect.
fn hook(charge: &Charge, secret: &str) -> Hook {
    let path = format!("/api/v1/webhooks/{}", charge.dialect);
    match charge.dialect.as_str() {
        "paystack" => {
            let event = if charge.status == "paid" { "charge.success" } else { "charge.failed" };
            let body = json!({ "event": event, "data": { "id": charge.id.parse::<u64>().unwrap(), "reference": charge.reference,
                "amount": charge.came, "currency": charge.currency, "status": "success" }}).to_string();
            let mac =
                Hmac::<Sha512>::new_from_slice(secret.as_bytes()).unwrap().chain_update(&body).finalize();
            Hook { path, header: ("x-paystack-signature".into(), hex(&mac.into_bytes())), body }
        }
        "flutterwave" => {
            let body =
                json!({ "event": "charge.completed", "data": { "id": charge.id.parse::<u64>().unwrap(),
                "tx_ref": charge.reference, "status": "successful", "amount": decimal(charge.came) }})
                .to_string();
            Hook { path, header: ("verif-hash".into(), secret.into()), body }
        }
        "flutterwave_v4" => {
            let body = json!({ "id": format!("wbk_{}", charge.id), "type": "charge.completed", "data": { "id": charge.id,
                "reference": charge.reference, "status": "succeeded" }}).to_string();
            let mac =
                Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(&body).finalize();
            Hook { path, header: ("flutterwave-signature".into(), BASE64.encode(mac.into_bytes())), body }
        }
        "stripe" => {
            let body = json!({ "id": format!("evt_{}", charge.id), "object": "event", "type": "checkout.session.completed",
                "data": { "object": session(charge, 0) }}).to_string();
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
            Hook { path, header: ("stripe-signature".into(), stripe_signature(secret, now, &body)), body }
        }
        _ => {
            let token = if secret == SECRET { CALLBACK_TOKEN } else { secret };
            let result = if charge.status == "paid" { 0 } else { 1032 };
            let body =
                json!({ "Body": { "stkCallback": { "MerchantRequestID": "1", "CheckoutRequestID": charge.id,
                "ResultCode": result, "ResultDesc": "x", "CallbackMetadata": { "Item": [
                    { "Name": "Amount", "Value": charge.came / 100 },
                    { "Name": "MpesaReceiptNumber", "Value": "QK12ABC34" },
                ]}}}})
                .to_string();
            let path = format!("/api/v1/webhooks/mpesa/{}/{}", token.replace(' ', "-"), charge.reference);
            Hook { path, header: ("x-none".into(), "x".into()), body }
        }
    }
}

/// A signature as Stripe makes them.
pub fn stripe_signature(secret: &str, at: u64, body: &str) -> String {
    let signed = format!("{at}.{body}");
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(signed).finalize();
    format!("t={at},v1={}", hex(&mac.into_bytes()))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Posts a webhook; the status of the answer, where one came.
pub async fn post(to: SocketAddr, hook: &Hook) -> Option<u16> {
    let mut stream = TcpStream::connect(to).await.ok()?;
    let (path, (name, value), body) = (&hook.path, &hook.header, &hook.body);
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: portal.example.net\r\ncontent-type: application/json\r\n{name}: {value}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}
