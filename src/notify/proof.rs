//! Whether a channel is known to work: a code that came out of it was brought back.
//!
//! A proof is for exactly the settings that it was made with, passwords too: with other settings it counts no
//! more. The one rule: what tells settings apart is a keyed hash, so a proof says nothing about them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::letter::Addressee;
use super::news::News;
use super::queue::{NotifyError, Post};
use crate::domain::language::Language;
use crate::domain::message::{Channel, Recipient};
use crate::store::contract::{Expected, ReadError, Record, Unit};
use crate::store::draft::Draft;
use crate::store::tables::Settings;

/// What is known about a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelState {
    /// Which.
    pub channel: Channel,
    /// Whether there is anything to send by.
    pub is_configured: bool,
    /// Since when it is proven, by these settings.
    pub proven_at: Option<Timestamp>,
    /// Who proved it.
    pub proven_by: Option<String>,
    /// Whether it was proven once, by other settings.
    pub is_stale: bool,
    /// Until when the code that was sent last can be brought back.
    pub test_until: Option<Timestamp>,
}

/// Why a channel was not tested or proven: the asker's to mend, or ours.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// There is nothing to send by.
    #[error("nothing is configured to send {0} by; see [{0}] in the configuration")]
    NotConfigured(&'static str),
    /// The address is of another channel.
    #[error("that is no address for {0}")]
    OtherChannel(&'static str),
    /// A test was sent just now.
    #[error("a test was sent just now; try again in {wait_secs} s")]
    TooSoon {
        /// When.
        wait_secs: i64,
    },
    /// Ours.
    #[error(transparent)]
    Notify(#[from] NotifyError),
}

/// What came of a code that was brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// The channel is proven.
    Proven,
    /// It is not the code that was sent.
    Wrong,
    /// There is no code to compare it with: none was sent, it is too old, too many were wrong, or the settings
    /// changed since.
    Lapsed,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Proof {
    mark: String,
    at: Timestamp,
    by: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Test {
    mark: String,
    code: String,
    sent_at: Timestamp,
    until: Timestamp,
    wrong: u32,
}

impl Post {
    /// Whether a channel was proven to work with the settings that it has.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn is_proven(&self, channel: Channel) -> Result<bool, ReadError> {
        let Some(mark) = self.mark(channel) else { return Ok(false) };
        let kept = self.kept::<Proof>(&key(channel, "proof")).await?;
        Ok(kept.is_some_and(|(proof, _)| proof.mark == mark))
    }

    /// What is known about every channel.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn channels(&self, now: Timestamp) -> Result<Vec<ChannelState>, ReadError> {
        let mut states = Vec::with_capacity(Channel::ALL.len());
        for channel in Channel::ALL {
            let mark = self.mark(channel);
            let proof = self.kept::<Proof>(&key(channel, "proof")).await?.map(|(proof, _)| proof);
            let test = self.kept::<Test>(&key(channel, "test")).await?.map(|(test, _)| test);
            let is_stale = proof.as_ref().is_some_and(|proof| Some(&proof.mark) != mark.as_ref());
            let proof = proof.filter(|_| !is_stale);
            states.push(ChannelState {
                channel,
                is_configured: mark.is_some(),
                proven_at: proof.as_ref().map(|proof| proof.at),
                proven_by: proof.map(|proof| proof.by),
                is_stale,
                test_until: test
                    .filter(|test| {
                        Some(&test.mark) == mark.as_ref() && test.until > now && test.wrong < MOST_WRONG
                    })
                    .map(|test| test.until),
            });
        }
        Ok(states)
    }

    /// Sends a code by a channel; only the last one counts.
    ///
    /// # Errors
    /// [`ProofError`].
    pub async fn test(
        &self,
        channel: Channel,
        (to, language): (Recipient, Option<Language>),
        now: Timestamp,
    ) -> Result<Draft<Timestamp>, ProofError> {
        let mark = self.mark(channel).ok_or_else(|| ProofError::NotConfigured(channel.name()))?;
        if to.channel() != channel {
            return Err(ProofError::OtherChannel(channel.name()));
        }
        let key = key(channel, "test");
        let kept = self.kept::<Test>(&key).await.map_err(NotifyError::from)?;
        if let Some((before, _)) = &kept {
            let wait = before.sent_at.saturating_add(TEST_REST).unwrap_or(now).duration_since(now);
            if wait.is_positive() {
                return Err(ProofError::TooSoon { wait_secs: wait.as_secs().saturating_add(1) });
            }
        }
        let random = u64::from_le_bytes(self.0.entropy.bytes().map_err(NotifyError::from)?);
        let code = format!("{:08}", random % 100_000_000);
        let until = now.saturating_add(TEST_LIFETIME).unwrap_or(Timestamp::MAX);
        let hash = self.code_hash(channel, &mark, &code);
        let test = Test { mark, code: hash, sent_at: now, until, wrong: 0 };
        let unit = self.keep(Unit::natural(), &key, kept.map(|(_, record)| record), &test)?;
        let news = News::ChannelTest { code, minutes: TEST_LIFETIME.as_mins() };
        let letter = self.write(&Addressee { to, subscriber_id: None, language }, &news, now);
        Ok(Draft::new(self.queue_in(unit, &letter, now)?, until))
    }

    /// Takes a code that came out of a channel. A wrong one is counted: commit the draft in any case.
    ///
    /// # Errors
    /// [`ProofError`].
    pub async fn confirm(
        &self,
        channel: Channel,
        code: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<Draft<Confirmation>, ProofError> {
        let mark = self.mark(channel).ok_or_else(|| ProofError::NotConfigured(channel.name()))?;
        let (test_key, proof_key) = (key(channel, "test"), key(channel, "proof"));
        let kept = self.kept::<Test>(&test_key).await.map_err(NotifyError::from)?;
        let lapsed = Draft::new(Unit::natural(), Confirmation::Lapsed);
        let Some((test, record)) = kept else { return Ok(lapsed) };
        if test.mark != mark || test.until <= now || test.wrong >= MOST_WRONG {
            return Ok(lapsed);
        }
        let given: String = code.chars().filter(char::is_ascii_digit).collect();
        if self.code_hash(channel, &mark, &given) != test.code {
            let wrong = Test { wrong: test.wrong.saturating_add(1), ..test };
            let unit = self.keep(Unit::natural(), &test_key, Some(record), &wrong)?;
            return Ok(Draft::new(unit, Confirmation::Wrong));
        }
        let before =
            self.kept::<Proof>(&proof_key).await.map_err(NotifyError::from)?.map(|(_, record)| record);
        let proof = Proof { mark, at: now, by: by.to_owned() };
        let unit = self.keep(Unit::natural(), &proof_key, before, &proof)?;
        let unit = unit.expect::<Settings>(&test_key, Expected::Version(record.version));
        Ok(Draft::new(unit.delete::<Settings>(&test_key), Confirmation::Proven))
    }

    async fn kept<T: serde::de::DeserializeOwned>(
        &self,
        key: &String,
    ) -> Result<Option<(T, Record<Settings>)>, ReadError> {
        let record = self.store().get::<Settings>(key).await?;
        Ok(record.and_then(|record| Some((serde_json::from_value(record.body.clone()).ok()?, record))))
    }

    fn keep(
        &self,
        unit: Unit,
        key: &String,
        before: Option<Record<Settings>>,
        after: &impl Serialize,
    ) -> Result<Unit, NotifyError> {
        let expected = before.map_or(Expected::Absent, |record| Expected::Version(record.version));
        let body = serde_json::to_value(after).map_err(|error| {
            NotifyError::Commit(crate::store::contract::CommitError::Malformed(error.to_string()))
        })?;
        Ok(unit.expect::<Settings>(key, expected).put::<Settings>(key, &body)?)
    }

    /// What tells a channel's settings from others; `None` where it has none.
    fn mark(&self, channel: Channel) -> Option<String> {
        let settings = self.lane(channel).carrier.as_ref()?.settings().expose_text()?;
        let purpose = zeroize::Zeroizing::new(format!("channel-settings|{}|{settings}", channel.name()));
        Some(URL_SAFE_NO_PAD.encode(self.0.vault.derive(&purpose)))
    }

    fn code_hash(&self, channel: Channel, mark: &str, code: &str) -> String {
        let purpose = zeroize::Zeroizing::new(format!("channel-test|{}|{mark}|{code}", channel.name()));
        URL_SAFE_NO_PAD.encode(self.0.vault.derive(&purpose))
    }
}

fn key(channel: Channel, what: &str) -> String {
    format!("channel.{}.{what}", channel.name())
}

/// A mail may be greylisted for a quarter of an hour.
const TEST_LIFETIME: SignedDuration = SignedDuration::from_mins(30);
/// Between two tests of one channel: each SMS costs.
const TEST_REST: SignedDuration = SignedDuration::from_secs(30);
/// Wrong codes before another must be sent: 8 digits, so a guess has one chance in twenty million.
const MOST_WRONG: u32 = 5;
