//! What a peer does with its password, by itself or inside a tunnel.

use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::PeerFault;
use super::tls::Tunnel;
use crate::eap::method::{Compound, Keys, Method, Tlvs, attribute_pair, result};
use crate::eap::packet::{self, TypeCode};
use crate::radius::mschap;

/// One login with a password.
pub(super) struct Inner {
    name: Vec<u8>,
    password: Zeroizing<Vec<u8>>,
    method: Method,
    /// What the server must prove itself with, and the keys that come of it.
    awaited: Option<([u8; 42], Keys)>,
    proved: bool,
    said: bool,
    /// The keys of a tunnel that is bound to what was done inside.
    bound: Option<Keys>,
}

impl Inner {
    pub(super) fn new(name: &[u8], password: &[u8], method: Method) -> Self {
        Self {
            name: name.to_vec(),
            password: Zeroizing::new(password.to_vec()),
            method,
            awaited: None,
            proved: false,
            said: false,
            bound: None,
        }
    }

    /// The data of the response to a request of this method.
    pub(super) fn answer(
        &mut self,
        identifier: u8,
        data: &[u8],
        random: &[u8; 16],
    ) -> Result<Vec<u8>, PeerFault> {
        self.said = true;
        match self.method {
            Method::Md5 => {
                let (&[16], challenge) = data.split_first_chunk::<1>().ok_or(PeerFault::Method)? else {
                    return Err(PeerFault::Method);
                };
                let challenge = challenge.get(..16).ok_or(PeerFault::Method)?;
                let digest = Md5::new().chain_update([identifier]).chain_update(self.password.as_slice());
                let response: [u8; 16] = digest.chain_update(challenge).finalize().into();
                Ok([&[16][..], &response, &self.name].concat())
            }
            Method::Gtc => Ok(self.password.to_vec()),
            Method::MsChapV2 => self.ms_chap_v2(data, random),
            Method::Tls | Method::Ttls | Method::Peap => Err(PeerFault::Method),
        }
    }

    fn ms_chap_v2(&mut self, data: &[u8], random: &[u8; 16]) -> Result<Vec<u8>, PeerFault> {
        match data {
            [1, ident, _, _, 16, rest @ ..] => {
                let (challenge, _) = rest.split_first_chunk::<16>().ok_or(PeerFault::Method)?;
                let hash = mschap::nt_hash(&self.password);
                let hashed = mschap::challenge_hash(random, challenge, &self.name);
                let response = mschap::challenge_response(&hashed, &hash);
                let hash_of_hash = hash.hashed();
                let [send, receive] = mschap::mppe_keys(&hash_of_hash, &response);
                let proof = mschap::authenticator_response(&hash_of_hash, &response, &hashed);
                self.awaited = Some((proof, Keys::of_ms_chap_v2(&receive, &send)));
                let value = [&[49][..], random, &[0; 8], &response, &[0], &self.name].concat();
                let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX).to_be_bytes();
                Ok([&[2, *ident][..], &length, &value].concat())
            }
            [3, _, _, _, proof @ ..] => {
                let fits = self.awaited.as_ref().is_some_and(|(awaited, _)| proof.starts_with(awaited));
                if !fits {
                    return Err(PeerFault::ServerProof);
                }
                self.proved = true;
                Ok(vec![3])
            }
            [4, ..] => Ok(vec![4]),
            _ => Err(PeerFault::Method),
        }
    }

    /// The keys of this method by itself.
    pub(super) fn keys(&self) -> Result<Option<Keys>, PeerFault> {
        match (&self.awaited, self.method) {
            (_, Method::Md5 | Method::Gtc) if self.said => Ok(None),
            (Some((_, keys)), _) if self.proved => Ok(Some(keys.clone())),
            _ => Err(PeerFault::TooEarly),
        }
    }

    /// RFC 5281 section 11.2.5, once.
    pub(super) fn pap_once(&mut self) -> Vec<u8> {
        if std::mem::replace(&mut self.said, true) {
            return Vec::new();
        }
        [attribute_pair(1, &self.name), attribute_pair(2, &self.password)].concat()
    }

    /// The answer to what a server says inside PEAP version 0.
    pub(super) fn in_peap(
        &mut self,
        tunnel: &Tunnel,
        identifier: u8,
        plain: &[u8],
        random: &[u8; 16],
    ) -> Result<Vec<u8>, PeerFault> {
        if let [1, tlv_identifier, _, _, TLV, tlvs @ ..] = plain {
            return self.conclude(tunnel, *tlv_identifier, tlvs);
        }
        let Some((kind, data)) = plain.split_first() else { return Ok(Vec::new()) };
        let (kind, data) = match TypeCode(*kind) {
            TypeCode::IDENTITY => (TypeCode::IDENTITY, self.name.clone()),
            // Inner requests have the identifier of the one outside; only CHAP would mix it in.
            kind if kind == self.method.type_code() => (kind, self.answer(identifier, data, random)?),
            _ => (TypeCode::NAK, vec![self.method.type_code().0]),
        };
        Ok([&[kind.0][..], &data].concat())
    }

    fn conclude(&mut self, tunnel: &Tunnel, identifier: u8, tlvs: &[u8]) -> Result<Vec<u8>, PeerFault> {
        let tlvs = Tlvs::read(tlvs).ok_or(PeerFault::Method)?;
        let success = tlvs.success == Some(true);
        let mut answer = result(success).to_vec();
        if success {
            let keys = self.keys()?;
            let material = tunnel.key_material(TypeCode::PEAP).ok_or(PeerFault::TooEarly)?;
            let compound = Compound::new(&material, keys.as_ref());
            let binding = tlvs.binding.ok_or(PeerFault::ServerProof)?;
            answer.extend(compound.answer(binding).ok_or(PeerFault::ServerProof)?);
            self.bound = Some(compound.session_keys());
        }
        Ok(packet::response(identifier, TypeCode(TLV), &answer))
    }

    /// The keys of PEAP, once both have said the result inside.
    pub(super) fn bound(&self, _tunnel: &Tunnel) -> Result<Keys, PeerFault> {
        self.bound.clone().ok_or(PeerFault::TooEarly)
    }
}

const TLV: u8 = 33;
