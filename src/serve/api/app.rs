//! What every handler shares.
//!
//! Wiring only: it decides nothing. The one rule: it is built once by the daemon and never changes
//! while doors are open.

use std::ops::Deref;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::base::clock::Clock;
use crate::base::entropy::Entropy;
use crate::base::health::Health;
use crate::billing::Billing;
use crate::catalogue::Catalogue;
use crate::domain::money::Currency;
use crate::people::People;
use crate::people::subscribers::Subscribers;
use crate::reception::Reception;
use crate::store::Store;
use crate::store::vault::Vault;

/// What every handler shares; cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of an [`App`].
pub struct Parts {
    /// Records.
    pub store: Store,
    /// Secrets that must be recoverable.
    pub vault: Vault,
    /// Staff, their visits and the first admin.
    pub people: People,
    /// What is sold and on what it runs.
    pub catalogue: Catalogue,
    /// Customers' records.
    pub subscribers: Subscribers,
    /// Money.
    pub billing: Billing,
    /// What subscribers come for.
    pub reception: Reception,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub entropy: Entropy,
    /// What is wrong with the box.
    pub health: Health,
    /// The place this box serves.
    pub site: Site,
}

/// The place this box serves.
#[derive(Debug, Clone)]
pub struct Site {
    /// What people call it.
    pub name: String,
    /// The tenant's id, where the box is one of a tenant's; `X-Tenant-ID` must then be this.
    pub tenant: Option<String>,
    /// What prices are in.
    pub currency: Currency,
    /// Where days and months begin.
    pub timezone: TimeZone,
    /// Whether all staff must have a second factor, before they may do anything else.
    pub demands_second_factor: bool,
}

impl App {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "App({})", self.site.name)
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parts({})", self.site.name)
    }
}
