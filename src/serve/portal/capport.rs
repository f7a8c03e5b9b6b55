//! `/capport/api` (RFC 8908): what an operating system asks to know whether its device is captive.
//!
//! Its identity is the source address, as for enforcement, so both say the same. The one rule: asking
//! often changes nothing but the answer to those who ask too often.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, VARY};
use axum::http::{HeaderMap, Response, StatusCode};
use serde_json::{Map, Value};

use super::Portal;
use super::asked::Asked;
use super::page::go;
use crate::reception::Online;

pub(super) async fn answer(State(portal): State<Portal>, asked: Asked) -> Response<Body> {
    let mut response = if wants_it(&asked.headers) {
        if portal.pace.allows(asked.source, asked.now.as_millisecond()) {
            told(&portal, &asked).await
        } else {
            too_often()
        }
    } else {
        // RFC 8910 section 2: whoever does not ask for the API's type is a person.
        go("/", None)
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}

async fn told(portal: &Portal, asked: &Asked) -> Response<Body> {
    let online = match &asked.device {
        Some(device) => portal.reception.online(device, asked.now).await,
        None => None,
    };
    let body = Value::from(body(&portal.name, online.as_ref(), asked.now));
    let mut response = Response::new(Body::from(body.to_string()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
}

/// RFC 8908 section 5. The address is the same in both states: phones show it as the network's own page.
fn body(name: &str, online: Option<&Online>, now: jiff::Timestamp) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("captive".into(), online.is_none().into());
    body.insert("user-portal-url".into(), format!("https://{name}/").into());
    body.insert("venue-info-url".into(), format!("https://{name}/status").into());
    body.insert("can-extend-session".into(), false.into());
    let Some(online) = online else { return body };
    if let Some(end) = online.ends_at {
        body.insert("seconds-remaining".into(), end.duration_since(now).as_secs().max(0).into());
    }
    if let Some(octets) = online.remaining_octets {
        body.insert("bytes-remaining".into(), octets.into());
    }
    body
}

fn too_often() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(PAUSE_SECS));
    response
}

/// Whether some media range names the API's type and does not exclude it (RFC 9110 section 12.5.1). The
/// ranges that browsers send for anything do not count.
fn wants_it(headers: &HeaderMap) -> bool {
    let texts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(MEDIA_TYPE));
        named && !parts.any(is_none)
    })
}

/// A weight of zero.
fn is_none(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    name.trim().eq_ignore_ascii_case("q") && value.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0)
}

/// How often each source may ask.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<IpAddr, i64>>);

impl Pace {
    /// A generic cell rate: a burst at once, then one in each pause. When the table is full of busy
    /// sources, everybody may: the answer is cheap, the table must not grow.
    fn allows(&self, source: Option<IpAddr>, now_millis: i64) -> bool {
        let Some(source) = source else { return true };
        let mut due = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if due.len() >= MOST_SOURCES && !due.contains_key(&source) {
            due.retain(|_, at| *at > now_millis);
            if due.len() >= MOST_SOURCES {
                return true;
            }
        }
        let at = due.get(&source).copied().unwrap_or(now_millis).max(now_millis);
        if at - now_millis > i64::from(BURST) * STEP_MILLIS {
            return false;
        }
        due.insert(source, at + STEP_MILLIS);
        true
    }
}

const MEDIA_TYPE: &str = "application/captive+json";
/// Systems ask a few times in a row around a login.
const BURST: u32 = 20;
/// And then at most every other second.
const STEP_MILLIS: i64 = 2_000;
/// What they are told to wait.
const PAUSE_SECS: u32 = 10;
/// As many as there are devices on the largest box.
const MOST_SOURCES: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::SessionId;
    use crate::domain::rate::{BitsPerSecond, Download, Rates, Upload};

    #[test]
    fn the_type_is_found_in_lists_with_weights() {
        let wants = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            wants_it(&headers)
        };
        for accept in [
            "application/captive+json",
            "Application/Captive+JSON; q=0.1",
            "text/html;q=0.9, application/captive+json;v=1 , */*;q=0.1",
        ] {
            assert!(wants(accept), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/html",
            "application/json",
            "application/captive+json;q=0",
            "application/captive+json; Q=0.000",
        ] {
            assert!(!wants(accept), "{accept}");
        }
        assert!(!wants_it(&HeaderMap::new()));
    }

    #[test]
    fn what_is_left_is_told_only_to_who_is_online_and_limited() {
        let now = jiff::Timestamp::from_second(1_000).unwrap();
        let rate = BitsPerSecond::new(1_000).unwrap();
        let mut online = Online {
            session: SessionId(uuid::Uuid::nil()),
            since: now,
            service: None,
            subscriber: None,
            confirming: None,
            plan: String::new(),
            rates: Rates { down: Download(rate), up: Upload(rate) },
            down_octets: 0,
            up_octets: 0,
            remaining_octets: Some(5),
            ends_at: Some(jiff::Timestamp::from_second(1_060).unwrap()),
        };
        let captive = body("portal.example.net", None, now);
        assert_eq!(captive["captive"], true);
        assert_eq!(captive["user-portal-url"], "https://portal.example.net/");
        assert!(!captive.contains_key("bytes-remaining") && captive.contains_key("venue-info-url"));
        let limited = body("portal.example.net", Some(&online), now);
        assert_eq!(limited["captive"], false);
        assert_eq!(limited["seconds-remaining"], 60);
        assert_eq!(limited["bytes-remaining"], 5);
        online.remaining_octets = None;
        online.ends_at = None;
        let unlimited = body("portal.example.net", Some(&online), now);
        assert!(!unlimited.contains_key("seconds-remaining") && !unlimited.contains_key("bytes-remaining"));
    }

    #[test]
    fn a_source_that_asks_too_often_waits_and_others_do_not() {
        let pace = Pace::default();
        let (one, other) = ("10.0.0.9".parse().ok(), "10.0.0.10".parse().ok());
        let at_once = (0..100).filter(|_| pace.allows(one, 0)).count();
        assert_eq!(at_once, usize::try_from(BURST).unwrap() + 1);
        assert!(pace.allows(other, 0));
        assert!(pace.allows(one, STEP_MILLIS));
        assert!(!pace.allows(one, STEP_MILLIS));
    }
}
