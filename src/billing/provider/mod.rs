//! Who takes money for us: a file a provider, one closed list.
//!
//! | file | what |
//! |---|---|
//! | [`paystack`], [`flutterwave`], [`flutterwave_v4`], [`stripe`], [`mpesa`] | its settings, start, verify, refund, webhook |
//! | [`wire`] | what their answers have in common: exact amounts, faults, URLs that may be shown |
//! | [`sign`] | signatures, over the octets as they came, compared in constant time |
//!
//! Nothing is decided here and nothing is booked: a provider turns a question into calls and an answer into a
//! [`Confirmation`]. The one rule: only an answer to a call of ours confirms anything; a webhook and a returning
//! browser are hints which payment to ask about.

pub mod flutterwave;
pub mod flutterwave_v4;
pub mod mpesa;
pub mod paystack;
pub mod sign;
pub mod stripe;
mod token;
pub mod wire;

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::money::Money;
use crate::domain::payment::{Confirmation, Dispute, Payment, ProviderName, Refund};
use crate::notify::{Outbound, OutboundError};

pub use wire::CallError;

/// A provider that is configured.
#[derive(Debug)]
pub enum Provider {
    /// Paystack.
    Paystack(paystack::Paystack),
    /// Flutterwave, API version 3.
    Flutterwave(flutterwave::Flutterwave),
    /// Flutterwave, API version 4.
    FlutterwaveV4(flutterwave_v4::FlutterwaveV4),
    /// Stripe Checkout.
    Stripe(stripe::Stripe),
    /// M-Pesa STK push.
    Mpesa(mpesa::Mpesa),
}

/// The providers that are configured, and the way to them; cheap to clone.
#[derive(Debug, Clone)]
pub struct Providers {
    all: Arc<[Provider]>,
    /// `None` where there is nobody to call.
    outbound: Option<Outbound>,
}

/// One attempt at paying, as a provider needs it. Made of the payment's record, so that asking again says the same.
#[derive(Debug, Clone)]
pub struct Attempt<'a> {
    /// Our reference.
    pub reference: &'a str,
    /// What has to come.
    pub amount: Money,
    /// The payer's address; some providers want one.
    pub email: &'a str,
    /// The payer's name.
    pub name: &'a str,
    /// The payer's telephone number, where it is asked for.
    pub phone: Option<&'a str>,
    /// What the payer reads.
    pub title: &'a str,
    /// Where the payer's browser comes back to.
    pub return_url: &'a str,
    /// Where the box is reached from outside: `https://portal.example.net`.
    pub origin: &'a str,
    /// Now.
    pub now: Timestamp,
}

/// What came of a start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Started {
    /// What the provider calls the attempt.
    pub checkout: Option<String>,
    /// Where the payer pays.
    pub url: Option<String>,
    /// What the payer does where there is no page.
    pub instruction: Option<String>,
}

/// How a payment stands by its provider's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It knows the payment.
    Known {
        /// How it stands.
        said: Box<Confirmation>,
        /// What went back to the payer so far, minor units.
        back: i64,
        /// What the payer's bank wants back, or has taken; empty where the provider does not tell.
        disputes: Vec<Dispute>,
    },
    /// It knows nothing of it, or nothing yet.
    NotKnown,
}

/// What came of a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundAnswer {
    /// Done; what the provider calls it.
    Done(Option<String>),
    /// Taken on, not done yet; what the provider calls it.
    Pending(Option<String>),
    /// Not done, and it will not be.
    Refused(String),
}

/// A webhook whose signature holds: which event it is, and which payment it may be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// What happened, in the provider's words.
    pub kind: String,
    /// What tells this event from another of its kind.
    pub object: String,
    /// Our reference, where it is told.
    pub reference: Option<String>,
    /// What the provider calls the attempt, where it is told.
    pub checkout: Option<String>,
    /// What the provider calls the money, where it is told.
    pub transaction: Option<String>,
    /// A receipt's number for people, where it is told.
    pub receipt: Option<String>,
}

/// What a webhook brought.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// The header that carries the signature.
    pub signature: Option<&'a str>,
    /// The body as it came.
    pub body: &'a [u8],
    /// The secret part of its path, where there is one.
    pub token: Option<&'a str>,
    /// The reference in its path, where there is one.
    pub reference: Option<&'a str>,
    /// Where it came from.
    pub source: Option<IpAddr>,
    /// Now.
    pub now: Timestamp,
}

/// Why a webhook is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It is not signed as it should be.
    #[error("the signature does not hold")]
    Signature,
    /// It is signed and says nothing that can be read.
    #[error("the body is not what the provider sends")]
    Unreadable,
    /// The provider is not configured here.
    #[error("this gateway is not configured")]
    NotConfigured,
}

impl Providers {
    /// These providers, reached by one client of outgoing calls.
    ///
    /// # Errors
    /// When an address may not be called.
    pub fn new(all: Vec<Provider>) -> Result<Self, OutboundError> {
        let urls: Vec<&str> = all.iter().flat_map(Provider::urls).collect();
        let outbound = if urls.is_empty() { None } else { Some(Outbound::trusted(urls)?) };
        Ok(Self { all: all.into(), outbound })
    }

    /// No providers: money comes over the counter.
    #[must_use]
    pub fn none() -> Self {
        Self { all: Arc::new([]), outbound: None }
    }

    fn outbound(&self) -> Result<&Outbound, CallError> {
        self.outbound.as_ref().ok_or_else(|| CallError::NotSent("no gateway is configured".to_owned()))
    }

