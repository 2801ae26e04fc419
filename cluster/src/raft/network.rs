//! openraft's way to the other nodes.

use std::time::Duration;

use futures::Stream;
use openraft::base::{BoxFuture, BoxStream, OptionalSend};
use openraft::errors::{
    NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
    RPCTypes, RaftNetworkFactory,
};
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias::SnapshotOf;
use tonic::{Code, Response, Status};

use super::append_stream::{Replies, Requests, Unanswered};
use super::messages::transfer_response;
use super::{ConvertError, snapshot_send};
use crate::peers::{MESSAGE_BYTES_MAX, PeerChannel, Peers, Purpose};
use crate::proto::raft_client::RaftClient;
use crate::state::SnapshotFile;
use crate::types::{Member, TypeConfig, Vote};

/// The least time that a follower has to answer an append, whatever openraft says: its disk may stall
/// for longer than a heartbeat, and to send everything again only adds to what it has to do.
const APPEND_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// Makes the connections to the other nodes.
#[derive(Clone)]
pub struct NetworkFactory {
    peers: Peers,
}

impl NetworkFactory {
    /// By way of these peers.
    pub fn new(peers: Peers) -> Self {
        Self { peers }
    }

    fn network(&self, target: u64, member: &Member, purpose: Purpose) -> Network {
        self.peers.note_member(target, member);
        Network {
            peers: self.peers.clone(),
            target,
            purpose,
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for NetworkFactory {
    type Network = Network;

    async fn new_client(&mut self, target: u64, member: &Member) -> Network {
        self.network(target, member, Purpose::Replication)
    }

    async fn new_heartbeat_client(&mut self, target: u64, member: &Member) -> Network {
        self.network(target, member, Purpose::Heartbeat)
    }

    async fn new_snapshot_client(&mut self, target: u64, member: &Member) -> Network {
        self.network(target, member, Purpose::Snapshot)
    }
}

/// One node as openraft reaches it.
#[derive(Clone)]
pub struct Network {
    peers: Peers,
    target: u64,
    /// What its appends are: the log's, or heartbeats.
    purpose: Purpose,
}

impl Network {
    pub(super) fn client(
        &self,
        purpose: Purpose,
    ) -> Result<RaftClient<PeerChannel>, Unreachable<TypeConfig>> {
        let channel = self
            .peers
            .channel(self.target, purpose)
            .map_err(|error| Unreachable::new(&error))?;
        Ok(RaftClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// What openraft makes of a failed call: whether it tries again at once or waits.
    pub(super) fn failed(&self, action: RPCTypes, status: &Status) -> RPCError<TypeConfig> {
        self.peers.observe(self.target, Err(status));
        match status.code() {
            Code::DeadlineExceeded => self.timeout(action, Duration::ZERO).into(),
            // The connection broke; the next one may stand.
            Code::Cancelled | Code::Unknown | Code::Internal | Code::DataLoss | Code::Aborted => {
                NetworkError::new(status).into()
            }
            // Nobody there, or somebody who refuses: that doesn't change within a moment.
            _ => Unreachable::new(status).into(),
        }
    }

    pub(super) fn malformed(&self, error: &ConvertError) -> RPCError<TypeConfig> {
        tracing::warn!(peer = self.target, %error, "answer of a peer can't be read");
        Unreachable::new(error).into()
    }

    pub(super) fn timeout(&self, action: RPCTypes, timeout: Duration) -> Timeout<TypeConfig> {
        Timeout {
            action,
            id: self.peers.identity().node().unwrap_or_default(),
            target: self.target,
            timeout,
        }
    }

    /// An answer within a time.
    async fn call<T>(
        &self,
        action: RPCTypes,
        option: &RPCOption,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, RPCError<TypeConfig>> {
        let timeout = option.soft_ttl();
        match tokio::time::timeout(timeout, call).await {
            Ok(Ok(response)) => {
                self.peers.observe(self.target, Ok(()));
                Ok(response.into_inner())
            }
            Ok(Err(status)) => Err(self.failed(action, &status)),
            Err(_) => Err(self.timeout(action, timeout).into()),
        }
    }

    fn append_timeout(&self, option: &RPCOption) -> Duration {
        match self.purpose {
            Purpose::Heartbeat => option.soft_ttl(),
            Purpose::Replication | Purpose::Snapshot | Purpose::Forward => {
                option.soft_ttl().max(APPEND_TIMEOUT_MIN)
            }
        }
    }

    async fn open_append_stream<S>(
        &self,
        input: S,
        option: RPCOption,
    ) -> Result<Replies, RPCError<TypeConfig>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
    {
        let action = RPCTypes::AppendEntries;
        let timeout = self.append_timeout(&option);
        let unanswered = Unanswered::default();
        let requests = Requests::new(input, unanswered.clone());
        let mut client = self.client(self.purpose)?;
        // The headers come back before anything was asked.
        let opened = tokio::time::timeout(timeout, client.append_stream(requests)).await;
        let replies = match opened {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return Err(self.failed(action, &status)),
            Err(_) => return Err(self.timeout(action, timeout).into()),
        };
        self.peers.observe(self.target, Ok(()));
        Ok(Replies::new(self.clone(), replies, unanswered, timeout))
    }
}

impl NetStreamAppend<TypeConfig> for Network {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<
            BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>,
            RPCError<TypeConfig>,
        >,
    >
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let replies = self.open_append_stream(input, option).await?;
            let replies: BoxStream<'s, _> = Box::pin(replies);
            Ok(replies)
        })
    }
}

impl NetVote<TypeConfig> for Network {
    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let mut client = self.client(Purpose::Heartbeat)?;
        let request = crate::proto::VoteRequest::from(request);
        let reply = self
            .call(RPCTypes::Vote, &option, client.vote(request))
            .await?;
        reply.try_into().map_err(|error| self.malformed(&error))
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let mut client = self.client(Purpose::Heartbeat)?;
        let request = crate::proto::VoteRequest::from(request);
        let reply = self
            .call(RPCTypes::Vote, &option, client.pre_vote(request))
            .await?;
        reply.try_into().map_err(|error| self.malformed(&error))
    }
}

impl NetTransferLeader<TypeConfig> for Network {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let mut client = self.client(Purpose::Heartbeat)?;
        let request = crate::proto::TransferLeaderRequest::from(request);
        let call = client.transfer_leader(request);
        let reply = self.call(RPCTypes::TransferLeader, &option, call).await?;
        transfer_response(reply).map_err(|error| self.malformed(&error))
    }
}

impl NetSnapshot<TypeConfig> for Network {
    type SnapshotData = SnapshotFile;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        // openraft's limit of the whole is our limit of each step.
        let idle = option.hard_ttl();
        tokio::select! {
            closed = cancel => Err(closed.into()),
            sent = snapshot_send::send(self, vote, snapshot, idle) => sent,
        }
    }
}

impl NetBackoff<TypeConfig> for Network {
    fn backoff(&self) -> Option<Backoff> {
        None
    }
}
