//! Numbers, times and refusals in the words of somebody who only wants to get online.
//!
//! The one rule: what is shown is exact, or rounded against us: never more data, time or speed than
//! there is.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::domain::lock::LockReason;
use crate::domain::money::Money;
use crate::domain::plan::{PlanTerms, Validity, ValidityUnit};
use crate::domain::rate::BitsPerSecond;
use crate::domain::refusal::Refusal;
use crate::domain::text::TextError;
use crate::domain::voucher::VoucherRefusal;
use crate::people::password::{MAX_LENGTH, MIN_LENGTH, WeakPassword};
use crate::reception::Unconnected;

/// Something that a page says, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// `alert`, `note` or `done`.
    pub(super) look: &'static str,
    pub(super) title: String,
    pub(super) sentence: String,
    /// Empty where there is nothing to do.
    pub(super) remedy: String,
}

impl Told {
    pub(super) fn alert(title: &str, sentence: impl Into<String>, remedy: &str) -> Self {
        Self { look: "alert", title: title.into(), sentence: sentence.into(), remedy: remedy.into() }
    }

    pub(super) fn note(title: &str, sentence: impl Into<String>, remedy: &str) -> Self {
        Self { look: "note", ..Self::alert(title, sentence, remedy) }
    }
}

/// `17,500.00 NGN`.
pub(super) fn money(amount: &Money) -> String {
    format!("{} {}", amount.grouped(), amount.currency)
}

/// `7.5 Mbit/s`: exact, in the largest unit of which there is at least one.
pub(super) fn speed(rate: BitsPerSecond) -> String {
    let bits = rate.get();
    let units = [(1_000_000_000, "Gbit/s"), (1_000_000, "Mbit/s"), (1_000, "kbit/s")];
    let Some((scale, unit)) = units.into_iter().find(|(scale, _)| bits >= *scale) else {
        return format!("{bits} bit/s");
    };
    let places = if scale == 1_000_000_000 {
        9
    } else if scale == 1_000_000 {
        6
    } else {
        3
    };
    let fraction = format!("{:0places$}", bits % scale);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction} {unit}", bits / scale)
}

/// `12.3 GB`, rounded down to a tenth.
pub(super) fn octets(octets: u64) -> String {
    let units = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    let Some((scale, unit)) = units.into_iter().find(|(scale, _)| octets >= *scale) else {
        return format!("{octets} bytes");
    };
    match octets % scale / (scale / 10) {
        0 => format!("{} {unit}", octets / scale),
        tenths => format!("{}.{tenths} {unit}", octets / scale),
    }
}

/// `2 days 3 h`: the two largest units, rounded down; short, so that it stays on one line of a small phone.
pub(super) fn span(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let whole = if days > 0 { counted(days, "day") } else { String::new() };
    let parts = [(days, whole), (hours, format!("{hours} h")), (minutes, format!("{minutes} min"))];
    let named =
        parts.into_iter().skip_while(|(count, _)| *count == 0).take(2).filter(|(count, _)| *count > 0);
    let text: Vec<_> = named.map(|(_, text)| text).collect();
    if text.is_empty() { format!("{seconds} s") } else { text.join(" ") }
}

/// Time to wait, rounded up.
pub(super) fn wait(seconds: u32) -> String {
    if seconds < 60 {
        return counted(seconds.max(1).into(), "second");
    }
    let minutes = seconds.div_ceil(60);
    if minutes < 60 {
        counted(minutes.into(), "minute")
    } else {
        counted(minutes.div_ceil(60).into(), "hour")
    }
}

