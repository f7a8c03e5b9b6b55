//! Programs of the ISP that are told of events: where, of what, and what became of each telling.
//!
//! The one rule: what can be told is a closed list; everything else in the change feed stays inside.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{DeliveryId, WebhookId};
use super::text::Line;

/// A place that is told of events.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Identity.
    pub id: WebhookId,
    /// Where deliveries are posted to.
    pub url: String,
    /// What people call it.
    pub name: Line,
    /// Of which events; empty means of all in [`EVENTS`].
    pub events: Vec<String>,
    /// The secret that signs, sealed with the box's key.
    pub secret: String,
    /// The secret before it, which signs too until `previous_until`, so that a receiver can change over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret: Option<String>,
    /// See `previous_secret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_until: Option<Timestamp>,
    /// Whether it is told anything.
    pub is_active: bool,
    /// Events of the feed up to here are before its time.
    pub since_seq: u64,
    /// Deliveries in a row that were not taken.
    #[serde(default)]
    pub failures: u32,
    /// When the next try may be made, after one that was not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed by staff.
    pub updated_at: Timestamp,
    /// When it was removed; it goes away once nothing of it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Timestamp>,
}

/// One event for one place.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Identity; the same however often it is sent.
    pub id: DeliveryId,
    /// For whom.
    pub webhook_id: WebhookId,
    /// Place of the event in the feed; tests have the place of the feed when they were asked for.
    pub seq: u64,
    /// The event's kind.
    pub kind: String,
    /// What is sent.
    pub body: String,
    /// What became of it.
    pub status: DeliveryStatus,
    /// When it was written down.
    pub created_at: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// The last tries, the newest last; at most [`TRIES_KEPT`].
    pub log: Vec<Try>,
    /// When it was delivered or given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Timestamp>,
    /// From when a day of tries is counted: when it was written down, or asked for again.
    pub trying_since: Timestamp,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// It is to be sent, or sent again.
    Waiting,
    /// The receiver took it.
    Delivered,
    /// It was given up after a day; staff can have it sent again.
    Parked,
}

/// One try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// When.
    pub at: Timestamp,
    /// What the receiver answered; `None` where there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl Webhook {
    /// Whether it is to be told of this event of the feed.
    #[must_use]
    pub fn wants(&self, kind: &str, seq: u64) -> bool {
        self.is_active
            && self.removed_at.is_none()
            && seq > self.since_seq
            && EVENTS.contains(&kind)
            && (self.events.is_empty() || self.events.iter().any(|one| one == kind))
    }
}

impl Delivery {
    /// Notes a try and what follows from it.
    pub fn note(&mut self, tried: Try) {
        let taken = tried.status.is_some_and(|status| (200..300).contains(&status));
        let at = tried.at;
        self.tries = self.tries.saturating_add(1);
        self.log.push(tried);
        if self.log.len() > TRIES_KEPT {
            self.log.remove(0);
        }
        if taken {
            (self.status, self.settled_at) = (DeliveryStatus::Delivered, Some(at));
        } else if at.duration_since(self.trying_since) >= TRY_FOR {
            (self.status, self.settled_at) = (DeliveryStatus::Parked, Some(at));
        }
    }

    /// Has it sent again.
    pub const fn again(&mut self, now: Timestamp) {
        self.status = DeliveryStatus::Waiting;
        self.settled_at = None;
        self.trying_since = now;
    }
}

impl DeliveryStatus {
    /// The name in API and store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Parked => "parked",
        }
    }
}

/// How long to wait after so many failures in a row: quick at first, for a restart; hourly for an outage.
#[must_use]
pub const fn pause(failures: u32) -> jiff::SignedDuration {
    let seconds = match failures {
        0 | 1 => 10,
        2 => 30,
        3 => 120,
        4 => 600,
        5 => 1_800,
        _ => 3_600,
    };
    jiff::SignedDuration::from_secs(seconds)
}

