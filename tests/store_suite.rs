//! The store on disk keeps its contract: every promise of the suite, a second opener, backups and
//! old files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::cast_possible_truncation)]

mod store_common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::base::secret::Secret;
use dotmac_edge::store::contract::{
    Collection, CollectionSpec, Expected, IndexSpec, IndexValue, Page, Range, SealKind, Unit,
};
use dotmac_edge::store::suite::{self, Coin, Coins, Thing, Things};
use dotmac_edge::store::tables::{UsageDay, UsageDays};
use dotmac_edge::store::{BackupError, OpenError, Options, Registration, SealKey, Store, Vault};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store_common::{fill, key, open, options, thing};
use uuid::Uuid;

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
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let thing = Thing::new("ada", "red", Some(4));
    store.commit(Unit::natural().create::<Things>(&"a".to_owned(), &thing).unwrap()).await.unwrap();
    store.close().await;
    let store = open(dir.path());
    assert_eq!(store.get::<Things>(&"a".to_owned()).await.unwrap().unwrap().body, thing);
}

#[tokio::test]
async fn a_second_opener_is_refused_and_told_who_holds_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let second = Store::open(&options(dir.path()), &suite::collections(), Arc::new(()));
    let Err(OpenError::Held { pid, .. }) = second else { panic!("{second:?}") };
    assert_eq!(pid, std::process::id());
    store.close().await;
    open(dir.path()).close().await;
}

#[tokio::test]
async fn a_backup_taken_while_writing_is_verified_and_restorable() {
    let dir = tempfile::tempdir().unwrap();
    let (home, target) = (dir.path().join("store"), dir.path().join("backup.db"));
    let store = open(&home);
    fill(&store, 300).await;
    let writing = store.clone();
    let writer = tokio::spawn(async move {
        for number in 0..400u64 {
            let unit = Unit::natural().merge_max::<Things>(&key(3), vec![(0, 1_000 + number)]);
            writing.commit(unit).await.unwrap();
        }
    });
    let manifest = store.backup(target.clone()).await.unwrap();
    writer.await.unwrap();
    assert_eq!((manifest.records["suite_things"], manifest.records["suite_coins"]), (300, 300));
    assert_eq!(manifest.seq, 300);
    store.commit(Unit::natural().delete::<Things>(&key(5))).await.unwrap();
    let held = Store::restore(&target, &home, &SealKey::new([7; 32]), &Clock::System);
    assert!(matches!(held, Err(BackupError::Target(_))), "{held:?}");
    store.close().await;

    let restored = Store::restore(&target, &home, &SealKey::new([7; 32]), &Clock::System).unwrap();
    assert_eq!((restored.other_key, restored.secrets_lost.len()), (None, 0));
    assert!(restored.aside.unwrap().join("store.db").exists());
    let store = open(&home);
    assert_eq!(store.get::<Things>(&key(5)).await.unwrap().unwrap().body, thing(5));
    assert!(store.verify().await.unwrap().is_sound());
    assert_eq!(store.last_seq(), 300);
    store.close().await;
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_replaces_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (home, target) = (dir.path().join("store"), dir.path().join("backup.db"));
    let store = open(&home);
    fill(&store, 100).await;
    store.backup(target.clone()).await.unwrap();
    store.close().await;
    let sound = std::fs::read(&target).unwrap();
    let restore = || Store::restore(&target, &home, &SealKey::new([7; 32]), &Clock::System);
    for at in [40, sound.len() / 2, sound.len() - 1] {
        let mut bytes = sound.clone();
        bytes[at] ^= 4;
        std::fs::write(&target, bytes).unwrap();
        assert!(matches!(restore(), Err(BackupError::Altered { .. })));
    }
    std::fs::write(&target, &sound[..sound.len() - 10]).unwrap();
    assert!(matches!(restore(), Err(BackupError::Altered { .. })));
    std::fs::write(&target, &sound).unwrap();
    std::fs::rename(dir.path().join("backup.db.manifest"), dir.path().join("gone")).unwrap();
    assert!(matches!(restore(), Err(BackupError::NoManifest { .. })));
    let store = open(&home);
    assert_eq!(store.get::<Things>(&key(5)).await.unwrap().unwrap().body, thing(5));
    store.close().await;
}

