//! Accepts connections, speaks HTTP/1.1 on them, and drains at the end.
//!
//! The one rule: every wait has an end. A peer that withholds its head is dropped after
//! [`HEADER_LIMIT`], one that does not finish its TLS handshake after [`HANDSHAKE_LIMIT`],
//! connections beyond [`MAX_CONNECTIONS`] wait in the kernel's backlog, and a drain gives up at its
//! deadline.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Request, Response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::guard::Guard;
use super::peer::{Credentials, OverTls, Peer};
use super::places::{Place, Places};
use super::tls::Tls;

/// Decides from its credentials whether a local process may speak to us at all.
pub type Admission = Arc<dyn Fn(Credentials) -> bool + Send + Sync>;

/// Answers a request by its head alone, before anything else looks at it; `None` leaves it to the
/// router. It must not wait, and dresses its answers itself.
pub type Front = Arc<dyn Fn(&Parts) -> Option<Response<Body>> + Send + Sync>;

/// Where connections come from.
pub enum Listener {
    /// Over the network.
    Tcp(TcpListener),
    /// Over the network, within TLS.
    Tls(TcpListener, Tls),
    /// From processes on this machine that the admission lets in.
    Unix(UnixListener, Admission),
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(listener) | Self::Tls(listener, _) => listener.fmt(f),
            Self::Unix(listener, _) => listener.fmt(f),
        }
    }
}

/// A door's settings: what surrounds its requests, and its bounds.
#[derive(Clone)]
pub struct Settings {
    /// What surrounds each request.
    pub guard: Guard,
    /// What is asked first, where a door has such a thing.
    pub front: Option<Front>,
    /// Most connections at a time.
    pub connections: usize,
    /// Most of them from one address; `None` where that is not bounded.
    pub of_one_source: Option<usize>,
    /// Whether a connection may carry a second request.
    pub keep_alive: bool,
    /// Largest head, octets; at least 8 KiB.
    pub head_limit: usize,
    /// Longest time for a request's head, also for the next one on a kept connection.
    pub header_limit: Duration,
    /// Longest time that requests under way may take once the door closes.
    pub drain_limit: Duration,
}

