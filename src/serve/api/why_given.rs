//! Why somebody does something, in their own words, for the audit log.
//!
//! Sent as the header `X-Reason` or as the body's field `reason`; kept with the entry of whatever the request
//! changes. The one rule: it is a line of text and nothing else, or the request is refused.

use axum::http::{HeaderMap, Method};
use serde_json::Value;

use super::call::Call;
use super::error::ApiError;
use crate::domain::text::Line;

/// What was given with a request that changes something.
pub(super) fn given(method: &Method, headers: &HeaderMap, body: &[u8]) -> Result<Option<String>, ApiError> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(None);
    }
    if let Some(header) = headers.get(HEADER) {
        let text = String::from_utf8_lossy(header.as_bytes());
        return line(text.trim()).map_err(|fault| ApiError::field(HEADER, fault));
    }
    Ok(in_body(body).and_then(|text| line(text.trim()).ok().flatten()))
}

impl Call {
    /// Why this is done, where somebody must be able to ask later.
    ///
    /// # Errors
    /// 422 for `reason` where none was given.
    pub fn reason(&self) -> Result<&str, ApiError> {
        let missing = || ApiError::field("reason", "is required; say in a few words why you do this");
        self.actor.why.as_deref().ok_or_else(missing)
    }
}

/// The body's own field. A body that is no such object, or whose `reason` is something else, is the
/// handler's to judge.
fn in_body(body: &[u8]) -> Option<String> {
    // Most bodies have none, and need not be read twice.
    let named = body.windows(FIELD.len()).any(|window| window == FIELD);
    let value: Value = named.then(|| serde_json::from_slice(body).ok())??;
    value.get("reason")?.as_str().map(str::to_owned)
}

fn line(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    Line::parse(text).map(|line| Some(line.to_string())).map_err(|fault| fault.to_string())
}

/// The header that carries it.
const HEADER: &str = "x-reason";
/// How the field begins in JSON.
const FIELD: &[u8] = b"\"reason\"";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: Option<&str>, body: &str) -> Result<Option<String>, ApiError> {
        let mut headers = HeaderMap::new();
        if let Some(text) = header {
            headers.insert(HEADER, axum::http::HeaderValue::from_bytes(text.as_bytes()).unwrap());
        }
        given(&Method::POST, &headers, body.as_bytes())
    }

    #[test]
    fn a_reason_comes_by_header_or_by_body_and_is_one_line() {
        assert_eq!(of(Some(" paid twice "), "{}"), Ok(Some("paid twice".to_owned())));
        assert_eq!(of(None, r#"{"reason": "moved away"}"#), Ok(Some("moved away".to_owned())));
        assert_eq!(of(Some("Ọlá"), r#"{"reason": "other"}"#), Ok(Some("Ọlá".to_owned())));
        for none in ["", "{}", r#"{"reason": 7}"#, r#"{"reason": ""}"#, "\"reason\"", r#"{"reason": "a\nb"}"#]
        {
            assert_eq!(of(None, none), Ok(None), "{none}");
        }
        assert!(of(Some(&"x".repeat(5_000)), "{}").is_err());
        assert_eq!(given(&Method::GET, &HeaderMap::new(), br#"{"reason": "x"}"#), Ok(None));
    }
}