#[tokio::test]
async fn another_boxs_store_is_refused_but_its_backup_restores_and_names_lost_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let (home, other, target) =
        (dir.path().join("store"), dir.path().join("other"), dir.path().join("backup.db"));
    let store = open(&home);
    fill(&store, 20).await;
    let sealed = Vault::with_key([3; 32])
        .seal(&Entropy::seeded(1), "nas/secret", &Secret::from_text("s3cret"))
        .unwrap();
    let coin = Coin { owner: sealed.as_str().to_owned(), worth: 1 };
    store.commit(Unit::natural().create::<Coins>(&"sealed".to_owned(), &coin).unwrap()).await.unwrap();
    store.backup(target.clone()).await.unwrap();
    store.close().await;
    let theirs = Options { seal_key: SealKey::new([8; 32]), ..options(&home) };
    let refused = Store::open(&theirs, &suite::collections(), Arc::new(()));
    assert!(matches!(refused, Err(OpenError::OtherKey { .. })), "{refused:?}");

    let restored = Store::restore(&target, &other, &SealKey::new([8; 32]), &Clock::System).unwrap();
    assert_eq!(restored.other_key.as_deref(), Some(SealKey::new([7; 32]).id()));
    assert_eq!(restored.secrets_lost["suite_coins"], 1);
    let theirs = Options { seal_key: SealKey::new([8; 32]), ..options(&other) };
    let store = Store::open(&theirs, &suite::collections(), Arc::new(())).unwrap();
    assert!(store.verify().await.unwrap().is_sound());
    assert_eq!(store.get::<Coins>(&key(3)).await.unwrap().unwrap().body.worth, 5);
    assert_eq!(store.changes(0, 100).await.unwrap().len(), 20);
    store.close().await;
}

#[tokio::test]
async fn a_store_that_vanished_is_not_taken_for_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close().await;
    std::fs::remove_file(dir.path().join("store.db")).unwrap();
    let refused = Store::open(&options(dir.path()), &suite::collections(), Arc::new(()));
    assert!(matches!(refused, Err(OpenError::Vanished { .. })), "{refused:?}");
    let foreign = tempfile::tempdir().unwrap();
    let other = rusqlite::Connection::open(foreign.path().join("store.db")).unwrap();
    other.execute_batch("CREATE TABLE x (y); INSERT INTO x VALUES (1)").unwrap();
    drop(other);
    let refused = Store::open(&options(foreign.path()), &suite::collections(), Arc::new(()));
    assert!(matches!(refused, Err(OpenError::Foreign { .. })), "{refused:?}");
}

/// A backup that the first release of format 1 took: [`fill`] with 30 things.
#[tokio::test]
async fn a_store_of_the_first_format_opens_with_everything_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store_format_1.db");
    Store::restore(&fixture, dir.path(), &SealKey::new([7; 32]), &Clock::System).unwrap();
    let store = open(dir.path());
    assert!(store.verify().await.unwrap().is_sound());
    for number in 0..30 {
        let found = store.get::<Things>(&key(number)).await.unwrap().unwrap();
        assert_eq!((found.body, found.counters), (thing(number), vec![number as u64, 1]));
    }
    assert_eq!(store.changes(0, 100).await.unwrap().len(), 30);
    let found = store.scan::<Things>(Range::Equals("team", "red".into()), Page::first(100)).await.unwrap();
    assert_eq!(found.records.len(), 10);
    store.close().await;
}

