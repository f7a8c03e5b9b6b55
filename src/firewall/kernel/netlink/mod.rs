//! Netlink, as much as the gateway needs: framing, the messages for elements of sets, for the survey of
//! tables and chains, for routing rules and neighbours, and the socket. Everything but [`socket`] is
//! pure and is held against octets that `nft` and `ip` themselves sent. The one rule: whatever octets
//! come in, decoding ends in a value or an error.

pub mod elements;
pub mod objects;
pub mod route;
pub mod socket;
pub mod wire;

/// A captured file of `tests/fixtures/netlink`.
#[cfg(test)]
fn fixture(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/netlink").join(name);
    let digits: String = std::fs::read_to_string(path).unwrap().split_whitespace().collect();
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.as_bytes().chunks(2).map(octet).collect()
}
