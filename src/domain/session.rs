//! Sessions: one presence of one device on the network, whoever reports it.
//!
//! Reports come late, twice and out of order; counters are absolute, so the largest value seen is
//! the truth and a repeat changes nothing. A session once closed is never reopened by a late
//! report: its counters may still grow (a Stop that overtook an Interim), its end stays.
//! The rules here turn a report into what must be written; `access` writes it.

use std::net::{IpAddr, Ipv4Addr};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use uuid::Uuid;

use super::device::MacAddress;
use super::ids::{NasId, ServiceId, SessionId, SubscriberId};
use super::rate::Rates;
use super::refusal::Refusal;

/// A session's record, without its counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Identity.
    pub id: SessionId,
    /// Where: the NAS that reports it.
    pub nas_id: NasId,
    /// The NAS's own address, where its record covers a network of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nas_address: Option<IpAddr>,
    /// The NAS's own id for it (Acct-Session-Id), unique among that NAS's open sessions.
    pub acct_session_id: String,
    /// Which service, when the login is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_id: Option<ServiceId>,
    /// Whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriber_id: Option<SubscriberId>,
    /// Version of the contract's terms under which the login was granted, from our own Class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_terms: Option<u32>,
    /// Speeds that its NAS was told last; unknown of a session that an older program granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_rates: Option<Rates>,
    /// Whether only the way to pay was opened to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub granted_captive: bool,
    /// The login as reported.
    pub username: String,
    /// Calling-Station-Id as reported: usually the device's MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calling_station: Option<String>,
    /// Called-Station-Id as reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called_station: Option<String>,
    /// NAS-Port-Id or NAS-Port as reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nas_port: Option<String>,
    /// Framed-IP-Address as reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Ipv4Addr>,
    /// Framed-IPv6-Prefix as reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6_prefix: Option<String>,
    /// Delegated-IPv6-Prefix as reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegated_prefix: Option<String>,
    /// Address the reports come from.
    pub reported_from: IpAddr,
    /// Where this box itself is the gateway that it passes: its device, and how packets are marked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<Local>,
    /// The keys (`session_key`) under which other reporters speak of the same presence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// When it began: as reported, or computed from a later report.
    pub opened_at: Timestamp,
    /// How we learned of its beginning.
    pub opened_by: OpenedBy,
    /// When it ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_why: Option<CloseReason>,
}

impl Session {
    /// Whether a later report that shows it going on takes its end back: silence, or what its NAS said of it, is
    /// weaker than a report.
    #[must_use]
    pub fn may_go_on_after_all(&self) -> bool {
        match &self.closed_why {
            Some(CloseReason::Silence | CloseReason::NotAtNas) => true,
            // Of a local one the kernel has spoken, and it reports itself.
            Some(CloseReason::Disconnected | CloseReason::NotEntitled { .. }) => self.local.is_none(),
            Some(
                CloseReason::Stop { .. }
                | CloseReason::NasRestarted
                | CloseReason::NasShutDown
                | CloseReason::Replaced
                | CloseReason::LoggedOut
                | CloseReason::Idle
                | CloseReason::SessionLimit
                | CloseReason::NotAdmitted
                | CloseReason::Confirmed,
            )
            | None => false,
        }
    }
}

/// A session that this box's own kernel enforces and counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Local {
    /// The access interface.
    pub interface: String,
    /// The device.
    pub mac: MacAddress,
    /// The number that its packets are marked with; the same for all sessions of one holder.
    pub number: u32,
    /// Who shares limit and counter: the service, or the signup while its address is unconfirmed.
    pub holder: Uuid,
    /// Speeds, where no service says them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
    /// When it ends at the latest, whatever else happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
}

/// How a session's beginning became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenedBy {
    /// Its Start arrived.
    Start,
    /// Its Start was lost; a later report revealed it.
    LaterReport,
    /// Somebody logged in at the portal.
    Portal,
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum CloseReason {
    /// Accounting-Stop, with Acct-Terminate-Cause (RFC 2866 section 5.10) if given.
    Stop {
        /// The cause's number.
        cause: Option<u32>,
    },
    /// The NAS said Accounting-On: it had restarted.
    NasRestarted,
    /// The NAS said Accounting-Off: it was shutting down.
    NasShutDown,
    /// A new session with the same id began at the same NAS.
    Replaced,
    /// Nothing was heard of it for too long; its end is the last that was heard. A later report
    /// that shows it going on takes this back.
    Silence,
    /// The subscriber logged out at the portal.
    LoggedOut,
    /// Staff, or the subscriber from another device, ended it.
    Disconnected,
    /// Its NAS says that it has no such session. A later report that shows it going on takes this back.
    NotAtNas,
    /// Nothing passed for as long as the plan allows.
    Idle,
    /// It lasted as long as one session may.
    SessionLimit,
    /// The service is no longer entitled.
    NotEntitled {
        /// Why not.
        refusal: Refusal,
    },
    /// The kernel did not let the device in.
    NotAdmitted,
    /// The address was confirmed: what follows is a session of the service.
    Confirmed,
}

