//! A UDP socket with batched receive and send: a few system calls for many datagrams.
//!
//! Sockets of one address share their port (SO_REUSEPORT), so that the kernel spreads NAS over
//! workers and keeps each NAS with one of them. A reply leaves from the address that its request
//! was sent to, also where the socket is bound to all addresses: a NAS ignores any other source.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg,
    sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::radius::Buffer;

/// One worker's socket. Replies are gathered and leave together at [`BatchSocket::flush`].
pub(super) struct BatchSocket {
    socket: UdpSocket,
    receiving: MultiHeaders<SockaddrStorage>,
    sending: MultiHeaders<SockaddrStorage>,
    replies: Box<[Buffer; BATCH]>,
    routes: Vec<(usize, Route)>,
}

/// Room for one batch of datagrams.
pub(super) type Buffers = Box<[Buffer; BATCH]>;

/// Where a datagram came from and where it was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    /// The peer.
    pub(super) peer: SocketAddr,
    /// Our own address, where the socket is bound to all.
    pub(super) local: Option<IpAddr>,
}

/// What a batch received: for each datagram, which buffer, how long, on which route.
pub(super) type Received = [Option<(usize, Route)>; BATCH];

/// Binds `address` for one of several workers.
pub(super) fn bind(address: SocketAddr, receive_buffer: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    enlarge(&socket, receive_buffer);
    if address.ip().is_unspecified() {
        ask_for_destination(&socket, address)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Makes sure that nobody else listens on `address`: our own sockets share their port, and so
/// would another process's, which would silently take a part of the requests.
pub(super) fn be_alone_on(address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())
}

impl BatchSocket {
    /// The socket with what it needs for batches; stays on the thread that made it.
    pub(super) fn of(socket: UdpSocket) -> Self {
        let space = nix::cmsg_space!(libc::in6_pktinfo);
        Self {
            socket,
            receiving: MultiHeaders::preallocate(BATCH, Some(space)),
            sending: MultiHeaders::preallocate(BATCH, None),
            replies: Box::new([[0; 4096]; BATCH]),
            routes: Vec::with_capacity(BATCH),
        }
    }

    /// Receives what is there, at most a batch; `Ok` with nothing when nothing is.
    pub(super) fn receive(&mut self, buffers: &mut Buffers) -> io::Result<Received> {
        let mut received: Received = [None; BATCH];
        let mut slices = buffers.each_mut().map(|buffer| [IoSliceMut::new(buffer)]);
        let (fd, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        let messages = match recvmmsg(fd, &mut self.receiving, slices.iter_mut(), flags, None) {
            Ok(messages) => messages,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(received),
            Err(error) => return Err(error.into()),
        };
        for (slot, message) in received.iter_mut().zip(messages) {
            let Some(peer) = message.address.and_then(|address| socket_address(&address)) else { continue };
            let local = message.cmsgs().ok().and_then(|mut all| all.find_map(|one| destination(&one)));
            *slot = Some((message.bytes, Route { peer, local }));
        }
        Ok(received)
    }

    /// Takes a reply; it leaves with the next [`BatchSocket::flush`], or when a batch is full.
    pub(super) fn send(&mut self, octets: &[u8], route: Route) {
        if self.routes.len() >= BATCH {
            self.flush();
        }
        let place = self.replies.get_mut(self.routes.len()).and_then(|reply| reply.get_mut(..octets.len()));
        if let Some(place) = place {
            place.copy_from_slice(octets);
            self.routes.push((octets.len(), route));
        }
    }

    /// Sends what was taken. An error here is the peer's network or a full buffer: what is not
    /// sent is lost as the network would lose it, and the NAS asks again.
    pub(super) fn flush(&mut self) {
        if self.routes.is_empty() {
            return;
        }
        if self.routes.iter().all(|(_, route)| route.local.is_none()) {
            self.send_together();
        } else {
            for (reply, (length, route)) in self.replies.iter().zip(&self.routes) {
                self.send_from(reply.get(..*length).unwrap_or_default(), *route);
            }
        }
        self.routes.clear();
    }

    fn send_together(&mut self) {
        let mut slices: [[IoSlice<'_>; 1]; BATCH] = std::array::from_fn(|_| [IoSlice::new(&[])]);
        let mut peers: [Option<SockaddrStorage>; BATCH] = [None; BATCH];
        let replies = self.replies.iter().zip(&self.routes);
        for ((slice, peer), (reply, (length, route))) in slices.iter_mut().zip(&mut peers).zip(replies) {
            *slice = [IoSlice::new(reply.get(..*length).unwrap_or_default())];
            *peer = Some(SockaddrStorage::from(route.peer));
        }
        let count = self.routes.len();
        let (slices, peers) =
            (slices.get(..count).unwrap_or_default(), peers.get(..count).unwrap_or_default());
        let (fd, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        let _ = sendmmsg(fd, &mut self.sending, slices, peers, [], flags);
    }

    /// Sends one reply from the address that was asked.
    fn send_from(&self, octets: &[u8], route: Route) {
        let slices = [IoSlice::new(octets)];
        let peer = SockaddrStorage::from(route.peer);
        let (fd, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        let _ = match route.local {
            None => sendmsg(fd, &slices, &[], flags, Some(&peer)),
            Some(IpAddr::V4(address)) => {
                let info = source_v4(address);
                sendmsg(fd, &slices, &[ControlMessage::Ipv4PacketInfo(&info)], flags, Some(&peer))
            }
            Some(IpAddr::V6(address)) => {
                let info = source_v6(address);
                sendmsg(fd, &slices, &[ControlMessage::Ipv6PacketInfo(&info)], flags, Some(&peer))
            }
        };
    }
}

/// The octets of a received datagram.
pub(super) fn datagram(buffers: &Buffers, position: usize, length: usize) -> &[u8] {
    buffers.get(position).and_then(|buffer| buffer.get(..length)).unwrap_or_default()
}

/// Room for one batch.
pub(super) fn buffers() -> Buffers {
    Box::new([[0; 4096]; BATCH])
}

impl AsFd for BatchSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A burst after a power cut must wait somewhere; the default holds 256 datagrams. Beyond the
/// system's maximum only with CAP_NET_ADMIN, and without it what is allowed must do.
fn enlarge(socket: &Socket, octets: usize) {
    if setsockopt(socket, sockopt::RcvBufForce, &octets).is_err() {
        let _ = socket.set_recv_buffer_size(octets);
    }
    let _ = socket.set_send_buffer_size(octets);
}

fn ask_for_destination(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv4() {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    Ok(())
}

fn socket_address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    storage.as_sockaddr_in6().map(|v6| SocketAddr::from((v6.ip(), v6.port())))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the list of control messages is the kernel's, not ours")]
fn destination(message: &ControlMessageOwned) -> Option<IpAddr> {
    match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::V4(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes())))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr))),
        _ => None,
    }
}

fn source_v4(address: Ipv4Addr) -> libc::in_pktinfo {
    libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) },
        ipi_addr: libc::in_addr { s_addr: 0 },
    }
}

