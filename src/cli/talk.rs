//! HTTP/1.1 as the asking side: to the daemon over its control socket, and, in the demo, to its
//! admin listener.
//!
//! The one rule: an answer of the API is shown as its sentence, its field errors and what to do;
//! a daemon that does not answer is told apart from one that says no.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::error::CliError;
use super::terminal::Terminal;

/// A way to a daemon.
#[derive(Debug, Clone)]
pub(super) struct Talk {
    place: Place,
    token: Option<String>,
    terminal: Terminal,
    patience: Duration,
}

#[derive(Debug, Clone)]
enum Place {
    Control(PathBuf),
    Http(SocketAddr),
}

/// What came back.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

/// What is sent along.
#[derive(Debug, Clone)]
pub(super) enum Load {
    Nothing,
    Json(Value),
    Csv(Vec<u8>),
}

impl Talk {
    pub(super) const fn control(socket: PathBuf, terminal: Terminal) -> Self {
        Self { place: Place::Control(socket), token: None, terminal, patience: PATIENCE }
    }

    pub(super) const fn http(address: SocketAddr, terminal: Terminal) -> Self {
        Self { place: Place::Http(address), token: None, terminal, patience: PATIENCE }
    }

    /// The same way, with an access token.
    pub(super) fn with_token(self, token: String) -> Self {
        Self { token: Some(token), ..self }
    }

    /// The same way, for work that takes its time.
    pub(super) fn patiently(self) -> Self {
        Self { patience: LONG_PATIENCE, ..self }
    }

    /// One request from a command that is not asynchronous itself.
    pub(super) fn ask(&self, method: Method, path: &str, load: Load) -> Result<Value, CliError> {
        let doing = format!("{method} {path}");
        runtime()?.block_on(self.terminal.waiting(&doing, self.good(method, path, load)))
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, CliError> {
        self.ask(Method::GET, path, Load::Nothing)
    }

    pub(super) fn post(&self, path: &str, body: Value) -> Result<Value, CliError> {
        self.ask(Method::POST, path, Load::Json(body))
    }

    /// One request whose answer must be good.
    pub(super) async fn good(&self, method: Method, path: &str, load: Load) -> Result<Value, CliError> {
        let answer = self.send(method, path, load).await?;
        if answer.status.is_success() { Ok(answer.body) } else { Err(refused(&answer)) }
    }

    /// One request, whatever the answer.
    pub(super) async fn send(&self, method: Method, path: &str, load: Load) -> Result<Answer, CliError> {
        let exchange = async {
            match &self.place {
                Place::Control(socket) => {
                    let stream = UnixStream::connect(socket).await.map_err(|error| self.away(&error))?;
                    self.exchange(stream, method, path, load).await
                }
                Place::Http(address) => {
                    let stream = TcpStream::connect(address).await.map_err(|error| self.away(&error))?;
                    self.exchange(stream, method, path, load).await
                }
            }
        };
        match tokio::time::timeout(self.patience, exchange).await {
            Ok(answered) => answered,
            Err(_) => Err(CliError::Unreachable(format!(
                "the daemon at {} did not answer within {} s; look at its log: journalctl -u dotmac-edge",
                self.name(),
                self.patience.as_secs()
            ))),
        }
    }

    async fn exchange<S>(&self, stream: S, method: Method, path: &str, load: Load) -> Result<Answer, CliError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let request = self.request(method, path, load)?;
        let gone = |error: hyper::Error| {
            CliError::Unreachable(format!(
                "the daemon at {} broke off ({error}); look at its log: journalctl -u dotmac-edge",
                self.name()
            ))
        };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(gone)?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(gone)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_OCTETS).collect().await;
        connection.abort();
        let body = body.map_err(|error| {
            CliError::Unreachable(format!("the daemon's answer could not be read to its end: {error}"))
        })?;
        Ok(Answer { status, body: parsed(&body.to_bytes()) })
    }

    fn request(&self, method: Method, path: &str, load: Load) -> Result<Request<Full<Bytes>>, CliError> {
        let (kind, octets) = match load {
            Load::Nothing => (None, Vec::new()),
            Load::Json(value) => (Some("application/json"), value.to_string().into_bytes()),
            Load::Csv(octets) => (Some("text/csv"), octets),
        };
        let host = match &self.place {
            Place::Control(_) => "localhost".to_owned(),
            Place::Http(address) => address.to_string(),
        };
        let mut request = Request::builder().method(method).uri(path).header(HOST, host);
        request = request.header(ACCEPT, NATIVE_TYPE);
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        request
            .body(Full::new(Bytes::from(octets)))
            .map_err(|error| CliError::Usage(format!("{path:?} cannot be asked for: {error}")))
    }

    fn away(&self, error: &std::io::Error) -> CliError {
        let remedy = if error.kind() == std::io::ErrorKind::PermissionDenied {
            "run the command as root, or as a member of the group that control.group names"
        } else {
            "start it: systemctl start dotmac-edge (or dotmac-edge serve), then see dotmac-edge doctor"
        };
        CliError::Unreachable(format!(
            "the daemon cannot be reached at {} ({error})\n  {remedy}",
            self.name()
        ))
    }

    fn name(&self) -> String {
        match &self.place {
            Place::Control(socket) => socket.display().to_string(),
            Place::Http(address) => address.to_string(),
        }
    }
}

