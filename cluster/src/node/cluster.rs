//! The handle on a running node.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use openraft::errors::{InitializeError, RaftError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;

use super::core::{Core, MemberParts};
use super::disk::{Disk, disk_loop};
use super::error::{ProposeError, ReadError, StartError};
use super::leader::LeaderWatch;
use super::life;
use super::lookout::lookout_loop;
use super::options::Options;
use super::phase::{Failure, Phase};
use super::propose::{Committed, Proposer, now_ms};
use super::read::ReadGate;
use super::snapshots::snapshot_loop;
use super::status::Status;
use super::task_loop::task_loop;
use super::terms::Terms;
use crate::archive::{LogAfter, Piece};
use crate::ids::{ClusterId, NodeName};
use crate::leader::{Liveness, Load};
use crate::log::{LogError, LogMetrics, LogOptions, LogStore};
use crate::membership::{
    Arrival, Arrived, Directory, Home, Members, PeerService, Standing, unwritable,
};
use crate::peers::{Identity, Listeners, LocalSocket, Peers, listen, serve};
use crate::proto::command::Kind;
use crate::proto::peer_server::PeerServer;
use crate::raft::{NetworkFactory, RaftService, RaftSlot};
use crate::state::{StateMachine, StateOptions, StateReader};
use crate::types::{Member, Raft};

/// After the stop open calls have this long to end.
const GRACE: Duration = Duration::from_secs(2);
/// A leader that no majority has confirmed for so long can decide nothing.
const QUORUM_SILENT_MAX: Duration = Duration::from_secs(2);
/// A leader that stops hands its lead over in this time, or leaves it to an election.
const HAND_OVER: Duration = Duration::from_secs(2);

/// A running node. Cheap to clone; it runs until [`Cluster::shutdown`].
#[derive(Clone)]
pub struct Cluster(pub(super) Arc<Running>);

pub(super) struct Running {
    pub(super) core: Arc<Core>,
    listeners: Mutex<Option<Listeners>>,
    local_address: Option<SocketAddr>,
    socket: PathBuf,
    snapshots: PathBuf,
}

impl Cluster {
    /// Opens what the directory holds, takes the addresses, and begins to form or join a cluster.
    ///
    /// # Errors
    /// As [`StartError`] tells; what goes wrong later is in [`Cluster::phase`].
    pub async fn start(options: Options) -> Result<Self, StartError> {
        check(&options)?;
        let raft_config = options.timings.config()?;
        let (directory, name) = (options.directory.clone(), options.name.clone());
        let segment_bytes = options.log_segment_bytes;
        let opened = tokio::task::spawn_blocking(move || {
            let mut directory = Directory::open(&directory, name.as_ref())?;
            let incarnation = directory.begin_incarnation(now_ms())?;
            let path = directory.path().to_owned();
            let log = LogStore::open(LogOptions {
                segment_bytes,
                ..LogOptions::new(path.join("raft"))
            })?;
            let state = StateMachine::open(StateOptions::new(&path))?;
            Ok::<_, StartError>((directory, incarnation, log, state))
        });
        let (directory, incarnation, log, (machine, state)) =
            opened.await.expect("opening does not panic")?;
        let name = directory.marker().name.clone();
        if !options.peers.is_empty() && options.peers.iter().all(|peer| peer.name != name) {
            return Err(StartError::NotAmongPeers { name });
        }
        let socket = directory.path().join("admin.sock");
        let cluster = match options.listen {
            Some(address) => Some(listen(address, &options.credentials).await?),
            None => None,
        };
        let local_address = cluster
            .as_ref()
            .and_then(|listener| listener.local_addr().ok());
        let local = LocalSocket::bind(&socket)?;
        let address = address(&options, &name, local_address);

        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let peers = Peers::new(options.credentials.clone(), Identity::new(name));
        let snapshots = directory.path().join("snapshots");
        let disk = Disk::new(
            directory.path().to_owned(),
            options.disk_free_min,
            segment_bytes,
        );
        let terms = Terms::new(disk.clone(), options.outside.clone());
        let core = Arc::new(Core {
            proposer: Proposer::new(peers.clone(), terms.clone(), tasks.clone(), stop.clone()),
            disk,
            terms,
            liveness: Liveness::new(options.lease),
            incarnation,
            address,
            home: Home::new(directory),
            peers,
            log,
            state,
            raft: RaftSlot::empty(),
            member: OnceLock::new(),
            load: watch::Sender::new(Load::default()),
            confirmed: watch::Sender::new(None),
            phase: watch::Sender::new(Phase::Starting),
            tasks,
            stop,
            options,
        });
        let arrive = arrive(Arc::clone(&core), raft_config, machine);
        core.spawn("arrival", arrive);
        Ok(Self(Arc::new(Running {
            core,
            listeners: Mutex::new(Some(Listeners {
                cluster,
                local: Some(local),
            })),
            local_address,
            socket,
            snapshots,
        })))
    }

