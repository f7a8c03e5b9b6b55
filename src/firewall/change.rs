//! What is wanted against what is in force: the smallest list of changes, one a subscriber. Pure; it
//! neither reads nor writes the kernel. The one rule: what agrees already is not touched, since touching
//! an accounting element ends a generation of counters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::admission::{
    Account, Admission, Direction, FoundAccount, FoundDevice, Generation, Identity, InForce, Limit, Mark,
    Number, Reading, State,
};

/// Time passes between reading the kernel and comparing; ends closer than this are the same.
const SAME_END: Duration = Duration::from_secs(2);

/// Who is to be admitted, by number.
pub type Wanted = BTreeMap<Number, Admission>;

/// What one subscriber needs; all of it happens, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub number: Number,
    /// In this order.
    pub operations: Vec<Operation>,
}

/// One element written or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Recognise this device's packets.
    Admit {
        /// The device.
        identity: Identity,
        /// Whose packets they are, in which state.
        mark: Mark,
        /// Until then; `None` is without end.
        left: Option<Duration>,
    },
    /// No longer.
    Forget {
        /// The device.
        identity: Identity,
    },
    /// Start limit and counter of a direction.
    Open {
        /// Whose.
        number: Number,
        /// Which.
        direction: Direction,
        /// How fast.
        limit: Limit,
        /// Which life of the counters begins.
        generation: Generation,
    },
    /// End them; the final count comes back.
    Close {
        /// Whose.
        number: Number,
        /// Which.
        direction: Direction,
    },
}

/// How a change went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whose.
    pub number: Number,
    /// What the kernel said.
    pub result: Result<Applied, Refused>,
}

/// The kernel did all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// The final counts of what was closed.
    pub closed: Vec<Reading>,
}

/// The kernel said no, and did none of it; or its answer was lost (`own_fault` is false then), and
/// what it did is not known until the gateway is dumped again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the kernel refused to {attempt}: {reason}")]
pub struct Refused {
    /// What was attempted.
    pub attempt: &'static str,
    /// Why not, in a sentence for the log.
    pub reason: String,
    /// Whether this subscriber's change is at fault; otherwise nobody's would have passed.
    pub own_fault: bool,
}

impl Operation {
    /// Whether it removes an element: then an element that is gone already is no fault.
    #[must_use]
    pub const fn removes(&self) -> bool {
        match self {
            Self::Admit { .. } | Self::Open { .. } => false,
            Self::Forget { .. } | Self::Close { .. } => true,
        }
    }

    /// What it attempts, for an error.
    #[must_use]
    pub const fn attempt(&self) -> &'static str {
        match self {
            Self::Admit { .. } => "admit a device",
            Self::Forget { .. } => "remove a device",
            Self::Open { .. } => "start a limit and counter",
            Self::Close { .. } => "end a limit and counter",
        }
    }
}

/// The changes that make what is in force what is wanted. Those of subscribers that go come first, so
/// that they make room for those that come.
#[must_use]
pub fn between(wanted: &Wanted, in_force: &InForce) -> Vec<Change> {
    let mut leaving = departures(wanted, in_force);
    for (number, admission) in wanted {
        let mut operations = leaving.remove(number).unwrap_or_default();
        operations.extend(accounting(*number, Some(&admission.account), in_force));
        operations.extend(devices(*number, admission, in_force));
        if !operations.is_empty() {
            leaving.insert(*number, operations);
        }
    }
    let (going, staying): (Vec<_>, Vec<_>) =
        leaving.into_iter().partition(|(number, _)| !wanted.contains_key(number));
    let change = |(number, operations)| Change { number, operations };
    going.into_iter().chain(staying).map(change).collect()
}

