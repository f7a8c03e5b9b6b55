//! What the resources of the catalogue have in common: forms over bodies, the version that a
//! change expects, and the faults of use cases as answers.
//!
//! The one rule: whoever changes a thing may say which version they saw, by `If-Match` or in the
//! body, and is refused when it has moved on.

use axum::http::header::{ETAG, HeaderValue, IF_MATCH};
use serde::Serialize;

use super::call::Call;
use super::error::{ApiError, Code, FieldErrors};
use super::shape::{Answer, Window};
use crate::catalogue::fault::Fault;
use crate::catalogue::form::{Form, Said};
use crate::catalogue::{self, Listed};
use crate::people::PeopleError;
use crate::people::subscribers::SubscriberError;

/// The body as a form.
///
/// # Errors
/// 415 for another media type, 422 for what is no JSON object.
pub fn form(call: &Call) -> Result<Form, ApiError> {
    call.expect_type(&["application/json", "+json"])?;
    Ok(Form::read(&call.body)?)
}

/// What the path names: an id, or the name that people use.
#[must_use]
pub fn reference(call: &Call) -> &str {
    call.parameters.get("id").map_or("", String::as_str)
}

/// The version that a change expects, by `If-Match` or by one of these fields of the body.
///
/// # Errors
/// 400 for an `If-Match` that is none of our tags; field errors of the form stay with it.
pub fn expected(call: &Call, form: &mut Form, fields: &[&str]) -> Result<Option<u64>, ApiError> {
    let by_field = match form.parsed(fields, |text| text.parse().map_err(|_| "must be a whole number")) {
        Said::Value(version) => Some(version),
        Said::Null | Said::Nothing => None,
    };
    match call.header(IF_MATCH.as_str()).map(str::trim) {
        None | Some("*") => Ok(by_field),
        Some(tag) => tag.trim_matches('"').parse().map(Some).map_err(|_| {
            ApiError::new(Code::BadRequest, "If-Match must be the ETag of an earlier answer, as \"3\".")
        }),
    }
}

/// The same answer with the record's version as its `ETag`.
#[must_use]
pub fn tagged(answer: Answer, version: u64) -> Answer {
    match HeaderValue::from_str(&format!("\"{version}\"")) {
        Ok(tag) => answer.header(ETAG, tag),
        Err(_) => answer,
    }
}

/// Which part of a list is wanted, for a use case.
#[must_use]
pub const fn part(window: Window) -> catalogue::Window {
    catalogue::Window { offset: window.offset, limit: window.limit }
}

/// A part of a list as an answer.
#[must_use]
pub fn list<T, V: Serialize>(listed: Listed<T>, window: Window, view: impl FnMut(T) -> V) -> Answer {
    Answer::list(listed.items.into_iter().map(view), listed.total, window)
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Fields(errors) => {
                let mut fields = FieldErrors::new();
                for error in errors {
                    fields.entry(error.field).or_default().push(error.message);
                }
                Self::fields(fields)
            }
            Fault::NotFound { .. } => Self::new(Code::NotFound, sentence(&fault)),
            Fault::Taken { field, .. } => Self::taken(field),
            Fault::Stale { .. } => Self::conflict(sentence(&fault)),
            Fault::Rule(rule) => Self::rule(sentence(&rule)),
            Fault::Read(error) => error.into(),
            Fault::Commit(error) => error.into(),
            Fault::Vault(error) => Self::internal(&error),
            Fault::Entropy(error) => error.into(),
        }
    }
}

impl From<SubscriberError> for ApiError {
    fn from(error: SubscriberError) -> Self {
        match error {
            SubscriberError::NotFound(_) => Self::not_found("customer"),
            SubscriberError::Taken { field } => Self::taken(field),
            SubscriberError::Stale { .. } => Self::conflict(sentence(&error)),
            SubscriberError::Weak(error) => PeopleError::from(error).into(),
            SubscriberError::Exhausted(_) => Self::internal(&error),
            SubscriberError::Password(error) => PeopleError::from(error).into(),
            SubscriberError::Audit(error) => error.into(),
            SubscriberError::Read(error) => error.into(),
            SubscriberError::Commit(error) => error.into(),
            SubscriberError::Entropy(error) => error.into(),
        }
    }
}

/// An error's words as a sentence.
fn sentence(words: &impl std::fmt::Display) -> String {
    let words = words.to_string();
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| {
        let rest = letters.as_str().trim_end_matches('.');
        format!("{}{rest}.", first.to_uppercase())
    })
}
