//! Framing of netlink: messages of a datagram, attributes of a message, and writing both. It knows no
//! subsystem. Numbers of the header are in the machine's order, as the kernel defines them; those of
//! netfilter's attributes in network order. The one rule: no length in the octets is believed.

/// Octets of a message's header.
const HEADER: usize = 16;
/// Octets of an attribute's header.
const ATTRIBUTE_HEADER: usize = 4;
/// The bits of an attribute's type that are flags (nested, network order).
const TYPE_MASK: u16 = 0x3fff;
/// Says that the payload is attributes.
const NESTED: u16 = 0x8000;

/// The message is a request.
pub const REQUEST: u16 = 0x1;
/// More messages of this answer follow.
pub const MULTI: u16 = 0x2;
/// Answer even when all is well.
pub const ACK: u16 = 0x4;
/// Report to the sender what was done.
pub const ECHO: u16 = 0x8;
/// In an answer: what is listed changed meanwhile.
pub const DUMP_INTERRUPTED: u16 = 0x10;
/// List everything.
pub const DUMP: u16 = 0x300;
/// Refuse when it is there already.
pub const EXCLUSIVE: u16 = 0x200;
/// Make it when it is not there.
pub const CREATE: u16 = 0x400;

/// An error, or the acknowledgement that there is none.
pub const TYPE_ERROR: u16 = 2;
/// The end of a list.
pub const TYPE_DONE: u16 = 3;
/// Messages were lost.
pub const TYPE_OVERRUN: u16 = 4;

/// Why octets are no netlink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A length field points outside, or is smaller than its own header.
    #[error("a length does not fit the octets that came")]
    Length,
    /// A field is shorter than its type, or missing.
    #[error("the field {0} is missing or too short")]
    Field(&'static str),
}

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is.
    pub kind: u16,
    /// Flags.
    pub flags: u16,
    /// The request that it answers.
    pub sequence: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

impl Message<'_> {
    /// For an error message, the number of the error: zero is an acknowledgement.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        if self.kind != TYPE_ERROR {
            return None;
        }
        self.body.first_chunk().map(|octets| i32::from_ne_bytes(*octets).saturating_neg())
    }
}

/// The messages of a datagram, up to the first that does not fit.
#[derive(Debug, Clone)]
pub struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    /// Reads these octets.
    #[must_use]
    pub const fn new(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let Some((message, rest)) = split_message(self.0) else {
            self.0 = &[];
            return Some(Err(WireError::Length));
        };
        self.0 = rest;
        Some(Ok(message))
    }
}

fn split_message(octets: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, _, _, _, _] = *octets.first_chunk::<HEADER>()?;
    let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
    let message = Message {
        kind: u16::from_ne_bytes([k0, k1]),
        flags: u16::from_ne_bytes([f0, f1]),
        sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
        body: octets.get(HEADER..length)?,
    };
    Some((message, octets.get(aligned(length)..).unwrap_or(&[])))
}

/// One attribute; the flags of its type are taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// What it is.
    pub kind: u16,
    /// Its value.
    pub payload: &'a [u8],
}

/// The attributes of some octets, up to the first that does not fit.
#[derive(Debug, Clone)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Reads these octets.
    #[must_use]
    pub const fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// The first attribute of this type.
    ///
    /// # Errors
    /// When the octets before it are no attributes.
    pub fn find(&self, kind: u16) -> Result<Option<&'a [u8]>, WireError> {
        for attribute in self.clone() {
            let attribute = attribute?;
            if attribute.kind == kind {
                return Ok(Some(attribute.payload));
            }
        }
        Ok(None)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let Some((attribute, rest)) = split_attribute(self.0) else {
            self.0 = &[];
            return Some(Err(WireError::Length));
        };
        self.0 = rest;
        Some(Ok(attribute))
    }
}

fn split_attribute(octets: &[u8]) -> Option<(Attribute<'_>, &[u8])> {
    let [l0, l1, k0, k1] = *octets.first_chunk::<ATTRIBUTE_HEADER>()?;
    let length = usize::from(u16::from_ne_bytes([l0, l1]));
    let kind = u16::from_ne_bytes([k0, k1]) & TYPE_MASK;
    let payload = octets.get(ATTRIBUTE_HEADER..length)?;
    Some((Attribute { kind, payload }, octets.get(aligned(length)..).unwrap_or(&[])))
}

