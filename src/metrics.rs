//! The node's figures for Prometheus. Callers state facts; nobody else sees a metric's type.
//!
//! Names follow `mcp_v8_<module>_<what>_<unit>`. Label values are from closed sets only, never
//! anything that a caller of the API chooses.

use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

use crate::service::run::Status;

struct Metrics {
    registry: Registry,
    finished: [IntCounter; 6],
    refused: IntCounter,
    queued: IntGauge,
    running: IntGauge,
    queue_wait: Histogram,
    run: Histogram,
    output_bytes: IntCounter,
    kept: IntGauge,
    kept_bytes: IntGauge,
    http_requests: IntCounterVec,
    http_seconds: Histogram,
    zygote_starts: IntCounter,
    children_ready: IntGauge,
    workers_running: IntGauge,
    zygote_rss_bytes: IntGauge,
    cluster_is_leader: IntGauge,
    cluster_has_leader: IntGauge,
    cluster_term: IntGauge,
    cluster_applied: IntGauge,
    cluster_proposals: IntGauge,
    cluster_state_bytes: IntGauge,
    disk_free_bytes: IntGauge,
    disk_level: IntGauge,
}

/// The final statuses, in the order of `Metrics::finished`.
const FINAL: [Status; 6] = [
    Status::Completed,
    Status::Failed,
    Status::TimedOut,
    Status::OutOfMemory,
    Status::Cancelled,
    Status::Crashed,
];

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

impl Metrics {
    fn new() -> Self {
        let registry = Registry::new();
        let finished = IntCounterVec::new(
            Opts::new(
                "mcp_v8_run_executions_total",
                "Executions that ended, by status.",
            ),
            &["status"],
        )
        .expect("the name and the label are valid");
        add(&registry, finished.clone());
        Self {
            finished: FINAL.map(|status| finished.with_label_values(&[status.as_str()])),
            refused: counter(
                &registry,
                "mcp_v8_run_refused_total",
                "Requests refused because the queue was full.",
            ),
            queued: gauge(
                &registry,
                "mcp_v8_run_queued_executions",
                "Executions that wait.",
            ),
            running: gauge(
                &registry,
                "mcp_v8_run_running_executions",
                "Executions that run.",
            ),
            queue_wait: histogram(
                &registry,
                "mcp_v8_run_queue_wait_seconds",
                "From acceptance to a place.",
                0.0001,
            ),
            run: histogram(
                &registry,
                "mcp_v8_run_duration_seconds",
                "Time in the worker.",
                0.0001,
            ),
            output_bytes: counter(
                &registry,
                "mcp_v8_run_output_bytes_total",
                "Console output printed, kept or not.",
            ),
            kept: gauge(
                &registry,
                "mcp_v8_run_kept_executions",
                "Executions in memory.",
            ),
            kept_bytes: gauge(
                &registry,
                "mcp_v8_run_kept_bytes",
                "Results and outputs of finished executions in memory.",
            ),
            http_requests: {
                let requests = IntCounterVec::new(
                    Opts::new(
                        "mcp_v8_http_requests_total",
                        "HTTP requests, by route and status.",
                    ),
                    &["route", "status"],
                )
                .expect("the name and the labels are valid");
                add(&registry, requests.clone());
                requests
            },
            http_seconds: histogram(
                &registry,
                "mcp_v8_http_request_seconds",
                "From a request's head to its reply's head.",
                0.0001,
            ),
            zygote_starts: counter(
                &registry,
                "mcp_v8_workers_zygote_starts_total",
                "Zygotes started, the first one included.",
            ),
            children_ready: gauge(
                &registry,
                "mcp_v8_workers_ready_children",
                "Processes forked ahead.",
            ),
            workers_running: gauge(
                &registry,
                "mcp_v8_workers_running_children",
                "Processes that run code.",
            ),
            zygote_rss_bytes: gauge(
                &registry,
                "mcp_v8_workers_zygote_rss_bytes",
                "The zygote's resident memory.",
            ),
            cluster_is_leader: gauge(
                &registry,
                "mcp_v8_cluster_is_leader",
                "1 while this node leads its cluster.",
            ),
            cluster_has_leader: gauge(
                &registry,
                "mcp_v8_cluster_has_leader",
                "1 while this node knows a leader.",
            ),
            cluster_term: gauge(&registry, "mcp_v8_cluster_term", "Raft's term."),
            cluster_applied: gauge(
                &registry,
                "mcp_v8_cluster_applied_index",
                "The last entry of the log that is in this node's state.",
            ),
            cluster_proposals: gauge(
                &registry,
                "mcp_v8_cluster_open_proposals",
                "Writes of this node that are under way.",
            ),
            disk_free_bytes: gauge(
                &registry,
                "mcp_v8_disk_free_bytes",
                "Room on the disk where the node keeps everything.",
            ),
            disk_level: gauge(
                &registry,
                "mcp_v8_disk_level",
                "Whether that is enough: 0 yes, 1 writes are refused, 2 nothing is taken in.",
            ),
            cluster_state_bytes: gauge(
                &registry,
                "mcp_v8_cluster_state_bytes",
                "Size of the state on disk.",
            ),
            registry,
        }
    }
}

