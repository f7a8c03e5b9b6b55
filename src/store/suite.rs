//! The contract as tests: what every engine must do, told as promises.
//!
//! Run by the memory engine and the engine on disk alike; it knows neither. The one rule: a
//! promise is checked only through [`Store`].

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::contract::{
    Collection, CollectionSpec, CommitError, Committed, Cursor, Expected, IndexSpec, IndexValue, Page, Range,
    ReadError, SealKind, Unit,
};
use super::writer::SweepWhat;
use super::{Applied, Observer, OpenError, Registration, Store, Sweep};

/// Why a promise was not kept.
pub type Broken = Box<dyn std::error::Error + Send + Sync>;

/// Makes an empty store with [`collections`], a queue of this length and this observer.
pub type Make<'m> = &'m (dyn Fn(usize, Arc<dyn Observer>) -> Result<Store, OpenError> + Sync);

/// The collections that the promises use.
#[must_use]
pub fn collections() -> [Registration; 2] {
    [Registration::of::<Things>(), Registration::of::<Coins>()]
}

/// Runs every promise; gives the names of the broken ones with the reason.
pub async fn broken(make: Make<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, promise) in PROMISES {
        if let Err(why) = promise(make).await {
            broken.push(format!("{name}: {why}"));
        }
    }
    broken
}

type Promise = for<'m> fn(Make<'m>) -> Pin<Box<dyn Future<Output = Result<(), Broken>> + 'm>>;

const PROMISES: &[(&str, Promise)] = &[
    ("a created record reads back exactly and not twice", |make| Box::pin(create(make))),
    ("a replacement needs the version that was read", |make| Box::pin(replace(make))),
    ("a unique index refuses a second holder and frees what is removed", |make| Box::pin(unique(make))),
    ("a refused unit changes nothing at all", |make| Box::pin(atomic(make))),
    ("counters merge, add and never fall below zero", |make| Box::pin(counters(make))),
    ("what a merge raises is rolled up into a second record exactly once", |make| Box::pin(rollup(make))),
    ("a unit submitted again after a lost reply changes nothing", |make| Box::pin(repeated(make))),
    ("many submitters at once lose and double nothing", |make| Box::pin(concurrent(make))),
    ("pages run through a range in both directions without gap or repeat", |make| Box::pin(pages(make))),
    ("a range by an index leaves out what is not indexed", |make| Box::pin(ranges(make))),
    ("events are gap-free and in commit order", |make| Box::pin(events(make))),
    ("the observer knows before the submitter does", |make| Box::pin(observed(make))),
    ("a full queue is said at once and clears again", |make| Box::pin(full(make))),
    ("an old record is upgraded and a newer one refused", |make| Box::pin(schemas(make))),
    ("a sweep removes what is old, in bounded steps", |make| Box::pin(sweeps(make))),
    ("a malformed unit is refused by name", |make| Box::pin(malformed(make))),
    ("every record is handed over for a snapshot", |make| Box::pin(loads(make))),
    ("a closed store says so", |make| Box::pin(closes(make))),
];

async fn create(make: Make<'_>) -> Result<(), Broken> {
    let store = make(100, Arc::new(()))?;
    let (key, thing) = ("a".to_owned(), Thing::new("ada", "red", Some(1)));
    equal(store.get::<Things>(&key).await?.is_none(), true)?;
    let unit = Unit::once(Uuid::from_u128(1)).create::<Things>(&key, &thing)?;
    equal(store.commit(unit).await?, Committed { seq: 0, repeated: false })?;
    let found = store.get::<Things>(&key).await?.ok_or("not there")?;
    equal((found.version, found.body.clone(), found.counters), (1, thing.clone(), vec![0, 0]))?;
    let again = store.commit(Unit::natural().create::<Things>(&key, &thing)?).await;
    equal(again, Err(CommitError::Conflict { collection: "suite_things", key: key.clone() }))?;
    store.commit(Unit::natural().delete::<Things>(&key)).await?;
    equal(store.get::<Things>(&key).await?.is_none(), true)?;
    store.commit(Unit::natural().delete::<Things>(&key)).await?;
    Ok(())
}

