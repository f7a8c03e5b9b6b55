//! From news to a letter: the words of the reader's language, the site's name, and the way back to the portal.
//!
//! The one rule: a subject has no control characters and an SMS no more parts than the bound, whatever the
//! facts hold.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::news::{News, Part, clean};
use super::phrases::{Facts, Phrases};
use super::sms::segments;
use crate::domain::ids::SubscriberId;
use crate::domain::language::Language;
use crate::domain::message::{Channel, Kind, Recipient};

/// A message before it is written down.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    /// To whom.
    pub to: Recipient,
    /// Whose, where it is about a subscriber.
    pub subscriber_id: Option<SubscriberId>,
    /// What it is about.
    pub kind: Kind,
    /// What it is written in.
    pub language: Language,
    /// Subject line; empty for an SMS.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// Parts of an SMS; 0 for a mail.
    pub segments: u32,
    /// After this it is of no use any more.
    pub useful_until: Timestamp,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Letter({})", self.kind.name())
    }
}

/// The place, as messages name it.
#[derive(Debug, Clone)]
pub struct SiteWords {
    /// What people call it.
    pub name: String,
    /// What is written to whoever did not say.
    pub language: Language,
    /// Where its days begin.
    pub zone: TimeZone,
    /// Where the portal's pages are: `https://portal.example.net`.
    pub origin: String,
}

/// To whom a letter goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressee {
    /// Where to.
    pub to: Recipient,
    /// Who, where it is a subscriber.
    pub subscriber_id: Option<SubscriberId>,
    /// What they are written to in; the site's language where they did not say.
    pub language: Option<Language>,
}

impl Addressee {
    /// Somebody who is known by address alone.
    #[must_use]
    pub const fn stranger(to: Recipient) -> Self {
        Self { to, subscriber_id: None, language: None }
    }
}

/// Writes letters; cheap to clone.
#[derive(Debug, Clone)]
pub struct Writer {
    phrases: Phrases,
    site: SiteWords,
}

impl Writer {
    /// A writer for a site.
    #[must_use]
    pub const fn new(phrases: Phrases, site: SiteWords) -> Self {
        Self { phrases, site }
    }

    /// The place that it writes for.
    #[must_use]
    pub const fn site(&self) -> &SiteWords {
        &self.site
    }

    /// The languages that it can write in.
    pub fn languages(&self) -> impl Iterator<Item = &Language> {
        self.phrases.languages()
    }

    /// News as a letter.
    #[must_use]
    pub fn write(&self, to: &Addressee, news: &News, now: Timestamp) -> Letter {
        let language = to.language.as_ref().unwrap_or(&self.site.language).clone();
        let voice = self.phrases.voice(&language);
        let kind = news.kind();
        let mut facts = news.facts(&voice, &self.site.zone);
        facts.push(("site", clean(&self.site.name)));
        if !facts.iter().any(|(name, _)| *name == "link") {
            facts.push(("link", format!("{}{}", self.site.origin, page(kind))));
        }
        let say = |part: Part, facts: &Facts| voice.say(kind.name(), Some(part.name()), facts);
        let (subject, text, segments) = match to.to.channel() {
            Channel::Mail => (one_line(&say(Part::Subject, &facts)), say(Part::Mail, &facts) + "\n", 0),
            Channel::Sms => {
                let fitted = segments::fit(&say(Part::Sms, &shortened(facts)));
                (String::new(), fitted.text, fitted.segments)
            }
        };
        Letter {
            to: to.to.clone(),
            subscriber_id: to.subscriber_id,
            kind,
            language,
            subject,
            text,
            segments,
            useful_until: news.useful_until(now),
        }
    }
}

