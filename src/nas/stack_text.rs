//! A text built on the stack: replies are written on the hot path, where nothing allocates.

use std::fmt;

/// At most `N` octets of text; what does not fit makes the write fail.
#[derive(Debug)]
pub(super) struct StackText<const N: usize> {
    octets: [u8; N],
    length: usize,
}

impl<const N: usize> StackText<N> {
    pub(super) const fn new() -> Self {
        Self { octets: [0; N], length: 0 }
    }

    pub(super) fn as_str(&self) -> &str {
        self.octets.get(..self.length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or("")
    }
}

impl<const N: usize> fmt::Write for StackText<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length.checked_add(text.len()).ok_or(fmt::Error)?;
        let room = self.octets.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
