//! The asking side of an exchange, without its socket: for testing a server from the command line,
//! and for the server's own tests.
//!
//! An [`Ask`] is a request under construction; [`Ask::finish`] gives its octets and an
//! [`Expectation`], which alone can say whether a datagram is the answer to it.
//!
//! The one rule: a reply is believed only after identifier, code, both authenticators and, for
//! MS-CHAP version 2, the server's proof have been held against the request.

use super::attribute::{Kind, VendorKind};
use super::authenticator::{self, AuthenticityError, SharedSecret, ZERO, equal};
use super::encode::{Buffer, EncodeError, Request, Writer};
use super::mschap;
use super::packet::{Authenticator, Code, DecodeError, MessageAuthenticator, Packet};
use super::password::Method;
use md5::{Digest, Md5};

/// Who logs in, and how.
#[derive(Clone, Copy)]
pub struct Login<'l> {
    /// User-Name.
    pub user_name: &'l [u8],
    /// The password; not printed.
    pub password: &'l [u8],
    /// The method that proves it.
    pub method: Method,
}

/// Fresh random octets for one login.
#[derive(Clone, Copy, Debug)]
pub struct LoginRandom {
    /// The Request Authenticator.
    pub authenticator: Authenticator,
    /// CHAP-Challenge or MS-CHAP-Challenge.
    pub challenge: [u8; 16],
    /// The peer's challenge of MS-CHAP version 2.
    pub peer_challenge: [u8; 16],
}

/// A request under construction, with what its reply must prove.
#[derive(Debug)]
pub struct Ask<'b> {
    request: Request<'b>,
    code: Code,
    identifier: u8,
    success: Option<[u8; 43]>,
}

/// What the answer to one request must be like.
#[derive(Clone, Debug)]
pub struct Expectation {
    code: Code,
    identifier: u8,
    request_authenticator: Authenticator,
    success: Option<[u8; 43]>,
}

/// Why a datagram is not the answer. The server's fault, or somebody's between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyFault {
    /// It is no RADIUS packet.
    #[error("the reply is no RADIUS packet")]
    Malformed(#[source] DecodeError),
    /// It answers another request.
    #[error("the reply has identifier {got}, not {expected}")]
    Identifier {
        /// What was asked with.
        expected: u8,
        /// What came.
        got: u8,
    },
    /// Its code does not answer the request's.
    #[error("{} does not answer {}", got.name(), asked.name())]
    Code {
        /// What was asked.
        asked: Code,
        /// What came.
        got: Code,
    },
    /// It was not made by somebody who knows the secret.
    #[error("the reply is not authentic; check the shared secret")]
    NotAuthentic(#[source] AuthenticityError),
    /// MS-CHAP2-Success is missing or wrong: the server does not know the password either.
    #[error("the server did not prove that it knows the password (MS-CHAP2-Success)")]
    ServerProof,
}

impl<'b> Ask<'b> {
    /// An Access-Request that proves a password.
    ///
    /// # Errors
    /// When name or password is too long for its attribute.
    pub fn login(
        buffer: &'b mut Buffer,
        identifier: u8,
        login: &Login<'_>,
        random: &LoginRandom,
        secret: &SharedSecret,
    ) -> Result<Self, EncodeError> {
        let mut request = Request::access(buffer, identifier, random.authenticator)?;
        request.attributes().octets(Kind::USER_NAME, login.user_name)?;
        let success = match login.method {
            Method::Pap => request.user_password(login.password, secret).map(|()| None)?,
            Method::Chap => write_chap(&mut request, identifier, login, random).map(|()| None)?,
            Method::MsChapV1 => write_ms_chap_v1(&mut request, identifier, login, random).map(|()| None)?,
            Method::MsChapV2 => write_ms_chap_v2(&mut request, identifier, login, random).map(Some)?,
        };
        Ok(Self { request, code: Code::AccessRequest, identifier, success })
    }

    /// An Access-Request without a proof of its own: EAP's rounds. The caller writes its attributes.
    ///
    /// # Errors
    /// None in practice: the buffer has room.
    pub fn access(
        buffer: &'b mut Buffer,
        identifier: u8,
        authenticator: Authenticator,
    ) -> Result<Self, EncodeError> {
        let request = Request::access(buffer, identifier, authenticator)?;
        Ok(Self { request, code: Code::AccessRequest, identifier, success: None })
    }

    /// An Accounting-Request; the caller writes its attributes.
    #[must_use]
    pub fn accounting(buffer: &'b mut Buffer, identifier: u8) -> Self {
        let request = Request::accounting(buffer, identifier);
        Self { request, code: Code::AccountingRequest, identifier, success: None }
    }

    /// A Status-Server request (RFC 5997).
    ///
    /// # Errors
    /// None in practice: the buffer has room.
    pub fn status_server(
        buffer: &'b mut Buffer,
        identifier: u8,
        random: Authenticator,
    ) -> Result<Self, EncodeError> {
        let request = Request::status_server(buffer, identifier, random)?;
        Ok(Self { request, code: Code::StatusServer, identifier, success: None })
    }

    /// Where further attributes are written.
    pub const fn attributes(&mut self) -> &mut Writer<'b> {
        self.request.attributes()
    }

    /// Signs the request; gives its octets and what to hold the reply against.
    #[must_use]
    pub fn finish(self, secret: &SharedSecret) -> (&'b [u8], Expectation) {
        let octets = self.request.finish(secret);
        let field = octets.get(AUTHENTICATOR_AT..).and_then(|rest| rest.first_chunk());
        let expectation = Expectation {
            code: self.code,
            identifier: self.identifier,
            request_authenticator: field.copied().unwrap_or(ZERO),
            success: self.success,
        };
        (octets, expectation)
    }
}

