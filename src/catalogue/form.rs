//! A JSON object from outside, read field by field into types that cannot be wrong.
//!
//! Every fault of the form is collected, so that its writer sees all of them at once. Numbers are
//! read by their text: `17500.10` never passes through a float. Fields that nobody asks for are
//! left alone, since frontends send more than one server knows. The one rule: a field is taken as
//! it was meant or refused with a remedy, never guessed.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::fault::{Fault, FieldError};

/// A JSON object being read.
#[derive(Debug)]
pub struct Form {
    fields: BTreeMap<String, Box<RawValue>>,
    prefix: String,
    errors: Vec<FieldError>,
}

/// What a field says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said<T> {
    /// Nothing: the field is absent, or its fault is already noted.
    Nothing,
    /// `null` or an empty text: what was there is to go.
    Null,
    /// A value.
    Value(T),
}

impl Form {
    /// Reads a body that must be a JSON object.
    ///
    /// # Errors
    /// A fault of the field `body` that says where the text stops being JSON.
    pub fn read(body: &[u8]) -> Result<Self, Fault> {
        let body: &[u8] = if body.iter().all(u8::is_ascii_whitespace) { b"{}" } else { body };
        serde_json::from_slice(body)
            .map(|fields| Self { fields, prefix: String::new(), errors: Vec::new() })
            .map_err(|error| Fault::field("body", format!("must be a JSON object: {error}")))
    }

    /// Whether any of these fields is there.
    #[must_use]
    pub fn has(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.fields.contains_key(*name))
    }

    /// What a field says, as text; a number or a boolean gives its own text.
    pub fn text(&mut self, name: &str) -> Said<String> {
        let Some(raw) = self.fields.get(name) else { return Said::Nothing };
        match scalar(raw.get()) {
            Some(text) => text,
            None => {
                self.refuse(name, "must be a text, not a list or an object");
                Said::Nothing
            }
        }
    }

    /// What the first of several names for one field says.
    pub fn text_of(&mut self, names: &[&str]) -> Said<String> {
        let present = names.iter().find(|name| self.fields.contains_key(**name));
        present.map_or(Said::Nothing, |name| self.text(name))
    }

    /// A field read by `parse`.
    pub fn parsed<T, E: Display>(
        &mut self,
        names: &[&str],
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Said<T> {
        let text = match self.text_of(names) {
            Said::Nothing => return Said::Nothing,
            Said::Null => return Said::Null,
            Said::Value(text) => text,
        };
        match parse(&text) {
            Ok(value) => Said::Value(value),
            Err(error) => {
                self.refuse_first(names, &error.to_string());
                Said::Nothing
            }
        }
    }

    /// A field that must be there, unless `held` already gives it.
    pub fn required<T, E: Display>(
        &mut self,
        names: &[&str],
        held: Option<T>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let had_errors = self.errors.len();
        match self.parsed(names, parse) {
            Said::Value(value) => Some(value),
            Said::Null => {
                self.refuse_first(names, "must not be empty");
                None
            }
            Said::Nothing if self.errors.len() > had_errors => None,
            Said::Nothing => {
                if held.is_none() {
                    self.refuse_first(names, "is required");
                }
                held
            }
        }
    }

    /// A field that may be empty; absent leaves what is held.
    pub fn nullable<T, E: Display>(
        &mut self,
        names: &[&str],
        held: Option<T>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match self.parsed(names, parse) {
            Said::Value(value) => Some(value),
            Said::Null => None,
            Said::Nothing => held,
        }
    }

    /// A yes or no; absent or `null` leaves what is held.
    pub fn flag(&mut self, name: &str, held: bool) -> bool {
        match self.parsed(&[name], |text| text.to_ascii_lowercase().parse::<bool>()) {
            Said::Value(value) => value,
            Said::Null | Said::Nothing => held,
        }
    }

    /// A whole number between two bounds, both included.
    pub fn whole(&mut self, name: &str, held: Option<u32>, least: u32, most: u32) -> Option<u32> {
        self.nullable(&[name], held, |text| {
            text.parse::<u32>()
                .ok()
                .filter(|number| (least..=most).contains(number))
                .ok_or_else(|| format!("must be a whole number from {least} to {most}"))
        })
    }

    /// A field of any shape, as JSON.
    pub fn json<T: DeserializeOwned>(&mut self, name: &str, expected: &str) -> Said<T> {
        let Some(raw) = self.fields.get(name) else { return Said::Nothing };
        if raw.get() == "null" {
            return Said::Null;
        }
        match serde_json::from_str(raw.get()) {
            Ok(value) => Said::Value(value),
            Err(_) => {
                self.refuse(name, &format!("must be {expected}"));
                Said::Nothing
            }
        }
    }

    /// A field that holds an object, read as a form of its own; give it back with [`Form::close`].
    pub fn inner(&mut self, name: &str) -> Option<Self> {
        let raw = self.fields.get(name)?;
        let fields = serde_json::from_str(raw.get()).ok()?;
        Some(Self { fields, prefix: format!("{}{name}.", self.prefix), errors: Vec::new() })
    }

    /// Takes over the faults of a form made by [`Form::inner`].
    pub fn close(&mut self, inner: Self) {
        self.errors.extend(inner.errors);
    }

    /// Notes a fault of a field.
    pub fn refuse(&mut self, name: &str, message: &str) {
        self.errors.push(FieldError::new(format!("{}{name}", self.prefix), message));
    }

    /// What was read, if no fault was noted.
    ///
    /// # Errors
    /// All faults of the form.
    pub fn finish<T>(mut self, read: Option<T>) -> Result<T, Fault> {
        if self.errors.is_empty() && read.is_none() {
            self.refuse("body", "is incomplete");
        }
        match read {
            Some(read) if self.errors.is_empty() => Ok(read),
            Some(_) | None => Err(Fault::Fields(self.errors)),
        }
    }

    fn refuse_first(&mut self, names: &[&str], message: &str) {
        let present = names.iter().find(|name| self.fields.contains_key(**name));
        let name = present.or_else(|| names.first()).copied().unwrap_or("body");
        self.refuse(name, message);
    }
}

