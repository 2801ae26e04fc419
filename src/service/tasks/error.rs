use std::sync::Arc;

use cluster::node::{ProposeError, ReadError};
use cluster::schedule::MalformedSchedule;
use cluster::state::{LABELS_MAX, StoreError};

use super::TaskId;
use crate::error_code::ErrorCode;
use crate::service::{blobs, cluster_code, run, sessions};

/// Why nothing was done with a task.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("there is no task {id}, or it is no longer kept")]
    NotFound {
        /// Its id.
        id: TaskId,
    },
    /// It has ended, or has not.
    #[error("the task is {}: {wanted}", if *.ended { "over" } else { "not over" })]
    WrongState {
        /// It has ended.
        ended: bool,
        /// What can't be done.
        wanted: &'static str,
    },
    /// So many have not ended.
    #[error("{live} tasks have not ended; there may be {live_max}")]
    Full {
        /// How many.
        live: u64,
        /// The bound.
        live_max: u64,
    },
    /// Too many come at once.
    #[error("this node takes {per_second} tasks a second")]
    TooFast {
        /// The bound.
        per_second: u64,
    },
    /// A field has a value that is none.
    #[error("{reason}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The times are none.
    #[error(transparent)]
    Schedule(#[from] MalformedSchedule),
    /// The labels are none.
    #[error(
        "a task has at most {LABELS_MAX} labels; a name has 1 to 64 bytes and a value up to 64, without control characters"
    )]
    Labels,
    /// A page is larger than it may be.
    #[error("limit is {given}; a page has 1 to {max} tasks")]
    Limit {
        /// What was asked for.
        given: usize,
        /// The most.
        max: usize,
    },
    /// The idempotency key belongs to another request.
    #[error("the idempotency key was used before with another task")]
    KeyReused,
    /// What is to run is nothing that this node runs.
    #[error(transparent)]
    Run(#[from] run::Error),
    /// The session is none.
    #[error(transparent)]
    Session(#[from] sessions::Error),
    /// Code, input or report could not be kept, or are lost.
    #[error("what belongs to the task can't be kept or read: {0}")]
    Blobs(Arc<blobs::Error>),
    /// It was not written, or it is not known whether it was.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// This node's disk.
    #[error("the state can't be read")]
    Store(#[from] StoreError),
    /// A record is not what this version writes.
    #[error("a record of the task is not understood")]
    Record,
    /// The cluster refused for a reason that this version does not know.
    #[error("the cluster refused the write (reason {reason})")]
    Refused {
        /// Its number in the protocol.
        reason: i32,
    },
}

impl From<blobs::Error> for Error {
    fn from(error: blobs::Error) -> Self {
        Self::Blobs(Arc::new(error))
    }
}

impl Error {
    /// The public code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound { .. } => ErrorCode::TaskNotFound,
            Self::WrongState { .. } => ErrorCode::TaskState,
            Self::Full { .. } | Self::TooFast { .. } => ErrorCode::TooManyTasks,
            Self::Field { .. } | Self::Schedule(_) | Self::Labels | Self::Limit { .. } => {
                ErrorCode::InvalidRequest
            }
            Self::KeyReused => ErrorCode::IdempotencyConflict,
            Self::Run(error) => error.code(),
            Self::Session(error) => error.code(),
            Self::Blobs(_) => ErrorCode::NotDurable,
            Self::Propose(error) => cluster_code::of_write(error, ErrorCode::CodeTooLarge),
            Self::Read(error) => cluster_code::of_read(error),
            Self::Store(_) | Self::Record | Self::Refused { .. } => ErrorCode::Internal,
        }
    }

    /// When to try again, for the errors that pass.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.code().retryable().then_some(1000)
    }

    /// What the caller can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Run(error) => return error.hint(),
            Self::Session(error) => return error.hint(),
            _ => {}
        }
        match self.code() {
            ErrorCode::TaskNotFound => "GET /api/tasks lists the tasks",
            ErrorCode::TaskState => "GET /api/tasks/{id} tells where it stands",
            ErrorCode::TooManyTasks => {
                "nothing was made: repeat the request later; an operator can raise \
                 --tasks-live-max and --tasks-per-sec-max"
            }
            ErrorCode::IdempotencyConflict => {
                "use a new key for a new task, or repeat the first request unchanged"
            }
            ErrorCode::OutcomeUnknown => {
                "look for the task; with an idempotency_key the request can be repeated without \
                 making a second one"
            }
            ErrorCode::DiskFull => sessions::DISK_FULL_HINT,
            ErrorCode::Internal => "the node's log says more",
            code if code.retryable() => "nothing was done: repeat the request in a moment",
            _ => "see the limits in the documentation",
        }
    }

    /// The field that is wrong.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Field { field, .. } => Some(field),
            Self::Schedule(MalformedSchedule::Zone { .. }) => Some("time_zone"),
            Self::Schedule(_) => Some("cron"),
            Self::Labels => Some("labels"),
            Self::Limit { .. } => Some("limit"),
            Self::Session(error) => error.field(),
            _ => None,
        }
    }
}
