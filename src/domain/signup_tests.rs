//! The rules of signups, by table.

use uuid::Uuid;

use super::super::money::{Currency, Money};
use super::super::plan::ServiceType;
use super::super::rate::{BitsPerSecond, Download, Rates, Upload};
use super::*;

fn terms() -> PlanTerms {
    let rate = BitsPerSecond::new(1_000_000).unwrap();
    let free = Money::zero(Currency::parse("NGN").unwrap());
    PlanTerms {
        version: 1,
        name: Line::parse("Free").unwrap(),
        description: None,
        service_type: ServiceType::Internet,
        monthly_price: free,
        setup_fee: free,
        cancellation_fee: free,
        rates: Rates { down: Download(rate), up: Upload(rate) },
        data_allowance: None,
        validity: None,
        device_limit: 1,
        session_limit_secs: None,
        idle_limit_secs: None,
        requires_approval: false,
        confirmation_access_minutes: Some(10),
        min_contract_months: None,
        max_contract_months: None,
        billing: Default::default(),
        usage: Default::default(),
        features: serde_json::Map::new(),
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn signup() -> Signup {
    Signup {
        id: SignupId(Uuid::from_u128(1)),
        email: Email::parse("ada@example.net").unwrap(),
        first_name: Line::parse("Ada").unwrap(),
        last_name: Line::parse("Obi").unwrap(),
        phone: None,
        service_address: Address::default(),
        plan_id: PlanId(Uuid::from_u128(2)),
        plan_code: Code::parse("free").unwrap(),
        terms: terms(),
        portal_password: None,
        known: None,
        device: None,
        browser: None,
        source: None,
        code_hash: "hash".to_owned(),
        code_until: later(at(0), CODE_LIFETIME),
        tries: 0,
        wrong: 0,
        sent: 1,
        last_sent_at: at(0),
        link_hash: None,
        access_until: Some(at(600)),
        created_at: at(0),
        expires_at: later(at(0), SIGNUP_LIFETIME),
        confirmed_at: None,
        service_id: None,
    }
}

#[test]
fn a_code_counts_for_half_an_hour_and_five_tries_before_and_after_it_confirmed() {
    for confirmed_at in [None, Some(at(1))] {
        let signup = Signup { confirmed_at, ..signup() };
        assert_eq!(signup.may_try(at(1_799)), Ok(()));
        assert_eq!(signup.may_try(at(1_800)), Err(CodeRefusal::TooOld));
        let mut guessed = signup.clone();
        for left in (0..MOST_TRIES).rev() {
            guessed = guessed.after_wrong_code();
            assert_eq!(guessed.tries_left(), left);
        }
        assert_eq!(guessed.may_try(at(1)), Err(CodeRefusal::NoTriesLeft));
        let again = guessed.with_code("other".to_owned(), at(1_800));
        assert_eq!((again.may_try(at(3_599)), again.sent), (Ok(()), 2));
        let mut guessed = again;
        for _ in 0..MOST_TRIES {
            guessed = guessed.after_wrong_code();
        }
        let third = guessed.with_code("third".to_owned(), at(1_900));
        assert_eq!(third.may_try(at(1_901)), Err(CodeRefusal::Spent), "another code gives no more tries");
        assert_eq!((third.tries_left(), third.resend_in(at(9_000))), (0, None));
    }
    assert_eq!(signup().may_try(at(24 * 3_600)), Err(CodeRefusal::Lapsed));
}

#[test]
fn messages_are_further_apart_each_time_and_end() {
    let mut signup = signup();
    let mut now = 0;
    for pause in [30, 60, 120, 240] {
        assert_eq!(signup.resend_in(at(now)), Some(SignedDuration::from_secs(pause)));
        now += pause;
        assert_eq!(signup.resend_in(at(now)), Some(SignedDuration::ZERO));
        signup = signup.with_code("next".to_owned(), at(now));
    }
    assert_eq!((signup.sent, signup.resend_in(at(80_000))), (MOST_MESSAGES, None));
}

#[test]
fn a_device_is_online_unconfirmed_only_while_it_waits_and_until_its_time() {
    assert_eq!(signup().access(at(599)), Some(at(600)));
    assert_eq!(signup().access(at(600)), None);
    assert_eq!(Signup { confirmed_at: Some(at(1)), ..signup() }.access(at(2)), None);
}

#[test]
fn a_code_has_eight_digits_and_is_understood_as_people_type_it() {
    assert_eq!(
        [0, 7, 99_999_999, 100_000_000].map(code_from),
        ["00000000", "00000007", "99999999", "00000000"]
    );
    assert_eq!(code_from(u64::MAX).len(), CODE_DIGITS);
    for text in ["01234567", " 0123 4567 ", "0123-4567"] {
        assert_eq!(typed_code(text).as_deref(), Some("01234567"), "{text:?}");
    }
    for text in ["", "1234567", "012345678", "1234567a", "１２３４５６７８", "-123456", &"0".repeat(9_999)]
    {
        assert_eq!(typed_code(text), None, "{text:?}");
    }
}

#[test]
fn a_limit_counts_a_window_that_moves() {
    let limit = Limit { most: 2, within: SignedDuration::from_secs(100) };
    assert_eq!(limit.wait(&[], at(0)), SignedDuration::ZERO);
    assert_eq!(limit.wait(&[at(50)], at(50)), SignedDuration::ZERO);
    assert_eq!(limit.wait(&[at(50), at(10)], at(60)), SignedDuration::from_secs(50));
    assert_eq!(limit.wait(&[at(50), at(10)], at(110)), SignedDuration::ZERO);
    assert_eq!(Limit { most: 0, ..limit }.wait(&[at(50)], at(60)), SignedDuration::ZERO);
}

#[test]
fn free_is_without_price_fee_and_approval() {
    let one = Money { minor: 1, ..terms().setup_fee };
    assert!(is_free(&terms()));
    assert!(!is_free(&PlanTerms { monthly_price: one, ..terms() }));
    assert!(!is_free(&PlanTerms { setup_fee: one, ..terms() }));
    assert!(!is_free(&PlanTerms { requires_approval: true, ..terms() }));
}
