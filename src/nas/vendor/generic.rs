//! A NAS that understands the RFCs and nothing else.
//!
//! No RFC has an attribute for a rate or a data limit, so neither can be told; the time limit and
//! the addresses can. The operator gives such a NAS its rates by other means.

use crate::nas::{Grant, Untold};

/// What remains untold.
#[must_use]
pub const fn untold(grant: &Grant<'_>) -> Untold {
    Untold { rates: true, quota: grant.entitlement.remaining_octets.is_some() }
}
