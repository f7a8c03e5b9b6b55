//! Subscribers at the portal and its API: their login, their visits, who a token stands for.
//!
//! A subscriber logs in with a portal password, or with the network login of one of their services and its
//! network password. The token is opaque and looked up at each request, so an end counts at once. The one
//! rule: unknown, wrong and closed are refused alike, in words and in time.

use std::net::IpAddr;
use std::sync::PoisonError;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use subtle::ConstantTimeEq;

use super::throttle::{Attempt, Source};
use super::visits::sha256_hex;
use super::{IdentifyError, People, PeopleError};
use crate::base::entropy::Entropy;
use crate::base::secret::Secret;
use crate::domain::device::Device;
use crate::domain::ids::{CustomerVisitId, SubscriberId};
use crate::domain::service::{Credential, Service};
use crate::domain::subscriber::{CustomerVisit, Standing, Subscriber};
use crate::domain::text::Email;
use crate::store::Store;
use crate::store::contract::{CommitError, Expected, MAX_PAGE, Page, Range, ReadError, Record, Unit};
use crate::store::draft::Draft;
use crate::store::listing;
use crate::store::snapshot::credential_context;
use crate::store::tables::{CustomerVisits, Services, Subscribers};
use crate::store::vault::SealedSecret;

/// What a subscriber presents to log in.
#[derive(Debug, Clone)]
pub struct CustomerCredentials {
    /// E-mail address, portal id, customer number, or the network login of a service; as written.
    pub identifier: String,
    /// The portal password, or the network password of that service.
    pub password: Secret,
    /// What the device presents as a known one.
    pub device: Option<String>,
    /// Where it comes from.
    pub source: Option<IpAddr>,
}

/// A subscriber whose password was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedCustomer {
    /// Who.
    pub subscriber_id: SubscriberId,
    /// What the device is to present next time.
    pub device: String,
    /// The record that proved it, and at which version.
    proof: Proof,
}

/// What a password was right against; a visit begins only while that still stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Portal { version: u64 },
    Network { service: crate::domain::ids::ServiceId, version: u64 },
}

/// A subscriber with a valid visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CustomerVisitor {
    /// Who.
    pub subscriber_id: SubscriberId,
    /// Which visit.
    pub visit_id: CustomerVisitId,
    /// When its token stops being accepted.
    pub expires_at: Timestamp,
}

/// A visit that has begun, with its token.
#[derive(Debug, Clone)]
pub struct BegunCustomerVisit {
    /// Which.
    pub visit: CustomerVisitId,
    /// The token; given once.
    pub token: Secret,
    /// When it stops being accepted.
    pub expires_at: Timestamp,
}

/// Whom an identifier may mean.
struct Named {
    subscriber: Option<Record<Subscribers>>,
    service: Option<Record<Services>>,
}

impl CheckedCustomer {
    /// The same unit, which then applies only while the password still counts.
    #[must_use]
    pub fn guard(&self, unit: Unit) -> Unit {
        match self.proof {
            Proof::Portal { version } => {
                unit.expect::<Subscribers>(&self.subscriber_id, Expected::Version(version))
            }
            Proof::Network { service, version } => {
                unit.expect::<Services>(&service, Expected::Version(version))
            }
        }
    }
}

impl People {
    /// Counts an attempt and checks its password: exactly one slow check, whoever is named. `here` is the
    /// device that asks, where it is on a network of this box.
    ///
    /// # Errors
    /// `TooMany`, `WrongCredentials`, `Password(Busy)`, or a fault of the store.
    pub async fn check_customer(
        &self,
        presented: &CustomerCredentials,
        here: Option<&Device>,
        now: Timestamp,
    ) -> Result<CheckedCustomer, PeopleError> {
        let named = self.named(&presented.identifier).await?;
        let known = named.owner().and_then(|owner| {
            let device = presented.device.as_deref()?;
            self.customer_devices.recognise(owner.0, device)
        });
        let attempt = Attempt {
            account: presented.identifier.clone(),
            device: known,
            source: Source::of(here, presented.source),
        };
        self.count_customer(&attempt, now)?;
        let by_network = self.network_password_fits(&named, &presented.password);
        let fits = self.passwords.verify(presented.password.clone(), named.verifier()).await?;
        let (owner, proof) = match (&named.subscriber, &named.service) {
            (Some(one), _) if fits && one.body.portal_password.is_some() => {
                (one.body.id, Proof::Portal { version: one.version })
            }
            (_, Some(one)) if fits || by_network => {
                let proof = Proof::Network { service: one.body.id, version: one.version };
                (one.body.subscriber_id, proof)
            }
            (Some(_) | None, _) => return Err(PeopleError::WrongCredentials),
        };
        if !self.stands_open(owner).await? {
            return Err(PeopleError::WrongCredentials);
        }
        self.customer_throttle.lock().unwrap_or_else(PoisonError::into_inner).forgive(&attempt);
        let device = known.map_or_else(|| self.entropy.uuid_v7(now), Ok)?;
        let device = self.customer_devices.sign(owner.0, device);
        Ok(CheckedCustomer { subscriber_id: owner, device, proof })
    }

