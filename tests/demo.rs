//! `demo --once` keeps its promise: the whole journey by phones, mail and RADIUS clients that are not
//! ours, a SIGKILL in the middle, what is sold and how it ends, and nothing left behind, also not by a run that was killed itself.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "a test may look at the clock and sleep")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// One after the other: each removes what dead ones left, and the rate is measured.
static TURN: Mutex<()> = Mutex::new(());

fn demo(place: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dotmac-edge"));
    command.args(["demo", "--once"]).env("TMPDIR", place).stdin(Stdio::null());
    command
}

/// What a demo of this process id has on the machine: namespaces, their files in /etc, links, processes.
fn left_by(pid: u32, place: &Path) -> Vec<String> {
    let name = format!("edge-demo-{pid}-");
    let in_folder = |folder: &str| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(Result::ok).map(|entry| entry.path()).collect()
    };
    let is_its = |path: &&PathBuf| {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        file.starts_with(&name) || file == format!("edge-l-{pid}") || file == format!("edge-m-{pid}")
    };
    let places = ["/run/netns", "/etc/netns", "/sys/class/net"].map(in_folder).concat();
    let mut left: Vec<String> = places.iter().filter(is_its).map(|path| path.display().to_string()).collect();
    for process in in_folder("/proc") {
        let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(place.to_str().unwrap()) {
            left.push(line);
        }
    }
    left.extend(std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path().display().to_string()));
    left
}

fn ends_well(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let faults = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{faults}");
    assert!(told.contains("The journey is done") && !told.contains("FAIL"), "{told}");
    told
}

/// Reads on until a line with these words.
fn read_until(child: &mut Child, words: &str) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let found = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(words)));
    assert!(found.is_some(), "no line with {words:?}");
}

#[test]
fn killed_in_the_middle_it_leaves_nothing_that_the_next_run_does_not_remove_and_that_one_ends_well() {
    let _turn = TURN.lock();
    let place = tempfile::tempdir().unwrap();
    let left_by_another = place.path().join("dotmac-edge-demo-999999999");
    std::fs::create_dir(&left_by_another).unwrap();

    let mut killed = demo(place.path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    read_until(&mut killed, "The service is provisioned");
    killed.kill().unwrap();
    killed.wait().unwrap();
    let left = left_by(killed.id(), place.path());
    assert!(left.iter().any(|one| one.contains("/run/netns/")), "nothing to remove: {left:?}");
    assert!(left.iter().any(|one| one.contains("dnsmasq")) && left.iter().any(|one| one.contains(" serve")));

    let began = Instant::now();
    let child = demo(place.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let told = ends_well(&child.wait_with_output().unwrap());
    // Half a minute of it is measured and waited for: a rate, and twice the end of what was paid for.
    assert!(began.elapsed() < Duration::from_secs(150), "it took {:?}", began.elapsed());
    for promise in [
        "A login by PAP: Access-Accept",
        "A login by CHAP: Access-Accept",
        "A login by MS-CHAP: Access-Accept",
        "Mikrotik-Rate-Limit = \"5M/20M\"",
        "A wrong password: Access-Reject",
        "The refusal has its reason: wrong_password",
        "The session is whole: one session, open, 6000000123 octets down, 4500000045 up",
        "The session is closed, to the octet: one session, closed, 13000000456 octets down, 4700000078 up",
        "option 114 https://portal.demo.example/capport/api",
        "The phone's probe leads to the portal: ",
        "TLS to the Internet is refused at once: refused after",
        "The same probe gets its real answer: 204",
        "A download runs at the plan's rate: ",
        "The admin sees the session: ",
        "The same subscriber by RADIUS: Access-Accept, Mikrotik-Rate-Limit = \"4M/8M\"",
        "The daemon is killed while the download runs: ",
        "The admin disconnects the session: ",
        "the phone's next packet, ",
        "The phone's next connection is refused: refused after",
        "They press Pay: \"Paid – Demo POP\" after ",
        "The phone is cut when it is due: ",
        "TLS to the Internet is refused again: refused after",
        "The way to pay is open: https://portal.demo.example/pay, ",
        "And nothing else is: http://connectivitycheck.gstatic.com/generate_204 → 302",
        "They press Pay again: \"Paid – Demo POP\" after ",
        "The books: 2 payments, ",
        "the buyer pays 200.00, the agent keeps 20.00, the float pays 180.00: 820.00 are left",
        "Its owner types the code: \"You are online – Demo POP\" after ",
        "The phone is cut when its time is over: ",
        "The phone's owner types it: \"You are online – Demo POP\" after ",
        "The agent counts their drawer: expected 400.00, counted 400.00, difference 0.00",
        "The agent's float: 640.00 NGN",
        "which sum to zero, and the chain is whole",
    ] {
        assert!(told.contains(promise), "{promise:?} is not in\n{told}");
    }
    for pid in [killed.id(), pid] {
        assert_eq!(left_by(pid, place.path()), Vec::<String>::new());
    }
}

#[test]
fn told_to_stop_it_removes_what_it_made() {
    let _turn = TURN.lock();
    let place = tempfile::tempdir().unwrap();
    let mut child = demo(place.path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    read_until(&mut child, "The admin logs in over HTTP");
    let told = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(told, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "it was cut short");
    assert_eq!(left_by(child.id(), place.path()), Vec::<String>::new());
}

#[test]
fn without_its_programs_one_line_says_what_to_install() {
    let place = tempfile::tempdir().unwrap();
    let output = demo(place.path()).env("PATH", "/nonexistent").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("apt-get install") && told.contains("freeradius-utils"), "{told}");
    assert!(told.contains("dnsmasq-base") && told.contains("udhcpc"), "{told}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}
