//! Corrections of invoices by staff: credit notes, void, write-off. An invoice itself never changes.

use jiff::Timestamp;
use serde_json::json;

use super::apply::Open;
use super::book::{Leaf, MOST_TRIES, may_try_again};
use super::documents::Numbers;
use super::fault::BillingError;
use super::settle::Till;
use super::wallet::UnitExtra;
use crate::domain::ids::InvoiceId;
use crate::domain::invoice::{DocumentKind, Invoice, InvoiceStanding};
use crate::domain::ledger::{Account, Entry, PostingKind};
use crate::domain::money::Money;
use crate::store::contract::Record;
use crate::store::tables::money::{InvoiceStandings, Invoices};

/// What is to be corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// Takes this much off; what was paid already goes back into the wallet.
    Credit(Money),
    /// The whole invoice was a mistake; its number stays. Only where nothing was paid.
    Void,
    /// What is open is given up.
    WriteOff,
}

impl Till {
    /// Corrects an invoice; gives the document that says so, which for a credit note is a new one.
    ///
    /// # Errors
    /// `NotFound`; a rule with its sentence; faults of ours.
    pub async fn correct(
        &self,
        id: InvoiceId,
        correction: Correction,
        reason: &str,
        extra: Option<UnitExtra<'_>>,
        now: Timestamp,
    ) -> Result<Invoice, BillingError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.correct_once(id, correction, reason, extra, now).await {
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                answer => {
                    (self.wake)();
                    return answer;
                }
            }
        }
    }

    async fn correct_once(
        &self,
        id: InvoiceId,
        correction: Correction,
        reason: &str,
        extra: Option<UnitExtra<'_>>,
        now: Timestamp,
    ) -> Result<Invoice, BillingError> {
        let mut leaf = self.book.open().await;
        let invoice = self.store.get::<Invoices>(&id).await?;
        let standing = self.store.get::<InvoiceStandings>(&id).await?;
        let (Some(invoice), Some(standing)) = (invoice, standing) else {
            return Err(BillingError::not_found("invoice", id));
        };
        let invoice = invoice.body;
        if invoice.kind == DocumentKind::CreditNote || standing.body.is_void {
            return Err(BillingError::rule("only an invoice that counts can be corrected"));
        }
        let document = match correction {
            Correction::Credit(amount) => {
                self.credit_invoice(&mut leaf, &invoice, standing, amount, reason, now).await?
            }
            Correction::Void => {
                void(&mut leaf, &invoice, standing, now)?;
                invoice
            }
            Correction::WriteOff => {
                write_off(&mut leaf, &invoice, standing, reason, now)?;
                invoice
            }
        };
        if let Some(extra) = extra {
            leaf.change(extra)?;
        }
        leaf.commit(now).await?;
        Ok(document)
    }

    async fn credit_invoice(
        &self,
        leaf: &mut Leaf,
        invoice: &Invoice,
        standing: Record<InvoiceStandings>,
        amount: Money,
        reason: &str,
        now: Timestamp,
    ) -> Result<Invoice, BillingError> {
        let (version, mut standing) = (standing.version, standing.body);
        let documents = &self.shop.documents;
        let numbers = &mut Numbers::default();
        let note = documents.credit_note(leaf, numbers, (invoice, &standing), amount, reason, now).await?;
        // What is open is taken off first; what was paid beyond that is the customer's again.
        let back = amount.minor.saturating_sub(standing.owed()).max(0);
        standing.credited = standing.credited.saturating_add(amount.minor);
        standing.paid = standing.paid.saturating_sub(back);
        if back > 0 {
            let back = Money { minor: back, ..amount };
            leaf.post(
                Entry::new(
                    PostingKind::Application,
                    format!("credit_note:{}/back", note.id),
                    "Back into the wallet",
                )
                .debit(Account::Receivable(invoice.subscriber_id), back)
                .credit(Account::Wallet(invoice.subscriber_id), back),
            );
        }
        self.cleared(leaf, invoice, version, standing, now).await?;
        if back > 0 {
            self.wake_renewals(leaf, invoice.subscriber_id, now).await?;
        }
        Ok(note)
    }

    /// Writes a standing; where nothing is owed any more, the locks of its services fall.
    async fn cleared(
        &self,
        leaf: &mut Leaf,
        invoice: &Invoice,
        version: u64,
        mut standing: InvoiceStanding,
        now: Timestamp,
    ) -> Result<(), BillingError> {
        if standing.owed() == 0 {
            standing.cleared_at.get_or_insert(now);
            Open::without(&self.store, invoice.subscriber_id, invoice.id)
                .await?
                .lift_for(leaf, &standing.services, now)
                .await?;
        }
        leaf.change(|unit| unit.replace::<InvoiceStandings>(&invoice.id, version, &standing))
    }
}

fn void(
    leaf: &mut Leaf,
    invoice: &Invoice,
    standing: Record<InvoiceStandings>,
    now: Timestamp,
) -> Result<(), BillingError> {
    let (version, mut standing) = (standing.version, standing.body);
    if standing.paid != 0 || standing.credited != 0 || standing.written_off != 0 {
        return Err(BillingError::rule("something was paid on it; write a credit note instead"));
    }
    standing.is_void = true;
    standing.cleared_at = Some(now);
    let quote = &invoice.quote;
    let memo = format!("Invoice {} is void", invoice.number.as_deref().unwrap_or_default());
    leaf.post(
        Entry::new(PostingKind::CreditNote, format!("void:{}", invoice.id), memo)
            .debit(Account::Revenue, quote.net)
            .debit(Account::Tax, quote.tax)
            .credit(Account::Receivable(invoice.subscriber_id), quote.total),
    );
    let payload = json!({ "customer_id": invoice.subscriber_id });
    leaf.change(|unit| {
        Ok(unit.replace::<InvoiceStandings>(&invoice.id, version, &standing)?.event(
            "invoice.void",
            invoice.id,
            payload,
        ))
    })
}

fn write_off(
    leaf: &mut Leaf,
    invoice: &Invoice,
    standing: Record<InvoiceStandings>,
    reason: &str,
    now: Timestamp,
) -> Result<(), BillingError> {
    let (version, mut standing) = (standing.version, standing.body);
    let open = Money { minor: standing.owed(), ..standing.total };
    if open.minor == 0 {
        return Err(BillingError::rule("nothing is owed by this invoice; there is nothing to give up"));
    }
    standing.written_off = standing.written_off.saturating_add(open.minor);
    standing.cleared_at = Some(now);
    leaf.post(
        Entry::new(PostingKind::WriteOff, format!("write_off:{}", invoice.id), format!("Given up: {reason}"))
            .debit(Account::WrittenOff, open)
            .credit(Account::Receivable(invoice.subscriber_id), open),
    );
    let payload = json!({ "customer_id": invoice.subscriber_id, "amount": open.decimal() });
    leaf.change(|unit| {
        Ok(unit.replace::<InvoiceStandings>(&invoice.id, version, &standing)?.event(
            "invoice.written_off",
            invoice.id,
            payload,
        ))
    })
}
