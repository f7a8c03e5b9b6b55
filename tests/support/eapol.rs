//! The real eapol_test: a supplicant and an authenticator that speak EAP over RADIUS, and compare keys.

use std::net::SocketAddr;
use std::process::Command;

/// What came of one login.
pub struct Outcome {
    /// The supplicant is in, and the keys are those that the RADIUS server sent.
    pub success: bool,
    /// All that it printed.
    pub said: String,
}

/// Logs in with the lines of a network block. `more` are further arguments: "-n" where the method gives no keys,
/// "-r1" to log in again and resume.
pub fn eapol_test(to: SocketAddr, secret: &str, network: &str, more: &[&str]) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("eapol.conf");
    std::fs::write(&config, format!("network={{\nkey_mgmt=IEEE8021X\n{network}\n}}\n")).unwrap();
    let port = to.port().to_string();
    let output = Command::new("eapol_test")
        .args(["-a", "127.0.0.1", "-p", &port, "-s", secret, "-t", "10", "-c"])
        .arg(&config)
        .args(more)
        .output()
        .expect("eapol_test is installed by `make deps` (package eapoltest)");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Outcome { success: output.status.success() && said.trim_end().ends_with("SUCCESS"), said }
}
