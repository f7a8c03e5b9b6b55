//! One worker: one socket, one thread, one duplicate cache.
//!
//! The whole of a cacheable exchange is done in place. What must wait (a commit, a slow hash) gets
//! a ticket and is answered when its news come in. The one rule: nothing here blocks but the poll.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::counters::Counters;
use super::delayed::Delayed;
use super::eap::{self, Round, Turn};
use super::inbox::{Inbox, News};
use super::login::{self, Asked, Outcome};
use super::peers::{Peer, Peers};
use super::report::{self, Said};
use super::socket::{self, BATCH, BatchSocket, Buffers, Received, Route};
use super::{Job, Shared, Slow};
use crate::access::{FirstUsed, Recorded, Report, Then};
use crate::domain::voucher_code::VoucherCode;
use crate::radius::duplicate::{DuplicateCache, Offer, RequestKey};
use crate::radius::exchange::{Admitted, PortKind, SecretFit, admit};
use crate::radius::{Buffer, Code, Packet, Reply, SharedSecret};

/// A worker and everything it owns.
struct Worker {
    shared: Arc<Shared>,
    port: PortKind,
    number: u16,
    socket: BatchSocket,
    inbox: Arc<Inbox>,
    peers: Peers,
    duplicates: DuplicateCache,
    delayed: Delayed,
    waiting: HashMap<u64, Waiting>,
    next_ticket: u64,
    counters: Counters,
    spare: Vec<(u64, News)>,
}

/// A request that waits for news.
struct Waiting {
    key: RequestKey,
    route: Route,
    what: WaitsFor,
}

enum WaitsFor {
    /// The commit; the acknowledgement is written already.
    Commit { reply: Box<[u8]> },
    /// The slow hash; the request is kept to be answered then.
    Hash(Kept),
    /// The first use of a voucher; likewise.
    Voucher(Kept),
    /// A round of a handshake; likewise.
    Handshake(Kept),
}

/// A login that is answered later.
struct Kept {
    peer: Arc<Peer>,
    fit: SecretFit,
    datagram: Box<[u8]>,
    turn: Option<Box<Turn>>,
}

impl Worker {
    fn new(shared: Arc<Shared>, port: PortKind, number: u16, socket: BatchSocket, inbox: Arc<Inbox>) -> Self {
        let label = match port {
            PortKind::Authentication => "authentication",
            PortKind::Accounting => "accounting",
        };
        Self {
            peers: Peers::new(Arc::clone(&shared.access)),
            duplicates: DuplicateCache::new(
                shared.limits.duplicate_capacity,
                shared.limits.duplicate_lifetime,
            ),
            delayed: Delayed::default(),
            waiting: HashMap::new(),
            next_ticket: 0,
            counters: Counters::new(label),
            spare: Vec::new(),
            shared,
            port,
            number,
            socket,
            inbox,
        }
    }

    /// Works until the door is closed, and then until nothing waits or the deadline passes.
    fn run(mut self) {
        let mut buffers = socket::buffers();
        // Where answers are written; handed down, so that what is written can be looked at meanwhile.
        let mut room: Box<Buffer> = Box::new([0; 4096]);
        let mut closing_since: Option<Instant> = None;
        loop {
            let now = self.shared.clock.monotonic();
            if self.shared.closing.load(Ordering::Acquire) {
                let since = *closing_since.get_or_insert(now);
                if self.waiting.is_empty() || now.duration_since(since) > DRAIN {
                    return;
                }
            }
            self.inbox.turn();
            // Whoever asks while the door closes asks again, and is heard after the restart.
            let received = if closing_since.is_some() { [None; BATCH] } else { self.receive(&mut buffers) };
            let quiet = received.iter().all(Option::is_none);
            self.take_news(&mut room);
            self.send_due();
            self.answer_batch(&received, &buffers, &mut room);
            self.socket.flush();
            if quiet {
                self.rest(closing_since.is_some());
            }
        }
    }

    fn receive(&mut self, buffers: &mut Buffers) -> Received {
        match self.socket.receive(buffers) {
            Ok(received) => received,
            Err(error) => {
                // The socket stays: an error of one peer's network must not end the service.
                self.counters.receive_errors.increment(1);
                tracing::debug!(%error, "receiving a RADIUS datagram failed");
                [None; BATCH]
            }
        }
    }

