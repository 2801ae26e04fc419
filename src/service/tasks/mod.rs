//! Tasks: code that runs, whatever becomes of nodes.
//!
//! A task is in the cluster's log before its maker is answered. The leader gives it to a node with a fence;
//! `runner` runs what this node was given and hands in the end, which counts only with the fence in force.
//! In a session the run's effect and the task's end are one command. So a result is recorded once; what the
//! code does outside of its world, it may do more than once.

mod error;
mod figures;
mod pace;
mod record;
mod runner;
mod types;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::node::Cluster;
use cluster::proto::command::Kind;
use cluster::proto::reply::Outcome;
use cluster::proto::{CancelTask, CreateTask, DeleteTask, Reason, Refused, TaskRecord};
use cluster::schedule::{MalformedSchedule, Schedule};
use cluster::state::{PAGE_ROWS_MAX, are_labels, is_name};
use sha2::{Digest as _, Sha256};

pub use self::error::Error;
pub use self::figures::Figures;
use self::pace::Pace;
use self::record::LongRequest;
pub use self::runner::Runner;
pub use self::types::{
    MalformedTaskCursor, MalformedTaskId, NewTask, Task, TaskCursor, TaskFilter, TaskId, TaskPage,
    TaskStatus, When,
};
use super::blobs::Blobs;
use super::executions::Executions;
use super::run::{ExecutionId, StoredReply};
use super::sessions::{HeapId, Target, TaskFence};
use crate::config::TasksConfig;
use crate::storage::BlobId;

/// Most retries of a task.
pub const RETRIES_MAX: u32 = 100;
/// So often a task may be lost with its node before it is given up.
const LOSSES_MAX: u32 = 16;
/// The longest pause before a retry, and the longest time that a task may wait for its own, in milliseconds.
pub const PAUSE_MS_MAX: u64 = 24 * 3600 * 1000;
/// The farthest time of a task, in milliseconds from now: ten years.
pub const WAIT_MS_MAX: u64 = 3650 * 24 * 3600 * 1000;
/// One page looks at so many tasks at most, whatever it is to find.
const LOOKED_AT_MAX: usize = 10_000;
/// The longest idempotency key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// The tasks of the cluster. Cheap to clone.
#[derive(Clone)]
pub struct Tasks {
    inner: Arc<Inner>,
}

struct Inner {
    cluster: Cluster,
    executions: Executions,
    blobs: Blobs,
    config: TasksConfig,
    pace: Pace,
    figures: Figures,
}

/// A task that was made, or was there.
#[derive(Clone, Debug)]
pub struct Created {
    /// The task.
    pub task: Task,
    /// It is an earlier one, found by its idempotency key.
    pub replayed: bool,
}

