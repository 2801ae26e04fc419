use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant as StdInstant};

use futures::Stream;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{Instrument as _, Span, field};

use super::admission::Admission;
use super::attached::Attached;
use super::drive::{EndsAnyway, drive};
use super::limits::Limits;
use super::output::Cursor;
use super::record::{Ending, Record, Retention, now_ms};
use super::registry::{Inserted, Registry};
use super::{
    CancelOnDrop, Error, Event, Executed, Execution, ExecutionId, ExecutionList, ExecutionRequest,
    ListPage, OutputPage, OutputQuery, RunStats, Status, Submitted, events, key, outcome, stateful,
};
use crate::config::RunConfig;
use crate::metrics;
use crate::service::sessions::{Target, Turn};
use crate::telemetry::RequestId;
use crate::workers::{RunLimits, RunRequest, Workers};

/// This node's executions. A cheap handle: clones share everything.
#[derive(Clone)]
pub struct Runs {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) workers: Workers,
    pub(super) config: RunConfig,
    pub(super) admission: Arc<Admission>,
    registry: Registry,
    /// Set once the cluster has given this node its id.
    node: OnceLock<u64>,
    incarnation: u64,
    draining: AtomicBool,
    /// An operator keeps new work away, for a time.
    paused: AtomicBool,
    idle: Notify,
}

/// The work of one execution. It belongs to no caller: dropped half-way, it could leave a record
/// without an end.
pub(super) type Drive = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An execution that was accepted; a replayed one has nothing to drive.
struct Accepted {
    record: Arc<Record>,
    drive: Option<Drive>,
}

impl Runs {
    /// Executions of a program that is no node: it is its own first and only one.
    pub fn alone(workers: Workers, config: RunConfig) -> Self {
        let runs = Self::start(workers, config, now_ms());
        runs.set_node(1);
        runs
    }

