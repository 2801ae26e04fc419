//! Runs the tasks that this node was given, and hands in how they end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::leader::Load;
use cluster::node::ProposeError;
use cluster::proto::command::Kind;
use cluster::proto::{FinishTask, TaskRecord, TaskState};
use cluster::state::REPLY_BYTES_MAX;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::figures::End;
use super::{Error, Inner, Tasks, record};
use crate::error_code::ErrorCode;
use crate::service::run::{Execution, ExecutionId, Status, StoredReply, is_final};
use crate::telemetry::Caller;

/// So often the runner looks at the least: whether the lease holds is told by no change of a task.
const PERIOD: Duration = Duration::from_millis(250);
/// One question for an execution's end waits so long.
const WAIT: Duration = Duration::from_secs(20);
/// One attempt to hand in an end.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Before it is tried again.
const PAUSE: Duration = Duration::from_millis(200);
/// A task that did not run is queued again for so long, in milliseconds.
const AGAIN_MS: u64 = 500;
/// A run that was told to stop has this long to do so.
const CANCEL_MAX: Duration = Duration::from_secs(5);
/// So many tasks run in the whole cluster at most.
const RUNNING_MAX: usize = 1000;

/// The loop that runs this node's tasks, until it is closed.
pub struct Runner {
    stop: CancellationToken,
    tracker: TaskTracker,
}

/// A task that runs here, with the fence that it was given with.
type Given = (String, u64);

impl Runner {
    /// Begins.
    pub fn start(tasks: &Tasks) -> Self {
        let runner = Self {
            stop: CancellationToken::new(),
            tracker: TaskTracker::new(),
        };
        let run = run_loop(
            Arc::clone(&tasks.inner),
            runner.stop.clone(),
            runner.tracker.clone(),
        );
        runner.tracker.spawn(run);
        runner
    }

    /// Takes no more; what runs is stopped, and given back for other nodes to begin with.
    pub async fn close(self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

async fn run_loop(inner: Arc<Inner>, stop: CancellationToken, tracker: TaskTracker) {
    let mut changed = inner.cluster.state().watch_tasks();
    let mut beat = tokio::time::interval(PERIOD);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut running: HashMap<Given, CancellationToken> = HashMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = beat.tick() => {}
            changed = changed.changed() => if changed.is_err() { break },
        }
        inner.tell_load();
        let held = inner.cluster.holds_lease();
        let given = match inner.given().await {
            Ok(given) if held => given,
            // Others may have them by now.
            Ok(_) => HashMap::new(),
            Err(error) => {
                tracing::warn!(%error, "this node's tasks can't be looked for");
                continue;
            }
        };
        running.retain(|task, stop| {
            let keeps = given.contains_key(task);
            if !keeps {
                stop.cancel();
            }
            keeps
        });
        for (task, record) in given {
            running.entry(task).or_insert_with(|| {
                let stop = stop.child_token();
                let span =
                    tracing::debug_span!("task", task_id = record.id, attempt = record.attempts,);
                let caller = Caller::itself(&record.id);
                let run = run_one(Arc::clone(&inner), record, stop.clone());
                tracker.spawn(caller.follow(span, run));
                stop
            });
        }
    }
    inner.cluster.set_load(Load::default());
}

impl Inner {
    fn tell_load(&self) {
        let stats = self.executions.runs().stats();
        let slots = match stats.draining {
            true => 0,
            false => self.config.running_max,
        };
        self.cluster.set_load(Load {
            task_slots: u32::try_from(slots).unwrap_or(u32::MAX),
            runs: u32::try_from(stats.running + stats.queued).unwrap_or(u32::MAX),
            ..Load::default()
        });
    }

    /// The tasks that this life of this node is to run.
    async fn given(&self) -> Result<HashMap<Given, TaskRecord>, Error> {
        let Some(node) = self.cluster.node() else {
            return Ok(HashMap::new());
        };
        let running = self.cluster.state().running_tasks(RUNNING_MAX).await?;
        let own = running.into_iter().filter(|task| {
            task.owner_node == node && task.owner_incarnation == self.cluster.incarnation()
        });
        Ok(own
            .map(|task| ((task.id.clone(), task.fence), task))
            .collect())
    }

    /// Whether a task still runs with that fence, as far as this node knows.
    async fn is_given(&self, task: &TaskRecord) -> bool {
        match self.cluster.state().task(&task.id).await {
            Ok(Some(now)) => now.state() == TaskState::Running && now.fence == task.fence,
            Ok(None) => false,
            Err(_) => true,
        }
    }
}

