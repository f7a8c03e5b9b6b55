//! Who works here: staff, their logins and visits, the first admin, the audit log.
//!
//! Not for the network's logins (that is `access`) and not for what is sold (`catalogue`). The one
//! rule: a credential is checked against what the store says now, so that a revocation counts at
//! once.
//!
//! | file | what it is |
//! |---|---|
//! | [`login`] | e-mail and password to a visit, uniformly refused |
//! | [`visits`] | visits once begun: who is it, refresh, logout |
//! | [`subscribers`] | the ISP's customers as people |
//! | [`customers`] | the same at the portal: login, visits, tokens |
//! | [`staff`] | accounts: create, change, deactivate |
//! | [`first_admin`] | how the first account comes to be, once |
//! | [`factor`] | second factors: set up, confirm, give, recover |
//! | [`api_keys`] | programs' keys |
//! | [`webhooks`] | places that are told of events |
//! | [`audit_chain`] | that no entry was altered, removed or put in |
//! | [`audit`] | who changed what |
//! | [`password`] | argon2id in a bounded pool, and which passwords are refused |
//! | [`throttle`] | how often a login may be tried |
//! | [`token`], [`device`] | signed proofs: of a visit, of a known device |

use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit};
use sha2::Sha256;

use crate::base::entropy::Entropy;
use crate::domain::ids::{ApiKeyId, StaffId};
use crate::store::Store;
use crate::store::vault::Vault;

pub mod api_keys;
pub mod audit;
pub mod audit_chain;
pub mod customers;
pub mod device;
pub mod factor;
mod fault;
pub mod first_admin;
pub mod login;
pub mod password;
pub mod staff;
pub mod subscribers;
pub mod throttle;
pub mod token;
pub mod visits;
pub mod webhooks;

pub use crate::store::listing::Listed;
pub use customers::{BegunCustomerVisit, CustomerCredentials, CustomerVisitor};
pub use fault::PeopleError;
pub use visits::{IdentifyError, Visitor};

/// The use cases of this room; cheap to clone.
#[derive(Debug, Clone)]
pub struct People {
    store: Store,
    entropy: Entropy,
    tokens: token::Tokens,
    refresh: visits::RefreshTokens,
    devices: device::Devices,
    passwords: password::Passwords,
    throttle: Arc<Mutex<throttle::Throttle>>,
    /// Opens network passwords, with which subscribers may log in too.
    vault: Vault,
    customer_devices: device::Devices,
    /// Apart from that of staff, so that no name of the one can spend the share of the other.
    customer_throttle: Arc<Mutex<throttle::Throttle>>,
    signup_pace: Arc<Mutex<throttle::SignupPace>>,
    factors: factor::FactorKeys,
    factor_pace: Arc<Mutex<throttle::Limits<StaffId>>>,
    program_pace: Arc<Mutex<throttle::Limits<ApiKeyId>>>,
}

impl People {
    /// The people of this store.
    #[must_use]
    pub fn new(store: Store, vault: &Vault, entropy: Entropy, passwords: password::Passwords) -> Self {
        Self {
            store,
            entropy,
            tokens: token::Tokens::new(&vault.derive("access-token")),
            refresh: visits::RefreshTokens::new(&vault.derive("refresh-token")),
            devices: device::Devices::new(&vault.derive("known-device")),
            passwords: passwords.for_http(),
            throttle: Arc::new(Mutex::new(throttle::Throttle::new())),
            vault: vault.clone(),
            customer_devices: device::Devices::new(&vault.derive("known-customer-device")),
            customer_throttle: Arc::new(Mutex::new(throttle::Throttle::new())),
            signup_pace: Arc::new(Mutex::new(throttle::SignupPace::new())),
            factors: factor::FactorKeys::new(vault),
            factor_pace: Arc::new(Mutex::new(throttle::Limits::new(throttle::FACTOR_PACE))),
            program_pace: Arc::new(Mutex::new(throttle::Limits::new(throttle::PROGRAM_PACE))),
        }
    }
}

/// HMAC-SHA256 under this key; shorter keys are padded with zeros (RFC 2104 section 2).
fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = zeroize::Zeroizing::new([0u8; 64]);
    for (target, source) in block.iter_mut().zip(key) {
        *target = *source;
    }
    Hmac::new(&(*block).into())
}
