//! Anything inside a tunnel that stands: pairs of EAP-TTLS, and EAP packets and TLVs of PEAP, each claim refused. An
//! accept or a crash is a finding.
//!
//! An input is an octet that chooses the tunnel, then messages: a length of two octets and what lies inside.

#![no_main]

use std::io::{Cursor, Read as _, Write as _};
use std::sync::{Arc, LazyLock};

use dotmac_edge::base::secret::Secret;
use dotmac_edge::eap::{
    Conversation, Judgement, Method, MsChapError, Offer, Random, Step, TlsParts, TlsServer, TlsVersions,
    TypeCode, packet,
};
use libfuzzer_sys::fuzz_target;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

struct World {
    peap: Arc<Offer>,
    ttls: Arc<Offer>,
    client: Arc<ClientConfig>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["radius.example.net".to_owned()]).unwrap();
    let pem = certificate.self_signed(&key).unwrap().pem();
    let offer = |method| {
        let tls = TlsServer::new(&TlsParts {
            chain: pem.as_bytes(),
            key: &Secret::from_text(&key.serialize_pem()),
            client_ca: None,
            versions: TlsVersions::Both,
            sessions: None,
        })
        .unwrap();
        Arc::new(Offer { methods: vec![method], tls: Some(tls) })
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    World { peap: offer(Method::Peap), ttls: offer(Method::Ttls), client: Arc::new(client) }
});

fuzz_target!(|input: &[u8]| {
    let Some((&first, mut rest)) = input.split_first() else { return };
    let (offer, kind) = match first % 2 {
        0 => (&WORLD.peap, TypeCode::PEAP),
        _ => (&WORLD.ttls, TypeCode::TTLS),
    };
    let random = Random::new([first; 32]);
    let identity = packet::response(1, TypeCode::IDENTITY, b"anonymous");
    let (mut server, mut step) = Conversation::open(Arc::clone(offer), &identity, &random);
    let name = "radius.example.net".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::clone(&WORLD.client), name).unwrap();
    for _ in 0..120 {
        let request = match step {
            Step::Request(request) | Step::Again(request) => request,
            Step::Check(_) => {
                step = server.judged(&Judgement::Refused(MsChapError::AuthenticationFailure), 4_000, &random);
                continue;
            }
            Step::Success { .. } => panic!("an accept without a judgement"),
            Step::Failure { .. } => return,
        };
        // Every message of ours fits one fragment here.
        let mut records = Cursor::new(&request[6..]);
        while records.position() < (request.len() - 6) as u64 {
            if client.read_tls(&mut records).is_err() || client.process_new_packets().is_err() {
                return;
            }
            let mut room = [0; 8_192];
            while client.reader().read(&mut room).is_ok_and(|read| read > 0) {}
        }
        if !client.is_handshaking() && !client.wants_write() {
            let Some((&[high, low], after)) = rest.split_first_chunk::<2>() else { return };
            let (inside, after) = after.split_at(usize::from(u16::from_be_bytes([high, low])).min(after.len()));
            rest = after;
            let _ = client.writer().write_all(inside);
        }
        let mut data = vec![0];
        while client.wants_write() {
            client.write_tls(&mut data).unwrap();
        }
        if data.len() > 4_000 {
            return;
        }
        step = server.receive(&packet::response(request[1], kind, &data), 4_000, &random);
    }
});
