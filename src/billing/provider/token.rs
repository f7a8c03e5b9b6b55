//! A token for calls that is asked for once and kept until shortly before its end.

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::wire::CallError;
use crate::base::secret::Secret;

/// The token in force.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Option<(Secret, Timestamp)>>);

impl Kept {
    /// The token, asked for by `ask` where there is none that counts; `ask` gives it with its life in seconds.
    pub(super) async fn get(
        &self,
        now: Timestamp,
        ask: impl Future<Output = Result<(Secret, i64), CallError>>,
    ) -> Result<Secret, CallError> {
        // Held while asking, so that many at once ask once.
        let mut kept = self.0.lock().await;
        if let Some((token, _)) = kept.as_ref().filter(|(_, until)| now < *until) {
            return Ok(token.clone());
        }
        // Without it the call itself was not made.
        let (token, secs) =
            ask.await.map_err(|error| CallError::NotSent(format!("no access token: {error}")))?;
        let life = SignedDuration::from_secs(secs.saturating_sub(MARGIN_SECS).max(0));
        *kept = Some((token.clone(), now.saturating_add(life).unwrap_or(now)));
        Ok(token)
    }

    /// Forgets the token: the provider did not take it.
    pub(super) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

/// A call must end before its token does.
const MARGIN_SECS: i64 = 60;
