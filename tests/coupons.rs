//! Rule 5 where many ask at once: coupons are taken at the order, as often as they may be and no more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/books.rs"]
mod books;

use std::sync::Arc;

use books::{Books, at, ngn, paid, terms};
use dotmac_edge::billing::counter::Purpose;
use dotmac_edge::billing::{BillingError, Wish};
use dotmac_edge::domain::audit::Actor;
use dotmac_edge::domain::coupon::{Coupon, CouponTerms};
use dotmac_edge::domain::ids::{PlanId, ServiceId, SubscriberId};
use dotmac_edge::domain::order::{Order, OrderStatus};
use dotmac_edge::domain::plan::ValidityUnit;
use dotmac_edge::domain::text::Code;
use jiff::Timestamp;
use uuid::Uuid;

const MONTH: Option<(u32, ValidityUnit)> = Some((1, ValidityUnit::Months));

fn half() -> CouponTerms {
    CouponTerms {
        name: None,
        percent_ppm: 500_000,
        fixed: None,
        valid_from: None,
        valid_until: None,
        most: None,
        most_each: Some(1),
        plan_ids: Vec::new(),
        is_active: true,
    }
}

async fn coupon(books: &Books, code: &str, terms: CouponTerms, now: Timestamp) -> Coupon {
    let code = Code::parse(code).unwrap();
    let draft = books.billing.till.make_coupon(&code, &terms, &Actor::system(), now).await.unwrap();
    books.store.commit(draft.unit).await.unwrap();
    draft.value
}

async fn taken(books: &Books, code: &str) -> u32 {
    books.billing.till.coupon(code).await.unwrap().taken
}

async fn order(
    books: &Books,
    who: SubscriberId,
    service: ServiceId,
    code: &str,
    now: Timestamp,
) -> Result<Order, BillingError> {
    let wish = Wish::Period(service);
    books.billing.till.order_with_coupon((who, &wish), code, &Actor::system(), None, now).await
}

fn is_field(error: &BillingError) -> bool {
    matches!(error, BillingError::Field { field: "coupon", .. })
}