fn add(registry: &Registry, collector: impl prometheus::core::Collector + 'static) {
    registry
        .register(Box::new(collector))
        .expect("each name is registered once");
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    let counter = IntCounter::new(name, help).expect("the name is valid");
    add(registry, counter.clone());
    counter
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    let gauge = IntGauge::new(name, help).expect("the name is valid");
    add(registry, gauge.clone());
    gauge
}

/// Buckets double from the first one; twenty-three of them reach from 0.1 ms past the longest run.
fn histogram(registry: &Registry, name: &str, help: &str, first_seconds: f64) -> Histogram {
    let buckets =
        prometheus::exponential_buckets(first_seconds, 2.0, 23).expect("the buckets grow");
    let opts = HistogramOpts::new(name, help).buckets(buckets);
    let histogram = Histogram::with_opts(opts).expect("the name is valid");
    add(registry, histogram.clone());
    histogram
}

/// An execution ended. `duration` is its time in the worker, if it got there.
pub fn execution_finished(status: Status, duration: Option<Duration>, output_bytes: u64) {
    if let Some(index) = FINAL.iter().position(|&known| known == status) {
        METRICS.finished[index].inc();
    }
    if let Some(duration) = duration {
        METRICS.run.observe(duration.as_secs_f64());
    }
    METRICS.output_bytes.inc_by(output_bytes);
}

/// A request was sent away because the queue was full.
pub fn execution_refused() {
    METRICS.refused.inc();
}

/// An execution got its place after this time.
pub fn execution_waited(waited: Duration) {
    METRICS.queue_wait.observe(waited.as_secs_f64());
}

/// Executions came into the queue or left it.
pub fn executions_queued_changed(by: i64) {
    METRICS.queued.add(by);
}

/// Executions took a place or left it.
pub fn executions_running_changed(by: i64) {
    METRICS.running.add(by);
}

/// What is kept in memory at this moment.
pub fn executions_kept(executions: usize, bytes: u64) {
    METRICS.kept.set(executions as i64);
    METRICS.kept_bytes.set(bytes as i64);
}

/// An HTTP request was answered. `route` is the route's pattern, never the path.
pub fn http_request(route: &str, status: u16, duration: Duration) {
    let mut digits = [0; 3];
    let mut rest = status.clamp(100, 999);
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let status = std::str::from_utf8(&digits).expect("digits are ASCII");
    METRICS
        .http_requests
        .with_label_values(&[route, status])
        .inc();
    METRICS.http_seconds.observe(duration.as_secs_f64());
}

/// The worker processes at this moment.
pub fn workers_at(ready: usize, running: usize, zygote_starts: u64, zygote_rss_bytes: Option<u64>) {
    /// Two scrapes at the same time must not both count a new start.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // The workers count their own starts; a total only ever grows.
    let known = METRICS.zygote_starts.get();
    METRICS
        .zygote_starts
        .inc_by(zygote_starts.saturating_sub(known));
    METRICS.children_ready.set(ready as i64);
    METRICS.workers_running.set(running as i64);
    if let Some(bytes) = zygote_rss_bytes {
        METRICS.zygote_rss_bytes.set(bytes as i64);
    }
}

/// Shows figures that another part of the program keeps itself.
///
/// # Errors
/// One of them has a name that is taken.
pub fn register(
    figures: impl FnOnce(&Registry) -> Result<(), prometheus::Error>,
) -> Result<(), prometheus::Error> {
    figures(&METRICS.registry)
}

/// The node in its cluster, at this moment.
pub fn cluster_at(status: &cluster::node::Status, proposals_open: usize) {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let leads = status.role == Some(cluster::node::Role::Leader);
    METRICS.cluster_is_leader.set(i64::from(leads));
    METRICS
        .cluster_has_leader
        .set(i64::from(status.leader.is_some()));
    METRICS.cluster_term.set(number(status.term));
    METRICS.cluster_applied.set(number(status.applied_index));
    METRICS.cluster_proposals.set(number(proposals_open as u64));
    METRICS.cluster_state_bytes.set(number(status.state_bytes));
    METRICS.disk_free_bytes.set(number(status.disk_free_bytes));
    METRICS.disk_level.set(status.disk as i64);
}

/// The content type of [`encode`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All figures in the text format.
pub fn encode() -> Vec<u8> {
    let mut text = Vec::with_capacity(16 << 10);
    if let Err(error) = TextEncoder::new().encode(&METRICS.registry.gather(), &mut text) {
        tracing::error!(%error, "the metrics could not be encoded");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_in_the_text() {
        execution_finished(Status::TimedOut, Some(Duration::from_millis(3)), 17);
        http_request("/x/{id}", 404, Duration::from_millis(1));
        workers_at(3, 2, 1, Some(5));
        workers_at(3, 2, 4, Some(5));
        let text = String::from_utf8(encode()).expect("the format is text");
        for line in [
            "mcp_v8_run_executions_total{status=\"completed\"}",
            "mcp_v8_run_executions_total{status=\"timed_out\"}",
            "mcp_v8_http_requests_total{route=\"/x/{id}\",status=\"404\"} 1",
            "mcp_v8_workers_ready_children 3",
            "mcp_v8_workers_zygote_starts_total 4",
            "mcp_v8_workers_zygote_rss_bytes 5",
            "mcp_v8_run_duration_seconds_bucket{le=\"0.0001\"}",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn the_longest_run_has_a_bucket() {
        let last = prometheus::exponential_buckets(0.0001, 2.0, 23).expect("valid")[22];
        assert!(last > 300.0, "{last}");
    }
}
