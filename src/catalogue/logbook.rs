//! The logbook: network sessions and the answers to logins, as staff look at them.
//!
//! It only reads; `access` writes both. The one rule: a list starts from the narrowest declared
//! index, newest first, and says when it did not look at everything.

use jiff::Timestamp;

use super::fault::Fault;
use super::services;
use crate::domain::auth_event::AuthEvent;
use crate::domain::ids::{NasId, ServiceId, SessionId, SubscriberId};
use crate::domain::session::{Counters, Session};
use crate::store::Store;
use crate::store::contract::{IndexValue, Range, Record};
use crate::store::listing::{self, Listed, Walk, Window};
use crate::store::tables;

/// The reading of sessions and authentication events.
#[derive(Debug, Clone)]
pub struct Logbook {
    store: Store,
}

/// A session with its counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// The record.
    pub session: Session,
    /// What it used.
    pub counters: Counters,
}

/// Which sessions a list holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// Only those that are, or are not, open.
    pub open: Option<bool>,
    /// Only this customer's: id or customer number.
    pub customer: Option<String>,
    /// Only this service's: id, number or login.
    pub service: Option<String>,
    /// Only this NAS's.
    pub nas: Option<NasId>,
    /// Only those of this login, without case.
    pub username: Option<String>,
}

/// Which authentication events a list holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only those of this login, without case.
    pub username: Option<String>,
    /// Only refusals of this code.
    pub refusal: Option<String>,
    /// Only this service's: id, number or login.
    pub service: Option<String>,
    /// Only accepts, or only refusals.
    pub accepted: Option<bool>,
    /// Only those that were last seen at or after this.
    pub since: Option<Timestamp>,
}

/// A filter with its references found.
struct Wanted<'a> {
    filter: &'a SessionFilter,
    subscriber: Option<SubscriberId>,
    service: Option<ServiceId>,
}

impl Logbook {
    /// The reading over a store.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// The sessions that fit, newest first.
    ///
    /// # Errors
    /// `NotFound` of what to filter by; a read that failed.
    pub async fn sessions(
        &self,
        filter: &SessionFilter,
        window: Window,
    ) -> Result<Listed<SessionView>, Fault> {
        let wanted = self.wanted(filter).await?;
        let fits = |record: &Record<tables::Sessions>| wanted.fits(&record.body);
        let walk = Walk::newest_first(wanted.range());
        let listed = if wanted.is_range() {
            listing::window::<tables::Sessions>(&self.store, walk, window).await?
        } else {
            listing::list::<tables::Sessions>(&self.store, walk, window, fits).await?
        };
        Ok(listed.map(SessionView::of))
    }

    /// One session.
    ///
    /// # Errors
    /// `NotFound`; a read that failed.
    pub async fn session(&self, reference: &str) -> Result<SessionView, Fault> {
        let not_found = || Fault::not_found("session", reference);
        let id: SessionId = reference.parse().map_err(|_| not_found())?;
        self.store.get::<tables::Sessions>(&id).await?.map(SessionView::of).ok_or_else(not_found)
    }

    /// The authentication events that fit, newest first.
    ///
    /// # Errors
    /// `NotFound` of the service to filter by; a read that failed.
    pub async fn auth_events(
        &self,
        filter: &EventFilter,
        window: Window,
    ) -> Result<Listed<AuthEvent>, Fault> {
        let service = match &filter.service {
            Some(reference) => Some(services::find(&self.store, reference).await?.body.id),
            None => None,
        };
        let fits = |record: &Record<tables::AuthEvents>| filter.fits(&record.body, service);
        let walk = Walk::newest_first(filter.range(service));
        let listed = if filter.is_range(service) {
            listing::window::<tables::AuthEvents>(&self.store, walk, window).await?
        } else {
            listing::list::<tables::AuthEvents>(&self.store, walk, window, fits).await?
        };
        Ok(listed.map(|record| record.body))
    }

    async fn wanted<'a>(&self, filter: &'a SessionFilter) -> Result<Wanted<'a>, Fault> {
        let subscriber = match &filter.customer {
            Some(reference) => Some(services::find_subscriber(&self.store, reference).await?.body.id),
            None => None,
        };
        let service = match &filter.service {
            Some(reference) => Some(services::find(&self.store, reference).await?.body.id),
            None => None,
        };
        Ok(Wanted { filter, subscriber, service })
    }
}

impl SessionView {
    pub(crate) fn of(record: Record<tables::Sessions>) -> Self {
        Self { counters: Counters::from_slice(&record.counters), session: record.body }
    }
}

impl Wanted<'_> {
    fn range(&self) -> Range {
        match (self.service, self.subscriber, self.filter.open) {
            (Some(id), _, _) => Range::Equals("service_id", id.to_string().into()),
            (None, Some(id), _) => Range::Equals("subscriber_id", id.to_string().into()),
            (None, None, Some(true)) => whole("open_since"),
            (None, None, Some(false) | None) => whole("opened_at"),
        }
    }

    /// Whether everything in the range is wanted.
    fn is_range(&self) -> bool {
        let SessionFilter { open, nas, username, .. } = self.filter;
        let by_whom = usize::from(self.service.is_some()) + usize::from(self.subscriber.is_some());
        let open_too = *open == Some(false) || (*open == Some(true) && by_whom > 0);
        by_whom <= 1 && !open_too && nas.is_none() && username.is_none()
    }

    fn fits(&self, session: &Session) -> bool {
        let filter = self.filter;
        let open = filter.open.is_none_or(|open| session.closed_at.is_none() == open);
        let owner = self.subscriber.is_none_or(|id| session.subscriber_id == Some(id));
        let service = self.service.is_none_or(|id| session.service_id == Some(id));
        let nas = filter.nas.is_none_or(|id| session.nas_id == id);
        let login = filter.username.as_ref().is_none_or(|login| is_login(&session.username, login));
        open && owner && service && nas && login
    }
}

impl EventFilter {
    fn range(&self, service: Option<ServiceId>) -> Range {
        if let Some(id) = service {
            return Range::Equals("service_id", id.to_string().into());
        }
        if let Some(username) = &self.username {
            return Range::Equals("username", username.to_lowercase().into());
        }
        if let Some(refusal) = &self.refusal {
            return Range::Equals("refusal", refusal.as_str().into());
        }
        whole("at")
    }

    /// Whether everything in the range is wanted.
    fn is_range(&self, service: Option<ServiceId>) -> bool {
        let filters = [service.is_some(), self.username.is_some(), self.refusal.is_some()];
        filters.into_iter().filter(|is_there| *is_there).count() <= 1
            && self.accepted.is_none()
            && self.since.is_none()
    }

    fn fits(&self, event: &AuthEvent, service: Option<ServiceId>) -> bool {
        let login = self.username.as_ref().is_none_or(|login| is_login(&event.username, login));
        let owner = service.is_none_or(|id| event.service_id == Some(id));
        let code = event.refusal.map(|refusal| refusal.code());
        let refusal = self.refusal.as_deref().is_none_or(|wanted| code == Some(wanted));
        let result = self.accepted.is_none_or(|accepted| code.is_none() == accepted);
        let since = self.since.is_none_or(|since| event.last_at >= since);
        login && owner && refusal && result && since
    }
}

fn is_login(login: &str, wanted: &str) -> bool {
    login.to_lowercase() == wanted.to_lowercase()
}

fn whole(index: &'static str) -> Range {
    Range::Between(index, IndexValue::Integer(i64::MIN), IndexValue::Integer(i64::MAX))
}