    fn rest(&mut self, is_closing: bool) {
        let now = self.shared.clock.monotonic();
        self.duplicates.forget_older(now);
        let wait = self.delayed.until_next(now).unwrap_or(LONGEST_REST).min(LONGEST_REST);
        let millis = u16::try_from(wait.as_millis()).unwrap_or(u16::MAX).saturating_add(1);
        let socket = PollFd::new(self.socket.as_fd(), PollFlags::POLLIN);
        let inbox = PollFd::new(self.inbox.as_fd(), PollFlags::POLLIN);
        // A failed poll is a short rest. While closing, the socket is no longer looked at.
        let _ = if is_closing {
            poll(&mut [inbox], PollTimeout::from(millis))
        } else {
            poll(&mut [socket, inbox], PollTimeout::from(millis))
        };
        self.inbox.quieten();
    }

    fn answer_batch(&mut self, received: &Received, buffers: &Buffers, room: &mut Buffer) {
        let (wall, now) = (self.shared.clock.now(), self.shared.clock.monotonic());
        self.peers.refresh();
        for (position, one) in received.iter().enumerate() {
            let Some((length, route)) = *one else { continue };
            self.answer(socket::datagram(buffers, position, length), route, (wall, now), room);
        }
    }

    fn answer(
        &mut self,
        datagram: &[u8],
        route: Route,
        (wall, now): (Timestamp, Instant),
        room: &mut Buffer,
    ) {
        let source = route.peer.ip().to_canonical();
        let Some(peer) = self.peers.find(source) else { return self.counters.unknown_nas.increment(1) };
        let admitted = match admit(datagram, self.port, &peer.facts(wall)) {
            Ok(admitted) => admitted,
            Err(why) => return self.counters.discarded(&why),
        };
        let key = RequestKey::new(&admitted.packet, route.peer, self.number);
        match self.duplicates.offer(&key, now) {
            Offer::New => {}
            Offer::InProgress => return self.counters.in_progress.increment(1),
            Offer::Replay(reply) => {
                self.counters.replayed.increment(1);
                return self.socket.send(reply, route);
            }
        }
        let request = Request { key, route, peer, datagram, wall, now };
        match admitted.packet.code() {
            Code::StatusServer => self.answer_status(&request, &admitted, room),
            Code::AccessRequest => self.answer_login(&request, &admitted, room),
            Code::AccountingRequest => self.answer_accounting(&request, &admitted, room),
            Code::AccessAccept
            | Code::AccessReject
            | Code::AccountingResponse
            | Code::AccessChallenge
            | Code::StatusClient
            | Code::DisconnectRequest
            | Code::DisconnectAck
            | Code::DisconnectNak
            | Code::CoaRequest
            | Code::CoaAck
            | Code::CoaNak
            | Code::Unknown(_) => self.duplicates.abandon(&request.key),
        }
    }

    /// RFC 5997 section 3: alive is answered with the port's own good answer.
    fn answer_status(&mut self, request: &Request<'_>, admitted: &Admitted<'_>, room: &mut Buffer) {
        let code = match self.port {
            PortKind::Authentication => Code::AccessAccept,
            PortKind::Accounting => Code::AccountingResponse,
        };
        let facts = request.peer.facts(request.wall);
        let Ok(reply) = Reply::start(room, &admitted.packet, code) else {
            return self.duplicates.abandon(&request.key);
        };
        let octets = reply.finish(facts.secret(admitted.fit));
        self.counters.status.increment(1);
        self.duplicates.complete(&request.key, octets, request.now);
        self.socket.send(octets, request.route);
    }

    fn answer_login(&mut self, request: &Request<'_>, admitted: &Admitted<'_>, room: &mut Buffer) {
        let shared = Arc::clone(&self.shared);
        let facts = request.peer.facts(request.wall);
        let asked = request.asked(&shared, &admitted.packet, facts.secret(admitted.fit));
        let outcome = login::answer(&asked, room);
        self.conclude(request, admitted.fit, outcome);
    }

    /// Does what the answer to a login asks for.
    fn conclude(&mut self, request: &Request<'_>, fit: SecretFit, outcome: Outcome<'_>) {
        match outcome {
            Outcome::Accept(octets) => {
                self.counters.accepted.increment(1);
                self.answer_now(request, octets);
            }
            Outcome::Challenge(octets) => {
                self.counters.challenged.increment(1);
                self.answer_now(request, octets);
            }
            Outcome::Reject(octets) => {
                self.counters.refused.increment(1);
                let due = request.now + jittered(self.shared.settings.load().reject_delay, &request.key);
                if self.delayed.hold(due, request.key, request.route, octets).is_err() {
                    self.answer_now(request, octets);
                }
            }
            Outcome::Ask { password, verifier, turn } => {
                self.ask_hash(request, request.keep(fit, turn), Slow { password, verifier });
            }
            Outcome::Use(code, guesser, turn) => {
                self.use_voucher(request, request.keep(fit, turn), code, guesser);
            }
            Outcome::Handshake(round) => self.shake_hands(request, request.keep(fit, None), round),
            Outcome::Silence => self.duplicates.abandon(&request.key),
        }
    }