/// Whether deliveries may be sent there, as far as the text tells: HTTPS to a name. What the name leads to is
/// looked at at each delivery.
///
/// # Errors
/// What it must be.
pub fn check_url(url: &str) -> Result<(), &'static str> {
    if url.len() > MOST_URL || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be an address of at most 500 visible ASCII characters");
    }
    let rest = url.strip_prefix("https://").ok_or("must begin with https://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("must not hold a login; deliveries are signed");
    }
    if url.contains('#') {
        return Err("must not hold a fragment");
    }
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    let port = port.parse::<u16>().ok().filter(|port| *port > 0);
    port.ok_or("must have a port from 1 to 65535, or none")?;
    let labels: Vec<_> = host.trim_end_matches('.').split('.').collect();
    let is_label = |label: &&str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let last = labels.last().copied().unwrap_or_default();
    let is_name = labels.len() > 1 && labels.iter().all(is_label) && last.parse::<u32>().is_err();
    if !is_name || INSIDE.iter().any(|inside| last.eq_ignore_ascii_case(inside)) {
        return Err("must name a server on the public Internet, as https://hooks.example.net/edge");
    }
    Ok(())
}

/// What can be told: kinds of events in the change feed. `docs/webhooks.md` says what each holds.
pub const EVENTS: &[&str] = &[
    "credit_note.issued",
    "customer.created",
    "customer.updated",
    "invoice.dunned",
    "invoice.issued",
    "invoice.paid",
    "invoice.void",
    "invoice.written_off",
    "order.created",
    "order.fulfilled",
    "payment.failed",
    "payment.received",
    "payment.refunded",
    "payment.unmatched",
    "plan.created",
    "plan.updated",
    "service.activated",
    "service.created",
    "service.locked",
    "service.paid",
    "service.plan_changed",
    "service.provisioning_failed",
    "service.refunded",
    "service.restored",
    "service.suspended",
    "service.terminated",
    "service.topped_up",
    "session.ended",
    "session.started",
    "subscription.created",
    "subscription.held",
    "subscription.renewal_failed",
    "voucher.redeemed",
    "wallet.adjusted",
    "wallet.transferred",
];
/// The kind of a test delivery.
pub const TEST: &str = "webhook.test";
/// Tries kept of one delivery.
pub const TRIES_KEPT: usize = 10;
/// How long a delivery is tried.
pub const TRY_FOR: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
/// Longest address.
const MOST_URL: usize = 500;
/// Last labels of names that lead nowhere outside.
const INSIDE: &[&str] = &["localhost", "local", "internal", "lan", "home", "arpa", "test", "invalid"];

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Webhook({}, {} failures)", self.id, self.failures)
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Delivery({} {} for {}, {})", self.id, self.kind, self.webhook_id, self.status.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_on_the_public_internet_by_https_are_taken() {
        for good in
            ["https://hooks.example.net/edge?a=1", "https://a.b.example.net:8443/", "https://example.net"]
        {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in [
            "http://hooks.example.net/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://10.0.0.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://localhost/",
            "https://printer/",
            "https://router.lan/",
            "https://metadata.internal/",
            "https://user:pw@hooks.example.net/",
            "https://hooks.example.net:0/",
            "https://hooks.example.net:99999/",
            "https://hooks.example.net/#x",
            "https://hooks example.net/",
            "https://hooks..example.net/",
            "https://-a.example.net/",
            "ftp://hooks.example.net/",
            "https://",
            "",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn events_are_in_order_and_there_once() {
        assert!(EVENTS.windows(2).all(|pair| pair.first() < pair.last()));
    }

    #[test]
    fn a_delivery_is_tried_for_a_day_and_then_parked() {
        let at = |hour: i64| Timestamp::from_second(1_800_000_000 + hour * 3_600).unwrap();
        let mut delivery = Delivery {
            id: DeliveryId(uuid::Uuid::nil()),
            webhook_id: WebhookId(uuid::Uuid::nil()),
            seq: 1,
            kind: "payment.received".into(),
            body: "{}".into(),
            status: DeliveryStatus::Waiting,
            created_at: at(0),
            tries: 0,
            log: vec![],
            settled_at: None,
            trying_since: at(0),
        };
        for hour in 0..24 {
            delivery.note(Try { at: at(hour), status: Some(500), fault: None });
            assert_eq!(delivery.status, DeliveryStatus::Waiting);
        }
        delivery.note(Try { at: at(24), status: None, fault: Some("no connection".into()) });
        assert_eq!((delivery.status, delivery.tries, delivery.log.len()), (DeliveryStatus::Parked, 25, 10));
        delivery.again(at(30));
        delivery.note(Try { at: at(31), status: Some(302), fault: None });
        assert_eq!(delivery.status, DeliveryStatus::Waiting, "a redirect is not taken for a yes");
        delivery.note(Try { at: at(32), status: Some(204), fault: None });
        assert_eq!((delivery.status, delivery.settled_at), (DeliveryStatus::Delivered, Some(at(32))));
    }
}
