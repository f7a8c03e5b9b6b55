//! Payments: one attempt at paying, and what came of it.
//!
//! The states: created → pending → succeeded, failed, expired or cancelled; a success may come late,
//! after any of the last three; succeeded → partially refunded, refunded or disputed. An attempt whose
//! start got no answer is `unknown` and is looked up by its reference, never begun again under
//! another. The one rule: nothing is credited before the provider itself has confirmed amount,
//! currency and reference.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::ids::{OrderId, PaymentId, StaffId, SubscriberId};
use super::money::Money;

/// A payment.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Identity.
    pub id: PaymentId,
    /// Who it is credited to; `None` for a receipt that nobody is known for.
    pub subscriber_id: Option<SubscriberId>,
    /// The order that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    /// Who takes the money.
    pub provider: ProviderName,
    /// Our reference, unique; the provider knows the attempt by it.
    pub reference: String,
    /// What the provider calls the attempt before it is paid (a checkout session, a `CheckoutRequestID`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkout: Option<String>,
    /// What the provider calls the money that came: unique with the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
    /// Where the payer pays, while it is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How far it is.
    pub status: PaymentStatus,
    /// What has to come: fixed when it began.
    pub expected: Money,
    /// What came, by the provider's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<Money>,
    /// What the provider kept of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee: Option<Money>,
    /// How it was paid.
    pub method: Method,
    /// What went back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<Refund>,
    /// Who took it, where a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_by: Option<StaffId>,
    /// A line for people: a bank's reference, why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Which place in [`POLL_AFTER`] comes next.
    #[serde(default)]
    pub polls: u32,
    /// When the provider is asked next; `None` when it need not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_poll_at: Option<Timestamp>,
    /// When it began.
    pub created_at: Timestamp,
    /// When the money was booked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Timestamp>,
    /// When the record last changed.
    pub updated_at: Timestamp,
}

/// Money that went back, or was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// The key under which it was asked for; unique within the payment.
    pub key: String,
    /// How much.
    pub amount: Money,
    /// Whether the payer's bank took it, rather than we gave it.
    #[serde(default)]
    pub is_chargeback: bool,
    /// How far it is.
    pub status: RefundStatus,
    /// What the provider calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// When it was asked for.
    pub at: Timestamp,
}

/// How far a refund is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// Booked; the provider has not confirmed it yet.
    Pending,
    /// The provider has done it, or cash was handed over.
    Done,
    /// The provider refused, or a dispute was won; the booking was reversed.
    Failed,
}

/// Who takes money: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderName {
    /// Paystack.
    Paystack,
    /// Flutterwave, API version 3.
    Flutterwave,
    /// Flutterwave, API version 4.
    FlutterwaveV4,
    /// Stripe Checkout.
    Stripe,
    /// M-Pesa STK push (Daraja).
    Mpesa,
    /// Cash or a transfer, taken by staff.
    Cash,
    /// The subscriber's own wallet.
    Wallet,
}

/// How somebody paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A card, or whatever the provider's page offers.
    Card,
    /// A bank transfer.
    Transfer,
    /// Mobile money.
    MobileMoney,
    /// Cash.
    Cash,
    /// A cheque.
    Check,
    /// The wallet.
    Wallet,
    /// Something else, as staff wrote it down.
    Other,
}

/// How far a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Written down; the provider was not asked yet.
    Created,
    /// The provider knows it; the payer has not paid.
    Pending,
    /// The start got no answer: whether the provider knows it is not known.
    Unknown,
    /// Paid and booked.
    Succeeded,
    /// The provider says that it failed.
    Failed,
    /// Not paid in time.
    Expired,
    /// Taken back by the payer.
    Cancelled,
    /// Some of it went back.
    PartiallyRefunded,
    /// All of it went back.
    Refunded,
    /// The payer's bank took it back.
    Disputed,
}

/// What a provider says of a payment, asked by us over a connection of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// Who says so.
    pub provider: ProviderName,
    /// Our reference, as the provider repeated it.
    pub reference: String,
    /// What the provider calls the money that came.
    pub transaction: String,
    /// How it stands.
    pub outcome: Outcome,
    /// How much, as the provider says.
    pub amount: Money,
    /// What the provider keeps, where it says so.
    pub fee: Option<Money>,
    /// How it was paid.
    pub method: Method,
}

/// How a payment stands, by its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The money is there.
    Succeeded,
    /// Nothing is decided yet.
    Pending,
    /// It failed.
    Failed,
    /// The payer, or time, ended it.
    Cancelled,
    /// It went back to the payer, wholly or in part: this much in all, minor units.
    Refunded(i64),
}

/// A payer's bank wants money back: how that stands by the provider's word, or by that of staff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// What the provider calls it; unique within the payment.
    pub name: String,
    /// How much it is about.
    pub amount: Money,
    /// How far it is.
    pub stand: DisputeStand,
}

/// How far a dispute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStand {
    /// Nothing is decided; the money is not ours meanwhile.
    Open,
    /// Decided for the payer.
    Lost,
    /// Decided for us; the money is ours again.
    Won,
}

impl PaymentStatus {
    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Pending => "pending",
            Self::Unknown => "unknown",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
            Self::Disputed => "disputed",
        }
    }

    /// Whether money was booked for it.
    #[must_use]
    pub const fn is_booked(self) -> bool {
        match self {
            Self::Succeeded | Self::PartiallyRefunded | Self::Refunded | Self::Disputed => true,
            Self::Created
            | Self::Pending
            | Self::Unknown
            | Self::Failed
            | Self::Expired
            | Self::Cancelled => false,
        }
    }
}

impl ProviderName {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Paystack,
        Self::Flutterwave,
        Self::FlutterwaveV4,
        Self::Stripe,
        Self::Mpesa,
        Self::Cash,
        Self::Wallet,
    ];

    /// The name in API, configuration, ledger and store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Paystack => "paystack",
            Self::Flutterwave => "flutterwave",
            Self::FlutterwaveV4 => "flutterwave_v4",
            Self::Stripe => "stripe",
            Self::Mpesa => "mpesa",
            Self::Cash => "cash",
            Self::Wallet => "wallet",
        }
    }

    /// The provider of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

impl Payment {
    /// What went back or was taken back so far, minor units; refused refunds and won disputes do not count.
    #[must_use]
    pub fn refunded(&self) -> i64 {
        self.gone(|_| true)
    }

    /// What of it was given, and not taken by a bank, minor units.
    #[must_use]
    pub fn given_back(&self) -> i64 {
        self.gone(|refund| !refund.is_chargeback)
    }

    /// Whether a payer's bank has some of it now.
    #[must_use]
    pub fn is_disputed(&self) -> bool {
        self.refunds.iter().any(|refund| refund.is_chargeback && refund.status != RefundStatus::Failed)
    }

    fn gone(&self, counts: impl Fn(&Refund) -> bool) -> i64 {
        self.refunds
            .iter()
            .filter(|refund| refund.status != RefundStatus::Failed && counts(refund))
            .fold(0, |sum, refund| i64::saturating_add(sum, refund.amount.minor))
    }
}

impl std::fmt::Debug for Payment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Payment({} by {}, {})", self.id, self.provider.name(), self.status.name())
    }
}

/// When to ask the provider for the first time, the second, and so on, from the start: a box behind CGNAT
/// gets no webhook, and converges by asking.
pub const POLL_AFTER: [SignedDuration; 7] = [
    SignedDuration::from_secs(5),
    SignedDuration::from_secs(15),
    SignedDuration::from_secs(60),
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(30),
    SignedDuration::from_hours(6),
    SignedDuration::from_hours(24),
];
