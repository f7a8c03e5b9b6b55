//! Terms over the books: what a top-up, an add-on and a pause become in facts and in money, and that a downgrade waits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/books.rs"]
mod books;

use books::{Books, at, ngn, terms};
use dotmac_edge::billing::subscribing::PlanChange;
use dotmac_edge::billing::{BillingError, Settings, Wish};
use dotmac_edge::domain::entitlement::{Facts, Usage, Used, entitle};
use dotmac_edge::domain::ids::{OrderId, SubscriberId};
use dotmac_edge::domain::invoice::Invoice;
use dotmac_edge::domain::lock::LockReason;
use dotmac_edge::domain::money::Currency;
use dotmac_edge::domain::order::OrderStatus;
use dotmac_edge::domain::plan::ValidityUnit;
use dotmac_edge::domain::refusal::Refusal;
use dotmac_edge::domain::service::{AddOn, Service};
use dotmac_edge::domain::subscriber::Standing;
use dotmac_edge::domain::subscription::{OwnPause, Subscription};
use dotmac_edge::domain::text::{Code, Line};
use dotmac_edge::store::contract::{Page, Range, Unit};
use dotmac_edge::store::tables::money::Invoices;
use dotmac_edge::store::tables::{FREE_SESSION_TO_DAY, SESSION_TO_DAY, Services};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

const MONTH: Option<(u32, ValidityUnit)> = Some((1, ValidityUnit::Months));

async fn pay(books: &Books, order: OrderId, of: SubscriberId, now: Timestamp) -> OrderStatus {
    books.billing.till.pay_from_wallet(order, of, None, now).await.unwrap().status
}

async fn buy(
    books: &Books,
    of: SubscriberId,
    wish: Wish,
    now: Timestamp,
) -> Result<OrderStatus, BillingError> {
    let order = books.order(of, wish, now).await?;
    Ok(pay(books, order.id, of, now).await)
}

async fn invoices(books: &Books) -> Vec<Invoice> {
    let page = Page::first(100);
    let slice = books.store.scan::<Invoices>(Range::All, page).await.unwrap();
    slice.records.into_iter().map(|record| record.body).collect()
}

fn verdict(service: &Service, octets: u64, now: Timestamp) -> Result<Option<u64>, Refusal> {
    let usage = Usage { down_octets: octets, ..Usage::default() };
    let used = Used { period: usage, window: usage };
    entitle(&Facts::of(service, Standing::Open, used, &TimeZone::UTC), now).map(|yes| yes.remaining_octets)
}

#[tokio::test]
async fn a_top_up_is_paid_invoiced_and_ends_with_its_own_validity() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let mut plan = terms(10_000, MONTH);
    plan.data_allowance = Some(1_000);
    plan.usage = serde_json::from_value(json!({ "top_ups": [{ "code": "boost", "name": "Boost",
        "price": { "minor": 500, "currency": "NGN" }, "octets": 400, "validity": { "count": 1, "unit": "days" } }] }))
    .unwrap();
    let service = books.service(ada, plan, now).await;
    books.cash(ada, 20_000, now).await;
    let boost = || Wish::TopUp(service, "boost".into());
    let before = books.order(ada, boost(), now).await;
    assert!(matches!(before, Err(BillingError::Rule(_))), "nothing runs yet that it could add to");
    assert_eq!(buy(&books, ada, Wish::Period(service), now).await.unwrap(), OrderStatus::Fulfilled);
    assert!(matches!(
        books.order(ada, Wish::TopUp(service, "other".into()), now).await,
        Err(BillingError::Field { .. })
    ));
    books.use_up(service, 1_000, now).await;
    let later = at("2026-05-02T10:00:00Z");
    assert_eq!(verdict(&books.service_of(service).await, 1_000, later), Err(Refusal::QuotaSpent));
    assert_eq!(buy(&books, ada, boost(), later).await.unwrap(), OrderStatus::Fulfilled);
    let held = books.service_of(service).await;
    assert_eq!(verdict(&held, 1_000, later), Ok(Some(400)));
    assert_eq!(verdict(&held, 1_250, later), Ok(Some(150)));
    assert_eq!(held.extras.top_ups[0].until, Some(at("2026-05-03T10:00:00Z")));
    assert_eq!(verdict(&held, 1_250, at("2026-05-03T10:00:00Z")), Err(Refusal::QuotaSpent));
    assert_eq!(books.wallet(ada).await, 20_000 - 10_000 - 500);
    // What the first left at its end is not added to the second.
    books.use_up(service, 250, later).await;
    let last = at("2026-05-31T22:00:00Z");
    assert_eq!(buy(&books, ada, boost(), last).await.unwrap(), OrderStatus::Fulfilled);
    let held = books.service_of(service).await;
    assert_eq!(verdict(&held, 1_250, last), Ok(Some(400)));
    assert_eq!(
        held.extras.top_ups[1].until,
        Some(at("2026-06-01T10:00:00Z")),
        "with the period at the latest"
    );
    assert_eq!(invoices(&books).await.len(), 3);
    books.must_be_right().await;
}