/// The page of the portal that a message leads to.
const fn page(kind: Kind) -> &'static str {
    match kind {
        Kind::SignupCode | Kind::SignupKnown | Kind::ChannelTest | Kind::Voucher => "",
        Kind::Receipt
        | Kind::Refunded
        | Kind::InvoiceIssued
        | Kind::Reminder
        | Kind::Due
        | Kind::Throttled
        | Kind::Garden
        | Kind::Suspended
        | Kind::Restored
        | Kind::Terminated
        | Kind::LowBalance
        | Kind::Renewed
        | Kind::RenewalFailed
        | Kind::PasswordChanged
        | Kind::TrialEnding
        | Kind::TopUp => "/customer",
        Kind::QuotaLow | Kind::QuotaSpent => "/topup",
    }
}

/// Names that would push amounts and the link out of an SMS are cut; amounts, days, codes and links never are.
fn shortened(facts: Facts) -> Facts {
    let most = |name: &str| match name {
        "site" | "plan" | "what" => MAX_NAME,
        "number" | "reference" => MAX_REFERENCE,
        _ => usize::MAX,
    };
    facts.into_iter().map(|(name, text)| (name, text.chars().take(most(name)).collect())).collect()
}

/// A text as a header can hold it.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_SUBJECT).collect()
}

