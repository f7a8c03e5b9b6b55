//! RADIUS attributes as FreeRADIUS keeps them, in our words: those that mean something here are a service's own, the
//! others are named by their line.
//!
//! The one rule: an attribute that cannot be taken as it was meant is told, never guessed at.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::Foreign;
use super::sql::Record;
use crate::catalogue::roster::{Own, PaidTime};
use crate::domain::plan::MAX_DEVICE_LIMIT;
use crate::domain::rate::{BitsPerSecond, Download, Rates, Upload};
use crate::domain::text::Code;

/// What the attributes of somebody (a login, a group) come to. `whose` is told with each that is left.
pub(super) fn own(foreign: &mut Foreign, whose: &str, records: &[&Record], zone: &TimeZone) -> Own {
    let mut own = Own::default();
    let (mut down, mut up) = (None, None);
    for record in records {
        let (name, value) =
            (record.get("attribute").unwrap_or_default(), record.get("value").unwrap_or_default());
        let taken = match name.to_ascii_lowercase().as_str() {
            "framed-ip-address" => address(value).map(|address| own.addresses.ipv4 = address),
            "framed-pool" => Code::parse(value).ok().map(|pool| own.addresses.pool = Some(pool)),
            "mikrotik-rate-limit" => mikrotik(value).and_then(rates).map(|rates| own.rates = Some(rates)),
            "wispr-bandwidth-max-down" => value.parse::<u64>().ok().map(|bits| down = Some(bits)),
            "wispr-bandwidth-max-up" => value.parse::<u64>().ok().map(|bits| up = Some(bits)),
            "session-timeout" => seconds(value).map(|secs| own.session_secs = Some(secs)),
            "idle-timeout" => seconds(value).map(|secs| own.idle_secs = Some(secs)),
            "simultaneous-use" => devices(value).map(|count| own.device_limit = Some(count)),
            "expiration" | "wispr-session-terminate-time" => {
                moment(value, zone).map(|until| own.paid = Some(PaidTime { from: None, until }))
            }
            known if SPOKEN_FOR.contains(&known) || is_password(name) => Some(()),
            _ => {
                let text = format!("{name} of {whose:?} means nothing here and is not taken over");
                foreign.note(record.line, "attribute", text);
                Some(())
            }
        };
        if taken.is_none() {
            let text = format!("{name} of {whose:?} cannot be read and is not taken over; set it by hand");
            foreign.note(record.line, "attribute", text);
        }
    }
    own.rates = own.rates.or_else(|| rates(down.zip(up)?));
    own
}

impl Own {
    /// The same, with what `group` says where this says nothing. What a group's plan says already stays the plan's.
    pub(super) fn over(self, group: &Self) -> Self {
        let mut own = self;
        // A fixed address is one login's alone.
        own.addresses.pool = own.addresses.pool.or_else(|| group.addresses.pool.clone());
        own.paid = own.paid.or(group.paid);
        own
    }
}

/// An address; the two that leave it to the NAS (RFC 2865 section 5.8) are none.
fn address(text: &str) -> Option<Option<Ipv4Addr>> {
    let address: Ipv4Addr = text.parse().ok()?;
    Some(Some(address).filter(|address| !LEFT_TO_THE_NAS.contains(address)))
}

fn seconds(text: &str) -> Option<u32> {
    text.parse().ok().filter(|secs| *secs > 0)
}

fn devices(text: &str) -> Option<u32> {
    text.parse().ok().filter(|count| (1..=MAX_DEVICE_LIMIT).contains(count))
}

fn rates((down, up): (u64, u64)) -> Option<Rates> {
    let rate = |bits| BitsPerSecond::new(bits).ok();
    Some(Rates { down: Download(rate(down)?), up: Upload(rate(up)?) })
}

