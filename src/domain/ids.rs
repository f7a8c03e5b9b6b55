//! Identifiers: one type a noun, so that one can never stand in another's place.
//!
//! All are `UUIDv7` made by the box and stay the ids for ever, whatever the platform calls the
//! same thing (no re-keying on synchronisation).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )+};
}

id! {
    /// A member of the ISP's staff.
    StaffId,
    /// A visit: one login of a member of staff, kept alive by its refresh token.
    VisitId,
    /// A subscriber (a *customer* in the API's words).
    SubscriberId,
    /// A plan, through all its versions.
    PlanId,
    /// One service: one contract of one subscriber, with one network login.
    ServiceId,
    /// A provisioning task.
    TaskId,
    /// A NAS record.
    NasId,
    /// A network session.
    SessionId,
    /// An entry of the audit log.
    AuditId,
    /// An entry of the authentication log.
    AuthEventId,
    /// A signup; the subscriber that comes of it has the same number.
    SignupId,
    /// A visit of a subscriber: one login at the portal or its API.
    CustomerVisitId,
    /// A message to a person.
    MessageId,
    /// One posting of the ledger.
    PostingId,
    /// An invoice, or a credit note.
    InvoiceId,
    /// What a subscriber asked to buy.
    OrderId,
    /// One attempt at paying, and what came of it.
    PaymentId,
    /// A batch of vouchers.
    BatchId,
    /// One voucher.
    VoucherId,
    /// A sale of vouchers.
    SaleId,
    /// Money that an agent paid in.
    DepositId,
    /// An agent's or a cashier's shift.
    ShiftId,
    /// A coupon.
    CouponId,
    /// A program's key to the API.
    ApiKeyId,
    /// A place that is told of events.
    WebhookId,
    /// One delivery to such a place.
    DeliveryId,
}
