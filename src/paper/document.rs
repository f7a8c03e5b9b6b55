//! A printed document before it has a form: its numbers as texts. PDF and page are both made of it, so they
//! cannot differ.

use super::words::Amount;

/// An invoice, a credit note, a receipt or a statement, as somebody reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// What kind of paper it is: `Invoice`.
    pub(super) title: String,
    /// Its own number; empty where it has none.
    pub(super) number: String,
    /// Said across the top where it is no ordinary one: `DRAFT`, `VOID`.
    pub(super) stamp: Option<&'static str>,
    /// Who makes it out.
    pub(super) from: Correspondent,
    /// Who it is for.
    pub(super) to: Correspondent,
    /// `Issued` / `26 Nov 2026` and their like.
    pub(super) facts: Vec<(&'static str, String)>,
    /// Its columns; the first is text and takes what the others leave.
    pub(super) columns: Vec<Column>,
    /// A cell a column.
    pub(super) rows: Vec<Row>,
    /// What the rows come to.
    pub(super) sums: Vec<Sum>,
    /// Lines for people below the sums.
    pub(super) notes: Vec<String>,
    /// Where to go with a phone.
    pub(super) link: Option<Link>,
}

/// A name and what is printed below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Correspondent {
    pub(super) label: &'static str,
    pub(super) name: String,
    pub(super) lines: Vec<String>,
}

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Points on paper; 0 takes what is left.
    pub(super) width: u16,
}

/// A row of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// The first cell.
    pub(super) what: String,
    /// Small print below it.
    pub(super) detail: Vec<String>,
    /// The other cells, aligned right.
    pub(super) cells: Vec<String>,
}

/// A line of the sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) label: String,
    pub(super) amount: Amount,
    pub(super) strong: bool,
}

/// An address that is printed as text and as a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) label: &'static str,
    pub(super) url: String,
}

impl Sum {
    pub(super) fn new(label: impl Into<String>, amount: Amount) -> Self {
        Self { label: label.into(), amount, strong: false }
    }

    pub(super) fn strong(label: impl Into<String>, amount: Amount) -> Self {
        Self { strong: true, ..Self::new(label, amount) }
    }
}
