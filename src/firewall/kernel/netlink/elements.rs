//! Elements of our sets as nfnetlink writes them: an [`Operation`] to a message, a message to what was
//! found. Constants are those of the kernel's `linux/netfilter/nf_tables.h`. Not here: sockets and when
//! to send. The one rule: an element that nothing of ours could have written is reported as foreign,
//! never guessed at.

use std::time::Duration;

use uuid::Uuid;

use super::wire::{
    ACK, Attributes, CREATE, DUMP, ECHO, EXCLUSIVE, Message, REQUEST, WireError, Writer, be64, text,
};
use crate::firewall::admission::{
    Count, Direction, FoundAccount, FoundDevice, Generation, Identity, Limit, Mark, Number, Reading, State,
};
use crate::firewall::change::Operation;
use crate::firewall::name::{InterfaceName, Mac};
use crate::firewall::ruleset::{TABLE, Table};

/// A message of the nftables subsystem has this in its upper octet.
pub const SUBSYSTEM: u16 = 10 << 8;
/// Elements were added, or are listed.
pub const NEW_ELEMENT: u16 = SUBSYSTEM | 12;
/// Asks for elements.
const GET_ELEMENT: u16 = SUBSYSTEM | 13;
/// Elements were removed.
pub const DELETE_ELEMENT: u16 = SUBSYSTEM | 14;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

/// The family of tables that hold both IPv4 and IPv6.
const FAMILY_INET: u8 = 1;

// Of a message about elements.
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
/// Of a list: its next item.
const ITEM: u16 = 1;
// Of an element.
const KEY: u16 = 1;
const DATA: u16 = 2;
const TIMEOUT: u16 = 4;
const EXPIRATION: u16 = 5;
const USER_DATA: u16 = 6;
const EXPRESSION: u16 = 7;
const EXPRESSIONS: u16 = 11;
/// Of a key or data: the octets.
const VALUE: u16 = 1;
// Of an expression.
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
// Of a limit.
const LIMIT_RATE: u16 = 1;
const LIMIT_UNIT: u16 = 2;
const LIMIT_BURST: u16 = 3;
const LIMIT_TYPE: u16 = 4;
const LIMIT_FLAGS: u16 = 5;
/// A limit counts octets, not packets.
const LIMIT_OF_OCTETS: u32 = 1;
// Of a counter.
const COUNTER_OCTETS: u16 = 1;
const COUNTER_PACKETS: u16 = 2;
/// In an element's user data: a comment, as `nft` shows it.
const COMMENT: u8 = 0;

/// An element of one of our sets, as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    /// A device.
    Device(Identity, FoundDevice),
    /// Limit and counter of a subscriber in one direction.
    Account(Number, FoundAccount),
    /// Something of a form that we never write.
    Foreign(Table),
}

/// Writes all operations as one transaction. The first has the sequence number `first + 1`; the last
/// asks for an acknowledgement, which ends the kernel's answers.
#[must_use]
pub fn transaction(first: u32, operations: &[&Operation]) -> Writer {
    let mut writer = Writer::new();
    boundary(&mut writer, BATCH_BEGIN, first);
    let mut sequence = first;
    for (index, operation) in operations.iter().enumerate() {
        sequence = sequence.wrapping_add(1);
        let is_last = index.saturating_add(1) == operations.len();
        write(&mut writer, sequence, if is_last { ACK } else { 0 }, operation);
    }
    boundary(&mut writer, BATCH_END, sequence.wrapping_add(1));
    writer
}

/// Asks for all elements of a set.
#[must_use]
pub fn dump(sequence: u32, table: Table) -> Writer {
    let mut writer = Writer::new();
    writer.message(GET_ELEMENT, REQUEST | DUMP, sequence, |writer| {
        header(writer);
        writer.string(LIST_TABLE, TABLE);
        writer.string(LIST_SET, table.name());
    });
    writer
}

