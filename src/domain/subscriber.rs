//! Subscribers: the people and households that services belong to (*customers* in the API).
//!
//! A subscriber holds who someone is and how to reach them. It says nothing about whether they
//! may be online: that is derived from their services (`entitlement`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{CustomerVisitId, SubscriberId};
use super::language::Language;
use super::text::{Code, Email, Line, Phone};

/// A subscriber's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscriber {
    /// Identity.
    pub id: SubscriberId,
    /// The ISP's own number, unique.
    pub customer_number: Code,
    /// Eight unambiguous characters to log in with, unique; printed on cards.
    pub portal_id: Code,
    /// Given name.
    pub first_name: Line,
    /// Family name.
    pub last_name: Line,
    /// E-mail address, unique where present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// Telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Phone>,
    /// What messages to them are written in; the site's language where none is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Where bills go.
    #[serde(default)]
    pub billing_address: Address,
    /// Where the service is.
    #[serde(default)]
    pub service_address: Address,
    /// What kind of customer.
    #[serde(default)]
    pub category: Category,
    /// Standing of the account.
    #[serde(default)]
    pub standing: Standing,
    /// Verifier (PHC string) of the portal password, if one is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portal_password: Option<String>,
    /// How far below zero the wallet may go, minor units of the site's currency; zero is not at all.
    #[serde(default)]
    pub credit_limit: i64,
    /// When the record was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A postal address; every part may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Street and number.
    #[serde(default)]
    pub street: String,
    /// Town.
    #[serde(default)]
    pub city: String,
    /// State or region.
    #[serde(default)]
    pub state: String,
    /// Postal code.
    #[serde(default)]
    pub zip: String,
    /// Country.
    #[serde(default)]
    pub country: String,
}

/// What kind of customer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// A household.
    #[default]
    Residential,
    /// A company.
    Business,
    /// A public body.
    Government,
    /// A non-governmental organisation.
    Ngo,
}

/// Standing of the account as a whole. Money never changes it: locks on services do that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// In order.
    #[default]
    Open,
    /// Closed by staff; nothing of it works and nothing is deleted.
    Closed,
}

/// One login of a subscriber at the portal or its API. Its token is opaque and is looked up at each
/// request, so an end counts at once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerVisit {
    /// Identity.
    pub id: CustomerVisitId,
    /// Whose.
    pub subscriber_id: SubscriberId,
    /// SHA-256 (hex) of the token.
    pub token_hash: String,
    /// Which portal password was in force when it began; another one ends it.
    pub password_mark: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When its token stops being accepted.
    pub expires_at: Timestamp,
    /// When it was ended: by logout, by a new password, by staff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl std::fmt::Debug for CustomerVisit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CustomerVisit({} of {})", self.id, self.subscriber_id)
    }
}

impl Subscriber {
    /// Given and family name together.
    #[must_use]
    pub fn display_name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name)
    }
}
