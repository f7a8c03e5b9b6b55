//! What the API says when it says no: one closed table of codes, one way to carry them.
//!
//! Use cases have their own errors; each turns into an [`ApiError`] here or beside its resource.
//! The one rule: 401 is only ever about authentication, and a fault of ours never shows its inside.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::Value;

use crate::base::entropy::EntropyError;
use crate::serve::http::Fault;
use crate::store::contract::{CommitError, ReadError};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal, $code:literal, $retryable:literal;)+) => {
        /// Why the API refused or failed: the closed table behind every `code`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)+
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable name in answers.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The HTTP status, as a number.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// Whether the same request may succeed later.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $(Self::$name => $retryable,)+ }
            }
        }
    };
}

codes! {
    /// The request's form is wrong: query, header, parameter.
    BadRequest = 400, "bad_request", false;
    /// The body is not JSON.
    MalformedJson = 400, "malformed_json", false;
    /// No credential, or one that does not count (any more).
    AuthenticationRequired = 401, "authentication_required", false;
    /// E-mail or password is wrong, or the account may not log in; deliberately one code.
    WrongCredentials = 401, "authentication_failed", false;
    /// The caller's role does not include this.
    AccessDenied = 403, "access_denied", false;
    /// The second factor must be given first; see `details`.
    MfaRequired = 403, "mfa_required", false;
    /// `X-Tenant-ID` names another tenant than this box's.
    WrongTenant = 403, "wrong_tenant", false;
    /// No such path.
    UnknownPath = 404, "unknown_path", false;
    /// No such thing.
    NotFound = 404, "not_found", false;
    /// The path exists, without this method.
    MethodNotAllowed = 405, "method_not_allowed", false;
    /// The peer did not send its request in time.
    RequestTimeout = 408, "request_timeout", true;
    /// The state of things forbids it.
    Conflict = 409, "conflict", false;
    /// Something unique exists already.
    AlreadyExists = 409, "already_exists", false;
    /// Others kept changing the same thing.
    Contended = 409, "contended", true;
    /// The body is too large.
    BodyTooLarge = 413, "body_too_large", false;
    /// The body is of a kind that the route does not take.
    UnsupportedMediaType = 415, "unsupported_media_type", false;
    /// `Host` names something else.
    WrongHost = 421, "wrong_host", false;
    /// Fields are wrong; see `field_errors`.
    ValidationError = 422, "validation_error", false;
    /// A rule of the business forbids it.
    RuleViolation = 422, "business_rule_violation", false;
    /// The wallet does not hold enough.
    NotEnoughMoney = 402, "not_enough_money", false;
    /// The `Idempotency-Key` was used for another request.
    KeyReused = 422, "idempotency_key_reused", false;
    /// Too many attempts; see `Retry-After`.
    RateLimited = 429, "rate_limit_exceeded", true;
    /// Our fault.
    Internal = 500, "internal_error", false;
    /// Too much to do; see `Retry-After`.
    Busy = 503, "busy", true;
    /// The payment service did not do it.
    ProviderUnavailable = 502, "payment_provider_unavailable", true;
    /// The store cannot read or write now.
    StoreUnavailable = 503, "store_unavailable", true;
    /// The gateway did not do it.
    GatewayUnavailable = 503, "gateway_unavailable", true;
}

impl Code {
    /// The HTTP status.
    #[must_use]
    pub fn http_status(self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// A no, with everything an answer needs.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}: {message}", code.name())]
pub struct ApiError {
    /// Which no.
    pub code: Code,
    /// What was wrong and what to do, in a sentence.
    pub message: String,
    /// Faults by field, as `billing_address.city` for nested ones.
    pub field_errors: FieldErrors,
    /// More facts for programs.
    pub details: Option<Box<Value>>,
    /// Seconds to wait, for `Retry-After`.
    pub retry_after: Option<u32>,
    /// The methods of a path, for `Allow`.
    pub allow: Option<Box<str>>,
}

/// Sentences by field.
pub type FieldErrors = BTreeMap<String, Vec<String>>;

impl ApiError {
    /// A no with a sentence.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            field_errors: FieldErrors::new(),
            details: None,
            retry_after: None,
            allow: None,
        }
    }

