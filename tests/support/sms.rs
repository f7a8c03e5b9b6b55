//! Carriers of SMS on a port of their own: one HTTP server that speaks their dialects and is strict about what
//! their documentation asks for, and the messages that it took.

#![allow(missing_docs, dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use base64::Engine as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub const KEY: &str = "the carrier's key";
pub const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";

/// What a server does with a call that it understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// 503 to everything.
    Ill,
    /// Takes the message, and closes the connection instead of answering.
    Mute,
    /// Says that the account is empty.
    Broke,
    /// Says that the number is none.
    NoSuchNumber,
}

/// A message as it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub to: String,
    pub text: String,
    pub from: String,
    pub id: String,
}

#[derive(Clone)]
pub struct Carrier {
    pub port: u16,
    state: Arc<Mutex<Inner>>,
}

struct Inner {
    mood: Mood,
    taken: Vec<Taken>,
    refused: Vec<String>,
    status: &'static str,
    now: String,
    serving: Option<tokio::task::JoinHandle<()>>,
}

impl Carrier {
    pub async fn start() -> Self {
        let carrier = Self::away().await;
        carrier.come_up().await;
        carrier
    }

    /// A port with nobody there yet.
    pub async fn away() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let now = "Sun, 01 Mar 2026 09:00:00 +0000".to_owned();
        let inner = Inner {
            mood: Mood::Well,
            taken: Vec::new(),
            refused: Vec::new(),
            status: "queued",
            now,
            serving: None,
        };
        Self { port, state: Arc::new(Mutex::new(inner)) }
    }

    pub async fn come_up(&self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        let router = Router::new()
            .route("/api/sms/send", post(termii))
            .route("/version1/messaging", post(africastalking))
            .route("/2010-04-01/Accounts/{account}/Messages.json", get(twilio_list).post(twilio_send))
            .route("/2010-04-01/Accounts/{account}/Messages/{sid}", get(twilio_one))
            .route("/plain", any(plain))
            .with_state(self.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        self.state.lock().unwrap().serving = Some(task);
    }

    /// Closes the port.
    pub async fn go_away(&self) {
        let task = self.state.lock().unwrap().serving.take().unwrap();
        task.abort();
        let _ = task.await;
    }

    pub fn mood(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// What it says became of messages.
    pub fn status(&self, status: &'static str) {
        self.state.lock().unwrap().status = status;
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.state.lock().unwrap().taken.clone()
    }

    /// Why calls were not understood: a fault of ours.
    pub fn refused(&self) -> Vec<String> {
        self.state.lock().unwrap().refused.clone()
    }

    fn refuse(&self, status: StatusCode, why: &str) -> Response {
        self.state.lock().unwrap().refused.push(why.to_owned());
        (status, axum::Json(json!({ "message": why }))).into_response()
    }

    /// Takes a message, and says whether to answer.
    fn take(&self, to: &str, text: &str, from: &str) -> (String, Mood) {
        let mut state = self.state.lock().unwrap();
        let id = format!("SM{:032}", state.taken.len());
        if matches!(state.mood, Mood::Well | Mood::Mute) {
            let (to, text, from) = (to.to_owned(), text.to_owned(), from.to_owned());
            state.taken.push(Taken { to, text, from, id: id.clone() });
        }
        (id, state.mood)
    }
}

/// A connection that ends in the middle of an answer.
fn mute() -> Response {
    Response::builder().header("content-length", "100").body(axum::body::Body::new(Broken)).unwrap()
}

/// A body that fails at once.
struct Broken;

impl hyper::body::Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;
    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(Some(Err(std::io::Error::other("gone"))))
    }
}

fn ill() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "ill").into_response()
}