/// What must go: devices that nobody claims, accounts of subscribers that are not wanted.
fn departures(wanted: &Wanted, in_force: &InForce) -> BTreeMap<Number, Vec<Operation>> {
    let claimed: BTreeSet<&Identity> =
        wanted.values().flat_map(|admission| admission.devices.keys()).collect();
    let mut leaving: BTreeMap<Number, Vec<Operation>> = BTreeMap::new();
    for (identity, found) in &in_force.devices {
        if !claimed.contains(identity) {
            let forget = Operation::Forget { identity: identity.clone() };
            leaving.entry(found.mark.number).or_default().push(forget);
        }
    }
    let accounts: BTreeSet<Number> = in_force.accounts.keys().map(|(number, _)| *number).collect();
    for number in accounts.into_iter().filter(|number| !wanted.contains_key(number)) {
        leaving.entry(number).or_default().extend(accounting(number, None, in_force));
    }
    leaving
}

fn accounting(number: Number, wanted: Option<&Account>, in_force: &InForce) -> Vec<Operation> {
    let mut operations = Vec::new();
    for direction in Direction::BOTH {
        let found = in_force.accounts.get(&(number, direction));
        let same = |account: &Account| found.is_some_and(|found| agrees(account, direction, found));
        if wanted.is_some_and(same) {
            continue;
        }
        if found.is_some() {
            operations.push(Operation::Close { number, direction });
        }
        if let Some(account) = wanted {
            let (limit, generation) = (account.limit(direction), account.generation);
            operations.push(Operation::Open { number, direction, limit, generation });
        }
    }
    operations
}

fn agrees(account: &Account, direction: Direction, found: &FoundAccount) -> bool {
    found.limit == Some(account.limit(direction)) && found.reading.generation == Some(account.generation)
}

fn devices(number: Number, admission: &Admission, in_force: &InForce) -> Vec<Operation> {
    let mark = Mark { number, state: admission.state };
    let mut operations = Vec::new();
    for (identity, left) in &admission.devices {
        let found = in_force.devices.get(identity);
        if found.is_some_and(|found| found.mark == mark && same_end(*left, found)) {
            continue;
        }
        if found.is_some() {
            operations.push(Operation::Forget { identity: identity.clone() });
        }
        operations.push(Operation::Admit { identity: identity.clone(), mark, left: *left });
    }
    operations
}

fn same_end(wanted: Option<Duration>, found: &FoundDevice) -> bool {
    match (wanted, found.left) {
        (None, None) => true,
        (Some(wanted), Some(left)) => wanted.abs_diff(left) <= SAME_END,
        (None, Some(_)) | (Some(_), None) => false,
    }
}

