//! Answers that come from elsewhere: a commit that became durable, a slow hash that was checked.
//!
//! Other threads leave them here and wake the worker, which owns socket and duplicate cache.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::eap::Turn;
use crate::domain::refusal::Refusal;
use crate::eap::Step;

/// What came in for a request that waits.
pub(super) enum News {
    /// Its record is durable, or is not.
    Recorded {
        /// Whether it may be acknowledged.
        durable: bool,
    },
    /// Its password was checked against a slow verifier.
    Verified {
        /// Whether it fits; `None` when the checkers were too busy.
        fits: Option<bool>,
    },
    /// Its voucher was used first.
    Used {
        /// Whether it was.
        used: Result<(), Refusal>,
    },
    /// Its handshake was carried on.
    Stepped {
        /// To where; `None` where it broke something of ours.
        to: Option<(Box<Turn>, Step)>,
    },
}

/// A worker's inbox.
pub(super) struct Inbox {
    news: Mutex<Vec<(u64, News)>>,
    has_news: AtomicBool,
    bell: EventFd,
    turns: AtomicU64,
}

impl Inbox {
    pub(super) fn new() -> std::io::Result<Arc<Self>> {
        let bell = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        Ok(Arc::new(Self {
            news: Mutex::default(),
            has_news: AtomicBool::new(false),
            bell,
            turns: AtomicU64::new(0),
        }))
    }

    /// Leaves news for the request of that ticket and wakes the worker.
    pub(super) fn leave(&self, ticket: u64, news: News) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).push((ticket, news));
        // One ring is enough until the worker has looked.
        if !self.has_news.swap(true, Ordering::AcqRel) {
            self.ring();
        }
    }

    /// Wakes the worker for another reason.
    pub(super) fn ring(&self) {
        // A full counter is a bell that is ringing already.
        let _ = self.bell.write(1);
    }

    /// The worker has turned once more: the sign of life that the watchdog looks for.
    pub(super) fn turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has turned.
    pub(super) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Takes the news into `room`, leaving the inbox empty.
    pub(super) fn take(&self, room: &mut Vec<(u64, News)>) {
        if !self.has_news.swap(false, Ordering::AcqRel) {
            return;
        }
        room.append(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Quietens the bell; do it before looking for news, so that a ring in between is heard.
    pub(super) fn quieten(&self) {
        let _ = self.bell.read();
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