impl Tasks {
    /// Those of a node's cluster.
    pub fn new(
        cluster: Cluster,
        executions: Executions,
        blobs: Blobs,
        config: TasksConfig,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                pace: Pace::new(config.per_second_max),
                figures: Figures::new(),
                cluster,
                executions,
                blobs,
                config,
            }),
        }
    }

    /// Makes one. When this returns, a majority of the nodes has it.
    ///
    /// # Errors
    /// As [`Error`] tells; only [`cluster::node::ProposeError::Unknown`] leaves open whether it was made.
    pub async fn create(&self, new: NewTask, deadline: Instant) -> Result<Created, Error> {
        self.check(&new)?;
        let inner = &*self.inner;
        if !inner.pace.take(Instant::now()) {
            return Err(Error::TooFast {
                per_second: inner.config.per_second_max,
            });
        }
        let id = TaskId::random();
        let principal = new.request.principal.clone();
        let digest = match new.request.idempotency_key {
            Some(_) => digest(&new).to_vec(),
            None => Vec::new(),
        };
        let when = new.when.clone();
        let (command, long) = record::command(&id, new);
        let mut command = CreateTask {
            request_digest: digest,
            attempts_max: command.failures_max.saturating_add(LOSSES_MAX),
            live_max: inner.config.live_max,
            ..command
        };
        let now_ms = now_ms();
        match when {
            When::Now => command.run_at_ms = now_ms,
            When::At(time_ms) => command.run_at_ms = time_ms,
            When::After(ms) => command.run_at_ms = now_ms.saturating_add(ms),
            When::Cron {
                cron,
                time_zone,
                late_ms_max,
            } => {
                command.run_at_ms = first_time(&cron, &time_zone, now_ms)?;
                command.cron = cron;
                command.time_zone = time_zone;
                command.late_ms_max = late_ms_max;
            }
        }
        if let Some(long) = long {
            let json = serde_json::to_vec(&long).expect("a text and a JSON value have a JSON form");
            command.request_blob = inner.blobs.put(json, deadline).await?.0.to_vec();
        }
        let heap = HeapId::from_bytes(&command.parent_heap);
        let kind = Kind::CreateTask(command);
        let committed = inner.cluster.propose(kind, &principal, deadline).await?;
        let made = match committed.reply.outcome {
            Some(Outcome::TaskCreated(made)) => made,
            Some(Outcome::Refused(refused)) => {
                return Err(match (refused.reason(), heap) {
                    (Reason::NotFound, Some(heap)) => {
                        super::sessions::Error::HeapNotFound { heap }.into()
                    }
                    _ => self.refused(&refused, &id, ""),
                });
            }
            _ => return Err(Error::Record),
        };
        // It is read where it was made or later: this node's own state may come to it in a moment.
        let state = inner.cluster.state();
        if !state.wait_applied(committed.index, deadline).await {
            return Err(cluster::node::ReadError::Lagging.into());
        }
        let id = TaskId::of_record(&made.id);
        Ok(Created {
            task: self.known(&id).await?,
            replayed: made.replayed,
        })
    }

    fn check(&self, new: &NewTask) -> Result<(), Error> {
        let field = |field, reason: &str| {
            let reason = reason.to_owned();
            Err(Error::Field { field, reason })
        };
        let request = &new.request;
        self.inner.executions.runs().check(request)?;
        if request.code.is_empty() {
            return field("code", "`code` is empty");
        }
        if let Some(Target::Session(name)) = &request.target
            && !is_name(name)
        {
            let bytes = name.len();
            return Err(super::sessions::Error::Name { bytes }.into());
        }
        if request.target.is_some() && !self.inner.executions.has_sessions() {
            return Err(super::sessions::Error::Off.into());
        }
        if let Some(key) = &request.idempotency_key
            && (key.is_empty() || key.len() > KEY_BYTES_MAX || key.chars().any(char::is_control))
        {
            let reason = "an idempotency key has 1 to 255 bytes without control characters";
            return field("idempotency_key", reason);
        }
        if !are_labels(&new.labels) {
            return Err(Error::Labels);
        }
        if new.retries > RETRIES_MAX {
            return field("retries", "a task has at most 100 retries");
        }
        if new.backoff_ms > PAUSE_MS_MAX || new.backoff_ms_max > PAUSE_MS_MAX {
            return field("backoff_ms", "a pause has at most a day, 86400000 ms");
        }
        let wait_ms = match &new.when {
            When::Now | When::Cron { .. } => 0,
            When::At(time_ms) => time_ms.saturating_sub(now_ms()),
            When::After(ms) => *ms,
        };
        if wait_ms > WAIT_MS_MAX {
            return field("run_at", "a task waits for at most ten years");
        }
        Ok(())
    }

    /// One task, with what its last attempt said; after its end or after this time, whichever is first.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn get(&self, id: &TaskId, wait: Duration, deadline: Instant) -> Result<Task, Error> {
        self.inner.cluster.linearizable(deadline).await?;
        let until = Instant::now() + wait;
        let mut changed = self.inner.cluster.state().watch_tasks();
        loop {
            changed.borrow_and_update();
            let task = self.known(id).await?;
            if task.status.is_final() {
                return Ok(task);
            }
            let changed = tokio::time::timeout_at(until.into(), changed.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                return Ok(task);
            }
        }
    }

    /// What this node knows of a task.
    async fn known(&self, id: &TaskId) -> Result<Task, Error> {
        let record = self.inner.cluster.state().task(id.as_str()).await?;
        let record = record.ok_or_else(|| Error::NotFound { id: id.clone() })?;
        let report = match (&record.report[..], &record.report_blob[..]) {
            ([], []) => None,
            ([], blob) => Some(self.inner.blob(blob).await?.to_vec()),
            (report, _) => Some(report.to_vec()),
        };
        let long = match record.request_blob.is_empty() {
            true => None,
            false => Some(self.inner.long_request(&record).await?),
        };
        let code = record::request(&record, long)?.code;
        let mut task = self.render(record)?;
        task.code = Some(code);
        task.report = match report {
            Some(report) => Some(StoredReply::decode(&report).map_err(|_| Error::Record)?),
            None => None,
        };
        Ok(task)
    }

    fn render(&self, record: TaskRecord) -> Result<Task, Error> {
        record::task(record, &self.inner.cluster.state().known_nodes())
    }

    /// Some tasks, the newest first, after those of the page before.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn list(
        &self,
        filter: &TaskFilter,
        after: Option<TaskCursor>,
        limit: usize,
        deadline: Instant,
    ) -> Result<TaskPage, Error> {
        if !(1..=PAGE_ROWS_MAX).contains(&limit) {
            let max = PAGE_ROWS_MAX;
            return Err(Error::Limit { given: limit, max });
        }
        self.inner.cluster.linearizable(deadline).await?;
        let state = self.inner.cluster.state();
        let mut tasks = Vec::new();
        let (mut cursor, mut looked_at) = (after, 0);
        loop {
            let from = cursor.as_ref().map(|at| (at.created_ms, &at.id[..]));
            let page = state.newest_tasks(from, limit.max(100)).await?;
            for record in page.rows {
                if tasks.len() == limit || looked_at == LOOKED_AT_MAX {
                    return Ok(TaskPage {
                        tasks,
                        next: cursor,
                    });
                }
                looked_at += 1;
                cursor = Some(TaskCursor {
                    created_ms: record.created_ms,
                    id: record.id.clone(),
                });
                if filter.takes(&record)? {
                    tasks.push(self.render(record)?);
                }
            }
            if !page.more {
                return Ok(TaskPage { tasks, next: None });
            }
        }
    }

    /// Stops one for good: it does not run any more, and what it runs now is not kept.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn cancel(&self, id: &TaskId, deadline: Instant) -> Result<Task, Error> {
        let kind = Kind::CancelTask(CancelTask { id: id.to_string() });
        self.change(
            id,
            kind,
            "only one that is not over can be cancelled",
            deadline,
        )
        .await?;
        self.known(id).await
    }

    /// Forgets one that has ended.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub async fn delete(&self, id: &TaskId, deadline: Instant) -> Result<(), Error> {
        let kind = Kind::DeleteTask(DeleteTask { id: id.to_string() });
        self.change(id, kind, "only one that is over can be deleted", deadline)
            .await
    }

    async fn change(
        &self,
        id: &TaskId,
        kind: Kind,
        wanted: &'static str,
        deadline: Instant,
    ) -> Result<(), Error> {
        let cluster = &self.inner.cluster;
        let committed = cluster.propose(kind, "", deadline).await?;
        match committed.reply.outcome {
            Some(Outcome::Done(_)) => {}
            Some(Outcome::Refused(refused)) => return Err(self.refused(&refused, id, wanted)),
            _ => return Err(Error::Record),
        }
        match cluster
            .state()
            .wait_applied(committed.index, deadline)
            .await
        {
            true => Ok(()),
            false => Err(cluster::node::ReadError::Lagging.into()),
        }
    }

    fn refused(&self, refused: &Refused, id: &TaskId, wanted: &'static str) -> Error {
        match refused.reason() {
            Reason::NotFound => Error::NotFound { id: id.clone() },
            // What can't be done to an ended task can be done to the others, and the other way round.
            Reason::WrongState => Error::WrongState {
                ended: wanted.contains("not over"),
                wanted,
            },
            Reason::Full => Error::Full {
                live: refused.actual,
                live_max: self.inner.config.live_max,
            },
            Reason::KeyReused => Error::KeyReused,
            Reason::StaleIncarnation => cluster::node::ProposeError::NotMember.into(),
            _ => Error::Refused {
                reason: refused.reason,
            },
        }
    }

    /// The execution of a task's last attempt, wherever it is.
    ///
    /// # Errors
    /// There is no such task, or nothing has begun with it.
    pub async fn execution(
        &self,
        id: &TaskId,
        deadline: Instant,
    ) -> Result<Option<ExecutionId>, Error> {
        let cluster = &self.inner.cluster;
        cluster.linearizable(deadline).await?;
        let record = cluster.state().task(id.as_str()).await?;
        let record = record.ok_or_else(|| Error::NotFound { id: id.clone() })?;
        if record.attempts == 0 {
            return Ok(None);
        }
        let fence = TaskFence {
            id: record.id,
            fence: record.fence,
        };
        let (mut node, mut incarnation) = (record.owner_node, record.owner_incarnation);
        // In a session it runs where the session does.
        if !record.session.is_empty()
            && let Some(session) = cluster.state().session_by_name(&record.session).await?
        {
            (node, incarnation) = (session.owner_node, session.owner_incarnation);
        }
        Ok(Some(ExecutionId::of_task(node, incarnation, &fence)))
    }

    /// How long a task is kept that has ended, in milliseconds.
    pub fn kept_ms(&self) -> u64 {
        u64::try_from(self.inner.config.ttl.as_millis()).unwrap_or(u64::MAX)
    }

    /// How many there are and what becomes of them, for a registry of figures.
    pub fn figures(&self) -> &Figures {
        &self.inner.figures
    }

    /// Brings the figures up to what this node knows.
    pub async fn count(&self) {
        match self.inner.cluster.state().task_counts().await {
            Ok(counts) => self.inner.figures.counts(&counts),
            Err(error) => tracing::warn!(%error, "tasks can't be counted"),
        }
    }
}

