//! The reading threads: a few, each with its own read-only connection.
//!
//! Reads never run on a runtime's worker, since a cold page or a stalled disk would hold it. The
//! one rule: what waits is bounded, and what does not fit is refused at once.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::read::Reader;
use crate::store::contract::ReadError;
use crate::store::engine::Read;
use crate::store::options::OpenError;

/// The submitting end; the threads end when it is dropped.
pub(crate) struct Pool {
    jobs: SyncSender<Job>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

enum Job {
    Run(Box<dyn FnOnce(&Reader) + Send>),
    Stop,
}

impl Pool {
    pub(crate) fn start(readers: Vec<Reader>) -> Result<Self, OpenError> {
        let (jobs, queue) = std::sync::mpsc::sync_channel(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = Vec::new();
        for reader in readers {
            let queue = Arc::clone(&queue);
            let thread = std::thread::Builder::new()
                .name("store-reader".to_owned())
                .spawn(move || work(&reader, &queue))
                .map_err(|error| OpenError::Engine { doing: "start a reader of", why: error.to_string() })?;
            threads.push(thread);
        }
        Ok(Self { jobs, threads: Mutex::new(threads) })
    }

    /// Runs `work` on a reading thread.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Read) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let (sender, answer) = oneshot::channel();
        let job = Job::Run(Box::new(move |reader: &Reader| {
            // Whoever no longer waits does not need the answer.
            let _ = sender.send(work(reader));
        }));
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => ReadError::Unavailable("too many reads are waiting".to_owned()),
            TrySendError::Disconnected(_) => closed(),
        })?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Ends the threads behind what is queued, and waits for them.
    pub(crate) fn end(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for _ in &threads {
            let _ = self.jobs.send(Job::Stop);
        }
        for thread in threads {
            let _ = thread.join();
        }
    }
}

fn work(reader: &Reader, queue: &Mutex<Receiver<Job>>) {
    loop {
        // The lock is held only while taking a job, never while running it.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(Job::Run(run)) => run(reader),
            Ok(Job::Stop) | Err(_) => return,
        }
    }
}

fn closed() -> ReadError {
    ReadError::Unavailable("it is closed".to_owned())
}

/// Reads that may wait: a second's worth for two threads on slow flash.
const QUEUE: usize = 1_024;
