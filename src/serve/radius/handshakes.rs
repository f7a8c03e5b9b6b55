//! Rounds of TLS handshakes, off the workers: a public key's operation takes a millisecond or more, in which a
//! worker answers hundreds of other logins.
//!
//! The one rule: bounded. What does not fit is dropped, and the NAS asks again.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::eap::{Round, Turn};
use crate::eap::Step;

/// Where a round went to; `None` where it broke something of ours.
pub(super) type Done = Box<dyn FnOnce(Option<(Box<Turn>, Step)>) + Send>;

/// The threads that do handshakes.
pub(super) struct Handshakes {
    queue: SyncSender<(Box<Round>, Done)>,
}

impl Handshakes {
    /// Starts the threads; they end when this is dropped.
    pub(super) fn start(threads: u32) -> io::Result<Self> {
        let (queue, rounds) = sync_channel(QUEUE);
        let rounds = Arc::new(Mutex::new(rounds));
        for number in 0..threads.max(1) {
            let rounds = Arc::clone(&rounds);
            std::thread::Builder::new().name(format!("eap-{number}")).spawn(move || work(&rounds))?;
        }
        Ok(Self { queue })
    }

    /// Hands a round over; false where too many wait.
    pub(super) fn take(&self, round: Box<Round>, done: Done) -> bool {
        self.queue.try_send((round, done)).is_ok()
    }
}

fn work(rounds: &Mutex<Receiver<(Box<Round>, Done)>>) {
    loop {
        let next = rounds.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((round, done)) = next else { return };
        // A conversation that breaks something ends alone.
        done(catch_unwind(AssertUnwindSafe(|| (*round).step())).ok());
    }
}

/// Handshakes that may wait: a second's work of two cores.
const QUEUE: usize = 1_024;