    /// Begins to answer other nodes and operators: with the services between nodes, and those that are added.
    ///
    /// # Panics
    /// When it is called twice.
    pub fn serve(&self, services: Routes) {
        let listeners = self
            .0
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let listeners = listeners.expect("a node serves once");
        let core = &self.0.core;
        let raft = RaftService::new(core.raft.clone(), self.0.snapshots.clone());
        let raft = raft.on_disk(core.disk.clone());
        let routes = services
            .add_service(raft.into_server())
            .add_service(PeerServer::new(PeerService::new(Arc::clone(core))));
        let core = Arc::clone(core);
        core.tasks.clone().spawn(async move {
            let credentials = core.peers.credentials();
            let gate = core.peers.gate();
            let served = serve(
                listeners,
                routes,
                gate,
                credentials,
                core.stop.clone(),
                GRACE,
            );
            if let Err(error) = served.await {
                core.fail(Failure::Serve {
                    reason: error.to_string(),
                });
            }
        });
    }

    /// The node's name.
    pub fn name(&self) -> NodeName {
        self.0.core.home.marker().name
    }

    /// This life of it: later than all before.
    pub fn incarnation(&self) -> u64 {
        self.0.core.incarnation
    }

    /// Its id, once it is a member.
    pub fn node(&self) -> Option<u64> {
        self.0.core.member.get().map(|member| member.node)
    }

    /// The leader that it follows, if one is known; itself only while a majority confirms it.
    pub fn leader(&self) -> Option<u64> {
        let member = self.0.core.member.get()?;
        let leader = member.leader.known()?.node;
        let confirmed = leader != member.node
            || self
                .status()
                .quorum_silent_for
                .is_none_or(|silent| silent < QUORUM_SILENT_MAX);
        confirmed.then_some(leader)
    }