impl InForce {
    /// The state in which a subscriber's devices are; `None` when none is known.
    #[must_use]
    pub fn state_of(&self, number: Number) -> Option<State> {
        self.devices.values().find(|found| found.mark.number == number).map(|found| found.mark.state)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::admission::Count;
    use super::*;

    fn number(n: u32) -> Number {
        Number::new(n).unwrap()
    }

    fn phone(last: u8) -> Identity {
        let mac = super::super::name::Mac::new([2, 0, 0, 0, 0, last]).unwrap();
        Identity::V4("lan0".parse().unwrap(), mac, [10, 0, 0, last].into())
    }

    fn admission(phones: &[u8], rate: u64, generation: u128) -> Admission {
        let limit = Limit::bits_per_second(rate);
        Admission {
            state: State::Online,
            devices: phones.iter().map(|last| (phone(*last), Some(Duration::from_secs(3600)))).collect(),
            account: Account { up: limit, down: limit, generation: Generation(Uuid::from_u128(generation)) },
        }
    }

    /// A kernel that does as it is told.
    fn follow(in_force: &mut InForce, changes: &[Change]) {
        for operation in changes.iter().flat_map(|change| &change.operations) {
            match operation.clone() {
                Operation::Admit { identity, mark, left } => {
                    let before = in_force.devices.insert(identity, FoundDevice { mark, left });
                    assert_eq!(before, None, "an element is never written over");
                }
                Operation::Forget { identity } => assert!(in_force.devices.remove(&identity).is_some()),
                Operation::Open { number, direction, limit, generation } => {
                    let reading =
                        Reading { generation: Some(generation), direction, count: Count::default() };
                    let found = FoundAccount { limit: Some(limit), reading };
                    assert_eq!(in_force.accounts.insert((number, direction), found), None);
                }
                Operation::Close { number, direction } => {
                    assert!(in_force.accounts.remove(&(number, direction)).is_some());
                }
            }
        }
    }

    fn reach(in_force: &mut InForce, wanted: &Wanted) -> Vec<Change> {
        let changes = between(wanted, in_force);
        follow(in_force, &changes);
        assert_eq!(between(wanted, in_force), Vec::new(), "once is enough");
        changes
    }

    #[test]
    fn a_new_subscriber_is_one_change_with_all_it_needs() {
        let mut in_force = InForce::default();
        let wanted = Wanted::from([(number(7), admission(&[1, 2], 8_000_000, 1))]);
        let changes = reach(&mut in_force, &wanted);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].operations.len(), 4);
    }

    #[test]
    fn a_change_of_rate_touches_the_accounts_and_no_device() {
        let mut in_force = InForce::default();
        reach(&mut in_force, &Wanted::from([(number(7), admission(&[1], 8_000_000, 1))]));
        let changes = reach(&mut in_force, &Wanted::from([(number(7), admission(&[1], 9_000_000, 2))]));
        let touched = |op: &Operation| matches!(op, Operation::Open { .. } | Operation::Close { .. });
        assert_eq!(changes[0].operations.len(), 4);
        assert!(changes[0].operations.iter().all(touched));
    }

    #[test]
    fn a_change_of_state_touches_the_devices_and_no_counter() {
        let mut in_force = InForce::default();
        reach(&mut in_force, &Wanted::from([(number(7), admission(&[1], 8_000_000, 1))]));
        let suspended = Admission { state: State::Suspended, ..admission(&[1], 8_000_000, 1) };
        let changes = reach(&mut in_force, &Wanted::from([(number(7), suspended)]));
        let touched = |op: &Operation| matches!(op, Operation::Admit { .. } | Operation::Forget { .. });
        assert_eq!(changes[0].operations.len(), 2);
        assert!(changes[0].operations.iter().all(touched));
        assert_eq!(in_force.state_of(number(7)), Some(State::Suspended));
    }

    #[test]
    fn a_device_that_changes_hands_is_moved_once_by_its_new_owner() {
        let mut in_force = InForce::default();
        reach(&mut in_force, &Wanted::from([(number(7), admission(&[1], 8_000_000, 1))]));
        let changes = reach(&mut in_force, &Wanted::from([(number(3), admission(&[1], 8_000_000, 2))]));
        assert_eq!(changes.iter().map(|change| change.number).collect::<Vec<_>>(), [number(7), number(3)]);
    }

    #[test]
    fn nobody_wanted_empties_the_kernel() {
        let mut in_force = InForce::default();
        reach(&mut in_force, &(1..50).map(|n| (number(n.into()), admission(&[n], 1_000_000, 1))).collect());
        reach(&mut in_force, &Wanted::new());
        assert_eq!(in_force, InForce::default());
    }

    #[test]
    fn an_end_that_moved_by_a_second_is_the_same_end() {
        let mut in_force = InForce::default();
        let mut wanted = Wanted::from([(number(7), admission(&[1], 8_000_000, 1))]);
        reach(&mut in_force, &wanted);
        let set = |wanted: &mut Wanted, seconds| {
            let devices = &mut wanted.get_mut(&number(7)).unwrap().devices;
            devices.insert(phone(1), Some(Duration::from_secs(seconds)));
        };
        set(&mut wanted, 3599);
        assert_eq!(between(&wanted, &in_force), Vec::new());
        set(&mut wanted, 7200);
        assert_eq!(between(&wanted, &in_force)[0].operations.len(), 2);
    }
}
