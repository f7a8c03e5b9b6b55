//! Identity (RFC 3748 section 5.1): who the peer says it is, for finding the right method and home. It proves
//! nothing, and a method may learn another name.

/// The identity in a response's data: all of it but what a NUL begins (section 5.1 lets options follow one).
///
/// `None` where there is none, or more than an identity may have.
#[must_use]
pub fn read(data: &[u8]) -> Option<&[u8]> {
    let end = data.iter().position(|octet| *octet == 0).unwrap_or(data.len());
    let identity = data.get(..end)?;
    (!identity.is_empty() && identity.len() <= MOST_OCTETS).then_some(identity)
}

/// What a User-Name can hold (RFC 2865 section 5.1), and RFC 7542 section 2.2's bound on an NAI.
pub const MOST_OCTETS: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_ends_at_nul_and_is_neither_empty_nor_longer_than_a_user_name() {
        assert_eq!(read(b"ada@example.net"), Some(&b"ada@example.net"[..]));
        assert_eq!(read(b"ada\0networkid=x"), Some(&b"ada"[..]));
        assert_eq!(read(b""), None);
        assert_eq!(read(b"\0x"), None);
        assert!(read(&[b'a'; 253]).is_some());
        assert_eq!(read(&[b'a'; 254]), None);
    }
}
