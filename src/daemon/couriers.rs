//! The courier that tells the ISP's programs of events, as the daemon runs it.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::base::clock::Clock;
use crate::notify::Outbound;
use crate::notify::courier::Courier;
use crate::notify::outbound::OwnAddresses;
use crate::serve::api::App;

/// Runs it until `stop`. It has a loop of its own, since places that are told must not wait for one another.
pub(super) fn start(app: &App, clock: &Clock, stop: &CancellationToken) -> Option<JoinHandle<()>> {
    let outbound = match Outbound::public(own_addresses()) {
        Ok(outbound) => outbound,
        Err(error) => {
            // Webhooks wait; subscribers do not.
            tracing::error!(%error, "Webhooks cannot be sent");
            return None;
        }
    };
    let courier = Courier::new(&app.store, &app.vault, &app.entropy, outbound);
    let (clock, stop) = (clock.clone(), stop.clone());
    Some(tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = courier.work(&clock) => {}
        }
    }))
}

/// The addresses that this machine has now: what staff type in must not lead back to it.
fn own_addresses() -> OwnAddresses {
    Arc::new(|| {
        let Ok(list) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
        let address = |one: nix::ifaddrs::InterfaceAddress| {
            let address = one.address?;
            let v4 = address.as_sockaddr_in().map(|at| IpAddr::V4(at.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|at| IpAddr::V6(at.ip())))
        };
        list.filter_map(address).collect()
    })
}