    /// How far it is, and whether it has to end.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.0.core.phase.subscribe()
    }

    /// Waits until it is a member; `None` when it can't become one, or not in time.
    pub async fn member(&self, deadline: Instant) -> Option<u64> {
        let mut phase = self.phase();
        let settled =
            phase.wait_for(|phase| matches!(phase, Phase::Member { .. } | Phase::Failed(_)));
        match &*tokio::time::timeout_at(deadline.into(), settled)
            .await
            .ok()?
            .ok()?
        {
            Phase::Member { node, .. } => Some(*node),
            _ => None,
        }
    }

    /// Writes, from any node.
    ///
    /// # Errors
    /// As [`ProposeError`] tells; only [`ProposeError::Unknown`] leaves open whether it took effect.
    pub async fn propose(
        &self,
        kind: Kind,
        principal: &str,
        deadline: Instant,
    ) -> Result<Committed, ProposeError> {
        self.0.core.propose(kind, principal, deadline).await
    }

    /// This node's own state, which may lag behind.
    pub fn state(&self) -> &StateReader {
        &self.0.core.state
    }

    /// The state, once it holds all that was acknowledged anywhere before the call.
    ///
    /// # Errors
    /// No leader answers, or this node does not catch up in time.
    pub async fn linearizable(&self, deadline: Instant) -> Result<&StateReader, ReadError> {
        self.0.core.linearizable(deadline).await?;
        Ok(&self.0.core.state)
    }

    /// What this node knows, from memory: also without a quorum.
    pub fn status(&self) -> Status {
        self.0.core.status()
    }

    /// Writes of this node that are under way.
    pub fn proposals_open(&self) -> usize {
        self.0.core.proposer.open()
    }

    /// What the log's writer does, for a registry of figures.
    pub fn log_metrics(&self) -> &LogMetrics {
        self.0.core.log.metrics()
    }

    /// The way to other nodes.
    pub fn peers(&self) -> &Peers {
        &self.0.core.peers
    }

    /// Changes of the members, asked of this node.
    pub fn members(&self) -> Members {
        Members::new(Arc::clone(&self.0.core))
    }

    /// Where it listens for other nodes.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.0.local_address
    }

    /// The socket for operators on this machine.
    pub fn socket_path(&self) -> &Path {
        &self.0.socket
    }

    /// Whether this node leads, as far as it knows.
    pub fn leads(&self) -> bool {
        let here = self.node();
        here.is_some() && self.leader() == here
    }

    /// The cluster that it belongs to, once it does.
    pub fn cluster_id(&self) -> Option<ClusterId> {
        self.0.core.home.marker().cluster_id()
    }

    /// What was applied here after an entry, up to about so many bytes.
    ///
    /// # Errors
    /// The disk's.
    pub async fn log_after(&self, index: u64, bytes_max: u64) -> Result<LogAfter, LogError> {
        let core = &self.0.core;
        let applied = core.state.applied().map_or(0, |applied| applied.index);
        if applied <= index {
            return Ok(LogAfter::Nothing);
        }
        let read = core.log.read(index + 1..applied + 1, bytes_max).await?;
        Ok(match Piece::of(&read) {
            Some(piece) if piece.first == index + 1 => LogAfter::Entries(piece),
            _ => LogAfter::Purged,
        })
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.0.core
    }

    /// Hands the lead over where this node has it, ends all loops, and closes log and state.
    pub async fn shutdown(&self) {
        let core = &self.0.core;
        let deadline = Instant::now() + HAND_OVER;
        let leads = core
            .member
            .get()
            .is_some_and(|member| member.leader.is_here());
        if leads && let Err(error) = self.members().transfer_leader(None, deadline).await {
            tracing::debug!(%error, "the lead is not handed over");
        }
        core.stop.cancel();
        core.tasks.close();
        if let Some(member) = core.member.get()
            && let Err(error) = member.raft.shutdown().await
        {
            tracing::warn!(%error, "raft did not end well");
        }
        core.tasks.wait().await;
        // What is on disk need not be applied again at the next start.
        if let Err(error) = core.state.flush().await {
            tracing::warn!(%error, "the state was not written at the end");
        }
        core.log.close().await;
    }
}

fn check(options: &Options) -> Result<(), StartError> {
    let needs_others = !options.peers.is_empty() || !options.join.is_empty() || options.standby;
    if needs_others && options.listen.is_none() {
        return Err(StartError::NoAddress);
    }
    if let Some(name) = &options.name
        && !options.peers.is_empty()
        && options.peers.iter().all(|peer| peer.name != *name)
    {
        return Err(StartError::NotAmongPeers { name: name.clone() });
    }
    if let Some(address) = options.listen {
        // Before anything is made on disk.
        let allowed = options.credentials.allowed_bind(address);
        allowed.map_err(crate::peers::ListenError::from)?;
        let reachable = !address.ip().is_unspecified() || options.advertise.is_some();
        let named = options
            .peers
            .iter()
            .any(|peer| Some(&peer.name) == options.name.as_ref());
        if !reachable && !named {
            return Err(StartError::NoAdvertise { address });
        }
    }
    Ok(())
}

