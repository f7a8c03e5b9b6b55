//! Subscribers: entered, changed, closed. A subscriber says who someone is; whether they may be
//! online follows from their services.
//!
//! Not here: lists with how each stands (`catalogue::directory`) and their services. The one rule:
//! nothing of a subscriber is ever deleted; closing keeps the record and ends what it may do.

use jiff::Timestamp;
use serde_json::json;

use super::PeopleError;
use super::audit::{self, Deed};
use super::password::{PasswordError, Passwords, WeakPassword, check_strength};
use crate::base::entropy::{Entropy, EntropyError};
use crate::base::secret::Secret;
use crate::domain::audit::Actor;
use crate::domain::ids::SubscriberId;
use crate::domain::language::Language;
use crate::domain::subscriber::{Address, Category, Standing, Subscriber};
use crate::domain::text::{Code, Email, Line, Phone};
use crate::store::Store;
use crate::store::contract::{CommitError, ReadError, Record, Unit};
use crate::store::draft::Draft;
use crate::store::listing;
use crate::store::tables;

/// The use cases of subscribers.
#[derive(Debug, Clone)]
pub struct Subscribers {
    store: Store,
    entropy: Entropy,
    passwords: Passwords,
}

/// A subscriber as somebody wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// The ISP's own number; counted up when absent.
    pub customer_number: Option<Code>,
    /// Given name.
    pub first_name: Line,
    /// Family name.
    pub last_name: Line,
    /// E-mail address.
    pub email: Option<Email>,
    /// Telephone number.
    pub phone: Option<Phone>,
    /// What messages are written in, where it is not the site's language.
    pub language: Option<Language>,
    /// Where bills go.
    pub billing_address: Address,
    /// Where the service is.
    pub service_address: Address,
    /// What kind of customer.
    pub category: Category,
    /// Standing of the account.
    pub standing: Standing,
}

/// A subscriber to enter.
#[derive(Debug, Clone)]
pub struct NewSubscriber {
    /// The id, where it is given: that of the signup.
    pub id: Option<SubscriberId>,
    /// Who.
    pub details: Details,
    /// The portal password.
    pub portal: PortalPassword,
}

/// A subscriber just entered, with what is shown once.
#[derive(Debug, Clone)]
pub struct Entered {
    /// The record.
    pub subscriber: Subscriber,
    /// The portal password, where one was made; it cannot be read again.
    pub portal_password: Option<Secret>,
}

/// A subscriber whose portal password was just set.
#[derive(Debug, Clone)]
pub struct PasswordSet {
    /// The record.
    pub subscriber: Subscriber,
    /// The version to expect when changing it.
    pub version: u64,
    /// The portal password; it cannot be read again.
    pub portal_password: Secret,
}

/// Whether a portal password is made at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortalPassword {
    /// Make one, to be shown once.
    Make,
    /// They chose one: its verifier.
    Chosen(String),
    /// None yet; the portal cannot be entered until one is made.
    Later,
}

/// A subscriber with the version of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The record.
    pub subscriber: Subscriber,
    /// The version to expect when changing it.
    pub version: u64,
}

