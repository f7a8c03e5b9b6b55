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
    /// The code of the second factor is wrong, or was used already.
    #[error("the code is wrong, too old, or was used already")]
    WrongCode,
    /// The second factor is asked, and no code was given.
    #[error("the second factor is asked")]
    CodeNeeded,
    /// There is a second factor already.
    #[error("there is a second factor already")]
    AlreadyEnrolled,
    /// There is no second factor.
    #[error("there is no second factor")]
    NotEnrolled,
    /// There is no such key.
    #[error("there is no such key")]
    NoSuchKey,
    /// A scope that the maker may not give, or that no program may have.
    #[error("the scope {0} cannot be given to a program by this role")]
    ScopeNotGiven(&'static str),
    /// There is no such place, or not any more.
    #[error("there is no such webhook endpoint")]
    NoSuchWebhook,
    /// There is no such delivery.
    #[error("there is no such delivery")]
    NoSuchDelivery,
    /// As many places as the box tells.
    #[error("there are as many webhook endpoints as this box tells")]
    TooManyWebhooks,
    /// A sealed secret could not be opened.
    #[error("a sealed secret could not be opened")]
    Sealed(#[from] crate::store::vault::VaultError),
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
