use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::service::run::{ExecutionId, ExecutionRequest, StoredReply};

/// A task that somebody asks for.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// What runs, and where. Its idempotency key is the task's.
    pub request: ExecutionRequest,
    /// When.
    pub when: When,
    /// How often it may be tried again after an error.
    pub retries: u32,
    /// The pause before that, in milliseconds: doubled each time, up to the second.
    pub backoff_ms: u64,
    /// The longest pause, in milliseconds.
    pub backoff_ms_max: u64,
    /// By which it can be found.
    pub labels: BTreeMap<String, String>,
}

impl NewTask {
    /// One that runs as soon as a node has room, and once.
    pub fn once(request: ExecutionRequest) -> Self {
        Self {
            request,
            when: When::Now,
            retries: 0,
            backoff_ms: 0,
            backoff_ms_max: 0,
            labels: BTreeMap::new(),
        }
    }
}

/// When a task runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum When {
    /// As soon as a node has room.
    Now,
    /// At a time, in milliseconds since 1970.
    At(u64),
    /// After so long, in milliseconds.
    After(u64),
    /// Again and again: each time makes a task.
    Cron {
        /// The expression.
        cron: String,
        /// The time zone; empty = UTC.
        time_zone: String,
        /// A time that is missed by more makes no task, in milliseconds; 0 = the last one missed makes one.
        late_ms_max: u64,
    },
}

/// Where a task stands. The last four are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// It makes tasks at the times that it tells.
    Scheduled,
    /// It waits for its time, or for a node with room.
    Queued,
    /// A node runs it.
    Running,
    /// Its code ran to its end.
    Succeeded,
    /// Its code ended with an error, and no retry was left, or would help.
    Failed,
    /// A caller stopped it.
    Cancelled,
    /// It was lost with its node too often.
    Dead,
}

impl TaskStatus {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Dead,
    ];

    /// As callers see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Dead => "dead",
        }
    }

    /// It never changes again.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Scheduled | Self::Queued | Self::Running)
    }
}

/// What is known of a task.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Where it stands.
    pub status: TaskStatus,
    /// Its code; none in a list, where it is long.
    pub code: Option<String>,
    /// The session that it runs in.
    pub session: Option<String>,
    /// When it is to run, or its next time, in milliseconds since 1970.
    pub run_at_ms: u64,
    /// The expression of its times.
    pub cron: Option<String>,
    /// Their time zone.
    pub time_zone: Option<String>,
    /// The task that made it.
    pub parent: Option<TaskId>,
    /// By which it can be found.
    pub labels: BTreeMap<String, String>,
    /// How often a node began with it.
    pub attempts: u32,
    /// How often that ended with an error.
    pub failures: u32,
    /// How often it may be tried again after an error.
    pub retries: u32,
    /// The node that has it, or had it last.
    pub node: Option<String>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it last became another one.
    pub changed_ms: u64,
    /// The execution of its last attempt; in a session it may be where the session is.
    pub execution: Option<ExecutionId>,
    /// When the last attempt began.
    pub started_ms: Option<u64>,
    /// When it ended.
    pub finished_ms: Option<u64>,
    /// The heap that it left its session at, in hex.
    pub heap: Option<String>,
    /// How the last attempt ended; none in a list.
    pub report: Option<StoredReply>,
}

/// Which tasks.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    /// Only those that stand so.
    pub status: Option<TaskStatus>,
    /// Only those of this session.
    pub session: Option<String>,
    /// Only those with all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Only those that this one made.
    pub parent: Option<TaskId>,
}

/// Some tasks, the newest first.
#[derive(Clone, Debug)]
pub struct TaskPage {
    /// The tasks, without reports.
    pub tasks: Vec<Task>,
    /// Where the next page begins; `None` when this is the last one.
    pub next: Option<TaskCursor>,
}

/// A place in the list of tasks; it stays valid when tasks come and go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskCursor {
    pub(super) created_ms: u64,
    pub(super) id: String,
}

/// The text is no cursor that a list gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is taken unchanged from the page before")]
pub struct MalformedTaskCursor;

impl fmt::Display for TaskCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.created_ms, self.id)
    }
}

impl FromStr for TaskCursor {
    type Err = MalformedTaskCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (time, id) = text.split_once('-').ok_or(MalformedTaskCursor)?;
        let id: TaskId = id.parse().map_err(|_| MalformedTaskCursor)?;
        Ok(Self {
            created_ms: u64::from_str_radix(time, 16).map_err(|_| MalformedTaskCursor)?,
            id: id.0,
        })
    }
}

/// The name of a task: 32 hex digits nobody can guess. One that a schedule made has the schedule's id, and
/// behind a dot the time that it was due at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TaskId(String);

/// The text is no task id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a task id has 32 hex digits in lower case, and for one of a schedule a dot and a number behind them"
)]
pub struct MalformedTaskId;

impl TaskId {
    /// A new one.
    ///
    /// # Panics
    /// When the kernel gives no randomness, which Linux does from early boot on.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the kernel has randomness once it runs programs");
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// As it stands in a record, which was checked when it was made.
    pub(super) fn of_record(id: &str) -> Self {
        Self(id.to_owned())
    }

    /// As callers see it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TaskId {
    type Err = MalformedTaskId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (hex, time) = text.split_once('.').unwrap_or((text, "0"));
        let is_hex = hex.len() == 32
            && hex
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_time = (1..=20).contains(&time.len()) && time.bytes().all(|it| it.is_ascii_digit());
        match is_hex && is_time {
            true => Ok(Self(text.to_owned())),
            false => Err(MalformedTaskId),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = TaskId::random();
        assert_eq!(id.to_string().parse(), Ok(id.clone()));
        let made = format!("{id}.1800000000000");
        assert!(made.parse::<TaskId>().is_ok());
        for wrong in [
            String::new(),
            "x".repeat(32),
            id.to_string().to_uppercase() + "A",
            format!("{id}."),
            format!("{id}.1a"),
            format!("{id}/1"),
        ] {
            assert_eq!(wrong.parse::<TaskId>(), Err(MalformedTaskId), "{wrong}");
        }
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = TaskCursor {
            created_ms: 1_800_000_000_000,
            id: TaskId::random().0,
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        assert!("x-y".parse::<TaskCursor>().is_err());
    }
}
