//! The only wiring: listeners, workers, services and front ends, from start to stop.

mod listener;
mod stop;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::stop::Stop;
use crate::api::{self, ApiState, Readiness};
use crate::config::Config;
use crate::mcp::{self, McpState};
use crate::service::run::Runs;
use crate::workers::{Options, Workers};

/// After the last execution has ended, replies are still on their way; this bounds the wait for them.
const CONNECTIONS_END_MAX: Duration = Duration::from_secs(2);

/// Serves until a signal, or until the client on the standard streams goes away.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let stop = Stop::on_signals().context("can't listen for signals")?;
    // First of all: a port that is taken is the most common mistake.
    let http = bind(&config, config.http.http_port).await?;
    let sse = bind(&config, config.http.sse_port).await?;
    let config = Arc::new(config);
    let options = Options::new(config.run.runs_ready, config.sandbox);
    let workers = Workers::start(options).await.context("can't start V8")?;
    tell_limits(&config, &workers);
    let runs = Runs::start(workers.clone(), config.run.clone());
    // Ends what would never end by itself: event streams and the calls of MCP.
    let streams = CancellationToken::new();
    let ready = Readiness::new();
    let mcp = McpState {
        runs: runs.clone(),
        config: Arc::clone(&config),
        shutdown: streams.clone(),
    };
    let api = ApiState {
        runs: runs.clone(),
        workers: workers.clone(),
        config: Arc::clone(&config),
        ready: ready.clone(),
    };

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
    ready.set(true);
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
    if on_streams {
        tracing::info!("speaking MCP on the standard streams; `mcp-v8 --help` tells of other ways");
        tokio::select! {
            served = mcp::serve_stdio(mcp) => served?,
            () = stop.asked() => {}
        }
    } else {
        stop.asked().await;
    }

    ready.set(false);
    runs.begin_drain();
    // The client on the standard streams is gone, or told us to go: nobody waits for its runs.
    let deadline = if on_streams {
        Duration::ZERO
    } else {
        config.drain_timeout
    };
    let stats = runs.stats();
    tracing::info!(running = stats.running, queued = stats.queued, "stopping");
    let cancelled = runs.drained(deadline).await;
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
    workers.shutdown().await;
    tracing::info!(cancelled, "stopped");
    Ok(())
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
