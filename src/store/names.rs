//! Search by a part of a name, a number or an address, without reading a record for each that does not fit.
//!
//! The texts of one collection lie behind one another in memory, and a search goes through them once. They are read
//! from the store at the first search and follow its commits from then on. The one rule: a search sees what was
//! committed before it began.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memchr::memmem;
use uuid::Uuid;

use super::contract::{Collection, ReadError, Record};
use super::handle::Store;
use super::record::{Applied, Observer};
use crate::domain::subscriber::Subscriber;

/// The changes of one collection since somebody asked.
pub(crate) struct Following<C> {
    changes: Mutex<Changes>,
    of: PhantomData<fn() -> C>,
}

#[derive(Default)]
struct Changes {
    list: Vec<Applied>,
    /// Whether there were more than are kept, or none was asked for yet.
    lost: bool,
}

impl<C: Collection> Following<C> {
    /// From now on; the first [`Following::take`] says that everything is to be read.
    pub(crate) fn start(store: &Store) -> Arc<Self> {
        let changes = Mutex::new(Changes { list: Vec::new(), lost: true });
        let following = Arc::new(Self { changes, of: PhantomData });
        let watcher: Arc<dyn Observer> = Arc::<Self>::clone(&following);
        store.watch(Arc::downgrade(&watcher));
        following
    }

    /// What changed since the last call, in order; `None` when everything is to be read afresh.
    pub(crate) fn take(&self) -> Option<Vec<Applied>> {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let Changes { list, lost } = std::mem::take(&mut *changes);
        (!lost).then_some(list)
    }

    /// What was taken has not been read after all.
    pub(crate) fn lose(&self) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        *changes = Changes { list: Vec::new(), lost: true };
    }
}

impl<C: Collection> Observer for Following<C> {
    fn applied(&self, batch: &[Applied]) {
        let ours = batch.iter().filter(|one| one.collection.name == C::SPEC.name && !one.counters_only);
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if changes.lost {
            return;
        }
        changes.list.extend(ours.cloned());
        if changes.list.len() > MOST_CHANGES {
            *changes = Changes { list: Vec::new(), lost: true };
        }
    }
}

/// Reads the body of a change.
pub(crate) fn body_of<C: Collection>(change: &Applied) -> Option<(u64, C::Body)> {
    let state = change.now.as_ref()?;
    Some((state.version, serde_json::from_slice(&state.body).ok()?))
}

/// The texts of a collection, for searching. Cheap to clone.
pub(crate) struct Names<C: Collection>(Arc<Inner<C>>);

struct Inner<C: Collection> {
    store: Store,
    following: Arc<Following<C>>,
    /// What of a record can be found: one text a line.
    texts: fn(&C::Body) -> Vec<String>,
    sheet: Arc<Mutex<Sheet>>,
    /// One at a time brings the sheet up to date.
    turn: tokio::sync::Mutex<()>,
}

impl<C: Collection> Names<C> {
    pub(crate) fn new(store: &Store, texts: fn(&C::Body) -> Vec<String>) -> Self {
        let following = Following::start(store);
        let (store, sheet) = (store.clone(), Arc::default());
        Self(Arc::new(Inner { store, following, texts, sheet, turn: tokio::sync::Mutex::default() }))
    }

    /// The keys of the records of which a text contains this, without case, in the order of keys.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn find(&self, part: &str) -> Result<Vec<Uuid>, ReadError> {
        self.settle().await?;
        Ok(self.sheet().find(&part.to_lowercase()))
    }

    async fn settle(&self) -> Result<(), ReadError> {
        let _turn = self.0.turn.lock().await;
        let Some(changes) = self.0.following.take() else { return self.read_all().await };
        let mut sheet = self.sheet();
        for change in changes {
            let Ok(id) = change.key.parse() else { continue };
            match body_of::<C>(&change) {
                Some((version, body)) => sheet.put(id, version, &(self.0.texts)(&body)),
                None => sheet.remove(id),
            }
        }
        sheet.tidy();
        Ok(())
    }

    /// What is committed meanwhile is followed, and is newer by its version.
    async fn read_all(&self) -> Result<(), ReadError> {
        *self.sheet() = Sheet::default();
        let (sheet, texts) = (Arc::clone(&self.0.sheet), self.0.texts);
        let each = move |record: Record<C>| {
            if let Ok(id) = record.key.parse() {
                let texts = texts(&record.body);
                sheet.lock().unwrap_or_else(PoisonError::into_inner).put(id, record.version, &texts);
            }
        };
        let loaded = self.0.store.load_all::<C>(each).await;
        if loaded.is_err() {
            self.0.following.lose();
        }
        loaded.map(|_| ())
    }

    fn sheet(&self) -> MutexGuard<'_, Sheet> {
        self.0.sheet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Collection> Clone for Names<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Collection> std::fmt::Debug for Names<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Names of {}", C::SPEC.name)
    }
}

