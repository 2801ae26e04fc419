use axum::routing::{MethodRouter, delete, get, post, put};

use super::{ApiState, about, events, exec, executions, health, sessions, tags, tasks};
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
    ErrorCode::NotMember,
    ErrorCode::SessionsOff,
    ErrorCode::HeapNotFound,
    ErrorCode::SessionMoved,
    ErrorCode::EngineUnavailable,
    ErrorCode::HeapDamaged,
    ErrorCode::NotDurable,
    ErrorCode::NodeUnreachable,
    ErrorCode::NoLeader,
    ErrorCode::Lagging,
    ErrorCode::Overloaded,
    ErrorCode::DiskFull,
    ErrorCode::OutcomeUnknown,
];
const SESSION_READ_ERRORS: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::SessionsOff,
    ErrorCode::SessionNotFound,
    ErrorCode::HeapNotFound,
    ErrorCode::HeapDamaged,
    ErrorCode::NotMember,
    ErrorCode::NoLeader,
    ErrorCode::Lagging,
];
const SESSION_DIFF_ERRORS: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::SessionsOff,
    ErrorCode::SessionNotFound,
    ErrorCode::HeapNotFound,
    ErrorCode::HeapDamaged,
    ErrorCode::EngineUnavailable,
    ErrorCode::Unavailable,
    ErrorCode::QueueFull,
    ErrorCode::NotMember,
    ErrorCode::NoLeader,
    ErrorCode::Lagging,
];
const SESSION_WRITE_ERRORS: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::InvalidJson,
    ErrorCode::BodyTooLarge,
    ErrorCode::SessionsOff,
    ErrorCode::SessionNotFound,
    ErrorCode::SessionExists,
    ErrorCode::HeapNotFound,
    ErrorCode::HeapMismatch,
    ErrorCode::EngineUnavailable,
    ErrorCode::NotMember,
    ErrorCode::NoLeader,
    ErrorCode::Lagging,
    ErrorCode::Overloaded,
    ErrorCode::DiskFull,
    ErrorCode::OutcomeUnknown,
];
const SESSION_IMPORT_ERRORS: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::SessionsOff,
    ErrorCode::SessionExists,
    ErrorCode::EngineUnavailable,
    ErrorCode::NotDurable,
    ErrorCode::Unavailable,
    ErrorCode::NotMember,
    ErrorCode::NoLeader,
    ErrorCode::Lagging,
    ErrorCode::Overloaded,
    ErrorCode::DiskFull,
    ErrorCode::OutcomeUnknown,
];
const ONE_ERRORS: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::ExecutionNotFound,
    ErrorCode::ExecutionLost,
    ErrorCode::NodeUnreachable,
    ErrorCode::NotMember,
];
const TAG_READ_ERRORS: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::NotMember,
    ErrorCode::NoLeader,
    ErrorCode::Lagging,
];
const TAG_DELETE_ERRORS: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::TagNotFound,
    ErrorCode::VersionMismatch,
    ErrorCode::NotMember,
    ErrorCode::NoLeader,
    ErrorCode::Overloaded,
    ErrorCode::DiskFull,
    ErrorCode::OutcomeUnknown,
];
const TAG_PUT_ERRORS: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::InvalidJson,
    ErrorCode::BodyTooLarge,
    ErrorCode::TagTooLarge,
    ErrorCode::VersionMismatch,
    ErrorCode::NotMember,
    ErrorCode::NoLeader,
    ErrorCode::Overloaded,
    ErrorCode::DiskFull,
    ErrorCode::OutcomeUnknown,
];