    fn answer_now(&mut self, request: &Request<'_>, octets: &[u8]) {
        self.duplicates.complete(&request.key, octets, request.now);
        self.socket.send(octets, request.route);
    }

    fn shake_hands(&mut self, request: &Request<'_>, kept: Kept, round: Box<Round>) {
        let Some(ticket) = self.wait(request, WaitsFor::Handshake(kept)) else { return };
        let inbox = Arc::clone(&self.inbox);
        let taken =
            self.shared.handshakes.take(round, Box::new(move |to| inbox.leave(ticket, News::Stepped { to })));
        if !taken {
            self.counters.busy.increment(1);
            self.inbox.leave(ticket, News::Stepped { to: None });
        }
    }

    fn ask_hash(&mut self, request: &Request<'_>, kept: Kept, slow: Slow) {
        let Some(ticket) = self.wait(request, WaitsFor::Hash(kept)) else { return };
        let inbox = Arc::clone(&self.inbox);
        (self.shared.verify)(slow, Box::new(move |fits| inbox.leave(ticket, News::Verified { fits })));
    }

    fn use_voucher(&mut self, request: &Request<'_>, kept: Kept, code: VoucherCode, guesser: String) {
        let Some(ticket) = self.wait(request, WaitsFor::Voucher(kept)) else { return };
        let inbox = Arc::clone(&self.inbox);
        let told: FirstUsed = Box::new(move |used| inbox.leave(ticket, News::Used { used }));
        self.shared.access.use_first(code, guesser, told);
    }

    fn answer_accounting(&mut self, request: &Request<'_>, admitted: &Admitted<'_>, room: &mut Buffer) {
        let source: IpAddr = request.route.peer.ip().to_canonical();
        let facts = request.peer.facts(request.wall);
        let said = report::read(&admitted.packet, &request.peer, source, request.wall);
        let Ok(reply) = Reply::start(room, &admitted.packet, Code::AccountingResponse) else {
            return self.duplicates.abandon(&request.key);
        };
        let octets = reply.finish(facts.secret(admitted.fit));
        match said {
            Said::Unusable => {
                self.counters.unusable.increment(1);
                self.duplicates.abandon(&request.key);
            }
            Said::Nothing => {
                self.duplicates.complete(&request.key, octets, request.now);
                self.socket.send(octets, request.route);
            }
            Said::Report(report) => {
                let what = WaitsFor::Commit { reply: octets.into() };
                if let Some(ticket) = self.wait(request, what) {
                    self.record(ticket, report, request.wall);
                }
            }
            Said::Restart(restart) => {
                let what = WaitsFor::Commit { reply: octets.into() };
                let Some(ticket) = self.wait(request, what) else { return };
                let inbox = Arc::clone(&self.inbox);
                self.hand_over(ticket, Job::Restart { restart, done: acknowledge(inbox, ticket) });
            }
        }
    }

    fn record(&mut self, ticket: u64, report: Box<Report>, wall: Timestamp) {
        let inbox = Arc::clone(&self.inbox);
        match self.shared.access.record(&report, wall, || acknowledge(Arc::clone(&inbox), ticket)) {
            Ok(Recorded::Queued) => {}
            Ok(Recorded::AskStore) => {
                let done = acknowledge(inbox, ticket);
                self.hand_over(ticket, Job::Learn { report, done });
            }
            Err(error) => {
                tracing::error!(%error, "an accounting report could not be turned into a change");
                inbox.leave(ticket, News::Recorded { durable: false });
            }
        }
    }

    fn hand_over(&mut self, ticket: u64, job: Job) {
        if self.shared.jobs.try_send(job).is_err() {
            self.counters.busy.increment(1);
            self.inbox.leave(ticket, News::Recorded { durable: false });
        }
    }

    /// Gives a request a ticket; `None` (and silence) when too many wait.
    fn wait(&mut self, request: &Request<'_>, what: WaitsFor) -> Option<u64> {
        if self.waiting.len() >= WAITING {
            self.counters.busy.increment(1);
            self.duplicates.abandon(&request.key);
            return None;
        }
        self.next_ticket = self.next_ticket.wrapping_add(1);
        self.waiting.insert(self.next_ticket, Waiting { key: request.key, route: request.route, what });
        Some(self.next_ticket)
    }

