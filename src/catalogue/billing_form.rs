//! How a plan is billed, from JSON: mode, cycle, trial, tax, proration, days until it is due.
//!
//! The one rule: what is not said stays as it was, and what cannot be read is refused with the field's name.

use super::form::{Form, Said};
use super::plan_form::named;
use crate::domain::plan::{BillingMode, BillingTerms, ProrationPolicy, Validity, ValidityUnit};
use crate::domain::tax::{TaxTreatment, percent_ppm};

/// Reads what a form says about billing over what is held.
pub(super) fn read(form: &mut Form, held: Option<&BillingTerms>) -> BillingTerms {
    let held = held.cloned().unwrap_or_default();
    BillingTerms {
        mode: form.nullable(&["billing_mode"], held.mode, |text| {
            named::<BillingMode>(text).ok_or("must be prepaid or postpaid; null follows the validity")
        }),
        cycle: cycle(form, held.cycle),
        trial_days: form.whole("trial_days", Some(held.trial_days), 0, MOST_TRIAL_DAYS).unwrap_or(0),
        tax_treatment: form
            .nullable(&["tax_treatment"], Some(held.tax_treatment), |text| {
                named::<TaxTreatment>(text).ok_or("must be one of exclusive, inclusive, exempt")
            })
            .unwrap_or_default(),
        tax_ppm: form.nullable(&["tax_rate"], held.tax_ppm, percent_ppm),
        proration: form
            .nullable(&["proration"], Some(held.proration), |text| {
                named::<ProrationPolicy>(text).ok_or("must be one of immediate, next_cycle, none")
            })
            .unwrap_or_default(),
        due_days: form.whole("due_days", held.due_days, 0, MOST_DUE_DAYS),
    }
}

/// A word such as `monthly`, or `{count, unit}`.
fn cycle(form: &mut Form, held: Option<Validity>) -> Option<Validity> {
    const SHAPE: &str =
        "must be one of daily, weekly, monthly, quarterly, yearly, or {count, unit} in days to years";
    if form.inner("billing_cycle").is_none() {
        return form.nullable(&["billing_cycle"], held, |text| cycle_named(text).ok_or(SHAPE));
    }
    match form.json::<Validity>("billing_cycle", SHAPE.trim_start_matches("must be ")) {
        Said::Nothing => held,
        Said::Null => None,
        Said::Value(given) => {
            let is_calendar = match given.unit {
                ValidityUnit::Minutes | ValidityUnit::Hours => false,
                ValidityUnit::Days | ValidityUnit::Weeks | ValidityUnit::Months | ValidityUnit::Years => true,
            };
            if !is_calendar || given.count == 0 || given.count > MOST_CYCLE {
                form.refuse("billing_cycle", SHAPE);
            }
            Some(given)
        }
    }
}

/// The length of a cycle that has a name.
#[must_use]
pub fn cycle_named(text: &str) -> Option<Validity> {
    let (count, unit) = match text.trim().to_ascii_lowercase().as_str() {
        "daily" => (1, ValidityUnit::Days),
        "weekly" => (1, ValidityUnit::Weeks),
        "monthly" => (1, ValidityUnit::Months),
        "quarterly" => (3, ValidityUnit::Months),
        "yearly" | "annually" => (1, ValidityUnit::Years),
        _ => return None,
    };
    Some(Validity { count, unit })
}

/// Parts per million as a percentage, exact.
#[must_use]
pub fn percent(ppm: u32) -> String {
    let (whole, fraction) = (ppm / 10_000, format!("{:04}", ppm % 10_000));
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{whole}{point}{fraction}%")
}

/// A year: a longer trial is a free plan.
const MOST_TRIAL_DAYS: u32 = 366;
/// A year: who is due later than that is given the service.
const MOST_DUE_DAYS: u32 = 366;
/// Of any unit: a year of days.
const MOST_CYCLE: u32 = 366;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::fault::Fault;

    fn of(body: &str, held: Option<&BillingTerms>) -> Result<BillingTerms, Fault> {
        let mut form = Form::read(body.as_bytes()).unwrap();
        let terms = read(&mut form, held);
        form.finish(Some(terms))
    }

    #[test]
    fn every_term_of_billing_is_read_and_what_is_not_said_stays() {
        let body = r#"{"billing_mode": "postpaid", "billing_cycle": "quarterly", "trial_days": 7,
            "tax_treatment": "inclusive", "tax_rate": "7.5%", "proration": "next_cycle", "due_days": 0}"#;
        let terms = of(body, None).unwrap();
        let quarter = Validity { count: 3, unit: ValidityUnit::Months };
        assert_eq!(terms.mode, Some(BillingMode::Postpaid));
        assert_eq!((terms.cycle, terms.trial_days, terms.due_days), (Some(quarter), 7, Some(0)));
        assert_eq!((terms.tax_treatment, terms.tax_ppm), (TaxTreatment::Inclusive, Some(75_000)));
        assert_eq!(terms.proration, ProrationPolicy::NextCycle);
        assert_eq!(of("{}", Some(&terms)).unwrap(), terms);
        let other = of(r#"{"billing_cycle": {"count": 2, "unit": "weeks"}, "tax_rate": null}"#, Some(&terms));
        let other = other.unwrap();
        assert_eq!(other.cycle, Some(Validity { count: 2, unit: ValidityUnit::Weeks }));
        assert_eq!(other.tax_ppm, None);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_the_name_of_its_field() {
        for (field, value) in [
            ("billing_mode", r#""later""#),
            ("billing_cycle", r#""sometimes""#),
            ("billing_cycle", r#"{"count": 0, "unit": "months"}"#),
            ("billing_cycle", r#"{"count": 4, "unit": "hours"}"#),
            ("trial_days", "-1"),
            ("tax_rate", r#""7,5%""#),
            ("tax_rate", "101"),
            ("tax_rate", "7.00001"),
            ("proration", r#""always""#),
            ("due_days", "1.5"),
        ] {
            let Err(Fault::Fields(errors)) = of(&format!(r#"{{"{field}": {value}}}"#), None) else {
                panic!("{field} {value} was taken")
            };
            assert!(errors.iter().all(|error| error.field == field), "{errors:?}");
        }
    }

    #[test]
    fn a_tax_rate_is_shown_as_it_is_read() {
        for text in ["0%", "7.5%", "8.875%", "100%", "0.0001%"] {
            assert_eq!(percent(percent_ppm(text).unwrap()), text);
        }
    }
}