const fn source_v6(address: Ipv6Addr) -> libc::in6_pktinfo {
    libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: address.octets() }, ipi6_ifindex: 0 }
}

/// Datagrams a system call: past 32 the saving per datagram is lost in the noise.
pub(super) const BATCH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_for(socket: &mut BatchSocket, buffers: &mut Buffers) -> (usize, usize, Route) {
        for _ in 0..200 {
            let received = socket.receive(buffers).unwrap();
            if let Some((at, Some((length, route)))) =
                received.iter().enumerate().find(|(_, one)| one.is_some())
            {
                return (at, *length, *route);
            }
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
        panic!("nothing arrived");
    }

    #[test]
    fn a_reply_leaves_from_the_address_that_was_asked() {
        for (bound, asked) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "::1")] {
            let bound = bind(bound.parse().unwrap(), 1 << 20).unwrap();
            let to = SocketAddr::new(asked.parse().unwrap(), bound.local_addr().unwrap().port());
            let (mut server, mut room_for) = (BatchSocket::of(bound), buffers());
            let nas = UdpSocket::bind(if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }).unwrap();
            // Three times: the second and third show that the headers are reused rightly.
            for round in 0..3u8 {
                nas.send_to(&[1, 2, round], to).unwrap();
                let (at, length, route) = wait_for(&mut server, &mut room_for);
                assert_eq!(datagram(&room_for, at, length), &[1, 2, round]);
                server.send(&[3, 4], route);
                server.flush();
                let mut room = [0; 16];
                let (length, from) = nas.recv_from(&mut room).unwrap();
                assert_eq!((&room[..length], from), (&[3u8, 4][..], to));
            }
        }
    }

    #[test]
    fn a_bound_address_needs_no_help_and_a_batch_keeps_its_order() {
        let bound = bind("127.0.0.1:0".parse().unwrap(), 1 << 20).unwrap();
        let to = bound.local_addr().unwrap();
        let (mut server, mut room_for) = (BatchSocket::of(bound), buffers());
        let nas = UdpSocket::bind("127.0.0.1:0").unwrap();
        for number in 0..10u8 {
            nas.send_to(&[number], to).unwrap();
        }
        let received = server.receive(&mut room_for).unwrap();
        let octets: Vec<u8> = (0..10).map(|at| datagram(&room_for, at, 1)[0]).collect();
        assert_eq!(received.iter().flatten().count(), 10);
        assert_eq!(octets, (0..10).collect::<Vec<_>>());
        assert!(received[0].unwrap().1.local.is_none());
        for (number, one) in received.iter().flatten().enumerate() {
            server.send(&[u8::try_from(number).unwrap(), 9], one.1);
        }
        server.flush();
        for number in 0..10u8 {
            let mut room = [0; 16];
            let (length, from) = nas.recv_from(&mut room).unwrap();
            assert_eq!((&room[..length], from), (&[number, 9][..], to));
        }
    }
}
