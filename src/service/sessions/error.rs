use std::sync::Arc;

use cluster::node::{ProposeError, ReadError};
use cluster::proto::{Reason, Refused as Refusal};
use cluster::state::{NAME_BYTES_MAX, StoreError};

use super::HeapId;
use crate::error_code::ErrorCode;
use crate::record_file::FileError;
use crate::service::{blobs, cluster_code, engines};
use crate::workers::EngineId;

/// Why nothing was done with a session. In none of these cases is a run kept, but for
/// [`ProposeError::Unknown`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// This node runs without sessions.
    #[error("this node runs without sessions")]
    Off,
    /// The name is none.
    #[error(
        "a session's name has 1 to {NAME_BYTES_MAX} bytes without control characters; this one has {bytes}"
    )]
    Name {
        /// Its length.
        bytes: usize,
    },
    /// A page is larger than it may be.
    #[error("limit is {given}; a page has 1 to {max} entries")]
    Limit {
        /// What was asked for.
        given: usize,
        /// The most.
        max: usize,
    },
    /// There is none.
    #[error("there is no session {name:?}")]
    NotFound {
        /// The name.
        name: String,
    },
    /// There is one.
    #[error("there is a session {name:?} already")]
    Exists {
        /// The name.
        name: String,
    },
    /// There is no such heap, or it is not kept any more.
    #[error("there is no heap {heap}, or it is no longer kept")]
    HeapNotFound {
        /// The heap.
        heap: HeapId,
    },
    /// The session has no commit of that number.
    #[error("the session has no commit {number}; the last one is {last}")]
    NoSuchCommit {
        /// What was asked for.
        number: u64,
        /// The number of the newest.
        last: u64,
    },
    /// The session does not stand where the caller said.
    #[error("the session stands at another heap than if_heap")]
    HeapMismatch,
    /// Another node runs the session now.
    #[error("another node has taken the session over")]
    Moved,
    /// The run was for a task that has been cancelled, or given to another node.
    #[error("the task was cancelled, or given to another node; nothing is kept of this run")]
    TaskOver,
    /// Too many runs of one session wait.
    #[error("{waiting_max} runs of this session are waiting already")]
    QueueFull {
        /// The bound.
        waiting_max: usize,
    },
    /// The idempotency key belongs to another request.
    #[error("the idempotency key was used before with another request in this session")]
    KeyReused,
    /// The state belongs to an engine that does not run here.
    #[error("engine {engine}, in which the session lives, does not run here: {reason}")]
    Engine {
        /// The engine's id, in hex.
        engine: String,
        /// Why, for a person.
        reason: Arc<str>,
    },
    /// The engine takes no sessions any more.
    #[error("an operator has forbidden new sessions in this engine, or retired it")]
    EngineClosed,
    /// The bytes of a commit can't be had, or are no good: the heaps from there on can't be opened.
    #[error("commit {heap} can't be restored: {reason}")]
    Damaged {
        /// The commit whose bytes are affected.
        heap: HeapId,
        /// Why, for a person.
        reason: Arc<str>,
    },
    /// What a run changed could not be made durable.
    #[error("what the run changed could not be kept: {reason}")]
    NotDurable {
        /// Why, for a person.
        reason: Arc<str>,
    },
    /// What is to be imported is no session.
    #[error(transparent)]
    File(#[from] FileError),
    /// No process could be had.
    #[error("no process could be had for the session: {reason}")]
    Unavailable {
        /// Why, for a person.
        reason: Arc<str>,
    },
    /// It was not written, or it is not known whether it was.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// This node's disk.
    #[error("the state can't be read: {reason}")]
    Store {
        /// Why, for a person.
        reason: Arc<str>,
    },
    /// A record that no version of this program writes.
    #[error("a record of the state is not understood")]
    Record,
    /// The cluster refused for a reason that this version does not know.
    #[error("the cluster refused the write (reason {reason})")]
    Refused {
        /// Its number in the protocol.
        reason: i32,
    },
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let reason = error.to_string().into();
        Self::Store { reason }
    }
}

impl Error {
    /// The error of a refused command, where nothing more is known of the case.
    pub(super) fn refused(refusal: &Refusal, name: &str) -> Self {
        let name = || name.to_owned();
        match refusal.reason() {
            Reason::NotFound => Self::NotFound { name: name() },
            Reason::Exists => Self::Exists { name: name() },
            Reason::Fenced => Self::Moved,
            Reason::Conflict => Self::HeapMismatch,
            Reason::KeyReused => Self::KeyReused,
            Reason::WrongState => Self::EngineClosed,
            // The cluster does not know of this life of the node yet.
            Reason::StaleIncarnation => ProposeError::NotMember.into(),
            _ => Self::Refused {
                reason: refusal.reason,
            },
        }
    }

