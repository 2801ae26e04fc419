//! Looking after blobs: each node reads its own copies now and then, fetches those that it should have, makes one
//! more of what is on too few voters, and removes what the cluster has forgotten.

use std::collections::BTreeSet;
use std::sync::Weak;
use std::time::{Duration, Instant, SystemTime};

use cluster::proto::command::Kind;
use cluster::proto::{BlobRecord, PutBlob};
use cluster::state::PAGE_ROWS_MAX;
use tokio::time::MissedTickBehavior;

use super::{Blobs, Error, InBucket, Inner, Round, Voters};
use crate::storage::{BlobId, BlobStore};

/// A file that is younger may be one that is about to be named.
pub const GRACE: Duration = Duration::from_secs(3600);
/// How long one step may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// What one round found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// Copies that were read.
    pub read: u64,
    /// Copies that were damaged, and set aside.
    pub damaged: u64,
    /// Copies that were fetched.
    pub fetched: u64,
    /// Blobs that were brought to the bucket.
    pub uploaded: u64,
    /// Copies that nothing needs any more, and that are gone.
    pub removed: u64,
    /// Blobs that no node gave.
    pub missing: u64,
}

/// Runs until the blobs are given up.
pub(super) async fn upkeep_loop(blobs: Weak<Inner>, period: Duration) {
    let mut beat = tokio::time::interval(period);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Not at once: a node that has just started has other things to do.
    beat.tick().await;
    loop {
        beat.tick().await;
        let Some(inner) = blobs.upgrade() else { return };
        match Blobs(inner).look_after(period.min(GRACE)).await {
            Ok(Upkeep {
                read,
                damaged: 0,
                fetched: 0,
                removed: 0,
                uploaded: 0,
                missing: 0,
            }) => {
                tracing::debug!(read, "all blobs are well");
            }
            Ok(upkeep) => tracing::info!(?upkeep, "blobs were looked after"),
            Err(error) => tracing::debug!(%error, "blobs can't be looked after now"),
        }
    }
}

impl Blobs {
    /// One round; files younger than `grace` are left alone.
    ///
    /// # Errors
    /// There is no leader, or this node's disk or the bucket fails.
    pub async fn look_after(&self, grace: Duration) -> Result<Upkeep, Error> {
        let mut upkeep = Upkeep::default();
        let local = &self.0.local;
        // Listed first: what the state does not know afterwards was never going to be named, or is forgotten.
        for id in self.sweep(local, grace, &mut upkeep).await? {
            upkeep.read += 1;
            if let Err(error) = self.get_here(id).await {
                tracing::error!(%error, "a blob of this node is damaged");
                upkeep.damaged += 1;
            }
        }
        if let Some(bucket) = &self.0.bucket
            && self.0.cluster.leads()
            && self.owns(bucket).await
        {
            self.sweep(&bucket.blobs, GRACE, &mut upkeep).await?;
        }
        let mut after: Option<Vec<u8>> = None;
        loop {
            let state = self.0.cluster.state();
            let page = state.blobs(after.as_deref(), PAGE_ROWS_MAX).await?;
            for record in &page.rows {
                self.keep_up(record, &mut upkeep).await?;
            }
            after = page.rows.last().map(|record| record.hash.clone());
            if !page.more {
                break;
            }
        }
        let ended = SystemTime::now();
        self.0
            .last_round
            .send_replace(Some(Round { ended, upkeep }));
        Ok(upkeep)
    }

    /// Nothing is removed from what is another cluster's, or may be.
    async fn owns(&self, bucket: &InBucket) -> bool {
        let Some(cluster_id) = self.0.cluster.cluster_id() else {
            return false;
        };
        let claimed = bucket.claim.ours(&cluster_id.to_string()).await;
        if let Err(error) = &claimed {
            tracing::warn!(%error, "the bucket is not looked after");
        }
        claimed.is_ok()
    }

    /// Removes what the cluster has forgotten; the names of the others.
    async fn sweep(
        &self,
        store: &impl BlobStore,
        grace: Duration,
        upkeep: &mut Upkeep,
    ) -> Result<Vec<BlobId>, Error> {
        let listed = store.list().await?;
        let deadline = Instant::now() + STEP_TIMEOUT;
        let state = self.0.cluster.linearizable(deadline).await?;
        let mut known = Vec::with_capacity(listed.len());
        for blob in listed {
            if state.blob(&blob.id.0).await?.is_some() {
                known.push(blob.id);
            } else if blob.age >= grace {
                store.remove(blob.id).await?;
                upkeep.removed += 1;
            }
        }
        Ok(known)
    }

    /// Sees that this node has the copy that it should have, and the bucket its own.
    async fn keep_up(&self, record: &BlobRecord, upkeep: &mut Upkeep) -> Result<(), Error> {
        let cluster = &self.0.cluster;
        let (Ok(id), Some(here)) = (BlobId::try_from(&record.hash[..]), cluster.node()) else {
            return Ok(());
        };
        let mut holders: BTreeSet<u64> = record.holders.iter().copied().collect();
        let listed = holders.contains(&here);
        let mut put = PutBlob {
            hash: record.hash.clone(),
            size: record.size,
            ..PutBlob::default()
        };
        let deadline = Instant::now() + STEP_TIMEOUT;
        if let Some(bucket) = &self.0.bucket {
            // It was kept before there was a bucket: whoever has it brings it there.
            if !record.in_bucket && listed {
                let bytes = self.get(id).await?;
                self.put_in_bucket(bucket, id, bytes, deadline).await?;
                put.in_bucket = true;
                cluster.propose(Kind::PutBlob(put), "", deadline).await?;
                upkeep.uploaded += 1;
            }
            return Ok(());
        }
        let voters = Voters::of(cluster);
        let too_few = !record.in_bucket && !voters.is_majority(&holders);
        let wanted = listed || too_few && voters.has(here);
        if !wanted || self.0.local.contains(&id) && listed {
            return Ok(());
        }
        match self.get(id).await {
            Ok(_) => upkeep.fetched += 1,
            Err(Error::Missing { .. }) => {
                tracing::error!(blob = %id, ?holders, "no node that answers has a blob");
                upkeep.missing += 1;
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        if listed {
            return Ok(());
        }
        holders.insert(here);
        put.holders = holders.into_iter().collect();
        // Where a majority is more than one copy away it is refused, and the blob stays as it is.
        cluster.propose(Kind::PutBlob(put), "", deadline).await?;
        Ok(())
    }
}
