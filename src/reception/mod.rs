//! What a subscriber comes for, whichever door they use: sign up, log in, go online, see what they use,
//! leave. Each takes several use cases, in an order that must hold.
//!
//! | file | what |
//! |---|---|
//! | [`online`] | from a device and a subscriber to packets that pass, and back |
//! | [`ending`] | staff end a session, or its owner from another device |
//! | [`visit`] | a subscriber logs in, looks at their account, leaves |
//! | [`purse`] | a subscriber orders something at a price that no longer moves |
//! | [`paying`] | a subscriber pays by a gateway |
//! | [`progress`] | how far they are, told to whoever has the id alone |
//! | [`voucher`] | somebody uses a voucher |
//! | [`messages`] | what staff do about messages and the channels they go by |
//! | [`migration`] | an ISP moves in from another system |
//! | [`resume`] | money has come: devices that waited for it go online by themselves |
//! | [`signup`] | somebody becomes a subscriber: form, mail, confirmation |
//!
//! The one rule: facts are committed first, then the kernel is told, then the person: nobody is told that
//! they are online before packets pass.

pub mod ending;
pub mod messages;
pub mod migration;
pub mod online;
pub mod paying;
pub mod progress;
pub mod purse;
pub mod resume;
pub mod signup;
mod signup_confirm;
mod signup_limits;
pub mod visit;
pub mod voucher;

use std::sync::Arc;

use crate::access::Access;
use crate::base::clock::Clock;
use crate::base::entropy::Entropy;
use crate::billing::Billing;
use crate::billing::agent::Agents;
use crate::billing::voucher::{Parts as VoucherParts, Vouchers};
use crate::catalogue::Catalogue;
use crate::enforce::Enforcer;
use crate::enforce::remote::Teller;
use crate::notify::Post;
use crate::people::People;
use crate::people::subscribers::Subscribers;
use crate::store::Store;
use crate::store::contract::{CommitError, Unit};
use crate::store::vault::Vault;

pub use ending::{Ended, NotEnded, OwnDevice, ToldNas};
pub use online::{Online, Unconnected};
pub use paying::PayFor;
pub use signup::{ConfirmOutcome, Confirmed, SignupError, SignupForm, SignupPlace, SignupView};
pub use visit::{Account, AccountService, Arrived, ReceptionError};
pub use voucher::{RedeemError, Redeemed, Redeemer, StillOpen};

/// The journeys; cheap to clone.
#[derive(Clone)]
pub struct Reception(Arc<Inner>);

struct Inner {
    parts: Parts,
    vouchers: Vouchers,
    agents: Agents,
    /// Signups are counted and written down one at a time, so that many at once pass no limit.
    counting: tokio::sync::Mutex<()>,
}

/// What [`Reception`] is built from.
pub struct Parts {
    /// The store.
    pub store: Store,
    /// Seals what must be recoverable; derives keys.
    pub vault: Vault,
    /// For ids, codes and tokens.
    pub entropy: Entropy,
    /// Who gets on.
    pub access: Arc<Access>,
    /// Visits and passwords.
    pub people: People,
    /// Customers' records.
    pub subscribers: Subscribers,
    /// What is sold, and its provisioning.
    pub catalogue: Catalogue,
    /// Money.
    pub billing: Billing,
    /// The gateway; `None` where this box is none.
    pub enforcer: Option<Enforcer>,
    /// Who tells NAS; `None` where nobody does, as in a tool without a daemon.
    pub teller: Option<Teller>,
    /// Messages to people.
    pub post: Post,
    /// For the wait on a service that is being brought to life.
    pub clock: Clock,
    /// How signups are taken.
    pub signup: SignupSettings,
}

/// How signups are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignupSettings {
    /// Whether they are, and mail can be sent.
    pub open: bool,
    /// Where the portal's pages are: `https://portal.example.net`.
    pub origin: String,
    /// The place, for people.
    pub site: String,
}

impl Reception {
    /// Puts the journeys together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let settings = &parts.billing.settings;
        let vouchers = Vouchers::new(VoucherParts {
            store: parts.store.clone(),
            vault: parts.vault.clone(),
            entropy: parts.entropy.clone(),
            book: parts.billing.book.clone(),
            post: parts.post.clone(),
            zone: settings.zone.clone(),
            tax_ppm: settings.tax_ppm,
        });
        let agents = Agents::new(vouchers.clone(), settings.currency);
        Self(Arc::new(Inner { parts, vouchers, agents, counting: tokio::sync::Mutex::new(()) }))
    }

    /// Vouchers.
    #[must_use]
    pub fn vouchers(&self) -> &Vouchers {
        &self.0.vouchers
    }

    /// Agents and drawers.
    #[must_use]
    pub fn agents(&self) -> &Agents {
        &self.0.agents
    }

    /// The portal's origin, `https://portal.example.net`; `None` where this box has no portal of a name.
    #[must_use]
    pub fn portal(&self) -> Option<&str> {
        Some(self.0.signup.origin.as_str()).filter(|origin| !origin.ends_with("//localhost"))
    }

    /// Money.
    #[must_use]
    pub fn billing(&self) -> &Billing {
        &self.0.billing
    }
}

impl std::ops::Deref for Inner {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl std::fmt::Debug for Reception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reception")
    }
}

impl Reception {
    /// Commits a unit; when its answer is lost, submits the same one again to find out.
    async fn commit(&self, unit: Unit) -> Result<(), CommitError> {
        if unit.ops.is_empty() && unit.events.is_empty() {
            return Ok(());
        }
        for _ in 1..MOST_SUBMITS {
            match self.0.store.commit(unit.clone()).await {
                Err(CommitError::Unknown(_)) => {}
                known => return known.map(|_| ()),
            }
        }
        self.0.store.commit(unit).await.map(|_| ())
    }
}

/// What whoever asks for a change wants in its unit too, made of what the change came to: so that an answer
/// that is kept for a repeat is there exactly when its change is.
pub type Beside<'a, T> = dyn Fn(Unit, &T) -> Result<Unit, CommitError> + Send + Sync + 'a;

/// For a change that nothing is kept beside.
///
/// # Errors
/// Never.
pub fn nothing<T>(unit: Unit, _: &T) -> Result<Unit, CommitError> {
    Ok(unit)
}

/// Submits of one unit whose answer is lost.
const MOST_SUBMITS: u32 = 3;
/// Drafts of one change while others change the same things: more is somebody's endless loop.
const MOST_DRAFTS: u32 = 16;
