//! Every code that a caller can be given, and what each is in HTTP, in gRPC and in MCP.
//!
//! A module's own error type answers `code()`; nothing else decides a status. Codes are part of the
//! public interface: they are never renamed and never change their meaning.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A stable name for what went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// A field, parameter or header has a value that is not accepted.
    InvalidRequest,
    /// The body is not well-formed JSON.
    InvalidJson,
    /// The content type is not one that this route reads.
    UnsupportedMediaType,
    /// The body is over the limit.
    BodyTooLarge,
    /// The source text is over the limit.
    CodeTooLarge,
    /// A limit of the request is over the maximum that the operator allows.
    LimitTooLarge,
    /// No such route.
    NotFound,
    /// No such execution, or it is no longer kept.
    ExecutionNotFound,
    /// The route has no such method.
    MethodNotAllowed,
    /// The reply can't be given in any form that the caller accepts.
    NotAcceptable,
    /// All workers are busy and the queue is full; nothing ran.
    QueueFull,
    /// The idempotency key was used before with another request.
    IdempotencyConflict,
    /// The node is stopping; nothing ran.
    Draining,
    /// No worker process could be had; nothing ran.
    Unavailable,
    /// The `Host` header names none of this server's hosts.
    HostNotAllowed,
    /// The `Origin` header names a page that may not call this server.
    OriginNotAllowed,
    /// A fault of this server.
    Internal,
    /// The script threw, or left a rejection unhandled.
    ScriptError,
    /// The code can't be parsed.
    SyntaxError,
    /// The result is pending and nothing is left that could settle it.
    NeverSettles,
    /// The script used up its stack.
    StackOverflow,
    /// The script's JavaScript heap is over its limit.
    HeapLimit,
    /// The script's ArrayBuffers are over their limit.
    ArrayBufferLimit,
    /// The worker's private memory is over its limit.
    MemoryLimit,
    /// The system had no more memory for the run.
    SystemMemory,
    /// The run reached its deadline.
    Timeout,
    /// The result is over its limit and can't be cut.
    ResultTooLarge,
    /// Rendering the result threw.
    ResultUnrenderable,
    /// The code imports or exports modules.
    ModulesUnsupported,
    /// A caller stopped the execution.
    Cancelled,
    /// The worker process died.
    WorkerCrashed,
    /// What the run changed is over the limit of a session's delta; the session stands where it stood.
    DeltaLimit,
    /// The run touched more pages than may be looked at; the session stands where it stood.
    PagesLimit,
    /// The session would have more separate mappings of memory than allowed; it stands where it stood.
    MappingsLimit,
    /// The session would use more addresses than allowed; it stands where it stood.
    AddressLimit,
    /// The session's page tables would be over their limit; it stands where it stood.
    PageTablesLimit,
    /// What the run changed could not be read from its process; the session stands where it stood.
    CaptureFailed,
    /// The node that ran the execution is gone, and the execution with it.
    ExecutionLost,
    /// No tag has that name.
    TagNotFound,
    /// The value of a tag is over the limit.
    TagTooLarge,
    /// `if_version` names another version than the one there is.
    VersionMismatch,
    /// The cluster has no node of that name.
    NodeNotFound,
    /// This node belongs to no cluster yet; nothing was done.
    NotMember,
    /// The cluster has no leader that this node can reach; nothing was done.
    NoLeader,
    /// The node that ran the execution does not answer.
    NodeUnreachable,
    /// This node lags behind the cluster; nothing was read.
    Lagging,
    /// Too many writes are under way; nothing was written.
    Overloaded,
    /// The write was not confirmed in time: it may have taken effect or not.
    OutcomeUnknown,
    /// This node runs without sessions.
    SessionsOff,
    /// No session has that name.
    SessionNotFound,
    /// A session has that name already.
    SessionExists,
    /// No such heap, or it is not kept any more.
    HeapNotFound,
    /// The session does not stand at the heap that the caller named.
    HeapMismatch,
    /// Another node has taken the session over; nothing is kept of the run.
    SessionMoved,
    /// This node does not have the engine that made the heap, or an operator has closed it.
    EngineUnavailable,
    /// The bytes of a commit are lost or damaged; earlier heaps still open.
    HeapDamaged,
    /// What a run changed could not be kept on enough nodes; nothing is kept of the run.
    NotDurable,
    /// No such task, or it is no longer kept.
    TaskNotFound,
    /// The task has ended, or has not, and so this can't be done to it.
    TaskState,
    /// There are too many tasks, or they come too fast; none was made.
    TooManyTasks,
    /// The disks of the cluster are low: nothing was written, and reads go on.
    DiskFull,
}

