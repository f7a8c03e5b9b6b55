//! A real supplicant logs in by each EAP method: right passwords and wrong ones, and what staff read of it.

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

#[path = "support/eapol.rs"]
mod eapol;
#[path = "support/radius_lab.rs"]
mod radius_lab;

use std::net::UdpSocket;
use std::time::Duration;

use dotmac_edge::base::secret::Secret;
use dotmac_edge::domain::lock::{Lock, LockMode, LockReason};
use dotmac_edge::domain::nas::NasKind;
use dotmac_edge::eap::{Method, TypeCode, packet};
use dotmac_edge::radius::{Kind, Packet, Request, SharedSecret};
use eapol::{Outcome, eapol_test};
use radius_lab::{Lab, PASSWORD, SECRET};

/// A network block for a method that is not inside another.
fn plain(method: &str, identity: &str, password: &str) -> String {
    format!("eap={method}\nidentity=\"{identity}\"\npassword=\"{password}\"")
}

fn log_in(lab: &Lab, method: &str, password: &str) -> Outcome {
    // Only MSCHAPv2 gives keys, and eapol_test compares those.
    let more: &[&str] = if method == "MSCHAPV2" { &[] } else { &["-n"] };
    eapol_test(lab.authentication, SECRET, &plain(method, "ada", password), more)
}

fn answer(method: &str, outcome: &str) -> (String, String, String) {
    ("ada".to_owned(), method.to_owned(), outcome.to_owned())
}

#[test]
fn each_method_lets_the_right_password_in_and_compares_keys_and_refuses_a_wrong_one() {
    for (theirs, ours) in [("MD5", "eap-md5"), ("GTC", "eap-gtc"), ("MSCHAPV2", "eap-mschapv2")] {
        let lab = Lab::furnished(NasKind::Mikrotik);
        let right = log_in(&lab, theirs, PASSWORD);
        assert!(right.success, "{theirs}: {}", right.said);
        assert!(!right.said.contains("PMK mismatch"), "{}", right.said);
        assert_eq!(lab.answers(), [answer(ours, "accepted")]);
        let wrong = log_in(&lab, theirs, "not the password");
        assert!(!wrong.success && wrong.said.contains("Access-Reject"), "{theirs}: {}", wrong.said);
        assert!(wrong.said.contains("EAP: Received EAP-Failure"), "{theirs}: {}", wrong.said);
        assert!(lab.answers().contains(&answer(ours, "wrong_password")));
    }
}

#[test]
fn an_accept_after_eap_has_the_plans_rates_and_our_class() {
    let lab = Lab::furnished(NasKind::Mikrotik);
    let right = log_in(&lab, "MSCHAPV2", PASSWORD);
    assert!(right.said.contains("Attribute 25 (Class)"), "{}", right.said);
    assert!(right.said.contains("Attribute 8 (Framed-IP-Address)"), "{}", right.said);
    // Mikrotik-Rate-Limit "5M/20M", as eapol_test shows what it does not know.
    assert!(right.said.contains("354d2f32304d"), "{}", right.said);
}

#[test]
fn a_device_that_wants_another_method_gets_the_one_it_wants_of_those_offered() {
    let lab = Lab::offering(vec![Method::MsChapV2, Method::Gtc]);
    lab.put_nas(
        "127.0.0.1/32",
        NasKind::Generic,
        dotmac_edge::domain::nas::MessageAuthenticatorPolicy::Require,
    );
    lab.put_service(1, "ada", PASSWORD);
    assert!(log_in(&lab, "GTC", PASSWORD).success);
    assert!(!log_in(&lab, "MD5", PASSWORD).success);
    let answers = lab.answers();
    assert!(answers.contains(&answer("eap-gtc", "accepted")), "{answers:?}");
    assert!(answers.contains(&answer("eap-mschapv2", "eap_no_common_method")), "{answers:?}");
}

#[test]
fn a_locked_service_and_a_stranger_are_refused_each_with_its_reason() {
    let lab = Lab::furnished(NasKind::Generic);
    lab.change_service(1, |service| {
        service.locks = vec![Lock {
            reason: LockReason::Fraud,
            mode: LockMode::HardReject,
            rates: None,
            placed_at: jiff::Timestamp::UNIX_EPOCH,
            placed_by: "test".into(),
            note: None,
        }];
    });
    let locked = log_in(&lab, "MSCHAPV2", PASSWORD);
    assert!(!locked.success && locked.said.contains("E=647"), "{}", locked.said);
    let stranger = eapol_test(lab.authentication, SECRET, &plain("MD5", "nobody", "x"), &["-n"]);
    assert!(!stranger.success);
    let answers = lab.answers();
    assert!(answers.contains(&answer("eap-mschapv2", "locked_fraud")), "{answers:?}");
    let unknown = ("nobody".to_owned(), "eap-md5".to_owned(), "unknown_user".to_owned());
    assert!(answers.contains(&unknown), "{answers:?}");
}

/// A NAS whose packets are written by hand.
struct Nas {
    socket: UdpSocket,
    secret: SharedSecret,
    to: std::net::SocketAddr,
    sent: u8,
}