fn counted(count: i64, unit: &str) -> String {
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// `Today, 15:20`, `Thu 26 Nov, 15:20`, or with the year where it is another: as people say it, at the site.
pub(super) fn near(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (at, now) = (at.to_zoned(zone.clone()), now.to_zoned(zone.clone()));
    let day = at.date();
    let form = if day == now.date() {
        "Today, %H:%M"
    } else if now.date().tomorrow().is_ok_and(|next| next == day) {
        "Tomorrow, %H:%M"
    } else if now.date().yesterday().is_ok_and(|last| last == day) {
        "Yesterday, %H:%M"
    } else if day.year() == now.date().year() {
        "%a %-d %b, %H:%M"
    } else {
        "%-d %b %Y, %H:%M"
    };
    at.strftime(form).to_string()
}

/// The same in the middle of a sentence.
pub(super) fn near_in(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let said = near(at, now, zone);
    let is_word = ["Today", "Tomorrow", "Yesterday"].iter().any(|word| said.starts_with(word));
    if is_word { said.to_lowercase() } else { said }
}

/// `Thu 26 Nov 2026, 15:20` where the site is.
pub(super) fn moment(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%a %-d %b %Y, %H:%M").to_string()
}

/// `15:20` where the site is.
pub(super) fn clock(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%H:%M").to_string()
}

/// `30 days`.
pub(super) fn days(days: u32) -> String {
    counted(days.into(), "day")
}

/// `30 days`.
pub(super) fn validity(validity: Option<Validity>) -> String {
    let Some(Validity { count, unit }) = validity else { return "until you or we end it".to_owned() };
    let unit = match unit {
        ValidityUnit::Minutes => "minute",
        ValidityUnit::Hours => "hour",
        ValidityUnit::Days => "day",
        ValidityUnit::Weeks => "week",
        ValidityUnit::Months => "month",
        ValidityUnit::Years => "year",
    };
    counted(count.into(), unit)
}

/// What a plan costs and for how long: `("17,500.00 NGN", "for 30 days")`.
pub(super) fn price(terms: &PlanTerms) -> (String, String) {
    if terms.monthly_price.minor == 0 {
        return ("Free".to_owned(), String::new());
    }
    let period =
        terms.validity.map_or_else(|| "a month".to_owned(), |_| format!("for {}", validity(terms.validity)));
    (money(&terms.monthly_price), period)
}

/// What is wrong with a field, to who filled it in.
pub(super) fn fault(fault: TextError) -> String {
    match fault {
        TextError::Empty => "Please fill this in.".to_owned(),
        TextError::TooLong(most) => format!("Please use no more than {most} characters."),
        TextError::Control => "Please use letters and digits only.".to_owned(),
        TextError::NotEmail => "Please write an address such as ada@example.net.".to_owned(),
        TextError::NotPhone => "Please write a number such as +2348012345678.".to_owned(),
        TextError::NotCode => "Please choose one of the list.".to_owned(),
    }
}

/// What is wrong with a password, to who chose it.
pub(super) fn weak(weak: WeakPassword) -> String {
    match weak {
        WeakPassword::TooShort => format!("Please use at least {MIN_LENGTH} characters."),
        WeakPassword::TooLong => format!("Please use no more than {MAX_LENGTH} characters."),
        WeakPassword::Common => "This one is among the most common. Please choose another.".to_owned(),
        WeakPassword::OwnName => "Please do not use your e-mail address.".to_owned(),
    }
}

/// An address that its owner knows again and nobody else learns: `ad•••@example.net`.
pub(super) fn masked(email: &str) -> String {
    let (local, domain) = email.split_once('@').unwrap_or((email, ""));
    let shown: String = local.chars().take(if local.chars().count() > 4 { 2 } else { 1 }).collect();
    format!("{shown}•••@{domain}")
}

/// Why a service gives no access, to the one who pays for it.
pub(super) fn refusal(refusal: &Refusal, zone: &TimeZone) -> Told {
    match refusal {
        Refusal::UnknownUser
        | Refusal::WrongPassword
        | Refusal::NoCredential
        | Refusal::MethodNotPossible => Told::alert(
            "Not logged in",
            "The login or the password is not right.",
            "Check both and try again.",
        ),
        Refusal::SubscriberEnded => Told::alert("This account is closed", "It cannot be used any more.", ASK),
        Refusal::ServicePending => Told::note(
            "Not active yet",
            "Your service is waiting for payment or approval.",
            "Pay here, or wait until the people who run this network have done it. Then refresh this page.",
        ),
        Refusal::ServiceEnded => Told::alert(
            "This service has ended",
            "Its contract is over.",
            "Choose a plan to begin a new one.",
        ),
        Refusal::Locked { reason } => locked(*reason),
        Refusal::NothingPaid => Told::note("Payment pending", "Nothing is paid for yet.", PAY),
        Refusal::Expired { at } => Told::alert(
            "Your plan has run out",
            format!("It ended on {}.", moment(*at, zone)),
            "Renew it here, or with the people who run this network.",
        ),
        Refusal::QuotaSpent => Told::alert(
            "Your data is used up",
            "All the data of this period has been used.",
            "Renew your plan or buy more here, or wait for your next period.",
        ),
        Refusal::TimeSpent => Told::alert(
            "Your time is used up",
            "All the time online of this period has been used.",
            "Renew your plan or buy more here, or wait for your next period.",
        ),
        Refusal::DeviceLimit { limit } => Told::alert(
            "Too many devices",
            match limit {
                1 => "Your plan is for one device at a time, and another one is online.".to_owned(),
                many => format!("Your plan is for {many} devices at a time, and so many others are online."),
            },
            "Log out on another device, then try again here.",
        ),
        Refusal::NotPermittedHere => {
            Told::alert("Not included", "Your service does not include this kind of access.", ASK)
        }
        Refusal::Voucher { why } => voucher(*why),
        // A device's conversation with a NAS is never shown here.
        Refusal::Eap { .. } => Told::alert("Not logged in", "Your device could not log in.", ASK),
        Refusal::Busy => {
            Told::note("Very busy", "There is a lot going on right now.", "Try again in a moment.")
        }
    }
}

/// Why a voucher's code is not taken, to who typed it.
pub(super) fn voucher(why: VoucherRefusal) -> Told {
    match why {
        VoucherRefusal::Unknown => Told::alert(
            "We do not know this code",
            "No voucher of ours has it.",
            "Read it again from the card: twelve letters and digits. There is no zero, one, I, L or O in it.",
        ),
        VoucherRefusal::Used => Told::alert(
            "This voucher was used before",
            "Somebody else has used it.",
            "Ask where you bought it for another one.",
        ),
        VoucherRefusal::Expired => {
            Told::alert("This voucher has run out", "Its time is over.", "Buy another one to go on.")
        }
        VoucherRefusal::Exhausted => Told::alert(
            "This voucher is used up",
            "All of its data has been used.",
            "Buy another one to go on.",
        ),
        VoucherRefusal::Revoked => Told::alert(
            "This voucher does not count any more",
            "It was taken back.",
            "Ask where you bought it for another one.",
        ),
        VoucherRefusal::TooMany => Told::alert(
            "Too many wrong codes",
            "We look at no more codes from here for now.",
            "Please wait some minutes, then try again.",
        ),
    }
}

fn locked(reason: LockReason) -> Told {
    match reason {
        LockReason::Overdue | LockReason::Prepaid => {
            Told::alert("Payment is due", "Your service is paused until a bill is paid.", PAY)
        }
        LockReason::Fup => Told::alert(
            "Fair use reached",
            "You have used what your plan allows in this period.",
            "It goes on with the next period.",
        ),
        LockReason::CustomerHold => {
            Told::note("Paused", "Your service is on hold because you asked for it.", RESUME)
        }
        LockReason::Admin | LockReason::Fraud | LockReason::System => {
            Told::alert("Service locked", "The people who run this network have stopped your service.", ASK)
        }
    }
}

/// Why a device is not online, to its owner.
pub(super) fn unconnected(why: &Unconnected, zone: &TimeZone) -> Told {
    match why {
        Unconnected::NotHere => Told::note(
            "Logged in, not connected",
            "You are logged in, but this device is not on this network.",
            "Join the Wi-Fi or plug in the cable, then open this page again.",
        ),
        Unconnected::NoService => Told::alert(
            "No Internet service",
            "There is no Internet service on this account.",
            "Choose a plan, or ask the people who run this network.",
        ),
        Unconnected::Refused(why) => refusal(why, zone),
        Unconnected::NotCarriedOut(_) | Unconnected::Store(_) => Told::alert(
            "That is our fault",
            "We could not connect this device.",
            "Try again in a minute. If it stays so, tell the people who run this network.",
        ),
    }
}

const PAY: &str = "Pay here, or pay the people who run this network. Then refresh this page.";
const RESUME: &str = "End the pause here, or ask the people who run this network.";
const ASK: &str = "Please ask the people who run this network.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;

    #[test]
    fn money_and_speeds_are_shown_exactly() {
        let amount = |minor, code| money(&Money { minor, currency: Currency::parse(code).unwrap() });
        assert_eq!(amount(1_750_000, "NGN"), "17,500.00 NGN");
        assert_eq!(amount(-123_456_789, "NGN"), "-1,234,567.89 NGN");
        assert_eq!(amount(100, "UGX"), "100 UGX");
        let shown = |bits| speed(BitsPerSecond::new(bits).unwrap());
        assert_eq!(shown(20_000_000), "20 Mbit/s");
        assert_eq!(shown(7_500_000), "7.5 Mbit/s");
        assert_eq!(shown(1_000_001), "1.000001 Mbit/s");
        assert_eq!(shown(512), "512 bit/s");
    }

    #[test]
    fn what_is_left_is_never_rounded_up_and_a_wait_never_down() {
        assert_eq!(octets(4_999_999_999), "4.9 GB");
        assert_eq!(octets(5_000_000_000), "5 GB");
        assert_eq!(octets(999), "999 bytes");
        assert_eq!(span(SignedDuration::from_secs(86_400 + 3_599)), "1 day");
        assert_eq!(span(SignedDuration::from_secs(90_000)), "1 day 1 h");
        assert_eq!(span(SignedDuration::from_secs(7_260)), "2 h 1 min");
        assert_eq!(span(SignedDuration::from_secs(59)), "59 s");
        assert_eq!(wait(61), "2 minutes");
        assert_eq!(wait(0), "1 second");
    }

    #[test]
    fn a_day_is_named_as_people_name_it_where_the_site_is() {
        let zone = TimeZone::get("Africa/Lagos").unwrap();
        let said = |at: &str| near(at.parse().unwrap(), "2026-11-26T22:30:00Z".parse().unwrap(), &zone);
        assert_eq!(said("2026-11-26T08:00:00Z"), "Today, 09:00");
        assert_eq!(said("2026-11-26T23:30:00Z"), "Tomorrow, 00:30");
        let within = |at: &str| near_in(at.parse().unwrap(), "2026-11-26T22:30:00Z".parse().unwrap(), &zone);
        assert_eq!(within("2026-11-26T23:30:00Z"), "tomorrow, 00:30");
        assert_eq!(within("2026-12-26T08:00:00Z"), "Sat 26 Dec, 09:00");
        assert_eq!(said("2026-11-25T22:59:00Z"), "Yesterday, 23:59");
        assert_eq!(said("2026-12-26T08:00:00Z"), "Sat 26 Dec, 09:00");
        assert_eq!(said("2027-01-02T08:00:00Z"), "2 Jan 2027, 09:00");
    }

    #[test]
    fn a_moment_is_the_sites_and_an_address_is_its_owners() {
        let zone = TimeZone::get("Africa/Lagos").unwrap();
        assert_eq!(moment("2026-11-26T23:30:00Z".parse().unwrap(), &zone), "Fri 27 Nov 2026, 00:30");
        assert_eq!(masked("ada.obi@example.net"), "ad•••@example.net");
        assert_eq!(masked("ada@example.net"), "a•••@example.net");
    }
}