impl Inner {
    async fn blob(&self, hash: &[u8]) -> Result<bytes::Bytes, Error> {
        let id = BlobId(hash.try_into().map_err(|_| Error::Record)?);
        Ok(self.blobs.get(id).await?)
    }

    async fn long_request(&self, record: &TaskRecord) -> Result<LongRequest, Error> {
        let blob = self.blob(&record.request_blob).await?;
        serde_json::from_slice(&blob).map_err(|_| Error::Record)
    }
}

impl TaskFilter {
    fn takes(&self, record: &TaskRecord) -> Result<bool, Error> {
        let has = |(name, value): (&String, &String)| record.labels.get(name) == Some(value);
        let parent = self.parent.as_ref();
        Ok(self.session.as_ref().is_none_or(|it| *it == record.session)
            && parent.is_none_or(|it| it.as_str() == record.parent)
            && self.labels.iter().all(has)
            && match self.status {
                Some(status) => record::status(record)? == status,
                None => true,
            })
    }
}

/// The first time of a schedule.
fn first_time(cron: &str, time_zone: &str, now_ms: u64) -> Result<u64, MalformedSchedule> {
    let schedule = Schedule::parse(cron, time_zone)?;
    schedule
        .next_ms(now_ms)
        .ok_or_else(|| MalformedSchedule::Never {
            cron: cron.to_owned(),
        })
}

/// What a request with an idempotency key asks for.
fn digest(new: &NewTask) -> [u8; 32] {
    let asked = (
        &new.request,
        &new.when,
        new.retries,
        (new.backoff_ms, new.backoff_ms_max),
        &new.labels,
    );
    let json = serde_json::to_vec(&asked).expect("plain data has a JSON form");
    Sha256::digest(json).into()
}

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
