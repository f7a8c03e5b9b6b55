//! What the RADIUS door counts. Handles are made once, so that counting is one atomic addition.

use metrics::{Counter, counter};

use crate::radius::exchange::Discard;

/// The counters of one worker.
pub(super) struct Counters {
    pub(super) accepted: Counter,
    pub(super) refused: Counter,
    pub(super) challenged: Counter,
    pub(super) recorded: Counter,
    pub(super) not_recorded: Counter,
    pub(super) status: Counter,
    pub(super) replayed: Counter,
    pub(super) in_progress: Counter,
    pub(super) unknown_nas: Counter,
    pub(super) unusable: Counter,
    pub(super) busy: Counter,
    pub(super) receive_errors: Counter,
    discarded: Vec<(&'static str, Counter)>,
}

impl Counters {
    pub(super) fn new(port: &'static str) -> Self {
        let answered = |result: &'static str| counter!(ANSWERED, "port" => port, "result" => result);
        let dropped = |reason: &'static str| counter!(DROPPED, "port" => port, "reason" => reason);
        Self {
            accepted: answered("accept"),
            refused: answered("reject"),
            challenged: answered("challenge"),
            recorded: answered("recorded"),
            status: answered("status"),
            replayed: answered("replayed"),
            not_recorded: dropped("not_recorded"),
            in_progress: dropped("in_progress"),
            unknown_nas: dropped("unknown_nas"),
            unusable: dropped("unusable"),
            busy: dropped("busy"),
            receive_errors: counter!("dotmac_radius_receive_errors_total", "port" => port),
            discarded: Discard::LABELS.iter().map(|label| (*label, dropped(label))).collect(),
        }
    }

    pub(super) fn discarded(&self, why: &Discard) {
        let label = why.label();
        if let Some((_, counter)) = self.discarded.iter().find(|(one, _)| *one == label) {
            counter.increment(1);
        }
    }
}

const ANSWERED: &str = "dotmac_radius_answers_total";
const DROPPED: &str = "dotmac_radius_dropped_total";
