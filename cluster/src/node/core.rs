//! The parts of a running node, as they share them.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use openraft::async_runtime::{Instant as _, WatchReceiver as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::disk::Disk;
use super::error::{ProposeError, ReadError};
use super::leader::LeaderWatch;
use super::options::Options;
use super::phase::{Failure, Phase};
use super::propose::{Committed, Proposer};
use super::read::ReadGate;
use super::status::{MemberStatus, Role, Status};
use super::terms::Terms;
use crate::leader::{Liveness, Load};
use crate::log::LogStore;
use crate::membership::Home;
use crate::peers::Peers;
use crate::proto::command::Kind;
use crate::raft::RaftSlot;
use crate::state::StateReader;
use crate::types::{Raft, RaftMetrics};

/// The parts of a running node. One for each, behind an `Arc`.
pub(crate) struct Core {
    pub options: Options,
    pub incarnation: u64,
    /// host:port at which others reach this node; empty where it has no port.
    pub address: String,
    pub home: Home,
    pub peers: Peers,
    pub log: LogStore,
    pub state: StateReader,
    /// Filled when the node becomes a member.
    pub raft: RaftSlot,
    pub member: OnceLock<MemberParts>,
    pub proposer: Proposer,
    pub liveness: Liveness,
    /// How much room there is.
    pub disk: Disk,
    pub terms: Terms,
    /// What this node can take on.
    pub load: watch::Sender<Load>,
    /// When a leader last said that this life goes on.
    pub confirmed: watch::Sender<Option<Instant>>,
    pub phase: watch::Sender<Phase>,
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
}

/// What a node has once it is a member.
pub(crate) struct MemberParts {
    pub raft: Raft,
    pub node: u64,
    pub leader: LeaderWatch,
    pub reads: ReadGate,
}

impl Core {
    /// Tells how far the node is. A failure is final.
    pub fn tell(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let changes = *now != phase && !matches!(now, Phase::Failed(_));
            if changes {
                *now = phase;
            }
            changes
        });
    }

    /// The node can't go on: everything that waits on it is told, and its loops end.
    pub fn fail(&self, failure: Failure) {
        tracing::error!(%failure, "the node can't go on");
        self.tell(Phase::Failed(failure));
    }

    /// Spawns a loop that ends with the node.
    pub fn spawn(
        self: &Arc<Self>,
        name: &'static str,
        run: impl Future<Output = ()> + Send + 'static,
    ) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = run => {}
            }
            tracing::debug!(name, "a loop has ended");
        });
    }

    /// The ids of the voters, as the log has them.
    pub fn voters(&self) -> Vec<u64> {
        let Some(member) = self.member.get() else {
            return Vec::new();
        };
        let metrics = member.raft.metrics().borrow_watched().clone();
        metrics.membership_config.voter_ids().collect()
    }

    /// Writes.
    pub async fn propose(
        &self,
        kind: Kind,
        principal: &str,
        deadline: Instant,
    ) -> Result<Committed, ProposeError> {
        self.proposer.propose(kind, principal, deadline).await
    }

    /// Waits until the state holds all that was acknowledged before the call.
    pub async fn linearizable(&self, deadline: Instant) -> Result<(), ReadError> {
        let member = self.member.get().ok_or(ReadError::NotMember)?;
        member.reads.pass(&self.state, deadline).await
    }

    /// What this node knows, from memory.
    pub fn status(&self) -> Status {
        let marker = self.home.marker();
        let mut status = Status {
            name: marker.name,
            incarnation: self.incarnation,
            phase: self.phase.borrow().clone(),
            role: None,
            term: 0,
            leader: None,
            quorum_silent_for: None,
            last_log_index: 0,
            committed_index: 0,
            applied_index: index(self.state.applied()),
            synced_index: index(self.state.synced()),
            snapshot_index: 0,
            purged_index: 0,
            members: Vec::new(),
            joint: false,
            log_bytes: self.log.disk_bytes(),
            state_bytes: self.state.state_bytes(),
            disk_free_bytes: self.disk.free(),
            disk: self.disk.level(),
        };
        if let Some(member) = self.member.get() {
            let metrics = member.raft.metrics().borrow_watched().clone();
            self.add_raft(&mut status, &metrics);
        }
        status
    }

    fn add_raft(&self, status: &mut Status, metrics: &RaftMetrics) {
        let membership = metrics.membership_config.membership();
        status.role = match metrics.state {
            openraft::ServerState::Leader => Some(Role::Leader),
            openraft::ServerState::Candidate => Some(Role::Candidate),
            openraft::ServerState::Follower => Some(Role::Follower),
            openraft::ServerState::Learner => Some(Role::Learner),
            openraft::ServerState::Shutdown => None,
        };
        let voters = membership.voter_ids().count();
        status.term = metrics.current_term;
        status.leader = metrics.current_leader;
        status.quorum_silent_for = metrics
            .last_quorum_acked
            .map(|acked| acked.into_inner().elapsed())
            // A voter alone is a majority, and nobody ever confirms it.
            .filter(|_| status.role == Some(Role::Leader) && voters > 1);
        status.last_log_index = metrics.last_log_index.unwrap_or(0);
        status.committed_index = index(metrics.cluster_committed);
        status.snapshot_index = index(metrics.snapshot);
        status.purged_index = index(metrics.purged);
        status.joint = membership.get_joint_config().len() > 1;
        let voters: Vec<u64> = membership.voter_ids().collect();
        let replication = metrics.replication.as_ref();
        status.members = membership
            .nodes()
            .map(|(&node, member)| {
                let record = self.state.known_node(node).unwrap_or_default();
                let matched = replication.and_then(|to| to.get(&node));
                MemberStatus {
                    node,
                    name: member.name.clone(),
                    address: if record.address.is_empty() {
                        member.address.clone()
                    } else {
                        record.address
                    },
                    voter: voters.contains(&node),
                    incarnation: record.incarnation,
                    alive: record.alive,
                    draining: record.draining,
                    version: record.version,
                    http_address: record.http_address,
                    matched_index: matched.map(|log_id| index(*log_id)),
                }
            })
            .collect();
    }
}

fn index(log_id: Option<crate::types::LogId>) -> u64 {
    log_id.map_or(0, |log_id| log_id.index)
}
