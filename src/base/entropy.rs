//! The only place that asks for randomness.
//!
//! Use cases take an [`Entropy`] at construction; rules take the bytes that came out of it.
//! Tests use [`Entropy::seeded`], so that a failing history can be replayed.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A source of random bytes; cheap to clone.
#[derive(Clone, Debug)]
pub enum Entropy {
    /// The system's cryptographically secure generator.
    System,
    /// A repeatable stream for tests: SHA-256 of seed and counter. Never on the shipped path.
    Seeded(Arc<Mutex<(u64, u64)>>),
}

/// The system could not give random bytes; nothing safe can be generated until it can.
#[derive(Debug, thiserror::Error)]
#[error("the system's random generator gave no bytes")]
pub struct EntropyError(#[source] getrandom::Error);

impl Entropy {
    /// A repeatable source for tests.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(Mutex::new((seed, 0))))
    }

    /// Fills `out` with random bytes.
    ///
    /// # Errors
    /// When the system's generator fails, which on Linux after boot it does not.
    pub fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        match self {
            Self::System => getrandom::fill(out).map_err(EntropyError),
            Self::Seeded(state) => {
                let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                for chunk in out.chunks_mut(32) {
                    let block = Sha256::new()
                        .chain_update(state.0.to_le_bytes())
                        .chain_update(state.1.to_le_bytes())
                        .finalize();
                    state.1 = state.1.wrapping_add(1);
                    for (target, source) in chunk.iter_mut().zip(block) {
                        *target = source;
                    }
                }
                Ok(())
            }
        }
    }

    /// An array of random bytes.
    ///
    /// # Errors
    /// As [`Entropy::fill`].
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], EntropyError> {
        let mut out = [0; N];
        self.fill(&mut out)?;
        Ok(out)
    }

    /// A `UUIDv7` (RFC 9562 section 5.7): ordered by `now`, random in the rest.
    ///
    /// # Errors
    /// As [`Entropy::fill`].
    pub fn uuid_v7(&self, now: Timestamp) -> Result<Uuid, EntropyError> {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Ok(uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes::<10>()?).into_uuid())
    }

    /// A text of `length` symbols drawn without bias from [`UNAMBIGUOUS`]: 5 bits a symbol.
    ///
    /// # Errors
    /// As [`Entropy::fill`].
    pub fn readable(&self, length: usize) -> Result<String, EntropyError> {
        let mut out = String::with_capacity(length);
        let mut bytes = [0u8; 32];
        while out.len() < length {
            self.fill(&mut bytes)?;
            // 32 symbols divide 256 evenly, so the low five bits carry no bias.
            let symbols = bytes.iter().filter_map(|byte| UNAMBIGUOUS.get(usize::from(byte & 31)));
            out.extend(symbols.take(length - out.len()).map(|symbol| char::from(*symbol)));
        }
        Ok(out)
    }
}

/// A to Z and 2 to 9 without I and O: what a person reads off a card without doubt.
pub const UNAMBIGUOUS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_stream_and_another_seed_does_not() {
        let (a, b, c) = (Entropy::seeded(1), Entropy::seeded(1), Entropy::seeded(2));
        let first = a.bytes::<40>().unwrap();
        assert_eq!(first, b.bytes::<40>().unwrap());
        assert_ne!(first, c.bytes::<40>().unwrap());
    }

    #[test]
    fn readable_text_has_the_length_and_only_unambiguous_symbols() {
        let text = Entropy::System.readable(100).unwrap();
        assert_eq!(text.len(), 100);
        assert!(text.bytes().all(|symbol| UNAMBIGUOUS.contains(&symbol)));
    }

    #[test]
    fn uuids_sort_by_their_time() {
        let entropy = Entropy::seeded(3);
        let early = entropy.uuid_v7(Timestamp::from_second(10).unwrap()).unwrap();
        let late = entropy.uuid_v7(Timestamp::from_second(11).unwrap()).unwrap();
        assert!(early < late);
        assert_eq!(early.get_version_num(), 7);
    }
}
