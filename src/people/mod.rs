//! Who works here: staff, their logins and visits, the first admin, the audit log.
//!
//! Not for the network's logins (that is `access`) and not for what is sold (`catalogue`). The one
//! rule: a credential is checked against what the store says now, so that a revocation counts at
//! once.

pub mod subscribers;
pub mod token;
pub mod visits;

pub use visits::{IdentifyError, People, Visitor};
