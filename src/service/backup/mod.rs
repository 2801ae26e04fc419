//! The whole cluster as one file, or as one of several that share their blobs, and a cluster from it.
//!
//! A backup is a snapshot of the state with the blobs that it names. It is taken from a cluster that runs: the state
//! is the one at an index of the log, and blobs never change.

mod error;
mod file;
mod recover;
mod repository;
mod restore;
mod save;
mod schedule;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cluster::node::Cluster;
use tokio::sync::{Mutex, mpsc};
use tokio_stream::wrappers::ReceiverStream;

pub use self::error::Error;
pub use self::file::{Summary, verify};
pub use self::recover::{Recovered, recover};
pub use self::repository::Repository;
pub use self::restore::{Target, restore};
pub use self::schedule::Schedule;
use super::blobs::Blobs;
use crate::storage::BlobId;

/// Where blobs lie beside backups.
const BLOBS: &str = "blobs";
/// Pieces that wait for whoever writes them.
const PIECES_WAITING: usize = 4;

/// Takes backups. Cheap to clone.
#[derive(Clone)]
pub struct Backups {
    cluster: Cluster,
    blobs: Blobs,
    /// One is taken at a time: each is a copy of the state on this node's disk.
    taking: Arc<Mutex<()>>,
}

impl Backups {
    /// Of a node's cluster.
    pub fn new(cluster: Cluster, blobs: Blobs) -> Self {
        Self {
            cluster,
            blobs,
            taking: Arc::default(),
        }
    }

    /// The bytes of a backup as of now, without the blobs that there are already. The last piece is an error when it
    /// is not whole.
    pub fn save(&self, have: BTreeSet<BlobId>) -> ReceiverStream<Result<Bytes, Error>> {
        let (out, pieces) = mpsc::channel(PIECES_WAITING);
        let backups = self.clone();
        // It ends when nobody takes its pieces any more.
        tokio::spawn(async move {
            let _place = backups.taking.lock().await;
            if let Err(error) = save::save(&backups, &have, &out).await {
                // Who is gone is told nothing.
                let _ = out.send(Err(error)).await;
            }
        });
        ReceiverStream::new(pieces)
    }
}

/// What a backup as of an entry of the log is called: the names are in the order of their age, whoever takes them.
fn backup_name(index: u64) -> String {
    format!("backup-{index:020}.mcpv8")
}

/// The backups of a directory: the old ones, and the newest, which are so many. It blocks.
fn backups_in(directory: &Path, count: usize) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with("backup-") && name.ends_with(".mcpv8")) {
            found.push(path);
        }
    }
    found.sort();
    let newest = found.split_off(found.len().saturating_sub(count));
    Ok((found, newest))
}
