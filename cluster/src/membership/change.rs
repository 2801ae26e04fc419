//! How members come and go: on the leader, one step at a time, each of them safe to ask for again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{ChangeMembers, ServerState};

use super::change_error::ChangeError;
use super::discover::{Identified, identify};
use crate::ids::DirectoryId;
use crate::node::{Core, MemberParts};
use crate::peers::Purpose;
use crate::proto::command::Kind;
use crate::proto::{
    AdoptRequest, IdentifyRequest, Reason, RegisterNode, RemoveNode, peer_client::PeerClient,
    reply::Outcome,
};
use crate::types::{Member, RaftMetrics, TypeConfig};

/// A learner so close behind the leader may vote: what it lacks is sent in a moment.
const LAG_MAX: u64 = 1000;
/// How long a voter may take to take over the lead.
const HAND_OVER: Duration = Duration::from_secs(10);

/// A node that was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// Its id.
    pub node: u64,
}

/// Changes of the members, asked of this node, which has to lead. Cheap to clone.
#[derive(Clone)]
pub struct Members(Arc<Core>);

impl Members {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self(core)
    }

    /// Lets the empty node at an address in, as a learner: it has to wait there, started with `--standby`.
    ///
    /// # Errors
    /// As [`ChangeError`] tells.
    pub async fn add(
        &self,
        address: &str,
        stay_learner: bool,
        deadline: Instant,
    ) -> Result<Added, ChangeError> {
        let leader = self.leading()?;
        let found = self.ask(address).await?;
        if let Some(cluster_id) = found.cluster_id {
            let own = self.0.home.marker().cluster_id();
            if Some(cluster_id) != own {
                return Err(ChangeError::Taken { address: address.to_owned(), cluster_id });
            }
        }
        let Some(directory_id) = found.directory_id else {
            return Err(ChangeError::NotThere { address: address.to_owned() });
        };
        let node = self.admit(&found.name, address, directory_id, deadline).await?;
        let cluster_id = self.0.home.marker().cluster_id().ok_or(ChangeError::NotMember)?;
        let order = AdoptRequest {
            cluster_id: cluster_id.to_vec(),
            supersedes: Vec::new(),
            node,
            name: found.name,
            from: self.0.home.marker().name.to_string(),
            start: true,
            stay_learner,
        };
        let channel = self.0.peers.connect(address);
        let channel = channel.map_err(|_| ChangeError::NotThere { address: address.to_owned() })?;
        PeerClient::new(channel).adopt(order).await.map_err(|status| {
            tracing::warn!(address, %status, "the node does not let itself be added");
            ChangeError::NotThere { address: address.to_owned() }
        })?;
        tracing::info!(node, address, term = leader.term, "a node was added");
        Ok(Added { node })
    }

    /// Gives a node of a directory its id and adds it as a learner; what was done before is not done again.
    pub(crate) async fn admit(
        &self,
        name: &str,
        address: &str,
        directory_id: DirectoryId,
        deadline: Instant,
    ) -> Result<u64, ChangeError> {
        let member = self.leading()?.parts;
        let register = Kind::RegisterNode(RegisterNode {
            name: name.to_owned(),
            address: address.to_owned(),
            directory_id: directory_id.to_vec(),
            node: None,
        });
        let node = match self.0.propose(register, "", deadline).await?.reply.outcome {
            Some(Outcome::NodeRegistered(registered)) => registered.node,
            Some(Outcome::Refused(refused)) if refused.reason == i32::from(Reason::Exists) => {
                return Err(ChangeError::NameTaken { name: name.to_owned(), node: refused.actual });
            }
            _ => return Err(ChangeError::NoSuchMember { member: name.to_owned() }),
        };
        let metrics = member.raft.metrics().borrow_watched().clone();
        if metrics.membership_config.membership().get_node(&node).is_none() {
            let entry = Member { name: name.to_owned(), address: address.to_owned() };
            let change = ChangeMembers::AddNodes(BTreeMap::from([(node, entry)]));
            self.change(member, change, true, deadline).await?;
        }
        Ok(node)
    }

    /// Makes a learner a voter once it has the log.
    ///
    /// # Errors
    /// As [`ChangeError`] tells; [`ChangeError::NotCaughtUp`] passes by itself.
    pub async fn promote(&self, node: u64, deadline: Instant) -> Result<(), ChangeError> {
        let member = self.leading()?.parts;
        let metrics = member.raft.metrics().borrow_watched().clone();
        self.known(&metrics, node)?;
        let voters: BTreeSet<u64> = metrics.membership_config.voter_ids().collect();
        if voters.contains(&node) {
            return Ok(());
        }
        let last = metrics.last_log_index.unwrap_or(0);
        let matched = metrics.replication.as_ref().and_then(|to| to.get(&node).copied().flatten());
        let matched = matched.map_or(0, |log_id| log_id.index);
        if matched + LAG_MAX < last || (matched == 0 && last > 0) {
            return Err(ChangeError::NotCaughtUp { node, matched, last });
        }
        self.change(member, ChangeMembers::AddVoterIds(BTreeSet::from([node])), true, deadline).await
    }

    /// Takes a voter's vote; it goes on as a learner.
    ///
    /// # Errors
    /// As [`ChangeError`] tells.
    pub async fn demote(&self, node: u64, force: bool, deadline: Instant) -> Result<(), ChangeError> {
        let member = self.leading()?.parts;
        let metrics = member.raft.metrics().borrow_watched().clone();
        self.known(&metrics, node)?;
        if !metrics.membership_config.voter_ids().any(|voter| voter == node) {
            return Ok(());
        }
        self.check_quorum_without(&metrics, node, force)?;
        if node == member.node {
            return self.hand_over(deadline).await;
        }
        let change = ChangeMembers::RemoveVoters(BTreeSet::from([node]));
        self.change(member, change, true, deadline).await
    }

    /// Removes a member for good: its vote, its place, and its record. Its id is never given again.
    ///
    /// # Errors
    /// As [`ChangeError`] tells. Of the leader itself only the lead is handed over, and the answer is
    /// [`ChangeError::NotLeader`]: the new leader has to be asked.
    pub async fn remove(&self, node: u64, force: bool, deadline: Instant) -> Result<(), ChangeError> {
        let member = self.leading()?.parts;
        let metrics = member.raft.metrics().borrow_watched().clone();
        let membership = metrics.membership_config.membership();
        if membership.get_node(&node).is_some() {
            if membership.voter_ids().any(|voter| voter == node) {
                self.demote(node, force, deadline).await?;
            }
            let change = ChangeMembers::RemoveNodes(BTreeSet::from([node]));
            self.change(member, change, false, deadline).await?;
        } else {
            self.0
                .state
                .known_node(node)
                .ok_or_else(|| ChangeError::NoSuchMember { member: node.to_string() })?;
        }
        self.0.propose(Kind::RemoveNode(RemoveNode { node }), "", deadline).await?;
        tracing::info!(node, "a member was removed");
        Ok(())
    }

    /// Hands the lead to another voter: that one, or the one that is closest behind.
    ///
    /// # Errors
    /// As [`ChangeError`] tells.
    pub async fn transfer_leader(&self, to: Option<u64>, deadline: Instant) -> Result<u64, ChangeError> {
        let member = self.leading()?.parts;
        let metrics = member.raft.metrics().borrow_watched().clone();
        let to = match to {
            Some(to) => to,
            None => best_voter(&metrics).ok_or(ChangeError::LastVoter { node: member.node })?,
        };
        if to == member.node {
            return Ok(to);
        }
        if !metrics.membership_config.voter_ids().any(|voter| voter == to) {
            return Err(ChangeError::NoSuchMember { member: to.to_string() });
        }
        let failed = || ChangeError::NotHandedOver { node: member.node };
        member.raft.trigger().transfer_leader(to).await.map_err(|_| failed())?;
        let mut metrics = member.raft.server_metrics();
        let taken = async {
            while metrics.borrow_watched().current_leader.is_none_or(|leader| leader == member.node) {
                if metrics.changed().await.is_err() {
                    return None;
                }
            }
            metrics.borrow_watched().current_leader
        };
        let until = deadline.min(Instant::now() + HAND_OVER);
        tokio::time::timeout_at(until.into(), taken).await.ok().flatten().ok_or_else(failed)
    }

    /// The leader itself is to lose its vote: another one has to lead first, and to be asked.
    async fn hand_over(&self, deadline: Instant) -> Result<(), ChangeError> {
        let leader = self.transfer_leader(None, deadline).await?;
        Err(ChangeError::NotLeader { leader: Some(leader) })
    }

    fn leading(&self) -> Result<Leading<'_>, ChangeError> {
        let parts = self.0.member.get().ok_or(ChangeError::NotMember)?;
        let metrics = parts.raft.server_metrics().borrow_watched().clone();
        if metrics.state == ServerState::Leader {
            Ok(Leading { parts, term: metrics.vote.leader_id.term })
        } else {
            Err(ChangeError::NotLeader { leader: metrics.current_leader })
        }
    }

    fn known(&self, metrics: &RaftMetrics, node: u64) -> Result<(), ChangeError> {
        let known = metrics.membership_config.membership().get_node(&node).is_some();
        if known { Ok(()) } else { Err(ChangeError::NoSuchMember { member: node.to_string() }) }
    }

    /// Those that would be left have to be able to decide.
    fn check_quorum_without(
        &self,
        metrics: &RaftMetrics,
        node: u64,
        force: bool,
    ) -> Result<(), ChangeError> {
        let rest: Vec<u64> =
            metrics.membership_config.voter_ids().filter(|voter| *voter != node).collect();
        if rest.is_empty() {
            return Err(ChangeError::LastVoter { node });
        }
        let answers = |voter: &&u64| {
            **voter == metrics.id || self.0.state.known_node(**voter).is_some_and(|it| it.alive)
        };
        let alive = rest.iter().filter(answers).count();
        if alive <= rest.len() / 2 && !force {
            return Err(ChangeError::WouldLoseQuorum { node, alive, voters: rest.len() });
        }
        Ok(())
    }

    async fn change(
        &self,
        member: &MemberParts,
        change: ChangeMembers<u64, Member>,
        retain: bool,
        deadline: Instant,
    ) -> Result<(), ChangeError> {
        let changed = member.raft.change_membership(change, retain);
        match tokio::time::timeout_at(deadline.into(), changed).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(refused(&error)),
            Err(_) => Err(ChangeError::Unknown),
        }
    }

    async fn ask(&self, address: &str) -> Result<Identified, ChangeError> {
        let marker = self.0.home.marker();
        let request = IdentifyRequest {
            name: marker.name.to_string(),
            directory_id: marker.directory_id.to_vec(),
        };
        identify(&self.0.peers, address, request)
            .await
            .ok_or_else(|| ChangeError::NotThere { address: address.to_owned() })
    }

    /// Whether a node that asks to be let in is what it says, at the address that it says.
    pub(crate) async fn is_there(&self, address: &str, directory_id: DirectoryId) -> bool {
        self.ask(address).await.is_ok_and(|found| found.directory_id == Some(directory_id))
    }

    /// Passes a request of a node that is not let in yet, or has no vote yet, on to the leader.
    pub(crate) fn leader_client(
        &self,
        leader: u64,
    ) -> Option<PeerClient<crate::peers::PeerChannel>> {
        self.0.peers.channel(leader, Purpose::Forward).ok().map(PeerClient::new)
    }
}

