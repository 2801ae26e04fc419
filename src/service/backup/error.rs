use std::path::PathBuf;

use cluster::archive::RestoreError;
use cluster::state::StoreError;

use crate::record_file::FileError;
use crate::service::blobs;
use crate::storage::{BlobError, BlobId};

/// Why there is no backup, or no cluster from one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The node belongs to no cluster yet.
    #[error("this node belongs to no cluster yet")]
    NotMember,
    /// The state can't be read.
    #[error("the state can't be read: {0}")]
    State(#[from] StoreError),
    /// A blob can't be had.
    #[error(transparent)]
    Blobs(#[from] blobs::Error),
    /// A blob can't be kept.
    #[error(transparent)]
    Storage(#[from] BlobError),
    /// The bytes are no backup, or not what was written.
    #[error(transparent)]
    File(#[from] FileError),
    /// They are whole, but say what can't be.
    #[error("the backup lacks blob {id}, which its state names")]
    Incomplete {
        /// The blob.
        id: BlobId,
    },
    /// A blob that lies beside the backup is not there, or damaged.
    #[error("the backup needs {}, which is missing or damaged", path.display())]
    Beside {
        /// The blob.
        id: BlobId,
        /// Where it should be.
        path: PathBuf,
    },
    /// No cluster came of it.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A file can't be used.
    #[error("can't use {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
