//! The methods: a closed list, one file each, after the functions of RFC 4137 section 5.
//!
//! A method writes the data of its first request, then turns each response's data into [`Progress`]. It never
//! sees identifiers of packets it did not ask for, and it never accepts: it asks for a judgement.

pub mod gtc;
pub mod identity;
pub mod md5;
pub mod mschapv2;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::claim::{Claim, Judgement};
use super::conversation::{Fault, Random};
use super::packet::TypeCode;

/// A method that can be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// EAP-MD5 (RFC 3748 section 5.4): proves the password, gives no keys and proves no server.
    Md5,
    /// EAP-GTC (RFC 3748 section 5.6): the password in the clear.
    Gtc,
    /// EAP-MSCHAPv2.
    MsChapV2,
}

impl Method {
    /// All, in no order of preference.
    pub const ALL: [Self; 3] = [Self::Md5, Self::Gtc, Self::MsChapV2];

    /// Its Type field.
    #[must_use]
    pub const fn type_code(self) -> TypeCode {
        match self {
            Self::Md5 => TypeCode::MD5_CHALLENGE,
            Self::Gtc => TypeCode::GTC,
            Self::MsChapV2 => TypeCode::MSCHAPV2,
        }
    }

    /// Its name in settings, logs and counters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "eap-md5",
            Self::Gtc => "eap-gtc",
            Self::MsChapV2 => "eap-mschapv2",
        }
    }
}

/// The master session key of RFC 3748 section 7.10: 64 octets, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Keys([u8; 64]);

impl Keys {
    /// From its octets.
    #[must_use]
    pub const fn new(octets: [u8; 64]) -> Self {
        Self(octets)
    }

    /// The half that becomes MS-MPPE-Recv-Key (RFC 2548 section 2.4.3).
    #[must_use]
    pub fn receive(&self) -> &[u8] {
        self.0.get(..32).unwrap_or_default()
    }

    /// The half that becomes MS-MPPE-Send-Key.
    #[must_use]
    pub fn send(&self) -> &[u8] {
        self.0.get(32..).unwrap_or_default()
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

/// What a response's data came to.
#[derive(Debug)]
pub(super) enum Progress {
    /// Ask again, with this data.
    Ask(Vec<u8>),
    /// Have this judged.
    Check(Claim),
    /// The method is done, and its peer is who the last judgement accepted.
    Success(Option<Keys>),
    /// It is done, and they are not.
    Failure(Fault),
    /// The response cannot be the answer to our request: the request stands.
    Ignore,
}

/// A method under way.
#[derive(Debug)]
pub(super) enum Running {
    Md5(md5::Md5),
    Gtc(gtc::Gtc),
    MsChapV2(mschapv2::MsChapV2),
}

/// What a method may look at in a round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round<'r> {
    /// The identifier of the request that was answered, or that is to be written.
    pub(super) identifier: u8,
    /// The outer identity.
    pub(super) identity: &'r [u8],
    /// Fresh random octets.
    pub(super) random: &'r Random,
}

impl Running {
    /// Begins a method; gives the data of its first request.
    pub(super) fn begin(method: Method, round: &Round<'_>) -> (Self, Vec<u8>) {
        match method {
            Method::Md5 => {
                let (md5, data) = md5::Md5::begin(round);
                (Self::Md5(md5), data)
            }
            Method::Gtc => {
                let (gtc, data) = gtc::Gtc::begin();
                (Self::Gtc(gtc), data)
            }
            Method::MsChapV2 => {
                let (mschap, data) = mschapv2::MsChapV2::begin(round);
                (Self::MsChapV2(mschap), data)
            }
        }
    }

    /// Takes the data of a response of this method's type.
    pub(super) fn receive(&mut self, data: &[u8], round: &Round<'_>) -> Progress {
        match self {
            Self::Md5(md5) => md5.receive(data, round),
            Self::Gtc(gtc) => gtc.receive(data, round),
            Self::MsChapV2(mschap) => mschap.receive(data, round),
        }
    }

    /// Takes the judgement of the claim that was asked for last.
    pub(super) fn judged(&mut self, judgement: &Judgement, round: &Round<'_>) -> Progress {
        match (self, judgement) {
            (Self::MsChapV2(mschap), judgement) => mschap.judged(judgement, round),
            (Self::Md5(_) | Self::Gtc(_), Judgement::Accepted(_)) => Progress::Success(None),
            (Self::Md5(_) | Self::Gtc(_), Judgement::Refused(_)) => Progress::Failure(Fault::ClaimRefused),
        }
    }

    /// Which method this is.
    pub(super) const fn method(&self) -> Method {
        match self {
            Self::Md5(_) => Method::Md5,
            Self::Gtc(_) => Method::Gtc,
            Self::MsChapV2(_) => Method::MsChapV2,
        }
    }
}
