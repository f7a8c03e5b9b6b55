//! How many records a list has, without counting them each time.
//!
//! A count is taken from the engine once and then kept in step with what is committed. It is for showing, never for
//! deciding, and nothing of it outlives the process. The one rule: a count is kept only where no commit was under way
//! while it was taken, so that none is counted twice or not at all.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::contract::{CollectionSpec, IndexValue, Range};
use super::record::Applied;

/// The counts of one store.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    known: HashMap<(&'static str, Which), u64>,
    /// Batches that were begun, and those of them whose changes are in `known`.
    begun: u64,
    ended: u64,
}

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Which {
    /// Every record.
    All,
    /// Those that have the index at all.
    Indexed(usize),
    /// Those whose index has this value.
    Value(usize, IndexValue),
}

/// That no commit was under way when a count began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quiet(u64);

impl Counts {
    /// The count of a range, where it is known.
    pub(crate) fn known(&self, spec: &CollectionSpec, range: &Range) -> Option<u64> {
        let which = Which::of(spec, range)?;
        self.state().known.get(&(spec.name, which)).copied()
    }

    /// To be asked before counting; `None` while a commit is under way.
    pub(crate) fn quiet(&self) -> Option<Quiet> {
        let state = self.state();
        (state.begun == state.ended).then_some(Quiet(state.begun))
    }

    /// Keeps a count, where nothing was committed since `quiet` was asked for.
    pub(crate) fn keep(&self, spec: &CollectionSpec, range: &Range, count: u64, quiet: Option<Quiet>) {
        let (Some(which), Some(Quiet(then))) = (Which::of(spec, range), quiet) else { return };
        let mut state = self.state();
        if (state.begun, state.ended) == (then, then) {
            if state.known.len() >= MOST_KEPT {
                state.known.clear();
            }
            state.known.insert((spec.name, which), count);
        }
    }

    /// A batch begins: what is read from now on may or may not hold its changes.
    pub(crate) fn begin(&self) {
        let mut state = self.state();
        state.begun = state.begun.saturating_add(1);
    }

    /// The batch that began last has ended with these changes; `None` where that is not known.
    pub(crate) fn end(&self, applied: Option<&[Applied]>) {
        let mut state = self.state();
        match applied {
            Some(applied) => applied.iter().for_each(|change| state.follow(change)),
            None => state.known.clear(),
        }
        state.ended = state.begun;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn follow(&mut self, change: &Applied) {
        if self.known.is_empty() {
            return;
        }
        let name = change.collection.name;
        self.add(name, Which::All, change.grown);
        for (at, before, after) in &change.moved {
            for (value, by) in [(before, -1), (after, 1)] {
                if *value != IndexValue::Null {
                    self.add(name, Which::Indexed(*at), by);
                    self.add(name, Which::Value(*at, value.clone()), by);
                }
            }
        }
    }

    fn add(&mut self, name: &'static str, which: Which, by: i64) {
        if by != 0
            && let Some(count) = self.known.get_mut(&(name, which))
        {
            *count = count.saturating_add_signed(by);
        }
    }
}

impl Which {
    /// `None` for a range whose count is not kept: it is counted each time.
    fn of(spec: &CollectionSpec, range: &Range) -> Option<Self> {
        let place = |name: &str| spec.indexes.iter().position(|index| index.name == name);
        match range {
            Range::All => Some(Self::All),
            Range::Equals(name, value) => Some(Self::Value(place(name)?, value.clone())),
            Range::Between(name, IndexValue::Integer(i64::MIN), IndexValue::Integer(i64::MAX)) => {
                Some(Self::Indexed(place(name)?))
            }
            Range::Between(..) | Range::KeyPrefix(_) => None,
        }
    }
}

/// Counts that are kept: lists that are looked at are few, and one that was forgotten is counted again.
const MOST_KEPT: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::Collection;
    use crate::store::suite::Things;

    #[test]
    fn a_count_that_was_taken_while_something_was_committed_is_not_kept() {
        let counts = Counts::default();
        let quiet = counts.quiet();
        counts.begin();
        assert_eq!(counts.quiet(), None);
        counts.keep(Things::SPEC, &Range::All, 7, quiet);
        counts.end(Some(&[]));
        counts.keep(Things::SPEC, &Range::All, 7, quiet);
        assert_eq!(counts.known(Things::SPEC, &Range::All), None);
        counts.keep(Things::SPEC, &Range::All, 7, counts.quiet());
        assert_eq!(counts.known(Things::SPEC, &Range::All), Some(7));
        counts.begin();
        counts.end(None);
        assert_eq!(counts.known(Things::SPEC, &Range::All), None, "what is not known is counted again");
    }
}
