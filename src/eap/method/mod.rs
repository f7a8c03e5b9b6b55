//! The methods: a closed list, one file each, after the functions of RFC 4137 section 5.
//!
//! A method writes the data of its first request, then turns each response's data into [`Progress`]. It never
//! sees identifiers of packets it did not ask for, and it never accepts: it asks for a judgement.

mod avp;
mod binding;
pub mod gtc;
pub mod identity;
pub mod md5;
pub mod mschapv2;
pub mod peap;
pub mod tls;
pub mod ttls;

// What a peer needs of the arithmetic.
pub(in crate::eap) use binding::{Compound, Tlvs, result};

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::claim::{Claim, Judgement};
use super::conversation::{Fault, Offer, Random};
use super::packet::TypeCode;
use super::sessions::Mark;
use super::tunnel::Tunnel;

/// A method that can be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// EAP-MD5 (RFC 3748 section 5.4): proves the password, gives no keys and proves no server.
    Md5,
    /// EAP-GTC (RFC 3748 section 5.6): the password in the clear.
    Gtc,
    /// EAP-MSCHAPv2.
    MsChapV2,
    /// EAP-TLS (RFC 5216, RFC 9190): certificates on both sides.
    Tls,
    /// EAP-TTLS (RFC 5281): passwords inside TLS.
    Ttls,
    /// PEAP version 0: EAP inside TLS.
    Peap,
}

impl Method {
    /// Its Type field.
    #[must_use]
    pub const fn type_code(self) -> TypeCode {
        match self {
            Self::Md5 => TypeCode::MD5_CHALLENGE,
            Self::Gtc => TypeCode::GTC,
            Self::MsChapV2 => TypeCode::MSCHAPV2,
            Self::Tls => TypeCode::TLS,
            Self::Ttls => TypeCode::TTLS,
            Self::Peap => TypeCode::PEAP,
        }
    }

    /// Its name in settings, logs and counters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "eap-md5",
            Self::Gtc => "eap-gtc",
            Self::MsChapV2 => "eap-mschapv2",
            Self::Tls => "eap-tls",
            Self::Ttls => "eap-ttls",
            Self::Peap => "eap-peap",
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

    /// EAP-MSCHAPv2's: what the server receives with, what it sends with, and zeros (MS-CHAP section 3.1.5.1).
    #[must_use]
    pub(in crate::eap) fn of_ms_chap_v2(receive: &[u8; 16], send: &[u8; 16]) -> Self {
        let mut octets = [0; 64];
        for (target, source) in octets.iter_mut().zip(receive.iter().chain(send)) {
            *target = *source;
        }
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

/// A pair of EAP-TTLS with a RADIUS attribute.
pub(in crate::eap) fn attribute_pair(code: u32, value: &[u8]) -> Vec<u8> {
    avp::write(0, code, value)
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
    Tls(Box<tls::Tls>),
    Ttls(Box<ttls::Ttls>),
    Peap(Box<peap::Peap>),
}

/// Who logs in inside a tunnel.
#[derive(Debug, Default)]
pub(in crate::eap) struct Inner {
    /// Tunnel and method inside, for the log.
    name: Option<&'static str>,
    identity: Box<[u8]>,
    /// Of the credential that proved it.
    mark: Mark,
}

/// What a method may look at in a round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round<'r> {
    /// The identifier of the request that was answered, or that is to be written.
    pub(super) identifier: u8,
    /// The outer identity.
    pub(super) identity: &'r [u8],
    /// Octets of data that the NAS can carry to the peer in one packet.
    pub(super) fragment: usize,
    /// Fresh random octets.
    pub(super) random: &'r Random,
}

impl Running {
    /// Begins a method; gives the data of its first request. `None` where the offer lacks what it needs.
    pub(super) fn begin(method: Method, offer: &Offer, round: &Round<'_>) -> Option<(Self, Vec<u8>)> {
        Some(match method {
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
            Method::Tls => {
                let (tls, data) = tls::Tls::begin(Tunnel::new(offer.tls.as_ref()?.mutual()?, None));
                (Self::Tls(Box::new(tls)), data)
            }
            Method::Ttls => {
                let (connection, memory) = offer.tls.as_ref()?.tunnel(method.type_code().0)?;
                let (ttls, data) = ttls::Ttls::begin(Tunnel::new(connection, memory));
                (Self::Ttls(Box::new(ttls)), data)
            }
            Method::Peap => {
                let (connection, memory) = offer.tls.as_ref()?.tunnel(method.type_code().0)?;
                let (peap, data) = peap::Peap::begin(Tunnel::new(connection, memory));
                (Self::Peap(Box::new(peap)), data)
            }
        })
    }

    /// Takes the data of a response of this method's type.
    pub(super) fn receive(&mut self, data: &[u8], round: &Round<'_>) -> Progress {
        match self {
            Self::Md5(md5) => md5.receive(data, round),
            Self::Gtc(gtc) => gtc.receive(data, round),
            Self::MsChapV2(mschap) => mschap.receive(data, round),
            Self::Tls(tls) => tls.receive(data, round),
            Self::Ttls(ttls) => ttls.receive(data, round),
            Self::Peap(peap) => peap.receive(data, round),
        }
    }

    /// Takes the judgement of the claim that was asked for last.
    pub(super) fn judged(&mut self, judgement: &Judgement, round: &Round<'_>) -> Progress {
        match (self, judgement) {
            (Self::MsChapV2(mschap), judgement) => mschap.judged(judgement, round),
            (Self::Tls(tls), judgement) => tls.judged(judgement, round),
            (Self::Ttls(ttls), judgement) => ttls.judged(judgement, round),
            (Self::Peap(peap), judgement) => peap.judged(judgement, round),
            (Self::Md5(_) | Self::Gtc(_), Judgement::Accepted(..)) => Progress::Success(None),
            (Self::Md5(_) | Self::Gtc(_), Judgement::Refused(_)) => Progress::Failure(Fault::ClaimRefused),
        }
    }

    /// Which method this is.
    pub(super) const fn method(&self) -> Method {
        match self {
            Self::Md5(_) => Method::Md5,
            Self::Gtc(_) => Method::Gtc,
            Self::MsChapV2(_) => Method::MsChapV2,
            Self::Tls(_) => Method::Tls,
            Self::Ttls(_) => Method::Ttls,
            Self::Peap(_) => Method::Peap,
        }
    }

    /// Its name, with that of the method inside.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Md5(_) | Self::Gtc(_) | Self::MsChapV2(_) | Self::Tls(_) => self.method().name(),
            Self::Ttls(ttls) => ttls.name(),
            Self::Peap(peap) => peap.name(),
        }
    }

    /// Whether the next round may take a public key's time.
    pub(super) fn is_slow(&self) -> bool {
        match self {
            Self::Md5(_) | Self::Gtc(_) | Self::MsChapV2(_) => false,
            Self::Tls(tls) => tls.is_slow(),
            Self::Ttls(ttls) => ttls.is_slow(),
            Self::Peap(peap) => peap.is_slow(),
        }
    }
}
