//! The Internet's web server: the bodies that devices look for to learn whether they are online, each
//! as its maker serves it, a file that never ends, and the stand-in for a payment gateway. On a thread
//! of its own, inside of the Internet's namespace.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Bytes, Frame};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::paystack::Paystack;
use super::space::Space;
use crate::cli::error::CliError;
use crate::cli::talk::runtime;

/// The running web server; it ends with the value.
#[derive(Debug)]
pub(super) struct Internet {
    stop: CancellationToken,
}

impl Internet {
    /// Starts it; returns when it listens.
    pub(super) fn start(space: &Space, paystack: &Paystack) -> Result<Self, CliError> {
        let stop = CancellationToken::new();
        let (sender, listens) = std::sync::mpsc::channel();
        let (until, payment) = (stop.clone(), paystack.routes());
        // Not waited for: it ends soon after it is told to, or with the process.
        let _thread = space.thread(move || match runtime() {
            Ok(runtime) => runtime.block_on(serve(payment, &sender, &until)),
            // The other end sees that nothing came.
            Err(_) => drop(sender),
        })?;
        let failed =
            |error: &dyn std::error::Error| CliError::failed("start the Internet's web server", error);
        let bound = listens.recv().map_err(|error| failed(&error))?;
        bound.map_err(|error| failed(&error))?;
        Ok(Self { stop })
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(
    payment: Router,
    sender: &std::sync::mpsc::Sender<std::io::Result<()>>,
    stop: &CancellationToken,
) {
    let bound = async {
        // Both families each.
        Ok((TcpListener::bind("[::]:80").await?, TcpListener::bind("[::]:443").await?))
    };
    let (web, tls) = match bound.await {
        Ok(bound) => bound,
        Err(error) => {
            let _ = sender.send(Err(error));
            return;
        }
    };
    let _ = sender.send(Ok(()));
    let app = payment.fallback(answer);
    tokio::select! {
        _ = axum::serve(web, app).into_future() => {}
        () = hang_up(tls) => {}
        () = stop.cancelled() => {}
    }
}

/// Where TLS would be: enough to tell a connection that comes through from one that is refused.
async fn hang_up(listener: TcpListener) {
    while listener.accept().await.is_ok() {}
}

async fn answer(uri: Uri, headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    if uri.path() == "/download" {
        return Body::new(Endless).into_response();
    }
    let Some((_, _, status, kind, body)) =
        PAGES.iter().find(|(of, path, ..)| *path == uri.path() && (of.is_empty() || *of == host))
    else {
        return (StatusCode::OK, format!("This is {host}, on the Internet.\n")).into_response();
    };
    let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::OK);
    if kind.is_empty() {
        return status.into_response();
    }
    (status, [(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "no-store")], *body).into_response()
}

/// A body without an end.
struct Endless;

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&BLOCK)))))
    }
}

static BLOCK: [u8; 16_384] = [b'.'; 16_384];

/// Host (empty: any), path, and what is served there: status, type and body, as seen from the real ones.
const PAGES: &[(&str, &str, u16, &str, &str)] = &[
    ("", "/generate_204", 204, "", ""),
    ("", "/gen_204", 204, "", ""),
    ("", "/hotspot-detect.html", 200, "text/html", APPLE),
    ("www.apple.com", "/library/test/success.html", 200, "text/html", APPLE),
    ("www.msftconnecttest.com", "/connecttest.txt", 200, "text/plain", "Microsoft Connect Test"),
    ("ipv6.msftconnecttest.com", "/connecttest.txt", 200, "text/plain", "Microsoft Connect Test"),
    ("www.msftncsi.com", "/ncsi.txt", 200, "text/plain", "Microsoft NCSI"),
    ("detectportal.firefox.com", "/canonical.html", 200, "text/html", FIREFOX),
    ("detectportal.firefox.com", "/success.txt", 200, "text/plain", "success\n"),
    ("network-test.debian.org", "/nm", 200, "text/plain", "NetworkManager is online\n"),
    ("nmcheck.gnome.org", "/check_network_status.txt", 200, "text/plain", "NetworkManager is online\n"),
    ("fedoraproject.org", "/static/hotspot.txt", 200, "text/plain", "OK"),
    ("networkcheck.kde.org", "/", 200, "text/plain", "OK\n"),
];
const APPLE: &str = "<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>";
const FIREFOX: &str =
    "<meta http-equiv=\"refresh\" content=\"0;url=https://support.mozilla.org/kb/captive-portal\"/>";
