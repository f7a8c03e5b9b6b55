//! Packets written in place, into a buffer that the caller keeps and reuses.
//!
//! [`Reply`] answers a request and [`Request`] asks; both hand out a [`Writer`] for attributes and
//! sign at the end. A write that does not fit leaves the packet as it was and says so.
//!
//! The one rule: what the protocol always demands (Message-Authenticator first, Proxy-State
//! echoed, signatures last) happens without being asked for.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::attribute::{Ipv6Prefix, Kind, VendorKind};
use super::authenticator::{SharedSecret, ZERO};
use super::hiding::{self, Salt};
use super::packet::{AUTHENTICATOR_LENGTH, Authenticator, Code, HEADER_LENGTH, MAX_LENGTH, Packet};
use super::password::Extras;

/// Room for the longest packet; kept by the caller, one per worker.
pub type Buffer = [u8; MAX_LENGTH];

/// Why something cannot be written. Always our side's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A value longer than one attribute can hold.
    #[error("a value of {octets} octets does not fit one attribute")]
    ValueTooLong {
        /// Octets of the value.
        octets: usize,
    },
    /// The packet would grow beyond 4096 octets.
    #[error("the packet would be longer than 4096 octets")]
    PacketFull,
    /// A password longer than 128 octets (RFC 2865 section 5.2).
    #[error("a password of {octets} octets is longer than 128")]
    PasswordTooLong {
        /// Octets of the password.
        octets: usize,
    },
}

/// An answer under construction.
#[derive(Debug)]
pub struct Reply<'b> {
    writer: Writer<'b>,
    request_authenticator: Authenticator,
    message_authenticator: Option<usize>,
}

impl<'b> Reply<'b> {
    /// Starts the answer to `request`.
    ///
    /// A reply to Access-Request or Status-Server gets its Message-Authenticator here, before all
    /// other attributes. Then the request's Proxy-State attributes are echoed unchanged and in
    /// order (RFC 2865 section 5.33).
    ///
    /// # Errors
    /// When the Proxy-States leave no room.
    pub fn start(buffer: &'b mut Buffer, request: &Packet<'_>, code: Code) -> Result<Self, EncodeError> {
        let authenticator = request.authenticator();
        let mut writer = Writer::start(buffer, code, request.identifier(), authenticator);
        let message_authenticator = match request.code() {
            Code::AccessRequest | Code::StatusServer => Some(writer.message_authenticator()?),
            Code::AccessAccept
            | Code::AccessReject
            | Code::AccountingRequest
            | Code::AccountingResponse
            | Code::AccessChallenge
            | Code::StatusClient
            | Code::DisconnectRequest
            | Code::DisconnectAck
            | Code::DisconnectNak
            | Code::CoaRequest
            | Code::CoaAck
            | Code::CoaNak
            | Code::Unknown(_) => None,
        };
        for state in request.all(Kind::PROXY_STATE) {
            writer.octets(Kind::PROXY_STATE, state.value)?;
        }
        Ok(Self { writer, request_authenticator: *authenticator, message_authenticator })
    }

