//! The reply of a run in a session, as it is kept with the commit and given again to a retry.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;

use super::record::Ending;
use super::{Execution, ExecutionError, Status};
use crate::error_code::ErrorCode;
use crate::raw_json;

/// What a caller is told of a run, but for the ids and times of one request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredReply {
    /// How it ended.
    pub status: Status,
    /// The value as JSON.
    #[serde(default, with = "raw_json", skip_serializing_if = "Option::is_none")]
    pub result: Option<Arc<RawValue>>,
    /// What a console would print for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_text: Option<Arc<str>>,
    /// It was cut.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub result_truncated: bool,
    /// The error that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ExecutionError>,
    /// What the caller should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The console's output.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// The size of all of it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub output_bytes: u64,
}

/// The error's name where nothing ran.
const NOT_RUN: &str = "NotRun";

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl StoredReply {
    /// The reply of a run that has ended so, with the output that its execution has.
    pub(super) fn new(ending: &Ending, execution: Execution) -> Self {
        Self {
            status: ending.status,
            result: ending.result.clone(),
            result_text: ending.result_text.clone(),
            result_truncated: ending.result_truncated,
            error: ending.error.clone(),
            warnings: ending.warnings.clone(),
            output: execution.output,
            output_bytes: execution.output_bytes_total,
        }
    }

    /// The reply of an execution that has ended.
    pub fn of(execution: &Execution) -> Self {
        Self {
            status: execution.status,
            result: execution.result.clone(),
            result_text: execution.result_text.clone(),
            result_truncated: execution.result_truncated,
            error: execution.error.clone(),
            warnings: execution.warnings.clone(),
            output: execution.output.clone(),
            output_bytes: execution.output_bytes_total,
        }
    }

    /// The reply of what could not run.
    pub fn not_run(code: ErrorCode, message: String) -> Self {
        Self {
            status: Status::Failed,
            result: None,
            result_text: None,
            result_truncated: false,
            error: Some(ExecutionError {
                code,
                name: NOT_RUN.to_owned(),
                message,
                stack: None,
                line: None,
                column: None,
                hint: None,
            }),
            warnings: Vec::new(),
            output: String::new(),
            output_bytes: 0,
        }
    }

    /// Nothing ran.
    pub fn is_not_run(&self) -> bool {
        let error = self.error.as_ref();
        error.is_some_and(|error| error.name == NOT_RUN && error.code != ErrorCode::ScriptError)
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data has a JSON form")
    }

    /// From bytes of any version.
    ///
    /// # Errors
    /// They are no reply.
    pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

impl From<StoredReply> for Ending {
    fn from(reply: StoredReply) -> Self {
        Self {
            status: reply.status,
            result: reply.result,
            result_text: reply.result_text,
            result_truncated: reply.result_truncated,
            error: reply.error,
            warnings: reply.warnings,
            place: None,
            replayed: false,
            not_run: None,
        }
    }
}
