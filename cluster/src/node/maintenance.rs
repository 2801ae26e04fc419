//! Snapshots and purges that an operator asks for.

use std::time::Instant;

use openraft::async_runtime::WatchReceiver as _;

use super::core::Core;
use crate::types::LogId;

/// Why it was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// Raft has ended.
    #[error("the node is stopping")]
    Stopped,
}

/// Takes a snapshot, and tells up to where it goes.
pub(super) async fn snapshot(core: &Core, deadline: Instant) -> Result<u64, MaintenanceError> {
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
pub(super) async fn purge(core: &Core, deadline: Instant) -> Result<u64, MaintenanceError> {
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
