//! Random histories of business against a small model: the books sum to zero, balances rebuild, and nobody is
//! charged twice, whatever happens in whatever order.
#![allow(clippy::cast_possible_wrap, clippy::disallowed_methods)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::cast_possible_truncation)]

#[path = "support/books.rs"]
mod books;

use std::collections::BTreeMap;

use books::{Books, at, ngn, paid, terms};
use dotmac_edge::billing::counter::Purpose;
use dotmac_edge::billing::refund::{RefundPolicy, RefundWish};
use dotmac_edge::billing::{BillingError, Settlement, Wish};
use dotmac_edge::domain::ids::{PaymentId, ServiceId, SubscriberId};
use dotmac_edge::domain::order::Order;
use dotmac_edge::domain::payment::Payment;
use dotmac_edge::domain::plan::ValidityUnit;
use jiff::{SignedDuration, Timestamp};

/// SplitMix64 from a seed, so that a history can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % bound.max(1)
    }
}

/// What a plain reading of the rules says that a subscriber has.
#[derive(Default)]
struct Model {
    wallet: BTreeMap<SubscriberId, i64>,
    periods: BTreeMap<ServiceId, usize>,
    came: i64,
    back: i64,
    sold: i64,
}

const PRICE: i64 = 300;

struct World {
    books: Books,
    model: Model,
    random: Random,
    now: Timestamp,
    people: Vec<(SubscriberId, ServiceId)>,
    orders: Vec<Order>,
    attempts: Vec<(Payment, i64, u64)>,
    cash: Vec<(PaymentId, SubscriberId, i64, i64)>,
    told: u64,
}

impl World {
    async fn new(seed: u64) -> Self {
        let books = Books::open();
        let now = at("2026-01-01T00:00:00Z");
        let mut people = Vec::new();
        for _ in 0..8 {
            let one = books.subscriber(now).await;
            let plan = terms(PRICE, Some((7, ValidityUnit::Days)));
            let service = books.service(one, plan, now).await;
            books.billing.till.set_auto_renew(service, one, false, None, now).await.unwrap();
            people.push((one, service));
        }
        let random = Random(seed);
        let (model, orders, attempts, cash) = (Model::default(), Vec::new(), Vec::new(), Vec::new());
        Self { books, model, random, now, people, orders, attempts, cash, told: 0 }
    }

    fn somebody(&mut self) -> (SubscriberId, ServiceId) {
        let at = self.random.below(self.people.len() as u64) as usize;
        self.people[at]
    }

    async fn step(&mut self) {
        self.now = self.now.checked_add(SignedDuration::from_mins(7)).unwrap();
        match self.random.below(10) {
            0 | 1 => self.cash_in().await,
            2 => self.order().await,
            3 => self.begin().await,
            4 | 5 => self.provider_tells().await,
            6 => self.wallet_pays().await,
            7 => self.transfer().await,
            8 => self.give_back().await,
            _ => self.renew_at_the_counter().await,
        }
    }

    async fn cash_in(&mut self) {
        let (one, _) = self.somebody();
        let minor = 1 + self.random.below(500) as i64;
        let payment = self.books.cash(one, minor, self.now).await;
        *self.model.wallet.entry(one).or_default() += minor;
        self.model.came += minor;
        self.cash.push((payment.id, one, minor, 0));
    }

    async fn order(&mut self) {
        let (one, service) = self.somebody();
        let order = self.books.order(one, Wish::Period(service), self.now).await.unwrap();
        self.orders.push(order);
    }

    async fn begin(&mut self) {
        let Some(order) = self.orders.last().cloned() else { return };
        let attempt = self.books.attempt(order.subscriber_id, Some(order.id), order.total(), self.now).await;
        // Sometimes too little comes, sometimes too much.
        let comes = [PRICE, PRICE, PRICE, PRICE - 1, PRICE + 50][self.random.below(5) as usize];
        self.told += 1;
        self.attempts.push((attempt, comes, self.told));
    }

    /// A webhook, a poll or a redirect: of a new attempt or of one that was told before.
    async fn provider_tells(&mut self) {
        if self.attempts.is_empty() {
            return;
        }
        let at = self.random.below(self.attempts.len() as u64) as usize;
        let (attempt, comes, number) = self.attempts[at].clone();
        let order = self.books.order_now(attempt.order_id.unwrap()).await;
        let was_open = order.fulfilled_at.is_none() && self.now < order.expires_at;
        let said = paid(&attempt, ngn(comes), &format!("t-{number}"));
        let settled = self.books.billing.till.settle(&said, self.now).await.unwrap();
        let (one, service) = (order.subscriber_id, order.service_id().unwrap());
        match settled {
            Settlement::Booked { fulfilled, .. } => {
                self.model.came += comes;
                let wallet = self.model.wallet.entry(one).or_default();
                *wallet += comes;
                let buys = was_open && comes >= PRICE;
                assert_eq!(fulfilled.is_some(), buys);
                if buys {
                    *wallet -= PRICE;
                    *self.model.periods.entry(service).or_default() += 1;
                    self.model.sold += PRICE;
                }
            }
            Settlement::AlreadyBooked(id) => assert_eq!(id, attempt.id),
            other @ (Settlement::NotYet(_)
            | Settlement::Failed(_)
            | Settlement::Unmatched(_)
            | Settlement::Returned(_)) => panic!("{other:?}"),
        }
    }

