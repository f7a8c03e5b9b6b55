//! Dunning: what happens when an invoice is not paid, step by step.
//!
//! Steps are days and hours of the site's calendar from the due day. The one rule: a step is taken
//! once, and after days of being down only the latest state is taken and at most one message sent.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::lock::LockMode;
use super::period::{at_local, day_start, local_day};

/// The steps, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Told before it is due.
    Reminder,
    /// Told that it is due.
    Due,
    /// Slowed down.
    Throttle,
    /// Only the portal and the way to pay.
    Garden,
    /// Nothing.
    Suspend,
    /// The contract ends.
    Terminate,
}

/// When the steps are. Days count from the local day on which the invoice is due; `None` leaves a step out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Days before the due day.
    pub reminder_days_before: Option<u32>,
    /// Days after it.
    pub throttle_after_days: Option<u32>,
    /// Days after it.
    pub garden_after_days: Option<u32>,
    /// Days after it.
    pub suspend_after_days: Option<u32>,
    /// Days after it.
    pub terminate_after_days: Option<u32>,
    /// Local hours in which nobody is sent a message; it waits for their end.
    pub quiet: Option<Hours>,
    /// Local hours in which access is taken away, so that somebody is there to answer; `None` is always.
    pub enforcement: Option<Hours>,
}

/// A span of the local day; one whose end is not after its start goes over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// First minute.
    pub from: Time,
    /// First minute after.
    pub to: Time,
}

/// What was done about an invoice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The hardest step taken against access, or the last one that was only a message.
    pub taken: Option<Step>,
    /// The last step that a message was sent about.
    pub told: Option<Step>,
}

/// What is to be done about an invoice now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// The step to take: the latest that is due, those before it are passed over.
    pub take: Option<Step>,
    /// The step to send a message about.
    pub tell: Option<Step>,
    /// When to ask again, if nothing else changes.
    pub at: Option<Timestamp>,
}

impl Step {
    /// All of them, mildest first.
    pub const ALL: [Self; 6] =
        [Self::Reminder, Self::Due, Self::Throttle, Self::Garden, Self::Suspend, Self::Terminate];

    /// The lock that carries it out; none for a message, and none for an end, which is no lock.
    #[must_use]
    pub const fn lock(self) -> Option<LockMode> {
        match self {
            Self::Reminder | Self::Due | Self::Terminate => None,
            Self::Throttle => Some(LockMode::Throttle),
            Self::Garden => Some(LockMode::Captive),
            Self::Suspend => Some(LockMode::HardReject),
        }
    }

    /// Whether it takes something away.
    #[must_use]
    pub const fn bites(self) -> bool {
        match self {
            Self::Reminder | Self::Due => false,
            Self::Throttle | Self::Garden | Self::Suspend | Self::Terminate => true,
        }
    }

    /// The name in API, templates and store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reminder => "reminder",
            Self::Due => "due",
            Self::Throttle => "throttle",
            Self::Garden => "garden",
            Self::Suspend => "suspend",
            Self::Terminate => "terminate",
        }
    }
}

/// What is to be done at `now` about an invoice that is due at `due_at`, after what was done already.
///
/// A clock that was set back does nothing again: what is done is not asked for.
#[must_use]
pub fn due(policy: &Policy, due_at: Timestamp, done: Done, now: Timestamp, zone: &TimeZone) -> Next {
    let reached = |step: &Step| policy.begins(*step, due_at, zone).is_some_and(|begins| begins <= now);
    let latest = Step::ALL.into_iter().rev().find(reached);
    let to_take = latest.filter(|step| done.taken < Some(*step));
    let to_tell = latest.filter(|step| done.told < Some(*step));
    let may_bite = policy.enforcement.is_none_or(|hours| hours.contain(now, zone));
    let quiet = policy.quiet.is_some_and(|hours| hours.contain(now, zone));
    let take = to_take.filter(|step| may_bite || !step.bites());
    // Nobody is told of a step before it is taken.
    let tell = to_tell.filter(|_| !quiet && (take.is_some() || to_take.is_none()));
    let ahead = Step::ALL.into_iter().filter_map(|step| policy.begins(step, due_at, zone));
    let bite = policy.enforcement.filter(|_| take != to_take).and_then(|hours| hours.next_start(now, zone));
    let speak = policy.quiet.filter(|_| tell != to_tell && quiet).and_then(|hours| hours.next_end(now, zone));
    let at = ahead.chain(bite).chain(speak).filter(|at| *at > now).min();
    Next { take, tell, at }
}

