//! What callers are told when the cluster takes no write, or answers no read.

use cluster::node::{ProposeError, ReadError};

use crate::error_code::ErrorCode;

/// The code of a write that did not go through. What is too large has another name for each kind of write.
pub(super) fn of_write(error: &ProposeError, too_large: ErrorCode) -> ErrorCode {
    match error {
        ProposeError::NotMember => ErrorCode::NotMember,
        ProposeError::NoLeader => ErrorCode::NoLeader,
        ProposeError::Overloaded => ErrorCode::Overloaded,
        ProposeError::DiskFull => ErrorCode::DiskFull,
        ProposeError::TooLarge { .. } => too_large,
        ProposeError::Unknown => ErrorCode::OutcomeUnknown,
    }
}

/// The code of a read that was not answered.
pub(super) fn of_read(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::NotMember => ErrorCode::NotMember,
        ReadError::NoLeader => ErrorCode::NoLeader,
        ReadError::Lagging => ErrorCode::Lagging,
    }
}
