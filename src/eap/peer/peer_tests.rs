//! Our server and our peer, packet by packet: tunnels in fragments, keys on both sides, and what a peer may not do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};

use super::*;
use crate::base::secret::Secret;
use crate::eap::{
    Claim, Conversation, Fault, Judgement, MsChapError, Offer, Proven, Random, Sessions, Step, TlsParts,
    TlsServer, TlsVersions,
};
use crate::radius::{Extras, Verdict};

const SERVER: &str = "radius.example.net";
const ADA: PeerName<'static> = PeerName { outer: b"anonymous", inner: b"ada", password: b"open sesame" };

struct Pki {
    ca: String,
    server: (String, Secret),
    device: (String, Secret),
}

impl Pki {
    fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let issue = |name: &str, usage| {
            let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
            parameters.extended_key_usages = vec![usage];
            let key = KeyPair::generate().unwrap();
            let certificate = parameters.signed_by(&key, &ca).unwrap();
            (certificate.pem(), Secret::from_text(&key.serialize_pem()))
        };
        Self {
            ca: ca.pem(),
            server: issue(SERVER, ExtendedKeyUsagePurpose::ServerAuth),
            device: issue("ada", ExtendedKeyUsagePurpose::ClientAuth),
        }
    }

    fn offer(&self, methods: &[Method], versions: TlsVersions) -> Arc<Offer> {
        #[expect(clippy::disallowed_methods, reason = "an Instant can only be had from the clock")]
        let now = Instant::now();
        let tls = TlsServer::new(&TlsParts {
            chain: self.server.0.as_bytes(),
            key: &self.server.1,
            client_ca: Some(self.ca.as_bytes()),
            versions,
            sessions: Some(Sessions::new(Duration::from_secs(60), now)),
        })
        .unwrap();
        Arc::new(Offer { methods: methods.to_vec(), tls: Some(tls) })
    }

    fn peer(&self) -> PeerTls {
        PeerTls::new(self.ca.as_bytes(), SERVER, Some((self.device.0.as_bytes(), &self.device.1))).unwrap()
    }
}

fn judge(claim: &Claim) -> Judgement {
    let refused = Judgement::Refused(MsChapError::AuthenticationFailure);
    if claim.name() != b"ada" {
        return refused;
    }
    match claim.proven() {
        Proven::By(proof) => match proof.verify(claim.hashed_name(), b"open sesame") {
            Verdict::Accepted(extras) => Judgement::Accepted(extras, [7; 16]),
            Verdict::Wrong => refused,
        },
        Proven::ByCertificate => Judgement::Accepted(Extras::None, [7; 16]),
        Proven::Before(_) => refused,
    }
}

/// How both sides ended: the server's fault or keys, and the peer's keys.
#[derive(Debug, PartialEq)]
enum End {
    Let(Option<Keys>, Option<Keys>),
    Refused(Fault),
    PeerLeft(PeerFault),
}

fn talk(offer: &Arc<Offer>, peer: &mut Peer, fragment: usize) -> End {
    let random = |round: u8| Random::new([round; 32]);
    let (mut server, mut step) = Conversation::open(Arc::clone(offer), &peer.begin(), &random(0));
    for round in 1..=250 {
        let request = match step {
            Step::Request(request) | Step::Again(request) => request,
            Step::Check(claim) => {
                step = server.judged(&judge(&claim), fragment, &random(round));
                continue;
            }
            Step::Success { message, keys } => {
                return match peer.hear(&message, &[round; 16]) {
                    Ok(PeerStep::Success(theirs)) => End::Let(keys, theirs),
                    Ok(other) => panic!("{other:?}"),
                    Err(fault) => End::PeerLeft(fault),
                };
            }
            Step::Failure { fault, .. } => return End::Refused(fault),
        };
        assert!(request.len() <= fragment + 10 || fragment < 100, "{} octets", request.len());
        match peer.hear(&request, &[round; 16]) {
            Ok(PeerStep::Respond(response)) => step = server.receive(&response, fragment, &random(round)),
            Ok(other) => panic!("{other:?}"),
            Err(fault) => return End::PeerLeft(fault),
        }
    }
    panic!("no end");
}

const ALL: [PeerMethod; 7] = [
    PeerMethod::Plain(Method::Md5),
    PeerMethod::Plain(Method::Gtc),
    PeerMethod::Plain(Method::MsChapV2),
    PeerMethod::Tls,
    PeerMethod::TtlsPap,
    PeerMethod::Peap(Method::MsChapV2),
    PeerMethod::Peap(Method::Gtc),
];
const OFFERED: [Method; 6] =
    [Method::Peap, Method::Ttls, Method::Tls, Method::MsChapV2, Method::Md5, Method::Gtc];