    /// Executions on these workers, in this life of a node; none is taken before [`Self::set_node`]. Must
    /// be called inside a tokio runtime: finished executions are swept out by a loop that ends with the
    /// last handle.
    pub fn start(workers: Workers, config: RunConfig, incarnation: u64) -> Self {
        let inner = Arc::new(Inner {
            admission: Admission::new(config.runs_max, config.queue_max),
            registry: Registry::new(&config),
            workers,
            config,
            node: OnceLock::new(),
            incarnation,
            draining: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            idle: Notify::new(),
        });
        let weak = Arc::downgrade(&inner);
        let ttl = Duration::from_secs(inner.config.execution_ttl_secs);
        let period = (ttl / 10).clamp(Duration::from_secs(1), Duration::from_secs(30));
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(period);
            loop {
                ticks.tick().await;
                let Some(inner) = weak.upgrade() else {
                    return;
                };
                inner.registry.expire(StdInstant::now());
            }
        });
        Self { inner }
    }

    /// The cluster has given this node its id.
    ///
    /// # Panics
    /// When it had another one.
    pub fn set_node(&self, node: u64) {
        let known = *self.inner.node.get_or_init(|| node);
        assert_eq!(known, node, "a node keeps its id for as long as it lives");
    }

    /// Whether a request is one that this node runs, if it has time.
    ///
    /// # Errors
    /// The code is too long, or a limit is not accepted.
    pub fn check(&self, request: &ExecutionRequest) -> Result<(), Error> {
        self.limits(request).map(|_| ())
    }

    /// The largest limits that a run may have.
    pub fn largest_limits(&self) -> RunLimits {
        Limits::largest(&self.inner.config).run
    }

    fn limits(&self, request: &ExecutionRequest) -> Result<Limits, Error> {
        let config = &self.inner.config;
        let bytes = request.code.len() as u64;
        if bytes > config.code_bytes_max {
            return Err(Error::CodeTooLarge {
                bytes,
                bytes_max: config.code_bytes_max,
            });
        }
        Limits::resolve(config, &request.limits)
    }

    /// Checks the request, lets it into the queue, and starts it. Returns at once; the execution goes
    /// on whether or not anybody waits for it. With a turn it runs in a session or heap.
    pub fn submit(
        &self,
        request: ExecutionRequest,
        turn: Option<Turn>,
    ) -> Result<Submitted, Error> {
        let accepted = self.accept(request, turn, Retention::Awaited)?;
        let replayed = accepted.drive.is_none();
        if let Some(drive) = accepted.drive {
            tokio::spawn(drive);
        }
        Ok(Submitted {
            id: accepted.record.id,
            replayed,
        })
    }

    /// Runs it and gives the end. Dropping the future stops the execution, unless the request has an
    /// idempotency key: then a retry may still ask for the answer.
    pub async fn execute(
        &self,
        request: ExecutionRequest,
        turn: Option<Turn>,
    ) -> Result<Executed, Error> {
        let stateful = turn.is_some();
        let Accepted { record, drive } = self.accept(request, turn, Retention::Answered)?;
        let replayed = drive.is_none();
        match drive {
            // Driven right here: no other task has to be woken on the way to the answer.
            Some(drive) if record.key.is_none() && !stateful => {
                Attached::new(drive, record.cancel.clone()).await;
            }
            // Its end may be told before the drive is over: while a commit stays unknown.
            Some(drive) if record.key.is_none() => {
                let attached = Attached::new(drive, record.cancel.clone());
                tokio::select! {
                    biased;
                    () = attached => {}
                    _ = record.ended(None) => {}
                }
            }
            Some(drive) => {
                tokio::spawn(drive);
                record.ended(None).await;
            }
            None => {
                record.ended(None).await;
            }
        }
        match record.not_run() {
            Some(error) => Err(error),
            None => Ok(Executed {
                replayed: replayed || record.is_replayed(),
                execution: record.view(),
            }),
        }
    }

    fn accept(
        &self,
        request: ExecutionRequest,
        turn: Option<Turn>,
        retention: Retention,
    ) -> Result<Accepted, Error> {
        let inner = &self.inner;
        let limits = self.limits(&request)?;
        let key = match &request.idempotency_key {
            Some(key) => Some(key::of(key, &request)?),
            None => None,
        };
        let keyed = key
            .as_ref()
            .map(|(key, digest)| (key.key.to_string(), *digest));
        let node = *inner.node.get().ok_or(Error::NotMember)?;
        let id = match &request.task {
            None => ExecutionId::new(node, inner.incarnation),
            Some(task) => ExecutionId::of_task(node, inner.incarnation, task),
        };
        // A run for a task that is asked for again: what asked before did not hear the answer.
        if request.task.is_some()
            && let Ok(record) = inner.registry.get(&id)
        {
            return Ok(Accepted {
                record,
                drive: None,
            });
        }
        let inserted = inner.registry.insert(
            key,
            || {
                if inner.draining() {
                    return Err(Error::Draining);
                }
                // In a session it waits for its turn first, and takes up no place meanwhile.
                match &turn {
                    Some(_) => Ok(None),
                    None => inner.admission.admit().map(Some),
                }
            },
            |order, key| Record::new(id, order, limits.output_bytes_max, retention, key),
        )?;
        Ok(match inserted {
            Inserted::Known(record) => Accepted {
                record,
                drive: None,
            },
            Inserted::New(record, admitted) => {
                // The one span that is there without a collector too: what is told of a run has both ids.
                let span = tracing::info_span!(
                    "execution",
                    execution_id = %id,
                    request_id = RequestId::current().map(field::display),
                    session = request.target.as_ref().and_then(Target::session),
                    task_id = request.task.as_ref().map(|task| task.id.as_str()),
                    status = field::Empty,
                );
                let (principal, task) = (request.principal, request.task);
                let request = RunRequest {
                    code: request.code,
                    language: request.language,
                    input_json: request.input.map(|input| input.get().to_owned()),
                    limits: limits.run,
                    reproducible: None,
                    globals: false,
                };
                let (guard, made) = (
                    EndsAnyway {
                        inner: Arc::clone(inner),
                        record: Arc::clone(&record),
                    },
                    record,
                );
                let drive: Drive = match (turn, admitted) {
                    (None, Some(admitted)) => {
                        Box::pin(drive(guard, admitted, request, limits).instrument(span))
                    }
                    (turn, _) => {
                        let turn = turn.expect("without one it was admitted");
                        let whose = stateful::Whose {
                            key: keyed,
                            principal,
                            task,
                        };
                        let driven = stateful::drive(guard, turn, request, whose, limits);
                        Box::pin(driven.instrument(span))
                    }
                };
                Accepted {
                    record: made,
                    drive: Some(drive),
                }
            }
        })
    }

    /// Waits until it has ended or the time is over, and gives what is known then.
    pub async fn wait(&self, id: &ExecutionId, at_most: Duration) -> Result<Execution, Error> {
        let record = self.inner.registry.get(id)?;
        record.ended(Some(Instant::now() + at_most)).await;
        Ok(record.view())
    }

    /// What is known of it.
    pub fn get(&self, id: &ExecutionId) -> Result<Execution, Error> {
        Ok(self.inner.registry.get(id)?.view())
    }

    /// Executions, newest first, without results and outputs.
    pub fn list(&self, page: ListPage) -> ExecutionList {
        let (records, next) = self.inner.registry.list(&page);
        ExecutionList {
            executions: records.iter().map(|record| record.summary()).collect(),
            next,
        }
    }

    /// A part of its console output, and where it stands.
    pub fn output(
        &self,
        id: &ExecutionId,
        query: OutputQuery,
    ) -> Result<(OutputPage, Status), Error> {
        Ok(self.inner.registry.get(id)?.page(query))
    }

    /// What its console printed and prints, then its end.
    pub fn events(
        &self,
        id: &ExecutionId,
    ) -> Result<impl Stream<Item = Event> + Send + Unpin + 'static + use<>, Error> {
        self.events_after(id, 0)
    }

    /// The same for a follower that has seen the events up to a number.
    pub fn events_after(
        &self,
        id: &ExecutionId,
        seq: u64,
    ) -> Result<impl Stream<Item = Event> + Send + Unpin + 'static + use<>, Error> {
        let record = self.inner.registry.get(id)?;
        let cursor = match seq {
            0 => Cursor::default(),
            seq => record.cursor_after(seq),
        };
        Ok(events::follow(record, cursor))
    }

    /// Stops it. One that waits ends at once, one that runs within moments, one that has ended stays
    /// as it is. Gives where it stands right now.
    pub fn cancel(&self, id: &ExecutionId) -> Result<Status, Error> {
        let record = self.inner.registry.get(id)?;
        self.inner.cancel(&record);
        Ok(record.status())
    }

    /// Stops it and waits for its end, but not longer than this. Gives where it stands then.
    pub async fn cancel_and_wait(
        &self,
        id: &ExecutionId,
        at_most: Duration,
    ) -> Result<Status, Error> {
        let record = self.inner.registry.get(id)?;
        self.inner.cancel(&record);
        record.ended(Some(Instant::now() + at_most)).await;
        Ok(record.status())
    }

    /// Stops the execution when the guard is dropped: for a caller that follows it and goes away.
    pub fn cancel_on_drop(&self, id: ExecutionId) -> CancelOnDrop {
        CancelOnDrop::new(self.clone(), id)
    }

    /// The figures of this moment.
    pub fn stats(&self) -> RunStats {
        let (kept, kept_bytes) = self.inner.registry.size();
        RunStats {
            queued: self.inner.admission.queued(),
            running: self.inner.admission.running(),
            runs_max: self.inner.config.runs_max,
            queue_max: self.inner.config.queue_max,
            kept,
            kept_bytes,
            draining: self.inner.draining(),
        }
    }

    /// Takes no new executions while an operator wants that.
    pub fn set_paused(&self, paused: bool) {
        self.inner.paused.store(paused, Ordering::SeqCst);
    }

    /// Takes no new executions from now on.
    pub fn begin_drain(&self) {
        self.inner.draining.store(true, Ordering::SeqCst);
    }

    /// Waits until all executions have ended; those that have not at the deadline are stopped. Gives
    /// how many that were.
    pub async fn drained(&self, deadline: Duration) -> usize {
        /// A killed process is gone within moments; this only bounds the wait for a fault of ours.
        const KILL_MAX: Duration = Duration::from_secs(5);
        if self.idle_until(Instant::now() + deadline).await {
            return 0;
        }
        let left = self.inner.registry.unfinished();
        for record in &left {
            self.inner.cancel(record);
        }
        if !self.idle_until(Instant::now() + KILL_MAX).await {
            tracing::error!(
                left = self.inner.registry.unfinished_count(),
                "executions did not end after they were stopped"
            );
        }
        left.len()
    }

    async fn idle_until(&self, deadline: Instant) -> bool {
        loop {
            let notified = self.inner.idle.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.inner.registry.unfinished_count() == 0 {
                return true;
            }
            if tokio::time::timeout_at(deadline, notified).await.is_err() {
                return false;
            }
        }
    }
}

impl Inner {
    fn draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst) || self.paused.load(Ordering::SeqCst)
    }

    fn cancel(&self, record: &Arc<Record>) {
        record.cancel.cancel();
        if record.status() == Status::Queued {
            self.finish(record, outcome::cancelled(), None);
        }
    }

    /// Ends it, unless it has ended already.
    pub(super) fn finish(&self, record: &Arc<Record>, ending: Ending, duration: Option<Duration>) {
        let status = ending.status;
        let Some(kept_bytes) = record.finish(ending, duration) else {
            return;
        };
        Span::current().record("status", status.as_str());
        tracing::debug!(execution_id = %record.id, status = status.as_str(), "an execution has ended");
        metrics::execution_finished(status, duration, record.output_bytes_total());
        self.registry.finished(record, kept_bytes);
        if self.draining.load(Ordering::SeqCst) && self.registry.unfinished_count() == 0 {
            self.idle.notify_waiters();
        }
    }
}
