//! What another system's export says, in our words: plans, NAS, customers with their services, balances.
//!
//! Reading only: nothing is written here, and nothing is guessed. What cannot be taken as it was meant is named
//! by its line; what is taken with something left out has a note by its line.
//!
//! | file | from |
//! |---|---|
//! | [`attributes`] | RADIUS attributes of a login or a group |
//! | [`freeradius`] | a dump of FreeRADIUS' tables, with daloRADIUS' beside them |
//! | [`phpnuxbill`] | a dump of phpNuxBill |
//! | [`sheet`] | customers of Splynx or UISP as CSV |
//! | [`sql`] | dumps of MySQL |

mod attributes;
mod freeradius;
mod phpnuxbill;
mod sheet;
mod sql;

use std::collections::BTreeSet;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::fault::Fault;
use super::roster::{BadLine, Own, Person, Row, RowService};
use super::services::network_password;
use crate::base::secret::Secret;
use crate::domain::money::{Currency, Money};
use crate::domain::nas::NasKind;
use crate::domain::subscriber::Address;
use crate::domain::text::{Code, Email, Line, Phone, Username};
use crate::domain::voucher_code::VoucherCode;

/// Where an export comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// FreeRADIUS' SQL tables, with daloRADIUS' where they are there.
    FreeRadius,
    /// phpNuxBill.
    PhpNuxBill,
    /// Splynx' customers as CSV.
    Splynx,
    /// UISP's (UCRM's) clients as CSV.
    Uisp,
}

impl System {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::FreeRadius, Self::PhpNuxBill, Self::Splynx, Self::Uisp];

    /// The name in API, command line and the ledger's sources.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FreeRadius => "freeradius",
            Self::PhpNuxBill => "phpnuxbill",
            Self::Splynx => "splynx",
            Self::Uisp => "uisp",
        }
    }

    /// The system of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// What an export says.
#[derive(Debug, Default)]
pub struct Foreign {
    /// Plans, in the words of the API.
    pub plans: Vec<ForeignPlan>,
    /// NAS.
    pub nas: Vec<ForeignNas>,
    /// Customers with their services, by line.
    pub rows: Vec<Row>,
    /// What customers had, or owed.
    pub balances: Vec<ForeignBalance>,
    /// Vouchers that nobody used.
    pub vouchers: Vec<ForeignVoucher>,
    /// What was left out of lines that are taken.
    pub notes: Vec<BadLine>,
    /// Lines that are not taken.
    pub failed: Vec<BadLine>,
}

/// A plan of an export.
#[derive(Debug, Clone)]
pub struct ForeignPlan {
    /// Where it is in the file.
    pub line: u64,
    /// Its code with us.
    pub code: String,
    /// The plan as the API takes one.
    pub body: Value,
}

/// A NAS of an export.
#[derive(Debug, Clone)]
pub struct ForeignNas {
    /// Where it is in the file.
    pub line: u64,
    /// Its name with us.
    pub name: Code,
    /// Where its requests come from.
    pub address: IpNet,
    /// How replies are phrased.
    pub kind: NasKind,
    /// The secret that it shares.
    pub secret: Option<Secret>,
}

/// A voucher that nobody used.
#[derive(Debug, Clone)]
pub struct ForeignVoucher {
    /// Where it is in the file.
    pub line: u64,
    /// The code of its plan with us.
    pub plan: String,
    /// Its code, which people have on paper.
    pub code: VoucherCode,
}

/// What a customer had, or owed.
#[derive(Debug, Clone)]
pub struct ForeignBalance {
    /// Where it is in the file.
    pub line: u64,
    /// Whose, by our number.
    pub customer_number: Code,
    /// Their id there: a balance is booked once for it.
    pub their_id: String,
    /// Above zero what they had.
    pub amount: Money,
}

/// Reads an export.
///
/// # Errors
/// A field error for a file that is not what it should be as a whole.
pub fn read(system: System, file: &[u8], currency: Currency, zone: &TimeZone) -> Result<Foreign, Fault> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let text = std::str::from_utf8(file).map_err(|error| {
        let line = file.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count();
        let line = line.saturating_add(1);
        Fault::field("body", format!("is not UTF-8 on line {line}; export it as UTF-8 (utf8mb4)"))
    })?;
    let read = match system {
        System::FreeRadius => freeradius::read(text, currency, zone),
        System::PhpNuxBill => phpnuxbill::read(text, currency, zone),
        System::Splynx | System::Uisp => sheet::read(text, currency),
    };
    let mut foreign =
        read.map_err(|bad| Fault::field("body", format!("line {}: {}", bad.line, bad.message)))?;
    foreign.rows.sort_by_key(|row| row.line);
    foreign.keep_one_of_each_code();
    Ok(foreign)
}

impl Foreign {
    /// Two names that lead to one code would make one plan of two: the second is not taken.
    fn keep_one_of_each_code(&mut self) {
        let mut seen = BTreeSet::new();
        let (kept, again): (Vec<_>, Vec<_>) = std::mem::take(&mut self.plans)
            .into_iter()
            .partition(|plan| seen.insert(plan.code.to_lowercase()));
        self.plans = kept;
        for plan in again {
            self.fail(
                plan.line,
                "plan",
                format!("leads to the code {:?}, as another does; rename it", plan.code),
            );
        }
    }

