//! Invoices and credit notes: from a quote to a numbered, immutable document in the commit of what it bills.
//!
//! The one rule: a number is taken in the commit that makes the document final, so that numbers have no gaps
//! whatever is aborted.

use jiff::Timestamp;
use serde_json::json;

use super::book::Leaf;
use super::fault::BillingError;
use super::settings::Settings;
use crate::base::entropy::Entropy;
use crate::domain::ids::{InvoiceId, OrderId, ServiceId};
use crate::domain::invoice::{DocumentKind, Invoice, InvoiceStanding, LineSubject, Party};
use crate::domain::ledger::{Account, Entry, PostingKind};
use crate::domain::money::Money;
use crate::domain::subscriber::Subscriber;
use crate::domain::tax::Quote;
use crate::store::Store;
use crate::store::contract::Expected;
use crate::store::tables::money::{InvoiceStandings, Invoices, Series};

/// What an invoice is to say.
#[derive(Debug, Clone)]
pub struct Bill<'a> {
    /// Whose.
    pub subscriber: &'a Subscriber,
    /// The price.
    pub quote: Quote,
    /// What each line is about.
    pub subjects: Vec<LineSubject>,
    /// The order that it bills.
    pub order_id: Option<OrderId>,
    /// Until when it is to be paid.
    pub due_at: Timestamp,
    /// What of it is paid in the same commit, minor units.
    pub paid: i64,
}

/// Numbers documents within leaves.
#[derive(Debug, Clone)]
pub struct Documents {
    store: Store,
    entropy: Entropy,
    settings: Settings,
}

impl Documents {
    /// Over a store.
    #[must_use]
    pub const fn new(store: Store, entropy: Entropy, settings: Settings) -> Self {
        Self { store, entropy, settings }
    }

    /// Makes an invoice final in this leaf: its number, its posting, its standing.
    ///
    /// # Errors
    /// When nothing is to be paid for, or the store cannot read.
    pub async fn invoice(
        &self,
        leaf: &mut Leaf,
        numbers: &mut Numbers,
        bill: Bill<'_>,
        now: Timestamp,
    ) -> Result<Invoice, BillingError> {
        let id = InvoiceId(self.entropy.uuid_v7(now)?);
        self.invoice_as(leaf, numbers, (id, None), bill, now).await
    }

    /// The same under an id that was known before, with a line for people.
    ///
    /// # Errors
    /// As [`Documents::invoice`].
    pub(super) async fn invoice_as(
        &self,
        leaf: &mut Leaf,
        numbers: &mut Numbers,
        (id, note): (InvoiceId, Option<String>),
        bill: Bill<'_>,
        now: Timestamp,
    ) -> Result<Invoice, BillingError> {
        let number = numbers.next(self, leaf, DocumentKind::Invoice, now).await?;
        let services = services(&bill.subjects);
        let invoice = Invoice {
            id,
            kind: DocumentKind::Invoice,
            number: Some(number.clone()),
            subscriber_id: bill.subscriber.id,
            customer: party(bill.subscriber),
            seller: self.settings.seller.clone(),
            quote: bill.quote,
            subjects: bill.subjects,
            order_id: bill.order_id,
            corrects: None,
            note,
            created_at: now,
            issued_at: Some(now),
            due_at: Some(bill.due_at),
        };
        let total = invoice.quote.total;
        leaf.post(
            Entry::new(PostingKind::Invoice, format!("invoice:{id}"), format!("Invoice {number}"))
                .debit(Account::Receivable(bill.subscriber.id), total)
                .credit(Account::Revenue, invoice.quote.net)
                .credit(Account::Tax, invoice.quote.tax),
        );
        let cleared = bill.paid >= total.minor;
        let standing = InvoiceStanding {
            invoice_id: id,
            subscriber_id: bill.subscriber.id,
            total,
            paid: bill.paid,
            credited: 0,
            written_off: 0,
            is_void: false,
            issued_at: now,
            due_at: bill.due_at,
            cleared_at: cleared.then_some(now),
            services,
            dunned: crate::domain::dunning::Done::default(),
            next_dunning_at: Some(now),
            held_until: None,
        };
        let payload = json!({
            "customer_id": bill.subscriber.id, "number": number, "total": total.decimal(),
            "currency": total.currency.code(), "due_at": bill.due_at,
        });
        leaf.change(|unit| {
            let unit = unit.create::<Invoices>(&id, &invoice)?.create::<InvoiceStandings>(&id, &standing)?;
            let unit = unit.event("invoice.issued", id, payload.clone());
            Ok(if cleared { unit.event("invoice.paid", id, payload) } else { unit })
        })?;
        Ok(invoice)
    }

