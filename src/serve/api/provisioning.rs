//! How far a customer's services are on their way, over HTTP.
//!
//! The one rule: progress is what tasks and services say at this moment; nothing is estimated.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::app::App;
use super::call::{Call, Caller};
use super::error::{ApiError, Code};
use super::route::{Access, Route};
use super::services::ServiceView;
use super::shape::Answer;
use crate::catalogue::directory::ProvisioningStatus;
use crate::catalogue::fault::Fault;
use crate::domain::provisioning::ProvisioningTask;
use crate::domain::role::Permission;

/// The routes of provisioning.
#[must_use]
pub fn routes() -> Vec<Route> {
    let path = "/api/v1/provisioning/status/{customer_id}";
    let summary = "How far a signup or a customer's services are; in short for who has the id alone";
    vec![Route::get(path, Access::Public, summary, status).answers::<StatusView>(200).on_portal()]
}

/// How far a customer's services are.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusView {
    /// Whose.
    pub customer_id: String,
    /// `none`, `pending`, `provisioning`, `failed`, `ready`.
    pub status: &'static str,
    /// 0 to 100, the mean over the services.
    pub progress_percentage: u64,
    /// The same in a sentence.
    pub status_message: String,
    /// The services, oldest first.
    pub services: Vec<ServiceView>,
    /// The latest task of each, newest first.
    pub tasks: Vec<TaskView>,
}

/// The same for who has the id alone: nothing says whose it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct BriefView {
    /// As it was asked for.
    pub customer_id: String,
    /// `pending_confirmation`, `expired`, or as of [`StatusView`].
    pub status: &'static str,
    /// 0 to 100.
    pub progress_percentage: u64,
    /// The same in a sentence.
    pub status_message: &'static str,
}

/// A provisioning task as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskView {
    /// Identity.
    pub id: String,
    /// Which service.
    pub service_id: String,
    /// How far it is.
    pub status: &'static str,
    /// 0 to 100.
    pub progress_percentage: u8,
    /// What it waits for, or why it failed.
    pub detail: Option<String>,
    /// When it was asked for.
    pub created_at: String,
    /// When it last moved.
    pub updated_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
}

impl TaskView {
    /// The view of a task.
    #[must_use]
    pub fn of(task: &ProvisioningTask) -> Self {
        Self {
            id: task.id.to_string(),
            service_id: task.service_id.to_string(),
            status: task.state.name(),
            progress_percentage: task.state.percent(),
            detail: task.detail.clone(),
            created_at: task.created_at.to_string(),
            updated_at: task.updated_at.to_string(),
            ended_at: task.ended_at.map(|at| at.to_string()),
        }
    }
}

impl StatusView {
    fn of(status: &ProvisioningStatus) -> Self {
        Self {
            customer_id: status.customer.subscriber.id.to_string(),
            status: status.word(),
            progress_percentage: status.percent(),
            status_message: status.message(),
            services: status.customer.services.iter().map(ServiceView::of).collect(),
            tasks: status.tasks.iter().map(TaskView::of).collect(),
        }
    }
}

impl StatusView {
    /// What staff wrote about a lock is for staff.
    fn without_notes(mut self) -> Self {
        self.services.iter_mut().for_each(|service| service.locks.clear());
        self
    }
}

async fn status(app: App, call: Call) -> Result<Answer, ApiError> {
    let reference = call.parameters.get("customer_id").map_or("", String::as_str);
    let id: Option<Uuid> = reference.parse().ok();
    if call.caller.may(Permission::ServicesRead) {
        let kept = app.catalogue.directory.provisioning(reference, call.now).await;
        return match (kept, id) {
            // Staff may have the id of a signup too.
            (Err(Fault::NotFound { .. }), Some(id)) => brief(&app, &call, id).await,
            (kept, _) => Ok(Answer::ok(&StatusView::of(&kept?))),
        };
    }
    let Some(id) = id else {
        // Numbers can be counted through; ids cannot.
        return Err(ApiError::new(Code::AuthenticationRequired, "Log in first, or ask by the id."));
    };
    match &call.caller {
        Caller::Customer(visitor) if visitor.subscriber_id.0 == id => {
            let kept = app.catalogue.directory.provisioning(reference, call.now).await?;
            Ok(Answer::ok(&StatusView::of(&kept).without_notes()))
        }
        Caller::Customer(_)
        | Caller::Anonymous
        | Caller::Staff(_)
        | Caller::Program(_)
        | Caller::Console { .. } => brief(&app, &call, id).await,
    }
}

async fn brief(app: &App, call: &Call, id: Uuid) -> Result<Answer, ApiError> {
    let found = app.reception.progress(id, call.now).await?;
    let progress = found.ok_or_else(|| ApiError::not_found("signup or customer"))?;
    Ok(Answer::ok(&BriefView {
        customer_id: progress.id.to_string(),
        status: progress.status,
        progress_percentage: progress.percent,
        status_message: progress.message,
    }))
}
