//! Lists of invoices and credit notes, however many there are.
//!
//! All, those of a customer, those in a status and those that a search finds are each read from an index of their
//! own; only filters together walk. The one rule: how an invoice stands is asked of its standing, at the time of
//! the question.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::browse::{Document, InvoiceFilter};
use super::fault::BillingError;
use super::settle::Till;
use crate::domain::ids::{InvoiceId, SubscriberId};
use crate::domain::invoice::{Invoice, InvoiceStatus};
use crate::store::contract::{IndexValue, MAX_PAGE, Page, Range};
use crate::store::listing::{self, Listed, Steps, Walk, Window};
use crate::store::tables::money::{InvoiceStandings, Invoices};

impl Till {
    /// Invoices and credit notes, newest first; overdue ones by the day that they were due.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn invoices(
        &self,
        filter: &InvoiceFilter,
        window: Window,
        now: Timestamp,
    ) -> Result<Listed<Document>, BillingError> {
        let InvoiceFilter { subscriber, status, kind, search } = filter;
        if let Some(search) = search {
            return self.invoices_found(search, filter, window, now).await;
        }
        match (subscriber, status, kind) {
            (None, None, None) => self.invoices_of_range(Range::All, window).await,
            (Some(id), None, None) => {
                let range = Range::Equals("subscriber_id", id.to_string().into());
                self.invoices_of_range(range, window).await
            }
            (None, None, Some(kind)) => {
                let range = Range::Equals("kind", kind.name().into());
                self.invoices_of_range(range, window).await
            }
            (None, Some(status), None) => match standing_range(*status, now) {
                Some(range) => self.invoices_that_stand(range, window).await,
                None => self.invoices_walked(filter, window, now).await,
            },
            (_, Some(_), _) | (Some(_), None, Some(_)) => self.invoices_walked(filter, window, now).await,
        }
    }

    async fn invoices_of_range(
        &self,
        range: Range,
        window: Window,
    ) -> Result<Listed<Document>, BillingError> {
        let found = listing::window::<Invoices>(&self.store, Walk::newest_first(range), window).await?;
        let mut items = Vec::with_capacity(found.items.len());
        for record in found.items {
            items.push(self.with_standing(record.body).await?);
        }
        Ok(Listed { items, total: found.total, complete: found.complete })
    }

    async fn invoices_that_stand(
        &self,
        range: Range,
        window: Window,
    ) -> Result<Listed<Document>, BillingError> {
        let walk = Walk::newest_first(range);
        let found = listing::window::<InvoiceStandings>(&self.store, walk, window).await?;
        let mut items = Vec::with_capacity(found.items.len());
        for record in found.items {
            let invoice = self.store.get::<Invoices>(&record.body.invoice_id).await?;
            let standing = Some(record.body);
            items.extend(invoice.map(|invoice| Document { invoice: invoice.body, standing }));
        }
        Ok(Listed { items, total: found.total, complete: found.complete })
    }

    /// Looks at each document of a range.
    async fn invoices_walked(
        &self,
        filter: &InvoiceFilter,
        window: Window,
        now: Timestamp,
    ) -> Result<Listed<Document>, BillingError> {
        let range = match filter.subscriber {
            Some(id) => Range::Equals("subscriber_id", id.to_string().into()),
            None => Range::All,
        };
        let mut listed = Listed { items: Vec::new(), total: 0, complete: true };
        let mut steps = Steps::new(Walk::newest_first(range));
        while let Some(records) = steps.next::<Invoices>(&self.store).await? {
            for record in records {
                self.take_if_meant(&mut listed, record.body, filter, window, now).await?;
            }
        }
        listed.complete = steps.complete();
        Ok(listed)
    }

    /// Documents whose number begins so, and those of customers whose name, number or address holds it.
    async fn invoices_found(
        &self,
        search: &str,
        filter: &InvoiceFilter,
        window: Window,
        now: Timestamp,
    ) -> Result<Listed<Document>, BillingError> {
        let mut found = BTreeSet::<InvoiceId>::new();
        let mut complete = true;
        for text in [search.to_owned(), search.to_uppercase()] {
            let end = IndexValue::Text(format!("{text}\u{10FFFF}"));
            complete &= self.gather(&mut found, Range::Between("number", text.into(), end)).await?;
        }
        for customer in self.customers.find(search).await? {
            if found.len() >= MOST_FOUND {
                complete = false;
                break;
            }
            let id = SubscriberId(customer).to_string();
            complete &= self.gather(&mut found, Range::Equals("subscriber_id", id.into())).await?;
        }
        let mut listed = Listed { items: Vec::new(), total: 0, complete };
        let asks_more = filter.subscriber.is_some() || filter.kind.is_some() || filter.status.is_some();
        for id in found.into_iter().rev() {
            let is_shown = listed.total >= window.offset && listed.items.len() < window.limit;
            if !asks_more && !is_shown {
                listed.total = listed.total.saturating_add(1);
                continue;
            }
            let Some(record) = self.store.get::<Invoices>(&id).await? else { continue };
            if filter.subscriber.is_none_or(|of| of == record.body.subscriber_id) {
                self.take_if_meant(&mut listed, record.body, filter, window, now).await?;
            }
        }
        Ok(listed)
    }

    /// Adds the documents of a range, at most a page of them; says whether those were all.
    async fn gather(&self, found: &mut BTreeSet<InvoiceId>, range: Range) -> Result<bool, BillingError> {
        let page = Page { after: None, limit: MAX_PAGE, reverse: true };
        let slice = self.store.scan::<Invoices>(range, page).await?;
        found.extend(slice.records.into_iter().map(|record| record.body.id));
        Ok(slice.next.is_none())
    }

    async fn take_if_meant(
        &self,
        listed: &mut Listed<Document>,
        invoice: Invoice,
        filter: &InvoiceFilter,
        window: Window,
        now: Timestamp,
    ) -> Result<(), BillingError> {
        if filter.kind.is_some_and(|kind| kind != invoice.kind) {
            return Ok(());
        }
        let document = self.with_standing(invoice).await?;
        if filter.status.is_none_or(|status| status == document.status(now)) {
            listed.take(window, document);
        }
        Ok(())
    }
}

/// The standings of invoices in a status, where an index says it; the others are few or told apart by amounts.
fn standing_range(status: InvoiceStatus, now: Timestamp) -> Option<Range> {
    match status {
        InvoiceStatus::Paid | InvoiceStatus::Void | InvoiceStatus::WrittenOff => {
            Some(Range::Equals("closed_as", status.name().into()))
        }
        InvoiceStatus::Overdue => {
            let until = IndexValue::Integer(now.as_millisecond());
            Some(Range::Between("open_due_at", IndexValue::Integer(i64::MIN), until))
        }
        InvoiceStatus::Draft | InvoiceStatus::Issued | InvoiceStatus::PartiallyPaid => None,
    }
}

/// Documents that one search looks at: whoever means one of more than these says more of it.
const MOST_FOUND: usize = 5_000;