impl Policy {
    /// When a step begins: the start of its local day. `None` where the policy leaves it out.
    #[must_use]
    pub fn begins(&self, step: Step, due_at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let days = match step {
            Step::Reminder => -i64::from(self.reminder_days_before?),
            Step::Due => 0,
            Step::Throttle => i64::from(self.throttle_after_days?),
            Step::Garden => i64::from(self.garden_after_days?),
            Step::Suspend => i64::from(self.suspend_after_days?),
            Step::Terminate => i64::from(self.terminate_after_days?),
        };
        let span = jiff::Span::new().try_days(days).ok()?;
        day_start(local_day(due_at, zone).checked_add(span).ok()?, zone)
    }
}

impl Default for Policy {
    fn default() -> Self {
        let (from, to) = (Time::constant(21, 0, 0, 0), Time::constant(8, 0, 0, 0));
        Self {
            reminder_days_before: Some(3),
            throttle_after_days: Some(3),
            garden_after_days: Some(7),
            suspend_after_days: Some(14),
            terminate_after_days: None,
            quiet: Some(Hours { from, to }),
            enforcement: None,
        }
    }
}

impl Hours {
    /// Whether the instant is in them. Equal ends are the whole day.
    #[must_use]
    pub fn contain(&self, at: Timestamp, zone: &TimeZone) -> bool {
        self.contain_time(zone.to_datetime(at).time())
    }

    /// Whether the local time is in them.
    #[must_use]
    pub fn contain_time(&self, time: Time) -> bool {
        if self.from < self.to {
            self.from <= time && time < self.to
        } else {
            time >= self.from || time < self.to
        }
    }

    /// The next instant after `now` at which they begin.
    #[must_use]
    pub fn next_start(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        next_at(self.from, now, zone)
    }

    /// The next instant after `now` at which they end.
    #[must_use]
    pub fn next_end(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        next_at(self.to, now, zone)
    }
}

/// The next instant after `now` at which local clocks show `time`.
fn next_at(time: Time, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let today = local_day(now, zone);
    // Today's may be over, and tomorrow's may fall into a gap: the day after is sure.
    [0, 1, 2].into_iter().find_map(|days| {
        let day = today.checked_add(days.days()).ok()?;
        at_local(day.to_datetime(time), zone).filter(|at| *at > now)
    })
}

/// Watches that the wall clock goes as the monotonic one does, so that nobody is cut by a wrong clock.
///
/// One that was set forward by more than [`LARGEST_JUMP`] is held: no step is taken and nothing expires into a
/// lock until a second source agrees, or until the clock is set right. Setting it back holds nothing, since
/// nothing is done twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    wall: Timestamp,
    ticks: SignedDuration,
    ahead: Option<SignedDuration>,
}

impl Watch {
    /// A watch that believes this wall time; `ticks` is the monotonic clock's.
    #[must_use]
    pub const fn new(wall: Timestamp, ticks: SignedDuration) -> Self {
        Self { wall, ticks, ahead: None }
    }

    /// Looks at both clocks: how far the wall clock is ahead, where that is more than can be believed.
    pub fn look(&mut self, wall: Timestamp, ticks: SignedDuration) -> Option<SignedDuration> {
        let passed = ticks.saturating_sub(self.ticks);
        let drift = wall.duration_since(self.wall).saturating_sub(passed);
        if drift.abs() <= LARGEST_JUMP {
            // Small steps are the clock being disciplined, and are followed.
            *self = Self::new(wall, ticks);
            return None;
        }
        self.ahead = Some(drift).filter(|drift| drift.is_positive());
        self.ahead
    }

    /// A second source (another server's time, or a person) says what time it is: if it agrees with the wall
    /// clock, that is believed again. Answers whether it does.
    pub fn second_source(&mut self, said: Timestamp, wall: Timestamp, ticks: SignedDuration) -> bool {
        let agrees = said.duration_since(wall).abs() <= LARGEST_JUMP;
        if agrees {
            *self = Self::new(wall, ticks);
        }
        agrees
    }

    /// Whether steps are held.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.ahead.is_some()
    }
}

/// More than a clock drifts or a leap second moves; less than any step of dunning.
pub const LARGEST_JUMP: SignedDuration = SignedDuration::from_hours(1);

#[cfg(test)]
#[path = "dunning_tests.rs"]
mod tests;
