//! Sending what is due: tries, waits, and when to give up.
//!
//! The one rule: a row is changed only after the server answered, so that a message may be sent twice (under
//! one Message-ID) and is never lost.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::carrier::{Taken, Untaken};
use super::queue::{NotifyError, Post};
use crate::base::backoff::Backoff;
use crate::domain::message::{Channel, Delivery, Message, Priority, Recipient, Stage, place_at};
use crate::store::contract::{Expected, IndexValue, Page, Range, ReadError, Record, Unit};
use crate::store::tables::{Messages, SmsDay, SmsDays};

/// What one run came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// Messages that the server took.
    pub sent: usize,
    /// Messages that are tried again later.
    pub postponed: usize,
    /// Messages that were not tried: quiet hours, limits, a channel that is not proven.
    pub held: usize,
    /// Messages that were given up.
    pub given_up: usize,
    /// Times in a row that the server did not take anything, up to now.
    pub away: u32,
    /// Messages in a row that it refused at their first try, and took none since, up to now.
    pub refused: u32,
    /// Whether the day's SMS are used up for what can wait.
    pub spent: bool,
    /// What was wrong, last.
    pub fault: Option<String>,
    /// When the next one is due.
    pub next_due: Option<Timestamp>,
}

/// Whether the server answered about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    There,
    Away,
}

/// What one run looks at again and again.
struct Run {
    channel: Channel,
    is_proven: bool,
    now: Timestamp,
    sent: Sent,
}

impl Post {
    /// Sends what is due by every channel; for tests and for whoever does not mind which.
    ///
    /// # Errors
    /// As [`Post::send_by`].
    pub async fn send_due(&self, now: Timestamp) -> Result<Sent, NotifyError> {
        let mut all = self.send_by(Channel::Mail, now).await?;
        let sms = self.send_by(Channel::Sms, now).await?;
        all.sent = all.sent.saturating_add(sms.sent);
        all.postponed = all.postponed.saturating_add(sms.postponed);
        all.held = all.held.saturating_add(sms.held);
        all.given_up = all.given_up.saturating_add(sms.given_up);
        all.next_due = [all.next_due, sms.next_due].into_iter().flatten().min();
        all.fault = all.fault.or(sms.fault);
        all.spent = sms.spent;
        Ok(all)
    }

    /// Sends what is due by one channel, at most [`BATCH`]: what somebody waits for before the rest, and each the
    /// oldest first. Stops at the first sign that the server is away, since the others would wait for the same.
    ///
    /// # Errors
    /// When the queue cannot be read; what was sent before stands.
    pub async fn send_by(&self, channel: Channel, now: Timestamp) -> Result<Sent, NotifyError> {
        let lane = self.lane(channel);
        let _one_at_a_time = lane.running.lock().await;
        let is_proven = self.is_proven(channel).await?;
        let mut run = Run { channel, is_proven, now, sent: Sent::default() };
        for record in self.due(channel, now).await? {
            if self.send_one(record, &mut run).await? == Server::Away {
                break;
            }
        }
        self.look(channel, &mut run).await?;
        let mut sent = run.sent;
        sent.away = lane.away.load(Ordering::Relaxed);
        sent.refused = lane.refused.load(Ordering::Relaxed);
        sent.next_due = self.next_due(channel).await?;
        Ok(sent)
    }

    async fn due(&self, channel: Channel, now: Timestamp) -> Result<Vec<Record<Messages>>, ReadError> {
        let mut due = self.waiting(channel, Priority::Now, now, BATCH).await?;
        let left = BATCH.saturating_sub(due.len());
        if left > 0 {
            due.extend(self.waiting(channel, Priority::ByDay, now, left).await?);
        }
        Ok(due)
    }

    async fn next_due(&self, channel: Channel) -> Result<Option<Timestamp>, ReadError> {
        let mut next = None;
        for priority in [Priority::Now, Priority::ByDay] {
            let first = self.waiting(channel, priority, Timestamp::MAX, 1).await?;
            let due = first.first().and_then(|record| record.body.next_try_at);
            next = [next, due].into_iter().flatten().min();
        }
        let look = match channel {
            Channel::Mail => None,
            Channel::Sms => {
                self.looks(Timestamp::MAX, 1).await?.first().and_then(|record| record.body.look_at)
            }
        };
        Ok([next, look].into_iter().flatten().min())
    }

