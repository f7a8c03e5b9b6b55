//! Lists: a window into the records that fit, and how many fit.
//!
//! A list of everything in a range reads what it shows and no more ([`window`]). One with a filter that is no
//! declared index walks the range and keeps what fits ([`list`]). The one rule: a walk looks at no more than
//! [`MOST_WALKED`] records, and says when it stopped there.

use super::Store;
use super::contract::{Collection, MAX_PAGE, Page, Range, ReadError, Record};

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How many to leave out first.
    pub offset: usize,
    /// Most to give.
    pub limit: usize,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// The part.
    pub items: Vec<T>,
    /// How many fit in all.
    pub total: usize,
    /// False when the walk ended at [`MOST_WALKED`]: then more may fit than `total` says.
    pub complete: bool,
}

/// The range to walk and its direction.
#[derive(Debug, Clone)]
pub(crate) struct Walk {
    pub(crate) range: Range,
    pub(crate) newest_first: bool,
}

impl<T> Listed<T> {
    /// The same list with each item seen differently.
    #[must_use]
    pub fn map<U>(self, view: impl FnMut(T) -> U) -> Listed<U> {
        Listed {
            items: self.items.into_iter().map(view).collect(),
            total: self.total,
            complete: self.complete,
        }
    }

    pub(crate) const fn empty() -> Self {
        Self { items: Vec::new(), total: 0, complete: true }
    }

    /// Counts one that fits, and keeps it where it lies in the window.
    pub(crate) fn take(&mut self, window: Window, item: T) {
        if self.total >= window.offset && self.items.len() < window.limit {
            self.items.push(item);
        }
        self.total = self.total.saturating_add(1);
    }
}

impl Walk {
    /// All records by key, which for our ids is by time.
    pub(crate) const fn all() -> Self {
        Self { range: Range::All, newest_first: false }
    }

    pub(crate) const fn newest_first(range: Range) -> Self {
        Self { range, newest_first: true }
    }
}

/// Walks a range and keeps the window of what fits.
///
/// # Errors
/// When the store cannot read.
pub(crate) async fn list<C: Collection>(
    store: &Store,
    walk: Walk,
    window: Window,
    fits: impl Fn(&Record<C>) -> bool + Send,
) -> Result<Listed<Record<C>>, ReadError> {
    let mut listed = Listed::empty();
    let mut steps = Steps::new(walk);
    while let Some(records) = steps.next::<C>(store).await? {
        for record in records {
            if fits(&record) {
                listed.take(window, record);
            }
        }
    }
    listed.complete = steps.complete();
    Ok(listed)
}

/// The window of a range of which everything fits: nothing is read but what is shown.
///
/// # Errors
/// When the store cannot read.
pub(crate) async fn window<C: Collection>(
    store: &Store,
    walk: Walk,
    window: Window,
) -> Result<Listed<Record<C>>, ReadError> {
    let part = (window.offset, window.limit);
    let (items, total) = store.window::<C>(walk.range, walk.newest_first, part).await?;
    Ok(Listed { items, total, complete: true })
}

/// The window of the records with these keys, in their order.
///
/// # Errors
/// When the store cannot read.
pub(crate) async fn of_keys<C: Collection>(
    store: &Store,
    keys: Vec<C::Key>,
    window: Window,
) -> Result<Listed<Record<C>>, ReadError>
where
    C::Key: Sync + Send,
{
    let mut listed = Listed { total: keys.len(), ..Listed::empty() };
    for key in keys.iter().skip(window.offset).take(window.limit) {
        listed.items.extend(store.get::<C>(key).await?);
    }
    Ok(listed)
}

/// The same of those that fit: each is read.
///
/// # Errors
/// When the store cannot read.
pub(crate) async fn of_keys_that_fit<C: Collection>(
    store: &Store,
    keys: Vec<C::Key>,
    window: Window,
    fits: impl Fn(&Record<C>) -> bool + Send,
) -> Result<Listed<Record<C>>, ReadError>
where
    C::Key: Sync + Send,
{
    let complete = keys.len() <= MOST_WALKED;
    let mut listed = Listed { complete, ..Listed::empty() };
    for key in keys.iter().take(MOST_WALKED) {
        if let Some(record) = store.get::<C>(key).await?.filter(&fits) {
            listed.take(window, record);
        }
    }
    Ok(listed)
}

/// A walk, a page at a time.
pub(crate) struct Steps {
    walk: Walk,
    page: Page,
    seen: usize,
    ended: bool,
}

impl Steps {
    pub(crate) const fn new(walk: Walk) -> Self {
        let page = Page { after: None, limit: MAX_PAGE, reverse: walk.newest_first };
        Self { walk, page, seen: 0, ended: false }
    }

