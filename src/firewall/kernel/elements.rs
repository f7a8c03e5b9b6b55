//! Changes of subscribers to the kernel and what is in force back. A change happens whole or not at all;
//! one that the kernel refuses does not hold up the others of its batch. The one rule: only what the
//! kernel acknowledged counts as done.

use std::collections::{BTreeMap, BTreeSet};

use nix::errno::Errno;

use super::fault::GatewayError;
use super::netlink::elements::{self, DELETE_ELEMENT, Element};
use super::netlink::socket::{Nack, Socket, SocketError};
use super::netlink::wire::WireError;
use crate::firewall::admission::{Direction, Identity, InForce, Number, Reading};
use crate::firewall::change::{Applied, Change, Operation, Outcome, Refused};
use crate::firewall::ruleset::Table;

/// A commit holds everybody else's: a thousand elements take about ten milliseconds.
const MOST_IN_A_BATCH: usize = 1000;
/// A listing that changes each time it is made is tried so often.
const MOST_LISTINGS: u32 = 20;

/// What the kernel said of one batch.
enum Answer {
    /// All was done; the final counts of what was closed.
    Done(BTreeMap<(Number, Direction), Reading>),
    /// Nothing was done, for these.
    Refused { first: u32, nacks: Vec<Nack> },
}

/// A change that is still to be done, and which of its operations are left.
struct Pending<'a> {
    place: usize,
    change: &'a Change,
    operations: Vec<&'a Operation>,
}

/// Carries the changes out in their order; the outcomes are in the same order.
pub(super) fn apply(socket: &mut Socket, changes: &[Change]) -> Vec<Outcome> {
    let mut results: BTreeMap<usize, Result<Applied, Refused>> = BTreeMap::new();
    let mut batch = Vec::new();
    let mut size = 0usize;
    for (place, change) in changes.iter().enumerate() {
        size = size.saturating_add(change.operations.len());
        if size > MOST_IN_A_BATCH && !batch.is_empty() {
            settle(socket, std::mem::take(&mut batch), &mut results);
            size = change.operations.len();
        }
        batch.push(Pending { place, change, operations: change.operations.iter().collect() });
    }
    settle(socket, batch, &mut results);
    let outcome = |(place, change): (usize, &Change)| Outcome {
        number: change.number,
        result: results.remove(&place).unwrap_or_else(|| Ok(Applied::default())),
    };
    changes.iter().enumerate().map(outcome).collect()
}

/// Sends a batch until the kernel takes it, each time without what it refused. Each round leaves out at
/// least one change or operation, so there is an end.
fn settle(
    socket: &mut Socket,
    mut batch: Vec<Pending<'_>>,
    results: &mut BTreeMap<usize, Result<Applied, Refused>>,
) {
    while batch.iter().any(|pending| !pending.operations.is_empty()) {
        match send(socket, &batch) {
            Ok(Answer::Done(counts)) => {
                for pending in &batch {
                    results.insert(pending.place, Ok(applied(pending, &counts)));
                }
                return;
            }
            Ok(Answer::Refused { first, nacks }) => {
                if !leave_out(&mut batch, first, &nacks, results) {
                    let reason = nacks.first().map_or_else(String::new, |nack| reason(nack.errno));
                    return refuse_all(&batch, &reason, results);
                }
            }
            Err(SocketError::System(_, Errno::EMSGSIZE | Errno::ENOMEM | Errno::ENOBUFS))
                if batch.len() > 1 =>
            {
                let rest = batch.split_off(batch.len() / 2);
                settle(socket, batch, results);
                batch = rest;
            }
            Err(error) => return refuse_all(&batch, &error.to_string(), results),
        }
    }
    for pending in batch {
        results.insert(pending.place, Ok(Applied::default()));
    }
}

