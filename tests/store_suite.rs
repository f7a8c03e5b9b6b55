//! The store on disk keeps its contract: every promise of the suite, a full disk, flipped bits,
//! a second opener, backups and old files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::{Arc, Mutex};

use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::store::suite;
use dotmac_edge::store::{Options, SealKey, Store};

fn options(dir: &Path) -> Options {
    let mut options = Options::new(dir, SealKey::new([7; 32]), Clock::System, Entropy::System);
    options.ballast = 1 << 20;
    options
}

fn open(dir: &Path) -> Store {
    Store::open(&options(dir), &suite::collections(), Arc::new(())).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_on_disk_keeps_every_promise() {
    let dirs = Mutex::new(Vec::new());
    let make = |queue, observer| {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { queue, ..options(dir.path()) };
        dirs.lock().unwrap().push(dir);
        Store::open(&options, &suite::collections(), observer)
    };
    assert_eq!(suite::broken(&make).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_record_outlives_the_process_that_wrote_it() {
    use dotmac_edge::store::contract::Unit;
    use dotmac_edge::store::suite::{Thing, Things};
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let thing = Thing::new("ada", "red", Some(4));
    store.commit(Unit::natural().create::<Things>(&"a".to_owned(), &thing).unwrap()).await.unwrap();
    store.close().await;
    let store = open(dir.path());
    assert_eq!(store.get::<Things>(&"a".to_owned()).await.unwrap().unwrap().body, thing);
}
