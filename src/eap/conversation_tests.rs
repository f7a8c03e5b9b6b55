//! Conversations, packet by packet: what a peer may do, and what must then be said.

use super::*;
use crate::eap::claim::{MsChapError, Proven};
use crate::radius::Extras;

const RANDOM: Random = Random::new([0x40; 32]);

fn offer(methods: &[Method]) -> Arc<Offer> {
    Arc::new(Offer::inside(methods))
}

fn opened(methods: &[Method]) -> (Conversation, Vec<u8>) {
    let identity = packet::response(7, TypeCode::IDENTITY, b"ada");
    let (conversation, step) = Conversation::open(offer(methods), &identity, &RANDOM);
    (conversation, request(step))
}

fn request(step: Step) -> Vec<u8> {
    let Step::Request(octets) = step else { panic!("{step:?}") };
    octets
}

fn fault(step: &Step) -> Option<Fault> {
    let Step::Failure { fault, message: [4, _, 0, 4] } = step else { return None };
    Some(*fault)
}

fn gtc(identifier: u8, password: &[u8]) -> Vec<u8> {
    packet::response(identifier, TypeCode::GTC, password)
}

#[test]
fn rfc3579_s2_1_an_eap_start_is_answered_with_the_question_who_it_is() {
    let (mut conversation, step) = Conversation::open(offer(&[Method::Gtc]), &[], &RANDOM);
    let asked = request(step);
    assert_eq!(asked, [1, 0x41, 0, 5, 1]);
    let step = conversation.receive(&packet::response(0x41, TypeCode::IDENTITY, b"ada"), 1_000, &RANDOM);
    assert_eq!(request(step), packet::request(0x42, TypeCode::GTC, b"Password: "));
    assert_eq!(conversation.identity(), b"ada");
}

#[test]
fn the_operators_first_method_is_offered_under_the_next_identifier() {
    let (conversation, asked) = opened(&[Method::Gtc, Method::Md5]);
    assert_eq!(asked, packet::request(8, TypeCode::GTC, b"Password: "));
    assert_eq!(conversation.method_name(), "eap-gtc");
}

#[test]
fn a_good_claim_ends_in_success_under_the_identifier_of_the_response() {
    let (mut conversation, _) = opened(&[Method::Gtc]);
    let Step::Check(claim) = conversation.receive(&gtc(8, b"open sesame"), 1_000, &RANDOM) else {
        panic!("no claim")
    };
    assert_eq!(claim.name(), b"ada");
    let Proven::By(proof) = claim.proven() else { panic!("no proof") };
    assert!(proof.verify(b"ada", b"open sesame").is_accepted());
    let step = conversation.judged(&Judgement::Accepted(Extras::None, [0; 16]), 1_000, &RANDOM);
    assert!(matches!(step, Step::Success { message: [3, 8, 0, 4], keys: None }));
    // What is over stays over.
    assert_eq!(fault(&conversation.receive(&gtc(8, b"open sesame"), 1_000, &RANDOM)), Some(Fault::Over));
    assert_eq!(
        fault(&conversation.judged(&Judgement::Accepted(Extras::None, [0; 16]), 1_000, &RANDOM)),
        Some(Fault::Over)
    );
}

#[test]
fn a_refused_claim_ends_in_failure() {
    for methods in [[Method::Gtc], [Method::Md5]] {
        let (mut conversation, asked) = opened(&methods);
        let answer = match methods {
            [Method::Gtc] => gtc(asked[1], b"wrong"),
            _ => packet::response(asked[1], TypeCode::MD5_CHALLENGE, &[16; 17]),
        };
        assert!(matches!(conversation.receive(&answer, 1_000, &RANDOM), Step::Check(_)));
        let refused = Judgement::Refused(MsChapError::AuthenticationFailure);
        assert_eq!(fault(&conversation.judged(&refused, 1_000, &RANDOM)), Some(Fault::ClaimRefused));
    }
}

#[test]
fn rfc3748_s5_3_1_a_nak_gets_the_operators_next_method_that_the_peer_names_each_once() {
    let all = [Method::Md5, Method::MsChapV2, Method::Gtc];
    let (mut conversation, _) = opened(&all);
    let nak = |identifier, wanted: &[u8]| packet::response(identifier, TypeCode::NAK, wanted);
    // The peer names GTC first; the operator prefers MSCHAPv2.
    let asked = request(conversation.receive(&nak(8, &[6, 26]), 1_000, &RANDOM));
    assert_eq!((asked[1], asked[4]), (9, 26));
    let asked = request(conversation.receive(&nak(9, &[26, 4, 6]), 1_000, &RANDOM));
    assert_eq!((asked[1], asked[4]), (10, 6));
    let step = conversation.receive(&nak(10, &[4, 26, 6]), 1_000, &RANDOM);
    assert_eq!(fault(&step), Some(Fault::NoCommonMethod));
}

