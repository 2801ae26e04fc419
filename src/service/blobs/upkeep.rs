//! Looking after blobs: each node reads its own copies now and then, fetches those that it should have, makes one
//! more of what is on too few voters, and removes what the cluster has forgotten.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use cluster::node::Cluster;
use cluster::proto::command::Kind;
use cluster::proto::{BlobRecord, PutBlob};
use cluster::state::PAGE_ROWS_MAX;
use tokio::task::spawn_blocking;
use tokio::time::MissedTickBehavior;

use super::{Blobs, Error, Voters};
use crate::storage::{BlobId, LocalBlobs};

/// A file that is younger may be one that is about to be named.
const GRACE: Duration = Duration::from_secs(3600);
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
    /// Copies that nothing needs any more, and that are gone.
    pub removed: u64,
    /// Blobs that no node gave.
    pub missing: u64,
}

/// Runs until the blobs are given up.
pub(super) async fn upkeep_loop(local: Weak<LocalBlobs>, cluster: Cluster, period: Duration) {
    let mut beat = tokio::time::interval(period);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Not at once: a node that has just started has other things to do.
    beat.tick().await;
    loop {
        beat.tick().await;
        let Some(local) = local.upgrade() else { return };
        let blobs = Blobs {
            local,
            cluster: cluster.clone(),
        };
        match blobs.look_after(period.min(GRACE)).await {
            Ok(Upkeep {
                read,
                damaged: 0,
                fetched: 0,
                removed: 0,
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
    /// There is no leader, or this node's disk fails.
    pub async fn look_after(&self, grace: Duration) -> Result<Upkeep, Error> {
        let mut upkeep = Upkeep::default();
        let local = Arc::clone(&self.local);
        let listed = spawn_blocking(move || local.list()).await;
        let listed = listed.expect("listing blobs does not panic")?;
        let deadline = Instant::now() + STEP_TIMEOUT;
        let state = self.cluster.linearizable(deadline).await?;
        for (id, age) in listed {
            if state.blob(&id.0).await?.is_none() {
                if age >= grace {
                    let local = Arc::clone(&self.local);
                    let removed = spawn_blocking(move || local.remove(&id)).await;
                    removed.expect("removing a blob does not panic")?;
                    upkeep.removed += 1;
                }
                continue;
            }
            upkeep.read += 1;
            if let Err(error) = self.get_here(id).await {
                tracing::error!(%error, "a blob of this node is damaged");
                upkeep.damaged += 1;
            }
        }
        let mut after: Option<Vec<u8>> = None;
        loop {
            let state = self.cluster.state();
            let page = state.blobs(after.as_deref(), PAGE_ROWS_MAX).await?;
            for record in &page.rows {
                self.keep_up(record, &mut upkeep).await?;
            }
            after = page.rows.last().map(|record| record.hash.clone());
            if !page.more {
                return Ok(upkeep);
            }
        }
    }

    /// Sees that this node has the copy that it should have.
    async fn keep_up(&self, record: &BlobRecord, upkeep: &mut Upkeep) -> Result<(), Error> {
        let (Ok(id), Some(here)) = (BlobId::try_from(&record.hash[..]), self.cluster.node()) else {
            return Ok(());
        };
        let mut holders: BTreeSet<u64> = record.holders.iter().copied().collect();
        let listed = holders.contains(&here);
        let voters = Voters::of(&self.cluster);
        let too_few = !record.in_bucket && !voters.is_majority(&holders);
        let wanted = listed || too_few && voters.has(here);
        if !wanted || self.local.contains(&id) && listed {
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
        let put = Kind::PutBlob(PutBlob {
            hash: record.hash.clone(),
            size: record.size,
            holders: holders.into_iter().collect(),
            in_bucket: false,
        });
        // Where a majority is more than one copy away it is refused, and the blob stays as it is.
        let deadline = Instant::now() + STEP_TIMEOUT;
        self.cluster.propose(put, "", deadline).await?;
        Ok(())
    }
}