/// `rx/tx …` as the router sees it: the first is what the subscriber sends. Down and up, bits a second.
pub(super) fn mikrotik(text: &str) -> Option<(u64, u64)> {
    let first = text.split_whitespace().next()?;
    let (up, down) = first.split_once('/').unwrap_or((first, first));
    let bits = |text: &str| {
        let digits = text.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G']);
        let scale = match text.get(digits.len()..)?.to_ascii_lowercase().as_str() {
            "" => 1,
            "k" => 1_000,
            "m" => 1_000_000,
            "g" => 1_000_000_000,
            _ => return None,
        };
        digits.parse::<u64>().ok()?.checked_mul(scale).filter(|bits| *bits > 0)
    };
    bits(down).zip(bits(up))
}

/// A moment in one of the ways in which FreeRADIUS reads and writes them; where no zone is said, by the site's clock.
fn moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    let local = |local: DateTime| local.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp());
    let timed = TIMES.iter().find_map(|form| DateTime::strptime(form, text).ok());
    let day = || DAYS.iter().find_map(|form| Date::strptime(form, text).ok());
    timed.or_else(|| day().map(|day| day.to_datetime(jiff::civil::Time::midnight()))).and_then(local)
}

/// Whether an attribute holds a password in some form.
pub(super) fn is_password(name: &str) -> bool {
    name.eq_ignore_ascii_case("Cleartext-Password")
        || name.eq_ignore_ascii_case("User-Password")
        || is_hash(name)
}

/// Whether an attribute holds a password in a form that no service here can answer CHAP with.
pub(super) fn is_hash(name: &str) -> bool {
    HASHES.iter().any(|hash| hash.eq_ignore_ascii_case(name))
}

/// Addresses by which a server says that the NAS or the user chooses.
const LEFT_TO_THE_NAS: [Ipv4Addr; 2] = [Ipv4Addr::new(255, 255, 255, 254), Ipv4Addr::new(255, 255, 255, 255)];
/// Attributes that are looked at elsewhere.
const SPOKEN_FOR: &[&str] = &["auth-type"];
const TIMES: &[&str] = &[
    "%d %b %Y %H:%M:%S",
    "%d %b %Y %H:%M",
    "%d %B %Y %H:%M:%S",
    "%d %B %Y %H:%M",
    "%b %d %Y %H:%M:%S",
    "%b %d %Y %H:%M",
    "%B %d %Y %H:%M:%S",
    "%B %d %Y %H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
];
const DAYS: &[&str] = &["%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d %Y", "%Y-%m-%d"];
/// Attributes that hold a password in another form.
const HASHES: &[&str] = &[
    "Crypt-Password",
    "MD5-Password",
    "SMD5-Password",
    "SHA-Password",
    "SSHA-Password",
    "SHA1-Password",
    "SHA2-Password",
    "SSHA2-256-Password",
    "SSHA2-512-Password",
    "NT-Password",
    "LM-Password",
    "PBKDF2-Password",
    "Password-With-Header",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_the_ways_that_freeradius_writes_them() {
        let zone = TimeZone::get("Africa/Lagos").unwrap();
        let read = |text: &str| moment(text, &zone).map(|at| at.to_string());
        for text in [
            "15 Mar 2027 10:00",
            "15 Mar 2027 10:00:00",
            "Mar 15 2027 10:00:00",
            "March 15 2027 10:00",
            "2027-03-15 10:00:00",
            "2027-03-15T10:00:00",
            "2027-03-15T09:00:00Z",
        ] {
            assert_eq!(read(text).as_deref(), Some("2027-03-15T09:00:00Z"), "{text}");
        }
        assert_eq!(read("15 Mar 2027").as_deref(), Some("2027-03-14T23:00:00Z"));
        for text in ["", "never", "32 Mar 2027", "15.3.27"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn an_address_that_leaves_it_to_the_nas_is_none() {
        assert_eq!(address("10.9.0.5"), Some(Some("10.9.0.5".parse().unwrap())));
        assert_eq!(address("255.255.255.254"), Some(None));
        assert_eq!(address("10.9.0"), None);
    }
}
