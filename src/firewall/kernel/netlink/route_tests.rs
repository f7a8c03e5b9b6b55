//! The codec against octets that `ip` sent and the kernel answered.

use super::super::fixture;
use super::super::wire::Messages;
use super::*;

fn lan0() -> InterfaceName {
    "lan0".parse().unwrap()
}

#[test]
fn a_rule_is_written_octet_by_octet_as_ip_writes_it() {
    let captured = fixture("ip_adds_rule.hex");
    let theirs = Messages::new(&captured).next().unwrap().unwrap();
    let written = add_rule(1, Family::V4, &lan0());
    let ours = Messages::new(written.octets()).next().unwrap().unwrap();
    assert_eq!((ours.kind, ours.flags, ours.body), (theirs.kind, theirs.flags, theirs.body));
}

#[test]
fn of_all_rules_only_ours_is_found() {
    let listing = fixture("kernel_lists_rules.hex");
    let rules: Vec<Message<'_>> =
        Messages::new(&listing).map(Result::unwrap).filter(|message| message.kind == NEW_RULE).collect();
    assert_eq!(rules.len(), 5, "local, ours, the same at another preference, main, default");
    let found: Vec<InterfaceName> = rules.iter().filter_map(|rule| our_rule(rule).unwrap()).collect();
    assert_eq!(found, [lan0()]);
}

#[test]
fn neighbours_of_both_families_are_read() {
    let listing = fixture("kernel_lists_neighbours.hex");
    let found: Vec<(u32, IpAddr, Mac)> = Messages::new(&listing)
        .map(Result::unwrap)
        .filter(|message| message.kind == NEW_NEIGHBOUR)
        .filter_map(|message| neighbour(&message).unwrap())
        .collect();
    let mac = Mac::new([2, 0, 0, 0, 0, 1]).unwrap();
    let addresses: Vec<IpAddr> = vec!["10.20.0.10".parse().unwrap(), "2001:db8::10".parse().unwrap()];
    assert_eq!(found, addresses.into_iter().map(|address| (3, address, mac)).collect::<Vec<_>>());
}
