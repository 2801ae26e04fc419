//! The Raft service of the cluster port.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use openraft::Snapshot;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::raft::AppendEntriesRequest;
use openraft::storage::RaftStateMachine;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};

use super::slot::RaftSlot;
use super::snapshot_receive;
use super::{ConvertError, ReceiveError};
use crate::node::Disk;
use crate::peers::MESSAGE_BYTES_MAX;
use crate::proto::raft_server::{Raft, RaftServer};
use crate::proto::{
    AppendReply, AppendRequest, SnapshotChunk, SnapshotReply, TransferLeaderReply,
    TransferLeaderRequest, VoteReply, VoteRequest,
};
use crate::state::{SnapshotFile, StateMachine};
use crate::types::{SnapshotMeta, TypeConfig, Vote};

/// Snapshots that are received at once: one, and one of a new leader while the old one's times out.
const RECEIVING_MAX: usize = 2;

/// A receiver waits longer for a chunk than its sender has to send it, so that it is the sender who gives up.
pub const CHUNK_IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Hands what peers ask to the node's Raft.
pub struct RaftService<SM = StateMachine>
where
    SM: RaftStateMachine<TypeConfig>,
{
    slot: RaftSlot<SM>,
    snapshots: PathBuf,
    receiving: Semaphore,
    chunk_idle: Duration,
    /// Without one there is always room.
    disk: Option<Disk>,
}

impl<SM> RaftService<SM>
where
    SM: RaftStateMachine<TypeConfig, SnapshotData = SnapshotFile>,
{
    /// Serves the Raft of the slot; snapshots are received into the directory, which must exist.
    pub fn new(slot: RaftSlot<SM>, snapshots: PathBuf) -> Self {
        Self {
            slot,
            snapshots,
            receiving: Semaphore::new(RECEIVING_MAX),
            chunk_idle: CHUNK_IDLE_TIMEOUT,
            disk: None,
        }
    }

    /// Takes nothing in while there is no room for it.
    #[must_use]
    pub(crate) fn on_disk(mut self, disk: Disk) -> Self {
        self.disk = Some(disk);
        self
    }

    /// Gives up a snapshot of which nothing came for so long.
    #[must_use]
    pub fn chunk_idle(mut self, timeout: Duration) -> Self {
        self.chunk_idle = timeout;
        self
    }

    /// As a service to be routed to.
    pub fn into_server(self) -> RaftServer<Self> {
        RaftServer::new(self)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn raft(&self) -> Result<&openraft::Raft<TypeConfig, SM>, Status> {
        self.slot
            .get()
            .ok_or_else(|| Status::unavailable("this node's Raft does not run yet"))
    }
}

fn malformed(error: ConvertError) -> Status {
    Status::invalid_argument(error.to_string())
}

// openraft has stopped: the node is about to end.
fn stopped(error: impl std::fmt::Display) -> Status {
    Status::unavailable(format!("Raft has stopped: {error}"))
}

fn no_room() -> Status {
    Status::resource_exhausted("the disk of this node has too little room")
}

fn refused(error: ReceiveError) -> Status {
    tracing::warn!(%error, "snapshot not received");
    Status::from(&error)
}

#[tonic::async_trait]
impl<SM> Raft for RaftService<SM>
where
    SM: RaftStateMachine<TypeConfig, SnapshotData = SnapshotFile>,
{
    type AppendStreamStream = BoxStream<'static, Result<AppendReply, Status>>;

    async fn append_stream(
        &self,
        request: Request<Streaming<AppendRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        let raft = self.raft()?;
        // What ends the requests other than their end, told after the answers to those before it.
        let fault = Arc::new(OnceLock::new());
        let requests = requests(request.into_inner(), self.disk.clone(), fault.clone());
        let replies = raft.stream_append(requests).map(|result| match result {
            Ok(result) => Ok(result.into()),
            Err(error) => Err(stopped(error)),
        });
        let last = stream::once(async move { fault.get().cloned().map(Err) });
        let last = last.filter_map(std::future::ready);
        Ok(Response::new(replies.chain(last).boxed()))
    }

    async fn vote(&self, request: Request<VoteRequest>) -> Result<Response<VoteReply>, Status> {
        let request = request.into_inner().try_into().map_err(malformed)?;
        let response = self.raft()?.vote(request).await.map_err(stopped)?;
        Ok(Response::new(response.into()))
    }

    async fn pre_vote(&self, request: Request<VoteRequest>) -> Result<Response<VoteReply>, Status> {
        let request = request.into_inner().try_into().map_err(malformed)?;
        let response = self.raft()?.pre_vote(request).await.map_err(stopped)?;
        Ok(Response::new(response.into()))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<SnapshotChunk>>,
    ) -> Result<Response<SnapshotReply>, Status> {
        let raft = self.raft()?;
        if self.disk.as_ref().is_some_and(Disk::is_tight) {
            return Err(no_room());
        }
        let _place = self
            .receiving
            .try_acquire()
            .map_err(|_| Status::resource_exhausted("this node receives other snapshots"))?;
        let mut chunks = request.into_inner();
        let begin = snapshot_receive::begin(&mut chunks, self.chunk_idle)
            .await
            .map_err(refused)?;
        let size = begin.size;
        let (vote, meta) = head(begin).map_err(malformed)?;
        // openraft takes what no leader of this term can have for the end of the world.
        let leader = meta.last_log_id.map(|log_id| log_id.leader_id);
        if leader > Some(vote.leader_id) {
            return Err(Status::invalid_argument(
                "the snapshot is newer than the leader that sends it",
            ));
        }
        // Whoever is no leader any more need not send gigabytes to learn it.
        let own_vote = raft.metrics().borrow_watched().vote;
        if own_vote > vote {
            return Ok(Response::new(SnapshotReply {
                vote: Some(own_vote.into()),
            }));
        }
        let file = snapshot_receive::receive(&mut chunks, size, &self.snapshots, self.chunk_idle)
            .await
            .map_err(refused)?;
        let snapshot = Snapshot {
            meta,
            snapshot: file,
        };
        let installed = raft.install_full_snapshot(vote, snapshot).await;
        let response = installed.map_err(stopped)?;
        Ok(Response::new(SnapshotReply {
            vote: Some(response.vote.into()),
        }))
    }

    async fn transfer_leader(
        &self,
        request: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderReply>, Status> {
        let request = request.into_inner().try_into().map_err(malformed)?;
        let handled = self.raft()?.handle_transfer_leader(request).await;
        Ok(Response::new(handled.map_err(stopped)?.into()))
    }
}

fn head(begin: crate::proto::SnapshotBegin) -> Result<(Vote, SnapshotMeta), ConvertError> {
    let missing = |field| ConvertError::Missing {
        message: "SnapshotBegin",
        field,
    };
    let vote = begin.vote.ok_or_else(|| missing("vote"))?.try_into()?;
    let meta = begin.meta.ok_or_else(|| missing("meta"))?.try_into()?;
    Ok((vote, meta))
}

/// The requests as openraft wants them, up to the first that can't be read.
fn requests(
    requests: Streaming<AppendRequest>,
    disk: Option<Disk>,
    fault: Arc<OnceLock<Status>>,
) -> impl futures::Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + 'static {
    requests
        .map(move |request| {
            let request = request?;
            // A heartbeat takes no room.
            if !request.entries.is_empty() && disk.as_ref().is_some_and(Disk::is_full) {
                return Err(no_room());
            }
            AppendEntriesRequest::try_from(request).map_err(malformed)
        })
        .scan(fault, |fault, request| {
            let request = request.map_err(|status| fault.set(status)).ok();
            std::future::ready(request)
        })
}