    /// The names of those that are configured.
    pub fn names(&self) -> impl Iterator<Item = ProviderName> + '_ {
        self.all.iter().map(Provider::name)
    }

    /// The provider of that name, where it is configured.
    #[must_use]
    pub fn get(&self, name: ProviderName) -> Option<&Provider> {
        self.all.iter().find(|one| one.name() == name)
    }

    /// Has a provider begin an attempt.
    ///
    /// # Errors
    /// [`CallError`]; whether it may have begun all the same is in it.
    pub async fn start(&self, name: ProviderName, attempt: &Attempt<'_>) -> Result<Started, CallError> {
        let to = self.outbound()?;
        match self.named(name)? {
            Provider::Paystack(one) => one.start(to, attempt).await,
            Provider::Flutterwave(one) => one.start(to, attempt).await,
            Provider::FlutterwaveV4(one) => one.start(to, attempt).await,
            Provider::Stripe(one) => one.start(to, attempt).await,
            Provider::Mpesa(one) => one.start(to, attempt).await,
        }
    }

    /// Asks a provider how a payment stands.
    ///
    /// # Errors
    /// [`CallError`]; then nothing is known.
    pub async fn verify(&self, payment: &Payment, now: Timestamp) -> Result<Verdict, CallError> {
        let to = self.outbound()?;
        match self.named(payment.provider)? {
            Provider::Paystack(one) => one.verify(to, payment).await,
            Provider::Flutterwave(one) => one.verify(to, payment).await,
            Provider::FlutterwaveV4(one) => one.verify(to, payment, now).await,
            Provider::Stripe(one) => one.verify(to, payment).await,
            Provider::Mpesa(one) => one.verify(to, payment, now).await,
        }
    }

    /// Has a provider give money back, once however often it is asked; or tells how that stands.
    ///
    /// # Errors
    /// [`CallError`]; then nothing is known, and asking again is safe.
    pub async fn refund(
        &self,
        payment: &Payment,
        refund: &Refund,
        now: Timestamp,
    ) -> Result<RefundAnswer, CallError> {
        let to = self.outbound()?;
        match self.named(payment.provider)? {
            Provider::Paystack(one) => one.refund(to, payment, refund).await,
            Provider::Flutterwave(one) => one.refund(to, payment, refund).await,
            Provider::FlutterwaveV4(one) => one.refund(to, payment, refund, now).await,
            Provider::Stripe(one) => one.refund(to, payment, refund).await,
            Provider::Mpesa(_) => Ok(RefundAnswer::Refused(mpesa::NO_REFUNDS.to_owned())),
        }
    }

    fn named(&self, name: ProviderName) -> Result<&Provider, CallError> {
        self.get(name).ok_or_else(|| {
            CallError::NotSent(format!("{} is not configured (any more); see [payments]", name.name()))
        })
    }
}

impl Provider {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> ProviderName {
        match self {
            Self::Paystack(_) => ProviderName::Paystack,
            Self::Flutterwave(_) => ProviderName::Flutterwave,
            Self::FlutterwaveV4(_) => ProviderName::FlutterwaveV4,
            Self::Stripe(_) => ProviderName::Stripe,
            Self::Mpesa(_) => ProviderName::Mpesa,
        }
    }

    /// The header that carries the signature of its webhooks.
    #[must_use]
    pub const fn signature_header(&self) -> &'static str {
        match self {
            Self::Paystack(_) => "x-paystack-signature",
            Self::Flutterwave(_) => "verif-hash",
            Self::FlutterwaveV4(_) => "flutterwave-signature",
            Self::Stripe(_) => "stripe-signature",
            // It signs nothing; what proves its calls is in their path.
            Self::Mpesa(_) => "x-none",
        }
    }

    /// Whether the payer's telephone number is needed.
    #[must_use]
    pub const fn needs_phone(&self) -> bool {
        match self {
            Self::Mpesa(_) => true,
            Self::Paystack(_) | Self::Flutterwave(_) | Self::FlutterwaveV4(_) | Self::Stripe(_) => false,
        }
    }

    /// Whether a start may be sent again under the same reference, and gives the same attempt.
    #[must_use]
    pub const fn may_start_again(&self) -> bool {
        match self {
            Self::Stripe(_) | Self::FlutterwaveV4(_) => true,
            Self::Paystack(_) | Self::Flutterwave(_) | Self::Mpesa(_) => false,
        }
    }

    /// Reads a webhook.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub fn read(&self, delivery: &Delivery<'_>) -> Result<Hint, NotTaken> {
        match self {
            Self::Paystack(one) => one.read(delivery),
            Self::Flutterwave(one) => one.read(delivery),
            Self::FlutterwaveV4(one) => one.read(delivery),
            Self::Stripe(one) => one.read(delivery),
            Self::Mpesa(one) => one.read(delivery),
        }
    }

    /// What it is called at.
    fn urls(&self) -> Vec<&str> {
        match self {
            Self::Paystack(one) => vec![one.settings.site.base_url.as_str()],
            Self::Flutterwave(one) => vec![one.settings.site.base_url.as_str()],
            Self::FlutterwaveV4(one) => {
                vec![one.settings.site.base_url.as_str(), one.settings.token_url.as_str()]
            }
            Self::Stripe(one) => vec![one.settings.site.base_url.as_str()],
            Self::Mpesa(one) => vec![one.settings.base_url.as_str()],
        }
    }
}
