use axum::routing::{MethodRouter, get, post};

use super::{ApiState, about, events, exec, executions, health};
use crate::error_code::ErrorCode;

/// One route: the router and its document are both made from this.
pub struct Route {
    /// The method, in lower case.
    pub method: &'static str,
    /// The pattern of the path.
    pub path: &'static str,
    /// Who answers.
    pub handler: fn() -> MethodRouter<ApiState>,
    /// The problems that it can answer with, beside those of every route.
    pub errors: &'static [ErrorCode],
}

/// The problems of every route that is guarded.
pub const COMMON_ERRORS: &[ErrorCode] = &[
    ErrorCode::HostNotAllowed,
    ErrorCode::OriginNotAllowed,
    ErrorCode::Internal,
];

const EXEC_ERRORS: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::InvalidJson,
    ErrorCode::LimitTooLarge,
    ErrorCode::BodyTooLarge,
    ErrorCode::CodeTooLarge,
    ErrorCode::UnsupportedMediaType,
    ErrorCode::IdempotencyConflict,
    ErrorCode::QueueFull,
    ErrorCode::Draining,
    ErrorCode::Unavailable,
];
const ONE_ERRORS: &[ErrorCode] = &[ErrorCode::InvalidRequest, ErrorCode::ExecutionNotFound];

/// All routes of the API.
pub const ROUTES: &[Route] = &[
    Route {
        method: "post",
        path: "/api/exec",
        handler: || post(exec::exec),
        errors: EXEC_ERRORS,
    },
    Route {
        method: "get",
        path: "/api/executions",
        handler: || get(executions::list),
        errors: &[ErrorCode::InvalidRequest],
    },
    Route {
        method: "get",
        path: "/api/executions/{id}",
        handler: || get(executions::get),
        errors: ONE_ERRORS,
    },
    Route {
        method: "get",
        path: "/api/executions/{id}/output",
        handler: || get(executions::output),
        errors: ONE_ERRORS,
    },
    Route {
        method: "get",
        path: "/api/executions/{id}/events",
        handler: || get(events::events),
        errors: ONE_ERRORS,
    },
    Route {
        method: "post",
        path: "/api/executions/{id}/cancel",
        handler: || post(executions::cancel),
        errors: &[ErrorCode::ExecutionNotFound],
    },
    Route {
        method: "get",
        path: "/api/openapi.json",
        handler: || get(about::openapi_json),
        errors: &[],
    },
    Route {
        method: "get",
        path: "/health",
        handler: || get(health::health),
        errors: &[],
    },
    Route {
        method: "get",
        path: "/livez",
        handler: || get(health::livez),
        errors: &[],
    },
    Route {
        method: "get",
        path: "/readyz",
        handler: || get(health::readyz),
        errors: &[],
    },
    Route {
        method: "get",
        path: "/metrics",
        handler: || get(about::metrics_text),
        errors: &[],
    },
    Route {
        method: "get",
        path: "/",
        handler: || get(about::index),
        errors: &[],
    },
];
