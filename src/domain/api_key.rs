//! Programs' keys to the API.
//!
//! A key is a program's name and what it may do. The one rule: what is not among its scopes it may not do,
//! and a key without scopes may do nothing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::ApiKeyId;
use super::role::Permission;
use super::text::Line;

/// A program's key; the key itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Identity.
    pub id: ApiKeyId,
    /// What the program is called.
    pub name: Line,
    /// The key's beginning, by which people and we recognise it.
    pub prefix: String,
    /// SHA-256 (hex) of the whole key, whose 256 random bits nobody guesses.
    pub key_hash: String,
    /// What it may do.
    pub scopes: Vec<Permission>,
    /// Who made it, as the audit log calls them.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops counting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it counts at `now`.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_until_it_expires_or_is_revoked() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let key = ApiKey {
            id: ApiKeyId(uuid::Uuid::nil()),
            name: Line::parse("billing export").unwrap(),
            prefix: "dek_ABCDEFGH".into(),
            key_hash: String::new(),
            scopes: vec![],
            created_by: "staff:1".into(),
            created_at: at(0),
            expires_at: Some(at(100)),
            last_used_at: None,
            revoked_at: None,
        };
        assert!(key.counts(at(99)));
        assert!(!key.counts(at(100)));
        assert!(!ApiKey { revoked_at: Some(at(5)), ..key }.counts(at(6)));
    }
}
