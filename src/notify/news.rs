//! What there is to tell: facts by kind, and how they are written for people.
//!
//! Nothing that a stranger typed is among them: whoever signs up with somebody else's address would otherwise
//! write that person a letter in our name. The one rule: a fact is one line of bounded length without marks
//! that turn text around, whoever wrote it.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::phrases::{Facts, MONTHS, Voice};
use crate::domain::message::Kind;
use crate::domain::money::Money;

/// What there is to tell somebody. Names, numbers and references are the operator's own or a provider's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// An address is to be shown to be somebody's; a code and a link for another device.
    SignupCode {
        /// The plan's name.
        plan: String,
        /// The code.
        code: String,
        /// How long it counts.
        minutes: i64,
        /// The link for another device.
        link: String,
    },
    /// The address has an account already: a code for the device that asked, and no link, which would prove
    /// nothing about who asked.
    SignupKnown {
        /// The code.
        code: String,
        /// How long it counts.
        minutes: i64,
    },
    /// Staff prove a channel.
    ChannelTest {
        /// The code.
        code: String,
        /// How long it counts.
        minutes: i64,
    },
    /// A payment came.
    Receipt {
        /// How much.
        amount: Money,
        /// When.
        at: Timestamp,
        /// Receipt's or payment's number.
        reference: String,
    },
    /// Money goes back to its payer.
    Refunded {
        /// How much.
        amount: Money,
        /// When.
        at: Timestamp,
        /// The payment's number.
        reference: String,
    },
    /// An invoice was made.
    InvoiceIssued {
        /// Its number.
        number: String,
        /// What is owed.
        amount: Money,
        /// When it is due.
        due: Timestamp,
    },
    /// An invoice will be due.
    Reminder {
        /// Its number.
        number: String,
        /// What is owed.
        amount: Money,
        /// When it is due.
        due: Timestamp,
    },
    /// An invoice is due.
    Due {
        /// Its number.
        number: String,
        /// What is owed.
        amount: Money,
        /// Since when it is due.
        due: Timestamp,
    },
    /// Service was slowed down, since this is owed.
    Throttled {
        /// What is owed.
        amount: Money,
    },
    /// Only the portal is reached, since this is owed.
    Garden {
        /// What is owed.
        amount: Money,
    },
    /// Service was suspended, since this is owed.
    Suspended {
        /// What is owed.
        amount: Money,
    },
    /// Service is back.
    Restored {
        /// The plan's name.
        plan: String,
    },
    /// The contract has ended, since this was owed.
    Terminated {
        /// The plan's name.
        plan: String,
        /// What is owed.
        amount: Money,
    },
    /// The wallet does not hold what the next period costs.
    LowBalance {
        /// The plan's name.
        plan: String,
        /// What it costs.
        amount: Money,
        /// What the wallet holds.
        balance: Money,
        /// When it is renewed.
        at: Timestamp,
    },
    /// The next period was bought.
    Renewed {
        /// The plan's name.
        plan: String,
        /// What it cost.
        amount: Money,
        /// Until when it runs.
        until: Timestamp,
    },
    /// The next period could not be bought.
    RenewalFailed {
        /// The plan's name.
        plan: String,
        /// What it costs.
        amount: Money,
        /// What the wallet holds.
        balance: Money,
        /// When the service ends.
        until: Timestamp,
    },
    /// A voucher that was bought.
    Voucher {
        /// The plan's name.
        plan: String,
        /// The code.
        code: String,
        /// Until when it can be used.
        until: Timestamp,
    },
    /// The portal's password was changed.
    PasswordChanged {
        /// When.
        at: Timestamp,
    },
    /// The trial will end.
    TrialEnding {
        /// The plan's name.
        plan: String,
        /// What it costs then.
        amount: Money,
        /// When.
        until: Timestamp,
    },
    /// Data or time was added.
    TopUp {
        /// What, as the catalogue calls it: `5 GB`.
        what: String,
        /// What it cost.
        amount: Money,
        /// Until when it counts.
        until: Timestamp,
    },
    /// Most of what the plan holds for the period is used.
    QuotaLow {
        /// The plan's name.
        plan: String,
        /// How much of it, of a hundred.
        percent: u8,
    },
    /// All that the plan holds for the period is used.
    QuotaSpent {
        /// The plan's name.
        plan: String,
    },
}

/// Parts of a text: which of them a message has follows from its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Subject,
    Mail,
    Sms,
}

impl Part {
    pub(super) const ALL: [Self; 3] = [Self::Subject, Self::Mail, Self::Sms];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Mail => "mail",
            Self::Sms => "sms",
        }
    }
}

