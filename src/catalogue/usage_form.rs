//! What of a plan depends on use and hour, from JSON and back: time allowance, fair use, hours, top-ups.
//!
//! The one rule: a list is taken whole or refused with the place of its fault; speeds are exact bits a second and
//! octets are octets.

use jiff::civil::Time;
use serde::{Deserialize, Serialize};

use super::form::{Form, Said};
use super::plan_form::{VALIDITIES, named, price};
use crate::domain::money::Currency;
use crate::domain::plan::Validity;
use crate::domain::rate::{BitsPerSecond, Download, Rates, Upload};
use crate::domain::text::{Code, Line};
use crate::domain::usage_terms::{
    Day, FairUse, FairUseTier, FairUseWindow, HoursWindow, MOST_OF_A_KIND, OnQuota, TopUpOffer, UsageTerms,
};

/// What happens at the end of the data allowance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnQuotaShape {
    /// `cut` or `throttle`.
    pub action: String,
    /// Speed toward the subscriber, of a throttle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_bps: Option<u64>,
    /// Speed from the subscriber, of a throttle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_bps: Option<u64>,
}

/// Fair use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FairUseShape {
    /// `daily`, `weekly`, `monthly` or `period`.
    pub window: String,
    /// Speeds by what was used.
    pub tiers: Vec<TierShape>,
}

/// One tier of fair use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierShape {
    /// Octets, both directions together, from which on it counts.
    pub above_octets: u64,
    /// Speed toward the subscriber.
    pub download_bps: u64,
    /// Speed from the subscriber.
    pub upload_bps: u64,
}

/// Hours with terms of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoursShape {
    /// `mon` to `sun`; all where none is said.
    #[serde(default)]
    pub days: Vec<String>,
    /// `HH:MM`.
    pub from: String,
    /// `HH:MM`; one that is not after `from` is on the next day.
    pub to: String,
    /// Speed toward the subscriber in these hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_bps: Option<u64>,
    /// Speed from the subscriber in these hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_bps: Option<u64>,
    /// Whether octets count; yes unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<bool>,
}

/// Something to be bought on top.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopUpShape {
    /// Unique within the plan.
    pub code: String,
    /// Name on pages and bills.
    pub name: String,
    /// Price, decimal text.
    pub price: String,
    /// Octets more.
    #[serde(default)]
    pub octets: u64,
    /// Seconds online more.
    #[serde(default)]
    pub seconds: u64,
    /// How long it may be used; within the period in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<Validity>,
}

/// Reads what a form says about use and hours over what is held.
pub(super) fn read(form: &mut Form, held: Option<&UsageTerms>, currency: Currency) -> UsageTerms {
    let held = held.cloned().unwrap_or_default();
    let allowance = held.time_allowance_secs.and_then(|secs| u32::try_from(secs).ok());
    UsageTerms {
        time_allowance_secs: form.whole("time_allowance_seconds", allowance, 1, u32::MAX).map(u64::from),
        on_quota: one(form, "on_quota", ON_QUOTA, held.on_quota, on_quota),
        fair_use: one(form, "fair_use", FAIR_USE, held.fair_use, |shape| fair_use(shape).map(Some)),
        hours: many(form, "hours", HOURS, held.hours, hours),
        top_ups: top_ups(form, held.top_ups, currency),
    }
}

fn one<S: serde::de::DeserializeOwned, T: Default>(
    form: &mut Form,
    name: &str,
    shape: &str,
    held: T,
    read: impl FnOnce(&S) -> Result<T, String>,
) -> T {
    match form.json::<S>(name, shape) {
        Said::Nothing => held,
        Said::Null => T::default(),
        Said::Value(given) => read(&given).unwrap_or_else(|fault| {
            form.refuse(name, &fault);
            held
        }),
    }
}

