use super::RestoreError;
use crate::proto::BlobRecord;
use crate::state::{SnapshotFile, StateHash, read_snapshot};

/// What a snapshot of the state holds, as far as whoever keeps it has to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// The last entry whose effect is in it.
    pub index: u64,
    /// The hash of all rows, which are those that were written.
    pub hash: StateHash,
    /// The blobs that the cluster has, in the order of their names.
    pub blobs: Vec<BlobRecord>,
}

impl Contents {
    /// Reads all of a snapshot. It blocks.
    ///
    /// # Errors
    /// It is damaged, or the disk fails.
    pub fn of(file: &SnapshotFile) -> Result<Self, RestoreError> {
        let (index, hash, blobs) = read_snapshot(file)?;
        Ok(Self { index, hash, blobs })
    }
}
