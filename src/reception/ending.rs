//! An open session is ended because staff say so.

use jiff::Timestamp;
use serde_json::json;

use super::{Reception, ReceptionError, Unconnected};
use crate::catalogue::audit::{self, Deed};
use crate::domain::audit::Actor;
use crate::domain::ids::SessionId;
use crate::domain::session::CloseReason;
use crate::store::contract::Unit;

/// What ending a session came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was open, and no packet of it passes any more: the kernel has said so.
    Now,
    /// It had ended before.
    Before,
}

/// Why a session was not ended.
#[derive(Debug, thiserror::Error)]
pub enum NotEnded {
    /// It is at a NAS, which this version cannot tell.
    #[error("the session is at another NAS, which this version cannot tell to end it")]
    AtNas,
    /// The gateway did not do it.
    #[error(transparent)]
    Gateway(Unconnected),
    /// There is no such session, or a fault of ours.
    #[error(transparent)]
    Reception(#[from] ReceptionError),
}

impl Reception {
    /// Ends an open session by its id; who did is in the audit log. Safe to repeat.
    ///
    /// # Errors
    /// [`NotEnded`]; the session is open then.
    pub async fn end_session(
        &self,
        reference: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Ended, NotEnded> {
        let kept = self.0.catalogue.logbook.session(reference).await.map_err(ReceptionError::from)?;
        let session = kept.session;
        if session.closed_at.is_some() {
            return Ok(Ended::Before);
        }
        if session.local.is_none() {
            return Err(NotEnded::AtNas);
        }
        self.write_down_end(session.id, actor, now).await?;
        let ended =
            self.close(session.id, CloseReason::Disconnected, now).await.map_err(NotEnded::Gateway)?;
        Ok(if ended { Ended::Now } else { Ended::Before })
    }

    /// The entry comes first: an end without an entry is worse than an entry without an end.
    async fn write_down_end(
        &self,
        id: SessionId,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), ReceptionError> {
        let deed = Deed::made("session.disconnect", id, json!({ "session_id": id }));
        let unit = Unit::once(self.0.entropy.uuid_v7(now)?);
        let unit = audit::record(unit, &self.0.entropy, actor, deed, now)?;
        Ok(self.commit(unit).await?)
    }
}
