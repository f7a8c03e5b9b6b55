//! Signatures of webhooks: over the octets as they came, compared in constant time.
//!
//! The one rule: an empty secret proves nothing, so with one nothing is accepted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::base::secret::Secret;

/// Whether `given` is the HMAC-SHA512 of the body, in hex (Paystack).
#[must_use]
pub fn is_sha512_hex(secret: &Secret, body: &[u8], given: &str) -> bool {
    let Some(given) = from_hex(given).filter(|_| !secret.is_empty()) else { return false };
    Hmac::<Sha512>::new_from_slice(secret.expose())
        .is_ok_and(|mac| mac.chain_update(body).verify_slice(&given).is_ok())
}

/// Whether `given` is the HMAC-SHA256 of the body, in base64 (Flutterwave v4).
#[must_use]
pub fn is_sha256_base64(secret: &Secret, body: &[u8], given: &str) -> bool {
    let Some(given) = BASE64.decode(given.trim()).ok().filter(|_| !secret.is_empty()) else { return false };
    is_sha256(secret, &[body], &given)
}

/// Whether `given` is the token itself (Flutterwave v3, the path of M-Pesa).
#[must_use]
pub fn is_token(secret: &Secret, given: &str) -> bool {
    !secret.is_empty() && bool::from(secret.expose().ct_eq(given.as_bytes()))
}

/// Whether a header of the form `t=…,v1=…[,v1=…]` signs the body within [`TOLERANCE_SECS`] of now (Stripe). Several
/// signatures come while a secret is exchanged; other schemes than `v1` prove nothing.
#[must_use]
pub fn is_stripe(secret: &Secret, body: &[u8], header: &str, now: Timestamp) -> bool {
    let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
    let mut stamps = parts().filter(|(name, _)| *name == "t").map(|(_, value)| value);
    let (Some(stamp), None) = (stamps.next(), stamps.next()) else { return false };
    let Some(at) = stamp.parse::<i64>().ok().filter(|_| stamp.bytes().all(|octet| octet.is_ascii_digit()))
    else {
        return false;
    };
    let is_near = now.as_second().saturating_sub(at).unsigned_abs() <= TOLERANCE_SECS;
    let given: Vec<Vec<u8>> = parts()
        .filter(|(name, _)| *name == "v1")
        .take(MOST_SIGNATURES)
        .filter_map(|(_, value)| from_hex(value))
        .collect();
    let signed = [stamp.as_bytes(), b".", body];
    // Every one is looked at, so that the time tells nothing.
    let holds = given.iter().fold(false, |any, one| is_sha256(secret, &signed, one) | any);
    is_near && !secret.is_empty() && holds
}

fn is_sha256(secret: &Secret, parts: &[&[u8]], given: &[u8]) -> bool {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.expose()) else { return false };
    let mac = parts.iter().fold(mac, |mac, part| mac.chain_update(part));
    mac.verify_slice(given).is_ok()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    if text.is_empty()
        || !text.len().is_multiple_of(2)
        || !text.bytes().all(|octet| octet.is_ascii_hexdigit())
    {
        return None;
    }
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Stripe's own libraries refuse older stamps; later ones are no better.
pub const TOLERANCE_SECS: u64 = 300;
/// Stripe sends one for each secret in force: two while one is exchanged.
const MOST_SIGNATURES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Secret {
        Secret::from_text(text)
    }

    #[test]
    fn paystack_signs_the_octets_as_they_came_with_sha512() {
        let (body, given) = (
            br#"{"event":"charge.success"}"#,
            "0c7751ea46d74ce3674daa4790ccf515295591b686c5fee1173520ccd76141003efd5071190fc7c1a1736cebae4220285bff18629d768fbe72775070eb2778a8",
        );
        assert!(is_sha512_hex(&key("sk_test_x"), body, given));
        assert!(!is_sha512_hex(&key("sk_test_x"), br#"{"event": "charge.success"}"#, given));
        assert!(!is_sha512_hex(&key("sk_test_y"), body, given));
        assert!(!is_sha512_hex(&key("sk_test_x"), body, ""));
        assert!(!is_sha512_hex(&key("sk_test_x"), body, &given[..126]));
    }

    #[test]
    fn stripe_signs_stamp_and_body_and_an_old_or_early_stamp_does_not_count() {
        let (secret, body) = (key("whsec_test"), br#"{"id":"evt_1"}"#);
        let v1 = "c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925";
        let at = |second| Timestamp::from_second(second).unwrap();
        let header = format!("t=1700000000,v1={v1}");
        for fine in [1_700_000_000, 1_700_000_300, 1_699_999_700] {
            assert!(is_stripe(&secret, body, &header, at(fine)), "{fine}");
        }
        for wrong in [1_700_000_301, 1_699_999_699] {
            assert!(!is_stripe(&secret, body, &header, at(wrong)), "{wrong}");
        }
        let now = at(1_700_000_000);
        let rotated = format!("t=1700000000,v1={},v1={v1}", "0".repeat(64));
        assert!(is_stripe(&secret, body, &rotated, now));
        for wrong in [
            format!("t=1700000000,v0={v1}"),
            format!("v1={v1}"),
            format!("t=1700000001,v1={v1}"),
            format!("t=1700000000,t=1700000001,v1={v1}"),
            format!("t=+1700000000,v1={v1}"),
            "t=1700000000".to_owned(),
            String::new(),
        ] {
            assert!(!is_stripe(&secret, body, &wrong, now), "{wrong}");
        }
        assert!(!is_stripe(&secret, br#"{"id":"evt_2"}"#, &header, now));
    }

    #[test]
    fn flutterwave_v4_signs_with_base64_and_v3_sends_the_secret_itself() {
        let given = "O+C+rAw8kFIv9sJtBlCyQ9DiLMgLFm2et8UljF84aGY=";
        assert!(is_sha256_base64(&key("flw_hash"), br#"{"id":1}"#, given));
        assert!(!is_sha256_base64(&key("flw_hash"), br#"{"id":2}"#, given));
        assert!(is_token(&key("flw_hash"), "flw_hash") && !is_token(&key("flw_hash"), "flw_has"));
    }

    #[test]
    fn with_an_empty_secret_nothing_is_accepted() {
        let (none, body) = (key(""), b"{}".as_slice());
        let mac512 = Hmac::<Sha512>::new_from_slice(b"").unwrap().chain_update(body).finalize();
        let hex: String = mac512.into_bytes().iter().map(|octet| format!("{octet:02x}")).collect();
        assert!(!is_sha512_hex(&none, body, &hex));
        let mac = |parts: &[u8]| Hmac::<Sha256>::new_from_slice(b"").unwrap().chain_update(parts).finalize();
        assert!(!is_sha256_base64(&none, body, &BASE64.encode(mac(body).into_bytes())));
        let signed: String =
            mac(b"1700000000.{}").into_bytes().iter().map(|octet| format!("{octet:02x}")).collect();
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        assert!(!is_stripe(&none, body, &format!("t=1700000000,v1={signed}"), now));
        assert!(!is_token(&none, ""));
    }
}