async fn replace(make: Make<'_>) -> Result<(), Broken> {
    let store = make(100, Arc::new(()))?;
    let (key, thing) = ("a".to_owned(), Thing::new("ada", "red", None));
    let conflict = Err(CommitError::Conflict { collection: "suite_things", key: key.clone() });
    equal(store.commit(Unit::natural().replace::<Things>(&key, 1, &thing)?).await, conflict.clone())?;
    store.commit(Unit::natural().put_counted::<Things>(&key, &thing, vec![7, 8])?).await?;
    let other = Thing::new("ada", "blue", None);
    store.commit(Unit::natural().replace::<Things>(&key, 1, &other)?).await?;
    equal(store.commit(Unit::natural().replace::<Things>(&key, 1, &thing)?).await, conflict)?;
    let found = store.get::<Things>(&key).await?.ok_or("not there")?;
    equal((found.version, found.body, found.counters), (2, other.clone(), vec![7, 8]))?;
    let present = Unit::natural().expect::<Things>(&key, Expected::Present).put::<Things>(&key, &other)?;
    store.commit(present).await?;
    let twice = Unit::natural().put::<Things>(&key, &thing)?.merge_max::<Things>(&key, vec![(0, 9)]);
    store.commit(twice).await?;
    let found = store.get::<Things>(&key).await?.ok_or("not there")?;
    equal((found.version, found.counters), (4, vec![9, 8]))
}

async fn unique(make: Make<'_>) -> Result<(), Broken> {
    let store = make(100, Arc::new(()))?;
    let (a, b) = ("a".to_owned(), "b".to_owned());
    let thing = Thing::new("ada", "red", None);
    store.commit(Unit::natural().create::<Things>(&a, &thing)?).await?;
    let taken = Err(CommitError::Taken { collection: "suite_things", index: "name" });
    equal(store.commit(Unit::natural().create::<Things>(&b, &thing)?).await, taken.clone())?;
    let with_event = Unit::once(Uuid::from_u128(2)).create::<Things>(&b, &thing)?.event("x", "b", json!({}));
    equal(store.commit(with_event.clone()).await, taken)?;
    equal((store.last_seq(), store.get::<Things>(&b).await?.is_none()), (0, true))?;
    // Handed over within one unit, in whichever order it is written.
    let moved = Unit::natural().create::<Things>(&b, &thing)?.delete::<Things>(&a);
    store.commit(moved).await?;
    equal(store.get::<Things>(&b).await?.is_some(), true)?;
    // The refused unit's id was not remembered.
    store.commit(Unit::natural().delete::<Things>(&b)).await?;
    equal(store.commit(with_event).await?, Committed { seq: 1, repeated: false })
}

async fn atomic(make: Make<'_>) -> Result<(), Broken> {
    let store = make(100, Arc::new(()))?;
    let (a, b) = ("a".to_owned(), "b".to_owned());
    let refused = Unit::once(Uuid::from_u128(3))
        .create::<Things>(&a, &Thing::new("ada", "red", None))?
        .create::<Coins>(&a, &Coin { owner: "ada".to_owned(), worth: 5 })?
        .event("thing.made", "a", json!({"n": 1}))
        .merge_max::<Things>(&b, vec![(0, 1)]);
    let missing = CommitError::Missing { collection: "suite_things", key: b.clone() };
    equal(store.commit(refused).await, Err(missing))?;
    equal(store.get::<Things>(&a).await?.is_none(), true)?;
    equal(store.get::<Coins>(&a).await?.is_none(), true)?;
    equal(store.changes(0, 10).await?, vec![])?;
    let late = Unit::natural()
        .create::<Coins>(&a, &Coin { owner: "ada".to_owned(), worth: 5 })?
        .create::<Things>(&a, &Thing::new("ada", "red", None))?
        .create::<Things>(&b, &Thing::new("ada", "red", None))?
        .event("thing.made", "a", json!({"n": 1}));
    let taken = Err(CommitError::Taken { collection: "suite_things", index: "name" });
    equal(store.commit(late).await, taken)?;
    equal(store.get::<Coins>(&a).await?.is_none(), true)?;
    equal(store.get::<Things>(&a).await?.is_none(), true)?;
    equal(store.changes(0, 10).await?, vec![])
}