async fn run_one(inner: Arc<Inner>, task: TaskRecord, stop: CancellationToken) {
    let ended = attempt(&inner, &task, &stop).await;
    let end = match ended {
        Ok(Some(execution)) => match end_of(&inner, &task, &execution).await {
            Ok(end) => end,
            Err(error) => lost(&task, &error),
        },
        // It was told to stop, and what it did is kept by nobody.
        Ok(None) => given_back(&task),
        Err(error) => lost(&task, &error),
    };
    inner.figures.ended(match (end.succeeded, end.lost) {
        (true, _) => End::Succeeded,
        (_, true) => End::Lost,
        _ => End::Failed,
    });
    hand_in(&inner, &task, end).await;
}

/// Runs it; none when it was stopped before its end.
async fn attempt(
    inner: &Inner,
    task: &TaskRecord,
    stop: &CancellationToken,
) -> Result<Option<Execution>, Error> {
    let long = match task.request_blob.is_empty() {
        true => None,
        false => Some(inner.long_request(task).await?),
    };
    let request = record::request(task, long)?;
    let submitted = tokio::select! {
        () = stop.cancelled() => return Ok(None),
        submitted = inner.executions.submit(request) => submitted?,
    };
    let id = submitted.id;
    loop {
        let execution = tokio::select! {
            () = stop.cancelled() => {
                cancel(inner, &id).await;
                return Ok(None);
            }
            execution = inner.executions.get(&id, WAIT) => execution?,
        };
        if execution.status.is_final() {
            return Ok(Some(execution));
        }
    }
}

async fn cancel(inner: &Inner, id: &ExecutionId) {
    let cancelled = inner.executions.cancel(id, CANCEL_MAX);
    if let Ok(Err(error)) = tokio::time::timeout(CANCEL_MAX, cancelled).await {
        tracing::debug!(execution_id = %id, %error, "a task's run is not stopped");
    }
}

/// What an execution's end is for its task.
async fn end_of(
    inner: &Inner,
    task: &TaskRecord,
    execution: &Execution,
) -> Result<FinishTask, Error> {
    let error = execution.error.as_ref().map(|error| error.code);
    // Nothing ran, or nobody knows: that is no fault of the code.
    if error.is_some_and(|code| code.retryable() || is_of_the_node(code)) {
        return Ok(given_back(task));
    }
    let report = StoredReply::of(execution).encode();
    let (report, report_blob) = match report.len() <= REPLY_BYTES_MAX {
        true => (report, Vec::new()),
        false => {
            let deadline = Instant::now() + ATTEMPT * 3;
            let blob = inner.blobs.put(report, deadline).await?;
            (Vec::new(), blob.0.to_vec())
        }
    };
    Ok(FinishTask {
        succeeded: execution.status == Status::Completed,
        last: error.is_some_and(is_hopeless),
        report,
        report_blob,
        ..given(task)
    })
}

fn is_of_the_node(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::Cancelled
            | ErrorCode::OutcomeUnknown
            | ErrorCode::ExecutionLost
            | ErrorCode::Internal
            | ErrorCode::SystemMemory
    )
}

/// What no node can read or run would come back for ever.
fn is_hopeless(code: ErrorCode) -> bool {
    is_final(Some(code)) || matches!(code, ErrorCode::SessionsOff | ErrorCode::HeapNotFound)
}

fn given(task: &TaskRecord) -> FinishTask {
    FinishTask {
        id: task.id.clone(),
        fence: task.fence,
        ..FinishTask::default()
    }
}

/// Another attempt may begin in a moment.
fn given_back(task: &TaskRecord) -> FinishTask {
    FinishTask {
        lost: true,
        retry_at_ms: super::now_ms() + AGAIN_MS,
        ..given(task)
    }
}

fn lost(task: &TaskRecord, error: &Error) -> FinishTask {
    let code = error.code();
    tracing::info!(task = task.id, %error, "a task did not run to its end");
    if !is_hopeless(code) {
        return given_back(task);
    }
    FinishTask {
        last: true,
        report: StoredReply::not_run(code, error.to_string()).encode(),
        ..given(task)
    }
}

/// Hands the end in until it is known that the cluster has it, or does not want it any more.
async fn hand_in(inner: &Inner, task: &TaskRecord, end: FinishTask) {
    // In a session the commit may have ended it already; and what was cancelled needs no end.
    while inner.is_given(task).await {
        let kind = Kind::FinishTask(end.clone());
        let proposed = inner.cluster.propose(kind, "", Instant::now() + ATTEMPT);
        match proposed.await {
            // A refusal says that another fence is in force, or that it has ended.
            Ok(committed) => {
                tracing::debug!(task = task.id, outcome = ?committed.reply.outcome, "a task's end");
                return;
            }
            Err(ProposeError::NotMember) => return,
            Err(error) if !inner.cluster.holds_lease() => {
                tracing::debug!(task = task.id, %error, "a task's end is not handed in");
                return;
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