impl Expectation {
    /// Holds a datagram against the request. A fault may mean that it answers an earlier request or
    /// is forged, so the caller goes on waiting until its time is up.
    ///
    /// # Errors
    /// The first thing about the datagram that is not as it must be.
    pub fn check<'a>(&self, datagram: &'a [u8], secret: &SharedSecret) -> Result<Packet<'a>, ReplyFault> {
        let reply = Packet::decode(datagram).map_err(ReplyFault::Malformed)?;
        if reply.identifier() != self.identifier {
            return Err(ReplyFault::Identifier { expected: self.identifier, got: reply.identifier() });
        }
        if !self.is_answered_by(reply.code()) {
            return Err(ReplyFault::Code { asked: self.code, got: reply.code() });
        }
        authenticator::verify_response(&reply, &self.request_authenticator, secret)
            .map_err(ReplyFault::NotAuthentic)?;
        let unsigned = reply.message_authenticator() == MessageAuthenticator::Absent;
        if unsigned && self.code != Code::AccountingRequest {
            return Err(ReplyFault::NotAuthentic(AuthenticityError::MessageAuthenticatorMissing));
        }
        if reply.code() == Code::AccessAccept && !self.server_proved(&reply) {
            return Err(ReplyFault::ServerProof);
        }
        Ok(reply)
    }

    fn is_answered_by(&self, reply: Code) -> bool {
        match self.code {
            Code::AccessRequest => {
                [Code::AccessAccept, Code::AccessReject, Code::AccessChallenge].contains(&reply)
            }
            Code::AccountingRequest => reply == Code::AccountingResponse,
            Code::StatusServer => [Code::AccessAccept, Code::AccountingResponse].contains(&reply),
            Code::AccessAccept
            | Code::AccessReject
            | Code::AccountingResponse
            | Code::AccessChallenge
            | Code::StatusClient
            | Code::DisconnectRequest
            | Code::DisconnectAck
            | Code::DisconnectNak
            | Code::CoaRequest
            | Code::CoaAck
            | Code::CoaNak
            | Code::Unknown(_) => false,
        }
    }

    fn server_proved(&self, reply: &Packet<'_>) -> bool {
        self.success.is_none_or(|expected| {
            reply.first_vendor(VendorKind::MS_CHAP2_SUCCESS).is_some_and(|given| equal(given, &expected))
        })
    }
}

