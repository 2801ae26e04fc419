//! How far a node is on its way into a cluster.

use crate::ids::{ClusterId, NodeName};

/// What the node is just now. Only a member reads and writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is decided yet.
    Starting,
    /// It needs others to form a cluster, or one to let it in.
    Waiting {
        /// Those that answered.
        answered: Vec<String>,
        /// Those that did not, by name or address.
        missing: Vec<String>,
    },
    /// It belongs to a cluster.
    Member {
        /// Which.
        cluster_id: ClusterId,
        /// As what.
        node: u64,
    },
    /// It can't go on and the process should end.
    Failed(Failure),
}

/// Why a node can't go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A restoration into the directory was not finished.
    #[error(
        "a cluster was being restored into this directory, and that was not finished: begin it again, or \
         empty the directory"
    )]
    HalfRestored,
    /// The cluster knows another directory under this name.
    #[error(
        "the cluster knows node {name} with another data directory (id {node} in the cluster): this \
         directory is empty or foreign. Start with the directory that it had, or, when that is lost, run \
         `mcp-v8 admin members replace {name}` and start again"
    )]
    Known {
        /// The name.
        name: NodeName,
        /// The id that it has there.
        node: u64,
    },
    /// Others were told by an earlier directory of this node to form a cluster.
    #[error(
        "{peer} was told by this node to form cluster {cluster_id}, but this directory does not know of it: \
         start with the directory that it had, or empty the directories of all nodes to begin anew"
    )]
    Forgotten {
        /// Who remembers.
        peer: String,
        /// What it was told.
        cluster_id: ClusterId,
    },
    /// The peers belong to another cluster.
    #[error(
        "this node belongs to cluster {own}, but {peer} to cluster {found}: check --peers and --join, or \
         start with the data directory that belongs there"
    )]
    Foreign {
        /// The cluster in `node.json`.
        own: ClusterId,
        /// Who answered.
        peer: String,
        /// Its cluster.
        found: ClusterId,
    },
    /// An operator removed the node.
    #[error(
        "node {node} was removed from the cluster: to let this machine in again, empty its data directory \
         and start it with --join"
    )]
    Removed {
        /// The id that it had.
        node: u64,
    },
    /// Log or state failed, or Raft found them inconsistent.
    #[error("the node stops, since its storage can't be trusted any more: {reason}")]
    Fatal {
        /// As openraft tells it.
        reason: String,
    },
    /// Other nodes and operators can't be answered any more.
    #[error("the cluster port failed: {reason}")]
    Serve {
        /// Why.
        reason: String,
    },
    /// `node.json` can't be written.
    #[error("{reason}")]
    Directory {
        /// Which file, and why.
        reason: String,
    },
}
