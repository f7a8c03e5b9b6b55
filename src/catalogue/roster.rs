//! A roster: customers as lines of CSV, read into what an import takes.
//!
//! The first line names the columns, in any order and case; unknown columns are refused, since a
//! misspelt one would silently lose data. Cells are data and nothing else: one that starts with
//! `=`, `+`, `-` or `@` is taken as it stands, never as a formula. The one rule: a line that cannot
//! be taken is named with its number and does not stop the others.

use jiff::Timestamp;

use super::services;
use crate::base::secret::Secret;
use crate::domain::rate::Rates;
use crate::domain::service::Addresses;
use crate::domain::subscriber::{Address, Category, Standing};
use crate::domain::text::{Code, Email, Line, Phone, Username};

/// One line's customer.
#[derive(Debug, Clone)]
pub struct Row {
    /// The line in the file, from 1; the header is line 1.
    pub line: u64,
    /// Who.
    pub person: Person,
    /// What they have, where the line says so.
    pub service: Option<RowService>,
}

/// Who a line is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The ISP's own number.
    pub customer_number: Option<Code>,
    /// Given name.
    pub first_name: Line,
    /// Family name.
    pub last_name: Line,
    /// E-mail address.
    pub email: Option<Email>,
    /// Telephone number.
    pub phone: Option<Phone>,
    /// Where bills go.
    pub billing_address: Address,
    /// What kind of customer, where the line says so.
    pub category: Option<Category>,
    /// Standing of the account, where the line says so.
    pub standing: Option<Standing>,
}

/// The service of a line's customer.
#[derive(Debug, Clone)]
pub struct RowService {
    /// The plan's code.
    pub plan: String,
    /// The network login.
    pub username: Option<Username>,
    /// Its password.
    pub password: Option<Secret>,
    /// What it has for itself.
    pub own: Own,
}

/// What a service has for itself, in place of its plan's terms or beside them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    /// Fixed addresses, or the pool that they come of.
    pub addresses: Addresses,
    /// Speeds.
    pub rates: Option<Rates>,
    /// Seconds that a session lasts at most.
    pub session_secs: Option<u32>,
    /// Seconds without traffic after which a session ends.
    pub idle_secs: Option<u32>,
    /// Sessions at a time.
    pub device_limit: Option<u32>,
    /// What is paid for already.
    pub paid: Option<PaidTime>,
}

/// Time that was paid for elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaidTime {
    /// From when; from when it is taken in where nobody says.
    pub from: Option<Timestamp>,
    /// The first instant that is not paid any more.
    pub until: Timestamp,
}

/// A line that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Which line, from 1.
    pub line: u64,
    /// Which column; empty for the line as a whole.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// Lines of a roster, one after the other.
pub struct Roster<'a> {
    records: csv::StringRecordsIntoIter<&'a [u8]>,
    columns: Vec<usize>,
    taken: usize,
}

impl std::fmt::Debug for Roster<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Roster").field("taken", &self.taken).finish_non_exhaustive()
    }
}

impl<'a> Roster<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// When there is none, or it names a column that is not known, twice, or not enough of them.
    pub fn read(text: &'a [u8]) -> Result<Self, BadLine> {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let mut reader =
            csv::ReaderBuilder::new().has_headers(true).flexible(true).trim(csv::Trim::All).from_reader(text);
        let header = reader.headers().map_err(|error| bad_header("", &error.to_string()))?;
        let columns = header.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        for (position, known) in columns.iter().enumerate() {
            if columns.iter().skip(position.saturating_add(1)).any(|other| other == known) {
                let name = COLUMNS.get(*known).copied().unwrap_or_default();
                return Err(bad_header(name, "is there twice; keep one of them"));
            }
        }
        let has = |name: &str| columns.iter().any(|known| COLUMNS.get(*known) == Some(&name));
        if !has("customer_number") && !has("email") {
            return Err(bad_header("customer_number", "or email is needed to know each customer again"));
        }
        Ok(Self { records: reader.into_records(), columns, taken: 0 })
    }
}

impl Iterator for Roster<'_> {
    type Item = Result<Row, BadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.records.next()?;
        self.taken = self.taken.saturating_add(1);
        if self.taken > MOST_ROWS {
            // What follows is not even read.
            self.columns.clear();
            self.taken = usize::MAX;
            return None;
        }
        Some(match record {
            Ok(record) => Cells { columns: &self.columns, record: &record }.row(),
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                Err(BadLine { line, field: String::new(), message: format!("is not CSV: {error}") })
            }
        })
    }
}

/// One record seen by column.
struct Cells<'r> {
    columns: &'r [usize],
    record: &'r csv::StringRecord,
}