fn write_chap(
    request: &mut Request<'_>,
    id: u8,
    login: &Login<'_>,
    random: &LoginRandom,
) -> Result<(), EncodeError> {
    let digest = Md5::new().chain_update([id]).chain_update(login.password);
    let response: [u8; 16] = digest.chain_update(random.challenge).finalize().into();
    let mut value = [id; 17];
    copy_at(&mut value, 1, &response);
    request.attributes().octets(Kind::CHAP_PASSWORD, &value)?;
    request.attributes().octets(Kind::CHAP_CHALLENGE, &random.challenge)
}

fn write_ms_chap_v1(
    request: &mut Request<'_>,
    ident: u8,
    login: &Login<'_>,
    random: &LoginRandom,
) -> Result<(), EncodeError> {
    let challenge = random.challenge.first_chunk().copied().unwrap_or_default();
    let response = mschap::challenge_response(&challenge, &mschap::nt_hash(login.password));
    let mut value = [0; 50];
    copy_at(&mut value, 0, &[ident, NT_RESPONSE_COUNTS]);
    copy_at(&mut value, NT_RESPONSE_AT, &response);
    request.attributes().vendor(VendorKind::MS_CHAP_CHALLENGE, &challenge)?;
    request.attributes().vendor(VendorKind::MS_CHAP_RESPONSE, &value)
}

/// Gives the MS-CHAP2-Success that a server must answer with.
fn write_ms_chap_v2(
    request: &mut Request<'_>,
    ident: u8,
    login: &Login<'_>,
    random: &LoginRandom,
) -> Result<[u8; 43], EncodeError> {
    let hash = mschap::nt_hash(login.password);
    let challenge = mschap::challenge_hash(&random.peer_challenge, &random.challenge, login.user_name);
    let response = mschap::challenge_response(&challenge, &hash);
    let mut value = [0; 50];
    copy_at(&mut value, 0, &[ident]);
    copy_at(&mut value, PEER_CHALLENGE_AT, &random.peer_challenge);
    copy_at(&mut value, NT_RESPONSE_AT, &response);
    request.attributes().vendor(VendorKind::MS_CHAP_CHALLENGE, &random.challenge)?;
    request.attributes().vendor(VendorKind::MS_CHAP2_RESPONSE, &value)?;
    let mut success = [ident; 43];
    copy_at(&mut success, 1, &mschap::authenticator_response(&hash.hashed(), &response, &challenge));
    Ok(success)
}

fn copy_at(target: &mut [u8], at: usize, source: &[u8]) {
    for (target, source) in target.iter_mut().skip(at).zip(source) {
        *target = *source;
    }
}

impl std::fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({})", self.method.name())
    }
}