#[tokio::test]
async fn an_add_on_is_charged_with_each_period_first_and_renewed() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    let record = books.store.get::<Services>(&service).await.unwrap().unwrap();
    let mut held = record.body;
    let (code, name) = (Code::parse("static-ip").unwrap(), Line::parse("Fixed address").unwrap());
    held.extras.add_ons.push(AddOn { code, name, price: ngn(2_000) });
    let unit = Unit::natural().replace::<Services>(&service, record.version, &held).unwrap();
    books.store.commit(unit).await.unwrap();
    books.cash(ada, 30_000, now).await;
    assert_eq!(buy(&books, ada, Wish::Period(service), now).await.unwrap(), OrderStatus::Fulfilled);
    assert_eq!(books.wallet(ada).await, 18_000);
    books.billing.till.run_cycle(at("2026-06-01T10:00:00Z")).await.unwrap();
    assert_eq!(books.wallet(ada).await, 6_000);
    for invoice in invoices(&books).await {
        assert_eq!((invoice.quote.lines.len(), invoice.quote.total), (2, ngn(12_000)));
    }
    books.must_be_right().await;
}

#[tokio::test]
async fn a_pause_stops_the_clock_of_what_is_paid_and_nothing_is_billed_meanwhile() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    books.cash(ada, 50_000, now).await;
    buy(&books, ada, Wish::Period(service), now).await.unwrap();
    let till = &books.billing.till;
    till.pause(service, "Ada Obi", None, at("2026-05-11T10:00:00Z")).await.unwrap();
    let again = till.pause(service, "Ada Obi", None, at("2026-05-11T10:00:00Z")).await;
    assert!(matches!(again, Err(BillingError::Rule(_))));
    let held = books.service_of(service).await;
    let hold = Refusal::Locked { reason: LockReason::CustomerHold };
    assert_eq!(verdict(&held, 0, at("2026-05-11T10:00:00Z")), Err(hold));
    for month in ["2026-06-02T10:00:00Z", "2026-07-02T10:00:00Z"] {
        till.run_cycle(at(month)).await.unwrap();
    }
    assert_eq!(books.wallet(ada).await, 40_000, "nothing was renewed while it was paused");
    let order = books.order(ada, Wish::Period(service), at("2026-07-02T10:00:00Z")).await.unwrap();
    let paid = till.pay_from_wallet(order.id, ada, None, at("2026-07-02T10:00:00Z")).await;
    assert!(matches!(paid, Err(BillingError::Rule(_))), "{paid:?}");
    assert_eq!(books.wallet(ada).await, 40_000);
    let resumed = at("2026-08-11T10:00:00Z");
    till.unpause(service, None, resumed).await.unwrap();
    let held = books.service_of(service).await;
    assert_eq!(verdict(&held, 0, resumed), Ok(None));
    let interval = &held.intervals[0];
    assert_eq!(
        (held.intervals.len(), interval.from),
        (1, now),
        "the same period goes on, with the use it had"
    );
    assert_eq!(interval.until, Some(at("2026-09-01T10:00:00Z")), "21 days were left, and 21 days are");
    till.run_cycle(at("2026-08-31T10:00:00Z")).await.unwrap();
    assert_eq!(books.wallet(ada).await, 40_000);
    till.run_cycle(at("2026-09-01T10:00:00Z")).await.unwrap();
    assert_eq!(books.wallet(ada).await, 30_000);
    books.must_be_right().await;
}

fn settings_with_pauses(most_days: u32, a_year: u32) -> Settings {
    let own_pause = OwnPause { most_days, a_year };
    let zone = TimeZone::get("Africa/Lagos").unwrap();
    Settings { own_pause, ..Settings::plain(Currency::parse("NGN").unwrap(), zone) }
}

#[track_caller]
fn is_rule<T: std::fmt::Debug>(answer: Result<T, BillingError>, says: &str) {
    match answer {
        Err(BillingError::Rule(why)) => assert!(why.contains(says), "{why}"),
        other => panic!("{says} was expected: {other:?}"),
    }
}