impl Cells<'_> {
    fn row(&self) -> Result<Row, BadLine> {
        if self.record.len() > self.columns.len() {
            return Err(self.bad("", "has more cells than the header; quote cells that hold a comma"));
        }
        let person = self.person()?;
        if person.customer_number.is_none() && person.email.is_none() {
            return Err(self.bad("customer_number", "or email is needed to know the customer again"));
        }
        Ok(Row { line: self.line(), person, service: self.service()? })
    }

    fn person(&self) -> Result<Person, BadLine> {
        let (first_name, last_name) = match self.cell("name") {
            Some(name) if self.cell("first_name").is_none() => {
                let (first, last) = split_name(name).ok_or_else(|| {
                    self.bad("name", "must be of two words; or give first_name and last_name")
                })?;
                (first, last)
            }
            Some(_) | None => {
                (self.needed("first_name", Line::parse)?, self.needed("last_name", Line::parse)?)
            }
        };
        Ok(Person {
            customer_number: self.parsed("customer_number", Code::parse)?,
            first_name,
            last_name,
            email: self.parsed("email", Email::parse)?,
            phone: self.parsed("phone", Phone::parse)?,
            billing_address: Address {
                street: self.part("street")?,
                city: self.part("city")?,
                state: self.part("state")?,
                zip: self.part("zip")?,
                country: self.part("country")?,
            },
            category: self.parsed("category", |text| {
                super::plan_form::named(text).ok_or("must be residential, business, government or ngo")
            })?,
            standing: self
                .parsed("standing", |text| super::plan_form::named(text).ok_or("must be open or closed"))?,
        })
    }

    fn service(&self) -> Result<Option<RowService>, BadLine> {
        let username = self.parsed("username", Username::parse)?;
        let password = self.parsed("password", services::network_password)?;
        match self.cell("plan_code") {
            Some(plan) => {
                Ok(Some(RowService { plan: plan.to_owned(), username, password, own: Own::default() }))
            }
            None if username.is_some() || password.is_some() => {
                Err(self.bad("plan_code", "is needed where there is a username or a password"))
            }
            None => Ok(None),
        }
    }

    fn cell(&self, name: &str) -> Option<&str> {
        let position = self.columns.iter().position(|known| COLUMNS.get(*known) == Some(&name))?;
        self.record.get(position).filter(|cell| !cell.is_empty())
    }

    fn parsed<T, E: std::fmt::Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, BadLine> {
        self.cell(name)
            .map(|cell| parse(cell).map_err(|error| self.bad(name, &error.to_string())))
            .transpose()
    }

    fn needed<T, E: std::fmt::Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, BadLine> {
        self.parsed(name, parse)?.ok_or_else(|| self.bad(name, "must not be empty"))
    }

    /// A part of an address: a line that may be empty.
    fn part(&self, name: &str) -> Result<String, BadLine> {
        Ok(self.parsed(name, Line::parse)?.map(String::from).unwrap_or_default())
    }

    fn line(&self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
    }

    fn bad(&self, field: &str, message: &str) -> BadLine {
        BadLine { line: self.line(), field: field.to_owned(), message: message.to_owned() }
    }
}

/// Given and family name of a full name: the last word is the family's.
#[must_use]
pub fn split_name(name: &str) -> Option<(Line, Line)> {
    let (first, last) = name.trim().rsplit_once(char::is_whitespace)?;
    Some((Line::parse(first).ok()?, Line::parse(last).ok()?))
}

fn column(name: &str) -> Result<usize, BadLine> {
    let wanted = name.trim().to_lowercase().replace([' ', '-'], "_");
    COLUMNS.iter().position(|known| *known == wanted).ok_or_else(|| {
        bad_header(name, &format!("is no column that is known; they are: {}", COLUMNS.join(", ")))
    })
}

fn bad_header(field: &str, message: &str) -> BadLine {
    BadLine { line: 1, field: field.to_owned(), message: message.to_owned() }
}

/// The columns. `customer_number` or `email` knows a customer again; names are `first_name` and
/// `last_name`, or `name`; `plan_code` makes a service, with `username` and `password` if given.
pub const COLUMNS: [&str; 16] = [
    "customer_number",
    "first_name",
    "last_name",
    "name",
    "email",
    "phone",
    "street",
    "city",
    "state",
    "zip",
    "country",
    "category",
    "standing",
    "plan_code",
    "username",
    "password",
];
/// Most lines of one roster: ten times what one box serves.
pub const MOST_ROWS: usize = 100_000;
/// What spreadsheets write before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<Result<Row, BadLine>> {
        Roster::read(text.as_bytes()).unwrap().collect()
    }

    #[test]
    fn a_bad_line_is_named_and_the_rest_is_read() {
        let text = "customer_number,name,email\nA1,Ada Obi,ada@example.net\nA2,Bola,\nA3,Chi Eze,nobody\nA4,Di Fa,\n";
        let rows = rows(text);
        assert!(rows[0].is_ok() && rows[3].is_ok());
        let bad: Vec<_> = rows.iter().filter_map(|row| row.as_ref().err()).collect();
        assert_eq!((bad[0].line, bad[0].field.as_str()), (3, "name"));
        assert_eq!((bad[1].line, bad[1].field.as_str()), (4, "email"));
    }

    #[test]
    fn a_cell_that_looks_like_a_formula_is_data() {
        let rows = rows("email,name\na@example.net,=cmd|' /C calc'!A0 Obi\n");
        assert_eq!(rows[0].as_ref().unwrap().person.first_name.as_str(), "=cmd|' /C calc'!A0");
    }

    #[test]
    fn a_header_that_is_misspelt_or_cannot_know_customers_again_is_refused() {
        for text in ["", "email,nmae\n", "name,phone\n", "email,email\n"] {
            assert_eq!(Roster::read(text.as_bytes()).unwrap_err().line, 1, "{text:?}");
        }
        assert!(Roster::read(b"\xef\xbb\xbfE-Mail,Name\n".as_slice()).is_err());
        assert!(Roster::read(b"\xef\xbb\xbfEmail,Plan Code\n".as_slice()).is_ok());
    }

    #[test]
    fn a_login_without_a_plan_is_refused() {
        let rows = rows("email,name,username\na@example.net,Ada Obi,ada\n");
        assert_eq!(rows[0].as_ref().unwrap_err().field, "plan_code");
    }
}
