//! The directory: customers as staff look at them, each with the standing of their services.
//!
//! It only reads; records are made and changed by `people::subscribers`. The one rule: a
//! customer's status is derived when it is asked for and stored nowhere.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::fault::Fault;
use super::services::{self, ServiceView, Services};
use super::standing::{self, CustomerStatus, ServiceStatus};
use super::stands::Stands;
use crate::domain::ids::SubscriberId;
use crate::domain::provisioning::{ProvisioningTask, TaskState};
use crate::domain::subscriber::{Standing, Subscriber};
use crate::store::Store;
use crate::store::contract::Record;
use crate::store::listing::{self, Listed, Walk, Window};
use crate::store::names::{Names, of_customer};
use crate::store::tables;

/// The reading of customers.
#[derive(Debug, Clone)]
pub struct Directory {
    store: Store,
    services: Services,
    names: Names<tables::Subscribers>,
    stands: Stands,
}

/// A customer with how they stand.
#[derive(Debug, Clone)]
pub struct CustomerView {
    /// The record.
    pub subscriber: Subscriber,
    /// The record's version.
    pub version: u64,
    /// How they stand.
    pub status: CustomerStatus,
    /// Their services, oldest first.
    pub services: Vec<ServiceView>,
}

/// Which customers a list holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomerFilter {
    /// Only those whose name, e-mail, telephone, customer number or portal id contains this.
    pub search: Option<String>,
    /// Only those who stand so.
    pub status: Option<CustomerStatus>,
}

/// How far a customer's services are on their way.
#[derive(Debug, Clone)]
pub struct ProvisioningStatus {
    /// The customer.
    pub customer: CustomerView,
    /// The latest task of each service, newest first.
    pub tasks: Vec<ProvisioningTask>,
}

impl Directory {
    /// The reading over a store.
    #[must_use]
    pub fn new(store: Store, services: Services, zone: &TimeZone) -> Self {
        let (names, stands) = (Names::new(&store, of_customer), Stands::new(&store, zone));
        Self { store, services, names, stands }
    }

    /// The customer of that id or customer number.
    ///
    /// # Errors
    /// `NotFound`; a read that failed.
    pub async fn get(&self, reference: &str, now: Timestamp) -> Result<CustomerView, Fault> {
        let record = services::find_subscriber(&self.store, reference).await?;
        self.view(record, now).await
    }

    /// The customers that fit, oldest first.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn list(
        &self,
        filter: &CustomerFilter,
        window: Window,
        now: Timestamp,
    ) -> Result<Listed<CustomerView>, Fault> {
        let named = match &filter.search {
            Some(search) => Some(self.names.find(search).await?),
            None => None,
        };
        let standing = match filter.status {
            Some(status) => Some(self.stands.of(status, now).await?),
            None => None,
        };
        let keys = match (named, standing) {
            (None, None) => None,
            (Some(keys), None) | (None, Some(keys)) => Some(keys),
            // Both are in the order of keys.
            (Some(named), Some(standing)) => {
                Some(named.into_iter().filter(|id| standing.binary_search(id).is_ok()).collect())
            }
        };
        let found = match keys {
            None => listing::window::<tables::Subscribers>(&self.store, Walk::all(), window).await?,
            Some(keys) => {
                let keys = keys.into_iter().map(SubscriberId).collect();
                listing::of_keys::<tables::Subscribers>(&self.store, keys, window).await?
            }
        };
        let mut items = Vec::with_capacity(found.items.len());
        for record in found.items {
            items.push(self.view(record, now).await?);
        }
        Ok(Listed { items, total: found.total, complete: found.complete })
    }

    /// How far the provisioning of a customer's services is.
    ///
    /// # Errors
    /// `NotFound`; a read that failed.
    pub async fn provisioning(&self, reference: &str, now: Timestamp) -> Result<ProvisioningStatus, Fault> {
        let customer = self.get(reference, now).await?;
        let mut tasks = Vec::new();
        for view in &customer.services {
            let latest = services::tasks_of(&self.store, view.service.id).await?.into_iter().next();
            tasks.extend(latest.map(|record| record.body));
        }
        tasks.sort_by_key(|task| std::cmp::Reverse(task.created_at));
        Ok(ProvisioningStatus { customer, tasks })
    }

    async fn view(&self, record: Record<tables::Subscribers>, now: Timestamp) -> Result<CustomerView, Fault> {
        let services = self.services_of(&record.body, now).await?;
        let standings: Vec<_> = services.iter().map(|view| view.standing.status).collect();
        let status = standing::of_customer(record.body.standing, &standings);
        Ok(CustomerView { subscriber: record.body, version: record.version, status, services })
    }

    async fn services_of(&self, subscriber: &Subscriber, now: Timestamp) -> Result<Vec<ServiceView>, Fault> {
        let records = standing::services_of(&self.store, subscriber).await?;
        let mut views = Vec::with_capacity(records.len());
        for record in records {
            views.push(self.services.view_for(record, subscriber.standing, now).await?);
        }
        Ok(views)
    }
}

impl CustomerView {
    /// How the same customer stands once the account's standing is this.
    #[must_use]
    pub fn status_of(&self, standing: Standing) -> CustomerStatus {
        let standings: Vec<_> = self.services.iter().map(|view| view.standing.status).collect();
        standing::of_customer(standing, &standings)
    }
}

impl ProvisioningStatus {
    /// One word for all of the services: `ready`, `provisioning`, `failed`, `pending`, `none`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        let services = &self.customer.services;
        let any = |wanted| services.iter().any(|view| view.standing.status == wanted);
        if self.tasks.iter().any(|task| !task.state.is_final()) {
            "provisioning"
        } else if self.tasks.iter().any(|task| task.state == TaskState::Failed && is_pending(services, task))
        {
            "failed"
        } else if any(ServiceStatus::Pending) {
            "pending"
        } else if services.is_empty() {
            "none"
        } else {
            "ready"
        }
    }

    /// How much is done: the mean over the services, 0 to 100.
    #[must_use]
    pub fn percent(&self) -> u64 {
        let of = |view: &ServiceView| {
            let task = self.tasks.iter().find(|task| task.service_id == view.service.id);
            task.map_or(0, |task| u64::from(task.state.percent()))
        };
        let count = u64::try_from(self.customer.services.len()).unwrap_or(u64::MAX);
        let sum: u64 = self.customer.services.iter().map(of).sum();
        sum.checked_div(count).unwrap_or(0)
    }

    fn awaits_approval(&self) -> bool {
        self.customer.services.iter().any(|view| view.service.awaits_approval())
    }

    /// A sentence for people.
    #[must_use]
    pub fn message(&self) -> String {
        let detail = self.tasks.iter().find_map(|task| task.detail.clone());
        match (self.word(), detail) {
            ("ready", _) => "Every service is provisioned.".to_owned(),
            ("none", _) => "There is no service yet.".to_owned(),
            ("pending", _) if self.awaits_approval() => "A service waits for approval.".to_owned(),
            ("pending", _) => "A service waits for its provisioning to be asked for.".to_owned(),
            ("failed", detail) => {
                format!("Not possible: {}.", detail.as_deref().unwrap_or("no reason is known"))
            }
            (_, Some(detail)) => format!("Waiting: {detail}."),
            (_, None) => "Provisioning is under way.".to_owned(),
        }
    }
}

/// A task that failed matters only while its service still waits.
fn is_pending(services: &[ServiceView], task: &ProvisioningTask) -> bool {
    services
        .iter()
        .any(|view| view.service.id == task.service_id && view.standing.status == ServiceStatus::Pending)
}
