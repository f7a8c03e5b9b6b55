//! Plans from JSON: the border where GB, Mbit/s and decimal prices become octets, bits a second
//! and minor units, and back, exactly.
//!
//! The one rule: what does not fit exactly is refused with the field's name; nothing is rounded.

use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::form::{Form, Said, exact_number};
use super::plans::PlanWish;
use crate::domain::entitlement::MAX_SESSION_SECS;
use crate::domain::money::{Currency, Money};
use crate::domain::plan::{MAX_DEVICE_LIMIT, Plan, PlanTerms, ServiceType, Validity, ValidityUnit};
use crate::domain::rate::{BandwidthUnit, BitsPerSecond, Download, Rates, Upload};
use crate::domain::text::{Code, Line, TextError};

/// Reads a plan; over `held`, only the fields that are there differ from it.
///
/// # Errors
/// All faults of the form.
pub fn read(mut form: Form, held: Option<&Plan>, currency: Currency) -> Result<PlanWish, Fault> {
    let code = form.required(&["plan_code", "code"], held.map(|plan| plan.code.clone()), Code::parse);
    let is_active = form.flag("is_active", held.is_none_or(|plan| plan.is_active));
    let is_public = form.flag("is_public", held.is_none_or(|plan| plan.is_public));
    let terms = terms(&mut form, held.map(|plan| &plan.terms), currency);
    let wish = code.zip(terms).map(|(code, terms)| PlanWish { code, is_active, is_public, terms });
    form.finish(wish)
}

fn terms(form: &mut Form, held: Option<&PlanTerms>, currency: Currency) -> Option<PlanTerms> {
    currency_must_be(form, currency);
    let name = form.required(&["name"], held.map(|terms| terms.name.clone()), Line::parse);
    let description = form.nullable(&["description"], held.and_then(|t| t.description.clone()), prose);
    let monthly_price = form
        .required(&["monthly_price", "price"], held.map(|t| t.monthly_price), |text| price(text, currency));
    let service_type = service_type(form, held);
    let rates = rates(form, held.map(|terms| terms.rates));
    let validity = validity(form, held.and_then(|terms| terms.validity));
    let months = |form: &mut Form, name: &str, held: Option<u32>| form.whole(name, held, 0, MOST_MONTHS);
    let min_contract_months = months(form, "min_contract_months", held.and_then(|t| t.min_contract_months));
    let max_contract_months = months(form, "max_contract_months", held.and_then(|t| t.max_contract_months));
    if min_contract_months.zip(max_contract_months).is_some_and(|(min, max)| min > max) {
        form.refuse("max_contract_months", "must not be below min_contract_months");
    }
    Some(PlanTerms {
        version: held.map_or(1, |terms| terms.version),
        setup_fee: fee(form, "setup_fee", held.map(|terms| terms.setup_fee), currency),
        cancellation_fee: fee(form, "cancellation_fee", held.map(|t| t.cancellation_fee), currency),
        data_allowance: form.nullable(&["data_allowance"], held.and_then(|t| t.data_allowance), gigabytes),
        device_limit: form
            .whole("device_limit", held.map(|terms| terms.device_limit), 1, MAX_DEVICE_LIMIT)
            .unwrap_or(1),
        session_limit_secs: seconds(form, "session_timeout_seconds", held.and_then(|t| t.session_limit_secs)),
        idle_limit_secs: seconds(form, "idle_timeout_seconds", held.and_then(|t| t.idle_limit_secs)),
        requires_approval: form.flag("requires_approval", held.is_some_and(|t| t.requires_approval)),
        confirmation_access_minutes: form.whole(
            "confirmation_access_minutes",
            held.and_then(|terms| terms.confirmation_access_minutes),
            1,
            MOST_CONFIRMATION_MINUTES,
        ),
        billing: super::billing_form::read(form, held.map(|terms| &terms.billing)),
        usage: super::usage_form::read(form, held.map(|terms| &terms.usage), currency),
        features: features(form, held),
        name: name?,
        description,
        service_type: service_type?,
        monthly_price: monthly_price?,
        rates: rates?,
        validity,
        min_contract_months,
        max_contract_months,
    })
}

