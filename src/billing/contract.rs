//! A service with its subscription, as one decision works on them.
//!
//! Within a leaf each is read once and written once, whatever several parts of the decision change: so a period
//! that was bought and a lock that was lifted by the same payment do not overwrite each other.

use jiff::Timestamp;

use super::fault::BillingError;
use super::grant;
use crate::domain::ids::ServiceId;
use crate::domain::service::Service;
use crate::domain::subscription::Subscription;
use crate::store::Store;
use crate::store::contract::{CommitError, Expected, Record, Unit};
use crate::store::tables::Services;
use crate::store::tables::money::Subscriptions;

/// A service and how it is paid for.
#[derive(Debug, Clone)]
pub(super) struct Contract {
    /// The service, as it is to be.
    pub(super) service: Service,
    /// Its subscription, as it is to be; a new one where it had none.
    pub(super) subscription: Subscription,
    service_version: u64,
    subscription_version: Option<u64>,
    service_before: Service,
    subscription_before: Subscription,
}

impl Contract {
    /// As it stands in the store.
    pub(super) async fn read(store: &Store, id: ServiceId, now: Timestamp) -> Result<Self, BillingError> {
        let (service, subscription) =
            tokio::join!(store.get::<Services>(&id), store.get::<Subscriptions>(&id));
        let Some(service) = service? else {
            return Err(BillingError::not_found("service", id));
        };
        Ok(Self::of(service, subscription?, now))
    }

    pub(super) fn of(
        service: Record<Services>,
        subscription: Option<Record<Subscriptions>>,
        now: Timestamp,
    ) -> Self {
        let subscription_version = subscription.as_ref().map(|record| record.version);
        let subscription =
            subscription.map_or_else(|| grant::subscribe(&service.body, now), |record| record.body);
        Self {
            service_version: service.version,
            subscription_version,
            service_before: service.body.clone(),
            subscription_before: subscription.clone(),
            service: service.body,
            subscription,
        }
    }

    /// Whether its subscription is in the store.
    pub(super) const fn is_subscribed(&self) -> bool {
        self.subscription_version.is_some()
    }

    /// Adds what changed to a unit.
    pub(super) fn write(&self, mut unit: Unit) -> Result<Unit, CommitError> {
        if self.service != self.service_before {
            unit = unit.replace::<Services>(&self.service.id, self.service_version, &self.service)?;
        }
        if self.subscription != self.subscription_before || self.subscription_version.is_none() {
            let state = self.subscription_version.map_or(Expected::Absent, Expected::Version);
            unit = unit
                .expect::<Subscriptions>(&self.service.id, state)
                .put::<Subscriptions>(&self.service.id, &self.subscription)?;
        }
        Ok(unit)
    }
}
