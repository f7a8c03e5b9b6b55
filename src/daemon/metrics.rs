//! What the daemon counts: the recorder, its text, and what is measured rather than counted.

use std::sync::OnceLock;

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

/// Everything counted so far, in Prometheus' text format.
pub(super) fn text() -> String {
    RECORDER.get().and_then(Option::as_ref).map(PrometheusHandle::render).unwrap_or_default()
}

/// Sets the gauges.
pub(super) fn gauges(open_sessions: usize, services: usize) {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    gauge!("dotmac_sessions_open").set(number(open_sessions));
    gauge!("dotmac_services").set(number(services));
}

/// One recorder a process: the crate knows no other.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
