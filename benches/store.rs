//! What a durable commit costs: accounting units per second and processor time per unit, with 1,
//! 8, 64 and 512 submitters at once on one store on disk. Prints a table; judges nothing.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]
#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::store::contract::Unit;
use dotmac_edge::store::suite::{self, Thing, Things};
use dotmac_edge::store::{Options, SealKey, Store};

const SESSIONS: u64 = 20_000;
const TIME: Duration = Duration::from_secs(4);

fn main() {
    // In the working directory: a temporary one may be in memory, where syncing costs nothing.
    let dir = tempfile::tempdir_in(".").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = open(dir.path().join("store"));
        fill(&store).await;
        println!("submitters | units/s | CPU us/unit (whole process) | mean wait ms");
        for submitters in [1, 8, 64, 512] {
            measure(&store, submitters).await;
        }
        store.close().await;
        let began = Instant::now();
        let store = open(dir.path().join("store"));
        println!("reopened, with a full check of {SESSIONS} records, in {:?}", began.elapsed());
        store.close().await;
    });
}

fn open(dir: PathBuf) -> Store {
    let options = Options::new(dir, SealKey::new([7; 32]), Clock::System, Entropy::System);
    Store::open(&options, &suite::collections(), Arc::new(())).unwrap()
}

fn key(number: u64) -> String {
    format!("0192f0c8-7b1e-7000-8000-{number:012x}")
}

async fn fill(store: &Store) {
    for first in (0..SESSIONS).step_by(500) {
        let unit = (first..first + 500).fold(Unit::natural(), |unit, number| {
            // As long as a session's body.
            let thing = Thing::new(&format!("{number}{}", "x".repeat(330)), "open", Some(1));
            unit.put::<Things>(&key(number), &thing).unwrap()
        });
        store.commit(unit).await.unwrap();
    }
}

/// Raises counters of sessions all over the table, as interim updates do.
async fn measure(store: &Store, submitters: u64) {
    static VALUE: AtomicU64 = AtomicU64::new(1);
    let (began, cpu) = (Instant::now(), processor_time());
    let tasks: Vec<_> = (0..submitters)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut done = 0u64;
                while began.elapsed() < TIME {
                    let value = VALUE.fetch_add(1, Ordering::Relaxed);
                    let session = value * 7_919 % SESSIONS;
                    let unit =
                        Unit::natural().merge_max::<Things>(&key(session), vec![(0, value), (1, value)]);
                    store.commit(unit).await.unwrap();
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut units = 0;
    for task in tasks {
        units += task.await.unwrap();
    }
    let (elapsed, cpu) = (began.elapsed().as_secs_f64(), (processor_time() - cpu).as_secs_f64());
    let count = units as f64;
    println!(
        "{submitters:>10} | {:>7.0} | {:>27.1} | {:>12.2}",
        count / elapsed,
        cpu * 1e6 / count,
        elapsed * 1e3 * submitters as f64 / count
    );
}

fn processor_time() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let spent = |time: nix::sys::time::TimeVal| {
        Duration::from_micros(time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64)
    };
    spent(usage.user_time()) + spent(usage.system_time())
}
