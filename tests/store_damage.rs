//! Damage and full or failing disks: nothing wrong is served in silence, nothing acknowledged is
//! lost, and the store goes on as soon as it can.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::cast_possible_truncation)]

mod store_common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::store::contract::{Collection, CommitError, Page, Range, ReadError, Unit};
use dotmac_edge::store::suite::{self, Coin, Coins, Thing, Things};
use dotmac_edge::store::{BackupError, OpenError, Store, Sweep, SweepWhat};
use serde_json::json;
use store_common::{fill, key, open, options, thing};
use uuid::Uuid;

#[tokio::test]
async fn a_record_altered_behind_the_stores_back_is_refused_and_can_be_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store, 20).await;
    let file = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    file.execute("UPDATE suite_coins SET body = '{\"owner\":\"o3\",\"worth\":500}' WHERE key = ?1", [key(3)])
        .unwrap();
    drop(file);
    let damaged = ReadError::Damaged { collection: "suite_coins", key: key(3) };
    assert_eq!(store.get::<Coins>(&key(3)).await.unwrap_err(), damaged);
    let page = store.scan::<Coins>(Range::All, Page::first(100)).await.unwrap();
    assert_eq!(page.records.len(), 19);
    assert_eq!(store.damage().len(), 1);
    let report = store.verify().await.unwrap();
    assert_eq!((report.damaged.len(), report.damaged[0].key.clone()), (1, key(3)));
    let coin = Coin { owner: "o3".to_owned(), worth: 5 };
    let refused = store.commit(Unit::natural().put::<Coins>(&key(3), &coin).unwrap()).await;
    assert_eq!(refused, Err(CommitError::Damaged { collection: "suite_coins", key: key(3) }));
    let unsound = store.backup(dir.path().join("backup.db")).await;
    assert!(matches!(unsound, Err(BackupError::Unsound(_))), "{unsound:?}");
    store.commit(Unit::natural().delete::<Coins>(&key(3))).await.unwrap();
    store.commit(Unit::natural().create::<Coins>(&key(3), &coin).unwrap()).await.unwrap();
    assert!(store.verify().await.unwrap().is_sound());
    assert_eq!(store.damage(), vec![]);
    store.close().await;
}

#[tokio::test]
async fn a_record_removed_behind_the_stores_back_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store, 20).await;
    let file = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    file.execute("DELETE FROM suite_things WHERE key = ?1", [key(3)]).unwrap();
    file.execute("DELETE FROM store_changes WHERE seq = 7", []).unwrap();
    drop(file);
    let report = store.verify().await.unwrap();
    let missing: Vec<_> = report.missing.iter().map(|one| (one.written, one.found)).collect();
    assert_eq!(missing, vec![(Some(20), 19), (Some(20), 19)]);
    assert_eq!(report.damaged.len(), 1);
    store.close().await;
    let refused = Store::open(&options(dir.path()), &suite::collections(), Arc::new(()));
    assert!(matches!(refused, Err(OpenError::Damaged { .. })), "{refused:?}");
}

/// What reading everything after damage gave.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    silent: usize,
    refused: usize,
}

