//! The routing rules that close the gateway when its table is lost: for each access interface and
//! family, what our table has not marked is not routed. The one rule: only rules that are ours in every
//! field are counted or removed.

use std::collections::BTreeSet;

use nix::errno::Errno;

use super::fault::GatewayError;
use super::netlink::route::{self, Family};
use super::netlink::socket::Socket;
use crate::firewall::name::InterfaceName;

/// A rule, by its family and interface.
pub type ClosingRule = (Family, InterfaceName);

/// The rules of ours that are in force.
pub(super) fn in_force(socket: &mut Socket) -> Result<BTreeSet<ClosingRule>, GatewayError> {
    const ATTEMPT: &str = "read the routing rules";
    let mut found = BTreeSet::new();
    for family in Family::BOTH {
        let sequence = socket.reserve(1);
        let nacks = socket
            .exchange(&route::dump_rules(sequence, family), (sequence, sequence), |message| {
                if message.kind == route::NEW_RULE {
                    found.extend(route::our_rule(message)?.map(|interface| (family, interface)));
                }
                Ok(())
            })
            .map_err(GatewayError::socket(ATTEMPT))?;
        // A host without this family has no rules of it.
        let faults: Vec<_> = nacks.into_iter().filter(|nack| !without_family(nack.errno)).collect();
        GatewayError::refused(ATTEMPT, &faults)?;
    }
    Ok(found)
}

/// Makes the rules of ours exactly these.
pub(super) fn set(socket: &mut Socket, wanted: &BTreeSet<ClosingRule>) -> Result<(), GatewayError> {
    let found = in_force(socket)?;
    for (family, interface) in wanted.difference(&found) {
        let sequence = socket.reserve(1);
        let request = route::add_rule(sequence, *family, interface);
        change(socket, "close an access interface by a routing rule", sequence, &request)?;
    }
    for (family, interface) in found.difference(wanted) {
        let sequence = socket.reserve(1);
        let request = route::delete_rule(sequence, *family, interface);
        change(socket, "remove a routing rule", sequence, &request)?;
    }
    Ok(())
}

fn change(
    socket: &mut Socket,
    attempt: &'static str,
    sequence: u32,
    request: &super::netlink::wire::Writer,
) -> Result<(), GatewayError> {
    let nacks =
        socket.exchange(request, (sequence, sequence), |_| Ok(())).map_err(GatewayError::socket(attempt))?;
    let settled = |errno| without_family(errno) || matches!(errno, Errno::EEXIST | Errno::ENOENT);
    let faults: Vec<_> = nacks.into_iter().filter(|nack| !settled(nack.errno)).collect();
    GatewayError::refused(attempt, &faults)
}

const fn without_family(errno: Errno) -> bool {
    matches!(errno, Errno::EAFNOSUPPORT | Errno::EOPNOTSUPP)
}