fn send(socket: &mut Socket, batch: &[Pending<'_>]) -> Result<Answer, SocketError> {
    let operations: Vec<&Operation> =
        batch.iter().flat_map(|pending| pending.operations.iter().copied()).collect();
    let count = u32::try_from(operations.len()).unwrap_or(u32::MAX);
    // The beginning and the end of the batch have numbers of their own.
    let first = socket.reserve(count.saturating_add(2));
    let last = first.saturating_add(count);
    let mut counts = BTreeMap::new();
    let nacks = socket.exchange(&elements::transaction(first, &operations), (first, last), |message| {
        if message.kind == DELETE_ELEMENT {
            for element in elements::decode(message)? {
                if let Element::Account(number, found) = element {
                    counts.insert((number, found.reading.direction), found.reading);
                }
            }
        }
        Ok(())
    })?;
    if nacks.is_empty() { Ok(Answer::Done(counts)) } else { Ok(Answer::Refused { first, nacks }) }
}

fn applied(pending: &Pending<'_>, counts: &BTreeMap<(Number, Direction), Reading>) -> Applied {
    let closed = pending.operations.iter().filter_map(|operation| match operation {
        Operation::Close { number, direction } => counts.get(&(*number, *direction)).copied(),
        Operation::Admit { .. } | Operation::Forget { .. } | Operation::Open { .. } => None,
    });
    Applied { closed: closed.collect() }
}

/// Takes out of the batch what the kernel refused; false when its refusal is of nothing in particular.
fn leave_out(
    batch: &mut Vec<Pending<'_>>,
    first: u32,
    nacks: &[Nack],
    results: &mut BTreeMap<usize, Result<Applied, Refused>>,
) -> bool {
    let refused: BTreeMap<u32, Errno> = nacks.iter().map(|nack| (nack.sequence, nack.errno)).collect();
    let mut sequence = first;
    let mut any = false;
    batch.retain_mut(|pending| {
        let mut own: Option<Refused> = None;
        pending.operations.retain(|operation| {
            sequence = sequence.wrapping_add(1);
            let Some(errno) = refused.get(&sequence) else { return true };
            any = true;
            // A time-out in the kernel may have removed it before us: that is what was wanted.
            if operation.removes() && *errno == Errno::ENOENT {
                return false;
            }
            own = Some(Refused { attempt: operation.attempt(), reason: reason(*errno), own_fault: true });
            true
        });
        match own {
            Some(refused) => {
                results.insert(pending.place, Err(refused));
                false
            }
            None => true,
        }
    });
    any
}

fn refuse_all(batch: &[Pending<'_>], reason: &str, results: &mut BTreeMap<usize, Result<Applied, Refused>>) {
    for pending in batch {
        let attempt = pending.change.operations.first().map_or("change nothing", Operation::attempt);
        let refused = Refused { attempt, reason: reason.to_owned(), own_fault: false };
        results.insert(pending.place, Err(refused));
    }
}

/// The kernel's numbers, in this room's words where they mean something here.
const REASONS: &[(Errno, &str)] = &[
    (Errno::EPERM, "the right CAP_NET_ADMIN is missing"),
    (Errno::ENOENT, "the table inet dotmac_edge or its set is not there"),
    (Errno::EEXIST, "it is there already"),
    (Errno::EBUSY, "it is there already, with other contents"),
    (Errno::ENFILE, "the set is full"),
    (Errno::ENOMEM, "the kernel has no memory"),
];

fn reason(errno: Errno) -> String {
    let known = REASONS.iter().find(|(number, _)| *number == errno);
    format!("{} ({errno:?})", known.map_or_else(|| errno.desc(), |(_, words)| words))
}

/// Everything in force.
pub(super) fn dump(socket: &mut Socket) -> Result<InForce, GatewayError> {
    let mut in_force = InForce::default();
    for table in Table::ALL {
        for element in list(socket, table)? {
            take(&mut in_force, element);
        }
    }
    Ok(in_force)
}

/// What is in force for one subscriber, as far as its devices are known to the caller.
pub(super) fn find(
    socket: &mut Socket,
    number: Number,
    devices: &BTreeSet<Identity>,
) -> Result<InForce, GatewayError> {
    let mut in_force = InForce::default();
    for identity in devices {
        let sequence = socket.reserve(1);
        get(socket, &elements::get_device(sequence, identity), sequence, &mut in_force)?;
    }
    for direction in Direction::BOTH {
        let sequence = socket.reserve(1);
        get(socket, &elements::get_account(sequence, number, direction), sequence, &mut in_force)?;
    }
    Ok(in_force)
}

/// The counters of all subscribers.
pub(super) fn counters(socket: &mut Socket) -> Result<Vec<(Number, Reading)>, GatewayError> {
    let mut in_force = InForce::default();
    for table in [Table::Up, Table::Down] {
        for element in list(socket, table)? {
            take(&mut in_force, element);
        }
    }
    Ok(in_force.accounts.into_iter().map(|((number, _), found)| (number, found.reading)).collect())
}

fn list(socket: &mut Socket, table: Table) -> Result<Vec<Element>, GatewayError> {
    const ATTEMPT: &str = "read the subscribers in force";
    for _ in 1..MOST_LISTINGS {
        match list_once(socket, table) {
            Err(SocketError::Changing) => {}
            Err(error) => return Err(GatewayError::socket(ATTEMPT)(error)),
            Ok((found, nacks)) => return GatewayError::refused(ATTEMPT, &nacks).map(|()| found),
        }
    }
    Err(GatewayError::Socket(ATTEMPT, SocketError::Changing))
}

fn list_once(socket: &mut Socket, table: Table) -> Result<(Vec<Element>, Vec<Nack>), SocketError> {
    let sequence = socket.reserve(1);
    let mut found = Vec::new();
    let nacks = socket.exchange(&elements::dump(sequence, table), (sequence, sequence), |message| {
        found.extend(elements::decode(message)?);
        Ok::<(), WireError>(())
    })?;
    Ok((found, nacks))
}

fn get(
    socket: &mut Socket,
    request: &super::netlink::wire::Writer,
    sequence: u32,
    in_force: &mut InForce,
) -> Result<(), GatewayError> {
    const ATTEMPT: &str = "read a subscriber in force";
    let nacks = socket
        .exchange(request, (sequence, sequence), |message| {
            elements::decode(message)?.into_iter().for_each(|element| take(in_force, element));
            Ok(())
        })
        .map_err(GatewayError::socket(ATTEMPT))?;
    // Not there is an answer, too.
    let faults: Vec<Nack> = nacks.into_iter().filter(|nack| nack.errno != Errno::ENOENT).collect();
    GatewayError::refused(ATTEMPT, &faults)
}

fn take(in_force: &mut InForce, element: Element) {
    match element {
        Element::Device(identity, found) => {
            in_force.devices.insert(identity, found);
        }
        Element::Account(number, found) => {
            in_force.accounts.insert((number, found.reading.direction), found);
        }
        Element::Foreign(_) => in_force.foreign = in_force.foreign.saturating_add(1),
    }
}
