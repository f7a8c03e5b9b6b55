//! Who a peer says it is, and how it proves it: what a conversation asks its caller to judge.
//!
//! A proof is one of RADIUS' own ([`Proof`]), kept here with the octets it borrows, so that a claim can wait for
//! a slow check. The one rule: a claim is not printed.

use zeroize::Zeroizing;

use super::sessions::Mark;
use crate::base::secret::Secret;
use crate::radius::{Extras, Proof};

/// A claim to be somebody.
pub struct Claim {
    name: Box<[u8]>,
    hashed_name: Box<[u8]>,
    evidence: Evidence,
}

/// The proof with its octets.
enum Evidence {
    Password(Secret),
    Chap { id: u8, challenge: Box<[u8]>, response: [u8; 16] },
    MsChapV1 { ident: u8, challenge: [u8; 8], response: [u8; 24] },
    MsChapV2 { ident: u8, ours: [u8; 16], theirs: [u8; 16], response: Zeroizing<[u8; 24]> },
    Certificate,
    Resumed(Mark),
}

/// How a claim is proved.
#[derive(Debug)]
pub enum Proven<'a> {
    /// By something made from a password.
    By(Proof<'a>),
    /// By a certificate of that name, which was checked.
    ByCertificate,
    /// By an earlier claim, whose judgement gave this mark; it still has to be the credential's.
    Before(Mark),
}

/// What the caller says to a claim.
#[derive(Debug)]
pub enum Judgement {
    /// It is true, and its bearer may be online; what the method owes the peer is inside, and the mark of the
    /// credential that proved it.
    Accepted(Extras, Mark),
    /// It is not, or they may not.
    Refused(MsChapError),
}

/// Why, in the only words that a peer of MS-CHAP has for it (RFC 2759 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MsChapError {
    /// 647: the account is disabled.
    AccountDisabled,
    /// 648: the password has expired.
    PasswordExpired,
    /// 649: the account may not dial in (now).
    NoPermission,
    /// 691: name or password is wrong; also whatever else is not the peer's business.
    AuthenticationFailure,
}

impl MsChapError {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> &'static str {
        match self {
            Self::AccountDisabled => "647",
            Self::PasswordExpired => "648",
            Self::NoPermission => "649",
            Self::AuthenticationFailure => "691",
        }
    }
}

impl Claim {
    /// By the password itself.
    #[must_use]
    pub fn password(name: &[u8], password: &[u8]) -> Self {
        Self::new(name, name, Evidence::Password(Secret::new(password)))
    }

    /// By MD5 of identifier, password and challenge.
    #[must_use]
    pub fn chap(name: &[u8], id: u8, challenge: &[u8], response: &[u8; 16]) -> Self {
        Self::new(name, name, Evidence::Chap { id, challenge: challenge.into(), response: *response })
    }

    /// By an NT response to a challenge of 8 octets.
    #[must_use]
    pub fn ms_chap_v1(name: &[u8], ident: u8, challenge: &[u8; 8], response: &[u8; 24]) -> Self {
        Self::new(name, name, Evidence::MsChapV1 { ident, challenge: *challenge, response: *response })
    }

    /// By MS-CHAP version 2. `hashed_name` is the name that the peer mixed into its response.
    #[must_use]
    pub fn ms_chap_v2(
        name: &[u8],
        hashed_name: &[u8],
        ident: u8,
        challenges: [&[u8; 16]; 2],
        response: &[u8; 24],
    ) -> Self {
        let [ours, theirs] = challenges;
        let evidence =
            Evidence::MsChapV2 { ident, ours: *ours, theirs: *theirs, response: Zeroizing::new(*response) };
        Self::new(name, hashed_name, evidence)
    }

    /// By a certificate.
    #[must_use]
    pub fn certificate(name: &[u8]) -> Self {
        Self::new(name, name, Evidence::Certificate)
    }

    /// By an earlier claim.
    #[must_use]
    pub fn resumed(name: &[u8], mark: Mark) -> Self {
        Self::new(name, name, Evidence::Resumed(mark))
    }

    fn new(name: &[u8], hashed_name: &[u8], evidence: Evidence) -> Self {
        Self { name: name.into(), hashed_name: hashed_name.into(), evidence }
    }

    /// Who.
    #[must_use]
    pub const fn name(&self) -> &[u8] {
        &self.name
    }

    /// The name that was mixed into the proof, where one was.
    #[must_use]
    pub const fn hashed_name(&self) -> &[u8] {
        &self.hashed_name
    }

    /// How.
    #[must_use]
    pub fn proven(&self) -> Proven<'_> {
        let proof = match &self.evidence {
            Evidence::Password(password) => Proof::Pap(password.expose()),
            Evidence::Chap { id, challenge, response } => Proof::Chap { id: *id, challenge, response },
            Evidence::MsChapV1 { ident, challenge, response } => {
                Proof::MsChapV1 { ident: *ident, challenge, response }
            }
            Evidence::MsChapV2 { ident, ours, theirs, response } => Proof::MsChapV2 {
                ident: *ident,
                authenticator_challenge: ours,
                peer_challenge: theirs,
                response,
            },
            Evidence::Certificate => return Proven::ByCertificate,
            Evidence::Resumed(mark) => return Proven::Before(*mark),
        };
        Proven::By(proof)
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Claim(…)")
    }
}
