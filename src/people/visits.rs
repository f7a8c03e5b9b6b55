//! Visits: one login of one person on one device.
use jiff::Timestamp;

use super::token::Tokens;
use crate::base::entropy::Entropy;
use crate::domain::ids::{StaffId, VisitId};
use crate::domain::role::Role;
use crate::domain::text::Email;
use crate::store::Store;
use crate::store::contract::ReadError;
use crate::store::tables::{Staffs, Visits};
use crate::store::vault::Vault;

/// Staff and their visits; cheap to clone.
#[derive(Debug, Clone)]
pub struct People {
    store: Store,
    tokens: Tokens,
}

/// A member of staff with a valid visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// Who.
    pub staff_id: StaffId,
    /// Which visit.
    pub visit_id: VisitId,
    /// In which role, as of now.
    pub role: Role,
    /// Name.
    pub name: String,
    /// Login.
    pub email: Email,
}

/// Why a token identifies nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentifyError {
    /// It does not count, or not any more.
    #[error("the access token does not count")]
    NotValid,
    /// It could not be checked.
    #[error("the visit could not be read")]
    Read(#[from] ReadError),
}

impl People {
    /// People of this store.
    #[must_use]
    pub fn new(store: Store, vault: &Vault, entropy: &Entropy) -> Self {
        let _ = entropy;
        Self { store, tokens: Tokens::new(&vault.derive("access-token")) }
    }

    /// Who an access token stands for now.
    ///
    /// # Errors
    /// [`IdentifyError`].
    pub async fn identify(&self, token: &str, now: Timestamp) -> Result<Visitor, IdentifyError> {
        let claims = self.tokens.read(token, now).map_err(|_| IdentifyError::NotValid)?;
        let visit = self.store.get::<Visits>(&claims.sid).await?.ok_or(IdentifyError::NotValid)?.body;
        let staff = self.store.get::<Staffs>(&claims.sub).await?.ok_or(IdentifyError::NotValid)?.body;
        let stands = visit.staff_id == staff.id
            && visit.revoked_at.is_none()
            && now < visit.expires_at
            && staff.is_active
            && staff.tokens_not_before <= claims.issued_at();
        if !stands {
            return Err(IdentifyError::NotValid);
        }
        Ok(Visitor {
            staff_id: staff.id,
            visit_id: visit.id,
            role: staff.role,
            name: staff.name.to_string(),
            email: staff.email,
        })
    }
}
