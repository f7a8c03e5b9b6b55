//! Why is, or is not, this subscriber online? Answered from stored facts, in the same words that
//! decided.

use jiff::Timestamp;
use serde::Serialize;

use super::{Access, OpenSession};
use crate::domain::auth_event::AuthEvent;
use crate::domain::device::MacAddress;
use crate::domain::entitlement::{Entitlement, Usage, period_start};
use crate::domain::ids::SignupId;
use crate::domain::lock::Lock;
use crate::domain::refusal::Refusal;
use crate::domain::service::{Interval, Phase};
use crate::domain::signup::{Signup, SignupStage};
use crate::store::contract::{IndexValue, Page, Range, ReadError, Record};
use crate::store::snapshot::Login;
use crate::store::tables::{AuthEvents, Sessions, Signups};

/// What is known about whoever was asked for.
#[derive(Debug)]
pub struct Explanation {
    /// The services that the question meant; empty when none does.
    pub services: Vec<Explained>,
    /// The last answers to logins under that name, or of that device, newest first.
    pub decisions: Vec<Decision>,
    /// What is known of a device that has no session of a service.
    pub device: Option<CaptiveDevice>,
}

/// A device by its hardware address, without a session of a service.
#[derive(Debug, Serialize)]
pub struct CaptiveDevice {
    /// Its address.
    pub mac: MacAddress,
    /// Whether it is online to read the mail that confirms an address.
    pub online_to_confirm: bool,
    /// Its newest signup that was not confirmed; without its address, which is nobody's yet.
    pub signup: Option<WaitingSignup>,
}

/// How far a signup is.
#[derive(Debug, Serialize)]
pub struct WaitingSignup {
    /// Which.
    pub id: SignupId,
    /// Whether it still waits for its code, or came too late.
    pub stage: &'static str,
    /// The plan's code.
    pub plan_code: String,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// When it lapses.
    pub expires_at: Timestamp,
    /// Mails that were made for it.
    pub mails: u32,
    /// Tries left for its code.
    pub tries_left: u32,
}

/// One service, explained.
#[derive(Debug)]
pub struct Explained {
    /// Its login.
    pub username: String,
    /// Its number.
    pub service_number: String,
    /// Its plan and the version of its terms.
    pub plan: (String, u32),
    /// How far its contract has come.
    pub phase: Phase,
    /// What stands against it.
    pub locks: Vec<Lock>,
    /// When access is paid for.
    pub intervals: Vec<Interval>,
    /// Start of the period that covers now.
    pub period_start: Option<Timestamp>,
    /// What was used of it.
    pub usage: Usage,
    /// What a login would get now.
    pub verdict: Result<Entitlement, Refusal>,
    /// Its open sessions.
    pub sessions: Vec<OpenSession>,
}

/// One answer to a login.
#[derive(Debug, Serialize)]
pub struct Decision {
    /// The login as sent.
    pub username: String,
    /// First of them.
    pub at: Timestamp,
    /// Last of them.
    pub last_at: Timestamp,
    /// How many equal ones.
    pub count: u64,
    /// At which NAS.
    pub nas: String,
    /// From which device.
    pub station: Option<String>,
    /// How it proved itself.
    pub method: String,
    /// `None` was an accept.
    pub refusal: Option<Refusal>,
    /// The refusal as a sentence.
    pub sentence: Option<String>,
}