/// Where the authenticator stands in a packet.
const AUTHENTICATOR_AT: usize = 4;
/// Flag of MS-CHAP-Response (RFC 2548 section 2.1.3).
const NT_RESPONSE_COUNTS: u8 = 1;
/// Where the peer's challenge stands in MS-CHAP2-Response (RFC 2548 section 2.3.2).
const PEER_CHALLENGE_AT: usize = 2;
/// Where the NT response stands in both MS-CHAP responses.
const NT_RESPONSE_AT: usize = 26;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;
    use crate::radius::{Extras, PasswordBuffer, Proof, Reply, Salt, Verdict};

    const METHODS: [Method; 4] = [Method::Pap, Method::Chap, Method::MsChapV1, Method::MsChapV2];

    fn secret() -> SharedSecret {
        SharedSecret::new(Secret::from_text("a secret of the test"))
    }

    fn random() -> LoginRandom {
        LoginRandom { authenticator: [1; 16], challenge: [2; 16], peer_challenge: [3; 16] }
    }

    fn ask(buffer: &mut Buffer, method: Method, password: &str) -> (Vec<u8>, Expectation) {
        let login = Login { user_name: b"alice", password: password.as_bytes(), method };
        let ask = Ask::login(buffer, 9, &login, &random(), &secret()).unwrap();
        let (octets, expectation) = ask.finish(&secret());
        (octets.to_vec(), expectation)
    }

    fn answer(request: &[u8], code: Code, extras: &Extras) -> Vec<u8> {
        let (mut buffer, request) = ([0; 4096], Packet::decode(request).unwrap());
        let mut reply = Reply::start(&mut buffer, &request, code).unwrap();
        reply.extras(extras, &secret(), Salt::pair_from_random([4, 5])).unwrap();
        reply.finish(&secret()).to_vec()
    }

    fn judge(request: &[u8], password: &str) -> Verdict {
        let (packet, mut room) = (Packet::decode(request).unwrap(), PasswordBuffer::default());
        let proof = Proof::from_request(&packet, &secret(), &mut room).unwrap().unwrap();
        proof.verify(b"alice", password.as_bytes())
    }

    #[test]
    fn each_method_is_accepted_with_the_password_and_wrong_with_another() {
        for method in METHODS {
            let (request, expectation) = ask(&mut [0; 4096], method, "correct horse");
            assert!(!judge(&request, "battery staple").is_accepted(), "{method:?}");
            let Verdict::Accepted(extras) = judge(&request, "correct horse") else {
                panic!("{method:?} was refused");
            };
            let reply = answer(&request, Code::AccessAccept, &extras);
            assert!(expectation.check(&reply, &secret()).is_ok(), "{method:?}");
        }
    }

    #[test]
    fn an_accept_without_the_servers_proof_is_not_believed() {
        let (request, expectation) = ask(&mut [0; 4096], Method::MsChapV2, "correct horse");
        let reply = answer(&request, Code::AccessAccept, &Extras::None);
        assert_eq!(expectation.check(&reply, &secret()).unwrap_err(), ReplyFault::ServerProof);
        let reply = answer(&request, Code::AccessReject, &Extras::None);
        assert!(expectation.check(&reply, &secret()).is_ok());
    }

    #[test]
    fn a_reply_changed_in_any_octet_is_not_believed() {
        let (request, expectation) = ask(&mut [0; 4096], Method::Pap, "correct horse");
        let reply = answer(&request, Code::AccessAccept, &Extras::None);
        for at in 0..reply.len() {
            let mut changed = reply.clone();
            changed[at] ^= 1;
            assert!(expectation.check(&changed, &secret()).is_err(), "octet {at}");
        }
    }

    #[test]
    fn a_reply_of_another_identifier_or_code_is_not_believed() {
        let (request, expectation) = ask(&mut [0; 4096], Method::Pap, "correct horse");
        let mut other = request.clone();
        other[1] = 10;
        let reply = answer(&other, Code::AccessAccept, &Extras::None);
        let fault = expectation.check(&reply, &secret());
        assert_eq!(fault.unwrap_err(), ReplyFault::Identifier { expected: 9, got: 10 });
        let reply = answer(&request, Code::AccountingResponse, &Extras::None);
        let fault = expectation.check(&reply, &secret());
        let expected = ReplyFault::Code { asked: Code::AccessRequest, got: Code::AccountingResponse };
        assert_eq!(fault.unwrap_err(), expected);
    }

    #[test]
    fn accounting_and_status_server_are_answered_by_their_codes() {
        let mut buffer = [0; 4096];
        let mut ask = Ask::accounting(&mut buffer, 3);
        ask.attributes().u32(Kind::ACCT_STATUS_TYPE, 1).unwrap();
        let (request, expectation) = ask.finish(&secret());
        let reply = answer(request, Code::AccountingResponse, &Extras::None);
        assert!(expectation.check(&reply, &secret()).is_ok());

        let mut buffer = [0; 4096];
        let (request, expectation) = Ask::status_server(&mut buffer, 3, [8; 16]).unwrap().finish(&secret());
        for code in [Code::AccessAccept, Code::AccountingResponse] {
            assert!(expectation.check(&answer(request, code, &Extras::None), &secret()).is_ok());
        }
    }
}
