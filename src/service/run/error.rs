use super::ExecutionId;
use crate::error_code::ErrorCode;
use crate::service::sessions;

/// Why the service did not do what was asked. In none of these cases did any code run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such execution.
    #[error("there is no execution {id}, or it is no longer kept")]
    NotFound {
        /// The id that was asked for.
        id: ExecutionId,
    },
    /// The node that ran it is gone, or was started again since.
    #[error("execution {id} is lost: node {} that ran it has ended", id.node)]
    Lost {
        /// The id that was asked for.
        id: ExecutionId,
    },
    /// The node that has it does not answer.
    #[error("node {node}, which has the execution, does not answer")]
    Unreachable {
        /// The node's id.
        node: u64,
    },
    /// No node is called so.
    #[error("no node of the cluster is called {name:?}")]
    NodeNotFound {
        /// The name that was given.
        name: String,
    },
    /// The node belongs to no cluster yet.
    #[error("this node belongs to no cluster yet")]
    NotMember,
    /// All places are taken and the queue is full.
    #[error("all workers are busy and {queue_max} executions are waiting already")]
    QueueFull {
        /// The queue's bound.
        queue_max: usize,
        /// When a place is likely to be free.
        retry_after_ms: u64,
    },
    /// The key was used before with another request.
    #[error("the idempotency key was used before with another request ({id})")]
    IdempotencyConflict {
        /// The execution that the key belongs to.
        id: ExecutionId,
    },
    /// The key is empty or too long.
    #[error("an idempotency key has 1 to {bytes_max} bytes; this one has {bytes}")]
    IdempotencyKeyLength {
        /// Its length.
        bytes: usize,
        /// The most that is accepted.
        bytes_max: usize,
    },
    /// The source text is over the limit.
    #[error("the code has {bytes} bytes; the limit is {bytes_max}")]
    CodeTooLarge {
        /// Its length.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// A limit is over its maximum.
    #[error("{limit} is {given}, over the maximum of {max} that this server allows")]
    LimitTooLarge {
        /// The request's field.
        limit: &'static str,
        /// What was asked for.
        given: u64,
        /// The operator's maximum.
        max: u64,
    },
    /// A limit is zero, or below what a run needs at all.
    #[error("{limit} is {given}, below the minimum of {min}")]
    LimitTooSmall {
        /// The request's field.
        limit: &'static str,
        /// What was asked for.
        given: u64,
        /// The least that is accepted.
        min: u64,
    },
    /// The node is stopping.
    #[error("this node takes no new executions: it is stopping, or an operator drains it")]
    Draining,
    /// No process could be had.
    #[error("no worker process could be had, the code did not run: {reason}")]
    Unavailable {
        /// Why, for a person.
        reason: std::sync::Arc<str>,
    },
    /// What concerns the session or heap.
    #[error(transparent)]
    Session(#[from] sessions::Error),
    /// What another node said, which runs the session.
    #[error("{detail}")]
    Remote {
        /// Its code.
        code: ErrorCode,
        /// Its words.
        detail: std::sync::Arc<str>,
    },
    /// The node that runs the session broke off: the run may be kept or not.
    #[error("node {node}, which runs the session, broke off: the run may be kept or not")]
    BrokeOff {
        /// The node's id.
        node: u64,
    },
}

impl Error {
    /// The public code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound { .. } => ErrorCode::ExecutionNotFound,
            Self::Lost { .. } => ErrorCode::ExecutionLost,
            Self::Unreachable { .. } => ErrorCode::NodeUnreachable,
            Self::NodeNotFound { .. } => ErrorCode::NodeNotFound,
            Self::NotMember => ErrorCode::NotMember,
            Self::QueueFull { .. } => ErrorCode::QueueFull,
            Self::IdempotencyConflict { .. } => ErrorCode::IdempotencyConflict,
            Self::IdempotencyKeyLength { .. } | Self::LimitTooSmall { .. } => {
                ErrorCode::InvalidRequest
            }
            Self::CodeTooLarge { .. } => ErrorCode::CodeTooLarge,
            Self::LimitTooLarge { .. } => ErrorCode::LimitTooLarge,
            Self::Draining => ErrorCode::Draining,
            Self::Unavailable { .. } => ErrorCode::Unavailable,
            Self::Session(error) => error.code(),
            Self::Remote { code, .. } => *code,
            Self::BrokeOff { .. } => ErrorCode::OutcomeUnknown,
        }
    }

    /// When to try again, for the errors that pass.
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::QueueFull { retry_after_ms, .. } => Some(*retry_after_ms),
            Self::Draining
            | Self::Unavailable { .. }
            | Self::Unreachable { .. }
            | Self::NotMember => Some(1000),
            Self::Session(error) => error.retry_after_ms(),
            Self::Remote { code, .. } => code.retryable().then_some(1000),
            _ => None,
        }
    }

    /// What the caller can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => {
                "executions are kept for a limited time and number (--execution-ttl-secs, \
                 --executions-max) and only by the node that ran them"
            }
            Self::Lost { .. } => {
                "run the code again: executions are kept in memory by the node that ran them"
            }
            Self::Unreachable { .. } => {
                "repeat the request in a moment: the node comes back, or the execution is lost with it"
            }
            Self::NodeNotFound { .. } => "`mcp-v8 admin members` lists the nodes",
            Self::NotMember => "nothing ran: repeat the request in a moment; /readyz tells more",
            Self::QueueFull { .. } => {
                "nothing ran: repeat the request after the time in Retry-After; an operator can \
                 raise --runs-max and --queue-max"
            }
            Self::IdempotencyConflict { .. } => {
                "use a new key for a new request, or repeat the first request unchanged"
            }
            Self::IdempotencyKeyLength { .. } => "use a UUID, for instance",
            Self::CodeTooLarge { .. } => {
                "pass data as `input` rather than in the code; an operator can raise \
                 --code-bytes-max"
            }
            Self::LimitTooLarge { .. } => {
                "ask for less, or leave the field out to get the default; an operator can raise \
                 the maximum"
            }
            Self::LimitTooSmall { .. } => "ask for more, or leave the field out to get the default",
            Self::Draining => "nothing ran: repeat the request on another node, or in a moment",
            Self::Unavailable { .. } => "nothing ran: repeat the request in a moment",
            Self::Session(error) => error.hint(),
            Self::Remote { code, .. } => sessions::hint(*code),
            Self::BrokeOff { .. } => sessions::hint(ErrorCode::OutcomeUnknown),
        }
    }
}
