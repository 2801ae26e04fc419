//! What a node answers to others, besides Raft: who it is, and what is for the leader.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::adoption::Adoption;
use super::change::Members;
use super::change_error::ChangeError;
use super::marker::Standing;
use crate::command::Command;
use crate::ids::DirectoryId;
use crate::leader::Load;
use crate::node::{Attempt, COMMAND_BYTES_MAX, Core};
use crate::node::{DiskLevel, Terms};
use crate::proto::peer_server::Peer;
use crate::proto::report_reply;
use crate::proto::{
    AdoptReply, AdoptRequest, IdentifyReply, IdentifyRequest, JoinReply, JoinRequest, PromoteReply,
    PromoteRequest, ProposeReply, ProposeRequest, ReadIndexReply, ReadIndexRequest, ReportReply,
    ReportRequest,
};

/// Writes of one other node that may be under way here.
const OPEN_MAX: usize = 4096;
/// Answers that wait to be sent; more wait with their writes.
const ANSWERS: usize = 256;
/// How long letting a node in may take.
const CHANGE: Duration = Duration::from_secs(8);
/// The most that another node may ask to wait.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// The service between nodes.
pub(crate) struct PeerService {
    core: Arc<Core>,
    members: Members,
}

impl PeerService {
    /// For a node, whatever it is yet.
    pub fn new(core: Arc<Core>) -> Self {
        let members = Members::new(Arc::clone(&core));
        Self { core, members }
    }

