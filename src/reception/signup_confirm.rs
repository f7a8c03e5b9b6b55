//! Somebody becomes a subscriber, second part: the code or the link, and what comes of it.
//!
//! Subscriber, service and provisioning task are made in one unit, and a try is counted in the unit that
//! answers it. The one rule: a link in a mail proves an address and no device, so it logs nobody in.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use subtle::ConstantTimeEq;

use super::signup::{ConfirmOutcome, Confirmed, SignupError, SignupPlace, earlier};
use super::signup_limits::most;
use super::{MOST_DRAFTS, Reception};
use crate::catalogue::provision;
use crate::catalogue::services::NewService;
use crate::domain::audit::Actor;
use crate::domain::device::Device;
use crate::domain::ids::{ServiceId, SignupId, SubscriberId};
use crate::domain::plan::{BillingMode, Plan, PlanTerms};
use crate::domain::refusal::Refusal;
use crate::domain::service::{Addresses, Phase};
use crate::domain::signup::{
    CodeRefusal, MOST_WRONG_OF_ADDRESS, PER_ADDRESS, Signup, SignupStage, WRONG_OF_ADDRESS_WITHIN, is_free,
    typed_code,
};
use crate::domain::subscriber::{Category, Standing, Subscriber};
use crate::people::subscribers::{Details, NewSubscriber, PortalPassword, SubscriberError};
use crate::store::contract::{CommitError, Range, Record, Unit};
use crate::store::draft::Draft;
use crate::store::listing;
use crate::store::tables::{Services, Signups, Subscribers};

/// How an address was shown to be somebody's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// By the code, on the device that asks.
    Code,
    /// By the link, in the browser or on the device that signed up.
    LinkHere,
    /// By the link, elsewhere: whoever opened it may not be who filled in the form.
    Link,
}

/// What a code means for the signup as it is now.
enum Tried {
    /// It fits.
    Fits,
    /// It does not: the signup with the try counted.
    Wrong(Box<Signup>),
}

impl Reception {
    /// Tries a code. The right one makes the subscriber, or logs in the one who had the address; the device
    /// that it was typed on goes online where the plan allows that at once. A wrong one is counted before it
    /// is answered, each by itself however many come together.
    ///
    /// # Errors
    /// `NotFound`, `Code`, `UnknownPlan` where the plan is gone, `AccountClosed`; faults of ours.
    pub async fn confirm(
        &self,
        id: SignupId,
        code: &str,
        place: SignupPlace<'_>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Confirmed, SignupError> {
        let record = self.0.store.get::<Signups>(&id).await?.ok_or(SignupError::NotFound)?;
        record.body.may_try(now).map_err(SignupError::Code)?;
        let confirmed = self.try_code(id, code, place, actor, now).await?;
        self.carried_out(confirmed, place.device, now).await
    }

    /// Tries of one address are counted over all its signups, so one try is made at a time.
    async fn try_code(
        &self,
        id: SignupId,
        code: &str,
        place: SignupPlace<'_>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Confirmed, SignupError> {
        let _one_at_a_time = self.0.counting.lock().await;
        for _ in 0..MOST_DRAFTS {
            let record = self.0.store.get::<Signups>(&id).await?.ok_or(SignupError::NotFound)?;
            record.body.may_try(now).map_err(SignupError::Code)?;
            must_be_no_late_repeat(&record.body, place, now)?;
            self.address_must_have_tries(&record.body, now).await?;
            let (unit, answer) = match self.tried(&record.body, code) {
                Tried::Fits => match self.confirmed(&record, Shown::Code, actor, now).await {
                    Ok(draft) => (draft.unit, Ok(draft.value)),
                    // Somebody else took the address or a number in this moment.
                    Err(SignupError::Subscriber(SubscriberError::Taken { .. })) => continue,
                    Err(error) => return Err(error),
                },
                Tried::Wrong(after) => {
                    let unit = Unit::natural().replace::<Signups>(&id, record.version, &after)?;
                    (unit, Err(CodeRefusal::Wrong { left: after.tries_left() }))
                }
            };
            match self.commit(unit).await {
                Err(CommitError::Conflict { .. } | CommitError::Taken { .. }) => {}
                Err(error) => return Err(error.into()),
                Ok(()) => return answer.map_err(SignupError::Code),
            }
        }
        Err(CommitError::Conflict { collection: "signups", key: id.to_string() }.into())
    }

