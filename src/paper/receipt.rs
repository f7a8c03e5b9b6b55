//! What somebody gets who paid, as a document.

use super::PaperSettings;
use super::document::{Column, Document, Row, Sum};
use super::words::{amount, correspondent, day, less, moment};
use crate::domain::invoice::Party;
use crate::domain::money::Money;
use crate::domain::payment::{Method, Payment, Refund, RefundStatus};

/// What a receipt says beside the payment's own facts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReceiptFacts {
    /// Who took the money.
    pub seller: Party,
    /// Who paid.
    pub payer: Party,
    /// What the money was used for, in order: an invoice by its number, the wallet.
    pub applied: Vec<(String, Money)>,
}

/// The document of a payment. One that was not booked is no receipt, and says so.
#[must_use]
pub fn receipt(payment: &Payment, facts: &ReceiptFacts, settings: &PaperSettings) -> Document {
    let received = payment.received.unwrap_or(payment.expected);
    let rows = if facts.applied.is_empty() {
        vec![row("Payment", received)]
    } else {
        facts.applied.iter().map(|(what, money)| row(what, *money)).collect()
    };
    let mut sums = vec![Sum::strong(format!("Received {}", received.currency), amount(received))];
    let refunds = payment.refunds.iter().filter(|refund| refund.status != RefundStatus::Failed);
    sums.extend(
        refunds
            .map(|refund| Sum::new(refund_label(refund, settings), less(refund.amount.minor, refund.amount))),
    );
    Document {
        title: "Receipt".to_owned(),
        number: payment.reference.clone(),
        stamp: (!payment.status.is_booked()).then_some("NOT PAID"),
        from: correspondent("From", &facts.seller, "Tax number"),
        to: correspondent("Received from", &facts.payer, "Customer"),
        facts: payment_facts(payment, settings),
        columns: vec![Column { title: "For", width: 0 }, Column { title: "Amount", width: 120 }],
        rows,
        sums,
        ..Document::default()
    }
    .in_currency(received)
}

fn row(what: &str, money: Money) -> Row {
    Row { what: what.to_owned(), detail: Vec::new(), cells: vec![amount(money)] }
}

fn refund_label(refund: &Refund, settings: &PaperSettings) -> String {
    let what = if refund.is_chargeback { "Taken back by the bank" } else { "Paid back" };
    format!("{what} on {}", day(refund.at, &settings.zone))
}

fn payment_facts(payment: &Payment, settings: &PaperSettings) -> Vec<(&'static str, String)> {
    let when = payment.settled_at.map_or_else(
        || ("Begun", moment(payment.created_at, &settings.zone)),
        |at| ("Received", moment(at, &settings.zone)),
    );
    let mut facts = vec![when, ("By", method(payment.method).to_owned())];
    if let Some(transaction) = &payment.transaction {
        facts.push(("Transaction", transaction.clone()));
    }
    facts
}

fn method(method: Method) -> &'static str {
    match method {
        Method::Card => "Card",
        Method::Transfer => "Bank transfer",
        Method::MobileMoney => "Mobile money",
        Method::Cash => "Cash",
        Method::Check => "Cheque",
        Method::Wallet => "Wallet",
        Method::Other => "Other",
    }
}
