//! Orders on their way to NAS: sockets, identifiers, and sending again (RFC 5080 section 2.2.1).
//!
//! The same octets go out again while no answer comes, so a NAS that did it answers from its memory. An answer counts only
//! when it comes from where the order went and proves the secret; whatever else arrives is ignored, and
//! waiting goes on.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::base::entropy::Entropy;
use crate::radius::SharedSecret;
use crate::radius::change::{Answer, Awaited};

/// How long a NAS is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until the order goes out for the second time; then twice as long each time.
    pub first: Duration,
    /// How often it goes out in all.
    pub times: u32,
}

impl Default for Patience {
    /// A NAS has 1, 2, 4 and 8 s: 15 s in all, within the time for which it takes an order as new.
    fn default() -> Self {
        Self { first: Duration::from_secs(1), times: 4 }
    }
}

type Waiters = Arc<Mutex<HashMap<(SocketAddr, u8), mpsc::Sender<Vec<u8>>>>>;

/// The sockets; cheap to clone.
#[derive(Clone)]
pub(super) struct Wire {
    v4: Arc<UdpSocket>,
    v6: Option<Arc<UdpSocket>>,
    waiters: Waiters,
    patience: Patience,
    entropy: Entropy,
}

/// A place for one order: its identifier is nobody else's at this NAS until it is dropped.
pub(super) struct Place {
    to: SocketAddr,
    identifier: u8,
    answers: mpsc::Receiver<Vec<u8>>,
    waiters: Waiters,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        waiters.remove(&(self.to, self.identifier));
    }
}

impl Place {
    pub(super) const fn identifier(&self) -> u8 {
        self.identifier
    }
}

impl Wire {
    /// Opens the sockets and listens on them. A box without IPv6 tells NAS over IPv4 only.
    pub(super) async fn open(
        patience: Patience,
        entropy: Entropy,
    ) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let v4 = Arc::new(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?);
        let v6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).await.ok().map(Arc::new);
        let waiters = Waiters::default();
        let mut tasks = vec![tokio::spawn(listen(Arc::clone(&v4), Arc::clone(&waiters)))];
        if let Some(v6) = &v6 {
            tasks.push(tokio::spawn(listen(Arc::clone(v6), Arc::clone(&waiters))));
        }
        Ok((Self { v4, v6, waiters, patience, entropy }, tasks))
    }

    /// A place at a NAS; `None` where 256 orders are under way there already.
    pub(super) fn place(&self, to: SocketAddr) -> Option<Place> {
        let [begin] = self.entropy.bytes::<1>().unwrap_or_default();
        let (sender, answers) = mpsc::channel(ANSWERS);
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        let identifier = (0..=u8::MAX)
            .map(|step| begin.wrapping_add(step))
            .find(|id| !waiters.contains_key(&(to, *id)))?;
        waiters.insert((to, identifier), sender);
        drop(waiters);
        Some(Place { to, identifier, answers, waiters: Arc::clone(&self.waiters) })
    }

    /// Sends an order until it is answered; `None` where the NAS stays silent.
    pub(super) async fn exchange(
        &self,
        place: &mut Place,
        octets: &[u8],
        awaited: &Awaited,
        secret: &SharedSecret,
    ) -> Option<Answer> {
        let socket = if place.to.is_ipv4() { &self.v4 } else { self.v6.as_ref()? };
        let mut wait = self.jittered(self.patience.first);
        for _ in 0..self.patience.times {
            if let Err(error) = socket.send_to(octets, place.to).await {
                // As where no route leads there: it may come back, and the NAS is as silent as any.
                tracing::debug!(nas = %place.to, %error, "An order could not be sent");
            }
            if let Ok(answer) = tokio::time::timeout(wait, answer(place, awaited, secret)).await {
                return answer;
            }
            wait = wait.saturating_mul(2);
        }
        None
    }

    /// Up to a tenth more or less, so that orders given together do not go out again together.
    fn jittered(&self, wait: Duration) -> Duration {
        let [random] = self.entropy.bytes::<1>().unwrap_or_default();
        wait.saturating_mul(900 + u32::from(random) * 200 / 255) / 1_000
    }
}

async fn answer(place: &mut Place, awaited: &Awaited, secret: &SharedSecret) -> Option<Answer> {
    while let Some(datagram) = place.answers.recv().await {
        match awaited.check(&datagram, secret) {
            Ok(answer) => return Some(answer),
            Err(fault) => tracing::debug!(nas = %place.to, %fault, "An answer to an order was not believed"),
        }
    }
    None
}

async fn listen(socket: Arc<UdpSocket>, waiters: Waiters) {
    let mut room = vec![0; LONGEST];
    loop {
        let (length, from) = match socket.recv_from(&mut room).await {
            Ok(received) => received,
            Err(error) => {
                // ICMP of a NAS that has no such port: told per datagram, nothing to end for.
                tracing::trace!(%error, "An order's socket reported a fault");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let datagram = room.get(..length).unwrap_or_default();
        let Some(identifier) = datagram.get(1) else { continue };
        let waiter = {
            let waiters = waiters.lock().unwrap_or_else(PoisonError::into_inner);
            waiters.get(&(canonical(from), *identifier)).cloned()
        };
        if let Some(waiter) = waiter {
            // A full one is being flooded by forgeries; the NAS answers again when it is asked again.
            drop(waiter.try_send(datagram.to_vec()));
        }
    }
}

/// An IPv4 address that an IPv6 socket shows as one of its own is what it is.
fn canonical(from: SocketAddr) -> SocketAddr {
    SocketAddr::new(from.ip().to_canonical(), from.port())
}

/// RFC 2865 section 3.
const LONGEST: usize = 4_096;
/// Answers that wait for one order: one is expected; the rest are repeats and forgeries.
const ANSWERS: usize = 8;
/// After a fault of the socket, so that a lasting one does not turn in place.
const PAUSE: Duration = Duration::from_millis(10);
