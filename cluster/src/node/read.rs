//! Linearizable reads on any node: what the newest write is, and waiting until it is here.

use std::time::{Duration, Instant};

use openraft::raft::linearizable_read::LinearizerOption;

use super::error::ReadError;
use super::leader::LeaderWatch;
use crate::peers::{Peers, Purpose};
use crate::proto::{self, peer_client::PeerClient};
use crate::state::StateReader;
use crate::types::Raft;

/// A majority that confirmed the leader so long ago still does: no other node asks for votes before the
/// lease of [`crate::raft::RaftTimings::election_max_ms`] is over, which is longer than this by half.
const LEASE_SHARE: f64 = 0.5;

/// Finds out how far a read has to wait. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ReadGate {
    raft: Raft,
    node: u64,
    leader: LeaderWatch,
    peers: Peers,
    ack_age_max: Duration,
}

impl ReadGate {
    /// For a member whose followers wait so long, at least, before they ask for votes.
    pub fn new(raft: Raft, node: u64, leader: LeaderWatch, peers: Peers, lease: Duration) -> Self {
        Self { raft, node, leader, peers, ack_age_max: lease.mul_f64(LEASE_SHARE) }
    }

    /// Waits until the state holds all that was acknowledged anywhere before the call.
    pub async fn pass(&self, state: &StateReader, deadline: Instant) -> Result<(), ReadError> {
        let until = tokio::time::Instant::from_std(deadline);
        let index = tokio::time::timeout_at(until, self.index())
            .await
            .map_err(|_| ReadError::NoLeader)?;
        if state.wait_applied(index, deadline).await { Ok(()) } else { Err(ReadError::Lagging) }
    }

    async fn index(&self) -> u64 {
        loop {
            let known = self.leader.clone().wait_known().await;
            let index = tokio::select! {
                index = self.ask(known.node) => index,
                () = self.leader.wait_replaced(&known) => None,
            };
            match index {
                Some(index) => return index,
                None => self.leader.wait_other(&known).await,
            }
        }
    }

    async fn ask(&self, leader: u64) -> Option<u64> {
        if leader == self.node {
            return self.here().await.map(|log_id| log_id.index);
        }
        let channel = self.peers.channel(leader, Purpose::Forward).ok()?;
        let reply = PeerClient::new(channel).read_index(proto::ReadIndexRequest {}).await;
        match reply {
            Ok(reply) => reply.into_inner().log_id.map(|log_id| log_id.index),
            Err(status) => {
                tracing::debug!(leader, %status, "the leader names no read index");
                None
            }
        }
    }

    /// As the leader: the place in the log that a read begun now has to see.
    pub async fn here(&self) -> Option<crate::types::LogId> {
        let option = LinearizerOption::new(Some(self.ack_age_max), true);
        match self.raft.get_read_linearizer(option).await {
            Ok(linearizer) => Some(*linearizer.read_log_id().log_id()),
            Err(error) => {
                tracing::debug!(%error, "a majority does not confirm this leader");
                None
            }
        }
    }
}