impl ErrorCode {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 61] = [
        Self::InvalidRequest,
        Self::InvalidJson,
        Self::UnsupportedMediaType,
        Self::BodyTooLarge,
        Self::CodeTooLarge,
        Self::LimitTooLarge,
        Self::NotFound,
        Self::ExecutionNotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::QueueFull,
        Self::IdempotencyConflict,
        Self::Draining,
        Self::Unavailable,
        Self::HostNotAllowed,
        Self::OriginNotAllowed,
        Self::Internal,
        Self::ScriptError,
        Self::SyntaxError,
        Self::NeverSettles,
        Self::StackOverflow,
        Self::HeapLimit,
        Self::ArrayBufferLimit,
        Self::MemoryLimit,
        Self::SystemMemory,
        Self::Timeout,
        Self::ResultTooLarge,
        Self::ResultUnrenderable,
        Self::ModulesUnsupported,
        Self::Cancelled,
        Self::WorkerCrashed,
        Self::DeltaLimit,
        Self::PagesLimit,
        Self::MappingsLimit,
        Self::AddressLimit,
        Self::PageTablesLimit,
        Self::CaptureFailed,
        Self::ExecutionLost,
        Self::TagNotFound,
        Self::TagTooLarge,
        Self::VersionMismatch,
        Self::NodeNotFound,
        Self::NotMember,
        Self::NoLeader,
        Self::NodeUnreachable,
        Self::Lagging,
        Self::Overloaded,
        Self::OutcomeUnknown,
        Self::SessionsOff,
        Self::SessionNotFound,
        Self::SessionExists,
        Self::HeapNotFound,
        Self::HeapMismatch,
        Self::SessionMoved,
        Self::EngineUnavailable,
        Self::HeapDamaged,
        Self::NotDurable,
        Self::TaskNotFound,
        Self::TaskState,
        Self::TooManyTasks,
        Self::DiskFull,
    ];

    /// The code as callers see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidJson => "invalid_json",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::BodyTooLarge => "body_too_large",
            Self::CodeTooLarge => "code_too_large",
            Self::LimitTooLarge => "limit_too_large",
            Self::NotFound => "not_found",
            Self::ExecutionNotFound => "execution_not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotAcceptable => "not_acceptable",
            Self::QueueFull => "queue_full",
            Self::IdempotencyConflict => "idempotency_conflict",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
            Self::HostNotAllowed => "host_not_allowed",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::Internal => "internal",
            Self::ScriptError => "script_error",
            Self::SyntaxError => "syntax_error",
            Self::NeverSettles => "never_settles",
            Self::StackOverflow => "stack_overflow",
            Self::HeapLimit => "heap_limit",
            Self::ArrayBufferLimit => "array_buffer_limit",
            Self::MemoryLimit => "memory_limit",
            Self::SystemMemory => "system_memory",
            Self::Timeout => "timeout",
            Self::ResultTooLarge => "result_too_large",
            Self::ResultUnrenderable => "result_unrenderable",
            Self::ModulesUnsupported => "modules_unsupported",
            Self::Cancelled => "cancelled",
            Self::WorkerCrashed => "worker_crashed",
            Self::DeltaLimit => "delta_limit",
            Self::PagesLimit => "pages_limit",
            Self::MappingsLimit => "mappings_limit",
            Self::AddressLimit => "address_limit",
            Self::PageTablesLimit => "page_tables_limit",
            Self::CaptureFailed => "capture_failed",
            Self::ExecutionLost => "execution_lost",
            Self::TagNotFound => "tag_not_found",
            Self::TagTooLarge => "tag_too_large",
            Self::VersionMismatch => "version_mismatch",
            Self::NodeNotFound => "node_not_found",
            Self::NotMember => "not_member",
            Self::NoLeader => "no_leader",
            Self::NodeUnreachable => "node_unreachable",
            Self::Lagging => "lagging",
            Self::Overloaded => "overloaded",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::SessionsOff => "sessions_off",
            Self::SessionNotFound => "session_not_found",
            Self::SessionExists => "session_exists",
            Self::HeapNotFound => "heap_not_found",
            Self::HeapMismatch => "heap_mismatch",
            Self::SessionMoved => "session_moved",
            Self::EngineUnavailable => "engine_unavailable",
            Self::HeapDamaged => "heap_damaged",
            Self::NotDurable => "not_durable",
            Self::TaskNotFound => "task_not_found",
            Self::TaskState => "task_state",
            Self::TooManyTasks => "too_many_tasks",
            Self::DiskFull => "disk_full",
        }
    }

    /// One short sentence that is the same each time, without the facts of the case.
    pub fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is not valid",
            Self::InvalidJson => "The body is not well-formed JSON",
            Self::UnsupportedMediaType => "The content type is not supported",
            Self::BodyTooLarge => "The body is too large",
            Self::CodeTooLarge => "The code is too large",
            Self::LimitTooLarge => "A limit is over its maximum",
            Self::NotFound => "There is no such route",
            Self::ExecutionNotFound => "There is no such execution",
            Self::MethodNotAllowed => "The route has no such method",
            Self::NotAcceptable => "No acceptable form of the reply",
            Self::QueueFull => "The queue is full",
            Self::IdempotencyConflict => "The idempotency key belongs to another request",
            Self::Draining => "The node is stopping",
            Self::Unavailable => "No worker process could be had",
            Self::HostNotAllowed => "The host is not allowed",
            Self::OriginNotAllowed => "The origin is not allowed",
            Self::Internal => "The server failed",
            Self::ScriptError => "The script failed",
            Self::SyntaxError => "The code can't be parsed",
            Self::NeverSettles => "The result never settles",
            Self::StackOverflow => "The stack is used up",
            Self::HeapLimit => "The JavaScript heap is over its limit",
            Self::ArrayBufferLimit => "The ArrayBuffers are over their limit",
            Self::MemoryLimit => "The worker's memory is over its limit",
            Self::SystemMemory => "The system is out of memory",
            Self::Timeout => "The run reached its deadline",
            Self::ResultTooLarge => "The result is too large",
            Self::ResultUnrenderable => "The result can't be rendered",
            Self::ModulesUnsupported => "Modules are not supported",
            Self::Cancelled => "The execution was cancelled",
            Self::WorkerCrashed => "The worker process died",
            Self::DeltaLimit => "What the run changed is over its limit",
            Self::PagesLimit => "The run touched too many pages",
            Self::MappingsLimit => "The session has too many mappings",
            Self::AddressLimit => "The session uses too many addresses",
            Self::PageTablesLimit => "The session's page tables are over their limit",
            Self::CaptureFailed => "What the run changed can't be kept",
            Self::ExecutionLost => "The execution is lost with its node",
            Self::TagNotFound => "There is no such tag",
            Self::TagTooLarge => "The value is too large",
            Self::VersionMismatch => "The tag has another version",
            Self::NodeNotFound => "There is no such node",
            Self::NotMember => "The node belongs to no cluster yet",
            Self::NoLeader => "The cluster has no leader",
            Self::NodeUnreachable => "A node does not answer",
            Self::Lagging => "The node lags behind the cluster",
            Self::Overloaded => "Too many writes are under way",
            Self::OutcomeUnknown => "The write was not confirmed in time",
            Self::SessionsOff => "This node has no sessions",
            Self::SessionNotFound => "There is no such session",
            Self::SessionExists => "There is such a session already",
            Self::HeapNotFound => "There is no such heap",
            Self::HeapMismatch => "The session stands at another heap",
            Self::SessionMoved => "Another node has taken the session over",
            Self::EngineUnavailable => "The heap's engine is not available",
            Self::HeapDamaged => "The heap can't be restored",
            Self::NotDurable => "What the run changed could not be kept",
            Self::TaskNotFound => "There is no such task",
            Self::TaskState => "The task does not stand so that this could be done",
            Self::TooManyTasks => "There are too many tasks",
            Self::DiskFull => "There is too little room on the disks",
        }
    }

    /// The status of an HTTP reply that is this error.
    ///
    /// The errors of an execution are inside a 200: the request was served, the script failed.
    pub fn http_status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::InvalidJson | Self::LimitTooLarge => 400,
            Self::HostNotAllowed | Self::OriginNotAllowed => 403,
            Self::NotFound
            | Self::ExecutionNotFound
            | Self::TagNotFound
            | Self::NodeNotFound
            | Self::SessionNotFound
            | Self::TaskNotFound
            | Self::HeapNotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::VersionMismatch
            | Self::SessionsOff
            | Self::SessionExists
            | Self::HeapMismatch
            | Self::TaskState
            | Self::EngineUnavailable => 409,
            Self::ExecutionLost => 410,
            Self::BodyTooLarge | Self::CodeTooLarge | Self::TagTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::IdempotencyConflict => 422,
            Self::QueueFull | Self::Overloaded | Self::TooManyTasks => 429,
            Self::Internal | Self::HeapDamaged => 500,
            Self::DiskFull => 507,
            Self::Draining
            | Self::Unavailable
            | Self::NotMember
            | Self::NoLeader
            | Self::NodeUnreachable
            | Self::Lagging
            | Self::SessionMoved
            | Self::NotDurable => 503,
            Self::OutcomeUnknown => 504,
            Self::ScriptError
            | Self::SyntaxError
            | Self::NeverSettles
            | Self::StackOverflow
            | Self::HeapLimit
            | Self::ArrayBufferLimit
            | Self::MemoryLimit
            | Self::SystemMemory
            | Self::Timeout
            | Self::ResultTooLarge
            | Self::ResultUnrenderable
            | Self::ModulesUnsupported
            | Self::Cancelled
            | Self::WorkerCrashed
            | Self::DeltaLimit
            | Self::PagesLimit
            | Self::MappingsLimit
            | Self::AddressLimit
            | Self::PageTablesLimit
            | Self::CaptureFailed => 200,
        }
    }

    /// The code of a gRPC status: that of the HTTP status.
    pub fn grpc_code(self) -> tonic::Code {
        match self.http_status() {
            400 | 413 => tonic::Code::InvalidArgument,
            403 => tonic::Code::PermissionDenied,
            404 | 410 => tonic::Code::NotFound,
            409 => tonic::Code::Aborted,
            429 | 507 => tonic::Code::ResourceExhausted,
            503 => tonic::Code::Unavailable,
            504 => tonic::Code::DeadlineExceeded,
            _ => tonic::Code::Internal,
        }
    }

    /// The code of a JSON-RPC error, where MCP has no tool result to put the error in.
    pub fn json_rpc_code(self) -> i64 {
        match self {
            Self::InvalidJson => -32700,
            Self::MethodNotAllowed | Self::NotFound => -32601,
            Self::InvalidRequest
            | Self::LimitTooLarge
            | Self::CodeTooLarge
            | Self::BodyTooLarge
            | Self::UnsupportedMediaType
            | Self::IdempotencyConflict
            | Self::ExecutionNotFound
            | Self::ExecutionLost
            | Self::SessionsOff
            | Self::SessionNotFound
            | Self::SessionExists
            | Self::HeapNotFound
            | Self::HeapMismatch
            | Self::TaskNotFound
            | Self::TaskState => -32602,
            _ => -32603,
        }
    }

    /// The same request may well succeed a little later, and repeating it does no harm: nothing ran, nothing was written.
    pub fn retryable(self) -> bool {
        matches!(self.http_status(), 429 | 503)
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_is_as_str() {
        for (position, code) in ErrorCode::ALL.into_iter().enumerate() {
            assert_eq!(
                code as usize, position,
                "{code} is not where it stands in the enum"
            );
            let json = serde_json::to_string(&code).expect("a plain enum");
            assert_eq!(json, format!("\"{}\"", code.as_str()));
        }
        assert_eq!(ErrorCode::DiskFull as usize + 1, ErrorCode::ALL.len());
    }

    #[test]
    fn errors_of_a_script_are_no_errors_of_the_request() {
        for code in ErrorCode::ALL {
            let status = code.http_status();
            assert!(
                status == 200 || (400..=599).contains(&status),
                "{code} is {status}"
            );
            let grpc = code.grpc_code();
            assert_eq!(grpc == tonic::Code::Unavailable, status == 503, "{code}");
        }
        assert_eq!(ErrorCode::ScriptError.http_status(), 200);
        assert_eq!(ErrorCode::QueueFull.http_status(), 429);
    }
}
