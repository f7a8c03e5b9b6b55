//! phpNuxBill's tables.
//!
//! A customer with a package that is on has a service, paid until the package ends; their balance is what their wallet
//! opens with, and a voucher that nobody used is one of ours under the code that is printed on it. The one rule: no
//! code is told in a note, since whoever reads it could use it.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::json;

use super::sql::{self, Record, Tables};
use super::{Facts, Foreign, ForeignBalance, ForeignPlan, ForeignVoucher, code_for};
use crate::catalogue::roster::{BadLine, Own, PaidTime, Row};
use crate::domain::money::{Currency, Money};
use crate::domain::text::Username;
use crate::domain::voucher_code::{FEWEST_FOREIGN, MOST_FOREIGN, VoucherCode};

pub(super) fn read(text: &str, currency: Currency, zone: &TimeZone) -> Result<Foreign, BadLine> {
    let tables = sql::tables(text, TABLES)?;
    let mut foreign = Foreign::default();
    let codes = plans(&mut foreign, &tables);
    let mut packages = BTreeMap::new();
    for record in rows(&tables, "tbl_user_recharges").filter(|one| one.get("status") == Some("on")) {
        packages.insert(record.get("username").unwrap_or_default(), record);
    }
    for record in rows(&tables, "tbl_customers") {
        customer(&mut foreign, record, &codes, &packages, (currency, zone));
    }
    for record in rows(&tables, "tbl_voucher").filter(|one| one.get("status") == Some("0")) {
        voucher(&mut foreign, record, &codes);
    }
    Ok(foreign)
}

fn voucher(foreign: &mut Foreign, record: &Record, plans: &BTreeMap<String, String>) {
    let line = record.line;
    let Some(plan) = record.get("id_plan").and_then(|id| plans.get(id)) else {
        return foreign.fail(
            line,
            "id_plan",
            "the voucher's plan was not taken; make its plan, and a card of ours",
        );
    };
    let Some(code) = record.get("code").and_then(VoucherCode::foreign) else {
        let text = format!(
            "the voucher's code is not one of {FEWEST_FOREIGN} to {MOST_FOREIGN} letters and digits; give a card of ours"
        );
        return foreign.fail(line, "code", text);
    };
    foreign.vouchers.push(ForeignVoucher { line, plan: plan.clone(), code });
}

/// From when until when a package is paid, by the site's clock.
fn paid(package: &Record, zone: &TimeZone) -> Option<PaidTime> {
    let moment = |day: &str, time: &str| {
        let text = format!("{}T{}", package.get(day)?, package.get(time).unwrap_or("00:00:00"));
        text.parse::<DateTime>().ok()?.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
    };
    let from = moment("recharged_on", "recharged_time");
    Some(PaidTime { from, until: moment("expiration", "time")? })
}

fn rows<'t>(tables: &'t Tables, name: &str) -> impl Iterator<Item = &'t Record> {
    tables.get(name).into_iter().flatten()
}

fn plans(foreign: &mut Foreign, tables: &Tables) -> BTreeMap<String, String> {
    let speeds: BTreeMap<_, _> =
        rows(tables, "tbl_bandwidth").filter_map(|one| Some((one.get("id")?, one))).collect();
    let mut codes = BTreeMap::new();
    for record in rows(tables, "tbl_plans").filter(|one| one.get("type") != Some("Balance")) {
        let (line, name) = (record.line, record.get("name_plan").unwrap_or_default());
        let speed = record.get("id_bw").and_then(|id| speeds.get(id));
        let Some((down, up)) = speed.and_then(|one| bits(one, "rate_down").zip(bits(one, "rate_up"))) else {
            foreign.fail(line, "id_bw", format!("the plan {name:?} says no speed; make it by hand"));
            continue;
        };
        let code = match code_for(name) {
            Ok(code) => code.to_string(),
            Err(fault) => {
                foreign.fail(line, "name_plan", fault);
                continue;
            }
        };
        let mut body = json!({
            "code": code, "name": name, "price": record.get("price"), "download_bps": down, "upload_bps": up,
            "is_active": record.get("enabled") != Some("0"), "billing_mode": "prepaid",
            "device_limit": record.get("shared_users").and_then(|text| text.parse::<u32>().ok()).unwrap_or(1).clamp(1, 100),
        });
        let facts = [validity(record), allowance(record)].into_iter().flatten();
        if let Some(body) = body.as_object_mut() {
            body.extend(facts.map(|(field, value)| (field.to_owned(), value.into())));
        }
        if record.get("typebp") == Some("Limited") && record.get("limit_type") != Some("Data_Limit") {
            foreign.note(
                line,
                "limit_type",
                format!("the limit of time of {name:?} is not taken over; set it on the plan"),
            );
        }
        codes.insert(record.get("id").unwrap_or_default().to_owned(), code.clone());
        foreign.plans.push(ForeignPlan { line, code, body });
    }
    codes
}

