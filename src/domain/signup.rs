//! A signup: somebody who is not a subscriber yet, on the way there.
//!
//! Nothing is made for an address that nobody has shown to be theirs: the subscriber and the service
//! come into being with the confirmation. A signup with an address that is a subscriber's already looks
//! the same from outside; what it leads to is told only to whoever reads that address's mail.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::ids::{PlanId, ServiceId, SignupId, SubscriberId};
use super::plan::PlanTerms;
use super::subscriber::Address;
use super::text::{Code, Email, Line, Phone};

/// A signup's record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signup {
    /// Identity; the subscriber that comes of it has the same.
    pub id: SignupId,
    /// The address that is to be shown.
    pub email: Email,
    /// Given name.
    pub first_name: Line,
    /// Family name.
    pub last_name: Line,
    /// Telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Phone>,
    /// Where the service is.
    #[serde(default)]
    pub service_address: Address,
    /// Which plan.
    pub plan_id: PlanId,
    /// The plan's code when it was chosen.
    pub plan_code: Code,
    /// The terms shown when it was chosen.
    pub terms: PlanTerms,
    /// Verifier of the portal password that was chosen; made at the confirmation where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portal_password: Option<String>,
    /// The subscriber who had the address already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<SubscriberId>,
    /// The device that it was begun with (`Device::key`), or the key of its browser: by what it is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The key of the browser that it was begun with, which knows it before the device does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<String>,
    /// What it is counted by: the device where it is beside us, else an IPv4 address or an IPv6 /64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Keyed hash of the code that is valid now.
    pub code_hash: String,
    /// When that code stops being valid.
    pub code_until: Timestamp,
    /// Wrong codes given for it.
    pub tries: u32,
    /// Wrong codes given for all codes of this signup.
    #[serde(default)]
    pub wrong: u32,
    /// Messages sent.
    pub sent: u32,
    /// When the last one was.
    pub last_sent_at: Timestamp,
    /// Keyed hash of the link's secret; `None` where a link would prove nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_hash: Option<String>,
    /// Until when its device is online to read the mail, where the plan allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_until: Option<Timestamp>,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it lapses unconfirmed.
    pub expires_at: Timestamp,
    /// When the address was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<Timestamp>,
    /// The service that came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_id: Option<ServiceId>,
}

/// Where a signup stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignupStage {
    /// The code is awaited.
    Waiting,
    /// The address was shown.
    Confirmed,
    /// It lapsed.
    Lapsed,
}

/// Why a code does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeRefusal {
    /// Another one was sent, or it was mistyped; so many tries are left.
    Wrong {
        /// Tries left for this code.
        left: u32,
    },
    /// Too many wrong ones: a new code must be asked for.
    NoTriesLeft,
    /// Too many wrong ones for all codes of this signup, or of this address today: another code helps nothing.
    Spent,
    /// It is too old: a new code must be asked for.
    TooOld,
    /// The signup lapsed: begin again.
    Lapsed,
}

impl Signup {
    /// Where it stands at `now`.
    #[must_use]
    pub fn stage(&self, now: Timestamp) -> SignupStage {
        if self.confirmed_at.is_some() {
            SignupStage::Confirmed
        } else if now >= self.expires_at {
            SignupStage::Lapsed
        } else {
            SignupStage::Waiting
        }
    }

    /// Whether a code may be tried at `now`; whether it fits is asked after.
    ///
    /// # Errors
    /// Why not.
    pub fn may_try(&self, now: Timestamp) -> Result<(), CodeRefusal> {
        match self.stage(now) {
            SignupStage::Lapsed => Err(CodeRefusal::Lapsed),
            // A repeat, because the answer was lost: bounded as the first time.
            SignupStage::Waiting | SignupStage::Confirmed => self.code_counts(now),
        }
    }

    fn code_counts(&self, now: Timestamp) -> Result<(), CodeRefusal> {
        if self.wrong >= MOST_WRONG {
            Err(CodeRefusal::Spent)
        } else if self.tries >= MOST_TRIES {
            Err(CodeRefusal::NoTriesLeft)
        } else if now >= self.code_until {
            Err(CodeRefusal::TooOld)
        } else {
            Ok(())
        }
    }

    /// Tries left for the code that is valid now.
    #[must_use]
    pub const fn tries_left(&self) -> u32 {
        let (of_code, of_all) =
            (MOST_TRIES.saturating_sub(self.tries), MOST_WRONG.saturating_sub(self.wrong));
        if of_code < of_all { of_code } else { of_all }
    }

    /// The same after a wrong code.
    #[must_use]
    pub fn after_wrong_code(&self) -> Self {
        let (tries, wrong) = (self.tries.saturating_add(1), self.wrong.saturating_add(1));
        Self { tries, wrong, ..self.clone() }
    }

    /// The same with another code, which was sent at `now`; the one before counts no more.
    #[must_use]
    pub fn with_code(&self, code_hash: String, now: Timestamp) -> Self {
        Self {
            code_hash,
            code_until: later(now, CODE_LIFETIME),
            tries: 0,
            sent: self.sent.saturating_add(1),
            last_sent_at: now,
            ..self.clone()
        }
    }

