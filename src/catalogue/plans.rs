//! Plans: made, changed, listed. A change of any term makes the next version and leaves running
//! contracts alone, since each service holds its own copy of the terms.
//!
//! Not here: reading a plan from JSON (`plan_form`), what a plan means for access
//! (`domain::entitlement`). The one rule: every version that ever was current has its record in
//! `PlanVersions`, written in the same unit as the plan.

use jiff::Timestamp;
use serde_json::json;

use super::audit::{self, Deed};
use super::fault::{Fault, must_be_at};
use crate::base::entropy::Entropy;
use crate::domain::audit::Actor;
use crate::domain::ids::PlanId;
use crate::domain::money::Currency;
use crate::domain::plan::{Plan, PlanTerms};
use crate::domain::text::Code;
use crate::store::Store;
use crate::store::contract::{Record, Unit};
use crate::store::draft::Draft;
use crate::store::listing::{self, Listed, Walk, Window};
use crate::store::tables;

/// The use cases of plans.
#[derive(Debug, Clone)]
pub struct Plans {
    store: Store,
    entropy: Entropy,
    currency: Currency,
}

/// A plan as somebody wants it; its terms' version is set by the use case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanWish {
    /// The ISP's own code.
    pub code: Code,
    /// Whether new contracts may be made.
    pub is_active: bool,
    /// Whether it is shown to the public.
    pub is_public: bool,
    /// The terms.
    pub terms: PlanTerms,
}

/// A thing with the version of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept<T> {
    /// The thing.
    pub body: T,
    /// The version to expect when changing it.
    pub version: u64,
}

/// Which plans a list holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanFilter {
    /// Only those that the public may see: active and public.
    pub public_only: bool,
    /// Only those that are, or are not, active.
    pub is_active: Option<bool>,
    /// Only those whose code or name contains this.
    pub search: Option<String>,
}

impl Plans {
    /// The use cases over a store; prices are in `currency`.
    #[must_use]
    pub const fn new(store: Store, entropy: Entropy, currency: Currency) -> Self {
        Self { store, entropy, currency }
    }