/// Asks for one device.
#[must_use]
pub fn get_device(sequence: u32, identity: &Identity) -> Writer {
    get(sequence, table_of(identity), &identity_key(identity))
}

/// Asks for limit and counter of one direction.
#[must_use]
pub fn get_account(sequence: u32, number: Number, direction: Direction) -> Writer {
    get(sequence, account_table(direction), &account_key(number))
}

fn get(sequence: u32, table: Table, key: &[u8]) -> Writer {
    let mut writer = Writer::new();
    writer.message(GET_ELEMENT, REQUEST | ACK, sequence, |writer| {
        one_element(writer, table, |writer| writer.nested(KEY, |writer| writer.attribute(VALUE, key)));
    });
    writer
}

/// The elements of a message that adds, removes or lists them in one of our sets; none when it is of
/// another table.
///
/// # Errors
/// When the octets are not as the kernel writes them.
pub fn decode(message: &Message<'_>) -> Result<Vec<Element>, WireError> {
    let attributes = Attributes::new(message.body.get(4..).ok_or(WireError::Field("nfgenmsg"))?);
    let name = |kind| attributes.find(kind).map(|found| found.map(text).unwrap_or_default());
    if name(LIST_TABLE)? != TABLE {
        return Ok(Vec::new());
    }
    let set = name(LIST_SET)?;
    let Some(table) = Table::ALL.into_iter().find(|table| table.name() == set) else {
        return Ok(Vec::new());
    };
    let mut elements = Vec::new();
    for item in Attributes::new(attributes.find(LIST_ELEMENTS)?.unwrap_or(&[])) {
        let item = item?;
        if item.kind == ITEM {
            elements.push(element(table, item.payload)?);
        }
    }
    Ok(elements)
}

fn boundary(writer: &mut Writer, kind: u16, sequence: u32) {
    writer.message(kind, REQUEST, sequence, |writer| {
        writer.raw(&[0, 0]);
        writer.raw(&(SUBSYSTEM >> 8).to_be_bytes());
    });
}

/// The fixed part of a message (struct nfgenmsg).
fn header(writer: &mut Writer) {
    writer.raw(&[FAMILY_INET, 0, 0, 0]);
}

fn one_element(writer: &mut Writer, table: Table, inside: impl FnOnce(&mut Writer)) {
    header(writer);
    writer.string(LIST_TABLE, TABLE);
    writer.string(LIST_SET, table.name());
    writer.nested(LIST_ELEMENTS, |writer| writer.nested(ITEM, inside));
}

fn write(writer: &mut Writer, sequence: u32, flags: u16, operation: &Operation) {
    let add = REQUEST | CREATE | EXCLUSIVE | flags;
    match operation {
        Operation::Admit { identity, mark, left } => writer.message(NEW_ELEMENT, add, sequence, |writer| {
            one_element(writer, table_of(identity), |writer| device(writer, identity, *mark, *left));
        }),
        Operation::Forget { identity } => {
            writer.message(DELETE_ELEMENT, REQUEST | flags, sequence, |writer| {
                one_element(writer, table_of(identity), |writer| key(writer, &identity_key(identity)));
            });
        }
        Operation::Open { number, direction, limit, generation } => {
            writer.message(NEW_ELEMENT, add, sequence, |writer| {
                one_element(writer, account_table(*direction), |writer| {
                    account(writer, *number, *limit, *generation);
                });
            });
        }
        Operation::Close { number, direction } => {
            writer.message(DELETE_ELEMENT, REQUEST | ECHO | flags, sequence, |writer| {
                one_element(writer, account_table(*direction), |writer| key(writer, &account_key(*number)));
            });
        }
    }
}

fn key(writer: &mut Writer, octets: &[u8]) {
    writer.nested(KEY, |writer| writer.attribute(VALUE, octets));
}

