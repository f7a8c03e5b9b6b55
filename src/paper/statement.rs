//! What was charged and paid over a time, line by line, as a document.

use jiff::Timestamp;

use super::PaperSettings;
use super::document::{Column, Document, Row, Sum};
use super::words::{amount, correspondent, day, moment};
use crate::domain::invoice::Party;
use crate::domain::money::{Currency, Money};

/// A statement's facts. Amounts are the customer's, over what they have with us and what they owe together:
/// positive is in their favour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Who makes it out.
    pub seller: Party,
    /// Whose it is.
    pub customer: Party,
    /// The currency of all numbers.
    pub currency: Currency,
    /// First instant.
    pub from: Timestamp,
    /// First instant after.
    pub until: Timestamp,
    /// Minor units at `from`.
    pub opening: i64,
    /// In order of time.
    pub lines: Vec<StatementLine>,
    /// Minor units at `until`.
    pub closing: i64,
}

/// A line of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementLine {
    /// When.
    pub at: Timestamp,
    /// What it was.
    pub what: String,
    /// What it changed, minor units.
    pub change: i64,
    /// The balance afterwards, minor units.
    pub balance: i64,
}

/// The document of a statement.
#[must_use]
pub fn statement(facts: &Statement, settings: &PaperSettings) -> Document {
    let zone = &settings.zone;
    let money = |minor| Money { minor, currency: facts.currency };
    let sum = |is_meant: fn(i64) -> bool| {
        let changes = facts.lines.iter().map(|line| line.change).filter(|change| is_meant(*change));
        changes.fold(0, i64::saturating_add)
    };
    let (paid, charged) = (sum(|change| change > 0), sum(|change| change < 0));
    Document {
        title: "Statement".to_owned(),
        from: correspondent("From", &facts.seller, "Tax number"),
        to: correspondent("For", &facts.customer, "Customer"),
        facts: vec![("From", day(facts.from, zone)), ("Until", day(facts.until, zone))],
        columns: COLUMNS.to_vec(),
        rows: facts
            .lines
            .iter()
            .map(|line| Row {
                what: line.what.clone(),
                detail: vec![moment(line.at, zone)],
                cells: vec![
                    if line.change < 0 { amount(money(line.change.saturating_neg())) } else { String::new() },
                    if line.change > 0 { amount(money(line.change)) } else { String::new() },
                    standing(money(line.balance)),
                ],
            })
            .collect(),
        sums: vec![
            Sum::new(format!("On {}", day(facts.from, zone)), standing(money(facts.opening))),
            Sum::new("Charged", amount(money(charged.saturating_neg()))),
            Sum::new("Paid and credited", amount(money(paid))),
            Sum::strong(format!("On {}", day(facts.until, zone)), standing(money(facts.closing))),
        ],
        ..Document::default()
    }
    .in_currency(money(0))
}

/// A balance in words that need no knowledge of signs.
fn standing(balance: Money) -> String {
    match balance.minor {
        0 => amount(balance),
        minor if minor > 0 => format!("{} credit", amount(balance)),
        minor => format!("{} owed", amount(Money { minor: minor.saturating_neg(), ..balance })),
    }
}

const COLUMNS: [Column; 4] = [
    Column { title: "What", width: 0 },
    Column { title: "Charged", width: 86 },
    Column { title: "Paid", width: 86 },
    Column { title: "Balance", width: 112 },
];
