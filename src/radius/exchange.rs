//! The judgement of one datagram before anybody asks who the subscriber is.
//!
//! [`admit`] answers with a packet whose sender is as sure as the NAS's settings demand, or with
//! the reason for silence. A discarded datagram gets no answer whatever (RFC 2865 section 3, RFC
//! 3579 section 3.2, RFC 5997 section 4.2): counting it is all that the caller does.
//!
//! The one rule: with Message-Authenticator required, which is the default, no Access-Request and
//! never a Status-Server passes without one that fits (CVE-2024-3596).

use super::attribute::Kind;
use super::authenticator::{self, AuthenticityError, SharedSecret};
use super::packet::{Code, DecodeError, MessageAuthenticator, Packet};

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortKind {
    /// Access-Request; by custom port 1812.
    Authentication,
    /// Accounting-Request; by custom port 1813.
    Accounting,
}

/// Whether a NAS must sign its Access-Requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MessageAuthenticatorRule {
    /// It must.
    #[default]
    Require,
    /// An old NAS may leave it out, but then must not send Proxy-State or EAP-Message either.
    Allow,
}

/// What must be known of the sender to judge its datagrams.
#[derive(Clone, Copy, Debug)]
pub struct NasFacts<'n> {
    /// The secret in force.
    pub secret: &'n SharedSecret,
    /// The secret that it replaces, while a rotation lasts.
    pub previous_secret: Option<&'n SharedSecret>,
    /// Whether Access-Requests must be signed.
    pub message_authenticator: MessageAuthenticatorRule,
}

/// A request that may be answered.
#[derive(Clone, Copy, Debug)]
pub struct Admitted<'a> {
    /// The request.
    pub packet: Packet<'a>,
    /// Which secret it is signed with; the reply must be signed with the same.
    pub fit: SecretFit,
}

/// Which of a NAS's secrets a request proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretFit {
    /// The one in force.
    Current,
    /// The one being replaced.
    Previous,
    /// None: an Access-Request without Message-Authenticator, by [`MessageAuthenticatorRule::Allow`].
    /// Only a password that fits can tell; the secret in force is assumed.
    Unproven,
}

/// Why a datagram is dropped in silence. The peer's fault, or a wrong secret on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Discard {
    /// It is no RADIUS packet.
    #[error("the datagram is no RADIUS packet")]
    Malformed(#[source] DecodeError),
    /// Its code does not belong on this port.
    #[error("a {} (code {}) does not belong on this port", .0.name(), .0.octet())]
    WrongCode(Code),
    /// It is not signed, and must be.
    #[error("there is no Message-Authenticator")]
    MessageAuthenticatorMissing,
    /// Its signature has the wrong length or comes more than once.
    #[error("there is not exactly one Message-Authenticator of 16 octets")]
    MessageAuthenticatorMalformed,
    /// Its signature does not fit: changed on the way, or signed with another secret.
    #[error("the Message-Authenticator does not fit the shared secret")]
    MessageAuthenticatorWrong,
    /// It carries Proxy-State without a signature, as the forgery of CVE-2024-3596 needs.
    #[error("there is a Proxy-State without Message-Authenticator")]
    ProxyStateUnsigned,
    /// Its Request Authenticator does not fit: changed on the way, or another secret.
    #[error("the Request Authenticator does not fit the shared secret")]
    AuthenticatorWrong,
}

/// Judges a datagram that came from a known NAS to a port.
///
/// # Errors
/// The reason for silence.
pub fn admit<'a>(datagram: &'a [u8], port: PortKind, nas: &NasFacts<'_>) -> Result<Admitted<'a>, Discard> {
    let packet = Packet::decode(datagram).map_err(Discard::Malformed)?;
    let fit = match (packet.code(), port) {
        (Code::AccessRequest, PortKind::Authentication) => judge_access(&packet, nas)?,
        (Code::AccountingRequest, PortKind::Accounting) => judge_accounting(&packet, nas)?,
        (Code::StatusServer, PortKind::Authentication | PortKind::Accounting) => signed(&packet, nas)?,
        (other, _) => return Err(Discard::WrongCode(other)),
    };
    Ok(Admitted { packet, fit })
}

