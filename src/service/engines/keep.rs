//! The bytes of this node's engine become blobs, so that it outlives the version that it came with.

use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;

use super::{Engines, Error};
use crate::workers::pack;

/// Not at once: the session that made it known comes first.
const DELAY: Duration = Duration::from_secs(5);
/// Before a failure is tried again.
const RETRY: Duration = Duration::from_secs(60);
/// How long it may take to keep them.
const KEEP_TIMEOUT: Duration = Duration::from_secs(120);

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
    let packed = spawn_blocking(|| {
        let program = pack(&engine.program_bytes()?)?;
        Ok::<_, std::io::Error>((program, pack(engine.base_bytes())?))
    });
    let packed = packed.await.expect("packing does not panic");
    let (program, base_image) = packed.map_err(crate::workers::EngineError::Memory)?;
    let deadline = Instant::now() + KEEP_TIMEOUT;
    let blobs = &engines.0.blobs;
    let program = blobs.put(program, deadline).await?;
    let base_image = blobs.put(base_image, deadline).await?;
    let (program, base_image) = (program.0.to_vec(), base_image.0.to_vec());
    engines.put(program, base_image).await?;
    tracing::info!(engine = %engine.id(), "the engine's bytes are kept");
    Ok(())
}
