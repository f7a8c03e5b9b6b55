//! Opening TCP ports.
//!
//! The one rule: an IPv6 listener takes IPv6 only, so that `0.0.0.0` and `[::]` are two listeners with
//! the same port, on every machine, whatever its `net.ipv6.bindv6only` says.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// A listener on this address, within a tokio runtime.
///
/// # Errors
/// What the system says.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for the last connections' TIME-WAIT to end.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Connections that wait in the kernel while we are busy: the kernel's own default since 5.4.
const BACKLOG: i32 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_families_can_have_the_same_port() {
        let four = listen("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = four.local_addr().unwrap().port();
        let six = listen(format!("[::]:{port}").parse().unwrap()).unwrap();
        assert_eq!(six.local_addr().unwrap().port(), port);
    }
}
