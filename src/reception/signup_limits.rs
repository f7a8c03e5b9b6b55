//! How many signups a device, a network, an address and the site may begin, counted from the signups that are
//! written down: a restart forgives nothing.

use jiff::Timestamp;

use super::Reception;
use super::signup::{SignupError, SignupPlace, earlier, too_many};
use crate::domain::signup::{
    ACCESS_PAUSE, Limit, MOST_ACCESSES, PER_ADDRESS, PER_DEVICE, PER_SITE, PER_SOURCE, Signup,
};
use crate::domain::text::Email;
use crate::store::contract::{IndexValue, Page, Range, ReadError};
use crate::store::tables::Signups;

/// By what a signup is counted.
pub(super) struct Keys {
    pub(super) device: Option<String>,
    pub(super) source: Option<String>,
    /// Signups of this device, newest first.
    recent: Vec<Signup>,
}

impl Keys {
    /// Whether this device was let online unconfirmed since then.
    pub(super) fn had_access_since(&self, since: Timestamp) -> bool {
        self.recent.iter().any(|signup| signup.access_until.is_some() && signup.created_at > since)
    }
}

impl Reception {
    /// Refuses a signup that is one too many, and says how long to wait.
    pub(super) async fn must_be_within_limits(
        &self,
        email: &Email,
        place: SignupPlace<'_>,
        now: Timestamp,
    ) -> Result<Keys, SignupError> {
        let device = place.device.map(crate::domain::device::Device::key);
        let device = device.or_else(|| place.browser.map(str::to_owned));
        let source = place.key();
        let equals = |index, value: &str| Range::Equals(index, value.into());
        within(&PER_ADDRESS, &self.newest(equals("email", email.as_str()), most(&PER_ADDRESS)).await?, now)?;
        let mut recent = Vec::new();
        if let Some(device) = &device {
            let theirs = self.newest(equals("device", device), most(&PER_DEVICE)).await?;
            within(&PER_DEVICE, &theirs, now)?;
            recent = theirs;
        }
        if let Some(source) = &source {
            within(&PER_SOURCE, &self.newest(equals("source", source), most(&PER_SOURCE)).await?, now)?;
        }
        let an_hour: Vec<_> = PER_SITE.iter().map(|limit| earlier(now, limit.within)).collect();
        let since = an_hour.into_iter().min().unwrap_or(now).as_millisecond();
        let site = Range::Between("created_at", IndexValue::Integer(since), IndexValue::Integer(i64::MAX));
        within(&PER_SITE, &self.newest(site, most(&PER_SITE)).await?, now)?;
        Ok(Keys { device, source, recent })
    }

    /// Whether the site has minutes left to give, with which devices are online to read their mail. Not counted
    /// by address: whether somebody gets them would tell that somebody signed up with that address before.
    pub(super) async fn has_access_left(&self, now: Timestamp) -> Result<bool, ReadError> {
        let since = earlier(now, ACCESS_PAUSE).as_millisecond();
        let given = Range::Between("access_until", since.into(), i64::MAX.into());
        Ok(self.newest(given, MOST_ACCESSES).await?.len() < MOST_ACCESSES)
    }

    pub(super) async fn newest(&self, range: Range, limit: usize) -> Result<Vec<Signup>, ReadError> {
        let page = Page { after: None, limit, reverse: true };
        let records = self.0.store.scan::<Signups>(range, page).await?.records;
        Ok(records.into_iter().map(|record| record.body).collect())
    }
}

fn within(limits: &[Limit], newest_first: &[Signup], now: Timestamp) -> Result<(), SignupError> {
    let times: Vec<_> = newest_first.iter().map(|signup| signup.created_at).collect();
    let wait = limits.iter().map(|limit| limit.wait(&times, now)).max().unwrap_or_default();
    if wait.is_zero() { Ok(()) } else { Err(too_many(wait)) }
}

pub(super) fn most(limits: &[Limit]) -> usize {
    limits.iter().map(|limit| limit.most).max().unwrap_or(1)
}