    /// 404: there is no such `what` (`"customer"`).
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("There is no such {what}."))
    }

    /// 409: the state of things forbids it.
    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Code::Conflict, message)
    }

    /// 422: a rule of the business forbids it.
    #[must_use]
    pub fn rule(message: impl Into<String>) -> Self {
        Self::new(Code::RuleViolation, message)
    }

    /// 403: the caller may not.
    #[must_use]
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(Code::AccessDenied, message)
    }

    /// 422: these fields are wrong.
    #[must_use]
    pub fn fields(field_errors: FieldErrors) -> Self {
        let named: Vec<_> = field_errors.keys().map(String::as_str).collect();
        let message = format!("Please correct: {}.", named.join(", "));
        Self { field_errors, ..Self::new(Code::ValidationError, message) }
    }

    /// 422: this field is wrong.
    #[must_use]
    pub fn field(name: &str, fault: impl Into<String>) -> Self {
        Self::fields(FieldErrors::from([(name.to_owned(), vec![fault.into()])]))
    }

    /// 409: this unique field's value is taken.
    #[must_use]
    pub fn taken(name: &str) -> Self {
        let fault = "is already in use".to_owned();
        Self {
            field_errors: FieldErrors::from([(name.to_owned(), vec![fault])]),
            ..Self::new(Code::AlreadyExists, format!("Another record already has this {name}."))
        }
    }

    /// 429 or 503 with the seconds to wait.
    #[must_use]
    pub fn retry_after(code: Code, message: impl Into<String>, seconds: u32) -> Self {
        Self { retry_after: Some(seconds.max(1)), ..Self::new(code, message) }
    }

    /// 500: our fault. What it was goes to the log under the request's id, not to the caller.
    #[must_use]
    pub fn internal(fault: &dyn std::fmt::Display) -> Self {
        tracing::error!(%fault, "A request failed by our fault");
        Self::new(Code::Internal, "Something went wrong on our side; quote the request id to support.")
    }

    /// The same no with more facts.
    #[must_use]
    pub fn with_details(self, details: Value) -> Self {
        Self { details: Some(Box::new(details)), ..self }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(_) => unavailable(&error),
            ReadError::Damaged { .. } | ReadError::Newer { .. } => Self::internal(&error),
        }
    }
}

impl From<CommitError> for ApiError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict { .. } => {
                Self::new(Code::Contended, "Somebody else is changing the same thing; please try again.")
            }
            CommitError::Taken { index, .. } => Self::taken(index),
            CommitError::Full(_) | CommitError::Unavailable(_) | CommitError::Unknown(_) => {
                unavailable(&error)
            }
            CommitError::Missing { .. } | CommitError::Damaged { .. } | CommitError::Malformed(_) => {
                Self::internal(&error)
            }
        }
    }
}

impl From<EntropyError> for ApiError {
    fn from(error: EntropyError) -> Self {
        Self::internal(&error)
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::BadHost => Self::new(Code::BadRequest, "Send one well-formed Host header."),
            Fault::OtherHost => Self::new(Code::WrongHost, "This host name is not served here."),
            Fault::TooSlow => {
                Self::retry_after(Code::Busy, "The request took too long; please try again.", PAUSE_SECS)
            }
            Fault::Broken => Self::internal(&"a handler panicked"),
            Fault::TooLarge => Self::new(Code::BodyTooLarge, "The request's body is too large."),
            Fault::BodyBroken => Self::new(Code::RequestTimeout, "The request's body did not arrive whole."),
        }
    }
}

fn unavailable(error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(%error, "The store did not serve a request");
    let message = "The box cannot store or read this now; please try again.";
    ApiError::retry_after(Code::StoreUnavailable, message, PAUSE_SECS)
}

/// Seconds after which a busy or unwell box is worth asking again.
const PAUSE_SECS: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_their_statuses_are_errors() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| (400..600).contains(&code.status())));
    }

    #[test]
    fn what_is_unique_names_its_field_when_taken() {
        let error = ApiError::from(CommitError::Taken { collection: "staff", index: "email" });
        assert_eq!(error.code, Code::AlreadyExists);
        assert_eq!(error.field_errors["email"], ["is already in use"]);
    }

    #[test]
    fn a_fault_of_ours_does_not_show_its_inside() {
        let error = ApiError::from(CommitError::Malformed("secret inside".into()));
        assert!(!error.message.contains("inside"));
    }
}
