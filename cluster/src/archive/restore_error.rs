use std::path::PathBuf;

use super::PieceError;
use crate::ids::ClusterId;
use crate::membership::{DirectoryError, MarkerError};
use crate::state::{OpenError, StoreError};

/// Why a directory does not become that of a new cluster.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The directory can't be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Its marker can't be written.
    #[error(transparent)]
    Marker(#[from] MarkerError),
    /// It is no empty one.
    #[error(
        "{} is the directory of a node already: a cluster is restored into an empty directory",
        path.display()
    )]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// The cluster that it belongs to.
        cluster_id: Option<ClusterId>,
    },
    /// It is the directory of no node that is a member of a cluster.
    #[error("{} is not the directory of a member of a cluster", path.display())]
    NoMember {
        /// The directory.
        path: PathBuf,
    },
    /// Its files can't be removed or made.
    #[error("can't use {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The new state can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The snapshot is no good, or the disk fails.
    #[error("the state can't be restored: {0}")]
    State(#[from] StoreError),
    /// A piece of the log is no good.
    #[error(transparent)]
    Piece(#[from] PieceError),
    /// The log can't be opened.
    #[error(transparent)]
    OpenLog(#[from] crate::log::OpenError),
    /// The log can't be written.
    #[error(transparent)]
    Log(#[from] crate::log::LogError),
    /// There is a hole before a piece of the log.
    #[error("entries are missing: the state ends at {applied}, and what follows begins at {next}")]
    Gap {
        /// The last entry that is there.
        applied: u64,
        /// The next one that is there.
        next: u64,
    },
    /// There is nothing to begin with.
    #[error("there is no state to restore")]
    Nothing,
    /// The state does not take what makes it the new cluster's.
    #[error("the restored state refuses what makes it a new cluster's (reason {reason})")]
    Refused {
        /// Its number in the protocol.
        reason: i32,
    },
}
