//! Mail and the reception, as the daemon wires them.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::access::Access;
use crate::base::clock::Clock;
use crate::base::entropy::Entropy;
use crate::base::health::{Health, Severity, Warning};
use crate::base::jobs::{Job, Outcome, Report};
use crate::billing::Billing;
use crate::catalogue::Catalogue;
use crate::config::{Config, Environment, Mail, MailSecurity, SecretError};
use crate::enforce::Enforcer;
use crate::notify::{Post, Security, Sent, Smtp, SmtpError, SmtpSettings};
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
    pub(super) people: &'a People,
    pub(super) subscribers: &'a Subscribers,
    pub(super) catalogue: &'a Catalogue,
    pub(super) post: &'a Post,
    pub(super) billing: &'a Billing,
}

/// The queue of messages, with the server that the configuration names.
pub(super) fn post(mail: &Mail, store: &Store, vault: &Vault, entropy: &Entropy) -> Result<Post, MailError> {
    let server = match &mail.server {
        Some(server) => Some(Smtp::new(settings(mail, server.host.clone(), server.port)?)?),
        None => None,
    };
    Ok(Post::new(store.clone(), vault.clone(), entropy.clone(), server))
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

/// Where the portal's pages are.
pub(super) fn origin(config: &Config) -> String {
    let name = config.portal.name.as_ref().map(crate::config::HostName::as_str);
    format!("https://{}", name.unwrap_or("localhost"))
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
    pub(super) post: Post,
    pub(super) health: Health,
}

impl Job for SendMail {
    fn name(&self) -> &'static str {
        "mail"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn run(&mut self, now: Timestamp) -> Report {
        match self.post.send_due(now).await {
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
        if sent.away == 0 && sent.refused < REFUSED_TO_WARN {
            if sent.sent > 0 && self.health.clear(NOT_ACCEPTED, "").is_some() {
                tracing::info!("The mail server takes messages again");
            }
            return;
        }
        if sent.away < AWAY_TO_WARN && sent.refused < REFUSED_TO_WARN {
            return;
        }
        let fault = sent.fault.as_deref().unwrap_or("no answer");
        let is_new = self.health.raise(Warning {
            code: NOT_ACCEPTED,
            subject: String::new(),
            severity: Severity::Warn,
            text: format!(
                "messages are not taken by the mail server, so nobody can confirm a signup: {fault}"
            ),
            remedy:
                "look at [mail] in the configuration and at the mail server; messages wait and are sent later"
                    .to_owned(),
            since: now,
        });
        if is_new {
            tracing::warn!(%fault, "The mail server does not take messages");
        }
    }
}

fn report(sent: &Sent, now: Timestamp) -> Report {
    let Sent { sent: taken, postponed, given_up, .. } = sent;
    let outcome = match (taken, postponed, given_up) {
        (0, 0, 0) => Outcome::Idle,
        (_, 0, 0) => Outcome::Done,
        (_, _, _) => Outcome::Failed,
    };
    let report = Report::new(outcome, format!("{taken} sent, {postponed} postponed, {given_up} given up"));
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

/// The warning's name.
const NOT_ACCEPTED: &str = "mail-not-accepted";
/// Times in a row that a server is away before it is told: one may be its restart.
const AWAY_TO_WARN: u32 = 3;
/// Messages in a row that are refused, with none taken, before it is told: a wrong sender, no right to relay.
const REFUSED_TO_WARN: u32 = 3;
/// Between tries of a server that is away.
const PAUSE: Duration = Duration::from_secs(5);
/// Looked at this often in any case.
const LONGEST: Duration = Duration::from_secs(30);
