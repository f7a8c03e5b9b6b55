//! Devices that logged in to an account before.
//!
//! A device carries a signed name, bound to the account, so that nobody can mint one for an account
//! that is not theirs. It proves nothing but that: it only gives its holder an own share of login
//! attempts (see [`super::throttle`]). The one rule: what is not signed for this account is unknown.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// Signs and recognises devices.
#[derive(Clone)]
pub(super) struct Devices(Hmac<Sha256>);

impl std::fmt::Debug for Devices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Devices(…)")
    }
}

impl Devices {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(super::keyed(key))
    }

    /// What the device is to present next time.
    pub(super) fn sign(&self, account: Uuid, device: Uuid) -> String {
        let tag = self.mac(account, device).finalize().into_bytes();
        format!("{}.{}", device.simple(), URL_SAFE_NO_PAD.encode(tag))
    }

    /// The device, if it was signed for this account.
    pub(super) fn recognise(&self, account: Uuid, presented: &str) -> Option<Uuid> {
        let (device, tag) = presented.split_once('.')?;
        let (device, tag) = (Uuid::try_parse(device).ok()?, URL_SAFE_NO_PAD.decode(tag).ok()?);
        self.mac(account, device).verify_slice(&tag).is_ok().then_some(device)
    }

    fn mac(&self, account: Uuid, device: Uuid) -> Hmac<Sha256> {
        self.0.clone().chain_update(account.as_bytes()).chain_update(device.as_bytes())
    }
}

/// The name under which a device keeps its sign for an account; a device may be used by several
/// people, so each account has its own.
#[must_use]
pub fn cookie_name(account: &str) -> String {
    use sha2::Digest;
    let digest = Sha256::digest(account.trim().to_lowercase());
    let short: String = digest.iter().take(6).map(|octet| format!("{octet:02x}")).collect();
    format!("edge_device_{short}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_known_to_the_account_it_was_signed_for_only() {
        let devices = Devices::new(&[1; 32]);
        let (ada, eve) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let device = Uuid::from_u128(9);
        let signed = devices.sign(ada, device);
        assert_eq!(devices.recognise(ada, &signed), Some(device));
        assert_eq!(devices.recognise(eve, &signed), None);
        assert_eq!(Devices::new(&[2; 32]).recognise(ada, &signed), None);
        for forged in ["", ".", "x.y", signed.trim_end_matches(|c: char| c != '.')] {
            assert_eq!(devices.recognise(ada, forged), None);
        }
        assert_eq!(cookie_name("Ada@example.net"), cookie_name(" ada@example.net"));
    }
}
