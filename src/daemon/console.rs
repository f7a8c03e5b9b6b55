//! Routes about the daemon itself: what `doctor` asks, and what only a process on this machine may
//! do with the store. Added to the API's table here, since only the wiring knows all parts.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::access::Access;
use crate::base::health::{Health, Severity, Warning};
use crate::base::jobs::{Jobs, Outcome, Status};
use crate::domain::role::Permission;
use crate::enforce::{Enforcer, ForeignChain};
use crate::people::audit_chain;
use crate::serve::api::{Access as Permitted, Answer, ApiError, App, Call, Code, Route};
use crate::store::Store;

/// What the routes look at.
#[derive(Clone)]
pub(super) struct Looked {
    pub(super) store: Store,
    pub(super) access: Arc<Access>,
    pub(super) health: Health,
    pub(super) jobs: Jobs,
    pub(super) enforcer: Option<Enforcer>,
}

/// The routes.
pub(super) fn routes(looked: &Looked) -> Vec<Route> {
    let with = |looked: &Looked| looked.clone();
    let (health, gateway, check, backup) = (with(looked), with(looked), with(looked), with(looked));
    vec![
        Route::get(
            "/api/v1/system/health",
            Permitted::Staff(Permission::SystemRead),
            "What is wrong with the box, and what its jobs do",
            move |_: App, _: Call| std::future::ready(Ok(tell_health(&health))),
        ),
        Route::get(
            "/api/v1/system/gateway",
            Permitted::Staff(Permission::SystemRead),
            "How this box as a gateway is",
            move |_: App, _: Call| std::future::ready(Ok(tell_gateway(&gateway))),
        ),
        Route::post(
            "/api/v1/system/store-check",
            Permitted::ConsoleOnly,
            "Look at every record of the store",
            move |_: App, _: Call| check_store(check.clone()),
        ),
        Route::post(
            "/api/v1/system/backup",
            Permitted::ConsoleOnly,
            "Take a verified backup of the store",
            move |_: App, call: Call| take_backup(backup.clone(), call),
        ),
    ]
}

fn tell_health(looked: &Looked) -> Answer {
    let warnings: Vec<Value> = looked.health.warnings().iter().map(warning).collect();
    let jobs: Vec<Value> = looked.jobs.statuses().iter().map(job).collect();
    Answer::ok(&json!({
        "ready": looked.health.is_ready(),
        "warnings": warnings,
        "jobs": jobs,
        "services": looked.access.snapshot().services(),
        "sessions_open": looked.access.open_sessions(),
        "answers_left_out_of_the_log": looked.access.log().left_out(),
    }))
}

fn tell_gateway(looked: &Looked) -> Answer {
    let Some(enforcer) = &looked.enforcer else { return Answer::ok(&json!({ "enabled": false })) };
    let state = enforcer.state();
    let chain = |chain: &ForeignChain| json!({ "table": chain.table, "chain": chain.chain, "hook": chain.hook, "drops": chain.drops });
    Answer::ok(&json!({
        "enabled": true,
        "looked_at": state.looked_at,
        "admitted": state.admitted,
        "sessions": looked.access.local_sessions(),
        "repairs": state.repairs,
        "foreign": state.foreign.iter().map(chain).collect::<Vec<Value>>(),
        "fault": state.fault,
    }))
}

async fn check_store(looked: Looked) -> Result<Answer, ApiError> {
    let (report, audit) = (looked.store.verify().await?, audit_chain::verify(&looked.store).await?);
    let mut body = json!(report);
    if let Some(body) = body.as_object_mut() {
        body.insert("audit".to_owned(), json!(audit.faults));
        body.insert("audit_chain".to_owned(), json!({ "seq": audit.head_seq, "hash": audit.head_hash }));
    }
    Ok(Answer::ok(&body))
}

async fn take_backup(looked: Looked, call: Call) -> Result<Answer, ApiError> {
    let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let path = body.get("file").and_then(Value::as_str).map(PathBuf::from);
    let Some(path) = path.filter(|path| path.is_absolute()) else {
        return Err(ApiError::field("file", "name the backup's file by its absolute path"));
    };
    match looked.store.backup(path).await {
        Ok(manifest) => Ok(Answer::ok(&json!({ "manifest": manifest }))),
        Err(error) => Err(ApiError::new(Code::RuleViolation, error.to_string())),
    }
}

fn warning(one: &Warning) -> Value {
    json!({
        "code": one.code,
        "subject": one.subject,
        "severity": match one.severity {
            Severity::Warn => "warn",
            Severity::Fail => "fail",
        },
        "text": one.text,
        "remedy": one.remedy,
        "since": one.since,
    })
}

fn job(one: &Status) -> Value {
    let report = one.last_report.as_ref();
    json!({
        "name": one.name,
        "running": one.running,
        "runs": one.runs,
        "failures": one.failures,
        "last_run": one.last_run,
        "last_outcome": report.map(|report| match report.outcome {
            Outcome::Idle => "idle",
            Outcome::Done => "done",
            Outcome::Failed => "failed",
            Outcome::Panicked => "panicked",
        }),
        "last_report": report.map(|report| report.text.clone()),
        "next_due": one.next_due,
    })
}
