//! One payment, five who tell of it at once: the webhook, the browser that comes back, the clock, a cashier who asks, and
//! a cashier who takes cash for the same order. The gateway's money is credited once, the cash once, the order once.

#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

#[path = "support/books.rs"]
mod books;
#[path = "support/mock_gateway.rs"]
mod mock_gateway;

use std::sync::Arc;

use books::{Books, ngn, terms};
use dotmac_edge::base::secret::Secret;
use dotmac_edge::billing::Wish;
use dotmac_edge::billing::counter::{Purpose, Taken};
use dotmac_edge::billing::provider::{Delivery, Provider, Providers, paystack, wire::Site};
use dotmac_edge::domain::audit::Actor;
use dotmac_edge::domain::ids::{OrderId, PaymentId, StaffId, SubscriberId};
use dotmac_edge::domain::ledger::Account;
use dotmac_edge::domain::order::OrderStatus;
use dotmac_edge::domain::payment::{Method, PaymentStatus, ProviderName};
use dotmac_edge::domain::plan::ValidityUnit;
use jiff::{SignedDuration, Timestamp};
use mock_gateway::{Hook, SECRET, StandIn};
use tokio::task::JoinSet;

const PRICE: i64 = 10_000;

fn open(gateway: &StandIn) -> Books {
    let mut books = Books::open();
    let site = Site { base_url: gateway.at("paystack"), hosts: Vec::new() };
    let settings = paystack::Settings { secret_key: Secret::from_text(SECRET), site };
    let providers = Providers::new(vec![Provider::Paystack(paystack::Paystack::new(settings))]).unwrap();
    books.billing = books.billing.clone().with_gateways(providers, "https://portal.example.net".to_owned());
    books
}

/// What one round is about.
#[derive(Clone)]
struct Round {
    owner: SubscriberId,
    order: OrderId,
    payment: PaymentId,
    reference: String,
    hook: Hook,
}

async fn begin(books: &Books, gateway: &StandIn, now: Timestamp) -> Round {
    let owner = books.subscriber(now).await;
    let service = books.service(owner, terms(PRICE, Some((1, ValidityUnit::Months))), now).await;
    let order = books.order(owner, Wish::Period(service), now).await.unwrap().id;
    let begun = books.billing.attempts.begin(owner, order, "paystack", None, now).await.unwrap();
    let (payment, reference) = (begun.payment.id, begun.payment.reference);
    gateway.pay(&reference, None);
    let hook = gateway.hook(&reference);
    Round { owner, order, payment, reference, hook }
}

/// All of them at once, some more than once.
fn race(books: &Arc<Books>, round: &Round, with_cash: bool, now: Timestamp) -> JoinSet<()> {
    let mut all = JoinSet::new();
    for _ in 0..3 {
        let (one, this) = (Arc::clone(books), round.clone());
        all.spawn(async move {
            let delivery = Delivery {
                signature: Some(&this.hook.header.1),
                body: this.hook.body.as_bytes(),
                token: None,
                reference: None,
                source: None,
                now,
            };
            one.billing.attempts.receive(ProviderName::Paystack, &delivery).await.unwrap();
        });
        let (one, this) = (Arc::clone(books), round.clone());
        all.spawn(async move {
            one.billing.attempts.returned(&this.reference, now).await.unwrap();
        });
        let one = Arc::clone(books);
        let later = now.checked_add(SignedDuration::from_secs(6)).unwrap();
        all.spawn(async move {
            one.billing.attempts.poll_due(later).await.unwrap();
        });
        let (one, this) = (Arc::clone(books), round.clone());
        all.spawn(async move {
            one.billing.attempts.look(this.payment, now).await.unwrap();
        });
    }
    if with_cash {
        let (one, this) = (Arc::clone(books), round.clone());
        all.spawn(async move {
            let taken = Taken {
                subscriber: this.owner,
                amount: ngn(PRICE),
                method: Method::Cash,
                purpose: Purpose::Order(this.order),
                reference: Some(this.reference.clone()),
                note: None,
                by: StaffId(uuid::Uuid::nil()),
            };
            // Where the gateway was faster, the order is paid and the cashier is told so.
            drop(one.billing.till.take(&taken, &Actor::system(), None, now).await);
        });
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_tells_of_a_payment_first_and_however_many_at_once_it_is_credited_once() {
    let gateway = StandIn::start().await;
    let books = Arc::new(open(&gateway));
    let now = Timestamp::now();
    let mut credited = 0;
    for number in 0..20 {
        let with_cash = number % 2 == 1;
        let round = begin(&books, &gateway, now).await;
        race(&books, &round, with_cash, now).join_all().await;
        books.billing.attempts.look(round.payment, now).await.unwrap();
        let payment = books.payment(round.payment).await;
        assert_eq!((payment.status, payment.received), (PaymentStatus::Succeeded, Some(ngn(PRICE))));
        assert_eq!(books.order_now(round.order).await.status, OrderStatus::Fulfilled);
        let payments = books.billing.payments_of(round.owner).await.unwrap();
        let cash = payments.iter().filter(|one| one.provider == ProviderName::Cash).count();
        assert!(cash <= usize::from(with_cash));
        assert_eq!(payments.len(), 1 + cash, "round {number}: one credit by the gateway");
        assert_eq!(books.wallet(round.owner).await, i64::try_from(cash).unwrap() * PRICE);
        assert_eq!(books.billing.invoices_of(round.owner).await.unwrap().len(), 1);
        credited += PRICE;
        let fees = books.balance(Account::fees("paystack", ngn(0).currency)).await;
        let held = books.balance(Account::clearing("paystack", ngn(0).currency)).await;
        assert_eq!(held + fees, credited, "round {number}");
    }
    books.must_be_right().await;
}
