use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

/// Where a node stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It takes requests.
    Ok,
    /// It does not take requests yet: it begins, or waits for the other nodes of its cluster.
    #[default]
    Starting,
    /// Its cluster has had no leader for a while: code runs, but nothing can be written.
    NoLeader,
    /// It takes no more requests: it stops, or an operator drains it.
    Draining,
}

impl NodeState {
    /// As `/readyz` tells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Starting => "starting",
            Self::NoLeader => "no_leader",
            Self::Draining => "draining",
        }
    }
}

/// Whether the node takes work; shared by the server, which knows, and `/readyz`, which tells.
#[derive(Clone, Debug, Default)]
pub struct Readiness(watch::Sender<NodeState>);

impl Readiness {
    /// Not ready yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes it.
    pub fn set(&self, state: NodeState) {
        self.0
            .send_if_modified(|now| std::mem::replace(now, state) != state);
    }

    /// Waits until it takes requests.
    pub async fn ok(&self) {
        // The sender is `self`, so it can't be gone.
        let _ = self
            .0
            .subscribe()
            .wait_for(|state| *state == NodeState::Ok)
            .await;
    }

    /// Tells it.
    pub fn get(&self) -> NodeState {
        *self.0.borrow()
    }
}