    fn fail(&mut self, line: u64, field: &str, message: impl Into<String>) {
        self.failed.push(BadLine { line, field: field.to_owned(), message: message.into() });
    }

    fn note(&mut self, line: u64, field: &str, message: impl Into<String>) {
        self.notes.push(BadLine { line, field: field.to_owned(), message: message.into() });
    }

    /// A customer from loose facts, with a note for each that cannot be taken.
    fn person(&mut self, line: u64, facts: &Facts<'_>) -> Option<Person> {
        let mut optional = |field: &str, said: Option<&str>, fault: Option<String>| {
            if let (Some(said), Some(fault)) = (said, fault) {
                self.note(line, field, format!("{said:?} {fault}; it was left out"));
            }
        };
        let email = facts.email.map(|text| Email::parse(text).map_err(|error| error.to_string()));
        optional("email", facts.email, email.as_ref().and_then(|one| one.as_ref().err().cloned()));
        let phone = facts.phone.map(|text| Phone::parse(text).map_err(|error| error.to_string()));
        optional("phone", facts.phone, phone.as_ref().and_then(|one| one.as_ref().err().cloned()));
        let Some((first_name, last_name)) = facts.names() else {
            self.fail(line, "name", "cannot be taken as a name");
            return None;
        };
        Some(Person {
            customer_number: Some(facts.number.clone()),
            first_name,
            last_name,
            email: email.and_then(Result::ok),
            phone: phone.and_then(Result::ok),
            billing_address: Address {
                street: one_line(facts.street),
                city: one_line(facts.city),
                state: one_line(facts.state),
                zip: one_line(facts.zip),
                country: one_line(facts.country),
            },
            category: None,
            standing: None,
        })
    }

    /// The service of a customer: a password that cannot be taken is noted, and another is made.
    fn service(
        &mut self,
        line: u64,
        plan: &str,
        (username, password): (Username, Option<&str>),
        own: Own,
    ) -> RowService {
        let password = password.and_then(|text| match network_password(text) {
            Ok(password) => Some(password),
            Err(fault) => {
                self.note(line, "password", format!("{fault}; another one is made"));
                None
            }
        });
        RowService { plan: plan.to_owned(), username: Some(username), password, own }
    }
}

/// What an export says about a person, as it stands there.
struct Facts<'f> {
    number: Code,
    /// What they are called where nothing else is said.
    fallback: &'f str,
    first: Option<&'f str>,
    last: Option<&'f str>,
    full: Option<&'f str>,
    email: Option<&'f str>,
    phone: Option<&'f str>,
    street: Option<&'f str>,
    city: Option<&'f str>,
    state: Option<&'f str>,
    zip: Option<&'f str>,
    country: Option<&'f str>,
}

impl<'f> Facts<'f> {
    fn of(number: Code, fallback: &'f str) -> Self {
        Self {
            number,
            fallback,
            first: None,
            last: None,
            full: None,
            email: None,
            phone: None,
            street: None,
            city: None,
            state: None,
            zip: None,
            country: None,
        }
    }

    /// Given and family name. A person of one name has it as both: a name is never made up.
    fn names(&self) -> Option<(Line, Line)> {
        let (first, last) = (one_line(self.first), one_line(self.last));
        let full = one_line(self.full);
        let (first, last) = match (first.is_empty(), last.is_empty()) {
            (false, false) => (first, last),
            (false, true) => (first.clone(), first),
            (true, false) => (last.clone(), last),
            (true, true) => match full.rsplit_once(' ') {
                Some((first, last)) => (first.trim().to_owned(), last.to_owned()),
                None if full.is_empty() => (one_line(Some(self.fallback)), one_line(Some(self.fallback))),
                None => (full.clone(), full),
            },
        };
        name_of(&first).zip(name_of(&last))
    }
}

/// A text as one line: breaks and control symbols become spaces.
fn one_line(text: Option<&str>) -> String {
    let plain: String =
        text.unwrap_or_default().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<_> = plain.split_whitespace().collect();
    words.join(" ").chars().take(MOST_LINE).collect::<String>().trim().to_owned()
}

/// A name that nobody gave is a dash.
fn name_of(text: &str) -> Option<Line> {
    Line::parse(if text.is_empty() { "-" } else { text }).ok()
}

/// A code of ours for a name of theirs: the name where it is one, else its letters and digits with a mark of the
/// whole name, so that two names never lead to one code, and the same name always to the same.
fn code_for(name: &str) -> Result<Code, String> {
    if let Ok(code) = Code::parse(name) {
        return Ok(code);
    }
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let words: Vec<_> = plain.split('-').filter(|word| !word.is_empty()).collect();
    let short: String = words.join("-").chars().take(MOST_CODE_WORDS).collect();
    let mark: String = Sha256::digest(name).iter().take(3).map(|octet| format!("{octet:02x}")).collect();
    let text = if short.is_empty() { mark } else { format!("{short}-{mark}") };
    Code::parse(&text).map_err(|error| error.to_string())
}

/// Longest line taken over from a text of many.
const MOST_LINE: usize = 120;
/// Symbols of a name in its code, before the mark.
const MOST_CODE_WORDS: usize = 24;