/// A number in network order.
///
/// # Errors
/// When there are not exactly four octets.
pub fn be32(octets: &[u8], field: &'static str) -> Result<u32, WireError> {
    octets.try_into().map(u32::from_be_bytes).map_err(|_| WireError::Field(field))
}

/// A number in network order.
///
/// # Errors
/// When there are not exactly eight octets.
pub fn be64(octets: &[u8], field: &'static str) -> Result<u64, WireError> {
    octets.try_into().map(u64::from_be_bytes).map_err(|_| WireError::Field(field))
}

/// A number in the machine's order.
///
/// # Errors
/// When there are not exactly four octets.
pub fn ne32(octets: &[u8], field: &'static str) -> Result<u32, WireError> {
    octets.try_into().map(u32::from_ne_bytes).map_err(|_| WireError::Field(field))
}

/// Text up to its NUL; what is no UTF-8 is replaced, as it can only be a foreign hand's.
#[must_use]
pub fn text(octets: &[u8]) -> String {
    let end = octets.split(|octet| *octet == 0).next().unwrap_or(&[]);
    String::from_utf8_lossy(end).into_owned()
}

/// Messages being written, one after another.
#[derive(Debug, Clone, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Nothing written yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// What was written.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// A message; `body` writes what follows the header.
    pub fn message(&mut self, kind: u16, flags: u16, sequence: u32, body: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.0.extend([0; 4]);
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(flags.to_ne_bytes());
        self.0.extend(sequence.to_ne_bytes());
        self.0.extend([0; 4]);
        body(self);
        // One message here is one element or one rule: some hundred octets.
        let length = u32::try_from(self.0.len().saturating_sub(start)).unwrap_or(u32::MAX);
        self.patch(start, &length.to_ne_bytes());
        self.pad();
    }

    /// Octets as they are: the fixed part of a message.
    pub fn raw(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    /// An attribute.
    pub fn attribute(&mut self, kind: u16, payload: &[u8]) {
        self.framed(kind, |writer| writer.0.extend_from_slice(payload));
    }

    /// A text attribute, closed with a NUL.
    pub fn string(&mut self, kind: u16, payload: &str) {
        self.framed(kind, |writer| {
            writer.0.extend_from_slice(payload.as_bytes());
            writer.0.push(0);
        });
    }

    /// An attribute made of attributes.
    pub fn nested(&mut self, kind: u16, inside: impl FnOnce(&mut Self)) {
        self.framed(kind | NESTED, inside);
    }

    fn framed(&mut self, kind: u16, inside: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend(kind.to_ne_bytes());
        inside(self);
        // The longest is one element with its comment: far below 65,535.
        let length = u16::try_from(self.0.len().saturating_sub(start)).unwrap_or(u16::MAX);
        self.patch(start, &length.to_ne_bytes());
        self.pad();
    }

    fn patch(&mut self, at: usize, octets: &[u8]) {
        let end = at.saturating_add(octets.len());
        if let Some(place) = self.0.get_mut(at..end) {
            place.copy_from_slice(octets);
        }
    }

    fn pad(&mut self) {
        self.0.resize(aligned(self.0.len()), 0);
    }
}

const fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::new();
        writer.message(9, REQUEST, 5, |writer| {
            writer.string(1, "abc");
            writer.nested(2, |writer| writer.attribute(3, &[1, 2, 3, 4, 5]));
        });
        writer.message(10, 0, 6, |_| {});
        let messages: Vec<Message<'_>> = Messages::new(writer.octets()).map(Result::unwrap).collect();
        assert_eq!((messages[0].kind, messages[0].sequence, messages[1].kind), (9, 5, 10));
        let attributes = Attributes::new(messages[0].body);
        assert_eq!(attributes.find(1), Ok(Some(&b"abc\0"[..])));
        let inner = Attributes::new(attributes.find(2).unwrap().unwrap());
        assert_eq!(inner.find(3), Ok(Some(&[1, 2, 3, 4, 5][..])));
        assert_eq!(inner.find(4), Ok(None));
    }

    #[test]
    fn a_length_that_lies_ends_the_reading() {
        for length in [0u16, 3, 9, u16::MAX] {
            let octets = [&length.to_ne_bytes()[..], &[1, 0, 7, 7, 7, 7]].concat();
            let read: Vec<_> = Attributes::new(&octets).collect();
            assert_eq!(read, [Err(WireError::Length)], "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read_to_an_end(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            for message in Messages::new(&octets).flatten() {
                let _ = (message.errno(), Attributes::new(message.body).count());
            }
        }
    }
}
