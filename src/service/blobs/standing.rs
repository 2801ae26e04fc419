//! How the blobs are, as one node sees it.

use std::collections::HashSet;
use std::time::SystemTime;

use cluster::state::PAGE_ROWS_MAX;

use super::{Blobs, Error, Upkeep, Voters};
use crate::storage::{BlobId, BlobStore as _};

/// How the blobs are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Those that the cluster knows,
    pub blobs: u64,
    /// and their size.
    pub bytes: u64,
    /// Those in the bucket.
    pub in_bucket: u64,
    /// Those in no bucket, and on fewer than a majority of the voters.
    pub too_few: u64,
    /// The copies of this node,
    pub here: u64,
    /// and their size.
    pub here_bytes: u64,
    /// What this node should have, and has not.
    pub missing_here: u64,
    /// What no record names.
    pub unknown_here: u64,
    /// Copies that were damaged, and are set aside.
    pub damaged_here: u64,
    /// The last round of looking after them.
    pub last_round: Option<Round>,
}

/// A round of looking after blobs that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// When.
    pub ended: SystemTime,
    /// What it found and did.
    pub upkeep: Upkeep,
}

impl Blobs {
    /// How they are now, as far as this node knows. No copy is read.
    ///
    /// # Errors
    /// The disk's.
    pub async fn standing(&self) -> Result<Standing, Error> {
        let inner = &*self.0;
        let (cluster, state) = (&inner.cluster, inner.cluster.state());
        let (voters, node) = (Voters::of(cluster), cluster.node());
        let listed = inner.local.list().await?;
        let mut standing = Standing {
            here: listed.len() as u64,
            here_bytes: listed.iter().map(|blob| blob.bytes).sum(),
            damaged_here: inner.local.damaged().await?,
            last_round: *inner.last_round.borrow(),
            ..Standing::default()
        };
        let mut here: HashSet<BlobId> = listed.into_iter().map(|blob| blob.id).collect();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = state.blobs(after.as_deref(), PAGE_ROWS_MAX).await?;
            for record in &page.rows {
                let has = BlobId::try_from(&record.hash[..]).is_ok_and(|id| here.remove(&id));
                let is_holder = node.is_some_and(|node| record.holders.contains(&node));
                let few = !voters.is_majority(&record.holders.iter().copied().collect());
                standing.blobs += 1;
                standing.bytes += record.size;
                standing.in_bucket += u64::from(record.in_bucket);
                standing.too_few += u64::from(!record.in_bucket && few);
                standing.missing_here += u64::from(!record.in_bucket && is_holder && !has);
            }
            after = page.rows.last().map(|record| record.hash.clone());
            if !page.more {
                break;
            }
        }
        standing.unknown_here = here.len() as u64;
        Ok(standing)
    }
}
