//! Latencies, in microseconds, to three digits.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Latencies up to two minutes.
#[derive(Debug)]
pub struct Latency(Histogram<u64>);

/// What is told of them.
#[derive(Debug, Serialize)]
pub struct LatencySummary {
    /// How many.
    pub count: u64,
    /// Their mean.
    pub mean_us: f64,
    /// Half of them are not slower.
    pub p50_us: u64,
    /// 95 of 100 are not slower.
    pub p95_us: u64,
    /// 99 of 100 are not slower.
    pub p99_us: u64,
    /// The slowest.
    pub max_us: u64,
}

impl Latency {
    /// None yet.
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, 120_000_000, 3).expect("bounds and digits are valid"))
    }

    /// Counts one; above two minutes counts as two minutes.
    pub fn record(&mut self, latency: Duration) {
        self.0
            .saturating_record(latency.as_micros().try_into().unwrap_or(u64::MAX));
    }

    /// What there is to tell.
    pub fn summary(&self) -> LatencySummary {
        LatencySummary {
            count: self.0.len(),
            mean_us: self.0.mean(),
            p50_us: self.0.value_at_quantile(0.5),
            p95_us: self.0.value_at_quantile(0.95),
            p99_us: self.0.value_at_quantile(0.99),
            max_us: self.0.max(),
        }
    }
}
