//! Any octets as a datagram from the kernel: every message through every decoder of the firewall. What
//! is read as a device or an account must be written again as it was read.

#![no_main]

use dotmac_edge::firewall::change::Operation;
use dotmac_edge::firewall::kernel::netlink::wire::{Attributes, Messages};
use dotmac_edge::firewall::kernel::netlink::{elements, objects, route};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    for message in Messages::new(datagram).flatten() {
        let _ = (message.errno(), Attributes::new(message.body).count());
        let _ = (objects::base_chain(&message), objects::rule(&message), objects::counter(&message));
        let _ = (objects::news(&message), route::our_rule(&message), route::neighbour(&message));
        for element in elements::decode(&message).unwrap_or_default() {
            let elements::Element::Device(identity, found) = element else { continue };
            let again = Operation::Admit { identity: identity.clone(), mark: found.mark, left: None };
            let written = elements::transaction(1, &[&again]);
            let read: Vec<_> = Messages::new(written.octets())
                .flatten()
                .filter(|message| message.kind == elements::NEW_ELEMENT)
                .flat_map(|message| elements::decode(&message).expect("what we write, we read"))
                .collect();
            assert!(matches!(&read[..], [elements::Element::Device(same, _)] if *same == identity));
        }
    }
});