    /// What can't run.
    pub(super) fn engine(id: EngineId, error: engines::Error) -> Self {
        match error {
            engines::Error::Propose(error) => error.into(),
            engines::Error::Read(error) => error.into(),
            engines::Error::State(error) => error.into(),
            engines::Error::Retired => Self::EngineClosed,
            // What passes is no fact about the engine.
            engines::Error::Blobs(error) => Self::Unavailable {
                reason: error.to_string().into(),
            },
            error => Self::Engine {
                engine: id.to_string(),
                reason: error.to_string().into(),
            },
        }
    }

    /// What could not be kept.
    pub(super) fn not_durable(error: blobs::Error) -> Self {
        match error {
            blobs::Error::Propose(error) => error.into(),
            error => Self::NotDurable {
                reason: error.to_string().into(),
            },
        }
    }

    /// The public code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Off => ErrorCode::SessionsOff,
            Self::Name { .. } | Self::Limit { .. } | Self::File(_) => ErrorCode::InvalidRequest,
            Self::NotFound { .. } => ErrorCode::SessionNotFound,
            Self::Exists { .. } => ErrorCode::SessionExists,
            Self::HeapNotFound { .. } | Self::NoSuchCommit { .. } => ErrorCode::HeapNotFound,
            Self::HeapMismatch => ErrorCode::HeapMismatch,
            Self::Moved => ErrorCode::SessionMoved,
            Self::TaskOver => ErrorCode::Cancelled,
            Self::QueueFull { .. } => ErrorCode::QueueFull,
            Self::KeyReused => ErrorCode::IdempotencyConflict,
            Self::Engine { .. } | Self::EngineClosed => ErrorCode::EngineUnavailable,
            Self::Damaged { .. } => ErrorCode::HeapDamaged,
            Self::NotDurable { .. } => ErrorCode::NotDurable,
            Self::Unavailable { .. } => ErrorCode::Unavailable,
            Self::Propose(error) => cluster_code::of_write(error, ErrorCode::Internal),
            Self::Read(error) => cluster_code::of_read(error),
            Self::Store { .. } | Self::Record | Self::Refused { .. } => ErrorCode::Internal,
        }
    }

    /// When to try again, for the errors that pass.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.code().retryable().then_some(1000)
    }

    /// What the caller can do about it.
    pub fn hint(&self) -> &'static str {
        hint(self.code())
    }

    /// The field that is wrong.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Name { .. } => Some("session"),
            Self::Limit { .. } => Some("limit"),
            Self::HeapMismatch => Some("if_heap"),
            _ => None,
        }
    }
}

/// What to do about too little room.
pub const DISK_FULL_HINT: &str = "an operator has to make room, or lower --disk-free-min-mb; deleting sessions, tasks and tags is taken";

/// What the caller can do about an error of sessions.
pub fn hint(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::SessionsOff => {
            "leave `session` and `heap` out, or start the node without --stateless"
        }
        ErrorCode::SessionNotFound => "GET /api/sessions lists the sessions",
        ErrorCode::SessionExists => "take another name, or delete the session first",
        ErrorCode::HeapNotFound => "GET /api/sessions/{name}/log lists the heaps of a session",
        ErrorCode::HeapMismatch => "read the session again and decide anew",
        ErrorCode::QueueFull => "nothing ran: wait for the runs of this session that are under way",
        ErrorCode::IdempotencyConflict => {
            "use a new key for a new request, or repeat the first request unchanged"
        }
        ErrorCode::EngineUnavailable => {
            "`mcp-v8 admin engines list` tells which engines there are, and what is kept of them"
        }
        ErrorCode::HeapDamaged => {
            "earlier heaps still open: GET /api/sessions/{name}/log, then reset or fork"
        }
        ErrorCode::DiskFull => DISK_FULL_HINT,
        ErrorCode::OutcomeUnknown => {
            "look at the session: it stands either before or after the run; with an idempotency_key \
             the same request can be repeated without running twice"
        }
        ErrorCode::Internal => "the node's log says more",
        code if code.retryable() => "nothing is kept of it: repeat the request in a moment",
        _ => "see the limits in the documentation",
    }
}
