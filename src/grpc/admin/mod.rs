//! The operators' service: each call is for the leader, or for one node, and is passed on to it in one hop.

mod convert;
mod relay;

use std::time::{Duration, Instant};

use cluster::node::{Cluster, ProposeError};
use cluster::proto::admin_server::Admin;
use cluster::proto::command::Kind;
use cluster::proto::{
    AddMemberReply, AddMemberRequest, BlobStandingReply, BlobStandingRequest, ChangeMemberReply,
    ChangeMemberRequest, CompactReply, CompactRequest, ContentsReply, ContentsRequest,
    ListEnginesReply, ListEnginesRequest, MemberChange, MoveLeadReply, MoveLeadRequest,
    NodeStatusReply, NodeStatusRequest, PurgeLogReply, PurgeLogRequest, SetDrainingReply,
    SetDrainingRequest, SetEngineReply, SetEngineRequest, SetNodeDraining, StateHashReply,
    StateHashRequest, TakeSnapshotReply, TakeSnapshotRequest, Target, reply::Outcome,
};
use tonic::{Request, Response, Status};

use self::relay::{Place, Relay};
use crate::service::blobs::{Blobs, GRACE};
use crate::service::engines::{self, Engines};
use crate::service::run::Runs;
use crate::service::sessions::Sessions;

/// How long a change of the members may take here; the caller may wait less.
const CHANGE: Duration = Duration::from_secs(30);
/// A snapshot of a large state takes its time.
const SNAPSHOT: Duration = Duration::from_secs(600);
/// How long a node may take to catch up with an index.
const CATCH_UP: Duration = Duration::from_secs(30);

/// The operators' service of one node.
pub struct AdminService {
    cluster: Cluster,
    runs: Runs,
    engines: Engines,
    blobs: Blobs,
    sessions: Option<Sessions>,
    relay: Relay,
}

type Reply<T> = Result<Response<T>, Status>;

impl AdminService {
    /// For a node.
    pub fn new(
        cluster: Cluster,
        runs: Runs,
        engines: Engines,
        blobs: Blobs,
        sessions: Option<Sessions>,
    ) -> Self {
        let relay = Relay::new(cluster.clone());
        Self {
            cluster,
            runs,
            engines,
            blobs,
            sessions,
            relay,
        }
    }
}

/// Answers here what is for this node, and passes the rest on.
macro_rules! here_or_relay {
    ($self:ident, $request:ident, $place:expr, $method:ident) => {
        let mut $request = $request.into_inner();
        let target = $request.target.take().unwrap_or_default();
        if let Some(mut client) = $self.relay.to($place, &target)? {
            $request.target = Some(Target {
                relayed: true,
                ..target
            });
            return client.$method($request).await;
        }
    };
}

#[tonic::async_trait]
impl Admin for AdminService {
    async fn node_status(&self, request: Request<NodeStatusRequest>) -> Reply<NodeStatusReply> {
        here_or_relay!(self, request, Place::Named, node_status);
        let mut reply = convert::node_status(&self.cluster.status());
        let stats = self.runs.stats();
        reply.executions_running = stats.running as u64;
        reply.executions_queued = stats.queued as u64;
        reply.proposals_open = self.cluster.proposals_open() as u64;
        Ok(Response::new(reply))
    }

    async fn add_member(&self, request: Request<AddMemberRequest>) -> Reply<AddMemberReply> {
        here_or_relay!(self, request, Place::Leader, add_member);
        let deadline = Instant::now() + CHANGE;
        let members = self.cluster.members();
        let added = members
            .add(&request.address, request.stay_learner, deadline)
            .await;
        let added = added.map_err(|error| Status::from(&error))?;
        Ok(Response::new(AddMemberReply { node: added.node }))
    }

    async fn change_member(
        &self,
        request: Request<ChangeMemberRequest>,
    ) -> Reply<ChangeMemberReply> {
        here_or_relay!(self, request, Place::Leader, change_member);
        let node = self.relay.find(&request.member)?;
        let deadline = Instant::now() + CHANGE;
        let members = self.cluster.members();
        let changed = match request.change() {
            MemberChange::Promote => members.promote(node, deadline).await,
            MemberChange::Demote => members.demote(node, request.force, deadline).await,
            MemberChange::Remove => members.remove(node, request.force, deadline).await,
            MemberChange::Unspecified => {
                return Err(Status::invalid_argument("no change is named"));
            }
        };
        changed.map_err(|error| Status::from(&error))?;
        Ok(Response::new(ChangeMemberReply { node }))
    }

    async fn transfer_leader(&self, request: Request<MoveLeadRequest>) -> Reply<MoveLeadReply> {
        here_or_relay!(self, request, Place::Leader, transfer_leader);
        let to = match request.to.as_str() {
            "" => None,
            name => Some(self.relay.find(name)?),
        };
        let moved = self
            .cluster
            .members()
            .transfer_leader(to, Instant::now() + CHANGE)
            .await;
        let leader = moved.map_err(|error| Status::from(&error))?;
        Ok(Response::new(MoveLeadReply { leader }))
    }