    /// Messages whose carrier is to be asked what became of them.
    async fn looks(&self, until: Timestamp, most: usize) -> Result<Vec<Record<Messages>>, ReadError> {
        let (from, to) = (IndexValue::Integer(i64::MIN), IndexValue::Integer(until.as_millisecond()));
        Ok(self
            .store()
            .scan::<Messages>(Range::Between("look_at", from, to), Page::first(most))
            .await?
            .records)
    }

    /// Asks the carrier about what it took; some minutes, an hour and half a day later, and then no more.
    async fn look(&self, channel: Channel, run: &mut Run) -> Result<(), NotifyError> {
        let (Channel::Sms, Some(carrier)) = (channel, &self.lane(channel).carrier) else { return Ok(()) };
        for record in self.looks(run.now, MOST_LOOKS).await? {
            let (before, id) = (&record.body, record.body.carrier_id.clone().unwrap_or_default());
            let asked = carrier.ask(&id).await;
            if let Err(error) = &asked {
                run.sent.fault = Some(error.to_string());
            }
            let delivery = asked.ok().flatten().or(before.delivery);
            let wait = LOOKS.get(usize::try_from(before.looks).unwrap_or(usize::MAX));
            let is_open = matches!(delivery, None | Some(Delivery::Pending));
            let look_at = wait.filter(|_| is_open).and_then(|wait| run.now.saturating_add(*wait).ok());
            if delivery == Some(Delivery::Failed) {
                metrics::counter!("messages_undelivered_total", "channel" => channel.name()).increment(1);
            }
            let after =
                Message { delivery, look_at, looks: before.looks.saturating_add(1), ..before.clone() };
            let unit = Unit::natural().replace::<Messages>(&after.id, record.version, &after)?;
            self.store().commit(unit).await?;
        }
        Ok(())
    }

    async fn waiting(
        &self,
        channel: Channel,
        priority: Priority,
        until: Timestamp,
        most: usize,
    ) -> Result<Vec<Record<Messages>>, ReadError> {
        let place = |at| IndexValue::Text(place_at(channel, priority, at));
        let range = Range::Between("place", place(Timestamp::UNIX_EPOCH), place(until));
        Ok(self.store().scan::<Messages>(range, Page::first(most)).await?.records)
    }

