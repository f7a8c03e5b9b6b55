//! The shapes of answers: one object, a list, an error, each a superset of what the known
//! frontends read.
//!
//! A client that says `Accept: application/vnd.dotmac.edge+json` gets the native half only. The
//! one rule: a handler says what it answers, never how it looks; the look is here.

use axum::body::Body;
use axum::http::header::{
    ACCEPT, ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, Response, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::error::{ApiError, Code};

/// What a handler answers.
#[derive(Debug, Clone)]
pub struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    payload: Payload,
}

/// What an answer carries.
#[derive(Debug, Clone)]
enum Payload {
    Json(Value),
    List(List),
    Bytes(&'static str, Vec<u8>),
    Empty,
}

/// One page of something.
#[derive(Debug, Clone)]
pub struct List {
    items: Vec<Value>,
    total: usize,
    window: Window,
}

/// Which part of a list is wanted, however the client asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Items to skip.
    pub offset: usize,
    /// Most items to give, 1 to [`MAX_LIMIT`].
    pub limit: usize,
}

impl Answer {
    /// 200 with this object.
    #[must_use]
    pub fn ok(body: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// 201 with this object.
    #[must_use]
    pub fn created(body: &impl Serialize) -> Self {
        Self::json(StatusCode::CREATED, body)
    }

    /// 202 with this object: begun, not yet proven.
    #[must_use]
    pub fn accepted(body: &impl Serialize) -> Self {
        Self::json(StatusCode::ACCEPTED, body)
    }

    /// An object with a status.
    #[must_use]
    pub fn json(status: StatusCode, body: &impl Serialize) -> Self {
        match serde_json::to_value(body) {
            Ok(value) => Self::with(status, Payload::Json(value)),
            Err(error) => {
                tracing::error!(%error, "An answer does not serialise");
                Self::with(StatusCode::INTERNAL_SERVER_ERROR, Payload::Empty)
            }
        }
    }

    /// 200 with one page of a list.
    #[must_use]
    pub fn list<T: Serialize>(items: impl IntoIterator<Item = T>, total: usize, window: Window) -> Self {
        let items: Result<_, _> = items.into_iter().map(serde_json::to_value).collect();
        match items {
            Ok(items) => Self::with(StatusCode::OK, Payload::List(List { items, total, window })),
            Err(error) => {
                tracing::error!(%error, "A list does not serialise");
                Self::with(StatusCode::INTERNAL_SERVER_ERROR, Payload::Empty)
            }
        }
    }

    /// 200 with these octets.
    #[must_use]
    pub fn bytes(content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self::with(StatusCode::OK, Payload::Bytes(content_type, body.into()))
    }

    /// 204.
    #[must_use]
    pub const fn empty() -> Self {
        Self::with(StatusCode::NO_CONTENT, Payload::Empty)
    }

    /// A status alone.
    #[must_use]
    pub const fn bare(status: StatusCode) -> Self {
        Self::with(status, Payload::Empty)
    }

    const fn with(status: StatusCode, payload: Payload) -> Self {
        Self { status, headers: Vec::new(), payload }
    }

    /// The same answer with another header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The object that it carries, where it carries one.
    #[must_use]
    pub const fn object(&self) -> Option<&Value> {
        match &self.payload {
            Payload::Json(value) => Some(value),
            Payload::List(_) | Payload::Bytes(..) | Payload::Empty => None,
        }
    }

    /// As it goes onto the wire.
    #[must_use]
    pub fn render(self, look: Look) -> Response<Body> {
        let mut response = match self.payload {
            Payload::Json(value) => json_response(&value, look),
            Payload::List(list) => json_response(&list.body(look), look),
            Payload::Bytes(content_type, bytes) => {
                let mut response = Response::new(Body::from(bytes));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
                response
            }
            Payload::Empty => Response::new(Body::empty()),
        };
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

/// How much a client wants of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Everything that some frontend reads.
    Superset,
    /// The native half.
    Native,
}

impl Look {
    /// What the request's `Accept` asks for.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let native = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains(NATIVE_TYPE));
        if headers.get_all(ACCEPT).iter().any(native) { Self::Native } else { Self::Superset }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Superset => "application/json",
            Self::Native => NATIVE_TYPE,
        }
    }
}