async fn counters(make: Make<'_>) -> Result<(), Broken> {
    let store = make(100, Arc::new(()))?;
    let key = "a".to_owned();
    let missing = Err(CommitError::Missing { collection: "suite_things", key: key.clone() });
    equal(store.commit(Unit::natural().add::<Things>(&key, vec![(0, 1)])).await, missing)?;
    store.commit(Unit::natural().create::<Things>(&key, &Thing::new("ada", "red", None))?).await?;
    for value in [10, 5, 10, 4] {
        store.commit(Unit::natural().merge_max::<Things>(&key, vec![(0, value), (1, value * 2)])).await?;
    }
    let found = store.get::<Things>(&key).await?.ok_or("not there")?;
    equal((found.counters, found.version), (vec![10, 20], 2))?;
    store.commit(Unit::natural().add::<Things>(&key, vec![(0, 7), (1, -50)])).await?;
    equal(store.get::<Things>(&key).await?.map(|found| found.counters), Some(vec![17, 0]))?;
    let most = u64::try_from(i64::MAX)?;
    store.commit(Unit::natural().merge_max::<Things>(&key, vec![(0, most)])).await?;
    store.commit(Unit::natural().add::<Things>(&key, vec![(0, 1)])).await?;
    equal(store.get::<Things>(&key).await?.map(|found| found.counters), Some(vec![most, 0]))
}

async fn rollup(make: Make<'_>) -> Result<(), Broken> {
    let store = make(100, Arc::new(()))?;
    let (session, day) = ("session".to_owned(), "day".to_owned());
    let (of_session, of_day) = (Thing::new("s", "red", None), Thing::new("d", "blue", None));
    store.commit(Unit::natural().put_counted::<Things>(&session, &of_session, vec![10, 0])?).await?;
    for (octets_in, octets_out) in [(10, 0), (15, 40), (15, 40), (12, 30), (16, 40)] {
        let to = vec![(0, octets_in), (1, octets_out)];
        let unit = Unit::natural();
        let unit = unit.merge_max_into::<Things, Things>(&session, to, &day, &of_day, &[(0, 1), (1, 0)])?;
        store.commit(unit).await?;
        if octets_out == 0 {
            equal(store.get::<Things>(&day).await?.is_none(), true)?;
        }
    }
    equal(store.get::<Things>(&session).await?.map(|found| found.counters), Some(vec![16, 40]))?;
    let found = store.get::<Things>(&day).await?.ok_or("no day")?;
    equal((found.body, found.counters, found.version), (of_day, vec![40, 6], 2))
}

async fn repeated(make: Make<'_>) -> Result<(), Broken> {
    let store = make(100, Arc::new(()))?;
    let key = "a".to_owned();
    store.commit(Unit::natural().create::<Things>(&key, &Thing::new("ada", "red", None))?).await?;
    let unit = Unit::once(Uuid::from_u128(9)).add::<Things>(&key, vec![(0, 5)]).event("paid", "a", json!(5));
    // The reply is lost: nobody waits for it.
    drop(store.try_submit(unit.clone())?);
    let both = (store.try_submit(unit.clone())?, store.try_submit(unit.clone())?);
    equal(both.0.await?, Committed { seq: 1, repeated: true })?;
    equal(both.1.await?, Committed { seq: 1, repeated: true })?;
    equal(store.commit(unit).await?, Committed { seq: 1, repeated: true })?;
    equal(store.get::<Things>(&key).await?.map(|found| found.counters), Some(vec![5, 0]))?;
    equal(store.changes(0, 10).await?.len(), 1)
}

