//! The log's figures for Prometheus.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Registry, exponential_buckets};

/// What the log's writer does. Clones share the figures.
#[derive(Clone, Debug)]
pub struct LogMetrics {
    sync: Histogram,
    batch_entries: Histogram,
    written: IntCounter,
    disk: IntGauge,
}

fn histogram(name: &str, help: &str, first: f64, count: usize) -> Histogram {
    let buckets = exponential_buckets(first, 2.0, count).expect("first, factor and count fit");
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))
        .expect("name and buckets are valid")
}

impl LogMetrics {
    pub(super) fn new() -> Self {
        Self {
            sync: histogram(
                "mcp_v8_raft_log_sync_seconds",
                "How long an fdatasync of the log took",
                16e-6,
                18,
            ),
            batch_entries: histogram(
                "mcp_v8_raft_log_batch_entries",
                "How many entries were written with one fdatasync",
                1.0,
                13,
            ),
            written: IntCounter::new(
                "mcp_v8_raft_log_written_bytes_total",
                "Bytes of all batches written to the log",
            )
            .expect("the name is valid"),
            disk: IntGauge::new(
                "mcp_v8_raft_log_disk_bytes",
                "Size of the log's files, with the room that they reserve",
            )
            .expect("the name is valid"),
        }
    }

    /// Makes the figures visible.
    ///
    /// # Errors
    /// Another log was registered there before.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.sync.clone()))?;
        registry.register(Box::new(self.batch_entries.clone()))?;
        registry.register(Box::new(self.written.clone()))?;
        registry.register(Box::new(self.disk.clone()))
    }

    pub(super) fn synced(&self, took: Duration) {
        self.sync.observe(took.as_secs_f64());
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "batches are far below 2^52 entries"
    )]
    pub(super) fn wrote(&self, entries: usize, bytes: usize) {
        if entries > 0 {
            self.batch_entries.observe(entries as f64);
        }
        self.written.inc_by(bytes as u64);
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        u64::try_from(self.disk.get()).unwrap_or(0)
    }

    pub(super) fn on_disk(&self, bytes: u64) {
        self.disk.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
