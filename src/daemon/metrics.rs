//! `/metrics`: what the daemon counts, in Prometheus' text format, on a listener of its own.

use std::sync::OnceLock;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use metrics::gauge;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Starts counting, once a process. Before it, counters count nothing.
pub(super) fn install() {
    RECORDER.get_or_init(|| {
        PrometheusBuilder::new()
            .install_recorder()
            .inspect_err(|error| tracing::warn!(%error, "Metrics are not available"))
            .ok()
    });
}

/// The listener's only page.
pub(super) fn router() -> Router {
    Router::new().route("/metrics", get(render))
}

/// Sets what is measured rather than counted.
pub(super) fn gauges(open_sessions: usize, services: usize) {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    gauge!("dotmac_sessions_open").set(number(open_sessions));
    gauge!("dotmac_services").set(number(services));
}

async fn render() -> impl IntoResponse {
    let text = RECORDER.get().and_then(Option::as_ref).map(PrometheusHandle::render).unwrap_or_default();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// One recorder a process: the crate knows no other.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
