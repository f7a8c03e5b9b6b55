//! One request as a handler sees it: who asks, when, for what.
//!
//! Made by the router after the access check, with the body already read up to the route's limit.
//! The one rule: whatever a handler takes from it is parsed or refused with the fault's name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::error::{ApiError, Code};
use super::form::{Body, Field, Form};
use super::shape::Window;
use crate::domain::audit::Actor;
use crate::domain::role::{Permission, Role};
use crate::people::api_keys::Program;
use crate::people::{CustomerVisitor, Visitor};

/// One request.
#[derive(Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The route's path with its parameters unnamed: `/api/v1/users/{id}`.
    pub route: &'static str,
    /// The path as asked for.
    pub path: String,
    /// The query as asked for, without `?`.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// Values of the path's parameters.
    pub parameters: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
    /// Who asks.
    pub caller: Caller,
    /// The same for audit entries and kept answers.
    pub actor: Actor,
    /// Where from; `None` over the control socket.
    pub source: Option<IpAddr>,
    /// Whether the request came over TLS.
    pub over_tls: bool,
    /// When: asked once, so that a request has one time.
    pub now: Timestamp,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Nobody that we know.
    Anonymous,
    /// A member of staff with a valid visit.
    Staff(Visitor),
    /// A program with a key that counts.
    Program(Program),
    /// A subscriber with a valid visit.
    Customer(CustomerVisitor),
    /// A process on this machine over the control socket, with an owner's permissions.
    Console {
        /// Its user id.
        uid: u32,
    },
}

impl Caller {
    /// The role it acts in; a program has none, but scopes.
    #[must_use]
    pub const fn role(&self) -> Option<Role> {
        match self {
            Self::Anonymous | Self::Customer(_) | Self::Program(_) => None,
            Self::Staff(visitor) => Some(visitor.role),
            Self::Console { .. } => Some(Role::Owner),
        }
    }

    /// Whether it may do that.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        match self {
            Self::Program(program) => program.scopes.contains(&permission),
            Self::Anonymous | Self::Staff(_) | Self::Customer(_) | Self::Console { .. } => {
                self.role().is_some_and(|role| role.may(permission))
            }
        }
    }
}

impl Call {
    /// The path parameter of that name, parsed; what does not parse names nothing that exists.
    ///
    /// # Errors
    /// 404 for `what`.
    pub fn id<T: FromStr>(&self, what: &str) -> Result<T, ApiError> {
        self.parameter("id", what)
    }

    /// As [`Call::id`] for a parameter with another name.
    ///
    /// # Errors
    /// 404 for `what`.
    pub fn parameter<T: FromStr>(&self, name: &str, what: &str) -> Result<T, ApiError> {
        let text = self.parameters.get(name).map(String::as_str).unwrap_or_default();
        text.parse().map_err(|_| ApiError::not_found(what))
    }

    /// The member of staff who asks.
    ///
    /// # Errors
    /// 403 for the console and for nobody: they have no account.
    pub fn visitor(&self) -> Result<&Visitor, ApiError> {
        match &self.caller {
            Caller::Staff(visitor) => Ok(visitor),
            Caller::Console { .. } | Caller::Program(_) | Caller::Customer(_) | Caller::Anonymous => {
                Err(ApiError::denied("This is about your own account; log in with one."))
            }
        }
    }

    /// The subscriber who asks.
    ///
    /// # Errors
    /// 403 for everybody else.
    pub fn customer(&self) -> Result<&CustomerVisitor, ApiError> {
        match &self.caller {
            Caller::Customer(visitor) => Ok(visitor),
            Caller::Staff(_) | Caller::Program(_) | Caller::Console { .. } | Caller::Anonymous => {
                Err(ApiError::denied("This is for subscribers, about their own account."))
            }
        }
    }

