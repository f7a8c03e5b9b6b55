//! The audit log over HTTP: reading only.
//!
//! Entries are written by use cases, each in the unit of its change. The one rule: nobody writes or
//! removes one here.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::users::rfc3339;
use super::{Access, Answer, ApiError, App, Call, Route};
use crate::domain::audit::AuditEntry;
use crate::domain::role::Permission;
use crate::people::audit::AuditFilter;

/// The routes of the audit log.
#[must_use]
pub fn routes() -> Vec<Route> {
    let access = Access::Staff(Permission::AuditRead);
    vec![
        Route::get("/api/v1/audit", access, "List changes, the newest first", list)
            .query(&["actor", "subject_id", "subject_kind", "action", "since", "until"])
            .lists::<AuditView>(),
        Route::get("/api/v1/audit/verify", access, "Whether the log is as it was written", verify)
            .answers::<ProofView>(200),
    ]
}

/// One change.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditView {
    /// Identity.
    pub id: String,
    /// When.
    pub at: String,
    /// Who: `staff:<id>`, `console:<uid>`, `public`, `system`.
    pub actor: String,
    /// The actor's name at that time.
    pub actor_name: String,
    /// What was done.
    pub action: String,
    /// The kind of thing.
    pub subject_kind: String,
    /// Which.
    pub subject_id: String,
    /// The thing before.
    pub before: Option<Value>,
    /// The thing after.
    pub after: Option<Value>,
    /// Address the request came from.
    pub source: Option<String>,
    /// The request's `X-Request-ID`.
    pub request_id: Option<String>,
    /// Why, in the words of who did it.
    pub why: Option<String>,
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            at: rfc3339(entry.at),
            actor: entry.actor,
            actor_name: entry.actor_name,
            action: entry.action,
            subject_kind: entry.subject_kind,
            subject_id: entry.subject_id,
            before: entry.before,
            after: entry.after,
            source: entry.source,
            request_id: entry.request_id,
            why: entry.why,
        }
    }
}

/// What looking at the whole log found.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProofView {
    /// Whether every entry is as it was written, and none is missing.
    pub sound: bool,
    /// Entries in the chain.
    pub linked: u64,
    /// Entries of the last seconds, which wait for their place.
    pub unlinked: u64,
    /// Place of the last link.
    pub head_seq: u64,
    /// Its hash; noted elsewhere it proves the whole log up to there.
    pub head_hash: String,
    /// What is wrong, each with its entry.
    pub faults: Vec<String>,
}

async fn verify(app: App, _: Call) -> Result<Answer, ApiError> {
    let proof = app.people.verify_audit().await?;
    Ok(Answer::ok(&ProofView {
        sound: proof.is_sound(),
        linked: proof.linked,
        unlinked: proof.unlinked,
        head_seq: proof.head_seq,
        head_hash: proof.head_hash,
        faults: proof.faults,
    }))
}

async fn list(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let filter = AuditFilter {
        actor: call.query("actor"),
        subject_id: call.query("subject_id"),
        subject_kind: call.query("subject_kind"),
        action: call.query("action"),
        since: call.query_as("since")?,
        until: call.query_as("until")?,
    };
    let found = app.people.audit_log(&filter, window.offset, window.limit).await?;
    Ok(Answer::list(found.items.into_iter().map(AuditView::from), found.total, window))
}
