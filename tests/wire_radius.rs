//! Our RADIUS codec held against three that others wrote: the crates `radius`, `radius-rust` and
//! `radius-parser`. What one side writes, the other reads, for every kind that they get right.
//!
//! Left out, because there the others err and no NAS would agree with them:
//!
//! | crate | kind | what it does | what holds |
//! |---|---|---|---|
//! | `radius` 0.4.0 | Tunnel-Password | no length octet | RFC 2868 section 3.5 |
//! | `radius` 0.4.0 | IPv6 prefix | length always 8 times the octets given, lost when reading | RFC 3162 section 2.3 |
//! | `radius` 0.4.0 | User-Password with a NUL within | cut at the NUL | RFC 2865 section 5.2 |
//! | `radius` 0.4.0 | Accounting-Request with padding | called forged | RFC 2865 section 3 |
//! | `radius` 0.4.0 | Message-Authenticator, vendor sub-attributes | neither computed nor read | RFC 3579 section 3.2, RFC 2865 section 5.26 |
//! | `radius-rust` 0.4.4 | User-Password of 16, 32, … octets | one chunk of padding too many | RFC 2865 section 5.2 |
//! | `radius-rust` 0.4.4 | Message-Authenticator of Accounting-Request | over the authenticator, not over zeros | RFC 5176 section 2.3 by analogy |
//! | `radius-rust` 0.4.4 | malformed packets | reads out of bounds and panics | RFC 2865 section 3 |
//! | `radius-parser` 0.5.0 | attributes 4 to 13 of a wrong length, CHAP-Password of 1 octet, empty vendor data | refuses the packet or drops the rest | RFC 2865 section 5 |
//!
//! Behind that, a hundred thousand broken datagrams that must not be let in.
//! The one rule: an oracle's answer is compared whole, not in the parts that agree.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation, clippy::wildcard_enum_match_arm)]

use std::net::{Ipv4Addr, Ipv6Addr};

use dotmac_edge::base::secret::Secret;
use dotmac_edge::radius::attribute::Kind;
use dotmac_edge::radius::client::{Ask, Login, LoginRandom};
use dotmac_edge::radius::hiding::{self, SaltedBuffer};
use dotmac_edge::radius::{
    Code, Extras, MessageAuthenticatorRule, Method, NasFacts, Packet, PasswordBuffer, PortKind, Proof, Reply,
    Request, Salt, SharedSecret, VendorKind, Verdict, admit,
};
use proptest::prelude::*;
use radius::core::packet::Packet as CratePacket;
use radius::core::{rfc2865, rfc2866, rfc2869, rfc3162};
use radius_parser::{RadiusAttribute as ParsedAttribute, parse_radius_data};
use radius_rust::protocol::dictionary::Dictionary as RustDictionary;
use radius_rust::protocol::radius_packet::{RadiusAttribute, RadiusPacket, TypeCode};

const SECRET: &str = "a secret of sixteen or more";

fn secret() -> SharedSecret {
    SharedSecret::new(Secret::from_text(SECRET))
}

/// Every attribute number under some name, since `radius-rust` refuses what it cannot name.
fn rust_dictionary() -> RustDictionary {
    let line = |number: u8| match number {
        80 => "ATTRIBUTE Message-Authenticator 80 string\n".to_owned(),
        other => format!("ATTRIBUTE A{other} {other} string\n"),
    };
    RustDictionary::from_str(&(0..=255).map(line).collect::<String>()).unwrap()
}

/// Attributes as our decoder sees them.
fn ours(octets: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let packet = Packet::decode(octets).unwrap();
    packet.attributes().map(|found| (found.kind.0, found.value.to_vec())).collect()
}

fn accounting(attributes: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let mut request = Request::accounting(&mut buffer, 77);
    for (kind, value) in attributes {
        request.attributes().octets(Kind(*kind), value).unwrap();
    }
    request.finish(&secret()).to_vec()
}

fn access(attributes: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let mut request = Request::access(&mut buffer, 78, [0x5a; 16]).unwrap();
    for (kind, value) in attributes {
        request.attributes().octets(Kind(*kind), value).unwrap();
    }
    request.finish(&secret()).to_vec()
}

