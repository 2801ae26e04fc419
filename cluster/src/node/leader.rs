//! Which node leads, as this one knows, and waiting for another answer.

use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::WatchReceiver as _;
use openraft::metrics::RaftServerMetrics;
use openraft::type_config::alias::WatchReceiverOf;

use crate::types::TypeConfig;

type Metrics = WatchReceiverOf<TypeConfig, RaftServerMetrics<TypeConfig>>;

/// After this time the same leader is asked again: it may have been slow, or reached again.
const RETRY: Duration = Duration::from_millis(50);

/// Follows Raft's own view of who leads. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LeaderWatch {
    metrics: Metrics,
}

/// A leader, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    /// Its id.
    pub node: u64,
    /// The term in which it leads.
    pub term: u64,
}

impl LeaderWatch {
    /// Follows a Raft.
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }

    /// The leader, if one is known.
    pub fn known(&self) -> Option<Leader> {
        let metrics = self.metrics.borrow_watched();
        let node = metrics.current_leader?;
        Some(Leader { node, term: metrics.vote.leader_id.term })
    }

    /// This node leads.
    pub fn is_here(&self) -> bool {
        self.metrics.borrow_watched().state == ServerState::Leader
    }

    /// Waits until one is known. Never, once Raft has stopped.
    pub async fn wait_known(&mut self) -> Leader {
        loop {
            if let Some(leader) = self.known() {
                return leader;
            }
            self.changed().await;
        }
    }

    /// Waits until another one is known, or long enough to ask the same one again.
    pub async fn wait_other(&self, than: &Leader) {
        // Either way it is worth another attempt.
        let _ = tokio::time::timeout(RETRY, self.wait_replaced(than)).await;
    }

    /// Waits until another one is known.
    pub async fn wait_replaced(&self, than: &Leader) {
        let mut watch = self.clone();
        while watch.known().is_none_or(|leader| leader == *than) {
            watch.changed().await;
        }
    }

    /// Waits for any change.
    pub async fn changed(&mut self) {
        if self.metrics.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