async fn termii(State(carrier): State<Carrier>, headers: HeaderMap, body: Bytes) -> Response {
    if headers.get("content-type").map(|kind| kind.as_bytes()) != Some(b"application/json") {
        return carrier.refuse(StatusCode::BAD_REQUEST, "not JSON");
    }
    let form: Value = serde_json::from_slice(&body).unwrap();
    let text = |name: &str| form[name].as_str().unwrap_or_default().to_owned();
    if text("api_key") != KEY {
        return (StatusCode::UNAUTHORIZED, axum::Json(json!({ "message": "Invalid API key" })))
            .into_response();
    }
    let (to, from) = (text("to"), text("from"));
    let fits = to.starts_with("234") && (3..=11).contains(&from.len());
    if !fits || text("type") != "plain" || !["dnd", "generic"].contains(&text("channel").as_str()) {
        return carrier.refuse(StatusCode::BAD_REQUEST, &format!("termii: {form}"));
    }
    let (id, mood) = carrier.take(&to, &text("sms"), &from);
    match mood {
        Mood::Well => axum::Json(json!({
            "code": "ok", "message_id": id, "message": "Successfully Sent", "balance": 9, "user": "Ada Obi",
        }))
        .into_response(),
        Mood::Ill => ill(),
        Mood::Mute => mute(),
        Mood::Broke => {
            (StatusCode::PAYMENT_REQUIRED, axum::Json(json!({ "message": "Insufficient balance" })))
                .into_response()
        }
        Mood::NoSuchNumber => {
            (StatusCode::BAD_REQUEST, axum::Json(json!({ "message": "Invalid phone number" })))
                .into_response()
        }
    }
}

async fn africastalking(State(carrier): State<Carrier>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if header("apikey") != KEY {
        return (StatusCode::UNAUTHORIZED, "The supplied authentication is invalid").into_response();
    }
    let form = form(&body);
    let text = |name: &str| form.get(name).cloned().unwrap_or_default();
    let (to, username) = (text("to"), text("username"));
    let form_type = header("content-type") == "application/x-www-form-urlencoded";
    if !form_type
        || header("accept") != "application/json"
        || username != "sandbox"
        || !to.starts_with("+234")
    {
        return carrier.refuse(StatusCode::BAD_REQUEST, &format!("africastalking: {form:?}"));
    }
    let (id, mood) = carrier.take(&to, &text("message"), &text("from"));
    let answer = |code: u32, status: &str| {
        let message = json!({ "SMSMessageData": {
            "Message": "Sent to 1/1 Total Cost: NGN 2.2000",
            "Recipients": [{ "statusCode": code, "number": to, "status": status, "cost": "NGN 2.2", "messageId": id }],
        }});
        (StatusCode::CREATED, axum::Json(message)).into_response()
    };
    match mood {
        Mood::Well => answer(101, "Success"),
        Mood::Ill => ill(),
        Mood::Mute => mute(),
        Mood::Broke => answer(405, "InsufficientBalance"),
        Mood::NoSuchNumber => answer(403, "InvalidPhoneNumber"),
    }
}

fn twilio_key(headers: &HeaderMap) -> bool {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{ACCOUNT}:{KEY}"));
    headers.get("authorization").is_some_and(|value| value.as_bytes() == format!("Basic {pair}").as_bytes())
}

fn twilio_refusal(status: StatusCode, code: u32, message: &str) -> Response {
    let more = format!("https://www.twilio.com/docs/errors/{code}");
    let body = json!({ "code": code, "message": message, "more_info": more, "status": status.as_u16() });
    (status, axum::Json(body)).into_response()
}

fn twilio_message(one: &Taken, status: &str, at: &str) -> Value {
    json!({
        "sid": one.id, "account_sid": ACCOUNT, "to": one.to, "from": one.from, "body": one.text,
        "status": status, "date_created": at, "date_sent": null, "error_code": null,
        "num_segments": "1", "direction": "outbound-api",
    })
}

