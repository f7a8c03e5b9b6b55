//! Access tokens: short-lived proofs of a visit.
//!
//! A JWT (RFC 7519) with one fixed algorithm and one key of this box. The token says which visit;
//! what the visitor may do is read from the store. The one rule: a token is never believed beyond
//! its signature, issuer, audience and times, and each of those must be there.

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::domain::ids::{StaffId, VisitId};

/// Makes and reads access tokens.
#[derive(Clone)]
pub struct Tokens {
    sign: EncodingKey,
    check: DecodingKey,
    rules: Validation,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who made it.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
    /// The member of staff.
    pub sub: StaffId,
    /// The visit.
    pub sid: VisitId,
    /// Its own name.
    pub jti: String,
    /// When it was made, whole Unix seconds.
    pub iat: i64,
    /// Milliseconds of `iat` within its second, so that a token made just after a password change
    /// is told from one made just before.
    pub iat_ms: u16,
    /// From when it counts, Unix seconds.
    pub nbf: i64,
    /// Until when it counts, Unix seconds.
    pub exp: i64,
}

/// The token does not count. Why is nobody's business outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the access token does not count")]
pub struct NotValid;

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(…)")
    }
}

impl Tokens {
    /// Tokens under this key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        let mut rules = Validation::new(ALGORITHM);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["iss", "aud", "sub", "exp", "nbf"]);
        // Times are checked by `read` against the caller's clock.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        Self { sign: EncodingKey::from_secret(key), check: DecodingKey::from_secret(key), rules }
    }

    /// A token for a visit, and when it ends.
    ///
    /// # Errors
    /// [`NotValid`] when it cannot be signed, which a key of this length does not cause.
    pub fn make(
        &self,
        staff: StaffId,
        visit: VisitId,
        jti: String,
        now: Timestamp,
    ) -> Result<Made, NotValid> {
        let expires_at = now.saturating_add(LIFETIME).unwrap_or(Timestamp::MAX);
        let millis = now.as_millisecond();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: staff,
            sid: visit,
            jti,
            iat: millis.div_euclid(1000),
            iat_ms: u16::try_from(millis.rem_euclid(1000)).unwrap_or(0),
            nbf: now.as_second(),
            exp: expires_at.as_second(),
        };
        let text =
            jsonwebtoken::encode(&Header::new(ALGORITHM), &claims, &self.sign).map_err(|_| NotValid)?;
        Ok(Made { text, expires_at })
    }

    /// Reads a token and checks everything that does not need the store.
    ///
    /// # Errors
    /// [`NotValid`] for whatever is wrong.
    pub fn read(&self, token: &str, now: Timestamp) -> Result<Claims, NotValid> {
        if token.len() > MAX_TOKEN {
            return Err(NotValid);
        }
        let claims =
            jsonwebtoken::decode::<Claims>(token, &self.check, &self.rules).map_err(|_| NotValid)?.claims;
        let now = now.as_second();
        let begun = claims.nbf.max(claims.iat) <= now.saturating_add(LEEWAY_SECS);
        let ended = claims.exp.saturating_add(LEEWAY_SECS) <= now;
        if begun && !ended { Ok(claims) } else { Err(NotValid) }
    }
}

/// A fresh token.
#[derive(Clone, PartialEq, Eq)]
pub struct Made {
    /// The token.
    pub text: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Made(… until {})", self.expires_at)
    }
}

impl Claims {
    /// When it was made.
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        let millis = self.iat.saturating_mul(1000).saturating_add(i64::from(self.iat_ms));
        Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MIN)
    }
}

/// How long an access token counts: what a stolen one is worth at most.
pub const LIFETIME: SignedDuration = SignedDuration::from_mins(10);
const ALGORITHM: Algorithm = Algorithm::HS256;
const ISSUER: &str = "dotmac-edge";
const AUDIENCE: &str = "dotmac-edge/api";
/// For clocks that were set back a little between making and checking.
const LEEWAY_SECS: i64 = 30;
/// Ours are about 400 characters.
const MAX_TOKEN: usize = 2_048;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn claims() -> Value {
        json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": Uuid::from_u128(1), "sid": Uuid::from_u128(2),
            "jti": "a", "iat": at(0).as_second(), "iat_ms": 0, "nbf": at(0).as_second(),
            "exp": at(600).as_second(),
        })
    }

    fn signed(algorithm: Algorithm, claims: &Value, key: &[u8]) -> String {
        jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(key)).unwrap()
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[name] = value;
        claims
    }

    #[test]
    fn a_token_counts_from_its_making_to_its_end() {
        let tokens = Tokens::new(&KEY);
        let (staff, visit) = (StaffId(Uuid::from_u128(1)), VisitId(Uuid::from_u128(2)));
        let made = tokens.make(staff, visit, "a".into(), at(0)).unwrap();
        assert_eq!(made.expires_at, at(600));
        let read = tokens.read(&made.text, at(1)).unwrap();
        assert_eq!((read.sub, read.sid, read.issued_at()), (staff, visit, at(0)));
        assert!(tokens.read(&made.text, at(600 + 29)).is_ok());
        assert!(tokens.read(&made.text, at(600 + 30)).is_err());
        assert!(tokens.read(&made.text, at(-30)).is_ok());
        assert!(tokens.read(&made.text, at(-31)).is_err());
    }

    #[test]
    fn only_our_algorithm_and_key_count() {
        let tokens = Tokens::new(&KEY);
        assert!(tokens.read(&signed(Algorithm::HS256, &claims(), &KEY), at(1)).is_ok());
        assert!(tokens.read(&signed(Algorithm::HS256, &claims(), &[8; 32]), at(1)).is_err());
        for other in [Algorithm::HS384, Algorithm::HS512] {
            assert!(tokens.read(&signed(other, &claims(), &KEY), at(1)).is_err());
        }
        let token = signed(Algorithm::HS256, &claims(), &KEY);
        let body = token.split('.').nth(1).unwrap();
        // {"alg":"none","typ":"JWT"} and {"alg":"None"}
        for header in ["eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0", "eyJhbGciOiJOb25lIn0"] {
            assert!(tokens.read(&format!("{header}.{body}."), at(1)).is_err());
        }
        for broken in ["", ".", "..", "a.b.c", &token[..token.len() - 2], &"a".repeat(3_000)] {
            assert!(tokens.read(broken, at(1)).is_err());
        }
    }

    #[test]
    fn another_issuer_or_audience_does_not_count() {
        let tokens = Tokens::new(&KEY);
        for (name, value) in [("iss", json!("other")), ("aud", json!("other")), ("aud", json!(["other"]))] {
            assert!(tokens.read(&signed(Algorithm::HS256, &with(name, value), &KEY), at(1)).is_err());
        }
    }

    #[test]
    fn a_claim_that_is_missing_or_of_another_type_does_not_count() {
        let tokens = Tokens::new(&KEY);
        for name in ["iss", "aud", "sub", "sid", "jti", "iat", "iat_ms", "nbf", "exp"] {
            let mut missing = claims();
            missing.as_object_mut().unwrap().remove(name);
            assert!(tokens.read(&signed(Algorithm::HS256, &missing, &KEY), at(1)).is_err(), "{name}");
            for value in [json!("x"), json!(null), json!({})].into_iter().filter(|_| name != "jti") {
                let token = signed(Algorithm::HS256, &with(name, value.clone()), &KEY);
                assert!(tokens.read(&token, at(1)).is_err(), "{name} {value}");
            }
        }
    }
}