/// Where others reach this node.
fn address(options: &Options, name: &NodeName, local: Option<SocketAddr>) -> String {
    let named = || options.peers.iter().find(|peer| peer.name == *name);
    options
        .advertise
        .clone()
        .or_else(|| named().map(|peer| peer.address.clone()))
        .or_else(|| local.map(|address| address.to_string()))
        .unwrap_or_default()
}

/// Becomes a member, and does from then on what members do.
async fn arrive(core: Arc<Core>, config: Arc<openraft::Config>, machine: StateMachine) {
    let arrival = Arrival {
        home: &core.home,
        options: &core.options,
        address: &core.address,
        peers: &core.peers,
        tell: &|phase| core.tell(phase),
    };
    match arrival.complete().await {
        Ok(arrived) => {
            if let Err(failure) = begin(&core, config, machine, arrived).await {
                core.fail(failure);
            }
        }
        Err(failure) => core.fail(failure),
    }
}

async fn begin(
    core: &Arc<Core>,
    config: Arc<openraft::Config>,
    machine: StateMachine,
    arrived: Arrived,
) -> Result<(), Failure> {
    let Arrived {
        cluster_id,
        node,
        founder,
    } = arrived;
    core.peers.identity().set(cluster_id, node);
    let lease = Duration::from_millis(config.election_timeout_max);
    let network = NetworkFactory::new(core.peers.clone());
    let fatal = |reason: String| Failure::Fatal { reason };
    let raft = Raft::new(node, config, network, core.log.clone(), machine)
        .await
        .map_err(|error| fatal(error.to_string()))?;
    if let Some(plan) = founder {
        let members: std::collections::BTreeMap<u64, Member> = plan
            .members
            .into_iter()
            .map(|member| {
                let entry = Member {
                    name: member.name.to_string(),
                    address: member.address,
                };
                (member.node, entry)
            })
            .collect();
        match raft.initialize(members).await {
            // It was begun before this process was, and goes on.
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
            Err(error) => return Err(fatal(error.to_string())),
        }
        let step = core
            .home
            .step(move |_| Ok::<_, ()>(Some(Standing::Member { cluster_id, node })));
        step.await
            .map_err(unwritable)?
            .expect("the step is never refused");
    }
    let leader = LeaderWatch::new(raft.server_metrics());
    core.proposer
        .begin(raft.clone(), leader.clone(), node, core.incarnation);
    let reads = ReadGate::new(
        raft.clone(),
        node,
        leader.clone(),
        core.peers.clone(),
        lease,
    );
    core.raft.set(raft.clone());
    let set = core.member.set(MemberParts {
        raft,
        node,
        leader,
        reads,
    });
    assert!(set.is_ok(), "a node becomes a member once in its life");
    core.tell(Phase::Member { cluster_id, node });
    core.spawn("addresses", life::address_loop(Arc::clone(core)));
    core.spawn("fatal", life::fatal_loop(Arc::clone(core)));
    core.spawn("reports", life::report_loop(Arc::clone(core)));
    core.spawn("liveness", life::liveness_loop(Arc::clone(core)));
    core.spawn("disk", disk_loop(Arc::clone(core)));
    core.spawn("tasks", task_loop(Arc::clone(core)));
    core.spawn("garbage", life::garbage_loop(Arc::clone(core)));
    if let Some(idle) = core.options.session_idle {
        core.spawn("idle", life::idle_loop(Arc::clone(core), idle));
    }
    core.spawn("lookout", lookout_loop(Arc::clone(core)));
    core.spawn("promotion", life::promotion_loop(Arc::clone(core)));
    core.spawn("snapshots", snapshot_loop(Arc::clone(core)));
    Ok(())
}
