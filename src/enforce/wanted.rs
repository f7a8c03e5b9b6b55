//! From who is admitted to what the kernel should hold. Pure: no kernel, no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::presence::{Admitted, AdmittedDevice, Counted, Passed};
use crate::firewall::admission::{
    Account, Admission, Direction, Generation, Identity, InForce, Limit, Number, Reading, State,
};
use crate::firewall::name::Mac;

/// How an admitted holder is recognised and limited; `None` for a number that no mark can hold.
///
/// Its counters go on with the generation in force while its limits are those in force, else `fresh` begins.
pub(super) fn admission(
    admitted: &Admitted,
    in_force: &InForce,
    fresh: Generation,
    now: Timestamp,
) -> Option<(Number, Admission)> {
    let number = Number::new(admitted.number)?;
    let up = Limit::bits_per_second(admitted.rates.up.0.get());
    let down = Limit::bits_per_second(admitted.rates.down.0.get());
    let generation = generation_in_force(number, (up, down), in_force).unwrap_or(fresh);
    let mut devices = BTreeMap::new();
    for device in &admitted.devices {
        let left = left(device.until, now);
        devices.extend(identities(device).into_iter().map(|identity| (identity, left)));
    }
    let account = Account { up, down, generation };
    Some((number, Admission { state: State::Online, devices, account }))
}

/// The identities of a device; none where its interface or address is not one of the kernel's.
pub(super) fn identities(device: &AdmittedDevice) -> Vec<Identity> {
    let (Ok(interface), Ok(mac)) =
        (device.interface.parse::<crate::firewall::name::InterfaceName>(), Mac::new(device.mac.octets()))
    else {
        return Vec::new();
    };
    let any6 = Identity::AnyV6(interface.clone(), mac);
    let v4 = device.ipv4.map(|address| Identity::V4(interface, mac, address));
    std::iter::once(any6).chain(v4).collect()
}

/// What a reading of a holder's two directions says.
pub(super) fn counted(holder: Option<uuid::Uuid>, readings: &[Reading], closed: bool) -> Vec<Counted> {
    let generations: BTreeSet<Generation> = readings.iter().filter_map(|one| one.generation).collect();
    let passed = |generation: Generation, direction: Direction| {
        let found =
            readings.iter().find(|one| one.generation == Some(generation) && one.direction == direction)?;
        Some(Passed { octets: found.count.octets, packets: found.count.packets })
    };
    let one = |generation: Generation| Counted {
        holder,
        generation: generation.0,
        down: passed(generation, Direction::Down),
        up: passed(generation, Direction::Up),
        closed,
    };
    generations.into_iter().map(one).collect()
}

fn generation_in_force(number: Number, limits: (Limit, Limit), in_force: &InForce) -> Option<Generation> {
    let found = |direction, limit| {
        let account = in_force.accounts.get(&(number, direction))?;
        if account.limit == Some(limit) { account.reading.generation } else { None }
    };
    let (up, down) = (found(Direction::Up, limits.0)?, found(Direction::Down, limits.1)?);
    (up == down).then_some(up)
}

/// What is left until then; an end that is past is the shortest that the kernel takes.
fn left(until: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    let left = until?.duration_since(now);
    Some(Duration::try_from(left).unwrap_or_default().max(SHORTEST))
}

/// Zero would mean "without end" to the kernel.
const SHORTEST: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::device::MacAddress;
    use crate::domain::rate::{BitsPerSecond, Download, Rates, Upload};
    use crate::firewall::admission::{Count, FoundAccount};

    fn admitted(down: u64) -> Admitted {
        let rate = |bits| BitsPerSecond::new(bits).unwrap();
        Admitted {
            holder: Uuid::from_u128(1),
            number: 7,
            rates: Rates { down: Download(rate(down)), up: Upload(rate(4_000_000)) },
            devices: vec![AdmittedDevice {
                interface: "lan0".into(),
                mac: MacAddress::new([2, 0, 0, 0, 0, 1]),
                ipv4: Some([10, 0, 0, 7].into()),
                until: Timestamp::from_second(160).ok(),
            }],
            remaining_octets: None,
            octets_to_change: None,
            secs_to_change: None,
        }
    }

    fn in_force(down: u64, generation: u128) -> InForce {
        let mut found = InForce::default();
        for (direction, bits) in [(Direction::Up, 4_000_000), (Direction::Down, down)] {
            let generation = Some(Generation(Uuid::from_u128(generation)));
            let reading = Reading { generation, direction, count: Count { octets: 5, packets: 1 } };
            let account = FoundAccount { limit: Some(Limit::bits_per_second(bits)), reading };
            found.accounts.insert((Number::new(7).unwrap(), direction), account);
        }
        found
    }

    fn made(down: u64, found: &InForce) -> Admission {
        let now = Timestamp::from_second(100).unwrap();
        admission(&admitted(down), found, Generation(Uuid::from_u128(99)), now).unwrap().1
    }

    #[test]
    fn counters_go_on_while_the_speeds_stay_and_begin_anew_when_they_change() {
        assert_eq!(made(8_000_000, &in_force(8_000_000, 5)).account.generation.0.as_u128(), 5);
        assert_eq!(made(9_000_000, &in_force(8_000_000, 5)).account.generation.0.as_u128(), 99);
        assert_eq!(made(8_000_000, &InForce::default()).account.generation.0.as_u128(), 99);
    }

    #[test]
    fn a_device_is_known_by_its_ipv4_address_and_by_any_ipv6_address_until_the_end() {
        let devices = made(8_000_000, &InForce::default()).devices;
        assert_eq!(devices.len(), 2);
        assert!(devices.values().all(|left| *left == Some(Duration::from_secs(60))));
    }

    #[test]
    fn both_directions_of_a_life_are_one_reading() {
        let found = in_force(8_000_000, 5);
        let readings: Vec<Reading> = found.accounts.values().map(|account| account.reading).collect();
        let read = counted(None, &readings, true);
        let passed = Some(Passed { octets: 5, packets: 1 });
        let expected =
            Counted { holder: None, generation: Uuid::from_u128(5), down: passed, up: passed, closed: true };
        assert_eq!(read, [expected]);
    }
}