    /// Confirms by the link of the mail: the page that it opens has a button, whose POST this is. It makes
    /// the subscriber as [`Reception::confirm`] does and logs nobody in. Opened elsewhere than where the form was
    /// filled in, the password of the form is not taken: it may be that of somebody who typed another's address
    /// and waits for them to confirm it. One is made then, and shown to whoever has the mail.
    ///
    /// # Errors
    /// `NotFound` for a link that never was, `Code(Lapsed)`, `UnknownPlan`; faults of ours.
    pub async fn confirm_by_link(
        &self,
        secret: &str,
        place: SignupPlace<'_>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Confirmed, SignupError> {
        for _ in 0..MOST_DRAFTS {
            let record = self.by_link(secret).await?.ok_or(SignupError::NotFound)?;
            if record.body.stage(now) == SignupStage::Lapsed {
                return Err(SignupError::Code(CodeRefusal::Lapsed));
            }
            let shown = if is_from(&record.body, place) { Shown::LinkHere } else { Shown::Link };
            let draft = match self.confirmed(&record, shown, actor, now).await {
                Err(SignupError::Subscriber(SubscriberError::Taken { .. })) => continue,
                drafted => drafted?,
            };
            match self.commit(draft.unit).await {
                Err(CommitError::Conflict { .. } | CommitError::Taken { .. }) => {}
                Err(error) => return Err(error.into()),
                Ok(()) => return self.carried_out(draft.value, None, now).await,
            }
        }
        Err(CommitError::Conflict { collection: "signups", key: "by link".to_owned() }.into())
    }

    async fn address_must_have_tries(&self, signup: &Signup, now: Timestamp) -> Result<(), SignupError> {
        let since = earlier(now, WRONG_OF_ADDRESS_WITHIN);
        let theirs =
            self.newest(Range::Equals("email", signup.email.as_str().into()), most(&PER_ADDRESS)).await?;
        let wrong = theirs.iter().filter(|one| one.created_at > since).map(|one| one.wrong);
        if wrong.fold(0, u32::saturating_add) < MOST_WRONG_OF_ADDRESS {
            Ok(())
        } else {
            Err(SignupError::Code(CodeRefusal::Spent))
        }
    }

    fn tried(&self, signup: &Signup, code: &str) -> Tried {
        let typed = typed_code(code).unwrap_or_default();
        let hash = self.code_hash(signup.id, &typed);
        if !typed.is_empty() && bool::from(hash.as_bytes().ct_eq(signup.code_hash.as_bytes())) {
            Tried::Fits
        } else {
            Tried::Wrong(Box::new(signup.after_wrong_code()))
        }
    }

