//! FreeRADIUS' tables, with daloRADIUS' where they are there.
//!
//! A login is a customer with a service; its group, or its billing plan, is the plan. What the login's own attributes
//! say is the service's own (`attributes`). The one rule: a password is
//! taken over only where it is there in clear; of a hash no service here could answer CHAP.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde_json::json;

use super::sql::{self, Record, Tables};
use super::{Facts, Foreign, ForeignNas, ForeignPlan, attributes, code_for};
use crate::base::secret::Secret;
use crate::catalogue::roster::{BadLine, Own, Row};
use crate::domain::money::Currency;
use crate::domain::nas::NasKind;
use crate::domain::text::Username;

pub(super) fn read(text: &str, currency: Currency, zone: &TimeZone) -> Result<Foreign, BadLine> {
    let tables = sql::tables(text, TABLES)?;
    let mut foreign = Foreign::default();
    let (codes, groups) = plans(&mut foreign, &tables, (currency, zone));
    for record in rows(&tables, "nas") {
        nas(&mut foreign, record);
    }
    for (login, user) in users(&tables) {
        customer(&mut foreign, &login, &user, (&codes, &groups), zone);
    }
    Ok(foreign)
}

fn rows<'t>(tables: &'t Tables, name: &str) -> &'t [Record] {
    tables.get(name).map_or(&[], Vec::as_slice)
}

/// What the tables say about one login.
#[derive(Default)]
struct User<'t> {
    line: u64,
    checks: Vec<&'t Record>,
    replies: Vec<&'t Record>,
    /// Priority and name.
    groups: Vec<(u64, &'t str)>,
    info: Option<&'t Record>,
    plan: Option<&'t str>,
}

fn users(tables: &Tables) -> BTreeMap<String, User<'_>> {
    let mut users = BTreeMap::<String, User<'_>>::new();
    for table in ["radcheck", "userinfo", "radusergroup", "userbillinfo", "radreply"] {
        for record in rows(tables, table) {
            let Some(login) = record.get("username") else { continue };
            let user = users.entry(login.to_owned()).or_default();
            if user.line == 0 {
                user.line = record.line;
            }
            match table {
                "radcheck" => user.checks.push(record),
                "radreply" => user.replies.push(record),
                "userinfo" => user.info = Some(record),
                "userbillinfo" => user.plan = record.get("planname"),
                _ => {
                    let priority = record.get("priority").and_then(|text| text.parse().ok()).unwrap_or(1);
                    user.groups.extend(record.get("groupname").map(|group| (priority, group)));
                }
            }
        }
    }
    users
}

/// Plans by their name there: groups with a speed, and daloRADIUS' billing plans.
fn plans(
    foreign: &mut Foreign,
    tables: &Tables,
    (currency, zone): (Currency, &TimeZone),
) -> (BTreeMap<String, String>, BTreeMap<String, Own>) {
    let (mut codes, mut owns) = (BTreeMap::new(), BTreeMap::new());
    let mut groups = BTreeMap::<&str, (u64, Vec<&Record>)>::new();
    for record in rows(tables, "radgroupreply").iter().chain(rows(tables, "radgroupcheck")) {
        let Some(group) = record.get("groupname") else { continue };
        groups.entry(group).or_insert((record.line, Vec::new())).1.push(record);
    }
    for (group, (line, attributes)) in groups {
        owns.insert(group.to_owned(), attributes::own(foreign, group, &attributes, zone));
        let said = |name: &str| {
            let found = attributes
                .iter()
                .find(|one| one.get("attribute").is_some_and(|it| it.eq_ignore_ascii_case(name)));
            found.and_then(|one| one.get("value"))
        };
        let rates = said("Mikrotik-Rate-Limit").and_then(attributes::mikrotik).or_else(|| {
            said("WISPr-Bandwidth-Max-Down")?.parse().ok().zip(said("WISPr-Bandwidth-Max-Up")?.parse().ok())
        });
        let Some((down, up)) = rates else {
            foreign.fail(
                line,
                "groupname",
                format!("the group {group:?} says no speed; make its plan by hand"),
            );
            continue;
        };
        let devices = said("Simultaneous-Use").and_then(|text| text.parse::<u32>().ok()).unwrap_or(1);
        let body = json!({
            "name": group, "price": "0", "download_bps": down, "upload_bps": up, "is_public": false,
            "device_limit": devices.clamp(1, 100),
            "session_timeout_seconds": said("Session-Timeout").and_then(|text| text.parse::<u64>().ok()),
            "idle_timeout_seconds": said("Idle-Timeout").and_then(|text| text.parse::<u64>().ok()),
        });
        foreign.note(
            line,
            "groupname",
            format!("the plan {group:?} has no price there: it costs 0 and is not public"),
        );
        add(foreign, &mut codes, line, group, body);
    }
    for record in rows(tables, "billing_plans") {
        billing_plan(foreign, &mut codes, record, currency);
    }
    (codes, owns)
}

