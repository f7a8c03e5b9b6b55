//! Any packets of a peer, through a whole EAP conversation with every method offered, each claim refused: an accept,
//! a crash or a conversation without end is a finding.
//!
//! An input is a list of packets: a length octet, an octet that says how well-formed the frame is, then the data.

#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use dotmac_edge::base::secret::Secret;
use dotmac_edge::eap::{
    Conversation, Judgement, Method, MsChapError, Offer, Random, Sessions, Step, TlsParts, TlsServer,
    TlsVersions, TypeCode, packet,
};
use libfuzzer_sys::fuzz_target;

static OFFERS: LazyLock<Vec<Arc<Offer>>> = LazyLock::new(|| {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["radius.example.net".to_owned()]).unwrap();
    let pem = certificate.self_signed(&key).unwrap().pem();
    let all = [Method::Peap, Method::Ttls, Method::Tls, Method::MsChapV2, Method::Md5, Method::Gtc];
    let offer = |first: usize| {
        let tls = TlsServer::new(&TlsParts {
            chain: pem.as_bytes(),
            key: &Secret::from_text(&key.serialize_pem()),
            client_ca: Some(pem.as_bytes()),
            versions: TlsVersions::Both,
            sessions: Some(Sessions::new(Duration::from_secs(60), Instant::now())),
        })
        .unwrap();
        let methods = all.iter().cycle().skip(first).take(all.len()).copied().collect();
        Arc::new(Offer { methods, tls: Some(tls) })
    };
    (0..all.len()).map(offer).collect()
});

fuzz_target!(|input: &[u8]| {
    let Some((&first, mut rest)) = input.split_first() else { return };
    let offer = &OFFERS[usize::from(first) % OFFERS.len()];
    let random = Random::new([first; 32]);
    let identity = packet::response(1, TypeCode::IDENTITY, b"ada@example.net");
    let (mut server, mut step) = Conversation::open(Arc::clone(offer), &identity, &random);
    let mut asked = vec![1, 0, 0, 5, 1];
    for _ in 0..300 {
        match step {
            Step::Request(request) | Step::Again(request) => {
                assert!(request.len() <= 4_096);
                asked = request;
            }
            Step::Check(_) => {
                let refused = Judgement::Refused(MsChapError::AuthenticationFailure);
                step = server.judged(&refused, 500, &random);
                continue;
            }
            Step::Success { .. } => panic!("an accept without a judgement"),
            Step::Failure { .. } => return,
        }
        let Some((&length, after)) = rest.split_first() else { return };
        let Some((&form, after)) = after.split_first() else { return };
        let (data, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        let kind = asked.get(4).copied().unwrap_or(1);
        let octets = match form % 8 {
            0 => data.to_vec(),
            1 => packet::response(form, TypeCode(kind), data),
            2 => packet::response(asked[1], TypeCode(form), data),
            3 => packet::response(asked[1], TypeCode::NAK, data),
            _ => packet::response(asked[1], TypeCode(kind), data),
        };
        step = server.receive(&octets, 500, &random);
    }
    panic!("a conversation without end");
});