    /// What the cluster knows of a node by its name.
    fn known(&self, name: &str) -> Option<(u64, Vec<u8>)> {
        let records = self.core.state.known_nodes();
        if let Some(record) = records.into_iter().find(|record| record.name == name) {
            return Some((record.id, record.directory_id));
        }
        // Between the forming of a cluster and the first record only the log knows the names.
        let status = self.core.status();
        let member = status
            .members
            .into_iter()
            .find(|member| member.name == name)?;
        Some((member.node, Vec::new()))
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<ProposeReply, Status>> + Send>>;

#[tonic::async_trait]
impl Peer for PeerService {
    async fn identify(
        &self,
        request: Request<IdentifyRequest>,
    ) -> Result<Response<IdentifyReply>, Status> {
        let asker = request.into_inner();
        let marker = self.core.home.marker();
        let member = self.core.member.get();
        let known = member.and_then(|_| self.known(&asker.name));
        let (your_node, your_directory_id) = known.unwrap_or_default();
        let leader = member.and_then(|member| member.leader.known());
        let leader_member = leader.and_then(|leader| self.core.peers.find(leader.node));
        Ok(Response::new(IdentifyReply {
            name: marker.name.to_string(),
            directory_id: marker.directory_id.to_vec(),
            cluster_id: marker
                .cluster_id()
                .map(|id| id.to_vec())
                .unwrap_or_default(),
            node: marker.node().unwrap_or_default(),
            member: matches!(marker.standing, Standing::Member { .. }),
            peers: self
                .core
                .options
                .peers
                .iter()
                .map(|peer| peer.name.to_string())
                .collect(),
            your_node,
            your_directory_id,
            leader: leader.map_or(0, |leader| leader.node),
            leader_address: leader_member
                .map(|member| member.address)
                .unwrap_or_default(),
        }))
    }

    async fn adopt(&self, request: Request<AdoptRequest>) -> Result<Response<AdoptReply>, Status> {
        let adoption = Adoption::try_from(request.into_inner())
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        if adoption.stay_learner {
            let written = self.core.home.set_wants_vote(false).await;
            written.map_err(|error| Status::internal(error.to_string()))?;
        }
        let step = self
            .core
            .home
            .step(move |marker| adoption.step(marker))
            .await;
        step.map_err(|error| Status::internal(error.to_string()))?
            .map_err(|refused| Status::failed_precondition(refused.to_string()))?;
        Ok(Response::new(AdoptReply {}))
    }

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinReply>, Status> {
        let join = request.into_inner();
        let directory_id = DirectoryId::try_from(&join.directory_id[..])
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        if !self.members.is_there(&join.address, directory_id).await {
            return Err(Status::failed_precondition(format!(
                "no node {} answers at {}: is this the address at which others reach it \
                 (--advertise-addr)?",
                join.name, join.address
            )));
        }
        let deadline = Instant::now() + CHANGE;
        match self
            .members
            .admit(&join.name, &join.address, directory_id, deadline)
            .await
        {
            Ok(node) => {
                let cluster_id = self.core.home.marker().cluster_id();
                let cluster_id = cluster_id.ok_or_else(|| Status::from(&ChangeError::NotMember))?;
                Ok(Response::new(JoinReply {
                    cluster_id: cluster_id.to_vec(),
                    node,
                }))
            }
            Err(ChangeError::NotLeader {
                leader: Some(leader),
            }) if !join.forwarded => {
                let client = self.members.leader_client(leader);
                let mut client =
                    client.ok_or_else(|| Status::unavailable("no way to the leader"))?;
                client
                    .join(JoinRequest {
                        forwarded: true,
                        ..join
                    })
                    .await
            }
            Err(error) => Err(Status::from(&error)),
        }
    }

    async fn promote(
        &self,
        request: Request<PromoteRequest>,
    ) -> Result<Response<PromoteReply>, Status> {
        let promote = request.into_inner();
        match self
            .members
            .promote(promote.node, Instant::now() + CHANGE)
            .await
        {
            Ok(()) => Ok(Response::new(PromoteReply {})),
            Err(ChangeError::NotLeader {
                leader: Some(leader),
            }) if !promote.forwarded => {
                let client = self.members.leader_client(leader);
                let mut client =
                    client.ok_or_else(|| Status::unavailable("no way to the leader"))?;
                client
                    .promote(PromoteRequest {
                        forwarded: true,
                        ..promote
                    })
                    .await
            }
            Err(error) => Err(Status::from(&error)),
        }
    }

    type ProposeStream = Answers;

    async fn propose(
        &self,
        request: Request<Streaming<ProposeRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let member = self
            .core
            .member
            .get()
            .ok_or_else(|| Status::from(&ChangeError::NotMember))?;
        let (answers, outbound) = mpsc::channel(ANSWERS);
        let (raft, terms) = (member.raft.clone(), self.core.terms.clone());
        let stop = self.core.stop.clone();
        let mut requests = request.into_inner();
        self.core.tasks.spawn(async move {
            let mut open = FuturesUnordered::new();
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    request = requests.next(), if open.len() < OPEN_MAX => match request {
                        Some(Ok(request)) => open.push(answer(raft.clone(), terms.clone(), request)),
                        // The sender is gone, and with it whoever waits.
                        _ => return,
                    },
                    Some(reply) = open.next(), if !open.is_empty() => {
                        if answers.send(Ok(reply)).await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outbound))))
    }

    async fn read_index(
        &self,
        _request: Request<ReadIndexRequest>,
    ) -> Result<Response<ReadIndexReply>, Status> {
        let member = self
            .core
            .member
            .get()
            .ok_or_else(|| Status::from(&ChangeError::NotMember))?;
        let log_id = member.reads.here().await;
        let log_id = log_id.ok_or_else(|| Status::unavailable("this node does not lead"))?;
        Ok(Response::new(ReadIndexReply {
            log_id: Some((&log_id).into()),
        }))
    }

    async fn report(
        &self,
        request: Request<ReportRequest>,
    ) -> Result<Response<ReportReply>, Status> {
        let report = request.into_inner();
        let member = self
            .core
            .member
            .get()
            .ok_or_else(|| Status::from(&ChangeError::NotMember))?;
        if !member.leader.is_here() {
            return Err(Status::unavailable("this node does not lead"));
        }
        let load = Load {
            task_slots: report.task_slots,
            runs: report.load,
            disk: DiskLevel::from_number(report.disk),
        };
        self.core
            .liveness
            .report(report.node, report.incarnation, load, Instant::now());
        let standing = match self.core.state.known_node(report.node) {
            None => report_reply::Standing::Removed,
            Some(record) if record.alive && record.incarnation == report.incarnation => {
                report_reply::Standing::Alive
            }
            Some(_) => report_reply::Standing::Down,
        };
        Ok(Response::new(ReportReply {
            standing: standing.into(),
        }))
    }
}

async fn answer(raft: crate::types::Raft, terms: Terms, request: ProposeRequest) -> ProposeReply {
    let ProposeRequest {
        id,
        command,
        timeout_ms,
    } = request;
    let timeout = Duration::from_millis(timeout_ms.into()).min(TIMEOUT_MAX);
    let attempt = if command.len() > COMMAND_BYTES_MAX {
        // Only a node of another version sends one: nothing was appended.
        Attempt::Overloaded
    } else {
        let written = Attempt::here(&raft, &terms, Command::from_bytes(command));
        tokio::time::timeout(timeout, written)
            .await
            .unwrap_or(Attempt::Unknown)
    };
    ProposeReply {
        id,
        outcome: Some(attempt.into_outcome()),
    }
}
