//! Money is right: the rules of the law of money that need the books, by their numbers, alone and many at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/books.rs"]
mod books;

use std::sync::Arc;

use books::{Books, at, ngn, paid, terms, usd};
use dotmac_edge::billing::correct::Correction;
use dotmac_edge::billing::counter::Purpose;
use dotmac_edge::billing::refund::{RefundPolicy, RefundWish};
use dotmac_edge::billing::{BillingError, Settings, Settlement, Window, Wish};
use dotmac_edge::domain::invoice::InvoiceStatus;
use dotmac_edge::domain::ledger::Account;
use dotmac_edge::domain::lock::LockMode;
use dotmac_edge::domain::money::Currency;
use dotmac_edge::domain::order::OrderStatus;
use dotmac_edge::domain::payment::{Outcome, PaymentStatus};
use dotmac_edge::domain::plan::ValidityUnit;
use dotmac_edge::domain::service::Service;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

const DAY: Option<(u32, ValidityUnit)> = Some((1, ValidityUnit::Days));
const MONTH: Option<(u32, ValidityUnit)> = Some((1, ValidityUnit::Months));

fn ends(service: &Service) -> Vec<String> {
    service
        .intervals
        .iter()
        .map(|one| one.until.map_or_else(|| "-".into(), |until| until.to_string()))
        .collect()
}

fn taxed() -> Settings {
    let zone = TimeZone::get("Africa/Lagos").unwrap();
    Settings { tax_ppm: 75_000, ..Settings::plain(Currency::parse("NGN").unwrap(), zone) }
}

