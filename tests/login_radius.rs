//! A real radclient logs in and accounts: what a NAS gets, and what it does not.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![allow(clippy::disallowed_methods, reason = "a test may look at the clock")]

#[path = "support/radius_lab.rs"]
mod radius_lab;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use dotmac_edge::domain::nas::{MessageAuthenticatorPolicy, NasKind};
use radius_lab::{Lab, PASSWORD, SECRET};

const SIGNED: &str = "Message-Authenticator = 0x00";

#[test]
fn pap_chap_and_mschap_are_accepted_with_the_plans_rates_in_the_right_direction() {
    let lab = Lab::furnished(NasKind::Mikrotik);
    for credential in ["User-Password", "CHAP-Password", "MS-CHAP-Password"] {
        let attributes = format!("User-Name = ada\n{credential} = \"{PASSWORD}\"\n{SIGNED}\n");
        let (accepted, said) = lab.radclient("auth", SECRET, &attributes);
        assert!(accepted && said.contains("Access-Accept"), "{credential}: {said}");
        assert!(said.contains("Mikrotik-Rate-Limit = \"5M/20M\""), "upload first: {said}");
        assert!(said.contains("Framed-IP-Address = 100.64.0.7"), "{said}");
        assert!(said.contains("Session-Timeout = 86400"), "{said}");
        assert!(said.contains("Acct-Interim-Interval = 300"), "{said}");
        assert_eq!(credential == "MS-CHAP-Password", said.contains("MS-CHAP-MPPE-Keys"), "{said}");
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_get_the_same_late_reject() {
    let lab = Lab::furnished(NasKind::Generic);
    for attributes in ["User-Name = ada\nUser-Password = wrong", "User-Name = nobody\nUser-Password = x"] {
        let began = Instant::now();
        let (accepted, said) = lab.radclient("auth", SECRET, &format!("{attributes}\n{SIGNED}\n"));
        assert!(!accepted && said.contains("Access-Reject"), "{said}");
        assert!(began.elapsed() >= Duration::from_millis(150), "the reject waited");
    }
}

#[test]
fn a_wrong_secret_a_stranger_and_an_unsigned_request_get_silence() {
    let lab = Lab::furnished(NasKind::Generic);
    let good = format!("User-Name = ada\nUser-Password = \"{PASSWORD}\"\n");
    let silent = |secret: &str, attributes: &str| {
        let (_, said) = radius_lab::radclient(lab.authentication, "auth", secret, attributes, 1);
        assert!(said.contains("No reply"), "{said}");
    };
    silent("another-secret-entirely", &format!("{good}{SIGNED}\n"));
    lab.put_nas("192.0.2.0/24", NasKind::Generic, MessageAuthenticatorPolicy::Require);
    silent(SECRET, &format!("{good}{SIGNED}\n"));
}

#[test]
fn a_nas_is_added_and_changed_live_and_an_old_one_may_leave_its_requests_unsigned() {
    let lab = Lab::new();
    lab.put_service(1, "ada", PASSWORD);
    lab.put_nas("127.0.0.0/8", NasKind::Wispr, MessageAuthenticatorPolicy::Allow);
    // radclient signs every Access-Request by itself where it is new enough; either way it is heard.
    let attributes = format!("User-Name = ada\nUser-Password = \"{PASSWORD}\"\n");
    let (accepted, said) = lab.radclient("auth", SECRET, &attributes);
    assert!(accepted, "{said}");
    assert!(said.contains("WISPr-Bandwidth-Max-Down = 20000000"), "{said}");
    assert!(said.contains("WISPr-Bandwidth-Max-Up = 5000000"), "{said}");
}

#[test]
fn status_server_is_answered_on_both_ports() {
    let lab = Lab::furnished(NasKind::Generic);
    for (port, answer) in [(lab.authentication, "Access-Accept"), (lab.accounting, "Accounting-Response")] {
        let (accepted, said) = radius_lab::radclient(port, "status", SECRET, SIGNED, 2);
        assert!(accepted && said.contains(answer), "{said}");
    }
}

#[test]
fn more_than_four_gigabytes_are_accounted_exactly_and_are_on_disk_before_the_answer() {
    let lab = Lab::furnished(NasKind::Mikrotik);
    let say = |status: &str, more: &str| {
        let attributes = format!(
            "Acct-Status-Type = {status}\nAcct-Session-Id = \"8000001a\"\nUser-Name = ada\n\
             Calling-Station-Id = \"02:00:00:00:00:01\"\nNAS-IP-Address = 127.0.0.1\n{more}\n"
        );
        let (answered, said) = lab.radclient("acct", SECRET, &attributes);
        assert!(answered && said.contains("Accounting-Response"), "{status}: {said}");
    };
    say("Start", "");
    assert_eq!(lab.sessions().len(), 1, "on disk once acknowledged");
    say("Interim-Update", "Acct-Session-Time = 60\nAcct-Output-Octets = 4000000000\nAcct-Input-Octets = 5");
    say(
        "Stop",
        "Acct-Session-Time = 120\nAcct-Output-Octets = 705032704\nAcct-Output-Gigawords = 1\n\
         Acct-Input-Octets = 1000\nAcct-Terminate-Cause = User-Request",
    );
    let sessions = lab.sessions();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].counters[..2], [5_000_000_000, 1_000]);
    assert!(sessions[0].body.closed_at.is_some());
    assert_eq!(lab.access.open_sessions(), 0);
}

