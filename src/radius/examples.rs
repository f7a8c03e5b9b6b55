//! The packets that RFC 2865 section 7 and RFC 5997 section 6 print, read and written octet for
//! octet. The one rule: a packet here is the document's; where the document errs, the test says how.

use std::net::Ipv4Addr;

use super::authenticator::{verify_request_message_authenticator, verify_response};
use super::packet::MAX_LENGTH;
use super::*;
use crate::base::secret::Secret;

/// Octets of a file of hexadecimal digits.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

/// A packet of `tests/fixtures/radius`.
macro_rules! example {
    ($name:literal) => {
        hex(include_str!(concat!("../../tests/fixtures/radius/", $name, ".hex")))
    };
}

/// The secret of all the examples.
fn secret() -> SharedSecret {
    SharedSecret::new(Secret::from_text("xyzzy5461"))
}

fn pap_password(octets: &[u8]) -> Vec<u8> {
    let (packet, mut room) = (Packet::decode(octets).unwrap(), PasswordBuffer::default());
    match Proof::from_request(&packet, &secret(), &mut room).unwrap().unwrap() {
        Proof::Pap(password) => password.to_vec(),
        other @ (Proof::Chap { .. } | Proof::MsChapV1 { .. } | Proof::MsChapV2 { .. }) => panic!("{other:?}"),
    }
}

/// Writes an answer of the time before Message-Authenticator.
fn answer(request: &[u8], code: Code, write: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
    let (request, mut buffer) = (Packet::decode(request).unwrap(), [0; MAX_LENGTH]);
    let mut writer = Writer::start(&mut buffer, code, request.identifier(), request.authenticator());
    write(&mut writer);
    writer.sign_packet(request.authenticator(), &secret());
    writer.into_octets().to_vec()
}

#[test]
fn rfc2865_s7_1_telnet_login() {
    let request = example!("rfc2865_s7_1_request");
    let packet = Packet::decode(&request).unwrap();
    assert_eq!((packet.code(), packet.identifier()), (Code::AccessRequest, 0));
    assert_eq!(packet.first(Kind::USER_NAME).unwrap().text(), Some("nemo"));
    assert_eq!(packet.first(Kind::NAS_IP_ADDRESS).unwrap().ipv4(), Some(Ipv4Addr::new(192, 168, 1, 16)));
    assert_eq!(packet.u32(Kind::NAS_PORT), Some(3));
    assert_eq!(pap_password(&request), b"arctangent");

    let mut room = PasswordBuffer::default();
    let hidden = hiding::hide_user_password(b"arctangent", packet.authenticator(), &secret(), &mut room);
    assert_eq!(hidden.unwrap(), packet.first(Kind::USER_PASSWORD).unwrap().value);

    let accept = answer(&request, Code::AccessAccept, |writer| {
        writer.u32(Kind::SERVICE_TYPE, 1).unwrap();
        writer.u32(Kind::LOGIN_SERVICE, 0).unwrap();
        writer.ipv4(Kind::LOGIN_IP_HOST, Ipv4Addr::new(192, 168, 1, 3)).unwrap();
    });
    assert_eq!(accept, example!("rfc2865_s7_1_accept"));
    verify_response(&Packet::decode(&accept).unwrap(), packet.authenticator(), &secret()).unwrap();
}

#[test]
fn rfc2865_s7_1_request_is_written_octet_for_octet() {
    let expected = example!("rfc2865_s7_1_request");
    let (packet, mut buffer) = (Packet::decode(&expected).unwrap(), [0; MAX_LENGTH]);
    let mut writer = Writer::start(&mut buffer, Code::AccessRequest, 0, packet.authenticator());
    let mut room = PasswordBuffer::default();
    let hidden = hiding::hide_user_password(b"arctangent", packet.authenticator(), &secret(), &mut room);
    writer.text(Kind::USER_NAME, "nemo").unwrap();
    writer.octets(Kind::USER_PASSWORD, hidden.unwrap()).unwrap();
    writer.ipv4(Kind::NAS_IP_ADDRESS, Ipv4Addr::new(192, 168, 1, 16)).unwrap();
    writer.u32(Kind::NAS_PORT, 3).unwrap();
    writer.write_length();
    assert_eq!(writer.into_octets(), expected);
}

