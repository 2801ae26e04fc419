use std::borrow::Cow;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::ExecutionId;
use crate::error_code::ErrorCode;
use crate::raw_json;
use crate::service::sessions::{Place, Target, TaskFence};
pub use worker_protocol::{ConsoleLevel, Language};

/// What a caller asks for. Serialized it is only for other nodes of the cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExecutionRequest {
    /// The source text.
    pub code: String,
    /// Its language.
    #[serde(with = "language_number")]
    pub language: Language,
    /// The global `input`.
    #[serde(default, with = "raw_json", skip_serializing_if = "Option::is_none")]
    pub input: Option<Arc<RawValue>>,
    /// The session or heap that it runs in; without one, in a world of its own that is gone afterwards.
    pub target: Option<Target>,
    /// What differs from the configured limits.
    pub limits: LimitOverrides,
    /// Makes a retry safe: the same key and request give the stored execution.
    pub idempotency_key: Option<String>,
    /// Who asks; empty until there is authentication.
    pub principal: String,
    /// The task that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskFence>,
}

/// A request's own limits; each is checked against the configured maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LimitOverrides {
    /// Wall clock, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// The JavaScript heap, in MiB.
    pub heap_mb: Option<u64>,
    /// All ArrayBuffers together, in MiB.
    pub array_buffer_mb: Option<u64>,
    /// Private memory of the process, in MiB.
    pub memory_mb: Option<u64>,
    /// The stack of JavaScript calls, in KiB.
    pub stack_kb: Option<u64>,
    /// The rendered result, in bytes.
    pub result_bytes: Option<u64>,
    /// The console output that is kept, in bytes.
    pub output_bytes: Option<u64>,
}

/// Where an execution stands. The last six are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for a worker.
    Queued,
    /// In a worker.
    Running,
    /// Ended with a result.
    Completed,
    /// Ended with an error of the script.
    Failed,
    /// Killed at its deadline.
    TimedOut,
    /// Killed over a memory bound.
    OutOfMemory,
    /// Stopped by a caller.
    Cancelled,
    /// The worker died.
    Crashed,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::TimedOut,
        Self::OutOfMemory,
        Self::Cancelled,
        Self::Crashed,
    ];

    /// It never changes again.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// As callers see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::OutOfMemory => "out_of_memory",
            Self::Cancelled => "cancelled",
            Self::Crashed => "crashed",
        }
    }
}

/// Everything that is known of one execution. Serialized it is only for other nodes of the cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Execution {
    /// Its id.
    pub id: ExecutionId,
    /// Where it stands.
    pub status: Status,
    /// The value as JSON, when it has one.
    #[serde(default, with = "raw_json", skip_serializing_if = "Option::is_none")]
    pub result: Option<Arc<RawValue>>,
    /// What a console would print for the value.
    pub result_text: Option<Arc<str>>,
    /// The result was cut or left out because of its size.
    pub result_truncated: bool,
    /// The error that ended it.
    pub error: Option<ExecutionError>,
    /// What the caller should know though it succeeded.
    pub warnings: Vec<String>,
    /// The console output that was kept: head and, when some was dropped, a marker line and the tail.
    pub output: String,
    /// The size of the whole console output, in bytes.
    pub output_bytes_total: u64,
    /// Some of the console output was dropped.
    pub output_truncated: bool,
    /// When it was accepted, in milliseconds since 1970.
    pub created_at_ms: u64,
    /// When its worker got it.
    pub started_at_ms: Option<u64>,
    /// When it ended.
    pub finished_at_ms: Option<u64>,
    /// Time in the worker, in milliseconds.
    pub duration_ms: Option<f64>,
    /// Where the session or heap stands that it ran in.
    #[serde(default)]
    pub place: Option<Place>,
}

/// Why an execution did not complete.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExecutionError {
    /// The stable code.
    pub code: ErrorCode,
    /// The error's name: that of the thrown error, or one of ours.
    pub name: String,
    /// What happened.
    pub message: String,
    /// The stack, in the user's own lines.
    pub stack: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column, from 1.
    pub column: Option<u32>,
    /// What to do about it, when there is something to say.
    pub hint: Option<Cow<'static, str>>,
}

/// The answer to a request that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// The execution's id.
    pub id: ExecutionId,
    /// It is an earlier one, found by its idempotency key.
    pub replayed: bool,
}

/// The end of an execution, for a caller who waited for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Executed {
    /// The execution.
    pub execution: Execution,
    /// It is an earlier one, found by its idempotency key.
    pub replayed: bool,
}

/// Which executions to list.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ListPage {
    /// Where the page before ended.
    pub after: Option<ListCursor>,
    /// The most executions.
    pub limit: usize,
    /// Only those that stand so.
    pub status: Option<Status>,
}

/// A place in the list of executions; it stays valid when executions come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListCursor(pub(super) u64);

impl std::fmt::Display for ListCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "c{}", self.0)
    }
}

impl std::str::FromStr for ListCursor {
    type Err = MalformedCursor;

    fn from_str(text: &str) -> Result<Self, MalformedCursor> {
        let order = text.strip_prefix('c').and_then(|order| order.parse().ok());
        order.map(Self).ok_or(MalformedCursor)
    }
}

/// The text is no cursor that a list gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is taken unchanged from the page before")]
pub struct MalformedCursor;

/// A page of executions, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExecutionList {
    /// The executions, without results and outputs.
    pub executions: Vec<Execution>,
    /// Where the next page begins; `None` when this is the last one.
    pub next: Option<ListCursor>,
}

/// What happens in an execution, as a follower gets it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Event {
    /// One call of the console.
    Line {
        /// Its number, from 1.
        seq: u64,
        /// Its level.
        #[serde(with = "level_number")]
        level: ConsoleLevel,
        /// Its text, without prefix and line break.
        text: String,
    },
    /// Calls of the console that were dropped before this follower came to them.
    Gap {
        /// The number of the last one.
        seq: u64,
        /// How many.
        dropped: u64,
        /// Their bytes, at most.
        dropped_bytes: u64,
    },
    /// The execution is over; the last event.
    End(Box<Execution>),
}

/// The figures of this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunStats {
    /// Executions that wait for a place.
    pub queued: usize,
    /// Executions that have one.
    pub running: usize,
    /// The most that run at once.
    pub runs_max: usize,
    /// The most that wait.
    pub queue_max: usize,
    /// Executions that can be asked for.
    pub kept: usize,
    /// The memory that finished ones take up.
    pub kept_bytes: u64,
    /// No new execution is taken.
    pub draining: bool,
}

/// Between nodes a language is the number that it has between node and worker.
mod language_number {
    use serde::{Deserialize, Deserializer, Serialize as _, Serializer, de::Error as _};

    use super::Language;

    pub fn serialize<S: Serializer>(language: &Language, serializer: S) -> Result<S::Ok, S::Error> {
        i32::from(*language).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Language, D::Error> {
        let number = i32::deserialize(deserializer)?;
        Language::try_from(number).map_err(D::Error::custom)
    }
}

/// Between nodes a level is the number that it has between node and worker.
mod level_number {
    use serde::{Deserialize, Deserializer, Serialize as _, Serializer, de::Error as _};

    use super::ConsoleLevel;

    pub fn serialize<S: Serializer>(
        level: &ConsoleLevel,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        i32::from(*level).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<ConsoleLevel, D::Error> {
        let number = i32::deserialize(deserializer)?;
        ConsoleLevel::try_from(number).map_err(D::Error::custom)
    }
}
