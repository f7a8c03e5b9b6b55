//! What the demo cannot do without, looked for before anything is made.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cli::error::CliError;

/// Every program, or one line that says what to install.
pub(super) fn must_be_there() -> Result<(), CliError> {
    let mut missing: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| *package).collect();
    if !Path::new(MAIL_MODULE).exists() {
        missing.push("python3-aiosmtpd");
    }
    if !faketime().exists() {
        missing.push("libfaketime");
    }
    missing.dedup();
    if !missing.is_empty() {
        return Err(CliError::NotSo(format!(
            "the demo needs programs that are missing here; run: apt-get install {}",
            missing.join(" ")
        )));
    }
    if !nix::unistd::geteuid().is_root() {
        let text = "the demo makes network namespaces, which takes root; run it with sudo";
        return Err(CliError::NotSo(text.to_owned()));
    }
    Ok(())
}

fn is_installed(program: &str) -> bool {
    let quiet = || Stdio::null();
    let started =
        Command::new(program).arg("--version").stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
    started.is_ok_and(|mut child| child.wait().is_ok())
}

/// The library that lets the daemon's wall clock be moved on, where Debian puts it for this processor.
pub(super) fn faketime() -> PathBuf {
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    Path::new("/usr/lib").join(triplet).join("faketime/libfaketime.so.1")
}

/// Each program and the Debian package that has it.
const PROGRAMS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("dnsmasq", "dnsmasq-base"),
    ("udhcpc", "udhcpc"),
    ("curl", "curl"),
    ("radclient", "freeradius-utils"),
];
/// Debian's own Python is asked for, since another one does not see Debian's packages.
pub(super) const PYTHON: &str = "/usr/bin/python3";
const MAIL_MODULE: &str = "/usr/lib/python3/dist-packages/aiosmtpd";
