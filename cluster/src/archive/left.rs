//! What is left of a cluster that has lost its majority for good: the directory of one of its nodes.

use std::path::Path;

use super::{Piece, RestoreError};
use crate::ids::ClusterId;
use crate::log::{LogOptions, LogStore};
use crate::membership::{Directory, Marker, Standing};
use crate::proto::BlobRecord;
use crate::state::{PAGE_ROWS_MAX, SnapshotFile, StateMachine, StateOptions, StateReader};

/// A piece of the log has about so many bytes.
const PIECE_BYTES: u64 = 8 << 20;

/// The directory of a node that does not run. It is read, and stays what it was.
pub struct Left {
    directory: Directory,
    _machine: StateMachine,
    state: StateReader,
    log: LogStore,
    cluster_id: ClusterId,
}

impl Left {
    /// Opens one. It blocks.
    ///
    /// # Errors
    /// A node runs with it, it belongs to no cluster, or it can't be read.
    pub fn open(path: &Path) -> Result<Self, RestoreError> {
        // Nothing is made where there is none.
        let marker = Marker::read(path)?;
        let cluster_id = match marker.as_ref().map(|marker| &marker.standing) {
            Some(Standing::Member { cluster_id, .. }) => *cluster_id,
            _ => {
                let path = path.to_owned();
                return Err(RestoreError::NoMember { path });
            }
        };
        let directory = Directory::open(path, None)?;
        let log = LogStore::open(LogOptions::new(path.join("raft")))?;
        let (machine, state) = StateMachine::open(StateOptions::new(path))?;
        Ok(Self {
            directory,
            _machine: machine,
            state,
            log,
            cluster_id,
        })
    }

    /// The cluster that it belongs to.
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster_id
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The state as it is on disk.
    ///
    /// # Errors
    /// The disk's.
    pub async fn snapshot(&self) -> Result<SnapshotFile, RestoreError> {
        Ok(self.state.export().await?.1)
    }

    /// The log behind that, to its very end. Whether a majority had its last entries nobody can tell any more:
    /// what was acknowledged is among them, if this node had it.
    ///
    /// # Errors
    /// The disk's, or `each`'s.
    pub async fn log<E: From<RestoreError>>(
        &self,
        mut each: impl AsyncFnMut(Piece) -> Result<(), E>,
    ) -> Result<(), E> {
        let (_, last) = self.log.ends().map_err(RestoreError::from)?;
        let last = last.map_or(0, |last| last.index);
        let mut next = self.state.applied().map_or(0, |applied| applied.index + 1);
        while next <= last {
            let read = self.log.read(next..last + 1, PIECE_BYTES).await;
            let read = read.map_err(RestoreError::from)?;
            let Some(piece) = Piece::of(&read) else {
                break;
            };
            next = piece.last + 1;
            each(piece).await?;
        }
        Ok(())
    }

    /// Ends the use of the directory.
    pub async fn close(self) {
        self.log.close().await;
    }
}

/// All blobs that a state knows, in the order of their names.
pub(super) async fn blobs(state: &StateReader) -> Result<Vec<BlobRecord>, RestoreError> {
    let mut all: Vec<BlobRecord> = Vec::new();
    loop {
        let after = all.last().map(|last| last.hash.clone());
        let page = state.blobs(after.as_deref(), PAGE_ROWS_MAX).await?;
        all.extend(page.rows);
        if !page.more {
            return Ok(all);
        }
    }
}