    /// How long until another message may be asked for; zero is now, `None` is never.
    #[must_use]
    pub fn resend_in(&self, now: Timestamp) -> Option<SignedDuration> {
        if self.sent >= MOST_MESSAGES || self.wrong >= MOST_WRONG || self.stage(now) != SignupStage::Waiting {
            return None;
        }
        // Half a minute, then doubling: 30 s, 1 min, 2 min, 4 min.
        let pause = RESEND_PAUSE * (1 << self.sent.saturating_sub(1).min(8));
        let due = self.last_sent_at.saturating_add(pause).unwrap_or(Timestamp::MAX);
        Some(due.duration_since(now).max(SignedDuration::ZERO))
    }

    /// Until when its device may be online unconfirmed, if it may now.
    #[must_use]
    pub fn access(&self, now: Timestamp) -> Option<Timestamp> {
        self.access_until.filter(|until| now < *until && self.stage(now) == SignupStage::Waiting)
    }
}

impl std::fmt::Debug for Signup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signup({} for {})", self.id, self.plan_code)
    }
}

/// The code that a random number stands for: eight digits, the first of which may be 0.
#[must_use]
pub fn code_from(random: u64) -> String {
    // 10^8 does not divide 2^64; no code is more likely than another by more than 10^-11.
    format!("{:0width$}", random % CODES, width = CODE_DIGITS)
}

/// What somebody typed as a code, without the blanks and dashes that people put in; `None` for what is none.
#[must_use]
pub fn typed_code(text: &str) -> Option<String> {
    let digits: String =
        text.chars().filter(|c| !c.is_whitespace() && *c != '-').take(CODE_DIGITS + 1).collect();
    (digits.len() == CODE_DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit())).then_some(digits)
}

/// Whether a plan brings a service to life without money or staff.
#[must_use]
pub const fn is_free(terms: &PlanTerms) -> bool {
    terms.monthly_price.minor == 0 && terms.setup_fee.minor == 0 && !terms.requires_approval
}

/// How many signups fit into a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Most of them.
    pub most: usize,
    /// Within this time.
    pub within: SignedDuration,
}

impl Limit {
    const fn new(most: usize, within: SignedDuration) -> Self {
        Self { most, within }
    }

    /// How long to wait, given when earlier ones were, newest first; zero is not at all.
    #[must_use]
    pub fn wait(&self, earlier: &[Timestamp], now: Timestamp) -> SignedDuration {
        let Some(at) = self.most.checked_sub(1).and_then(|last| earlier.get(last)) else {
            return SignedDuration::ZERO;
        };
        later(*at, self.within).duration_since(now).max(SignedDuration::ZERO)
    }
}

/// A person who mistypes the address tries again; a script does not stop.
pub const PER_DEVICE: [Limit; 2] = [Limit::new(5, HOUR), Limit::new(20, DAY)];
/// Behind one address may be an office.
pub const PER_SOURCE: [Limit; 2] = [Limit::new(30, HOUR), Limit::new(100, DAY)];
/// Whoever has an address is not to be flooded by what others type.
pub const PER_ADDRESS: [Limit; 2] = [Limit::new(3, HOUR), Limit::new(10, DAY)];
/// More than a site's busiest hour; bounds what many devices together can make us send.
pub const PER_SITE: [Limit; 1] = [Limit::new(300, HOUR)];
/// How long a device waits for another turn online before a confirmation.
pub const ACCESS_PAUSE: SignedDuration = DAY;
/// Such turns within that time at the whole site: a hardware address is changed easily, so the device's own
/// pause alone bounds nobody.
pub const MOST_ACCESSES: usize = 200;

fn later(from: Timestamp, by: SignedDuration) -> Timestamp {
    from.saturating_add(by).unwrap_or(Timestamp::MAX)
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);
const CODES: u64 = 100_000_000;
/// Digits of a code. A guesser who knows an address has [`MOST_WRONG_OF_ADDRESS`] tries a day against a hundred
/// million codes, over all signups with it: one chance in ten million a day, one in 27,000 after a year.
pub const CODE_DIGITS: usize = 8;
/// Wrong codes before a new one must be asked for.
pub const MOST_TRIES: u32 = 5;
/// Wrong codes for one signup, whichever of its codes they were for.
pub const MOST_WRONG: u32 = 10;
/// Wrong codes for one address a day, over all signups with it; its link, and its account, go on.
pub const MOST_WRONG_OF_ADDRESS: u32 = 10;
/// How far back they are counted: no signup waits longer.
pub const WRONG_OF_ADDRESS_WITHIN: SignedDuration = DAY;
/// Messages for one signup.
pub const MOST_MESSAGES: u32 = 5;
/// How long a code counts: mail is held back by some servers for a quarter of an hour.
pub const CODE_LIFETIME: SignedDuration = SignedDuration::from_mins(30);
/// How long a signup waits; its link counts as long.
pub const SIGNUP_LIFETIME: SignedDuration = SignedDuration::from_hours(24);
/// The same form again within this time is a second tap, or a browser that sent it again.
pub const SECOND_TAP: SignedDuration = SignedDuration::from_mins(1);
/// The first pause before another message.
pub const RESEND_PAUSE: SignedDuration = SignedDuration::from_secs(30);

#[cfg(test)]
#[path = "signup_tests.rs"]
mod tests;
