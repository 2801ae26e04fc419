//! What a node is started with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;

use crate::ids::NodeName;
use crate::peers::Credentials;
use crate::raft::RaftTimings;

/// What a node is started with.
#[derive(Clone)]
pub struct Options {
    /// Everything that is kept lies below it.
    pub directory: PathBuf,
    /// The node's name; without one the directory's own.
    pub name: Option<NodeName>,
    /// Where it listens for other nodes and for operators; `None` = on its Unix socket alone.
    pub listen: Option<SocketAddr>,
    /// host:port at which others reach it; without it the address that it listens on.
    pub advertise: Option<String>,
    /// The nodes that form the cluster, this one among them; empty = it forms one alone.
    pub peers: Vec<Peer>,
    /// Members of a cluster that lets this node in.
    pub join: Vec<String>,
    /// It is no voter until an operator says so.
    pub stay_learner: bool,
    /// It waits, empty, for `members add`.
    pub standby: bool,
    /// What it shows others, and asks of them.
    pub credentials: Credentials,
    /// Raft's clocks.
    pub timings: RaftTimings,
    /// How long a node may be silent before the leader declares its life over.
    pub lease: Duration,
    /// A snapshot is taken when the log since the last one has more bytes than this, and than the state.
    pub snapshot_log_bytes: u64,
    /// How large a file of the log is, in bytes; it goes as a whole.
    pub log_segment_bytes: u64,
    /// How long a heap is kept that nothing reaches.
    pub heap_ttl: Duration,
    /// How long a session is kept that nobody uses; without it, for ever.
    pub session_idle: Option<Duration>,
    /// So many bytes of the disk are to be free; with less, writes are refused. 0 = whatever.
    pub disk_free_min: u64,
    /// The last entry of the log that somebody keeps outside of the nodes: where it is told, a caller's write is
    /// answered only when it is there.
    pub outside: Option<watch::Receiver<u64>>,
    /// How long a task is kept that has ended.
    pub task_ttl: Duration,
    /// So many tasks are kept that have ended, the newest.
    pub tasks_kept_max: u64,
    /// What the cluster is told of this node.
    pub facts: Facts,
}

/// One of the nodes that form a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: NodeName,
    /// host:port of its cluster port.
    pub address: String,
}

/// What a node tells of itself when it starts.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Of the program.
    pub version: String,
    /// What its engine asks of the CPU.
    pub cpu_baseline: String,
    /// Its own engine.
    pub engine_id: Vec<u8>,
    /// host:port of its HTTP port; empty where it has none.
    pub http_address: String,
}

impl Options {
    /// Those of a node that is a cluster of its own, below a directory.
    pub fn single(directory: PathBuf) -> Self {
        Self {
            directory,
            name: None,
            listen: None,
            advertise: None,
            peers: Vec::new(),
            join: Vec::new(),
            stay_learner: false,
            standby: false,
            credentials: Credentials::default(),
            timings: RaftTimings::default(),
            lease: Duration::from_secs(5),
            snapshot_log_bytes: 256 << 20,
            log_segment_bytes: 64 << 20,
            heap_ttl: Duration::from_secs(7 * 24 * 3600),
            session_idle: None,
            disk_free_min: 256 << 20,
            outside: None,
            task_ttl: Duration::from_secs(7 * 24 * 3600),
            tasks_kept_max: 1_000_000,
            facts: Facts::default(),
        }
    }
}
