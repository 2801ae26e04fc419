use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::{ApiState, openapi};
use crate::metrics;

const INDEX: &str = concat!(
    "mcp-v8 ",
    env!("CARGO_PKG_VERSION"),
    ": runs JavaScript and TypeScript, each run in a sandboxed process of its own\n",
    r#"
  POST /api/exec                      run code: {"code": "1 + 2"}, or the source text itself
  GET  /api/executions                executions that are kept
  GET  /api/executions/{id}           one of them; ?wait=SECONDS waits for its end
  GET  /api/executions/{id}/output    its console output, in parts
  GET  /api/executions/{id}/events    its console output as it is printed (server-sent events)
  POST /api/executions/{id}/cancel    stop it
  GET  /api/tags                      small JSON values that all nodes share; ?prefix=
  GET  /api/tags/{name}               one of them; PUT {"value": …} writes it, DELETE removes it
  GET  /api/openapi.json              all of this for programs (OpenAPI 3.1)
  POST /mcp                           the Model Context Protocol
  GET  /health /livez /readyz /metrics

  curl -X POST localhost:8080/api/exec -H 'Content-Type: application/json' -d '{"code":"1 + 2"}'
"#
);

/// What is here.
#[utoipa::path(
    get,
    path = "/",
    operation_id = "index",
    tag = "operations",
    responses((status = 200, description = "A short text", body = String,
        content_type = "text/plain"))
)]
pub async fn index() -> &'static str {
    INDEX
}

/// This document.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    operation_id = "openapi",
    tag = "operations",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value))
)]
pub async fn openapi_json() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/json")],
        openapi::document_json(),
    )
}

/// Figures.
///
/// In the text format of Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "operations",
    responses((status = 200, description = "All figures", body = String,
        content_type = "text/plain"))
)]
pub async fn metrics_text(State(state): State<ApiState>) -> impl IntoResponse {
    let runs = state.executions.runs().stats();
    metrics::executions_kept(runs.kept, runs.kept_bytes);
    state.tasks.count().await;
    if let Some((status, proposals_open)) = state.executions.cluster_status() {
        metrics::cluster_at(&status, proposals_open);
    }
    let workers = state.workers.stats();
    metrics::workers_at(
        workers.ready,
        workers.running,
        workers.zygote_starts,
        workers.zygote_resident_bytes,
    );
    (
        [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)],
        metrics::encode(),
    )
}