/// Longer subjects are cut off by every mail program.
const MAX_SUBJECT: usize = 150;
/// Letters of a name in an SMS.
const MAX_NAME: usize = 30;
/// Letters of a number or reference in an SMS: those of a UUID and some.
const MAX_REFERENCE: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::text::{Email, Phone};

    const HOSTILE: &str =
        "A\r\nBcc: eve@example.net\r\n\r\n{ $code } \u{202E}{SECRET()} <b>&\u{2028}%s \u{200B}😀ж";

    fn writer(site: &str, language: &str) -> Writer {
        let site = SiteWords {
            name: site.to_owned(),
            language: Language::parse(language).unwrap(),
            zone: TimeZone::get("Africa/Lagos").unwrap(),
            origin: "https://portal.example.net".to_owned(),
        };
        Writer::new(Phrases::built_in(), site)
    }

    fn mail() -> Addressee {
        Addressee::stranger(Recipient::Mail(Email::parse("ada@example.net").unwrap()))
    }

    fn sms() -> Addressee {
        Addressee::stranger(Recipient::Sms(Phone::parse("+2348012345678").unwrap()))
    }

    /// The same news with another text in every fact that is a text.
    fn told(kind: Kind, text: &str) -> News {
        let text = || text.to_owned();
        match News::sample(kind) {
            News::SignupCode { code, minutes, link, .. } => {
                News::SignupCode { plan: text(), code, minutes, link }
            }
            News::Receipt { amount, at, .. } => News::Receipt { amount, at, reference: text() },
            News::Refunded { amount, at, .. } => News::Refunded { amount, at, reference: text() },
            News::InvoiceIssued { amount, due, .. } => News::InvoiceIssued { number: text(), amount, due },
            News::Reminder { amount, due, .. } => News::Reminder { number: text(), amount, due },
            News::Due { amount, due, .. } => News::Due { number: text(), amount, due },
            News::Restored { .. } => News::Restored { plan: text() },
            News::Terminated { amount, .. } => News::Terminated { plan: text(), amount },
            News::LowBalance { amount, balance, at, .. } => {
                News::LowBalance { plan: text(), amount, balance, at }
            }
            News::Renewed { amount, until, .. } => News::Renewed { plan: text(), amount, until },
            News::RenewalFailed { amount, balance, until, .. } => {
                News::RenewalFailed { plan: text(), amount, balance, until }
            }
            News::Voucher { code, until, .. } => News::Voucher { plan: text(), code, until },
            News::TrialEnding { amount, until, .. } => News::TrialEnding { plan: text(), amount, until },
            News::TopUp { amount, until, .. } => News::TopUp { what: text(), amount, until },
            News::QuotaLow { percent, .. } => News::QuotaLow { plan: text(), percent },
            News::QuotaSpent { .. } => News::QuotaSpent { plan: text() },
            other @ (News::SignupKnown { .. }
            | News::ChannelTest { .. }
            | News::Throttled { .. }
            | News::Garden { .. }
            | News::Suspended { .. }
            | News::PasswordChanged { .. }) => other,
        }
    }

    #[test]
    fn no_fact_breaks_a_header_adds_a_line_or_turns_text_around_in_any_language() {
        for language in ["en", "fr", "sw", "ha", "pt"] {
            for kind in Kind::ALL {
                let tame = writer("Lekki", language).write(&mail(), &told(kind, "A"), Timestamp::UNIX_EPOCH);
                let letter =
                    writer(HOSTILE, language).write(&mail(), &told(kind, HOSTILE), Timestamp::UNIX_EPOCH);
                assert!(
                    !letter.subject.contains(char::is_control),
                    "{language} {kind:?}: {}",
                    letter.subject
                );
                assert!(!letter.subject.is_empty() && letter.subject.chars().count() <= MAX_SUBJECT);
                assert_eq!(letter.text.lines().count(), tame.text.lines().count(), "{language} {kind:?}");
                for letter in [&letter.subject, &letter.text] {
                    assert!(
                        !letter.contains(['\u{202E}', '\u{200B}', '\u{2028}', '\r']),
                        "{language} {kind:?}"
                    );
                }
                // Braces of a fact are text, and none of the template is left.
                assert_eq!(
                    letter.text.contains("{ $code }"),
                    letter.text.contains("eve@"),
                    "{language} {kind:?}"
                );
            }
        }
    }

    #[test]
    fn an_sms_keeps_its_amount_code_and_link_whatever_the_names_are() {
        for language in ["en", "fr", "sw", "ha", "pt"] {
            for kind in Kind::ALL {
                let news = told(kind, HOSTILE);
                let letter = writer(HOSTILE, language).write(&sms(), &news, Timestamp::UNIX_EPOCH);
                assert!(letter.segments <= segments::MOST && letter.subject.is_empty());
                assert!(!letter.text.contains("..."), "{language} {kind:?}: {}", letter.text);
                assert!(!letter.text.contains(char::is_control), "{language} {kind:?}");
                let plain = writer("Lekki POP 1", language).write(
                    &sms(),
                    &told(kind, "Home 20"),
                    Timestamp::UNIX_EPOCH,
                );
                assert!(plain.segments <= 2, "{language} {kind:?} {}: {}", plain.segments, plain.text);
            }
        }
    }

    #[test]
    fn amounts_and_days_are_written_as_people_write_them() {
        let at: Timestamp = "2026-11-30T23:30:00Z".parse().unwrap();
        let amount =
            crate::domain::money::Money { minor: 1_750_050, currency: crate::domain::money::Currency::NGN };
        let news = News::InvoiceIssued { number: "INV-2026-000007".into(), amount, due: at };
        let written = |language| writer("Lekki", language).write(&sms(), &news, at).text;
        // It is the first of December in Lagos already.
        assert!(written("en").contains("NGN 17,500.50, to be paid by 1 December 2026"), "{}", written("en"));
        assert!(
            written("fr").contains("17 500,50 NGN, à payer avant le 1 decembre")
                || written("fr").contains("1 décembre 2026"),
            "{}",
            written("fr")
        );
        assert!(written("pt").contains("17.500,50 NGN"), "{}", written("pt"));
        assert!(written("sw").contains("1 Desemba 2026"), "{}", written("sw"));
    }

    #[test]
    fn a_code_stands_alone_on_its_line_and_a_known_address_gets_no_link() {
        let news = |kind| writer("Lekki", "en").write(&mail(), &News::sample(kind), Timestamp::UNIX_EPOCH);
        let (new, known) = (news(Kind::SignupCode), news(Kind::SignupKnown));
        assert!(new.text.contains("\n01234567\n") && new.text.contains("\nhttps://a\n"), "{}", new.text);
        assert!(known.text.contains("\n01234567\n") && !known.text.contains("http"));
        // A phone that shows the subject on its locked screen tells nobody which it is.
        assert_eq!(new.subject, known.subject);
    }
}
