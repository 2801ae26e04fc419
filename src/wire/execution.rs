use std::borrow::Cow;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::rfc3339;
use crate::error_code::ErrorCode;
use crate::raw_json;
use crate::service::run::{ConsoleLevel, Execution, ExecutionError, Status};

/// One execution: where it stands, and when it has ended, what came of it.
///
/// A script that fails is a finished execution too: its status is not `completed`, and `error` tells
/// why.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schema(example = json!({
    "execution_id": "e1-19a2b3c4d5e-00112233445566778899",
    "status": "completed",
    "result": {"sum": 3},
    "result_text": "{ sum: 3 }",
    "result_truncated": false,
    "output": "hello\n[WARN] careful\n",
    "output_bytes": 21,
    "truncated": false,
    "created_at": "2026-01-02T03:04:05.678Z",
    "started_at": "2026-01-02T03:04:05.678Z",
    "finished_at": "2026-01-02T03:04:05.679Z",
    "duration_ms": 0.431
}))]
pub struct ExecutionBody {
    /// Its id.
    pub execution_id: String,
    /// Where it stands; all but `queued` and `running` are final.
    pub status: Status,
    /// The value of the last expression as JSON; missing when the value has no JSON, such as
    /// `undefined`, a function or a circular object.
    #[serde(default, with = "raw_json", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Value")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub result: Option<Arc<RawValue>>,
    /// What a console would print for the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub result_text: Option<Arc<str>>,
    /// `result` is missing or `result_text` is cut because of the limit `result_bytes`.
    pub result_truncated: bool,
    /// What the console printed, one line each; `[INFO] `, `[WARN] ` or `[ERROR] ` stands before the
    /// text of these levels. When it is over the limit `output_bytes`, its start and its end, with a
    /// line between them that tells how much is missing.
    pub output: String,
    /// The size of all that the console printed, in bytes.
    pub output_bytes: u64,
    /// The result or the output is not whole.
    pub truncated: bool,
    /// Why it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
    /// What the caller should know though it succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// When it was accepted (RFC 3339, UTC).
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When a worker got it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
    /// Its time in the worker, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
    /// The session that it ran in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The heap that it made, by which every later run can begin; or where the session still stands, when
    /// the run was not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heap: Option<String>,
    /// The heap that it began with; missing when it is the first, and when the run was not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// Why an execution did not complete.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schema(example = json!({
    "code": "script_error",
    "name": "TypeError",
    "message": "x is not a function",
    "stack": "TypeError: x is not a function\n    at <script>:2:1",
    "line": 2,
    "column": 1
}))]
pub struct ErrorBody {
    /// A stable code.
    pub code: ErrorCode,
    /// The thrown error's name, or one of the server's.
    pub name: String,
    /// What happened.
    pub message: String,
    /// The stack, in the lines of the code that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// The line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub hint: Option<Cow<'static, str>>,
}

/// One call of the console.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schema(example = json!({"seq": 1, "level": "info", "text": "hello"}))]
pub struct LineBody {
    /// Its number, from 1.
    pub seq: u64,
    /// Its level.
    pub level: LineLevel,
    /// Its text, without prefix and line break.
    pub text: String,
}

/// Console calls that were dropped before this reader came to them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schema(example = json!({"seq": 9000, "dropped": 1200, "dropped_bytes": 81920}))]
pub struct GapBody {
    /// The number of the last one.
    pub seq: u64,
    /// How many.
    pub dropped: u64,
    /// Their bytes, at most.
    pub dropped_bytes: u64,
}

/// The level of a console call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of the console's methods")]
pub enum LineLevel {
    Log,
    Debug,
    Info,
    Warn,
    Error,
}

impl From<ConsoleLevel> for LineLevel {
    fn from(level: ConsoleLevel) -> Self {
        match level {
            ConsoleLevel::Log => Self::Log,
            ConsoleLevel::Debug => Self::Debug,
            ConsoleLevel::Info => Self::Info,
            ConsoleLevel::Warn => Self::Warn,
            ConsoleLevel::Error => Self::Error,
        }
    }
}

impl From<Execution> for ExecutionBody {
    fn from(execution: Execution) -> Self {
        let place = execution.place.unwrap_or_default();
        Self {
            session: place.session,
            heap: place.heap.map(|heap| heap.to_string()),
            parent: place.parent.map(|heap| heap.to_string()),
            execution_id: execution.id.to_string(),
            status: execution.status,
            truncated: execution.result_truncated || execution.output_truncated,
            result: execution.result,
            result_text: execution.result_text,
            result_truncated: execution.result_truncated,
            output: execution.output,
            output_bytes: execution.output_bytes_total,
            error: execution.error.map(ErrorBody::from),
            warnings: execution.warnings,
            created_at: rfc3339(execution.created_at_ms),
            started_at: execution.started_at_ms.map(rfc3339),
            finished_at: execution.finished_at_ms.map(rfc3339),
            duration_ms: execution.duration_ms.map(to_microseconds),
        }
    }
}

impl From<ExecutionError> for ErrorBody {
    fn from(error: ExecutionError) -> Self {
        Self {
            code: error.code,
            name: error.name,
            message: error.message,
            stack: error.stack,
            line: error.line,
            column: error.column,
            hint: error.hint,
        }
    }
}

/// Milliseconds without the digits that mean nothing.
pub(super) fn to_microseconds(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(json: &str) -> ExecutionBody {
        let text = format!(
            "{{\"execution_id\":\"e\",\"status\":\"completed\",{json}\"result_truncated\":false,\
             \"output\":\"\",\"output_bytes\":0,\"truncated\":false,\"created_at\":\"\"}}"
        );
        let body: ExecutionBody = serde_json::from_str(&text).expect("well formed");
        assert_eq!(serde_json::to_string(&body).expect("serializable"), text);
        body
    }

    #[test]
    fn null_is_a_result_and_missing_is_none() {
        assert_eq!(
            body("\"result\":null,").result.expect("a value").get(),
            "null"
        );
        assert!(body("").result.is_none());
        let raw = "\"result\":{\"b\": 1.50, \"a\":[1e400]},";
        assert_eq!(
            body(raw).result.expect("a value").get(),
            "{\"b\": 1.50, \"a\":[1e400]}"
        );
    }
}