    async fn set_draining(&self, request: Request<SetDrainingRequest>) -> Reply<SetDrainingReply> {
        let request = request.into_inner();
        let node = self.relay.find(&request.member)?;
        let kind = Kind::SetNodeDraining(SetNodeDraining {
            node,
            draining: request.draining,
        });
        let written = self
            .cluster
            .propose(kind, "", Instant::now() + CHANGE)
            .await
            .map_err(unwritten)?;
        match written.reply.outcome {
            Some(Outcome::Done(_)) => Ok(Response::new(SetDrainingReply { node })),
            _ => Err(Status::not_found(format!("node {node} has no record"))),
        }
    }

    async fn take_snapshot(
        &self,
        request: Request<TakeSnapshotRequest>,
    ) -> Reply<TakeSnapshotReply> {
        here_or_relay!(self, request, Place::Named, take_snapshot);
        let _ = request;
        let index = self.cluster.snapshot(Instant::now() + SNAPSHOT).await;
        let index = index.map_err(|error| convert::maintenance(&error))?;
        Ok(Response::new(TakeSnapshotReply { index }))
    }

    async fn purge_log(&self, request: Request<PurgeLogRequest>) -> Reply<PurgeLogReply> {
        here_or_relay!(self, request, Place::Named, purge_log);
        let _ = request;
        let index = self.cluster.purge(Instant::now() + CHANGE).await;
        let index = index.map_err(|error| convert::maintenance(&error))?;
        Ok(Response::new(PurgeLogReply { index }))
    }

    async fn state_hash(&self, request: Request<StateHashRequest>) -> Reply<StateHashReply> {
        here_or_relay!(self, request, Place::Named, state_hash);
        let state = self.cluster.state();
        if request.scan {
            let scanned = state.scan_hash().await;
            let (index, hash) = scanned.map_err(|error| Status::internal(error.to_string()))?;
            return Ok(Response::new(StateHashReply {
                index,
                hash: hash.to_bytes().to_vec(),
            }));
        }
        let index = match request.index {
            0 => state.applied().map_or(0, |log_id| log_id.index),
            index => index,
        };
        if !state.wait_applied(index, Instant::now() + CATCH_UP).await {
            return Err(Status::deadline_exceeded(format!(
                "this node has not applied index {index} yet"
            )));
        }
        let hash = state.hash_at(index).ok_or_else(|| {
            Status::out_of_range(format!(
                "the hash at index {index} is no longer kept: ask for a later one"
            ))
        })?;
        Ok(Response::new(StateHashReply {
            index,
            hash: hash.to_bytes().to_vec(),
        }))
    }

    async fn contents(&self, request: Request<ContentsRequest>) -> Reply<ContentsReply> {
        here_or_relay!(self, request, Place::Named, contents);
        let _ = request;
        let state = self.cluster.state();
        let tasks = state.task_counts().await;
        let tasks = tasks.map_err(|error| Status::internal(error.to_string()))?;
        let mut reply = convert::contents(&state.counts(), &tasks);
        reply.applied_index = state.applied().map_or(0, |applied| applied.index);
        if let Some(sessions) = &self.sessions {
            (reply.sessions_warm, reply.sessions_warm_bytes) = sessions.warm();
        }
        Ok(Response::new(reply))
    }

    async fn blob_standing(
        &self,
        request: Request<BlobStandingRequest>,
    ) -> Reply<BlobStandingReply> {
        here_or_relay!(self, request, Place::Named, blob_standing);
        if request.look_after {
            let looked = self.blobs.look_after(GRACE).await;
            looked.map_err(|error| Status::unavailable(error.to_string()))?;
        }
        let standing = self.blobs.standing().await;
        let standing = standing.map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(convert::blobs(standing)))
    }

    async fn compact(&self, request: Request<CompactRequest>) -> Reply<CompactReply> {
        here_or_relay!(self, request, Place::Named, compact);
        let _ = request;
        let compacted = self.cluster.compact().await;
        let compacted = compacted.map_err(|error| convert::maintenance(&error))?;
        Ok(Response::new(CompactReply {
            before_bytes: compacted.before_bytes,
            after_bytes: compacted.after_bytes,
        }))
    }

    async fn list_engines(&self, _: Request<ListEnginesRequest>) -> Reply<ListEnginesReply> {
        let listed = self.engines.list().await;
        let listed = listed.map_err(|error| engine_failed(&error))?;
        let engines = listed.into_iter().map(convert::engine).collect();
        Ok(Response::new(ListEnginesReply { engines }))
    }

    async fn set_engine(&self, request: Request<SetEngineRequest>) -> Reply<SetEngineReply> {
        let request = request.into_inner();
        let state = convert::engine_state(&request.state)?;
        let set = self.engines.set_state(&request.id, state).await;
        let id = set.map_err(|error| engine_failed(&error))?;
        Ok(Response::new(SetEngineReply { id }))
    }
}

fn engine_failed(error: &engines::Error) -> Status {
    match error {
        engines::Error::Propose(error) => unwritten(*error),
        engines::Error::Read(_) => Status::unavailable(error.to_string()),
        engines::Error::State(_) => Status::internal(error.to_string()),
        engines::Error::Ambiguous { .. } => Status::not_found(error.to_string()),
        _ => Status::failed_precondition(error.to_string()),
    }
}

fn unwritten(error: ProposeError) -> Status {
    match error {
        ProposeError::Unknown => Status::deadline_exceeded(error.to_string()),
        _ => Status::unavailable(error.to_string()),
    }
}