#[tokio::test]
async fn rule_5_of_fifty_orders_at_once_a_coupon_of_ten_is_taken_by_exactly_ten() {
    let books = Arc::new(Books::open());
    let now = at("2026-05-01T10:00:00Z");
    coupon(&books, "TEN", CouponTerms { most: Some(10), ..half() }, now).await;
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let ada = books.subscriber(now).await;
        let service = books.service(ada, terms(10_000, MONTH), now).await;
        let books = Arc::clone(&books);
        all.spawn(async move { order(&books, ada, service, "ten", now).await });
    }
    let answers = all.join_all().await;
    let made: Vec<_> = answers.iter().filter_map(|one| one.as_ref().ok()).collect();
    assert_eq!(made.len(), 10);
    assert!(made.iter().all(|order| order.total() == ngn(5_000)));
    assert!(answers.iter().filter_map(|one| one.as_ref().err()).all(is_field));
    assert_eq!(taken(&books, "TEN").await, 10);
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_5_an_order_that_was_paid_keeps_its_coupon_and_one_that_was_not_gives_it_back() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    coupon(&books, "ONE", CouponTerms { most: Some(1), ..half() }, now).await;
    let (ada, obi) = (books.subscriber(now).await, books.subscriber(now).await);
    let (of_ada, of_obi) = (
        books.service(ada, terms(10_000, MONTH), now).await,
        books.service(obi, terms(10_000, MONTH), now).await,
    );
    let first = order(&books, ada, of_ada, "ONE", now).await.unwrap();
    assert!(is_field(&order(&books, obi, of_obi, "ONE", now).await.unwrap_err()));
    // Nobody pays for a day: the order ends, and the coupon is free.
    let later = at("2026-05-02T10:00:00Z");
    assert_eq!(books.billing.till.end_orders(at("2026-05-02T09:59:59Z")).await.unwrap(), 0);
    assert_eq!(books.billing.till.end_orders(later).await.unwrap(), 1);
    assert_eq!(books.billing.till.end_orders(later).await.unwrap(), 0);
    assert_eq!(books.order_now(first.id).await.status, OrderStatus::Expired);
    assert_eq!(taken(&books, "ONE").await, 0);
    // Money that comes all the same is in the wallet.
    let late = books.attempt(ada, Some(first.id), first.total(), now).await;
    books.billing.till.settle(&paid(&late, first.total(), "t-1"), later).await.unwrap();
    assert_eq!(books.wallet(ada).await, 5_000);
    // The other one has it now, pays, and it stays taken.
    let second = order(&books, obi, of_obi, "ONE", later).await.unwrap();
    let attempt = books.attempt(obi, Some(second.id), second.total(), later).await;
    books.billing.till.settle(&paid(&attempt, second.total(), "t-2"), later).await.unwrap();
    assert_eq!(books.order_now(second.id).await.status, OrderStatus::Fulfilled);
    books.billing.till.end_orders(at("2026-05-09T10:00:00Z")).await.unwrap();
    assert_eq!(taken(&books, "ONE").await, 1);
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_5_what_cannot_be_taken_is_told_at_its_field_and_changes_nothing() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    let other = books.plan("other", terms(10_000, MONTH), now).await;
    coupon(&books, "OVER", CouponTerms { valid_until: Some(now), ..half() }, at("2026-04-01T10:00:00Z"))
        .await;
    coupon(&books, "ELSEWHERE", CouponTerms { plan_ids: vec![other], ..half() }, now).await;
    for code in ["OVER", "ELSEWHERE", "NOSUCH", "", "\u{0}", "%"] {
        let refused = order(&books, ada, service, code, now).await.unwrap_err();
        assert!(is_field(&refused), "{code}: {refused}");
    }
    assert_eq!(taken(&books, "OVER").await, 0);
    assert!(books.billing.orders_of(ada).await.unwrap().is_empty());
    let wallet = Wish::Wallet(ngn(1_000));
    coupon(&books, "HALF", half(), now).await;
    let refused =
        books.billing.till.order_with_coupon((ada, &wallet), "HALF", &Actor::system(), None, now).await;
    assert!(is_field(&refused.unwrap_err()));
    let unknown = CouponTerms { plan_ids: vec![PlanId(Uuid::nil())], ..half() };
    let code = Code::parse("LATER").unwrap();
    let made = books.billing.till.make_coupon(&code, &unknown, &Actor::system(), now).await;
    assert!(matches!(made, Err(BillingError::Field { field: "plan_ids", .. })));
}

#[tokio::test]
async fn a_customer_who_starts_again_is_not_held_up_by_the_order_that_they_did_not_pay() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    coupon(&books, "HALF", CouponTerms { most: Some(1), ..half() }, now).await;
    let first = order(&books, ada, service, "HALF", now).await.unwrap();
    let second = order(&books, ada, service, "HALF", now).await.unwrap();
    assert_eq!(books.order_now(first.id).await.status, OrderStatus::Cancelled);
    assert_eq!(books.order_now(second.id).await.status, OrderStatus::Open);
    assert_eq!(taken(&books, "HALF").await, 1);
    books.cash(ada, 5_000, now).await;
    books.billing.till.pay_from_wallet(second.id, ada, None, now).await.unwrap();
    // Paid is used: once each.
    assert!(is_field(&order(&books, ada, service, "HALF", now).await.unwrap_err()));
    books.must_be_right().await;
}

