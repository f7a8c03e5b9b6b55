//! Why a use case of this room did not do what was asked, told so that a door can answer it.
//!
//! Not for refusals of access: those are `domain::refusal`. The one rule: a fault of the asker
//! names the field and the remedy, and a fault of ours never carries a secret.

use crate::base::entropy::EntropyError;
use crate::store::contract::{CommitError, ReadError};
use crate::store::vault::VaultError;

/// One field that cannot be taken as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field as the asker named it, with dots into objects: `billing_address.city`.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Why nothing was drafted.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The asker's: fields that cannot be taken.
    #[error("{} field(s) cannot be taken", .0.len())]
    Fields(Vec<FieldError>),
    /// The asker's: it names something that is not there.
    #[error("there is no {what} {reference:?}")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// As it was named.
        reference: String,
    },
    /// The asker's: another record already has this value.
    #[error("{field} {value:?} is already in use")]
    Taken {
        /// The field.
        field: &'static str,
        /// The value.
        value: String,
    },
    /// The asker's: it changed what somebody else had changed since it was read.
    #[error("the record was changed in the meantime: it is at version {is}, not {expected}")]
    Stale {
        /// The version the asker expected.
        expected: u64,
        /// The version it has.
        is: u64,
    },
    /// The asker's: a rule of the trade stands against it.
    #[error("{0}")]
    Rule(String),
    /// Ours: a read failed.
    #[error("the store did not give a record")]
    Read(#[from] ReadError),
    /// Ours: a unit could not be made or applied.
    #[error("the store did not take a change")]
    Commit(#[from] CommitError),
    /// Ours: a secret could not be sealed or opened.
    #[error("the box's key could not be used")]
    Vault(#[from] VaultError),
    /// Ours: no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

impl FieldError {
    /// One field's error.
    #[must_use]
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl Fault {
    /// A single field that cannot be taken.
    #[must_use]
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Fields(vec![FieldError::new(field, message)])
    }

    /// Nothing answers to that reference.
    #[must_use]
    pub fn not_found(what: &'static str, reference: impl Into<String>) -> Self {
        Self::NotFound { what, reference: reference.into() }
    }
}

/// Refuses a change of a record that has moved on since its asker read it.
///
/// # Errors
/// [`Fault::Stale`].
pub(crate) const fn must_be_at(is: u64, expected: Option<u64>) -> Result<(), Fault> {
    match expected {
        Some(expected) if expected != is => Err(Fault::Stale { expected, is }),
        Some(_) | None => Ok(()),
    }
}