    /// The currency that prices are in.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.currency
    }

    /// Makes a plan.
    ///
    /// # Errors
    /// `Taken` when the code is in use; faults of ours.
    pub async fn create(
        &self,
        actor: &Actor,
        wish: PlanWish,
        now: Timestamp,
    ) -> Result<Draft<Kept<Plan>>, Fault> {
        self.code_must_be_free(&wish.code, None).await?;
        let id = PlanId(self.entropy.uuid_v7(now)?);
        let terms = PlanTerms { version: 1, ..wish.terms };
        let plan = Plan {
            id,
            code: wish.code,
            is_active: wish.is_active,
            is_public: wish.is_public,
            terms,
            created_at: now,
            updated_at: now,
        };
        let unit = Unit::once(self.entropy.uuid_v7(now)?)
            .create::<tables::Plans>(&id, &plan)?
            .create::<tables::PlanVersions>(&version_key(id, 1), &plan.terms)?
            .event("plan.created", id, json!({ "code": plan.code, "version": 1 }));
        let deed = Deed::made("plan.create", id, json!(plan));
        let unit = audit::record(unit, &self.entropy, actor, deed, now)?;
        Ok(Draft::new(unit, Kept { body: plan, version: 1 }))
    }

    /// The plan of that id or code.
    ///
    /// # Errors
    /// `NotFound`; a read that failed.
    pub async fn get(&self, reference: &str) -> Result<Kept<Plan>, Fault> {
        find(&self.store, reference).await.map(Kept::of)
    }

    /// The plans that fit, oldest first.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn list(&self, filter: &PlanFilter, window: Window) -> Result<Listed<Kept<Plan>>, Fault> {
        let fits = |record: &Record<tables::Plans>| filter.fits(&record.body);
        let listed = listing::list::<tables::Plans>(&self.store, Walk::all(), window, fits).await?;
        Ok(listed.map(Kept::of))
    }

    /// Changes a plan: `wish` makes of the plan as it is the plan as it shall be. When a term
    /// differs, the next version is made.
    ///
    /// # Errors
    /// `NotFound`, `Stale`, `Taken`; what `wish` refuses; faults of ours.
    pub async fn change(
        &self,
        actor: &Actor,
        reference: &str,
        expected: Option<u64>,
        wish: impl FnOnce(&Plan) -> Result<PlanWish, Fault> + Send,
        now: Timestamp,
    ) -> Result<Draft<Kept<Plan>>, Fault> {
        let record = find(&self.store, reference).await?;
        must_be_at(record.version, expected)?;
        let before = record.body;
        let wish = wish(&before)?;
        self.code_must_be_free(&wish.code, Some(before.id)).await?;
        let after = changed(&before, wish, now);
        if (Plan { updated_at: before.updated_at, ..after.clone() }) == before {
            return Ok(Draft::new(Unit::natural(), Kept { body: before, version: record.version }));
        }
        let unit = Unit::once(self.entropy.uuid_v7(now)?);
        let unit = replaced(unit, record.version, &before, &after)?;
        let deed = Deed::changed("plan.update", after.id, json!(before), json!(after));
        let unit = audit::record(unit, &self.entropy, actor, deed, now)?;
        Ok(Draft::new(unit, Kept { body: after, version: record.version.saturating_add(1) }))
    }

    async fn code_must_be_free(&self, code: &Code, owner: Option<PlanId>) -> Result<(), Fault> {
        let index = code.as_str().to_lowercase();
        let holder = listing::one_by::<tables::Plans>(&self.store, "code", index).await?;
        match holder {
            Some(record) if Some(record.body.id) != owner => {
                Err(Fault::Taken { field: "plan_code", value: code.to_string() })
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl PlanFilter {
    fn fits(&self, plan: &Plan) -> bool {
        let shown = !self.public_only || (plan.is_active && plan.is_public);
        let standing = self.is_active.is_none_or(|wanted| plan.is_active == wanted);
        let named = self.search.as_ref().is_none_or(|search| {
            let search = search.to_lowercase();
            plan.code.as_str().to_lowercase().contains(&search)
                || plan.terms.name.as_str().to_lowercase().contains(&search)
        });
        shown && standing && named
    }
}

impl<T> Kept<T> {
    pub(crate) fn of<C: crate::store::contract::Collection<Body = T>>(record: Record<C>) -> Self {
        Self { body: record.body, version: record.version }
    }
}

/// The plan of that id or code.
///
/// # Errors
/// `NotFound`; a read that failed.
pub(crate) async fn find(store: &Store, reference: &str) -> Result<Record<tables::Plans>, Fault> {
    if let Ok(id) = reference.parse::<PlanId>()
        && let Some(record) = store.get::<tables::Plans>(&id).await?
    {
        return Ok(record);
    }
    let index = reference.trim().to_lowercase();
    let found = listing::one_by::<tables::Plans>(store, "code", index).await?;
    found.ok_or_else(|| Fault::not_found("plan", reference))
}

/// Where a version of a plan's terms is kept.
#[must_use]
pub fn version_key(plan: PlanId, version: u32) -> String {
    format!("{plan}/{version:010}")
}

fn changed(before: &Plan, wish: PlanWish, now: Timestamp) -> Plan {
    let same = PlanTerms { version: before.terms.version, ..wish.terms };
    let terms = if same == before.terms {
        same
    } else {
        PlanTerms { version: before.terms.version.saturating_add(1), ..same }
    };
    Plan {
        id: before.id,
        code: wish.code,
        is_active: wish.is_active,
        is_public: wish.is_public,
        terms,
        created_at: before.created_at,
        updated_at: now,
    }
}

fn replaced(unit: Unit, version: u64, before: &Plan, after: &Plan) -> Result<Unit, Fault> {
    let mut unit = unit.replace::<tables::Plans>(&after.id, version, after)?;
    let number = after.terms.version;
    if number != before.terms.version {
        unit = unit.create::<tables::PlanVersions>(&version_key(after.id, number), &after.terms)?;
    }
    Ok(unit.event("plan.updated", after.id, json!({ "code": after.code, "version": number })))
}
