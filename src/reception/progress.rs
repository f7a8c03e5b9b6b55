//! How far somebody is who asks by the id of their signup or account alone: a word, a number and a sentence,
//! and nothing that says whose it is.

use jiff::Timestamp;
use uuid::Uuid;

use super::Reception;
use super::visit::ReceptionError;
use crate::catalogue::fault::Fault;
use crate::domain::ids::{SignupId, SubscriberId};
use crate::domain::signup::SignupStage;
use crate::store::tables::Signups;

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// As it was asked for.
    pub id: Uuid,
    /// `pending_confirmation`, `expired`, `none`, `pending`, `provisioning`, `failed`, `ready`.
    pub status: &'static str,
    /// 0 to 100.
    pub percent: u64,
    /// A sentence.
    pub message: &'static str,
}

impl Reception {
    /// How far the signup or the account of that id is; `None` where there is neither. A signup with an
    /// address that is known already looks like any other that waits.
    ///
    /// # Errors
    /// Faults of ours.
    pub async fn progress(&self, id: Uuid, now: Timestamp) -> Result<Option<Progress>, ReceptionError> {
        if let Some(found) = self.progress_of(id, SubscriberId(id), now).await? {
            return Ok(Some(found));
        }
        let Some(record) = self.0.store.get::<Signups>(&SignupId(id)).await? else { return Ok(None) };
        let signup = record.body;
        let waits = |status, message| Some(Progress { id, status, percent: 0, message });
        match (signup.stage(now), signup.known) {
            (SignupStage::Waiting, _) => {
                Ok(waits("pending_confirmation", "The e-mail address waits to be confirmed."))
            }
            (SignupStage::Lapsed, _) => {
                Ok(waits("expired", "The e-mail address was not confirmed in time; please sign up again."))
            }
            (SignupStage::Confirmed, Some(subscriber)) => self.progress_of(id, subscriber, now).await,
            (SignupStage::Confirmed, None) => Ok(None),
        }
    }

    async fn progress_of(
        &self,
        id: Uuid,
        subscriber: SubscriberId,
        now: Timestamp,
    ) -> Result<Option<Progress>, ReceptionError> {
        let found = self.0.catalogue.directory.provisioning(&subscriber.to_string(), now).await;
        let found = match found {
            Err(Fault::NotFound { .. }) => return Ok(None),
            known => known?,
        };
        let status = found.word();
        Ok(Some(Progress { id, status, percent: found.percent(), message: sentence(status) }))
    }
}

fn sentence(status: &str) -> &'static str {
    match status {
        "ready" => "Everything is set up.",
        "none" => "There is no service yet.",
        "pending" => "The service waits for payment or approval.",
        "failed" => "The service could not be set up; please ask your provider.",
        _ => "The service is being set up.",
    }
}