async fn twilio_send(
    State(carrier): State<Carrier>,
    Path(account): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !twilio_key(&headers) || account != ACCOUNT {
        return twilio_refusal(StatusCode::UNAUTHORIZED, 20003, "Authenticate");
    }
    let form = form(&body);
    let text = |name: &str| form.get(name).cloned().unwrap_or_default();
    let (to, from) = (text("To"), text("From") + &text("MessagingServiceSid"));
    if !to.starts_with('+') || from.is_empty() || text("Body").is_empty() {
        return carrier.refuse(StatusCode::BAD_REQUEST, &format!("twilio: {form:?}"));
    }
    let (id, mood) = carrier.take(&to, &text("Body"), &from);
    let (status, now) = {
        let state = carrier.state.lock().unwrap();
        (state.status, state.now.clone())
    };
    match mood {
        Mood::Well => {
            let one = Taken { to, text: text("Body"), from, id };
            (StatusCode::CREATED, axum::Json(twilio_message(&one, status, &now))).into_response()
        }
        Mood::Ill => ill(),
        Mood::Mute => mute(),
        Mood::Broke => twilio_refusal(StatusCode::FORBIDDEN, 20005, "Account not active"),
        Mood::NoSuchNumber => {
            twilio_refusal(StatusCode::BAD_REQUEST, 21211, "The 'To' number is not a valid phone number.")
        }
    }
}

async fn twilio_list(
    State(carrier): State<Carrier>,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if !twilio_key(&headers) || account != ACCOUNT {
        return twilio_refusal(StatusCode::UNAUTHORIZED, 20003, "Authenticate");
    }
    let query = form(query.unwrap_or_default().as_bytes());
    let state = carrier.state.lock().unwrap();
    let fits = state.taken.iter().filter(|one| query.get("To").is_none_or(|to| *to == one.to));
    let messages: Vec<_> = fits.map(|one| twilio_message(one, state.status, &state.now)).collect();
    axum::Json(json!({ "messages": messages, "page": 0, "page_size": 20 })).into_response()
}

async fn twilio_one(
    State(carrier): State<Carrier>,
    Path((_, sid)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if !twilio_key(&headers) {
        return twilio_refusal(StatusCode::UNAUTHORIZED, 20003, "Authenticate");
    }
    let sid = sid.strip_suffix(".json").unwrap().to_owned();
    let state = carrier.state.lock().unwrap();
    match state.taken.iter().find(|one| one.id == sid) {
        Some(one) => axum::Json(twilio_message(one, state.status, &state.now)).into_response(),
        None => twilio_refusal(StatusCode::NOT_FOUND, 20404, "not found"),
    }
}

/// Somebody's own gateway: JSON with the key in a header, or all in the URL.
async fn plain(
    State(carrier): State<Carrier>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if headers.get("x-api-key").is_none_or(|key| key.as_bytes() != KEY.as_bytes()) {
        return (StatusCode::FORBIDDEN, "no key").into_response();
    }
    let (to, text, from, id) = if method == Method::GET {
        let form = form(uri.query().unwrap_or_default().as_bytes());
        let text = |name: &str| form.get(name).cloned().unwrap_or_default();
        (text("to"), text("text"), text("from"), text("id"))
    } else {
        let form: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(form.as_object().unwrap().len(), 4, "a text added a field: {form}");
        let text = |name: &str| form[name].as_str().unwrap_or_default().to_owned();
        (text("to"), text("text"), text("from"), text("id"))
    };
    if to.is_empty() || text.is_empty() || id.len() != 36 {
        return carrier.refuse(StatusCode::BAD_REQUEST, &format!("plain: {uri} {body:?}"));
    }
    let (_, mood) = carrier.take(&to, &text, &from);
    match mood {
        Mood::Well => (StatusCode::OK, "{\"status\": \"queued\"}").into_response(),
        Mood::Ill => ill(),
        Mood::Mute => mute(),
        Mood::Broke | Mood::NoSuchNumber => (StatusCode::OK, "{\"status\": \"failed\"}").into_response(),
    }
}

/// A form's fields.
fn form(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8(body.to_vec()).unwrap();
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet == b'%' {
            let hex = [rest.next().unwrap(), rest.next().unwrap()];
            octets.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
        } else {
            octets.push(if octet == b'+' { b' ' } else { octet });
        }
    }
    String::from_utf8(octets).unwrap()
}
