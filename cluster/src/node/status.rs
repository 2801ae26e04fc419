//! What a node knows of itself and of the cluster, at one moment.

use std::time::Duration;

use super::disk::DiskLevel;
use super::phase::Phase;
use crate::ids::NodeName;

/// What a node knows, from its own memory: nobody is asked, so it also works without a quorum.
#[derive(Clone, Debug)]
pub struct Status {
    /// The node's name.
    pub name: NodeName,
    /// Its life.
    pub incarnation: u64,
    /// How far it is.
    pub phase: Phase,
    /// What it does in Raft; `None` while it is no member.
    pub role: Option<Role>,
    /// Raft's term.
    pub term: u64,
    /// The leader that it follows.
    pub leader: Option<u64>,
    /// For a leader: since when a majority last confirmed it.
    pub quorum_silent_for: Option<Duration>,
    /// The newest entry in its log.
    pub last_log_index: u64,
    /// Known to be on a majority.
    pub committed_index: u64,
    /// In its state.
    pub applied_index: u64,
    /// In its state on disk.
    pub synced_index: u64,
    /// In its last snapshot.
    pub snapshot_index: u64,
    /// Gone from its log.
    pub purged_index: u64,
    /// Everybody, as its log tells.
    pub members: Vec<MemberStatus>,
    /// A change of voters is under way.
    pub joint: bool,
    /// Bytes of log on disk.
    pub log_bytes: u64,
    /// Bytes of state on disk.
    pub state_bytes: u64,
    /// Bytes that are free where the node keeps everything.
    pub disk_free_bytes: u64,
    /// Whether that is enough.
    pub disk: DiskLevel,
}

/// What a member does in Raft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It decides on writes.
    Leader,
    /// It votes and follows.
    Follower,
    /// It wants to lead.
    Candidate,
    /// It follows without a vote.
    Learner,
}

impl Role {
    /// As operators see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Learner => "learner",
        }
    }
}

/// A member, as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its id.
    pub node: u64,
    /// Its name.
    pub name: String,
    /// host:port of its cluster port.
    pub address: String,
    /// It has a vote.
    pub voter: bool,
    /// Its life, by the state; 0 = it never started.
    pub incarnation: u64,
    /// The cluster believes it to live.
    pub alive: bool,
    /// It takes no new work.
    pub draining: bool,
    /// Its program.
    pub version: String,
    /// host:port of its HTTP port.
    pub http_address: String,
    /// On the leader: how far its log is known to agree.
    pub matched_index: Option<u64>,
}
