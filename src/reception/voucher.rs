//! Somebody uses a voucher: a stranger who gets online by it, a subscriber who extends what they have, a NAS whose
//! user typed it.
//!
//! A stranger's first use makes a subscriber and a service in the same unit that marks the voucher as used; from
//! then on the code is the login of that service. The one rule: many first uses at once are one, because the unit
//! expects the voucher unused.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Beside, MOST_DRAFTS, Reception, Unconnected};
use crate::access::{FirstUse, VoucherLogins};
use crate::base::entropy::EntropyError;
use crate::base::secret::Secret;
use crate::billing::fault::BillingError;
use crate::billing::voucher::list::{VoucherFilter, VoucherView};
use crate::billing::voucher::usage::Found;
use crate::catalogue::Window;
use crate::catalogue::fault::Fault;
use crate::catalogue::services::NewService;
use crate::domain::audit::Actor;
use crate::domain::device::Device;
use crate::domain::ids::{BatchId, ServiceId, SessionId, SubscriberId};
use crate::domain::owed::OwedChange;
use crate::domain::plan::Plan;
use crate::domain::refusal::Refusal;
use crate::domain::service::{Addresses, Phase, Service};
use crate::domain::subscriber::{Address, Category, Standing, Subscriber};
use crate::domain::text::{Line, TextError, Username};
use crate::domain::voucher::{VoucherRefusal, VoucherUse};
use crate::domain::voucher_code::VoucherCode;
use crate::people::subscribers::{Details, NewSubscriber, PortalPassword, SubscriberError};
use crate::people::{BegunCustomerVisit, PeopleError};
use crate::store::contract::{CommitError, ReadError, Unit};
use crate::store::listing::Listed;
use crate::store::tables::Subscribers;
use crate::store::voucher_key::VoucherKey;

/// Who uses a code.
#[derive(Debug, Clone, Copy)]
pub struct Redeemer<'a> {
    /// The subscriber, where somebody is logged in; their service gets what the voucher gives.
    pub subscriber: Option<SubscriberId>,
    /// The device that is to go online.
    pub device: Option<&'a Device>,
    /// What they cannot leave without cost: wrong codes are counted by it.
    pub source: &'a str,
    /// Whether a visit begins for a stranger, so that their browser is known.
    pub begins_visit: bool,
}

/// What a code came to.
#[derive(Debug, Clone)]
pub struct Redeemed {
    /// The voucher's number.
    pub serial: String,
    /// Whether this was its first use.
    pub is_first: bool,
    /// The service that has what it gave.
    pub service: ServiceId,
    /// Whose.
    pub subscriber: SubscriberId,
    /// The plan's name.
    pub plan: String,
    /// When what it gives begins.
    pub from: Timestamp,
    /// When that ends.
    pub until: Timestamp,
    /// The visit of a stranger.
    pub visit: Option<BegunCustomerVisit>,
    /// Whether the device is online now; `Err(NotHere)` where no device asked.
    pub online: Result<SessionId, Unconnected>,
}

