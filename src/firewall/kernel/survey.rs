//! Whether the gateway is whole: our table and each of its rules, the closing routing rules, and foreign
//! chains that come before ours or drop after them. Read by netlink, since `nft list` pulls every element.
//! The one rule: what is found is named; nothing is repaired here.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher};

use nix::errno::Errno;

use super::fault::GatewayError;
use super::netlink::objects::{self, BaseChain};
use super::netlink::socket::{Nack, Socket, SocketError};
use super::netlink::wire::{Message, WireError, Writer};
use super::rules::ClosingRule;
use crate::firewall::ruleset::TABLE;

const ATTEMPT: &str = "look at the firewall in force";
/// As in `elements`: a listing that changes each time it is made is tried so often.
const MOST_LISTINGS: u32 = 20;

/// What is not as it should be; nothing when all lists are empty and `table` is [`TableState::Ours`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Our own table.
    pub table: TableState,
    /// Closing routing rules that are missing: losing the table would open these interfaces.
    pub open_interfaces: BTreeSet<ClosingRule>,
    /// Chains of others that can keep packets from the portal or from subscribers.
    pub foreign: Vec<ForeignChain>,
}

/// How our table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableState {
    /// As installed.
    Ours,
    /// A foreign hand added, removed or changed rules.
    Changed,
    /// Not there.
    Missing,
    /// There, and this process has not installed it, so that it cannot be compared.
    NotInstalledByUs,
}

/// A chain of another table on a hook where we decide, too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForeignChain {
    /// `inet`, `ip` or `ip6`.
    pub family: &'static str,
    /// Its table.
    pub table: String,
    /// Its name.
    pub chain: String,
    /// `prerouting`, `input`, `forward` or `postrouting`.
    pub hook: &'static str,
    /// When it is called; lower is earlier.
    pub priority: i32,
    /// It is called before ours, so its rules can drop what ours would answer.
    pub before_ours: bool,
    /// What its rules do not accept, it drops: also when it comes after ours.
    pub drops: bool,
}

/// A digest of the rules of a table; two are equal when every rule is.
pub(super) type Fingerprint = u64;

/// The rules in force, or `None` when our table is not there.
pub(super) fn fingerprint(socket: &mut Socket) -> Result<Option<Fingerprint>, GatewayError> {
    let sequence = socket.reserve(1);
    let nacks = socket
        .exchange(&objects::get_table(sequence), (sequence, sequence), |_| Ok(()))
        .map_err(GatewayError::socket(ATTEMPT))?;
    if nacks.iter().any(|nack| nack.errno == Errno::ENOENT) {
        return Ok(None);
    }
    GatewayError::refused(ATTEMPT, &nacks)?;
    let rules = listing(socket, objects::dump_rules, |message| {
        let mut octets = Vec::new();
        if message.kind == objects::NEW_RULE {
            let (chain, expressions) = objects::rule(message)?;
            octets.push([chain, expressions].concat());
        }
        Ok(octets)
    })?;
    let chains = base_chains(socket)?.into_iter().filter(is_ours);
    let mut hasher = DefaultHasher::new();
    for rule in rules {
        hasher.write(&rule);
    }
    for chain in chains {
        hasher.write(format!("{chain:?}").as_bytes());
    }
    Ok(Some(hasher.finish()))
}

/// Foreign chains that come before ours or drop.
pub(super) fn foreign(socket: &mut Socket) -> Result<Vec<ForeignChain>, GatewayError> {
    let chains = base_chains(socket)?;
    let ours: Vec<BaseChain> = chains.iter().filter(|chain| is_ours(chain)).cloned().collect();
    let mut found: Vec<ForeignChain> = chains
        .into_iter()
        .filter(|chain| !is_ours(chain))
        .filter_map(|chain| judged(chain, &ours))
        .filter(|chain| chain.before_ours || chain.drops)
        .collect();
    found.sort();
    Ok(found)
}

/// The named counters of our table: name, octets, packets.
pub(super) fn tallies(socket: &mut Socket) -> Result<Vec<(String, u64, u64)>, GatewayError> {
    listing(socket, objects::dump_counters, |message| {
        if message.kind == objects::NEW_OBJECT {
            return Ok(objects::counter(message)?.into_iter().collect());
        }
        Ok(Vec::new())
    })
}

fn base_chains(socket: &mut Socket) -> Result<Vec<BaseChain>, GatewayError> {
    listing(socket, objects::dump_chains, |message| {
        if message.kind == objects::NEW_CHAIN {
            return Ok(objects::base_chain(message)?.into_iter().collect());
        }
        Ok(Vec::new())
    })
}

fn is_ours(chain: &BaseChain) -> bool {
    chain.family == 1 && chain.table == TABLE
}

fn judged(chain: BaseChain, ours: &[BaseChain]) -> Option<ForeignChain> {
    let family = match chain.family {
        1 => "inet",
        2 => "ip",
        10 => "ip6",
        _ => return None,
    };
    let hook = match chain.hook {
        0 => "prerouting",
        1 => "input",
        2 => "forward",
        4 => "postrouting",
        _ => return None,
    };
    // On prerouting we have three chains; what comes before the last of them can matter.
    let latest = ours.iter().filter(|own| own.hook == chain.hook).map(|own| own.priority).max();
    let before_ours = latest.is_some_and(|latest| chain.priority <= latest);
    let BaseChain { table, chain: name, priority, drops, .. } = chain;
    Some(ForeignChain { family, table, chain: name, hook, priority, before_ours, drops })
}

/// A listing as a whole, again when it changed meanwhile.
fn listing<T>(
    socket: &mut Socket,
    request: impl Fn(u32) -> Writer,
    read: impl Fn(&Message<'_>) -> Result<Vec<T>, WireError>,
) -> Result<Vec<T>, GatewayError> {
    for _ in 1..MOST_LISTINGS {
        match listing_once(socket, &request, &read) {
            Err(SocketError::Changing) => {}
            Err(error) => return Err(GatewayError::socket(ATTEMPT)(error)),
            Ok((found, nacks)) => return GatewayError::refused(ATTEMPT, &nacks).map(|()| found),
        }
    }
    Err(GatewayError::Socket(ATTEMPT, SocketError::Changing))
}

fn listing_once<T>(
    socket: &mut Socket,
    request: &impl Fn(u32) -> Writer,
    read: &impl Fn(&Message<'_>) -> Result<Vec<T>, WireError>,
) -> Result<(Vec<T>, Vec<Nack>), SocketError> {
    let sequence = socket.reserve(1);
    let mut found = Vec::new();
    let nacks = socket.exchange(&request(sequence), (sequence, sequence), |message| {
        found.extend(read(message)?);
        Ok(())
    })?;
    Ok((found, nacks))
}
