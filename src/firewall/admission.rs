//! The words between who decides and the kernel: a subscriber is a number here, with a state, devices,
//! limits and an end. Pure values, each with exactly one form as an element of a set. The one rule: a
//! byte count belongs to a [`Generation`]; a counter that starts again has a new one.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use uuid::Uuid;

use super::name::{InterfaceName, Mac};

/// 100 Gbit/s: the kernel multiplies a rate by a second of nanoseconds in 64 bits, and more overflows.
const FASTEST: u64 = 12_500_000_000;
/// A bucket of less than ten full frames starves TCP.
const LEAST_BURST: u64 = 15_000;
/// The bits of a mark that say the state.
const STATE_BITS: u32 = 0xf000_0000;
/// The bits of a mark that say who.
const NUMBER_BITS: u32 = 0x00ff_ffff;

/// A subscriber, as the number that packets are marked with: 1 to 16,777,215.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(u32);

impl Number {
    /// The subscriber with this number; `None` for zero and for what does not fit 24 bits.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number == 0 || number > NUMBER_BITS { None } else { Some(Self(number)) }
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// What becomes of a subscriber's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// They pass, within the limits.
    Online,
    /// Captive, as a stranger's: the portal says why.
    Suspended,
    /// Dropped without a word.
    Blocked,
}

/// Subscriber and state, as they are written on packets and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// Who.
    pub number: Number,
    /// In which state.
    pub state: State,
}

impl Mark {
    /// The 32 bits that the kernel keeps.
    #[must_use]
    pub const fn bits(self) -> u32 {
        let state = match self.state {
            State::Online => 0x1000_0000,
            State::Suspended => 0x2000_0000,
            State::Blocked => 0x3000_0000,
        };
        state | self.number.get()
    }

    /// Reads a mark; `None` for bits that we never write.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Option<Self> {
        let state = match bits & STATE_BITS {
            0x1000_0000 => State::Online,
            0x2000_0000 => State::Suspended,
            0x3000_0000 => State::Blocked,
            _ => return None,
        };
        match Number::new(bits & !STATE_BITS) {
            Some(number) => Some(Self { number, state }),
            None => None,
        }
    }
}

/// How a packet is recognised as a subscriber's: by the interface it comes in by, the hardware address,
/// and the IP address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// This IPv4 address of this device.
    V4(InterfaceName, Mac, Ipv4Addr),
    /// This IPv6 address of this device.
    V6(InterfaceName, Mac, Ipv6Addr),
    /// Every IPv6 address of this device that belongs on the interface: privacy addresses come and go.
    AnyV6(InterfaceName, Mac),
}

/// The way of a packet, seen from the subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the subscriber.
    Up,
    /// To the subscriber.
    Down,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Up, Self::Down];
}

/// The limit of one direction, in the kernel's terms: a bucket that fills at `octets_per_second` and
/// holds a second of it and `burst` octets more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    octets_per_second: u64,
    burst: u32,
}

impl Limit {
    /// A limit that nobody reaches.
    pub const NONE: Self = Self { octets_per_second: FASTEST, burst: u32::MAX };

    /// The limit for a rate in bit/s, from 8 bit/s; faster than 100 Gbit/s is [`Limit::NONE`].
    #[must_use]
    pub fn bits_per_second(rate: u64) -> Self {
        let octets_per_second = (rate / 8).max(1);
        if octets_per_second >= FASTEST {
            return Self::NONE;
        }
        let tenth_of_a_second = (octets_per_second / 10).max(LEAST_BURST);
        Self { octets_per_second, burst: u32::try_from(tenth_of_a_second).unwrap_or(u32::MAX) }
    }

    /// Exactly these numbers, as an element in force has them.
    #[must_use]
    pub const fn as_found(octets_per_second: u64, burst: u32) -> Self {
        Self { octets_per_second, burst }
    }

    /// How fast the bucket fills.
    #[must_use]
    pub const fn octets_per_second(self) -> u64 {
        self.octets_per_second
    }

    /// What the bucket holds beyond a second's worth.
    #[must_use]
    pub const fn burst(self) -> u32 {
        self.burst
    }
}

/// One life of a subscriber's counters, written beside them in the kernel. Whoever keeps the ledger
/// adds up closed generations and the running one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub Uuid);

/// What a subscriber may do: what is wanted, and, read back, what is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// What becomes of its packets.
    pub state: State,
    /// Its devices and addresses, each with the time left; `None` is without end.
    pub devices: BTreeMap<Identity, Option<Duration>>,
    /// Limits and counters, shared by all its devices and both families.
    pub account: Account,
}

/// Limits of a subscriber and the generation of its counters. A change of limits starts the counters
/// anew, so it must come with a new generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// From the subscriber.
    pub up: Limit,
    /// To the subscriber.
    pub down: Limit,
    /// Which life of the counters.
    pub generation: Generation,
}

impl Account {
    /// The limit of one direction.
    #[must_use]
    pub const fn limit(&self, direction: Direction) -> Limit {
        match direction {
            Direction::Up => self.up,
            Direction::Down => self.down,
        }
    }
}

/// What passed, as octets of IP packets (headers included, link layer not).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Octets.
    pub octets: u64,
    /// Packets; several that were merged on reception count as one.
    pub packets: u64,
}

/// The counters of one generation. A direction whose element was not there is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Whose life of the counters; `None` when a foreign hand wrote the element.
    pub generation: Option<Generation>,
    /// In which direction.
    pub direction: Direction,
    /// What passed.
    pub count: Count,
}

/// An accounting element as found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundAccount {
    /// Its limit; `None` when a foreign hand made the element without one.
    pub limit: Option<Limit>,
    /// What passed, and in which life.
    pub reading: Reading,
}

/// A device's element as found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundDevice {
    /// Whose it is and in which state.
    pub mark: Mark,
    /// The time left; `None` is without end.
    pub left: Option<Duration>,
}

/// Everything in force for subscribers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InForce {
    /// The devices known to the kernel.
    pub devices: BTreeMap<Identity, FoundDevice>,
    /// The accounting elements.
    pub accounts: BTreeMap<(Number, Direction), FoundAccount>,
    /// Elements that nothing of ours could have written; a reinstall from nothing removes them.
    pub foreign: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        for state in [State::Online, State::Suspended, State::Blocked] {
            for number in [1, 7, 0xff_ffff] {
                let mark = Mark { number: Number::new(number).unwrap(), state };
                assert_eq!(Mark::from_bits(mark.bits()), Some(mark));
            }
        }
        for foreign in [0, 0x1000_0000, 0x8000_0000, 0x4000_0001, 0x1100_0001] {
            assert_eq!(Mark::from_bits(foreign), None, "{foreign:x}");
        }
        assert_eq!((Number::new(0), Number::new(1 << 24)), (None, None));
    }

    #[test]
    fn a_limit_is_the_rate_in_octets_with_a_bucket_that_tcp_can_live_with() {
        let eight_mbit = Limit::bits_per_second(8_000_000);
        assert_eq!((eight_mbit.octets_per_second(), eight_mbit.burst()), (1_000_000, 100_000));
        let slow = Limit::bits_per_second(64_000);
        assert_eq!((slow.octets_per_second(), slow.burst()), (8_000, 15_000));
        assert_eq!(Limit::bits_per_second(0).octets_per_second(), 1);
        assert_eq!(Limit::bits_per_second(u64::MAX), Limit::NONE);
        let overflow = 1_000_000_000u64.checked_mul(FASTEST + u64::from(u32::MAX));
        assert!(overflow.is_some(), "the kernel's product fits 64 bits");
    }
}