#[tokio::test]
async fn a_coupon_for_an_order_that_waits_lowers_its_price_once_and_another_one_takes_its_place() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    coupon(&books, "HALF", half(), now).await;
    let fixed = CouponTerms { percent_ppm: 0, fixed: Some(ngn(1_000)), ..half() };
    coupon(&books, "LESS", fixed, now).await;
    let waiting = books.order(ada, Wish::Period(service), now).await.unwrap();
    let till = &books.billing.till;
    for _ in 0..2 {
        let order = till.apply_coupon(waiting.id, ada, " half ", None, now).await.unwrap();
        assert_eq!(order.total(), ngn(5_000));
        assert_eq!(taken(&books, "HALF").await, 1);
    }
    let order = till.apply_coupon(waiting.id, ada, "LESS", None, now).await.unwrap();
    assert_eq!(order.total(), ngn(9_000));
    assert_eq!((taken(&books, "HALF").await, taken(&books, "LESS").await), (0, 1));
    let stranger = books.subscriber(now).await;
    let theirs = till.apply_coupon(waiting.id, stranger, "HALF", None, now).await;
    assert!(matches!(theirs, Err(BillingError::NotFound { .. })));
    let late = till.apply_coupon(waiting.id, ada, "HALF", None, at("2026-05-03T10:00:00Z")).await;
    assert!(matches!(late, Err(BillingError::Rule(_))));
}

#[tokio::test]
async fn what_costs_nothing_by_a_coupon_is_carried_out_without_money_and_without_an_invoice() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    coupon(&books, "FREE", CouponTerms { percent_ppm: 1_000_000, ..half() }, now).await;
    let free = order(&books, ada, service, "FREE", now).await.unwrap();
    assert_eq!(free.total(), ngn(0));
    let done = books.billing.till.pay_from_wallet(free.id, ada, None, now).await.unwrap();
    assert_eq!((done.status, done.invoice_id), (OrderStatus::Fulfilled, None));
    assert_eq!(books.service_of(service).await.intervals.len(), 1);
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_11_what_a_coupon_took_off_is_not_given_back_by_a_change_of_plan() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    let dearer = books.plan("dearer", terms(12_000, MONTH), now).await;
    coupon(&books, "FREE", CouponTerms { percent_ppm: 1_000_000, ..half() }, now).await;
    let free = order(&books, ada, service, "FREE", now).await.unwrap();
    books.billing.till.pay_from_wallet(free.id, ada, None, now).await.unwrap();
    let wish = Wish::ChangePlan(service, dearer);
    let (_, quote) = books.billing.shop.priced(ada, &wish, now).await.unwrap();
    assert_eq!(quote.total, ngn(12_000), "nothing was charged for the old plan, so nothing is credited");
    let change = books.order(ada, wish, now).await.unwrap();
    books.cash(ada, 12_000, now).await;
    books.billing.till.pay_from_wallet(change.id, ada, None, now).await.unwrap();
    // The dearer plan was charged in full: all of it counts at the next change.
    let dearest = books.plan("dearest", terms(15_000, MONTH), now).await;
    let (_, quote) = books.billing.shop.priced(ada, &Wish::ChangePlan(service, dearest), now).await.unwrap();
    assert_eq!(quote.total, ngn(3_000));
}

#[tokio::test]
async fn at_the_counter_a_coupon_lowers_what_the_next_period_costs() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    coupon(&books, "HALF", half(), now).await;
    let with = |code: &str| Purpose::RenewWith(service, code.to_owned());
    let short = books.take(ada, 4_999, with("HALF"), now).await.unwrap_err();
    assert!(matches!(short, BillingError::Field { field: "amount", .. }));
    assert_eq!(taken(&books, "HALF").await, 0);
    let payment = books.take(ada, 5_000, with("HALF"), now).await.unwrap();
    assert_eq!(taken(&books, "HALF").await, 1);
    assert_eq!(books.wallet(ada).await, 0);
    let order = books.order_now(payment.order_id.unwrap()).await;
    assert_eq!((order.status, order.total()), (OrderStatus::Fulfilled, ngn(5_000)));
    assert!(is_field(&books.take(ada, 5_000, with("HALF"), now).await.unwrap_err()));
    books.must_be_right().await;
}
