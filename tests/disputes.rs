//! Rule 22 where a bank decides: money that a payer's bank takes is booked once, and comes back once; and receipts that
//! nobody was known for are given to whom they belong, or back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/books.rs"]
mod books;

use std::sync::Arc;

use books::{Books, at, ngn, paid, terms, usd};
use dotmac_edge::billing::refund::{RefundPolicy, RefundWish};
use dotmac_edge::billing::{BillingError, Settings, Settlement, Wish};
use dotmac_edge::domain::ids::{PaymentId, ServiceId};
use dotmac_edge::domain::ledger::Account;
use dotmac_edge::domain::lock::{Lock, LockMode, LockReason};
use dotmac_edge::domain::money::Currency;
use dotmac_edge::domain::payment::{
    Confirmation, Dispute, DisputeStand, Method, Outcome, PaymentStatus, ProviderName,
};
use dotmac_edge::domain::plan::ValidityUnit;
use dotmac_edge::store::contract::Unit;
use dotmac_edge::store::tables::Services;
use jiff::Timestamp;
use jiff::tz::TimeZone;

const MONTH: Option<(u32, ValidityUnit)> = Some((1, ValidityUnit::Months));

fn dispute(name: &str, minor: i64, stand: DisputeStand) -> Dispute {
    Dispute { name: name.to_owned(), amount: ngn(minor), stand }
}

async fn is_flagged(books: &Books, service: ServiceId) -> bool {
    books.service_of(service).await.locks.iter().any(|lock| lock.reason == LockReason::Fraud)
}

fn wish(key: &str, minor: Option<i64>) -> RefundWish {
    RefundWish {
        key: key.into(),
        amount: minor.map(ngn),
        reason: "asked for".into(),
        policy: RefundPolicy::Keep,
        by_hand: false,
        may_be_large: true,
    }
}

async fn told(books: &Books, id: PaymentId, one: &Dispute, now: Timestamp) -> Settlement {
    books.billing.till.disputed(id, one, None, now).await.unwrap()
}

#[tokio::test]
async fn rule_22_a_chargeback_debits_once_ends_what_was_bought_and_flags_the_service_until_it_is_won() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    let order = books.order(ada, Wish::Period(service), now).await.unwrap();
    let attempt = books.attempt(ada, Some(order.id), order.total(), now).await;
    books.billing.till.settle(&paid(&attempt, ngn(10_000), "t-1"), now).await.unwrap();
    let clearing = Account::clearing("paystack", ngn(0).currency);
    let open = dispute("dp-1", 10_000, DisputeStand::Open);
    for _ in 0..3 {
        told(&books, attempt.id, &open, now).await;
    }
    assert_eq!(books.payment(attempt.id).await.status, PaymentStatus::Disputed);
    assert_eq!(books.balance(clearing.clone()).await, 0);
    assert!(is_flagged(&books, service).await);
    assert!(!books.service_of(service).await.intervals[0].covers(now), "what was bought ends");
    // The bank decides for us; and what was said before comes again, late.
    let won = dispute("dp-1", 10_000, DisputeStand::Won);
    for one in [&won, &open, &won, &open] {
        told(&books, attempt.id, one, now).await;
    }
    assert_eq!(books.payment(attempt.id).await.status, PaymentStatus::Succeeded);
    assert_eq!((books.balance(clearing).await, books.wallet(ada).await), (10_000, 10_000));
    assert!(!is_flagged(&books, service).await);
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_22_a_dispute_that_is_heard_of_after_it_was_won_takes_nothing_and_one_that_was_lost_takes_once()
{
    let books = Arc::new(Books::open());
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let attempt = books.attempt(ada, None, ngn(10_000), now).await;
    books.billing.till.settle(&paid(&attempt, ngn(10_000), "t-1"), now).await.unwrap();
    told(&books, attempt.id, &dispute("dp-1", 10_000, DisputeStand::Won), now).await;
    let late = told(&books, attempt.id, &dispute("dp-1", 10_000, DisputeStand::Open), now).await;
    assert_eq!(late, Settlement::AlreadyBooked(attempt.id));
    assert_eq!(books.wallet(ada).await, 10_000);
    // Fifty at once, of one that is lost.
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (books, id) = (Arc::clone(&books), attempt.id);
        all.spawn(async move { told(&books, id, &dispute("dp-2", 4_000, DisputeStand::Lost), now).await });
    }
    let booked = all.join_all().await.iter().filter(|one| matches!(one, Settlement::Returned(_))).count();
    assert_eq!((booked, books.wallet(ada).await), (1, 6_000));
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_22_a_chargeback_debits_below_zero_and_flags_all_that_its_payer_has() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    let attempt = books.attempt(ada, None, ngn(10_000), now).await;
    books.billing.till.settle(&paid(&attempt, ngn(10_000), "t-1"), now).await.unwrap();
    let order = books.order(ada, Wish::Period(service), now).await.unwrap();
    books.billing.till.pay_from_wallet(order.id, ada, None, now).await.unwrap();
    assert_eq!(books.wallet(ada).await, 0);
    told(&books, attempt.id, &dispute("dp-1", 10_000, DisputeStand::Open), now).await;
    assert_eq!(books.wallet(ada).await, -10_000);
    assert!(is_flagged(&books, service).await);
    told(&books, attempt.id, &dispute("dp-1", 10_000, DisputeStand::Won), now).await;
    assert_eq!(books.wallet(ada).await, 0);
    assert!(!is_flagged(&books, service).await);
    books.must_be_right().await;
}

