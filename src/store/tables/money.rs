//! The collections of the ISP's business. All are sealed with the box's key.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{InvoiceId, OrderId, PaymentId, PostingId, ServiceId};
use crate::domain::invoice::{Invoice, InvoiceStanding};
use crate::domain::ledger::Posting;
use crate::domain::money::Currency;
use crate::domain::order::{Order, OrderStatus};
use crate::domain::payment::Payment;
use crate::domain::subscription::Subscription;
use crate::store::Registration;
use crate::store::contract::{Collection, CollectionSpec, IndexSpec, IndexValue, RecordKey, SealKind};

id_key!(PostingId, InvoiceId, OrderId, PaymentId);

collection! {
    /// The ledger. Key: place in it, twelve digits, so that order of keys is order of postings.
    Postings: "postings", String => Posting, schema 1, Keyed, counters &[],
    [
        +unique source = |posting| posting.source.clone().into(),
        +unique posting_id = |posting| posting.id.to_key().into(),
        at = |posting| posting.at.as_millisecond().into(),
    ]
}

/// The key of a posting's place.
#[must_use]
pub fn posting_key(seq: u64) -> String {
    format!("{seq:012}")
}

/// One line of a posting under its account, so that a statement is one scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerLine {
    /// Place of the posting.
    pub seq: u64,
    /// Minor units, debit positive.
    pub amount: i64,
    /// The account's balance afterwards.
    pub balance: i64,
}

collection! {
    /// Lines by account; key `<account>/<place, twelve digits>`.
    LedgerLines: "ledger_lines", String => LedgerLine, schema 1, Keyed, counters &[], []
}

/// An account's balance; always the sum of its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// Minor units, debit positive.
    pub balance: i64,
    /// The currency.
    pub currency: Currency,
    /// Place of the last posting that touched it.
    pub seq: u64,
}

collection! {
    /// Balances; key the account's text.
    Balances: "balances", String => Balance, schema 1, Keyed, counters &[], []
}

/// The ledger's end: what the next posting chains to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerHead {
    /// Place of the last posting.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
}

collection! {
    /// The ledger's end; one record, [`HEAD`].
    LedgerHeads: "ledger_head", String => LedgerHead, schema 1, Keyed, counters &[], []
}

/// The key of the one [`LedgerHead`].
pub const HEAD: &str = "head";

collection! {
    /// Last number given in each series of documents; key `<kind>/<year>`.
    Series: "number_series", String => u64, schema 1, Keyed, counters &[], []
}

collection! {
    /// Invoices and credit notes.
    Invoices: "invoices", InvoiceId => Invoice, schema 1, Keyed, counters &[],
    [
        +unique number = |invoice| invoice.number.clone().into(),
        subscriber_id = |invoice| invoice.subscriber_id.to_key().into(),
        corrects = |invoice| invoice.corrects.map(|id| id.to_key()).into(),
        kind = |invoice| invoice.kind.name().into(),
        created_at = |invoice| invoice.created_at.as_millisecond().into(),
    ]
}

collection! {
    /// What is owed by final invoices; key the invoice's id.
    InvoiceStandings: "invoice_standings", InvoiceId => InvoiceStanding, schema 1, Keyed, counters &[],
    [
        subscriber_id = |one| one.subscriber_id.to_key().into(),
        open_due_at = |one| match one.owed() {
            0 => IndexValue::Null,
            _ => one.due_at.as_millisecond().into(),
        },
        closed_as = |one| match one.owed() {
            0 => one.status(jiff::Timestamp::MIN).name().into(),
            _ => IndexValue::Null,
        },
        next_dunning_at = |one| match one.owed() {
            0 => IndexValue::Null,
            _ => one.next_dunning_at.map(jiff::Timestamp::as_millisecond).into(),
        },
    ]
}

collection! {
    /// Orders.
    Orders: "orders", OrderId => Order, schema 1, Keyed, counters &[],
    [
        subscriber_id = |order| order.subscriber_id.to_key().into(),
        open_until = |order| match order.status {
            OrderStatus::Open | OrderStatus::Underpaid => order.expires_at.as_millisecond().into(),
            OrderStatus::Fulfilled | OrderStatus::Cancelled | OrderStatus::Expired => IndexValue::Null,
        },
        created_at = |order| order.created_at.as_millisecond().into(),
    ]
}

collection! {
    /// Payments: attempts and receipts.
    Payments: "payments", PaymentId => Payment, schema 1, Keyed, counters &[],
    [
        +unique reference = |payment| payment.reference.clone().into(),
        +unique provider_checkout = |payment| theirs(payment, payment.checkout.as_deref()),
        +unique provider_transaction = |payment| theirs(payment, payment.transaction.as_deref()),
        subscriber_id = |payment| payment.subscriber_id.map(|id| id.to_key()).into(),
        order_id = |payment| payment.order_id.map(|id| id.to_key()).into(),
        status = |payment| payment.status.name().into(),
        next_poll_at = |payment| payment.next_poll_at.map(jiff::Timestamp::as_millisecond).into(),
        created_at = |payment| payment.created_at.as_millisecond().into(),
    ]
}

/// What a provider calls something, which is unique only with its provider.
fn theirs(payment: &Payment, name: Option<&str>) -> IndexValue {
    name.map(|name| provider_key(payment.provider.name(), name)).into()
}

/// The index value under which a provider's own name of an attempt or a transaction is found.
#[must_use]
pub fn provider_key(provider: &str, name: &str) -> String {
    format!("{provider}|{name}")
}

collection! {
    /// How services are paid for; key the service's id.
    Subscriptions: "subscriptions", ServiceId => Subscription, schema 1, Keyed, counters &[],
    [
        subscriber_id = |one| one.subscriber_id.to_key().into(),
        next_due_at = |one| one.next_due_at.map(jiff::Timestamp::as_millisecond).into(),
    ]
}

/// The collections of this file.
pub(super) fn all() -> Vec<Registration> {
    vec![
        Registration::of::<Postings>(),
        Registration::of::<LedgerLines>(),
        Registration::of::<Balances>(),
        Registration::of::<LedgerHeads>(),
        Registration::of::<Series>(),
        Registration::of::<Invoices>(),
        Registration::of::<InvoiceStandings>(),
        Registration::of::<Orders>(),
        Registration::of::<Payments>(),
        Registration::of::<Subscriptions>(),
    ]
}
