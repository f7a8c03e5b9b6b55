//! The codec against a listing of the kernel.

use super::super::fixture;
use super::super::wire::Messages;
use super::*;

#[test]
fn base_chains_are_read_with_hook_priority_and_policy() {
    let listing = fixture("kernel_lists_chains.hex");
    let mut found: Vec<BaseChain> = Messages::new(&listing)
        .map(Result::unwrap)
        .filter(|message| message.kind == NEW_CHAIN)
        .filter_map(|message| base_chain(&message).unwrap())
        .collect();
    found.dedup();
    found.sort_by(|a, b| a.chain.cmp(&b.chain));
    found.dedup();
    let named: Vec<(&str, u32, i32)> =
        found.iter().map(|chain| (chain.chain.as_str(), chain.hook, chain.priority)).collect();
    let expected = [
        ("forward", 2, -10),
        ("input", 1, -10),
        ("mark_pre", 0, -150),
        ("nat_post", 4, 100),
        ("nat_pre", 0, -100),
        ("raw_pre", 0, -300),
    ];
    assert_eq!(named, expected);
    assert!(found.iter().all(|chain| chain.family == 1 && chain.table == TABLE && !chain.drops));
}
