//! Lists: a window into the records that fit, and how many fit.
//!
//! The store scans by declared indexes only, so a list walks one range and keeps what fits. The
//! one rule: a walk looks at no more than [`MOST_WALKED`] records, and says when it stopped there.

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
