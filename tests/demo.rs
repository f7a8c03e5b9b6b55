//! `demo --once` keeps its promise: the whole journey by a RADIUS client that is not ours, a
//! SIGKILL in the middle, and nothing left behind.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::process::{Command, Output};

fn demo(path: Option<&str>, place: &std::path::Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dotmac-edge"));
    command.args(["demo", "--once"]).env("TMPDIR", place);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    command.output().unwrap()
}

#[test]
fn the_journey_ends_well_and_leaves_nothing_behind() {
    let place = tempfile::tempdir().unwrap();
    let left_by_another = place.path().join("dotmac-edge-demo-999999999");
    std::fs::create_dir(&left_by_another).unwrap();
    let output = demo(None, place.path());
    let told = String::from_utf8(output.stdout).unwrap();
    let faults = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{faults}");
    for promise in [
        "A login by PAP: Access-Accept",
        "A login by CHAP: Access-Accept",
        "A login by MS-CHAP: Access-Accept",
        "Mikrotik-Rate-Limit = \"5M/20M\"",
        "A wrong password: Access-Reject",
        "The refusal has its reason: wrong_password",
        "The session is whole: one session, open, 6000000123 octets down, 4500000045 up",
        "The session is closed, to the octet: one session, closed, 13000000456 octets down, 4700000078 up",
        "The journey is done",
    ] {
        assert!(told.contains(promise), "{promise:?} is not in\n{told}");
    }
    assert!(!told.contains("FAIL"), "{told}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn without_radclient_one_line_says_what_to_install() {
    let place = tempfile::tempdir().unwrap();
    let output = demo(Some("/nonexistent"), place.path());
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("apt-get install freeradius-utils"));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}