#[test]
fn rfc2865_s7_2_framed_login_with_chap_over_the_request_authenticator() {
    let request = example!("rfc2865_s7_2_request");
    let (packet, mut room) = (Packet::decode(&request).unwrap(), PasswordBuffer::default());
    let proof = Proof::from_request(&packet, &secret(), &mut room).unwrap().unwrap();
    let Proof::Chap { id, challenge, .. } = proof else { panic!("{proof:?}") };
    assert_eq!((id, challenge), (22, &packet.authenticator()[..]));
    assert!(proof.verify(b"flopsy", b"arctangent").is_accepted());
    assert!(!proof.verify(b"flopsy", b"arctangenT").is_accepted());

    // The text says Framed-Routing none; the octets, and the authenticator over them, say listen.
    let accept = answer(&request, Code::AccessAccept, |writer| {
        writer.u32(Kind::SERVICE_TYPE, 2).unwrap();
        writer.u32(Kind::FRAMED_PROTOCOL, 1).unwrap();
        writer.ipv4(Kind::FRAMED_IP_ADDRESS, Ipv4Addr::new(255, 255, 255, 254)).unwrap();
        writer.u32(Kind::FRAMED_ROUTING, 2).unwrap();
        writer.u32(Kind::FRAMED_COMPRESSION, 1).unwrap();
        writer.u32(Kind::FRAMED_MTU, 1500).unwrap();
    });
    assert_eq!(accept, example!("rfc2865_s7_2_accept"));
}

#[test]
fn rfc2865_s7_3_challenge_and_response() {
    let first = example!("rfc2865_s7_3_request_1");
    assert_eq!(pap_password(&first), b"challenge");
    let challenge = answer(&first, Code::AccessChallenge, |writer| {
        writer.text(Kind::REPLY_MESSAGE, "Challenge 32769430.  Enter response at prompt.").unwrap();
        writer.octets(Kind::STATE, b"32769430").unwrap();
    });
    assert_eq!(challenge, example!("rfc2865_s7_3_challenge"));

    let second = example!("rfc2865_s7_3_request_2");
    assert_eq!(pap_password(&second), b"99101462");
    assert_eq!(Packet::decode(&second).unwrap().first(Kind::STATE).unwrap().value, b"32769430");
    let reject = answer(&second, Code::AccessReject, |_| {});
    assert_eq!(reject, example!("rfc2865_s7_3_reject"));
}

#[test]
fn rfc2865_s7_3_as_printed_has_a_state_longer_than_the_packet_and_is_refused() {
    let printed = example!("rfc2865_s7_3_request_2_as_printed");
    assert_eq!(Packet::decode(&printed).unwrap_err(), DecodeError::AttributeLength { offset: 57 });
}

#[test]
fn rfc5997_s6_status_server_requests_are_written_octet_for_octet_and_verified() {
    for expected in [example!("rfc5997_s6_1_request"), example!("rfc5997_s6_2_request")] {
        let (packet, mut buffer) = (Packet::decode(&expected).unwrap(), [0; MAX_LENGTH]);
        verify_request_message_authenticator(&packet, &secret()).unwrap();
        let request = Request::status_server(&mut buffer, packet.identifier(), *packet.authenticator());
        assert_eq!(request.unwrap().finish(&secret()), expected);
    }
}

#[test]
fn rfc5997_s6_responses_are_written_octet_for_octet() {
    let request = example!("rfc5997_s6_1_request");
    let accept = answer(&request, Code::AccessAccept, |_| {});
    assert_eq!(accept, example!("rfc5997_s6_1_accept"));
    // The document prints Length 26 over 20 octets; the authenticator was computed with 20.
    let request = example!("rfc5997_s6_2_request");
    let response = answer(&request, Code::AccountingResponse, |_| {});
    assert_eq!(response, example!("rfc5997_s6_2_response"));
}

#[test]
fn rfc5997_s6_requests_pass_admission_and_a_changed_one_does_not() {
    let secret = secret();
    let facts = NasFacts {
        secret: &secret,
        previous_secret: None,
        message_authenticator: MessageAuthenticatorRule::Require,
    };
    let mut request = example!("rfc5997_s6_1_request");
    assert!(admit(&request, PortKind::Authentication, &facts).is_ok());
    request[4] ^= 1;
    let refused = admit(&request, PortKind::Authentication, &facts).unwrap_err();
    assert_eq!(refused, Discard::MessageAuthenticatorWrong);
}
