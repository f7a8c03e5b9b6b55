//! Reading a JSON body field by field, so that a client learns of all its faults at once.
//!
//! Unknown fields pass quietly: the frontends send more than we need. The one rule: what comes out
//! is a domain type or a sentence under the field's name, never a half-checked text.

use std::fmt;

use serde_json::{Map, Value};

use super::error::{ApiError, Code, FieldErrors};
use crate::domain::role::Role;
use crate::domain::text::{Code as CodeText, Email, Line, Phone, Username};

/// A body: what a use case takes, read from a form.
///
/// Read every field first and use `?` only when building the value, so that all faults are found.
pub trait Body: Sized {
    /// Reads the fields; `None` where a fault was noted.
    fn read(form: &mut Form<'_>) -> Option<Self>;
}

/// A type that a field can hold.
pub trait Field: Sized {
    /// Takes the field's value.
    ///
    /// # Errors
    /// What it must be, as a sentence without a subject: `must be true or false`.
    fn read(value: &Value) -> Result<Self, String>;
}

/// A JSON object while it is read.
#[derive(Debug)]
pub struct Form<'a> {
    object: &'a Map<String, Value>,
    prefix: String,
    faults: FieldErrors,
}

impl<'a> Form<'a> {
    /// A form over this object.
    #[must_use]
    pub const fn new(object: &'a Map<String, Value>) -> Self {
        Self { object, prefix: String::new(), faults: FieldErrors::new() }
    }

    /// A field that must be there.
    pub fn required<T: Field>(&mut self, name: &str) -> Option<T> {
        self.required_with(name, T::read)
    }

    /// A field that may be missing or null.
    pub fn optional<T: Field>(&mut self, name: &str) -> Option<T> {
        self.optional_with(name, T::read)
    }

    /// A field of a change: `None` leaves it as it is, `Some(None)` clears it.
    pub fn change<T: Field>(&mut self, name: &str) -> Option<Option<T>> {
        match self.object.get(name) {
            None => None,
            Some(Value::Null) => Some(None),
            Some(_) => self.optional(name).map(Some),
        }
    }

    /// As [`Form::required`] with an own way to read the value.
    pub fn required_with<T, E: fmt::Display>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, E>,
    ) -> Option<T> {
        if self.value(name).is_none() {
            self.fault(name, "is required");
            return None;
        }
        self.optional_with(name, read)
    }

    /// As [`Form::optional`] with an own way to read the value.
    pub fn optional_with<T, E: fmt::Display>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, E>,
    ) -> Option<T> {
        match read(self.value(name)?) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.fault(name, fault);
                None
            }
        }
    }

    /// An object inside, read by the same rules; its faults are named `name.field`.
    pub fn nested<T>(&mut self, name: &str, read: impl FnOnce(&mut Form<'_>) -> Option<T>) -> Option<T> {
        let value = self.value(name)?;
        let Value::Object(object) = value else {
            self.fault(name, "must be an object");
            return None;
        };
        let prefix = format!("{}{name}.", self.prefix);
        let mut inner = Form { object, prefix, faults: FieldErrors::new() };
        let read = read(&mut inner);
        self.faults.append(&mut inner.faults);
        read
    }

    /// The first of these names that has a value: several frontends, several names for one thing.
    #[must_use]
    pub fn first_of<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        names.iter().copied().find(|name| self.value(name).is_some())
    }

    /// The field's value; absent and null are the same.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    /// Notes a fault of a field.
    pub fn fault(&mut self, name: &str, fault: impl fmt::Display) {
        self.faults.entry(format!("{}{name}", self.prefix)).or_default().push(fault.to_string());
    }

    /// Whether a fault was noted.
    #[must_use]
    pub fn is_faulty(&self) -> bool {
        !self.faults.is_empty()
    }

    /// The value, if no fault was noted.
    ///
    /// # Errors
    /// 422 with all faults.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, ApiError> {
        match value {
            Some(value) if self.faults.is_empty() => Ok(value),
            Some(_) | None if !self.faults.is_empty() => Err(ApiError::fields(self.faults)),
            Some(_) | None => Err(ApiError::new(Code::ValidationError, "The body is not as it should be.")),
        }
    }
}