fn judge_access(packet: &Packet<'_>, nas: &NasFacts<'_>) -> Result<SecretFit, Discard> {
    if packet.message_authenticator() != MessageAuthenticator::Absent {
        return signed(packet, nas);
    }
    let has = |kind| packet.first(kind).is_some();
    match nas.message_authenticator {
        MessageAuthenticatorRule::Require => Err(Discard::MessageAuthenticatorMissing),
        // RFC 3579 section 3.1: EAP is never taken unsigned.
        MessageAuthenticatorRule::Allow if has(Kind::EAP_MESSAGE) => {
            Err(Discard::MessageAuthenticatorMissing)
        }
        MessageAuthenticatorRule::Allow if has(Kind::PROXY_STATE) => Err(Discard::ProxyStateUnsigned),
        MessageAuthenticatorRule::Allow => Ok(SecretFit::Unproven),
    }
}

fn judge_accounting(packet: &Packet<'_>, nas: &NasFacts<'_>) -> Result<SecretFit, Discard> {
    let fit = first_fit(nas, |secret| authenticator::verify_accounting_request(packet, secret))?;
    if packet.message_authenticator() == MessageAuthenticator::Absent {
        return Ok(fit);
    }
    authenticator::verify_request_message_authenticator(packet, nas.secret(fit))?;
    Ok(fit)
}

fn signed(packet: &Packet<'_>, nas: &NasFacts<'_>) -> Result<SecretFit, Discard> {
    first_fit(nas, |secret| authenticator::verify_request_message_authenticator(packet, secret))
}

/// Tries the secret in force, then the one that it replaces.
fn first_fit(
    nas: &NasFacts<'_>,
    verify: impl Fn(&SharedSecret) -> Result<(), AuthenticityError>,
) -> Result<SecretFit, Discard> {
    let Err(refused) = verify(nas.secret) else { return Ok(SecretFit::Current) };
    match nas.previous_secret.map(verify) {
        Some(Ok(())) => Ok(SecretFit::Previous),
        Some(Err(_)) | None => Err(refused.into()),
    }
}

impl<'n> NasFacts<'n> {
    /// The secret to answer with. Where a fit names a secret that is no longer there, the one in
    /// force.
    #[must_use]
    pub fn secret(&self, fit: SecretFit) -> &'n SharedSecret {
        match fit {
            SecretFit::Current | SecretFit::Unproven => self.secret,
            SecretFit::Previous => self.previous_secret.unwrap_or(self.secret),
        }
    }
}

impl From<AuthenticityError> for Discard {
    fn from(error: AuthenticityError) -> Self {
        match error {
            AuthenticityError::MessageAuthenticatorMissing => Self::MessageAuthenticatorMissing,
            AuthenticityError::MessageAuthenticatorLength
            | AuthenticityError::MessageAuthenticatorRepeated => Self::MessageAuthenticatorMalformed,
            AuthenticityError::MessageAuthenticatorWrong => Self::MessageAuthenticatorWrong,
            AuthenticityError::AuthenticatorWrong => Self::AuthenticatorWrong,
        }
    }
}

