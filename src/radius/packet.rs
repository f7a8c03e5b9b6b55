//! A RADIUS packet read in place (RFC 2865 section 3): no copy, no allocation, no trust.
//!
//! [`Packet::decode`] checks the frame once, so that everything read from a [`Packet`] afterwards
//! cannot fail for reasons of framing. It does not judge: whether a code may come to a port and
//! whether the sender knows the secret is [`super::exchange`]'s business.
//!
//! The one rule: octets behind the Length field are padding and are never looked at.

use super::attribute::{Attribute, Attributes, Kind, VendorAttributes, VendorKind};

/// The Request or Response Authenticator field.
pub type Authenticator = [u8; AUTHENTICATOR_LENGTH];

/// A well-framed packet that borrows the datagram it came in.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    code: Code,
    identifier: u8,
    authenticator: &'a Authenticator,
    octets: &'a [u8],
    attributes: &'a [u8],
    message_authenticator: MessageAuthenticator,
}

/// What a packet holds in the way of Message-Authenticator (RFC 3579 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageAuthenticator {
    /// None.
    Absent,
    /// Exactly one, of the right length.
    Present {
        /// Where its 16 octets of value begin, counted from the packet's first octet.
        offset: usize,
    },
    /// One whose value is not 16 octets long.
    WrongLength,
    /// More than one; which of them counts is not defined, so none does.
    Repeated,
}

/// Why octets are no RADIUS packet. Always the peer's fault (or the wire's).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer octets than a header has.
    #[error("{octets} octets are fewer than the 20 of a RADIUS header")]
    Short {
        /// Octets received.
        octets: usize,
    },
    /// The Length field is below 20 or above 4096.
    #[error("the Length field says {length}, outside 20 to 4096")]
    LengthField {
        /// What the field says.
        length: usize,
    },
    /// The Length field promises more octets than came.
    #[error("the Length field says {length}, but only {octets} octets came")]
    Truncated {
        /// What the field says.
        length: usize,
        /// Octets received.
        octets: usize,
    },
    /// An attribute's length is below 2, or reaches behind the packet's end.
    #[error("the attribute at octet {offset} has a length that does not fit the packet")]
    AttributeLength {
        /// Where the attribute begins, counted from the packet's first octet.
        offset: usize,
    },
    /// More attributes than [`MAX_ATTRIBUTES`].
    #[error("more than {MAX_ATTRIBUTES} attributes")]
    TooManyAttributes,
}

impl<'a> Packet<'a> {
    /// Checks the frame of a datagram. Octets behind the Length field are ignored.
    ///
    /// # Errors
    /// When RFC 2865 section 3 or 5 is broken, or the packet holds more than [`MAX_ATTRIBUTES`].
    pub fn decode(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let Some((header, _)) = datagram.split_first_chunk::<HEADER_LENGTH>() else {
            return Err(DecodeError::Short { octets: datagram.len() });
        };
        let [code, identifier, high, low, authenticator @ ..] = header;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if !(HEADER_LENGTH..=MAX_LENGTH).contains(&length) {
            return Err(DecodeError::LengthField { length });
        }
        let truncated = DecodeError::Truncated { length, octets: datagram.len() };
        let octets = datagram.get(..length).ok_or(truncated)?;
        let attributes = octets.get(HEADER_LENGTH..).ok_or(truncated)?;
        Ok(Self {
            code: Code::from_octet(*code),
            identifier: *identifier,
            authenticator,
            octets,
            attributes,
            message_authenticator: check_attributes(attributes)?,
        })
    }

    /// The Code field.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The Identifier field.
    #[must_use]
    pub const fn identifier(&self) -> u8 {
        self.identifier
    }

    /// The Request or Response Authenticator field.
    #[must_use]
    pub const fn authenticator(&self) -> &'a Authenticator {
        self.authenticator
    }

    /// The packet's octets from Code to the last attribute, without padding.
    #[must_use]
    pub const fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// The octets of all attributes.
    #[must_use]
    pub const fn attribute_octets(&self) -> &'a [u8] {
        self.attributes
    }

    /// The attributes in their order on the wire.
    #[must_use]
    pub const fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.attributes)
    }

    /// The first attribute of a type.
    #[must_use]
    pub fn first(&self, kind: Kind) -> Option<Attribute<'a>> {
        self.attributes().find(|attribute| attribute.kind == kind)
    }

    /// All attributes of a type, in their order.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        self.attributes().filter(move |attribute| attribute.kind == kind)
    }

    /// All sub-attributes of all Vendor-Specific attributes (RFC 2865 section 5.26).
    #[must_use]
    pub const fn vendor_attributes(&self) -> VendorAttributes<'a> {
        VendorAttributes::new(self.attributes())
    }

    /// The first sub-attribute of a vendor's type.
    #[must_use]
    pub fn first_vendor(&self, kind: VendorKind) -> Option<&'a [u8]> {
        self.all_vendor(kind).next()
    }

    /// The values of all sub-attributes of a vendor's type, in their order.
    pub fn all_vendor(&self, kind: VendorKind) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.vendor_attributes().filter(move |found| found.kind == kind).map(|found| found.value)
    }

    /// Which Message-Authenticator the packet carries; found while decoding.
    #[must_use]
    pub const fn message_authenticator(&self) -> MessageAuthenticator {
        self.message_authenticator
    }
}

