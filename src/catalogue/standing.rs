//! How a service and a customer stand at this moment, in words for people.
//!
//! Nothing here is stored: a service's standing is its phase and what `entitle` answers, a
//! customer's is that of their services. The one rule: the words follow `entitle`, so that what
//! staff read and what the network does cannot differ.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::entitlement::{Access, Entitlement, Facts, Used, entitle, period_start};
use crate::domain::refusal::Refusal;
use crate::domain::service::{Phase, Service};
use crate::domain::subscriber::{Standing, Subscriber};
use crate::domain::usage_terms::FairUseWindow;
use crate::store::Store;
use crate::store::contract::{Page, Range, ReadError, Record};
use crate::store::tables;

/// How a service stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceStatus {
    /// Made, not provisioned.
    Pending,
    /// Being provisioned.
    Provisioning,
    /// May be online with all of the network.
    Active,
    /// Provisioned, but not, or not wholly, usable now; the reason says why.
    Restricted,
    /// Ended for good.
    Ended,
}

/// A service's standing with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceStanding {
    /// In one word.
    pub status: ServiceStatus,
    /// A stable code: `active`, `captive`, [`WAITS_FOR_APPROVAL`] or the code of the refusal.
    pub detail: &'static str,
    /// A sentence for staff, where there is something to say.
    pub reason: Option<String>,
    /// What it may do now, if anything.
    pub entitlement: Option<Entitlement>,
}

/// How a customer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomerStatus {
    /// No service was provisioned yet.
    New,
    /// At least one service may be online.
    Active,
    /// There are services, and none may be online with all of the network.
    Suspended,
    /// The account is closed, or every service has ended.
    Disabled,
}

impl ServiceStatus {
    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::Restricted => "restricted",
            Self::Ended => "ended",
        }
    }
}

impl CustomerStatus {
    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Disabled => "disabled",
        }
    }

    /// The status of that name, in any case; the words of other frontends are understood.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "new" | "pending" => Some(Self::New),
            "active" => Some(Self::Active),
            "suspended" | "blocked" | "delinquent" => Some(Self::Suspended),
            "disabled" | "inactive" | "canceled" | "cancelled" => Some(Self::Disabled),
            _ => None,
        }
    }
}

/// How a service stands by these facts.
#[must_use]
pub fn of_service(
    service: &Service,
    standing: Standing,
    used: Used,
    zone: &TimeZone,
    now: Timestamp,
) -> ServiceStanding {
    let answer = entitle(&Facts::of(service, standing, used, zone), now);
    let status = match (service.phase, &answer) {
        (Phase::Pending, _) => ServiceStatus::Pending,
        (Phase::Provisioning, _) => ServiceStatus::Provisioning,
        (Phase::Ended, _) => ServiceStatus::Ended,
        (Phase::Active, Ok(entitlement)) if entitlement.access == Access::Full => ServiceStatus::Active,
        (Phase::Active, Ok(_) | Err(_)) => ServiceStatus::Restricted,
    };
    match answer {
        Ok(_) | Err(_) if service.awaits_approval() => ServiceStanding {
            status,
            detail: WAITS_FOR_APPROVAL,
            reason: Some("The service waits for approval; approve it.".to_owned()),
            entitlement: None,
        },
        Ok(entitlement) => admitted(status, entitlement),
        Err(refusal) => refused(status, refusal),
    }
}

/// How a customer with these services stands.
#[must_use]
pub fn of_customer(standing: Standing, services: &[ServiceStatus]) -> CustomerStatus {
    let any = |wanted: ServiceStatus| services.contains(&wanted);
    match standing {
        Standing::Closed => CustomerStatus::Disabled,
        Standing::Open if any(ServiceStatus::Active) => CustomerStatus::Active,
        Standing::Open if any(ServiceStatus::Restricted) => CustomerStatus::Suspended,
        Standing::Open if any(ServiceStatus::Pending) || any(ServiceStatus::Provisioning) => {
            CustomerStatus::New
        }
        Standing::Open if any(ServiceStatus::Ended) => CustomerStatus::Disabled,
        Standing::Open => CustomerStatus::New,
    }
}

/// What a service used of its current period and of its fair-use window, by the days of `zone`. Nothing is read
/// where the terms allow any amount.
///
/// # Errors
/// When the store cannot read: what is not known is never taken for nothing used.
pub(crate) async fn usage(
    store: &Store,
    service: &Service,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Used, ReadError> {
    if !service.terms.is_metered() {
        return Ok(Used::default());
    }
    used(store, service, zone, now).await
}

/// The same whatever the terms allow.
///
/// # Errors
/// When the store cannot read.
pub(crate) async fn used(
    store: &Store,
    service: &Service,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Used, ReadError> {
    let window = service.terms.usage.fair_use.as_ref().map_or(FairUseWindow::Period, |fair| fair.window);
    let period = period_start(&service.intervals, now);
    crate::store::usage::used(store, service.id, period, window, zone, now).await
}

/// All services of a subscriber, oldest first.
///
/// # Errors
/// When the store cannot read.
pub(crate) async fn services_of(
    store: &Store,
    subscriber: &Subscriber,
) -> Result<Vec<Record<tables::Services>>, ReadError> {
    let range = Range::Equals("subscriber_id", subscriber.id.to_string().into());
    let slice = store.scan::<tables::Services>(range, Page::first(MOST_SERVICES)).await?;
    Ok(slice.records)
}

fn admitted(status: ServiceStatus, entitlement: Entitlement) -> ServiceStanding {
    let (detail, reason) = match entitlement.access {
        Access::Full => ("active", None),
        Access::Captive { reason } => ("captive", Some(Refusal::Locked { reason }.sentence())),
    };
    ServiceStanding { status, detail, reason, entitlement: Some(entitlement) }
}

fn refused(status: ServiceStatus, refusal: Refusal) -> ServiceStanding {
    let reason = Some(refusal.sentence());
    ServiceStanding { status, detail: refusal.code(), reason, entitlement: None }
}

/// The code of a service that staff have to approve before it is provisioned.
pub const WAITS_FOR_APPROVAL: &str = "waits_for_approval";
/// Most services of one subscriber that are looked at: an organisation with more has several
/// accounts.
pub const MOST_SERVICES: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_stands_as_their_best_service() {
        use ServiceStatus::{Active, Ended, Pending, Restricted};
        let of = |services: &[ServiceStatus]| of_customer(Standing::Open, services);
        assert_eq!(of(&[]), CustomerStatus::New);
        assert_eq!(of(&[Pending, Ended]), CustomerStatus::New);
        assert_eq!(of(&[Restricted, Pending]), CustomerStatus::Suspended);
        assert_eq!(of(&[Restricted, Active]), CustomerStatus::Active);
        assert_eq!(of(&[Ended]), CustomerStatus::Disabled);
        assert_eq!(of_customer(Standing::Closed, &[Active]), CustomerStatus::Disabled);
    }
}