    /// Makes a credit note final in this leaf: it takes `amount` (with tax) off an invoice. Net and tax are in the
    /// invoice's own proportion and sum to the amount.
    ///
    /// # Errors
    /// When it would take off more than the invoice has left, or the store cannot read.
    pub async fn credit_note(
        &self,
        leaf: &mut Leaf,
        numbers: &mut Numbers,
        (invoice, standing): (&Invoice, &InvoiceStanding),
        amount: Money,
        reason: &str,
        now: Timestamp,
    ) -> Result<Invoice, BillingError> {
        let total = invoice.quote.total;
        let left = total.minor.saturating_sub(standing.credited).saturating_sub(standing.written_off);
        if amount.minor <= 0 || amount.currency != total.currency || amount.minor > left {
            let left = Money { minor: left, ..total };
            return Err(BillingError::rule(format!(
                "a credit note takes off more than nothing and at most what the invoice has left, {left}"
            )));
        }
        let tax = amount.scaled(invoice.quote.tax.minor, total.minor)?;
        let quote = credit_quote(invoice, amount, tax)?;
        let id = InvoiceId(self.entropy.uuid_v7(now)?);
        let number = numbers.next(self, leaf, DocumentKind::CreditNote, now).await?;
        let note = Invoice {
            id,
            kind: DocumentKind::CreditNote,
            number: Some(number.clone()),
            customer: invoice.customer.clone(),
            seller: invoice.seller.clone(),
            quote,
            subjects: vec![LineSubject::default()],
            corrects: Some(invoice.id),
            note: Some(reason.to_owned()),
            created_at: now,
            issued_at: Some(now),
            due_at: None,
            ..invoice.clone()
        };
        let memo = format!("Credit note {number} on {}", invoice.number.as_deref().unwrap_or_default());
        leaf.post(
            Entry::new(PostingKind::CreditNote, format!("credit_note:{id}"), memo)
                .debit(Account::Revenue, note.quote.net)
                .debit(Account::Tax, note.quote.tax)
                .credit(Account::Receivable(invoice.subscriber_id), amount),
        );
        let payload = json!({
            "customer_id": invoice.subscriber_id, "number": number, "invoice_id": invoice.id,
            "total": amount.decimal(), "currency": amount.currency.code(),
        });
        leaf.change(|unit| {
            Ok(unit.create::<Invoices>(&id, &note)?.event("credit_note.issued", id, payload))
        })?;
        Ok(note)
    }

    fn number(&self, kind: DocumentKind, year: i16, number: u64) -> String {
        let mark = match kind {
            DocumentKind::Invoice => "",
            DocumentKind::CreditNote => "CN-",
        };
        format!("{}-{mark}{year}-{number:06}", self.settings.series)
    }
}

/// The numbers that one leaf takes: several documents of one leaf follow one another.
#[derive(Debug, Default)]
pub struct Numbers(Vec<(String, Option<u64>, u64)>);

impl Numbers {
    async fn next(
        &mut self,
        documents: &Documents,
        leaf: &mut Leaf,
        kind: DocumentKind,
        now: Timestamp,
    ) -> Result<String, BillingError> {
        let year = now.to_zoned(documents.settings.zone.clone()).year();
        let name = match kind {
            DocumentKind::Invoice => "invoice",
            DocumentKind::CreditNote => "credit_note",
        };
        let key = format!("{name}/{year}");
        let at = match self.0.iter().position(|(one, ..)| *one == key) {
            Some(at) => at,
            None => {
                let record = documents.store.get::<Series>(&key).await?;
                let version = record.as_ref().map(|record| record.version);
                self.0.push((key.clone(), version, record.map_or(0, |record| record.body)));
                let state = version.map_or(Expected::Absent, Expected::Version);
                leaf.change(|unit| Ok(unit.expect::<Series>(&key, state)))?;
                self.0.len().saturating_sub(1)
            }
        };
        let Some((key, _, last)) = self.0.get_mut(at) else {
            return Err(BillingError::rule("the series of numbers is gone"));
        };
        *last = last.saturating_add(1);
        let (key, number) = (key.clone(), *last);
        leaf.change(|unit| unit.put::<Series>(&key, &number))?;
        Ok(documents.number(kind, year, number))
    }
}

fn credit_quote(invoice: &Invoice, amount: Money, tax: Money) -> Result<Quote, BillingError> {
    let net = amount.checked_sub(tax)?;
    let line = crate::domain::tax::QuoteLine {
        description: format!("Credit on invoice {}", invoice.number.as_deref().unwrap_or_default()),
        price: net,
        discount: Money::zero(amount.currency),
        net,
        treatment: crate::domain::tax::TaxTreatment::Exclusive,
        tax_ppm: match invoice.quote.taxes.as_slice() {
            [one] => one.tax_ppm,
            _ => 0,
        },
        tax,
        total: amount,
    };
    let taxes = match invoice.quote.taxes.as_slice() {
        [one] => vec![crate::domain::tax::TaxSum { tax_ppm: one.tax_ppm, base: net, tax }],
        _ => Vec::new(),
    };
    Ok(Quote { lines: vec![line], net, discount: Money::zero(amount.currency), taxes, tax, total: amount })
}

/// A customer as they are printed.
#[must_use]
pub fn party(subscriber: &Subscriber) -> Party {
    Party {
        name: subscriber.display_name(),
        number: subscriber.customer_number.to_string(),
        email: subscriber.email.as_ref().map(ToString::to_string).unwrap_or_default(),
        phone: subscriber.phone.as_ref().map(ToString::to_string).unwrap_or_default(),
        address: subscriber.billing_address.clone(),
    }
}

fn services(subjects: &[LineSubject]) -> Vec<ServiceId> {
    let mut services: Vec<ServiceId> = subjects.iter().filter_map(|subject| subject.service_id).collect();
    services.sort_unstable();
    services.dedup();
    services
}
