//! Any datagram, through all that the daemon does with one before it asks who the subscriber is:
//! admission on both ports, under both rules, with one and two secrets. What is let in without
//! knowing the secret, other than a bare Access-Request where that is allowed, is a finding.

#![no_main]

use std::sync::LazyLock;

use dotmac_edge::base::secret::Secret;
use dotmac_edge::radius::{
    Code, MessageAuthenticatorRule, NasFacts, Packet, PortKind, Reply, SecretFit, SharedSecret, admit,
};
use libfuzzer_sys::fuzz_target;

static SECRETS: LazyLock<[SharedSecret; 2]> = LazyLock::new(|| {
    ["no input knows this secret", "nor this one"].map(|text| SharedSecret::new(Secret::from_text(text)))
});

fuzz_target!(|datagram: &[u8]| {
    let [secret, previous] = &*SECRETS;
    for port in [PortKind::Authentication, PortKind::Accounting] {
        for message_authenticator in [MessageAuthenticatorRule::Require, MessageAuthenticatorRule::Allow] {
            let facts = NasFacts { secret, previous_secret: Some(previous), message_authenticator };
            if let Ok(admitted) = admit(datagram, port, &facts) {
                assert_eq!(message_authenticator, MessageAuthenticatorRule::Allow);
                assert_eq!(
                    (admitted.packet.code(), admitted.fit),
                    (Code::AccessRequest, SecretFit::Unproven)
                );
            }
        }
    }
    let Ok(packet) = Packet::decode(datagram) else { return };
    assert!(datagram.starts_with(packet.octets()));
    let mut buffer = [0; 4096];
    let Ok(reply) = Reply::start(&mut buffer, &packet, Code::AccessReject) else { return };
    Packet::decode(reply.finish(secret)).expect("what we write, we read");
});
