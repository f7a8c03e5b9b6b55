//! Pages of stored records, with their total, for lists that a person looks at.
//!
//! The store pages by cursor and counts nothing; a list wants an offset and a total. So the range
//! is walked, counting what fits and keeping only the window. The one rule: a walk is bounded, and
//! says so rather than giving a wrong total.

use super::app::App;
use super::error::{ApiError, Code};
use super::shape::Window;
use crate::store::contract::{Collection, MAX_PAGE, Page, Range, Record};

/// One window of a range and the total of it.
#[derive(Debug)]
pub struct Listed<C: Collection> {
    /// The window's records.
    pub records: Vec<Record<C>>,
    /// How many there are in all.
    pub total: u64,
}

/// Reads a window of what `keep` lets through; `reverse` gives the newest (largest) first.
///
/// # Errors
/// The store's, and 422 for a range with more than [`MAX_WALK`] records.
pub async fn list<C: Collection>(
    app: &App,
    range: Range,
    reverse: bool,
    window: Window,
    keep: impl Fn(&Record<C>) -> bool + Send,
) -> Result<Listed<C>, ApiError> {
    let mut listed = Listed { records: Vec::new(), total: 0 };
    let end = window.offset.saturating_add(window.limit);
    let mut page = Page { after: None, limit: MAX_PAGE, reverse };
    for _ in 0..MAX_WALK / MAX_PAGE {
        let slice = app.store.scan::<C>(range.clone(), page.clone()).await?;
        for record in slice.records.into_iter().filter(|record| keep(record)) {
            if (window.offset..end).contains(&listed.total) {
                listed.records.push(record);
            }
            listed.total = listed.total.saturating_add(1);
        }
        let Some(next) = slice.next else { return Ok(listed) };
        page.after = Some(next);
    }
    let message = format!("More than {MAX_WALK} records; narrow the list with a filter.");
    Err(ApiError::new(Code::RuleViolation, message))
}

/// Most records in one walk: ten times what one box serves; about a second of work.
pub const MAX_WALK: usize = 500_000;
