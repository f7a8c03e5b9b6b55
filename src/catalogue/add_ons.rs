//! What a contract has beside its plan and is billed with each period: a fixed address, a routed block.
//!
//! The one rule: the list is set whole. What it gives is in the service's addresses; this is its price.

use jiff::Timestamp;
use serde::Deserialize;

use super::fault::Fault;
use super::form::{Form, Said};
use super::plan_form::price;
use super::services::{ServiceView, Services};
use crate::domain::audit::Actor;
use crate::domain::money::Currency;
use crate::domain::service::AddOn;
use crate::domain::text::{Code, Line};
use crate::store::draft::Draft;

#[derive(Deserialize)]
struct Shape {
    code: String,
    name: String,
    price: String,
}

/// Reads the field `add_ons` of a form.
pub fn read(form: &mut Form, currency: Currency) -> Option<Vec<AddOn>> {
    let given = match form.json::<Vec<Shape>>("add_ons", SHAPE) {
        Said::Value(given) => given,
        Said::Null => Vec::new(),
        Said::Nothing => {
            if !form.has(&["add_ons"]) {
                form.refuse("add_ons", "is required");
            }
            return None;
        }
    };
    if given.len() > MOST_ADD_ONS {
        form.refuse("add_ons", &format!("must not have more than {MOST_ADD_ONS} entries"));
    }
    let mut taken: Vec<AddOn> = Vec::with_capacity(given.len());
    for (place, shape) in given.iter().enumerate() {
        match one(shape, currency) {
            Ok(one) if taken.iter().any(|held| held.code == one.code) => {
                form.refuse(&format!("add_ons[{place}]"), "must not have a code that another one has");
            }
            Ok(one) => taken.push(one),
            Err(fault) => form.refuse(&format!("add_ons[{place}]"), &fault),
        }
    }
    Some(taken)
}

fn one(shape: &Shape, currency: Currency) -> Result<AddOn, String> {
    Ok(AddOn {
        code: Code::parse(&shape.code).map_err(|error| format!("its code {error}"))?,
        name: Line::parse(&shape.name).map_err(|error| format!("its name {error}"))?,
        price: price(&shape.price, currency).map_err(|error| format!("its price: {error}"))?,
    })
}

impl Services {
    /// Sets what is billed with each period beside the plan, from the next one on.
    ///
    /// # Errors
    /// `NotFound`, `Stale`, `Rule` when the service has ended; faults of ours.
    pub async fn set_add_ons(
        &self,
        actor: &Actor,
        reference: &str,
        expected: Option<u64>,
        add_ons: Vec<AddOn>,
        now: Timestamp,
    ) -> Result<Draft<ServiceView>, Fault> {
        self.change(actor, "service.set_add_ons", reference, expected, now, move |service| {
            service.extras.add_ons = add_ons;
            Ok(())
        })
        .await
    }
}

const SHAPE: &str = "a list of {code, name, price (a text)}";
/// Lines on a bill that a person still reads.
const MOST_ADD_ONS: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> Result<Vec<AddOn>, Fault> {
        let mut form = Form::read(body.as_bytes()).unwrap();
        let list = read(&mut form, Currency::parse("NGN").unwrap());
        form.finish(list)
    }

    #[test]
    fn add_ons_are_a_whole_list_with_prices_to_the_minor_unit() {
        let list = of(r#"{"add_ons": [{"code": "static-ip", "name": "Fixed address", "price": "2000.50"}]}"#);
        assert_eq!(list.unwrap().iter().map(|one| one.price.minor).collect::<Vec<_>>(), [200_050]);
        assert_eq!(of(r#"{"add_ons": []}"#).unwrap(), []);
        for wrong in [
            "{}",
            r#"{"add_ons": 1}"#,
            r#"{"add_ons": [{"code": "a", "name": "A", "price": "1.005"}]}"#,
            r#"{"add_ons": [{"code": "a", "name": "A", "price": "-1"}]}"#,
            r#"{"add_ons": [{"code": "a", "name": "A", "price": "1"}, {"code": "a", "name": "B", "price": "1"}]}"#,
        ] {
            assert!(matches!(of(wrong), Err(Fault::Fields(_))), "{wrong}");
        }
    }
}
