//! A cluster that has lost its majority for good, from the directory of one node that is left.

use std::path::Path;

use cluster::archive::{Held, Left, Restore, Restored};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::{Error, Target};
use crate::storage::{BlobId, LocalBlobs};

/// What came of it.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The new cluster, and what it begins with.
    pub restored: Restored,
    /// The cluster that was lost.
    pub old_cluster_id: String,
    /// Blobs that the node had.
    pub blobs: u64,
    /// Those that it had not, and that no bucket has: what they belong to is lost.
    pub missing: Vec<BlobId>,
}

/// Makes an empty directory that of a new cluster's first node, from what a node of the old one has. The old
/// directory stays what it was; no node may run with it.
///
/// # Errors
/// A node runs with the old directory, the new one is not empty, or a disk fails.
pub async fn recover(from: &Path, target: Target) -> Result<Recovered, Error> {
    let from = from.to_owned();
    let runtime = Handle::current();
    let recovered = spawn_blocking(move || {
        let left = Left::open(&from)?;
        let restore = Restore::begin(&target.directory, target.name.as_ref())?;
        runtime.block_on(async {
            restore.snapshot(left.snapshot().await?).await?;
            left.log(async |piece| Ok::<_, Error>(restore.piece(&piece.bytes.into()).await?))
                .await
        })?;
        let (old, new) = (
            LocalBlobs::open(&left.path().join("blobs"))?,
            LocalBlobs::open(&target.directory.join("blobs"))?,
        );
        let (mut held, mut missing) = (Vec::new(), Vec::new());
        for record in runtime.block_on(restore.blobs())? {
            let Ok(id) = BlobId::try_from(&record.hash[..]) else {
                continue;
            };
            // One that is damaged is as good as none.
            match old.get_blocking(&id).ok().flatten() {
                Some(bytes) => {
                    new.put_blocking(&id, &bytes)?;
                    held.push(Held {
                        hash: record.hash,
                        size: record.size,
                    });
                }
                None if record.in_bucket => {}
                None => missing.push(id),
            }
        }
        let blobs = held.len() as u64;
        let old_cluster_id = left.cluster_id().to_string();
        let restored = runtime.block_on(async {
            left.close().await;
            restore.finish(target.address, held).await
        })?;
        Ok(Recovered {
            restored,
            old_cluster_id,
            blobs,
            missing,
        })
    });
    recovered.await.expect("recovering does not panic")
}
