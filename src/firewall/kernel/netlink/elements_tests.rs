//! The codec against octets that `nft` sent and the kernel answered; `tests/fixtures/netlink` says how
//! each file was taken.

use std::time::Duration;

use proptest::prelude::*;

use super::super::fixture;
use super::super::wire::Messages;
use super::*;

const GENERATION: u128 = 0x0190_d6f2_0000_7000_8000_0000_0000_0007;

fn lan0() -> InterfaceName {
    "lan0".parse().unwrap()
}

fn mac(last: u8) -> Mac {
    Mac::new([2, 0, 0, 0, 0, last]).unwrap()
}

fn seven() -> Number {
    Number::new(7).unwrap()
}

fn phone() -> Identity {
    Identity::V4(lan0(), mac(1), [10, 20, 0, 10].into())
}

fn mark(state: State, number: u32) -> Mark {
    Mark { number: Number::new(number).unwrap(), state }
}

fn open(direction: Direction, rate: u64) -> Operation {
    let limit = Limit::bits_per_second(rate);
    Operation::Open { number: seven(), direction, limit, generation: Generation(Uuid::from_u128(GENERATION)) }
}

/// What the two captured `nft` runs were told.
fn additions() -> Vec<Operation> {
    let v6 = Identity::V6(lan0(), mac(1), "2001:db8::10".parse().unwrap());
    let any = Identity::AnyV6("eth0.100".parse().unwrap(), mac(2));
    let hour = Some(Duration::from_secs(3600));
    let short = Some(Duration::from_millis(1500));
    vec![
        Operation::Admit { identity: phone(), mark: mark(State::Online, 7), left: hour },
        Operation::Admit { identity: v6, mark: mark(State::Suspended, 7), left: None },
        Operation::Admit { identity: any, mark: mark(State::Blocked, 0xff_ffff), left: short },
        open(Direction::Up, 8_000_000),
        open(Direction::Down, 20_000_000),
    ]
}

fn removals() -> Vec<Operation> {
    let close = Operation::Close { number: seven(), direction: Direction::Up };
    vec![Operation::Forget { identity: phone() }, close]
}

/// Type and the octets of table, set and elements; without the number of the set within the batch, which
/// `nft` sends beside the name.
fn essence(octets: &[u8]) -> Vec<(u16, Vec<Vec<u8>>)> {
    let essence = |message: Message<'_>| {
        let attributes = Attributes::new(message.body.get(4..).unwrap());
        let kept = [LIST_TABLE, LIST_SET, LIST_ELEMENTS].map(|kind| attributes.find(kind).unwrap());
        (message.kind, kept.into_iter().flatten().map(<[u8]>::to_vec).collect())
    };
    Messages::new(octets).map(|message| essence(message.unwrap())).collect()
}

#[test]
fn elements_are_written_octet_by_octet_as_nft_writes_them() {
    for (file, operations) in
        [("nft_adds_elements.hex", additions()), ("nft_deletes_elements.hex", removals())]
    {
        let written = transaction(0, &operations.iter().collect::<Vec<_>>());
        assert_eq!(essence(written.octets()), essence(&fixture(file)), "{file}");
    }
}

#[test]
fn what_is_written_is_read_back() {
    let operations = additions();
    let written = transaction(100, &operations.iter().collect::<Vec<_>>());
    let messages: Vec<Message<'_>> = Messages::new(written.octets()).map(Result::unwrap).collect();
    assert_eq!(messages.iter().map(|m| m.sequence).collect::<Vec<_>>(), (100..=106).collect::<Vec<_>>());
    let acknowledged: Vec<u32> = messages.iter().filter(|m| m.flags & ACK != 0).map(|m| m.sequence).collect();
    assert_eq!(acknowledged, [105], "the last operation ends the answer");
    let read: Vec<Element> = messages[1..6].iter().flat_map(|message| decode(message).unwrap()).collect();
    // A request carries the time-out, a listing what is left of it.
    let device =
        |identity: &Identity, mark| Element::Device(identity.clone(), FoundDevice { mark, left: None });
    let expected: Vec<Element> = operations
        .iter()
        .map(|operation| match operation {
            Operation::Admit { identity, mark, .. } => device(identity, *mark),
            Operation::Open { number, direction, limit, generation } => {
                let reading =
                    Reading { generation: Some(*generation), direction: *direction, count: Count::default() };
                Element::Account(*number, FoundAccount { limit: Some(*limit), reading })
            }
            Operation::Forget { .. } | Operation::Close { .. } => panic!("not among them"),
        })
        .collect();
    assert_eq!(read, expected);
}

#[test]
fn the_kernels_listing_gives_counters_limits_ends_and_foreign_elements() {
    let listing = fixture("kernel_lists_elements.hex");
    let found: Vec<Element> = Messages::new(&listing)
        .map(Result::unwrap)
        .filter(|message| message.kind == NEW_ELEMENT)
        .flat_map(|message| decode(&message).unwrap())
        .collect();
    let count = Count { octets: 4_294_967_300, packets: 3 };
    let generation = Some(Generation(Uuid::from_u128(GENERATION)));
    let full = FoundAccount {
        limit: Some(Limit::bits_per_second(8_000_000)),
        reading: Reading { generation, direction: Direction::Up, count },
    };
    assert!(found.contains(&Element::Account(seven(), full)), "{found:?}");
    assert!(found.contains(&Element::Foreign(Table::Up)), "a key without a state");
    let by_hand = |element: &Element| {
        matches!(element, Element::Account(number, found)
            if number.get() == 9 && found.reading.generation.is_none())
    };
    assert!(found.iter().any(by_hand), "a comment that is no generation");
    let ours = |element: &Element| {
        matches!(element, Element::Device(identity, found) if *identity == phone()
            && found.left.is_some_and(|left| left > Duration::from_secs(3500)))
    };
    assert!(found.iter().any(ours), "{found:?}");
}

proptest! {
    #[test]
    fn any_octets_end_in_elements_or_an_error(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let message = Message { kind: NEW_ELEMENT, flags: 0, sequence: 1, body: &body };
        let _ = decode(&message);
    }

    #[test]
    fn a_flipped_octet_of_a_listing_ends_in_elements_or_an_error(at in 0usize..5000, to in any::<u8>()) {
        let mut listing = fixture("kernel_lists_elements.hex");
        if let Some(octet) = listing.get_mut(at) {
            *octet = to;
        }
        for message in Messages::new(&listing).flatten() {
            let _ = decode(&message);
        }
    }
}