#[test]
fn a_nak_for_none_or_for_unknown_methods_ends_in_failure() {
    for wanted in [&[0][..], &[43, 52, 254], &[4]] {
        let (mut conversation, _) = opened(&[Method::Md5, Method::Gtc]);
        let step = conversation.receive(&packet::response(8, TypeCode::NAK, wanted), 1_000, &RANDOM);
        assert_eq!(fault(&step), Some(Fault::NoCommonMethod), "{wanted:?}");
    }
}

#[test]
fn a_nak_in_the_middle_of_a_method_changes_nothing() {
    let (mut conversation, asked) = opened(&[Method::MsChapV2, Method::Gtc]);
    let value = [&[49][..], &[1; 49], b"ada"].concat();
    let data = [&[2, asked[5 + 1], 0, 57][..], &value].concat();
    let step = conversation.receive(&packet::response(8, TypeCode::MSCHAPV2, &data), 1_000, &RANDOM);
    assert!(matches!(step, Step::Check(_)));
    let told =
        request(conversation.judged(&Judgement::Refused(MsChapError::AuthenticationFailure), 1_000, &RANDOM));
    let step = conversation.receive(&packet::response(told[1], TypeCode::NAK, &[6]), 1_000, &RANDOM);
    assert!(matches!(step, Step::Again(again) if again == told));
}

#[test]
fn rfc3579_s2_2_what_answers_nothing_gets_the_request_again_and_too_much_of_it_ends() {
    let (mut conversation, asked) = opened(&[Method::Gtc]);
    let wrong = [
        gtc(9, b"another identifier"),
        packet::response(8, TypeCode::MD5_CHALLENGE, &[16; 17]),
        vec![2, 8, 0, 200, 6, 1],
        packet::request(8, TypeCode::GTC, b"a request"),
    ];
    for octets in &wrong {
        assert!(matches!(conversation.receive(octets, 1_000, &RANDOM), Step::Again(again) if again == asked));
    }
    assert_eq!(fault(&conversation.receive(&wrong[0], 1_000, &RANDOM)), Some(Fault::Malformed));
}

#[test]
fn what_answers_nothing_does_not_disturb_a_good_answer_after_it() {
    let (mut conversation, _) = opened(&[Method::Gtc]);
    assert!(matches!(conversation.receive(&gtc(7, b"late"), 1_000, &RANDOM), Step::Again(_)));
    assert!(matches!(conversation.receive(&gtc(8, b"open sesame"), 1_000, &RANDOM), Step::Check(_)));
}

#[test]
fn a_conversation_without_identity_or_without_methods_ends_at_once() {
    for octets in [gtc(1, b"x"), vec![2], vec![1, 1, 0, 4], packet::response(1, TypeCode::IDENTITY, b"")] {
        let (_, step) = Conversation::open(offer(&[Method::Gtc]), &octets, &RANDOM);
        assert_eq!(fault(&step), Some(Fault::NoIdentity), "{octets:?}");
    }
    let identity = packet::response(7, TypeCode::IDENTITY, b"ada");
    let (_, step) = Conversation::open(offer(&[]), &identity, &RANDOM);
    assert_eq!(fault(&step), Some(Fault::NoCommonMethod));
}

#[test]
fn an_answer_while_its_claim_is_judged_is_no_second_claim() {
    let (mut conversation, _) = opened(&[Method::Gtc]);
    assert!(matches!(conversation.receive(&gtc(8, b"a"), 1_000, &RANDOM), Step::Check(_)));
    assert_eq!(fault(&conversation.receive(&gtc(8, b"b"), 1_000, &RANDOM)), Some(Fault::Over));
    let step = conversation.judged(&Judgement::Accepted(Extras::None, [0; 16]), 1_000, &RANDOM);
    assert!(matches!(step, Step::Success { .. }), "the claim under judgement still counts");
}

proptest::proptest! {
    #[test]
    fn no_packets_of_a_peer_are_an_accept_without_a_judgement(
        packets in proptest::collection::vec(
            (proptest::prelude::any::<Option<u8>>(), 0u8..30, proptest::collection::vec(0u8..60, 0..70)),
            0..40,
        ),
    ) {
        let (mut conversation, asked) = opened(&[Method::MsChapV2, Method::Md5, Method::Gtc]);
        let mut identifier = asked[1];
        for (wrong, kind, data) in packets {
            let octets = packet::response(wrong.unwrap_or(identifier), TypeCode(kind), &data);
            match conversation.receive(&octets, 1_000, &RANDOM) {
                Step::Request(asked) | Step::Again(asked) => identifier = asked[1],
                Step::Check(_) => {
                    let refused = Judgement::Refused(MsChapError::AuthenticationFailure);
                    match conversation.judged(&refused, 1_000, &RANDOM) {
                        Step::Request(asked) => identifier = asked[1],
                        Step::Failure { .. } => {}
                        other @ (Step::Again(_) | Step::Check(_) | Step::Success { .. }) => panic!("{other:?}"),
                    }
                }
                Step::Failure { .. } => {}
                Step::Success { .. } => panic!("an accept"),
            }
        }
    }
}