    /// The next page; `None` at the end or at [`MOST_WALKED`].
    pub(crate) async fn next<C: Collection>(
        &mut self,
        store: &Store,
    ) -> Result<Option<Vec<Record<C>>>, ReadError> {
        if self.ended || self.seen >= MOST_WALKED {
            return Ok(None);
        }
        let slice = store.scan::<C>(self.walk.range.clone(), self.page.clone()).await?;
        self.seen = self.seen.saturating_add(slice.records.len());
        self.ended = slice.next.is_none();
        self.page.after = slice.next;
        Ok(Some(slice.records))
    }

    pub(crate) const fn complete(&self) -> bool {
        self.ended
    }
}

/// The first record whose index has that value.
///
/// # Errors
/// When the store cannot read.
pub(crate) async fn one_by<C: Collection>(
    store: &Store,
    index: &'static str,
    value: String,
) -> Result<Option<Record<C>>, ReadError> {
    let slice = store.scan::<C>(Range::Equals(index, value.into()), Page::first(1)).await?;
    Ok(slice.records.into_iter().next())
}

/// Most records one list looks at: about a second of reading on a small box, and more customers
/// than one box serves.
pub const MOST_WALKED: usize = 200_000;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::clock::Clock;
    use crate::base::entropy::Entropy;
    use crate::store::contract::{IndexValue, Unit};
    use crate::store::suite::{self, Thing, Things};
    use crate::store::{Options, SealKey};

    const ALL: usize = 157;

    fn key(number: usize) -> String {
        format!("{number:04}")
    }

    async fn put(store: &Store, number: usize, team: &str) {
        let thing = Thing::new(&format!("t{number}"), team, i64::try_from(number % 7).ok());
        store.commit(Unit::natural().put::<Things>(&key(number), &thing).unwrap()).await.unwrap();
    }

    fn stores() -> (tempfile::TempDir, [Store; 2]) {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new(dir.path(), SealKey::new([7; 32]), Clock::System, Entropy::System);
        let disk = Store::open(&options, &suite::collections(), Arc::new(())).unwrap();
        (dir, [disk, Store::memory(Clock::System, &suite::collections(), Arc::new(())).unwrap()])
    }

    #[tokio::test]
    async fn a_window_is_what_a_walk_finds_there_from_whichever_end() {
        let (_dir, stores) = stores();
        for store in &stores {
            for number in 0..ALL {
                put(store, number, if number % 3 == 0 { "red" } else { "blue" }).await;
            }
            let ranges = [
                Range::All,
                Range::KeyPrefix("00".to_owned()),
                Range::Equals("team", "red".into()),
                Range::Equals("team", "green".into()),
                Range::Between("rank", IndexValue::Integer(2), IndexValue::Integer(4)),
                Range::Between("rank", IndexValue::Integer(i64::MIN), IndexValue::Integer(i64::MAX)),
            ];
            for (range, newest_first) in ranges.iter().flat_map(|range| [(range, false), (range, true)]) {
                for (offset, limit) in
                    [(0, 10), (3, 1), (70, 20), (100, 50), (ALL - 5, 10), (ALL, 5), (500, 5)]
                {
                    let walk = || Walk { range: range.clone(), newest_first };
                    let asked = Window { offset, limit };
                    let seen = window::<Things>(store, walk(), asked).await.unwrap();
                    let walked = list::<Things>(store, walk(), asked, |_| true).await.unwrap();
                    let keys = |listed: &Listed<Record<Things>>| {
                        listed.items.iter().map(|one| one.key.clone()).collect::<Vec<_>>()
                    };
                    assert_eq!(
                        (seen.total, keys(&seen)),
                        (walked.total, keys(&walked)),
                        "{range:?} {asked:?}"
                    );
                }
            }
            store.close().await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_total_is_right_after_every_change_however_many_come_while_it_is_asked_for() {
        let (_dir, stores) = stores();
        for store in stores {
            let total = async |range: Range| {
                let walk = Walk { range, newest_first: false };
                window::<Things>(&store, walk, Window { offset: 0, limit: 1 }).await.unwrap().total
            };
            let red = || Range::Equals("team", "red".into());
            let mut changing = tokio::task::JoinSet::new();
            for writer in 0..4 {
                let store = store.clone();
                changing.spawn(async move {
                    for number in (writer..200).step_by(4) {
                        put(&store, number, "red").await;
                        if number % 2 == 0 {
                            put(&store, number, "blue").await;
                        }
                        if number % 10 == 0 {
                            let gone = Unit::natural().delete::<Things>(&key(number));
                            store.commit(gone).await.unwrap();
                        }
                    }
                });
            }
            for _ in 0..200 {
                total(red()).await;
                total(Range::All).await;
            }
            changing.join_all().await;
            assert_eq!((total(Range::All).await, total(red()).await), (180, 100));
            put(&store, 1, "blue").await;
            put(&store, 1_000, "red").await;
            put(&store, 1_001, "red").await;
            assert_eq!((total(Range::All).await, total(red()).await), (182, 101), "kept in step");
            store.close().await;
        }
    }
}
