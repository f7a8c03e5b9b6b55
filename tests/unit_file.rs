//! The service that ships is confined, and systemd understands every line of it.
//!
//! Needs `systemd-analyze` (package systemd, which `make deps` brings); without it the promise is not
//! kept and the test fails rather than passes unseen.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)
}

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} does not run ({error}): `make deps` installs it"))
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_service_is_exposed_by_no_more_than_two_points_of_ten() {
    let unit = shipped("dotmac-edge.service");
    let arguments = ["security", "--offline=true", "--threshold=20", "--no-pager", unit.to_str().unwrap()];
    let output = run("systemd-analyze", &arguments);
    assert!(output.status.success(), "{}", told(&output));
}

#[test]
fn systemd_understands_every_line_of_the_service() {
    // The program is not installed where tests run; everything else is as shipped.
    let text = std::fs::read_to_string(shipped("dotmac-edge.service")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("dotmac-edge.service");
    std::fs::write(&copy, text.replace("/usr/sbin/dotmac-edge", "/bin/true")).unwrap();
    let output = run("systemd-analyze", &["verify", "--man=no", copy.to_str().unwrap()]);
    let told = told(&output);
    let about_us: Vec<&str> = told.lines().filter(|line| line.contains("dotmac-edge")).collect();
    assert!(output.status.success() && about_us.is_empty(), "{told}");
}

#[test]
fn the_service_restarts_by_itself_but_not_over_a_wrong_configuration() {
    let text = std::fs::read_to_string(shipped("dotmac-edge.service")).unwrap();
    for line in ["Type=notify", "WatchdogSec=30", "Restart=on-failure", "RestartPreventExitStatus=78"] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
    assert!(!text.contains("\nExecStartPre="));
}

#[test]
fn the_users_file_makes_the_user_that_the_service_runs_as() {
    let users = std::fs::read_to_string(shipped("dotmac-edge.sysusers")).unwrap();
    assert!(users.lines().any(|line| line.starts_with("u dotmac-edge ")));
    let output = run("systemd-sysusers", &["--dry-run", shipped("dotmac-edge.sysusers").to_str().unwrap()]);
    assert!(output.status.success(), "{}", told(&output));
}