    /// Where attributes are written.
    pub const fn attributes(&mut self) -> &mut Writer<'b> {
        &mut self.writer
    }

    /// Writes what a password method owes the peer: MS-CHAP2-Success and the MPPE keys (RFC 2548
    /// sections 2.3.3, 2.4.2 and 2.4.3), or MS-CHAP-MPPE-Keys (2.4.1). Nothing for PAP and CHAP.
    ///
    /// # Errors
    /// When the packet is full.
    pub fn extras(
        &mut self,
        extras: &Extras,
        secret: &SharedSecret,
        salts: [Salt; 2],
    ) -> Result<(), EncodeError> {
        let authenticator = self.request_authenticator;
        match extras {
            Extras::None => Ok(()),
            Extras::MsChapV1(keys) => {
                let hidden = hiding::ms_chap_mppe_keys(keys, &authenticator, secret);
                self.writer.vendor(VendorKind::MS_CHAP_MPPE_KEYS, &hidden)
            }
            Extras::MsChapV2(proof) => {
                let success = [&[proof.ident][..], &proof.authenticator_response];
                self.writer.vendor_parts(VendorKind::MS_CHAP2_SUCCESS, &success)?;
                self.mppe_keys(&proof.send_key, &proof.receive_key, secret, salts)
            }
        }
    }

    /// Writes MS-MPPE-Send-Key and MS-MPPE-Recv-Key (RFC 2548 sections 2.4.2 and 2.4.3): what MS-CHAP version 2
    /// owes, and the two halves of an EAP method's key.
    ///
    /// # Errors
    /// When a key or the packet is too long.
    pub fn mppe_keys(
        &mut self,
        send: &[u8],
        receive: &[u8],
        secret: &SharedSecret,
        salts: [Salt; 2],
    ) -> Result<(), EncodeError> {
        let authenticator = self.request_authenticator;
        let [send_salt, receive_salt] = salts;
        let mut room = hiding::SaltedBuffer::default();
        let hidden = hiding::hide_salted(send, send_salt, &authenticator, secret, &mut room)?;
        self.writer.vendor(VendorKind::MS_MPPE_SEND_KEY, hidden)?;
        let hidden = hiding::hide_salted(receive, receive_salt, &authenticator, secret, &mut room)?;
        self.writer.vendor(VendorKind::MS_MPPE_RECV_KEY, hidden)
    }

    /// Writes a Tunnel-Password (RFC 2868 section 3.5). `tag` 0 means untagged.
    ///
    /// # Errors
    /// When password or packet is too long.
    pub fn tunnel_password(
        &mut self,
        tag: u8,
        password: &[u8],
        salt: Salt,
        secret: &SharedSecret,
    ) -> Result<(), EncodeError> {
        let mut room = hiding::SaltedBuffer::default();
        let hidden = hiding::hide_salted(password, salt, &self.request_authenticator, secret, &mut room)?;
        self.writer.parts(Kind::TUNNEL_PASSWORD, &[&[tag], hidden])
    }

    /// Computes Message-Authenticator, then the Response Authenticator, and gives the packet.
    #[must_use]
    pub fn finish(self, secret: &SharedSecret) -> &'b [u8] {
        let Self { mut writer, request_authenticator, message_authenticator } = self;
        writer.sign_message(message_authenticator, &request_authenticator, secret);
        writer.sign_packet(&request_authenticator, secret);
        writer.into_octets()
    }
}

/// A request under construction, for asking a RADIUS server.
#[derive(Debug)]
pub struct Request<'b> {
    writer: Writer<'b>,
    authenticator: Authenticator,
    /// Whether the authenticator is a signature (RFC 2866 section 3, RFC 5176 section 2.3) rather than random.
    is_signed: bool,
    message_authenticator: Option<usize>,
}

impl<'b> Request<'b> {
    /// An Access-Request; `random` is its Request Authenticator and must never repeat.
    ///
    /// # Errors
    /// None in practice: the buffer has room for a first attribute.
    pub fn access(
        buffer: &'b mut Buffer,
        identifier: u8,
        random: Authenticator,
    ) -> Result<Self, EncodeError> {
        Self::with_random(buffer, Code::AccessRequest, identifier, random)
    }

    /// A Status-Server request (RFC 5997).
    ///
    /// # Errors
    /// None in practice: the buffer has room for a first attribute.
    pub fn status_server(
        buffer: &'b mut Buffer,
        identifier: u8,
        random: Authenticator,
    ) -> Result<Self, EncodeError> {
        Self::with_random(buffer, Code::StatusServer, identifier, random)
    }

    /// An Accounting-Request; its authenticator is computed at the end.
    #[must_use]
    pub fn accounting(buffer: &'b mut Buffer, identifier: u8) -> Self {
        let writer = Writer::start(buffer, Code::AccountingRequest, identifier, &ZERO);
        Self { writer, authenticator: ZERO, is_signed: true, message_authenticator: None }
    }

    /// A Disconnect-Request or CoA-Request (RFC 5176 section 2.3): signed over zeros, as accounting is,
    /// and with a Message-Authenticator that covers zeros too (section 3.4).
    ///
    /// # Errors
    /// None in practice: the buffer has room for a first attribute.
    pub(super) fn change(buffer: &'b mut Buffer, code: Code, identifier: u8) -> Result<Self, EncodeError> {
        let mut writer = Writer::start(buffer, code, identifier, &ZERO);
        let message_authenticator = Some(writer.message_authenticator()?);
        Ok(Self { writer, authenticator: ZERO, is_signed: true, message_authenticator })
    }

    fn with_random(
        buffer: &'b mut Buffer,
        code: Code,
        identifier: u8,
        random: Authenticator,
    ) -> Result<Self, EncodeError> {
        let mut writer = Writer::start(buffer, code, identifier, &random);
        let message_authenticator = Some(writer.message_authenticator()?);
        Ok(Self { writer, authenticator: random, is_signed: false, message_authenticator })
    }

