//! What is sold and on what it runs: plans, services, their provisioning, the NAS table, and the
//! reading of customers, sessions and logins for those who look after them.
//!
//! Each use case reads, decides and returns a [`Draft`](crate::store::draft::Draft): the change,
//! its audit entry and its events as one unit, which the door commits. Not here: whether a service
//! may be online (`domain::entitlement` alone answers that), sessions being written (`access`) and
//! anything a NAS is told (`nas`). The one rule: no secret leaves the draft that made it.

use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::base::entropy::Entropy;
use crate::domain::money::Currency;
use crate::store::Store;
use crate::store::vault::Vault;

pub mod add_ons;
pub mod audit;
pub mod billing_form;
pub mod directory;
pub mod fault;
pub mod foreign;
pub mod form;
pub mod import;
pub mod logbook;
pub mod nas;
pub mod plan_form;
pub mod plans;
pub mod provision;
pub mod roster;
pub mod services;
pub mod standing;
mod stands;
pub mod usage_form;

pub use crate::store::listing::{Listed, Window};

/// All use cases of the room over one store; cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// Plans.
    pub plans: plans::Plans,
    /// Contracts.
    pub services: services::Services,
    /// Bringing contracts to life.
    pub provisioning: provision::Provisioning,
    /// Customers as staff look at them.
    pub directory: directory::Directory,
    /// Who may speak RADIUS to us.
    pub nas: nas::NasDevices,
    /// Sessions and answers to logins.
    pub logbook: logbook::Logbook,
    /// Customers from a file.
    pub import: import::Import,
}

impl Catalogue {
    /// Puts the use cases together. Prices are in `currency`, days are those of `zone`, and
    /// `prover` says what the network does.
    #[must_use]
    pub fn new(
        store: &Store,
        entropy: &Entropy,
        vault: &Vault,
        currency: Currency,
        zone: &TimeZone,
        prover: Arc<dyn provision::Prover>,
    ) -> Self {
        let (store, entropy, vault) = (|| store.clone(), || entropy.clone(), || vault.clone());
        let services = services::Services::new(store(), entropy(), vault(), zone.clone());
        let provisioning = provision::Provisioning::new(store(), entropy(), vault(), zone.clone(), prover);
        Self {
            plans: plans::Plans::new(store(), entropy(), currency),
            directory: directory::Directory::new(store(), services.clone(), zone),
            nas: nas::NasDevices::new(store(), entropy(), vault()),
            logbook: logbook::Logbook::new(store()),
            import: import::Import::new(store(), services.clone(), provisioning.clone(), vault()),
            services,
            provisioning,
        }
    }
}