/// Why nothing was drafted.
#[derive(Debug, thiserror::Error)]
pub enum SubscriberError {
    /// The asker's: nobody answers to that reference.
    #[error("there is no customer {0:?}")]
    NotFound(String),
    /// The asker's: another subscriber has this value.
    #[error("{field} is already in use")]
    Taken {
        /// The field.
        field: &'static str,
    },
    /// The asker's: the record moved on since it was read.
    #[error("the customer was changed in the meantime: it is at version {is}, not {expected}")]
    Stale {
        /// The version the asker expected.
        expected: u64,
        /// The version it has.
        is: u64,
    },
    /// The asker's: the portal password is too easy to guess.
    #[error(transparent)]
    Weak(#[from] WeakPassword),
    /// Ours: no number or portal id that is free was found.
    #[error("no free {0} was found")]
    Exhausted(&'static str),
    /// Ours: no verifier could be made now.
    #[error("no portal password could be made")]
    Password(#[from] PasswordError),
    /// Ours: a read failed.
    #[error("the store did not give a customer")]
    Read(#[from] ReadError),
    /// Ours: the unit could not be made.
    #[error("the store did not take a customer")]
    Commit(#[from] CommitError),
    /// Ours: the audit entry could not be made.
    #[error("no audit entry could be made")]
    Audit(#[source] PeopleError),
    /// Ours: no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

impl Subscribers {
    /// The use cases over a store.
    #[must_use]
    pub fn new(store: Store, entropy: Entropy, passwords: Passwords) -> Self {
        Self { store, entropy, passwords: passwords.for_http() }
    }

    /// Enters a subscriber.
    ///
    /// # Errors
    /// `Taken` for e-mail and customer number; faults of ours.
    pub async fn create(
        &self,
        actor: &Actor,
        details: Details,
        now: Timestamp,
    ) -> Result<Draft<Entered>, SubscriberError> {
        let unit = Unit::once(self.entropy.uuid_v7(now)?);
        self.create_in(unit, actor, details, PortalPassword::Make, now).await
    }

    /// As [`Subscribers::create`], as part of a unit.
    ///
    /// # Errors
    /// As [`Subscribers::create`].
    pub async fn create_in(
        &self,
        unit: Unit,
        actor: &Actor,
        details: Details,
        portal: PortalPassword,
        now: Timestamp,
    ) -> Result<Draft<Entered>, SubscriberError> {
        self.enter_in(unit, actor, NewSubscriber { id: None, details, portal }, now).await
    }

    /// As [`Subscribers::create_in`], with an id that may be given.
    ///
    /// # Errors
    /// As [`Subscribers::create`].
    pub async fn enter_in(
        &self,
        unit: Unit,
        actor: &Actor,
        wanted: NewSubscriber,
        now: Timestamp,
    ) -> Result<Draft<Entered>, SubscriberError> {
        let NewSubscriber { id, details, portal } = wanted;
        self.must_be_free(&details, None).await?;
        let (unit, customer_number) = match details.customer_number {
            Some(number) => (unit, number),
            None => self.next_number(unit).await?,
        };
        let (portal_password, verifier) = match portal {
            PortalPassword::Make => {
                let made = self.made_password()?;
                let verifier = self.passwords.hash(made.clone()).await?;
                (Some(made), Some(verifier))
            }
            PortalPassword::Chosen(verifier) => (None, Some(verifier)),
            PortalPassword::Later => (None, None),
        };
        let id = id.map_or_else(|| self.entropy.uuid_v7(now).map(SubscriberId), Ok)?;
        let subscriber = Subscriber {
            credit_limit: 0,
            id,
            customer_number,
            portal_id: self.free_portal_id().await?,
            first_name: details.first_name,
            last_name: details.last_name,
            email: details.email,
            phone: details.phone,
            language: details.language,
            billing_address: details.billing_address,
            service_address: details.service_address,
            category: details.category,
            standing: details.standing,
            portal_password: verifier,
            created_at: now,
            updated_at: now,
        };
        let payload = json!({ "customer_number": subscriber.customer_number });
        let unit =
            unit.create::<tables::Subscribers>(&id, &subscriber)?.event("customer.created", id, payload);
        let unit = self.audited(unit, actor, "customer.create", None, &subscriber, now)?;
        Ok(Draft::new(unit, Entered { subscriber, portal_password }))
    }

    /// The subscriber of that id, customer number or portal id.
    ///
    /// # Errors
    /// `NotFound`; a read that failed.
    pub async fn get(&self, reference: &str) -> Result<Versioned, SubscriberError> {
        let record = self.find(reference).await?;
        Ok(Versioned { subscriber: record.body, version: record.version })
    }

    /// Changes a subscriber: `wish` makes of it as it is what it shall be.
    ///
    /// # Errors
    /// `NotFound`, `Stale`, `Taken`; what `wish` refuses; faults of ours.
    pub async fn change<E: From<SubscriberError>>(
        &self,
        actor: &Actor,
        reference: &str,
        expected: Option<u64>,
        wish: impl FnOnce(&Subscriber) -> Result<Details, E> + Send,
        now: Timestamp,
    ) -> Result<Draft<Versioned>, E> {
        let record = self.find_at(reference, expected).await?;
        let details = wish(&record.body)?;
        let unit = Unit::once(self.entropy.uuid_v7(now).map_err(SubscriberError::from)?);
        Ok(self.change_in(unit, actor, record, details, now).await?)
    }

    /// Closes an account: nothing of it works any more, and nothing is deleted. Closed already:
    /// nothing changes.
    ///
    /// # Errors
    /// `NotFound`, `Stale`; faults of ours.
    pub async fn close(
        &self,
        actor: &Actor,
        reference: &str,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<Draft<Versioned>, SubscriberError> {
        let wish = |held: &Subscriber| Ok(Details { standing: Standing::Closed, ..Details::of(held) });
        self.change(actor, reference, expected, wish, now).await
    }

    /// Gives a subscriber another portal password; the one before stops working at once.
    ///
    /// # Errors
    /// `NotFound`, `Stale`, `Weak`; faults of ours.
    pub async fn reset_portal_password(
        &self,
        actor: &Actor,
        reference: &str,
        expected: Option<u64>,
        given: Option<Secret>,
        now: Timestamp,
    ) -> Result<Draft<PasswordSet>, SubscriberError> {
        let Record { version, body: before, .. } = self.find_at(reference, expected).await?;
        let portal_password = match given {
            Some(password) => {
                let email = before.email.as_ref().map_or("", Email::as_str);
                check_strength(password.expose_text().unwrap_or_default(), email)?;
                password
            }
            None => self.made_password()?,
        };
        let verifier = self.passwords.hash(portal_password.clone()).await?;
        let after = Subscriber { portal_password: Some(verifier), updated_at: now, ..before.clone() };
        let payload = json!({ "customer_number": after.customer_number });
        let unit = Unit::once(self.entropy.uuid_v7(now)?)
            .replace::<tables::Subscribers>(&after.id, version, &after)?
            .event("customer.portal_password_reset", after.id, payload);
        let unit = self.audited(unit, actor, "customer.reset_portal_password", Some(&before), &after, now)?;
        let version = version.saturating_add(1);
        Ok(Draft::new(unit, PasswordSet { subscriber: after, version, portal_password }))
    }

    fn made_password(&self) -> Result<Secret, EntropyError> {
        Ok(Secret::from_text(&self.entropy.readable(PASSWORD_SYMBOLS)?))
    }

    /// Replaces a record by what it shall be, as part of a unit; an unchanged one adds nothing.
    ///
    /// # Errors
    /// `Taken`; faults of ours.
    pub async fn change_in(
        &self,
        unit: Unit,
        actor: &Actor,
        record: Record<tables::Subscribers>,
        details: Details,
        now: Timestamp,
    ) -> Result<Draft<Versioned>, SubscriberError> {
        let Record { version, body: before, .. } = record;
        let mut after = details.over(&before);
        if after == before {
            return Ok(Draft::new(unit, Versioned { subscriber: before, version }));
        }
        self.must_be_free(&Details::of(&after), Some(before.id)).await?;
        after.updated_at = now;
        let id = after.id;
        let (event, action) = match (before.standing, after.standing) {
            (Standing::Open, Standing::Closed) => ("customer.closed", "customer.close"),
            (Standing::Closed, Standing::Open) => ("customer.reopened", "customer.reopen"),
            (Standing::Open, Standing::Open) | (Standing::Closed, Standing::Closed) => {
                ("customer.updated", "customer.update")
            }
        };
        let payload = json!({ "customer_number": after.customer_number });
        let unit = unit.replace::<tables::Subscribers>(&id, version, &after)?.event(event, id, payload);
        let unit = self.audited(unit, actor, action, Some(&before), &after, now)?;
        Ok(Draft::new(unit, Versioned { subscriber: after, version: version.saturating_add(1) }))
    }

    async fn find(&self, reference: &str) -> Result<Record<tables::Subscribers>, SubscriberError> {
        if let Ok(id) = reference.parse::<SubscriberId>()
            && let Some(record) = self.store.get::<tables::Subscribers>(&id).await?
        {
            return Ok(record);
        }
        let text = reference.trim();
        for (index, value) in [("customer_number", text.to_lowercase()), ("portal_id", text.to_uppercase())] {
            if let Some(record) = self.by(index, value).await? {
                return Ok(record);
            }
        }
        Err(SubscriberError::NotFound(reference.to_owned()))
    }

    async fn find_at(
        &self,
        reference: &str,
        expected: Option<u64>,
    ) -> Result<Record<tables::Subscribers>, SubscriberError> {
        let record = self.find(reference).await?;
        match expected {
            Some(expected) if expected != record.version => {
                Err(SubscriberError::Stale { expected, is: record.version })
            }
            Some(_) | None => Ok(record),
        }
    }

    async fn by(
        &self,
        index: &'static str,
        value: String,
    ) -> Result<Option<Record<tables::Subscribers>>, ReadError> {
        listing::one_by::<tables::Subscribers>(&self.store, index, value).await
    }

    async fn must_be_free(
        &self,
        details: &Details,
        owner: Option<SubscriberId>,
    ) -> Result<(), SubscriberError> {
        let email = details.email.as_ref().map(|email| email.as_str().to_owned());
        let number = details.customer_number.as_ref().map(|number| number.as_str().to_lowercase());
        for (field, value) in [("email", email), ("customer_number", number)] {
            let Some(value) = value else { continue };
            let holder = self.by(field, value).await?;
            if holder.is_some_and(|record| Some(record.body.id) != owner) {
                return Err(SubscriberError::Taken { field });
            }
        }
        Ok(())
    }

    /// The next number that is free. Gaps are fine: where numbers were given by hand, it leaps
    /// ahead by doubling until it is past them.
    async fn next_number(&self, unit: Unit) -> Result<(Unit, Code), SubscriberError> {
        let key = SEQUENCE.to_owned();
        let held = self.store.get::<tables::Settings>(&key).await?;
        let mut number = held.as_ref().and_then(|record| record.body.as_u64()).unwrap_or(0).saturating_add(1);
        for doubling in 0..MOST_LEAPS {
            let code = Code::parse(&format!("C-{number:06}"))
                .map_err(|_| SubscriberError::Exhausted("customer number"))?;
            if self.by("customer_number", code.as_str().to_lowercase()).await?.is_some() {
                number = number.saturating_add(1 << doubling);
                continue;
            }
            let unit = match held {
                Some(record) => unit.replace::<tables::Settings>(&key, record.version, &json!(number))?,
                None => unit.create::<tables::Settings>(&key, &json!(number))?,
            };
            return Ok((unit, code));
        }
        Err(SubscriberError::Exhausted("customer number"))
    }

    async fn free_portal_id(&self) -> Result<Code, SubscriberError> {
        for _ in 0..MOST_LEAPS {
            let text = self.entropy.readable(PORTAL_ID_SYMBOLS)?;
            let id = Code::parse(&text).map_err(|_| SubscriberError::Exhausted("portal id"))?;
            if self.by("portal_id", text).await?.is_none() {
                return Ok(id);
            }
        }
        Err(SubscriberError::Exhausted("portal id"))
    }

    fn audited(
        &self,
        unit: Unit,
        actor: &Actor,
        action: &str,
        before: Option<&Subscriber>,
        after: &Subscriber,
        now: Timestamp,
    ) -> Result<Unit, SubscriberError> {
        let deed = Deed { action, kind: "customer", subject: &after.id.to_string() };
        audit::record(unit, &self.entropy, actor, now, deed, (before, Some(after)))
            .map_err(SubscriberError::Audit)
    }
}

impl Details {
    /// The details that a subscriber has.
    #[must_use]
    pub fn of(held: &Subscriber) -> Self {
        Self {
            customer_number: Some(held.customer_number.clone()),
            first_name: held.first_name.clone(),
            last_name: held.last_name.clone(),
            email: held.email.clone(),
            phone: held.phone.clone(),
            language: held.language.clone(),
            billing_address: held.billing_address.clone(),
            service_address: held.service_address.clone(),
            category: held.category,
            standing: held.standing,
        }
    }

    fn over(self, held: &Subscriber) -> Subscriber {
        Subscriber {
            customer_number: self.customer_number.unwrap_or_else(|| held.customer_number.clone()),
            first_name: self.first_name,
            last_name: self.last_name,
            email: self.email,
            phone: self.phone,
            language: self.language,
            billing_address: self.billing_address,
            service_address: self.service_address,
            category: self.category,
            standing: self.standing,
            ..held.clone()
        }
    }
}

/// Where the last number given is kept.
const SEQUENCE: &str = "sequence.customer_number";
/// The portal id on a card: 40 bits, no two alike among an ISP's customers.
const PORTAL_ID_SYMBOLS: usize = 8;
/// A first portal password: 60 bits behind a slow verifier and a back-off.
const PASSWORD_SYMBOLS: usize = 12;
/// Leaps by doubling that pass any run of numbers given by hand.
const MOST_LEAPS: u32 = 32;
