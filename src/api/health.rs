use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::readiness::NodeState;
use super::{ApiState, Problem, body};
use crate::config::Bound;

/// How this node is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "status": "ok",
    "service": "mcp-v8",
    "version": "0.1.0",
    "transport": "http",
    "capabilities": {"mcp": true}
}))]
pub struct HealthBody {
    /// `ok`, or why requests should go elsewhere.
    status: NodeState,
    /// Always `mcp-v8`.
    service: &'static str,
    /// The program's version.
    version: &'static str,
    /// How it is reached.
    transport: &'static str,
    /// What it offers.
    capabilities: Capabilities,
    /// With `verbose`: the layers of the sandbox around each run.
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox: Option<Sandbox>,
    /// With `verbose`: what a request gets by default, and what it may ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Limits>,
    /// With `verbose`: the figures of this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    executions: Option<Executions>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Capabilities {
    /// MCP, at `/mcp`.
    mcp: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct Sandbox {
    /// `require`, `auto` or `off`.
    mode: &'static str,
    v8_version: String,
    /// The version of the frames between node and worker.
    protocol_version: u32,
    layers: Vec<Layer>,
}

/// One layer of the sandbox around each run.
#[derive(Debug, Serialize, ToSchema)]
struct Layer {
    name: String,
    active: bool,
    /// A version, a count, or why it is not active.
    detail: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Executions {
    queued: usize,
    running: usize,
    /// Executions that can be asked for.
    kept: usize,
    kept_bytes: u64,
    /// Processes forked ahead.
    workers_ready: usize,
    /// Processes that run code.
    workers_running: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    zygote_pid: Option<i32>,
    zygote_starts: u64,
}

/// What a request gets by default, and what it may ask for.
#[derive(Debug, Serialize, ToSchema)]
struct Limits {
    runs_max: usize,
    runs_ready: usize,
    queue_max: usize,
    code_bytes_max: u64,
    body_bytes_max: u64,
    timeout_ms: Range,
    heap_mb: Range,
    array_buffer_mb: Range,
    memory_mb: Range,
    stack_kb: Range,
    result_bytes: Range,
    output_bytes: Range,
}

#[derive(Debug, Serialize, ToSchema)]
struct Range {
    default: u64,
    max: u64,
}

impl From<Bound> for Range {
    fn from(bound: Bound) -> Self {
        Self {
            default: bound.default,
            max: bound.max,
        }
    }
}

/// How much to tell.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HealthQuery {
    /// Tells versions, sandbox layers, limits and figures too.
    #[param(allow_reserved, example = "")]
    verbose: Option<String>,
}

/// Health.
///
/// 200 while the node takes requests; 503 while it starts, has no leader, is drained or stops.
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "health",
    tag = "operations",
    params(HealthQuery),
    responses(
        (status = 200, description = "It takes requests", body = HealthBody),
        (status = 503, description = "It takes none; `status` says why", body = HealthBody),
    )
)]
pub async fn health(State(state): State<ApiState>, uri: Uri) -> Result<Response, Problem> {
    let query: HealthQuery = body::query(&uri)?;
    let verbose = query
        .verbose
        .is_some_and(|value| !matches!(value.as_str(), "false" | "0"));
    let status = state.ready.get();
    let body = HealthBody {
        status,
        service: "mcp-v8",
        version: env!("CARGO_PKG_VERSION"),
        transport: match state.config.http.http_port {
            Some(_) => "http",
            None => "sse",
        },
        capabilities: Capabilities { mcp: true },
        sandbox: verbose.then(|| sandbox(&state)),
        limits: verbose.then(|| limits(&state)),
        executions: verbose.then(|| executions(&state)),
    };
    Ok((http_status(status), Json(body)).into_response())
}

/// Alive.
///
/// 200 as long as the process answers at all: restart it when this fails, not when `/readyz` does.
#[utoipa::path(
    get,
    path = "/livez",
    operation_id = "livez",
    tag = "operations",
    responses((status = 200, description = "Alive", body = String, content_type = "text/plain"))
)]
pub async fn livez() -> &'static str {
    "ok\n"
}

/// Ready.
///
/// Send requests here only while this is a 200.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "operations",
    responses(
        (status = 200, description = "Ready", body = String, content_type = "text/plain"),
        (status = 503, description = "Why it is not: `starting`, `no_leader` or `draining`", body = String,
            content_type = "text/plain"),
    )
)]
pub async fn readyz(State(state): State<ApiState>) -> (StatusCode, String) {
    let status = state.ready.get();
    (http_status(status), format!("{}\n", status.as_str()))
}

fn http_status(status: NodeState) -> StatusCode {
    match status {
        NodeState::Ok => StatusCode::OK,
        NodeState::Starting | NodeState::NoLeader | NodeState::Draining => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

fn sandbox(state: &ApiState) -> Sandbox {
    let report = state.workers.sandbox_report();
    let layers = report.layers.iter().map(|layer| Layer {
        name: layer.name.clone(),
        active: layer.active,
        detail: layer.detail.clone(),
    });
    Sandbox {
        mode: report.mode.as_str(),
        v8_version: report.v8_version.clone(),
        protocol_version: worker_protocol::PROTOCOL_VERSION,
        layers: layers.collect(),
    }
}

fn limits(state: &ApiState) -> Limits {
    let run = &state.config.run;
    Limits {
        runs_max: run.runs_max,
        runs_ready: run.runs_ready,
        queue_max: run.queue_max,
        code_bytes_max: run.code_bytes_max,
        body_bytes_max: state.config.http.body_bytes_max as u64,
        timeout_ms: run.timeout_ms.into(),
        heap_mb: run.heap_mb.into(),
        array_buffer_mb: run.array_buffer_mb.into(),
        memory_mb: run.memory_mb.into(),
        stack_kb: run.stack_kb.into(),
        result_bytes: run.result_bytes.into(),
        output_bytes: run.output_bytes.into(),
    }
}

fn executions(state: &ApiState) -> Executions {
    let runs = state.executions.runs().stats();
    let workers = state.workers.stats();
    Executions {
        queued: runs.queued,
        running: runs.running,
        kept: runs.kept,
        kept_bytes: runs.kept_bytes,
        workers_ready: workers.ready,
        workers_running: workers.running,
        zygote_pid: workers.zygote_pid,
        zygote_starts: workers.zygote_starts,
    }
}
