//! The only wiring: listeners, workers, services and front ends, from start to stop.

mod blobs;
mod certificates;
mod cluster;
mod home;
mod listener;
mod scratch;
mod stop;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::cluster::node::Cluster;
use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::home::Home;
use self::stop::Stop;
use crate::api::{self, ApiState, NodeState, Readiness};
use crate::config::Config;
use crate::grpc;
use crate::mcp::{self, McpState};
use crate::metrics;
use crate::service::backup::{Backups, Schedule};
use crate::service::blobs::Blobs;
use crate::service::engines::Engines;
use crate::service::executions::Executions;
use crate::service::run::Runs;
use crate::service::sessions::Sessions;
use crate::service::tags::Tags;
use crate::service::tasks::{Runner, Tasks};
use crate::workers::{Engine, Options, Workers};

/// After the last execution has ended, replies are still on their way; this bounds the wait for them.
const CONNECTIONS_END_MAX: Duration = Duration::from_secs(2);

/// A node that is a cluster of its own leads it within this time, or else starts without.
const ALONE_MAX: Duration = Duration::from_secs(5);

/// Serves until a signal, or until the client on the standard streams goes away.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let stop = Stop::on_signals().context("can't listen for signals")?;
    // First of all: a port that is taken is the most common mistake.
    let http = bind(&config, config.http.http_port).await?;
    let sse = bind(&config, config.http.sse_port).await?;
    let config = Arc::new(config);
    let bucket = blobs::Kept::connect(&config.blobs).await?;
    let options = Options::new(config.run.runs_ready, config.sandbox);
    let engine = engine(config.engine_file.as_deref())?;
    let workers = Workers::start(engine, options)
        .await
        .context("can't start V8")?;
    tell_limits(&config, &workers);
    let home = Home::choose(&config)?;
    let directory = home.path();
    let http_address = http
        .as_ref()
        .and_then(|listener| listener.local_addr().ok());
    if let Some(bucket) = &bucket {
        bucket.restore(&config.cluster, &home).await?;
    }
    let outside = bucket.as_ref().and_then(blobs::Kept::outside);
    let cluster = cluster::start(&config, &home, http_address, engine, outside).await?;
    let archive = bucket.as_ref().map(|bucket| bucket.archive(&cluster));
    let archive = archive.transpose()?;
    let runs = Runs::start(workers.clone(), config.run.clone(), cluster.incarnation());
    let blobs = blobs::open(&config, bucket.as_ref(), &cluster, directory)?;
    let engines = Engines::new(workers.clone(), options, cluster.clone(), blobs.clone());
    let sessions = sessions(&config, &cluster, &engines, &blobs, directory)?;
    let executions = Executions::new(runs.clone(), cluster.clone(), sessions.clone());
    let tags = Tags::new(cluster.clone());
    let tasks = Tasks::new(
        cluster.clone(),
        executions.clone(),
        blobs.clone(),
        config.tasks.clone(),
    );
    metrics::register(|registry| tasks.figures().register(registry))?;
    let runner = Runner::start(&tasks);
    let backups = Backups::new(cluster.clone(), blobs.clone());
    let schedule = config.backup.clone();
    let schedule = schedule.map(|keep| Schedule::start(backups.clone(), keep));
    cluster.serve(grpc::routes(
        &cluster,
        &executions,
        &tags,
        &blobs,
        &engines,
        &backups,
        &sessions,
    ));
    if let Some(address) = cluster.local_address() {
        tracing::info!(%address, node = %cluster.name(), "listening for other nodes");
    }
    // Ends what would never end by itself: event streams and the calls of MCP.
    let streams = CancellationToken::new();
    let ready = Readiness::new();
    let mcp = McpState {
        executions: executions.clone(),
        tags: Some(tags.clone()),
        sessions: sessions.clone(),
        tasks: Some(tasks.clone()),
        config: Arc::clone(&config),
        shutdown: streams.clone(),
    };
    let api = ApiState {
        executions,
        sessions: sessions.clone(),
        tags,
        tasks,
        workers: workers.clone(),
        config: Arc::clone(&config),
        ready: ready.clone(),
    };
    let lease = config.cluster.lease;
    let credentials = cluster.peers().credentials().clone();
    let certificates = tokio::spawn(certificates::follow(credentials));
    let mut follow = tokio::spawn(cluster::follow(
        cluster.clone(),
        runs.clone(),
        ready.clone(),
        lease,
    ));
    if config.cluster.is_alone() {
        // Nobody else is waited for, so the first request finds it ready.
        let _ = tokio::time::timeout(ALONE_MAX, ready.ok()).await;
    }

    let connections = TaskTracker::new();
    let closing = CancellationToken::new();
    let serve = |name: &str, listener: Option<TcpListener>, router: Router| {
        let Some(listener) = listener else {
            return Ok(());
        };
        announce(name, listener.local_addr()?)?;
        let served = listener::serve(listener, router, closing.clone(), connections.clone());
        connections.spawn(served);
        anyhow::Ok(())
    };
    let on_streams = http.is_none() && sse.is_none();
    serve(
        "http",
        http,
        api::protect(
            api::router(api.clone()).merge(mcp::http_router(mcp.clone())),
            &config.http,
        ),
    )?;
    serve(
        "sse",
        sse,
        api::protect(
            api::router(api).merge(mcp::sse_router(mcp.clone())),
            &config.http,
        ),
    )?;
    let failed = tokio::select! {
        failure = &mut follow => Some(failure.expect("it does not panic")),
        served = wait_for_the_end(on_streams, mcp, &stop) => {
            served?;
            None
        }
    };
    follow.abort();
    certificates.abort();
    let delays = failed.is_none() && !on_streams && !config.stop_delay.is_zero();
    if delays {
        // Balancers see it first, and what they have sent already is taken.
        ready.set(NodeState::Draining);
        tokio::time::sleep(config.stop_delay).await;
    }
    // In this order: who sees that it is not ready is refused from then on.
    runs.begin_drain();
    ready.set(NodeState::Draining);
    // The client on the standard streams is gone, or told us to go: nobody waits for its runs.
    let deadline = if on_streams {
        Duration::ZERO
    } else {
        config.drain_timeout
    };
    let stats = runs.stats();
    tracing::info!(running = stats.running, queued = stats.queued, "stopping");
    let cancelled = runs.drained(deadline).await;
    runner.close().await;
    streams.cancel();
    closing.cancel();
    connections.close();
    if tokio::time::timeout(CONNECTIONS_END_MAX, connections.wait())
        .await
        .is_err()
    {
        tracing::debug!(
            connections = connections.len(),
            "connections did not end by themselves"
        );
    }
    if let Some(sessions) = sessions {
        sessions.close().await;
    }
    if let Some(schedule) = schedule {
        schedule.close().await;
    }
    engines.close().await;
    if let Some(archive) = archive {
        archive.close().await;
    }
    cluster.shutdown().await;
    workers.shutdown().await;
    drop(home);
    tracing::info!(cancelled, "stopped");
    failed.map_or(Ok(()), |failure| Err(failure.into()))
}