impl Field for String {
    fn read(value: &Value) -> Result<Self, String> {
        text(value).map(str::to_owned)
    }
}

impl Field for bool {
    fn read(value: &Value) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| "must be true or false".to_owned())
    }
}

impl Field for u64 {
    fn read(value: &Value) -> Result<Self, String> {
        value.as_u64().ok_or_else(|| "must be a whole number from 0".to_owned())
    }
}

impl Field for u32 {
    fn read(value: &Value) -> Result<Self, String> {
        let number = <u64 as Field>::read(value)?;
        Self::try_from(number).map_err(|_| format!("must not be larger than {}", Self::MAX))
    }
}

impl Field for u16 {
    fn read(value: &Value) -> Result<Self, String> {
        let number = <u64 as Field>::read(value)?;
        Self::try_from(number).map_err(|_| format!("must not be larger than {}", Self::MAX))
    }
}

impl Field for jiff::Timestamp {
    fn read(value: &Value) -> Result<Self, String> {
        let fault = "must be a time such as 2026-01-31T12:00:00Z";
        text(value)?.parse().map_err(|_| fault.to_owned())
    }
}

impl Field for Role {
    fn read(value: &Value) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::parse(&text(value)?.to_lowercase()).ok_or_else(|| format!("must be one of: {}", names()))
    }
}

macro_rules! text_fields {
    ($($type:ty),+) => {$(
        impl Field for $type {
            fn read(value: &Value) -> Result<Self, String> {
                Self::parse(text(value)?).map_err(|error| error.to_string())
            }
        }
    )+};
}

text_fields!(Line, CodeText, Email, Phone, Username);

macro_rules! id_fields {
    ($($type:ident),+) => {$(
        impl Field for crate::domain::ids::$type {
            fn read(value: &Value) -> Result<Self, String> {
                text(value)?.parse().map_err(|_| "must be an id such as 0190f3a2-…".to_owned())
            }
        }
    )+};
}

id_fields!(StaffId, VisitId, SubscriberId, PlanId, ServiceId, TaskId, NasId, SessionId, AuditId, AuthEventId);

/// The value as text.
///
/// # Errors
/// `must be a text`.
pub fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "must be a text".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Person {
        email: Email,
        name: Option<Line>,
        city: Option<Line>,
    }

    impl Body for Person {
        fn read(form: &mut Form<'_>) -> Option<Self> {
            let email = form.required("email");
            let name = form.optional("name");
            let city = form.nested("address", |address| address.optional("city"));
            Some(Self { email: email?, name, city })
        }
    }

    fn read(value: &Value) -> Result<Person, ApiError> {
        let mut form = Form::new(value.as_object().unwrap());
        let person = Person::read(&mut form);
        form.finish(person)
    }

    #[test]
    fn all_faults_are_told_at_once_with_their_place() {
        let error = read(&json!({"name": "\u{1}", "address": {"city": 5}})).map(|_| ()).unwrap_err();
        let names: Vec<_> = error.field_errors.keys().map(String::as_str).collect();
        assert_eq!(names, ["address.city", "email", "name"]);
        assert_eq!(error.field_errors["email"], ["is required"]);
    }

    #[test]
    fn fields_that_nobody_asked_for_pass() {
        let person = read(&json!({"email": "Ada@Example.net", "name": null, "csrf": "x"})).unwrap();
        assert_eq!(person.email.as_str(), "ada@example.net");
        assert!(person.name.is_none() && person.city.is_none());
    }

    #[test]
    fn a_change_tells_absent_from_null() {
        let value = json!({"a": null, "b": true});
        let mut form = Form::new(value.as_object().unwrap());
        assert_eq!(form.change::<bool>("a"), Some(None));
        assert_eq!(form.change::<bool>("b"), Some(Some(true)));
        assert_eq!(form.change::<bool>("c"), None);
    }
}
