//! Coupons over HTTP: made, changed and removed by staff, each with its audit entry.
//!
//! The one rule: a code is no secret; what bounds a coupon is its dates and its caps.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::app::App;
use super::call::Call;
use super::commit::commit_answering;
use super::edit::{self, part, reference};
use super::error::ApiError;
use super::form::{Field, Form};
use super::money::{amount, percent, with_deed};
use super::route::{Access, Route};
use super::shape::Answer;
use super::users::rfc3339;
use crate::billing::coupon::Counted;
use crate::catalogue::audit::Deed;
use crate::domain::coupon::{Coupon, CouponTerms, MOST_PLANS};
use crate::domain::ids::PlanId;
use crate::domain::money::{Currency, Money};
use crate::domain::role::Permission;
use crate::domain::tax::percent_ppm;
use crate::domain::text::Code;

/// The routes of coupons.
#[must_use]
pub fn routes() -> Vec<Route> {
    let (read, write) = (Access::Staff(Permission::CouponsRead), Access::Staff(Permission::CouponsWrite));
    vec![
        Route::get("/api/v1/coupons", read, "List coupons, newest first", list).lists::<CouponView>(),
        Route::post("/api/v1/coupons", write, "Make a coupon", create)
            .takes::<CouponBody>()
            .answers::<CouponView>(201),
        Route::get("/api/v1/coupons/{id}", read, "Read a coupon by id or code", get)
            .answers::<CouponView>(200),
        Route::patch("/api/v1/coupons/{id}", write, "Change a coupon; orders keep their price", change)
            .takes::<CouponBody>()
            .answers::<CouponView>(200),
        Route::delete("/api/v1/coupons/{id}", write, "Remove a coupon that no order took", remove)
            .answers::<CouponView>(200),
    ]
}

/// A coupon; in a change what is left out stays, and null takes it away.
#[derive(Debug, ToSchema)]
pub struct CouponBody {
    /// What its holder types; cannot be changed.
    pub code: String,
    /// What it is for, for people.
    pub name: Option<String>,
    /// Taken off first: `15`, `7.5`.
    pub percent: Option<String>,
    /// Taken off what is left, decimal, in the site's currency.
    pub fixed_amount: Option<String>,
    /// From when it is taken.
    pub valid_from: Option<String>,
    /// From when it is not taken any more.
    pub valid_until: Option<String>,
    /// How often in all.
    pub max_uses: Option<u32>,
    /// How often by one customer; once unless said.
    pub max_uses_per_customer: Option<u32>,
    /// The plans that it is for; all where none is named.
    pub plan_ids: Option<Vec<String>>,
    /// Whether it is taken at all.
    pub is_active: Option<bool>,
}

/// A coupon as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CouponView {
    /// Identity.
    pub id: String,
    /// What its holder types.
    pub code: String,
    /// What it is for.
    pub name: Option<String>,
    /// Percent, decimal.
    pub percent: String,
    /// Amount, decimal.
    pub fixed_amount: Option<String>,
    /// What the amount is in.
    pub currency: Option<String>,
    /// From when it is taken.
    pub valid_from: Option<String>,
    /// From when it is not taken any more.
    pub valid_until: Option<String>,
    /// How often in all.
    pub max_uses: Option<u32>,
    /// How often by one customer.
    pub max_uses_per_customer: Option<u32>,
    /// The plans that it is for; all where none is named.
    pub plan_ids: Vec<String>,
    /// Whether it is taken at all.
    pub is_active: bool,
    /// Orders that took it and were paid, or wait for money.
    pub uses: u32,
    /// When it was made.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
}

impl CouponView {
    fn of(coupon: &Coupon, uses: u32) -> Self {
        let terms = &coupon.terms;
        Self {
            id: coupon.id.to_string(),
            code: coupon.code.to_string(),
            name: terms.name.as_ref().map(ToString::to_string),
            percent: percent(terms.percent_ppm),
            fixed_amount: terms.fixed.map(|fixed| fixed.decimal()),
            currency: terms.fixed.map(|fixed| fixed.currency.code().to_owned()),
            valid_from: terms.valid_from.map(rfc3339),
            valid_until: terms.valid_until.map(rfc3339),
            max_uses: terms.most,
            max_uses_per_customer: terms.most_each,
            plan_ids: terms.plan_ids.iter().map(ToString::to_string).collect(),
            is_active: terms.is_active,
            uses,
            created_at: rfc3339(coupon.created_at),
            updated_at: rfc3339(coupon.updated_at),
        }
    }

    /// For the audit log: how often it was taken is no change of staff's.
    fn said(coupon: &Coupon) -> Value {
        serde_json::to_value(Self::of(coupon, 0)).unwrap_or_default()
    }
}

/// What a body says of a coupon: read once, used for a new one and for a change.
struct Said {
    name: Option<Option<crate::domain::text::Line>>,
    percent: Option<Option<u32>>,
    fixed: Option<Option<Money>>,
    valid_from: Option<Option<jiff::Timestamp>>,
    valid_until: Option<Option<jiff::Timestamp>>,
    most: Option<Option<u32>>,
    most_each: Option<Option<u32>>,
    plan_ids: Option<Option<Vec<PlanId>>>,
    is_active: Option<bool>,
}

