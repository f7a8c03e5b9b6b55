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
    /// When it was made, Unix milliseconds over 1000: seconds with a fraction kept apart.
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
