//! A small HTTP client for tests: method, path, token and JSON in; status, headers and JSON out.
//! A connection a request, over TCP or a Unix socket; nothing is retried or followed.

#![allow(missing_docs, dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};

/// Where to ask, and as whom.
#[derive(Debug, Clone)]
pub struct Client {
    target: Target,
    token: Option<String>,
    headers: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Client {
    pub fn tcp(address: SocketAddr) -> Self {
        Self { target: Target::Tcp(address), token: None, headers: Vec::new() }
    }

    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self { target: Target::Unix(path.into()), token: None, headers: Vec::new() }
    }

    /// The same client with this access token.
    pub fn token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same client with one more header.
    pub fn header(&self, name: &str, value: &str) -> Self {
        let mut other = self.clone();
        other.headers.push((name.to_owned(), value.to_owned()));
        other
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, json: Value) -> Reply {
        self.send(Method::POST, path, Some(json)).await
    }

    pub async fn put(&self, path: &str, json: Value) -> Reply {
        self.send(Method::PUT, path, Some(json)).await
    }

    pub async fn patch(&self, path: &str, json: Value) -> Reply {
        self.send(Method::PATCH, path, Some(json)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, None).await
    }

    pub async fn send(&self, method: Method, path: &str, json: Option<Value>) -> Reply {
        let body = json.map(|value| value.to_string().into_bytes());
        self.send_bytes(method, path, "application/json", body).await
    }

    pub async fn send_bytes(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<Vec<u8>>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path).header(HOST, "edge.test");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let request = request.body(body.map_or_else(Body::empty, Body::from)).unwrap();
        match &self.target {
            Target::Tcp(address) => talk(TcpStream::connect(address).await.unwrap(), request).await,
            Target::Unix(path) => talk(UnixStream::connect(path).await.unwrap(), request).await,
        }
    }
}

impl Reply {
    /// The body as JSON; `null` where there is none.
    pub fn json(&self) -> Value {
        if self.body.is_empty() { Value::Null } else { serde_json::from_slice(&self.body).unwrap() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The JSON body of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// The `code` of a refusal that must have this status.
    #[track_caller]
    pub fn refusal(&self, status: u16) -> String {
        self.expect(status)["code"].as_str().unwrap().to_owned()
    }
}

async fn talk<S>(stream: S, request: Request<Body>) -> Reply
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    drop(sender);
    connection.abort();
    Reply { status: head.status.as_u16(), headers: head.headers, body }
}