/// The text of a JSON text, number or boolean; `None` for lists and objects.
fn scalar(raw: &str) -> Option<Said<String>> {
    match raw.bytes().next() {
        Some(b'[' | b'{') | None => None,
        Some(b'n') => Some(Said::Null),
        Some(b'"') => {
            let text: String = serde_json::from_str(raw).ok()?;
            Some(if text.trim().is_empty() { Said::Null } else { Said::Value(text) })
        }
        Some(_) => Some(Said::Value(raw.to_owned())),
    }
}

/// A JSON number with exactly these digits; JSON `null` where the text is none.
#[must_use]
pub fn exact_number(decimal: &str) -> serde_json::Value {
    decimal.parse().map_or(serde_json::Value::Null, serde_json::Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::text::{Code, Line};

    fn faults(result: Result<(), Fault>) -> Vec<(String, String)> {
        let Err(Fault::Fields(errors)) = result else { panic!("no field errors") };
        errors.into_iter().map(|error| (error.field, error.message)).collect()
    }

    #[test]
    fn all_faults_of_a_form_are_told_at_once() {
        let mut form = Form::read(br#"{"code": "a b", "n": 0, "list": []}"#).unwrap();
        form.required(&["code"], None, Code::parse);
        form.required(&["name"], None, Line::parse);
        form.whole("n", None, 1, 5);
        form.text("list");
        let found = faults(form.finish(Some(())));
        let fields: Vec<_> = found.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["code", "name", "n", "list"]);
    }

    #[test]
    fn a_number_keeps_its_digits() {
        let mut form = Form::read(br#"{"price": 90071992547409931.10}"#).unwrap();
        assert_eq!(form.text("price"), Said::Value("90071992547409931.10".into()));
    }

    #[test]
    fn absent_leaves_null_clears_and_a_value_replaces() {
        let mut form = Form::read(br#"{"a": null, "b": "", "c": 7}"#).unwrap();
        assert_eq!(form.whole("a", Some(1), 0, 9), None);
        assert_eq!(form.whole("b", Some(1), 0, 9), None);
        assert_eq!(form.whole("c", Some(1), 0, 9), Some(7));
        assert_eq!(form.whole("d", Some(1), 0, 9), Some(1));
    }

    #[test]
    fn an_empty_body_is_an_empty_form_and_anything_but_an_object_is_refused() {
        assert!(Form::read(b" ").is_ok());
        for body in [b"[]".as_slice(), b"1", b"{", b"{\"a\":1} x", b"\xff"] {
            assert!(Form::read(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn faults_of_an_inner_form_carry_its_path() {
        let mut form = Form::read(br#"{"address": {"city": []}}"#).unwrap();
        let mut inner = form.inner("address").unwrap();
        inner.text("city");
        form.close(inner);
        assert_eq!(faults(form.finish(Some(())))[0].0, "address.city");
    }
}
