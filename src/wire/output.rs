use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::service::run::{ExecutionId, OutputPage, Status};

/// A part of an execution's console output. Lines and bytes are those of the whole output, and stay
/// the same while more is printed; where parts were dropped, a page ends and the next begins behind.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schema(example = json!({
    "execution_id": "e1-19a2b3c4d5e-00112233445566778899",
    "status": "running",
    "data": "first\nsecond\n",
    "start_line": 1,
    "end_line": 2,
    "next_line_offset": 3,
    "total_lines": 10,
    "start_byte": 0,
    "end_byte": 13,
    "next_byte_offset": 13,
    "total_bytes": 70,
    "dropped_bytes": 0,
    "has_more": true
}))]
pub struct OutputBody {
    /// The execution.
    pub execution_id: String,
    /// Where it stands; while it is not final, there may be more to come.
    pub status: Status,
    /// The text.
    pub data: String,
    /// The number of its first line, from 1; 0 when `data` is empty.
    pub start_line: u64,
    /// The number of its last line; 0 when `data` is empty.
    pub end_line: u64,
    /// The `line_offset` to go on with.
    pub next_line_offset: u64,
    /// The lines of the whole output.
    pub total_lines: u64,
    /// The position of its first byte, from 0.
    pub start_byte: u64,
    /// The position after its last byte.
    pub end_byte: u64,
    /// The `byte_offset` to go on with.
    pub next_byte_offset: u64,
    /// The bytes of the whole output.
    pub total_bytes: u64,
    /// Bytes of the whole output that are gone because of the limit `output_bytes`.
    pub dropped_bytes: u64,
    /// There is more now.
    pub has_more: bool,
}

impl OutputBody {
    /// A page of this execution.
    pub fn new(id: &ExecutionId, page: OutputPage, status: Status) -> Self {
        Self {
            execution_id: id.to_string(),
            status,
            data: page.data,
            start_line: page.start_line,
            end_line: page.end_line,
            next_line_offset: page.next_line_offset,
            total_lines: page.total_lines,
            start_byte: page.start_byte,
            end_byte: page.end_byte,
            next_byte_offset: page.next_byte_offset,
            total_bytes: page.total_bytes,
            dropped_bytes: page.dropped_bytes,
            has_more: page.has_more,
        }
    }
}
