//! What it takes to bring subscribers online, from the decision to the kernel's acknowledgement with the
//! session durable in between: in network namespaces, on a real kernel and a real disk, as root.
//! Prints tables; judges nothing. Compare the rows of one run with one another.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]
#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

#[path = "../tests/support/gateway_core_lab.rs"]
mod gateway_core_lab;
#[path = "../tests/support/netns.rs"]
mod netns;
#[path = "../tests/support/radius_lab.rs"]
mod radius_lab;

use std::sync::Arc;
use std::time::{Duration, Instant};

use dotmac_edge::access::Holder;
use dotmac_edge::base::clock::Clock;
use dotmac_edge::domain::device::{Device, MacAddress};
use dotmac_edge::domain::ids::ServiceId;
use dotmac_edge::store::contract::Unit;
use dotmac_edge::store::tables::Services;
use gateway_core_lab::{Place, Running};
use uuid::Uuid;

const SUBSCRIBERS: u32 = 4_000;

fn main() {
    // On the working directory's disk: a temporary folder may be in memory, where syncing costs nothing.
    let place = Place { folder: tempfile::tempdir_in(".").unwrap(), ..Place::new() };
    let running = place.start();
    furnish(&running);
    println!("at once | activations/s | median ms | 99th ms");
    let mut first = 0;
    for at_once in [1u32, 8, 64, 512] {
        let count = (at_once * 50).clamp(200, 1_500);
        measure(&running, first, count, at_once);
        first += count;
    }
    println!("online in the end: {}", running.access.local_sessions());
    running.stop();
}

fn furnish(running: &Running) {
    for first in (0..SUBSCRIBERS).step_by(500) {
        let unit = (first..first + 500).fold(Unit::natural(), |unit, number| {
            let id = ServiceId(Uuid::from_u128(u128::from(number) + 1));
            let mut service = radius_lab::service(id, &format!("sub{number}"), "eA".to_owned());
            service.addresses = dotmac_edge::domain::service::Addresses::default();
            unit.put::<Services>(&id, &service).unwrap()
        });
        running.runtime.block_on(running.store.commit(unit)).unwrap();
    }
}

fn measure(running: &Running, first: u32, count: u32, at_once: u32) {
    let next = Arc::new(std::sync::atomic::AtomicU32::new(first));
    let began = Instant::now();
    let mut each: Vec<Duration> = running.runtime.block_on(async {
        let workers = (0..at_once).map(|_| {
            let (next, access, enforcer) =
                (Arc::clone(&next), Arc::clone(&running.access), running.enforcer.clone());
            tokio::spawn(async move {
                let mut took = Vec::new();
                loop {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if number >= first + count {
                        return took;
                    }
                    let began = Instant::now();
                    let id = ServiceId(Uuid::from_u128(u128::from(number) + 1));
                    let login = access.snapshot().service(id).unwrap();
                    let holder = Holder::Service { login, device_limit: 2 };
                    let (device, ipv4) = device(number);
                    access.open_local(&device, Some(ipv4), holder, Clock::System.now()).await.unwrap();
                    enforcer.carry_out(id.0).await.unwrap();
                    took.push(began.elapsed());
                }
            })
        });
        let mut all = Vec::new();
        for worker in workers.collect::<Vec<_>>() {
            all.extend(worker.await.unwrap());
        }
        all
    });
    let total = began.elapsed();
    each.sort();
    let (median, late) = (each[each.len() / 2], each[each.len() * 99 / 100]);
    println!(
        "{at_once:7} | {:13.0} | {:9.2} | {:7.2}",
        f64::from(count) / total.as_secs_f64(),
        median.as_secs_f64() * 1e3,
        late.as_secs_f64() * 1e3,
    );
}

fn device(number: u32) -> (Device, std::net::Ipv4Addr) {
    let [_, a, b, c] = number.to_be_bytes();
    let ipv4 = std::net::Ipv4Addr::new(10, 20 + a, b, c);
    let mac = MacAddress::new([2, 0, 1, a, b, c]);
    (Device { interface: "lan0".into(), mac, address: ipv4.into() }, ipv4)
}
