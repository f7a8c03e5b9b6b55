//! What surrounds each request: an id, a host that is ours, a time limit, a net under panics, and
//! headers that keep a browser from doing more with an answer than reading it.
//!
//! Not for access: a door knows who may call what. The one rule: every answer leaves with a
//! request id and the security headers, also those that no handler made.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, Request, Response};
use tower::ServiceExt;

use super::Fault;
use crate::base::entropy::Entropy;

/// A request's name in logs, answers and audit entries; a request extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub Arc<str>);

/// How a door words a [`Fault`].
pub type RenderFault = Arc<dyn Fn(Fault, &RequestId) -> Response<Body> + Send + Sync>;

/// What a door wants of the guard around it.
#[derive(Clone)]
pub struct Guard {
    /// Host names served, lower case, without port; `None` serves any well-formed one.
    pub hosts: Option<Vec<String>>,
    /// Longest time from head to answer.
    pub time_limit: Duration,
    /// Makes request ids.
    pub entropy: Entropy,
    /// Words faults.
    pub render: RenderFault,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Guard {
    /// A guard with the usual time limit that serves any host.
    #[must_use]
    pub fn new(entropy: Entropy, render: RenderFault) -> Self {
        Self { hosts: None, time_limit: TIME_LIMIT, entropy, render }
    }

    /// Answers one request through `router`.
    pub async fn answer(&self, router: Router, mut request: Request<Body>) -> Response<Body> {
        let id = self.request_id(request.headers());
        request.extensions_mut().insert(id.clone());
        let mut response = match self.check_host(request.headers()) {
            Ok(()) => self.run(router, request, &id).await,
            Err(fault) => (self.render)(fault, &id),
        };
        dress(response.headers_mut(), &id);
        response
    }

    /// Runs the handler as a task of its own, so that a panic ends nothing else and a peer that
    /// hangs up does not leave a change half decided.
    async fn run(&self, router: Router, request: Request<Body>, id: &RequestId) -> Response<Body> {
        match tokio::spawn(tokio::time::timeout(self.time_limit, router.oneshot(request))).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Ok(Err(never))) => match never {},
            Ok(Err(_)) => (self.render)(Fault::TooSlow, id),
            Err(_) => {
                tracing::error!(request.id = %id.0, "A request's handler panicked");
                (self.render)(Fault::Broken, id)
            }
        }
    }

    fn request_id(&self, headers: &HeaderMap) -> RequestId {
        let given = [&REQUEST_ID, &CORRELATION_ID].into_iter().find_map(|name| sane_id(headers.get(name)?));
        RequestId(given.unwrap_or_else(|| self.new_id()).into())
    }

    fn new_id(&self) -> String {
        let mut id = String::with_capacity(32);
        for byte in self.entropy.bytes::<16>().unwrap_or_default() {
            // Writing to a String cannot fail.
            let _ = write!(id, "{byte:02x}");
        }
        id
    }

    fn check_host(&self, headers: &HeaderMap) -> Result<(), Fault> {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(Fault::BadHost) };
        let host = host.to_str().map_err(|_| Fault::BadHost)?;
        let authority: axum::http::uri::Authority = host.parse().map_err(|_| Fault::BadHost)?;
        if host.contains('@') {
            return Err(Fault::BadHost);
        }
        let name = authority.host().to_ascii_lowercase();
        match &self.hosts {
            Some(served) if !served.contains(&name) => Err(Fault::OtherHost),
            Some(_) | None => Ok(()),
        }
    }
}

fn sane_id(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let fits = (1..=MAX_REQUEST_ID).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    fits.then(|| text.to_owned())
}

fn dress(headers: &mut HeaderMap, id: &RequestId) {
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        headers.insert(REQUEST_ID, value.clone());
        headers.insert(CORRELATION_ID, value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // A page may ask for less strictness, and a public answer for a cache.
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// Header with a request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The same id under its other common name.
pub const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
/// Nothing may be loaded, framed or submitted from an answer.
pub const POLICY: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// Clients give up after 30 s; an answer that comes later is work for nobody.
pub const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Long enough for any usual id, short enough for a log line.
const MAX_REQUEST_ID: usize = 128;

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::routing::get;

    use super::*;

    fn render(fault: Fault, _: &RequestId) -> Response<Body> {
        let status = match fault {
            Fault::BadHost => 400,
            Fault::OtherHost => 421,
            Fault::TooSlow => 503,
            Fault::Broken => 500,
            Fault::TooLarge | Fault::BodyBroken => 413,
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response
    }

    fn guard() -> Guard {
        Guard::new(Entropy::seeded(1), Arc::new(render))
    }

    fn router() -> Router {
        async fn broken() -> &'static str {
            panic!("as the test wants")
        }
        Router::new()
            .route("/ok", get(|| async { "ok" }))
            .route("/broken", get(broken))
            .route("/slow", get(std::future::pending::<&'static str>))
    }

    fn ask(path: &str) -> axum::http::request::Builder {
        Request::get(path)
    }

    #[tokio::test]
    async fn every_answer_has_an_id_and_the_security_headers() {
        let request = ask("/ok").header(HOST, "edge.example").body(Body::empty()).unwrap();
        let response = guard().answer(router(), request).await;
        assert_eq!(response.status(), 200);
        let headers = response.headers();
        assert_eq!(headers[&REQUEST_ID].len(), 32);
        assert_eq!(headers[&REQUEST_ID], headers[&CORRELATION_ID]);
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert!(headers[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("frame-ancestors 'none'"));
    }

    #[tokio::test]
    async fn a_sane_id_is_kept_and_another_is_replaced() {
        for (given, kept) in [("abc-1.2_3", true), ("a b", false), ("x".repeat(129).as_str(), false)] {
            let request =
                ask("/ok").header(HOST, "a").header(&REQUEST_ID, given).body(Body::empty()).unwrap();
            let response = guard().answer(router(), request).await;
            assert_eq!(response.headers()[&REQUEST_ID] == given, kept, "{given}");
        }
    }

    #[tokio::test]
    async fn a_host_must_be_given_once_be_well_formed_and_be_ours() {
        let served = Guard { hosts: Some(vec!["edge.example".into(), "[::1]".into()]), ..guard() };
        for (hosts, status) in [
            (vec![], 400),
            (vec!["edge.example", "edge.example"], 400),
            (vec!["a b"], 400),
            (vec!["x@edge.example"], 400),
            (vec!["other.example"], 421),
            (vec!["EDGE.example:8080"], 200),
            (vec!["[::1]:80"], 200),
        ] {
            let mut request = ask("/ok");
            for host in &hosts {
                request = request.header(HOST, *host);
            }
            let request = request.body(Body::empty()).unwrap();
            assert_eq!(served.answer(router(), request).await.status(), status, "{hosts:?}");
        }
    }

    #[tokio::test]
    async fn a_panic_and_a_handler_that_hangs_become_answers() {
        let quick = Guard { time_limit: Duration::from_millis(20), ..guard() };
        for (path, status) in [("/broken", 500), ("/slow", 503)] {
            let request = ask(path).header(HOST, "a").body(Body::empty()).unwrap();
            assert_eq!(quick.answer(router(), request).await.status(), status);
        }
    }
}