#[tokio::test]
async fn a_pause_of_ones_own_ends_by_itself_and_costs_no_second_of_what_was_paid() {
    let books = Books::with(&settings_with_pauses(30, 2));
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    books.cash(ada, 50_000, now).await;
    buy(&books, ada, Wish::Period(service), now).await.unwrap();
    let (billing, begun) = (&books.billing, at("2026-05-11T10:00:00Z"));
    let paused = billing.pause_own(ada, service, &|unit, _| Ok(unit), begun).await.unwrap();
    assert_eq!(paused.paused_until, Some(at("2026-06-10T10:00:00Z")));
    let hold = Refusal::Locked { reason: LockReason::CustomerHold };
    assert_eq!(verdict(&books.service_of(service).await, 0, begun), Err(hold));
    let stands = billing.pause_standing(ada, service, begun).await.unwrap();
    assert_eq!((stands.is_own, stands.left), (true, 1));
    // Money that comes meanwhile wakes renewals, and must not make the pause forget its end.
    books.cash(ada, 1_000, at("2026-05-20T10:00:00Z")).await;
    billing.till.run_cycle(at("2026-06-10T09:59:59Z")).await.unwrap();
    assert_eq!(verdict(&books.service_of(service).await, 0, at("2026-06-10T09:59:59Z")), Err(hold));
    let due = at("2026-06-10T10:00:00Z");
    let run = billing.till.run_cycle(due).await.unwrap();
    assert_eq!((run.resumed, run.renewed), (1, 0));
    let held = books.service_of(service).await;
    assert_eq!(verdict(&held, 0, due), Ok(None));
    assert_eq!(held.intervals[0].until, Some(at("2026-07-01T10:00:00Z")), "21 days were left, and 21 are");
    assert_eq!(billing.till.run_cycle(due).await.unwrap().resumed, 0, "once");
    let stands = billing.pause_standing(ada, service, due).await.unwrap();
    assert_eq!((stands.paused_at, stands.paused_until, stands.is_own), (None, None, false));
    books.must_be_right().await;
}

#[tokio::test]
async fn a_pause_of_ones_own_is_bounded_and_nobody_ends_what_staff_began() {
    let books = Books::with(&settings_with_pauses(30, 2));
    let now = at("2026-05-01T10:00:00Z");
    let (ada, other) = (books.subscriber(now).await, books.subscriber(now).await);
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    let nothing = |unit: Unit, _: &Subscription| Ok(unit);
    let billing = &books.billing;
    is_rule(billing.pause_own(ada, service, &nothing, now).await, "nothing to pause");
    books.cash(ada, 50_000, now).await;
    buy(&books, ada, Wish::Period(service), now).await.unwrap();
    let strange = billing.pause_own(other, service, &nothing, now).await;
    assert!(matches!(strange, Err(BillingError::NotFound { .. })), "{strange:?}");
    for day in ["2026-05-02", "2026-05-03"] {
        billing.pause_own(ada, service, &nothing, at(&format!("{day}T10:00:00Z"))).await.unwrap();
        is_rule(
            billing.pause_own(ada, service, &nothing, at(&format!("{day}T11:00:00Z"))).await,
            "paused already",
        );
        billing.resume_own(ada, service, &nothing, at(&format!("{day}T12:00:00Z"))).await.unwrap();
    }
    let third = at("2026-05-04T10:00:00Z");
    is_rule(billing.pause_own(ada, service, &nothing, third).await, "as often as it can be");
    billing.till.pause(service, "Staff", None, third).await.unwrap();
    is_rule(billing.resume_own(ada, service, &nothing, third).await, "please ask them");
    billing.till.run_cycle(at("2026-09-01T10:00:00Z")).await.unwrap();
    let stands = billing.pause_standing(ada, service, at("2026-09-01T10:00:00Z")).await.unwrap();
    assert!(stands.paused_at.is_some() && !stands.is_own, "what staff began does not end by itself");
    billing.till.unpause(service, None, at("2026-09-01T10:00:00Z")).await.unwrap();
    is_rule(billing.resume_own(ada, service, &nothing, third).await, "not paused");
    // A year after the first, one more is possible.
    let later = at("2027-05-02T10:00:00Z");
    assert_eq!(billing.pause_standing(ada, service, later).await.unwrap().left, 1);

    let off = Books::with(&settings_with_pauses(0, 2));
    let ada = off.subscriber(now).await;
    let service = off.service(ada, terms(10_000, MONTH), now).await;
    off.cash(ada, 50_000, now).await;
    buy(&off, ada, Wish::Period(service), now).await.unwrap();
    is_rule(off.billing.pause_own(ada, service, &nothing, now).await, "please ask them");
}