/// What this node runs code in.
fn engine(file: Option<&Path>) -> anyhow::Result<&'static Engine> {
    let Some(file) = file else {
        return Engine::embedded().context("can't load the engine");
    };
    let bytes = std::fs::read(file);
    let bytes = bytes.with_context(|| format!("can't read {}", file.display()))?;
    Engine::from_file_bytes(&bytes).with_context(|| format!("can't use {}", file.display()))
}

fn sessions(
    config: &Config,
    cluster: &Cluster,
    engines: &Engines,
    blobs: &Blobs,
    directory: &Path,
) -> anyhow::Result<Option<Sessions>> {
    if config.sessions.off {
        return Ok(None);
    }
    let sessions = Sessions::new(
        cluster.clone(),
        engines.clone(),
        blobs.clone(),
        config.state.into(),
        config.sessions.clone(),
        directory.join("restore"),
    );
    let sessions = sessions.context("can't prepare sessions")?;
    metrics::register(|registry| sessions.figures().register(registry))?;
    Ok(Some(sessions))
}

async fn wait_for_the_end(on_streams: bool, mcp: McpState, stop: &Stop) -> anyhow::Result<()> {
    if !on_streams {
        stop.asked().await;
        return Ok(());
    }
    tracing::info!("speaking MCP on the standard streams; `mcp-v8 --help` tells of other ways");
    tokio::select! {
        served = mcp::serve_stdio(mcp) => Ok(served?),
        () = stop.asked() => Ok(()),
    }
}

async fn bind(config: &Config, port: Option<u16>) -> anyhow::Result<Option<TcpListener>> {
    let Some(port) = port else { return Ok(None) };
    let address = SocketAddr::new(config.http.bind_host, port);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("can't listen on {address}"))?;
    Ok(Some(listener))
}

/// The one line that a person, or a test that asked for port 0, waits for.
fn announce(name: &str, address: SocketAddr) -> anyhow::Result<()> {
    tracing::info!(%address, listener = name, "listening");
    // A closed standard output is no reason not to serve.
    let _ = writeln!(io::stdout(), "{name}: listening on http://{address}");
    Ok(())
}

fn tell_limits(config: &Config, workers: &Workers) {
    let report = workers.sandbox_report();
    let (active, missing): (Vec<_>, Vec<_>) = report.layers.iter().partition(|layer| layer.active);
    let names = |layers: &[&worker_protocol::LayerReport]| {
        layers
            .iter()
            .map(|layer| layer.name.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        v8 = report.v8_version,
        sandbox = names(&active),
        runs_max = config.run.runs_max,
        runs_ready = config.run.runs_ready,
        queue_max = config.run.queue_max,
        memory_mb = config.run.memory_mb.default,
        "started"
    );
    for layer in missing {
        tracing::warn!(
            layer = layer.name,
            reason = layer.detail,
            "a sandbox layer is not in force"
        );
    }
}
