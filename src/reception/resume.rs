//! Devices that were offline for want of money go online once it has come, whoever brought it and wherever: a
//! webhook in the night needs nobody to look at a page.
//!
//! The one rule: only a device that was online under the service before, or whose owner logged in from it, is brought
//! back, and only for as long as it may be expected to be here still.

use jiff::{SignedDuration, Timestamp};

use super::{Reception, Unconnected};
use crate::domain::device::{Device, WaitingDevice};
use crate::domain::entitlement::Access as Reach;
use crate::domain::refusal::Refusal;
use crate::store::contract::{CommitError, Page, Range, ReadError, Record, Unit};
use crate::store::tables::waiting::WaitingDevices;

/// What one look came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resumed {
    /// Devices that went online.
    pub online: usize,
    /// Devices that wait on.
    pub waiting: usize,
    /// Devices that are not waited for any more.
    pub forgotten: usize,
}

/// Why a look ended early: ours.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The store could not read.
    #[error("the devices that wait could not be read")]
    Read(#[from] ReadError),
    /// The store did not take a change.
    #[error("a device that waited could not be written down")]
    Commit(#[from] CommitError),
}

impl Reception {
    /// Brings every waiting device online whose service may be now. Safe to repeat and to kill.
    ///
    /// # Errors
    /// [`ResumeError`]; who went online before stays so.
    pub async fn resume(&self, now: Timestamp) -> Result<Resumed, ResumeError> {
        let mut resumed = Resumed::default();
        let mut page = Page::first(WAITING_AT_ONCE);
        loop {
            let slice = self.0.store.scan::<WaitingDevices>(Range::All, page.clone()).await?;
            for record in slice.records {
                self.resume_one(record, now, &mut resumed).await?;
            }
            let Some(next) = slice.next else { return Ok(resumed) };
            page.after = Some(next);
        }
    }

    async fn resume_one(
        &self,
        record: Record<WaitingDevices>,
        now: Timestamp,
        resumed: &mut Resumed,
    ) -> Result<(), ResumeError> {
        let waiting = &record.body;
        if now.duration_since(waiting.since) > WAITED_FOR {
            resumed.forgotten = resumed.forgotten.saturating_add(1);
            return self.forget(&record).await;
        }
        let access = &self.0.access;
        let login = access.snapshot().service(waiting.service_id);
        let may = login
            .is_some_and(|login| access.entitlement(&login, now).is_ok_and(|yes| yes.access == Reach::Full));
        if !may {
            resumed.waiting = resumed.waiting.saturating_add(1);
            return Ok(());
        }
        let Some(device) = self.where_it_is(waiting) else {
            resumed.waiting = resumed.waiting.saturating_add(1);
            return Ok(());
        };
        match self.connect(waiting.subscriber_id, &device, now).await {
            Ok(_) => {
                resumed.online = resumed.online.saturating_add(1);
                self.forget(&record).await
            }
            Err(error @ (Unconnected::Store(_) | Unconnected::NotCarriedOut(_))) => {
                tracing::warn!(%error, "A device whose service was paid could not be let in yet");
                resumed.waiting = resumed.waiting.saturating_add(1);
                Ok(())
            }
            Err(Unconnected::NotHere | Unconnected::NoService | Unconnected::Refused(_)) => {
                resumed.forgotten = resumed.forgotten.saturating_add(1);
                self.forget(&record).await
            }
        }
    }

    /// The device with an address that it speaks from; one that the session did not know is asked of the kernel.
    fn where_it_is(&self, waiting: &WaitingDevice) -> Option<Device> {
        let device = waiting.device();
        if !device.address.is_unspecified() {
            return Some(device);
        }
        let address = self.0.enforcer.as_ref()?.addresses_of(&device).into_iter().next()?;
        Some(Device { address, ..device })
    }

    async fn forget(&self, record: &Record<WaitingDevices>) -> Result<(), ResumeError> {
        self.0.store.commit(Unit::natural().delete::<WaitingDevices>(&record.key)).await?;
        Ok(())
    }

    /// Remembers a device whose owner has just logged in and was refused for want of money.
    pub(super) async fn wait_for_money(&self, waiting: WaitingDevice, refusal: Refusal) {
        if !refusal.money_helps() {
            return;
        }
        let key = waiting.device().key();
        let known = self.0.store.get::<WaitingDevices>(&key).await;
        let is_known = known.is_ok_and(|known| {
            known.is_some_and(|known| {
                known.body.service_id == waiting.service_id
                    && waiting.since.duration_since(known.body.since) < FRESH
            })
        });
        if is_known {
            return;
        }
        let noted = match Unit::natural().put::<WaitingDevices>(&key, &waiting) {
            Ok(unit) => self.0.store.commit(unit).await.map(|_| ()),
            Err(error) => Err(error),
        };
        if let Err(error) = noted {
            // The page brings it online as well, once its owner comes back to it.
            tracing::warn!(%error, "A device that waits for money could not be written down");
        }
    }
}

/// A device that waits under a service.
pub(super) fn waiting(
    device: &Device,
    service: &crate::domain::service::Service,
    now: Timestamp,
) -> WaitingDevice {
    WaitingDevice {
        service_id: service.id,
        subscriber_id: service.subscriber_id,
        interface: device.interface.clone(),
        mac: device.mac,
        address: device.address,
        since: now,
    }
}

/// How long a device is waited for: who pays the next day logs in again.
const WAITED_FOR: SignedDuration = SignedDuration::from_hours(24);
/// A record this young is not written again at each try.
const FRESH: SignedDuration = SignedDuration::from_mins(10);
/// Devices read in one go.
const WAITING_AT_ONCE: usize = 500;