impl Said {
    fn read(form: &mut Form<'_>, currency: Currency) -> Self {
        Self {
            name: form.change("name"),
            percent: nullable(form, "percent", ppm),
            fixed: nullable(form, "fixed_amount", |value| amount(value, currency)),
            valid_from: form.change("valid_from"),
            valid_until: form.change("valid_until"),
            most: form.change("max_uses"),
            most_each: form.change("max_uses_per_customer"),
            plan_ids: nullable(form, "plan_ids", plans),
            is_active: form.optional("is_active"),
        }
    }

    fn over(&self, held: CouponTerms) -> CouponTerms {
        CouponTerms {
            name: self.name.clone().unwrap_or(held.name),
            percent_ppm: self.percent.map_or(held.percent_ppm, Option::unwrap_or_default),
            fixed: self.fixed.unwrap_or(held.fixed),
            valid_from: self.valid_from.unwrap_or(held.valid_from),
            valid_until: self.valid_until.unwrap_or(held.valid_until),
            most: self.most.unwrap_or(held.most),
            most_each: self.most_each.unwrap_or(held.most_each),
            plan_ids: self.plan_ids.clone().map_or(held.plan_ids, Option::unwrap_or_default),
            is_active: self.is_active.unwrap_or(held.is_active),
        }
    }
}

/// A field of a change with an own way to read it: absent leaves, null takes away.
fn nullable<T>(
    form: &mut Form<'_>,
    name: &str,
    read: impl FnOnce(&Value) -> Result<T, String>,
) -> Option<Option<T>> {
    match form.change::<Anything>(name)? {
        None => Some(None),
        Some(_) => form.optional_with(name, read).map(Some),
    }
}

/// Any value: its own reader judges it.
struct Anything;

impl Field for Anything {
    fn read(_: &Value) -> Result<Self, String> {
        Ok(Self)
    }
}

fn ppm(value: &Value) -> Result<u32, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    };
    percent_ppm(&text).map_err(str::to_owned)
}

fn plans(value: &Value) -> Result<Vec<PlanId>, String> {
    let fault = || format!("must be a list of at most {MOST_PLANS} ids of plans");
    let listed = value.as_array().filter(|all| all.len() <= MOST_PLANS).ok_or_else(fault)?;
    listed.iter().map(|one| one.as_str().and_then(|text| text.parse().ok()).ok_or_else(fault)).collect()
}

/// What a coupon is where nothing is said: taken, once by each customer.
const fn plain() -> CouponTerms {
    CouponTerms {
        name: None,
        percent_ppm: 0,
        fixed: None,
        valid_from: None,
        valid_until: None,
        most: None,
        most_each: Some(1),
        plan_ids: Vec::new(),
        is_active: true,
    }
}

async fn list(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let listed = app.billing.till.coupons(part(window)).await?;
    Ok(edit::list(listed, window, |Counted { coupon, taken }| CouponView::of(&coupon, taken)))
}

async fn get(app: App, call: Call) -> Result<Answer, ApiError> {
    let Counted { coupon, taken } = app.billing.till.coupon(reference(&call)).await?;
    Ok(Answer::ok(&CouponView::of(&coupon, taken)))
}

async fn create(app: App, call: Call) -> Result<Answer, ApiError> {
    let object = call.object()?;
    let mut form = Form::new(&object);
    let code: Option<Code> = form.required("code");
    let said = Said::read(&mut form, app.site.currency);
    let code = form.finish(code)?;
    let terms = said.over(plain());
    let draft = || async {
        let draft = app.billing.till.make_coupon(&code, &terms, &call.actor, call.now).await?;
        let deed = Deed::made("coupon.create", draft.value.id, CouponView::said(&draft.value));
        with_deed(&app, &call, draft, deed)
    };
    commit_answering(&app, &call, draft, |coupon| Answer::created(&CouponView::of(coupon, 0))).await
}

async fn change(app: App, call: Call) -> Result<Answer, ApiError> {
    let object = call.object()?;
    let mut form = Form::new(&object);
    if form.value("code").is_some() {
        form.fault("code", "cannot be changed; make another coupon");
    }
    let said = Said::read(&mut form, app.site.currency);
    form.finish(Some(()))?;
    let Counted { coupon: held, taken } = app.billing.till.coupon(reference(&call)).await?;
    let id = held.id.to_string();
    let draft = || async {
        let draft = app.billing.till.change_coupon(&id, |held| said.over(held), call.now).await?;
        let (before, after) = &draft.value;
        let (was, is) = (CouponView::said(before), CouponView::said(after));
        let deed = Deed::changed("coupon.update", after.id, was, is);
        with_deed(&app, &call, draft.map(|(_, after)| after), deed)
    };
    commit_answering(&app, &call, draft, |coupon| Answer::ok(&CouponView::of(coupon, taken))).await
}

async fn remove(app: App, call: Call) -> Result<Answer, ApiError> {
    let draft = || async {
        let draft = app.billing.till.remove_coupon(reference(&call)).await?;
        let deed = Deed::removed("coupon.remove", draft.value.id, CouponView::said(&draft.value));
        with_deed(&app, &call, draft, deed)
    };
    commit_answering(&app, &call, draft, |coupon| Answer::ok(&CouponView::of(coupon, 0))).await
}
