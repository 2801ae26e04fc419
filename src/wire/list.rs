use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ErrorBody;
use super::execution::to_microseconds;
use super::rfc3339;
use crate::service::run::{Execution, ExecutionId, ExecutionList, Status};

/// An execution in a list: everything but result and output.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ExecutionSummary {
    /// Its id.
    pub execution_id: String,
    /// Where it stands.
    pub status: Status,
    /// The size of all that the console printed, in bytes.
    pub output_bytes: u64,
    /// The result or the output is not whole.
    pub truncated: bool,
    /// Why it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
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
}

/// A page of executions, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ExecutionListBody {
    /// The executions.
    pub executions: Vec<ExecutionSummary>,
    /// Given as `cursor`, it gets the next page; missing on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The answer to a request to stop an execution.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schema(example = json!({
    "ok": true,
    "execution_id": "e1-19a2b3c4d5e-00112233445566778899",
    "status": "cancelled"
}))]
pub struct CancelBody {
    /// The request was taken; stopping twice, or after the end, is no error.
    pub ok: bool,
    /// The execution.
    pub execution_id: String,
    /// Where it stands now: `cancelled`, or as it had ended before.
    pub status: Status,
}

impl CancelBody {
    /// The answer for an execution that stands so.
    pub fn new(id: &ExecutionId, status: Status) -> Self {
        Self {
            ok: true,
            execution_id: id.to_string(),
            status,
        }
    }
}

impl From<Execution> for ExecutionSummary {
    fn from(execution: Execution) -> Self {
        Self {
            execution_id: execution.id.to_string(),
            status: execution.status,
            output_bytes: execution.output_bytes_total,
            truncated: execution.result_truncated || execution.output_truncated,
            error: execution.error.map(ErrorBody::from),
            created_at: rfc3339(execution.created_at_ms),
            started_at: execution.started_at_ms.map(rfc3339),
            finished_at: execution.finished_at_ms.map(rfc3339),
            duration_ms: execution.duration_ms.map(to_microseconds),
        }
    }
}

impl From<ExecutionList> for ExecutionListBody {
    fn from(list: ExecutionList) -> Self {
        Self {
            executions: list
                .executions
                .into_iter()
                .map(ExecutionSummary::from)
                .collect(),
            next_cursor: list.next.map(|cursor| cursor.to_string()),
        }
    }
}
