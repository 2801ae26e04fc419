//! The archive's figures for Prometheus.

use prometheus::{IntCounter, IntGauge, Registry};

/// What goes to the bucket, and how far it is behind.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The last entry that is in the bucket.
    pub(super) index: IntGauge,
    /// Entries that were applied, and are not in the bucket.
    pub(super) behind: IntGauge,
    /// Bytes that were written.
    pub(super) bytes: IntCounter,
    /// Rounds that failed.
    pub(super) failures: IntCounter,
}

impl Figures {
    pub(super) fn new() -> Self {
        let gauge = |name, help| IntGauge::new(name, help).expect("the name is valid");
        let counter = |name, help| IntCounter::new(name, help).expect("the name is valid");
        Self {
            index: gauge(
                "mcp_v8_archive_index",
                "The last entry of the log that is in the bucket, while this node leads.",
            ),
            behind: gauge(
                "mcp_v8_archive_behind_entries",
                "Applied entries that are not in the bucket yet, while this node leads.",
            ),
            bytes: counter(
                "mcp_v8_archive_bytes_total",
                "Bytes of state and log that were written to the bucket.",
            ),
            failures: counter(
                "mcp_v8_archive_failures_total",
                "Rounds of the archive that failed; they are repeated.",
            ),
        }
    }

    /// Registers all of them.
    ///
    /// # Errors
    /// One of the names is taken.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.index.clone()))?;
        registry.register(Box::new(self.behind.clone()))?;
        registry.register(Box::new(self.bytes.clone()))?;
        registry.register(Box::new(self.failures.clone()))
    }
}
