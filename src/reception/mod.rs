//! What a subscriber comes for, whichever door they use: sign up, log in, go online, see what they use,
//! leave. Each takes several use cases, in an order that must hold.
//!
//! | file | what |
//! |---|---|
//! | [`online`] | from a device and a subscriber to packets that pass, and back |
//!
//! The one rule: facts are committed first, then the kernel is told, then the person: nobody is told that
//! they are online before packets pass.

pub mod online;

use std::sync::Arc;

use crate::access::Access;
use crate::base::entropy::Entropy;
use crate::catalogue::Catalogue;
use crate::enforce::Enforcer;
use crate::people::People;
use crate::people::subscribers::Subscribers;
use crate::store::Store;
use crate::store::vault::Vault;

pub use online::{Online, Unconnected};

/// The journeys; cheap to clone.
#[derive(Clone)]
pub struct Reception(Arc<Parts>);

/// What [`Reception`] is built from.
pub struct Parts {
    /// The store.
    pub store: Store,
    /// Seals what must be recoverable; derives keys.
    pub vault: Vault,
    /// For ids, codes and tokens.
    pub entropy: Entropy,
    /// Who gets on.
    pub access: Arc<Access>,
    /// Visits and passwords.
    pub people: People,
    /// Customers' records.
    pub subscribers: Subscribers,
    /// What is sold, and its provisioning.
    pub catalogue: Catalogue,
    /// The gateway; `None` where this box is none.
    pub enforcer: Option<Enforcer>,
}

impl Reception {
    /// Puts the journeys together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl std::fmt::Debug for Reception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reception")
    }
}
