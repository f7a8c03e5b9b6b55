//! Messages to people, as they wait to be sent. What a message says is decided where it is made, in the
//! unit of the change that it is about, so that no change is without its message and none is sent for
//! a change that did not happen.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{MessageId, SubscriberId};
use super::language::Language;
use super::text::{Email, Phone};

/// One message to one person.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Identity; its Message-ID too, so that a server that got it twice can see that.
    pub id: MessageId,
    /// What it is about.
    pub kind: Kind,
    /// To whom, and by which channel.
    pub to: Recipient,
    /// Whose, where it is about a subscriber.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriber_id: Option<SubscriberId>,
    /// What it is written in.
    #[serde(default)]
    pub language: Language,
    /// Subject line; empty where the channel has none.
    pub subject: String,
    /// The text, sealed with the box's key: it may hold a code. Empty once nobody needs it any more.
    pub sealed_text: String,
    /// What it costs to send once, in parts of 140 octets; 0 for a mail.
    #[serde(default)]
    pub segments: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When to try next; `None` once it was sent or given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<Timestamp>,
    /// After this it is of no use any more.
    pub useful_until: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// When a server took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// Why it could not be sent, last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// How often it was handed over without an answer: each time it may have been taken.
    #[serde(default)]
    pub unsure: u32,
    /// What the carrier calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier_id: Option<String>,
    /// What the carrier says became of it, where it can be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// When to ask the carrier next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_at: Option<Timestamp>,
    /// How often the carrier was asked.
    #[serde(default)]
    pub looks: u32,
    /// The message that this one repeats, at the wish of staff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<MessageId>,
}

/// A way that messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Mail.
    Mail,
    /// SMS.
    Sms,
}

impl Channel {
    /// All channels.
    pub const ALL: [Self; 2] = [Self::Mail, Self::Sms];

    /// The name in API, settings and store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Sms => "sms",
        }
    }

    /// The channel of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }
}

/// Where a message goes; the channel follows from it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// An e-mail address.
    Mail(Email),
    /// A telephone number.
    Sms(Phone),
}

impl Recipient {
    /// By which channel.
    #[must_use]
    pub const fn channel(&self) -> Channel {
        match self {
            Self::Mail(_) => Channel::Mail,
            Self::Sms(_) => Channel::Sms,
        }
    }

    /// The address or number.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Mail(email) => email.as_str(),
            Self::Sms(phone) => phone.as_str(),
        }
    }

    /// As it is shown in lists: enough to recognise it, not to write to it.
    #[must_use]
    pub fn masked(&self) -> String {
        match self {
            Self::Mail(email) => {
                let (local, domain) = email.as_str().rsplit_once('@').unwrap_or((email.as_str(), ""));
                let first = local.chars().next().unwrap_or('*');
                format!("{first}***@{domain}")
            }
            Self::Sms(phone) => {
                let digits: Vec<char> = phone.as_str().chars().collect();
                let end: String = digits.iter().skip(digits.len().saturating_sub(SHOWN_DIGITS)).collect();
                format!("***{end}")
            }
        }
    }
}

impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recipient({})", self.channel().name())
    }
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The code that shows an address to be somebody's.
    SignupCode,
    /// The same, to an address that has an account already.
    SignupKnown,
    /// The code that proves a channel.
    ChannelTest,
    /// A payment came.
    Receipt,
    /// Money goes back to its payer.
    Refunded,
    /// An invoice was made.
    InvoiceIssued,
    /// An invoice will be due.
    Reminder,
    /// An invoice is due.
    Due,
    /// Service was slowed down.
    Throttled,
    /// Only the portal is reached.
    Garden,
    /// Service was suspended.
    Suspended,
    /// Service is back.
    Restored,
    /// The contract has ended.
    Terminated,
    /// The wallet does not hold what the next period costs.
    LowBalance,
    /// The next period was bought.
    Renewed,
    /// The next period could not be bought.
    RenewalFailed,
    /// A voucher that was bought.
    Voucher,
    /// The portal's password was changed.
    PasswordChanged,
    /// The trial will end.
    TrialEnding,
    /// Data or time was added.
    TopUp,
    /// Most of what the plan holds for the period is used.
    QuotaLow,
    /// All of it is.
    QuotaSpent,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 22] = [
        Self::SignupCode,
        Self::SignupKnown,
        Self::ChannelTest,
        Self::Receipt,
        Self::Refunded,
        Self::InvoiceIssued,
        Self::Reminder,
        Self::Due,
        Self::Throttled,
        Self::Garden,
        Self::Suspended,
        Self::Restored,
        Self::Terminated,
        Self::LowBalance,
        Self::Renewed,
        Self::RenewalFailed,
        Self::Voucher,
        Self::PasswordChanged,
        Self::TrialEnding,
        Self::TopUp,
        Self::QuotaLow,
        Self::QuotaSpent,
    ];

    /// The name in API, store and templates.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SignupCode => "signup-code",
            Self::SignupKnown => "signup-known",
            Self::ChannelTest => "channel-test",
            Self::Receipt => "receipt",
            Self::Refunded => "refunded",
            Self::InvoiceIssued => "invoice-issued",
            Self::Reminder => "reminder",
            Self::Due => "due",
            Self::Throttled => "throttled",
            Self::Garden => "garden",
            Self::Suspended => "suspended",
            Self::Restored => "restored",
            Self::Terminated => "terminated",
            Self::LowBalance => "low-balance",
            Self::Renewed => "renewed",
            Self::RenewalFailed => "renewal-failed",
            Self::Voucher => "voucher",
            Self::PasswordChanged => "password-changed",
            Self::TrialEnding => "trial-ending",
            Self::TopUp => "top-up",
            Self::QuotaLow => "quota-low",
            Self::QuotaSpent => "quota-spent",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether somebody waits for it, or it guards them: it goes in quiet hours too, and before others.
    #[must_use]
    pub const fn priority(self) -> Priority {
        match self {
            Self::SignupCode
            | Self::SignupKnown
            | Self::ChannelTest
            | Self::Receipt
            | Self::Refunded
            | Self::Restored
            | Self::Voucher
            | Self::TopUp
            | Self::PasswordChanged => Priority::Now,
            Self::InvoiceIssued
            | Self::Reminder
            | Self::Due
            | Self::Throttled
            | Self::Garden
            | Self::Suspended
            | Self::Terminated
            | Self::LowBalance
            | Self::Renewed
            | Self::RenewalFailed
            | Self::TrialEnding
            | Self::QuotaLow
            | Self::QuotaSpent => Priority::ByDay,
        }
    }

    /// Whether it holds a code that opens something: then its text goes as soon as nobody needs it.
    #[must_use]
    pub const fn holds_a_code(self) -> bool {
        match self {
            Self::SignupCode | Self::SignupKnown | Self::ChannelTest | Self::Voucher => true,
            Self::Receipt
            | Self::Refunded
            | Self::InvoiceIssued
            | Self::Reminder
            | Self::Due
            | Self::Throttled
            | Self::Garden
            | Self::Suspended
            | Self::Restored
            | Self::Terminated
            | Self::LowBalance
            | Self::Renewed
            | Self::RenewalFailed
            | Self::PasswordChanged
            | Self::TrialEnding
            | Self::TopUp
            | Self::QuotaLow
            | Self::QuotaSpent => false,
        }
    }

    /// Whether it goes by a channel that nobody has proven yet: a test must, and without a mail that confirms
    /// an address nobody could sign up at a new box.
    #[must_use]
    pub const fn needs_proof(self) -> bool {
        match self {
            Self::SignupCode | Self::SignupKnown | Self::ChannelTest => false,
            Self::Receipt
            | Self::Refunded
            | Self::InvoiceIssued
            | Self::Reminder
            | Self::Due
            | Self::Throttled
            | Self::Garden
            | Self::Suspended
            | Self::Restored
            | Self::Terminated
            | Self::LowBalance
            | Self::Renewed
            | Self::RenewalFailed
            | Self::Voucher
            | Self::PasswordChanged
            | Self::TrialEnding
            | Self::TopUp
            | Self::QuotaLow
            | Self::QuotaSpent => true,
        }
    }
}

/// When a message may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// At once, at any hour.
    Now,
    /// Not in the site's quiet hours.
    ByDay,
}

