//! Change of authorization, the asking side (RFC 5176): a NAS is told to end a session, or to go on with it
//! under other terms.
//!
//! An [`Order`] is a request under construction; [`Order::finish`] gives its octets and what alone can say
//! whether a datagram is the answer to it. It carries Event-Timestamp (section 3.5, against replays) and
//! Message-Authenticator; whose session it is about is written by the caller, since makers differ.
//!
//! The one rule: only an ACK that proves the secret is a yes. A NAK says why, and is no success.

use std::fmt;

use super::attribute::Kind;
use super::authenticator::{self, SharedSecret, ZERO};
use super::client::ReplyFault;
use super::encode::{Buffer, EncodeError, Request, Writer};
use super::packet::{AUTHENTICATOR_LENGTH, Authenticator, Code, HEADER_LENGTH, Packet};

/// What a NAS is told to do with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// Disconnect-Request: end it.
    Disconnect,
    /// CoA-Request: change it.
    Change,
}

/// A request under construction.
#[derive(Debug)]
pub struct Order<'b> {
    request: Request<'b>,
    deed: Deed,
    identifier: u8,
}

/// What the answer to one order must be like.
#[derive(Clone, Copy, Debug)]
pub struct Awaited {
    deed: Deed,
    identifier: u8,
    request_authenticator: Authenticator,
}

/// What a NAS answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done.
    Ack,
    /// Not done; why, where it said so.
    Nak(Option<ErrorCause>),
}

/// Error-Cause (RFC 5176 section 3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCause(pub u32);

impl ErrorCause {
    /// The NAS does not know an attribute that the request has.
    pub const UNSUPPORTED_ATTRIBUTE: Self = Self(401);
    /// An attribute that it needs is not there.
    pub const MISSING_ATTRIBUTE: Self = Self(402);
    /// It has no such session.
    pub const SESSION_CONTEXT_NOT_FOUND: Self = Self(503);

    /// The name in RFC 5176 section 3.6.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            201 => "Residual Session Context Removed",
            202 => "Invalid EAP Packet (Ignored)",
            401 => "Unsupported Attribute",
            402 => "Missing Attribute",
            403 => "NAS Identification Mismatch",
            404 => "Invalid Request",
            405 => "Unsupported Service",
            406 => "Unsupported Extension",
            407 => "Invalid Attribute Value",
            501 => "Administratively Prohibited",
            502 => "Request Not Routable (Proxy)",
            503 => "Session Context Not Found",
            504 => "Session Context Not Removable",
            505 => "Other Proxy Processing Error",
            506 => "Resources Unavailable",
            507 => "Request Initiated",
            508 => "Multiple Session Selection Unsupported",
            _ => "unknown",
        }
    }
}

impl fmt::Display for ErrorCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl Deed {
    /// The name for people and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::Change => "coa",
        }
    }

    const fn codes(self) -> (Code, Code, Code) {
        match self {
            Self::Disconnect => (Code::DisconnectRequest, Code::DisconnectAck, Code::DisconnectNak),
            Self::Change => (Code::CoaRequest, Code::CoaAck, Code::CoaNak),
        }
    }
}

impl<'b> Order<'b> {
    /// Begins an order; `unix_seconds` is when it is given.
    ///
    /// # Errors
    /// None in practice: the buffer has room for the first attributes.
    pub fn new(
        buffer: &'b mut Buffer,
        deed: Deed,
        identifier: u8,
        unix_seconds: u32,
    ) -> Result<Self, EncodeError> {
        let (code, _, _) = deed.codes();
        let mut request = Request::change(buffer, code, identifier)?;
        request.attributes().u32(Kind::EVENT_TIMESTAMP, unix_seconds)?;
        Ok(Self { request, deed, identifier })
    }

    /// Where further attributes are written.
    pub const fn attributes(&mut self) -> &mut Writer<'b> {
        self.request.attributes()
    }

    /// Signs the order; gives its octets and what to hold the answer against.
    #[must_use]
    pub fn finish(self, secret: &SharedSecret) -> (&'b [u8], Awaited) {
        let octets = self.request.finish(secret);
        let field = octets.get(AUTHENTICATOR_AT..).and_then(|rest| rest.first_chunk());
        let awaited = Awaited {
            deed: self.deed,
            identifier: self.identifier,
            request_authenticator: field.copied().unwrap_or(ZERO),
        };
        (octets, awaited)
    }
}