struct Leading<'a> {
    parts: &'a MemberParts,
    term: u64,
}

/// The voter besides this one that has most of the log.
fn best_voter(metrics: &RaftMetrics) -> Option<u64> {
    let matched = |voter: &u64| {
        let to = metrics.replication.as_ref().and_then(|to| to.get(voter).copied().flatten());
        to.map(|log_id| log_id.index)
    };
    metrics
        .membership_config
        .voter_ids()
        .filter(|voter| *voter != metrics.id)
        .max_by_key(matched)
}

fn refused(error: &RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> ChangeError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(to)) => {
            ChangeError::NotLeader { leader: to.leader_id }
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => match error {
            ChangeMembershipError::LearnerNotFound(missing) => {
                ChangeError::NoSuchMember { member: missing.node_id.to_string() }
            }
            _ => ChangeError::InProgress,
        },
        _ => ChangeError::Unknown,
    }
}

impl From<&ChangeError> for tonic::Status {
    fn from(error: &ChangeError) -> Self {
        let text = error.to_string();
        match error {
            ChangeError::NotLeader { .. }
            | ChangeError::NotMember
            | ChangeError::InProgress
            | ChangeError::NotHandedOver { .. } => Self::unavailable(text),
            ChangeError::NoSuchMember { .. } => Self::not_found(text),
            ChangeError::NameTaken { .. } | ChangeError::Taken { .. } => Self::already_exists(text),
            ChangeError::NotThere { .. }
            | ChangeError::NotCaughtUp { .. }
            | ChangeError::WouldLoseQuorum { .. }
            | ChangeError::LastVoter { .. } => Self::failed_precondition(text),
            ChangeError::Unknown => Self::deadline_exceeded(text),
            ChangeError::Propose(error) => match error {
                crate::node::ProposeError::Unknown => Self::deadline_exceeded(text),
                _ => Self::unavailable(text),
            },
        }
    }
}
