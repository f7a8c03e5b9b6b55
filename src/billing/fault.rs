//! Why something about money was not done: whose fault, and what to do.

use crate::base::entropy::EntropyError;
use crate::domain::ledger::LedgerError;
use crate::domain::money::{Money, MoneyError};
use crate::store::contract::{CommitError, ReadError};

/// Why a use case of billing refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum BillingError {
    /// Nothing answers to that reference.
    #[error("there is no {what} {reference}")]
    NotFound {
        /// The kind of thing.
        what: &'static str,
        /// As it was asked for.
        reference: String,
    },
    /// One field of the request cannot be taken.
    #[error("{field}: {message}")]
    Field {
        /// Which.
        field: &'static str,
        /// A sentence.
        message: String,
    },
    /// A rule of the business says no; the sentence says which and what to do.
    #[error("{0}")]
    Rule(String),
    /// Who asks may not do that much.
    #[error("{0}")]
    NotAllowed(String),
    /// The wallet does not hold enough.
    #[error("the wallet holds {has}, and {needs} is needed")]
    Short {
        /// What it holds, with credit.
        has: Money,
        /// What is needed.
        needs: Money,
    },
    /// It was done before; nothing was done now.
    #[error("this was done before ({0})")]
    Repeated(String),
    /// The provider of payments did not do it.
    #[error("the payment provider did not answer as it should: {0}")]
    Provider(String),
    /// Amounts that cannot be worked out.
    #[error("the amount cannot be worked out: {0}")]
    Money(#[from] MoneyError),
    /// A posting that does not balance: ours.
    #[error("a posting of ours is wrong: {0}")]
    Ledger(#[from] LedgerError),
    /// No randomness.
    #[error("no random bytes are to be had")]
    Entropy(#[from] EntropyError),
    /// The store could not read.
    #[error("the records could not be read")]
    Read(#[from] ReadError),
    /// The store did not take the change.
    #[error("the store did not take the change")]
    Commit(#[from] CommitError),
}

impl BillingError {
    /// Nothing answers to that reference.
    #[must_use]
    pub fn not_found(what: &'static str, reference: impl std::fmt::Display) -> Self {
        Self::NotFound { what, reference: reference.to_string() }
    }

    /// One field that cannot be taken.
    #[must_use]
    pub fn field(field: &'static str, message: impl Into<String>) -> Self {
        Self::Field { field, message: message.into() }
    }

    /// A rule says no.
    #[must_use]
    pub fn rule(sentence: impl Into<String>) -> Self {
        Self::Rule(sentence.into())
    }
}
