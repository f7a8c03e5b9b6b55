//! Three fresh network namespaces: a phone (a switch with two devices behind it), the gateway, and an
//! Internet; real interfaces, addresses and packets. They are named after the process and a number, so
//! tests run beside one another, and are gone when the value is dropped.

#![allow(missing_docs, dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

/// The phone's hardware address, and a second device's beside it.
pub const PHONE_MAC: &str = "02:00:00:00:00:0a";
pub const OTHER_MAC: &str = "02:00:00:00:00:0b";
pub const PHONE4: &str = "10.20.0.10";
pub const PHONE6: &str = "fd20::10";
pub const OTHER4: &str = "10.20.0.11";
pub const OTHER6: &str = "fd20::11";
pub const GATEWAY4: &str = "10.20.0.1";
pub const GATEWAY6: &str = "fd20::1";
pub const WEB4: &str = "198.51.100.9";
pub const WEB6: &str = "2001:db8:99::9";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A namespace that is removed with the value.
pub struct Namespace {
    pub name: String,
}

impl Namespace {
    fn new(role: &str, world: u32) -> Self {
        let name = format!("edge-{}-{world}-{role}", std::process::id());
        ip(&["netns", "add", &name]);
        let made = Self { name };
        // An address is of use at once, not after a second of looking for duplicates.
        let at_once = "for f in all default; do echo 0 >/proc/sys/net/ipv6/conf/$f/accept_dad; done";
        assert!(made.run("sh", &["-ec", at_once]).0, "no IPv6 in namespaces");
        made.ip("link set lo up");
        made
    }

    /// `ip` inside.
    pub fn ip(&self, words: &str) {
        let all: Vec<&str> = ["-n", &self.name].into_iter().chain(words.split_whitespace()).collect();
        ip(&all);
    }

    /// A program inside; its output, and whether it ended well.
    pub fn run(&self, program: &str, arguments: &[&str]) -> (bool, String) {
        let output =
            Command::new("ip").args(["netns", "exec", &self.name, program]).args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// A text of `nft` inside.
    pub fn nft(&self, text: &str) {
        let (fine, said) = self.run("nft", &[text]);
        assert!(fine, "nft {text}: {said}");
    }

    /// A thread inside; sockets and processes that it makes belong there.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        let place = File::open(format!("/run/netns/{}", self.name)).unwrap();
        std::thread::spawn(move || {
            setns(place, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        })
    }

    /// The same, waited for.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let place = File::open(format!("/run/netns/{}", self.name)).unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                setns(place, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            match thread.join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _gone = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

fn ip(words: &[&str]) {
    let output = Command::new("ip").args(words).output().unwrap();
    assert!(output.status.success(), "ip {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The whole little world.
pub struct World {
    pub phone: Namespace,
    pub other: Namespace,
    pub switch: Namespace,
    pub gateway: Namespace,
    pub internet: Namespace,
}

impl World {
    pub fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let make = |role| Namespace::new(role, number);
        let world = Self {
            phone: make("phone"),
            other: make("other"),
            switch: make("switch"),
            gateway: make("gate"),
            internet: make("inet"),
        };
        world.wire();
        world
    }

    fn wire(&self) {
        let Self { phone, other, switch, gateway, internet } = self;
        let pair = |a: &Namespace, one: &str, b: &Namespace, two: &str| {
            a.ip(&format!("link add {one} type veth peer name {two} netns {}", b.name));
        };
        pair(phone, "eth0", switch, "p1");
        pair(other, "eth0", switch, "p2");
        pair(gateway, "lan0", switch, "p0");
        pair(gateway, "wan0", internet, "eth0");
        phone.ip(&format!("link set eth0 address {PHONE_MAC}"));
        other.ip(&format!("link set eth0 address {OTHER_MAC}"));
        switch.ip("link add br0 type bridge");
        for port in ["p0", "p1", "p2"] {
            switch.ip(&format!("link set {port} master br0"));
            switch.ip(&format!("link set {port} up"));
        }
        switch.ip("link set br0 up");
        address(phone, "eth0", PHONE4, PHONE6);
        address(other, "eth0", OTHER4, OTHER6);
        address(gateway, "lan0", GATEWAY4, GATEWAY6);
        address(gateway, "wan0", "198.51.100.1", "2001:db8:99::1");
        address(internet, "eth0", WEB4, WEB6);
        for client in [phone, other] {
            client.ip(&format!("route add default via {GATEWAY4}"));
            client.ip(&format!("-6 route add default via {GATEWAY6}"));
        }
        internet.ip("-6 route add fd20::/64 via 2001:db8:99::1");
        let forward = "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding";
        let (forwards, said) = gateway.run("sh", &["-ec", forward]);
        assert!(forwards, "{said}");
    }
}

fn address(place: &Namespace, interface: &str, v4: &str, v6: &str) {
    place.ip(&format!("addr add {v4}/24 dev {interface}"));
    place.ip(&format!("addr add {v6}/64 dev {interface} nodad"));
    place.ip(&format!("link set {interface} up"));
}

/// Answers every connection with a word and closes it.
pub fn greets(place: &Namespace, port: u16, word: &'static str) {
    place
        .spawn(move || {
            let listener = TcpListener::bind(("::", port)).unwrap();
            std::thread::spawn(move || {
                for connection in listener.incoming().flatten() {
                    let mut connection = connection;
                    let _written = connection.write_all(word.as_bytes());
                }
            });
        })
        .join()
        .unwrap();
}

/// Pours octets into every connection until it ends.
pub fn pours(place: &Namespace, port: u16) {
    place
        .spawn(move || {
            let listener = TcpListener::bind(("::", port)).unwrap();
            std::thread::spawn(move || {
                for mut connection in listener.incoming().flatten() {
                    std::thread::spawn(move || while connection.write_all(&[b'x'; 16384]).is_ok() {});
                }
            });
        })
        .join()
        .unwrap();
}

/// Answers every datagram with a word.
pub fn echoes(place: &Namespace, port: u16, word: &'static str) {
    place
        .spawn(move || {
            let socket = UdpSocket::bind(("::", port)).unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 2048];
                while let Ok((_, from)) = socket.recv_from(&mut buffer) {
                    let _sent = socket.send_to(word.as_bytes(), from);
                }
            });
        })
        .join()
        .unwrap();
}

/// What a connection from there to there came to: the word, or the error's kind.
pub fn connect(place: &Namespace, address: &str, port: u16) -> Result<String, std::io::ErrorKind> {
    let target = SocketAddr::new(address.parse().unwrap(), port);
    place.inside(move || {
        let patience = Duration::from_millis(1500);
        let mut stream = TcpStream::connect_timeout(&target, patience).map_err(|error| error.kind())?;
        stream.set_read_timeout(Some(patience)).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).map_err(|error| error.kind())?;
        Ok(said)
    })
}

/// What a datagram came to.
pub fn ask(
    place: &Namespace,
    address: &str,
    port: u16,
    patience: Duration,
) -> Result<String, std::io::Error> {
    let target = SocketAddr::new(address.parse().unwrap(), port);
    place.inside(move || {
        let any: SocketAddr = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
        let socket = UdpSocket::bind(any).unwrap();
        socket.connect(target).unwrap();
        socket.set_read_timeout(Some(patience)).unwrap();
        socket.send(b"?").unwrap();
        let mut buffer = [0; 2048];
        let length = socket.recv(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    })
}