    /// The first query parameter of that name, if it is not empty.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        self.query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, value)| decode(key) == name && !value.is_empty())
            .map(|(_, value)| decode(value).into_owned())
    }

    /// A query parameter as a type.
    ///
    /// # Errors
    /// 422 that names it.
    pub fn query_as<T: Field>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let Some(text) = self.query(name) else { return Ok(None) };
        // A query knows only texts; numbers and booleans are tried as what they look like.
        let literal = serde_json::from_str::<Value>(&text).ok().filter(|value| !value.is_string());
        let as_text = T::read(&Value::String(text));
        match (as_text, literal.map(|value| T::read(&value))) {
            (Ok(value), _) | (Err(_), Some(Ok(value))) => Ok(Some(value)),
            (Err(fault), Some(Err(_)) | None) => Err(ApiError::field(name, fault)),
        }
    }

    /// Which part of a list is wanted.
    ///
    /// # Errors
    /// 422 that names the parameters.
    pub fn window(&self) -> Result<Window, ApiError> {
        Window::read(|name| self.query(name))
    }

    /// A header's text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The JSON body as what a use case takes.
    ///
    /// # Errors
    /// 415 for another media type, 400 for what is no JSON object, 422 with all field faults.
    pub fn json<T: Body>(&self) -> Result<T, ApiError> {
        let object = self.object()?;
        let mut form = Form::new(&object);
        let value = T::read(&mut form);
        form.finish(value)
    }

    /// The JSON body as an object; an empty body is an empty object.
    ///
    /// # Errors
    /// 415 for another media type, 400 for what is no JSON object.
    pub fn object(&self) -> Result<Map<String, Value>, ApiError> {
        if self.body.is_empty() {
            return Ok(Map::new());
        }
        self.expect_type(&["application/json", "+json"])?;
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(ApiError::new(Code::MalformedJson, "The body must be a JSON object.")),
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                let message = format!("The body is not JSON: line {line}, column {column}.");
                Err(ApiError::new(Code::MalformedJson, message))
            }
        }
    }

    /// Refuses a body whose media type does not end in one of these; none given is let pass.
    ///
    /// # Errors
    /// 415.
    pub fn expect_type(&self, endings: &[&str]) -> Result<(), ApiError> {
        let Some(given) = self.headers.get(CONTENT_TYPE) else { return Ok(()) };
        let given = given.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        let given = given.trim().to_ascii_lowercase();
        if endings.iter().any(|ending| given.ends_with(ending)) {
            return Ok(());
        }
        let message = format!("Send the body as {}.", endings.first().unwrap_or(&"application/json"));
        Err(ApiError::new(Code::UnsupportedMediaType, message))
    }
}

/// Undoes percent-encoding and `+`; what is malformed stays as it is.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).filter(|_| *first == b'%').and_then(hex);
        match (first, escaped) {
            (_, Some(byte)) => {
                out.push(byte);
                rest = tail.get(2..).unwrap_or_default();
                continue;
            }
            (b'+', None) => out.push(b' '),
            (other, None) => out.push(*other),
        }
        rest = tail;
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(query: &str, content_type: Option<&str>, body: &str) -> Call {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        }
        Call {
            method: Method::POST,
            route: "/x",
            path: "/x".into(),
            query: query.into(),
            headers,
            parameters: BTreeMap::new(),
            body: body.as_bytes().to_vec(),
            caller: Caller::Anonymous,
            actor: Actor::system(),
            source: None,
            over_tls: false,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_query_is_decoded_and_typed() {
        let call = call("q=a%20b%2Bc+d&role=Owner&n=7&bad=%zz&empty=", None, "");
        assert_eq!(call.query("q").as_deref(), Some("a b+c d"));
        assert_eq!(call.query_as::<Role>("role"), Ok(Some(Role::Owner)));
        assert_eq!(call.query_as::<u32>("n"), Ok(Some(7)));
        assert_eq!(call.query("bad").as_deref(), Some("%zz"));
        assert_eq!(call.query("empty"), None);
        assert!(call.query_as::<Role>("q").is_err());
    }

    #[test]
    fn a_body_that_is_not_a_json_object_is_named_as_such() {
        let code = |content_type, body| call("", content_type, body).object().map_err(|error| error.code);
        assert_eq!(code(Some("application/json; charset=utf-8"), "{}"), Ok(Map::new()));
        assert_eq!(code(Some("application/vnd.dotmac.edge+json"), "{}"), Ok(Map::new()));
        assert_eq!(code(Some("text/plain"), "{}"), Err(Code::UnsupportedMediaType));
        assert_eq!(code(None, "[1]"), Err(Code::MalformedJson));
        assert_eq!(code(None, "{\"a\":"), Err(Code::MalformedJson));
        assert_eq!(code(None, ""), Ok(Map::new()));
        assert_eq!(json!(code(None, "{\"a\":1}").unwrap()), json!({"a": 1}));
    }
}