#[test]
fn accounting_on_ends_the_sessions_of_that_nas() {
    let lab = Lab::furnished(NasKind::Generic);
    for id in ["a", "b"] {
        let start = format!("Acct-Status-Type = Start\nAcct-Session-Id = {id}\nUser-Name = ada\n");
        assert!(lab.radclient("acct", SECRET, &start).0);
    }
    assert_eq!(lab.access.open_sessions(), 2);
    let (answered, said) = lab.radclient("acct", SECRET, "Acct-Status-Type = Accounting-On\n");
    assert!(answered, "{said}");
    assert_eq!(lab.access.open_sessions(), 0);
    assert!(lab.sessions().iter().all(|one| one.body.closed_at.is_some()));
}

/// The same octets again are answered with the same octets, and are worked out once.
#[test]
fn a_repeated_request_is_answered_from_the_cache() {
    let lab = Lab::furnished(NasKind::Generic);
    let secret = dotmac_edge::radius::SharedSecret::new(dotmac_edge::base::secret::Secret::from_text(SECRET));
    let mut buffer = [0; 4096];
    let mut request = dotmac_edge::radius::Request::access(&mut buffer, 9, [7; 16]).unwrap();
    request.attributes().text(dotmac_edge::radius::Kind::USER_NAME, "ada").unwrap();
    request.user_password(PASSWORD.as_bytes(), &secret).unwrap();
    let octets = request.finish(&secret).to_vec();
    let nas = UdpSocket::bind("127.0.0.1:0").unwrap();
    nas.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let mut answers = Vec::new();
    for _ in 0..3 {
        nas.send_to(&octets, lab.authentication).unwrap();
        let mut room = [0; 4096];
        let (length, _) = nas.recv_from(&mut room).unwrap();
        answers.push(room[..length].to_vec());
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(answers[0][0], 2, "Access-Accept");
}

/// 100,000 broken datagrams: no accept, and the door still answers afterwards.
#[test]
fn a_hundred_thousand_malformed_datagrams_get_no_accept_and_leave_the_door_open() {
    let lab = Lab::furnished(NasKind::Generic);
    let secret = dotmac_edge::radius::SharedSecret::new(dotmac_edge::base::secret::Secret::from_text(SECRET));
    let nas = UdpSocket::bind("127.0.0.1:0").unwrap();
    nas.set_nonblocking(true).unwrap();
    let memory_before = resident_kib();
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut good = Vec::new();
    for identifier in 0..=255u8 {
        let mut buffer = [0; 4096];
        let mut request =
            dotmac_edge::radius::Request::access(&mut buffer, identifier, [identifier; 16]).unwrap();
        request.attributes().text(dotmac_edge::radius::Kind::USER_NAME, "ada").unwrap();
        request.user_password(PASSWORD.as_bytes(), &secret).unwrap();
        good.push(request.finish(&secret).to_vec());
    }
    let (mut accepts, mut room) = (0, [0; 4096]);
    for number in 0..100_000u32 {
        let mut octets = good[usize::try_from(random() % 256).unwrap()].clone();
        for _ in 0..=random() % 4 {
            let place = usize::try_from(random()).unwrap_or(0) % octets.len();
            octets[place] ^= u8::try_from(1 + random() % 255).unwrap();
        }
        if number % 7 == 0 {
            octets.truncate(usize::try_from(random()).unwrap_or(0) % octets.len());
        }
        let is_changed = !good.contains(&octets);
        let port = if number % 5 == 0 { lab.accounting } else { lab.authentication };
        if is_changed {
            let _ = nas.send_to(&octets, port);
        }
        while let Ok((length, _)) = nas.recv_from(&mut room) {
            accepts += usize::from(length > 0 && room[0] == 2);
        }
    }
    std::thread::sleep(Duration::from_millis(500));
    while let Ok((length, _)) = nas.recv_from(&mut room) {
        accepts += usize::from(length > 0 && room[0] == 2);
    }
    assert_eq!(accepts, 0);
    let grown = resident_kib().saturating_sub(memory_before);
    assert!(grown < 32 * 1024, "memory grew by {grown} KiB");
    let attributes = format!("User-Name = ada\nUser-Password = \"{PASSWORD}\"\n{SIGNED}\n");
    let (accepted, said) = lab.radclient("auth", SECRET, &attributes);
    assert!(accepted, "{said}");
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
