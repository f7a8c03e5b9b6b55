//! Accepts connections, speaks HTTP/1.1 on them, and drains at the end.
//!
//! The one rule: every wait has an end. A peer that withholds its head is dropped after
//! [`HEADER_LIMIT`], connections beyond [`MAX_CONNECTIONS`] wait in the kernel's backlog, and a
//! drain gives up at its deadline.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::guard::Guard;
use super::peer::{Credentials, Peer};

/// Decides from its credentials whether a local process may speak to us at all.
pub type Admission = Arc<dyn Fn(Credentials) -> bool + Send + Sync>;

/// Where connections come from.
pub enum Listener {
    /// Over the network.
    Tcp(TcpListener),
    /// From processes on this machine that the admission lets in.
    Unix(UnixListener, Admission),
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(listener) => listener.fmt(f),
            Self::Unix(listener, _) => listener.fmt(f),
        }
    }
}

/// A door's settings: what surrounds its requests, and its bounds.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What surrounds each request.
    pub guard: Guard,
    /// Most connections at a time.
    pub connections: usize,
    /// Longest time for a request's head, also for the next one on a kept connection.
    pub header_limit: Duration,
    /// Longest time that requests under way may take once the door closes.
    pub drain_limit: Duration,
}

impl Settings {
    /// The usual bounds around this guard.
    #[must_use]
    pub fn new(guard: Guard) -> Self {
        Self { guard, connections: MAX_CONNECTIONS, header_limit: HEADER_LIMIT, drain_limit: DRAIN_LIMIT }
    }
}

/// Serves until `stop` is cancelled, then lets requests under way end within the drain limit.
/// Answers true when all of them did.
pub async fn serve(listener: Listener, router: Router, settings: Settings, stop: CancellationToken) -> bool {
    let drain_limit = settings.drain_limit;
    let door = Arc::new(Door { router, settings, stop: stop.clone() });
    let places = Arc::new(Semaphore::new(door.settings.connections));
    let tasks = TaskTracker::new();
    while let Some(place) = next_place(&places, &stop).await {
        let accepted = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok(Some((stream, peer))) => {
                let door = Arc::clone(&door);
                tasks.spawn(async move {
                    door.converse(stream, peer).await;
                    drop(place);
                });
            }
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

impl Door {
    async fn converse(&self, stream: Stream, peer: Peer) {
        let service = service_fn(|mut request: Request<hyper::body::Incoming>| async move {
            request.extensions_mut().insert(peer);
            let response = self.settings.guard.answer(self.router.clone(), request.map(Body::new)).await;
            Ok::<Response<Body>, Infallible>(response)
        });
        let mut http = http1::Builder::new();
        // Without the timer hyper ignores the header limit.
        http.timer(TokioTimer::new())
            .header_read_timeout(self.settings.header_limit)
            .max_buf_size(MAX_HEAD)
            .keep_alive(true)
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
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
type Stream = Pin<Box<dyn Duplex>>;

async fn next_place(
    places: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<tokio::sync::OwnedSemaphorePermit> {
    tokio::select! {
        place = Arc::clone(places).acquire_owned() => place.ok(),
        () = stop.cancelled() => None,
    }
}

/// The next connection; `None` for one that was turned away.
async fn accept(listener: &Listener) -> io::Result<Option<(Stream, Peer)>> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, address) = listener.accept().await?;
            // Answers are small and written at once; waiting to fill a segment only delays them.
            stream.set_nodelay(true)?;
            Ok(Some((Box::pin(stream), Peer::Tcp(address))))
        }
        Listener::Unix(listener, admission) => {
            let (stream, _) = listener.accept().await?;
            let credentials = credentials(&stream)?;
            if admission(credentials) {
                return Ok(Some((Box::pin(stream), Peer::Unix(credentials))));
            }
            tracing::warn!(peer.uid = credentials.uid, "A local process was turned away");
            Ok(None)
        }
    }
}

fn credentials(stream: &UnixStream) -> io::Result<Credentials> {
    let peer = stream.peer_cred()?;
    Ok(Credentials { uid: peer.uid(), gid: peer.gid() })
}

/// Connections at a time: staff and programs of one ISP; at 16 KiB of head each it is 16 MiB.
pub const MAX_CONNECTIONS: usize = 1_024;
/// A head that takes longer is a slow-loris or a dead line.
pub const HEADER_LIMIT: Duration = Duration::from_secs(5);
/// systemd waits 90 s; requests end within 30.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(35);
/// Largest head: request line, headers and tokens fit many times over.
const MAX_HEAD: usize = 16 * 1024;
/// Pause after a failed accept (no descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