fn currency_must_be(form: &mut Form, currency: Currency) {
    form.parsed(&["currency"], |text| {
        if text == currency.code() {
            Ok(())
        } else {
            Err(format!("must be {currency}, the currency of this site; leave it out"))
        }
    });
}

pub(super) fn price(text: &str, currency: Currency) -> Result<Money, String> {
    let money = Money::parse(text, currency).map_err(|error| error.to_string())?;
    if money.minor < 0 { Err("must not be below zero".into()) } else { Ok(money) }
}

fn fee(form: &mut Form, name: &str, held: Option<Money>, currency: Currency) -> Money {
    let zero = Money::zero(currency);
    form.nullable(&[name], Some(held.unwrap_or(zero)), |text| price(text, currency)).unwrap_or(zero)
}

fn service_type(form: &mut Form, held: Option<&PlanTerms>) -> Option<ServiceType> {
    let held = held.map_or(ServiceType::Internet, |terms| terms.service_type);
    form.required(&["service_type", "type"], Some(held), |text| {
        named::<ServiceType>(text)
            .ok_or("must be one of internet, phone, tv, bundle, hosting, cloud, managed_services")
    })
}

/// Speeds are given in `bandwidth_unit` (Mbit/s unless said), or exactly as `download_bps` and
/// `upload_bps`. A change of one speed alone is read in the unit that the plan is shown in.
fn rates(form: &mut Form, held: Option<Rates>) -> Option<Rates> {
    let shown = held.map_or(BandwidthUnit::Mbps, unit_for);
    let unit = form.required(&["bandwidth_unit"], Some(shown), |text| {
        named::<BandwidthUnit>(text).ok_or("must be one of kbps, mbps, gbps")
    })?;
    if form.has(&["bandwidth_unit"]) && unit != shown && !form.has(&SPEEDS) && held.is_some() {
        form.refuse("bandwidth_unit", "give download_speed and upload_speed together with a new unit");
    }
    let mut rate = |names: [&str; 2], held: Option<BitsPerSecond>| {
        let in_bits = form.has(&names[1..]);
        form.required(&names, held, |text| {
            let parsed = if in_bits { bits(text) } else { BitsPerSecond::in_unit(text, unit) };
            parsed.map_err(|error| error.to_string())
        })
    };
    let down = rate(["download_speed", "download_bps"], held.map(|rates| rates.down.0));
    let up = rate(["upload_speed", "upload_bps"], held.map(|rates| rates.up.0));
    Some(Rates { down: Download(down?), up: Upload(up?) })
}

pub(super) fn bits(text: &str) -> Result<BitsPerSecond, crate::domain::rate::RateError> {
    let bits = text.parse().map_err(|_| crate::domain::rate::RateError::Fraction)?;
    BitsPerSecond::new(bits)
}

/// `validity {count, unit}`, or one of `validity_minutes`, `_hours`, `_days`, `_weeks`, `_months`, `_years`.
fn validity(form: &mut Form, held: Option<Validity>) -> Option<Validity> {
    for (name, unit, most) in VALIDITIES {
        if form.has(&[name]) {
            return form.whole(name, None, 1, most).map(|count| Validity { count, unit });
        }
    }
    let shape = "{count, unit} with unit minutes, hours, days, weeks, months or years";
    match form.json::<Option<Validity>>("validity", shape) {
        Said::Nothing => held,
        Said::Null | Said::Value(None) => None,
        Said::Value(Some(given)) => {
            let most =
                VALIDITIES.iter().find(|(_, unit, _)| *unit == given.unit).map_or(1, |(_, _, most)| *most);
            if given.count == 0 || given.count > most {
                form.refuse("validity", &format!("its count must be from 1 to {most}"));
            }
            Some(given)
        }
    }
}

