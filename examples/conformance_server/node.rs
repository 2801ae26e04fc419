//! A node that is a cluster of its own, in a directory that goes with it.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use cluster::node::{Cluster, Options as ClusterOptions};
use mcp_v8::{
    config::Config,
    mcp::McpState,
    service::{
        blobs::Blobs,
        engines::Engines,
        executions::Executions,
        run::Runs,
        sessions::Sessions,
        tasks::{Runner, Tasks},
    },
    storage::LocalBlobs,
    workers::{Engine, Options, Workers},
};
use tokio_util::sync::CancellationToken;

/// It forms its cluster within this time.
const FORMED: Duration = Duration::from_secs(20);

/// Starts one, and gives what its handlers work with. Its tasks run for as long as the runner lives.
pub async fn start(config: Arc<Config>, directory: &Path) -> anyhow::Result<(McpState, Runner)> {
    let options = Options::new(config.run.runs_ready, config.sandbox);
    let engine = Engine::embedded()?;
    let workers = Workers::start(engine, options).await?;
    let cluster = Cluster::start(ClusterOptions::single(directory.to_owned())).await?;
    let node = cluster.member(Instant::now() + FORMED).await;
    let runs = Runs::start(workers.clone(), config.run.clone(), cluster.incarnation());
    runs.set_node(node.context("the node forms no cluster")?);
    let blobs = LocalBlobs::open(&directory.join("blobs"))?;
    let blobs = Blobs::on_nodes(blobs, cluster.clone(), config.blobs.check_period);
    let engines = Engines::new(workers, options, cluster.clone(), blobs.clone());
    let sessions = Sessions::new(
        cluster.clone(),
        engines,
        blobs.clone(),
        config.state.into(),
        config.sessions.clone(),
        directory.join("restore"),
    )?;
    let executions = Executions::new(runs, cluster.clone(), Some(sessions));
    let tasks = Tasks::new(cluster, executions.clone(), blobs, config.tasks.clone());
    let runner = Runner::start(&tasks);
    let state = McpState {
        executions,
        tags: None,
        sessions: None,
        tasks: Some(tasks),
        config,
        shutdown: CancellationToken::new(),
    };
    Ok((state, runner))
}