/// What a customer can be found by.
pub(crate) fn of_customer(one: &Subscriber) -> Vec<String> {
    let mut texts =
        vec![one.display_name(), one.customer_number.to_string(), one.portal_id.as_str().to_owned()];
    texts.extend(one.email.as_ref().map(|email| email.as_str().to_owned()));
    texts.extend(one.phone.as_ref().map(|phone| phone.as_str().to_owned()));
    texts
}

/// All texts behind one another. A record that changed has its texts at the end, and its old ones count no more.
#[derive(Default)]
struct Sheet {
    text: String,
    /// Where each record's texts begin, in order.
    places: Vec<(usize, Uuid)>,
    /// The place that counts, and the version that it is of.
    live: HashMap<Uuid, (usize, u64)>,
}

impl Sheet {
    fn put(&mut self, id: Uuid, version: u64, texts: &[String]) {
        if self.live.get(&id).is_some_and(|(_, held)| *held >= version) {
            return;
        }
        self.live.insert(id, (self.places.len(), version));
        self.places.push((self.text.len(), id));
        for text in texts {
            self.text.push_str(&text.to_lowercase());
            self.text.push(BREAK);
        }
    }

    fn remove(&mut self, id: Uuid) {
        self.live.remove(&id);
    }

    fn find(&self, part: &str) -> Vec<Uuid> {
        let (mut found, mut at, mut last) = (Vec::new(), 0usize, None);
        if part.contains(BREAK) {
            return found;
        }
        for hit in memmem::find_iter(self.text.as_bytes(), part.as_bytes()) {
            while self.places.get(at.saturating_add(1)).is_some_and(|(begins, _)| *begins <= hit) {
                at = at.saturating_add(1);
            }
            if last == Some(at) {
                continue;
            }
            last = Some(at);
            let id = self.places.get(at).map(|(_, id)| *id);
            found.extend(id.filter(|id| self.live.get(id).is_some_and(|(place, _)| *place == at)));
        }
        found.sort_unstable();
        found
    }

    /// Writes the sheet anew once half of it counts no more.
    fn tidy(&mut self) {
        if self.places.len() <= self.live.len().saturating_mul(2).saturating_add(FEW) {
            return;
        }
        let old = std::mem::take(self);
        for (at, (begins, id)) in old.places.iter().enumerate() {
            let Some((_, version)) = old.live.get(id).filter(|(place, _)| *place == at) else { continue };
            let ends = old.places.get(at.saturating_add(1)).map_or(old.text.len(), |(next, _)| *next);
            self.live.insert(*id, (self.places.len(), *version));
            self.places.push((self.text.len(), *id));
            self.text.push_str(old.text.get(*begins..ends).unwrap_or_default());
        }
    }
}

/// Between texts: no text of one line holds it.
const BREAK: char = '\n';
/// Changes that wait for the next search; where more came, reading everything is no dearer.
const MOST_CHANGES: usize = 10_000;
/// Below so many a sheet is not worth tidying.
const FEW: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn a_search_finds_each_record_once_by_what_it_says_now() {
        let mut sheet = Sheet::default();
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        sheet.put(id(2), 1, &texts(&["Ada Obi", "C-000002", "ada@example.net"]));
        sheet.put(id(1), 1, &texts(&["Bola Ade", "C-000001"]));
        assert_eq!(sheet.find("ad"), [id(1), id(2)], "in the order of keys, each once");
        assert_eq!(sheet.find("c-000001"), [id(1)]);
        assert!(sheet.find("obi\nc-0").is_empty(), "texts do not run into one another");
        sheet.put(id(2), 2, &texts(&["Eve Obi"]));
        sheet.put(id(2), 1, &texts(&["Ada Obi"]));
        assert_eq!((sheet.find("ada").len(), sheet.find("eve")), (0, vec![id(2)]));
        sheet.remove(id(1));
        assert!(sheet.find("bola").is_empty());
        for version in 3..3_000 {
            sheet.put(id(2), version, &texts(&["Eve Obi"]));
        }
        sheet.tidy();
        assert_eq!((sheet.places.len(), sheet.find("obi")), (1, vec![id(2)]));
    }
}
