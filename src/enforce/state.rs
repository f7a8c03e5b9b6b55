//! How the gateway is, for people: what the last look found.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// What the last look found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GatewayState {
    /// When.
    pub looked_at: Option<Timestamp>,
    /// Holders whose devices pass.
    pub admitted: usize,
    /// Repairs since the start: rules or elements that a foreign hand had changed.
    pub repairs: u64,
    /// Chains of others that can keep packets from the portal or from subscribers.
    pub foreign: Vec<ForeignChain>,
    /// Why the last look failed, if it did.
    pub fault: Option<String>,
}

/// A chain of another table on a hook where we decide, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignChain {
    /// Family and table, as `inet filter`.
    pub table: String,
    /// Its name.
    pub chain: String,
    /// Where it is called.
    pub hook: &'static str,
    /// What it does not accept, it drops.
    pub drops: bool,
}

/// What worker and handles share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<GatewayState>,
    overflowed: AtomicBool,
}

impl Shared {
    pub(super) fn state(&self) -> GatewayState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut GatewayState)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn note_overflow(&self) {
        self.overflowed.store(true, Ordering::Relaxed);
    }

    pub(super) fn take_overflow(&self) -> bool {
        self.overflowed.swap(false, Ordering::Relaxed)
    }
}