async fn concurrent(make: Make<'_>) -> Result<(), Broken> {
    let store = make(5_000, Arc::new(()))?;
    let key = "a".to_owned();
    store.commit(Unit::natural().create::<Things>(&key, &Thing::new("ada", "red", None))?).await?;
    let mut tasks = Vec::new();
    for task in 0..32u64 {
        let (store, key) = (store.clone(), key.clone());
        tasks.push(tokio::spawn(async move {
            for step in 1..=20u64 {
                let mine = Thing::new(&format!("{task}.{step}"), "blue", None);
                let unit = Unit::once(Uuid::from_u64_pair(task, step))
                    .add::<Things>(&key, vec![(0, 1)])
                    .merge_max::<Things>(&key, vec![(1, task * 100 + step)])
                    .create::<Things>(&mine.name.clone(), &mine)?
                    .event("step", task, json!(step));
                store.commit(unit).await?;
            }
            Ok::<(), CommitError>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let found = store.get::<Things>(&key).await?.ok_or("not there")?;
    equal((found.counters, found.version), (vec![640, 3_120], 641))?;
    equal(walk(&store, Range::Equals("team", "blue".into()), 100, false).await?.len(), 640)?;
    let changes = store.changes(0, 1_000).await?;
    let seqs: Vec<_> = changes.iter().map(|change| change.seq).collect();
    equal(seqs, (1..=640).collect())?;
    for task in 0..32u64 {
        let mine = changes.iter().filter(|change| change.event.subject == task.to_string());
        let steps: Vec<_> = mine.filter_map(|change| change.event.payload.as_u64()).collect();
        equal(steps, (1..=20).collect())?;
    }
    Ok(())
}

async fn fill(store: &Store) -> Result<(), Broken> {
    let mut unit = Unit::natural();
    for number in 0..25i64 {
        let team = if number % 2 == 0 { "even" } else { "odd" };
        let rank = (number % 5 != 0).then_some(number % 7);
        let thing = Thing::new(&format!("n{number:02}"), team, rank);
        unit = unit.create::<Things>(&format!("k{number:02}"), &thing)?;
    }
    store.commit(unit).await?;
    Ok(())
}

/// The keys of a range, page by page.
async fn walk(store: &Store, range: Range, limit: usize, reverse: bool) -> Result<Vec<String>, Broken> {
    let (mut keys, mut after): (Vec<String>, Option<Cursor>) = (Vec::new(), None);
    loop {
        let slice = store.scan::<Things>(range.clone(), Page { after, limit, reverse }).await?;
        keys.extend(slice.records.into_iter().map(|record| record.key));
        let Some(next) = slice.next else { return Ok(keys) };
        after = Some(next);
    }
}

async fn pages(make: Make<'_>) -> Result<(), Broken> {
    let store = make(100, Arc::new(()))?;
    fill(&store).await?;
    let all: Vec<_> = (0..25).map(|number| format!("k{number:02}")).collect();
    let ranges = [
        Range::All,
        Range::KeyPrefix("k1".to_owned()),
        Range::Equals("team", "odd".into()),
        Range::Between("rank", 2.into(), 5.into()),
        Range::Between("name", "n03".into(), "n20".into()),
    ];
    equal(walk(&store, Range::All, 100, false).await?, all)?;
    for range in ranges {
        let whole = walk(&store, range.clone(), 1_000, false).await?;
        equal(whole.is_empty(), false)?;
        let mut backwards = whole.clone();
        backwards.reverse();
        for limit in [1, 2, 3, 7, whole.len(), whole.len() + 1] {
            equal(walk(&store, range.clone(), limit, false).await?, whole.clone())?;
            equal(walk(&store, range.clone(), limit, true).await?, backwards.clone())?;
        }
    }
    // A page that ends while records come and go still leads on.
    let first = store.scan::<Things>(Range::All, Page::first(10)).await?;
    store.commit(Unit::natural().delete::<Things>(&"k09".to_owned())).await?;
    let page = Page { after: first.next, limit: 1, reverse: false };
    let second = store.scan::<Things>(Range::All, page).await?;
    equal(second.records.first().map(|record| record.key.clone()), Some("k10".to_owned()))
}

async fn ranges(make: Make<'_>) -> Result<(), Broken> {
    let store = make(100, Arc::new(()))?;
    fill(&store).await?;
    let keys = async |range| walk(&store, range, 100, false).await;
    equal(keys(Range::KeyPrefix("k2".to_owned())).await?, texts(&["k20", "k21", "k22", "k23", "k24"]))?;
    equal(keys(Range::KeyPrefix("x".to_owned())).await?, vec![])?;
    equal(keys(Range::Equals("name", "n07".into())).await?, texts(&["k07"]))?;
    equal(keys(Range::Equals("rank", 6.into())).await?, texts(&["k06", "k13"]))?;
    equal(keys(Range::Between("rank", 5.into(), 6.into())).await?, texts(&["k12", "k19", "k06", "k13"]))?;
    equal(keys(Range::Equals("rank", IndexValue::Null)).await?, vec![])?;
    equal(keys(Range::Between("rank", IndexValue::Null, 0.into())).await?, texts(&["k07", "k14", "k21"]))?;
    equal(keys(Range::Between("rank", 6.into(), 5.into())).await?, vec![])?;
    let unknown = store.scan::<Things>(Range::Equals("body", "x".into()), Page::first(1)).await;
    equal(matches!(unknown, Err(ReadError::Unavailable(_))), true)
}

async fn events(make: Make<'_>) -> Result<(), Broken> {
    let store = make(5_000, Arc::new(()))?;
    let waiting = store.clone();
    let waiter = tokio::spawn(async move { waiting.wait(4).await });
    for number in 0..10u64 {
        let unit =
            Unit::natural().event("first", number, json!({"n": number})).event("second", number, json!([]));
        equal(store.commit(unit).await?.seq, number * 2 + 2)?;
    }
    equal(waiter.await?? > 4, true)?;
    equal(store.wait(19).await?, 20)?;
    let page = store.changes(5, 4).await?;
    equal(page.iter().map(|change| change.seq).collect::<Vec<_>>(), vec![6, 7, 8, 9])?;
    let first = page.first().map(|change| change.event.clone()).ok_or("no event")?;
    equal((first.kind.as_str(), first.subject.as_str(), first.payload), ("second", "2", json!([])))?;
    equal(store.changes(20, 4).await?, vec![])
}

#[derive(Default)]
struct Witness(Mutex<Vec<Applied>>);

impl Observer for Witness {
    fn applied(&self, batch: &[Applied]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(batch.iter().cloned());
    }
}

impl Witness {
    fn take(&self) -> Vec<Applied> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn observed(make: Make<'_>) -> Result<(), Broken> {
    let witness = Arc::new(Witness::default());
    let store = make(100, Arc::clone(&witness) as Arc<dyn Observer>)?;
    let (key, thing) = ("a".to_owned(), Thing::new("ada", "red", None));
    store.commit(Unit::natural().create::<Things>(&key, &thing)?).await?;
    let seen = witness.take();
    let state = seen.first().and_then(|one| one.now.clone()).ok_or("the observer saw nothing")?;
    equal((seen.len(), state.version, serde_json::from_slice(&state.body)?), (1, 1, thing))?;
    store.commit(Unit::natural().merge_max::<Things>(&key, vec![(1, 3)])).await?;
    let seen = witness.take();
    let now = seen.first().and_then(|one| one.now.clone()).ok_or("the observer saw no counters")?;
    equal((now.version, now.counters), (2, vec![0, 3]))?;
    equal(seen.iter().all(|one| one.counters_only && one.key == key), true)?;
    store.commit(Unit::natural().merge_max::<Things>(&key, vec![(1, 3)])).await?;
    equal(witness.take().len(), 0)?;
    let refused = Unit::natural().expect::<Things>(&key, Expected::Absent).delete::<Things>(&key);
    equal(store.commit(refused).await.is_err(), true)?;
    equal(witness.take().len(), 0)?;
    store.commit(Unit::natural().delete::<Things>(&key)).await?;
    equal(witness.take().iter().map(|one| one.now.is_none()).collect::<Vec<_>>(), vec![true])
}

/// An observer that holds the writer until it is told to go on.
struct Gate {
    entered: mpsc::SyncSender<()>,
    go: Mutex<mpsc::Receiver<()>>,
}

impl Observer for Gate {
    fn applied(&self, _batch: &[Applied]) {
        let _ = self.entered.try_send(());
        let _ = self.go.lock().unwrap_or_else(PoisonError::into_inner).recv();
    }
}

async fn full(make: Make<'_>) -> Result<(), Broken> {
    let (entered, inside) = mpsc::sync_channel(1);
    let (go, told) = mpsc::channel();
    let store = make(4, Arc::new(Gate { entered, go: Mutex::new(told) }))?;
    let unit = Unit::natural().put::<Things>(&"a".to_owned(), &Thing::new("ada", "red", None))?;
    let first = store.try_submit(unit.clone())?;
    inside.recv()?;
    let waiting: Result<Vec<_>, _> = (0..4).map(|_| store.try_submit(unit.clone())).collect();
    let refused = store.try_submit(unit.clone()).map(|_| ());
    equal(matches!(refused, Err(CommitError::Full(_))), true)?;
    let (answer, answered) = mpsc::channel();
    store.submit_then(unit.clone(), Box::new(move |result| drop(answer.send(result))));
    equal(matches!(answered.recv()?, Err(CommitError::Full(_))), true)?;
    drop(go);
    first.await?;
    for one in waiting? {
        one.await?;
    }
    let (answer, answered) = mpsc::channel();
    store.submit_then(unit, Box::new(move |result| drop(answer.send(result))));
    let last = tokio::task::spawn_blocking(move || answered.recv()).await???;
    equal(last.repeated, false)?;
    equal(store.get::<Things>(&"a".to_owned()).await?.map(|found| found.version), Some(6))
}

async fn schemas(make: Make<'_>) -> Result<(), Broken> {
    let store = make(100, Arc::new(()))?;
    let (old, new) = ("old".to_owned(), "new".to_owned());
    let first = FirstThing { name: "ada".to_owned(), team: "red".to_owned() };
    store.commit(Unit::natural().create::<FirstThings>(&old, &first)?).await?;
    store.commit(Unit::natural().merge_max::<Things>(&old, vec![(0, 4)])).await?;
    let found = store.get::<Things>(&old).await?.ok_or("not there")?;
    equal((found.body, found.counters), (Thing::new("ada", "red", Some(0)), vec![4, 0]))?;
    store.commit(Unit::natural().create::<Things>(&new, &Thing::new("bob", "red", Some(3)))?).await?;
    let newer = store.get::<FirstThings>(&new).await.map(|_| ());
    equal(newer, Err(ReadError::Newer { collection: "suite_things", key: new }))?;
    let all = store.scan::<Things>(Range::All, Page::first(10)).await?;
    equal(all.records.len(), 2)?;
    let newer = store.scan::<FirstThings>(Range::All, Page::first(10)).await.map(|_| ());
    equal(matches!(newer, Err(ReadError::Newer { .. })), true)
}

async fn sweeps(make: Make<'_>) -> Result<(), Broken> {
    let witness = Arc::new(Witness::default());
    let store = make(100, Arc::clone(&witness) as Arc<dyn Observer>)?;
    fill(&store).await?;
    witness.take();
    let what = SweepWhat::Records { collection: Things::SPEC, index: "rank", before: 2.into() };
    let mut removed = 0;
    loop {
        let swept = store.sweep(Sweep { what: what.clone(), budget: 2 }).await?;
        equal(swept.removed <= 2, true)?;
        removed += swept.removed;
        if !swept.more {
            break;
        }
    }
    let gone = witness.take().iter().filter(|one| one.now.is_none()).count();
    let left = walk(&store, Range::All, 100, false).await?.len();
    let low = walk(&store, Range::Between("rank", IndexValue::Null, 1.into()), 100, false).await?;
    equal((removed, gone, left, low.len()), (6, 6, 19, 0))?;
    for number in 0..10u128 {
        let unit = Unit::once(Uuid::from_u128(number + 1)).event("tick", number, json!(null));
        store.commit(unit).await?;
    }
    let ten = Sweep { what: SweepWhat::Changes { through_seq: 4 }, budget: 10 };
    equal(store.sweep(ten).await?.removed, 4)?;
    equal(store.changes(0, 1).await?.first().map(|change| change.seq), Some(5))?;
    let all = Sweep { what: SweepWhat::Changes { through_seq: u64::MAX }, budget: 100 };
    equal(store.sweep(all).await?.removed, 5)?;
    equal(store.commit(Unit::natural().event("tock", "x", json!(null))).await?.seq, 11)?;
    let ids = Sweep { what: SweepWhat::Units { before_millis: i64::MAX }, budget: 4 };
    let swept = store.sweep(ids).await?;
    equal((swept.removed, swept.more), (4, true))?;
    let unknown = SweepWhat::Records { collection: Things::SPEC, index: "body", before: 2.into() };
    equal(store.sweep(Sweep { what: unknown, budget: 1 }).await.is_err(), true)
}

async fn malformed(make: Make<'_>) -> Result<(), Broken> {
    let store = make(100, Arc::new(()))?;
    let thing = Thing::new("ada", "red", None);
    let key = |text: &str| text.to_owned();
    let mut units = vec![
        Unit::natural().put::<Things>(&key(""), &thing)?,
        Unit::natural().put::<Things>(&key("a\0b"), &thing)?,
        Unit::natural().put::<Things>(&"k".repeat(600), &thing)?,
        Unit::natural().put_counted::<Things>(&key("a"), &thing, vec![1])?,
        Unit::natural().put_counted::<Things>(&key("a"), &thing, vec![1, u64::MAX])?,
        Unit::natural().put::<Strangers>(&key("a"), &thing)?,
        Unit::natural().put::<Things>(&key("a"), &thing)?.merge_max::<Things>(&key("a"), vec![(2, 1)]),
        Unit::natural().put::<Things>(&key("a"), &thing)?.merge_max::<Things>(&key("a"), vec![(0, u64::MAX)]),
    ];
    units.push((0..1_001).fold(Unit::natural(), |unit, n| unit.delete::<Things>(&n.to_string())));
    for unit in units {
        let refused = store.commit(unit.clone()).await;
        if !matches!(refused, Err(CommitError::Malformed(_))) {
            return Err(format!("{unit:?} gave {refused:?}").into());
        }
    }
    equal(store.get::<Things>(&key("a")).await?.is_none(), true)?;
    equal(store.get::<Strangers>(&key("a")).await.is_err(), true)
}

async fn loads(make: Make<'_>) -> Result<(), Broken> {
    let store = make(100, Arc::new(()))?;
    fill(&store).await?;
    store.commit(Unit::natural().event("x", "y", json!(1))).await?;
    let (sender, receiver) = mpsc::channel();
    let loaded = store.load_all::<Things>(move |record| drop(sender.send(record.key))).await?;
    equal((loaded.records, loaded.seq, loaded.damaged), (25, 1, 0))?;
    equal(receiver.iter().count(), 25)?;
    equal(store.damage(), vec![])
}

async fn closes(make: Make<'_>) -> Result<(), Broken> {
    let store = make(100, Arc::new(()))?;
    let unit = Unit::natural().put::<Things>(&"a".to_owned(), &Thing::new("ada", "red", None))?;
    let last = store.try_submit(unit.clone())?;
    store.close().await;
    equal(last.await.is_ok(), true)?;
    let refused = store.commit(unit).await;
    equal(matches!(refused, Err(CommitError::Unavailable(_))), true)?;
    equal(store.wait(u64::MAX).await.is_err(), true)
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "both sides are temporaries everywhere")]
fn equal<T: PartialEq + std::fmt::Debug>(found: T, wanted: T) -> Result<(), Broken> {
    if found == wanted { Ok(()) } else { Err(format!("found {found:?}, wanted {wanted:?}").into()) }
}

/// A thing with a unique name, a team and perhaps a rank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thing {
    /// Unique.
    pub name: String,
    /// Shared by many.
    pub team: String,
    /// Not indexed when absent.
    pub rank: Option<i64>,
}

impl Thing {
    /// A thing.
    #[must_use]
    pub fn new(name: &str, team: &str, rank: Option<i64>) -> Self {
        Self { name: name.to_owned(), team: team.to_owned(), rank }
    }
}

/// The collection of [`Thing`]: three indexes, two counters, schema 2.
#[derive(Debug, Clone)]
pub enum Things {}

const THING_INDEXES: &[IndexSpec] = &[
    IndexSpec { name: "name", unique: true },
    IndexSpec { name: "team", unique: false },
    IndexSpec { name: "rank", unique: false },
];

impl Collection for Things {
    const SPEC: &'static CollectionSpec = &CollectionSpec {
        name: "suite_things",
        schema: 2,
        indexes: THING_INDEXES,
        counters: &["octets_in", "octets_out"],
        seal: SealKind::Checksum,
    };
    type Key = String;
    type Body = Thing;

    fn index(body: &Thing) -> Vec<IndexValue> {
        vec![body.name.clone().into(), body.team.clone().into(), body.rank.into()]
    }

    fn upgrade(from: u16, mut body: serde_json::Value) -> Result<serde_json::Value, String> {
        if from == 1 {
            body.as_object_mut().ok_or("a thing is an object")?.insert("rank".to_owned(), json!(0));
        }
        Ok(body)
    }
}

/// A thing as schema 1 had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstThing {
    /// Unique.
    pub name: String,
    /// Shared by many.
    pub team: String,
}

/// The collection of [`Thing`] as the program of schema 1 knew it.
#[derive(Debug, Clone)]
pub enum FirstThings {}

impl Collection for FirstThings {
    const SPEC: &'static CollectionSpec = &CollectionSpec {
        name: "suite_things",
        schema: 1,
        indexes: THING_INDEXES,
        counters: &["octets_in", "octets_out"],
        seal: SealKind::Checksum,
    };
    type Key = String;
    type Body = FirstThing;

    fn index(body: &FirstThing) -> Vec<IndexValue> {
        vec![body.name.clone().into(), body.team.clone().into(), IndexValue::Null]
    }
}

