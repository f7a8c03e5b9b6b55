//! What this room says when it says no, or cannot.
//!
//! The one rule: a refused login does not say which part of it was wrong.

use super::password::{PasswordError, WeakPassword};
use crate::base::entropy::EntropyError;
use crate::store::contract::{CommitError, ReadError};

/// A no, or a fault.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// E-mail or password is wrong, or the account may not log in.
    #[error("e-mail or password is wrong")]
    WrongCredentials,
    /// The refresh token does not count, or not any more.
    #[error("the refresh token does not count")]
    VisitEnded,
    /// Too many attempts.
    #[error("too many attempts; wait {wait_secs} s")]
    TooMany {
        /// Seconds until the next attempt is let through.
        wait_secs: u32,
    },
    /// There is no such account.
    #[error("there is no such member of staff")]
    NoSuchStaff,
    /// The acting role may not give that role, or change who has it.
    #[error("this role may not manage that one")]
    MayNotManage,
    /// The change would leave nobody who may do everything.
    #[error("this is the last active owner")]
    LastOwner,
    /// The password is refused.
    #[error(transparent)]
    Weak(#[from] WeakPassword),
    /// The code of the first admin is wrong, or none was given out.
    #[error("the claim code is wrong")]
    WrongClaim,
    /// There is an admin already.
    #[error("the first admin exists already")]
    AlreadyClaimed,
    /// Passwords could not be worked on.
    #[error("the password could not be worked on")]
    Password(#[from] PasswordError),
    /// The store could not read.
    #[error("the store could not be read")]
    Read(#[from] ReadError),
    /// The store could not commit.
    #[error("the store could not commit")]
    Commit(#[from] CommitError),
    /// No randomness.
    #[error("no random bytes for an id or a token")]
    Entropy(#[from] EntropyError),
    /// A token could not be signed.
    #[error("the access token could not be signed")]
    Sign,
}
