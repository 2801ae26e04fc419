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

/// A task may ask for so much console output when it is made, and not when it is to run.
pub const TAKEN_OUTPUT_BYTES: u64 = 1 << 40;
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
    let node = node.context("the node forms no cluster")?;
    runs.set_node(node);
    let blobs = LocalBlobs::open(&directory.join("blobs"))?;
    let blobs = Blobs::on_nodes(blobs, cluster.clone(), config.blobs.check_period);
    let engines = Engines::new(workers.clone(), options, cluster.clone(), blobs.clone());
    let sessions = Sessions::new(
        cluster.clone(),
        engines,
        blobs.clone(),
        config.state.into(),
        config.sessions.clone(),
        directory.join("restore"),
    )?;
    let executions = Executions::new(runs, cluster.clone(), Some(sessions.clone()));
    // As in a cluster of nodes with different bounds: who takes a task allows more than who runs it.
    let mut generous = config.run.clone();
    generous.output_bytes.max = TAKEN_OUTPUT_BYTES;
    let generous = Runs::start(workers, generous, cluster.incarnation());
    generous.set_node(node);
    let taken = Executions::new(generous, cluster.clone(), Some(sessions));
    let tasks = |executions| {
        Tasks::new(
            cluster.clone(),
            executions,
            blobs.clone(),
            config.tasks.clone(),
        )
    };
    let runner = Runner::start(&tasks(executions.clone()));
    let tasks = tasks(taken);
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
