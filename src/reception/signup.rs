//! Somebody becomes a subscriber, first part: the form, the mail, another mail.
//!
//! An address that is a subscriber's already is answered as any other, with the same work: what the mail says
//! is told only to whoever reads it. The one rule: nothing but the signup itself is made for an address that
//! nobody has shown to be theirs.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sha2::Sha256;

use super::visit::can_be_signed_up_for;
use super::{Beside, MOST_DRAFTS, Reception, Unconnected};
use crate::base::entropy::EntropyError;
use crate::base::secret::Secret;
use crate::catalogue::fault::Fault;
use crate::domain::audit::Actor;
use crate::domain::device::Device;
use crate::domain::ids::{ServiceId, SessionId, SignupId, SubscriberId};
use crate::domain::message::Recipient;
use crate::domain::plan::Plan;
use crate::domain::signup::{
    self, ACCESS_PAUSE, CODE_LIFETIME, CodeRefusal, SECOND_TAP, SIGNUP_LIFETIME, Signup, SignupStage,
    code_from,
};
use crate::domain::subscriber::Address;
use crate::domain::text::{Code, Email, Line, Phone};
use crate::notify::{Addressee, Letter, News, NotifyError};
use crate::people::password::WeakPassword;
use crate::people::subscribers::SubscriberError;
use crate::people::throttle::Source;
use crate::people::{BegunCustomerVisit, PeopleError};
use crate::store::contract::{CommitError, Page, Range, ReadError, Record, Unit};
use crate::store::listing;
use crate::store::tables::{Signups, Subscribers};

/// What somebody wrote to sign up.
#[derive(Clone)]
pub struct SignupForm {
    /// E-mail address.
    pub email: Email,
    /// Given name.
    pub first_name: Line,
    /// Family name.
    pub last_name: Line,
    /// Telephone number.
    pub phone: Option<Phone>,
    /// Where the service is.
    pub service_address: Address,
    /// Which plan: code or id.
    pub plan: String,
    /// The portal password; made at the confirmation where none is given.
    pub password: Option<Secret>,
}

/// Where somebody signs up from.
#[derive(Debug, Clone, Copy, Default)]
pub struct SignupPlace<'a> {
    /// The device, where it is on a network that this box serves.
    pub device: Option<&'a Device>,
    /// The key of its browser's cookie.
    pub browser: Option<&'a str>,
    /// The address that it came from.
    pub source: Option<IpAddr>,
}

impl SignupPlace<'_> {
    /// Who asks, as far as it costs something to be somebody else.
    pub(super) fn key(&self) -> Option<String> {
        Source::of(self.device, self.source).map(|source| source.to_string())
    }
}

/// A signup as its owner may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignupView {
    /// Which.
    pub id: SignupId,
    /// The address that is to be shown.
    pub email: Email,
    /// Where it stands.
    pub stage: SignupStage,
    /// The plan's code.
    pub plan: String,
    /// Tries left for the code that is valid now.
    pub tries_left: u32,
    /// How long until another message may be asked for; `None` is never.
    pub resend_in: Option<SignedDuration>,
    /// Until when its device is online to read the mail.
    pub access_until: Option<Timestamp>,
    /// When it lapses.
    pub expires_at: Timestamp,
}

/// What a confirmation came to.
#[derive(Debug, Clone)]
pub struct Confirmed {
    /// Who.
    pub subscriber: SubscriberId,
    /// The ISP's own number.
    pub customer_number: Code,
    /// Eight characters to log in with.
    pub portal_id: Code,
    /// Whether the address was theirs already.
    pub already_customer: bool,
    /// The portal password, where one was made; it cannot be read again.
    pub portal_password: Option<Secret>,
    /// The service that came of it.
    pub service: Option<ServiceId>,
    /// What became of being online.
    pub outcome: ConfirmOutcome,
    /// The visit of whoever typed the code; a link begins none.
    pub visit: Option<BegunCustomerVisit>,
}

/// What became of being online.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfirmOutcome {
    /// The device is online.
    Online(SessionId),
    /// The service is active.
    Active,
    /// The service is being brought to life.
    Provisioning,
    /// The plan has a price that is not paid yet.
    AwaitsPayment,
    /// Staff must approve it first.
    AwaitsApproval,
    /// The service is active, or should be, and the device is not online.
    NotOnline(Unconnected),
}