#[tokio::test]
async fn a_lock_that_staff_placed_for_fraud_is_neither_weakened_nor_lifted_by_a_dispute() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    let attempt = books.attempt(ada, None, ngn(10_000), now).await;
    books.billing.till.settle(&paid(&attempt, ngn(10_000), "t-1"), now).await.unwrap();
    let mut locked = books.service_of(service).await;
    let by_staff = Lock {
        reason: LockReason::Fraud,
        mode: LockMode::HardReject,
        rates: None,
        placed_at: now,
        placed_by: "owner".to_owned(),
        note: None,
    };
    locked.locks.push(by_staff.clone());
    let unit = Unit::natural().put::<Services>(&service, &locked).unwrap();
    books.store.commit(unit).await.unwrap();
    for stand in [DisputeStand::Open, DisputeStand::Won] {
        told(&books, attempt.id, &dispute("dp-1", 10_000, stand), now).await;
        assert_eq!(books.service_of(service).await.locks, std::slice::from_ref(&by_staff), "{stand:?}");
    }
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_22_what_was_given_back_and_what_a_bank_took_are_counted_each_by_itself() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let attempt = books.attempt(ada, None, ngn(10_000), now).await;
    let said = paid(&attempt, ngn(10_000), "t-1");
    books.billing.till.settle(&said, now).await.unwrap();
    books.billing.till.refund(attempt.id, &wish("1", Some(3_000)), None, now).await.unwrap();
    told(&books, attempt.id, &dispute("dp-1", 4_000, DisputeStand::Lost), now).await;
    assert_eq!(books.wallet(ada).await, 3_000);
    // The gateway's own sum of refunds says nothing of the dispute, and is booked already.
    let back = Confirmation { outcome: Outcome::Refunded(3_000), ..said };
    assert_eq!(books.billing.till.settle(&back, now).await.unwrap(), Settlement::AlreadyBooked(attempt.id));
    let rest = books.billing.till.refund(attempt.id, &wish("2", Some(3_001)), None, now).await;
    assert!(matches!(rest, Err(BillingError::Rule(_))), "at most what is left");
    books.billing.till.refund(attempt.id, &wish("3", None), None, now).await.unwrap();
    assert_eq!(books.wallet(ada).await, 0);
    books.must_be_right().await;
}

#[tokio::test]
async fn what_mpesa_took_is_given_back_by_hand_only_and_says_so() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let attempt = books.attempt_by(ProviderName::Mpesa, ada, ngn(10_000), now).await;
    books.billing.till.settle(&paid(&attempt, ngn(10_000), "t-1"), now).await.unwrap();
    let refused = books.billing.till.refund(attempt.id, &wish("1", None), None, now).await.unwrap_err();
    assert!(refused.to_string().contains("by_hand"), "{refused}");
    let by_hand = RefundWish { by_hand: true, ..wish("2", None) };
    books.billing.till.refund(attempt.id, &by_hand, None, now).await.unwrap();
    let payment = books.payment(attempt.id).await;
    assert_eq!((payment.status, payment.next_poll_at), (PaymentStatus::Refunded, None));
    assert_eq!(books.wallet(ada).await, 0);
    books.must_be_right().await;
}