impl Settings {
    /// The usual bounds around this guard.
    #[must_use]
    pub fn new(guard: Guard) -> Self {
        Self {
            guard,
            front: None,
            connections: MAX_CONNECTIONS,
            of_one_source: None,
            keep_alive: true,
            head_limit: MAX_HEAD,
            header_limit: HEADER_LIMIT,
            drain_limit: DRAIN_LIMIT,
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("guard", &self.guard).finish_non_exhaustive()
    }
}

/// Serves until `stop` is cancelled, then lets requests under way end within the drain limit.
/// Answers true when all of them did.
pub async fn serve(listener: Listener, router: Router, settings: Settings, stop: CancellationToken) -> bool {
    let drain_limit = settings.drain_limit;
    let door = Arc::new(Door { router, settings, stop: stop.clone() });
    let of_one_source = door.settings.of_one_source.unwrap_or(usize::MAX);
    let places = Places::new(door.settings.connections, of_one_source);
    let tasks = TaskTracker::new();
    while let Some(place) = next_place(&places, &stop).await {
        let accepted = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok(Some(accepted)) => begin(&door, &tasks, &places, place, accepted),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "A connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tasks.close();
    tokio::time::timeout(drain_limit, tasks.wait()).await.is_ok()
}

struct Door {
    router: Router,
    settings: Settings,
    stop: CancellationToken,
}

/// A connection that has to be made something of.
enum Accepted {
    Plain(Stream, Peer),
    Secured(TcpStream, Tls, SocketAddr),
}

/// Gives a connection a task of its own, unless its source has enough of them.
fn begin(door: &Arc<Door>, tasks: &TaskTracker, places: &Places, mut place: Place, accepted: Accepted) {
    let source = match &accepted {
        Accepted::Plain(_, peer) => peer.address(),
        Accepted::Secured(_, _, address) => Some(address.ip().to_canonical()),
    };
    if !places.admit(&mut place, source) {
        metrics::counter!("http_connections_refused_total").increment(1);
        return;
    }
    let door = Arc::clone(door);
    tasks.spawn(async move {
        match accepted {
            Accepted::Plain(stream, peer) => door.converse(stream, peer).await,
            Accepted::Secured(stream, tls, address) => door.shake_hands(stream, tls, address).await,
        }
        drop(place);
    });
}

impl Door {
    async fn shake_hands(&self, stream: TcpStream, tls: Tls, address: SocketAddr) {
        let handshake = TlsAcceptor::from(tls.config()).accept(stream);
        match tokio::time::timeout(HANDSHAKE_LIMIT, handshake).await {
            Ok(Ok(stream)) => self.converse(Box::pin(stream), Peer::Tls(address)).await,
            Ok(Err(error)) => tracing::debug!(%error, "A TLS handshake failed"),
            Err(_) => tracing::debug!("A TLS handshake took too long"),
        }
    }

    async fn converse(&self, stream: Stream, peer: Peer) {
        let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
            Ok::<Response<Body>, Infallible>(self.answer(request, peer).await)
        });
        let mut http = http1::Builder::new();
        // Without the timer hyper ignores the header limit.
        http.timer(TokioTimer::new())
            .header_read_timeout(self.settings.header_limit)
            .max_buf_size(self.settings.head_limit)
            .keep_alive(self.settings.keep_alive)
            .half_close(false);
        let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "A connection ended early");
        }
    }

    async fn answer(&self, request: Request<hyper::body::Incoming>, peer: Peer) -> Response<Body> {
        let (mut head, body) = request.into_parts();
        head.extensions.insert(peer);
        if matches!(peer, Peer::Tls(_)) {
            head.extensions.insert(OverTls);
        }
        if let Some(answer) = self.settings.front.as_ref().and_then(|front| front(&head)) {
            return answer;
        }
        let request = Request::from_parts(head, Body::new(body));
        self.settings.guard.answer(self.router.clone(), request).await
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
type Stream = Pin<Box<dyn Duplex>>;

async fn next_place(places: &Places, stop: &CancellationToken) -> Option<Place> {
    tokio::select! {
        place = places.next() => place,
        () = stop.cancelled() => None,
    }
}

/// The next connection; `None` for one that was turned away.
async fn accept(listener: &Listener) -> io::Result<Option<Accepted>> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, address) = accept_tcp(listener).await?;
            Ok(Some(Accepted::Plain(Box::pin(stream), Peer::Tcp(address))))
        }
        Listener::Tls(listener, tls) => {
            let (stream, address) = accept_tcp(listener).await?;
            Ok(Some(Accepted::Secured(stream, tls.clone(), address)))
        }
        Listener::Unix(listener, admission) => {
            let (stream, _) = listener.accept().await?;
            let credentials = credentials(&stream)?;
            if admission(credentials) {
                return Ok(Some(Accepted::Plain(Box::pin(stream), Peer::Unix(credentials))));
            }
            tracing::warn!(peer.uid = credentials.uid, "A local process was turned away");
            Ok(None)
        }
    }
}

async fn accept_tcp(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, address) = listener.accept().await?;
    // Answers are small and written at once; waiting to fill a segment only delays them.
    stream.set_nodelay(true)?;
    Ok((stream, address))
}

fn credentials(stream: &UnixStream) -> io::Result<Credentials> {
    let peer = stream.peer_cred()?;
    Ok(Credentials { uid: peer.uid(), gid: peer.gid() })
}

/// Connections at a time: staff and programs of one ISP; at 16 KiB of head each it is 16 MiB.
pub const MAX_CONNECTIONS: usize = 1_024;
/// A head that takes longer is a slow-loris or a dead line.
pub const HEADER_LIMIT: Duration = Duration::from_secs(5);
/// Two round trips and some kilobytes of certificates on the slowest of lines.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// systemd waits 90 s; requests end within 30.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(35);
/// Largest head: request line, headers and tokens fit many times over.
pub const MAX_HEAD: usize = 16 * 1024;
/// Pause after a failed accept (no descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
