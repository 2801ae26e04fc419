//! The JSON that callers send and get, the same over HTTP and MCP.
//!
//! Only forms and conversions are here. Every type carries the two schemas: OpenAPI's and MCP's.

mod execution;
mod list;
mod output;
mod request;
mod session;
mod tag;
mod task;
mod timestamp;

pub use execution::{ErrorBody, ExecutionBody, GapBody, LineBody, LineLevel};
pub use list::{CancelBody, ExecutionListBody, ExecutionSummary};
pub use output::OutputBody;
pub use request::{ExecutionRequestBody, Invalid, LanguageName, target};
pub use session::{
    CommitBody, CommitListBody, CreateSessionBody, DifferenceBody, RenameSessionBody,
    ResetSessionBody, SessionBody, SessionDiffBody, SessionListBody, ShownBody,
};
pub use tag::{PutTagBody, TagBody, TagListBody, TagVersionBody};
pub use task::{NewTaskBody, ReportBody, TaskBody, TaskListBody};
pub use timestamp::rfc3339;
