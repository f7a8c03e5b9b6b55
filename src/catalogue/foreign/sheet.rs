//! Customers of Splynx or UISP as CSV, as their export writes them.
//!
//! Columns are known by their headings, whatever their order; others are passed over. The one rule: a customer is
//! known again by their id there.

use super::{Facts, Foreign, ForeignBalance, code_for};
use crate::catalogue::roster::{BadLine, Own, Row};
use crate::domain::money::{Currency, Money};
use crate::domain::text::Username;

pub(super) fn read(text: &str, currency: Currency) -> Result<Foreign, BadLine> {
    let first = text.lines().next().unwrap_or_default();
    let delimiter = if first.matches(';').count() > first.matches(',').count() { b';' } else { b',' };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
    let bad = |line: u64, message: String| BadLine { line, field: String::new(), message };
    let header = reader.headers().map_err(|error| bad(1, format!("is not CSV: {error}")))?;
    let names: Vec<String> = header.iter().map(heading).collect();
    if !names.iter().any(|name| ID.contains(&name.as_str())) {
        return Err(bad(1, "no column is called ID; export the list of customers with it".to_owned()));
    }
    let mut foreign = Foreign::default();
    for record in reader.records() {
        match record {
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                customer(&mut foreign, line, &Cells { names: &names, record: &record }, currency);
            }
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                foreign.fail(line, "", format!("is not CSV: {error}"));
            }
        }
    }
    Ok(foreign)
}

/// Letters and digits of a heading, in lower case: `Full name` and `full_name` are one.
fn heading(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>().to_ascii_lowercase()
}

struct Cells<'r> {
    names: &'r [String],
    record: &'r csv::StringRecord,
}

impl<'r> Cells<'r> {
    fn first(&self, wanted: &[&str]) -> Option<&'r str> {
        let said = |name: &&str| {
            let place = self.names.iter().position(|known| known == *name)?;
            self.record.get(place).map(str::trim).filter(|text| !text.is_empty())
        };
        wanted.iter().find_map(said)
    }
}

fn customer(foreign: &mut Foreign, line: u64, cells: &Cells<'_>, currency: Currency) {
    let Some(id) = cells.first(ID) else {
        return foreign.fail(line, "ID", "is needed to know the customer again");
    };
    let number = match code_for(id) {
        Ok(number) => number,
        Err(fault) => return foreign.fail(line, "ID", fault),
    };
    let mut facts = Facts::of(number.clone(), id);
    (facts.first, facts.last) = (cells.first(&["firstname"]), cells.first(&["lastname"]));
    facts.full = cells.first(&["fullname", "name", "companyname", "company"]);
    facts.email = cells.first(&["email", "contactemail", "billingemail"]);
    facts.phone = cells.first(&["phonenumber", "phone", "contactphone"]);
    facts.street = cells.first(&["street1", "street", "address", "fulladdress"]);
    (facts.city, facts.state) = (cells.first(&["city"]), cells.first(&["state"]));
    (facts.zip, facts.country) = (cells.first(&["zipcode", "zip"]), cells.first(&["country"]));
    let Some(person) = foreign.person(line, &facts) else { return };
    let plan = cells.first(&["tariff", "internettariff", "plan", "serviceplan"]);
    let login = cells.first(&["servicelogin", "login", "username"]);
    let service = match (plan, login.map(Username::parse)) {
        (Some(plan), Some(Ok(login))) => match code_for(plan) {
            Ok(code) => Some(foreign.service(
                line,
                code.as_str(),
                (login, cells.first(&["servicepassword", "password"])),
                Own::default(),
            )),
            Err(fault) => return foreign.fail(line, "tariff", fault),
        },
        (Some(_), Some(Err(fault))) => return foreign.fail(line, "login", fault.to_string()),
        (Some(_), None) => return foreign.fail(line, "login", "is needed where there is a tariff"),
        (None, _) => None,
    };
    foreign.rows.push(Row { line, person, service });
    let Some(balance) = cells.first(&["accountbalance", "balance", "deposit"]) else { return };
    match Money::parse(balance, currency) {
        Ok(amount) if amount.minor == 0 => {}
        Ok(amount) => foreign.balances.push(ForeignBalance {
            line,
            customer_number: number,
            their_id: id.to_owned(),
            amount,
        }),
        Err(fault) => foreign.fail(line, "balance", format!("{balance:?}: {fault}")),
    }
}

/// Headings of a customer's id.
const ID: &[&str] = &["id", "customerid", "clientid"];
