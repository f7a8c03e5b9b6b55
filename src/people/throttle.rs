//! How often a login may be tried.
//!
//! Limits are of the generic cell rate kind: a key may try a few times at once and then at a steady
//! pace. Keys are chosen so that nobody can lock somebody else out: a device that logged in to an
//! account before has a key of its own; all others share one by account *and* source, so a
//! stranger's attempts spend the stranger's share. The one rule: an attempt is counted before it
//! is made, so that many at once gain nothing. No clock, no lock here.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};

use uuid::Uuid;

use crate::domain::device::Device;

/// The limits of logins.
#[derive(Debug)]
pub struct Throttle {
    accounts: Limits<AccountKey>,
    sources: Limits<Source>,
}

/// One attempt to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Which account, as it was named; it need not exist.
    pub account: String,
    /// A device that logged in to this account before.
    pub device: Option<Uuid>,
    /// Where it comes from.
    pub source: Option<Source>,
}

/// What somebody cannot leave without cost: a device that is on a network of this box, or else a network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// An IPv4 address, or an IPv6 /64.
    Network(IpAddr),
    /// A device beside us (`Device::key`): its whole network is one /64, and it may take many IPv4 addresses.
    Device(String),
}

impl Source {
    /// The source of a request.
    #[must_use]
    pub fn of(device: Option<&Device>, address: Option<IpAddr>) -> Option<Self> {
        let device = device.map(|device| Self::Device(device.key()));
        device.or_else(|| address.map(|address| Self::Network(network(address))))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Device(key) => key.fmt(f),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum AccountKey {
    Known(String, Uuid),
    Stranger(String, Option<Source>),
}

impl Throttle {
    /// Limits that nobody has used yet.
    #[must_use]
    pub fn new() -> Self {
        Self { accounts: Limits::new(ACCOUNT_PACE), sources: Limits::new(SOURCE_PACE) }
    }

    /// Counts an attempt at `now_millis`.
    ///
    /// # Errors
    /// Milliseconds to wait; the attempt must not be made then, and is not counted.
    pub fn take(&mut self, attempt: &Attempt, now_millis: i64) -> Result<(), i64> {
        let source = stranger_source(attempt);
        if let Some(source) = &source {
            self.sources.check(source, now_millis)?;
        }
        self.accounts.take(account_key(attempt), now_millis)?;
        source.map_or(Ok(()), |source| self.sources.take(source, now_millis))
    }

    /// Forgives an attempt that was right.
    pub fn forgive(&mut self, attempt: &Attempt) {
        self.accounts.forget(&account_key(attempt));
        if let Some(source) = stranger_source(attempt) {
            self.sources.give_back(&source);
        }
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

/// How fast passwords of signups may be hashed, by who asks: the store counts signups that were written down,
/// this those that are under way.
#[derive(Debug)]
pub struct SignupPace(Limits<String>);

impl SignupPace {
    /// A pace that nobody has used yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Limits::new(SIGNUP_PACE))
    }

    /// Counts one at `now_millis`.
    ///
    /// # Errors
    /// Milliseconds to wait.
    pub fn take(&mut self, who: String, now_millis: i64) -> Result<(), i64> {
        self.0.take(who, now_millis)
    }
}

impl Default for SignupPace {
    fn default() -> Self {
        Self::new()
    }
}

/// Known devices are not counted against their source: behind one address may be many people.
fn stranger_source(attempt: &Attempt) -> Option<Source> {
    attempt.source.clone().filter(|_| attempt.device.is_none())
}

fn account_key(attempt: &Attempt) -> AccountKey {
    let account = attempt.account.to_lowercase();
    match attempt.device {
        Some(device) => AccountKey::Known(account, device),
        None => AccountKey::Stranger(account, attempt.source.clone()),
    }
}

/// One customer of an IPv6 network has at least a /64, so that is one source.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// How fast a key may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// One attempt each, milliseconds.
    every: i64,
    /// Attempts at once.
    burst: i64,
}

/// One limit for many keys, with at most [`MAX_KEYS`] of them remembered.
#[derive(Debug)]
pub(super) struct Limits<K> {
    pace: Pace,
    /// When each key will have earned its attempts back.
    earned_back: HashMap<K, i64>,
}

impl<K: Hash + Eq + Clone> Limits<K> {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, earned_back: HashMap::new() }
    }