impl Nas {
    fn of(lab: &Lab) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
        let secret = SharedSecret::new(Secret::from_text(SECRET));
        Self { socket, secret, to: lab.authentication, sent: 0 }
    }

    fn ask(&mut self, station: &str, state: Option<&[u8]>, message: &[u8]) -> Option<Vec<u8>> {
        self.sent += 1;
        let mut buffer = [0; 4096];
        let mut request = Request::access(&mut buffer, self.sent, [self.sent; 16]).unwrap();
        request.attributes().text(Kind::USER_NAME, "ada").unwrap();
        request.attributes().text(Kind::CALLING_STATION_ID, station).unwrap();
        request.attributes().eap_message(message).unwrap();
        if message.is_empty() {
            request.attributes().octets(Kind::EAP_MESSAGE, &[]).unwrap();
        }
        if let Some(state) = state {
            request.attributes().octets(Kind::STATE, state).unwrap();
        }
        self.socket.send_to(request.finish(&self.secret), self.to).unwrap();
        let mut room = [0; 4096];
        let (length, _) = self.socket.recv_from(&mut room).ok()?;
        Some(room[..length].to_vec())
    }

    /// Begins a conversation by GTC; gives State and identifier.
    fn begin(&mut self, station: &str) -> (Vec<u8>, u8) {
        let identity = packet::response(1, TypeCode::IDENTITY, b"ada");
        let reply = self.ask(station, None, &identity).unwrap();
        let reply = Packet::decode(&reply).unwrap();
        let request = reply.first(Kind::EAP_MESSAGE).unwrap().value;
        (reply.first(Kind::STATE).unwrap().value.to_vec(), request[1])
    }
}

fn gtc_lab() -> Lab {
    let lab = Lab::offering(vec![Method::Gtc]);
    lab.put_nas(
        "127.0.0.1/32",
        NasKind::Generic,
        dotmac_edge::domain::nas::MessageAuthenticatorPolicy::Require,
    );
    lab.put_service(1, "ada", PASSWORD);
    lab
}

#[test]
fn a_round_is_good_once_and_its_repetition_is_met_with_silence() {
    let lab = gtc_lab();
    let mut nas = Nas::of(&lab);
    let (state, identifier) = nas.begin("02-00-00-00-00-01");
    let password = packet::response(identifier, TypeCode::GTC, PASSWORD.as_bytes());
    let accepted = nas.ask("02-00-00-00-00-01", Some(&state), &password).unwrap();
    assert_eq!(accepted[0], 2, "Access-Accept");
    // The same round under another RADIUS identifier, as a recording would be played back.
    assert_eq!(nas.ask("02-00-00-00-00-01", Some(&state), &password), None);
}

#[test]
fn a_state_is_of_no_use_to_another_device_nor_one_that_was_guessed() {
    let lab = gtc_lab();
    let mut nas = Nas::of(&lab);
    let (state, identifier) = nas.begin("02-00-00-00-00-01");
    let password = packet::response(identifier, TypeCode::GTC, PASSWORD.as_bytes());
    for (station, state) in [("02-00-00-00-00-02", &state[..]), ("02-00-00-00-00-01", &[7; 16]), ("x", b"")] {
        let refused = nas.ask(station, Some(state), &password).unwrap();
        let refused = Packet::decode(&refused).unwrap();
        assert_eq!(refused.code().octet(), 3, "Access-Reject");
        assert_eq!(refused.first(Kind::EAP_MESSAGE).unwrap().value, packet::failure(identifier));
    }
    // Whose it is goes on undisturbed.
    let accepted = nas.ask("02-00-00-00-00-01", Some(&state), &password).unwrap();
    assert_eq!(accepted[0], 2, "Access-Accept");
    let answers = lab.answers();
    assert!(answers.iter().any(|(_, _, outcome)| outcome == "eap_unknown_conversation"), "{answers:?}");
}

#[test]
fn a_device_that_begins_anew_leaves_its_earlier_conversation_behind() {
    let lab = gtc_lab();
    let mut nas = Nas::of(&lab);
    let (first, identifier) = nas.begin("02-00-00-00-00-01");
    let (_second, _) = nas.begin("02-00-00-00-00-01");
    let password = packet::response(identifier, TypeCode::GTC, PASSWORD.as_bytes());
    assert_eq!(nas.ask("02-00-00-00-00-01", Some(&first), &password), None);
}

#[test]
fn rfc3579_an_eap_start_asks_who_it_is_and_a_packet_that_answers_nothing_is_named_so() {
    let lab = gtc_lab();
    let mut nas = Nas::of(&lab);
    let reply = nas.ask("02-00-00-00-00-01", None, &[]).unwrap();
    let reply = Packet::decode(&reply).unwrap();
    let asked = reply.first(Kind::EAP_MESSAGE).unwrap().value;
    assert_eq!((reply.code().octet(), asked[0], asked[4]), (11, 1, 1), "Access-Challenge, Request, Identity");
    let state = reply.first(Kind::STATE).unwrap().value.to_vec();
    let wrong = packet::response(asked[1].wrapping_add(9), TypeCode::IDENTITY, b"ada");
    let again = nas.ask("02-00-00-00-00-01", Some(&state), &wrong).unwrap();
    let again = Packet::decode(&again).unwrap();
    assert_eq!(again.first(Kind::EAP_MESSAGE).unwrap().value, asked, "the request stands");
    assert_eq!(again.u32(Kind::ERROR_CAUSE), Some(202));
}

#[test]
fn eap_beside_another_proof_is_refused() {
    let lab = gtc_lab();
    let secret = SharedSecret::new(Secret::from_text(SECRET));
    let nas = Nas::of(&lab);
    let mut buffer = [0; 4096];
    let mut request = Request::access(&mut buffer, 1, [1; 16]).unwrap();
    request.attributes().text(Kind::USER_NAME, "ada").unwrap();
    request.user_password(PASSWORD.as_bytes(), &secret).unwrap();
    let identity = packet::response(1, TypeCode::IDENTITY, b"ada");
    request.attributes().eap_message(&identity).unwrap();
    nas.socket.send_to(request.finish(&secret), lab.authentication).unwrap();
    let mut room = [0; 4096];
    nas.socket.recv_from(&mut room).unwrap();
    assert_eq!(room[0], 3, "Access-Reject");
    assert_eq!(lab.answers(), [answer("eap", "eap_malformed")]);
}