    /// Where attributes are written.
    pub const fn attributes(&mut self) -> &mut Writer<'b> {
        &mut self.writer
    }

    /// Writes User-Password, hidden (RFC 2865 section 5.2).
    ///
    /// # Errors
    /// When it is longer than 128 octets, or the packet is full.
    pub fn user_password(&mut self, password: &[u8], secret: &SharedSecret) -> Result<(), EncodeError> {
        let mut room = hiding::PasswordBuffer::default();
        let hidden = hiding::hide_user_password(password, &self.authenticator, secret, &mut room)?;
        self.writer.octets(Kind::USER_PASSWORD, hidden)
    }

    /// Signs the request and gives the packet.
    #[must_use]
    pub fn finish(self, secret: &SharedSecret) -> &'b [u8] {
        let Self { mut writer, authenticator, is_signed, message_authenticator } = self;
        writer.sign_message(message_authenticator, &authenticator, secret);
        // It covers the Message-Authenticator, so it comes last.
        if is_signed {
            writer.sign_packet(&ZERO, secret);
        }
        writer.into_octets()
    }
}

/// Writes attributes behind one another.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut Buffer,
    at: usize,
}

impl<'b> Writer<'b> {
    pub(super) fn start(
        buffer: &'b mut Buffer,
        code: Code,
        identifier: u8,
        authenticator: &Authenticator,
    ) -> Self {
        let [code_field, identifier_field, _, _, rest @ ..] = &mut *buffer;
        *code_field = code.octet();
        *identifier_field = identifier;
        for (target, source) in rest.iter_mut().zip(authenticator) {
            *target = *source;
        }
        Self { buffer, at: HEADER_LENGTH }
    }

