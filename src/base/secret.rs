//! Values that must never be printed.
//!
//! A [`Secret`] has no `Display`, its `Debug` shows nothing, it is wiped when dropped, and it
//! compares in constant time. Whoever needs the bytes says so: [`Secret::expose`].

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Secret bytes: a shared secret, a password, a key.
#[derive(Clone)]
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    /// Takes the bytes over; the caller's copy is its own affair.
    #[must_use]
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// Takes a text's bytes over.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self::new(text.as_bytes())
    }

    /// The bytes. The name is long so that each use is seen.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, where they are UTF-8.
    #[must_use]
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Length in octets; not secret enough to hide.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True for the empty secret.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print_itself() {
        assert_eq!(format!("{:?}", Secret::from_text("hunter2")), "Secret(…)");
    }

    #[test]
    fn equality_is_by_content() {
        assert_eq!(Secret::from_text("a"), Secret::from_text("a"));
        assert_ne!(Secret::from_text("a"), Secret::from_text("ab"));
    }
}
