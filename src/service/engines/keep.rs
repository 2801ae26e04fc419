//! The bytes of this node's engine become blobs, so that it outlives the version that it came with.

use std::time::Duration;

use super::parts::own_parts;
use super::{Engines, Error};

/// Not at once: the session that made it known comes first.
const DELAY: Duration = Duration::from_secs(5);
/// Before a failure is tried again.
const RETRY: Duration = Duration::from_secs(60);

/// Begins; it ends when they are kept, or with the node.
pub(super) fn begin(engines: &Engines) {
    let stop = engines.0.stop.clone();
    let engines = engines.clone();
    let tasks = engines.0.tasks.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = keep_loop(&engines) => {}
        }
    });
}

async fn keep_loop(engines: &Engines) {
    tokio::time::sleep(DELAY).await;
    loop {
        match keep(engines).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(%error, "the engine's bytes are not kept yet");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn keep(engines: &Engines) -> Result<(), Error> {
    let engine = engines.own();
    let state = engines.0.cluster.state();
    let record = state.engine(&engine.id().0).await?;
    if record.is_some_and(|it| !it.worker_blob.is_empty() && !it.base_image_blob.is_empty()) {
        return Ok(());
    }
    // Nodes of one version have the same bytes: the first of them keeps them for all.
    let first = state
        .known_nodes()
        .into_iter()
        .find(|node| node.alive && !node.draining && node.engine_id == engine.id().0);
    if first.is_some_and(|node| Some(node.id) != engines.0.cluster.node()) {
        tokio::time::sleep(RETRY).await;
    }
    let parts = own_parts(engine).await?;
    engines.keep(engine.id(), parts).await?;
    tracing::info!(engine = %engine.id(), "the engine's bytes are kept");
    Ok(())
}
