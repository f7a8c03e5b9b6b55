//! EAP's frame (RFC 3748 section 4): a peer's response read in place, our requests written.
//!
//! The one rule: octets behind the Length field are the link's padding and are never looked at.

/// A well-framed EAP-Response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// The Identifier field; must be that of the request it answers.
    pub identifier: u8,
    /// The Type field.
    pub kind: TypeCode,
    /// What lies behind the type.
    pub data: &'a [u8],
}

/// A Type field (RFC 3748 section 5, IANA's list for the rest).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeCode(pub u8);

impl TypeCode {
    /// RFC 3748 section 5.1.
    pub const IDENTITY: Self = Self(1);
    /// RFC 3748 section 5.2.
    pub const NOTIFICATION: Self = Self(2);
    /// RFC 3748 section 5.3.1, in responses only.
    pub const NAK: Self = Self(3);
    /// RFC 3748 section 5.4.
    pub const MD5_CHALLENGE: Self = Self(4);
    /// RFC 3748 section 5.6.
    pub const GTC: Self = Self(6);
    /// RFC 5216.
    pub const TLS: Self = Self(13);
    /// RFC 5281.
    pub const TTLS: Self = Self(21);
    /// PEAP (MS-PEAP).
    pub const PEAP: Self = Self(25);
    /// EAP-MSCHAPv2 (draft-kamath-pppext-eap-mschapv2).
    pub const MSCHAPV2: Self = Self(26);
    /// RFC 3748 section 5.7.
    pub const EXPANDED: Self = Self(254);
}

/// Why octets are no EAP-Response. The peer's fault, or the wire's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer octets than code, identifier, length and type take.
    #[error("{octets} octets are fewer than an EAP-Response has")]
    Short {
        /// Octets that came.
        octets: usize,
    },
    /// The Length field promises more than came, or less than a response has.
    #[error("the Length field says {length} of {octets} octets")]
    Length {
        /// What the field says.
        length: usize,
        /// Octets that came.
        octets: usize,
    },
    /// Requests, successes and failures do not come from a peer.
    #[error("code {0} does not come from a peer")]
    Code(u8),
    /// More octets than any round may have.
    #[error("{octets} octets are more than one round may have")]
    Long {
        /// Octets that came.
        octets: usize,
    },
}

impl<'a> Response<'a> {
    /// Reads a response.
    ///
    /// # Errors
    /// When RFC 3748 section 4.1 is broken, or it is none.
    pub fn decode(octets: &'a [u8]) -> Result<Self, DecodeError> {
        if octets.len() > MOST_OCTETS {
            return Err(DecodeError::Long { octets: octets.len() });
        }
        let short = DecodeError::Short { octets: octets.len() };
        let (&[code, identifier, high, low, kind], _) = octets.split_first_chunk::<5>().ok_or(short)?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let data = octets.get(HEADER..length).ok_or(DecodeError::Length { length, octets: octets.len() })?;
        if code != RESPONSE {
            return Err(DecodeError::Code(code));
        }
        Ok(Self { identifier, kind: TypeCode(kind), data })
    }
}

/// An EAP-Request.
#[must_use]
pub fn request(identifier: u8, kind: TypeCode, data: &[u8]) -> Vec<u8> {
    typed(REQUEST, identifier, kind, data)
}

/// An EAP-Response: what a peer sends.
#[must_use]
pub fn response(identifier: u8, kind: TypeCode, data: &[u8]) -> Vec<u8> {
    typed(RESPONSE, identifier, kind, data)
}

/// EAP-Success (RFC 3748 section 4.2): its identifier is that of the response it answers.
#[must_use]
pub const fn success(identifier: u8) -> [u8; 4] {
    [SUCCESS, identifier, 0, 4]
}

/// EAP-Failure; likewise.
#[must_use]
pub const fn failure(identifier: u8) -> [u8; 4] {
    [FAILURE, identifier, 0, 4]
}

fn typed(code: u8, identifier: u8, kind: TypeCode, data: &[u8]) -> Vec<u8> {
    // Nothing we write comes near 64 KiB: what is longer goes in fragments.
    let length = u16::try_from(HEADER + data.len()).unwrap_or(u16::MAX);
    let [high, low] = length.to_be_bytes();
    [&[code, identifier, high, low, kind.0], data].concat()
}

const REQUEST: u8 = 1;
const RESPONSE: u8 = 2;
const SUCCESS: u8 = 3;
const FAILURE: u8 = 4;
/// Code, identifier, length and type.
pub const HEADER: usize = 5;
/// A RADIUS packet has 4096 octets, so no longer EAP packet comes out of one.
pub const MOST_OCTETS: usize = 4096;

#[cfg(test)]
mod rfc3748_s4_tests {
    use super::*;

    #[test]
    fn a_response_is_read_and_padding_behind_its_length_is_ignored() {
        let read = Response::decode(&[2, 7, 0, 8, 1, b'a', b'd', b'a', 9, 9]).unwrap();
        assert_eq!(read, Response { identifier: 7, kind: TypeCode::IDENTITY, data: b"ada" });
        let none = Response::decode(&[2, 7, 0, 5, 3]).unwrap();
        assert_eq!((none.kind, none.data), (TypeCode::NAK, &[][..]));
    }

    #[test]
    fn what_is_short_or_of_another_code_is_refused() {
        for size in 0..5 {
            let octets = vec![2; size];
            assert_eq!(Response::decode(&octets), Err(DecodeError::Short { octets: size }));
        }
        for length in [0, 4, 7, 255] {
            let octets = [2, 1, 0, length, 1, 9];
            let expected = DecodeError::Length { length: usize::from(length), octets: 6 };
            assert_eq!(Response::decode(&octets), Err(expected));
        }
        for code in [0, 1, 3, 4, 5, 255] {
            assert_eq!(Response::decode(&[code, 1, 0, 5, 1]), Err(DecodeError::Code(code)));
        }
        assert_eq!(Response::decode(&[2; 4097]), Err(DecodeError::Long { octets: 4097 }));
    }

    #[test]
    fn what_is_written_has_its_length() {
        assert_eq!(request(9, TypeCode::GTC, b"hi"), [1, 9, 0, 7, 6, b'h', b'i']);
        assert_eq!(response(9, TypeCode::GTC, b""), [2, 9, 0, 5, 6]);
        assert_eq!((success(3), failure(4)), ([3, 3, 0, 4], [4, 4, 0, 4]));
    }
}
