//! News of the firewall: that somebody else changed it, so that the reconciler can look at once instead
//! of at its next minute. The one rule: news only wakes; what is true is read afterwards.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::fault::GatewayError;
use super::netlink::objects::{self, News};
use super::netlink::socket::{Socket, SocketError};
use super::netlink::wire::Messages;

/// Something that calls for a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Our table was removed.
    TableGone,
    /// Another process changed some firewall rule: its id and its program.
    ForeignChange {
        /// The process.
        process: u32,
        /// Its program's name.
        program: String,
    },
    /// So much happened that news was lost: look at everything.
    Lost,
}

/// Listens to the firewall's news. Its descriptor becomes readable when there is some.
#[derive(Debug)]
pub struct Watch {
    socket: Socket,
    own: u32,
}

impl Watch {
    /// Begins to listen, in the network namespace of this thread.
    ///
    /// # Errors
    /// When the kernel has no netlink for the firewall.
    pub fn open() -> Result<Self, GatewayError> {
        let socket =
            Socket::netfilter_news().map_err(GatewayError::socket("listen to the firewall's news"))?;
        Ok(Self { socket, own: std::process::id() })
    }

    /// What happened until now, or within the time if nothing had. What this process itself did is left
    /// out; what `nft` did for it, at an installation, is reported as that program's.
    ///
    /// # Errors
    /// When the kernel cannot be listened to.
    pub fn next(&mut self, wait: Duration) -> Result<Vec<Event>, GatewayError> {
        let own = self.own;
        let datagram = match self.socket.receive(wait) {
            Ok(Some(datagram)) => datagram,
            Ok(None) => return Ok(Vec::new()),
            Err(SocketError::Lost) => return Ok(vec![Event::Lost]),
            Err(error) => return Err(GatewayError::Socket("listen to the firewall's news", error)),
        };
        let mut events = Vec::new();
        for message in Messages::new(datagram) {
            let news = message.and_then(|message| objects::news(&message));
            match news.map_err(|error| GatewayError::Socket("listen to the firewall's news", error.into()))? {
                Some(News::TableGone) => events.push(Event::TableGone),
                Some(News::Committed(process, program)) if process != own => {
                    events.push(Event::ForeignChange { process, program });
                }
                Some(News::Committed(..)) | None => {}
            }
        }
        Ok(events)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
