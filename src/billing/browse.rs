//! Reading what billing keeps: lists with filters, and single documents. Changes nothing.

use jiff::Timestamp;

use super::fault::BillingError;
use super::settle::Till;
use crate::domain::ids::{InvoiceId, OrderId, PaymentId, SubscriberId};
use crate::domain::invoice::{DocumentKind, Invoice, InvoiceStanding, InvoiceStatus};
use crate::domain::ledger::{Account, Posting};
use crate::domain::order::Order;
use crate::domain::payment::{Payment, PaymentStatus};
use crate::domain::subscription::Subscription;
use crate::store::contract::{Page, Range};
use crate::store::listing::{self, Listed, Walk, Window};
use crate::store::tables::money::{
    InvoiceStandings, Invoices, LedgerLines, Orders, Payments, Postings, Subscriptions, posting_key,
};

/// Which documents are wanted.
#[derive(Debug, Clone, Default)]
pub struct InvoiceFilter {
    /// Of this subscriber only.
    pub subscriber: Option<SubscriberId>,
    /// In this status only.
    pub status: Option<InvoiceStatus>,
    /// Of this kind only.
    pub kind: Option<DocumentKind>,
    /// Whose number or name holds this, without case.
    pub search: Option<String>,
}

/// Which payments are wanted.
#[derive(Debug, Clone, Default)]
pub struct PaymentFilter {
    /// Of this subscriber only.
    pub subscriber: Option<SubscriberId>,
    /// In this status only.
    pub status: Option<PaymentStatus>,
    /// Only what belongs to nobody.
    pub unmatched: bool,
    /// Whose reference or transaction holds this, without case.
    pub search: Option<String>,
}

/// A document with how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What it says.
    pub invoice: Invoice,
    /// What is owed by it; credit notes and drafts have none.
    pub standing: Option<InvoiceStanding>,
}

impl Document {
    /// In one word; a credit note is issued.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> InvoiceStatus {
        match (&self.standing, self.invoice.issued_at) {
            (Some(standing), _) => standing.status(now),
            (None, Some(_)) => InvoiceStatus::Issued,
            (None, None) => InvoiceStatus::Draft,
        }
    }
}

impl Till {
    pub(super) async fn with_standing(&self, invoice: Invoice) -> Result<Document, BillingError> {
        let standing = match invoice.kind {
            DocumentKind::Invoice => self.store.get::<InvoiceStandings>(&invoice.id).await?,
            DocumentKind::CreditNote => None,
        };
        Ok(Document { invoice, standing: standing.map(|record| record.body) })
    }

    /// One document by its id or its number; of this subscriber only, where one is given.
    ///
    /// # Errors
    /// `NotFound`, or when the store cannot read.
    pub async fn document(
        &self,
        reference: &str,
        of: Option<SubscriberId>,
    ) -> Result<Document, BillingError> {
        let found = match reference.parse::<InvoiceId>() {
            Ok(id) => self.store.get::<Invoices>(&id).await?,
            Err(_) => listing::one_by::<Invoices>(&self.store, "number", reference.to_owned()).await?,
        };
        let found = found.filter(|record| of.is_none_or(|of| of == record.body.subscriber_id));
        match found {
            Some(record) => self.with_standing(record.body).await,
            None => Err(BillingError::not_found("invoice", reference)),
        }
    }

