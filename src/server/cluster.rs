//! The node's part in its cluster: how it is started from the configuration, and what follows from what
//! becomes of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use cluster::node::{Cluster, Facts, Failure, Options, Phase};
use tokio::sync::watch;

use super::home::Home;
use crate::api::{NodeState, Readiness};
use crate::config::{ClusterConfig, Config};
use crate::metrics;
use crate::service::run::Runs;
use crate::workers::Engine;

/// A file of the log.
const LOG_SEGMENT_BYTES: u64 = 64 << 20;
/// A node that keeps nothing has a small log: it may be in memory.
const SCRATCH_LOG_BYTES: u64 = 8 << 20;
/// How often the node looks at itself.
const PERIOD: Duration = Duration::from_millis(100);

/// Starts it; what goes wrong later is in its phase.
pub(super) async fn start(
    config: &Config,
    home: &Home,
    http: Option<SocketAddr>,
    engine: &Engine,
    outside: Option<watch::Receiver<u64>>,
) -> anyhow::Result<Cluster> {
    let of = &config.cluster;
    let credentials = of.credentials.load()?;
    let options = Options {
        directory: home.path().to_owned(),
        name: of.name.clone(),
        listen: of.listen,
        advertise: of.advertise.clone(),
        peers: of.peers.clone(),
        join: of.join.clone(),
        stay_learner: of.learner,
        standby: of.standby,
        credentials,
        timings: of.timings,
        lease: of.lease,
        snapshot_log_bytes: match home.is_kept() {
            true => of.snapshot_log_bytes,
            false => of.snapshot_log_bytes.min(SCRATCH_LOG_BYTES),
        },
        log_segment_bytes: match home.is_kept() {
            true => LOG_SEGMENT_BYTES,
            false => SCRATCH_LOG_BYTES,
        },
        heap_ttl: config.sessions.heap_ttl,
        session_idle: config.sessions.idle,
        // What is not kept anyway needs no room that is kept free.
        disk_free_min: match home.is_kept() {
            true => of.disk_free_min,
            false => 0,
        },
        outside,
        task_ttl: config.tasks.ttl,
        tasks_kept_max: config.tasks.kept_max,
        facts: facts(of, http, engine),
    };
    let cluster = Cluster::start(options)
        .await
        .context("can't start the node")?;
    metrics::register(|registry| cluster.log_metrics().register(registry))?;
    Ok(cluster)
}

fn facts(config: &ClusterConfig, http: Option<SocketAddr>, engine: &Engine) -> Facts {
    Facts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cpu_baseline: engine.facts().cpu_baseline.to_string(),
        engine_id: engine.id().0.to_vec(),
        http_address: http
            .map(|address| http_address(config, address))
            .unwrap_or_default(),
    }
}

/// Where operators find the HTTP port: a node that listens on all addresses is known by the host at which
/// other nodes reach it.
fn http_address(config: &ClusterConfig, address: SocketAddr) -> String {
    let named = config
        .peers
        .iter()
        .find(|peer| Some(&peer.name) == config.name.as_ref());
    let advertised = config
        .advertise
        .as_deref()
        .or(named.map(|peer| peer.address.as_str()))
        .and_then(|address| Some(address.rsplit_once(':')?.0));
    match advertised {
        Some(host) if address.ip().is_unspecified() => format!("{host}:{}", address.port()),
        _ => address.to_string(),
    }
}

/// Keeps what the node takes in step with what it is in its cluster, until it is dropped or the node fails.
pub(super) async fn follow(
    cluster: Cluster,
    runs: Runs,
    ready: Readiness,
    lease: Duration,
) -> Failure {
    let mut phase = cluster.phase();
    let mut nodes = cluster.state().watch_nodes();
    let mut led = Instant::now();
    let mut look = tokio::time::interval(PERIOD);
    loop {
        match &*phase.borrow_and_update() {
            Phase::Failed(failure) => return failure.clone(),
            Phase::Member { node, .. } => runs.set_node(*node),
            Phase::Starting | Phase::Waiting { .. } => {}
        }
        metrics::cluster_at(&cluster.status(), cluster.proposals_open());
        ready.set(state(&cluster, &runs, &mut led, lease));
        tokio::select! {
            _ = look.tick() => {}
            // An operator may have drained this one.
            _ = nodes.changed() => {}
            changed = phase.changed() => if changed.is_err() {
                // Its cluster is gone, so nothing can change any more.
                return std::future::pending().await;
            },
        }
    }
}

fn state(cluster: &Cluster, runs: &Runs, led: &mut Instant, lease: Duration) -> NodeState {
    let Some(record) = cluster
        .node()
        .and_then(|node| cluster.state().known_node(node))
    else {
        return NodeState::Starting;
    };
    if record.incarnation < cluster.incarnation() {
        // The cluster does not know of this life yet, and would refuse what it writes.
        return NodeState::Starting;
    }
    runs.set_paused(record.draining);
    if record.draining {
        return NodeState::Draining;
    }
    if cluster.leader().is_some() {
        *led = Instant::now();
    }
    // An election is over before anybody needs to know of it.
    if led.elapsed() < lease {
        NodeState::Ok
    } else {
        NodeState::NoLeader
    }
}