    fn check(&self, key: &K, now: i64) -> Result<(), i64> {
        let earned_back = self.earned_back.get(key).copied().unwrap_or(now).max(now);
        let spare = self.pace.every.saturating_mul(self.pace.burst.saturating_sub(1));
        let wait = earned_back.saturating_sub(now).saturating_sub(spare);
        if wait > 0 { Err(wait) } else { Ok(()) }
    }

    pub(super) fn take(&mut self, key: K, now: i64) -> Result<(), i64> {
        self.check(&key, now)?;
        if self.earned_back.len() >= MAX_KEYS && !self.earned_back.contains_key(&key) {
            self.make_room(now);
        }
        let earned_back = self.earned_back.entry(key).or_insert(now);
        *earned_back = (*earned_back).max(now).saturating_add(self.pace.every);
        Ok(())
    }

    fn give_back(&mut self, key: &K) {
        if let Some(earned_back) = self.earned_back.get_mut(key) {
            *earned_back = earned_back.saturating_sub(self.pace.every);
        }
    }

    pub(super) fn forget(&mut self, key: &K) {
        self.earned_back.remove(key);
    }

    /// Drops what has no effect any more, and if that is nothing, the key nearest to it.
    fn make_room(&mut self, now: i64) {
        self.earned_back.retain(|_, earned_back| *earned_back > now);
        if self.earned_back.len() < MAX_KEYS {
            return;
        }
        let nearest = self.earned_back.iter().min_by_key(|(_, earned_back)| **earned_back);
        if let Some(key) = nearest.map(|(key, _)| key.clone()) {
            self.earned_back.remove(&key);
        }
    }
}

