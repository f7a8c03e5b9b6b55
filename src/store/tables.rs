//! The collections: which domain types are kept, under what key, found by which index.
//!
//! One marker type a collection. An index that is not here cannot be scanned by. Changing a body's
//! shape means a higher `schema` and a step in `upgrade`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Registration;
use super::contract::{Collection, CollectionSpec, IndexSpec, IndexValue, RecordKey, SealKind};
use crate::domain::audit::AuditEntry;
use crate::domain::auth_event::AuthEvent;
use crate::domain::ids::{
    AuditId, AuthEventId, CustomerVisitId, MessageId, NasId, PlanId, ServiceId, SessionId, SignupId, StaffId,
    SubscriberId, TaskId, VisitId,
};
use crate::domain::nas::Nas;
use crate::domain::plan::{Plan, PlanTerms};
use crate::domain::provisioning::ProvisioningTask;
use crate::domain::service::{Phase, Service};
use crate::domain::session::{Counters, Session};
use crate::domain::signup::Signup;
use crate::domain::staff::{Staff, Visit};
use crate::domain::subscriber::{CustomerVisit, Subscriber};

macro_rules! id_key {
    ($($id:ident),+ $(,)?) => {$(
        impl RecordKey for $id {
            fn to_key(&self) -> String {
                self.0.hyphenated().to_string()
            }
        }
    )+};
}

id_key!(StaffId, VisitId, SubscriberId, PlanId, ServiceId, TaskId, NasId, SessionId, AuditId, AuthEventId);
id_key!(SignupId, CustomerVisitId, MessageId);

macro_rules! collection {
    (
        $(#[$doc:meta])* $marker:ident: $name:literal, $key:ty => $body:ty, schema $schema:literal, $seal:ident,
        counters $counters:expr,
        [$($(+$unique:ident)? $index:ident = $value:expr),* $(,)?]
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $marker;

        impl Collection for $marker {
            const SPEC: &'static CollectionSpec = &CollectionSpec {
                name: $name,
                schema: $schema,
                indexes: &[$(IndexSpec { name: stringify!($index), unique: collection!(@unique $($unique)?) }),*],
                counters: $counters,
                seal: SealKind::$seal,
            };
            type Key = $key;
            type Body = $body;

            fn index(body: &Self::Body) -> Vec<IndexValue> {
                let _ = body;
                vec![$({
                    let value: fn(&$body) -> IndexValue = $value;
                    value(body)
                }),*]
            }
        }
    };
    (@unique unique) => { true };
    (@unique) => { false };
}

// Below the macros: what is declared after them may use them.
pub mod coupons;
pub mod invoice_drafts;
pub mod messages;
pub mod money;
pub mod payment_events;
pub mod staff;
pub mod told;
pub mod vouchers;
pub mod waiting;
pub mod webhooks;

pub use messages::{Messages, SmsDay, SmsDays};

collection! {
    /// Staff accounts.
    Staffs: "staff", StaffId => Staff, schema 1, Keyed, counters &[],
    [+unique email = |staff| staff.email.as_str().into()]
}

collection! {
    /// Visits of staff: refresh token families.
    Visits: "visits", VisitId => Visit, schema 1, Keyed, counters &[],
    [
        staff_id = |visit| visit.staff_id.to_key().into(),
        expires_at = |visit| visit.expires_at.as_millisecond().into(),
    ]
}

collection! {
    /// Subscribers.
    Subscribers: "subscribers", SubscriberId => Subscriber, schema 1, Keyed, counters &[],
    [
        +unique email = |one| one.email.as_ref().map(|email| email.as_str().to_owned()).into(),
        +unique customer_number = |one| one.customer_number.as_str().to_lowercase().into(),
        +unique portal_id = |one| one.portal_id.as_str().to_uppercase().into(),
        updated_at = |one| one.updated_at.as_millisecond().into(),
    ]
}

collection! {
    /// Plans with their current terms.
    Plans: "plans", PlanId => Plan, schema 1, Keyed, counters &[],
    [
        +unique code = |plan| plan.code.as_str().to_lowercase().into(),
        updated_at = |plan| plan.updated_at.as_millisecond().into(),
    ]
}

collection! {
    /// Every version of every plan's terms; key `<plan>/<version, ten digits>`.
    PlanVersions: "plan_versions", String => PlanTerms, schema 1, Keyed, counters &[], []
}

