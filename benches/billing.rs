//! What business costs: settling a payment against the bare SQLite transaction with the same rows, and a billing run
//! of many subscriptions. Prints a table with ratios of this one run; judges nothing.
//!
//! `BILLING_SUBSCRIPTIONS=50000` says how many subscriptions the run has.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing
)]
#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss, clippy::expect_used, clippy::panic)]

#[path = "../tests/support/books.rs"]
mod books;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use books::{Books, at, paid, terms};
use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::billing::{Settings, Wish};
use dotmac_edge::domain::money::Currency;
use dotmac_edge::domain::payment::Payment;
use dotmac_edge::domain::plan::ValidityUnit;
use dotmac_edge::store::record::{Applied, Observer};
use dotmac_edge::store::{Options, SealKey, Store, tables};
use jiff::tz::TimeZone;

const SETTLED: usize = 2_000;

/// The rows of the last commit: collection, octets of its body, number of its indexes.
#[derive(Default)]
struct Rows(Mutex<Vec<(&'static str, usize, usize)>>);

impl Observer for Rows {
    fn applied(&self, batch: &[Applied]) {
        let row = |one: &Applied| {
            let length = one.now.as_ref().map_or(0, |now| now.body.len());
            (one.collection.name, length, one.collection.indexes.len())
        };
        *self.0.lock().unwrap() = batch.iter().map(row).collect();
    }
}

fn open(dir: &Path, rows: Arc<Rows>) -> Books {
    let options = Options::new(dir, SealKey::new([7; 32]), Clock::System, Entropy::System);
    let store = Store::open(&options, &tables::all(), rows).unwrap();
    let zone = TimeZone::get("Africa/Lagos").unwrap();
    Books::over(
        store,
        &Settings { tax_ppm: 75_000, ..Settings::plain(Currency::parse("NGN").unwrap(), zone) },
    )
}

fn main() {
    // In the working directory: a temporary one may be in memory, where syncing costs nothing.
    let dir = tempfile::tempdir_in(".").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        settle(dir.path()).await;
        run(dir.path()).await;
    });
}

async fn settle(dir: &Path) {
    let rows = Arc::new(Rows::default());
    let books = open(&dir.join("settle"), Arc::clone(&rows));
    let now = at("2026-05-01T10:00:00Z");
    let attempts = prepare(&books, now).await;
    let began = Instant::now();
    for (number, attempt) in attempts.iter().enumerate() {
        let said = paid(attempt, attempt.expected, &format!("t-{number}"));
        books.billing.till.settle(&said, now).await.unwrap();
    }
    let ours = SETTLED as f64 / began.elapsed().as_secs_f64();
    let shape = rows.0.lock().unwrap().clone();
    books.must_be_right().await;
    books.store.close().await;
    let bare = bare(&dir.join("bare.db"), &shape);
    println!(
        "settle: payment, invoice, ledger, entitlement and events in one durable commit, one after the other"
    );
    println!("{} rows a settle, {} octets", shape.len(), shape.iter().map(|row| row.1).sum::<usize>());
    println!(
        "ours {ours:.0}/s, the bare SQLite transaction with the same rows {bare:.0}/s: {:.2} of it",
        ours / bare
    );
}

async fn prepare(books: &Books, now: jiff::Timestamp) -> Vec<Payment> {
    let mut attempts = Vec::with_capacity(SETTLED);
    for _ in 0..SETTLED {
        let one = books.subscriber(now).await;
        let service = books.service(one, terms(10_000, Some((1, ValidityUnit::Months))), now).await;
        let order = books.order(one, Wish::Period(service), now).await.unwrap();
        attempts.push(books.attempt(one, Some(order.id), order.total(), now).await);
    }
    attempts
}

/// The same rows, indexed as often, in one transaction a settle, with the same durability.
fn bare(path: &Path, shape: &[(&'static str, usize, usize)]) -> f64 {
    let mut connection = rusqlite::Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;").unwrap();
    let mut tables: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, _, indexes) in shape {
        tables.insert(name, *indexes);
    }
    for (name, indexes) in &tables {
        let columns: String = (0..*indexes).map(|n| format!(", i{n} TEXT")).collect();
        connection
            .execute_batch(&format!(
                "CREATE TABLE \"{name}\" (key TEXT PRIMARY KEY, version INTEGER, body BLOB, seal BLOB{columns}) WITHOUT ROWID;"
            ))
            .unwrap();
        for n in 0..*indexes {
            connection.execute_batch(&format!("CREATE INDEX \"{name}_{n}\" ON \"{name}\" (i{n});")).unwrap();
        }
    }
    let began = Instant::now();
    for settle in 0..SETTLED {
        let transaction = connection.transaction().unwrap();
        for (at, (name, length, indexes)) in shape.iter().enumerate() {
            let places: String = (0..*indexes).map(|_| ", ?1").collect();
            let sql = format!("INSERT OR REPLACE INTO \"{name}\" VALUES (?1, 1, ?2, ?3{places})");
            let key = format!("{:032x}", (settle as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15) + at as u128);
            let mut insert = transaction.prepare_cached(&sql).unwrap();
            insert.execute(rusqlite::params![key, vec![b'x'; *length], vec![0_u8; 32]]).unwrap();
        }
        transaction.commit().unwrap();
    }
    SETTLED as f64 / began.elapsed().as_secs_f64()
}

async fn run(dir: &Path) {
    let wanted: usize = std::env::var("BILLING_SUBSCRIPTIONS").map_or(50_000, |text| text.parse().unwrap());
    let books = open(&dir.join("run"), Arc::default());
    let now = at("2026-03-31T10:00:00Z");
    for _ in 0..wanted {
        let one = books.subscriber(now).await;
        books.service(one, terms(10_000, None), now).await;
    }
    let before = resident();
    let due = at("2026-04-30T11:00:00Z");
    let began = Instant::now();
    let run = books.billing.till.run_cycle(due).await.unwrap();
    let took = began.elapsed();
    println!("a billing run of {wanted} post-paid subscriptions: {} invoices in {took:?}", run.invoiced);
    println!("resident before {before} kB, after {} kB", resident());
    let began = Instant::now();
    books.must_be_right().await;
    println!("the proof of the whole ledger: {:?}", began.elapsed());
    books.store.close().await;
}

/// Resident memory of this process, kB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
