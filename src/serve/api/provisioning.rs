//! How far a customer's services are on their way, over HTTP.
//!
//! The one rule: progress is what tasks and services say at this moment; nothing is estimated.

use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;
use super::call::Call;
use super::error::ApiError;
use super::route::{Access, Route};
use super::services::ServiceView;
use super::shape::Answer;
use crate::catalogue::directory::ProvisioningStatus;
use crate::domain::provisioning::ProvisioningTask;
use crate::domain::role::Permission;

/// The routes of provisioning.
#[must_use]
pub fn routes() -> Vec<Route> {
    let reading = Access::Staff(Permission::ServicesRead);
    let path = "/api/v1/provisioning/status/{customer_id}";
    vec![Route::get(path, reading, "How far a customer's services are", status).answers::<StatusView>(200)]
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

async fn status(app: App, call: Call) -> Result<Answer, ApiError> {
    let reference = call.parameters.get("customer_id").map_or("", String::as_str);
    let status = app.catalogue.directory.provisioning(reference, call.now).await?;
    Ok(Answer::ok(&StatusView::of(&status)))
}
