//! Tables, chains, rules and named counters as nfnetlink lists them, and the news of changes: what a
//! survey of the firewall needs to see that ours is whole, and which foreign chains come before it.
//! Reading only. The one rule: a rule's octets are compared, never interpreted.

use super::elements::SUBSYSTEM;
use super::wire::{Attributes, DUMP, Message, REQUEST, WireError, Writer, be32, be64, text};
use crate::firewall::ruleset::TABLE;

/// A table was made, or is listed.
pub const NEW_TABLE: u16 = SUBSYSTEM;
const GET_TABLE: u16 = SUBSYSTEM | 1;
/// A table was removed.
pub const DELETE_TABLE: u16 = SUBSYSTEM | 2;
/// A chain was made, or is listed.
pub const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const GET_CHAIN: u16 = SUBSYSTEM | 4;
/// A rule was made, or is listed.
pub const NEW_RULE: u16 = SUBSYSTEM | 6;
const GET_RULE: u16 = SUBSYSTEM | 7;
/// A transaction was committed.
pub const NEW_GENERATION: u16 = SUBSYSTEM | 15;
/// A named counter was made, or is listed.
pub const NEW_OBJECT: u16 = SUBSYSTEM | 18;
const GET_OBJECT: u16 = SUBSYSTEM | 19;

const FAMILY_ANY: u8 = 0;
const FAMILY_INET: u8 = 1;

const NAME_OF_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const OBJECT_NAME: u16 = 2;
const OBJECT_DATA: u16 = 4;
const GENERATION_PROCESS: u16 = 2;
const GENERATION_PROGRAM: u16 = 3;
const POLICY_DROP: u32 = 0;

/// A base chain: one that the kernel itself calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseChain {
    /// `ip`, `ip6`, `inet` and others by their number.
    pub family: u8,
    /// The table it is in.
    pub table: String,
    /// Its name.
    pub chain: String,
    /// Where it is called.
    pub hook: u32,
    /// When, among those of its hook; lower is earlier.
    pub priority: i32,
    /// Whether what no rule decides is dropped.
    pub drops: bool,
}

/// News of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Our table is gone.
    TableGone,
    /// Somebody committed a transaction: the process and its program.
    Committed(u32, String),
}

/// Asks for our table: an error says that it is not there.
#[must_use]
pub fn get_table(sequence: u32) -> Writer {
    request(GET_TABLE, super::wire::ACK, sequence, FAMILY_INET, true)
}

/// Asks for all chains of all tables.
#[must_use]
pub fn dump_chains(sequence: u32) -> Writer {
    request(GET_CHAIN, DUMP, sequence, FAMILY_ANY, false)
}

/// Asks for the rules of our table.
#[must_use]
pub fn dump_rules(sequence: u32) -> Writer {
    request(GET_RULE, DUMP, sequence, FAMILY_INET, true)
}

/// Asks for the named counters of our table.
#[must_use]
pub fn dump_counters(sequence: u32) -> Writer {
    request(GET_OBJECT, DUMP, sequence, FAMILY_INET, true)
}

fn request(kind: u16, flags: u16, sequence: u32, family: u8, of_our_table: bool) -> Writer {
    let mut writer = Writer::new();
    writer.message(kind, REQUEST | flags, sequence, |writer| {
        writer.raw(&[family, 0, 0, 0]);
        if of_our_table {
            writer.string(NAME_OF_TABLE, TABLE);
        }
    });
    writer
}

/// The chain of a listing when it is a base chain.
///
/// # Errors
/// When the octets are not as the kernel writes them.
pub fn base_chain(message: &Message<'_>) -> Result<Option<BaseChain>, WireError> {
    let (family, attributes) = split(message)?;
    let Some(hook) = attributes.find(CHAIN_HOOK)?.map(Attributes::new) else { return Ok(None) };
    let number = hook.find(HOOK_NUMBER)?.ok_or(WireError::Field("hook"))?;
    let priority = hook.find(HOOK_PRIORITY)?.ok_or(WireError::Field("priority"))?;
    let policy = attributes.find(CHAIN_POLICY)?.map(|octets| be32(octets, "policy")).transpose()?;
    Ok(Some(BaseChain {
        family,
        table: attributes.find(NAME_OF_TABLE)?.map(text).unwrap_or_default(),
        chain: attributes.find(CHAIN_NAME)?.map(text).unwrap_or_default(),
        hook: be32(number, "hook")?,
        priority: be32(priority, "priority")?.cast_signed(),
        drops: policy == Some(POLICY_DROP),
    }))
}

/// A rule of a listing of our table: its chain and its expressions as they are.
///
/// # Errors
/// When the octets are not as the kernel writes them.
pub fn rule<'a>(message: &Message<'a>) -> Result<(&'a [u8], &'a [u8]), WireError> {
    let (_, attributes) = split(message)?;
    let chain = attributes.find(RULE_CHAIN)?.ok_or(WireError::Field("chain"))?;
    Ok((chain, attributes.find(RULE_EXPRESSIONS)?.unwrap_or(&[])))
}

/// A named counter of a listing: name, octets, packets. `None` for another kind of object.
///
/// # Errors
/// When the octets are not as the kernel writes them.
pub fn counter(message: &Message<'_>) -> Result<Option<(String, u64, u64)>, WireError> {
    let (_, attributes) = split(message)?;
    let Some(data) = attributes.find(OBJECT_DATA)?.map(Attributes::new) else { return Ok(None) };
    let (Some(octets), Some(packets)) = (data.find(1)?, data.find(2)?) else { return Ok(None) };
    if octets.len() != 8 || packets.len() != 8 {
        return Ok(None);
    }
    let name = attributes.find(OBJECT_NAME)?.map(text).unwrap_or_default();
    Ok(Some((name, be64(octets, "counter")?, be64(packets, "counter")?)))
}

/// What a notification says, when it is of interest.
///
/// # Errors
/// When the octets are not as the kernel writes them.
pub fn news(message: &Message<'_>) -> Result<Option<News>, WireError> {
    match message.kind {
        DELETE_TABLE => {
            let (family, attributes) = split(message)?;
            let ours =
                family == FAMILY_INET && attributes.find(NAME_OF_TABLE)?.map(text).as_deref() == Some(TABLE);
            Ok(ours.then_some(News::TableGone))
        }
        NEW_GENERATION => {
            let (_, attributes) = split(message)?;
            let process = attributes.find(GENERATION_PROCESS)?.ok_or(WireError::Field("process"))?;
            let program = attributes.find(GENERATION_PROGRAM)?.map(text).unwrap_or_default();
            Ok(Some(News::Committed(be32(process, "process")?, program)))
        }
        _ => Ok(None),
    }
}

fn split<'a>(message: &Message<'a>) -> Result<(u8, Attributes<'a>), WireError> {
    let (header, rest) = message.body.split_first_chunk::<4>().ok_or(WireError::Field("nfgenmsg"))?;
    let [family, ..] = *header;
    Ok((family, Attributes::new(rest)))
}

#[cfg(test)]
#[path = "objects_tests.rs"]
mod tests;