fn seconds(form: &mut Form, name: &str, held: Option<u32>) -> Option<u32> {
    form.whole(name, held, 1, MAX_SESSION_SECS)
}

fn features(form: &mut Form, held: Option<&PlanTerms>) -> Map<String, Value> {
    match form.json::<Map<String, Value>>("features", "an object such as {\"support\": \"24/7\"}") {
        Said::Nothing => held.map(|terms| terms.features.clone()).unwrap_or_default(),
        Said::Null => Map::new(),
        Said::Value(features) => {
            if serde_json::to_vec(&features).is_ok_and(|text| text.len() > MOST_FEATURE_OCTETS) {
                form.refuse("features", &format!("must not be longer than {MOST_FEATURE_OCTETS} octets"));
            }
            features
        }
    }
}

/// Text of several lines.
fn prose(text: &str) -> Result<String, TextError> {
    let text = text.trim();
    if text.chars().count() > MOST_PROSE {
        return Err(TextError::TooLong(MOST_PROSE));
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(TextError::Control);
    }
    Ok(text.to_owned())
}

/// Decimal gigabytes (10^9 octets) as octets.
fn gigabytes(text: &str) -> Result<u64, &'static str> {
    const FAULT: &str = "must be gigabytes above zero with at most 9 decimals; null is unlimited";
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 9 || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Err(FAULT);
    }
    let octets: u64 = format!("{whole}{fraction:0<9}").parse().map_err(|_| FAULT)?;
    if (1..=MOST_OCTETS).contains(&octets) { Ok(octets) } else { Err(FAULT) }
}

/// The largest unit in which both speeds are whole; else kbit/s, which takes three decimals.
#[must_use]
pub fn unit_for(rates: Rates) -> BandwidthUnit {
    let whole = |unit: &BandwidthUnit| {
        rates.down.0.get().is_multiple_of(unit.bits()) && rates.up.0.get().is_multiple_of(unit.bits())
    };
    [BandwidthUnit::Gbps, BandwidthUnit::Mbps].into_iter().find(whole).unwrap_or(BandwidthUnit::Kbps)
}

/// `number / scale` as a JSON number with no digit lost; `scale` is a power of ten.
#[must_use]
pub fn scaled(number: u64, scale: u64) -> Value {
    let (whole, rest) = (number / scale, number % scale);
    if rest == 0 {
        return json!(whole);
    }
    let places = scale.ilog10() as usize;
    let fraction = format!("{rest:0places$}");
    exact_number(&format!("{whole}.{}", fraction.trim_end_matches('0')))
}

/// A value of an enum by its name in any case.
pub(crate) fn named<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(Value::String(text.trim().to_lowercase())).ok()
}

const SPEEDS: [&str; 4] = ["download_speed", "upload_speed", "download_bps", "upload_bps"];
/// Longest validity: a century, whose end every time stamp holds.
pub(super) const VALIDITIES: [(&str, ValidityUnit, u32); 6] = [
    ("validity_minutes", ValidityUnit::Minutes, 52_560_000),
    ("validity_hours", ValidityUnit::Hours, 876_000),
    ("validity_days", ValidityUnit::Days, 36_500),
    ("validity_weeks", ValidityUnit::Weeks, 5_200),
    ("validity_months", ValidityUnit::Months, 1_200),
    ("validity_years", ValidityUnit::Years, 100),
];
/// A century of months: beyond it a contract's end is a typing error.
const MOST_MONTHS: u32 = 1_200;
/// Longer than mail takes; shorter than an evening online for nothing.
const MOST_CONFIRMATION_MINUTES: u32 = 60;
/// A disk gigabyte, as networks count: 10^9 octets.
pub const OCTETS_PER_GB: u64 = 1_000_000_000;
/// What the store's 63-bit counters can be compared with.
const MOST_OCTETS: u64 = i64::MAX.unsigned_abs();
/// Longest description: a screen of text.
const MOST_PROSE: usize = 2_000;
/// Features are copied into each service, so they stay small.
const MOST_FEATURE_OCTETS: usize = 8_192;