fn billing_plan(
    foreign: &mut Foreign,
    codes: &mut BTreeMap<String, String>,
    record: &Record,
    currency: Currency,
) {
    let line = record.line;
    let Some(name) = record.get("planname").filter(|name| !codes.contains_key(*name)) else { return };
    if record.get("plancurrency").is_some_and(|code| !code.eq_ignore_ascii_case(currency.code())) {
        return foreign.fail(line, "planCurrency", format!("the plan {name:?} is not in {currency}"));
    }
    let bits =
        |column: &str| record.get(column).and_then(|text| text.parse::<u64>().ok()).filter(|bits| *bits > 0);
    let Some((down, up)) = bits("planbandwidthdown").zip(bits("planbandwidthup")) else {
        return foreign.fail(
            line,
            "planBandwidthDown",
            format!("the plan {name:?} says no speed; make it by hand"),
        );
    };
    let body = json!({
        "name": name, "price": record.get("plancost").unwrap_or("0"), "download_bps": down, "upload_bps": up,
        "is_active": record.get("planactive").is_none_or(|text| text == "yes"), "is_public": false,
    });
    add(foreign, codes, line, name, body);
}

fn add(
    foreign: &mut Foreign,
    codes: &mut BTreeMap<String, String>,
    line: u64,
    name: &str,
    mut body: serde_json::Value,
) {
    let code = match code_for(name) {
        Ok(code) => code.to_string(),
        Err(fault) => return foreign.fail(line, "groupname", fault),
    };
    if let Some(body) = body.as_object_mut() {
        body.insert("code".to_owned(), code.clone().into());
        body.retain(|_, value| !value.is_null());
    }
    codes.insert(name.to_owned(), code.clone());
    foreign.plans.push(ForeignPlan { line, code, body });
}

fn nas(foreign: &mut Foreign, record: &Record) {
    let line = record.line;
    let Some(address) = record.get("nasname") else { return };
    let network = address.parse().or_else(|_| address.parse::<std::net::IpAddr>().map(ipnet::IpNet::from));
    let Ok(network) = network else {
        return foreign.fail(line, "nasname", format!("{address:?} is neither an address nor a network"));
    };
    let name = match code_for(record.get("shortname").unwrap_or(address)) {
        Ok(name) => name,
        Err(fault) => return foreign.fail(line, "shortname", fault),
    };
    let kind = match record.get("type").unwrap_or_default().to_lowercase().as_str() {
        "mikrotik" => NasKind::Mikrotik,
        "cisco" => NasKind::Cisco,
        _ => NasKind::Generic,
    };
    let secret = record.get("secret").map(Secret::from_text);
    foreign.nas.push(ForeignNas { line, name, address: network, kind, secret });
}

fn customer(
    foreign: &mut Foreign,
    login: &str,
    user: &User<'_>,
    (codes, groups): (&BTreeMap<String, String>, &BTreeMap<String, Own>),
    zone: &TimeZone,
) {
    let line = user.line;
    let username = match Username::parse(login) {
        Ok(username) => username,
        Err(fault) => return foreign.fail(line, "username", format!("{login:?} {fault}")),
    };
    let number = match code_for(login) {
        Ok(number) => number,
        Err(fault) => return foreign.fail(line, "username", fault),
    };
    let said = |name: &str| {
        let is = |one: &&&Record| one.get("attribute").is_some_and(|it| it.eq_ignore_ascii_case(name));
        user.checks.iter().find(is).and_then(|one| one.get("value"))
    };
    let password = said("Cleartext-Password").or_else(|| said("User-Password"));
    let passed = said("Auth-Type").is_some_and(|text| text.eq_ignore_ascii_case("accept"));
    if password.is_none() && passed {
        let text = "is let in without a password there (Auth-Type := Accept); enter it as a device by hand";
        return foreign.fail(line, "username", text);
    }
    let hash = |one: &&&Record| one.get("attribute").is_some_and(attributes::is_hash);
    if password.is_none()
        && let Some(hash) = user.checks.iter().find(hash)
    {
        let name = hash.get("attribute").unwrap_or_default();
        foreign.note(
            hash.line,
            "password",
            format!("of {login:?} is there as {name} only; another one is made"),
        );
    }
    let said: Vec<_> = user.checks.iter().chain(&user.replies).copied().collect();
    let own = attributes::own(foreign, login, &said, zone);
    let Some(person) = foreign.person(line, &facts(number, login, user)) else { return };
    let group = user.groups.iter().min_by_key(|(priority, _)| *priority).map(|(_, group)| *group);
    let named = user.plan.filter(|plan| codes.contains_key(*plan)).or(group).or(user.plan);
    let service = named.map(|name| {
        let code = codes.get(name).map_or(name, String::as_str);
        let of_group = group.and_then(|group| groups.get(group)).cloned().unwrap_or_default();
        let own = own.clone().over(&of_group);
        foreign.service(line, code, (username, password), own)
    });
    if service.is_none() {
        foreign.note(
            line,
            "groupname",
            format!("{login:?} has no group and no plan: a customer without a service"),
        );
    }
    foreign.rows.push(Row { line, person, service });
}

fn facts<'f>(number: crate::domain::text::Code, login: &'f str, user: &User<'f>) -> Facts<'f> {
    let mut facts = Facts::of(number, login);
    let Some(info) = user.info else { return facts };
    (facts.first, facts.last) = (info.get("firstname"), info.get("lastname"));
    facts.full = info.get("company");
    facts.email = info.get("email");
    facts.phone = info.get("mobilephone").or_else(|| info.get("homephone")).or_else(|| info.get("workphone"));
    (facts.street, facts.city, facts.state) = (info.get("address"), info.get("city"), info.get("state"));
    (facts.zip, facts.country) = (info.get("zip"), info.get("country"));
    facts
}

const TABLES: &[&str] = &[
    "radcheck",
    "radreply",
    "radgroupcheck",
    "radgroupreply",
    "radusergroup",
    "nas",
    "userinfo",
    "userbillinfo",
    "billing_plans",
];