impl Window {
    /// Reads `page`+`size`, `page`+`limit` or `limit`+`offset`; a limit beyond the cap is lowered
    /// to it, anything that is no number is refused.
    ///
    /// # Errors
    /// 422 that names the parameters.
    pub fn read(query: impl Fn(&str) -> Option<String>) -> Result<Self, ApiError> {
        let mut faults = super::error::FieldErrors::new();
        let mut number = |name: &str, least: usize| -> Option<usize> {
            let text = query(name)?;
            let parsed = text.parse().ok().filter(|number| *number >= least);
            if parsed.is_none() {
                faults.insert(name.to_owned(), vec![format!("must be a whole number from {least}")]);
            }
            parsed
        };
        let (page, size, limit, offset) =
            (number("page", 1), number("size", 1), number("limit", 1), number("offset", 0));
        if !faults.is_empty() {
            return Err(ApiError::fields(faults));
        }
        let limit = size.or(limit).unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
        let by_page = page.map(|page| (page - 1).saturating_mul(limit));
        Ok(Self { offset: by_page.or(offset).unwrap_or(0), limit })
    }

    /// The part of `all` in this window.
    #[must_use]
    pub fn of<T>(self, all: Vec<T>) -> Vec<T> {
        all.into_iter().skip(self.offset).take(self.limit).collect()
    }
}

impl List {
    fn body(self, look: Look) -> Value {
        let Window { offset, limit } = self.window;
        let page = offset / limit + 1;
        let pages = self.total.div_ceil(limit);
        match look {
            Look::Native => json!({
                "items": self.items, "count": self.total, "limit": limit, "offset": offset,
            }),
            Look::Superset => json!({
                "data": self.items.clone(),
                "items": self.items,
                "total": self.total,
                "count": self.total,
                "page": page,
                "size": limit,
                "limit": limit,
                "pages": pages,
                "offset": offset,
                "pagination": {
                    "page": page,
                    "limit": limit,
                    "total": self.total,
                    "total_pages": pages,
                    "has_next": offset.saturating_add(limit) < self.total,
                    "has_previous": offset > 0,
                },
            }),
        }
    }
}

/// An error as it goes onto the wire.
#[must_use]
pub fn render_error(error: &ApiError, request_id: &str, now: Timestamp, look: Look) -> Response<Body> {
    let mut response = json_response(&error_body(error, request_id, now, look), look);
    *response.status_mut() = error.code.http_status();
    let headers = response.headers_mut();
    if let Some(seconds) = error.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(allow) = error.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
        headers.insert(ALLOW, allow);
    }
    if error.code == Code::AuthenticationRequired {
        // RFC 9110 section 15.5.2: a 401 names the scheme.
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn error_body(error: &ApiError, request_id: &str, now: Timestamp, look: Look) -> Value {
    let mut inner = Map::new();
    inner.insert("code".into(), error.code.name().into());
    inner.insert("message".into(), error.message.clone().into());
    inner.insert("details".into(), error.details.as_deref().cloned().unwrap_or_else(|| json!({})));
    inner.insert("field_errors".into(), json!(error.field_errors));
    inner.insert("request_id".into(), request_id.into());
    let mut body = inner.clone();
    match look {
        Look::Native => {}
        Look::Superset => {
            // `detail` is always a string: clients show it as it is.
            body.insert("detail".into(), error.message.clone().into());
            body.insert("error".into(), inner.into());
        }
    }
    body.insert("timestamp".into(), now.to_string().into());
    body.insert("retryable".into(), error.code.retryable().into());
    body.into()
}

fn json_response(value: &Value, look: Look) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(look.content_type()));
    response
}