    /// Begins a visit of a subscriber who has shown who they are.
    ///
    /// # Errors
    /// `WrongCredentials` for an account that is closed or gone; a fault.
    pub async fn begin_customer_visit(
        &self,
        subscriber: SubscriberId,
        now: Timestamp,
    ) -> Result<Draft<BegunCustomerVisit>, PeopleError> {
        let record = self.store.get::<Subscribers>(&subscriber).await?;
        let open = record.filter(|record| record.body.standing == Standing::Open);
        let Some(record) = open else { return Err(PeopleError::WrongCredentials) };
        let unit = Unit::once(self.entropy.uuid_v7(now)?);
        self.begin_customer_visit_in(unit, &record.body, now).await
    }

    /// The same as part of a unit, which may be the one that makes or changes the subscriber. Visits that
    /// ended, and those beyond [`MOST_VISITS`], are forgotten.
    ///
    /// # Errors
    /// A fault.
    pub async fn begin_customer_visit_in(
        &self,
        mut unit: Unit,
        subscriber: &Subscriber,
        now: Timestamp,
    ) -> Result<Draft<BegunCustomerVisit>, PeopleError> {
        let held = visits_of(&self.store, subscriber.id).await?;
        let (living, past): (Vec<_>, Vec<_>) = held.into_iter().partition(|one| counts(&one.body, now));
        let surplus = living.len().saturating_sub(MOST_VISITS.saturating_sub(1));
        for one in past.iter().chain(living.iter().take(surplus)) {
            unit = unit.delete::<CustomerVisits>(&one.body.id);
        }
        let visit = CustomerVisitId(self.entropy.uuid_v7(now)?);
        let token = made_token(&self.entropy)?;
        let expires_at = now.saturating_add(CUSTOMER_VISIT_LIFETIME).unwrap_or(Timestamp::MAX);
        let record = CustomerVisit {
            id: visit,
            subscriber_id: subscriber.id,
            token_hash: sha256_hex(&token),
            password_mark: password_mark(subscriber),
            created_at: now,
            expires_at,
            ended_at: None,
        };
        let unit = unit.create::<CustomerVisits>(&visit, &record)?;
        let token = Secret::from_text(&token);
        Ok(Draft::new(unit, BegunCustomerVisit { visit, token, expires_at }))
    }

