use cluster::archive::RestoreError;
use cluster::log::LogError;
use cluster::state::StoreError;

use crate::storage::{BucketError, ClaimError};

/// Why something was not kept in the bucket, or not restored from it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bucket's.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The bucket is another cluster's.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// This node's log can't be read.
    #[error("the log can't be read: {0}")]
    Log(#[from] LogError),
    /// This node's state can't be read.
    #[error("the state can't be read: {0}")]
    State(#[from] StoreError),
    /// What is in the bucket can't be restored.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A cluster lives and keeps things in the bucket.
    #[error(
        "cluster {cluster_id} lives and uses the bucket: a node joins it with --join, and another cluster needs a \
         bucket or a --s3-prefix of its own"
    )]
    Alive {
        /// Which.
        cluster_id: String,
    },
    /// The bucket has a claim, but no state.
    #[error(
        "cluster {cluster_id} has used the bucket, but its state is not there: nothing can be restored. If it kept \
         nothing of worth, remove claim.json from the bucket and start again"
    )]
    NoState {
        /// Which.
        cluster_id: String,
    },
}