#[tokio::test]
async fn more_than_the_sites_limit_goes_back_by_who_may_do_that_in_parts_too() {
    let zone = TimeZone::get("Africa/Lagos").unwrap();
    let plain = Settings::plain(Currency::parse("NGN").unwrap(), zone);
    let books = Books::with(&Settings { large_refund: Some(ngn(5_000)), ..plain });
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let payment = books.cash(ada, 10_000, now).await;
    let small = |key: &str, minor| RefundWish { may_be_large: false, ..wish(key, Some(minor)) };
    let refund = |wish: RefundWish| {
        let till = books.billing.till.clone();
        async move { till.refund(payment.id, &wish, None, now).await }
    };
    assert!(matches!(refund(small("1", 5_001)).await, Err(BillingError::NotAllowed(_))));
    assert!(matches!(
        refund(RefundWish { may_be_large: false, ..wish("2", None) }).await,
        Err(BillingError::NotAllowed(_))
    ));
    refund(small("3", 3_000)).await.unwrap();
    refund(small("4", 2_000)).await.unwrap();
    assert!(matches!(refund(small("5", 1)).await, Err(BillingError::NotAllowed(_))));
    refund(wish("6", Some(5_000))).await.unwrap();
    assert_eq!(books.wallet(ada).await, 0);
    books.must_be_right().await;
}

fn stranger(reference: &str, amount: dotmac_edge::domain::money::Money) -> Confirmation {
    Confirmation {
        provider: ProviderName::Paystack,
        reference: reference.to_owned(),
        transaction: format!("t-{reference}"),
        outcome: Outcome::Succeeded,
        amount,
        fee: None,
        method: Method::Transfer,
    }
}

async fn unmatched(books: &Books, said: &Confirmation, now: Timestamp) -> PaymentId {
    let settled = books.billing.till.settle(said, now).await.unwrap();
    let Settlement::Unmatched(id) = settled else { panic!("{settled:?}") };
    id
}

#[tokio::test]
async fn a_receipt_that_nobody_was_known_for_is_given_to_its_owner_once_and_pays_what_they_owe() {
    let books = Arc::new(Books::open());
    let now = at("2026-05-01T10:00:00Z");
    let (ada, obi) = (books.subscriber(now).await, books.subscriber(now).await);
    let id = unmatched(&books, &stranger("elsewhere", ngn(10_000)), now).await;
    assert_eq!(books.balance(Account::Unmatched(ngn(0).currency)).await, -10_000);
    let mut all = tokio::task::JoinSet::new();
    for number in 0..20 {
        let books = Arc::clone(&books);
        let who = if number % 2 == 0 { ada } else { obi };
        all.spawn(async move { (who, books.billing.till.match_receipt(id, who, None, now).await) });
    }
    let answers = all.join_all().await;
    let owner = books.payment(id).await.subscriber_id.unwrap();
    for (who, answer) in answers {
        match answer {
            Ok(payment) => assert_eq!((who, payment.subscriber_id), (owner, Some(owner))),
            Err(error) => assert!(who != owner && matches!(error, BillingError::Rule(_)), "{error}"),
        }
    }
    let other = if owner == ada { obi } else { ada };
    assert_eq!((books.wallet(owner).await, books.wallet(other).await), (10_000, 0));
    assert_eq!(books.balance(Account::Unmatched(ngn(0).currency)).await, 0);
    // From then on it is theirs: what goes back leaves their wallet.
    books.billing.till.refund(id, &wish("1", Some(4_000)), None, now).await.unwrap();
    assert_eq!(books.wallet(owner).await, 6_000);
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_2_a_receipt_in_another_currency_is_matched_to_nobody_and_goes_back_from_where_it_is() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    books.cash(ada, 1_000, now).await;
    let strange = unmatched(&books, &stranger("dollars", usd(500)), now).await;
    let attempt = books.attempt(ada, None, ngn(10_000), now).await;
    let known = unmatched(&books, &paid(&attempt, usd(700), "t-9"), now).await;
    for id in [strange, known] {
        let refused = books.billing.till.match_receipt(id, ada, None, now).await.unwrap_err();
        assert!(matches!(&refused, BillingError::Rule(why) if why.contains("USD")), "{refused}");
        books.billing.till.refund(id, &wish("1", None), None, now).await.unwrap();
    }
    assert_eq!(books.balance(Account::Unmatched(usd(0).currency)).await, 0);
    assert_eq!(books.wallet(ada).await, 1_000);
    let own = books.cash(ada, 500, now).await;
    assert!(matches!(
        books.billing.till.match_receipt(own.id, books.subscriber(now).await, None, now).await,
        Err(BillingError::Rule(_))
    ));
    books.must_be_right().await;
}
