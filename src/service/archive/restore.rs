//! A cluster from the bucket: its first node, in an empty directory.

use std::path::Path;
use std::time::Duration;

use cluster::archive::{Restore, Restored};
use cluster::ids::NodeName;

use super::Error;
use super::keep::BEAT;
use super::keys::{self, Kept};
use crate::storage::{Bucket, Claim, Claimant};

/// A claim that does not change for so long is nobody's.
const SILENCE: Duration = Duration::from_secs(3 * BEAT.as_secs());
/// What is written to a file at once.
const CHUNK_BYTES: usize = 1 << 20;

/// The node that is to be the cluster's first.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its directory, which is empty.
    pub directory: &'a Path,
    /// Its name; else the directory gets one.
    pub name: Option<&'a NodeName>,
    /// host:port at which others reach it; may be empty.
    pub address: &'a str,
}

/// Restores what the bucket has; `None` when nobody has used it.
///
/// # Errors
/// A cluster lives that uses the bucket, what is there is damaged, or the bucket or the disk fails.
pub async fn restore(
    bucket: &Bucket,
    claim: &Claim,
    target: Target<'_>,
) -> Result<Option<Restored>, Error> {
    let Some(claimant) = claim.read().await? else {
        return Ok(None);
    };
    wait_for_silence(claim, &claimant).await?;
    // A cluster that had no time to keep its own state is restored from what it came from itself.
    let former = claimant.restored_from.iter();
    for cluster_id in std::iter::once(&claimant.cluster_id).chain(former) {
        let kept = Kept::of(bucket.list(&keys::folder(cluster_id)).await?);
        if let Some((_, key)) = &kept.state {
            tracing::info!(cluster_id, index = kept.end(), "restoring from the bucket");
            let restored = restore_kept(bucket, target, key, &kept).await?;
            let id = restored.cluster_id.to_string();
            claim
                .write(&Claimant::new(id, Some(cluster_id.clone())))
                .await?;
            return Ok(Some(restored));
        }
    }
    let cluster_id = claimant.cluster_id;
    Err(Error::NoState { cluster_id })
}

async fn wait_for_silence(claim: &Claim, claimant: &Claimant) -> Result<(), Error> {
    if claimant.stopped {
        return Ok(());
    }
    tracing::info!(
        cluster_id = claimant.cluster_id,
        secs = SILENCE.as_secs(),
        "waiting, to see that nobody uses the bucket"
    );
    tokio::time::sleep(SILENCE).await;
    if claim.read().await?.as_ref() == Some(claimant) {
        return Ok(());
    }
    let cluster_id = claimant.cluster_id.clone();
    Err(Error::Alive { cluster_id })
}

async fn restore_kept(
    bucket: &Bucket,
    target: Target<'_>,
    state: &str,
    kept: &Kept,
) -> Result<Restored, Error> {
    let (directory, name) = (target.directory.to_owned(), target.name.cloned());
    let begun = tokio::task::spawn_blocking(move || Restore::begin(&directory, name.as_ref()));
    let restore = begun.await.expect("beginning does not panic")?;
    let bytes = bucket.get(state).await?;
    // It was listed a moment ago; who removes it meanwhile is a cluster that lives.
    let bytes = bytes.ok_or(cluster::archive::RestoreError::Nothing)?;
    let mut file = restore.snapshot_file()?;
    for chunk in bytes.chunks(CHUNK_BYTES) {
        file.write(chunk)
            .map_err(cluster::state::StoreError::from)?;
    }
    drop(bytes);
    let file = file.finish().map_err(cluster::state::StoreError::from)?;
    restore.snapshot(file).await?;
    for (.., key) in &kept.pieces {
        let piece = bucket.get(key).await?;
        let piece = piece.ok_or(cluster::archive::RestoreError::Nothing)?;
        restore.piece(&piece).await?;
    }
    let restored = restore
        .finish(target.address.to_owned(), Vec::new())
        .await?;
    tracing::info!(
        cluster_id = %restored.cluster_id,
        node = restored.node,
        index = restored.index,
        "the cluster is restored, as another one"
    );
    Ok(restored)
}
