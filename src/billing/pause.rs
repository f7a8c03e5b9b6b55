//! A pause at the subscriber's wish: the clock of what is paid stops, and nothing is billed meanwhile.
//!
//! A prepaid interval is cut where the pause begins and what was left of it is given back where it ends, to the
//! second; a post-paid period ends later by as much. The one rule: a pause neither gives nor takes: the same period goes
//! on with the use that it had.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::book::{MOST_TRIES, may_try_again};
use super::contract::Contract;
use super::fault::BillingError;
use super::grant;
use super::settle::Till;
use super::wallet::UnitExtra;
use crate::domain::ids::ServiceId;
use crate::domain::lock::{Lock, LockMode, LockReason};
use crate::domain::service::{Interval, IntervalState, Phase};
use crate::domain::subscription::Subscription;
use crate::store::contract::{CommitError, Unit};

impl Till {
    /// Pauses a service.
    ///
    /// # Errors
    /// `NotFound`; a rule where it is not active or paused already; faults of ours.
    pub async fn pause(
        &self,
        id: ServiceId,
        by: &str,
        extra: Option<UnitExtra<'_>>,
        now: Timestamp,
    ) -> Result<Subscription, BillingError> {
        let change = |contract: &mut Contract| begin(contract, by, now);
        self.stop_or_go(id, PAUSED, change, &plain(extra), now).await
    }

    /// Ends the pause of a service.
    ///
    /// # Errors
    /// `NotFound`; a rule where it is not paused; faults of ours.
    pub async fn unpause(
        &self,
        id: ServiceId,
        extra: Option<UnitExtra<'_>>,
        now: Timestamp,
    ) -> Result<Subscription, BillingError> {
        let change = |contract: &mut Contract| end(contract, now);
        self.stop_or_go(id, UNPAUSED, change, &plain(extra), now).await
    }

    pub(super) async fn stop_or_go(
        &self,
        id: ServiceId,
        event: &str,
        change: impl Fn(&mut Contract) -> Result<(), BillingError>,
        extra: PauseExtra<'_>,
        now: Timestamp,
    ) -> Result<Subscription, BillingError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut leaf = self.book.open().await;
            let contract = leaf.contract(id, now).await?;
            change(contract)?;
            let answer = contract.subscription.clone();
            let payload = told(&answer);
            leaf.change(|unit| Ok(unit.event(event, id, payload)))?;
            leaf.change(|unit| extra(unit, &answer))?;
            match leaf.commit(now).await {
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                done => {
                    (self.wake)();
                    return done.map(|()| answer);
                }
            }
        }
    }
}

/// What whoever asks wants in the unit too, made of what became of the subscription.
pub(super) type PauseExtra<'a> = &'a (dyn Fn(Unit, &Subscription) -> Result<Unit, CommitError> + Send + Sync);

fn plain(extra: Option<UnitExtra<'_>>) -> impl Fn(Unit, &Subscription) -> Result<Unit, CommitError> {
    move |unit, _| match extra {
        Some(extra) => extra(unit),
        None => Ok(unit),
    }
}

/// What the event of a pause says.
pub(super) fn told(subscription: &Subscription) -> serde_json::Value {
    json!({ "customer_id": subscription.subscriber_id, "paused_at": subscription.paused_at })
}

/// Begins a pause: what is paid is put by, and the service is locked.
pub(super) fn begin(contract: &mut Contract, by: &str, now: Timestamp) -> Result<(), BillingError> {
    if contract.service.phase != Phase::Active {
        return Err(BillingError::rule("only an active service can be paused"));
    }
    if contract.subscription.paused_at.is_some() {
        return Err(BillingError::rule("the service is paused already"));
    }
    let lock = Lock {
        reason: LockReason::CustomerHold,
        mode: LockMode::HardReject,
        rates: None,
        placed_at: now,
        placed_by: by.to_owned(),
        note: None,
    };
    cut(&mut contract.service.intervals, now);
    grant::lock(&mut contract.service, lock, now);
    contract.service.updated_at = now;
    contract.subscription.paused_at = Some(now);
    contract.subscription.paused_until = None;
    contract.subscription.next_due_at = None;
    contract.subscription.updated_at = now;
    Ok(())
}

