//! The tasks' figures for Prometheus.

use cluster::proto::TaskCounts;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

/// How many tasks there are, and what becomes of those that run here.
#[derive(Clone, Debug)]
pub struct Figures {
    tasks: IntGaugeVec,
    attempts: IntCounterVec,
}

/// How an attempt of this node ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Succeeded,
    Failed,
    /// It did not run to an end, or belongs to another node by now.
    Lost,
}

impl End {
    const ALL: [Self; 3] = [Self::Succeeded, Self::Failed, Self::Lost];

    fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

impl Figures {
    pub(super) fn new() -> Self {
        let tasks = Opts::new(
            "mcp_v8_tasks",
            "Tasks of the cluster by state, as this node knows them; ended ones while they are kept.",
        );
        let attempts = Opts::new(
            "mcp_v8_task_attempts_total",
            "Attempts of tasks that this node has ended, by how.",
        );
        let figures = Self {
            tasks: IntGaugeVec::new(tasks, &["state"]).expect("the name is valid"),
            attempts: IntCounterVec::new(attempts, &["end"]).expect("the name is valid"),
        };
        // All of them are there from the start.
        for end in End::ALL {
            figures.attempts.with_label_values(&[end.as_str()]);
        }
        figures
    }

    /// Has a registry tell them.
    ///
    /// # Errors
    /// They are in it already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.tasks.clone()))?;
        registry.register(Box::new(self.attempts.clone()))
    }

    pub(super) fn counts(&self, counts: &TaskCounts) {
        for (state, count) in [
            ("scheduled", counts.scheduled),
            ("queued", counts.queued),
            ("running", counts.running),
            ("ended", counts.ended),
        ] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.tasks.with_label_values(&[state]).set(count);
        }
    }

    pub(super) fn ended(&self, end: End) {
        self.attempts.with_label_values(&[end.as_str()]).inc();
    }
}