/// Why a signup did not go on.
#[derive(Debug, thiserror::Error)]
pub enum SignupError {
    /// Nobody can sign up here: no mail server, or the operator does not want it.
    #[error("nobody can sign up here")]
    Closed,
    /// There is no such plan to sign up for.
    #[error("there is no such plan to sign up for")]
    UnknownPlan,
    /// The password is too easy.
    #[error(transparent)]
    Weak(#[from] WeakPassword),
    /// Too many signups or messages.
    #[error("too many signups; wait {wait_secs} s")]
    TooMany {
        /// Seconds until it may be tried again.
        wait_secs: u32,
    },
    /// The code does not count.
    #[error("the code does not count: {0:?}")]
    Code(CodeRefusal),
    /// There is no such signup, or no such link.
    #[error("there is no such signup")]
    NotFound,
    /// The address belongs to an account that is closed.
    #[error("the account of this address is closed")]
    AccountClosed,
    /// Ours, or many at once: passwords and visits.
    #[error(transparent)]
    People(PeopleError),
    /// Ours: the subscriber.
    #[error(transparent)]
    Subscriber(#[from] SubscriberError),
    /// Ours: plans or services.
    #[error(transparent)]
    Catalogue(#[from] Fault),
    /// Ours: the message.
    #[error(transparent)]
    Notify(#[from] NotifyError),
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

/// A form that was looked at: its password hashed, its plan found.
struct Wanted {
    form: SignupForm,
    verifier: Option<String>,
    plan: Plan,
}

impl std::fmt::Debug for SignupForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignupForm(for {})", self.plan)
    }
}

impl From<PeopleError> for SignupError {
    fn from(error: PeopleError) -> Self {
        if let PeopleError::Weak(weak) = error {
            Self::Weak(weak)
        } else if let PeopleError::TooMany { wait_secs } = error {
            Self::TooMany { wait_secs }
        } else {
            Self::People(error)
        }
    }
}

impl SignupView {
    pub(super) fn of(signup: &Signup, now: Timestamp) -> Self {
        Self {
            id: signup.id,
            email: signup.email.clone(),
            stage: signup.stage(now),
            plan: signup.plan_code.to_string(),
            tries_left: signup.tries_left(),
            resend_in: signup.resend_in(now),
            access_until: signup.access(now),
            expires_at: signup.expires_at,
        }
    }
}

impl Reception {
    /// Writes a signup down and sends its mail. The same answer, work and time whether the address is known
    /// or not. The same form of the same device within [`SECOND_TAP`] is the same signup, and no second mail.
    ///
    /// # Errors
    /// `Closed`, `UnknownPlan`, `Weak`, `TooMany`; faults of ours.
    pub async fn sign_up(
        &self,
        form: SignupForm,
        place: SignupPlace<'_>,
        beside: &Beside<'_, SignupView>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<SignupView, SignupError> {
        if !self.0.signup.open {
            return Err(SignupError::Closed);
        }
        let plan = self.plan_to_sign_up_for(&form.plan).await?;
        let mut wanted = Wanted { form, verifier: None, plan };
        if let Some(password) = &wanted.form.password {
            // Whoever is over a limit costs no slow work; counted for good when it is written down.
            let limits = self.must_be_within_limits(&wanted.form.email, place, now).await;
            if self.just_begun(&wanted, place, now).await?.is_none() {
                limits?;
            }
            let text = password.expose_text().unwrap_or_default();
            let (email, people) = (wanted.form.email.as_str(), &self.0.people);
            wanted.verifier = Some(people.hash_signup_password(text, email, place.key(), now).await?);
        }
        let signup = self.write_down_once(wanted, place, beside, actor, now).await?;
        self.0.post.wake();
        if let (Some(device), Some(until)) = (place.device, signup.access(now))
            && let Err(error) = self.connect_to_confirm(&signup, until, device, now).await
        {
            tracing::warn!(signup.id = %signup.id, %error, "A device could not be let online to read its mail");
        }
        Ok(SignupView::of(&signup, now))
    }

    /// A signup by its id.
    ///
    /// # Errors
    /// Faults of ours.
    pub async fn signup(&self, id: SignupId, now: Timestamp) -> Result<Option<SignupView>, SignupError> {
        let record = self.0.store.get::<Signups>(&id).await?;
        Ok(record.map(|record| SignupView::of(&record.body, now)))
    }

    /// The newest signup of a device (`Device::key`) or a browser (its key) that still waits: how a page goes
    /// on after a captive mini-browser was closed.
    ///
    /// # Errors
    /// Faults of ours.
    pub async fn signup_of(
        &self,
        device_or_browser: &str,
        now: Timestamp,
    ) -> Result<Option<SignupView>, SignupError> {
        for index in ["browser", "device"] {
            let range = Range::Equals(index, device_or_browser.into());
            let found = self.newest(range, NEWEST).await?;
            if let Some(waiting) = found.iter().find(|one| one.stage(now) == SignupStage::Waiting) {
                return Ok(Some(SignupView::of(waiting, now)));
            }
        }
        Ok(None)
    }

    /// The signup of a device that waits, with the device online where it may be: packets may not have passed
    /// when it was begun, or not any more. The time is told only where they do.
    pub async fn let_wait(&self, view: SignupView, device: Option<&Device>, now: Timestamp) -> SignupView {
        let is_online = match (device, view.access_until) {
            (Some(device), Some(until)) => self.waits_online(view.id, until, device, now).await,
            (Some(_) | None, _) => false,
        };
        SignupView { access_until: view.access_until.filter(|_| is_online), ..view }
    }

    async fn waits_online(&self, id: SignupId, until: Timestamp, device: &Device, now: Timestamp) -> bool {
        if let Some(online) = self.online(device, now).await {
            return online.confirming == Some(id);
        }
        let signup = match self.0.store.get::<Signups>(&id).await {
            Ok(Some(record)) if record.body.device.as_deref() == Some(&device.key()) => record.body,
            Ok(_) => return false,
            Err(error) => {
                tracing::warn!(signup.id = %id, %error, "A waiting signup could not be read");
                return false;
            }
        };
        match self.connect_to_confirm(&signup, until, device, now).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(signup.id = %id, %error, "A device could not be let online to read its mail");
                false
            }
        }
    }

    /// Sends another code; the one before counts no more. Of a signup that is confirmed nothing is sent.
    ///
    /// # Errors
    /// `NotFound`, `TooMany`, `Code(Lapsed)`; faults of ours.
    pub async fn resend(
        &self,
        id: SignupId,
        beside: &Beside<'_, SignupView>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<SignupView, SignupError> {
        for _ in 0..MOST_DRAFTS {
            let record = self.0.store.get::<Signups>(&id).await?.ok_or(SignupError::NotFound)?;
            match record.body.stage(now) {
                SignupStage::Confirmed => return Ok(SignupView::of(&record.body, now)),
                SignupStage::Lapsed => return Err(SignupError::Code(CodeRefusal::Lapsed)),
                SignupStage::Waiting => {}
            }
            must_not_wait(record.body.resend_in(now), record.body.expires_at.duration_since(now))?;
            let code = self.new_code()?;
            let after = record.body.with_code(self.code_hash(id, &code), now);
            let unit = Unit::once(self.0.entropy.uuid_v7(now)?)
                .replace::<Signups>(&id, record.version, &after)?
                .event("signup.resent", id, json!({ "by": actor.id }));
            let unit = self.0.post.queue_in(unit, &self.letter(&after, &code, now), now)?;
            let unit = beside(unit, &SignupView::of(&after, now))?;
            match self.commit(unit).await {
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
                Ok(()) => {
                    self.0.post.wake();
                    return Ok(SignupView::of(&after, now));
                }
            }
        }
        Err(CommitError::Conflict { collection: "signups", key: id.to_string() }.into())
    }

    /// The signup behind a mailed link, while it waits: what the page shows whose button confirms.
    ///
    /// # Errors
    /// Faults of ours.
    pub async fn link(&self, secret: &str, now: Timestamp) -> Result<Option<SignupView>, SignupError> {
        let record = self.by_link(secret).await?;
        let waiting = record.filter(|record| record.body.stage(now) != SignupStage::Lapsed);
        Ok(waiting.map(|record| SignupView::of(&record.body, now)))
    }

    pub(super) async fn by_link(&self, secret: &str) -> Result<Option<Record<Signups>>, ReadError> {
        if secret.len() > MAX_LINK {
            return Ok(None);
        }
        listing::one_by::<Signups>(&self.0.store, "link_hash", self.keyed("signup-link-hash", &[secret]))
            .await
    }

    pub(super) async fn plan_to_sign_up_for(&self, reference: &str) -> Result<Plan, SignupError> {
        match self.0.catalogue.plans.get(reference).await {
            Ok(kept) if can_be_signed_up_for(&kept.body) => Ok(kept.body),
            Ok(_) | Err(Fault::NotFound { .. }) => Err(SignupError::UnknownPlan),
            Err(fault) => Err(fault.into()),
        }
    }

    /// The signup that a form is the second tap of, or a new one; one at a time.
    async fn write_down_once(
        &self,
        wanted: Wanted,
        place: SignupPlace<'_>,
        beside: &Beside<'_, SignupView>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Signup, SignupError> {
        let mut another = None;
        loop {
            let one_at_a_time = self.0.counting.lock().await;
            let held = self.just_begun(&wanted, place, now).await?;
            let Some(held) = held.filter(|held| Some(held.id) != another) else {
                return self.write_down(wanted, place, beside, actor, now).await;
            };
            // A password takes its time, which nobody else is to wait for.
            drop(one_at_a_time);
            if self.has_password(&held, wanted.form.password.as_ref()).await? {
                self.commit(beside(Unit::natural(), &SignupView::of(&held, now))?).await?;
                return Ok(held);
            }
            another = Some(held.id);
        }
    }

    /// The newest waiting signup of the same device for the same address, name and plan.
    async fn just_begun(
        &self,
        wanted: &Wanted,
        place: SignupPlace<'_>,
        now: Timestamp,
    ) -> Result<Option<Signup>, SignupError> {
        let device = place.device.map(Device::key);
        let Some(device) = device.or_else(|| place.browser.map(str::to_owned)) else { return Ok(None) };
        let page = Page { after: None, limit: NEWEST, reverse: true };
        let found = self.0.store.scan::<Signups>(Range::Equals("device", device.into()), page).await?;
        let since = earlier(now, SECOND_TAP);
        let form = &wanted.form;
        let is_same = |held: &Signup| {
            held.created_at > since
                && held.stage(now) == SignupStage::Waiting
                && (held.plan_id, &held.email) == (wanted.plan.id, &form.email)
                && (&held.first_name, &held.last_name) == (&form.first_name, &form.last_name)
        };
        Ok(found.records.into_iter().map(|record| record.body).find(is_same))
    }

    async fn has_password(&self, held: &Signup, wanted: Option<&Secret>) -> Result<bool, SignupError> {
        match (wanted, &held.portal_password) {
            (None, None) => Ok(true),
            (Some(wanted), Some(verifier)) => Ok(self.0.people.password_fits(wanted, verifier).await?),
            (Some(_), None) | (None, Some(_)) => Ok(false),
        }
    }

    /// Counts and commits; whoever calls has it done one at a time.
    async fn write_down(
        &self,
        Wanted { form, verifier, plan }: Wanted,
        place: SignupPlace<'_>,
        beside: &Beside<'_, SignupView>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Signup, SignupError> {
        let keys = self.must_be_within_limits(&form.email, place, now).await?;
        let access_until = match (plan.terms.confirmation_access_minutes, place.device) {
            (Some(minutes), Some(_))
                if !keys.had_access_since(earlier(now, ACCESS_PAUSE))
                    && self.has_access_left(now).await? =>
            {
                Some(later(now, SignedDuration::from_mins(i64::from(minutes))))
            }
            (Some(_) | None, _) => None,
        };
        let known = listing::one_by::<Subscribers>(&self.0.store, "email", form.email.clone().into()).await?;
        let id = SignupId(self.0.entropy.uuid_v7(now)?);
        let code = self.new_code()?;
        // Made in either case, so that neither takes longer.
        let link_hash = self.keyed("signup-link-hash", &[&self.link_secret(id)]);
        let signup = Signup {
            id,
            email: form.email,
            first_name: form.first_name,
            last_name: form.last_name,
            phone: form.phone,
            service_address: form.service_address,
            plan_id: plan.id,
            plan_code: plan.code,
            terms: plan.terms,
            portal_password: verifier,
            link_hash: known.is_none().then_some(link_hash),
            known: known.map(|record| record.body.id),
            device: keys.device,
            browser: place.browser.map(str::to_owned),
            source: keys.source,
            code_hash: self.code_hash(id, &code),
            code_until: later(now, CODE_LIFETIME),
            tries: 0,
            wrong: 0,
            sent: 1,
            last_sent_at: now,
            access_until,
            created_at: now,
            expires_at: later(now, SIGNUP_LIFETIME),
            confirmed_at: None,
            service_id: None,
        };
        let unit = Unit::once(self.0.entropy.uuid_v7(now)?).create::<Signups>(&id, &signup)?.event(
            "signup.begun",
            id,
            json!({ "plan_code": signup.plan_code, "by": actor.id }),
        );
        let unit = self.0.post.queue_in(unit, &self.letter(&signup, &code, now), now)?;
        self.commit(beside(unit, &SignupView::of(&signup, now))?).await?;
        Ok(signup)
    }

    fn letter(&self, signup: &Signup, code: &str, now: Timestamp) -> Letter {
        let (code, minutes) = (code.to_owned(), CODE_LIFETIME.as_mins());
        let news = if signup.link_hash.is_some() {
            let link = format!("{}/confirm/{}", self.0.signup.origin, self.link_secret(signup.id));
            News::SignupCode { plan: signup.terms.name.to_string(), code, minutes, link }
        } else {
            News::SignupKnown { code, minutes }
        };
        let to = Addressee::stranger(Recipient::Mail(signup.email.clone()));
        // A link counts as long as the signup waits; a code alone is of no use when it is too old.
        let useful_until = if signup.link_hash.is_some() { signup.expires_at } else { signup.code_until };
        Letter { useful_until, ..self.0.post.write(&to, &news, now) }
    }

    fn new_code(&self) -> Result<String, EntropyError> {
        Ok(code_from(u64::from_le_bytes(self.0.entropy.bytes()?)))
    }

    pub(super) fn code_hash(&self, id: SignupId, code: &str) -> String {
        self.keyed("signup-code", &[&id.to_string(), code])
    }

    /// The same in every mail of one signup, so that the link of an earlier one still works; known to nobody
    /// who has not the box's key.
    fn link_secret(&self, id: SignupId) -> String {
        URL_SAFE_NO_PAD.encode(self.mac("signup-link", &[&id.to_string()]))
    }

    fn keyed(&self, purpose: &str, parts: &[&str]) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(purpose, parts))
    }

    fn mac(&self, purpose: &str, parts: &[&str]) -> [u8; 32] {
        // HMAC pads a key shorter than its block with zeros (RFC 2104 section 2).
        let mut block = zeroize::Zeroizing::new([0u8; 64]);
        for (target, source) in block.iter_mut().zip(self.0.vault.derive(purpose)) {
            *target = source;
        }
        let mut mac = Hmac::<Sha256>::new(&(*block).into());
        for part in parts {
            mac.update(part.as_bytes());
            mac.update(b"|");
        }
        mac.finalize().into_bytes().into()
    }
}

fn must_not_wait(wait: Option<SignedDuration>, rest: SignedDuration) -> Result<(), SignupError> {
    let wait = wait.unwrap_or(rest);
    if wait.is_zero() { Ok(()) } else { Err(too_many(wait)) }
}

/// Whole seconds to wait, rounded up.
pub(super) fn too_many(wait: SignedDuration) -> SignupError {
    let secs = wait.as_secs().saturating_add(i64::from(wait.subsec_nanos() > 0)).max(1);
    SignupError::TooMany { wait_secs: u32::try_from(secs).unwrap_or(u32::MAX) }
}

pub(super) fn later(from: Timestamp, by: SignedDuration) -> Timestamp {
    from.saturating_add(by).unwrap_or(Timestamp::MAX)
}

pub(super) fn earlier(from: Timestamp, by: SignedDuration) -> Timestamp {
    from.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

/// Ours are 43 characters.
const MAX_LINK: usize = 128;
/// Signups of one device that are looked at for one that waits: its limit of a day.
const NEWEST: usize = signup::PER_DEVICE[1].most;