    /// Credit notes on an invoice, oldest first.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn credit_notes(&self, id: InvoiceId) -> Result<Vec<Invoice>, BillingError> {
        let range = Range::Equals("corrects", id.to_string().into());
        let slice = self.store.scan::<Invoices>(range, Page::first(MOST_NOTES)).await?;
        Ok(slice.records.into_iter().map(|record| record.body).collect())
    }

    /// Payments, newest first.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn payments(
        &self,
        filter: &PaymentFilter,
        window: Window,
    ) -> Result<Listed<Payment>, BillingError> {
        let range = match (filter.subscriber, filter.status) {
            (Some(id), _) => Range::Equals("subscriber_id", id.to_string().into()),
            (None, Some(status)) => Range::Equals("status", status.name().into()),
            (None, None) => Range::All,
        };
        let search = filter.search.as_deref().map(str::to_lowercase);
        let fits = move |record: &crate::store::contract::Record<Payments>| {
            let payment = &record.body;
            let holds =
                |text: &str| search.as_deref().is_none_or(|search| text.to_lowercase().contains(search));
            filter.status.is_none_or(|status| status == payment.status)
                && (!filter.unmatched || (payment.subscriber_id.is_none() && payment.status.is_booked()))
                && (holds(&payment.reference) || payment.transaction.as_deref().is_some_and(&holds))
        };
        let walk = Walk::newest_first(range);
        let both = filter.subscriber.is_some() && filter.status.is_some();
        let listed = if both || filter.unmatched || filter.search.is_some() {
            listing::list::<Payments>(&self.store, walk, window, fits).await?
        } else {
            listing::window::<Payments>(&self.store, walk, window).await?
        };
        Ok(listed.map(|record| record.body))
    }

    /// One payment by its id or our reference; of this subscriber only, where one is given.
    ///
    /// # Errors
    /// `NotFound`, or when the store cannot read.
    pub async fn payment(&self, reference: &str, of: Option<SubscriberId>) -> Result<Payment, BillingError> {
        let found = match reference.parse::<PaymentId>() {
            Ok(id) => self.store.get::<Payments>(&id).await?,
            Err(_) => self.by_reference(reference).await?,
        };
        let found = found.filter(|record| of.is_none_or(|of| record.body.subscriber_id == Some(of)));
        found.map(|record| record.body).ok_or_else(|| BillingError::not_found("payment", reference))
    }

    /// One order; of this subscriber only, where one is given.
    ///
    /// # Errors
    /// `NotFound`, or when the store cannot read.
    pub async fn order(&self, id: OrderId, of: Option<SubscriberId>) -> Result<Order, BillingError> {
        let found = self.store.get::<Orders>(&id).await?;
        let found = found.filter(|record| of.is_none_or(|of| of == record.body.subscriber_id));
        found.map(|record| record.body).ok_or_else(|| BillingError::not_found("order", id))
    }

    /// Orders, newest first.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn orders(
        &self,
        subscriber: Option<SubscriberId>,
        window: Window,
    ) -> Result<Listed<Order>, BillingError> {
        let range = match subscriber {
            Some(id) => Range::Equals("subscriber_id", id.to_string().into()),
            None => Range::All,
        };
        let listed = listing::window::<Orders>(&self.store, Walk::newest_first(range), window).await?;
        Ok(listed.map(|record| record.body))
    }

    /// Subscriptions.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn subscriptions(
        &self,
        subscriber: Option<SubscriberId>,
        window: Window,
    ) -> Result<Listed<Subscription>, BillingError> {
        let range = match subscriber {
            Some(id) => Range::Equals("subscriber_id", id.to_string().into()),
            None => Range::All,
        };
        let walk = Walk { range, newest_first: false };
        let listed = listing::window::<Subscriptions>(&self.store, walk, window).await?;
        Ok(listed.map(|record| record.body))
    }

    /// Postings, newest first; of one account only, where one is given.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn postings(
        &self,
        account: Option<&Account>,
        window: Window,
    ) -> Result<Listed<Posting>, BillingError> {
        let Some(account) = account else {
            let walk = Walk::newest_first(Range::All);
            let listed = listing::window::<Postings>(&self.store, walk, window).await?;
            return Ok(listed.map(|record| record.body));
        };
        let walk = Walk::newest_first(Range::KeyPrefix(format!("{account}/")));
        let lines = listing::window::<LedgerLines>(&self.store, walk, window).await?;
        let mut items = Vec::with_capacity(lines.items.len());
        for line in &lines.items {
            let posting = self.store.get::<Postings>(&posting_key(line.body.seq)).await?;
            items.extend(posting.map(|record| record.body));
        }
        Ok(Listed { items, total: lines.total, complete: true })
    }
}

/// Credit notes of one invoice that are shown.
const MOST_NOTES: usize = 200;
