//! The certificate that the box makes for its portal: what is served is what the doctor and the log show,
//! and a restart keeps it.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

#[path = "support/http.rs"]
mod http;
#[path = "support/process.rs"]
mod process;

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use process::Place;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

const NAME: &str = "portal.edge.test";

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The fingerprint of what a browser is shown there.
fn served(https: SocketAddr) -> String {
    let resolve = format!("{NAME}:{}:127.0.0.1", https.port());
    let url = format!("https://{NAME}:{}/", https.port());
    let asked =
        ["-s", "-k", "-o", "/dev/null", "--noproxy", "*", "-w", "%{certs}", "--resolve", &resolve, &url];
    let told = Command::new("curl").args(asked).output().unwrap();
    let certificate = CertificateDer::from_pem_slice(&told.stdout).expect("a certificate");
    let mut text = String::new();
    for octet in Sha256::digest(&certificate) {
        write!(text, "{}{octet:02X}", if text.is_empty() { "" } else { ":" }).unwrap();
    }
    text
}

#[test]
fn the_certificate_of_a_first_start_is_shown_as_it_is_served_and_kept_over_a_restart() {
    let place = Place::new();
    let (http, https) = (free(), free());
    let portal = format!("[portal]\nname = \"{NAME}\"\nhttp = \"{http}\"\nhttps = \"{https}\"\n");
    place.configure(&format!("{}{portal}", place.text()));
    let daemon = place.start();
    let first = served(https);
    place.await_log(&["has a certificate that this box made", &first]);
    let doctor = place.program(&["doctor"]).output().unwrap();
    let told = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(told.contains(&first), "{first} is not in:\n{told}");
    daemon.kill();
    let daemon = place.start();
    assert_eq!(served(https), first, "whoever accepted it once is not asked again");
    daemon.stop();
}
