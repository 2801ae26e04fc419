//! Snapshots, purges and compactions that an operator asks for.

use std::time::Instant;

use openraft::async_runtime::WatchReceiver as _;

use super::cluster::Cluster;
use super::core::Core;
use crate::state::{Compacted, StoreError};
use crate::types::LogId;

/// Why it was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// The node is no member of a cluster.
    #[error("this node belongs to no cluster yet")]
    NotMember,
    /// Nothing may go before a snapshot holds it.
    #[error("this node has taken no snapshot since it started: take one first")]
    NoSnapshot,
    /// It goes on, but nobody waits any more.
    #[error("it is not done yet; it goes on")]
    TimedOut,
    /// The disk has too little room for a second state.
    #[error(
        "the new state may need {} MiB beside the old one, and {} MiB of the disk are free",
        needed_bytes >> 20,
        free_bytes >> 20
    )]
    NoRoom {
        /// So much may be needed.
        needed_bytes: u64,
        /// So much there is.
        free_bytes: u64,
    },
    /// The state is as it was.
    #[error("the state can't be written anew: {0}")]
    State(#[from] StoreError),
    /// Raft has ended.
    #[error("the node is stopping")]
    Stopped,
}

impl Cluster {
    /// Takes a snapshot now, and tells up to where it goes.
    ///
    /// # Errors
    /// As [`MaintenanceError`] tells.
    pub async fn snapshot(&self, deadline: Instant) -> Result<u64, MaintenanceError> {
        let core = self.core();
        let member = core.member.get().ok_or(MaintenanceError::NotMember)?;
        let applied = core.state.applied();
        member
            .raft
            .trigger()
            .snapshot()
            .await
            .map_err(|_| MaintenanceError::Stopped)?;
        wait(core, deadline, |metrics| {
            metrics.snapshot.filter(|_| metrics.snapshot >= applied)
        })
        .await
    }

    /// Lets go of the log that the last snapshot holds, and tells up to where.
    ///
    /// # Errors
    /// As [`MaintenanceError`] tells.
    pub async fn purge(&self, deadline: Instant) -> Result<u64, MaintenanceError> {
        let core = self.core();
        let member = core.member.get().ok_or(MaintenanceError::NotMember)?;
        let snapshot = member.raft.metrics().borrow_watched().snapshot;
        let snapshot = snapshot.ok_or(MaintenanceError::NoSnapshot)?;
        let purged = member.raft.trigger().purge_log(snapshot.index).await;
        purged.map_err(|_| MaintenanceError::Stopped)?;
        wait(core, deadline, |metrics| {
            metrics.purged.filter(|purged| *purged >= snapshot)
        })
        .await
    }

    /// Writes this node's state anew, without the room that rows have left behind. The node goes on meanwhile.
    ///
    /// # Errors
    /// As [`MaintenanceError`] tells.
    pub async fn compact(&self) -> Result<Compacted, MaintenanceError> {
        let core = self.core();
        let (needed_bytes, free_bytes) = (core.state.state_bytes(), core.disk.free());
        if free_bytes < needed_bytes.saturating_add(core.options.disk_free_min) {
            return Err(MaintenanceError::NoRoom {
                needed_bytes,
                free_bytes,
            });
        }
        Ok(core.state.compact().await?)
    }
}

async fn wait(
    core: &Core,
    deadline: Instant,
    reached: impl Fn(&crate::types::RaftMetrics) -> Option<LogId>,
) -> Result<u64, MaintenanceError> {
    let member = core.member.get().ok_or(MaintenanceError::NotMember)?;
    let mut metrics = member.raft.metrics();
    let waiting = async {
        loop {
            let there = reached(&metrics.borrow_watched());
            if let Some(log_id) = there {
                return Ok(log_id.index);
            }
            metrics
                .changed()
                .await
                .map_err(|_| MaintenanceError::Stopped)?;
        }
    };
    let waited = tokio::time::timeout_at(deadline.into(), waiting).await;
    waited.unwrap_or(Err(MaintenanceError::TimedOut))
}
