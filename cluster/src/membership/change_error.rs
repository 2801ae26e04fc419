//! Why a change of the members was not made.

use crate::node::ProposeError;

/// Why a change of the members was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Only the leader changes members.
    #[error("this node does not lead; the leader is {}", leader.map_or("not known".to_owned(), |id| format!("node {id}")))]
    NotLeader {
        /// Who leads, as far as this node knows.
        leader: Option<u64>,
    },
    /// The node is no member of a cluster.
    #[error("this node belongs to no cluster yet")]
    NotMember,
    /// No member has that id or name.
    #[error("no member is called {member}")]
    NoSuchMember {
        /// What was asked for.
        member: String,
    },
    /// Nobody who can be let in answers there.
    #[error("no node that waits to be let in answers at {address}")]
    NotThere {
        /// Where it was asked.
        address: String,
    },
    /// The node there belongs to a cluster.
    #[error("the node at {address} belongs to cluster {cluster_id} already")]
    Taken {
        /// Where it was asked.
        address: String,
        /// Its cluster.
        cluster_id: crate::ids::ClusterId,
    },
    /// The name is known with another directory.
    #[error(
        "the cluster knows {name} as node {node}, with another data directory: if that one is lost, \
         `mcp-v8 admin members replace {name}` makes room for the new one"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// Its id.
        node: u64,
    },
    /// The learner has not got the log yet.
    #[error("node {node} has the log up to {matched}, and the leader has it up to {last}")]
    NotCaughtUp {
        /// The learner.
        node: u64,
        /// How far its log is.
        matched: u64,
        /// How far the leader's is.
        last: u64,
    },
    /// Without it too few of those that answer would be left to decide anything.
    #[error(
        "without node {node} only {alive} of {voters} voters would answer, and the cluster could decide \
         nothing; start the others first, or force it"
    )]
    WouldLoseQuorum {
        /// Who was to go.
        node: u64,
        /// Voters that answer among those that would be left.
        alive: usize,
        /// Voters that would be left.
        voters: usize,
    },
    /// The last voter can't go.
    #[error("node {node} is the only voter: a cluster without voters is none")]
    LastVoter {
        /// Who was to go.
        node: u64,
    },
    /// Another change is under way.
    #[error("another change of the members is under way")]
    InProgress,
    /// The leader itself is to go, and has not handed its lead over in time.
    #[error("no other voter took the lead from node {node} in time")]
    NotHandedOver {
        /// The leader.
        node: u64,
    },
    /// The change was not confirmed in time; asking again is safe.
    #[error("the change was not confirmed in time: it may be in force or not; ask again")]
    Unknown,
    /// A record of it could not be written.
    #[error(transparent)]
    Propose(#[from] ProposeError),
}