/// Walks the attributes once: every length must fit, their number is bounded.
fn check_attributes(attributes: &[u8]) -> Result<MessageAuthenticator, DecodeError> {
    let mut rest = attributes;
    let mut found = MessageAuthenticator::Absent;
    let mut count = 0;
    while !rest.is_empty() {
        let offset = HEADER_LENGTH + (attributes.len() - rest.len());
        count += 1;
        if count > MAX_ATTRIBUTES {
            return Err(DecodeError::TooManyAttributes);
        }
        let (attribute, after) = Attribute::split(rest).ok_or(DecodeError::AttributeLength { offset })?;
        if attribute.kind == Kind::MESSAGE_AUTHENTICATOR {
            found = found.and_another(attribute.value, offset + 2);
        }
        rest = after;
    }
    Ok(found)
}

impl MessageAuthenticator {
    const fn and_another(self, value: &[u8], offset: usize) -> Self {
        match self {
            Self::Absent if value.len() == AUTHENTICATOR_LENGTH => Self::Present { offset },
            Self::Absent => Self::WrongLength,
            Self::Present { .. } | Self::WrongLength | Self::Repeated => Self::Repeated,
        }
    }
}

/// The Code field of a packet (RFC 2865 section 4, RFC 2866, RFC 5176, RFC 5997).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// 1.
    AccessRequest,
    /// 2.
    AccessAccept,
    /// 3.
    AccessReject,
    /// 4.
    AccountingRequest,
    /// 5.
    AccountingResponse,
    /// 11.
    AccessChallenge,
    /// 12, RFC 5997.
    StatusServer,
    /// 13, RFC 2865; experimental, never answered.
    StatusClient,
    /// 40, RFC 5176.
    DisconnectRequest,
    /// 41, RFC 5176.
    DisconnectAck,
    /// 42, RFC 5176.
    DisconnectNak,
    /// 43, RFC 5176.
    CoaRequest,
    /// 44, RFC 5176.
    CoaAck,
    /// 45, RFC 5176.
    CoaNak,
    /// Any other number.
    Unknown(u8),
}

impl Code {
    /// The code of a number on the wire.
    #[must_use]
    pub const fn from_octet(octet: u8) -> Self {
        match octet {
            1 => Self::AccessRequest,
            2 => Self::AccessAccept,
            3 => Self::AccessReject,
            4 => Self::AccountingRequest,
            5 => Self::AccountingResponse,
            11 => Self::AccessChallenge,
            12 => Self::StatusServer,
            13 => Self::StatusClient,
            40 => Self::DisconnectRequest,
            41 => Self::DisconnectAck,
            42 => Self::DisconnectNak,
            43 => Self::CoaRequest,
            44 => Self::CoaAck,
            45 => Self::CoaNak,
            other => Self::Unknown(other),
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn octet(self) -> u8 {
        match self {
            Self::AccessRequest => 1,
            Self::AccessAccept => 2,
            Self::AccessReject => 3,
            Self::AccountingRequest => 4,
            Self::AccountingResponse => 5,
            Self::AccessChallenge => 11,
            Self::StatusServer => 12,
            Self::StatusClient => 13,
            Self::DisconnectRequest => 40,
            Self::DisconnectAck => 41,
            Self::DisconnectNak => 42,
            Self::CoaRequest => 43,
            Self::CoaAck => 44,
            Self::CoaNak => 45,
            Self::Unknown(other) => other,
        }
    }

    /// The name that RFCs use; "Unknown" for a number without one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessRequest => "Access-Request",
            Self::AccessAccept => "Access-Accept",
            Self::AccessReject => "Access-Reject",
            Self::AccountingRequest => "Accounting-Request",
            Self::AccountingResponse => "Accounting-Response",
            Self::AccessChallenge => "Access-Challenge",
            Self::StatusServer => "Status-Server",
            Self::StatusClient => "Status-Client",
            Self::DisconnectRequest => "Disconnect-Request",
            Self::DisconnectAck => "Disconnect-ACK",
            Self::DisconnectNak => "Disconnect-NAK",
            Self::CoaRequest => "CoA-Request",
            Self::CoaAck => "CoA-ACK",
            Self::CoaNak => "CoA-NAK",
            Self::Unknown(_) => "Unknown",
        }
    }
}

/// Octets of the fixed part of a packet: Code, Identifier, Length, Authenticator.
pub const HEADER_LENGTH: usize = 20;
/// Octets of an authenticator and of a Message-Authenticator's value.
pub const AUTHENTICATOR_LENGTH: usize = 16;
/// The longest packet that RFC 2865 section 3 allows.
pub const MAX_LENGTH: usize = 4096;
/// More attributes than any NAS sends; bounds the work that one datagram can ask for.
pub const MAX_ATTRIBUTES: usize = 200;