    /// Octets written so far, header included.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.at
    }

    /// True while there is no attribute.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.at == HEADER_LENGTH
    }

    /// Writes an attribute of any octets.
    ///
    /// # Errors
    /// When the value is longer than 253 octets, or the packet is full.
    pub fn octets(&mut self, kind: Kind, value: &[u8]) -> Result<(), EncodeError> {
        self.parts(kind, &[value])
    }

    /// Writes a 32-bit number.
    ///
    /// # Errors
    /// When the packet is full.
    pub fn u32(&mut self, kind: Kind, value: u32) -> Result<(), EncodeError> {
        self.octets(kind, &value.to_be_bytes())
    }

    /// Writes an IPv4 address.
    ///
    /// # Errors
    /// When the packet is full.
    pub fn ipv4(&mut self, kind: Kind, value: Ipv4Addr) -> Result<(), EncodeError> {
        self.octets(kind, &value.octets())
    }

    /// Writes an IPv6 address (RFC 3162 section 2.1, RFC 6911 section 2.1).
    ///
    /// # Errors
    /// When the packet is full.
    pub fn ipv6(&mut self, kind: Kind, value: Ipv6Addr) -> Result<(), EncodeError> {
        self.octets(kind, &value.octets())
    }

    /// Writes an IPv6 prefix (RFC 3162 section 2.3, RFC 4818 section 3).
    ///
    /// # Errors
    /// When the packet is full.
    pub fn ipv6_prefix(&mut self, kind: Kind, value: Ipv6Prefix) -> Result<(), EncodeError> {
        self.octets(kind, &value.to_octets())
    }

    /// Writes text.
    ///
    /// # Errors
    /// When it is longer than 253 octets of UTF-8, or the packet is full.
    pub fn text(&mut self, kind: Kind, value: &str) -> Result<(), EncodeError> {
        self.octets(kind, value.as_bytes())
    }

    /// Writes an EAP packet over as many EAP-Message attributes as it takes (RFC 3579 section 3.1).
    ///
    /// # Errors
    /// When the packet is full.
    pub fn eap_message(&mut self, message: &[u8]) -> Result<(), EncodeError> {
        message.chunks(MAX_VALUE).try_for_each(|piece| self.octets(Kind::EAP_MESSAGE, piece))
    }

    /// Writes a vendor's attribute, one to a Vendor-Specific attribute (RFC 2865 section 5.26).
    ///
    /// # Errors
    /// When the value is longer than 247 octets, or the packet is full.
    pub fn vendor(&mut self, kind: VendorKind, value: &[u8]) -> Result<(), EncodeError> {
        self.vendor_parts(kind, &[value])
    }

    /// Writes a vendor's 32-bit number.
    ///
    /// # Errors
    /// When the packet is full.
    pub fn vendor_u32(&mut self, kind: VendorKind, value: u32) -> Result<(), EncodeError> {
        self.vendor(kind, &value.to_be_bytes())
    }

    /// Writes a vendor's text.
    ///
    /// # Errors
    /// When it is longer than 247 octets of UTF-8, or the packet is full.
    pub fn vendor_text(&mut self, kind: VendorKind, value: &str) -> Result<(), EncodeError> {
        self.vendor(kind, value.as_bytes())
    }

    /// A vendor's attribute whose value lies in two pieces.
    pub(super) fn vendor_parts(&mut self, kind: VendorKind, value: &[&[u8]]) -> Result<(), EncodeError> {
        let octets = total(value);
        let too_long = EncodeError::ValueTooLong { octets };
        let length = octets.checked_add(2).and_then(|length| u8::try_from(length).ok()).ok_or(too_long)?;
        let [a, b, c, d] = kind.vendor.0.to_be_bytes();
        let head = [a, b, c, d, kind.kind, length];
        let (first, second) = match value {
            [] => (&[][..], &[][..]),
            [first] => (*first, &[][..]),
            [first, second] => (*first, *second),
            [_, _, _, ..] => return Err(too_long),
        };
        self.parts(Kind::VENDOR_SPECIFIC, &[&head, first, second]).map_err(|error| match error {
            EncodeError::ValueTooLong { .. } => too_long,
            EncodeError::PacketFull | EncodeError::PasswordTooLong { .. } => error,
        })
    }

    /// An attribute whose value lies in pieces.
    fn parts(&mut self, kind: Kind, value: &[&[u8]]) -> Result<(), EncodeError> {
        let octets = total(value);
        let length = octets.saturating_add(2);
        let length_field = u8::try_from(length).map_err(|_| EncodeError::ValueTooLong { octets })?;
        let end = self.at.saturating_add(length);
        let room = self.buffer.get_mut(self.at..end).ok_or(EncodeError::PacketFull)?;
        let head = [kind.0, length_field];
        let source = head.iter().chain(value.iter().copied().flatten());
        for (target, source) in room.iter_mut().zip(source) {
            *target = *source;
        }
        self.at = end;
        Ok(())
    }

    /// Writes an all-zero Message-Authenticator and says where its value stands.
    fn message_authenticator(&mut self) -> Result<usize, EncodeError> {
        let value_at = self.at + 2;
        self.octets(Kind::MESSAGE_AUTHENTICATOR, &ZERO)?;
        Ok(value_at)
    }

    fn sign_message(&mut self, at: Option<usize>, authenticator: &Authenticator, secret: &SharedSecret) {
        self.write_length();
        let Some(at) = at else { return };
        let octets = self.buffer.get(..self.at).unwrap_or_default();
        if let Some(signature) = secret.message_authenticator(octets, at, authenticator) {
            self.overwrite(at, &signature);
        }
    }

    pub(super) fn sign_packet(&mut self, computed_with: &Authenticator, secret: &SharedSecret) {
        self.write_length();
        let octets = self.buffer.get(..self.at).unwrap_or_default();
        if let Some(signature) = secret.packet_authenticator(octets, computed_with) {
            self.overwrite(AUTHENTICATOR_AT, &signature);
        }
    }

    pub(super) fn write_length(&mut self) {
        // `at` never passes 4096, the buffer's length.
        let length = u16::try_from(self.at).unwrap_or(u16::MAX);
        self.overwrite(LENGTH_AT, &length.to_be_bytes());
    }

    fn overwrite(&mut self, at: usize, octets: &[u8]) {
        if let Some(field) = self.buffer.get_mut(at..at + octets.len()) {
            field.copy_from_slice(octets);
        }
    }

    pub(super) fn into_octets(self) -> &'b [u8] {
        let Self { buffer, at } = self;
        buffer.get(..at).unwrap_or_default()
    }
}

fn total(parts: &[&[u8]]) -> usize {
    parts.iter().map(|part| part.len()).fold(0, usize::saturating_add)
}

/// Octets that one attribute's value can have (RFC 2865 section 5).
const MAX_VALUE: usize = 253;
/// Where the Length field stands.
const LENGTH_AT: usize = 2;
/// Where the authenticator stands.
const AUTHENTICATOR_AT: usize = HEADER_LENGTH - AUTHENTICATOR_LENGTH;

#[cfg(test)]
mod rfc3579_s3_1_tests {
    use super::*;
    use crate::base::secret::Secret;

