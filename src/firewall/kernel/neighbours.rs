//! Who is behind an address: the kernel's table of neighbours, read for one address or one device. The
//! one rule: a neighbour whose hardware address the kernel does not know is no answer.

use std::net::IpAddr;

use nix::net::if_::{if_nameindex, if_nametoindex};

use super::fault::GatewayError;
use super::netlink::route::{self, Family};
use super::netlink::socket::Socket;
use crate::firewall::name::{InterfaceName, Mac};

/// A device seen on an interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Neighbour {
    /// Where.
    pub interface: InterfaceName,
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address.
    pub mac: Mac,
}

/// The interfaces of this network namespace whose names we take.
pub(super) fn interfaces() -> Result<Vec<InterfaceName>, GatewayError> {
    let list = if_nameindex().map_err(|errno| GatewayError::Refused("list the interfaces", errno))?;
    Ok(list.iter().filter_map(|found| InterfaceName::from_octets(found.name().to_bytes()).ok()).collect())
}

/// The device that has this address on one of the interfaces; several when several interfaces know it.
pub(super) fn with_address(
    socket: &mut Socket,
    interfaces: &[InterfaceName],
    address: IpAddr,
) -> Result<Vec<Neighbour>, GatewayError> {
    let mut found = Vec::new();
    for interface in interfaces {
        let Ok(index) = if_nametoindex(interface.as_str()) else { continue };
        let sequence = socket.reserve(1);
        let request = route::get_neighbour(sequence, index, address);
        // A refusal says that there is no such neighbour, which is an answer.
        let _nobody = socket
            .exchange(&request, (sequence, sequence), |message| {
                if message.kind == route::NEW_NEIGHBOUR {
                    let known = route::neighbour(message)?;
                    found.extend(known.map(|(_, address, mac)| Neighbour {
                        interface: interface.clone(),
                        address,
                        mac,
                    }));
                }
                Ok(())
            })
            .map_err(GatewayError::socket("ask who has an address"))?;
    }
    Ok(found)
}

/// The addresses of both families that this device has on the interface.
pub(super) fn of_device(
    socket: &mut Socket,
    interface: &InterfaceName,
    mac: Mac,
) -> Result<Vec<IpAddr>, GatewayError> {
    let Ok(wanted) = if_nametoindex(interface.as_str()) else { return Ok(Vec::new()) };
    let mut addresses = Vec::new();
    for family in Family::BOTH {
        let sequence = socket.reserve(1);
        let _without_family = socket
            .exchange(&route::dump_neighbours(sequence, family), (sequence, sequence), |message| {
                if message.kind == route::NEW_NEIGHBOUR {
                    let known = route::neighbour(message)?
                        .filter(|(index, _, owner)| *index == wanted && *owner == mac);
                    addresses.extend(known.map(|(_, address, _)| address));
                }
                Ok(())
            })
            .map_err(GatewayError::socket("list a device's addresses"))?;
    }
    Ok(addresses)
}
