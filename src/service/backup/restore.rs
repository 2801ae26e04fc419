//! A cluster from a backup: its first node, in an empty directory.

use std::path::{Path, PathBuf};

use cluster::archive::{Held, Restore, Restored};
use cluster::ids::NodeName;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::file::{Part, read};
use super::{Error, Summary};
use crate::storage::LocalBlobs;

/// The node that is to be the cluster's first.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its directory, which is empty or not there.
    pub directory: PathBuf,
    /// Its name; else the directory gets one.
    pub name: Option<NodeName>,
    /// host:port at which others reach it; may be empty.
    pub address: String,
}

/// Restores a backup. Should it end early, the directory is of no use until it is done again.
///
/// # Errors
/// The backup is damaged, or the directory is not empty or can't be written.
pub async fn restore(path: &Path, target: Target) -> Result<(Summary, Restored), Error> {
    let path = path.to_owned();
    let runtime = Handle::current();
    let restored = spawn_blocking(move || {
        let restore = Restore::begin(&target.directory, target.name.as_ref())?;
        let blobs = LocalBlobs::open(&target.directory.join("blobs"))?;
        let snapshots = target.directory.join("snapshots");
        let mut held = Vec::new();
        let summary = read(&path, &snapshots, |part| match part {
            Part::State(state) => {
                let (file, _) = *state;
                runtime.block_on(restore.snapshot(file))?;
                Ok(())
            }
            Part::Blob(id, bytes) => {
                blobs.put_blocking(&id, &bytes)?;
                held.push(Held {
                    hash: id.0.to_vec(),
                    size: bytes.len() as u64,
                });
                Ok(())
            }
        })?;
        let restored = runtime.block_on(restore.finish(target.address, held))?;
        Ok((summary, restored))
    });
    restored.await.expect("restoring does not panic")
}
