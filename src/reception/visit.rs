//! A subscriber logs in, looks at their account, leaves.

use jiff::Timestamp;
use serde_json::json;

use super::{Beside, MOST_DRAFTS, Reception, Unconnected};
use crate::base::entropy::EntropyError;
use crate::base::secret::Secret;
use crate::catalogue::Window;
use crate::catalogue::fault::Fault;
use crate::catalogue::logbook::SessionView;
use crate::catalogue::plans::PlanFilter;
use crate::catalogue::standing::CustomerStatus;
use crate::domain::audit::Actor;
use crate::domain::device::Device;
use crate::domain::entitlement::{Entitlement, Facts, Usage, entitle};
use crate::domain::ids::{SessionId, SubscriberId};
use crate::domain::plan::Plan;
use crate::domain::refusal::Refusal;
use crate::domain::service::{Interval, IntervalState, Phase, Service};
use crate::domain::subscriber::Subscriber;
use crate::notify::{Bulletin, News, NotifyError};
use crate::people::customers::CheckedCustomer;
use crate::people::subscribers::SubscriberError;
use crate::people::{BegunCustomerVisit, CustomerCredentials, CustomerVisitor, IdentifyError, PeopleError};
use crate::store::contract::{CommitError, Page, Range, ReadError, Unit};
use crate::store::tables::{Sessions, Subscribers};

/// A subscriber who has logged in.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Their visit, with its token.
    pub visit: BegunCustomerVisit,
    /// Who they are.
    pub subscriber: Subscriber,
    /// What their device is to present next time, so that others' attempts do not count against it.
    pub device: String,
    /// Their session; `Err(NotHere)` where no device asked.
    pub online: Result<SessionId, Unconnected>,
}

/// What a subscriber sees of their account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Who.
    pub subscriber: Subscriber,
    /// How they stand.
    pub status: CustomerStatus,
    /// The service that counts: one for the Internet that may be online, or else the newest that has not
    /// ended.
    pub service: Option<AccountService>,
    /// Sessions, newest first, at most [`MOST_SESSIONS`].
    pub sessions: Vec<SessionView>,
}

/// A service as its subscriber sees it.
#[derive(Debug, Clone)]
pub struct AccountService {
    /// The record.
    pub service: Service,
    /// How it stands, in one word.
    pub status_word: &'static str,
    /// What it may do now, or why nothing.
    pub verdict: Result<Entitlement, Refusal>,
    /// What it used in the current period.
    pub usage: Usage,
    /// The current period, or the last one.
    pub period: (Option<Timestamp>, Option<Timestamp>),
}

impl AccountService {
    /// Whether its plan has more data or time to buy on top of a running period.
    #[must_use]
    pub const fn can_add(&self) -> bool {
        !self.service.terms.usage.top_ups.is_empty()
    }
}

