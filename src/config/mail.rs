//! `[mail]`: how messages to subscribers leave the box.

use std::net::IpAddr;

use toml::de::DeValue;

use super::fault::Wrong;
use super::kind::{Kind, choose, chosen, quoted, text};
use super::reader::{Applies, Section};
use super::reference::SecretRef;

/// The mail server's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The server that takes our mail; `None` sends none.
    pub server: Option<MailServer>,
    /// How the way to it is protected.
    pub security: MailSecurity,
    /// Whom the messages are from.
    pub from: Option<String>,
    /// The login there, where it wants one.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<SecretRef>,
}

impl Mail {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        use Applies::Restart;
        Self {
            server: section.optional("server", Restart, None),
            security: section.optional("security", Restart, MailSecurity::StartTls),
            from: section.optional("from", Restart, None),
            username: section.optional("username", Restart, None),
            password: section.optional("password", Restart, None),
        }
    }
}

/// A server by name or address, with its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailServer {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl MailServer {
    /// Whether it is on this machine or in a private network: a name may lead anywhere.
    pub(super) fn is_near(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private(),
            Ok(IpAddr::V6(address)) => address.is_loopback() || address.is_unique_local(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

/// Whether a text has the form `mail@example.net` or `Name <mail@example.net>`; what reads it in earnest is
/// stricter, and this is so that a slip is told with its line.
pub(super) fn is_mailbox(text: &str) -> bool {
    let address = match text.trim().strip_suffix('>') {
        Some(open) => open.rsplit_once('<').map(|(_, address)| address),
        None => Some(text.trim()),
    };
    address.and_then(|address| address.rsplit_once('@')).is_some_and(|(local, domain)| {
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"<>@,;".contains(c);
        !local.is_empty() && !domain.is_empty() && local.chars().chain(domain.chars()).all(plain)
    })
}

impl Kind for MailServer {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let written = text(value, "a mail server with its port", "\"smtp.example.net:587\"")?;
        let parsed = written.rsplit_once(':').and_then(|(host, port)| {
            let plain = |octet: u8| octet.is_ascii_alphanumeric() || b".-:[]".contains(&octet);
            let fits = !host.is_empty() && host.len() <= MAX_HOST && host.bytes().all(plain);
            let port = port.parse().ok().filter(|port| *port > 0)?;
            fits.then(|| Self { host: host.trim_matches(['[', ']']).to_owned(), port })
        });
        parsed.ok_or_else(|| {
            Wrong::new(
                format!("{} is not a mail server with its port", quoted(written)),
                "write name and port, as \"smtp.example.net:587\"",
            )
        })
    }

    fn show(&self) -> String {
        let Self { host, port } = self;
        quoted(&if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
    }
}

/// How the way to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailSecurity {
    /// Plain at first, TLS before anything is said (RFC 3207); usually port 587.
    StartTls,
    /// TLS from the first octet (RFC 8314); usually port 465.
    Tls,
    /// None: only to a server on this machine or in the same rack.
    Plain,
}

const SECURITIES: &[(&str, MailSecurity)] =
    &[("starttls", MailSecurity::StartTls), ("tls", MailSecurity::Tls), ("none", MailSecurity::Plain)];

impl Kind for MailSecurity {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        choose(value, SECURITIES)
    }

    fn show(&self) -> String {
        chosen(*self, SECURITIES)
    }
}

/// RFC 1035 section 2.3.4.
const MAX_HOST: usize = 253;
