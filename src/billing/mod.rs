//! The ISP's business: what is sold, what is owed, what was paid.
//!
//! Every way in which money comes (webhook, redirect, poll, cashier, voucher) ends in the same posting of
//! one ledger. Not here: whether somebody may be online. Billing changes facts (paid intervals, locks), and
//! `domain::entitlement` follows from them. The one rule: money and what it buys are one commit.

pub mod agent;
mod apply;
pub mod attempts;
pub mod book;
pub mod browse;
mod change;
mod contract;
pub mod correct;
pub mod counter;
pub mod coupon;
pub mod cycle;
mod dispute;
pub mod documents;
pub mod drafts;
pub mod dunning;
pub mod fault;
pub mod grant;
pub mod inbox;
mod invoice_list;
pub mod looking;
mod matching;
pub mod notices;
pub mod own;
pub mod own_pause;
mod pause;
pub mod proof;
pub mod provider;
pub mod refund;
pub mod settings;
pub mod settle;
pub mod shop;
pub mod subscribing;
mod tell;
pub mod top_up;
pub mod voucher;
pub mod wallet;

use std::sync::Arc;

use crate::base::entropy::Entropy;
use crate::notify::bulletin::Bulletin;
use crate::store::Store;
use crate::store::names::{Names, of_customer};

pub use crate::store::listing::{Listed, Window};
pub use attempts::Attempts;
pub use book::Book;
pub use fault::BillingError;
pub use settings::Settings;
pub use settle::{Settlement, Till};
pub use shop::{Shop, Wish};

/// The ISP's business over one store; cheap to clone.
#[derive(Debug, Clone)]
pub struct Billing {
    /// The ledger.
    pub book: Book,
    /// What is sold.
    pub shop: Shop,
    /// Where money comes in, and what becomes of it.
    pub till: Till,
    /// Attempts at paying by a gateway.
    pub attempts: Attempts,
    /// How this site does business.
    pub settings: Settings,
    /// Whether the time is believed.
    pub watch: dunning::ClockWatch,
}

impl Billing {
    /// The same, telling subscribers by this.
    #[must_use]
    pub fn telling(mut self, bulletin: Bulletin) -> Self {
        self.till.bulletin = Some(bulletin);
        self
    }

    /// Puts the parts together; `wake` is called after money has changed what somebody may do.
    #[must_use]
    pub fn new(
        store: &Store,
        entropy: &Entropy,
        settings: &Settings,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        let book = Book::new(store.clone(), entropy.clone());
        let shop = Shop::new(store.clone(), entropy.clone(), settings.clone());
        let till = Till {
            store: store.clone(),
            entropy: entropy.clone(),
            book: book.clone(),
            shop: shop.clone(),
            settings: settings.clone(),
            customers: Names::new(store, of_customer),
            bulletin: None,
            wake,
        };
        let attempts = Attempts::new(attempts::Parts {
            store: store.clone(),
            entropy: entropy.clone(),
            till: till.clone(),
            providers: provider::Providers::none(),
            origin: String::new(),
            site: settings.seller.name.clone(),
        });
        Self { book, shop, till, attempts, settings: settings.clone(), watch: dunning::ClockWatch::new() }
    }

    /// The same with these gateways; payers come back to the portal at `origin`.
    #[must_use]
    pub fn with_gateways(self, providers: provider::Providers, origin: String) -> Self {
        let attempts = Attempts::new(attempts::Parts {
            store: self.till.store.clone(),
            entropy: self.till.entropy.clone(),
            till: self.till.clone(),
            providers,
            origin,
            site: self.settings.seller.name.clone(),
        });
        Self { attempts, ..self }
    }
}
