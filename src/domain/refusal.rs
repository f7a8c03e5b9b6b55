//! Refusals: a no with a reason, as a value that is kept and can be explained.
//!
//! A [`Refusal`] is not an error: nothing is broken. Every refusal ends in `auth-events` and in
//! what `why` prints; the sentence is for staff, never for the wire.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::lock::LockReason;
use super::voucher::VoucherRefusal;

/// Why access is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "code")]
pub enum Refusal {
    /// No service has this login.
    UnknownUser,
    /// The password, response or code is wrong.
    WrongPassword,
    /// The request carries no credential that we can check.
    NoCredential,
    /// The stored credential cannot answer this method (CHAP against a one-way hash).
    MethodNotPossible,
    /// The subscriber's account has ended or is barred.
    SubscriberEnded,
    /// The service is not yet active.
    ServicePending,
    /// The service has ended.
    ServiceEnded,
    /// A lock stands.
    Locked {
        /// Which.
        reason: LockReason,
    },
    /// Nothing is paid for now and nothing was before.
    NothingPaid,
    /// What was paid for has ended.
    Expired {
        /// When.
        at: Timestamp,
    },
    /// The data allowance is used up.
    QuotaSpent,
    /// The time allowance is used up.
    TimeSpent,
    /// All of the service's places are taken.
    DeviceLimit {
        /// How many there are.
        limit: u32,
    },
    /// The NAS asked for something that this service does not include.
    NotPermittedHere,
    /// The login is a voucher's code, and the voucher is not taken.
    Voucher {
        /// Why.
        why: VoucherRefusal,
    },
    /// The EAP conversation came to no claim that could be judged, or the peer did not take our answer.
    Eap {
        /// Why.
        why: EapRefusal,
    },
    /// The server is too busy to decide; the NAS will ask again.
    Busy,
}

/// Why an EAP conversation ended without an accept, other than that its claim was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EapRefusal {
    /// It did not begin with an identity.
    NoIdentity,
    /// The device wants none of the methods that are offered.
    NoCommonMethod,
    /// The device refused the server's proof or certificate, or gave up.
    PeerRefused,
    /// The device's packets are not what the method asks for.
    Malformed,
    /// It took more rounds, or more time, than any method needs.
    TooLong,
    /// A message is larger than any that serves.
    TooLarge,
    /// The device and the box could not agree on TLS.
    Tls,
    /// The device does not trust the server's certificate.
    ServerCertificateRefused,
    /// The device showed no certificate.
    NoClientCertificate,
    /// The device's certificate is not of our CA, or out of its time.
    ClientCertificateRefused,
    /// The device's certificate is not of the identity that it gave.
    NotOfThisIdentity,
    /// What was proved inside a tunnel belongs to another tunnel: somebody may stand between.
    Binding,
    /// The NAS goes on with a conversation that is not known: it was too slow, or the box was restarted.
    Unknown,
}

impl EapRefusal {
    /// The stable name.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoIdentity => "eap_no_identity",
            Self::NoCommonMethod => "eap_no_common_method",
            Self::PeerRefused => "eap_peer_refused",
            Self::Malformed => "eap_malformed",
            Self::TooLong => "eap_too_long",
            Self::TooLarge => "eap_too_large",
            Self::Tls => "eap_tls",
            Self::ServerCertificateRefused => "eap_server_certificate_refused",
            Self::NoClientCertificate => "eap_no_client_certificate",
            Self::ClientCertificateRefused => "eap_client_certificate_refused",
            Self::NotOfThisIdentity => "eap_not_of_this_identity",
            Self::Binding => "eap_binding",
            Self::Unknown => "eap_unknown_conversation",
        }
    }

    /// A sentence for staff.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NoIdentity => {
                "The EAP conversation began without an identity; look at the device's settings."
            }
            Self::NoCommonMethod => {
                "The device wants no EAP method that is offered; see radius.eap.methods, or change the device."
            }
            Self::PeerRefused => {
                "The device did not accept the server's proof; check the password and the CA it trusts."
            }
            Self::Malformed => "The device's EAP packets are not what its method asks for.",
            Self::TooLong => "The EAP conversation took too many rounds, or too long.",
            Self::TooLarge => "The device sent more at once than any EAP method needs.",
            Self::Tls => {
                "The device and the box have no version or cipher of TLS in common; it may be too old."
            }
            Self::ServerCertificateRefused => {
                "The device does not trust the server's certificate; install its CA there, and check the name."
            }
            Self::NoClientCertificate => {
                "The device showed no certificate; install one, or use another method."
            }
            Self::ClientCertificateRefused => {
                "The device's certificate is not signed by radius.eap.client_ca, or has run out; issue a new one."
            }
            Self::NotOfThisIdentity => {
                "The device's certificate is not of the identity that it gives; make its settings say the same name."
            }
            Self::Binding => {
                "The proof belongs to another TLS tunnel; somebody may stand between device and box."
            }
            Self::Unknown => {
                "The NAS went on with an EAP conversation that is not known; the device begins anew by itself."
            }
        }
    }
}

