//! Invoices that staff write: drafted, changed, thrown away, made final.
//!
//! A draft is beside the invoices until it is one. The one rule: its number is taken in the commit that makes it final
//! and takes the draft away, so two who press the button make one invoice.

use jiff::Timestamp;
use serde_json::json;

use super::book::{MOST_TRIES, may_try_again};
use super::documents::{Bill, Numbers};
use super::fault::BillingError;
use super::settle::Till;
use super::wallet::UnitExtra;
use crate::domain::audit::Actor;
use crate::domain::ids::{InvoiceId, SubscriberId};
use crate::domain::invoice::{Invoice, LineSubject};
use crate::domain::invoice_draft::{DraftContent, InvoiceDraft, MOST_LINES, MOST_OF_ONE};
use crate::domain::tax::Quote;
use crate::notify::news::News;
use crate::store::contract::{Range, Record, Unit};
use crate::store::draft::Draft;
use crate::store::listing::{self, Listed, Walk, Window};
use crate::store::tables::Services;
use crate::store::tables::invoice_drafts::InvoiceDrafts;
use crate::store::tables::money::Invoices;

impl Till {
    /// Drafts, newest first; of one subscriber only, where one is given.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn drafts(
        &self,
        subscriber: Option<SubscriberId>,
        window: Window,
    ) -> Result<Listed<InvoiceDraft>, BillingError> {
        let range = match subscriber {
            Some(id) => Range::Equals("subscriber_id", id.to_string().into()),
            None => Range::All,
        };
        let walk = Walk::newest_first(range);
        let listed = listing::list::<InvoiceDrafts>(&self.store, walk, window, |_| true).await?;
        Ok(listed.map(|record| record.body))
    }

    /// One draft.
    ///
    /// # Errors
    /// `NotFound`; when the store cannot read.
    pub async fn draft(&self, id: InvoiceId) -> Result<InvoiceDraft, BillingError> {
        Ok(self.draft_record(id).await?.body)
    }

    async fn draft_record(&self, id: InvoiceId) -> Result<Record<InvoiceDrafts>, BillingError> {
        let found = self.store.get::<InvoiceDrafts>(&id).await?;
        found.ok_or_else(|| BillingError::not_found("draft", id))
    }

    /// What a draft comes to now.
    ///
    /// # Errors
    /// Amounts beyond 64 bits.
    pub fn draft_quote(&self, content: &DraftContent) -> Result<Quote, BillingError> {
        Ok(content.quote(self.settings.tax_ppm, self.settings.rounding)?)
    }

    /// Makes a draft.
    ///
    /// # Errors
    /// `NotFound`; a field with its sentence; faults of ours.
    pub async fn make_draft(
        &self,
        subscriber: SubscriberId,
        content: &DraftContent,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Draft<InvoiceDraft>, BillingError> {
        self.shop.subscriber(subscriber).await?;
        self.may_say(subscriber, content).await?;
        let id = InvoiceId(self.entropy.uuid_v7(now)?);
        let draft = InvoiceDraft {
            id,
            subscriber_id: subscriber,
            content: content.clone(),
            made_by: actor.id.clone(),
            created_at: now,
            updated_at: now,
        };
        Ok(Draft::new(Unit::natural().create::<InvoiceDrafts>(&id, &draft)?, draft))
    }

    /// Changes what a draft says. Gives it as it was and as it is.
    ///
    /// # Errors
    /// `NotFound`, also once it is final; a field with its sentence; faults of ours.
    pub async fn change_draft(
        &self,
        id: InvoiceId,
        change: impl FnOnce(DraftContent) -> DraftContent + Send,
        now: Timestamp,
    ) -> Result<Draft<(InvoiceDraft, InvoiceDraft)>, BillingError> {
        let record = self.draft_record(id).await?;
        let before = record.body;
        let content = change(before.content.clone());
        self.may_say(before.subscriber_id, &content).await?;
        let after = InvoiceDraft { content, updated_at: now, ..before.clone() };
        let unit = Unit::natural().replace::<InvoiceDrafts>(&id, record.version, &after)?;
        Ok(Draft::new(unit, (before, after)))
    }

    /// Throws a draft away; no number is lost, since it had none.
    ///
    /// # Errors
    /// `NotFound`, also once it is final; when the store cannot read.
    pub async fn discard_draft(&self, id: InvoiceId) -> Result<Draft<InvoiceDraft>, BillingError> {
        let record = self.draft_record(id).await?;
        let unit = Unit::natural().remove::<InvoiceDrafts>(&id, record.version);
        Ok(Draft::new(unit, record.body))
    }

    /// Makes a draft final: its number, its posting and what is owed, in one commit. Asked again, it is the invoice
    /// that it became.
    ///
    /// # Errors
    /// `NotFound`; a rule where nothing is to be paid; faults of ours.
    pub async fn finalise_draft(
        &self,
        id: InvoiceId,
        extra: Option<UnitExtra<'_>>,
        now: Timestamp,
    ) -> Result<Invoice, BillingError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.finalise_once(id, extra, now).await {
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                answer => {
                    (self.wake)();
                    return answer;
                }
            }
        }
    }

    async fn finalise_once(
        &self,
        id: InvoiceId,
        extra: Option<UnitExtra<'_>>,
        now: Timestamp,
    ) -> Result<Invoice, BillingError> {
        let mut leaf = self.book.open().await;
        let Some(record) = self.store.get::<InvoiceDrafts>(&id).await? else {
            let done = self.store.get::<Invoices>(&id).await?;
            return done.map(|record| record.body).ok_or_else(|| BillingError::not_found("draft", id));
        };
        let InvoiceDraft { subscriber_id, content, .. } = record.body;
        self.may_say(subscriber_id, &content).await?;
        let quote = self.draft_quote(&content)?;
        if quote.total.minor <= 0 {
            return Err(BillingError::rule(
                "nothing is to be paid by this draft; an invoice asks for something",
            ));
        }
        let subscriber = self.shop.subscriber(subscriber_id).await?;
        let due_days = content.due_days.unwrap_or(self.settings.due_days);
        let subject = LineSubject { service_id: content.service_id, from: None, until: None };
        let bill = Bill {
            subscriber: &subscriber,
            subjects: vec![subject; quote.lines.len()],
            quote,
            order_id: None,
            due_at: self.due_day(now, due_days)?,
            paid: 0,
        };
        let (documents, note) = (&self.shop.documents, content.note.map(|note| note.to_string()));
        let invoice = documents.invoice_as(&mut leaf, &mut Numbers::default(), (id, note), bill, now).await?;
        let (number, due) = (invoice.number.clone().unwrap_or_default(), invoice.due_at.unwrap_or(now));
        let news = News::InvoiceIssued { number, amount: invoice.quote.total, due };
        self.news(&mut leaf, subscriber_id, news, now).await;
        let payload = json!({ "customer_id": subscriber_id, "number": invoice.number });
        leaf.change(|unit| {
            let unit = unit.remove::<InvoiceDrafts>(&id, record.version);
            let unit = unit.event("invoice.finalised", id, payload);
            match extra {
                Some(extra) => extra(unit),
                None => Ok(unit),
            }
        })?;
        leaf.commit(now).await?;
        Ok(invoice)
    }

    /// Whether a draft can say this of this subscriber.
    async fn may_say(&self, subscriber: SubscriberId, content: &DraftContent) -> Result<(), BillingError> {
        if content.lines.is_empty() || content.lines.len() > MOST_LINES {
            return Err(BillingError::field("lines", format!("must be 1 to {MOST_LINES} lines")));
        }
        let currency = self.settings.currency;
        for line in &content.lines {
            if line.quantity == 0 || line.quantity > MOST_OF_ONE {
                return Err(BillingError::field("quantity", format!("must be from 1 to {MOST_OF_ONE}")));
            }
            if line.unit_price.currency != currency || line.unit_price.minor < 0 {
                return Err(BillingError::field(
                    "amount",
                    format!("must be an amount in {currency} from zero; what is taken off is a credit note"),
                ));
            }
        }
        if let Some(id) = content.service_id {
            let service = self.store.get::<Services>(&id).await?;
            if service.is_none_or(|service| service.body.subscriber_id != subscriber) {
                return Err(BillingError::field("service_id", "is no service of this customer"));
            }
        }
        if content.due_days.is_some_and(|days| days > MOST_DUE_DAYS) {
            return Err(BillingError::field("due_days", format!("must be at most {MOST_DUE_DAYS}")));
        }
        // Amounts that cannot be added are told now, not when it is made final.
        self.draft_quote(content).map(|_| ())
    }
}

/// Days until an invoice is due, at most: more is a credit, which is another contract.
const MOST_DUE_DAYS: u32 = 365;