collection! {
    /// Services. What is `live` is free again once the service has ended; `login` finds it still.
    Services: "services", ServiceId => Service, schema 1, Keyed, counters &[],
    [
        subscriber_id = |service| service.subscriber_id.to_key().into(),
        +unique username = |service| live(service, Some(service.username.canonical())),
        login = |service| service.username.canonical().into(),
        +unique ipv4 = |service| live(service, service.addresses.ipv4),
        +unique ipv6_prefix = |service| live(service, service.addresses.ipv6_prefix),
        +unique delegated_prefix = |service| live(service, service.addresses.delegated_prefix),
        +unique service_number = |service| service.service_number.as_str().to_lowercase().into(),
        plan_id = |service| service.plan_id.to_key().into(),
        phase = |service| service.phase.name().into(),
        updated_at = |service| service.updated_at.as_millisecond().into(),
    ]
}

/// What one live service has for itself.
fn live(service: &Service, own: Option<impl ToString>) -> IndexValue {
    match service.phase {
        Phase::Pending | Phase::Provisioning | Phase::Active => own.map(|own| own.to_string()).into(),
        Phase::Ended => IndexValue::Null,
    }
}

collection! {
    /// NAS records.
    NasTable: "nas", NasId => Nas, schema 1, Keyed, counters &[],
    [
        +unique name = |nas| nas.name.as_str().to_lowercase().into(),
        +unique address = |nas| nas.address.trunc().to_string().into(),
    ]
}

collection! {
    /// Network sessions, open and ended; counters as [`Counters::NAMES`].
    Sessions: "sessions", SessionId => Session, schema 1, Checksum, counters Counters::NAMES,
    [
        nas_session = |session| session_key(session.nas_id, session.nas_address, &session.acct_session_id).into(),
        service_id = |session| session.service_id.map(|id| id.to_key()).into(),
        subscriber_id = |session| session.subscriber_id.map(|id| id.to_key()).into(),
        open_since = |session| match session.closed_at {
            None => session.opened_at.as_millisecond().into(),
            Some(_) => IndexValue::Null,
        },
        opened_at = |session| session.opened_at.as_millisecond().into(),
    ]
}

/// What a service used on one day of the site's calendar, within one paid period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageDay {
    /// Which service.
    pub service_id: ServiceId,
    /// Start of the paid period it counts against; `None` outside any.
    #[serde(default)]
    pub period: Option<jiff::Timestamp>,
    /// Which day, `YYYY-MM-DD` in the site's zone.
    pub day: jiff::civil::Date,
}

impl UsageDay {
    /// The record's key: `<service>/<day>/<period, Unix milliseconds>`.
    #[must_use]
    pub fn key(&self) -> String {
        let period = self.period.map_or(0, |from| from.as_millisecond());
        format!("{}/{}/{period}", self.service_id, self.day)
    }
}

collection! {
    /// Usage by service and day: what sessions' counters rose by while that day lasted.
    UsageDays: "usage_days", String => UsageDay, schema 1, Checksum,
    counters &["down_octets", "up_octets", "seconds", "free_octets"],
    [service_id = |usage| usage.service_id.to_key().into()]
}

/// From a session's counters to a day's: octets down, octets up, seconds.
pub const SESSION_TO_DAY: &[(usize, usize)] = &[(0, 0), (1, 1), (4, 2)];

/// The same in hours whose octets count against nothing: they are noted as free beside.
pub const FREE_SESSION_TO_DAY: &[(usize, usize)] = &[(0, 0), (1, 1), (4, 2), (0, 3), (1, 3)];

/// How far the kernel's counters of one holder have been counted: which life of them, and by its own
/// numbers up to where. What is above that is new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayMeter {
    /// Whose: a service, or a signup.
    pub holder: uuid::Uuid,
    /// Which life of the counters.
    pub generation: uuid::Uuid,
    /// The session that the last of them belong to when none of the holder's is open any more.
    pub lead: SessionId,
}

collection! {
    /// What was counted of the kernel's counters; key the holder.
    GatewayMeters: "gateway_meters", uuid::Uuid => GatewayMeter, schema 1, Checksum,
    counters &["down_octets", "up_octets", "down_packets", "up_packets"],
    []
}

collection! {
    /// Signups.
    Signups: "signups", SignupId => Signup, schema 1, Keyed, counters &[],
    [
        email = |signup| signup.email.as_str().to_owned().into(),
        device = |signup| signup.device.clone().into(),
        source = |signup| signup.source.clone().into(),
        browser = |signup| signup.browser.clone().into(),
        +unique link_hash = |signup| signup.link_hash.clone().into(),
        access_until = |signup| signup.access_until.map(jiff::Timestamp::as_millisecond).into(),
        created_at = |signup| signup.created_at.as_millisecond().into(),
        expires_at = |signup| signup.expires_at.as_millisecond().into(),
    ]
}

