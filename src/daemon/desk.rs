//! Mail and the reception, as the daemon wires them.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::sms;
use super::words::{self, WordsError};
use crate::access::Access;
use crate::base::clock::Clock;
use crate::base::entropy::Entropy;
use crate::base::health::{Health, Severity, Warning};
use crate::base::jobs::{Job, Outcome, Report};
use crate::billing::Billing;
use crate::catalogue::Catalogue;
use crate::config::{Config, Environment, Mail, MailSecurity, SecretError};
use crate::domain::message::Channel;
use crate::enforce::Enforcer;
use crate::enforce::remote::Teller;
use crate::notify::{
    Carrier, OutboundError, Post, PostParts, QuietHours, Rules, Security, Sent, SiteWords, Smtp, SmtpError,
    SmtpSettings, Writer,
};
use crate::people::People;
use crate::people::subscribers::Subscribers;
use crate::reception::{Parts, Reception, SignupSettings};
use crate::store::Store;
use crate::store::vault::Vault;

/// Why mail cannot be sent by this configuration.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The password of the mail server.
    #[error("the mail server's password (mail.password) cannot be used")]
    Password(#[from] SecretError),
    /// The server's settings.
    #[error(transparent)]
    Server(#[from] SmtpError),
    /// The key of the carrier of SMS.
    #[error("the key of the SMS carrier (sms.secret) cannot be used")]
    SmsKey(#[source] SecretError),
    /// The carrier's settings.
    #[error("[sms]: {0}")]
    Sms(#[from] OutboundError),
    /// The operator's own words.
    #[error(transparent)]
    Words(#[from] WordsError),
}

/// What the reception is built from.
pub(super) struct Desk<'a> {
    pub(super) config: &'a Config,
    pub(super) clock: &'a Clock,
    pub(super) entropy: &'a Entropy,
    pub(super) store: &'a Store,
    pub(super) vault: &'a Vault,
    pub(super) access: &'a Arc<Access>,
    pub(super) enforcer: Option<&'a Enforcer>,
    pub(super) teller: &'a Teller,
    pub(super) people: &'a People,
    pub(super) subscribers: &'a Subscribers,
    pub(super) catalogue: &'a Catalogue,
    pub(super) post: &'a Post,
    pub(super) billing: &'a Billing,
}

/// The queue of messages, with what the configuration names to send by.
pub(super) fn post(
    config: &Config,
    store: &Store,
    vault: &Vault,
    entropy: &Entropy,
) -> Result<Post, MailError> {
    let mail = &config.mail;
    let mut carriers = Vec::new();
    if let Some(server) = &mail.server {
        carriers.push(Carrier::Mail(Smtp::new(settings(mail, server.host.clone(), server.port)?)?));
    }
    carriers.extend(sms::carrier(&config.sms)?.map(Carrier::Sms));
    let site = SiteWords {
        name: config.site.name.clone(),
        language: config.site.language.clone(),
        zone: config.site.timezone.clone(),
        origin: origin(config),
    };
    let quiet = config.notify.quiet.and_then(|quiet| QuietHours::new(quiet.from, quiet.until));
    let rules = Rules { order: config.notify.order.clone(), quiet, sms_per_day: config.sms.per_day };
    Ok(Post::new(PostParts {
        store: store.clone(),
        vault: vault.clone(),
        entropy: entropy.clone(),
        writer: Writer::new(words::read(&config.notify.languages)?, site),
        rules,
        carriers,
    }))
}

/// Where the portal's pages are.
pub(super) fn origin(config: &Config) -> String {
    let name = config.portal.name.as_ref().map(crate::config::HostName::as_str);
    format!("https://{}", name.unwrap_or("localhost"))
}

fn settings(mail: &Mail, host: String, port: u16) -> Result<SmtpSettings, MailError> {
    let login = match (&mail.username, &mail.password) {
        (Some(name), Some(password)) => Some((name.clone(), password.resolve(&Environment::Process)?)),
        (Some(_) | None, _) => None,
    };
    let security = match mail.security {
        MailSecurity::StartTls => Security::StartTls,
        MailSecurity::Tls => Security::Tls,
        MailSecurity::Plain => Security::Plain,
    };
    Ok(SmtpSettings { host, port, security, login, from: mail.from.clone().unwrap_or_default() })
}

/// The journeys of subscribers.
pub(super) fn reception(desk: &Desk<'_>) -> Reception {
    let portal = &desk.config.portal;
    Reception::new(Parts {
        store: desk.store.clone(),
        vault: desk.vault.clone(),
        entropy: desk.entropy.clone(),
        access: Arc::clone(desk.access),
        enforcer: desk.enforcer.cloned(),
        teller: Some(desk.teller.clone()),
        people: desk.people.clone(),
        subscribers: desk.subscribers.clone(),
        catalogue: desk.catalogue.clone(),
        post: desk.post.clone(),
        billing: desk.billing.clone(),
        clock: desk.clock.clone(),
        signup: SignupSettings {
            open: portal.signup && portal.is_on() && desk.post.has_server(),
            origin: origin(desk.config),
            site: desk.config.site.name.clone(),
        },
    })
}

/// Sends messages on.
pub(super) struct SendMail {
    pub(super) channel: Channel,
    pub(super) post: Post,
    pub(super) health: Health,
}

impl Job for SendMail {
    fn name(&self) -> &'static str {
        self.channel.name()
    }

    fn period(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn run(&mut self, now: Timestamp) -> Report {
        match self.post.send_by(self.channel, now).await {
            Ok(sent) => {
                self.tell(&sent, now);
                report(&sent, now)
            }
            Err(error) => Report::new(Outcome::Failed, error.to_string()),
        }
    }
}

impl SendMail {
    fn tell(&self, sent: &Sent, now: Timestamp) {
        let code = match self.channel {
            Channel::Mail => MAIL_NOT_ACCEPTED,
            Channel::Sms => SMS_NOT_ACCEPTED,
        };
        self.tell_spent(sent, now);
        if sent.away == 0 && sent.refused < REFUSED_TO_WARN {
            if sent.sent > 0 && self.health.clear(code, "").is_some() {
                tracing::info!(channel = self.channel.name(), "Messages are taken again");
            }
            return;
        }
        if sent.away < AWAY_TO_WARN && sent.refused < REFUSED_TO_WARN {
            return;
        }
        let fault = sent.fault.as_deref().unwrap_or("no answer");
        let (text, remedy) = match self.channel {
            Channel::Mail => (
                format!("messages are not taken by the mail server, so nobody can confirm a signup: {fault}"),
                "look at [mail] in the configuration and at the mail server; messages wait and are sent later",
            ),
            Channel::Sms => (
                format!("messages are not taken by the SMS carrier: {fault}"),
                "look at [sms] in the configuration and at your account there; messages wait and are sent later",
            ),
        };
        let remedy = remedy.to_owned();
        let warning =
            Warning { code, subject: String::new(), severity: Severity::Warn, text, remedy, since: now };
        if self.health.raise(warning) {
            tracing::warn!(channel = self.channel.name(), %fault, "Messages are not taken");
        }
    }

    /// The day's SMS are used up, until a run finds that they are not.
    fn tell_spent(&self, sent: &Sent, now: Timestamp) {
        if !sent.spent {
            if sent.sent > 0 {
                self.health.clear(SMS_SPENT, "");
            }
            return;
        }
        let is_new = self.health.raise(Warning {
            code: SMS_SPENT,
            subject: String::new(),
            severity: Severity::Warn,
            text: "the day's SMS are used up; what can wait is sent tomorrow".to_owned(),
            remedy: "see GET /api/v1/messages for what went; raise sms.per_day if that is right".to_owned(),
            since: now,
        });
        if is_new {
            tracing::warn!("The day's SMS are used up");
        }
    }
}

fn report(sent: &Sent, now: Timestamp) -> Report {
    let Sent { sent: taken, postponed, held, given_up, .. } = sent;
    let outcome = match (taken, postponed, given_up) {
        (0, 0, 0) if *held == 0 => Outcome::Idle,
        (_, 0, 0) => Outcome::Done,
        (_, _, _) => Outcome::Failed,
    };
    let report = Report::new(
        outcome,
        format!("{taken} sent, {postponed} postponed, {held} held back, {given_up} given up"),
    );
    match sent.next_due {
        Some(due) => {
            let wait = Duration::try_from(due.duration_since(now)).unwrap_or(Duration::ZERO);
            // While the server is away, those that are due would only ask it again at once.
            let least = if sent.away > 0 { PAUSE } else { Duration::ZERO };
            report.next_in(wait.clamp(least, LONGEST))
        }
        None => report,
    }
}

/// The warnings' names.
const MAIL_NOT_ACCEPTED: &str = "mail-not-accepted";
const SMS_NOT_ACCEPTED: &str = "sms-not-accepted";
const SMS_SPENT: &str = "sms-used-up";
/// Times in a row that a server is away before it is told: one may be its restart.
const AWAY_TO_WARN: u32 = 3;
/// Messages in a row that are refused, with none taken, before it is told: a wrong sender, no right to relay.
const REFUSED_TO_WARN: u32 = 3;
/// Between tries of a server that is away.
const PAUSE: Duration = Duration::from_secs(5);
/// Looked at this often in any case.
const LONGEST: Duration = Duration::from_secs(30);