fn name(method: PeerMethod, password: &'static [u8]) -> PeerName<'static> {
    match method {
        PeerMethod::Plain(_) => PeerName { outer: b"ada", password, ..ADA },
        PeerMethod::Tls | PeerMethod::TtlsPap | PeerMethod::Peap(_) => PeerName { password, ..ADA },
    }
}

#[test]
fn each_method_in_fragments_of_each_size_ends_with_the_same_keys_on_both_sides() {
    let pki = Pki::new();
    for versions in [TlsVersions::OnlyTls12, TlsVersions::OnlyTls13, TlsVersions::Both] {
        let offer = pki.offer(&OFFERED, versions);
        for method in ALL {
            for fragment in [120, 500, 1_190] {
                let mut peer = Peer::new(&name(method, b"open sesame"), method, Some(&pki.peer())).unwrap();
                match talk(&offer, &mut peer, fragment) {
                    End::Let(ours, theirs) => {
                        assert_eq!(ours, theirs, "{method:?} {versions:?} {fragment}");
                        let has_keys = !matches!(method, PeerMethod::Plain(Method::Md5 | Method::Gtc));
                        assert_eq!(ours.is_some(), has_keys, "{method:?}");
                    }
                    other @ (End::Refused(_) | End::PeerLeft(_)) => {
                        panic!("{method:?} {versions:?} {fragment}: {other:?}")
                    }
                }
            }
        }
    }
}

#[test]
fn a_wrong_password_is_refused_by_each_method() {
    let pki = Pki::new();
    let offer = pki.offer(&OFFERED, TlsVersions::Both);
    for method in ALL.into_iter().filter(|method| *method != PeerMethod::Tls) {
        let mut peer = Peer::new(&name(method, b"wrong"), method, Some(&pki.peer())).unwrap();
        assert_eq!(talk(&offer, &mut peer, 1_000), End::Refused(Fault::ClaimRefused), "{method:?}");
    }
}

#[test]
fn a_peer_leaves_a_server_of_another_name_or_ca() {
    let (pki, other) = (Pki::new(), Pki::new());
    let offer = pki.offer(&OFFERED, TlsVersions::Both);
    let strangers = [
        PeerTls::new(other.ca.as_bytes(), SERVER, None).unwrap(),
        PeerTls::new(pki.ca.as_bytes(), "another.example.net", None).unwrap(),
    ];
    for tls in &strangers {
        let method = PeerMethod::Peap(Method::MsChapV2);
        let mut peer = Peer::new(&ADA, method, Some(tls)).unwrap();
        assert_eq!(talk(&offer, &mut peer, 1_000), End::PeerLeft(PeerFault::Tls));
    }
}

/// A conversation whose tunnel was just started, and the identifier to answer.
fn started(offer: &Arc<Offer>) -> (Conversation, u8) {
    let identity = packet::response(1, TypeCode::IDENTITY, b"anonymous");
    let (server, step) = Conversation::open(Arc::clone(offer), &identity, &Random::new([1; 32]));
    let Step::Request(request) = step else { panic!("no request") };
    (server, request[1])
}

#[test]
fn rfc5216_s2_1_5_a_message_without_end_or_of_a_monstrous_length_is_refused() {
    let pki = Pki::new();
    let offer = pki.offer(&[Method::Peap], TlsVersions::Both);
    let random = Random::new([1; 32]);
    let (mut server, identifier) = started(&offer);
    let monstrous = packet::response(identifier, TypeCode::PEAP, &[0xc0, 0xff, 0xff, 0xff, 0xff, 22]);
    let step = server.receive(&monstrous, 1_000, &random);
    assert!(matches!(step, Step::Failure { fault: Fault::TooLarge, .. }), "{step:?}");

    let (mut server, mut identifier) = started(&offer);
    let piece = [&[0x40][..], &[22; 1_000]].concat();
    let mut rounds = 0;
    let fault = loop {
        rounds += 1;
        match server.receive(&packet::response(identifier, TypeCode::PEAP, &piece), 1_000, &random) {
            Step::Request(request) => identifier = request[1],
            Step::Failure { fault, .. } => break fault,
            other @ (Step::Again(_) | Step::Check(_) | Step::Success { .. }) => panic!("{other:?}"),
        }
    };
    assert_eq!((rounds, fault), (66, Fault::TooLarge));

    // Fragments without octets get the request again, some times.
    let (mut server, identifier) = started(&offer);
    let empty = packet::response(identifier, TypeCode::PEAP, &[0x40]);
    for _ in 0..4 {
        assert!(matches!(server.receive(&empty, 1_000, &random), Step::Again(_)));
    }
    assert!(matches!(server.receive(&empty, 1_000, &random), Step::Failure { fault: Fault::Malformed, .. }));
}

#[test]
fn what_is_no_tls_ends_the_conversation_and_crashes_nothing() {
    let pki = Pki::new();
    for method in [Method::Peap, Method::Ttls, Method::Tls] {
        let offer = pki.offer(&[method], TlsVersions::Both);
        let random = Random::new([1; 32]);
        for data in [&[0, 1, 2, 3][..], &[0, 22, 3, 1, 0, 5, 1, 0, 0, 1, 0], &[0, 23, 3, 3, 0, 1, 0], &[0]] {
            let (mut server, identifier) = started(&offer);
            let mut step =
                server.receive(&packet::response(identifier, method.type_code(), data), 1_000, &random);
            // An alert may go out first.
            for _ in 0..3 {
                let Step::Request(request) = &step else { break };
                let acknowledge = packet::response(request[1], method.type_code(), &[0]);
                step = server.receive(&acknowledge, 1_000, &random);
            }
            assert!(matches!(step, Step::Failure { .. }), "{method:?} {data:?}: {step:?}");
        }
    }
}
