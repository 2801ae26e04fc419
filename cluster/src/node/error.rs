//! Why a write or a read did not go through.

use std::net::SocketAddr;

use crate::membership::DirectoryError;

/// Why a node can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The log in it.
    #[error(transparent)]
    Log(#[from] crate::log::OpenError),
    /// The state in it.
    #[error(transparent)]
    State(#[from] crate::state::OpenError),
    /// `node.json` in it.
    #[error(transparent)]
    Marker(#[from] crate::membership::MarkerError),
    /// The cluster port or the operators' socket.
    #[error(transparent)]
    Listen(#[from] crate::peers::ListenError),
    /// Timings that Raft can't work with.
    #[error(transparent)]
    Timings(#[from] crate::raft::TimingsError),
    /// Options that contradict each other.
    #[error(
        "--peers names no node {name}: it has to name this node too, with the address of its cluster port"
    )]
    NotAmongPeers {
        /// This node.
        name: crate::ids::NodeName,
    },
    /// It listens on all addresses, and no name says which of them others can reach.
    #[error("{address} is no address that others can reach: --advertise-addr HOST:PORT names one")]
    NoAdvertise {
        /// Where it listens.
        address: SocketAddr,
    },
    /// Others could not reach it.
    #[error(
        "a node with --peers, --join or --standby needs --cluster-addr: others have to reach it"
    )]
    NoAddress,
}

/// Why a write was not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// The node is no member of a cluster yet, or no longer. Nothing was written.
    #[error("this node belongs to no cluster yet")]
    NotMember,
    /// No leader could be reached in time. Nothing was written.
    #[error("the cluster has no leader that this node can reach")]
    NoLeader,
    /// Too much is under way. Nothing was written.
    #[error("too many writes are under way")]
    Overloaded,
    /// A disk has less room than it is to have. Nothing was written.
    #[error("the disks of the cluster are low: writes are refused until there is room")]
    DiskFull,
    /// The command is over the size of an entry. Nothing was written.
    #[error("the write has {bytes} bytes, more than {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most that an entry may have.
        bytes_max: usize,
    },
    /// The time ran out after it was handed to a leader: it may have been written, or may be yet.
    #[error("the write was not confirmed in time: it may have taken effect or not")]
    Unknown,
}

/// Why a read was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The node is no member of a cluster yet, or no longer.
    #[error("this node belongs to no cluster yet")]
    NotMember,
    /// No leader confirmed in time what the newest write is.
    #[error("the cluster has no leader that this node can reach")]
    NoLeader,
    /// This node did not catch up in time.
    #[error("this node lags behind the cluster")]
    Lagging,
}