/// The absolute counters of a session, from the subscriber's view.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Octets toward the subscriber (Acct-Output-Octets with its gigawords).
    pub down_octets: u64,
    /// Octets from the subscriber (Acct-Input-Octets with its gigawords).
    pub up_octets: u64,
    /// Packets toward the subscriber.
    pub down_packets: u64,
    /// Packets from the subscriber.
    pub up_packets: u64,
    /// Acct-Session-Time.
    pub seconds: u64,
    /// Unix milliseconds of the latest report, by our clock.
    pub heard_millis: u64,
}

impl Counters {
    /// Names of the counters, in the order of [`Counters::to_array`].
    pub const NAMES: &'static [&'static str] =
        &["down_octets", "up_octets", "down_packets", "up_packets", "seconds", "heard_millis"];

    /// The values in the order of [`Counters::NAMES`].
    #[must_use]
    pub const fn to_array(self) -> [u64; 6] {
        [
            self.down_octets,
            self.up_octets,
            self.down_packets,
            self.up_packets,
            self.seconds,
            self.heard_millis,
        ]
    }

    /// The counters from stored values; missing ones are zero.
    #[must_use]
    pub fn from_slice(values: &[u64]) -> Self {
        let at = |position: usize| values.get(position).copied().unwrap_or(0);
        Self {
            down_octets: at(0),
            up_octets: at(1),
            down_packets: at(2),
            up_packets: at(3),
            seconds: at(4),
            heard_millis: at(5),
        }
    }

    /// The positions and values that are above zero, for a merge.
    #[must_use]
    pub fn to_merge(self) -> Vec<(usize, u64)> {
        self.to_array().into_iter().enumerate().filter(|(_, value)| *value > 0).collect()
    }

    /// The larger of each: what two reports of one session together say.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            down_octets: self.down_octets.max(other.down_octets),
            up_octets: self.up_octets.max(other.up_octets),
            down_packets: self.down_packets.max(other.down_packets),
            up_packets: self.up_packets.max(other.up_packets),
            seconds: self.seconds.max(other.seconds),
            heard_millis: self.heard_millis.max(other.heard_millis),
        }
    }
}

/// What one report means for what is known of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// Unknown until now: write it, open.
    Open,
    /// Unknown until now and already over: write it, closed.
    OpenClosed,
    /// Known and open: raise its counters.
    Touch,
    /// Known and open: raise its counters and close it.
    Close,
    /// Known and closed: raise its counters, leave its end alone.
    TouchClosed,
    /// The id was used before for a session that has ended, and this is a new one.
    OpenAnew,
}

/// The kind of a report (Acct-Status-Type, RFC 2866 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// Start.
    Start,
    /// Interim-Update.
    Interim,
    /// Stop.
    Stop,
}

/// What is known of the session that a report names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    Nothing,
    /// It is open.
    Open,
    /// It has ended; when it began and ended, as known.
    Closed {
        /// When it began.
        opened_at: Timestamp,
        /// When it ended.
        closed_at: Timestamp,
    },
}

/// Decides what a report means. `began_at` is when, by the report, its session began.
#[must_use]
pub fn transition(known: Known, kind: ReportKind, began_at: Timestamp) -> Transition {
    match (known, kind) {
        (Known::Nothing, ReportKind::Start | ReportKind::Interim) => Transition::Open,
        (Known::Nothing, ReportKind::Stop) => Transition::OpenClosed,
        (Known::Open, ReportKind::Start | ReportKind::Interim) => Transition::Touch,
        (Known::Open, ReportKind::Stop) => Transition::Close,
        (Known::Closed { closed_at, .. }, kind) => {
            // A NAS that restarts may use its ids again. Clocks and delays blur the beginning by
            // some seconds, so only a beginning clearly after the known end is a new session.
            let anew = began_at.duration_since(closed_at) > REUSE_MARGIN;
            match (anew, kind) {
                (false, ReportKind::Start | ReportKind::Interim | ReportKind::Stop) => {
                    Transition::TouchClosed
                }
                (true, ReportKind::Start | ReportKind::Interim) => Transition::OpenAnew,
                (true, ReportKind::Stop) => Transition::OpenClosed,
            }
        }
    }
}

/// How far after a session's end a beginning must lie to be another session's.
pub const REUSE_MARGIN: SignedDuration = SignedDuration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn reports_in_order_open_touch_and_close() {
        assert_eq!(transition(Known::Nothing, ReportKind::Start, at(0)), Transition::Open);
        assert_eq!(transition(Known::Open, ReportKind::Interim, at(0)), Transition::Touch);
        assert_eq!(transition(Known::Open, ReportKind::Stop, at(0)), Transition::Close);
    }

    #[test]
    fn a_stop_whose_start_was_lost_is_still_recorded() {
        assert_eq!(transition(Known::Nothing, ReportKind::Stop, at(0)), Transition::OpenClosed);
    }

    #[test]
    fn a_late_report_never_reopens_a_session() {
        let closed = Known::Closed { opened_at: at(0), closed_at: at(100) };
        for kind in [ReportKind::Start, ReportKind::Interim, ReportKind::Stop] {
            assert_eq!(transition(closed, kind, at(0)), Transition::TouchClosed, "{kind:?}");
        }
    }

    #[test]
    fn an_id_used_again_after_the_end_is_a_new_session() {
        let closed = Known::Closed { opened_at: at(0), closed_at: at(100) };
        assert_eq!(transition(closed, ReportKind::Start, at(500)), Transition::OpenAnew);
        assert_eq!(transition(closed, ReportKind::Start, at(103)), Transition::TouchClosed);
    }
}
