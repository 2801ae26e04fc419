//! The sessions' figures for Prometheus.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Registry, exponential_buckets};

/// What becomes of runs in sessions, and how long the parts of it take.
#[derive(Clone, Debug)]
pub struct Figures {
    kept: IntCounter,
    not_kept: IntCounter,
    replayed: IntCounter,
    claims: IntCounter,
    commit: Histogram,
    restore: Histogram,
    delta_bytes: Histogram,
    warm: IntGauge,
    warm_bytes: IntGauge,
}

fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::new(name, help).expect("the name is valid")
}

fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).expect("the name is valid")
}

fn histogram(name: &str, help: &str, first: f64, count: usize) -> Histogram {
    let buckets = exponential_buckets(first, 2.0, count).expect("first, factor and count fit");
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))
        .expect("name and buckets are valid")
}

impl Figures {
    pub(super) fn new() -> Self {
        Self {
            kept: counter(
                "mcp_v8_session_runs_kept_total",
                "Runs in sessions and heaps that are part of the history.",
            ),
            not_kept: counter(
                "mcp_v8_session_runs_not_kept_total",
                "Runs in sessions and heaps that were killed or over a limit.",
            ),
            replayed: counter(
                "mcp_v8_session_runs_replayed_total",
                "Requests that got the stored reply of their idempotency key.",
            ),
            claims: counter(
                "mcp_v8_session_claims_total",
                "Sessions that this node made or took over.",
            ),
            commit: histogram(
                "mcp_v8_session_commit_seconds",
                "From the end of a run to its place in the history.",
                64e-6,
                18,
            ),
            restore: histogram(
                "mcp_v8_session_restore_seconds",
                "How long it took to make a process for a heap.",
                1e-3,
                16,
            ),
            delta_bytes: histogram(
                "mcp_v8_session_delta_bytes",
                "What runs changed, as it is kept.",
                256.0,
                20,
            ),
            warm: gauge(
                "mcp_v8_session_warm_processes",
                "Processes that wait for their next run.",
            ),
            warm_bytes: gauge(
                "mcp_v8_session_warm_bytes",
                "The memory that they have of their own.",
            ),
        }
    }

    /// Makes the figures visible.
    ///
    /// # Errors
    /// Other sessions were registered there before.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        for counter in [&self.kept, &self.not_kept, &self.replayed, &self.claims] {
            registry.register(Box::new(counter.clone()))?;
        }
        for histogram in [&self.commit, &self.restore, &self.delta_bytes] {
            registry.register(Box::new(histogram.clone()))?;
        }
        registry.register(Box::new(self.warm.clone()))?;
        registry.register(Box::new(self.warm_bytes.clone()))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "deltas are far below 2^52 bytes"
    )]
    pub(super) fn kept(&self, delta_bytes: u64, took: Duration) {
        self.kept.inc();
        self.delta_bytes.observe(delta_bytes as f64);
        self.commit.observe(took.as_secs_f64());
    }

    pub(super) fn not_kept(&self) {
        self.not_kept.inc();
    }

    pub(super) fn replayed(&self) {
        self.replayed.inc();
    }

    pub(super) fn claimed(&self) {
        self.claims.inc();
    }

    pub(super) fn restored(&self, took: Duration) {
        self.restore.observe(took.as_secs_f64());
    }

    pub(super) fn warm(&self, processes: usize, bytes: u64) {
        self.warm.set(i64::try_from(processes).unwrap_or(i64::MAX));
        self.warm_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