/// Attributes of any octets, but no second Message-Authenticator, up to a nearly full packet.
fn attributes() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let kind = (1..=255u8).prop_filter("signed apart", |kind| *kind != 80);
    prop::collection::vec((kind, prop::collection::vec(any::<u8>(), 1..=253)), 0..15)
}

/// Kinds of which `radius-parser` keeps the octets.
fn attributes_left_as_octets() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let kind = prop_oneof![Just(1u8), Just(2), Just(11), Just(30), Just(31), 32..=79u8, 81..=255u8];
    prop::collection::vec((kind, prop::collection::vec(any::<u8>(), 1..=253)), 1..15)
}

proptest! {
    #[test]
    fn radius_reads_what_we_write_and_writes_it_the_same(attributes in attributes()) {
        let octets = accounting(&attributes);
        let read = CratePacket::decode(&octets, SECRET.as_bytes()).unwrap();
        prop_assert_eq!(read.get_identifier(), 77);
        for kind in 1..=255u8 {
            let theirs: Vec<_> = read.lookup_all(kind).iter().map(|avp| avp.encode_bytes()).collect();
            let ours: Vec<_> = attributes.iter().filter(|(k, _)| *k == kind).map(|(_, v)| v.clone()).collect();
            prop_assert_eq!(theirs, ours);
        }
        prop_assert!(CratePacket::is_authentic_request(&octets, SECRET.as_bytes()));
        prop_assert_eq!(read.encode().unwrap(), octets);
    }

    #[test]
    fn radius_rust_reads_what_we_write_and_signs_it_the_same(attributes in attributes()) {
        let octets = access(&attributes);
        let mut read = RadiusPacket::initialise_packet_from_bytes(&rust_dictionary(), &octets).unwrap();
        let theirs: Vec<_> = read.attributes().iter().map(|a| (a.id(), a.value().to_vec())).collect();
        prop_assert_eq!(theirs, ours(&octets));
        let signature = read.message_authenticator().unwrap().to_vec();
        read.generate_message_authenticator(SECRET).unwrap();
        prop_assert_eq!(read.message_authenticator().unwrap(), signature);
        prop_assert_eq!(read.to_bytes(), octets);
    }

    #[test]
    fn radius_parser_reads_what_we_write(attributes in attributes_left_as_octets()) {
        let octets = accounting(&attributes);
        let (rest, read) = parse_radius_data(&octets).unwrap();
        prop_assert!(rest.is_empty());
        prop_assert_eq!((read.code.0, read.identifier, usize::from(read.length)), (4, 77, octets.len()));
        let theirs: Vec<_> = read.attributes.unwrap().iter().map(parsed).collect();
        prop_assert_eq!(theirs, attributes);
    }

    #[test]
    fn we_read_what_radius_rust_writes_and_find_it_signed(attributes in attributes(), id: u8) {
        let dictionary = rust_dictionary();
        let mut packet = RadiusPacket::initialise_packet(TypeCode::AccessRequest);
        packet.override_id(id);
        let mut wanted = attributes;
        wanted.push((80, vec![0; 16]));
        let create = |(kind, value): &(u8, Vec<u8>)| {
            RadiusAttribute::create_by_id(&dictionary, *kind, value.clone()).unwrap()
        };
        packet.set_attributes(wanted.iter().map(create).collect());
        packet.generate_message_authenticator(SECRET).unwrap();
        let octets = packet.to_bytes();
        let (current, wrong) = (secret(), SharedSecret::new(Secret::from_text("another")));
        let facts = |secret| NasFacts {
            secret,
            previous_secret: None,
            message_authenticator: MessageAuthenticatorRule::Require,
        };
        let admitted = admit(&octets, PortKind::Authentication, &facts(&current)).unwrap();
        prop_assert_eq!(admitted.packet.identifier(), id);
        prop_assert_eq!(admitted.packet.attributes().count(), wanted.len());
        prop_assert!(admit(&octets, PortKind::Authentication, &facts(&wrong)).is_err());
    }

    #[test]
    fn salted_values_pass_between_radius_rust_and_us(
        value in prop::collection::vec(any::<u8>(), 1..200), salt: [u8; 2], request: [u8; 16],
    ) {
        let (salt, mut room) = (Salt::from_random(salt), SaltedBuffer::default());
        let hidden = hiding::hide_salted(&value, salt, &request, &secret(), &mut room).unwrap().to_vec();
        let theirs = radius_rust::tools::salt_encrypt_data(&value, &request, &hidden[..2], SECRET.as_bytes());
        prop_assert_eq!(&theirs, &hidden);
        let read = radius_rust::tools::salt_decrypt_data(&hidden, &request, SECRET.as_bytes()).unwrap();
        prop_assert_eq!(&read, &value);
        prop_assert_eq!(hiding::reveal_salted(&theirs, &request, &secret(), &mut room).unwrap(), value);
    }

    #[test]
    fn passwords_pass_between_radius_and_us(password in "[ -~]{1,128}", request: [u8; 16]) {
        let (mut buffer, mut room) = ([0; 4096], PasswordBuffer::default());
        let login = Login { user_name: b"alice", password: password.as_bytes(), method: Method::Pap };
        let random = LoginRandom { authenticator: request, challenge: [0; 16], peer_challenge: [0; 16] };
        let (octets, _) = Ask::login(&mut buffer, 1, &login, &random, &secret()).unwrap().finish(&secret());
        let theirs = CratePacket::decode(octets, SECRET.as_bytes()).unwrap();
        prop_assert_eq!(rfc2865::lookup_user_password(&theirs).unwrap().unwrap(), password.as_bytes());
        prop_assert_eq!(rfc2865::lookup_user_name(&theirs).unwrap().unwrap(), "alice");

        let mut theirs = CratePacket::new(radius::core::code::Code::AccessRequest, SECRET.as_bytes());
        rfc2865::add_user_password(&mut theirs, password.as_bytes()).unwrap();
        let octets = theirs.encode().unwrap();
        let packet = Packet::decode(&octets).unwrap();
        let proof = Proof::from_request(&packet, &secret(), &mut room).unwrap().unwrap();
        prop_assert!(proof.verify(b"alice", password.as_bytes()).is_accepted());
    }
}