#[cfg(test)]
mod rfc2865_s3_tests {
    use super::*;

    fn minimal(length: u16, size: usize) -> Vec<u8> {
        let mut octets = vec![0; size];
        octets[0] = 1;
        octets[1] = 7;
        octets[2..4].copy_from_slice(&length.to_be_bytes());
        octets
    }

    fn with_attributes(attributes: &[u8]) -> Vec<u8> {
        let length = HEADER_LENGTH + attributes.len();
        let mut octets = minimal(u16::try_from(length).unwrap(), HEADER_LENGTH);
        octets.extend_from_slice(attributes);
        octets
    }

    #[test]
    fn a_header_alone_is_a_packet() {
        let octets = minimal(20, 20);
        let packet = Packet::decode(&octets).unwrap();
        assert_eq!(packet.code(), Code::AccessRequest);
        assert_eq!(packet.identifier(), 7);
        assert_eq!(packet.attributes().count(), 0);
        assert_eq!(packet.message_authenticator(), MessageAuthenticator::Absent);
    }

    #[test]
    fn every_length_below_20_octets_is_refused() {
        for size in 0..20 {
            let octets = vec![0; size];
            assert_eq!(Packet::decode(&octets).unwrap_err(), DecodeError::Short { octets: size });
        }
    }

    #[test]
    fn the_length_field_is_held_to_20_and_4096_and_to_the_datagram() {
        for length in [0, 19, 4097, 65_535] {
            let octets = minimal(length, 4096);
            let expected = DecodeError::LengthField { length: usize::from(length) };
            assert_eq!(Packet::decode(&octets).unwrap_err(), expected);
        }
        let expected = DecodeError::Truncated { length: 21, octets: 20 };
        assert_eq!(Packet::decode(&minimal(21, 20)).unwrap_err(), expected);
    }

    #[test]
    fn a_packet_of_4096_octets_is_read() {
        let mut attributes = Vec::new();
        for _ in 0..15 {
            attributes.extend_from_slice(&[25, 255]);
            attributes.extend_from_slice(&[0; 253]);
        }
        attributes.extend_from_slice(&[25, 251]);
        attributes.extend_from_slice(&[0; 249]);
        let octets = with_attributes(&attributes);
        assert_eq!(octets.len(), 4096);
        assert_eq!(Packet::decode(&octets).unwrap().attributes().count(), 16);
    }

    #[test]
    fn octets_behind_the_length_field_are_padding() {
        let mut octets = with_attributes(&[1, 3, b'a']);
        octets.extend_from_slice(&[80, 1, 0, 0]);
        let packet = Packet::decode(&octets).unwrap();
        assert_eq!(packet.octets().len(), 23);
        assert_eq!(packet.attributes().count(), 1);
    }

    #[test]
    fn attribute_lengths_of_0_and_1_and_beyond_the_end_are_refused() {
        for bad in [&[1u8, 0, 0][..], &[1, 1, 0], &[1, 4, 0], &[1]] {
            let octets = with_attributes(&[&[4, 6, 1, 2, 3, 4][..], bad].concat());
            assert_eq!(Packet::decode(&octets).unwrap_err(), DecodeError::AttributeLength { offset: 26 });
        }
    }

    #[test]
    fn attribute_200_is_read_and_attribute_201_is_refused() {
        let two_hundred = [18u8, 2].repeat(MAX_ATTRIBUTES);
        assert_eq!(Packet::decode(&with_attributes(&two_hundred)).unwrap().attributes().count(), 200);
        let one_more = [18u8, 2].repeat(MAX_ATTRIBUTES + 1);
        let refused = Packet::decode(&with_attributes(&one_more)).unwrap_err();
        assert_eq!(refused, DecodeError::TooManyAttributes);
    }

    #[test]
    fn the_message_authenticator_is_found_once_only_and_of_length_16() {
        let one = [&[1u8, 3, b'a', 80, 18][..], &[9; 16]].concat();
        let octets = with_attributes(&one);
        let packet = Packet::decode(&octets).unwrap();
        assert_eq!(packet.message_authenticator(), MessageAuthenticator::Present { offset: 25 });

        let octets = with_attributes(&[&one[..], &one].concat());
        assert_eq!(Packet::decode(&octets).unwrap().message_authenticator(), MessageAuthenticator::Repeated);

        let octets = with_attributes(&[80, 3, 1]);
        let packet = Packet::decode(&octets).unwrap();
        assert_eq!(packet.message_authenticator(), MessageAuthenticator::WrongLength);
    }

    #[test]
    fn a_code_survives_its_octet_for_all_256() {
        for octet in 0..=255 {
            assert_eq!(Code::from_octet(octet).octet(), octet);
        }
    }
}