impl Discard {
    /// The reason in the form of a metric's label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::WrongCode(_) => "wrong_code",
            Self::MessageAuthenticatorMissing => "message_authenticator_missing",
            Self::MessageAuthenticatorMalformed => "message_authenticator_malformed",
            Self::MessageAuthenticatorWrong => "message_authenticator_wrong",
            Self::ProxyStateUnsigned => "proxy_state_unsigned",
            Self::AuthenticatorWrong => "authenticator_wrong",
        }
    }

    /// All labels, so that a counter exists before its first event.
    pub const LABELS: [&'static str; 7] = [
        "malformed",
        "wrong_code",
        "message_authenticator_missing",
        "message_authenticator_malformed",
        "message_authenticator_wrong",
        "proxy_state_unsigned",
        "authenticator_wrong",
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;
    use crate::radius::{Buffer, Request};

    const SIGNED_AT: usize = 22;

    struct Nas {
        current: SharedSecret,
        previous: SharedSecret,
    }

    impl Nas {
        fn new() -> Self {
            let secret = |text| SharedSecret::new(Secret::from_text(text));
            Self { current: secret("the secret in force"), previous: secret("the one before it") }
        }

        fn facts(&self, message_authenticator: MessageAuthenticatorRule) -> NasFacts<'_> {
            NasFacts { secret: &self.current, previous_secret: Some(&self.previous), message_authenticator }
        }

        fn strict(&self) -> NasFacts<'_> {
            self.facts(MessageAuthenticatorRule::Require)
        }

        fn lax(&self) -> NasFacts<'_> {
            self.facts(MessageAuthenticatorRule::Allow)
        }
    }

    fn access(secret: &SharedSecret) -> Vec<u8> {
        let mut buffer: Buffer = [0; 4096];
        let mut request = Request::access(&mut buffer, 7, [3; 16]).unwrap();
        request.attributes().text(Kind::USER_NAME, "alice").unwrap();
        request.finish(secret).to_vec()
    }

    fn status(secret: &SharedSecret) -> Vec<u8> {
        let mut buffer: Buffer = [0; 4096];
        Request::status_server(&mut buffer, 7, [3; 16]).unwrap().finish(secret).to_vec()
    }

    fn accounting(secret: &SharedSecret) -> Vec<u8> {
        let mut buffer: Buffer = [0; 4096];
        let mut request = Request::accounting(&mut buffer, 7);
        request.attributes().text(Kind::ACCT_SESSION_ID, "81a0").unwrap();
        request.finish(secret).to_vec()
    }

    /// An Access-Request with only these attributes.
    fn unsigned(attributes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(20 + attributes.len()).unwrap().to_be_bytes();
        [&[1, 7][..], &length, &[3; 16], attributes].concat()
    }

    fn fit(datagram: &[u8], port: PortKind, facts: &NasFacts<'_>) -> Result<SecretFit, Discard> {
        admit(datagram, port, facts).map(|admitted| admitted.fit)
    }

    #[test]
    fn each_secret_of_a_rotation_is_told_apart() {
        let nas = Nas::new();
        for (secret, expected) in [(&nas.current, SecretFit::Current), (&nas.previous, SecretFit::Previous)] {
            let facts = nas.strict();
            assert_eq!(fit(&access(secret), PortKind::Authentication, &facts), Ok(expected));
            assert_eq!(fit(&status(secret), PortKind::Authentication, &facts), Ok(expected));
            assert_eq!(fit(&status(secret), PortKind::Accounting, &facts), Ok(expected));
            assert_eq!(fit(&accounting(secret), PortKind::Accounting, &facts), Ok(expected));
            assert_eq!(facts.secret(expected).secret(), secret.secret());
        }
    }

    #[test]
    fn another_secret_gets_silence_on_every_code() {
        let nas = Nas::new();
        let other = SharedSecret::new(Secret::from_text("guessed"));
        for facts in [nas.strict(), nas.lax()] {
            let wrong = Err(Discard::MessageAuthenticatorWrong);
            assert_eq!(fit(&access(&other), PortKind::Authentication, &facts), wrong);
            assert_eq!(fit(&status(&other), PortKind::Accounting, &facts), wrong);
            let wrong = Err(Discard::AuthenticatorWrong);
            assert_eq!(fit(&accounting(&other), PortKind::Accounting, &facts), wrong);
        }
    }

    #[test]
    fn a_code_on_the_wrong_port_gets_silence() {
        let nas = Nas::new();
        let wrong = fit(&access(&nas.current), PortKind::Accounting, &nas.strict());
        assert_eq!(wrong, Err(Discard::WrongCode(Code::AccessRequest)));
        let wrong = fit(&accounting(&nas.current), PortKind::Authentication, &nas.strict());
        assert_eq!(wrong, Err(Discard::WrongCode(Code::AccountingRequest)));
        for code in [2, 3, 5, 11, 13, 40, 43, 99] {
            let mut datagram = access(&nas.current);
            datagram[0] = code;
            let wrong = Err(Discard::WrongCode(Code::from_octet(code)));
            assert_eq!(fit(&datagram, PortKind::Authentication, &nas.lax()), wrong);
        }
    }

    #[test]
    fn cve_2024_3596_an_unsigned_request_passes_only_where_allowed_and_bare() {
        let nas = Nas::new();
        let port = PortKind::Authentication;
        let bare = unsigned(&[1, 3, b'a']);
        assert_eq!(fit(&bare, port, &nas.strict()), Err(Discard::MessageAuthenticatorMissing));
        assert_eq!(fit(&bare, port, &nas.lax()), Ok(SecretFit::Unproven));
        let proxied = unsigned(&[1, 3, b'a', 33, 3, 0]);
        assert_eq!(fit(&proxied, port, &nas.lax()), Err(Discard::ProxyStateUnsigned));
        let eap = unsigned(&[1, 3, b'a', 79, 3, 0]);
        assert_eq!(fit(&eap, port, &nas.lax()), Err(Discard::MessageAuthenticatorMissing));
    }

    #[test]
    fn a_wrong_signature_is_refused_even_where_none_is_required() {
        let nas = Nas::new();
        let mut datagram = access(&nas.current);
        datagram[SIGNED_AT] ^= 1;
        let wrong = Err(Discard::MessageAuthenticatorWrong);
        assert_eq!(fit(&datagram, PortKind::Authentication, &nas.lax()), wrong);
        let twice = unsigned(&[&[80u8, 18][..], &[0; 16], &[80, 18], &[0; 16]].concat());
        let malformed = Err(Discard::MessageAuthenticatorMalformed);
        assert_eq!(fit(&twice, PortKind::Authentication, &nas.lax()), malformed);
        assert_eq!(fit(&unsigned(&[80, 3, 0]), PortKind::Authentication, &nas.lax()), malformed);
    }

    #[test]
    fn rfc5997_s3_an_unsigned_status_server_gets_silence() {
        let nas = Nas::new();
        let mut datagram = unsigned(&[]);
        datagram[0] = 12;
        let missing = Err(Discard::MessageAuthenticatorMissing);
        assert_eq!(fit(&datagram, PortKind::Authentication, &nas.lax()), missing);
        assert_eq!(fit(&datagram, PortKind::Accounting, &nas.lax()), missing);
    }

    #[test]
    fn rfc2866_s3_padding_behind_an_accounting_request_is_not_signed() {
        let nas = Nas::new();
        let padded = [&accounting(&nas.current)[..], &[0; 9]].concat();
        assert_eq!(fit(&padded, PortKind::Accounting, &nas.strict()), Ok(SecretFit::Current));
    }

    #[test]
    fn an_accounting_request_may_be_signed_twice_and_then_both_count() {
        let nas = Nas::new();
        let signed = accounting_with_message_authenticator(&nas.current, |_| {});
        assert_eq!(fit(&signed, PortKind::Accounting, &nas.strict()), Ok(SecretFit::Current));
        let spoilt = accounting_with_message_authenticator(&nas.current, |value| *value ^= 1);
        let wrong = Err(Discard::MessageAuthenticatorWrong);
        assert_eq!(fit(&spoilt, PortKind::Accounting, &nas.strict()), wrong);
    }

    fn accounting_with_message_authenticator(secret: &SharedSecret, spoil: impl Fn(&mut u8)) -> Vec<u8> {
        let mut octets = unsigned(&[&[44u8, 4, b'1', b'2', 80, 18][..], &[0; 16]].concat());
        octets[0] = 4;
        octets[4..20].fill(0);
        let signature = secret.message_authenticator(&octets, 26, &[0; 16]).unwrap();
        octets[26..42].copy_from_slice(&signature);
        spoil(&mut octets[26]);
        let authenticator = secret.packet_authenticator(&octets, &[0; 16]).unwrap();
        octets[4..20].copy_from_slice(&authenticator);
        octets
    }

    #[test]
    fn every_reason_has_its_label_listed() {
        let reasons = [
            Discard::Malformed(DecodeError::TooManyAttributes),
            Discard::WrongCode(Code::CoaAck),
            Discard::MessageAuthenticatorMissing,
            Discard::MessageAuthenticatorMalformed,
            Discard::MessageAuthenticatorWrong,
            Discard::ProxyStateUnsigned,
            Discard::AuthenticatorWrong,
        ];
        assert_eq!(reasons.map(|reason| reason.label()), Discard::LABELS);
    }
}
