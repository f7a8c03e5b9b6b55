//! A netlink socket: sends a request and hands each message of the answer to the caller. It knows no
//! subsystem. It blocks, for microseconds where the kernel answers at once (netfilter does). The one
//! rule: it listens to the kernel only, and never longer than `PATIENCE`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, connect, recv, send,
    setsockopt, socket, sockopt,
};

use super::wire::{
    DUMP_INTERRUPTED, Message, Messages, TYPE_DONE, TYPE_ERROR, TYPE_OVERRUN, WireError, Writer,
};

/// The kernel answers in microseconds; a listing of 100,000 elements takes about a second.
const PATIENCE: Duration = Duration::from_secs(5);
/// Larger than any datagram of a listing (32 KiB) or of notifications.
const BUFFER: usize = 128 * 1024;
/// Room for the echoes of the largest batch, so that none is lost.
const RECEIVE_ROOM: usize = 8 * 1024 * 1024;
/// Room for the largest batch: a message must fit as a whole.
const SEND_ROOM: usize = 2 * 1024 * 1024;
/// The multicast group of nftables, as a bit.
const NFTABLES_NEWS: u32 = 1 << 6;

/// Why the kernel could not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SocketError {
    /// A call failed.
    #[error("{0}: {1}")]
    System(&'static str, Errno),
    /// Messages were lost: what was done is not known and must be read back.
    #[error("messages of the kernel were lost")]
    Lost,
    /// It never answered.
    #[error("the kernel did not answer within {} s", PATIENCE.as_secs())]
    Silent,
    /// What was listed changed meanwhile; ask again.
    #[error("what was listed changed meanwhile")]
    Changing,
    /// It answered something else.
    #[error("the kernel's answer cannot be read: {0}")]
    Wire(#[from] WireError),
}

/// A fault that the kernel reported, and the message it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nack {
    /// The message's sequence number.
    pub sequence: u32,
    /// Why.
    pub errno: Errno,
}

/// A socket to one subsystem of the kernel, in the network namespace it was opened in.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
    next: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// To netfilter.
    ///
    /// # Errors
    /// When the kernel has none, or the process may not.
    pub fn netfilter() -> Result<Self, SocketError> {
        Self::open(SockProtocol::NetlinkNetFilter, 0)
    }

    /// To netfilter, to hear of every change of tables, rules and elements.
    ///
    /// # Errors
    /// As [`Socket::netfilter`].
    pub fn netfilter_news() -> Result<Self, SocketError> {
        Self::open(SockProtocol::NetlinkNetFilter, NFTABLES_NEWS)
    }

    /// To routing.
    ///
    /// # Errors
    /// As [`Socket::netfilter`].
    pub fn route() -> Result<Self, SocketError> {
        Self::open(SockProtocol::NetlinkRoute, 0)
    }

    fn open(protocol: SockProtocol, groups: u32) -> Result<Self, SocketError> {
        let failed = |doing| move |errno| SocketError::System(doing, errno);
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let descriptor = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)
            .map_err(failed("open a netlink socket"))?;
        bind(descriptor.as_raw_fd(), &NetlinkAddr::new(0, groups))
            .map_err(failed("bind a netlink socket"))?;
        if groups == 0 {
            // A connected socket gets nothing from other processes.
            connect(descriptor.as_raw_fd(), &NetlinkAddr::new(0, 0))
                .map_err(failed("connect to the kernel"))?;
        }
        // Without the right to force it, what there is must do: large batches then fail and are halved.
        let _bounded = setsockopt(&descriptor, sockopt::RcvBufForce, &RECEIVE_ROOM);
        let _bounded = setsockopt(&descriptor, sockopt::SndBufForce, &SEND_ROOM);
        Ok(Self { descriptor, next: 1, buffer: vec![0; BUFFER] })
    }

    /// The first of `count` sequence numbers that nothing else has.
    pub const fn reserve(&mut self, count: u32) -> u32 {
        // Zero is what unasked messages carry.
        if self.next > u32::MAX / 2 {
            self.next = 1;
        }
        let first = self.next;
        self.next = first.saturating_add(count);
        first
    }

    /// Sends messages numbered `first` to `last` and hands what answers them to `each`, up to the
    /// acknowledgement of `last` or of a list's end. What the kernel refused is returned.
    ///
    /// # Errors
    /// When the answer is not known; then what was asked may have been done.
    pub fn exchange(
        &mut self,
        request: &Writer,
        (first, last): (u32, u32),
        mut each: impl FnMut(&Message<'_>) -> Result<(), WireError>,
    ) -> Result<Vec<Nack>, SocketError> {
        self.drain()?;
        send(self.descriptor.as_raw_fd(), request.octets(), MsgFlags::empty())
            .map_err(|errno| SocketError::System("send to the kernel", errno))?;
        let mut exchange = Exchange { first, last, nacks: Vec::new(), changing: false };
        loop {
            let datagram = self.receive(PATIENCE)?.ok_or(SocketError::Silent)?;
            for message in Messages::new(datagram) {
                if exchange.take(&message?, &mut each)? {
                    return exchange.end();
                }
            }
        }
    }

    /// Throws away what is left of an exchange that ended early.
    fn drain(&mut self) -> Result<(), SocketError> {
        loop {
            match self.receive(Duration::ZERO) {
                Ok(Some(_)) | Err(SocketError::Lost) => {}
                Ok(None) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// The next datagram; `None` when none came in time.
    ///
    /// # Errors
    /// When receiving failed, or messages were lost.
    pub fn receive(&mut self, wait: Duration) -> Result<Option<&[u8]>, SocketError> {
        let failed = |errno| {
            if errno == Errno::ENOBUFS {
                return SocketError::Lost;
            }
            SocketError::System("receive from the kernel", errno)
        };
        let mut ready = [PollFd::new(self.descriptor.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        match poll(&mut ready, timeout) {
            Ok(0) | Err(Errno::EINTR) => return Ok(None),
            Ok(_) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let flags = MsgFlags::MSG_TRUNC;
        let length = recv(self.descriptor.as_raw_fd(), &mut self.buffer, flags).map_err(failed)?;
        self.buffer.get(..length).map(Some).ok_or(SocketError::Lost)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The state of one request.
struct Exchange {
    first: u32,
    last: u32,
    nacks: Vec<Nack>,
    changing: bool,
}

impl Exchange {
    /// Takes one message; true when it ends the answer.
    fn take(
        &mut self,
        message: &Message<'_>,
        each: &mut impl FnMut(&Message<'_>) -> Result<(), WireError>,
    ) -> Result<bool, SocketError> {
        let Message { sequence, .. } = *message;
        // The kernel does not number the echoes of elements.
        if sequence != 0 && (sequence < self.first || sequence > self.last) {
            return Ok(false);
        }
        self.changing |= message.flags & DUMP_INTERRUPTED != 0;
        match message.kind {
            TYPE_ERROR => {
                let errno = Errno::from_raw(message.errno().ok_or(WireError::Field("error"))?);
                if errno != Errno::from_raw(0) {
                    self.nacks.push(Nack { sequence, errno });
                }
                // A refusal of the first is of the whole.
                Ok(sequence == self.last || sequence == self.first)
            }
            TYPE_DONE => Ok(true),
            TYPE_OVERRUN => Err(SocketError::Lost),
            _ => each(message).map(|()| false).map_err(SocketError::from),
        }
    }

    fn end(self) -> Result<Vec<Nack>, SocketError> {
        if self.changing { Err(SocketError::Changing) } else { Ok(self.nacks) }
    }
}