impl Access {
    /// Explains a login, or a device by its MAC address, at `now`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn explain(&self, who: &str, now: Timestamp) -> Result<Explanation, ReadError> {
        let mut logins: Vec<_> = self.snapshot.login(who).into_iter().collect();
        if logins.is_empty() {
            logins = self.seen_with_device(who).await?;
        }
        let name = logins.first().map_or_else(|| who.to_owned(), |login| login.service.username.to_string());
        let (mut decisions, mut device) = (self.decisions(&name).await?, None);
        if let (true, Ok(mac)) = (logins.is_empty(), who.parse::<MacAddress>()) {
            decisions.extend(self.decisions_of(mac).await?);
            device = Some(self.captive(mac, now).await?);
        }
        let services = logins.iter().map(|login| self.explained(login, now)).collect();
        Ok(Explanation { services, decisions, device })
    }

    async fn captive(&self, mac: MacAddress, now: Timestamp) -> Result<CaptiveDevice, ReadError> {
        let online_to_confirm =
            self.sessions.locals().all().iter().any(|held| held.local.mac == mac && held.service.is_none());
        let page = Page { after: None, limit: RECENT, reverse: true };
        let recent = self.store.scan::<Signups>(newest("created_at"), page).await?.records;
        let end = format!("/{mac}");
        let is_theirs = |one: &Signup| one.device.as_deref().is_some_and(|key| key.ends_with(&end));
        let signup = recent.into_iter().map(|record| record.body).find(is_theirs);
        let signup = signup.and_then(|signup| WaitingSignup::of(&signup, now));
        Ok(CaptiveDevice { mac, online_to_confirm, signup })
    }

    async fn decisions_of(&self, mac: MacAddress) -> Result<Vec<Decision>, ReadError> {
        let page = Page { after: None, limit: RECENT, reverse: true };
        let recent = self.store.scan::<AuthEvents>(newest("at"), page).await?.records;
        let mac = mac.to_string();
        let is_theirs = |one: &AuthEvent| {
            one.calling_station.as_deref().is_some_and(|held| super::meter::same_device(held, &mac))
        };
        let theirs = recent.into_iter().map(|record| record.body).filter(is_theirs);
        Ok(theirs.take(DECISIONS).map(Decision::of).collect())
    }

    fn explained(&self, login: &Login, now: Timestamp) -> Explained {
        let service = &login.service;
        Explained {
            username: service.username.to_string(),
            service_number: service.service_number.to_string(),
            plan: (service.plan_code.to_string(), service.terms.version),
            phase: service.phase,
            locks: service.locks.clone(),
            intervals: service.intervals.clone(),
            period_start: period_start(&service.intervals, now),
            usage: self.usage(login, now),
            verdict: self.entitlement(login, now),
            sessions: self.sessions.of_service(service.id),
        }
    }

    /// Services whose open sessions are with this device, in any spelling of its address.
    async fn seen_with_device(&self, device: &str) -> Result<Vec<std::sync::Arc<Login>>, ReadError> {
        let mut ids = self.sessions.services_with_device(device);
        if ids.is_empty() {
            let recent = Page { after: None, limit: RECENT, reverse: true };
            let slice = self.store.scan::<Sessions>(newest("opened_at"), recent).await?;
            let with_device = |one: &Record<Sessions>| {
                one.body
                    .calling_station
                    .as_deref()
                    .is_some_and(|held| super::meter::same_device(held, device))
            };
            ids.extend(
                slice.records.iter().filter(|one| with_device(one)).filter_map(|one| one.body.service_id),
            );
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids.into_iter().filter_map(|id| self.snapshot.service(id)).collect())
    }

    async fn decisions(&self, username: &str) -> Result<Vec<Decision>, ReadError> {
        let range = Range::Equals("username", IndexValue::Text(username.to_lowercase()));
        let page = Page { after: None, limit: DECISIONS, reverse: true };
        let slice = self.store.scan::<AuthEvents>(range, page).await?;
        Ok(slice.records.into_iter().map(|record| Decision::of(record.body)).collect())
    }
}

impl Decision {
    fn of(event: AuthEvent) -> Self {
        Self {
            username: event.username,
            at: event.at,
            last_at: event.last_at,
            count: event.count,
            nas: event.nas_name,
            station: event.calling_station,
            method: event.method,
            sentence: event.refusal.map(|refusal| refusal.sentence()),
            refusal: event.refusal,
        }
    }
}

impl WaitingSignup {
    fn of(signup: &Signup, now: Timestamp) -> Option<Self> {
        let stage = match signup.stage(now) {
            SignupStage::Waiting => "waiting",
            SignupStage::Lapsed => "lapsed",
            SignupStage::Confirmed => return None,
        };
        Some(Self {
            id: signup.id,
            stage,
            plan_code: signup.plan_code.to_string(),
            begun_at: signup.created_at,
            expires_at: signup.expires_at,
            mails: signup.sent,
            tries_left: signup.tries_left(),
        })
    }
}

fn newest(by: &'static str) -> Range {
    Range::Between(by, IndexValue::Integer(i64::MIN), IndexValue::Integer(i64::MAX))
}

/// Answers shown: enough to see a pattern.
const DECISIONS: usize = 20;
/// Recent sessions, answers or signups searched for a device.
const RECENT: usize = 1_000;
