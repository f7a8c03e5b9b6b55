//! A stand-in for Paystack on the demo's Internet: what a purchase needs of its API (begin, and how it stands),
//! and a page on which somebody pays by pressing a button. No money moves.
//!
//! It sends no webhook: the daemon asks, as it does on a box that nobody can call. The one rule: only who shows the
//! key begins a payment or learns of one; its page needs the reference, as a real one does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::domain::money::{Currency, Money};

/// The stand-in; cheap to clone.
#[derive(Clone)]
pub(super) struct Paystack(Arc<Inner>);

struct Inner {
    origin: String,
    key: String,
    charges: Mutex<BTreeMap<String, Charge>>,
}

/// A payment that a shop began.
#[derive(Debug, Clone)]
struct Charge {
    number: usize,
    amount: Money,
    back: String,
    is_paid: bool,
}

impl Paystack {
    /// One that will be at this origin, for a shop with this key.
    pub(super) fn new(origin: String, key: String) -> Self {
        Self(Arc::new(Inner { origin, key, charges: Mutex::default() }))
    }

    /// Where its payment pages are.
    pub(super) fn pages(&self) -> String {
        format!("{}/pay/", self.0.origin)
    }

    /// Its part of the configuration, with the key in a file.
    pub(super) fn settings(&self, key_file: &std::path::Path) -> String {
        format!(
            "[payments.paystack]\nsecret_key = 'file:{}'\nbase_url = \"{}/paystack\"\n",
            key_file.display(),
            self.0.origin
        )
    }

    /// What it answers.
    pub(super) fn routes(&self) -> Router {
        Router::new()
            .route("/paystack/transaction/initialize", post(begin))
            .route("/paystack/transaction/verify/{reference}", get(verify))
            .route("/pay/{reference}", get(page).post(pay))
            .with_state(self.clone())
    }

    fn charges(&self) -> MutexGuard<'_, BTreeMap<String, Charge>> {
        self.0.charges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).and_then(|given| given.to_str().ok());
        given.and_then(|given| given.strip_prefix("Bearer ")) == Some(self.0.key.as_str())
    }
}

async fn begin(State(this): State<Paystack>, headers: HeaderMap, Json(asked): Json<Value>) -> Response {
    if !this.knows(&headers) {
        return refused(StatusCode::UNAUTHORIZED, "Invalid key");
    }
    let text = |name: &str| asked.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    let minor = asked.get("amount").and_then(Value::as_i64);
    let currency = text("currency").and_then(|code| Currency::parse(&code).ok());
    let (Some(reference), Some(minor), Some(currency), Some(back)) =
        (text("reference"), minor, currency, text("callback_url"))
    else {
        return refused(StatusCode::BAD_REQUEST, "reference, amount, currency or callback_url is missing");
    };
    let mut charges = this.charges();
    if charges.contains_key(&reference) {
        return refused(StatusCode::BAD_REQUEST, "Duplicate Transaction Reference");
    }
    let number = charges.len() + 1;
    let said = json!({ "status": true, "message": "Authorization URL created", "data": {
        "authorization_url": format!("{}{reference}", this.pages()),
        "access_code": format!("demo-{number}"), "reference": reference,
    }});
    charges.insert(reference, Charge { number, amount: Money { minor, currency }, back, is_paid: false });
    Json(said).into_response()
}

async fn verify(State(this): State<Paystack>, headers: HeaderMap, Path(reference): Path<String>) -> Response {
    if !this.knows(&headers) {
        return refused(StatusCode::UNAUTHORIZED, "Invalid key");
    }
    let Some(charge) = this.charges().get(&reference).cloned() else {
        return refused(StatusCode::NOT_FOUND, "Transaction reference not found.");
    };
    let status = if charge.is_paid { "success" } else { "abandoned" };
    Json(json!({ "status": true, "message": "Verification successful", "data": {
        "id": charge.number, "status": status, "reference": reference, "amount": charge.amount.minor,
        "currency": charge.amount.currency.code(), "fees": 0, "channel": "card",
    }}))
    .into_response()
}