impl Awaited {
    /// Holds a datagram against the order. A fault may mean that it answers an earlier one or is forged, so
    /// the caller goes on waiting until its time is up.
    ///
    /// # Errors
    /// The first thing about the datagram that is not as it must be.
    pub fn check(&self, datagram: &[u8], secret: &SharedSecret) -> Result<Answer, ReplyFault> {
        let reply = Packet::decode(datagram).map_err(ReplyFault::Malformed)?;
        if reply.identifier() != self.identifier {
            return Err(ReplyFault::Identifier { expected: self.identifier, got: reply.identifier() });
        }
        let (asked, ack, nak) = self.deed.codes();
        let is_ack = reply.code() == ack;
        if !is_ack && reply.code() != nak {
            return Err(ReplyFault::Code { asked, got: reply.code() });
        }
        authenticator::verify_response(&reply, &self.request_authenticator, secret)
            .map_err(ReplyFault::NotAuthentic)?;
        Ok(if is_ack { Answer::Ack } else { Answer::Nak(reply.u32(Kind::ERROR_CAUSE).map(ErrorCause)) })
    }
}

/// Where the authenticator stands in a packet.
const AUTHENTICATOR_AT: usize = HEADER_LENGTH - AUTHENTICATOR_LENGTH;

#[cfg(test)]
mod rfc5176_tests {
    use super::*;
    use crate::base::secret::Secret;
    use crate::radius::authenticator::verify_request_message_authenticator;

    fn secret() -> SharedSecret {
        SharedSecret::new(Secret::from_text("a secret of the test"))
    }

    fn order(buffer: &mut Buffer, deed: Deed) -> (Vec<u8>, Awaited) {
        let mut order = Order::new(buffer, deed, 7, 1_700_000_000).unwrap();
        order.attributes().text(Kind::ACCT_SESSION_ID, "81000001").unwrap();
        let (octets, awaited) = order.finish(&secret());
        (octets.to_vec(), awaited)
    }

    fn reply(request: &[u8], code: u8, attributes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(20 + attributes.len()).unwrap().to_be_bytes();
        let mut octets = vec![code, request[1], length[0], length[1]];
        octets.extend([0; 16]);
        octets.extend(attributes);
        let authenticator: Authenticator = request[4..20].try_into().unwrap();
        let signature = secret().packet_authenticator(&octets, &authenticator).unwrap();
        octets[4..20].copy_from_slice(&signature);
        octets
    }

    #[test]
    fn section_2_3_the_request_authenticator_is_a_signature_over_zeros() {
        for (deed, code) in [(Deed::Disconnect, 40), (Deed::Change, 43)] {
            let (octets, _) = order(&mut [0; 4096], deed);
            assert_eq!(octets[0], code);
            let expected = secret().packet_authenticator(&octets, &ZERO).unwrap();
            assert_eq!(octets[4..20], expected);
        }
    }

    #[test]
    fn section_3_4_the_message_authenticator_covers_zeros_and_section_3_5_it_says_when() {
        let (octets, _) = order(&mut [0; 4096], Deed::Change);
        let packet = Packet::decode(&octets).unwrap();
        assert!(verify_request_message_authenticator(&packet, &secret()).is_ok());
        assert_eq!(packet.u32(Kind::EVENT_TIMESTAMP), Some(1_700_000_000));
        assert_eq!(packet.attributes().next().unwrap().kind, Kind::MESSAGE_AUTHENTICATOR);
    }

    #[test]
    fn section_2_2_an_ack_is_a_yes_and_a_nak_says_why() {
        let (octets, awaited) = order(&mut [0; 4096], Deed::Disconnect);
        assert_eq!(awaited.check(&reply(&octets, 41, &[]), &secret()), Ok(Answer::Ack));
        let cause = [101, 6, 0, 0, 1, 0xF7];
        let nak = awaited.check(&reply(&octets, 42, &cause), &secret());
        assert_eq!(nak, Ok(Answer::Nak(Some(ErrorCause::SESSION_CONTEXT_NOT_FOUND))));
        assert_eq!(awaited.check(&reply(&octets, 42, &[]), &secret()), Ok(Answer::Nak(None)));
    }

    #[test]
    fn an_answer_to_another_order_or_without_the_secret_is_not_believed() {
        let (octets, awaited) = order(&mut [0; 4096], Deed::Disconnect);
        assert!(matches!(awaited.check(&reply(&octets, 44, &[]), &secret()), Err(ReplyFault::Code { .. })));
        let mut other = octets.clone();
        other[1] = 8;
        let fault = awaited.check(&reply(&other, 41, &[]), &secret());
        assert_eq!(fault, Err(ReplyFault::Identifier { expected: 7, got: 8 }));
        let good = reply(&octets, 41, &[]);
        for at in 4..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert!(awaited.check(&changed, &secret()).is_err(), "octet {at}");
        }
        assert!(awaited.check(&good, &SharedSecret::new(Secret::from_text("another"))).is_err());
    }
}