impl News {
    /// What kind it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::SignupCode { .. } => Kind::SignupCode,
            Self::SignupKnown { .. } => Kind::SignupKnown,
            Self::ChannelTest { .. } => Kind::ChannelTest,
            Self::Receipt { .. } => Kind::Receipt,
            Self::Refunded { .. } => Kind::Refunded,
            Self::InvoiceIssued { .. } => Kind::InvoiceIssued,
            Self::Reminder { .. } => Kind::Reminder,
            Self::Due { .. } => Kind::Due,
            Self::Throttled { .. } => Kind::Throttled,
            Self::Garden { .. } => Kind::Garden,
            Self::Suspended { .. } => Kind::Suspended,
            Self::Restored { .. } => Kind::Restored,
            Self::Terminated { .. } => Kind::Terminated,
            Self::LowBalance { .. } => Kind::LowBalance,
            Self::Renewed { .. } => Kind::Renewed,
            Self::RenewalFailed { .. } => Kind::RenewalFailed,
            Self::Voucher { .. } => Kind::Voucher,
            Self::PasswordChanged { .. } => Kind::PasswordChanged,
            Self::TrialEnding { .. } => Kind::TrialEnding,
            Self::TopUp { .. } => Kind::TopUp,
            Self::QuotaLow { .. } => Kind::QuotaLow,
            Self::QuotaSpent { .. } => Kind::QuotaSpent,
        }
    }

    /// Until when it is of use: a reminder until the day itself, the rest until it is old news.
    #[must_use]
    pub fn useful_until(&self, now: Timestamp) -> Timestamp {
        let later = |by| now.saturating_add(by).unwrap_or(Timestamp::MAX);
        match self {
            Self::SignupCode { minutes, .. }
            | Self::SignupKnown { minutes, .. }
            | Self::ChannelTest { minutes, .. } => later(SignedDuration::from_mins(*minutes)),
            Self::Reminder { due: until, .. }
            | Self::LowBalance { at: until, .. }
            | Self::TrialEnding { until, .. } => (*until).clamp(later(LEAST_USE), later(OLD_NEWS)),
            Self::Receipt { .. }
            | Self::Refunded { .. }
            | Self::InvoiceIssued { .. }
            | Self::Due { .. }
            | Self::Throttled { .. }
            | Self::Garden { .. }
            | Self::Suspended { .. }
            | Self::Restored { .. }
            | Self::Terminated { .. }
            | Self::Renewed { .. }
            | Self::RenewalFailed { .. }
            | Self::Voucher { .. }
            | Self::PasswordChanged { .. }
            | Self::TopUp { .. }
            | Self::QuotaLow { .. }
            | Self::QuotaSpent { .. } => later(OLD_NEWS),
        }
    }

    /// The facts as they are written for people.
    pub(super) fn facts(&self, voice: &Voice, zone: &TimeZone) -> Facts {
        let money = |amount: &Money| money(*amount, voice);
        let date = |at: &Timestamp| day(*at, voice, zone);
        match self {
            Self::SignupCode { plan, code, minutes, link } => vec![
                ("plan", clean(plan)),
                ("code", clean(code)),
                ("minutes", minutes.to_string()),
                ("link", clean(link)),
            ],
            Self::SignupKnown { code, minutes } | Self::ChannelTest { code, minutes } => {
                vec![("code", clean(code)), ("minutes", minutes.to_string())]
            }
            Self::Receipt { amount, at, reference } | Self::Refunded { amount, at, reference } => {
                vec![
                    ("amount", money(amount)),
                    ("date", moment(*at, voice, zone)),
                    ("reference", clean(reference)),
                ]
            }
            Self::InvoiceIssued { number, amount, due }
            | Self::Reminder { number, amount, due }
            | Self::Due { number, amount, due } => {
                vec![("number", clean(number)), ("amount", money(amount)), ("date", date(due))]
            }
            Self::Throttled { amount } | Self::Garden { amount } | Self::Suspended { amount } => {
                vec![("amount", money(amount))]
            }
            Self::Restored { plan } | Self::QuotaSpent { plan } => vec![("plan", clean(plan))],
            Self::QuotaLow { plan, percent } => {
                vec![("plan", clean(plan)), ("percent", percent.to_string())]
            }
            Self::Terminated { plan, amount } => vec![("plan", clean(plan)), ("amount", money(amount))],
            Self::LowBalance { plan, amount, balance, at: when }
            | Self::RenewalFailed { plan, amount, balance, until: when } => vec![
                ("plan", clean(plan)),
                ("amount", money(amount)),
                ("balance", money(balance)),
                ("date", date(when)),
            ],
            Self::Renewed { plan, amount, until } | Self::TrialEnding { plan, amount, until } => {
                vec![("plan", clean(plan)), ("amount", money(amount)), ("date", date(until))]
            }
            Self::Voucher { plan, code, until } => {
                vec![("plan", clean(plan)), ("code", clean(code)), ("date", date(until))]
            }
            Self::PasswordChanged { at } => vec![("date", moment(*at, voice, zone))],
            Self::TopUp { what, amount, until } => {
                vec![("what", clean(what)), ("amount", money(amount)), ("date", date(until))]
            }
        }
    }

    /// News of every kind, to try a template with.
    pub(super) fn sample(kind: Kind) -> Self {
        let text = || "Home 20".to_owned();
        let (plan, number, reference, what, link) = (text(), text(), text(), text(), "https://a".to_owned());
        let (code, minutes) = ("01234567".to_owned(), 30);
        let amount = Money { minor: 1_750_000, currency: crate::domain::money::Currency::NGN };
        let (balance, until) = (amount, Timestamp::UNIX_EPOCH);
        let (at, due) = (until, until);
        match kind {
            Kind::SignupCode => Self::SignupCode { plan, code, minutes, link },
            Kind::SignupKnown => Self::SignupKnown { code, minutes },
            Kind::ChannelTest => Self::ChannelTest { code, minutes },
            Kind::Receipt => Self::Receipt { amount, at, reference },
            Kind::Refunded => Self::Refunded { amount, at, reference },
            Kind::InvoiceIssued => Self::InvoiceIssued { number, amount, due },
            Kind::Reminder => Self::Reminder { number, amount, due },
            Kind::Due => Self::Due { number, amount, due },
            Kind::Throttled => Self::Throttled { amount },
            Kind::Garden => Self::Garden { amount },
            Kind::Suspended => Self::Suspended { amount },
            Kind::Restored => Self::Restored { plan },
            Kind::Terminated => Self::Terminated { plan, amount },
            Kind::LowBalance => Self::LowBalance { plan, amount, balance, at },
            Kind::Renewed => Self::Renewed { plan, amount, until },
            Kind::RenewalFailed => Self::RenewalFailed { plan, amount, balance, until },
            Kind::Voucher => Self::Voucher { plan, code, until },
            Kind::PasswordChanged => Self::PasswordChanged { at },
            Kind::TrialEnding => Self::TrialEnding { plan, amount, until },
            Kind::TopUp => Self::TopUp { what, amount, until },
            Kind::QuotaLow => Self::QuotaLow { plan, percent: 80 },
            Kind::QuotaSpent => Self::QuotaSpent { plan },
        }
    }
}

