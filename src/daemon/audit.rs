//! Links the audit log's chain, and looks at the whole of it once a day.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::base::health::{Health, Severity, Warning};
use crate::base::jobs::{Job, Outcome, Report};
use crate::people::People;

/// The job.
pub(super) struct LinkAudit {
    pub(super) people: People,
    pub(super) health: Health,
    /// When the whole log was last looked at.
    pub(super) looked_at: Option<Timestamp>,
}

impl Job for LinkAudit {
    fn name(&self) -> &'static str {
        "audit-chain"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn run(&mut self, now: Timestamp) -> Report {
        let linked = match self.people.link_audit(now).await {
            Ok(linked) => linked,
            Err(error) => return Report::new(Outcome::Failed, error.to_string()),
        };
        if linked.more {
            return Report::new(Outcome::Done, "entries linked, more wait").next_in(Duration::ZERO);
        }
        if self.looked_at.is_none_or(|at| now.duration_since(at) >= LOOK_EVERY) {
            self.looked_at = Some(now);
            self.look(now).await;
        }
        match linked.entries {
            0 => Report::new(Outcome::Idle, "every entry has its link"),
            linked => Report::new(Outcome::Done, format!("{linked} entries linked")),
        }
    }
}

impl LinkAudit {
    async fn look(&self, now: Timestamp) {
        match self.people.verify_audit().await {
            Ok(proof) if proof.is_sound() => {
                self.health.clear(BROKEN, "");
            }
            Ok(proof) => drop(
                self.health.raise(Warning {
                    code: BROKEN,
                    severity: Severity::Fail,
                    subject: String::new(),
                    text: format!(
                        "the audit log is not as it was written: {}",
                        proof.faults.first().map_or("", String::as_str)
                    ),
                    remedy:
                        "see GET /api/v1/audit/verify, keep this store for evidence, and restore a backup"
                            .to_owned(),
                    since: now,
                }),
            ),
            Err(error) => tracing::warn!(%error, "The audit log could not be looked at"),
        }
    }
}

const BROKEN: &str = "audit-log-altered";
/// The whole log is read for it.
const LOOK_EVERY: SignedDuration = SignedDuration::from_hours(24);