/// A runtime for one command.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| CliError::failed("start", &error))
}

/// A text as one part of a path or of a query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// `path` with those of these parameters that have a value.
pub(super) fn with_query(path: &str, parameters: &[(&str, Option<String>)]) -> String {
    let pairs: Vec<String> = parameters
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", encoded(value.as_ref()?))))
        .collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

fn parsed(octets: &[u8]) -> Value {
    if octets.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(octets)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(octets).into_owned()))
}

/// The API's no, as a person reads it.
pub(super) fn refused(answer: &Answer) -> CliError {
    let body = &answer.body;
    let sentence = body
        .get("message")
        .and_then(Value::as_str)
        .map_or_else(|| format!("the daemon answered {}", answer.status), ToOwned::to_owned);
    let mut text = sentence;
    for (field, sentences) in body.get("field_errors").and_then(Value::as_object).into_iter().flatten() {
        for sentence in sentences.as_array().into_iter().flatten() {
            text.push_str(&format!("\n  {field}: {}", sentence.as_str().unwrap_or_default()));
        }
    }
    if let Some(remedy) = body.pointer("/details/remedy").and_then(Value::as_str) {
        text.push_str(&format!("\n  {remedy}"));
    }
    match body.get("code").and_then(Value::as_str) {
        Some("validation_error" | "bad_request" | "malformed_json") => CliError::Usage(text),
        Some(_) | None => CliError::NotSo(text),
    }
}

/// Asks for the native half of an answer.
const NATIVE_TYPE: &str = "application/vnd.dotmac.edge+json, application/json";
/// Longer than any ordinary request takes, short enough for a person to wait.
const PATIENCE: Duration = Duration::from_secs(30);
/// A backup, a check or an import of a large store.
const LONG_PATIENCE: Duration = Duration::from_secs(3_600);
/// More than the longest list; bounds our memory.
const MAX_ANSWER_OCTETS: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_no_of_the_api_shows_each_field_and_is_a_usage_fault() {
        let body = json!({"code": "validation_error", "message": "Some fields are wrong.",
            "field_errors": {"email": ["is required"]}});
        let error = refused(&Answer { status: StatusCode::UNPROCESSABLE_ENTITY, body });
        assert_eq!(
            (error.to_string().as_str(), error.status()),
            ("Some fields are wrong.\n  email: is required", 2)
        );
    }

    #[test]
    fn what_is_not_there_is_not_so() {
        let body = json!({"code": "not_found", "message": "There is no such plan."});
        assert_eq!(refused(&Answer { status: StatusCode::NOT_FOUND, body }).status(), 1);
        let bare = Answer { status: StatusCode::BAD_GATEWAY, body: Value::Null };
        assert_eq!(refused(&bare).to_string(), "the daemon answered 502 Bad Gateway");
    }

    #[test]
    fn a_query_holds_only_what_was_given_and_encodes_it() {
        let query = with_query("/x", &[("who", Some("a b&c/é".to_owned())), ("none", None)]);
        assert_eq!(query, "/x?who=a%20b%26c%2F%C3%A9");
        assert_eq!(with_query("/x", &[("none", None)]), "/x");
    }
}
