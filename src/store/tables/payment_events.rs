//! What providers of payments told of.

use crate::domain::payment_event::PaymentEvent;
use crate::store::Registration;
use crate::store::contract::{Collection, CollectionSpec, IndexSpec, IndexValue, SealKind};

collection! {
    /// Events; key [`event_key`], so that each is there once.
    PaymentEvents: "payment_events", String => PaymentEvent, schema 1, Keyed, counters &[],
    [
        received_at = |event| event.received_at.as_millisecond().into(),
        next_try_at = |event| event.next_try_at.map(jiff::Timestamp::as_millisecond).into(),
    ]
}

/// The key of an event: provider, kind and object together.
#[must_use]
pub fn event_key(provider: &str, kind: &str, object: &str) -> String {
    format!("{provider}|{kind}|{object}")
}

/// The collections of this file.
pub(super) fn all() -> Vec<Registration> {
    vec![Registration::of::<PaymentEvents>()]
}
