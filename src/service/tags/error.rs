use cluster::node::{ProposeError, ReadError};
use cluster::state::{NAME_BYTES_MAX, StoreError, TAG_VALUE_BYTES_MAX};

use crate::error_code::ErrorCode;
use crate::service::cluster_code;
use crate::service::sessions::{DISK_FULL_HINT, HeapId};

/// Why a tag was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is none.
    #[error(
        "a tag's name has 1 to {NAME_BYTES_MAX} bytes without control characters; this one has {bytes}"
    )]
    Name {
        /// Its length.
        bytes: usize,
    },
    /// The value is too large.
    #[error("the value has {bytes} bytes as JSON; the limit is {TAG_VALUE_BYTES_MAX}")]
    ValueTooLarge {
        /// Its length.
        bytes: usize,
    },
    /// The value is no JSON.
    #[error("the value is no JSON text")]
    ValueMalformed,
    /// A page is larger than it may be.
    #[error("limit is {given}; a page has 1 to {max} tags")]
    Limit {
        /// What was asked for.
        given: usize,
        /// The most.
        max: usize,
    },
    /// There is none.
    #[error("there is no tag {name:?}")]
    NotFound {
        /// The name.
        name: String,
    },
    /// There is no heap that it could point at.
    #[error("there is no heap {heap}, or it is no longer kept")]
    HeapNotFound {
        /// The heap.
        heap: HeapId,
    },
    /// `if_version` names another version.
    #[error("{}", mismatch(*actual))]
    VersionMismatch {
        /// The one there is; 0 = there is no such tag.
        actual: u64,
    },
    /// It was not written, or it is not known whether it was.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// This node's disk.
    #[error("the state can't be read")]
    Store(#[from] StoreError),
    /// The cluster refused for a reason that this version does not know.
    #[error("the cluster refused the write (reason {reason})")]
    Refused {
        /// Its number in the protocol.
        reason: i32,
    },
}

fn mismatch(actual: u64) -> String {
    match actual {
        0 => "if_version names a version, but there is no such tag".to_owned(),
        _ => format!("the tag has version {actual}, not the one of if_version"),
    }
}

impl Error {
    /// The public code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Name { .. } | Self::ValueMalformed | Self::Limit { .. } => {
                ErrorCode::InvalidRequest
            }
            Self::ValueTooLarge { .. } => ErrorCode::TagTooLarge,
            Self::NotFound { .. } => ErrorCode::TagNotFound,
            Self::HeapNotFound { .. } => ErrorCode::HeapNotFound,
            Self::VersionMismatch { .. } => ErrorCode::VersionMismatch,
            Self::Propose(error) => cluster_code::of_write(error, ErrorCode::TagTooLarge),
            Self::Read(error) => cluster_code::of_read(error),
            Self::Store(_) | Self::Refused { .. } => ErrorCode::Internal,
        }
    }

    /// When to try again, for the errors that pass.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.code().retryable().then_some(1000)
    }

    /// What the caller can do about it.
    pub fn hint(&self) -> &'static str {
        match self.code() {
            ErrorCode::VersionMismatch => {
                "read the tag again and decide anew; if_version 0 means that there is none yet"
            }
            ErrorCode::TagTooLarge => "tags are for small values: split it, or keep it elsewhere",
            ErrorCode::TagNotFound => "GET /api/tags lists the tags",
            ErrorCode::HeapNotFound => {
                "GET /api/sessions/{session}/log lists the heaps of a session; those that nothing \
                 reaches go after --heap-ttl-secs"
            }
            ErrorCode::OutcomeUnknown => {
                "read the tag to see; a write with if_version can be repeated without doing it twice"
            }
            ErrorCode::DiskFull => DISK_FULL_HINT,
            ErrorCode::Internal => "the node's log says more",
            code if code.retryable() => "nothing was done: repeat the request in a moment",
            _ => "see the limits in the documentation",
        }
    }

    /// The field that is wrong.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Name { .. } => Some("name"),
            Self::ValueTooLarge { .. } | Self::ValueMalformed => Some("value"),
            Self::Limit { .. } => Some("limit"),
            Self::HeapNotFound { .. } => Some("heap"),
            Self::VersionMismatch { .. } => Some("if_version"),
            _ => None,
        }
    }
}