fn bits(speed: &Record, column: &str) -> Option<u64> {
    let scale = match speed.get(&format!("{column}_unit"))? {
        "Kbps" => 1_000,
        "Mbps" => 1_000_000,
        _ => return None,
    };
    speed.get(column)?.parse::<u64>().ok()?.checked_mul(scale).filter(|bits| *bits > 0)
}

fn validity(record: &Record) -> Option<(&'static str, String)> {
    let field = match record.get("validity_unit")? {
        "Mins" => "validity_minutes",
        "Hrs" => "validity_hours",
        "Days" => "validity_days",
        "Months" | "Period" => "validity_months",
        _ => return None,
    };
    Some((field, record.get("validity")?.to_owned()))
}

/// In GB, exactly.
fn allowance(record: &Record) -> Option<(&'static str, String)> {
    let limited = record.get("typebp") == Some("Limited") && record.get("limit_type") != Some("Time_Limit");
    let amount: u64 = record.get("data_limit").filter(|_| limited)?.parse().ok()?;
    let text = match record.get("data_unit")? {
        "GB" => amount.to_string(),
        "MB" => format!("{}.{:03}", amount / 1_000, amount % 1_000),
        _ => return None,
    };
    Some(("data_allowance", text))
}

fn customer(
    foreign: &mut Foreign,
    record: &Record,
    codes: &BTreeMap<String, String>,
    packages: &BTreeMap<&str, &Record>,
    (currency, zone): (Currency, &TimeZone),
) {
    let (line, login) = (record.line, record.get("username").unwrap_or_default());
    let (username, number) = match (Username::parse(login), code_for(login)) {
        (Ok(username), Ok(number)) => (username, number),
        (Err(fault), _) => return foreign.fail(line, "username", format!("{login:?} {fault}")),
        (_, Err(fault)) => return foreign.fail(line, "username", fault),
    };
    let mut facts = Facts::of(number.clone(), login);
    facts.full = record.get("fullname");
    facts.street = record.get("address");
    // What the form there writes where nothing was said.
    facts.email = record.get("email").filter(|text| *text != "1");
    facts.phone = record.get("phonenumber").filter(|text| *text != "0");
    let Some(person) = foreign.person(line, &facts) else { return };
    let package = packages.get(login);
    let paid = package.and_then(|one| paid(one, zone));
    if let (Some(package), None) = (package, paid) {
        let text = format!("until when {login:?} has paid is no day and time; enter it on the service");
        foreign.note(package.line, "expiration", text);
    }
    let service = package.and_then(|one| codes.get(one.get("plan_id")?)).map(|code| {
        let password = record.get("pppoe_password").or_else(|| record.get("password"));
        foreign.service(line, code, (username, password), Own { paid, ..Own::default() })
    });
    foreign.rows.push(Row { line, person, service });
    match record.get("balance").map(|text| Money::parse(text, currency)).transpose() {
        Ok(None) => {}
        Ok(Some(amount)) if amount.minor == 0 => {}
        Ok(Some(amount)) => foreign.balances.push(ForeignBalance {
            line,
            customer_number: number,
            their_id: record.get("id").unwrap_or(login).to_owned(),
            amount,
        }),
        Err(fault) => foreign.fail(line, "balance", fault.to_string()),
    }
}

const TABLES: &[&str] = &["tbl_customers", "tbl_plans", "tbl_bandwidth", "tbl_voucher", "tbl_user_recharges"];