/// A text as one bounded line: no control characters, and none of the marks that turn or hide what follows.
pub(super) fn clean(text: &str) -> String {
    let kept = text.chars().filter_map(|c| match c {
        '\u{2028}' | '\u{2029}' => Some(' '),
        '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{FEFF}' => None,
        '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' => None,
        c if c.is_control() => Some(' '),
        c => Some(c),
    });
    let kept: String = kept.take(MAX_FACT).collect();
    kept.trim().to_owned()
}

/// An amount in the manner of a language: `NGN 17,500.00`.
fn money(amount: Money, voice: &Voice) -> String {
    let none = Facts::new();
    let (thousands, point) = (voice.say("thousands", None, &none), voice.say("decimal", None, &none));
    let decimal = amount.decimal();
    let (sign, digits) = decimal.strip_prefix('-').map_or(("", decimal.as_str()), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut figure = sign.to_owned();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            figure.push_str(&thousands);
        }
        figure.push(digit);
    }
    if !fraction.is_empty() {
        figure.push_str(&point);
        figure.push_str(fraction);
    }
    let facts = vec![("currency", amount.currency.code().to_owned()), ("figure", figure)];
    voice.say("amount", None, &facts)
}

fn day(at: Timestamp, voice: &Voice, zone: &TimeZone) -> String {
    let date = at.to_zoned(zone.clone()).date();
    let month =
        usize::try_from(date.month() - 1).ok().and_then(|at| MONTHS.get(at)).copied().unwrap_or("jan");
    let facts =
        vec![("day", date.day().to_string()), ("month", month.to_owned()), ("year", date.year().to_string())];
    voice.say("day", None, &facts)
}

fn moment(at: Timestamp, voice: &Voice, zone: &TimeZone) -> String {
    let time = at.to_zoned(zone.clone()).time();
    let time = format!("{:02}:{:02}", time.hour(), time.minute());
    voice.say("moment", None, &vec![("date", day(at, voice, zone)), ("time", time)])
}

/// Characters of one fact: a longer name would push what matters out of an SMS.
const MAX_FACT: usize = 100;
/// After that a message is old news.
const OLD_NEWS: SignedDuration = SignedDuration::from_hours(3 * 24);
/// What is due within the hour is told all the same.
const LEAST_USE: SignedDuration = SignedDuration::from_hours(1);
