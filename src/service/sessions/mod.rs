//! Sessions: JavaScript worlds that live from run to run, on whichever node.
//!
//! * `owner`: who runs a session; a claim through the cluster, with a fence.
//! * `turn`: one run in a state: alone in its session, from the queue to the commit.
//! * `commit`: what a run changed goes into the cluster's history, before its process takes over.
//! * `restore`: a process from the nearest image and the deltas after it; new images in the background.
//! * `warm`: the processes that are kept, and which goes first.
//! * `compare`: what two heaps have by name.
//! * `transfer`: a session as a file, out of a cluster and into another.
//! * `history`: what callers see and change of sessions without running anything.

mod commit;
mod compare;
mod error;
mod figures;
mod file;
mod history;
mod owner;
mod restore;
mod transfer;
mod turn;
mod types;
mod warm;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster::node::Cluster;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

pub use self::compare::{Comparison, Difference, Shown};
pub use self::error::{DISK_FULL_HINT, Error, hint};
use self::figures::Figures;
pub use self::history::{Commit, CommitPage, MalformedPoint, Point, SessionInfo, SessionPage};
pub use self::turn::{Hooks, StatefulRun, Turn};
pub use self::types::{HeapId, MalformedHeap, Owner, Place, Reply, Run, Target, TaskFence};
use self::warm::Warm;
use super::blobs::Blobs;
use super::engines::Engines;
use crate::config::SessionsConfig;
use crate::workers::session::StateLimits;

/// How long a claim, and other writes that a run needs before it begins, may take.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(10);

/// The sessions of the cluster, and those that this node runs. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    cluster: Cluster,
    engines: Engines,
    blobs: Blobs,
    limits: StateLimits,
    /// Where images are put together.
    scratch: PathBuf,
    warm: Warm,
    figures: Figures,
    /// Who brings a session from a file.
    imports: Semaphore,
    /// Who compares two heaps.
    comparisons: Semaphore,
    tasks: TaskTracker,
}

impl Sessions {
    /// Those of a node's cluster. Images are put together in `scratch`, a directory of this node's own.
    ///
    /// # Errors
    /// When the directory can't be made.
    pub fn new(
        cluster: Cluster,
        engines: Engines,
        blobs: Blobs,
        limits: StateLimits,
        config: SessionsConfig,
        scratch: PathBuf,
    ) -> std::io::Result<Self> {
        std::fs::create_dir_all(&scratch)?;
        Ok(Self {
            inner: Arc::new(Inner {
                warm: Warm::new(config),
                figures: Figures::new(),
                cluster,
                engines,
                blobs,
                limits,
                scratch,
                imports: Semaphore::new(transfer::IMPORTS_MAX),
                comparisons: Semaphore::new(compare::COMPARISONS_MAX),
                tasks: TaskTracker::new(),
            }),
        })
    }

    /// What becomes of runs, for a registry of figures.
    pub fn figures(&self) -> &Figures {
        &self.inner.figures
    }

    /// How many sessions have a process here that waits, and what memory these have, in bytes.
    pub fn warm(&self) -> (u64, u64) {
        let warm = &self.inner.warm;
        (warm.count() as u64, warm.bytes())
    }

    /// Ends all processes of sessions; what was kept is in the cluster.
    pub async fn close(&self) {
        self.inner.tasks.close();
        self.inner.warm.close().await;
        // A new image may be under way: it is not needed.
        let _ = tokio::time::timeout(Duration::from_secs(2), self.inner.tasks.wait()).await;
    }
}
