//! The command line keeps its promises: help for every command, exit statuses that scripts can
//! rely on, faults that say what to do, and every command against a running daemon.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// What a command came to.
struct Ended {
    status: i32,
    out: String,
    err: String,
}

fn edge(arguments: &[&str]) -> Ended {
    edge_with("", arguments)
}

fn edge_with(stdin: &str, arguments: &[&str]) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dotmac-edge"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may have ended already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ended {
        status: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A folder with a configuration on ports that are free.
struct EdgeBox {
    folder: tempfile::TempDir,
    daemon: Option<Child>,
    authentication: String,
    accounting: String,
    admin: String,
}

impl EdgeBox {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tcp = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
        let udp = [UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap()];
        let [admin, metrics] = tcp.map(|socket| socket.local_addr().unwrap().to_string());
        let [authentication, accounting] = udp.map(|socket| socket.local_addr().unwrap().to_string());
        let place = folder.path().display();
        let text = format!(
            "[site]\ntimezone = \"Africa/Lagos\"\ncurrency = \"NGN\"\n[store]\npath = \"{place}/store\"\n\
             [http]\nadmin = \"{admin}\"\nmetrics = \"{metrics}\"\n\
             [radius]\nauthentication = [\"{authentication}\"]\naccounting = [\"{accounting}\"]\n\
             reject_delay = \"0s\"\n[control]\nsocket = \"{place}/control.sock\"\n[log]\nformat = \"console\"\n\
             [secrets]\nkey = \"file:{place}/box.key\"\n"
        );
        std::fs::write(folder.path().join("edge.toml"), text).unwrap();
        Self { folder, daemon: None, authentication, accounting, admin }
    }

    fn running() -> Self {
        let mut edge_box = Self::new();
        edge_box.start();
        edge_box
    }

    fn start(&mut self) {
        let log = std::fs::File::create(self.path("daemon.log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_dotmac-edge"))
            .args(["serve", "--config", &self.config()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemon = Some(child);
        for _ in 0..1_000 {
            if self.run(&["plan", "list"]).status == 0 {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        panic!("not ready:\n{}", std::fs::read_to_string(self.path("daemon.log")).unwrap());
    }

    fn stop(&mut self) {
        let Some(mut child) = self.daemon.take() else { return };
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(child.wait().unwrap().success());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self) -> String {
        self.path("edge.toml").display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with("", arguments)
    }

    fn run_with(&self, stdin: &str, arguments: &[&str]) -> Ended {
        let config = self.config();
        edge_with(stdin, &[&["--config", &config], arguments].concat())
    }

    /// The record that a command prints as JSON.
    fn json(&self, arguments: &[&str]) -> Value {
        let ended = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(ended.status, 0, "{arguments:?}: {}", ended.err);
        serde_json::from_str(&ended.out).unwrap()
    }
}

impl Drop for EdgeBox {
    fn drop(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn every_command_has_help() {
    let commands: &[&[&str]] = &[
        &[],
        &["serve"],
        &["check-config"],
        &["doctor"],
        &["admin", "create"],
        &["nas", "add"],
        &["nas", "list"],
        &["nas", "set"],
        &["nas", "remove"],
        &["plan", "list"],
        &["plan", "create"],
        &["plan", "show"],
        &["customer", "list"],
        &["customer", "create"],
        &["customer", "show"],
        &["customer", "reset-portal-password"],
        &["customer", "import"],
        &["service", "list"],
        &["service", "create"],
        &["service", "provision"],
        &["service", "show"],
        &["service", "suspend"],
        &["service", "resume"],
        &["service", "approve"],
        &["service", "reset-password"],
        &["service", "terminate"],
        &["session", "list"],
        &["session", "disconnect"],
        &["why"],
        &["backup"],
        &["restore"],
        &["store", "check"],
        &["radius", "test"],
        &["demo"],
    ];
    for command in commands {
        let ended = edge(&[*command, &["--help"]].concat());
        assert_eq!(ended.status, 0, "{command:?}");
        assert!(ended.out.contains("Usage: dotmac-edge") && ended.out.contains("--config"), "{command:?}");
    }
}

#[test]
fn usage_ends_with_2_and_an_absent_daemon_with_3() {
    assert_eq!(edge(&["no-such-command"]).status, 2);
    assert_eq!(edge(&["nas", "add"]).status, 2);
    assert_eq!(edge(&["--config", "/nonexistent/edge.toml", "nas", "list"]).status, 2);
    let edge_box = EdgeBox::new();
    for command in [&["nas", "list"][..], &["why", "ada"], &["session", "list"], &["backup", "/tmp/x"]] {
        let ended = edge_box.run(command);
        assert_eq!(ended.status, 3, "{command:?}");
        assert!(ended.err.contains("control.sock") && ended.err.contains("systemctl start"), "{}", ended.err);
    }
}

#[test]
fn a_wrong_file_is_told_whole_with_line_key_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        "[site]\ntimezone = \"Africa/Lagos\"\ncurrency = \"NGN\"\n[radius]\nworker = 3\nreject_delay = 5\n";
    let config = write(folder.path(), "edge.toml", text);
    let ended = edge(&["check-config", "--config", &config]);
    assert_eq!((ended.status, ended.out.as_str()), (2, ""));
    assert!(ended.err.contains("2 faults"), "{}", ended.err);
    assert!(ended.err.contains(":5:1: radius.worker: unknown key; did you mean `workers`?"), "{}", ended.err);
    assert!(ended.err.contains(":6:16: radius.reject_delay: "), "{}", ended.err);
}

#[test]
fn a_good_file_shows_each_setting_and_where_it_came_from() {
    let edge_box = EdgeBox::new();
    let ended = edge_box.run(&["check-config"]);
    assert_eq!(ended.status, 0);
    let line = |key: &str| ended.out.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(line("site.currency ").contains("line 3"));
    assert!(line("radius.workers ").contains("default"));
    let settings = edge_box.json(&["check-config"]);
    assert!(settings["settings"].as_array().unwrap().iter().any(|one| one["key"] == "site.currency"));
}

#[test]
fn the_daemon_does_not_start_by_a_wrong_file_and_binds_nothing() {
    let edge_box = EdgeBox::new();
    let text = std::fs::read_to_string(edge_box.path("edge.toml")).unwrap() + "[surprise]\n";
    std::fs::write(edge_box.path("edge.toml"), text).unwrap();
    // Were a port bound first, the port being taken would be the fault that is told.
    let _taken = UdpSocket::bind(&edge_box.authentication).unwrap();
    let ended = edge_box.run(&["serve"]);
    assert_eq!(ended.status, 78);
    assert!(ended.err.contains("surprise"), "{}", ended.err);
    assert!(!edge_box.path("store").exists() && !edge_box.path("control.sock").exists());
}

#[test]
fn a_box_is_run_from_the_command_line_alone() {
    let edge_box = EdgeBox::running();
    let made = edge_box.json(&["admin", "create", "--email", "owner@example.net"]);
    assert!(made["generated_password"].is_string());
    let weak =
        edge_box.run_with("short\n", &["admin", "create", "--email", "b@example.net", "--password-stdin"]);
    assert_eq!(weak.status, 2);
    assert!(weak.err.contains("password:"), "{}", weak.err);

    let plan = ["plan", "create", "home", "--name", "Home", "--price", "100", "--down", "20", "--up", "5"];
    assert_eq!(edge_box.run(&plan).status, 0);
    assert_eq!(edge_box.run(&plan).status, 1, "a plan's code is unique");
    let customer = edge_box.json(&["customer", "create", "--first-name", "Ada", "--last-name", "Obi"]);
    let number = customer["customer_number"].as_str().unwrap();
    let service = ["service", "create", "--customer", number, "--plan", "home", "--username", "ada"];
    let made =
        edge_box.run_with("correct horse\n", &[&service[..], &["--password-stdin", "--provision"]].concat());
    assert_eq!(made.status, 0, "{}", made.err);
    let second = ["service", "create", "--customer", number, "--plan", "home", "--provision"];
    let second = edge_box.json(&second);
    assert!(second["network_password"].is_string() && second["status"] == "active", "{second}");
    let secret = edge_box.json(&["nas", "add", "here", "127.0.0.1", "--kind", "mikrotik"])["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(edge_box.run(&["nas", "list"]).out.contains("127.0.0.1"));
    assert!(edge_box.run(&["customer", "show", number]).out.contains("home"));

    radius_tests(&edge_box, &secret);
    suspended(&edge_box, &secret);
    assert_eq!(edge_box.run(&["nas", "remove", "here"]).status, 0);
    assert_eq!(edge_box.run(&["nas", "remove", "here"]).status, 1);
}

fn radius_tests(edge_box: &EdgeBox, secret: &str) {
    let right = format!("{secret}\ncorrect horse\n");
    let server = edge_box.authentication.as_str();
    for method in ["pap", "chap", "mschapv1", "mschapv2"] {
        let test = ["radius", "test", server, "--user", "ada", "--method", method];
        let ended = edge_box.run_with(&right, &test);
        assert_eq!(ended.status, 0, "{method}: {}{}", ended.out, ended.err);
        assert!(ended.out.contains("Access-Accept"), "{method}: {}", ended.out);
        assert!(ended.out.contains("Mikrotik-Rate-Limit = \"5M/20M\""), "{method}: {}", ended.out);
        let wrong = edge_box.run_with(&format!("{secret}\nwrong\n"), &test);
        assert_eq!(wrong.status, 1, "{method}");
        assert!(wrong.out.contains("Access-Reject"), "{method}: {}", wrong.out);
    }
    let silent = ["radius", "test", server, "--user", "ada", "--tries", "1", "--timeout", "1"];
    let ended = edge_box.run_with("another secret\ncorrect horse\n", &silent);
    assert_eq!(ended.status, 1);
    assert!(ended.out.contains("no answer"), "{}", ended.out);

    let status = edge_box.run_with(&format!("{secret}\n"), &["radius", "test", server, "--method", "status"]);
    assert_eq!(status.status, 0, "{}", status.err);
    let account = ["radius", "test", &edge_box.accounting, "--user", "ada", "--method", "accounting"];
    let ended = edge_box.run_with(&format!("{secret}\n"), &account);
    assert_eq!(ended.status, 0, "{}{}", ended.out, ended.err);
    let sessions = edge_box.json(&["session", "list", "--closed", "--user", "ada", "--nas", "here"]);
    assert_eq!(sessions["items"][0]["download_octets"], 5_000_000_000_u64);
    assert_eq!(sessions["items"][0]["nas_name"], "here");
    assert!(edge_box.run(&["session", "list", "--all"]).out.contains("5 GB"));
    nothing_to_disconnect(edge_box);
}

fn nothing_to_disconnect(edge_box: &EdgeBox) {
    let nothing_to_end = edge_box.run(&["session", "disconnect", "ada"]);
    assert_eq!(nothing_to_end.status, 1);
    assert!(nothing_to_end.err.contains("ada has no open session"), "{}", nothing_to_end.err);
}

fn suspended(edge_box: &EdgeBox, secret: &str) {
    assert!(edge_box.run(&["why", "ada"]).out.starts_with("ada (service "));
    assert_eq!(edge_box.run(&["service", "suspend", "ada", "--note", "unpaid"]).status, 0);
    let why = edge_box.run(&["why", "ada"]);
    assert!(why.out.contains("may not be online") && why.out.contains("unpaid"), "{}", why.out);
    let test = ["radius", "test", &edge_box.authentication, "--user", "ada"];
    assert_eq!(edge_box.run_with(&format!("{secret}\ncorrect horse\n"), &test).status, 1);
    assert_eq!(edge_box.run(&["service", "resume", "ada"]).status, 0);
    assert!(edge_box.run(&["service", "show", "ada"]).out.contains("status     active"));
    let reset = ["service", "reset-password", "ada", "--password-stdin"];
    assert!(edge_box.run_with("a new router secret\n", &reset).out.contains("password: a new router secret"));
    assert_eq!(edge_box.run_with(&format!("{secret}\ncorrect horse\n"), &test).status, 1, "the old one");
    assert_eq!(edge_box.run_with(&format!("{secret}\na new router secret\n"), &test).status, 0);
    let portal = edge_box.json(&["customer", "reset-portal-password", "C-000001"]);
    assert_eq!(portal["portal_password"].as_str().map(str::len), Some(12), "{portal}");
    assert_eq!(edge_box.run(&["service", "terminate", "ada"]).status, 0);
    assert_eq!(edge_box.run(&["why", "nobody"]).status, 1);
}

#[test]
fn a_roster_goes_in_but_for_its_bad_lines_and_again_changes_nothing() {
    let edge_box = EdgeBox::running();
    let plan = ["plan", "create", "home", "--name", "Home", "--price", "100", "--down", "20", "--up", "5"];
    assert_eq!(edge_box.run(&plan).status, 0);
    let roster = "customer_number,first_name,last_name,email,plan_code\n\
                  C1,Ada,Obi,ada@example.net,home\nC2,Bo,Eze,not an address,\nC3,Chi,Ude,,\n";
    let file = write(edge_box.folder.path(), "roster.csv", roster);
    let dry = edge_box.run(&["customer", "import", &file, "--dry-run"]);
    assert_eq!(dry.status, 1);
    assert!(dry.out.contains("line 3: email "), "{}", dry.out);
    assert!(edge_box.json(&["customer", "list"])["items"].as_array().unwrap().is_empty());
    let real = edge_box.run(&["customer", "import", &file]);
    assert_eq!(real.status, 1);
    assert!(real.out.contains("2 new, 0 changed, 0 as they were, 1 services, 1 bad lines."), "{}", real.out);
    let again = edge_box.run(&["customer", "import", &file]);
    assert!(again.out.contains("0 new, 0 changed, 2 as they were"), "{}", again.out);
}

#[test]
fn a_roster_of_any_length_goes_in_whole_and_no_password_is_lost_on_the_way() {
    let edge_box = EdgeBox::running();
    let plan = ["plan", "create", "home", "--name", "Home", "--price", "100", "--down", "20", "--up", "5"];
    assert_eq!(edge_box.run(&plan).status, 0);
    let mut roster = String::from("customer_number,name,plan_code\nFIRST,Ada Obi,home\n");
    for number in 0..5_001 {
        roster.push_str(&format!("Z{number},Bo Eze,\n"));
    }
    roster.push_str("LAST,Chi Ude,home\n");
    let file = write(edge_box.folder.path(), "roster.csv", &roster);
    let saved = edge_box.path("passwords.csv");
    let command = ["customer", "import", &file, "--passwords", saved.to_str().unwrap()];
    let done = edge_box.run(&command);
    assert_eq!(done.status, 0, "{}{}", done.out, done.err);
    assert!(done.out.contains("5003 new, 0 changed, 0 as they were, 2 services"), "{}", done.out);
    assert!(done.out.contains("first ") && done.out.contains("last "), "{}", done.out);
    assert!(done.err.contains("line 5001"), "it says how far it is: {}", done.err);
    let passwords = std::fs::read_to_string(&saved).unwrap();
    let lines: Vec<_> = passwords.lines().collect();
    assert_eq!(lines.len(), 3, "{passwords}");
    assert!(lines[1].starts_with("\"FIRST\",\"first\",\"") && lines[2].starts_with("\"LAST\",\"last\",\""));
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&saved).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(edge_box.run(&command).status, 2, "passwords are never written over");

    let again = edge_box.json(&["customer", "import", &file]);
    assert_eq!((&again["unchanged"], &again["next_line"]), (&5_003.into(), &Value::Null), "one document");
    assert!(edge_box.run(&["customer", "import", "--help"]).out.contains("service reset-password"));
}

#[test]
fn a_backup_brings_back_what_was_there_when_it_was_taken() {
    let mut edge_box = EdgeBox::running();
    let enter = |edge_box: &EdgeBox, number: &str| {
        let made = edge_box.run(&[
            "customer",
            "create",
            "--first-name",
            "A",
            "--last-name",
            "B",
            "--number",
            number,
        ]);
        assert_eq!(made.status, 0, "{}", made.err);
    };
    enter(&edge_box, "before");
    let backup = edge_box.path("backup.edge").display().to_string();
    assert_eq!(edge_box.run(&["backup", &backup]).status, 0);
    enter(&edge_box, "after");
    assert_eq!(edge_box.run(&["store", "check"]).status, 0);
    let held = edge_box.run(&["restore", &backup]);
    assert_eq!(held.status, 1);
    assert!(held.err.contains("held by process"), "{}", held.err);

    edge_box.stop();
    assert_eq!(edge_box.run(&["store", "check"]).status, 0, "also without the daemon");
    let restored = edge_box.run(&["restore", &backup]);
    assert_eq!(restored.status, 0, "{}", restored.err);
    edge_box.start();
    let customers = edge_box.json(&["customer", "list"]);
    let numbers: Vec<_> = customers["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["customer_number"].as_str().unwrap())
        .collect();
    assert_eq!(numbers, ["before"]);
}

#[test]
fn doctor_tells_what_is_well_and_what_is_not() {
    let mut edge_box = EdgeBox::new();
    let level = |report: &Value, name: &str| -> Vec<String> {
        let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["name"] == name);
        checks.map(|check| format!("{}: {}", check["level"].as_str().unwrap(), check["found"])).collect()
    };
    let before = edge_box.json(&["doctor"]);
    assert!(level(&before, "port").iter().all(|port| port.contains("is free")), "{before}");
    assert!(level(&before, "daemon")[0].starts_with("warn"));

    edge_box.start();
    let running = edge_box.json(&["doctor"]);
    assert!(level(&running, "port").iter().all(|port| port.contains("held by dotmac-edge")), "{running}");
    assert!(level(&running, "nas")[0].contains("no NAS is entered"));
    edge_box.stop();

    let _taken = TcpListener::bind(&edge_box.admin).unwrap();
    let ended = edge_box.run(&["doctor"]);
    assert_eq!(ended.status, 1);
    let line = ended.out.lines().find(|line| line.starts_with("fail  port")).unwrap();
    assert!(line.contains("(http.admin) is held by") && line.contains("stop that program"), "{line}");

    std::fs::write(edge_box.path("edge.toml"), "[site]\n").unwrap();
    let ended = edge_box.run(&["doctor"]);
    assert_eq!(ended.status, 1);
    assert!(ended.out.starts_with("fail  config"), "{}", ended.out);
}

#[test]
fn doctor_and_check_config_speak_of_the_certificate_for_eap() {
    let edge_box = EdgeBox::new();
    let pki = edge_box.path("eap").display().to_string();
    let made = edge_box.run(&["radius", "ca", "--dir", &pki, "--server-name", "radius.example.net"]);
    assert_eq!(made.status, 0, "{}", made.err);
    // What it prints is what the configuration needs.
    let text = std::fs::read_to_string(edge_box.path("edge.toml")).unwrap();
    std::fs::write(edge_box.path("edge.toml"), format!("{text}{}", made.out)).unwrap();
    let line = |what: &str| {
        let out = edge_box.run(&["doctor"]).out;
        let found = out.lines().find(|line| line.contains(what)).map(str::to_owned);
        found.unwrap_or_else(|| panic!("no {what:?} in {out}"))
    };
    assert!(line("the certificate is good until").starts_with("ok"));
    assert_eq!(edge_box.run(&["check-config"]).status, 0);

    std::fs::remove_file(edge_box.path("eap/server.pem")).unwrap();
    assert!(line("radius.eap.certificate").starts_with("fail"));
    let ended = edge_box.run(&["check-config"]);
    assert!(
        ended.err.contains("radius.eap.certificate") && ended.err.contains("cannot be read"),
        "{}",
        ended.err
    );
    // A certificate of one key with another key is no pair.
    let other = edge_box.path("other").display().to_string();
    edge_box.run(&["radius", "ca", "--dir", &other, "--server-name", "radius.example.net"]);
    std::fs::copy(edge_box.path("other/server.pem"), edge_box.path("eap/server.pem")).unwrap();
    assert!(line("does not belong to the first certificate").starts_with("fail"));
}

#[test]
fn a_second_daemon_on_the_same_store_refuses() {
    let first = EdgeBox::running();
    let second = EdgeBox::new();
    let text = std::fs::read_to_string(second.path("edge.toml")).unwrap();
    let text = text.replace(
        &format!("{}/store", second.folder.path().display()),
        &first.path("store").display().to_string(),
    );
    let text = text
        .replace(&second.path("box.key").display().to_string(), &first.path("box.key").display().to_string());
    std::fs::write(second.path("edge.toml"), text).unwrap();
    let ended = second.run(&["serve"]);
    assert_eq!(ended.status, 1);
    assert!(ended.err.contains("held by process"), "{}", ended.err);
}