fn device(writer: &mut Writer, identity: &Identity, mark: Mark, left: Option<Duration>) {
    if let Some(left) = left {
        // Zero would mean "without end" to the kernel.
        let milliseconds = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
        writer.attribute(TIMEOUT, &milliseconds.to_be_bytes());
    }
    key(writer, &identity_key(identity));
    writer.nested(DATA, |writer| writer.attribute(VALUE, &mark.bits().to_ne_bytes()));
}

fn account(writer: &mut Writer, number: Number, limit: Limit, generation: Generation) {
    key(writer, &account_key(number));
    writer.attribute(USER_DATA, &comment(generation));
    writer.nested(EXPRESSIONS, |writer| {
        expression(writer, "limit", |writer| {
            writer.attribute(LIMIT_RATE, &limit.octets_per_second().to_be_bytes());
            writer.attribute(LIMIT_UNIT, &1u64.to_be_bytes());
            writer.attribute(LIMIT_BURST, &limit.burst().to_be_bytes());
            writer.attribute(LIMIT_TYPE, &LIMIT_OF_OCTETS.to_be_bytes());
            writer.attribute(LIMIT_FLAGS, &0u32.to_be_bytes());
        });
        expression(writer, "counter", |_| {});
    });
}

fn expression(writer: &mut Writer, name: &str, inside: impl FnOnce(&mut Writer)) {
    writer.nested(ITEM, |writer| {
        writer.string(EXPRESSION_NAME, name);
        writer.nested(EXPRESSION_DATA, inside);
    });
}

fn comment(generation: Generation) -> Vec<u8> {
    let words = generation.0.to_string();
    // 36 characters and a NUL.
    let length = u8::try_from(words.len().saturating_add(1)).unwrap_or(u8::MAX);
    [&[COMMENT, length], words.as_bytes(), &[0]].concat()
}

const fn table_of(identity: &Identity) -> Table {
    match identity {
        Identity::V4(..) => Table::Client4,
        Identity::V6(..) => Table::Client6,
        Identity::AnyV6(..) => Table::Client6Any,
    }
}

const fn account_table(direction: Direction) -> Table {
    match direction {
        Direction::Up => Table::Up,
        Direction::Down => Table::Down,
    }
}

/// Only what is online is accounted, so the key is always the mark of that state.
fn account_key(number: Number) -> [u8; 4] {
    Mark { number, state: State::Online }.bits().to_ne_bytes()
}

/// Each part of a key fills whole registers of four octets.
fn identity_key(identity: &Identity) -> Vec<u8> {
    let (interface, mac, address) = match identity {
        Identity::V4(interface, mac, address) => (interface, mac, address.octets().to_vec()),
        Identity::V6(interface, mac, address) => (interface, mac, address.octets().to_vec()),
        Identity::AnyV6(interface, mac) => (interface, mac, Vec::new()),
    };
    let mut octets = interface.as_str().as_bytes().to_vec();
    octets.resize(NAME_LENGTH, 0);
    octets.extend(mac.octets());
    octets.extend([0; 2]);
    octets.extend(address);
    octets
}

/// IFNAMSIZ.
const NAME_LENGTH: usize = 16;

fn element(table: Table, octets: &[u8]) -> Result<Element, WireError> {
    let attributes = Attributes::new(octets);
    let value = |kind| match attributes.find(kind)? {
        Some(inside) => Attributes::new(inside).find(VALUE),
        None => Ok(None),
    };
    let key = value(KEY)?.ok_or(WireError::Field("key"))?;
    let found = match table {
        Table::Client4 | Table::Client6 | Table::Client6Any => {
            let left = match attributes.find(EXPIRATION)? {
                Some(octets) => Some(Duration::from_millis(be64(octets, "expiration")?)),
                None => None,
            };
            let mark = value(DATA)?.and_then(read_mark);
            let device = |(identity, mark)| Element::Device(identity, FoundDevice { mark, left });
            read_identity(table, key).zip(mark).map(device)
        }
        Table::Up => read_account(Direction::Up, key, &attributes)?,
        Table::Down => read_account(Direction::Down, key, &attributes)?,
    };
    Ok(found.unwrap_or(Element::Foreign(table)))
}

