//! `[portal]`: where a subscriber's browser comes to, and under which name.

use std::net::SocketAddr;

use toml::de::DeValue;

use super::fault::Wrong;
use super::kind::{Kind, quoted, text};
use super::reader::{Applies, Section, Transport};
use super::reference::SecretRef;

/// The portal's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portal {
    /// The only name ever put into a URL; `None` where there is no portal.
    pub name: Option<HostName>,
    /// Plain listeners: every captive request to port 80 comes here. Empty: no portal.
    pub http: Vec<SocketAddr>,
    /// TLS listeners.
    pub https: Vec<SocketAddr>,
    /// The certificate with its chain, PEM; one is made where there is none.
    pub certificate: Option<SecretRef>,
    /// Its private key, PEM.
    pub private_key: Option<SecretRef>,
    /// Whether strangers may sign up.
    pub signup: bool,
}

impl Portal {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        use Applies::Restart;
        Self {
            name: section.optional("name", Restart, None),
            http: section.listeners_or_none("http", Transport::Tcp),
            https: section.listeners_or_none("https", Transport::Tcp),
            certificate: section.optional("certificate", Restart, None),
            private_key: section.optional("private_key", Restart, None),
            signup: section.optional("signup", Restart, true),
        }
    }

    /// Whether there is a portal at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.http.is_empty()
    }
}

/// A host's name in DNS, lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn parse(written: &str) -> Option<Self> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        };
        let is_address = written.parse::<std::net::IpAddr>().is_ok();
        let fits = written.len() <= MAX_NAME && written.contains('.') && written.split('.').all(label);
        (fits && !is_address).then(|| Self(written.to_ascii_lowercase()))
    }
}

impl Kind for HostName {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let written = text(value, "a host's name", "\"portal.example.net\"")?;
        Self::parse(written).ok_or_else(|| {
            Wrong::new(
                format!("{} is not a host's name", quoted(written)),
                "write a name that your resolver answers with this box's address, as \"portal.example.net\"",
            )
        })
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// RFC 1035 section 2.3.4.
const MAX_NAME: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_a_url_can_hold() {
        assert_eq!(HostName::parse("Portal.Example.net").unwrap().as_str(), "portal.example.net");
        for wrong in ["", "portal", "10.0.0.1", "a..b", "-a.b", "a_b.c", "a.b/", "ä.b", "a.b:80", " a.b"] {
            assert_eq!(HostName::parse(wrong), None, "{wrong}");
        }
    }
}
