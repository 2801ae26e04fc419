use cluster::ids::{MalformedName, NodeName};
use cluster::raft::TimingsError;

/// Why the settings of the cluster are refused.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A name that is none.
    #[error(transparent)]
    Name(MalformedName),
    /// An entry of `--peers`.
    #[error("--peers has {text:?}: each entry is NAME=HOST:PORT, as in n1=10.0.0.1:7000")]
    Peer {
        /// What was given.
        text: String,
    },
    /// An address.
    #[error("--{flag} has {text:?}, which is no HOST:PORT")]
    Address {
        /// The flag.
        flag: &'static str,
        /// What was given.
        text: String,
    },
    /// A name that stands twice.
    #[error("--peers names {name} twice")]
    PeerTwice {
        /// The name.
        name: NodeName,
    },
    /// Form one or join one.
    #[error("--peers forms a cluster and --join enters one: set only one of them")]
    PeersAndJoin,
    /// Wait for others, or go to them.
    #[error("--standby waits to be added by an operator: set it without --peers and --join")]
    StandbyAlone,
    /// Others must know it by a name.
    #[error("a node of a cluster needs --node-id, a name that stays the same")]
    NoName,
    /// Others rely on what it keeps.
    #[error("a node of a cluster needs --directory-path: others rely on what it keeps")]
    NoDirectory,
    /// Raft's clocks.
    #[error("{0} (--heartbeat-ms, --election-ms-min, --election-ms-max)")]
    Timings(TimingsError),
    /// An election would count as a death.
    #[error(
        "--node-lease-secs is {lease_secs}, less than two elections: raise it or lower --election-ms-max"
    )]
    LeaseTooShort {
        /// What was given.
        lease_secs: u64,
    },
}