const TASK_CREATE_ERRORS: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::InvalidJson,
    ErrorCode::LimitTooLarge,
    ErrorCode::BodyTooLarge,
    ErrorCode::CodeTooLarge,
    ErrorCode::IdempotencyConflict,
    ErrorCode::TooManyTasks,
    ErrorCode::SessionsOff,
    ErrorCode::NotDurable,
    ErrorCode::NotMember,
    ErrorCode::NoLeader,
    ErrorCode::Lagging,
    ErrorCode::Overloaded,
    ErrorCode::DiskFull,
    ErrorCode::OutcomeUnknown,
];
const TASK_READ_ERRORS: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::TaskNotFound,
    ErrorCode::NotDurable,
    ErrorCode::NotMember,
    ErrorCode::NoLeader,
    ErrorCode::Lagging,
];
const TASK_WRITE_ERRORS: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::TaskNotFound,
    ErrorCode::TaskState,
    ErrorCode::NotMember,
    ErrorCode::NoLeader,
    ErrorCode::Lagging,
    ErrorCode::Overloaded,
    ErrorCode::DiskFull,
    ErrorCode::OutcomeUnknown,
];

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
        errors: &[
            ErrorCode::InvalidRequest,
            ErrorCode::NodeNotFound,
            ErrorCode::NodeUnreachable,
        ],
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
        errors: ONE_ERRORS,
    },
    Route {
        method: "get",
        path: "/api/sessions",
        handler: || get(sessions::list),
        errors: SESSION_READ_ERRORS,
    },
    Route {
        method: "post",
        path: "/api/sessions",
        handler: || post(sessions::create),
        errors: SESSION_WRITE_ERRORS,
    },
    Route {
        method: "get",
        path: "/api/sessions/{name}",
        handler: || get(sessions::get),
        errors: SESSION_READ_ERRORS,
    },
    Route {
        method: "delete",
        path: "/api/sessions/{name}",
        handler: || delete(sessions::delete),
        errors: SESSION_WRITE_ERRORS,
    },
    Route {
        method: "get",
        path: "/api/sessions/{name}/log",
        handler: || get(sessions::log),
        errors: SESSION_READ_ERRORS,
    },
    Route {
        method: "get",
        path: "/api/sessions/{name}/diff",
        handler: || get(sessions::diff),
        errors: SESSION_DIFF_ERRORS,
    },
    Route {
        method: "post",
        path: "/api/sessions/{name}/reset",
        handler: || post(sessions::reset),
        errors: SESSION_WRITE_ERRORS,
    },
    Route {
        method: "post",
        path: "/api/sessions/{name}/rename",
        handler: || post(sessions::rename),
        errors: SESSION_WRITE_ERRORS,
    },
    Route {
        method: "get",
        path: "/api/sessions/{name}/export",
        handler: || get(sessions::export),
        errors: SESSION_READ_ERRORS,
    },
    Route {
        method: "post",
        path: "/api/sessions/{name}/import",
        handler: || post(sessions::import),
        errors: SESSION_IMPORT_ERRORS,
    },
    Route {
        method: "post",
        path: "/api/tasks",
        handler: || post(tasks::create),
        errors: TASK_CREATE_ERRORS,
    },
    Route {
        method: "get",
        path: "/api/tasks",
        handler: || get(tasks::list),
        errors: TASK_READ_ERRORS,
    },
    Route {
        method: "get",
        path: "/api/tasks/{id}",
        handler: || get(tasks::get),
        errors: TASK_READ_ERRORS,
    },
    Route {
        method: "delete",
        path: "/api/tasks/{id}",
        handler: || delete(tasks::delete),
        errors: TASK_WRITE_ERRORS,
    },
    Route {
        method: "get",
        path: "/api/tasks/{id}/log",
        handler: || get(tasks::log),
        errors: &[
            ErrorCode::InvalidRequest,
            ErrorCode::TaskNotFound,
            ErrorCode::ExecutionNotFound,
            ErrorCode::ExecutionLost,
            ErrorCode::NodeUnreachable,
            ErrorCode::NotMember,
            ErrorCode::NoLeader,
            ErrorCode::Lagging,
        ],
    },
    Route {
        method: "post",
        path: "/api/tasks/{id}/cancel",
        handler: || post(tasks::cancel),
        errors: TASK_WRITE_ERRORS,
    },
    Route {
        method: "get",
        path: "/api/tags",
        handler: || get(tags::list),
        errors: TAG_READ_ERRORS,
    },
    Route {
        method: "get",
        path: "/api/tags/{name}",
        handler: || get(tags::get),
        errors: &[
            ErrorCode::InvalidRequest,
            ErrorCode::TagNotFound,
            ErrorCode::NotMember,
            ErrorCode::NoLeader,
            ErrorCode::Lagging,
        ],
    },
    Route {
        method: "put",
        path: "/api/tags/{name}",
        handler: || put(tags::put),
        errors: TAG_PUT_ERRORS,
    },
    Route {
        method: "delete",
        path: "/api/tags/{name}",
        handler: || delete(tags::delete),
        errors: TAG_DELETE_ERRORS,
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