/// Why a subscriber got no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReceptionError {
    /// A refused login, or a fault behind it.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// There is no such subscriber.
    #[error("there is no such subscriber")]
    NotFound,
    /// A change of their record that cannot be made.
    #[error(transparent)]
    Subscriber(#[from] SubscriberError),
    /// Ours: plans or services.
    #[error(transparent)]
    Catalogue(#[from] Fault),
    /// Ours: a read failed.
    #[error("the store could not be read")]
    Read(#[from] ReadError),
    /// Ours: a change was not taken.
    #[error("the store could not commit")]
    Commit(#[from] CommitError),
    /// Ours: no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

impl From<NotifyError> for ReceptionError {
    fn from(error: NotifyError) -> Self {
        match error {
            NotifyError::Read(error) => error.into(),
            NotifyError::Commit(error) => error.into(),
            NotifyError::Entropy(error) => error.into(),
            NotifyError::Vault(error) => CommitError::Unavailable(error.to_string()).into(),
        }
    }
}

impl Reception {
    /// Logs a subscriber in, and brings the device online that they did it with. A device that cannot be
    /// online now is no reason against the visit.
    ///
    /// # Errors
    /// `People` with `WrongCredentials` or `TooMany`; faults of ours.
    pub async fn log_in(
        &self,
        presented: &CustomerCredentials,
        device: Option<&Device>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Arrived, ReceptionError> {
        let checked = match self.0.people.check_customer(presented, device, now).await {
            Err(PeopleError::WrongCredentials) => {
                self.note_wrong(&presented.identifier, device, now).await?;
                return Err(PeopleError::WrongCredentials.into());
            }
            checked => checked?,
        };
        let (visit, subscriber) = self.begin(&checked, actor, now).await?;
        let online = match device {
            Some(device) => self.connect(subscriber.id, device, now).await,
            None => Err(Unconnected::NotHere),
        };
        Ok(Arrived { visit, subscriber, device: checked.device, online })
    }

    async fn begin(
        &self,
        checked: &CheckedCustomer,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(BegunCustomerVisit, Subscriber), ReceptionError> {
        let id = checked.subscriber_id;
        let record = self.0.store.get::<Subscribers>(&id).await?.ok_or(PeopleError::WrongCredentials)?;
        let unit = checked.guard(Unit::once(self.0.entropy.uuid_v7(now)?));
        let draft = self.0.people.begin_customer_visit_in(unit, &record.body, now).await?;
        let payload = json!({ "visit_id": draft.value.visit, "by": actor.id });
        match self.commit(draft.unit.event("customer.logged_in", id, payload)).await {
            Ok(()) => Ok((draft.value, record.body)),
            // The password was changed while it was being checked.
            Err(CommitError::Conflict { .. }) => Err(PeopleError::WrongCredentials.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Who a token stands for; `None` for one that does not count, or not any more.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub async fn visitor(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<CustomerVisitor>, ReceptionError> {
        match self.0.people.identify_customer(token, now).await {
            Ok(visitor) => Ok(Some(visitor)),
            Err(IdentifyError::NotValid) => Ok(None),
            Err(IdentifyError::Read(error)) => Err(error.into()),
        }
    }

    /// Ends the visit of a token; one that has ended, or never was, is fine.
    ///
    /// # Errors
    /// Faults of ours.
    pub async fn log_out(&self, token: &str, now: Timestamp) -> Result<(), ReceptionError> {
        for _ in 1..MOST_DRAFTS {
            let draft = self.0.people.end_customer_visit(token, now).await?;
            match self.commit(draft.unit).await {
                Err(CommitError::Conflict { .. }) => {}
                known => return Ok(known?),
            }
        }
        let draft = self.0.people.end_customer_visit(token, now).await?;
        Ok(self.commit(draft.unit).await?)
    }

    /// Gives a subscriber the portal password that they want. All their visits end, and a new one begins.
    ///
    /// # Errors
    /// `People(WrongCredentials)` for a wrong present password, `Subscriber(Weak)` for a new one that is too
    /// easy; faults of ours.
    pub async fn change_password(
        &self,
        visitor: &CustomerVisitor,
        (present, wanted): (Secret, Secret),
        beside: &Beside<'_, BegunCustomerVisit>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<BegunCustomerVisit, ReceptionError> {
        let id = visitor.subscriber_id.to_string();
        let held = self.0.subscribers.get(&id).await?;
        let identifier = held.subscriber.customer_number.to_string();
        let presented = CustomerCredentials { identifier, password: present, device: None, source: None };
        let checked = self.0.people.check_customer(&presented, None, now).await?;
        if checked.subscriber_id != visitor.subscriber_id {
            return Err(PeopleError::WrongCredentials.into());
        }
        let version = Some(held.version);
        let set = self.0.subscribers.reset_portal_password(actor, &id, version, Some(wanted), now).await?;
        let unit = checked.guard(set.unit);
        let draft = self.0.people.begin_customer_visit_in(unit, &set.value.subscriber, now).await?;
        // Whoever did not do it themselves is to know at once.
        let (bulletin, news) = (Bulletin::new(self.0.post.clone()), News::PasswordChanged { at: now });
        let unit = bulletin.queue_for(draft.unit, &set.value.subscriber, &news, now).await?;
        self.commit(beside(unit, &draft.value)?).await?;
        bulletin.wake();
        Ok(draft.value)
    }

    /// A subscriber's account as they see it.
    ///
    /// # Errors
    /// `NotFound`; faults of ours.
    pub async fn account(&self, subscriber: SubscriberId, now: Timestamp) -> Result<Account, ReceptionError> {
        let view = match self.0.catalogue.directory.get(&subscriber.to_string(), now).await {
            Err(Fault::NotFound { .. }) => return Err(ReceptionError::NotFound),
            known => known?,
        };
        let chosen = chosen(view.services.iter().map(|one| &one.service), now);
        let service = match chosen.cloned() {
            Some(service) => Some(self.account_service(service, &view.subscriber, now).await?),
            None => None,
        };
        let sessions = self.sessions_of(subscriber).await?;
        Ok(Account { subscriber: view.subscriber, status: view.status, service, sessions })
    }

    /// The plans that can be signed up for.
    ///
    /// # Errors
    /// Faults of ours.
    pub async fn public_plans(&self) -> Result<Vec<Plan>, ReceptionError> {
        let filter = PlanFilter { public_only: true, ..PlanFilter::default() };
        let listed = self.0.catalogue.plans.list(&filter, Window { offset: 0, limit: MOST_PLANS }).await?;
        Ok(listed.items.into_iter().map(|kept| kept.body).filter(can_be_signed_up_for).collect())
    }

    async fn account_service(
        &self,
        service: Service,
        owner: &Subscriber,
        now: Timestamp,
    ) -> Result<AccountService, ReceptionError> {
        let used = self.0.catalogue.services.used(&service, now).await?;
        let zone = self.0.catalogue.services.zone();
        let verdict = entitle(&Facts::of(&service, owner.standing, used, zone), now);
        let usage = used.period;
        let status_word = match (service.phase, &verdict) {
            (Phase::Pending | Phase::Provisioning, _) => "pending",
            (Phase::Ended, _) => "cancelled",
            (Phase::Active, Ok(_)) => "active",
            (Phase::Active, Err(_)) => "suspended",
        };
        let period = period(&service.intervals, now);
        Ok(AccountService { service, status_word, verdict, usage, period })
    }

    async fn sessions_of(&self, subscriber: SubscriberId) -> Result<Vec<SessionView>, ReadError> {
        let range = Range::Equals("subscriber_id", subscriber.to_string().into());
        let page = Page { after: None, limit: MOST_SESSIONS, reverse: true };
        let records = self.0.store.scan::<Sessions>(range, page).await?.records;
        Ok(records.into_iter().map(SessionView::of).collect())
    }
}

/// Whether strangers may sign up for a plan: the kind that this box brings online.
pub(super) fn can_be_signed_up_for(plan: &Plan) -> bool {
    plan.is_active && plan.is_public && plan.terms.service_type.reaches_the_internet()
}

/// The service that counts for a subscriber: of those for the Internet the newest that is paid for now, else
/// the newest that has not ended, else the newest.
fn chosen<'a>(services: impl Iterator<Item = &'a Service>, now: Timestamp) -> Option<&'a Service> {
    let paid = |one: &Service| one.intervals.iter().any(|interval| interval.covers(now));
    services
        .filter(|one| one.terms.service_type.reaches_the_internet())
        .max_by_key(|one| (one.phase == Phase::Active && paid(one), one.phase != Phase::Ended, one.id))
}

/// The interval that covers `now`, or the last that was.
fn period(intervals: &[Interval], now: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
    let current = intervals.iter().filter(|one| one.covers(now)).min_by_key(|one| one.from);
    let counts = |one: &&Interval| one.state == IntervalState::Active;
    let one = current.or_else(|| intervals.iter().filter(counts).max_by_key(|one| one.from));
    (one.map(|one| one.from), one.and_then(|one| one.until))
}

/// Sessions that an account shows: some days of a usual device.
pub const MOST_SESSIONS: usize = 20;
/// Plans that a stranger chooses among: more than fit on a phone's page.
const MOST_PLANS: usize = 100;
