//! A write, from the node that took it to the leader, until it is known what became of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::attempt::Attempt;
use super::error::ProposeError;
use super::lane::Lane;
use super::leader::LeaderWatch;
use super::session::Session;
use super::terms::Terms;
use crate::command::Command;
use crate::peers::Peers;
use crate::proto::{self, command::Kind};
use crate::types::Raft;

/// Proposals of one node that may be under way at once.
const OPEN_MAX: usize = 4096;
/// The most bytes of one command: several fit into one message between nodes.
pub(crate) const COMMAND_BYTES_MAX: usize = 1 << 20;

/// A write that is committed and applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Committed {
    /// What `apply` answered.
    pub reply: proto::Reply,
    /// Where it stands in the log.
    pub index: u64,
}

/// Whether a write may have reached a log.
#[derive(Debug, Default)]
struct Exposure {
    before: bool,
    under_way: bool,
}

/// Takes this node's writes to the leader. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Proposer(Arc<Inner>);

struct Inner {
    peers: Peers,
    terms: Terms,
    // Set when the node becomes a member.
    member: OnceLock<Membership>,
    lanes: Mutex<HashMap<u64, Lane>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

struct Membership {
    raft: Raft,
    node: u64,
    session: Session,
    leader: LeaderWatch,
}

impl Proposer {
    /// One that refuses until the node is a member.
    pub fn new(peers: Peers, terms: Terms, tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            peers,
            terms,
            member: OnceLock::new(),
            lanes: Mutex::default(),
            tasks,
            stop,
        }))
    }

    /// The node has become a member.
    pub fn begin(&self, raft: Raft, leader: LeaderWatch, node: u64, incarnation: u64) {
        let session = Session::new(node, incarnation, OPEN_MAX);
        let set = self.0.member.set(Membership {
            raft,
            node,
            session,
            leader,
        });
        assert!(set.is_ok(), "a node becomes a member once in its life");
    }

    /// Proposals under way.
    pub fn open(&self) -> usize {
        self.0
            .member
            .get()
            .map_or(0, |member| member.session.open())
    }

    /// Writes. Sends again, with the same number, for as long as the outcome is open and the time lasts.
    ///
    /// # Errors
    /// As [`ProposeError`] tells; only [`ProposeError::Unknown`] leaves open whether it took effect.
    pub async fn propose(
        &self,
        kind: Kind,
        principal: &str,
        deadline: Instant,
    ) -> Result<Committed, ProposeError> {
        let member = self.0.member.get().ok_or(ProposeError::NotMember)?;
        let ticket = member.session.begin().ok_or(ProposeError::Overloaded)?;
        let command = Command::encode(&proto::Command {
            principal: principal.to_owned(),
            time_ms: now_ms(),
            origin: Some(ticket.origin()),
            level: 0,
            kind: Some(kind),
        });
        let bytes = command.bytes().len();
        if bytes > COMMAND_BYTES_MAX {
            return Err(ProposeError::TooLarge {
                bytes,
                bytes_max: COMMAND_BYTES_MAX,
            });
        }
        let mut open = Exposure::default();
        let until = tokio::time::Instant::from_std(deadline);
        let written = tokio::time::timeout_at(until, async {
            let mut leader = member.leader.clone();
            loop {
                let known = leader.wait_known().await;
                open.under_way = true;
                let attempt = tokio::select! {
                    attempt = self.attempt(member, known.node, &command, deadline) => attempt,
                    // Whatever the old one does with it, the new one is asked under the same number.
                    () = leader.wait_replaced(&known) => Attempt::Unknown,
                };
                open.under_way = false;
                match attempt {
                    Attempt::Done { reply, index } => return Ok(Committed { reply, index }),
                    Attempt::Overloaded if !open.before => return Err(ProposeError::Overloaded),
                    Attempt::DiskFull if !open.before => return Err(ProposeError::DiskFull),
                    Attempt::Unknown => open.before = true,
                    Attempt::NotLeader
                    | Attempt::Unreachable
                    | Attempt::Overloaded
                    | Attempt::DiskFull => {}
                }
                leader.wait_other(&known).await;
            }
        })
        .await;
        match written {
            Ok(outcome) => outcome,
            Err(_) if open.before || open.under_way => Err(ProposeError::Unknown),
            Err(_) => Err(ProposeError::NoLeader),
        }
    }

    async fn attempt(
        &self,
        member: &Membership,
        leader: u64,
        command: &Command,
        deadline: Instant,
    ) -> Attempt {
        if leader == member.node {
            Attempt::here(&member.raft, &self.0.terms, command.clone()).await
        } else {
            self.lane(leader)
                .send(command.bytes().clone(), deadline)
                .await
        }
    }

    fn lane(&self, node: u64) -> Lane {
        let mut lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|_, lane| !lane.is_closed());
        let lane = lanes.entry(node).or_insert_with(|| {
            let (lane, run) = Lane::open(self.0.peers.clone(), node, self.0.stop.clone());
            self.0.tasks.spawn(run);
            lane
        });
        lane.clone()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command enters the cluster here"
)]
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
