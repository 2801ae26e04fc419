use cluster::node::{ProposeError, ReadError};
use cluster::state::StoreError;

use super::BLOB_BYTES_MAX;
use crate::storage::{BlobError, BlobId};

/// Why a blob was not kept or found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is too large.
    #[error("a blob of {bytes} bytes is over the limit of {BLOB_BYTES_MAX}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// It is here, but not on enough nodes.
    #[error("no majority of the nodes has blob {id}")]
    NotDurable {
        /// Its name.
        id: BlobId,
    },
    /// No node that can be reached has it.
    #[error("no node that answers has blob {id}; nodes {holders:?} should")]
    Missing {
        /// Its name.
        id: BlobId,
        /// Who should have it.
        holders: Vec<u64>,
    },
    /// This node's disk.
    #[error(transparent)]
    Disk(#[from] BlobError),
    /// The cluster did not confirm it.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// No leader confirmed what is newest.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The state can't be read.
    #[error("the state can't be read")]
    Store(#[from] StoreError),
    /// The cluster refused for a reason that this version does not know.
    #[error("the cluster refused the blob (reason {reason})")]
    Refused {
        /// Its number in the protocol.
        reason: i32,
    },
}