async fn read_everything(store: &Store, things: usize) -> Seen {
    let mut seen = Seen::default();
    for number in 0..things {
        match store.get::<Things>(&key(number)).await {
            Ok(Some(found)) if found.body == thing(number) && found.counters == [number as u64, 1] => {}
            Ok(_) => seen.silent += 1,
            Err(_) => seen.refused += 1,
        }
        match store.get::<Coins>(&key(number)).await {
            Ok(Some(found)) if found.body.worth == 5 && found.body.owner == format!("o{}", number % 9) => {}
            Ok(_) => seen.silent += 1,
            Err(_) => seen.refused += 1,
        }
    }
    for (range, wanted) in [
        (Range::All, (0..things).collect::<Vec<_>>()),
        (Range::Equals("team", "red".into()), (0..things).step_by(3).collect()),
        (Range::Between("rank", 7.into(), 7.into()), (0..things).collect()),
    ] {
        let Ok(page) = store.scan::<Things>(range, Page::first(1_000)).await else {
            seen.refused += 1;
            continue;
        };
        let found: BTreeMap<_, _> = page.records.into_iter().map(|one| (one.key, one.body)).collect();
        let named: BTreeSet<_> = store.damage().into_iter().map(|(_, key, _)| key).collect();
        let left_out = wanted.iter().filter(|number| {
            let key = key(**number);
            found.get(&key) != Some(&thing(**number)) && !named.contains(&key)
        });
        seen.silent += left_out.count();
    }
    match store.changes(0, 1_000).await {
        Ok(changes) => {
            let sound = |at: usize| changes.get(at).is_some_and(|one| one.event.payload["number"] == at);
            seen.silent += (0..things).filter(|at| !sound(*at)).count();
        }
        Err(_) => seen.refused += 1,
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flipped_bits_and_overwritten_sectors_are_never_served_silently() {
    const THINGS: usize = 400;
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    fill(&store, THINGS).await;
    assert_eq!(read_everything(&store, THINGS).await, Seen::default());
    store.close().await;
    let sound = std::fs::read(home.path().join("store.db")).unwrap();
    let entropy = Entropy::seeded(2_024);
    let (mut refused_to_open, mut refused_reads, mut harmless) = (0, 0, 0);
    for trial in 0..120usize {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = sound.clone();
        let random = usize::try_from(u64::from_le_bytes(entropy.bytes().unwrap()) >> 1).unwrap();
        if trial % 2 == 0 {
            bytes[random / 8 % sound.len()] ^= 1 << (random % 8);
        } else {
            let start = random % (sound.len() / 512) * 512;
            entropy.fill(&mut bytes[start..start + 512]).unwrap();
        }
        std::fs::write(dir.path().join("store.db"), &bytes).unwrap();
        std::fs::copy(home.path().join("store.id"), dir.path().join("store.id")).unwrap();
        let Ok(store) = Store::open(&options(dir.path()), &suite::collections(), Arc::new(())) else {
            refused_to_open += 1;
            continue;
        };
        let seen = read_everything(&store, THINGS).await;
        assert_eq!(seen.silent, 0, "trial {trial}: {seen:?}");
        if seen.refused > 0 || !store.damage().is_empty() {
            refused_reads += 1;
        } else {
            harmless += 1;
        }
        store.close().await;
    }
    println!(
        "120 damaged files: {refused_to_open} not opened, {refused_reads} with named records, {harmless} harmless, 0 silent"
    );
    // Most broken structures are rebuilt around; the damage is real all the same.
    assert!(refused_to_open < 20 && refused_to_open + refused_reads > 30);
}

/// A small file system of its own; `None` without the right to mount one.
struct Mounted(PathBuf);

impl Mounted {
    fn new(dir: &Path, octets: u64) -> Option<Self> {
        let size = format!("size={octets}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir);
        mount.status().ok()?.success().then(|| Self(dir.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_acknowledgements_but_neither_reads_nor_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mounted) = Mounted::new(dir.path(), 16 << 20) else {
        println!("skipped: mounting a small file system needs root");
        return;
    };
    let home = dir.path().join("store");
    let store = open(&home);
    fill(&store, 50).await;
    let filler = dir.path().join("filler");
    std::fs::write(&filler, vec![1; 6 << 20]).unwrap();
    let mut acknowledged = Vec::new();
    let refused = loop {
        let name = format!("big{:05}", acknowledged.len());
        let big = Thing::new(&format!("{name}{}", "x".repeat(20_000)), "big", None);
        let unit = Unit::once(Uuid::from_u128(acknowledged.len() as u128 + 1))
            .create::<Things>(&name, &big)
            .unwrap()
            .event("grown", &name, json!(null));
        match store.commit(unit).await {
            Ok(_) => acknowledged.push(name),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, CommitError::Full(_)), "{refused:?}");
    assert!(acknowledged.len() > 50);
    let there = async |store: &Store, names: &[String]| {
        for name in names {
            assert!(store.get::<Things>(name).await.unwrap().is_some(), "{name}");
        }
        assert_eq!(store.last_seq(), 50 + names.len() as u64);
        assert!(store.get::<Things>(&format!("big{:05}", names.len())).await.unwrap().is_none());
    };
    there(&store, &acknowledged).await;
    store.close().await;

    let store = open(&home);
    there(&store, &acknowledged).await;
    std::fs::remove_file(&filler).unwrap();
    let unit = Unit::natural().event("room", "again", json!(null));
    assert_eq!(store.commit(unit).await.unwrap().seq, 51 + acknowledged.len() as u64);
    assert!(store.verify().await.unwrap().is_sound());
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_store_goes_on_when_a_full_disk_has_room_again() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mounted) = Mounted::new(dir.path(), 12 << 20) else {
        println!("skipped: mounting a small file system needs root");
        return;
    };
    let store = open(&dir.path().join("store"));
    fill(&store, 50).await;
    let filler = dir.path().join("filler");
    let mut writing = std::fs::File::create(&filler).unwrap();
    while writing.write_all(&[1; 4_096]).is_ok() {}
    let big = Thing::new(&"x".repeat(200_000), "big", None);
    let unit = Unit::once(Uuid::from_u128(1)).create::<Things>(&"big".to_owned(), &big).unwrap();
    for _ in 0..20 {
        assert!(matches!(store.commit(unit.clone()).await, Err(CommitError::Full(_))));
        assert_eq!(store.get::<Things>(&key(47)).await.unwrap().unwrap().body, thing(47));
    }
    // Removing needs room too: the reserve is given up for it.
    let what = SweepWhat::Records { collection: Things::SPEC, index: "rank", before: 8.into() };
    let swept = store.sweep(Sweep { what, budget: 40 }).await.unwrap();
    assert_eq!((swept.removed, dir.path().join("store/ballast").exists()), (40, false));
    drop(writing);
    std::fs::remove_file(&filler).unwrap();
    assert!(!store.commit(unit.clone()).await.unwrap().repeated);
    assert!(store.commit(unit).await.unwrap().repeated);
    assert!(store.verify().await.unwrap().is_sound());
    store.close().await;
}

/// A file system on a loop device whose backing runs out of room: its writes are accepted and
/// fail when they are synced, as on a dying disk.
struct Failing {
    below: Mounted,
    above: PathBuf,
}

impl Failing {
    fn new(dir: &Path) -> Option<Self> {
        let (below, above) = (dir.join("below"), dir.join("above"));
        std::fs::create_dir(&below).unwrap();
        std::fs::create_dir(&above).unwrap();
        let below = Mounted::new(&below, 24 << 20)?;
        let image = below.0.join("image");
        std::fs::File::create(&image).unwrap().set_len(96 << 20).unwrap();
        let made = Command::new("mkfs.ext4").arg("-q").arg("-F").arg(&image).status().ok()?.success();
        let failing = Self { below, above };
        (made && failing.mount()).then_some(failing)
    }

    fn mount(&self) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop,errors=continue"]).arg(self.below.0.join("image")).arg(&self.above);
        mount.status().unwrap().success()
    }

    fn unmount(&self) -> bool {
        Command::new("umount").arg(&self.above).status().unwrap().success()
    }

    fn fail(&self) {
        let mut filler = std::fs::File::create(self.below.0.join("filler")).unwrap();
        while filler.write_all(&[1; 4_096]).is_ok() {}
    }

    fn heal(&self) {
        std::fs::remove_file(self.below.0.join("filler")).unwrap();
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        self.unmount();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_while_syncing_never_loses_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Failing::new(dir.path()) else {
        println!("skipped: a failing disk needs root, loop devices and mkfs.ext4");
        return;
    };
    let home = disk.above.join("store");
    let store = open(&home);
    fill(&store, 10).await;
    let unit = |number: usize| {
        let big = Thing::new(&format!("{number}{}", "x".repeat(20_000)), "big", None);
        Unit::once(Uuid::from_u128(number as u128 + 1))
            .create::<Things>(&format!("big{number:05}"), &big)
            .unwrap()
            .add::<Things>(&key(0), vec![(0, 1)])
    };
    let (mut acknowledged, mut errors) = (BTreeSet::new(), BTreeMap::new());
    for number in 0..120 {
        if number == 20 {
            disk.fail();
        }
        match store.commit(unit(number)).await {
            Ok(_) => drop(acknowledged.insert(number)),
            Err(error) => {
                *errors.entry(format!("{error:.40}")).or_insert(0) += 1;
                assert!(
                    !matches!(error, CommitError::Malformed(_) | CommitError::Conflict { .. }),
                    "{error}"
                );
            }
        }
    }
    println!("{} acknowledged, refused: {errors:?}", acknowledged.len());
    assert!(!errors.is_empty() && acknowledged.len() >= 20);
    store.close().await;
    disk.heal();
    assert!(disk.unmount() && disk.mount());
    let store = open(&home);
    for number in &acknowledged {
        assert!(store.get::<Things>(&format!("big{number:05}")).await.unwrap().is_some(), "{number}");
    }
    for number in 0..120 {
        let repeated = store.commit(unit(number)).await.unwrap().repeated;
        assert!(repeated || !acknowledged.contains(&number));
    }
    assert_eq!(store.get::<Things>(&key(0)).await.unwrap().unwrap().counters, [120, 1]);
    assert!(store.verify().await.unwrap().is_sound());
    store.close().await;
}
