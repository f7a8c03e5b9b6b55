//! What subscribers are told of their money, in the commit of the change that it is about.
//!
//! The one rule: a message that cannot be written never holds money up.

use jiff::Timestamp;

use super::book::Leaf;
use super::fault::BillingError;
use super::settle::Till;
use crate::domain::dunning::Step;
use crate::domain::ids::SubscriberId;
use crate::domain::invoice::InvoiceStanding;
use crate::domain::money::Money;
use crate::domain::order::{Order, OrderStatus, Purchase};
use crate::notify::bulletin::Notice;
use crate::notify::news::News;
use crate::store::contract::Unit;
use crate::store::tables::money::Invoices;

impl Till {
    /// Adds a message to a leaf, where there is a proven way to the subscriber.
    pub(super) async fn news(&self, leaf: &mut Leaf, subscriber: SubscriberId, news: News, now: Timestamp) {
        let Some(bulletin) = &self.bulletin else { return };
        let kind = news.kind();
        let notice = Notice { subscriber, news };
        match bulletin.queue_in(Unit::natural(), &notice, now).await {
            Ok(message) => leaf.add(message),
            Err(error) => {
                tracing::warn!(%error, kind = kind.name(), "A message about money could not be written")
            }
        }
    }

    /// Tells of services that came back within this leaf.
    pub(super) async fn tell_restored(&self, leaf: &mut Leaf, now: Timestamp) -> Result<(), BillingError> {
        for id in leaf.restored() {
            let contract = leaf.contract(id, now).await?;
            let (owner, plan) = (contract.service.subscriber_id, contract.service.terms.name.to_string());
            self.news(leaf, owner, News::Restored { plan }, now).await;
        }
        Ok(())
    }

    /// Tells of more data or time that an order has just added; of what has no end, the receipt tells.
    pub(super) async fn tell_topped_up(
        &self,
        leaf: &mut Leaf,
        order: &Order,
        now: Timestamp,
    ) -> Result<(), BillingError> {
        let Purchase::TopUp { service_id, .. } = &order.purchase else { return Ok(()) };
        if order.status != OrderStatus::Fulfilled {
            return Ok(());
        }
        let source = format!("order:{}", order.id);
        let top_ups = &leaf.contract(*service_id, now).await?.service.extras.top_ups;
        let bought = top_ups.iter().find(|one| one.source == source);
        let (Some(until), Some(line)) = (bought.and_then(|one| one.until), order.quote.lines.first()) else {
            return Ok(());
        };
        let news = News::TopUp { what: line.description.clone(), amount: order.total(), until };
        self.news(leaf, order.subscriber_id, news, now).await;
        Ok(())
    }

    /// Tells a subscriber of a step of dunning.
    pub(super) async fn tell_step(
        &self,
        leaf: &mut Leaf,
        standing: &InvoiceStanding,
        step: Step,
        now: Timestamp,
    ) -> Result<(), BillingError> {
        let invoice = self.store.get::<Invoices>(&standing.invoice_id).await?.map(|record| record.body);
        let number = invoice.as_ref().and_then(|one| one.number.clone()).unwrap_or_default();
        let plan = invoice
            .and_then(|one| one.quote.lines.first().map(|line| line.description.clone()))
            .unwrap_or_default();
        let amount = Money { minor: standing.owed(), ..standing.total };
        let due = standing.due_at;
        let news = match step {
            Step::Reminder => News::Reminder { number, amount, due },
            Step::Due => News::Due { number, amount, due },
            Step::Throttle => News::Throttled { amount },
            Step::Garden => News::Garden { amount },
            Step::Suspend => News::Suspended { amount },
            Step::Terminate => News::Terminated { plan, amount },
        };
        self.news(leaf, standing.subscriber_id, news, now).await;
        Ok(())
    }
}