/// The media type that asks for the native half of an answer.
pub const NATIVE_TYPE: &str = "application/vnd.dotmac.edge+json";
/// Most items in one answer: bounds the memory of a request.
pub const MAX_LIMIT: usize = 500;
/// Items in an answer unless asked otherwise.
pub const DEFAULT_LIMIT: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    fn window(query: &[(&str, &str)]) -> Result<Window, ApiError> {
        Window::read(|name| query.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn every_way_to_ask_for_a_page_means_the_same() {
        let third = Window { offset: 40, limit: 20 };
        assert_eq!(window(&[("page", "3"), ("size", "20")]), Ok(third));
        assert_eq!(window(&[("page", "3"), ("limit", "20")]), Ok(third));
        assert_eq!(window(&[("limit", "20"), ("offset", "40")]), Ok(third));
        assert_eq!(window(&[]), Ok(Window { offset: 0, limit: 50 }));
        assert_eq!(window(&[("limit", "9999")]).unwrap().limit, 500);
        assert_eq!(window(&[("page", "18446744073709551615"), ("size", "500")]).unwrap().offset, usize::MAX);
    }

    #[test]
    fn a_window_that_is_no_number_names_every_wrong_parameter() {
        let error = window(&[("page", "0"), ("limit", "x")]).unwrap_err();
        assert_eq!(error.field_errors.keys().collect::<Vec<_>>(), ["limit", "page"]);
    }

    #[test]
    fn a_list_carries_every_name_that_frontends_read() {
        let body = List { items: vec![json!(1)], total: 41, window: Window { offset: 20, limit: 20 } }
            .body(Look::Superset);
        assert_eq!(body["items"], body["data"]);
        assert_eq!(body["total"], 41);
        assert_eq!(body["count"], 41);
        assert_eq!(body["page"], 2);
        assert_eq!(body["pages"], 3);
        assert_eq!(body["size"], body["limit"]);
        assert_eq!(body["pagination"]["total_pages"], 3);
        assert_eq!(body["pagination"]["has_next"], true);
        assert_eq!(body["pagination"]["has_previous"], true);
    }

    #[test]
    fn the_native_look_halves_a_list() {
        let list =
            List { items: vec![json!({"id": 1}); 9], total: 9, window: Window { offset: 0, limit: 50 } };
        let native = list.clone().body(Look::Native).to_string().len();
        let superset = list.body(Look::Superset).to_string().len();
        assert!(native * 2 < superset, "{native} {superset}");
    }

    #[test]
    fn an_error_is_readable_in_every_dialect_and_its_detail_is_a_string() {
        let error = ApiError::field("email", "must not be empty");
        let body = error_body(&error, "r-1", Timestamp::UNIX_EPOCH, Look::Superset);
        assert_eq!(body["code"], "validation_error");
        assert_eq!(body["error"]["code"], "validation_error");
        assert_eq!(body["error"]["field_errors"]["email"][0], "must not be empty");
        assert_eq!(body["field_errors"], body["error"]["field_errors"]);
        assert_eq!(body["detail"], body["message"]);
        assert!(body["detail"].is_string());
        assert_eq!(body["request_id"], "r-1");
        assert_eq!(body["timestamp"], "1970-01-01T00:00:00Z");
        assert_eq!(body["retryable"], false);
        assert_eq!(error_body(&error, "r-1", Timestamp::UNIX_EPOCH, Look::Native).get("error"), None);
    }

    #[test]
    fn a_wait_and_the_allowed_methods_are_headers() {
        let error = ApiError {
            allow: Some("GET, POST".into()),
            ..ApiError::retry_after(Code::RateLimited, "Too many attempts.", 0)
        };
        let response = render_error(&error, "r", Timestamp::UNIX_EPOCH, Look::Superset);
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert_eq!(response.headers()[ALLOW], "GET, POST");
    }
}
