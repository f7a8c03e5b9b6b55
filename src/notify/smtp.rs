//! The way to the mail server: SMTP (RFC 5321), by default over STARTTLS with the certificate verified.
//!
//! One message a call, with a bound on its time. The one rule: without the TLS that was asked for, neither the
//! login nor a message is sent.

use std::time::{Duration, SystemTime};

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::carrier::Untaken;
use crate::base::secret::Secret;
use crate::domain::message::Message;

/// A mail server; cheap to clone.
#[derive(Clone)]
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    settings: Secret,
}

/// What a mail server is reached by.
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the way there is protected.
    pub security: Security,
    /// Login and password, where it wants them.
    pub login: Option<(String, Secret)>,
    /// Whom messages are from: `Name <mail@example.net>`.
    pub from: String,
}

/// How the way to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Plain at first, TLS before anything is said.
    StartTls,
    /// TLS from the first octet.
    Tls,
    /// None.
    Plain,
}

/// Why a server cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SmtpError {
    /// The operator's: the sender is no address.
    #[error("mail.from is not an address such as `Name <mail@example.net>`: {0}")]
    From(String),
    /// The machine's: TLS cannot be set up.
    #[error("TLS to the mail server cannot be set up: {0}")]
    Tls(String),
}

impl SmtpSettings {
    fn told(&self) -> Secret {
        let Self { host, port, security, login, from } = self;
        let (name, password) = login
            .as_ref()
            .map_or(("", ""), |(name, password)| (name.as_str(), password.expose_text().unwrap_or_default()));
        Secret::from_text(&format!("{host}\n{port}\n{security:?}\n{from}\n{name}\n{password}"))
    }
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Smtp")
    }
}

impl Smtp {
    /// A server by its settings; nothing is connected yet.
    ///
    /// # Errors
    /// `From`, `Tls`.
    pub fn new(settings: SmtpSettings) -> Result<Self, SmtpError> {
        let told = settings.told();
        let SmtpSettings { host, port, security, login, from } = settings;
        let from: Mailbox = from.parse().map_err(|error| SmtpError::From(format!("{error}")))?;
        let tls = || TlsParameters::new(host.clone()).map_err(|error| SmtpError::Tls(error.to_string()));
        let tls = match security {
            Security::StartTls => Tls::Required(tls()?),
            Security::Tls => Tls::Wrapper(tls()?),
            Security::Plain => Tls::None,
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(port)
            .tls(tls)
            .timeout(Some(COMMAND_TIMEOUT))
            .pool_config(PoolConfig::new().max_size(1).idle_timeout(IDLE_TIMEOUT));
        if let Some((name, password)) = login {
            let password = password.expose_text().unwrap_or_default().to_owned();
            transport = transport.credentials(Credentials::new(name, password));
        }
        Ok(Self { transport: transport.build(), from, settings: told })
    }

    /// Everything that it sends by, the password too.
    pub(super) const fn settings(&self) -> &Secret {
        &self.settings
    }

    /// Hands one message to the server. The same message again carries the same Message-ID.
    ///
    /// # Errors
    /// [`Untaken`].
    pub async fn send(&self, message: &Message, text: &str) -> Result<(), Untaken> {
        let mail = self.mail(message, text)?;
        match tokio::time::timeout(MESSAGE_TIMEOUT, self.transport.send(mail)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(told(&error, message.to.as_str())),
            Err(_) => Err(Untaken::Away(format!("no answer within {} s", MESSAGE_TIMEOUT.as_secs()))),
        }
    }

    fn mail(&self, message: &Message, text: &str) -> Result<lettre::Message, Untaken> {
        let fault = |error: &dyn std::fmt::Display| Untaken::Message(error.to_string());
        let to: Address =
            message.to.as_str().parse().map_err(|error: lettre::address::AddressError| fault(&error))?;
        let domain = self.from.email.domain();
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        MessageBuilder::new()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(message.subject.clone())
            .date(SystemTime::from(message.created_at))
            .message_id(Some(format!("<{}@{domain}>", message.id)))
            // RFC 3834 section 5: no out-of-office answers.
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN)
            .body(text.to_owned())
            .map_err(|error| fault(&error))
    }
}

/// Whether a fault is about this message or about every one: one address that cannot be reached must not hold
/// the others.
fn told(error: &lettre::transport::smtp::Error, to: &str) -> Untaken {
    let mut text = error.to_string();
    if let Some(cause) = std::error::Error::source(error) {
        text = format!("{text}: {cause}");
    }
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_FAULT).collect();
    let code = error.status().map(u16::from);
    match code {
        Some(code) if ABOUT_US.contains(&code) => Untaken::Away(text),
        Some(_) if error.is_permanent() => Untaken::Refused(text),
        Some(_) => Untaken::Later(text),
        // The server has not SMTPUTF8 (RFC 6531), which this address needs.
        None if error.is_client() && !to.is_ascii() => Untaken::Message(text),
        None => Untaken::Away(text),
    }
}

/// One command and its answer (RFC 5321 section 4.5.3.2 allows minutes; a person waits for the code).
const COMMAND_TIMEOUT: Duration = Duration::from_secs(20);
/// A whole message.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(60);
/// Servers close an idle connection after some minutes; we do before.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Shutting down (RFC 5321 section 4.2.3); no login, a wrong one, one that is too weak or needs TLS (RFC 4954
/// section 6). All else is about a sender, a recipient or a message.
const ABOUT_US: [u16; 6] = [421, 454, 530, 534, 535, 538];
/// Characters of a fault that are kept: what a server says is of no known length.
const MAX_FAULT: usize = 300;