/// Five wrong passwords at once, then one in 20 s: a person who mistypes does not notice it.
const ACCOUNT_PACE: Pace = Pace { every: 20_000, burst: 5 };
/// An office behind one address logs in together; a guesser gets 20 a minute over all accounts.
const SOURCE_PACE: Pace = Pace { every: 3_000, burst: 30 };
/// A person corrects a form some times; what is written down has narrower limits (`domain::signup`).
const SIGNUP_PACE: Pace = Pace { every: 20_000, burst: 10 };
/// Codes of a second factor: whoever is asked knows the password already. Five at once, then one a minute, is a
/// chance in 200 a day for somebody who tries all day.
pub(super) const FACTOR_PACE: Pace = Pace { every: 60_000, burst: 5 };
/// Requests of a program: bursts of a synchronisation, and 20 a second for as long as it likes.
pub(super) const PROGRAM_PACE: Pace = Pace { every: 50, burst: 200 };
/// Keys remembered a limit: about 8 MiB when somebody tries to fill it.
const MAX_KEYS: usize = 65_536;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stranger(account: &str, last: u8) -> Attempt {
        let source = Source::of(None, Some(IpAddr::from([203, 0, 113, last])));
        Attempt { account: account.into(), device: None, source }
    }

    fn known(account: &str, last: u8) -> Attempt {
        Attempt { device: Some(Uuid::from_u128(7)), ..stranger(account, last) }
    }

    #[test]
    fn a_few_attempts_pass_at_once_and_then_one_at_a_time() {
        let mut throttle = Throttle::new();
        for _ in 0..5 {
            assert_eq!(throttle.take(&stranger("ada", 1), 0), Ok(()));
        }
        assert_eq!(throttle.take(&stranger("ADA", 1), 0), Err(20_000));
        assert_eq!(throttle.take(&stranger("ada", 1), 19_999), Err(1));
        assert_eq!(throttle.take(&stranger("ada", 1), 20_000), Ok(()));
        assert_eq!(throttle.take(&stranger("ada", 1), 20_000), Err(20_000));
    }

    #[test]
    fn a_right_password_forgives_what_came_before() {
        let mut throttle = Throttle::new();
        for now in 0..100 {
            assert_eq!(throttle.take(&stranger("ada", 1), now), Ok(()));
            throttle.forgive(&stranger("ada", 1));
        }
    }

    #[test]
    fn one_source_cannot_try_many_accounts_without_end() {
        let mut throttle = Throttle::new();
        let tried = (0..100).filter(|n| throttle.take(&stranger(&format!("a{n}"), 1), 0).is_ok()).count();
        assert_eq!(tried, 30);
    }

    #[test]
    fn signups_under_way_have_a_pace_of_their_own_for_each_who_asks() {
        let mut pace = SignupPace::new();
        let taken = (0..100).filter(|_| pace.take("lan0/02:00:00:00:00:01".to_owned(), 0).is_ok()).count();
        assert_eq!(taken, 10);
        assert_eq!(pace.take("lan0/02:00:00:00:00:02".to_owned(), 0), Ok(()));
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let at = |text: &str| Attempt { source: Source::of(None, text.parse().ok()), ..stranger("ada", 1) };
        let mut throttle = Throttle::new();
        for n in 0..5 {
            assert_eq!(throttle.take(&at(&format!("2001:db8::{n}")), 0), Ok(()));
        }
        assert!(throttle.take(&at("2001:db8::ffff:1"), 0).is_err());
        assert!(throttle.take(&at("2001:db8:0:1::1"), 0).is_ok());
    }

    #[test]
    fn devices_of_one_network_are_a_source_each_whichever_address_they_take() {
        let at = |mac: &str, address: &str| {
            let (mac, address) = (mac.parse().unwrap(), address.parse().unwrap());
            let device = Device { interface: "lan0".into(), mac, address };
            Attempt { source: Source::of(Some(&device), Some(address)), ..stranger("ada", 1) }
        };
        let mut throttle = Throttle::new();
        for n in 0..5 {
            assert_eq!(throttle.take(&at("02:00:00:00:00:01", &format!("10.0.0.{n}")), 0), Ok(()));
        }
        assert!(throttle.take(&at("02:00:00:00:00:01", "2001:db8::9"), 0).is_err());
        assert!(throttle.take(&at("02:00:00:00:00:02", "2001:db8::9"), 0).is_ok());
    }

    #[test]
    fn memory_is_bounded_however_many_names_are_tried() {
        let mut limits = Limits::new(ACCOUNT_PACE);
        for key in 0..MAX_KEYS + 50 {
            assert_eq!(limits.take(key, 0), Ok(()));
        }
        assert_eq!(limits.earned_back.len(), MAX_KEYS);
    }

    proptest! {
        #[test]
        fn nobody_locks_a_victim_out_from_elsewhere(
            attack in proptest::collection::vec((0u8..20, 0i64..2_000), 0..400),
        ) {
            let mut throttle = Throttle::new();
            let mut now = 0;
            for (last, pause) in attack {
                now += pause;
                let _ = throttle.take(&stranger("victim", last), now);
            }
            // From the attacker's own address, on a device that is known.
            prop_assert_eq!(throttle.take(&known("victim", 3), now), Ok(()));
            // From elsewhere, on a device that is not.
            prop_assert_eq!(throttle.take(&stranger("victim", 200), now), Ok(()));
        }

        #[test]
        fn no_pattern_of_attempts_beats_the_pace(
            pauses in proptest::collection::vec(0i64..60_000, 1..300),
        ) {
            let mut throttle = Throttle::new();
            let (mut now, mut passed) = (0i64, 0i64);
            for pause in pauses {
                now += pause;
                passed += i64::from(throttle.take(&stranger("ada", 1), now).is_ok());
            }
            prop_assert!(passed <= 5 + now / 20_000);
        }
    }
}