#[tokio::test]
async fn rule_10_days_that_a_pause_gave_back_are_priced_as_the_days_that_were_sold() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(310_000, MONTH), now).await;
    books.cash(ada, 400_000, now).await;
    buy(&books, ada, Wish::Period(service), now).await.unwrap();
    let till = &books.billing.till;
    till.pause(service, "Ada Obi", None, at("2026-05-11T10:00:00Z")).await.unwrap();
    till.unpause(service, None, at("2026-08-11T10:00:00Z")).await.unwrap();
    let dearer = books.plan("fast", terms(620_000, MONTH), now).await;
    let order =
        books.order(ada, Wish::ChangePlan(service, dearer), at("2026-08-11T12:00:00Z")).await.unwrap();
    let prices: Vec<i64> = order.quote.lines.iter().map(|line| line.price.minor).collect();
    assert_eq!(prices, [-210_000, 420_000], "21 of 31 days");
}

#[tokio::test]
async fn rule_11_days_of_a_trial_are_credited_to_nobody() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let mut plan = terms(310_000, MONTH);
    plan.billing.trial_days = 7;
    let service = books.service(ada, plan, now).await;
    assert!(books.billing.till.begin_trial(service, ada, now).await.unwrap());
    let dearer = books.plan("fast", terms(620_000, MONTH), now).await;
    let order = books.order(ada, Wish::ChangePlan(service, dearer), now).await.unwrap();
    assert_eq!(order.total(), ngn(0));
}

#[tokio::test]
async fn rule_12_a_cheaper_plan_waits_a_later_wish_replaces_it_and_it_can_be_taken_back() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, MONTH), now).await;
    books.cash(ada, 50_000, now).await;
    buy(&books, ada, Wish::Period(service), now).await.unwrap();
    let (small, tiny) = (
        books.plan("small", terms(5_000, MONTH), now).await,
        books.plan("tiny", terms(2_000, MONTH), now).await,
    );
    let till = &books.billing.till;
    let end = Some(at("2026-06-01T10:00:00Z"));
    let pending = async || {
        let held = till.subscription(service).await.unwrap().unwrap();
        held.pending.map(|plan| plan.plan_code.to_string())
    };
    assert_eq!(till.change_plan(service, ada, small, None, now).await.unwrap(), PlanChange::Next { at: end });
    assert_eq!(pending().await.as_deref(), Some("small"));
    till.keep_plan(service, ada, now).await.unwrap();
    assert_eq!(pending().await, None);
    till.change_plan(service, ada, small, None, now).await.unwrap();
    till.change_plan(service, ada, tiny, None, now).await.unwrap();
    assert_eq!(pending().await.as_deref(), Some("tiny"));
    assert_eq!(
        books.service_of(service).await.plan_code.as_str(),
        "home-20",
        "until the boundary nothing changes"
    );
    till.run_cycle(at("2026-06-01T10:00:00Z")).await.unwrap();
    assert_eq!(books.service_of(service).await.plan_code.as_str(), "tiny");
    assert_eq!(books.wallet(ada).await, 38_000, "no credit for the old, and the new at its own price");
    books.must_be_right().await;
}

#[tokio::test]
async fn a_post_paid_period_ends_later_by_as_much_as_it_was_paused() {
    let books = Books::open();
    let now = at("2026-05-01T10:00:00Z");
    let ada = books.subscriber(now).await;
    let service = books.service(ada, terms(10_000, None), now).await;
    let till = &books.billing.till;
    till.pause(service, "Ada Obi", None, at("2026-05-11T10:00:00Z")).await.unwrap();
    till.run_cycle(at("2026-07-11T10:00:00Z")).await.unwrap();
    till.unpause(service, None, at("2026-07-11T10:00:00Z")).await.unwrap();
    till.run_cycle(at("2026-07-31T10:00:00Z")).await.unwrap();
    assert_eq!(invoices(&books).await.len(), 0, "61 days stood still");
    till.run_cycle(at("2026-08-01T10:00:00Z")).await.unwrap();
    assert_eq!(invoices(&books).await.len(), 1);
    books.must_be_right().await;
}

#[test]
fn free_octets_are_noted_beside_what_they_are_part_of() {
    assert!(SESSION_TO_DAY.iter().all(|pair| FREE_SESSION_TO_DAY.contains(pair)));
    let names = ["down_octets", "up_octets", "seconds", "free_octets"];
    let free: Vec<usize> = FREE_SESSION_TO_DAY
        .iter()
        .filter(|(_, to)| names[*to] == "free_octets")
        .map(|(from, _)| *from)
        .collect();
    assert_eq!(free, [0, 1], "octets of both directions, not time");
}
