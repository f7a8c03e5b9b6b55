//! Any octets as the attributes of a well-framed Access-Request: walking them, their types, vendor
//! sub-attributes, names, and the proof of a password. Writing them again must give the same.

#![no_main]

use std::sync::LazyLock;

use dotmac_edge::base::secret::Secret;
use dotmac_edge::radius::{Dictionary, Kind, Packet, PasswordBuffer, Proof, Request, SharedSecret};
use libfuzzer_sys::fuzz_target;

static SECRET: LazyLock<SharedSecret> =
    LazyLock::new(|| SharedSecret::new(Secret::from_text("of the fuzz target")));

fuzz_target!(|attributes: &[u8]| {
    let attributes = &attributes[..attributes.len().min(4076)];
    let length = u16::try_from(20 + attributes.len()).expect("at most 4096").to_be_bytes();
    let datagram = [&[1, 7][..], &length, &[3; 16], attributes].concat();
    let Ok(packet) = Packet::decode(&datagram) else { return };

    for attribute in packet.attributes() {
        let _ = (attribute.u32(), attribute.ipv4(), attribute.ipv6(), attribute.text());
        if let Some(prefix) = attribute.ipv6_prefix() {
            assert!(prefix.length() <= 128);
        }
    }
    let vendor_octets: usize = packet.vendor_attributes().map(|found| found.value.len() + 2).sum();
    assert!(vendor_octets <= attributes.len());
    let _ = Dictionary::builtin().describe(&packet);

    let mut room = PasswordBuffer::default();
    if let Ok(Some(proof)) = Proof::from_request(&packet, &SECRET, &mut room) {
        let _ = proof.verify(b"alice", b"secret");
    }

    let mut buffer = [0; 4096];
    let mut again = Request::accounting(&mut buffer, 7);
    for attribute in packet.attributes() {
        again.attributes().octets(attribute.kind, attribute.value).expect("it came in a packet");
    }
    let again = Packet::decode(again.finish(&SECRET)).expect("what we write, we read");
    assert_eq!(again.attribute_octets(), packet.attribute_octets());
    assert_eq!(again.first(Kind::STATE), packet.first(Kind::STATE));
});
