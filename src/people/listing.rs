//! A window of a range and how many there are in all.
//!
//! The store pages by cursor and counts nothing; a list that a person looks at wants an offset and
//! a total. So the range is walked and only the window is kept. The one rule: a walk is bounded.

use crate::store::Store;
use crate::store::contract::{Collection, MAX_PAGE, Page, Range, ReadError, Record};

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// The part.
    pub items: Vec<T>,
    /// How many there are in all.
    pub total: usize,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) offset: usize,
    pub(super) limit: usize,
}

/// Walks a range and keeps the window of what `keep` lets through.
pub(super) async fn walk<C: Collection>(
    store: &Store,
    range: Range,
    reverse: bool,
    window: Window,
    keep: impl Fn(&Record<C>) -> bool + Send,
) -> Result<Listed<C::Body>, ReadError> {
    let mut listed = Listed { items: Vec::new(), total: 0 };
    let mut page = Page { after: None, limit: MAX_PAGE, reverse };
    for _ in 0..MAX_WALK / MAX_PAGE {
        let slice = store.scan::<C>(range.clone(), page.clone()).await?;
        for record in slice.records.into_iter().filter(|record| keep(record)) {
            if listed.total >= window.offset && listed.items.len() < window.limit {
                listed.items.push(record.body);
            }
            listed.total = listed.total.saturating_add(1);
        }
        let Some(next) = slice.next else { break };
        page.after = Some(next);
    }
    Ok(listed)
}

/// Most records in one walk: about a second of reading. Older entries of the audit log are found by
/// a filter that has an index.
const MAX_WALK: usize = 200_000;
