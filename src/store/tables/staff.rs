//! The collections of staff beyond their accounts: second factors, programs' keys.

use crate::domain::api_key::ApiKey;
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

/// The collections of this file.
pub(super) fn all() -> Vec<Registration> {
    vec![Registration::of::<Factors>(), Registration::of::<ApiKeys>()]
}
