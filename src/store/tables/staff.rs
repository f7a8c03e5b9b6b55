//! The collections of staff beyond their accounts: second factors, programs' keys.

use serde::{Deserialize, Serialize};

use crate::domain::api_key::ApiKey;
use crate::domain::audit::AuditLink;
use crate::domain::ids::{ApiKeyId, StaffId};
use crate::domain::staff::Factor;
use crate::store::Registration;
use crate::store::contract::{Collection, CollectionSpec, IndexSpec, IndexValue, RecordKey, SealKind};

id_key!(ApiKeyId);

collection! {
    /// Second factors; key whose.
    Factors: "staff_factors", StaffId => Factor, schema 1, Keyed, counters &[], []
}

collection! {
    /// Programs' keys.
    ApiKeys: "api_keys", ApiKeyId => ApiKey, schema 1, Keyed, counters &[],
    [+unique prefix = |key| key.prefix.clone().into()]
}

collection! {
    /// The audit log's chain; key the place, twelve digits.
    AuditLinks: "audit_links", String => AuditLink, schema 1, Keyed, counters &[],
    [+unique entry_id = |link| link.entry_id.to_key().into()]
}

/// The key of a link's place.
#[must_use]
pub fn link_key(seq: u64) -> String {
    format!("{seq:012}")
}

/// The chain's end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Place of the last link.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
    /// How far the feed was followed.
    pub fed: u64,
    /// While entries older than the chain are linked: the last that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopting: Option<String>,
}

collection! {
    /// The chain's end; one record, [`HEAD`].
    AuditHeads: "audit_head", String => AuditHead, schema 1, Keyed, counters &[], []
}

/// The key of the one [`AuditHead`].
pub const HEAD: &str = "head";

/// The collections of this file.
pub(super) fn all() -> Vec<Registration> {
    vec![
        Registration::of::<Factors>(),
        Registration::of::<ApiKeys>(),
        Registration::of::<AuditLinks>(),
        Registration::of::<AuditHeads>(),
    ]
}
