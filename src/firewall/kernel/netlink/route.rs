//! Routing rules and neighbours as rtnetlink writes them. Constants are those of the kernel's
//! `linux/fib_rules.h` and `linux/neighbour.h`. The one rule: a routing rule is ours only when all of it
//! is as we would have written it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::wire::{ACK, Attributes, CREATE, DUMP, EXCLUSIVE, Message, REQUEST, WireError, Writer, ne32};
use crate::firewall::name::{InterfaceName, Mac};

/// A routing rule was made, or is listed.
pub const NEW_RULE: u16 = 32;
const DELETE_RULE: u16 = 33;
const GET_RULE: u16 = 34;
/// A neighbour, in an answer.
pub const NEW_NEIGHBOUR: u16 = 28;
const GET_NEIGHBOUR: u16 = 30;

const RULE_INTERFACE: u16 = 3;
const RULE_PRIORITY: u16 = 6;
const RULE_MARK: u16 = 10;
const RULE_MASK: u16 = 16;
const RULE_PROTOCOL: u16 = 21;
/// "Communication is administratively prohibited" goes back.
const ACTION_PROHIBIT: u8 = 8;

/// Before the main table, after the local one: the box itself stays reachable.
const PREFERENCE: u32 = 900;
/// The bits of a mark that our rules set on every packet of an access interface.
const SEEN_BITS: u32 = 0xf000_0000;
/// Marks the rule as made by us; a number that nobody registered.
const PROTOCOL: u8 = 0xde;

const NEIGHBOUR_ADDRESS: u16 = 1;
const NEIGHBOUR_MAC: u16 = 2;
/// Incomplete, failed, or none: there is no valid hardware address.
const STATES_WITHOUT_MAC: u16 = 0x01 | 0x20;

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// AF_INET or AF_INET6.
    const fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }

    const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// Makes the rule that refuses to route what our table has not seen.
#[must_use]
pub fn add_rule(sequence: u32, family: Family, interface: &InterfaceName) -> Writer {
    rule(NEW_RULE, CREATE | EXCLUSIVE, sequence, family, interface)
}

/// Removes it.
#[must_use]
pub fn delete_rule(sequence: u32, family: Family, interface: &InterfaceName) -> Writer {
    rule(DELETE_RULE, 0, sequence, family, interface)
}

/// Asks for all routing rules of a family.
#[must_use]
pub fn dump_rules(sequence: u32, family: Family) -> Writer {
    let mut writer = Writer::new();
    writer.message(GET_RULE, REQUEST | DUMP, sequence, |writer| rule_header(writer, family, 0));
    writer
}

/// The interface of a listed rule when the rule is ours.
///
/// # Errors
/// When the octets are not as the kernel writes them.
pub fn our_rule(message: &Message<'_>) -> Result<Option<InterfaceName>, WireError> {
    let (header, rest) = message.body.split_first_chunk::<12>().ok_or(WireError::Field("fib_rule_hdr"))?;
    let [.., action, _, _, _, _] = *header;
    let attributes = Attributes::new(rest);
    let number = |kind| attributes.find(kind)?.map(|octets| ne32(octets, "rule")).transpose();
    let ours = action == ACTION_PROHIBIT
        && number(RULE_PRIORITY)? == Some(PREFERENCE)
        && number(RULE_MARK)?.unwrap_or(0) == 0
        && number(RULE_MASK)? == Some(SEEN_BITS)
        && attributes.find(RULE_PROTOCOL)? == Some(&[PROTOCOL]);
    let interface = attributes.find(RULE_INTERFACE)?.map(InterfaceName::from_octets);
    Ok(interface.and_then(Result::ok).filter(|_| ours))
}

fn rule(kind: u16, flags: u16, sequence: u32, family: Family, interface: &InterfaceName) -> Writer {
    let mut writer = Writer::new();
    writer.message(kind, REQUEST | ACK | flags, sequence, |writer| {
        rule_header(writer, family, ACTION_PROHIBIT);
        writer.attribute(RULE_PRIORITY, &PREFERENCE.to_ne_bytes());
        writer.string(RULE_INTERFACE, interface.as_str());
        writer.attribute(RULE_MARK, &0u32.to_ne_bytes());
        writer.attribute(RULE_MASK, &SEEN_BITS.to_ne_bytes());
        writer.attribute(RULE_PROTOCOL, &[PROTOCOL]);
    });
    writer
}

/// struct fib_rule_hdr: family, lengths, tos, table, reserved, action, flags.
fn rule_header(writer: &mut Writer, family: Family, action: u8) {
    writer.raw(&[family.number(), 0, 0, 0, 0, 0, 0, action, 0, 0, 0, 0]);
}

/// Asks for the neighbour with this address on the interface with this index.
#[must_use]
pub fn get_neighbour(sequence: u32, index: u32, address: IpAddr) -> Writer {
    let mut writer = Writer::new();
    writer.message(GET_NEIGHBOUR, REQUEST | ACK, sequence, |writer| {
        neighbour_header(writer, Family::of(address), index);
        match address {
            IpAddr::V4(address) => writer.attribute(NEIGHBOUR_ADDRESS, &address.octets()),
            IpAddr::V6(address) => writer.attribute(NEIGHBOUR_ADDRESS, &address.octets()),
        }
    });
    writer
}

/// Asks for all neighbours of a family.
#[must_use]
pub fn dump_neighbours(sequence: u32, family: Family) -> Writer {
    let mut writer = Writer::new();
    writer.message(GET_NEIGHBOUR, REQUEST | DUMP, sequence, |writer| neighbour_header(writer, family, 0));
    writer
}

/// struct ndmsg: family, padding, index, state, flags, type.
fn neighbour_header(writer: &mut Writer, family: Family, index: u32) {
    writer.raw(&[family.number(), 0, 0, 0]);
    writer.raw(&index.to_ne_bytes());
    writer.raw(&[0; 4]);
}

/// A listed neighbour whose hardware address is known: interface index, address, hardware address.
///
/// # Errors
/// When the octets are not as the kernel writes them.
pub fn neighbour(message: &Message<'_>) -> Result<Option<(u32, IpAddr, Mac)>, WireError> {
    let (header, rest) = message.body.split_first_chunk::<12>().ok_or(WireError::Field("ndmsg"))?;
    let [_, _, _, _, i0, i1, i2, i3, s0, s1, _, _] = *header;
    let attributes = Attributes::new(rest);
    if u16::from_ne_bytes([s0, s1]) & STATES_WITHOUT_MAC != 0 {
        return Ok(None);
    }
    let mac = attributes.find(NEIGHBOUR_MAC)?.and_then(|octets| <[u8; 6]>::try_from(octets).ok());
    let address = attributes.find(NEIGHBOUR_ADDRESS)?.and_then(read_address);
    let known = mac.and_then(|mac| Mac::new(mac).ok()).zip(address);
    Ok(known.map(|(mac, address)| (u32::from_ne_bytes([i0, i1, i2, i3]), address, mac)))
}

fn read_address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
    let v6 = || <[u8; 16]>::try_from(octets).map(|octets| IpAddr::V6(Ipv6Addr::from(octets)));
    v4.or_else(|_| v6()).ok()
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