    async fn wallet_pays(&mut self) {
        if self.orders.is_empty() {
            return;
        }
        let at = self.random.below(self.orders.len() as u64) as usize;
        let order = self.books.order_now(self.orders[at].id).await;
        let (one, service) = (order.subscriber_id, order.service_id().unwrap());
        let holds = *self.model.wallet.get(&one).unwrap_or(&0);
        let was_done = order.fulfilled_at.is_some();
        let paid = self.books.billing.till.pay_from_wallet(order.id, one, None, self.now).await;
        match paid {
            Ok(_) if was_done => {}
            Ok(_) => {
                assert!(holds >= PRICE && self.now < order.expires_at);
                *self.model.wallet.entry(one).or_default() -= PRICE;
                *self.model.periods.entry(service).or_default() += 1;
                self.model.sold += PRICE;
            }
            Err(BillingError::Short { .. }) => assert!(holds < PRICE),
            Err(BillingError::Rule(_)) => assert!(self.now >= order.expires_at),
            Err(error) => panic!("{error}"),
        }
    }

    async fn transfer(&mut self) {
        let ((from, _), (to, _)) = (self.somebody(), self.somebody());
        if from == to {
            return;
        }
        let minor = 1 + self.random.below(400) as i64;
        let holds = *self.model.wallet.get(&from).unwrap_or(&0);
        let key = self.now.as_millisecond().to_string();
        let till = &self.books.billing.till;
        let moved = till.transfer((from, to), ngn(minor), &key, None, self.now).await;
        if moved.is_ok() {
            *self.model.wallet.entry(from).or_default() -= minor;
            *self.model.wallet.entry(to).or_default() += minor;
            let again = till.transfer((from, to), ngn(minor), &key, None, self.now).await;
            assert!(matches!(again, Err(BillingError::Repeated(_) | BillingError::Short { .. })));
        }
        assert_eq!(moved.is_ok(), holds >= minor);
    }

    async fn give_back(&mut self) {
        if self.cash.is_empty() {
            return;
        }
        let at = self.random.below(self.cash.len() as u64) as usize;
        let (payment, one, minor, given) = self.cash[at];
        let amount = 1 + self.random.below(300) as i64;
        let wish = RefundWish {
            key: self.now.as_millisecond().to_string(),
            amount: Some(ngn(amount)),
            reason: "asked for".into(),
            policy: RefundPolicy::Keep,
            by_hand: false,
            may_be_large: true,
        };
        let holds = *self.model.wallet.get(&one).unwrap_or(&0);
        let done = self.books.billing.till.refund(payment, &wish, None, self.now).await;
        assert_eq!(done.is_ok(), given + amount <= minor && holds >= amount);
        if done.is_ok() {
            self.cash[at].3 += amount;
            *self.model.wallet.entry(one).or_default() -= amount;
            self.model.back += amount;
        }
    }

    async fn renew_at_the_counter(&mut self) {
        let (one, service) = self.somebody();
        let more = self.random.below(3) as i64;
        self.books.take(one, PRICE + more, Purpose::Renew(service), self.now).await.unwrap();
        *self.model.wallet.entry(one).or_default() += more;
        *self.model.periods.entry(service).or_default() += 1;
        self.model.came += PRICE + more;
        self.model.sold += PRICE;
    }

    /// The model and the books say the same.
    async fn compare(&self) {
        for (one, service) in &self.people {
            let expected = *self.model.wallet.get(one).unwrap_or(&0);
            assert_eq!(self.books.wallet(*one).await, expected);
            let intervals = self.books.service_of(*service).await.intervals.len();
            let periods = *self.model.periods.get(service).unwrap_or(&0);
            // Old ones are forgotten beyond what is kept.
            assert!(intervals == periods || (periods > 100 && intervals >= 100), "{intervals} of {periods}");
        }
        let proof = self.books.billing.till.prove().await.unwrap();
        assert!(proof.is_right(), "{:#?}", proof.faults);
        let on = |prefix: &str| -> i64 {
            let of = proof.accounts.iter().filter(|(account, _)| account.to_string().starts_with(prefix));
            of.map(|(_, sum)| *sum).sum()
        };
        assert_eq!(on("cash:") + on("clearing:"), self.model.came - self.model.back);
        assert_eq!(-on("revenue"), self.model.sold);
        assert_eq!(-on("wallet:"), self.model.wallet.values().sum::<i64>());
    }
}

/// `BILLING_OPERATIONS=100000` runs as many; what CI runs is enough to meet every pair of operations often.
#[tokio::test]
async fn random_histories_agree_with_a_small_model() {
    let wanted: u64 = std::env::var("BILLING_OPERATIONS").map_or(4_000, |text| text.parse().unwrap());
    let seeds = (wanted / 10_000).max(2);
    for seed in 0..seeds {
        let mut world = World::new(seed).await;
        for step in 0..wanted / seeds {
            world.step().await;
            if step % 1_000 == 999 {
                world.compare().await;
            }
        }
        world.compare().await;
        println!(
            "seed {seed}: {} sold, {} came, {} back",
            world.model.sold, world.model.came, world.model.back
        );
    }
}
