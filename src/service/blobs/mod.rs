//! Blobs of the cluster: on a majority of the voters before anything names them, and found wherever they are.

mod error;
mod remote;
mod upkeep;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::node::{Cluster, ProposeError};
use cluster::proto::command::Kind;
use cluster::proto::reply::Outcome;
use cluster::proto::{PutBlob, Reason};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::task::spawn_blocking;

pub use self::error::Error;
pub use self::remote::chunks;
pub use self::upkeep::Upkeep;
use crate::storage::{BlobError, BlobId, LocalBlobs};

/// The largest blob, in bytes: it is in memory while it is kept or read.
pub const BLOB_BYTES_MAX: usize = 1 << 30;

/// All blobs that this node can get at. Cheap to clone.
#[derive(Clone)]
pub struct Blobs {
    local: Arc<LocalBlobs>,
    cluster: Cluster,
}

impl Blobs {
    /// Those of this node's directory and of the other nodes; they are looked after in this period, until the
    /// last handle is gone. Must be called inside a tokio runtime.
    pub fn new(local: LocalBlobs, cluster: Cluster, check_period: Duration) -> Self {
        let local = Arc::new(local);
        let looked_after =
            upkeep::upkeep_loop(Arc::downgrade(&local), cluster.clone(), check_period);
        tokio::spawn(looked_after);
        Self { local, cluster }
    }

    /// Keeps bytes on a majority of the voters, and makes that known. From then on commands may name them.
    ///
    /// # Errors
    /// They are too large, this node's disk fails, or no majority has them in time.
    pub async fn put(&self, bytes: Vec<u8>, deadline: Instant) -> Result<BlobId, Error> {
        if bytes.len() > BLOB_BYTES_MAX {
            let bytes = bytes.len();
            return Err(Error::TooLarge { bytes });
        }
        let bytes = bytes::Bytes::from(bytes);
        let id = self.put_here(bytes.clone()).await?;
        let here = self.cluster.node().ok_or(ProposeError::NotMember)?;
        let mut holders = BTreeSet::from([here]);
        let voters = Voters::of(&self.cluster);
        let mut sending: FuturesUnordered<_> = voters
            .others(here)
            .map(|node| {
                let (cluster, bytes) = (self.cluster.clone(), bytes.clone());
                // A task: one that is not waited for in the end goes on, and makes one more copy.
                tokio::spawn(async move { (node, remote::put(&cluster, node, id, bytes).await) })
            })
            .collect();
        while !voters.is_majority(&holders) {
            let next = tokio::time::timeout_at(deadline.into(), sending.next());
            match next.await.unwrap_or(None) {
                Some(Ok((node, Ok(())))) => {
                    holders.insert(node);
                }
                Some(Ok((node, Err(error)))) => {
                    tracing::debug!(node, %error, blob = %id, "a node did not take a blob");
                }
                Some(Err(_)) => {}
                None => return Err(Error::NotDurable { id }),
            }
        }
        let put = PutBlob {
            hash: id.0.to_vec(),
            size: bytes.len() as u64,
            holders: holders.into_iter().collect(),
            in_bucket: false,
        };
        let committed = self
            .cluster
            .propose(Kind::PutBlob(put), "", deadline)
            .await?;
        match committed.reply.outcome {
            Some(Outcome::Done(_)) => Ok(id),
            Some(Outcome::Refused(refused)) => match refused.reason() {
                // The members changed meanwhile.
                Reason::NotDurable => Err(Error::NotDurable { id }),
                reason => Err(Error::Refused {
                    reason: reason.into(),
                }),
            },
            _ => Err(Error::Refused { reason: 0 }),
        }
    }

    /// The bytes of a name: from here, or else from a node that has them, and then they are here too.
    ///
    /// # Errors
    /// No node that can be reached has them whole.
    pub async fn get(&self, id: BlobId) -> Result<bytes::Bytes, Error> {
        match self.get_here(id).await {
            Ok(Some(bytes)) => return Ok(bytes),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, blob = %id, "this node's copy is of no use"),
        }
        let record = self.cluster.state().blob(&id.0).await?;
        let holders = record.map(|record| record.holders).unwrap_or_default();
        let here = self.cluster.node();
        for node in holders.iter().copied().filter(|node| Some(*node) != here) {
            match remote::get(&self.cluster, node, id).await {
                Ok(bytes) => {
                    // A copy of its own is a convenience: without room for one the bytes are good all the same.
                    if let Err(error) = self.put_here(bytes.clone()).await {
                        tracing::warn!(%error, blob = %id, "no copy of a blob is kept here");
                    }
                    return Ok(bytes);
                }
                Err(error) => {
                    tracing::warn!(node, %error, blob = %id, "a holder does not give a blob");
                }
            }
        }
        Err(Error::Missing { id, holders })
    }

    /// Keeps bytes on this node, for another one that asks for it.
    ///
    /// # Errors
    /// The disk's.
    pub async fn put_here(&self, bytes: bytes::Bytes) -> Result<BlobId, BlobError> {
        let local = Arc::clone(&self.local);
        spawn_blocking(move || local.put(&bytes))
            .await
            .expect("keeping a blob does not panic")
    }

    /// The bytes, where this node has them whole.
    ///
    /// # Errors
    /// The disk's; or this node's copy is damaged, and set aside.
    pub async fn get_here(&self, id: BlobId) -> Result<Option<bytes::Bytes>, BlobError> {
        let local = Arc::clone(&self.local);
        let read = spawn_blocking(move || local.get(&id)).await;
        let read = read.expect("reading a blob does not panic")?;
        Ok(read.map(bytes::Bytes::from))
    }
}

/// Who has a vote: one set, or two while the members change.
struct Voters(Vec<BTreeSet<u64>>);

impl Voters {
    fn of(cluster: &Cluster) -> Self {
        let stored = cluster.state().membership();
        let sets = stored.membership().get_joint_config();
        Self(
            sets.iter()
                .map(|set| set.iter().copied().collect())
                .collect(),
        )
    }

    fn others(&self, here: u64) -> impl Iterator<Item = u64> {
        let all: BTreeSet<u64> = self.0.iter().flatten().copied().collect();
        all.into_iter().filter(move |node| *node != here)
    }

    fn has(&self, node: u64) -> bool {
        self.0.iter().any(|set| set.contains(&node))
    }

    fn is_majority(&self, holders: &BTreeSet<u64>) -> bool {
        let majority = |set: &BTreeSet<u64>| set.intersection(holders).count() > set.len() / 2;
        !self.0.is_empty() && self.0.iter().all(majority)
    }
}
