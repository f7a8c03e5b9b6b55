//! One request over UDP and what came back, until a reply proves itself or time is up.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::is_yes;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::radius::client::{Ask, Expectation};
use crate::radius::packet::MAX_LENGTH;
use crate::radius::{Buffer, Code, Dictionary, EncodeError, SharedSecret};

/// A socket to one server.
pub(super) struct Exchange {
    socket: UdpSocket,
    secret: SharedSecret,
    timeout: Duration,
    tries: u8,
}

/// What came of a request.
#[derive(Debug)]
pub(super) struct Heard {
    /// The reply that proved itself.
    pub(super) reply: Option<Heeded>,
    /// How often it was asked.
    pub(super) asked: u8,
    /// What went wrong meanwhile, a sentence each.
    pub(super) faults: Vec<String>,
    /// A yes of a server that has not proved itself otherwise is none.
    is_believed: bool,
}

/// A proven reply.
#[derive(Debug)]
pub(super) struct Heeded {
    pub(super) code: Code,
    pub(super) took: Duration,
    /// "Name = value" each.
    pub(super) attributes: Vec<String>,
    /// The packet.
    pub(super) octets: Vec<u8>,
}

impl Heard {
    pub(super) fn is_yes(&self) -> bool {
        self.is_believed && self.reply.as_ref().is_some_and(|reply| is_yes(reply.code))
    }

    /// Whatever it says, it is no yes.
    pub(super) fn disbelieve(&mut self, why: &str) {
        self.is_believed = false;
        note(self, why.to_owned());
    }
}

impl Exchange {
    pub(super) fn open(
        server: SocketAddr,
        secret: SharedSecret,
        timeout: Duration,
        tries: u8,
    ) -> Result<Self, CliError> {
        let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = UdpSocket::bind(any).and_then(|socket| socket.connect(server).map(|()| socket));
        let socket = socket.map_err(|error| CliError::failed(&format!("send to {server}"), &error))?;
        Ok(Self { socket, secret, timeout, tries })
    }

    /// The secret shared with the server.
    pub(super) const fn secret(&self) -> &SharedSecret {
        &self.secret
    }

    /// Sends what `write` makes until a reply proves itself; a repeat is the same octets, so that
    /// a server takes it as one request (RFC 5080 section 2.2.1).
    pub(super) fn ask(
        &self,
        context: &Context,
        write: impl for<'b> FnOnce(&'b mut Buffer, &SharedSecret) -> Result<Ask<'b>, EncodeError>,
    ) -> Result<Heard, CliError> {
        let mut buffer: Buffer = [0; MAX_LENGTH];
        let ask = write(&mut buffer, &self.secret);
        let ask = ask.map_err(|error| CliError::Usage(format!("the request cannot be written: {error}")))?;
        let (octets, expectation) = ask.finish(&self.secret);
        let began = context.clock.monotonic();
        let mut heard = Heard { reply: None, asked: 0, faults: Vec::new(), is_believed: true };
        while heard.asked < self.tries && heard.reply.is_none() {
            heard.asked += 1;
            if let Err(error) = self.socket.send(octets) {
                note(&mut heard, format!("the request could not be sent: {error}"));
            }
            self.listen(context, began, &expectation, &mut heard)?;
        }
        Ok(heard)
    }

    /// Until a reply proves itself or one time-out has passed.
    fn listen(
        &self,
        context: &Context,
        began: std::time::Instant,
        expectation: &Expectation,
        heard: &mut Heard,
    ) -> Result<(), CliError> {
        let until = context.clock.monotonic() + self.timeout;
        let mut datagram = [0; MAX_LENGTH];
        loop {
            let now = context.clock.monotonic();
            let Some(left) = until.checked_duration_since(now).filter(|left| !left.is_zero()) else {
                return Ok(());
            };
            self.socket
                .set_read_timeout(Some(left))
                .map_err(|error| CliError::failed("wait for a reply", &error))?;
            let octets = match self.socket.recv(&mut datagram) {
                Ok(length) => datagram.get(..length).unwrap_or_default(),
                Err(error) if is_patience(&error) => return Ok(()),
                // Somebody says that nothing listens there; a server that just starts may yet.
                Err(error) => {
                    note(heard, format!("nothing listens there: {error}"));
                    std::thread::park_timeout(left.min(PAUSE));
                    continue;
                }
            };
            match expectation.check(octets, &self.secret) {
                Ok(reply) => {
                    let took = context.clock.monotonic().saturating_duration_since(began);
                    let attributes = Dictionary::builtin().describe(&reply);
                    heard.reply = Some(Heeded {
                        code: reply.code(),
                        took,
                        attributes,
                        octets: reply.octets().to_vec(),
                    });
                    return Ok(());
                }
                Err(fault) => note(heard, format!("a reply was not believed: {fault}")),
            }
        }
    }
}

/// Keeps a fault once, and not more of them than a person reads.
fn note(heard: &mut Heard, fault: String) {
    if heard.faults.len() < MOST_FAULTS && !heard.faults.contains(&fault) {
        heard.faults.push(fault);
    }
}

fn is_patience(error: &std::io::Error) -> bool {
    [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut].contains(&error.kind())
}

/// Between two looks at a port that refuses.
const PAUSE: Duration = Duration::from_millis(200);
/// More than a person reads.
const MOST_FAULTS: usize = 10;
