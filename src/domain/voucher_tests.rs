//! Rule 23 with its numbers.

use jiff::SignedDuration;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::domain::entitlement::{Facts, Usage, Used, entitle};
use crate::domain::plan::{Validity, ValidityUnit};
use crate::domain::refusal::Refusal;
use crate::domain::service::Phase;
use crate::domain::subscriber::Standing;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn lagos() -> TimeZone {
    TimeZone::get("Africa/Lagos").unwrap()
}

fn batch(redeem_by: Option<Timestamp>) -> VoucherBatch {
    let zero = json!({ "minor": 0, "currency": "NGN" });
    serde_json::from_value(json!({
        "id": Uuid::from_u128(1), "code": "B7K2QM", "name": "Kiosk", "plan_id": Uuid::from_u128(2),
        "plan_code": "day", "price": { "minor": 500, "currency": "NGN" }, "tax": zero, "count": 10, "made": 10,
        "for_sale": false, "redeem_by": redeem_by, "made_by": "system", "created_at": Timestamp::UNIX_EPOCH,
        "terms": {
            "version": 1, "name": "Day", "service_type": "internet", "monthly_price": zero, "setup_fee": zero,
            "cancellation_fee": zero, "rates": { "down": 1, "up": 1 }, "device_limit": 1,
            "validity": { "count": 24, "unit": "hours" }, "data_allowance": 1_000,
        },
    }))
    .unwrap()
}

fn voucher() -> Voucher {
    let (id, batch_id) = (VoucherId(Uuid::from_u128(3)), BatchId(Uuid::from_u128(1)));
    Voucher {
        id,
        batch_id,
        number: 17,
        code_hash: String::new(),
        used: None,
        sold: None,
        revoked_at: None,
        replaced_by: None,
    }
}

fn used(batch: &VoucherBatch, now: Timestamp) -> Voucher {
    let (from, until) = batch.span(now, &lagos()).unwrap();
    let (service_id, subscriber_id) = (ServiceId(Uuid::from_u128(4)), SubscriberId(Uuid::from_u128(5)));
    let first = VoucherUse { at: now, from, until, service_id, subscriber_id, is_own: true };
    Voucher { used: Some(first), ..voucher() }
}

#[test]
fn rule_23_a_24_h_voucher_ends_24_h_after_its_first_use_whatever_the_disconnects() {
    let batch = batch(None);
    let voucher = used(&batch, at("2026-05-01T10:00:00Z"));
    let first = voucher.used.clone().unwrap();
    assert_eq!(first.until, at("2026-05-02T10:00:00Z"));
    let intervals = [voucher.interval(first.from, first.until)];
    let zone = lagos();
    let facts = |usage| Facts {
        standing: Standing::Open,
        phase: Phase::Active,
        terms: &batch.terms,
        locks: &[],
        intervals: &intervals,
        top_ups: &[],
        used: Used { period: usage, window: usage },
        zone: &zone,
    };
    let nothing = Usage::default();
    for moment in ["2026-05-01T10:00:00Z", "2026-05-01T23:00:00Z", "2026-05-02T09:59:59.999Z"] {
        let yes = entitle(&facts(nothing), at(moment)).unwrap();
        assert_eq!(yes.ends_at, Some(first.until), "{moment}");
        assert_eq!(voucher.state(&batch, false, at(moment)), VoucherState::Active);
    }
    assert_eq!(entitle(&facts(nothing), first.until), Err(Refusal::Expired { at: first.until }));
    assert_eq!(voucher.state(&batch, false, first.until), VoucherState::Expired);
    let spent = Usage { down_octets: 999, up_octets: 1, ..Usage::default() };
    assert_eq!(entitle(&facts(spent), first.from), Err(Refusal::QuotaSpent));
    assert_eq!(voucher.state(&batch, true, first.from), VoucherState::Exhausted);
}

#[test]
fn rule_23_redeem_by_is_refused_at_that_instant_and_one_second_before_runs_its_full_24_h() {
    // 2026-06-01T00:00 in Lagos.
    let end = at("2026-05-31T23:00:00Z");
    let batch = batch(Some(end));
    assert_eq!(voucher().can_be_used(&batch, end), Err(VoucherRefusal::Expired));
    let before = end - SignedDuration::from_secs(1);
    assert_eq!(voucher().can_be_used(&batch, before), Ok(()));
    let (_, until) = batch.span(before, &lagos()).unwrap();
    assert_eq!(until, at("2026-06-01T22:59:59Z"));
    assert_eq!(used(&batch, before).state(&batch, false, end), VoucherState::Active);
}

#[test]
fn rule_23_every_state_is_told_from_facts_and_time() {
    let now = at("2026-05-01T10:00:00Z");
    let fresh = batch(None);
    assert_eq!(voucher().state(&fresh, false, now), VoucherState::Unused);
    assert_eq!(used(&fresh, now).can_be_used(&fresh, now), Err(VoucherRefusal::Used));
    let back = VoucherBatch { revoked_at: Some(now), ..batch(None) };
    for one in [voucher(), used(&fresh, now)] {
        assert_eq!(one.state(&back, true, now), VoucherState::Revoked);
        let single = Voucher { revoked_at: Some(now), ..one };
        assert_eq!(single.state(&fresh, false, now), VoucherState::Revoked);
        assert_eq!(single.can_be_used(&fresh, now), Err(VoucherRefusal::Revoked));
    }
    for state in VoucherState::ALL {
        assert_eq!(VoucherState::parse(state.name()), Some(state));
    }
}

#[test]
fn a_day_of_a_voucher_is_a_day_of_the_sites_calendar() {
    let mut batch = batch(None);
    batch.terms.validity = Some(Validity { count: 1, unit: ValidityUnit::Days });
    let zone = TimeZone::get("America/New_York").unwrap();
    let (_, until) = batch.span(at("2026-03-07T17:00:00Z"), &zone).unwrap();
    assert_eq!(until, at("2026-03-08T16:00:00Z"));
}

#[test]
fn numbers_go_on_after_the_printed_ones() {
    let batch = VoucherBatch { made_at_sale: 2, ..batch(None) };
    assert_eq!((batch.next_number(), batch.size()), (13, 12));
    assert_eq!(batch.serial(17), "B7K2QM-000017");
}
