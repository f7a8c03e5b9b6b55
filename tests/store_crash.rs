//! Killing the writer at any moment loses nothing that was acknowledged and doubles nothing.
//!
//! The test runs itself again as a writing child, reads the acknowledgements from a pipe, kills
//! the child with SIGKILL at a random moment and looks into the same, ageing store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::store::contract::{Change, CommitError, MAX_PAGE, Page, Range, Unit};
use dotmac_edge::store::suite::{self, Coin, Coins, Thing, Things};
use dotmac_edge::store::{Options, SealKey, Store};
use serde_json::json;
use uuid::Uuid;

const KILLS: u64 = 60;
const SUBMITTERS: u64 = 8;
const DIR: &str = "STORE_CRASH_DIR";
const ROUND: &str = "STORE_CRASH_ROUND";

fn open(dir: &Path) -> Store {
    let mut options = Options::new(dir, SealKey::new([7; 32]), Clock::System, Entropy::System);
    options.ballast = 1 << 20;
    Store::open(&options, &suite::collections(), Arc::new(())).unwrap()
}

#[test]
fn every_acknowledged_write_survives_sixty_kills_exactly_once() {
    if let Ok(dir) = std::env::var(DIR) {
        return write_until_killed(Path::new(&dir), std::env::var(ROUND).unwrap().parse().unwrap());
    }
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    for round in 0..KILLS {
        kill_at_random(dir.path(), round, &mut history);
        runtime().block_on(async {
            let store = open(dir.path());
            history.check(&store, round).await;
            store.close().await;
        });
    }
    let acknowledged: usize = history.acknowledged.values().map(BTreeSet::len).sum();
    println!("{KILLS} kills, {acknowledged} acknowledged units, {} events", history.seen_seq);
    assert!(acknowledged > 1_000, "only {acknowledged} units were acknowledged: the test tests nothing");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// One unit: a new record, a counter everybody adds to, money under a keyed seal, two events.
fn unit(round: u64, submitter: u64, step: u64) -> Unit {
    let name = format!("{round:03}.{submitter}.{step:06}");
    let coin = Coin { owner: format!("{round}.{submitter}"), worth: 1 };
    Unit::once(Uuid::from_u64_pair(round * 100 + submitter, step))
        .create::<Things>(&name, &Thing::new(&name, &format!("{round}.{submitter}"), Some(1)))
        .unwrap()
        .create::<Coins>(&name, &coin)
        .unwrap()
        .add::<Things>(&"sum".to_owned(), vec![(0, 1)])
        .merge_max::<Things>(&"sum".to_owned(), vec![(1, round * 1_000_000 + step)])
        .event("first", &name, json!(step))
        .event("second", &name, json!(step))
}

/// The child: submits from several tasks, prints what was acknowledged, and never ends by itself.
fn write_until_killed(dir: &Path, round: u64) {
    runtime().block_on(async {
        let store = open(dir);
        let sum = Unit::natural().create::<Things>(&"sum".to_owned(), &Thing::new("sum", "", None)).unwrap();
        match store.commit(sum).await {
            Ok(_) | Err(CommitError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        let tasks: Vec<_> = (0..SUBMITTERS)
            .map(|submitter| {
                let store = store.clone();
                tokio::spawn(async move {
                    for step in 1.. {
                        let unit = unit(round, submitter, step);
                        // Some replies are lost, and the unit is submitted again.
                        if step.is_multiple_of(5) {
                            drop(store.try_submit(unit.clone()));
                        }
                        store.commit(unit).await.unwrap();
                        let mut out = std::io::stdout().lock();
                        writeln!(out, "ack {submitter} {step}").unwrap();
                        out.flush().unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

fn kill_at_random(dir: &Path, round: u64, history: &mut History) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "every_acknowledged_write_survives_sixty_kills_exactly_once", "--nocapture"])
        .env(DIR, dir)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    let (told, first) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(out).lines().map_while(Result::ok);
        // A line that the kill cut short is no acknowledgement; a shorter number would be a
        // smaller step of the same submitter, which was acknowledged anyway.
        let found = lines.filter_map(|line| acknowledgement(&line));
        let tell = |_: &(u64, u64)| {
            let _ = told.send(());
        };
        found.inspect(tell).collect::<Vec<_>>()
    });
    // Every third kill may hit the opening and its recovery, the others hit the work.
    if !round.is_multiple_of(3) {
        first.recv_timeout(Duration::from_secs(20)).unwrap();
    }
    let random = u64::from_le_bytes(Entropy::System.bytes().unwrap());
    std::thread::sleep(Duration::from_micros(1_000 + random % 120_000));
    child.kill().unwrap();
    child.wait().unwrap();
    for (submitter, step) in reader.join().unwrap() {
        history.acknowledged.entry((round, submitter)).or_default().insert(step);
    }
}

fn acknowledgement(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_once("ack ")?.1.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

#[derive(Default)]
struct History {
    acknowledged: BTreeMap<(u64, u64), BTreeSet<u64>>,
    seen_seq: u64,
}

impl History {
    async fn check(&mut self, store: &Store, round: u64) {
        let things = all::<Things>(store).await;
        let coins = all::<Coins>(store).await;
        assert_eq!(store.damage(), vec![], "round {round}");
        let units: BTreeSet<_> = things.keys().filter(|key| *key != "sum").cloned().collect();
        self.check_acknowledged(&units);
        // No unit is torn: record, coin, count and both events, or none of them.
        assert_eq!(units, coins.keys().cloned().collect());
        let count = u64::try_from(units.len()).unwrap();
        let counters = things.get("sum").cloned().unwrap_or_default();
        assert_eq!(counters.first().copied().unwrap_or(0), count, "round {round}");
        let told = events(store).await;
        check_events(&told, &units);
        self.seen_seq = u64::try_from(told.len()).unwrap();
        assert_eq!(self.seen_seq, 2 * count);
    }

    fn check_acknowledged(&self, units: &BTreeSet<String>) {
        for ((round, submitter), steps) in &self.acknowledged {
            for step in steps {
                assert!(
                    units.contains(&format!("{round:03}.{submitter}.{step:06}")),
                    "{round} {submitter} {step}"
                );
            }
            // A submitter waits for each answer, so at most one more than was acknowledged is there.
            let mine = units.iter().filter(|name| name.starts_with(&format!("{round:03}.{submitter}.")));
            assert!(mine.count() <= steps.len() + 1);
        }
    }
}

fn check_events(told: &[Change], units: &BTreeSet<String>) {
    for (at, change) in told.iter().enumerate() {
        assert_eq!(change.seq, u64::try_from(at + 1).unwrap());
    }
    for pair in told.chunks(2) {
        assert_eq!((pair[0].event.kind.as_str(), pair[1].event.kind.as_str()), ("first", "second"));
        assert_eq!(pair[0].event.subject, pair[1].event.subject);
        assert!(units.contains(&pair[0].event.subject));
    }
}

async fn events(store: &Store) -> Vec<Change> {
    let mut told = Vec::new();
    loop {
        let page = store.changes(u64::try_from(told.len()).unwrap(), MAX_PAGE).await.unwrap();
        if page.is_empty() {
            return told;
        }
        told.extend(page);
    }
}

/// Every record's key and counters.
async fn all<C: dotmac_edge::store::contract::Collection>(store: &Store) -> BTreeMap<String, Vec<u64>> {
    let (mut found, mut after) = (BTreeMap::new(), None);
    loop {
        let page = Page { after, limit: MAX_PAGE, reverse: false };
        let slice = store.scan::<C>(Range::All, page).await.unwrap();
        found.extend(slice.records.into_iter().map(|record| (record.key, record.counters)));
        let Some(next) = slice.next else { return found };
        after = Some(next);
    }
}
