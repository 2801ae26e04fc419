//! When a node takes a snapshot of its own state, and lets go of the log behind it.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver as _;

use super::core::Core;

/// How often the sizes are looked at.
const PERIOD: Duration = Duration::from_secs(5);

/// A snapshot costs a copy of the state, so it is due when the log that it frees is larger than the state.
pub(super) async fn snapshot_loop(core: Arc<Core>) {
    let member = core.member.get().expect("a member takes snapshots");
    loop {
        tokio::time::sleep(PERIOD).await;
        let snapshot = member.raft.metrics().borrow_watched().snapshot;
        let behind = core.log.bytes_after(snapshot.map_or(0, |log_id| log_id.index));
        let due = core.options.snapshot_log_bytes.max(core.state.state_bytes());
        if behind > due {
            tracing::info!(log_bytes = behind, "taking a snapshot");
            if let Err(error) = member.raft.trigger().snapshot().await {
                tracing::debug!(%error, "raft takes no snapshot any more");
                return;
            }
            // Until it is there, another one is not due.
            let mut metrics = member.raft.metrics();
            while metrics.borrow_watched().snapshot <= snapshot {
                if metrics.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}
