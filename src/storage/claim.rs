//! Whose bucket it is: one object that says which cluster keeps things there.
//!
//! The cluster writes it again every few seconds. Who finds it unchanged for a while may take the bucket over, and
//! the old cluster, should it live after all, sees that and keeps nothing there any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::{Bucket, BucketError};

const KEY: &str = "claim.json";
const FORMAT: u32 = 1;

/// The claim on a bucket, as one node sees it.
#[derive(Debug)]
pub struct Claim {
    bucket: Arc<Bucket>,
    lost: AtomicBool,
}

/// What the claim says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimant {
    format: u32,
    /// The cluster, in hex.
    pub cluster_id: String,
    /// The one that it was restored from, in hex.
    pub restored_from: Option<String>,
    /// Counted up for as long as the cluster lives.
    pub beat: u64,
    /// Its last node has stopped, and was not killed.
    pub stopped: bool,
}

/// Why the claim can't be read or made.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The bucket's.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// It is not what this version writes.
    #[error("{KEY} in the bucket is not understood: it is damaged, or a later version wrote it")]
    Malformed,
    /// It is another cluster's.
    #[error(
        "the bucket belongs to cluster {theirs}, not to {ours}: a cluster needs a bucket or a --s3-prefix of its own"
    )]
    Foreign {
        /// The cluster in the bucket.
        theirs: String,
        /// This one.
        ours: String,
    },
}

impl Claimant {
    /// A claim that was never made before.
    pub fn new(cluster_id: String, restored_from: Option<String>) -> Self {
        Self {
            format: FORMAT,
            cluster_id,
            restored_from,
            beat: 0,
            stopped: false,
        }
    }
}

impl Claim {
    /// That on this bucket. Nothing is read yet.
    pub fn new(bucket: Arc<Bucket>) -> Self {
        Self {
            bucket,
            lost: AtomicBool::new(false),
        }
    }

    /// What it says; `None` in a new bucket.
    ///
    /// # Errors
    /// The bucket's; or it is not understood.
    pub async fn read(&self) -> Result<Option<Claimant>, ClaimError> {
        let Some(bytes) = self.bucket.get(KEY).await? else {
            return Ok(None);
        };
        let claimant: Claimant =
            serde_json::from_slice(&bytes).map_err(|_| ClaimError::Malformed)?;
        if claimant.format == FORMAT {
            Ok(Some(claimant))
        } else {
            Err(ClaimError::Malformed)
        }
    }

    /// Says that the cluster lives, or has stopped.
    ///
    /// # Errors
    /// It is another cluster's, now or since earlier; or the bucket's.
    pub async fn renew(&self, cluster_id: &str, stopped: bool) -> Result<(), ClaimError> {
        let mut claimant = self.ours(cluster_id).await?;
        claimant.beat += 1;
        claimant.stopped = stopped;
        self.write(&claimant).await
    }

    /// Takes the bucket for a cluster.
    ///
    /// # Errors
    /// The bucket's.
    pub async fn write(&self, claimant: &Claimant) -> Result<(), ClaimError> {
        let bytes = serde_json::to_vec(claimant).expect("plain data has a JSON form");
        Ok(self.bucket.write(KEY, bytes).await?)
    }

    /// The claim of this cluster: the one that is there, or a new one.
    ///
    /// # Errors
    /// It is another cluster's; or the bucket's.
    pub async fn ours(&self, cluster_id: &str) -> Result<Claimant, ClaimError> {
        let claimant = match self.read().await? {
            None => Claimant::new(cluster_id.to_owned(), None),
            Some(claimant) => claimant,
        };
        let foreign = claimant.cluster_id != cluster_id;
        self.lost.store(foreign, Ordering::Relaxed);
        if foreign {
            return Err(ClaimError::Foreign {
                theirs: claimant.cluster_id,
                ours: cluster_id.to_owned(),
            });
        }
        Ok(claimant)
    }

    /// Whether the bucket was another cluster's when it was last looked at.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}
