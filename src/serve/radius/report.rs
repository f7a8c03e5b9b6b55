//! An Accounting-Request in the product's words (RFC 2866, RFC 2869 sections 5.1 to 5.3).

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use super::peers::Peer;
use crate::access::{Report, Restart, may_be_ours};
use crate::domain::session::{Counters, ReportKind};
use crate::radius::{Kind, Packet};

/// What an Accounting-Request says.
#[derive(Debug)]
pub(super) enum Said {
    /// Something about one session.
    Report(Box<Report>),
    /// Something about the whole NAS.
    Restart(Restart),
    /// Something that concerns no session: acknowledged, nothing to keep.
    Nothing,
    /// It lacks what RFC 2866 demands; it cannot be recorded, so it is not acknowledged.
    Unusable,
}

/// Reads an Accounting-Request that arrived from `source` at `now`.
pub(super) fn read(packet: &Packet<'_>, peer: &Peer, source: IpAddr, now: Timestamp) -> Said {
    let nas_address = peer.address_within(nas_said(packet), source);
    let nas_id = peer.entry.nas.id;
    let happened_at = happened_at(packet, now);
    let kind = match packet.u32(Kind::ACCT_STATUS_TYPE) {
        Some(1) => ReportKind::Start,
        Some(2) => ReportKind::Stop,
        Some(3) => ReportKind::Interim,
        Some(7) => return Said::Restart(Restart { nas_id, nas_address, going_down: false, happened_at }),
        Some(8) => return Said::Restart(Restart { nas_id, nas_address, going_down: true, happened_at }),
        // Tunnel and link records (RFC 2867) and failures: nothing that a session needs.
        Some(9..=15) => return Said::Nothing,
        Some(_) | None => return Said::Unusable,
    };
    let Some(acct_session_id) = text(packet, Kind::ACCT_SESSION_ID).filter(|id| !id.is_empty()) else {
        return Said::Unusable;
    };
    let class = packet.all(Kind::CLASS).find(|class| may_be_ours(class.value));
    Said::Report(Box::new(Report {
        kind,
        nas_id,
        nas_address,
        source,
        acct_session_id,
        username: text(packet, Kind::USER_NAME).unwrap_or_default(),
        class: class.map(|class| class.value.to_vec()),
        station: text(packet, Kind::CALLING_STATION_ID),
        called_station: text(packet, Kind::CALLED_STATION_ID),
        nas_port: text(packet, Kind::NAS_PORT_ID)
            .or_else(|| packet.u32(Kind::NAS_PORT).map(|port| port.to_string())),
        ipv4: packet.first(Kind::FRAMED_IP_ADDRESS).and_then(|address| address.ipv4()),
        ipv6_prefix: prefix(packet, Kind::FRAMED_IPV6_PREFIX),
        delegated_prefix: prefix(packet, Kind::DELEGATED_IPV6_PREFIX),
        counters: counters(packet),
        happened_at,
        terminate_cause: packet.u32(Kind::ACCT_TERMINATE_CAUSE),
    }))
}

/// The NAS counts from its side: its input is the subscriber's upload.
fn counters(packet: &Packet<'_>) -> Counters {
    let number = |kind| packet.u32(kind).map_or(0, u64::from);
    let up = packet.octets64(Kind::ACCT_INPUT_OCTETS, Kind::ACCT_INPUT_GIGAWORDS);
    let down = packet.octets64(Kind::ACCT_OUTPUT_OCTETS, Kind::ACCT_OUTPUT_GIGAWORDS);
    Counters {
        // The store counts in 63 bits; what a link cannot carry in a century is not believed.
        down_octets: down.unwrap_or(0).min(MAX_OCTETS),
        up_octets: up.unwrap_or(0).min(MAX_OCTETS),
        down_packets: number(Kind::ACCT_OUTPUT_PACKETS),
        up_packets: number(Kind::ACCT_INPUT_PACKETS),
        seconds: number(Kind::ACCT_SESSION_TIME),
        heard_millis: 0,
    }
}

/// When it happened: Event-Timestamp where it can be true, else now less Acct-Delay-Time. A NAS
/// whose clock starts in 1970 must not move a session there.
fn happened_at(packet: &Packet<'_>, now: Timestamp) -> Timestamp {
    let delay = i64::from(packet.u32(Kind::ACCT_DELAY_TIME).unwrap_or(0));
    let by_delay = now.checked_sub(SignedDuration::from_secs(delay.min(OLDEST_SECS))).unwrap_or(now);
    let by_stamp =
        packet.u32(Kind::EVENT_TIMESTAMP).and_then(|secs| Timestamp::from_second(i64::from(secs)).ok());
    by_stamp
        .filter(|stamp| {
            let age = now.duration_since(*stamp).as_secs();
            (-FUTURE_SECS..=OLDEST_SECS).contains(&age)
        })
        .map_or(by_delay, |stamp| stamp.min(now))
}

fn nas_said(packet: &Packet<'_>) -> Option<IpAddr> {
    let v4 = packet.first(Kind::NAS_IP_ADDRESS).and_then(|address| address.ipv4()).map(IpAddr::V4);
    v4.or_else(|| packet.first(Kind::NAS_IPV6_ADDRESS).and_then(|address| address.ipv6()).map(IpAddr::V6))
}

/// A text attribute in full length; octets that are no UTF-8 are kept visible, not dropped.
fn text(packet: &Packet<'_>, kind: Kind) -> Option<String> {
    packet.first(kind).map(|attribute| String::from_utf8_lossy(attribute.value).into_owned())
}

fn prefix(packet: &Packet<'_>, kind: Kind) -> Option<String> {
    let prefix = packet.first(kind)?.ipv6_prefix()?;
    Some(format!("{}/{}", prefix.address(), prefix.length()))
}

const MAX_OCTETS: u64 = i64::MAX.unsigned_abs();
/// A NAS may keep reports for days while its uplink is down; a month is beyond any buffer.
const OLDEST_SECS: i64 = 31 * 86_400;
/// How far a NAS's clock may be ahead of ours.
const FUTURE_SECS: i64 = 300;
