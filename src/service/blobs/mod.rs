//! Blobs of the cluster: in the bucket, or else on a majority of the voters, before anything names them; and found
//! wherever they are.

mod cache;
mod error;
mod remote;
mod standing;
mod upkeep;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cluster::node::{Cluster, DiskLevel, ProposeError};
use cluster::proto::command::Kind;
use cluster::proto::reply::Outcome;
use cluster::proto::{PutBlob, Reason};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use self::cache::Cache;
pub use self::error::Error;
pub use self::remote::chunks;
pub use self::standing::{Round, Standing};
pub use self::upkeep::{GRACE, Upkeep};
use crate::storage::{BlobError, BlobId, BlobStore as _, Claim, LocalBlobs, S3Blobs};

/// The largest blob, in bytes: it is in memory while it is kept or read.
pub const BLOB_BYTES_MAX: usize = 1 << 30;

/// All blobs that this node can get at. Cheap to clone.
#[derive(Clone)]
pub struct Blobs(Arc<Inner>);

struct Inner {
    local: Arc<LocalBlobs>,
    bucket: Option<InBucket>,
    cache: Arc<Cache>,
    cluster: Cluster,
    last_round: watch::Sender<Option<Round>>,
}

/// The bucket of this cluster.
#[derive(Clone)]
pub struct InBucket {
    /// Its blobs.
    pub blobs: S3Blobs,
    /// Whose it is.
    pub claim: Arc<Claim>,
    /// What this node's copies of them may take, in bytes.
    pub cache_bytes_max: u64,
}

impl Blobs {
    /// Those of this node's directory and of the other nodes; they are looked after in this period, until the
    /// last handle is gone. Must be called inside a tokio runtime.
    pub fn on_nodes(local: LocalBlobs, cluster: Cluster, check_period: Duration) -> Self {
        Self::new(local, None, cluster, check_period)
    }

    /// Those of a bucket; this node's directory has copies of them. Otherwise as [`Blobs::on_nodes`].
    pub fn in_bucket(
        bucket: InBucket,
        local: LocalBlobs,
        cluster: Cluster,
        check_period: Duration,
    ) -> Self {
        Self::new(local, Some(bucket), cluster, check_period)
    }

    fn new(
        local: LocalBlobs,
        bucket: Option<InBucket>,
        cluster: Cluster,
        check_period: Duration,
    ) -> Self {
        let limit = bucket.as_ref().map(|bucket| bucket.cache_bytes_max);
        let blobs = Self(Arc::new(Inner {
            local: Arc::new(local),
            bucket,
            cache: Arc::new(Cache::new(limit.unwrap_or(u64::MAX))),
            cluster,
            last_round: watch::Sender::new(None),
        }));
        tokio::spawn(upkeep::upkeep_loop(Arc::downgrade(&blobs.0), check_period));
        if limit.is_some() {
            let cache = Arc::clone(&blobs.0.cache);
            tokio::spawn(cache::cache_loop(cache, Arc::downgrade(&blobs.0)));
        }
        blobs
    }

