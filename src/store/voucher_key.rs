//! How voucher codes are kept: as a hash with a key of the box's own, never as themselves.
//!
//! Whoever has the store, or a backup of it, has no codes and cannot try any: the key is in neither. Looking one
//! up by its hash takes the same time for every code.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::vault::Vault;
use crate::domain::voucher_code::VoucherCode;

/// The key of voucher codes.
#[derive(Clone)]
pub struct VoucherKey(Zeroizing<[u8; 32]>);

impl VoucherKey {
    /// The box's.
    #[must_use]
    pub fn of(vault: &Vault) -> Self {
        Self(Zeroizing::new(vault.derive("voucher codes")))
    }

    /// What is kept of a code.
    #[must_use]
    pub fn hash(&self, code: &VoucherCode) -> String {
        URL_SAFE_NO_PAD.encode(mac(self.0.as_slice(), &[b"code", code.canonical().as_bytes()]))
    }

    /// The network login of the service that a voucher is used for, made of its code: no code, and leads back to
    /// none.
    #[must_use]
    pub fn handle(&self, code: &VoucherCode) -> String {
        use std::fmt::Write as _;
        let mut handle = HANDLE_PREFIX.to_owned();
        for octet in
            mac(self.0.as_slice(), &[b"login", code.canonical().as_bytes()]).iter().take(HANDLE_OCTETS)
        {
            // Writing to a String cannot fail.
            let _ = write!(handle, "{octet:02x}");
        }
        handle
    }
}

/// The code of a voucher by its number, drawn from a batch's seed; `draw` counts up when a code was another
/// voucher's already.
#[must_use]
pub fn code_of(seed: &[u8], number: u32, draw: u32) -> Option<VoucherCode> {
    let block = |block: u8| mac(seed, &[b"voucher", &number.to_be_bytes(), &draw.to_be_bytes(), &[block]]);
    // Twelve symbols take twelve octets and rarely one more; 128 are never too few.
    VoucherCode::draw((0..4).flat_map(block))
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC pads a key shorter than its block with zeros (RFC 2104 section 2).
    let mut padded = Zeroizing::new([0u8; 64]);
    for (target, source) in padded.iter_mut().zip(key) {
        *target = *source;
    }
    let mut mac = Hmac::<Sha256>::new(&(*padded).into());
    for part in parts {
        mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

impl std::fmt::Debug for VoucherKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VoucherKey(…)")
    }
}

/// What logins of vouchers begin with.
const HANDLE_PREFIX: &str = "v-";
/// 80 bits: no two vouchers of a box share a login.
const HANDLE_OCTETS: usize = 10;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn rule_23_a_batch_of_ten_thousand_has_no_code_twice() {
        let codes: HashSet<String> =
            (1..=10_000).map(|number| code_of(&[7; 32], number, 0).unwrap().canonical().to_owned()).collect();
        assert_eq!(codes.len(), 10_000);
        assert_ne!(code_of(&[7; 32], 1, 0), code_of(&[8; 32], 1, 0));
        assert_ne!(code_of(&[7; 32], 1, 0), code_of(&[7; 32], 1, 1));
    }

    #[test]
    fn what_is_kept_of_a_code_is_not_the_code_and_differs_by_box() {
        let code = code_of(&[7; 32], 1, 0).unwrap();
        let key = |octet| VoucherKey::of(&Vault::with_key([octet; 32]));
        assert_eq!(key(1).hash(&code), key(1).hash(&code));
        assert_ne!(key(1).hash(&code), key(2).hash(&code));
        assert_eq!(key(1).handle(&code).len(), 22);
        assert!(!key(1).hash(&code).contains(code.canonical()));
    }
}