#[tokio::test]
async fn rule_17_a_paid_invoice_moves_money_as_it_should_and_the_books_prove_it() {
    let books = Books::with(&taxed());
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    let order = books.order(ada, Wish::Period(service), now).await.unwrap();
    assert_eq!(order.total(), ngn(10_750));
    let attempt = books.attempt(ada, Some(order.id), order.total(), now).await;
    let mut said = paid(&attempt, ngn(10_750), "t-1");
    said.fee = Some(ngn(161));
    let settled = books.billing.till.settle(&said, now).await.unwrap();
    assert_eq!(settled, Settlement::Booked { payment: attempt.id, fulfilled: Some(order.id) });
    assert_eq!(books.balance(Account::Revenue).await, -10_000);
    assert_eq!(books.balance(Account::Tax).await, -750);
    assert_eq!(books.balance(Account::clearing("paystack", ngn(0).currency)).await, 10_589);
    assert_eq!(books.balance(Account::fees("paystack", ngn(0).currency)).await, 161);
    assert_eq!(books.balance(Account::Receivable(ada)).await, 0);
    assert_eq!(books.wallet(ada).await, 0);
    let invoice = books.order_now(order.id).await.invoice_id.unwrap();
    let document = books.billing.till.document(&invoice.to_string(), Some(ada)).await.unwrap();
    assert_eq!(document.status(now), InvoiceStatus::Paid);
    assert_eq!(document.invoice.number.as_deref(), Some("INV-2026-000001"));
    assert_eq!(ends(&books.service_of(service).await), ["2026-06-01T10:00:00Z"]);
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_20_money_is_booked_once_however_often_and_by_how_many_it_is_told() {
    let books = Arc::new(Books::open());
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    let order = books.order(ada, Wish::Period(service), now).await.unwrap();
    let attempt = books.attempt(ada, Some(order.id), order.total(), now).await;
    let mut told = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (books, said) = (Arc::clone(&books), paid(&attempt, ngn(10_000), "t-1"));
        told.spawn(async move { books.billing.till.settle(&said, now).await.unwrap() });
    }
    let answers = told.join_all().await;
    let booked = answers.iter().filter(|one| matches!(one, Settlement::Booked { .. })).count();
    assert_eq!(booked, 1);
    assert!(answers.iter().all(|one| {
        matches!(one, Settlement::Booked { .. }) || *one == Settlement::AlreadyBooked(attempt.id)
    }));
    assert_eq!(ends(&books.service_of(service).await).len(), 1);
    assert_eq!(books.balance(Account::clearing("paystack", ngn(0).currency)).await, 10_000);
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_20_money_for_a_cancelled_attempt_or_an_expired_order_is_in_the_payers_wallet() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    let order = books.order(ada, Wish::Period(service), now).await.unwrap();
    let attempt = books.attempt(ada, Some(order.id), order.total(), now).await;
    let mut cancelled = paid(&attempt, ngn(10_000), "");
    cancelled.outcome = Outcome::Cancelled;
    assert_eq!(books.billing.till.settle(&cancelled, now).await.unwrap(), Settlement::Failed(attempt.id));
    let late = now.checked_add(SignedDuration::from_hours(48)).unwrap();
    let settled = books.billing.till.settle(&paid(&attempt, ngn(10_000), "t-1"), late).await.unwrap();
    assert_eq!(settled, Settlement::Booked { payment: attempt.id, fulfilled: None });
    assert_eq!(books.wallet(ada).await, 10_000);
    // A failure that is told after the success takes nothing back.
    assert_eq!(
        books.billing.till.settle(&cancelled, late).await.unwrap(),
        Settlement::AlreadyBooked(attempt.id)
    );
    // Another payment under the same reference is money too.
    books.billing.till.settle(&paid(&attempt, ngn(500), "t-2"), late).await.unwrap();
    assert_eq!(books.wallet(ada).await, 10_500);
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_21_too_little_buys_nothing_and_too_much_is_kept_for_the_payer() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(100_000, MONTH), now).await;
    let order = books.order(ada, Wish::Period(service), now).await.unwrap();
    let first = books.attempt(ada, Some(order.id), order.total(), now).await;
    books.billing.till.settle(&paid(&first, ngn(99_999), "t-1"), now).await.unwrap();
    assert_eq!(books.order_now(order.id).await.status, OrderStatus::Underpaid);
    assert_eq!(books.wallet(ada).await, 99_999);
    assert!(books.service_of(service).await.intervals.is_empty());
    let second = books.attempt(ada, Some(order.id), order.total(), now).await;
    books.billing.till.settle(&paid(&second, ngn(100_500), "t-2"), now).await.unwrap();
    assert_eq!(books.order_now(order.id).await.status, OrderStatus::Fulfilled);
    assert_eq!(books.wallet(ada).await, 99_999 + 500);
    assert_eq!(books.service_of(service).await.intervals.len(), 1);
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_2_a_payment_in_another_currency_changes_neither_order_nor_wallet() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    let order = books.order(ada, Wish::Period(service), now).await.unwrap();
    let attempt = books.attempt(ada, Some(order.id), order.total(), now).await;
    let settled = books.billing.till.settle(&paid(&attempt, usd(10_000), "t-1"), now).await.unwrap();
    assert_eq!(settled, Settlement::Unmatched(attempt.id));
    assert_eq!(books.order_now(order.id).await.status, OrderStatus::Open);
    assert_eq!(books.wallet(ada).await, 0);
    assert_eq!(books.balance(Account::Unmatched(usd(0).currency)).await, -10_000);
    // Nobody here asked for this one.
    let mut stranger = paid(&attempt, ngn(700), "t-9");
    stranger.reference = "nobody".into();
    assert!(matches!(books.billing.till.settle(&stranger, now).await, Ok(Settlement::Unmatched(_))));
    assert!(matches!(books.billing.till.settle(&stranger, now).await, Ok(Settlement::AlreadyBooked(_))));
    assert_eq!(books.balance(Account::Unmatched(ngn(0).currency)).await, -700);
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_18_of_twenty_purchases_at_once_a_wallet_pays_as_many_as_it_holds() {
    let books = Arc::new(Books::open());
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    books.cash(ada, 1_000, now).await;
    let mut buying = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let service = books.service(ada, terms(300, DAY), now).await;
        let order = books.order(ada, Wish::Period(service), now).await.unwrap();
        let books = Arc::clone(&books);
        buying.spawn(async move {
            let bought = books.billing.till.pay_from_wallet(order.id, ada, None, now).await;
            (service, bought)
        });
    }
    let (mut done, mut short) = (0, 0);
    for (service, bought) in buying.join_all().await {
        let intervals = books.service_of(service).await.intervals.len();
        match bought {
            Ok(order) => {
                assert_eq!((order.status, intervals), (OrderStatus::Fulfilled, 1));
                done += 1;
            }
            Err(BillingError::Short { .. }) => {
                assert_eq!(intervals, 0);
                short += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((done, short), (3, 17));
    assert_eq!(books.wallet(ada).await, 100);
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_16_numbers_have_no_gaps_whatever_is_aborted() {
    let books = Arc::new(Books::open());
    let now = at("2026-12-31T22:30:00Z");
    let ada = books.subscriber(now).await;
    books.cash(ada, 90 * 100, now).await;
    let mut buying = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let service = books.service(ada, terms(100, DAY), now).await;
        let order = books.order(ada, Wish::Period(service), now).await.unwrap();
        let books = Arc::clone(&books);
        // The wallet pays ninety; the others abort after they had taken a number in their leaf.
        buying
            .spawn(async move { books.billing.till.pay_from_wallet(order.id, ada, None, now).await.is_ok() });
    }
    let done = buying.join_all().await.into_iter().filter(|done| *done).count();
    assert_eq!(done, 90);
    let window = Window { offset: 0, limit: 500 };
    let listed = books.billing.till.invoices(&Default::default(), window, now).await.unwrap();
    let mut numbers: Vec<String> =
        listed.items.iter().map(|one| one.invoice.number.clone().unwrap()).collect();
    numbers.sort();
    let wanted: Vec<String> = (1..=90).map(|number| format!("INV-2026-{number:06}")).collect();
    assert_eq!(numbers, wanted);
    // The year is the site's: half an hour later it is 2027 in Lagos.
    let new_year = at("2026-12-31T23:30:00Z");
    books.cash(ada, 100, new_year).await;
    let service = books.service(ada, terms(100, DAY), new_year).await;
    books.take(ada, 100, Purpose::Renew(service), new_year).await.unwrap();
    assert!(books.billing.till.document("INV-2027-000001", Some(ada)).await.is_ok());
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_14_periods_stack_and_months_keep_their_day() {
    let books = Books::open();
    let now = at("2026-05-03T10:00:00Z");
    let ada = books.subscriber(now).await;
    let week = books.service(ada, terms(100, Some((7, ValidityUnit::Days))), now).await;
    books.take(ada, 100, Purpose::Renew(week), now).await.unwrap();
    books.take(ada, 100, Purpose::Renew(week), at("2026-05-08T09:00:00Z")).await.unwrap();
    assert_eq!(ends(&books.service_of(week).await), ["2026-05-10T10:00:00Z", "2026-05-17T10:00:00Z"]);
    let month = books.service(ada, terms(100, MONTH), now).await;
    let january = at("2026-01-31T09:00:00Z");
    books.take(ada, 100, Purpose::Renew(month), january).await.unwrap();
    books.take(ada, 100, Purpose::Renew(month), january).await.unwrap();
    assert_eq!(ends(&books.service_of(month).await), ["2026-02-28T09:00:00Z", "2026-03-31T09:00:00Z"]);
    // After it has run out, it counts from the purchase.
    books.take(ada, 100, Purpose::Renew(month), at("2026-04-10T08:00:00Z")).await.unwrap();
    assert_eq!(ends(&books.service_of(month).await)[2], "2026-05-10T08:00:00Z");
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_13_a_prepaid_day_is_renewed_once_and_time_without_service_is_not_billed() {
    let books = Arc::new(Books::open());
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(100, DAY), now).await;
    books.cash(ada, 1_000, now).await;
    // Two runs at once, again and again: one renewal.
    let both = |now: Timestamp| {
        let books = Arc::clone(&books);
        async move {
            let (a, b) = tokio::join!(books.billing.till.run_cycle(now), books.billing.till.run_cycle(now));
            a.unwrap().renewed + b.unwrap().renewed
        }
    };
    assert_eq!(both(now).await, 1);
    assert_eq!(both(now).await, 0);
    assert_eq!(books.wallet(ada).await, 900);
    // A minute before the end the next day is bought, so that nobody is cut for a moment.
    assert_eq!(both(at("2026-05-02T09:59:00Z")).await, 1);
    assert_eq!(ends(&books.service_of(service).await), ["2026-05-02T10:00:00Z", "2026-05-03T10:00:00Z"]);
    // Down for three days: one renewal that starts now.
    let back = at("2026-05-06T12:00:00Z");
    assert_eq!(both(back).await, 1);
    assert_eq!(ends(&books.service_of(service).await)[2], "2026-05-07T12:00:00Z");
    assert_eq!(books.wallet(ada).await, 700);
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_13_what_was_bought_at_the_counter_is_renewed_before_it_ends_too() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(100, DAY), now).await;
    books.take(ada, 100, Purpose::Renew(service), now).await.unwrap();
    books.cash(ada, 100, now).await;
    assert_eq!(books.billing.till.run_cycle(at("2026-05-02T09:57:00Z")).await.unwrap().renewed, 0);
    assert_eq!(books.billing.till.run_cycle(at("2026-05-02T09:59:00Z")).await.unwrap().renewed, 1);
    assert_eq!(ends(&books.service_of(service).await), ["2026-05-02T10:00:00Z", "2026-05-03T10:00:00Z"]);
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_13_a_renewal_that_the_wallet_cannot_pay_waits_for_money_and_is_no_debt() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(100, DAY), now).await;
    books.cash(ada, 150, now).await;
    books.billing.till.run_cycle(now).await.unwrap();
    let end = at("2026-05-02T10:00:00Z");
    for _ in 0..3 {
        books.billing.till.run_cycle(end).await.unwrap();
    }
    let run = books.billing.till.run_cycle(end).await.unwrap();
    assert_eq!((run.renewed, run.refused, run.looked_at), (0, 0, 0), "it is not asked for again and again");
    assert_eq!(books.billing.till.owed(ada).await.unwrap(), ngn(0));
    let paid_at = at("2026-05-03T08:00:00Z");
    books.cash(ada, 50, paid_at).await;
    assert_eq!(books.billing.till.run_cycle(paid_at).await.unwrap().renewed, 1);
    assert_eq!(ends(&books.service_of(service).await)[1], "2026-05-04T08:00:00Z");
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_13_a_postpaid_outage_bills_each_period_once_and_never_more_than_three_at_once() {
    let books = Arc::new(Books::open());
    let now = at("2026-01-31T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(100, None), now).await;
    let back = at("2026-04-30T12:00:00Z");
    let (a, b) = tokio::join!(books.billing.till.run_cycle(back), books.billing.till.run_cycle(back));
    assert_eq!(a.unwrap().invoiced + b.unwrap().invoiced, 3);
    let window = Window { offset: 0, limit: 10 };
    let listed = books.billing.till.invoices(&Default::default(), window, back).await.unwrap();
    let mut periods: Vec<String> =
        listed.items.iter().map(|one| one.invoice.subjects[0].until.unwrap().to_string()).collect();
    periods.sort();
    assert_eq!(periods, ["2026-02-28T10:00:00Z", "2026-03-31T10:00:00Z", "2026-04-30T10:00:00Z"]);
    assert_eq!(books.billing.till.owed(ada).await.unwrap(), ngn(300));
    // A year later somebody must say from when to go on.
    let run = books.billing.till.run_cycle(at("2027-05-01T12:00:00Z")).await.unwrap();
    assert_eq!(run.invoiced, 3);
    let subscription = books.billing.till.subscription(service).await.unwrap().unwrap();
    assert!(subscription.last_refusal.unwrap().contains("staff must say"));
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_22_refunds_never_exceed_what_came_and_end_what_was_bought() {
    let books = Arc::new(Books::open());
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    let payment = books.take(ada, 10_000, Purpose::Renew(service), now).await.unwrap();
    let refund = |key: &str, minor: i64| {
        let (books, key) = (Arc::clone(&books), key.to_owned());
        async move {
            let wish = RefundWish {
                key,
                amount: Some(ngn(minor)),
                reason: "asked for".into(),
                policy: RefundPolicy::Cut,
                by_hand: false,
                may_be_large: true,
            };
            books.billing.till.refund(payment.id, &wish, None, now).await
        }
    };
    refund("a", 4_000).await.unwrap();
    refund("a", 4_000).await.unwrap();
    assert_eq!(books.payment(payment.id).await.status, PaymentStatus::PartiallyRefunded);
    let (one, other) = tokio::join!(refund("b", 6_000), refund("c", 6_000));
    assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1, "of two at once, one passes");
    assert!(matches!(refund("d", 1).await, Err(BillingError::Rule(_))));
    assert_eq!(books.payment(payment.id).await.status, PaymentStatus::Refunded);
    assert_eq!(books.balance(Account::Revenue).await, 0);
    let service = books.service_of(service).await;
    assert!(service.intervals.iter().all(|one| !one.covers(now)), "what was bought ends");
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_15_corrections_are_credit_notes_and_never_more_than_the_invoice() {
    let books = Books::with(&taxed());
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    books.take(ada, 10_750, Purpose::Renew(service), now).await.unwrap();
    let document = books.billing.till.document("INV-2026-000001", Some(ada)).await.unwrap();
    let correct =
        |correction| books.billing.till.correct(document.invoice.id, correction, "wrong", None, now);
    let note = correct(Correction::Credit(ngn(4_300))).await.unwrap();
    assert_eq!(note.number.as_deref(), Some("INV-CN-2026-000001"));
    assert_eq!((note.quote.net.minor, note.quote.tax.minor), (4_000, 300));
    assert_eq!(books.wallet(ada).await, 4_300);
    assert!(matches!(correct(Correction::Void).await, Err(BillingError::Rule(_))));
    assert!(matches!(correct(Correction::Credit(ngn(6_451))).await, Err(BillingError::Rule(_))));
    correct(Correction::Credit(ngn(6_450))).await.unwrap();
    assert_eq!((books.balance(Account::Revenue).await, books.balance(Account::Tax).await), (0, 0));
    let after = books.billing.till.document("INV-2026-000001", Some(ada)).await.unwrap();
    assert_eq!(after.invoice, document.invoice, "what was final is as it was");
    books.must_be_right().await;
}

#[tokio::test]
async fn rule_25_each_step_of_dunning_comes_once_and_full_payment_lifts_it() {
    let books = Books::open();
    // Invoiced on 2026-04-26 in Lagos, due fourteen days later: 2026-05-10.
    let now = at("2026-03-26T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(100, None), now).await;
    books.billing.till.run_cycle(at("2026-04-26T10:00:00Z")).await.unwrap();
    let lock = |service: &Service| service.locks.first().map(|lock| lock.mode);
    let mut seen = Vec::new();
    let mut when = at("2026-04-26T11:00:00Z");
    while when < at("2026-05-25T00:00:00Z") {
        let run = books.billing.till.run_dunning(when, false).await.unwrap();
        assert_eq!(run.held, None);
        let mode = lock(&books.service_of(service).await);
        if seen.last().map(|(_, last)| *last) != Some(mode) {
            seen.push((when, mode));
        }
        when = when.checked_add(SignedDuration::from_mins(30)).unwrap();
    }
    let seen: Vec<_> = seen.iter().map(|(at, mode)| (at.to_string(), *mode)).collect();
    assert_eq!(
        seen[1..],
        [
            ("2026-05-12T23:00:00Z".to_owned(), Some(LockMode::Throttle)),
            ("2026-05-16T23:00:00Z".to_owned(), Some(LockMode::Captive)),
            ("2026-05-23T23:00:00Z".to_owned(), Some(LockMode::HardReject)),
        ]
    );
    // Some of it lifts nothing; the rest does, in the same commit.
    books.take(ada, 99, Purpose::Account, when).await.unwrap();
    assert_eq!(lock(&books.service_of(service).await), Some(LockMode::HardReject));
    books.take(ada, 1, Purpose::Account, when).await.unwrap();
    assert_eq!(lock(&books.service_of(service).await), None);
    let back = at("2026-05-20T10:00:00Z");
    books.billing.till.run_dunning(back, false).await.unwrap();
    assert_eq!(lock(&books.service_of(service).await), None, "a clock set back does nothing again");
    books.must_be_right().await;
}

#[tokio::test]
async fn dunning_that_would_cut_too_many_stops_and_asks_and_an_unbelieved_clock_cuts_nobody() {
    let books = Books::open();
    let now = at("2026-03-26T10:00:00Z");
    let mut services = Vec::new();
    for _ in 0..20 {
        let one = books.subscriber(now).await;
        services.push(books.service(one, terms(100, None), now).await);
    }
    books.billing.till.run_cycle(at("2026-04-26T10:00:00Z")).await.unwrap();
    let late = at("2026-05-13T09:00:00Z");
    let run = books.billing.till.run_dunning(late, true).await.unwrap();
    assert!(run.clock_held && run.bitten == 0);
    let run =
        books.billing.till.run_dunning(late.checked_add(SignedDuration::from_mins(2)).unwrap(), false).await;
    let hold = run.unwrap().held.expect("it asks");
    assert_eq!((hold.services, hold.owed), (20, 2_000));
    for service in &services {
        assert!(books.service_of(*service).await.locks.is_empty());
    }
    // It goes on asking, run after run, and an answer counts in the next one, however soon that is.
    let soon = late.checked_add(SignedDuration::from_secs(140)).unwrap();
    let again = books.billing.till.run_dunning(soon, false).await.unwrap().held.expect("it still asks");
    assert_eq!((again.services, again.since), (20, hold.since));
    let next = late.checked_add(SignedDuration::from_secs(160)).unwrap();
    books.billing.till.allow_dunning("Ada Obi", soon).await.unwrap();
    let run = books.billing.till.run_dunning(next, false).await.unwrap();
    assert_eq!((run.held, run.bitten), (None, 20));
}
