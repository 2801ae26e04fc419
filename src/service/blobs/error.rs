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
    /// Neither the bucket nor enough nodes took it in time.
    #[error("blob {id} is not durable: neither a majority of the nodes nor a bucket has it")]
    NotDurable {
        /// Its name.
        id: BlobId,
    },
    /// The bucket is another cluster's by now.
    #[error("the bucket belongs to another cluster now: what is kept there may go at any time")]
    ForeignBucket,
    /// Nobody that can be reached has it.
    #[error("no node that answers has blob {id}; nodes {holders:?} should")]
    Missing {
        /// Its name.
        id: BlobId,
        /// Who should have it.
        holders: Vec<u64>,
    },
    /// This node's disk, or the bucket.
    #[error(transparent)]
    Store(#[from] BlobError),
    /// The cluster did not confirm it.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// No leader confirmed what is newest.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The state can't be read.
    #[error("the state can't be read")]
    State(#[from] StoreError),
    /// The cluster refused for a reason that this version does not know.
    #[error("the cluster refused the blob (reason {reason})")]
    Refused {
        /// Its number in the protocol.
        reason: i32,
    },
}
