//! What subscribers are told about their money, in the commit of what happened.
//!
//! The one rule: who cannot be told is served all the same: no notice holds up a payment or a step.

use jiff::Timestamp;

use super::book::Leaf;
use super::fault::BillingError;
use super::settle::Till;
use crate::domain::dunning::Step;
use crate::domain::ids::SubscriberId;
use crate::domain::invoice::InvoiceStanding;
use crate::domain::money::Money;
use crate::notify::{News, Notice, NotifyError};
use crate::store::contract::CommitError;
use crate::store::tables::money::Invoices;

impl Till {
    /// Adds what a subscriber is told to the commit of what happened.
    pub(super) async fn tell_of(
        &self,
        leaf: &mut Leaf,
        subscriber: SubscriberId,
        news: News,
        now: Timestamp,
    ) -> Result<(), BillingError> {
        let Some(bulletin) = &self.bulletin else { return Ok(()) };
        match bulletin.draft(&Notice { subscriber, news }, now).await? {
            Some(message) => leaf.change(|unit| message.add(unit)),
            None => Ok(()),
        }
    }

    /// Tells of a step of dunning.
    pub(super) async fn tell_of_step(
        &self,
        leaf: &mut Leaf,
        standing: &InvoiceStanding,
        step: Step,
        now: Timestamp,
    ) -> Result<(), BillingError> {
        let amount = Money { minor: standing.owed(), ..standing.total };
        let due = standing.due_at;
        let news = match step {
            Step::Reminder => News::Reminder { number: self.number(standing).await?, amount, due },
            Step::Due => News::Due { number: self.number(standing).await?, amount, due },
            Step::Throttle => News::Throttled { amount },
            Step::Garden => News::Garden { amount },
            Step::Suspend => News::Suspended { amount },
            Step::Terminate => {
                let plan = match standing.services.first() {
                    Some(service) => leaf.contract(*service, now).await?.service.terms.name.to_string(),
                    None => self.number(standing).await?,
                };
                News::Terminated { plan, amount }
            }
        };
        self.tell_of(leaf, standing.subscriber_id, news, now).await
    }

    /// An invoice's number, as it is on paper.
    async fn number(&self, standing: &InvoiceStanding) -> Result<String, BillingError> {
        let invoice = self.store.get::<Invoices>(&standing.invoice_id).await?;
        let number = invoice.and_then(|record| record.body.number);
        Ok(number.unwrap_or_else(|| standing.invoice_id.to_string()))
    }
}

impl From<NotifyError> for BillingError {
    fn from(error: NotifyError) -> Self {
        match error {
            NotifyError::Read(error) => error.into(),
            NotifyError::Commit(error) => error.into(),
            NotifyError::Entropy(error) => error.into(),
            NotifyError::Vault(error) => CommitError::Unavailable(error.to_string()).into(),
        }
    }
}