fn many<S: serde::de::DeserializeOwned, T>(
    form: &mut Form,
    name: &str,
    shape: &str,
    held: Vec<T>,
    read: impl Fn(&S) -> Result<T, String>,
) -> Vec<T> {
    let given = match form.json::<Vec<S>>(name, shape) {
        Said::Nothing => return held,
        Said::Null => return Vec::new(),
        Said::Value(given) => given,
    };
    if given.len() > MOST_OF_A_KIND {
        form.refuse(name, &format!("must not have more than {MOST_OF_A_KIND} entries"));
        return held;
    }
    let mut taken = Vec::with_capacity(given.len());
    for (place, shape) in given.iter().enumerate() {
        match read(shape) {
            Ok(one) => taken.push(one),
            Err(fault) => form.refuse(&format!("{name}[{place}]"), &fault),
        }
    }
    taken
}

fn rates(down: u64, up: u64) -> Result<Rates, String> {
    let rate = |bits, name| BitsPerSecond::new(bits).map_err(|error| format!("{name}: {error}"));
    Ok(Rates { down: Download(rate(down, "download_bps")?), up: Upload(rate(up, "upload_bps")?) })
}

fn on_quota(shape: &OnQuotaShape) -> Result<OnQuota, String> {
    match (shape.action.as_str(), shape.download_bps, shape.upload_bps) {
        ("cut", None, None) => Ok(OnQuota::Cut),
        ("throttle", Some(down), Some(up)) => rates(down, up).map(OnQuota::Throttle),
        _ => Err(format!("must be {ON_QUOTA}")),
    }
}

fn fair_use(shape: &FairUseShape) -> Result<FairUse, String> {
    let window = named::<FairUseWindow>(&shape.window)
        .ok_or("its window must be one of daily, weekly, monthly, period")?;
    if shape.tiers.is_empty() || shape.tiers.len() > MOST_OF_A_KIND {
        return Err(format!("its tiers must be from 1 to {MOST_OF_A_KIND}"));
    }
    let mut tiers = Vec::with_capacity(shape.tiers.len());
    for tier in &shape.tiers {
        let rates = rates(tier.download_bps, tier.upload_bps)?;
        tiers.push(FairUseTier { above_octets: tier.above_octets, rates });
    }
    let rises = |pair: &[FairUseTier]| matches!(pair, [a, b] if a.above_octets < b.above_octets);
    if !tiers.windows(2).all(rises) {
        return Err("its tiers must go from the least octets to the most".to_owned());
    }
    Ok(FairUse { window, tiers })
}

fn hours(shape: &HoursShape) -> Result<HoursWindow, String> {
    let time = |text: &str, name: &str| {
        let is_plain = text.len() == 5 && text.as_bytes().get(2) == Some(&b':');
        let time = text.parse::<Time>().ok().filter(|_| is_plain);
        time.ok_or_else(|| format!("its {name} must be a time as 22:00"))
    };
    let mut days = Vec::new();
    for text in &shape.days {
        let day = named::<Day>(text).ok_or("its days must be of mon, tue, wed, thu, fri, sat, sun")?;
        if !days.contains(&day) {
            days.push(day);
        }
    }
    let rates = match (shape.download_bps, shape.upload_bps) {
        (None, None) => None,
        (Some(down), Some(up)) => Some(rates(down, up)?),
        (Some(_), None) | (None, Some(_)) => {
            return Err("must have both download_bps and upload_bps, or neither".to_owned());
        }
    };
    let counts = shape.counts.unwrap_or(true);
    if counts && rates.is_none() {
        return Err("must have speeds, or counts = false; else it changes nothing".to_owned());
    }
    let days = if days.is_empty() { Day::ALL.to_vec() } else { days };
    Ok(HoursWindow { days, from: time(&shape.from, "from")?, to: time(&shape.to, "to")?, rates, counts })
}