macro_rules! kept {
    ($name:ident, $body:ty, schema $schema:literal, $seal:ident, $indexes:expr, $counters:expr, $index:expr) => {
        #[derive(Debug, Clone)]
        struct $name;
        impl Collection for $name {
            const SPEC: &'static CollectionSpec = &CollectionSpec {
                name: "kept",
                schema: $schema,
                indexes: $indexes,
                counters: $counters,
                seal: SealKind::$seal,
            };
            type Key = String;
            type Body = $body;
            fn index(body: &$body) -> Vec<IndexValue> {
                ($index)(body)
            }
            fn upgrade(from: u16, mut body: serde_json::Value) -> Result<serde_json::Value, String> {
                match from {
                    1 if body["name"] == "unreadable" => Err("a name that nobody understands".to_owned()),
                    1 => {
                        body["rank"] = json!(body["name"].as_str().unwrap().len());
                        Ok(body)
                    }
                    _ => Ok(body),
                }
            }
        }
    };
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Old {
    name: String,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct New {
    name: String,
    rank: i64,
}
const BY_NAME: IndexSpec = IndexSpec { name: "name", unique: false };
const BY_RANK: IndexSpec = IndexSpec { name: "rank", unique: false };
kept!(Before, Old, schema 1, Checksum, &[BY_NAME], &["a"], |body: &Old| vec![body.name.clone().into()]);
kept!(After, New, schema 2, Keyed, &[BY_RANK, BY_NAME], &["b", "a"], |body: &New| vec![
    body.rank.into(),
    body.name.clone().into()
]);

fn open_kept<C: Collection>(dir: &Path) -> Result<Store, OpenError> {
    Store::open(&options(dir), &[Registration::of::<C>()], Arc::new(()))
}

#[tokio::test]
async fn an_older_collection_is_brought_forward_after_a_backup_and_never_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_kept::<Before>(dir.path()).unwrap();
    for number in 0..1_200usize {
        let old = Old { name: "x".repeat(number % 40) };
        let unit = Unit::natural().put_counted::<Before>(&key(number), &old, vec![number as u64]).unwrap();
        drop(store.try_submit(unit).unwrap());
    }
    store.close().await;

    let store = open_kept::<After>(dir.path()).unwrap();
    let found = store.get::<After>(&key(7)).await.unwrap().unwrap();
    assert_eq!((found.body.rank, found.counters), (7, vec![0, 7]));
    let page = Page::first(100);
    let by_rank = store.scan::<After>(Range::Equals("rank", 39.into()), page.clone()).await.unwrap();
    assert_eq!(by_rank.records.len(), 30);
    assert!(store.verify().await.unwrap().is_sound());
    store.close().await;
    let refused = open_kept::<Before>(dir.path());
    assert!(matches!(refused, Err(OpenError::Newer { .. })), "{refused:?}");

    // The backup that was taken before is of the older shape, and restores.
    let earlier = tempfile::tempdir().unwrap();
    let backup = dir.path().join("before-upgrade.backup");
    Store::restore(&backup, earlier.path(), &SealKey::new([7; 32]), &Clock::System).unwrap();
    let store = open_kept::<Before>(earlier.path()).unwrap();
    assert_eq!(store.scan::<Before>(Range::All, page).await.unwrap().records.len(), 100);
    store.close().await;
}

#[tokio::test]
async fn an_upgrade_that_fails_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_kept::<Before>(dir.path()).unwrap();
    for name in ["fine", "unreadable"] {
        let old = Old { name: name.to_owned() };
        store.commit(Unit::natural().create::<Before>(&name.to_owned(), &old).unwrap()).await.unwrap();
    }
    store.close().await;
    let refused = open_kept::<After>(dir.path());
    assert!(matches!(&refused, Err(OpenError::Upgrade { key, .. }) if key == "unreadable"), "{refused:?}");
    let store = open_kept::<Before>(dir.path()).unwrap();
    assert!(store.verify().await.unwrap().is_sound());
    store.close().await;
}

#[tokio::test]
async fn a_file_of_a_newer_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close().await;
    let file = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    drop(file);
    let refused = Store::open(&options(dir.path()), &suite::collections(), Arc::new(()));
    assert!(matches!(refused, Err(OpenError::Newer { .. })), "{refused:?}");
}

/// A stream of small random numbers.
struct Dice(Entropy);

impl Dice {
    fn throw(&self, sides: u64) -> u64 {
        u64::from_le_bytes(self.0.bytes().unwrap()) % sides
    }

    fn op(&self, unit: Unit) -> Unit {
        let name = format!("k{}", self.throw(6));
        let thing = Thing::new(&format!("n{}", self.throw(5)), &format!("t{}", self.throw(3)), Some(4));
        let version = self.throw(6);
        let counter = self.throw(2) as usize;
        match self.throw(9) {
            0 => unit.create::<Things>(&name, &thing).unwrap(),
            1 => unit.put::<Things>(&name, &thing).unwrap(),
            2 => unit.replace::<Things>(&name, version, &thing).unwrap(),
            3 => unit.delete::<Things>(&name),
            4 => unit.merge_max::<Things>(&name, vec![(counter, self.throw(50))]),
            5 => unit.add::<Things>(&name, vec![(counter, self.throw(9).cast_signed() - 4)]),
            6 => unit.expect::<Things>(&name, Expected::Present),
            7 => unit.put_counted::<Things>(&name, &thing, vec![self.throw(9), 3]).unwrap(),
            _ => {
                let (to, pairs) = (vec![(counter, self.throw(90))], &[(0, 1), (1, 0)]);
                let into = format!("k{}", self.throw(6));
                unit.merge_max_into::<Things, Things>(&name, to, &into, &thing, pairs).unwrap()
            }
        }
    }