/// Ends a pause: everything that was left goes on, later by as much as the pause lasted.
pub(super) fn end(contract: &mut Contract, now: Timestamp) -> Result<(), BillingError> {
    let subscription = &mut contract.subscription;
    let Some(paused_at) = subscription.paused_at.take() else {
        return Err(BillingError::rule("the service is not paused"));
    };
    subscription.paused_until = None;
    // A clock that was set back takes nothing away.
    let lasted = now.duration_since(paused_at).max(SignedDuration::ZERO);
    let later = |at: Timestamp| {
        at.checked_add(lasted).map_err(|_| BillingError::rule("the period ends beyond the calendar"))
    };
    give_back(&mut contract.service.intervals, paused_at, later)?;
    for top_up in &mut contract.service.extras.top_ups {
        if let Some(until) = top_up.until.filter(|until| *until > paused_at) {
            top_up.until = Some(later(until)?);
        }
    }
    subscription.anchor = later(subscription.anchor)?;
    if let Some(until) = subscription.trial_until.filter(|until| *until > paused_at) {
        subscription.trial_until = Some(later(until)?);
    }
    subscription.next_due_at = Some(now);
    subscription.updated_at = now;
    grant::unlock(&mut contract.service, LockReason::CustomerHold, now);
    contract.service.updated_at = now;
    Ok(())
}

/// Cuts what is paid at `now`; what comes after it is put by.
fn cut(intervals: &mut Vec<Interval>, now: Timestamp) {
    let mut put_by = Vec::new();
    for one in intervals.iter_mut().filter(|one| one.state == IntervalState::Active) {
        if one.until.is_some_and(|until| until <= now) {
            continue;
        }
        let source = format!("{PUT_BY}{}", one.source);
        if one.from >= now {
            one.state = IntervalState::Void;
            one.source = source;
        } else {
            put_by.push(Interval { from: now, until: one.until, state: IntervalState::Void, source });
            one.until = Some(now);
        }
    }
    intervals.extend(put_by);
}

/// Gives back what was put by, later by as much as the pause lasted. What was running goes on as the same interval,
/// so that the period's use counts on.
fn give_back(
    intervals: &mut Vec<Interval>,
    paused_at: Timestamp,
    later: impl Fn(Timestamp) -> Result<Timestamp, BillingError>,
) -> Result<(), BillingError> {
    let is_put_by = |one: &Interval| one.state == IntervalState::Void && one.source.starts_with(PUT_BY);
    let (put_by, mut kept): (Vec<Interval>, Vec<Interval>) =
        std::mem::take(intervals).into_iter().partition(is_put_by);
    for one in put_by {
        let source = one.source.trim_start_matches(PUT_BY).to_owned();
        let until = one.until.map(&later).transpose()?;
        let runs = |held: &&mut Interval| held.until == Some(paused_at) && held.source == source;
        match kept.iter_mut().filter(|_| one.from == paused_at).find(runs) {
            Some(running) => running.until = until,
            None => {
                let (from, state) = (later(one.from)?, IntervalState::Active);
                kept.push(Interval { from, until, state, source });
            }
        }
    }
    *intervals = kept;
    Ok(())
}

/// Events of the feed.
pub(super) const PAUSED: &str = "service.paused";
pub(super) const UNPAUSED: &str = "service.unpaused";
/// Marks the source of an interval that waits for the end of a pause.
pub(super) const PUT_BY: &str = "paused:";

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn interval(from: i64, until: Option<i64>, source: &str) -> Interval {
        let until = until.map(at);
        Interval { from: at(from), until, state: IntervalState::Active, source: source.to_owned() }
    }

    fn paused(mut intervals: Vec<Interval>, from: i64, to: i64) -> Vec<Interval> {
        cut(&mut intervals, at(from));
        assert!(
            !intervals.iter().any(|one| one.covers(at(from)) || one.covers(at(to))),
            "nothing runs meanwhile"
        );
        let lasted = SignedDuration::from_secs(to - from);
        give_back(&mut intervals, at(from), |one| Ok(one.checked_add(lasted).unwrap())).unwrap();
        intervals
    }

    #[test]
    fn what_was_left_is_given_back_to_the_second_and_as_the_same_period() {
        let bought =
            vec![interval(0, Some(50), "a"), interval(50, Some(100), "b"), interval(100, Some(200), "c")];
        let after = paused(bought, 70, 1_070);
        let expected =
            [interval(0, Some(50), "a"), interval(50, Some(1_100), "b"), interval(1_100, Some(1_200), "c")];
        assert_eq!(after, expected);
    }

    #[test]
    fn an_interval_without_end_goes_on_without_end() {
        assert_eq!(paused(vec![interval(0, None, "a")], 70, 1_070), [interval(0, None, "a")]);
    }

    #[test]
    fn what_was_over_or_reversed_stays_so() {
        let mut reversed = interval(60, Some(90), "r");
        reversed.state = IntervalState::Reversed;
        let held = vec![interval(0, Some(50), "a"), reversed];
        assert_eq!(paused(held.clone(), 70, 1_070), held);
    }
}