fn top_ups(form: &mut Form, held: Vec<TopUpOffer>, currency: Currency) -> Vec<TopUpOffer> {
    let read = |shape: &TopUpShape| {
        let validity = shape.validity;
        let most = validity.and_then(|given| VALIDITIES.iter().find(|(_, unit, _)| *unit == given.unit));
        if let (Some(given), Some((_, _, most))) = (validity, most)
            && (given.count == 0 || given.count > *most)
        {
            return Err(format!("its validity's count must be from 1 to {most}"));
        }
        if shape.octets == 0 && shape.seconds == 0 {
            return Err("must give octets or seconds".to_owned());
        }
        Ok(TopUpOffer {
            code: Code::parse(&shape.code).map_err(|error| format!("its code {error}"))?,
            name: Line::parse(&shape.name).map_err(|error| format!("its name {error}"))?,
            price: price(&shape.price, currency).map_err(|error| format!("its price: {error}"))?,
            octets: shape.octets,
            seconds: shape.seconds,
            validity,
        })
    };
    let offers = many(form, "top_ups", TOP_UPS, held, read);
    let mut codes: Vec<&str> = offers.iter().map(|one| one.code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    if codes.len() < offers.len() {
        form.refuse("top_ups", "must not have two of one code");
    }
    offers
}

impl From<&OnQuota> for OnQuotaShape {
    fn from(terms: &OnQuota) -> Self {
        match terms {
            OnQuota::Cut => Self { action: "cut".to_owned(), download_bps: None, upload_bps: None },
            OnQuota::Throttle(rates) => Self {
                action: "throttle".to_owned(),
                download_bps: Some(rates.down.0.get()),
                upload_bps: Some(rates.up.0.get()),
            },
        }
    }
}

impl From<&FairUse> for FairUseShape {
    fn from(terms: &FairUse) -> Self {
        let window = match terms.window {
            FairUseWindow::Daily => "daily",
            FairUseWindow::Weekly => "weekly",
            FairUseWindow::Monthly => "monthly",
            FairUseWindow::Period => "period",
        };
        let tier = |tier: &FairUseTier| TierShape {
            above_octets: tier.above_octets,
            download_bps: tier.rates.down.0.get(),
            upload_bps: tier.rates.up.0.get(),
        };
        Self { window: window.to_owned(), tiers: terms.tiers.iter().map(tier).collect() }
    }
}

impl From<&HoursWindow> for HoursShape {
    fn from(terms: &HoursWindow) -> Self {
        let time = |time: Time| format!("{:02}:{:02}", time.hour(), time.minute());
        let day = |day: &Day| {
            let name = match day {
                Day::Mon => "mon",
                Day::Tue => "tue",
                Day::Wed => "wed",
                Day::Thu => "thu",
                Day::Fri => "fri",
                Day::Sat => "sat",
                Day::Sun => "sun",
            };
            name.to_owned()
        };
        Self {
            days: terms.days.iter().map(day).collect(),
            from: time(terms.from),
            to: time(terms.to),
            download_bps: terms.rates.map(|rates| rates.down.0.get()),
            upload_bps: terms.rates.map(|rates| rates.up.0.get()),
            counts: Some(terms.counts),
        }
    }
}

impl From<&TopUpOffer> for TopUpShape {
    fn from(offer: &TopUpOffer) -> Self {
        Self {
            code: offer.code.to_string(),
            name: offer.name.to_string(),
            price: offer.price.decimal(),
            octets: offer.octets,
            seconds: offer.seconds,
            validity: offer.validity,
        }
    }
}

const ON_QUOTA: &str =
    "{\"action\": \"cut\"}, or {\"action\": \"throttle\", \"download_bps\": …, \"upload_bps\": …}";
const FAIR_USE: &str = "{window, tiers: [{above_octets, download_bps, upload_bps}]}; null is none";
const HOURS: &str = "a list of {days, from, to, download_bps, upload_bps, counts}";
const TOP_UPS: &str = "a list of {code, name, price (a text), octets, seconds, validity}";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::fault::Fault;

    fn of(body: &str) -> Result<UsageTerms, Fault> {
        let mut form = Form::read(body.as_bytes()).unwrap();
        let terms = read(&mut form, None, Currency::parse("NGN").unwrap());
        form.finish(Some(terms))
    }

    const WHOLE: &str = r#"{
        "time_allowance_seconds": 36000,
        "on_quota": {"action": "throttle", "download_bps": 512000, "upload_bps": 256000},
        "fair_use": {"window": "daily", "tiers": [
            {"above_octets": 5000000000, "download_bps": 2000000, "upload_bps": 1000000},
            {"above_octets": 9000000000, "download_bps": 500000, "upload_bps": 500000}]},
        "hours": [{"from": "23:00", "to": "06:00", "counts": false},
            {"days": ["mon", "fri"], "from": "18:00", "to": "22:30", "download_bps": 3000000, "upload_bps": 1000000}],
        "top_ups": [{"code": "boost-1", "name": "1 GB for a day", "price": "500.00", "octets": 1000000000,
            "validity": {"count": 1, "unit": "days"}}]}"#;

    #[test]
    fn terms_of_use_are_read_and_shown_the_same() {
        let terms = of(WHOLE).unwrap();
        assert_eq!(terms.time_allowance_secs, Some(36_000));
        assert_eq!(terms.hours.iter().map(|one| one.days.len()).collect::<Vec<_>>(), [7, 2]);
        let shown = serde_json::json!({
            "time_allowance_seconds": terms.time_allowance_secs,
            "on_quota": OnQuotaShape::from(&terms.on_quota),
            "fair_use": terms.fair_use.as_ref().map(FairUseShape::from),
            "hours": terms.hours.iter().map(HoursShape::from).collect::<Vec<_>>(),
            "top_ups": terms.top_ups.iter().map(TopUpShape::from).collect::<Vec<_>>(),
        });
        assert_eq!(of(&shown.to_string()).unwrap(), terms);
        let kept: UsageTerms = serde_json::from_str(&serde_json::to_string(&terms).unwrap()).unwrap();
        assert_eq!(kept, terms, "the store gives back what it took");
    }

    #[test]
    fn a_fault_is_told_with_its_place() {
        for (body, field) in [
            (r#"{"on_quota": {"action": "throttle"}}"#, "on_quota"),
            (r#"{"on_quota": "slow"}"#, "on_quota"),
            (r#"{"fair_use": {"window": "hourly", "tiers": []}}"#, "fair_use"),
            (
                r#"{"fair_use": {"window": "daily", "tiers": [
                {"above_octets": 9, "download_bps": 1, "upload_bps": 1},
                {"above_octets": 5, "download_bps": 1, "upload_bps": 1}]}}"#,
                "fair_use",
            ),
            (r#"{"hours": [{"from": "25:00", "to": "06:00", "counts": false}]}"#, "hours[0]"),
            (r#"{"hours": [{"from": "23:00", "to": "06:00"}]}"#, "hours[0]"),
            (
                r#"{"hours": [{"days": ["noday"], "from": "23:00", "to": "06:00", "counts": false}]}"#,
                "hours[0]",
            ),
            (r#"{"top_ups": [{"code": "a", "name": "A", "price": "1.005", "octets": 1}]}"#, "top_ups[0]"),
            (r#"{"top_ups": [{"code": "a", "name": "A", "price": "1"}]}"#, "top_ups[0]"),
            (
                r#"{"top_ups": [{"code": "a", "name": "A", "price": "1", "octets": 1},
                {"code": "a", "name": "B", "price": "2", "octets": 1}]}"#,
                "top_ups",
            ),
            (r#"{"time_allowance_seconds": 0}"#, "time_allowance_seconds"),
        ] {
            let Err(Fault::Fields(errors)) = of(body) else { panic!("{body} was taken") };
            assert!(errors.iter().all(|error| error.field == field), "{body} {errors:?}");
        }
    }
}