    fn take_news(&mut self, room: &mut Buffer) {
        let mut news = std::mem::take(&mut self.spare);
        self.inbox.take(&mut news);
        let now = self.shared.clock.monotonic();
        for (ticket, one) in news.drain(..) {
            let Some(waiting) = self.waiting.remove(&ticket) else { continue };
            match (waiting.what, one) {
                (WaitsFor::Commit { reply }, News::Recorded { durable: true }) => {
                    self.counters.recorded.increment(1);
                    self.duplicates.complete(&waiting.key, &reply, now);
                    self.socket.send(&reply, waiting.route);
                }
                (WaitsFor::Hash(kept), News::Verified { fits }) => {
                    let place = (waiting.key, waiting.route);
                    self.answer_later(place, kept, room, |asked, turn, room| {
                        login::after_hash(asked, turn, fits, room)
                    });
                }
                (WaitsFor::Voucher(kept), News::Used { used }) => {
                    let place = (waiting.key, waiting.route);
                    self.answer_later(place, kept, room, |asked, turn, room| {
                        login::after_first_use(asked, turn, used, room)
                    });
                }
                (WaitsFor::Handshake(kept), News::Stepped { to: Some((turn, step)) }) => {
                    let place = (waiting.key, waiting.route);
                    self.answer_later(place, kept, room, |asked, _, room| {
                        eap::after_handshake(asked, turn, step, room)
                    });
                }
                (
                    WaitsFor::Commit { .. }
                    | WaitsFor::Hash(_)
                    | WaitsFor::Voucher(_)
                    | WaitsFor::Handshake(_),
                    _,
                ) => {
                    self.counters.not_recorded.increment(1);
                    self.duplicates.abandon(&waiting.key);
                }
            }
        }
        self.spare = news;
    }

    /// Answers a login that waited for something.
    fn answer_later(
        &mut self,
        (key, route): (RequestKey, Route),
        kept: Kept,
        room: &mut Buffer,
        decide: impl for<'b> FnOnce(&Asked<'_>, Option<Box<Turn>>, &'b mut Buffer) -> Outcome<'b>,
    ) {
        let (wall, now) = (self.shared.clock.now(), self.shared.clock.monotonic());
        let Kept { peer, fit, datagram, turn } = kept;
        let Ok(packet) = Packet::decode(&datagram) else { return self.duplicates.abandon(&key) };
        let shared = Arc::clone(&self.shared);
        let facts = peer.facts(wall);
        let request = Request { key, route, peer: Arc::clone(&peer), datagram: &datagram, wall, now };
        let outcome = decide(&request.asked(&shared, &packet, facts.secret(fit)), turn, room);
        self.conclude(&request, fit, outcome);
    }

    fn send_due(&mut self) {
        let now = self.shared.clock.monotonic();
        while let Some(due) = self.delayed.next_due(now) {
            self.duplicates.complete(&due.key, &due.reply, now);
            self.socket.send(&due.reply, due.route);
        }
    }
}

/// One admitted request while it is handled.
struct Request<'d> {
    key: RequestKey,
    route: Route,
    peer: Arc<Peer>,
    datagram: &'d [u8],
    wall: Timestamp,
    now: Instant,
}

impl Request<'_> {
    fn asked<'a>(
        &'a self,
        shared: &'a Shared,
        packet: &'a Packet<'a>,
        secret: &'a SharedSecret,
    ) -> Asked<'a> {
        Asked { shared, peer: &self.peer, packet, secret, now: self.wall, instant: self.now }
    }

    /// What is needed to answer a login later.
    fn keep(&self, fit: SecretFit, turn: Option<Box<Turn>>) -> Kept {
        Kept { peer: Arc::clone(&self.peer), fit, datagram: self.datagram.into(), turn }
    }
}

/// Tells the worker how a commit ended.
fn acknowledge(inbox: Arc<Inbox>, ticket: u64) -> Then {
    Box::new(move |outcome| inbox.leave(ticket, News::Recorded { durable: outcome.is_ok() }))
}

/// The delay, give or take a tenth; the jitter comes from the request's own random octets.
fn jittered(delay: Duration, key: &RequestKey) -> Duration {
    let percent = 90 + u32::from(key.authenticator_octet()) % 21;
    delay.saturating_mul(percent) / 100
}

/// Starts a worker on a thread of its own.
pub(super) fn start(
    shared: Arc<Shared>,
    port: PortKind,
    number: u16,
    socket: UdpSocket,
    inbox: Arc<Inbox>,
) -> io::Result<std::thread::JoinHandle<()>> {
    let work = move || Worker::new(shared, port, number, BatchSocket::of(socket), inbox).run();
    std::thread::Builder::new().name(format!("radius-{number}")).spawn(work)
}

/// Requests that may wait for a commit or a hash at one worker; more are dropped and come again.
const WAITING: usize = 16_384;
/// How long a worker waits, when closing, for commits that are under way.
const DRAIN: Duration = Duration::from_secs(5);
/// A worker looks at the door at least this often.
const LONGEST_REST: Duration = Duration::from_millis(250);
