//! A billing run that is killed again and again bills everybody once.
//!
//! The test runs itself again as a child that does one run over the same, ageing store, and kills it with SIGKILL at
//! random moments until it comes to its end; then the next month. `BILLING_KILLED_ROUNDS` and
//! `BILLING_KILLED_SUBSCRIPTIONS` say for how many months and of how many.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

#[path = "support/books.rs"]
mod books;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use books::{Books, at, terms};
use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::billing::Settings;
use dotmac_edge::domain::ids::ServiceId;
use dotmac_edge::domain::invoice::Invoice;
use dotmac_edge::domain::money::Currency;
use dotmac_edge::store::contract::{MAX_PAGE, Page, Range};
use dotmac_edge::store::tables::money::Invoices;
use dotmac_edge::store::{Options, SealKey, Store, tables};
use jiff::Timestamp;
use jiff::tz::TimeZone;

const NAME: &str = "a_billing_run_that_is_killed_at_any_moment_bills_each_period_of_everybody_once";
const DIR: &str = "BILLING_KILLED_DIR";
const NOW: &str = "BILLING_KILLED_NOW";
/// Until when a run may live before it is killed, ms: less than a whole one takes in a debug build.
const LIVES: u64 = 400;
/// Restarts of one run before the test gives up: a run that makes no progress when it is killed.
const MOST_RESTARTS: usize = 200;

fn setting(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

fn open(dir: &Path) -> Books {
    let options = Options::new(dir, SealKey::new([7; 32]), Clock::System, Entropy::System);
    let store = Store::open(&options, &tables::all(), Arc::new(())).unwrap();
    let zone = TimeZone::get("Africa/Lagos").unwrap();
    let settings = Settings { tax_ppm: 75_000, ..Settings::plain(Currency::parse("NGN").unwrap(), zone) };
    Books::over(store, &settings)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// An hour after the end of the period `index`, of contracts that began on 31 January.
fn due(index: usize) -> Timestamp {
    let ends = ["02-28", "03-31", "04-30", "05-31", "06-30", "07-31", "08-31", "09-30", "10-31", "11-30"];
    at(&format!("2026-{}T11:00:00Z", ends[index]))
}

#[test]
fn a_billing_run_that_is_killed_at_any_moment_bills_each_period_of_everybody_once() {
    if let Ok(dir) = std::env::var(DIR) {
        return run_until_killed(Path::new(&dir), at(&std::env::var(NOW).unwrap()));
    }
    let rounds = setting("BILLING_KILLED_ROUNDS", 10);
    let count = setting("BILLING_KILLED_SUBSCRIPTIONS", 400);
    assert!(rounds <= 10, "the calendar of this test has ten months");
    let dir = tempfile::tempdir().unwrap();
    let services: Vec<ServiceId> = runtime().block_on(async {
        let books = open(dir.path());
        let crowd = books.crowd(count, &terms(10_000, None), at("2026-01-31T10:00:00Z")).await;
        books.store.close().await;
        crowd.into_iter().map(|(_, service)| service).collect()
    });
    let mut kills = 0;
    for round in 0..rounds {
        kills += run_through_kills(dir.path(), due(round));
        runtime().block_on(async {
            let books = open(dir.path());
            check(&books, &services, round + 1).await;
            books.store.close().await;
        });
    }
    runtime().block_on(async {
        let books = open(dir.path());
        assert_eq!(books.store.damage(), vec![]);
        books.must_be_right().await;
        books.store.close().await;
    });
    println!("{rounds} runs of {count} subscriptions, killed {kills} times in the midst");
    assert!(kills >= rounds, "only {kills} runs were killed in their midst: the test tests nothing");
}

/// The child: one run, and a word when it begins and when it is done.
fn run_until_killed(dir: &Path, now: Timestamp) {
    runtime().block_on(async {
        let books = open(dir);
        say("begun");
        books.billing.till.run_cycle(now).await.unwrap();
        say("done");
        books.store.close().await;
    });
}

fn say(word: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nbilling-run {word}").unwrap();
    out.flush().unwrap();
}

/// Starts the run again until one comes to its end; how many were killed after they had begun.
fn run_through_kills(dir: &Path, now: Timestamp) -> usize {
    let mut killed_in_the_midst = 0;
    for _ in 0..MOST_RESTARTS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(DIR, dir)
            .env(NOW, now.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        let (told, words) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Some(word) = line.strip_prefix("billing-run ") {
                    let _ = told.send(word.to_owned());
                }
            }
        });
        let begun = words.recv_timeout(Duration::from_secs(30)).ok().is_some_and(|word| word == "begun");
        let random = u64::from_le_bytes(Entropy::System.bytes().unwrap());
        let done = words.recv_timeout(Duration::from_millis(random % LIVES)).is_ok();
        child.kill().unwrap();
        child.wait().unwrap();
        reader.join().unwrap();
        if done {
            return killed_in_the_midst;
        }
        killed_in_the_midst += usize::from(begun);
    }
    panic!("after {MOST_RESTARTS} starts the run is still not done");
}

/// Each service has one invoice of each period, and the numbers have no gap and no double.
async fn check(books: &Books, services: &[ServiceId], periods: usize) {
    let mut of_service: BTreeMap<ServiceId, BTreeSet<(Timestamp, Timestamp)>> = BTreeMap::new();
    let mut numbers = BTreeSet::new();
    let invoices = all(books).await;
    assert_eq!(invoices.len(), services.len() * periods);
    for invoice in invoices {
        assert!(numbers.insert(invoice.number.clone().unwrap()), "a number is given twice");
        let subject = &invoice.subjects[0];
        let period = (subject.from.unwrap(), subject.until.unwrap());
        let first = of_service.entry(subject.service_id.unwrap()).or_default().insert(period);
        assert!(first, "{subject:?} is billed twice");
    }
    assert_eq!(of_service.keys().copied().collect::<BTreeSet<_>>(), services.iter().copied().collect());
    assert!(of_service.values().all(|billed| billed.len() == periods), "a period is not billed");
    let wanted: BTreeSet<_> =
        (1..=services.len() * periods).map(|number| format!("INV-2026-{number:06}")).collect();
    assert_eq!(numbers, wanted);
}

async fn all(books: &Books) -> Vec<Invoice> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = Page { after, limit: MAX_PAGE, reverse: false };
        let slice = books.store.scan::<Invoices>(Range::All, page).await.unwrap();
        found.extend(slice.records.into_iter().map(|record| record.body));
        let Some(next) = slice.next else { return found };
        after = Some(next);
    }
}