    /// Who a token stands for now.
    ///
    /// # Errors
    /// [`IdentifyError`].
    pub async fn identify_customer(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<CustomerVisitor, IdentifyError> {
        let found = self.visit_by_token(token).await?;
        let visit = found.map(|record| record.body).filter(|visit| counts(visit, now));
        let visit = visit.ok_or(IdentifyError::NotValid)?;
        let holds =
            |one: &Subscriber| one.standing == Standing::Open && password_mark(one) == visit.password_mark;
        let subscriber = self.store.get::<Subscribers>(&visit.subscriber_id).await?;
        if !subscriber.is_some_and(|record| holds(&record.body)) {
            return Err(IdentifyError::NotValid);
        }
        Ok(CustomerVisitor {
            subscriber_id: visit.subscriber_id,
            visit_id: visit.id,
            expires_at: visit.expires_at,
        })
    }

    /// Ends the visit of a token; one that has ended, or never was, is fine.
    ///
    /// # Errors
    /// A fault of the store.
    pub async fn end_customer_visit(&self, token: &str, now: Timestamp) -> Result<Draft<()>, PeopleError> {
        let unit = match self.visit_by_token(token).await? {
            Some(record) if record.body.ended_at.is_none() => ended(Unit::natural(), record, now)?,
            Some(_) | None => Unit::natural(),
        };
        Ok(Draft::new(unit, ()))
    }

    /// Whom a login means, whether its password was right or not: for what staff are told of it.
    ///
    /// # Errors
    /// When that cannot be read.
    pub async fn meant_by(&self, identifier: &str) -> Result<Option<Subscriber>, ReadError> {
        let Some(owner) = self.named(identifier).await?.owner() else { return Ok(None) };
        Ok(self.store.get::<Subscribers>(&owner).await?.map(|record| record.body))
    }

    fn count_customer(&self, attempt: &Attempt, now: Timestamp) -> Result<(), PeopleError> {
        let mut throttle = self.customer_throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.take(attempt, now.as_millisecond()).map_err(PeopleError::too_many)
    }

    /// All ways are looked at for every identifier, so that none takes longer.
    async fn named(&self, identifier: &str) -> Result<Named, ReadError> {
        let text = identifier.trim();
        let mut subscriber = match Email::parse(text) {
            Ok(email) => listing::one_by::<Subscribers>(&self.store, "email", email.into()).await?,
            Err(_) => None,
        };
        for (index, value) in [("portal_id", text.to_uppercase()), ("customer_number", text.to_lowercase())] {
            let found = listing::one_by::<Subscribers>(&self.store, index, value).await?;
            subscriber = subscriber.or(found);
        }
        let service = listing::one_by::<Services>(&self.store, "username", text.to_lowercase()).await?;
        Ok(Named { subscriber, service })
    }

    fn network_password_fits(&self, named: &Named, password: &Secret) -> bool {
        let Some(service) = &named.service else { return false };
        let Credential::Sealed { sealed } = &service.body.credential else { return false };
        let opened = SealedSecret::parse(sealed)
            .and_then(|sealed| self.vault.unseal(&credential_context(service.body.id), &sealed));
        opened.is_ok_and(|opened| opened.expose().ct_eq(password.expose()).into())
    }

    async fn stands_open(&self, subscriber: SubscriberId) -> Result<bool, ReadError> {
        let record = self.store.get::<Subscribers>(&subscriber).await?;
        Ok(record.is_some_and(|record| record.body.standing == Standing::Open))
    }

    async fn visit_by_token(&self, token: &str) -> Result<Option<Record<CustomerVisits>>, ReadError> {
        if !is_customer_token(token) || token.len() > MAX_TOKEN {
            return Ok(None);
        }
        listing::one_by::<CustomerVisits>(&self.store, "token_hash", sha256_hex(token)).await
    }
}

impl Named {
    /// The verifier that the one slow check is made against: the portal password's or, where there is none,
    /// that of a network password which is kept one way.
    fn verifier(&self) -> Option<&str> {
        let portal = |one: &Subscriber| one.portal_password.is_some();
        match (&self.subscriber, &self.service) {
            (Some(one), _) if portal(&one.body) => one.body.portal_password.as_deref(),
            (_, Some(one)) => hashed(&one.body),
            (Some(_) | None, None) => None,
        }
    }

    fn owner(&self) -> Option<SubscriberId> {
        let service = self.service.as_ref().map(|one| one.body.subscriber_id);
        self.subscriber.as_ref().map(|one| one.body.id).or(service)
    }
}

fn hashed(service: &Service) -> Option<&str> {
    match &service.credential {
        Credential::Hashed { verifier } => Some(verifier),
        Credential::Sealed { .. } => None,
    }
}

/// Whether a text looks like a subscriber's token; no other credential of ours does.
#[must_use]
pub fn is_customer_token(text: &str) -> bool {
    text.starts_with(TOKEN_PREFIX)
}

/// What changes with the portal password: so a reset by anybody ends all visits in its own commit.
fn password_mark(subscriber: &Subscriber) -> String {
    sha256_hex(subscriber.portal_password.as_deref().unwrap_or_default())
}

/// The visits of a subscriber that are still written down, oldest first: each begin leaves at most
/// [`MOST_VISITS`], so one page holds them all.
async fn visits_of(
    store: &Store,
    subscriber: SubscriberId,
) -> Result<Vec<Record<CustomerVisits>>, ReadError> {
    let range = Range::Equals("subscriber_id", subscriber.to_string().into());
    Ok(store.scan::<CustomerVisits>(range, Page::first(MAX_PAGE)).await?.records)
}

fn counts(visit: &CustomerVisit, now: Timestamp) -> bool {
    visit.ended_at.is_none() && now < visit.expires_at
}

/// Not guarded by a version: whoever ended it first, it has ended.
fn ended(unit: Unit, record: Record<CustomerVisits>, now: Timestamp) -> Result<Unit, CommitError> {
    let ended = CustomerVisit { ended_at: Some(now), ..record.body };
    unit.expect::<CustomerVisits>(&ended.id, Expected::Present).put::<CustomerVisits>(&ended.id, &ended)
}

fn made_token(entropy: &Entropy) -> Result<String, PeopleError> {
    let random = entropy.bytes::<TOKEN_OCTETS>()?;
    Ok(format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(random)))
}

/// A working day; a portal on a shared telephone must not stay open for weeks.
pub const CUSTOMER_VISIT_LIFETIME: SignedDuration = SignedDuration::from_hours(12);
/// Visits of one subscriber at a time: a household's devices; older ones end.
pub const MOST_VISITS: usize = 20;
/// What secret scanners and our own router know a subscriber's token by.
const TOKEN_PREFIX: &str = "edc_";
/// 256 bits that nobody guesses.
const TOKEN_OCTETS: usize = 32;
/// Ours are 47 characters.
const MAX_TOKEN: usize = 128;
