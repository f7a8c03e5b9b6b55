//! Staff accounts and their visits.
//!
//! A *visit* is one login of one person on one device; its refresh token rotates, and the use of
//! a token that was already rotated ends the whole visit.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{StaffId, VisitId};
use super::role::Role;
use super::text::{Email, Line};

/// A member of staff.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staff {
    /// Identity.
    pub id: StaffId,
    /// Login, unique.
    pub email: Email,
    /// Name.
    pub name: Line,
    /// What they may do.
    pub role: Role,
    /// Whether they may log in.
    pub is_active: bool,
    /// Verifier (PHC string) of the password.
    pub password: String,
    /// Tokens issued before this instant are void (password or role changed).
    pub tokens_not_before: Timestamp,
    /// When they last logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_login_at: Option<Timestamp>,
    /// Since when a second factor is asked of them; visits without it do not count from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor_since: Option<Timestamp>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// One login of a member of staff.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    /// Identity; the token family.
    pub id: VisitId,
    /// Whose.
    pub staff_id: StaffId,
    /// SHA-256 (hex) of the refresh token that is valid now.
    pub refresh_hash: String,
    /// SHA-256 (hex) of the token before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_hash: Option<String>,
    /// When the token before was exchanged; it is tolerated for a few seconds after, since several
    /// tabs of one browser refresh at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Timestamp>,
    /// When it began.
    pub created_at: Timestamp,
    /// When a second factor was last given in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor_at: Option<Timestamp>,
    /// When its refresh token stops being accepted.
    pub expires_at: Timestamp,
    /// When it was ended: by logout, by reuse of a rotated token, by staff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// Why it was ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_why: Option<String>,
}

/// The second factor of a member of staff: an authenticator app (RFC 6238), and codes for its loss.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factor {
    /// The secret that the app shares, sealed with the box's key.
    pub secret: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a first code proved that the app has it; until then nothing is asked of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<Timestamp>,
    /// The time step of the last code that was taken; it and those before are refused.
    pub last_step: u64,
    /// Keyed hashes of the recovery codes that are left.
    pub recovery_hashes: Vec<String>,
}

impl std::fmt::Debug for Factor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Factor(confirmed {:?}, {} recovery codes)", self.confirmed_at, self.recovery_hashes.len())
    }
}

impl std::fmt::Debug for Staff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Staff({}, {})", self.id, self.role.name())
    }
}

impl std::fmt::Debug for Visit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Visit({} of {})", self.id, self.staff_id)
    }
}
