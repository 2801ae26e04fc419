//! The bucket alone brings everything back: the leader keeps snapshots of the state and the log behind them in it.
//!
//! ```text
//! claim.json                                   whose bucket it is
//! archive/CLUSTER/state-INDEX                  the state as of an entry of the log
//! archive/CLUSTER/log-FIRST-LAST               the entries after it
//! blobs/AB/ABCD…                               the blobs
//! ```
//!
//! Numbers have 20 digits. What is written in an object never changes: entries of the log that were applied are the
//! same whoever leads.

mod error;
mod figures;
mod keep;
mod keys;
mod restore;

use std::sync::Arc;
use std::time::Duration;

use cluster::node::Cluster;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::error::Error;
pub use self::figures::Figures;
use self::keep::Keeper;
pub use self::restore::{Target, restore};
use crate::storage::{Bucket, Claim};

/// When what is new goes to the bucket.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Once in each of these,
    pub period: Duration,
    /// or as soon as it can: all that came meanwhile goes in one request.
    pub at_once: bool,
}

/// Keeps the log of the cluster in the bucket while this node leads.
pub struct Archive {
    figures: Figures,
    stop: CancellationToken,
    keeping: JoinHandle<()>,
}

impl Archive {
    /// Begins; `end` is told the last entry that is in the bucket.
    pub fn start(
        bucket: Arc<Bucket>,
        claim: Arc<Claim>,
        cluster: Cluster,
        pace: Pace,
        end: watch::Sender<u64>,
    ) -> Self {
        let figures = Figures::new();
        let stop = CancellationToken::new();
        let keeper = Keeper::new(bucket, claim, cluster, figures.clone(), end);
        let keeping = tokio::spawn(keeper.run(pace, stop.clone()));
        Self {
            figures,
            stop,
            keeping,
        }
    }

    /// What it does, in numbers.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Keeps what is left, and ends.
    pub async fn close(self) {
        self.stop.cancel();
        if self.keeping.await.is_err() {
            tracing::error!("the archive's loop did not end well");
        }
    }
}