/// A record worth money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coin {
    /// Whose it is.
    pub owner: String,
    /// In minor units.
    pub worth: i64,
}

/// The collection of [`Coin`]: keyed seals.
#[derive(Debug, Clone)]
pub enum Coins {}

impl Collection for Coins {
    const SPEC: &'static CollectionSpec = &CollectionSpec {
        name: "suite_coins",
        schema: 1,
        indexes: &[IndexSpec { name: "owner", unique: false }],
        counters: &[],
        seal: SealKind::Keyed,
    };
    type Key = String;
    type Body = Coin;

    fn index(body: &Coin) -> Vec<IndexValue> {
        vec![body.owner.clone().into()]
    }
}

/// A collection that is not in the store.
#[derive(Debug, Clone)]
enum Strangers {}

impl Collection for Strangers {
    const SPEC: &'static CollectionSpec = &CollectionSpec {
        name: "suite_strangers",
        schema: 1,
        indexes: &[],
        counters: &[],
        seal: SealKind::Checksum,
    };
    type Key = String;
    type Body = Thing;

    fn index(_body: &Thing) -> Vec<IndexValue> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_memory_engine_keeps_every_promise() {
        let make = |queue, observer| Store::memory_with_queue(queue, Clock::System, &collections(), observer);
        assert_eq!(broken(&make).await, Vec::<String>::new());
    }
}