/// A page as gateways have it, without script.
async fn page(State(this): State<Paystack>, Path(reference): Path<String>) -> Response {
    let Some(charge) = this.charges().get(&reference).cloned() else {
        return unknown();
    };
    let (amount, currency) = (charge.amount.decimal(), charge.amount.currency);
    let body = if charge.is_paid { "<p>This is paid already.</p>".to_owned() } else { FORM.to_owned() };
    Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Pay</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>{STYLE}</style></head>\
         <body><h1>Pay {currency} {amount}</h1>{body}</body></html>"
    ))
    .into_response()
}

/// The button: it is paid, and the payer goes back to the shop, with what Paystack adds to the address.
async fn pay(State(this): State<Paystack>, Path(reference): Path<String>) -> Response {
    let mut charges = this.charges();
    let Some(charge) = charges.get_mut(&reference) else {
        return unknown();
    };
    charge.is_paid = true;
    let joint = if charge.back.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{}{joint}trxref={reference}&reference={reference}", charge.back)).into_response()
}

const STYLE: &str = ":root{color-scheme:light dark}body{font:1.1rem/1.5 system-ui;margin:1rem}\
    button{font:inherit;padding:.75rem 2rem}";
const FORM: &str = "<p>A stand-in for the gateway: no money moves.</p><form method=\"post\">\
    <input type=\"hidden\" name=\"pay\" value=\"now\"><button type=\"submit\">Pay</button></form>";

fn refused(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "status": false, "message": message }))).into_response()
}

fn unknown() -> Response {
    (StatusCode::NOT_FOUND, "There is no such payment.\n").into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn ask(this: &Paystack, method: &str, path: &str, key: &str, body: &str) -> (u16, String, String) {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", key).header("content-type", "application/json");
        let answer = this.routes().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let to = answer.headers().get(header::LOCATION).map(|to| to.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), 10_000).await.unwrap();
        (status, to.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_payment_succeeds_once_its_button_was_pressed_and_only_the_shop_learns_of_it() {
        let this = Paystack::new("http://10.22.0.1".to_owned(), "key".to_owned());
        let begin = "/paystack/transaction/initialize";
        let wish = r#"{"reference":"r-1","amount":50000,"currency":"NGN","callback_url":"https://shop/back?payment=r-1"}"#;
        assert_eq!(ask(&this, "POST", begin, "Bearer other", wish).await.0, 401);
        let (status, _, begun) = ask(&this, "POST", begin, "Bearer key", wish).await;
        assert!(status == 200 && begun.contains("http://10.22.0.1/pay/r-1"), "{begun}");
        assert_eq!(ask(&this, "POST", begin, "Bearer key", wish).await.0, 400, "a reference is used once");
        assert_eq!(ask(&this, "POST", begin, "Bearer key", "{}").await.0, 400);

        let stands = "/paystack/transaction/verify/r-1";
        assert_eq!(ask(&this, "GET", stands, "Bearer other", "").await.0, 401);
        assert!(ask(&this, "GET", stands, "Bearer key", "").await.2.contains("abandoned"));
        assert!(ask(&this, "GET", "/pay/r-1", "", "").await.2.contains("Pay NGN 500.00"));
        let (status, back, _) = ask(&this, "POST", "/pay/r-1", "", "").await;
        assert_eq!((status, back.as_str()), (303, "https://shop/back?payment=r-1&trxref=r-1&reference=r-1"));
        let paid = ask(&this, "GET", stands, "Bearer key", "").await.2;
        assert!(paid.contains("\"success\"") && paid.contains("50000"), "{paid}");
        assert!(!ask(&this, "GET", "/pay/r-1", "", "").await.2.contains("<form"), "it is paid once");
        assert_eq!(ask(&this, "GET", "/pay/r-2", "", "").await.0, 404);
    }
}
