//! What a sync costs here: the floor of every write that is on disk before it is acknowledged.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::LoadError;
use crate::latency::{Latency, LatencySummary};

/// What came of it.
#[derive(Debug, Serialize)]
pub struct FdatasyncReport {
    bytes: usize,
    per_second: f64,
    #[serde(flatten)]
    latency: LatencySummary,
}

/// Appends and syncs, one after the other, as a log does.
pub fn run(
    directory: &Path,
    bytes: usize,
    lasting: Duration,
) -> Result<FdatasyncReport, LoadError> {
    let failed = |source| LoadError::File {
        path: directory.into(),
        source,
    };
    let mut file = tempfile::tempfile_in(directory).map_err(failed)?;
    let data = vec![0xa5; bytes];
    let mut latency = Latency::new();
    let started = Instant::now();
    while started.elapsed() < lasting {
        let from = Instant::now();
        file.write_all(&data).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        latency.record(from.elapsed());
    }
    let latency = latency.summary();
    Ok(FdatasyncReport {
        bytes,
        per_second: latency.count as f64 / started.elapsed().as_secs_f64(),
        latency,
    })
}
