//! Money onto open invoices, oldest first, and the locks that fall with the last of them.

use jiff::Timestamp;
use serde_json::json;

use super::book::Leaf;
use super::fault::BillingError;
use super::grant;
use super::shop::open_invoices;
use crate::domain::dunning::Step;
use crate::domain::ids::{InvoiceId, ServiceId, SubscriberId};
use crate::domain::invoice::InvoiceStanding;
use crate::domain::lock::LockReason;
use crate::domain::money::Money;
use crate::store::Store;
use crate::store::contract::Record;
use crate::store::tables::money::InvoiceStandings;

/// What a subscriber owes, while one leaf works on it.
#[derive(Debug)]
pub(super) struct Open {
    subscriber: SubscriberId,
    standings: Vec<(Record<InvoiceStandings>, bool)>,
}

impl Open {
    /// As it stands now. Read within a leaf, so that no other one changes it meanwhile.
    pub(super) async fn of(store: &Store, subscriber: SubscriberId) -> Result<Self, BillingError> {
        let open = open_invoices(store, subscriber).await?;
        Ok(Self { subscriber, standings: open.into_iter().map(|record| (record, false)).collect() })
    }

    /// The same without one invoice, which somebody else looks after.
    pub(super) async fn without(
        store: &Store,
        subscriber: SubscriberId,
        invoice: InvoiceId,
    ) -> Result<Self, BillingError> {
        let mut open = Self::of(store, subscriber).await?;
        open.standings.retain(|(record, _)| record.body.invoice_id != invoice);
        Ok(open)
    }

    /// Lifts the locks of these services where nothing of what is open holds them.
    pub(super) async fn lift_for(
        self,
        leaf: &mut Leaf,
        services: &[ServiceId],
        now: Timestamp,
    ) -> Result<(), BillingError> {
        for service in services.iter().filter(|service| !self.holds(**service)) {
            lift(leaf, *service, now).await?;
        }
        Ok(())
    }

    /// What is owed in all, minor units.
    pub(super) fn owed(&self) -> i64 {
        self.standings.iter().fold(0, |sum, (record, _)| i64::saturating_add(sum, record.body.owed()))
    }

    /// Pays with at most `amount`: these invoices, or all where none is named; gives what was used.
    pub(super) fn pay(
        &mut self,
        amount: Money,
        only: &[InvoiceId],
        now: Timestamp,
    ) -> Result<Money, BillingError> {
        let mut left = amount;
        for (record, is_changed) in &mut self.standings {
            let standing = &mut record.body;
            let is_meant = only.is_empty() || only.contains(&standing.invoice_id);
            if !is_meant || standing.total.currency != amount.currency || left.minor <= 0 {
                continue;
            }
            let part = Money { minor: standing.owed().min(left.minor), ..amount };
            if part.minor == 0 {
                continue;
            }
            standing.paid = standing.paid.saturating_add(part.minor);
            if standing.owed() == 0 {
                standing.cleared_at = Some(now);
            }
            *is_changed = true;
            left = left.checked_sub(part)?;
        }
        Ok(amount.checked_sub(left)?)
    }

    /// Puts what changed into the leaf, and lifts the locks of services that owe nothing overdue any more.
    pub(super) async fn write(self, leaf: &mut Leaf, now: Timestamp) -> Result<(), BillingError> {
        let mut touched: Vec<ServiceId> = Vec::new();
        for (record, _) in self.standings.iter().filter(|(_, is_changed)| *is_changed) {
            let (id, version, standing) = (record.body.invoice_id, record.version, &record.body);
            touched.extend(&standing.services);
            let payload = json!({ "customer_id": self.subscriber, "owed": standing.owed() });
            leaf.change(|unit| {
                let unit = unit.replace::<InvoiceStandings>(&id, version, standing)?;
                Ok(if standing.owed() == 0 { unit.event("invoice.paid", id, payload) } else { unit })
            })?;
        }
        touched.sort_unstable();
        touched.dedup();
        for service in touched.into_iter().filter(|service| !self.holds(*service)) {
            lift(leaf, service, now).await?;
        }
        Ok(())
    }

    /// Whether an invoice that dunning has acted upon is still open for a service.
    fn holds(&self, service: ServiceId) -> bool {
        let acted = |one: &InvoiceStanding| one.dunned.taken >= Some(Step::Throttle);
        self.standings
            .iter()
            .map(|(record, _)| &record.body)
            .any(|one| one.owed() > 0 && acted(one) && one.services.contains(&service))
    }
}

/// Takes the lock of an overdue bill off a service.
async fn lift(leaf: &mut Leaf, id: ServiceId, now: Timestamp) -> Result<(), BillingError> {
    let contract = match leaf.contract(id, now).await {
        Err(BillingError::NotFound { .. }) => return Ok(()),
        contract => contract?,
    };
    let service = &mut contract.service;
    if !grant::unlock(service, LockReason::Overdue, now) {
        return Ok(());
    }
    let payload = json!({ "customer_id": service.subscriber_id, "reason": LockReason::Overdue.name() });
    leaf.note_restored(id);
    leaf.change(|unit| Ok(unit.event("service.restored", id, payload)))
}
