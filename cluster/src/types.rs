//! How openraft is used here: the only file with its generics.

use std::fmt;

use crate::command::Command;
use crate::proto::Reply;
use crate::state::StateMachine;

openraft::declare_raft_types!(
    /// The types of this cluster.
    ///
    /// Log ids hold term and node: several candidates of one term can follow each other without a
    /// new term, so fewer elections are split. They are on disk, so this can't change.
    pub TypeConfig:
        D = Command,
        R = Reply,
        NodeId = u64,
        Node = Member,
        LeaderId = openraft::impls::leader_id_adv::LeaderId<u64, u64>,
);

/// A running Raft.
pub type Raft = openraft::Raft<TypeConfig, StateMachine>;
/// Term and node of a leader.
pub type LeaderId = openraft::impls::leader_id_adv::LeaderId<u64, u64>;
/// A place in the log.
pub type LogId = openraft::LogId<LeaderId>;
/// Who this node follows, or wants to be followed.
pub type Vote = openraft::impls::Vote<LeaderId>;
/// One entry of the log.
pub type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
/// What an entry holds.
pub type EntryPayload = openraft::type_config::alias::EntryPayloadOf<TypeConfig>;
/// Voters and learners.
pub type Membership = openraft::Membership<u64, Member>;
/// A membership with the place in the log that set it.
pub type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
/// What a snapshot holds.
pub type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;
/// openraft's own view of itself, for whoever watches.
pub type RaftMetrics = openraft::RaftMetrics<TypeConfig>;

/// A member as the Raft log names it.
///
/// The address is the one it had when it became a member; `peers` knows where it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// What the operator calls it.
    pub name: String,
    /// host:port of its cluster port then.
    pub address: String,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.address)
    }
}
