//! `/metrics`: a page of text that somebody else writes, on a listener of its own.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

/// The listener's only page, in Prometheus' text format as `text` gives it.
pub fn router(text: fn() -> String) -> Router {
    Router::new().route("/metrics", get(move || page(text)))
}

fn page(text: fn() -> String) -> impl Future<Output = impl IntoResponse> {
    std::future::ready(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text()))
}