    /// What a shown address leads to, as one unit.
    async fn confirmed(
        &self,
        record: &Record<Signups>,
        shown: Shown,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Draft<Confirmed>, SignupError> {
        let signup = &record.body;
        let unit = Unit::once(self.0.entropy.uuid_v7(now)?);
        // The address may have become somebody's since the signup was begun; this signup's own subscriber,
        // when the answer to the first confirmation was lost, is found the same way.
        let holder =
            listing::one_by::<Subscribers>(&self.0.store, "email", signup.email.clone().into()).await?;
        match holder {
            Some(holder) => self.arrives(unit, record, holder.body, shown, now).await,
            // Their address was changed since, so this one leads nowhere any more.
            None if signup.known.is_some() || signup.confirmed_at.is_some() => Err(SignupError::NotFound),
            None => self.joins(unit, record, shown, actor, now).await,
        }
    }

    /// The address is a subscriber's already: whoever typed the code is logged in, and nothing is made.
    async fn arrives(
        &self,
        unit: Unit,
        record: &Record<Signups>,
        holder: Subscriber,
        shown: Shown,
        now: Timestamp,
    ) -> Result<Draft<Confirmed>, SignupError> {
        if holder.standing == Standing::Closed {
            return Err(SignupError::AccountClosed);
        }
        let own = record.body.confirmed_at.is_some() && record.body.known.is_none();
        let after = Signup {
            known: if own { None } else { Some(holder.id) },
            confirmed_at: record.body.confirmed_at.or(Some(now)),
            ..record.body.clone()
        };
        let unit = unit.replace::<Signups>(&after.id, record.version, &after)?;
        let unit = unit.event("signup.known", after.id, json!({ "customer_id": holder.id }));
        let (unit, visit) = match shown {
            Shown::Code => {
                let draft = self.0.people.begin_customer_visit_in(unit, &holder, now).await?;
                (draft.unit, Some(draft.value))
            }
            Shown::LinkHere | Shown::Link => (unit, None),
        };
        let confirmed = Confirmed {
            subscriber: holder.id,
            customer_number: holder.customer_number.clone(),
            portal_id: holder.portal_id.clone(),
            already_customer: !own,
            portal_password: None,
            service: after.service_id,
            outcome: ConfirmOutcome::Active,
            visit,
        };
        Ok(Draft::new(unit, confirmed))
    }

    /// The address is nobody's yet: subscriber, service and, where nothing stands against it, the task.
    async fn joins(
        &self,
        unit: Unit,
        record: &Record<Signups>,
        shown: Shown,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Draft<Confirmed>, SignupError> {
        let signup = &record.body;
        let plan = self.plan_to_sign_up_for(&signup.plan_id.to_string()).await?;
        // The terms that were shown when it was chosen.
        let plan = Plan { terms: signup.terms.clone(), code: signup.plan_code.clone(), ..plan };
        let wanted = NewSubscriber {
            id: Some(SubscriberId(signup.id.0)),
            details: details(signup),
            portal: match (&signup.portal_password, shown) {
                (Some(chosen), Shown::Code | Shown::LinkHere) => PortalPassword::Chosen(chosen.clone()),
                (Some(_), Shown::Link) | (None, _) => PortalPassword::Make,
            },
        };
        let entered = self.0.subscribers.enter_in(unit, actor, wanted, now).await?;
        let subscriber = entered.value.subscriber;
        let new = NewService {
            customer: subscriber.id.to_string(),
            plan: plan.id.to_string(),
            username: None,
            password: None,
            addresses: Addresses::default(),
        };
        let (services, provisioning) = (&self.0.catalogue.services, &self.0.catalogue.provisioning);
        let (mut service, _) = services.make(&subscriber, &plan, new, now).await?;
        let task = match is_free(&signup.terms) {
            true => Some(provisioning.new_task(&mut service, now)?),
            false => None,
        };
        let mut unit = services.entered(entered.unit, actor, &service, now)?;
        if let Some(task) = &task {
            unit = provision::begun(unit, task)?;
        }
        let after = Signup { confirmed_at: Some(now), service_id: Some(service.id), ..signup.clone() };
        let payload = json!({ "customer_id": subscriber.id, "service_id": service.id });
        let mut unit = unit.replace::<Signups>(&after.id, record.version, &after)?.event(
            "signup.confirmed",
            after.id,
            payload,
        );
        let mut visit = None;
        if shown == Shown::Code {
            let draft = self.0.people.begin_customer_visit_in(unit, &subscriber, now).await?;
            (unit, visit) = (draft.unit, Some(draft.value));
        }
        let confirmed = Confirmed {
            subscriber: subscriber.id,
            customer_number: subscriber.customer_number.clone(),
            portal_id: subscriber.portal_id.clone(),
            already_customer: false,
            portal_password: entered.value.portal_password,
            service: Some(service.id),
            outcome: waits_for(&signup.terms),
            visit,
        };
        Ok(Draft::new(unit, confirmed))
    }

    /// After the commit: waits for the service, a little, and brings the device online.
    async fn carried_out(
        &self,
        confirmed: Confirmed,
        device: Option<&Device>,
        now: Timestamp,
    ) -> Result<Confirmed, SignupError> {
        let outcome = match (confirmed.already_customer, confirmed.service) {
            (true, _) => self.online_or(ConfirmOutcome::Active, confirmed.subscriber, device, now).await,
            (false, Some(service))
                if self.begins_with_a_trial(service, confirmed.subscriber, now).await
                    || self.waits_for_nothing(service).await? =>
            {
                self.0.catalogue.provisioning.wake();
                match self.active_soon(service).await? {
                    // Later than the request: what begins at the activation is in force now.
                    Some(at) => {
                        let ready = ConfirmOutcome::Active;
                        self.online_or(ready, confirmed.subscriber, device, at.max(now)).await
                    }
                    None => ConfirmOutcome::Provisioning,
                }
            }
            (false, Some(service)) => {
                self.waits_here(service, device, now).await?;
                self.stands(service).await?
            }
            (false, None) => confirmed.outcome,
        };
        Ok(Confirmed { outcome, ..confirmed })
    }

    /// The device that signed up goes online by itself once the service is paid.
    async fn waits_here(
        &self,
        service: ServiceId,
        device: Option<&Device>,
        now: Timestamp,
    ) -> Result<(), SignupError> {
        let Some(device) = device else { return Ok(()) };
        if let Some(record) = self.0.store.get::<Services>(&service).await? {
            let waiting = super::resume::waiting(device, &record.body, now);
            self.wait_for_money(waiting, Refusal::NothingPaid).await;
        }
        Ok(())
    }

    async fn online_or(
        &self,
        otherwise: ConfirmOutcome,
        subscriber: SubscriberId,
        device: Option<&Device>,
        now: Timestamp,
    ) -> ConfirmOutcome {
        let Some(device) = device else { return otherwise };
        match self.connect(subscriber, device, now).await {
            Ok(session) => ConfirmOutcome::Online(session),
            Err(why) => ConfirmOutcome::NotOnline(why),
        }
    }

    /// Begins the plan's trial, where it has one that this subscriber may have.
    async fn begins_with_a_trial(
        &self,
        service: ServiceId,
        subscriber: SubscriberId,
        now: Timestamp,
    ) -> bool {
        match self.0.billing.till.begin_trial(service, subscriber, now).await {
            Ok(begun) => begun,
            // Payment is asked for instead; staff can read why in the log.
            Err(error) => {
                tracing::info!(%error, "A trial was not begun");
                false
            }
        }
    }

    async fn waits_for_nothing(&self, service: ServiceId) -> Result<bool, SignupError> {
        let record = self.0.store.get::<Services>(&service).await?;
        Ok(record.is_some_and(|record| record.body.phase != Phase::Pending))
    }

    async fn stands(&self, service: ServiceId) -> Result<ConfirmOutcome, SignupError> {
        let record = self.0.store.get::<Services>(&service).await?;
        Ok(record.map_or(ConfirmOutcome::Provisioning, |record| waits_for(&record.body.terms)))
    }

    /// Waits until the service is active, at most [`PATIENCE`]; gives the time then.
    async fn active_soon(&self, service: ServiceId) -> Result<Option<Timestamp>, SignupError> {
        let active = async {
            loop {
                let seen = self.0.store.last_seq();
                let record = self.0.store.get::<Services>(&service).await?;
                match record.map(|record| record.body.phase) {
                    Some(Phase::Active) => return Ok(true),
                    Some(Phase::Provisioning) => {}
                    // It cannot be, or staff were faster.
                    Some(Phase::Pending | Phase::Ended) | None => return Ok(false),
                }
                self.0.store.wait(seen).await?;
            }
        };
        let active: Result<bool, SignupError> =
            tokio::time::timeout(PATIENCE, active).await.unwrap_or(Ok(false));
        Ok(active?.then(|| self.0.clock.now()))
    }
}

/// A code that was used counts once more where it was typed, whose answer may have been lost; elsewhere for a
/// moment only, since it begins a visit.
fn must_be_no_late_repeat(
    signup: &Signup,
    place: SignupPlace<'_>,
    now: Timestamp,
) -> Result<(), SignupError> {
    let is_late = signup.confirmed_at.is_some_and(|at| now.duration_since(at) > REPEAT_WITHIN);
    if is_late && !is_from(signup, place) { Err(SignupError::Code(CodeRefusal::TooOld)) } else { Ok(()) }
}

/// Whether a request comes from the device or the browser that signed up.
fn is_from(signup: &Signup, place: SignupPlace<'_>) -> bool {
    let is_browser = place.browser.is_some() && place.browser == signup.browser.as_deref();
    is_browser || place.device.is_some_and(|device| Some(device.key()) == signup.device)
}

/// What a service under these terms waits for after it was made.
const fn waits_for(terms: &PlanTerms) -> ConfirmOutcome {
    // What is paid after is given by somebody who trusts that it will be.
    let is_trust = matches!(terms.billing.mode, Some(BillingMode::Postpaid)) && !is_free(terms);
    if terms.requires_approval || is_trust {
        ConfirmOutcome::AwaitsApproval
    } else if is_free(terms) {
        ConfirmOutcome::Provisioning
    } else {
        ConfirmOutcome::AwaitsPayment
    }
}

fn details(signup: &Signup) -> Details {
    Details {
        customer_number: None,
        first_name: signup.first_name.clone(),
        last_name: signup.last_name.clone(),
        email: Some(signup.email.clone()),
        phone: signup.phone.clone(),
        language: None,
        billing_address: signup.service_address.clone(),
        service_address: signup.service_address.clone(),
        category: Category::Residential,
        standing: Standing::Open,
    }
}

/// A client repeats a request whose answer was lost within seconds.
const REPEAT_WITHIN: SignedDuration = SignedDuration::from_secs(60);
/// How long somebody who typed a code waits for the service: provisioning takes some ten commits.
const PATIENCE: Duration = Duration::from_secs(5);
