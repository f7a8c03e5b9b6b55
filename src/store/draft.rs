//! A change that is decided but not yet committed: the unit and what it will have made.
//!
//! A use case reads, decides and returns a [`Draft`]; whoever called it commits the unit, at the
//! door together with the kept answer of an `Idempotency-Key`, so that change and answer are one
//! commit. A conflict means: draft again from fresh reads.

use super::contract::Unit;

/// A decided change.
#[derive(Debug, Clone)]
pub struct Draft<T> {
    /// What to commit.
    pub unit: Unit,
    /// What exists once it is committed.
    pub value: T,
}

impl<T> Draft<T> {
    /// A decided change.
    #[must_use]
    pub const fn new(unit: Unit, value: T) -> Self {
        Self { unit, value }
    }

    /// The same change with its value seen differently.
    #[must_use]
    pub fn map<U>(self, view: impl FnOnce(T) -> U) -> Draft<U> {
        Draft { unit: self.unit, value: view(self.value) }
    }
}