/// Why a code came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError {
    /// The code is not taken.
    #[error("the voucher is not taken: {}", .0.code())]
    Refused(VoucherRefusal),
    /// No code is looked at for so long.
    #[error("too many wrong codes; wait {} s", .0.as_secs())]
    TooMany(SignedDuration),
    /// A rule of the business, or a fault of ours.
    #[error(transparent)]
    Billing(#[from] BillingError),
    /// Ours: subscriber.
    #[error(transparent)]
    Subscriber(#[from] SubscriberError),
    /// Ours: visit.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// Ours: service.
    #[error(transparent)]
    Catalogue(#[from] Fault),
    /// Ours: a read.
    #[error("the store could not be read")]
    Read(#[from] ReadError),
    /// Ours: a change was not taken.
    #[error("the store could not commit")]
    Commit(#[from] CommitError),
    /// Ours: a text that cannot be a name.
    #[error("a voucher's name cannot be written down: {0}")]
    Text(#[from] TextError),
    /// Ours: no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// What a revocation left to others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StillOpen {
    /// Sessions at other NAS that must end there: they are owed until this box can tell them, or they report an end.
    pub at_nas: usize,
}

impl Reception {
    /// Uses a code: the first time for good, afterwards as the login that it has become. A repeat by whoever has
    /// what it gave answers the same.
    ///
    /// # Errors
    /// `Refused` with a reason, `TooMany`; a rule of the business; faults of ours.
    pub async fn redeem(
        &self,
        code: &VoucherCode,
        who: Redeemer<'_>,
        beside: &Beside<'_, Redeemed>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Redeemed, RedeemError> {
        let redeemed = self.redeem_counted(code, who, beside, actor, now).await;
        metrics::counter!("voucher_redemptions_total", "outcome" => outcome(&redeemed)).increment(1);
        let redeemed = redeemed?;
        let Some(device) = who.device else { return Ok(redeemed) };
        let online = self.connect(redeemed.subscriber, device, now).await;
        Ok(Redeemed { online, ..redeemed })
    }

    async fn redeem_counted(
        &self,
        code: &VoucherCode,
        who: Redeemer<'_>,
        beside: &Beside<'_, Redeemed>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Redeemed, RedeemError> {
        let tried = self.vouchers().may_try(who.source, now).map_err(RedeemError::TooMany)?;
        for _ in 0..MOST_DRAFTS {
            let Some(found) = self.vouchers().find(code).await? else {
                tried.was_wrong(now);
                return Err(RedeemError::Refused(VoucherRefusal::Unknown));
            };
            let drafted = match &found.voucher.used {
                Some(used) => self.used_before(&found, used.clone(), who, now).await,
                None => {
                    found.voucher.can_be_used(&found.batch, now).map_err(RedeemError::Refused)?;
                    self.first_use(code, &found, who, actor, now).await
                }
            };
            let (unit, redeemed) = match drafted {
                // A number that somebody else took in this moment.
                Err(RedeemError::Subscriber(SubscriberError::Taken { .. })) => continue,
                drafted => drafted?,
            };
            match self.commit(beside(unit, &redeemed)?).await {
                Ok(()) => return Ok(redeemed),
                Err(CommitError::Conflict { .. } | CommitError::Taken { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict { collection: "vouchers", key: "by code".to_owned() }.into())
    }

    /// The code of a voucher that was used: its own service's login, or nothing for anybody but who has it.
    async fn used_before(
        &self,
        found: &Found,
        used: VoucherUse,
        who: Redeemer<'_>,
        now: Timestamp,
    ) -> Result<(Unit, Redeemed), RedeemError> {
        match found.voucher.can_be_used(&found.batch, now) {
            Err(VoucherRefusal::Used) | Ok(()) => {}
            Err(refusal) => return Err(RedeemError::Refused(refusal)),
        }
        if self.is_spent(used.service_id, now) {
            return Err(RedeemError::Refused(VoucherRefusal::Exhausted));
        }
        let is_theirs = who.subscriber.is_some_and(|subscriber| subscriber == used.subscriber_id);
        if !is_theirs && !used.is_own {
            return Err(RedeemError::Refused(VoucherRefusal::Used));
        }
        let owner = self.0.store.get::<Subscribers>(&used.subscriber_id).await?;
        let Some(owner) = owner.filter(|owner| owner.body.standing == Standing::Open) else {
            return Err(RedeemError::Refused(VoucherRefusal::Revoked));
        };
        let mut redeemed = told(found, &used, false);
        let mut unit = Unit::once(self.0.entropy.uuid_v7(now)?);
        if who.begins_visit && !is_theirs {
            let draft = self.0.people.begin_customer_visit_in(unit, &owner.body, now).await?;
            (unit, redeemed.visit) = (draft.unit, Some(draft.value));
        }
        Ok((unit, redeemed))
    }

    async fn first_use(
        &self,
        code: &VoucherCode,
        found: &Found,
        who: Redeemer<'_>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(Unit, Redeemed), RedeemError> {
        let unit = Unit::once(self.0.entropy.uuid_v7(now)?);
        let Some(subscriber) = who.subscriber else {
            return self.stranger(unit, (code, found), who, actor, now).await;
        };
        let owner = self.0.store.get::<Subscribers>(&subscriber).await?;
        let owner = owner.ok_or_else(|| BillingError::not_found("customer", subscriber))?.body;
        let is_stranger = is_stranger(&owner);
        let mut live = self.services_of(&owner).await?;
        live.retain(is_live);
        // Time of another plan queues: it begins where what is paid for ends.
        let (mut from, mut has_time) = (now, false);
        for one in &live {
            let begins = self.vouchers().begins(one, now)?;
            (from, has_time) = (from.max(begins), has_time || begins > now);
        }
        if is_stranger && !has_time {
            return self.stranger(unit, (code, found), who, actor, now).await;
        }
        let same = live.iter().rev().find(|one| one.plan_id == found.batch.plan_id);
        let (unit, used) = match same {
            Some(service) => self.vouchers().give_in(unit, found, (service.id, is_stranger), now).await?,
            None => {
                let code = is_stranger.then_some(code);
                self.own_service(unit, (code, found), &owner, (from, is_stranger), actor, now).await?
            }
        };
        Ok((unit, told(found, &used, true)))
    }

    /// A stranger: a subscriber and a service are made, and the code is their login.
    async fn stranger(
        &self,
        unit: Unit,
        (code, found): (&VoucherCode, &Found),
        who: Redeemer<'_>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(Unit, Redeemed), RedeemError> {
        let wanted =
            NewSubscriber { id: None, details: stranger_details(found)?, portal: PortalPassword::Later };
        let entered = self.0.subscribers.enter_in(unit, actor, wanted, now).await?;
        let subscriber = entered.value.subscriber;
        let code = Some(code);
        let (mut unit, used) =
            self.own_service(entered.unit, (code, found), &subscriber, (now, true), actor, now).await?;
        let mut redeemed = told(found, &used, true);
        if who.begins_visit {
            let draft = self.0.people.begin_customer_visit_in(unit, &subscriber, now).await?;
            (unit, redeemed.visit) = (draft.unit, Some(draft.value));
        }
        Ok((unit, redeemed))
    }

    /// A service under the voucher's terms, active at once: whoever sold it approved it.
    async fn own_service(
        &self,
        unit: Unit,
        (code, found): (Option<&VoucherCode>, &Found),
        owner: &Subscriber,
        begin: (Timestamp, bool),
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(Unit, VoucherUse), RedeemError> {
        let batch = &found.batch;
        let plan = Plan {
            id: batch.plan_id,
            code: batch.plan_code.clone(),
            is_active: true,
            is_public: false,
            terms: batch.terms.clone(),
            created_at: batch.created_at,
            updated_at: batch.created_at,
        };
        let new = NewService {
            customer: owner.id.to_string(),
            plan: plan.id.to_string(),
            username: code.map(|code| Username::parse(&self.vouchers().handle(code))).transpose()?,
            password: code.map(|code| Secret::from_text(code.canonical())),
            addresses: Addresses::default(),
        };
        let services = &self.0.catalogue.services;
        let (service, _) = services.make(owner, &plan, new, now).await?;
        let (service, used) = self.vouchers().begun_with(found, service, begin, now)?;
        let unit = services.entered(unit, actor, &service, now)?;
        let payload = json!({ "customer_id": service.subscriber_id, "voucher": found.serial() });
        let unit = unit.event("service.activated", service.id, payload);
        Ok((self.vouchers().use_in(unit, found, used.clone())?, used))
    }

    /// The vouchers that fit.
    ///
    /// # Errors
    /// `NotFound` of the batch to filter by; a read that failed.
    pub async fn list_vouchers(
        &self,
        filter: &VoucherFilter,
        window: Window,
        now: Timestamp,
    ) -> Result<Listed<VoucherView>, BillingError> {
        let is_spent = |service| self.is_spent(service, now);
        self.vouchers().vouchers(filter, window, &is_spent, now).await
    }

    /// How a voucher stands.
    #[must_use]
    pub fn view_voucher(&self, found: Found, now: Timestamp) -> VoucherView {
        let is_spent = |service| self.is_spent(service, now);
        self.vouchers().view(found, &is_spent, now)
    }

    /// After a voucher was taken back: what its service has open is ended, here at once; what is open at other NAS
    /// is counted, since it is owed.
    pub async fn cut(&self, service: ServiceId) -> StillOpen {
        if let Some(enforcer) = &self.0.enforcer
            && let Err(error) = enforcer.carry_out(service.0).await
        {
            // The event of the commit wakes the gateway's worker as well, which tries again.
            tracing::warn!(%error, "A service whose voucher was taken back is not out of the gateway yet");
        }
        let open = self.0.access.sessions_of(service);
        StillOpen { at_nas: open.iter().filter(|session| !session.is_local).count() }
    }

    /// What other NAS still owe of a batch that was taken back: sessions of services that its vouchers paid for.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn owed_of_batch(
        &self,
        batch: BatchId,
        now: Timestamp,
    ) -> Result<Vec<OwedChange>, BillingError> {
        let mut of_batch = Vec::new();
        for owed in self.owed_changes(now) {
            if let Some(service) = owed.service
                && self.vouchers().gave_to(batch, service).await?
            {
                of_batch.push(owed);
            }
        }
        Ok(of_batch)
    }

    /// How codes become network logins: what `access` is to be given.
    #[must_use]
    pub fn voucher_logins(&self, runtime: tokio::runtime::Handle) -> VoucherLogins {
        let me = self.clone();
        let first_use: FirstUse = Box::new(move |code, source, told| {
            let me = me.clone();
            runtime.spawn(async move { told(me.use_at_nas(&code, &source).await) });
        });
        VoucherLogins { key: VoucherKey::of(&self.0.vault), first_use }
    }

    async fn use_at_nas(&self, code: &VoucherCode, source: &str) -> Result<(), Refusal> {
        let who = Redeemer { subscriber: None, device: None, source, begins_visit: false };
        let now = self.0.clock.now();
        let nothing = |unit, _: &Redeemed| Ok(unit);
        match self.redeem(code, who, &nothing, &Actor::system(), now).await {
            Ok(_) => Ok(()),
            Err(RedeemError::Refused(why)) => Err(Refusal::Voucher { why }),
            Err(RedeemError::TooMany(_)) => Err(Refusal::Voucher { why: VoucherRefusal::TooMany }),
            Err(error) => {
                tracing::error!(%error, "A voucher could not be used at a NAS");
                Err(Refusal::Busy)
            }
        }
    }

    async fn services_of(&self, owner: &Subscriber) -> Result<Vec<Service>, RedeemError> {
        let records = crate::catalogue::standing::services_of(&self.0.store, owner).await?;
        let services = records.into_iter().map(|record| record.body);
        Ok(services.filter(|one| one.terms.service_type.reaches_the_internet()).collect())
    }

    fn is_spent(&self, service: ServiceId, now: Timestamp) -> bool {
        let login = self.0.access.snapshot().service(service);
        let spent = |refusal| matches!(refusal, Refusal::QuotaSpent | Refusal::TimeSpent);
        login.is_some_and(|login| self.0.access.entitlement(&login, now).is_err_and(spent))
    }
}

fn is_live(service: &Service) -> bool {
    match service.phase {
        Phase::Active => true,
        Phase::Pending => !service.awaits_approval(),
        Phase::Provisioning | Phase::Ended => false,
    }
}

/// Whether nothing is known of somebody but vouchers.
fn is_stranger(subscriber: &Subscriber) -> bool {
    let has_no_account = subscriber.portal_password.is_none() && subscriber.email.is_none();
    has_no_account && subscriber.customer_number.as_str().starts_with(STRANGER)
}

fn told(found: &Found, used: &VoucherUse, is_first: bool) -> Redeemed {
    Redeemed {
        serial: found.serial(),
        is_first,
        service: used.service_id,
        subscriber: used.subscriber_id,
        plan: found.batch.terms.name.to_string(),
        from: used.from,
        until: used.until,
        visit: None,
        online: Err(Unconnected::NotHere),
    }
}

/// Who somebody is of whom nothing is known but a voucher.
fn stranger_details(found: &Found) -> Result<Details, TextError> {
    Ok(Details {
        customer_number: Some(crate::domain::text::Code::parse(&format!("{STRANGER}{}", found.serial()))?),
        first_name: Line::parse("Voucher")?,
        last_name: Line::parse(&found.serial())?,
        email: None,
        phone: None,
        billing_address: Address::default(),
        service_address: Address::default(),
        language: None,
        category: Category::Residential,
        standing: Standing::Open,
    })
}

fn outcome(redeemed: &Result<Redeemed, RedeemError>) -> &'static str {
    match redeemed {
        Ok(Redeemed { is_first: true, .. }) => "first",
        Ok(Redeemed { is_first: false, .. }) => "again",
        Err(RedeemError::Refused(why)) => why.code(),
        Err(RedeemError::TooMany(_)) => VoucherRefusal::TooMany.code(),
        Err(RedeemError::Billing(BillingError::Rule(_) | BillingError::NotFound { .. })) => "rule",
        Err(_) => "fault",
    }
}

/// What customer numbers of strangers begin with; the voucher's number follows.
const STRANGER: &str = "V-";