    fn unit(&self) -> Unit {
        let id = (self.throw(3) == 0).then(|| Uuid::from_u128(u128::from(self.throw(40))));
        let mut unit = Unit { id, ..Unit::natural() };
        for _ in 0..=self.throw(4) {
            unit = self.op(unit);
        }
        if self.throw(2) == 0 { unit.event("e", self.throw(9), json!(self.throw(9))) } else { unit }
    }
}

async fn everything(store: &Store) -> Vec<(String, u64, Thing, Vec<u64>)> {
    let mut found = Vec::new();
    let by_team = Range::Between("team", IndexValue::Null, "z".into());
    for range in [Range::All, by_team, Range::Between("name", "n1".into(), "n3".into())] {
        let page = Page { after: None, limit: 100, reverse: found.len() % 2 == 1 };
        let slice = store.scan::<Things>(range, page).await.unwrap();
        found.extend(slice.records.into_iter().map(|one| (one.key, one.version, one.body, one.counters)));
    }
    found
}

#[tokio::test]
async fn both_engines_answer_random_histories_alike() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    let memory = Store::memory(Clock::System, &suite::collections(), Arc::new(())).unwrap();
    let dice = Dice(Entropy::seeded(77));
    let mut answers = BTreeMap::new();
    for step in 0..1_500 {
        let unit = dice.unit();
        let on_disk = disk.commit(unit.clone()).await;
        assert_eq!(on_disk, memory.commit(unit.clone()).await, "step {step}: {unit:?}");
        let kind =
            on_disk.map_or_else(|error| format!("{error:?}"), |one| format!("repeated {}", one.repeated));
        *answers.entry(kind.split(' ').next().unwrap().to_owned()).or_insert(0) += 1;
        if step % 25 == 0 {
            assert_eq!(everything(&disk).await, everything(&memory).await, "step {step}");
        }
    }
    assert_eq!(everything(&disk).await, everything(&memory).await);
    assert_eq!(answers.len(), 4, "{answers:?}");
    assert!(disk.verify().await.unwrap().is_sound());
    disk.close().await;
}

/// Usage of a day as it was kept before octets of free hours were told apart.
#[derive(Debug, Clone)]
struct DaysOfThree;

impl Collection for DaysOfThree {
    const SPEC: &'static CollectionSpec = &CollectionSpec {
        name: "usage_days",
        schema: 1,
        indexes: &[IndexSpec { name: "service_id", unique: false }],
        counters: &["down_octets", "up_octets", "seconds"],
        seal: SealKind::Checksum,
    };
    type Key = String;
    type Body = UsageDay;
    fn index(body: &UsageDay) -> Vec<IndexValue> {
        vec![body.service_id.to_string().into()]
    }
}

#[tokio::test]
async fn a_day_of_three_counters_opens_with_its_fourth_at_zero_and_counts_on() {
    let dir = tempfile::tempdir().unwrap();
    // The record as it lies in stores of that time, to the letter.
    let golden = r#"{"service_id":"00000000-0000-0000-0000-000000000007","period":"2026-05-01T00:00:00Z","day":"2026-05-03"}"#;
    let day: UsageDay = serde_json::from_str(golden).unwrap();
    let key = "00000000-0000-0000-0000-000000000007/2026-05-03/1777593600000".to_owned();
    assert_eq!((serde_json::to_string(&day).unwrap(), day.key()), (golden.to_owned(), key.clone()));
    let old = Store::open(&options(dir.path()), &[Registration::of::<DaysOfThree>()], Arc::new(())).unwrap();
    old.commit(Unit::natural().put_counted::<DaysOfThree>(&key, &day, vec![5, 6, 7]).unwrap()).await.unwrap();
    old.close().await;

    assert_eq!(UsageDays::SPEC.counters, ["down_octets", "up_octets", "seconds", "free_octets"]);
    let store = Store::open(&options(dir.path()), &[Registration::of::<UsageDays>()], Arc::new(())).unwrap();
    let found = store.get::<UsageDays>(&key).await.unwrap().unwrap();
    assert_eq!((found.body, found.counters), (day, vec![5, 6, 7, 0]));
    store.commit(Unit::natural().add::<UsageDays>(&key, vec![(0, 10), (3, 10)])).await.unwrap();
    assert_eq!(store.get::<UsageDays>(&key).await.unwrap().unwrap().counters, [15, 6, 7, 10]);
    assert!(store.verify().await.unwrap().is_sound());
    store.close().await;
}