/// What a carrier says became of a message that it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// On its way.
    Pending,
    /// It is on the telephone.
    Delivered,
    /// It did not come there.
    Failed,
}

impl Delivery {
    /// The name in API and store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It waits.
    Waiting,
    /// A server or carrier took it.
    Sent,
    /// It was given up.
    GivenUp,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Sent, Self::GivenUp];

    /// The name in API and store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::GivenUp => "given_up",
        }
    }

    /// The stage of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }
}

impl Message {
    /// How far it has come.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        match (self.sent_at, self.next_try_at) {
            (Some(_), _) => Stage::Sent,
            (None, Some(_)) => Stage::Waiting,
            (None, None) => Stage::GivenUp,
        }
    }

    /// Its place among those that wait for one channel: what somebody waits for before the rest, then by time.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        self.next_try_at.map(|at| place_at(self.to.channel(), self.kind.priority(), at))
    }
}

/// Where what is due at a time stands among those that wait.
#[must_use]
pub fn place_at(channel: Channel, priority: Priority, at: Timestamp) -> String {
    let before = match priority {
        Priority::Now => 0,
        Priority::ByDay => 1,
    };
    // Times before 1970 do not occur; fifteen digits of milliseconds are more than `Timestamp` has.
    format!("{}/{before}/{:015}", channel.name(), at.as_millisecond().max(0))
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Message({}, {}, {} tries)", self.id, self.kind.name(), self.tries)
    }
}

/// A body of the time when every message was a mail about a signup.
///
/// # Errors
/// When it is no such body.
pub fn from_mail_only(mut body: serde_json::Value) -> Result<serde_json::Value, String> {
    let fields = body.as_object_mut().ok_or("a message that is no object")?;
    let to = fields.remove("to").ok_or("a message to nobody")?;
    fields.insert("to".to_owned(), serde_json::json!({ "mail": to }));
    fields.insert("kind".to_owned(), Kind::SignupCode.name().into());
    Ok(body)
}

/// Digits of a number that are shown: what its owner recognises it by.
const SHOWN_DIGITS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_the_kind_in_api_store_and_templates_alike() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(Kind::parse(kind.name()), Some(kind));
        }
        for channel in Channel::ALL {
            assert_eq!(serde_json::to_value(channel).unwrap(), channel.name());
        }
    }

    #[test]
    fn what_somebody_waits_for_goes_before_what_can_wait_and_each_in_order_of_time() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let places = [
            place_at(Channel::Mail, Priority::Now, at(9_999_999_999)),
            place_at(Channel::Mail, Priority::ByDay, at(1)),
            place_at(Channel::Mail, Priority::ByDay, at(1_700_000_000)),
            place_at(Channel::Sms, Priority::Now, at(1)),
        ];
        assert!(places.is_sorted(), "{places:?}");
    }

    #[test]
    fn a_recipient_in_a_list_cannot_be_written_to() {
        let mail = Recipient::Mail(Email::parse("ada@example.net").unwrap());
        assert_eq!(mail.masked(), "a***@example.net");
        let sms = Recipient::Sms(Phone::parse("+2348012345678").unwrap());
        assert_eq!(sms.masked(), "***678");
        assert!(!format!("{mail:?}{sms:?}").contains("ada") && !format!("{sms:?}").contains("678"));
    }

    #[test]
    fn a_mail_that_waited_before_messages_had_channels_still_goes() {
        let old = serde_json::json!({
            "id": "0199c0de-0000-7000-8000-000000000001", "to": "ada@example.net", "subject": "Your code",
            "sealed_text": "x", "created_at": "2026-11-01T08:00:00Z", "next_try_at": "2026-11-01T08:00:05Z",
            "useful_until": "2026-11-02T08:00:00Z", "tries": 1, "fault": "busy",
        });
        let message: Message = serde_json::from_value(from_mail_only(old).unwrap()).unwrap();
        assert_eq!(message.to, Recipient::Mail(Email::parse("ada@example.net").unwrap()));
        assert_eq!((message.kind, message.stage()), (Kind::SignupCode, Stage::Waiting));
        assert_eq!(message.language, Language::english());
        assert!(from_mail_only(serde_json::json!([])).is_err());
        assert!(from_mail_only(serde_json::json!({})).is_err());
    }
}