collection! {
    /// Visits of subscribers.
    CustomerVisits: "customer_visits", CustomerVisitId => CustomerVisit, schema 1, Keyed, counters &[],
    [
        +unique token_hash = |visit| visit.token_hash.clone().into(),
        subscriber_id = |visit| visit.subscriber_id.to_key().into(),
        expires_at = |visit| visit.expires_at.as_millisecond().into(),
    ]
}

collection! {
    /// Provisioning tasks.
    Tasks: "provisioning_tasks", TaskId => ProvisioningTask, schema 1, Checksum, counters &[],
    [
        service_id = |task| task.service_id.to_key().into(),
        subscriber_id = |task| task.subscriber_id.to_key().into(),
        open_since = |task| match task.ended_at {
            None => task.created_at.as_millisecond().into(),
            Some(_) => IndexValue::Null,
        },
    ]
}

collection! {
    /// The audit log.
    AuditLog: "audit", AuditId => AuditEntry, schema 1, Keyed, counters &[],
    [
        subject_id = |entry| entry.subject_id.clone().into(),
        actor = |entry| entry.actor.clone().into(),
    ]
}

collection! {
    /// Why logins were accepted and refused.
    AuthEvents: "auth_events", AuthEventId => AuthEvent, schema 1, Checksum, counters &[],
    [
        username = |event| event.username.to_lowercase().into(),
        service_id = |event| event.service_id.map(|id| id.to_key()).into(),
        refusal = |event| event.refusal.map(|refusal| refusal.code().to_owned()).into(),
        at = |event| event.at.as_millisecond().into(),
    ]
}

/// The kept answer to a request that carried an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAnswer {
    /// SHA-256 (hex) of method, path and body: the same key with another request is an error.
    pub request_hash: String,
    /// HTTP status.
    pub status: u16,
    /// Body as it was sent, sealed with the box's key where it holds a secret shown once.
    pub body: String,
    /// When it was given.
    pub at: jiff::Timestamp,
}

collection! {
    /// Answers kept for repeats; key `<actor>|<Idempotency-Key>`.
    KeptAnswers: "kept_answers", String => KeptAnswer, schema 1, Keyed, counters &[],
    [at = |answer| answer.at.as_millisecond().into()]
}

collection! {
    /// Single facts of the box by name: instance id, the claim of the first admin, due times.
    Settings: "settings", String => serde_json::Value, schema 1, Keyed, counters &[], []
}

/// The index under which a NAS's own session id finds our sessions.
#[must_use]
pub fn session_key(nas: NasId, address: Option<IpAddr>, acct_session_id: &str) -> String {
    address.map_or_else(
        || format!("{nas}|{acct_session_id}"),
        |address| format!("{nas}|{address}|{acct_session_id}"),
    )
}

/// Every collection, for opening a store.
#[must_use]
pub fn all() -> Vec<Registration> {
    let mut all = vec![
        Registration::of::<Staffs>(),
        Registration::of::<Visits>(),
        Registration::of::<Subscribers>(),
        Registration::of::<Plans>(),
        Registration::of::<PlanVersions>(),
        Registration::of::<Services>(),
        Registration::of::<NasTable>(),
        Registration::of::<Sessions>(),
        Registration::of::<UsageDays>(),
        Registration::of::<GatewayMeters>(),
        Registration::of::<Signups>(),
        Registration::of::<CustomerVisits>(),
        Registration::of::<Tasks>(),
        Registration::of::<AuditLog>(),
        Registration::of::<AuthEvents>(),
        Registration::of::<KeptAnswers>(),
        Registration::of::<Settings>(),
    ];
    all.extend(messages::all());
    all.extend(money::all());
    all.extend(coupons::all());
    all.extend(invoice_drafts::all());
    all.extend(vouchers::all());
    all.extend(payment_events::all());
    all.extend(waiting::all());
    all.extend(staff::all());
    all.extend(told::all());
    all.extend(webhooks::all());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collection_and_index_names_are_safe_column_names_and_unique() {
        let safe = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        let all = all();
        let mut names: Vec<_> = all.iter().map(|one| one.spec.name).collect();
        assert!(names.iter().all(|name| safe(name)));
        assert!(all.iter().flat_map(|one| one.spec.indexes).all(|index| safe(index.name)));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len());
    }
}