fn parsed(attribute: &ParsedAttribute<'_>) -> (u8, Vec<u8>) {
    match attribute {
        ParsedAttribute::UserName(value) => (1, value.to_vec()),
        ParsedAttribute::UserPassword(value) => (2, value.to_vec()),
        ParsedAttribute::FilterId(value) => (11, value.to_vec()),
        ParsedAttribute::CalledStationId(value) => (30, value.to_vec()),
        ParsedAttribute::CallingStationId(value) => (31, value.to_vec()),
        ParsedAttribute::Unknown(kind, value) => (*kind, value.to_vec()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn radius_parser_reads_our_numbers_addresses_and_vendor_attributes() {
    let (mut buffer, address) = ([0; 4096], Ipv4Addr::new(192, 0, 2, 1));
    let mut request = Request::accounting(&mut buffer, 1);
    request.attributes().ipv4(Kind::NAS_IP_ADDRESS, address).unwrap();
    request.attributes().u32(Kind::NAS_PORT, 0x0102_0304).unwrap();
    request.attributes().ipv4(Kind::FRAMED_IP_ADDRESS, address).unwrap();
    request.attributes().vendor_text(VendorKind::MIKROTIK_RATE_LIMIT, "5M/20M").unwrap();
    let octets = request.finish(&secret());
    let (_, read) = parse_radius_data(octets).unwrap();
    assert_eq!(
        read.attributes.unwrap(),
        [
            ParsedAttribute::NasIPAddress(address),
            ParsedAttribute::NasPort(0x0102_0304),
            ParsedAttribute::FramedIPAddress(address),
            ParsedAttribute::VendorSpecific(14988, b"\x08\x085M/20M"),
        ]
    );
}

#[test]
fn we_read_the_types_that_radius_writes() {
    let address = "2001:db8::7".parse::<Ipv6Addr>().unwrap();
    let mut theirs = CratePacket::new(radius::core::code::Code::AccountingRequest, SECRET.as_bytes());
    rfc2865::add_user_name(&mut theirs, "zoë");
    rfc2865::add_nas_port(&mut theirs, u32::MAX);
    rfc2865::add_framed_ip_address(&mut theirs, &Ipv4Addr::new(198, 51, 100, 9));
    rfc2865::add_class(&mut theirs, &[0, 255, 1]);
    rfc2866::add_acct_status_type(&mut theirs, rfc2866::ACCT_STATUS_TYPE_INTERIM_UPDATE);
    rfc2866::add_acct_input_octets(&mut theirs, 705_032_704);
    rfc2869::add_acct_input_gigawords(&mut theirs, 1);
    rfc3162::add_nas_ipv6_address(&mut theirs, &address);
    let octets = theirs.encode().unwrap();
    let secret = secret();
    let facts = NasFacts {
        secret: &secret,
        previous_secret: None,
        message_authenticator: MessageAuthenticatorRule::Require,
    };
    let packet = admit(&octets, PortKind::Accounting, &facts).unwrap().packet;
    assert_eq!(packet.first(Kind::USER_NAME).unwrap().text(), Some("zoë"));
    assert_eq!(packet.u32(Kind::NAS_PORT), Some(u32::MAX));
    let framed = packet.first(Kind::FRAMED_IP_ADDRESS).unwrap().ipv4();
    assert_eq!(framed, Some(Ipv4Addr::new(198, 51, 100, 9)));
    assert_eq!(packet.first(Kind::CLASS).unwrap().value, [0, 255, 1]);
    assert_eq!(packet.u32(Kind::ACCT_STATUS_TYPE), Some(3));
    let octets_in = packet.octets64(Kind::ACCT_INPUT_OCTETS, Kind::ACCT_INPUT_GIGAWORDS);
    assert_eq!(octets_in, Some(5_000_000_000));
    assert_eq!(packet.first(Kind::NAS_IPV6_ADDRESS).unwrap().ipv6(), Some(address));
}

#[test]
fn radius_finds_our_replies_authentic_and_others_not() {
    let request = access(&[(1, b"alice".to_vec()), (33, vec![1, 2, 3])]);
    let (mut buffer, packet) = ([0; 4096], Packet::decode(&request).unwrap());
    for code in [Code::AccessAccept, Code::AccessReject, Code::AccessChallenge] {
        let mut reply = Reply::start(&mut buffer, &packet, code).unwrap();
        reply.attributes().u32(Kind::SESSION_TIMEOUT, 3600).unwrap();
        reply.attributes().vendor_u32(VendorKind::WISPR_BANDWIDTH_MAX_UP, 5_000_000).unwrap();
        let reply = reply.finish(&secret());
        assert!(CratePacket::is_authentic_response(reply, &request, SECRET.as_bytes()));
        assert!(!CratePacket::is_authentic_response(reply, &request, b"another"));
        let read = CratePacket::decode(reply, SECRET.as_bytes()).unwrap();
        assert_eq!(rfc2865::lookup_session_timeout(&read).unwrap().unwrap(), 3600);
        assert_eq!(rfc2865::lookup_proxy_state(&read).unwrap(), [1, 2, 3]);
    }
}

#[test]
fn radius_rust_reveals_the_mppe_keys_that_we_hide() {
    let (mut buffer, mut room) = ([0; 4096], PasswordBuffer::default());
    let login = Login { user_name: b"alice", password: b"secret", method: Method::MsChapV2 };
    let random = LoginRandom { authenticator: [9; 16], challenge: [8; 16], peer_challenge: [7; 16] };
    let ask = Ask::login(&mut buffer, 1, &login, &random, &secret()).unwrap();
    let (octets, expectation) = ask.finish(&secret());
    let packet = Packet::decode(octets).unwrap();
    let proof = Proof::from_request(&packet, &secret(), &mut room).unwrap().unwrap();
    let Verdict::Accepted(extras) = proof.verify(b"alice", b"secret") else { panic!("refused") };
    let mut buffer = [0; 4096];
    let mut reply = Reply::start(&mut buffer, &packet, Code::AccessAccept).unwrap();
    reply.extras(&extras, &secret(), Salt::pair_from_random([1, 2])).unwrap();
    let reply = expectation.check(reply.finish(&secret()), &secret()).unwrap();
    let Extras::MsChapV2(keys) = &extras else { panic!("no keys") };
    for (kind, key) in
        [(VendorKind::MS_MPPE_SEND_KEY, keys.send_key), (VendorKind::MS_MPPE_RECV_KEY, keys.receive_key)]
    {
        let hidden = reply.first_vendor(kind).unwrap();
        let read = radius_rust::tools::salt_decrypt_data(hidden, &[9; 16], SECRET.as_bytes()).unwrap();
        assert_eq!(read, key);
    }
}

/// Numbers that a seed repeats (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn octets(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

fn sound_datagrams() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for method in [Method::Pap, Method::Chap, Method::MsChapV1, Method::MsChapV2] {
        let mut buffer = [0; 4096];
        let login = Login { user_name: b"alice", password: b"secret", method };
        let random = LoginRandom { authenticator: [9; 16], challenge: [8; 16], peer_challenge: [7; 16] };
        let mut ask = Ask::login(&mut buffer, 1, &login, &random, &secret()).unwrap();
        ask.attributes().octets(Kind::PROXY_STATE, b"state").unwrap();
        all.push(ask.finish(&secret()).0.to_vec());
    }
    all.push(accounting(&[(40, vec![0, 0, 0, 1]), (44, b"81a0".to_vec()), (33, vec![1])]));
    let mut buffer = [0; 4096];
    all.push(Request::status_server(&mut buffer, 4, [6; 16]).unwrap().finish(&secret()).to_vec());
    all
}

/// Breaks a sound datagram in one of the ways that a hostile or broken peer does.
fn break_one(sound: &[u8], random: &mut Random) -> Vec<u8> {
    let mut octets = sound.to_vec();
    let at = random.below(octets.len());
    match random.below(8) {
        0 => octets[at] ^= 1 << random.below(8),
        1 => octets.truncate(at),
        2 => octets[2..4].copy_from_slice(&(random.next() as u16).to_be_bytes()),
        3 => octets[20 + at % (sound.len() - 20)] = [0, 1, 2, 255][random.below(4)],
        4 => {
            let more = random.below(300) + 1;
            octets.extend(random.octets(more));
            let length = octets.len() as u16;
            octets[2..4].copy_from_slice(&length.to_be_bytes());
        }
        5 => {
            let length = random.below(5000);
            octets = random.octets(length);
        }
        6 => {
            let with = random.below(sound.len());
            octets.swap(at, with);
        }
        _ => {
            let length = random.below(32) + 1;
            let noise = random.octets(length);
            for (target, source) in octets.iter_mut().skip(at).zip(noise) {
                *target = source;
            }
        }
    }
    octets
}

#[test]
fn a_hundred_thousand_broken_datagrams_are_not_let_in() {
    const SEED: u64 = 0x0d07_3ac0_edbe;
    let (secret, sound, mut random) = (secret(), sound_datagrams(), Random(SEED));
    let facts = NasFacts {
        secret: &secret,
        previous_secret: None,
        message_authenticator: MessageAuthenticatorRule::Require,
    };
    let (mut broken, mut reasons) = (0, std::collections::BTreeMap::<&str, u32>::new());
    while broken < 100_000 {
        let original = &sound[random.below(sound.len())];
        let datagram = break_one(original, &mut random);
        for port in [PortKind::Authentication, PortKind::Accounting] {
            match admit(&datagram, port, &facts) {
                // A swap of equal octets, or octets behind Length, break nothing.
                Ok(admitted) => assert_eq!(admitted.packet.octets(), original, "a forgery was let in"),
                Err(reason) => *reasons.entry(reason.label()).or_default() += 1,
            }
        }
        broken += u32::from(!datagram.starts_with(original));
    }
    for expected in ["malformed", "wrong_code", "message_authenticator_wrong", "authenticator_wrong"] {
        assert!(reasons.contains_key(expected), "{expected} never happened: {reasons:?}");
    }
}
