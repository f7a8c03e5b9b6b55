//! What subscribers were told of running periods.

use crate::domain::ids::ServiceId;
use crate::domain::told::Told;
use crate::store::Registration;
use crate::store::contract::{Collection, CollectionSpec, IndexValue, SealKind};

collection! {
    /// What was told of each service; key the service's id.
    ToldOf: "told", ServiceId => Told, schema 1, Checksum, counters &[], []
}

/// The collections of this file.
pub(super) fn all() -> Vec<Registration> {
    vec![Registration::of::<ToldOf>()]
}