    #[test]
    fn an_eap_packet_goes_over_as_many_attributes_as_it_takes_and_comes_back_whole() {
        let secret = SharedSecret::new(Secret::from_text("xyzzy5461"));
        for octets in [0usize, 1, 253, 254, 506, 1_400] {
            let message: Vec<u8> = (0..octets).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let mut asked: Buffer = [0; MAX_LENGTH];
            let mut request = Request::access(&mut asked, 1, [7; 16]).unwrap();
            request.attributes().eap_message(&message).unwrap();
            let sent = request.finish(&secret).to_vec();
            let packet = Packet::decode(&sent).unwrap();
            assert_eq!(packet.all(Kind::EAP_MESSAGE).count(), octets.div_ceil(253));
            let back: Vec<u8> = packet.all(Kind::EAP_MESSAGE).flat_map(|one| one.value.to_vec()).collect();
            assert_eq!(back, message);
        }
    }

    #[test]
    fn an_eap_packet_that_does_not_fit_is_said_to_be_too_long() {
        let mut asked: Buffer = [0; MAX_LENGTH];
        let mut request = Request::access(&mut asked, 1, [7; 16]).unwrap();
        assert_eq!(request.attributes().eap_message(&[0; 4_096]), Err(EncodeError::PacketFull));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::secret::Secret;
    use crate::radius::examples::hex;
    use crate::radius::packet::MessageAuthenticator;

    fn secret() -> SharedSecret {
        SharedSecret::new(Secret::from_text("xyzzy5461"))
    }

    fn request(code: u8, attributes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(HEADER_LENGTH + attributes.len()).unwrap().to_be_bytes();
        let authenticator = hex("0f403f9473978057bd83d5cb98f4227a");
        [&[code, 0][..], &length, &authenticator, attributes].concat()
    }

    #[test]
    fn rfc3579_s3_2_a_reply_is_signed_as_computed_elsewhere() {
        let (octets, mut buffer) = (request(1, &[]), [0xee; MAX_LENGTH]);
        let packet = Packet::decode(&octets).unwrap();
        let mut reply = Reply::start(&mut buffer, &packet, Code::AccessAccept).unwrap();
        reply.attributes().text(Kind::REPLY_MESSAGE, "hi").unwrap();
        let expected = hex("0200002a2097eb67e4242ae67cb2f39cb49256715012 \
             a3e8e9d7a0a978eb23de124e89b490a212046869");
        assert_eq!(reply.finish(&secret()), expected);
    }

    #[test]
    fn cve_2024_3596_the_first_attribute_of_a_reply_is_message_authenticator() {
        for code in [1, 12] {
            let (octets, mut buffer) = (request(code, &[33, 3, 1]), [0; MAX_LENGTH]);
            let packet = Packet::decode(&octets).unwrap();
            for answer in [Code::AccessAccept, Code::AccessReject, Code::AccessChallenge] {
                let reply = Reply::start(&mut buffer, &packet, answer).unwrap().finish(&secret());
                let reply = Packet::decode(reply).unwrap();
                assert_eq!(reply.attributes().next().unwrap().kind, Kind::MESSAGE_AUTHENTICATOR);
                assert_eq!(reply.message_authenticator(), MessageAuthenticator::Present { offset: 22 });
            }
        }
    }

    #[test]
    fn rfc2865_s5_33_proxy_states_are_echoed_unchanged_and_in_order() {
        let states = [&[33u8, 4, 9, 8][..], &[33, 2], &[33, 3, 7]].concat();
        for code in [1, 4, 12] {
            let (octets, mut buffer) = (request(code, &[&[1, 3, b'a'][..], &states].concat()), [0; 4096]);
            let packet = Packet::decode(&octets).unwrap();
            let reply = Reply::start(&mut buffer, &packet, Code::AccessReject).unwrap().finish(&secret());
            let reply = Packet::decode(reply).unwrap();
            let echoed: Vec<_> = reply.all(Kind::PROXY_STATE).map(|state| state.value).collect();
            assert_eq!(echoed, [&[9u8, 8][..], &[], &[7]]);
        }
    }

    #[test]
    fn rfc2868_s3_5_a_tunnel_password_has_tag_salt_and_ciphertext_of_the_requests_authenticator() {
        let (octets, mut buffer) = (request(1, &[]), [0; MAX_LENGTH]);
        let packet = Packet::decode(&octets).unwrap();
        let mut reply = Reply::start(&mut buffer, &packet, Code::AccessAccept).unwrap();
        let salt = Salt::from_random([0xff, 0xfe]);
        reply.tunnel_password(3, b"tunnel pass", salt, &secret()).unwrap();
        let reply = Packet::decode(reply.finish(&secret())).unwrap();
        let value = reply.first(Kind::TUNNEL_PASSWORD).unwrap().value;
        assert_eq!(value, hex("03 fffed42a245e210703a90b210729154e2b72"));
    }

    #[test]
    fn a_value_too_long_for_an_attribute_is_refused_and_nothing_is_written() {
        let mut buffer = [0; MAX_LENGTH];
        let mut request = Request::accounting(&mut buffer, 1);
        let refused = request.attributes().octets(Kind::CLASS, &[0; 254]).unwrap_err();
        assert_eq!(refused, EncodeError::ValueTooLong { octets: 254 });
        let refused = request.attributes().vendor(VendorKind::MIKROTIK_GROUP, &[0; 248]).unwrap_err();
        assert_eq!(refused, EncodeError::ValueTooLong { octets: 248 });
        let refused = request.attributes().vendor(VendorKind::MIKROTIK_GROUP, &[0; 254]).unwrap_err();
        assert_eq!(refused, EncodeError::ValueTooLong { octets: 254 });
        assert!(request.attributes().is_empty());
        request.attributes().octets(Kind::CLASS, &[0; 253]).unwrap();
        request.attributes().vendor(VendorKind::MIKROTIK_GROUP, &[0; 247]).unwrap();
        let packet = Packet::decode(request.finish(&secret())).unwrap();
        assert_eq!(packet.attributes().count(), 2);
    }

    #[test]
    fn a_packet_is_filled_to_4096_octets_and_not_beyond() {
        let mut buffer = [0; MAX_LENGTH];
        let mut request = Request::accounting(&mut buffer, 1);
        for _ in 0..15 {
            request.attributes().octets(Kind::CLASS, &[0; 253]).unwrap();
        }
        assert_eq!(request.attributes().octets(Kind::CLASS, &[0; 250]), Err(EncodeError::PacketFull));
        request.attributes().octets(Kind::CLASS, &[0; 249]).unwrap();
        assert_eq!(request.attributes().len(), 4096);
        assert_eq!(request.attributes().octets(Kind::CLASS, &[]), Err(EncodeError::PacketFull));
        let octets = request.finish(&secret());
        assert_eq!(octets.len(), 4096);
        Packet::decode(octets).unwrap();
    }

    #[test]
    fn rfc2866_s3_an_accounting_request_is_signed_over_a_zero_authenticator() {
        let mut buffer = [0xee; MAX_LENGTH];
        let mut request = Request::accounting(&mut buffer, 1);
        request.attributes().u32(Kind::ACCT_STATUS_TYPE, 7).unwrap();
        let packet = Packet::decode(request.finish(&secret())).unwrap();
        super::super::authenticator::verify_accounting_request(&packet, &secret()).unwrap();
    }

    fn attributes() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
        let value = prop::collection::vec(any::<u8>(), 0..=253);
        prop::collection::vec((any::<u8>(), value), 0..16)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_written_again_the_same(attributes in attributes(), code: u8, id: u8) {
            let mut buffer = [0; MAX_LENGTH];
            let mut writer = Writer::start(&mut buffer, Code::from_octet(code), id, &[7; 16]);
            for (kind, value) in &attributes {
                writer.octets(Kind(*kind), value).unwrap();
            }
            writer.write_length();
            let first = writer.into_octets();
            let packet = Packet::decode(first).unwrap();
            let read: Vec<_> = packet.attributes().map(|a| (a.kind.0, a.value.to_vec())).collect();
            prop_assert_eq!(&read, &attributes);

            let mut buffer = [0xee; MAX_LENGTH];
            let mut writer = Writer::start(&mut buffer, packet.code(), packet.identifier(), packet.authenticator());
            for attribute in packet.attributes() {
                writer.octets(attribute.kind, attribute.value).unwrap();
            }
            writer.write_length();
            prop_assert_eq!(writer.into_octets(), first);
        }

        #[test]
        fn any_octets_are_decoded_or_refused_without_a_panic(octets in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(packet) = Packet::decode(&octets) {
                let mut room = hiding::PasswordBuffer::default();
                let _ = crate::radius::Proof::from_request(&packet, &secret(), &mut room);
                let _ = crate::radius::Dictionary::builtin().describe(&packet);
            }
        }
    }
}