impl Refusal {
    /// Whether paying may take it away, now or once the service has come to life.
    #[must_use]
    pub const fn money_helps(&self) -> bool {
        match self {
            Self::NothingPaid
            | Self::Expired { .. }
            | Self::QuotaSpent
            | Self::TimeSpent
            | Self::ServicePending => true,
            Self::Locked { reason } => match reason {
                LockReason::Overdue | LockReason::Prepaid | LockReason::Fup => true,
                LockReason::Admin | LockReason::CustomerHold | LockReason::Fraud | LockReason::System => {
                    false
                }
            },
            Self::UnknownUser
            | Self::WrongPassword
            | Self::NoCredential
            | Self::MethodNotPossible
            | Self::SubscriberEnded
            | Self::ServiceEnded
            | Self::DeviceLimit { .. }
            | Self::NotPermittedHere
            | Self::Voucher { .. }
            | Self::Eap { .. }
            | Self::Busy => false,
        }
    }

    /// The stable name in API, metrics and logs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownUser => "unknown_user",
            Self::WrongPassword => "wrong_password",
            Self::NoCredential => "no_credential",
            Self::MethodNotPossible => "method_not_possible",
            Self::SubscriberEnded => "subscriber_ended",
            Self::ServicePending => "service_pending",
            Self::ServiceEnded => "service_ended",
            Self::Locked { reason } => match reason {
                LockReason::Overdue => "locked_overdue",
                LockReason::Fup => "locked_fup",
                LockReason::Prepaid => "locked_prepaid",
                LockReason::Admin => "locked_admin",
                LockReason::CustomerHold => "locked_customer_hold",
                LockReason::Fraud => "locked_fraud",
                LockReason::System => "locked_system",
            },
            Self::NothingPaid => "nothing_paid",
            Self::Expired { .. } => "expired",
            Self::QuotaSpent => "quota_spent",
            Self::TimeSpent => "time_spent",
            Self::DeviceLimit { .. } => "device_limit",
            Self::NotPermittedHere => "not_permitted_here",
            Self::Voucher { why } => why.code(),
            Self::Eap { why } => why.code(),
            Self::Busy => "busy",
        }
    }

    /// A sentence for staff that says what is so and what to do.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::UnknownUser => {
                "No service has this login; check its spelling, or create the service.".into()
            }
            Self::WrongPassword => {
                "The password is wrong; set it again on the router, or issue a new one.".into()
            }
            Self::NoCredential => "The NAS sent no password, CHAP or MS-CHAP response to check.".into(),
            Self::MethodNotPossible => {
                "The stored password cannot answer this method; set the NAS to PAP, or issue a new one."
                    .into()
            }
            Self::SubscriberEnded => "The customer's account is closed.".into(),
            Self::ServicePending => "The service is not provisioned yet; provision it.".into(),
            Self::ServiceEnded => "The service was terminated.".into(),
            Self::Locked { reason } => {
                format!("The service is locked ({}); resolve that lock to restore it.", reason.name())
            }
            Self::NothingPaid => "Nothing is paid for at this time.".into(),
            Self::Expired { at } => format!("What was paid for ended at {at}; renew the service."),
            Self::QuotaSpent => {
                "The data allowance is used up; sell a top-up or wait for the next period.".into()
            }
            Self::TimeSpent => {
                "The time allowance is used up; sell a top-up or wait for the next period.".into()
            }
            Self::DeviceLimit { limit } => {
                format!("The plan allows {limit} session(s) at a time and all are in use; disconnect one.")
            }
            Self::NotPermittedHere => "The service does not include what the NAS asked for.".into(),
            Self::Voucher { why } => why.sentence().into(),
            Self::Eap { why } => why.sentence().into(),
            Self::Busy => "The server was too busy to decide; the NAS asks again by itself.".into(),
        }
    }
}