    /// Makes bytes durable, and that known. From then on commands may name them.
    ///
    /// # Errors
    /// They are too large, or neither the bucket nor a majority of the voters has them in time.
    pub async fn put(&self, bytes: Vec<u8>, deadline: Instant) -> Result<BlobId, Error> {
        if bytes.len() > BLOB_BYTES_MAX {
            let bytes = bytes.len();
            return Err(Error::TooLarge { bytes });
        }
        let (id, bytes) = name(bytes.into()).await;
        let mut put = PutBlob {
            hash: id.0.to_vec(),
            size: bytes.len() as u64,
            ..PutBlob::default()
        };
        if let Some(bucket) = &self.0.bucket {
            self.put_in_bucket(bucket, id, bytes, deadline).await?;
            put.in_bucket = true;
        } else {
            put.holders = self.put_on_majority(id, bytes, deadline).await?;
        }
        let kind = Kind::PutBlob(put);
        let committed = self.0.cluster.propose(kind, "", deadline).await?;
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

    async fn put_in_bucket(
        &self,
        bucket: &InBucket,
        id: BlobId,
        bytes: Bytes,
        deadline: Instant,
    ) -> Result<(), Error> {
        if bucket.claim.is_lost() {
            return Err(Error::ForeignBucket);
        }
        // The copy is written meanwhile: who restores the session here next needs no bucket.
        let copied = async {
            if let Err(error) = self.put_here(id, bytes.clone()).await {
                tracing::warn!(%error, blob = %id, "no copy of a blob is kept here");
            }
        };
        let put = tokio::time::timeout_at(deadline.into(), bucket.blobs.put(id, bytes.clone()));
        let (put, ()) = tokio::join!(put, copied);
        Ok(put.map_err(|_| Error::NotDurable { id })??)
    }

    async fn put_on_majority(
        &self,
        id: BlobId,
        bytes: Bytes,
        deadline: Instant,
    ) -> Result<Vec<u64>, Error> {
        self.put_here(id, bytes.clone()).await?;
        let here = self.0.cluster.node().ok_or(ProposeError::NotMember)?;
        let mut holders = BTreeSet::from([here]);
        let voters = Voters::of(&self.0.cluster);
        let mut sending: FuturesUnordered<_> = voters
            .others(here)
            .map(|node| {
                let (cluster, bytes) = (self.0.cluster.clone(), bytes.clone());
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
        Ok(holders.into_iter().collect())
    }

    /// The bytes of a name: from here, from the bucket, or from a node that has them; and then they are here too.
    ///
    /// # Errors
    /// Nobody that can be reached has them whole.
    pub async fn get(&self, id: BlobId) -> Result<Bytes, Error> {
        match self.get_here(id).await {
            Ok(Some(bytes)) => return Ok(bytes),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, blob = %id, "this node's copy is of no use"),
        }
        let mut failed = None;
        if let Some(bucket) = &self.0.bucket {
            match bucket.blobs.get(id).await {
                Ok(Some(bytes)) => {
                    self.copy_here(id, &bytes).await;
                    return Ok(bytes);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, blob = %id, "the bucket does not give a blob");
                    failed = Some(error);
                }
            }
        }
        let cluster = &self.0.cluster;
        let record = cluster.state().blob(&id.0).await?;
        let mut holders = record.iter().flat_map(|it| it.holders.clone()).collect();
        if record.is_some_and(|record| record.in_bucket) {
            // Any node may have a copy of what is there.
            Voters::of(cluster).add_to(&mut holders);
        }
        let here = cluster.node();
        for node in holders.iter().copied().filter(|node| Some(*node) != here) {
            match remote::get(cluster, node, id).await {
                Ok(bytes) => {
                    self.copy_here(id, &bytes).await;
                    return Ok(bytes);
                }
                Err(error) => {
                    tracing::warn!(node, %error, blob = %id, "a holder does not give a blob");
                }
            }
        }
        let holders = holders.into_iter().collect();
        Err(failed.map_or(Error::Missing { id, holders }, Error::from))
    }

    /// A copy of one's own is a convenience: without room for one the bytes are good all the same.
    async fn copy_here(&self, id: BlobId, bytes: &Bytes) {
        if let Err(error) = self.put_here(id, bytes.clone()).await {
            tracing::warn!(%error, blob = %id, "no copy of a blob is kept here");
        }
    }

    /// Keeps bytes on this node, for another one that asks for it.
    ///
    /// # Errors
    /// The disk's.
    pub async fn put_here(&self, id: BlobId, bytes: Bytes) -> Result<(), BlobError> {
        if self.0.cluster.disk_level() != DiskLevel::Roomy {
            return Err(BlobError::NoRoom);
        }
        let length = bytes.len() as u64;
        self.0.local.put(id, bytes).await?;
        self.0.cache.added(length);
        Ok(())
    }

    /// The bytes, where this node has them whole.
    ///
    /// # Errors
    /// The disk's; or this node's copy is damaged, and set aside.
    pub async fn get_here(&self, id: BlobId) -> Result<Option<Bytes>, BlobError> {
        let found = self.0.local.get(id).await?;
        if found.is_some() && self.0.bucket.is_some() {
            let local = Arc::clone(&self.0.local);
            spawn_blocking(move || local.touch(&id));
        }
        Ok(found)
    }
}

/// A large hash is no work for a thread that serves others.
async fn name(bytes: Bytes) -> (BlobId, Bytes) {
    const AT_ONCE: usize = 256 << 10;
    if bytes.len() <= AT_ONCE {
        return (BlobId::of(&bytes), bytes);
    }
    spawn_blocking(move || (BlobId::of(&bytes), bytes))
        .await
        .expect("hashing does not panic")
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

    fn add_to(&self, nodes: &mut BTreeSet<u64>) {
        nodes.extend(self.0.iter().flatten());
    }

    fn has(&self, node: u64) -> bool {
        self.0.iter().any(|set| set.contains(&node))
    }

    fn is_majority(&self, holders: &BTreeSet<u64>) -> bool {
        let majority = |set: &BTreeSet<u64>| set.intersection(holders).count() > set.len() / 2;
        !self.0.is_empty() && self.0.iter().all(majority)
    }
}