    async fn send_one(&self, record: Record<Messages>, run: &mut Run) -> Result<Server, NotifyError> {
        let (message, now) = (&record.body, run.now);
        if now >= message.useful_until {
            let fault = message.fault.clone().unwrap_or_else(|| "not sent in time".to_owned());
            self.settle(&record, given_up(message, fault), run).await?;
            return Ok(Server::There);
        }
        if let Some((until, why)) = self.must_wait(message, run).await? {
            self.settle(&record, held(message, until, why), run).await?;
            run.sent.held = run.sent.held.saturating_add(1);
            run.sent.postponed = run.sent.postponed.saturating_sub(1);
            return Ok(Server::There);
        }
        let lane = self.lane(run.channel);
        let sent = match (&lane.carrier, self.text(message)) {
            (_, Err(error)) => Err(Untaken::Message(error.to_string())),
            (None, Ok(_)) => Err(Untaken::Away(format!("no {} server is configured", run.channel.name()))),
            (Some(carrier), Ok(text)) => carrier.send(message, text.expose_text().unwrap_or_default()).await,
        };
        let (server, after) = match sent {
            Ok(answer) => {
                lane.refused.store(0, Ordering::Relaxed);
                (Server::There, taken(message, answer, now))
            }
            Err(Untaken::Away(fault)) => (Server::Away, self.postponed(message, fault, now)?),
            Err(error @ Untaken::Unsure(_)) => (Server::Away, self.unsure(message, &error, now)?),
            Err(Untaken::Later(fault)) => {
                self.count_refused(message);
                (Server::There, self.postponed(message, fault, now)?)
            }
            Err(Untaken::Refused(fault)) if message.tries.saturating_add(1) < MOST_REFUSALS => {
                self.count_refused(message);
                (Server::There, self.postponed(message, fault, now)?)
            }
            Err(error @ (Untaken::Refused(_) | Untaken::Message(_))) => {
                (Server::There, given_up(message, error.to_string()))
            }
        };
        match server {
            Server::There => lane.away.store(0, Ordering::Relaxed),
            Server::Away => {
                lane.away.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.settle(&record, after, run).await?;
        Ok(server)
    }

    /// Until when a message must not be tried, and why.
    async fn must_wait(
        &self,
        message: &Message,
        run: &mut Run,
    ) -> Result<Option<(Timestamp, &'static str)>, ReadError> {
        let after = |wait| run.now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        if message.kind.needs_proof() && !run.is_proven {
            return Ok(Some((after(UNPROVEN_WAIT), "the channel's settings are not proven by a test")));
        }
        if let Some(end) = self.quiet_until(message.kind, run.now) {
            return Ok(Some((end, "quiet hours")));
        }
        if run.channel == Channel::Sms && self.is_spent(message, run).await? {
            run.sent.spent = true;
            return Ok(Some((self.tomorrow(run.now), "the day's SMS are used up")));
        }
        let free = self.free_at(&message.to, run.now).await?;
        Ok(free.map(|free| (free, "this recipient got many messages within the hour")))
    }

    /// When somebody who got many messages may get another.
    async fn free_at(&self, to: &Recipient, now: Timestamp) -> Result<Option<Timestamp>, ReadError> {
        let range = Range::Equals("recipient", to.as_str().into());
        let page = Page { after: None, limit: LOOKED_AT, reverse: true };
        let newest = self.store().scan::<Messages>(range, page).await?.records;
        let hour_ago = now.saturating_sub(HOUR).unwrap_or(Timestamp::MIN);
        let mut sent: Vec<_> =
            newest.iter().filter_map(|record| record.body.sent_at).filter(|at| *at > hour_ago).collect();
        sent.sort_unstable_by(|a, b| b.cmp(a));
        let oldest_that_counts = sent.get(MOST_AN_HOUR.saturating_sub(1));
        Ok(oldest_that_counts.map(|at| at.saturating_add(HOUR).unwrap_or(Timestamp::MAX)))
    }

    /// Whether the day's SMS are used up. What somebody waits for has a part of them to itself.
    async fn is_spent(&self, message: &Message, run: &Run) -> Result<bool, ReadError> {
        let most = self.rules().sms_per_day;
        let most = match message.kind.priority() {
            Priority::Now => most,
            Priority::ByDay => most.saturating_sub(most / RESERVED),
        };
        let day = self.store().get::<SmsDays>(&self.day(run.now)).await?;
        let used = day.map_or(0, |record| record.body.segments);
        Ok(used.saturating_add(message.segments) > most)
    }

    fn day(&self, now: Timestamp) -> String {
        now.to_zoned(self.0.writer.site().zone.clone()).date().to_string()
    }

    fn tomorrow(&self, now: Timestamp) -> Timestamp {
        let today = now.to_zoned(self.0.writer.site().zone.clone());
        let start = today.tomorrow().and_then(|tomorrow| tomorrow.start_of_day());
        start.map_or(now, |start| start.timestamp())
    }

    /// Once a message: one that nobody takes is no sign that none is taken.
    fn count_refused(&self, message: &Message) {
        if message.tries == 0 {
            self.lane(message.to.channel()).refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn postponed(&self, message: &Message, fault: String, now: Timestamp) -> Result<Message, NotifyError> {
        let tries = message.tries.saturating_add(1);
        let random = u32::from_le_bytes(self.0.entropy.bytes()?);
        let wait =
            Backoff::new(FIRST_WAIT, LONGEST_WAIT).map_or(LONGEST_WAIT, |back| back.delay(tries, random));
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::ZERO);
        let next = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        // Looked at once more when its time is over, to be given up.
        let next = next.min(message.useful_until);
        Ok(Message { tries, next_try_at: Some(next), fault: Some(fault), ..message.clone() })
    }

    /// One that may have been taken is tried again, and not for ever: each try may be one more on the telephone.
    fn unsure(&self, message: &Message, error: &Untaken, now: Timestamp) -> Result<Message, NotifyError> {
        let unsure = message.unsure.saturating_add(1);
        if unsure >= MOST_UNSURE {
            return Ok(Message { unsure, ..given_up(message, error.to_string()) });
        }
        Ok(Message { unsure, ..self.postponed(message, error.to_string(), now)? })
    }

    /// Writes down what became of a message. Only this queue changes it, one run at a time.
    async fn settle(
        &self,
        record: &Record<Messages>,
        after: Message,
        run: &mut Run,
    ) -> Result<(), NotifyError> {
        let (stage, channel) = (after.stage(), run.channel.name());
        let count = match stage {
            Stage::Sent => &mut run.sent.sent,
            Stage::Waiting => &mut run.sent.postponed,
            Stage::GivenUp => &mut run.sent.given_up,
        };
        *count = count.saturating_add(1);
        run.sent.fault = after.fault.clone().or_else(|| run.sent.fault.take());
        let mut unit = Unit::natural().replace::<Messages>(&after.id, record.version, &after)?;
        if stage == Stage::Sent && run.channel == Channel::Sms {
            unit = self.counted(unit, &after, run.now).await?;
            metrics::counter!("sms_segments_total").increment(after.segments.into());
        }
        self.store().commit(unit).await?;
        if stage != Stage::Waiting {
            metrics::counter!("messages_total", "channel" => channel, "outcome" => stage.name()).increment(1);
        }
        Ok(())
    }

    /// Counts an SMS in the commit that notes it as sent. One run at a time writes the day.
    async fn counted(&self, unit: Unit, sent: &Message, now: Timestamp) -> Result<Unit, NotifyError> {
        let key = self.day(now);
        let record = self.store().get::<SmsDays>(&key).await?;
        let (day, expected) = record.map_or_else(
            || (SmsDay::default(), Expected::Absent),
            |record| (record.body, Expected::Version(record.version)),
        );
        let day = SmsDay {
            segments: day.segments.saturating_add(sent.segments),
            messages: day.messages.saturating_add(1),
        };
        Ok(unit.expect::<SmsDays>(&key, expected).put::<SmsDays>(&key, &day)?)
    }
}

/// A code goes with it: nobody needs it any more. The rest is kept sealed for whoever asks for it again.
fn taken(message: &Message, answer: Taken, now: Timestamp) -> Message {
    let sealed_text = if message.kind.holds_a_code() { String::new() } else { message.sealed_text.clone() };
    let look_at = answer.can_be_asked.then(|| now.saturating_add(FIRST_LOOK).unwrap_or(now));
    Message {
        tries: message.tries.saturating_add(1),
        sent_at: Some(now),
        next_try_at: None,
        fault: None,
        sealed_text,
        carrier_id: answer.carrier_id,
        look_at,
        ..message.clone()
    }
}

fn held(message: &Message, until: Timestamp, why: &str) -> Message {
    let until = until.min(message.useful_until);
    Message { next_try_at: Some(until), fault: Some(why.to_owned()), ..message.clone() }
}

fn given_up(message: &Message, fault: String) -> Message {
    let sealed_text = if message.kind.holds_a_code() { String::new() } else { message.sealed_text.clone() };
    Message {
        tries: message.tries.saturating_add(1),
        next_try_at: None,
        fault: Some(fault),
        sealed_text,
        ..message.clone()
    }
}

/// Messages a run: some seconds of work; the next run is due at once while more wait.
pub const BATCH: usize = 50;
/// The first wait after a failed try: somebody is waiting for the code.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest wait between tries.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// Refusals of one message before it is given up: some servers refuse strangers at first.
const MOST_REFUSALS: u32 = 3;
/// Tries of one message without an answer.
const MOST_UNSURE: u32 = 3;
/// Between looks whether a channel was proven meanwhile.
const UNPROVEN_WAIT: SignedDuration = SignedDuration::from_mins(10);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Messages to one recipient in an hour: more than anybody's day brings, and a bound on a loop of ours.
pub const MOST_AN_HOUR: usize = 10;
/// Messages to one recipient that are looked at for it; more that wait than this do not hide those sent.
const LOOKED_AT: usize = 50;
/// The part of a day's SMS that is kept for what somebody waits for: a fifth.
const RESERVED: u32 = 5;
/// When a carrier is first asked what became of a message.
const FIRST_LOOK: SignedDuration = SignedDuration::from_mins(1);
/// Between the looks after it.
const LOOKS: [SignedDuration; 3] =
    [SignedDuration::from_mins(10), SignedDuration::from_hours(1), SignedDuration::from_hours(12)];
/// Looks a run: each is a call.
const MOST_LOOKS: usize = 20;