fn read_mark(octets: &[u8]) -> Option<Mark> {
    Mark::from_bits(u32::from_ne_bytes(octets.try_into().ok()?))
}

fn read_identity(table: Table, key: &[u8]) -> Option<Identity> {
    let (name, rest) = key.split_first_chunk::<NAME_LENGTH>()?;
    let (mac, rest) = rest.split_first_chunk::<6>()?;
    let (_padding, address) = rest.split_first_chunk::<2>()?;
    let interface = InterfaceName::from_octets(name).ok()?;
    let mac = Mac::new(*mac).ok()?;
    match table {
        Table::Client4 => Some(Identity::V4(interface, mac, <[u8; 4]>::try_from(address).ok()?.into())),
        Table::Client6 => Some(Identity::V6(interface, mac, <[u8; 16]>::try_from(address).ok()?.into())),
        Table::Client6Any => address.is_empty().then_some(Identity::AnyV6(interface, mac)),
        Table::Up | Table::Down => None,
    }
}

fn read_account(
    direction: Direction,
    key: &[u8],
    attributes: &Attributes<'_>,
) -> Result<Option<Element>, WireError> {
    let Some(Mark { number, state: State::Online }) = read_mark(key) else { return Ok(None) };
    let mut limit = None;
    let mut count = Count::default();
    let list = match attributes.find(EXPRESSIONS)? {
        Some(list) => Attributes::new(list).collect::<Result<Vec<_>, _>>()?,
        None => Vec::new(),
    };
    let single = attributes.find(EXPRESSION)?;
    for octets in list.iter().map(|item| item.payload).chain(single) {
        let expression = Attributes::new(octets);
        let data = Attributes::new(expression.find(EXPRESSION_DATA)?.unwrap_or(&[]));
        match expression.find(EXPRESSION_NAME)?.map(text).as_deref() {
            Some("limit") => limit = read_limit(&data)?,
            Some("counter") => count = read_count(&data)?,
            Some(_) | None => {}
        }
    }
    let generation = attributes.find(USER_DATA)?.and_then(read_comment);
    let reading = Reading { generation, direction, count };
    Ok(Some(Element::Account(number, FoundAccount { limit, reading })))
}

fn read_limit(data: &Attributes<'_>) -> Result<Option<Limit>, WireError> {
    let (Some(rate), Some(burst), Some(unit), Some(kind)) =
        (data.find(LIMIT_RATE)?, data.find(LIMIT_BURST)?, data.find(LIMIT_UNIT)?, data.find(LIMIT_TYPE)?)
    else {
        return Ok(None);
    };
    let ours = be64(unit, "limit unit")? == 1 && super::wire::be32(kind, "limit type")? == LIMIT_OF_OCTETS;
    let limit = Limit::as_found(be64(rate, "limit rate")?, super::wire::be32(burst, "limit burst")?);
    Ok(ours.then_some(limit))
}

fn read_count(data: &Attributes<'_>) -> Result<Count, WireError> {
    let number = |kind| data.find(kind)?.map_or(Ok(0), |octets| be64(octets, "counter"));
    Ok(Count { octets: number(COUNTER_OCTETS)?, packets: number(COUNTER_PACKETS)? })
}

/// User data is type, length and value, one after another.
fn read_comment(mut octets: &[u8]) -> Option<Generation> {
    while let Some(([kind, length], rest)) = octets.split_first_chunk() {
        let (value, after) = rest.split_at_checked(usize::from(*length))?;
        if *kind == COMMENT {
            return Uuid::parse_str(&text(value)).ok().map(Generation);
        }
        octets = after;
    }
    None
}

#[cfg(test)]
#[path = "elements_tests.rs"]
mod tests;
