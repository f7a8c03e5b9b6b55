//! What a captive device gets, whatever it asked for: the way to the portal.
//!
//! Phones, laptops and programs ask for many names to find out whether they are captive
//! (`captive.apple.com`, `connectivitycheck.gstatic.com` and so on); they all get the same answer,
//! so that no table of them can be out of date. The one rule: nothing is looked up and nothing of
//! the request is said again, so a flood of such requests costs little and a hostile one gains nothing.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue, LOCATION,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{Method, Response, StatusCode};
use metrics::Counter;

use super::POLICY_OF_BARE_PAGES;
use crate::serve::http::server::Front;

/// The answers of the plain door, made once.
pub(super) struct Captive {
    name: String,
    /// The pages that are also under the safe origin; empty where this door serves them itself.
    moved: Vec<(&'static str, HeaderValue)>,
    front_page: HeaderValue,
    body: Bytes,
    found: Counter,
    required: Counter,
    see_other: Counter,
}

impl Captive {
    /// `origin` is where the pages are; `moves` are the paths that this door sends there instead of serving.
    /// `None` when the name does not fit into a header, which a checked configuration excludes.
    pub(super) fn new(name: &str, origin: &str, moves: &[&'static str]) -> Option<Self> {
        let location = |path: &str| HeaderValue::from_str(&format!("{origin}{path}")).ok();
        let moved = moves.iter().filter_map(|path| Some((*path, location(path)?))).collect();
        let body = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Log in to the network</title>\
             <p><a href=\"{origin}/\">Log in to use this network</a>\n"
        );
        let counter = |answer: &'static str| metrics::counter!("portal_captive_total", "answer" => answer);
        Some(Self {
            name: name.to_owned(),
            moved,
            front_page: location("/")?,
            body: body.into(),
            found: counter("redirect"),
            required: counter("authentication_required"),
            see_other: counter("to_https"),
        })
    }

    /// The same as what a door asks first.
    pub(super) fn front(self) -> Front {
        let this = Arc::new(self);
        Arc::new(move |head| this.answer(head))
    }

    fn answer(&self, head: &Parts) -> Option<Response<Body>> {
        let is_read = head.method == Method::GET || head.method == Method::HEAD;
        if !self.is_for_us(head) {
            return Some(if is_read { self.redirect(self.front_page.clone()) } else { self.refuse() });
        }
        if self.moved.is_empty() {
            return None;
        }
        self.see_other.increment(1);
        let path = head.uri.path();
        let known = self.moved.iter().find(|(moved, _)| *moved == path).filter(|_| is_read);
        let to = known.map_or(&self.front_page, |(_, location)| location).clone();
        // A form that came here in clear must not be sent again by the browser: it begins anew.
        let status = if is_read { StatusCode::FOUND } else { StatusCode::SEE_OTHER };
        Some(self.page(status, Some(to)))
    }

    /// RFC 9112 section 3.2.2: a host in the request line counts before the header.
    fn is_for_us(&self, head: &Parts) -> bool {
        if let Some(authority) = head.uri.authority() {
            return self.is_our_name(authority);
        }
        let mut hosts = head.headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        host.to_str()
            .ok()
            .filter(|host| !host.contains('@'))
            .and_then(|host| host.parse::<Authority>().ok())
            .is_some_and(|authority| self.is_our_name(&authority))
    }

    fn is_our_name(&self, authority: &Authority) -> bool {
        authority.host().eq_ignore_ascii_case(&self.name)
    }

    /// 302: what ChromeOS and ConnMan take the address of the portal from; they do not from a 307.
    fn redirect(&self, to: HeaderValue) -> Response<Body> {
        self.found.increment(1);
        self.page(StatusCode::FOUND, Some(to))
    }

    /// 511 (RFC 6585 section 6): what is not a read would lose its body in a redirect.
    fn refuse(&self) -> Response<Body> {
        self.required.increment(1);
        self.page(StatusCode::NETWORK_AUTHENTICATION_REQUIRED, None)
    }

    fn page(&self, status: StatusCode, to: Option<HeaderValue>) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if let Some(to) = to {
            headers.insert(LOCATION, to);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY_OF_BARE_PAGES));
        response
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn ask(method: &str, uri: &str, hosts: &[&str]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn answer(moves: &[&'static str], head: &Parts) -> Option<(u16, Option<String>)> {
        let captive = Captive::new("portal.example.net", "https://portal.example.net", moves).unwrap();
        let answer = captive.answer(head)?;
        let location = answer.headers().get(LOCATION).map(|to| to.to_str().unwrap().to_owned());
        Some((answer.status().as_u16(), location))
    }

    #[test]
    fn only_one_well_formed_host_of_ours_is_ours() {
        let front = (302, Some("https://portal.example.net/".to_owned()));
        for hosts in [
            &[][..],
            &["other.example"],
            &["portal.example.net", "portal.example.net"],
            &["x@portal.example.net"],
            &["portal.example.net.evil.example"],
            &["portal.example.net."],
            &["a b"],
        ] {
            assert_eq!(answer(&[], &ask("GET", "/x", hosts)), Some(front.clone()), "{hosts:?}");
        }
        for hosts in [&["portal.example.net"][..], &["PORTAL.example.net:80"]] {
            assert_eq!(answer(&[], &ask("GET", "/x", hosts)), None, "{hosts:?}");
        }
        let absolute = ask("GET", "http://other.example/", &["portal.example.net"]);
        assert_eq!(answer(&[], &absolute), Some(front));
    }

    #[test]
    fn the_safe_origin_is_reached_by_our_paths_only() {
        let host = &["portal.example.net"][..];
        let to = |method, uri| answer(&["/", "/login"], &ask(method, uri, host)).unwrap();
        let at = |status, path: &str| (status, Some(format!("https://portal.example.net{path}")));
        assert_eq!(to("GET", "/login?next=//evil.example"), at(302, "/login"));
        assert_eq!(to("GET", "//evil.example"), at(302, "/"));
        assert_eq!(to("POST", "/login"), at(303, "/"));
    }
}
