//! Invoices and credit notes: immutable once final, numbered without gaps.
//!
//! What is said to the customer ([`Invoice`]) never changes after it has its number; what is still owed
//! ([`InvoiceStanding`]) is kept beside it and follows payments and credit notes. Corrections are credit
//! notes with a series of their own.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{InvoiceId, OrderId, ServiceId, SubscriberId};
use super::money::{Currency, Money};
use super::subscriber::Address;
use super::tax::Quote;

/// A draft, or a final document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// Identity.
    pub id: InvoiceId,
    /// Which kind of document.
    pub kind: DocumentKind,
    /// Its number in its series (`LEKKI1-2026-000001`); `None` while it is a draft.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Whose.
    pub subscriber_id: SubscriberId,
    /// Who it is made out to, as they were called when it was made final.
    pub customer: Party,
    /// Who makes it out.
    pub seller: Party,
    /// What it is for, with tax, to the last minor unit; every view shows these numbers.
    pub quote: Quote,
    /// What each line of the quote is about, in the same order.
    pub subjects: Vec<LineSubject>,
    /// The order that it bills, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    /// The invoice that a credit note corrects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<InvoiceId>,
    /// A line for people: the reason of a credit note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When the draft was made.
    pub created_at: Timestamp,
    /// When it was made final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Timestamp>,
    /// Until when it is to be paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
}

/// Which kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// Asks for money, or shows that it was paid.
    Invoice,
    /// Takes part or all of an invoice back.
    CreditNote,
}

impl DocumentKind {
    /// The name in API and store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invoice => "invoice",
            Self::CreditNote => "credit_note",
        }
    }
}

/// A name and an address as they were printed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Name.
    pub name: String,
    /// Customer number, or the seller's tax number.
    #[serde(default)]
    pub number: String,
    /// E-mail address.
    #[serde(default)]
    pub email: String,
    /// Telephone number.
    #[serde(default)]
    pub phone: String,
    /// Where.
    #[serde(default)]
    pub address: Address,
}

/// What a line is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineSubject {
    /// Which service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_id: Option<ServiceId>,
    /// First instant of the period that it pays for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// First instant after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What is still owed by a final invoice. Its status is computed from it and the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceStanding {
    /// Which invoice.
    pub invoice_id: InvoiceId,
    /// Whose.
    pub subscriber_id: SubscriberId,
    /// Its total.
    pub total: Money,
    /// What was paid on it, minor units.
    pub paid: i64,
    /// What credit notes took off, minor units.
    pub credited: i64,
    /// What was given up, minor units.
    pub written_off: i64,
    /// Whether it was declared void.
    #[serde(default)]
    pub is_void: bool,
    /// When it was made final.
    pub issued_at: Timestamp,
    /// Until when it is to be paid.
    pub due_at: Timestamp,
    /// When nothing was owed any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleared_at: Option<Timestamp>,
    /// The services that it is for: what dunning may lock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceId>,
    /// What dunning has done about it.
    #[serde(default)]
    pub dunned: super::dunning::Done,
    /// When dunning looks at it next, while something is owed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_dunning_at: Option<Timestamp>,
    /// Until when staff have promised to do nothing about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
}

/// How an invoice stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceStatus {
    /// Not final.
    Draft,
    /// Final, nothing paid, not yet due.
    Issued,
    /// Some of it was paid.
    PartiallyPaid,
    /// Nothing is owed any more.
    Paid,
    /// Past its due time with something owed.
    Overdue,
    /// Declared void; its number stays.
    Void,
    /// Given up.
    WrittenOff,
}

impl InvoiceStanding {
    /// What is owed, minor units; never below zero.
    #[must_use]
    pub const fn owed(&self) -> i64 {
        if self.is_void {
            return 0;
        }
        let left = self
            .total
            .minor
            .saturating_sub(self.paid)
            .saturating_sub(self.credited)
            .saturating_sub(self.written_off);
        if left < 0 { 0 } else { left }
    }

    /// In one word.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> InvoiceStatus {
        if self.is_void {
            InvoiceStatus::Void
        } else if self.owed() == 0 && self.written_off > 0 {
            InvoiceStatus::WrittenOff
        } else if self.owed() == 0 {
            InvoiceStatus::Paid
        } else if now >= self.due_at {
            InvoiceStatus::Overdue
        } else if self.paid > 0 || self.credited > 0 {
            InvoiceStatus::PartiallyPaid
        } else {
            InvoiceStatus::Issued
        }
    }
}

impl InvoiceStatus {
    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Issued => "issued",
            Self::PartiallyPaid => "partially_paid",
            Self::Paid => "paid",
            Self::Overdue => "overdue",
            Self::Void => "void",
            Self::WrittenOff => "written_off",
        }
    }
}

impl Invoice {
    /// The currency of all its numbers.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.quote.total.currency
    }
}

/// Days until an invoice is due where nothing is said: what the management platform does too.
pub const DUE_DAYS: u32 = 14;
