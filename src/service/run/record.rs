use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::value::RawValue;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use worker_protocol::ConsoleLine;

use super::key::Key;
use super::output::{Cursor, Entries, Output};
use super::{Error, Execution, ExecutionError, ExecutionId, OutputPage, OutputQuery, Status};
use crate::service::sessions::Place;

/// One execution on this node, from its acceptance until it is no longer kept.
pub(super) struct Record {
    pub id: ExecutionId,
    /// Its place among all executions of this node's life.
    pub order: u64,
    pub created_at_ms: u64,
    pub retention: Retention,
    /// The idempotency key, with who used it.
    pub key: Option<Key>,
    /// Fired when a caller wants it stopped.
    pub cancel: CancellationToken,
    state: Mutex<State>,
    printed: Notify,
    finished: Notify,
}

/// Which of the finished executions goes first when there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retention {
    /// Its caller waited and has the answer.
    Answered,
    /// A caller will come back for it.
    Awaited,
}

struct State {
    phase: Phase,
    output: Output,
}

enum Phase {
    Queued,
    Running { started_at_ms: u64 },
    Finished(Box<Finished>),
}

struct Finished {
    started_at_ms: Option<u64>,
    finished_at_ms: u64,
    duration: Option<Duration>,
    ending: Ending,
}

/// How an execution ended.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub status: Status,
    pub result: Option<Arc<RawValue>>,
    pub result_text: Option<Arc<str>>,
    pub result_truncated: bool,
    pub error: Option<ExecutionError>,
    pub warnings: Vec<String>,
    /// Where the session or heap stands that it ran in.
    pub place: Option<Place>,
    /// The reply is that of an earlier request in the same session.
    pub replayed: bool,
    /// Why it has no reply of its own: nothing ran, or nothing is kept of it, and a retry may run it.
    pub not_run: Option<Error>,
}

impl Record {
    pub fn new(
        id: ExecutionId,
        order: u64,
        output_bytes_max: u64,
        retention: Retention,
        key: Option<Key>,
    ) -> Self {
        Self {
            id,
            order,
            created_at_ms: now_ms(),
            retention,
            key,
            cancel: CancellationToken::new(),
            state: Mutex::new(State {
                phase: Phase::Queued,
                output: Output::new(output_bytes_max),
            }),
            printed: Notify::new(),
            finished: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn status(&self) -> Status {
        self.state().phase.status()
    }

    /// It has its place. False when it was stopped before.
    pub fn begin(&self) -> bool {
        let mut state = self.state();
        if !matches!(state.phase, Phase::Queued) {
            return false;
        }
        state.phase = Phase::Running {
            started_at_ms: now_ms(),
        };
        true
    }

    pub fn print(&self, line: &ConsoleLine) {
        self.state().output.push(line);
        self.printed.notify_waiters();
    }

    /// Ends it, unless it has ended already: the first end stays. Gives the memory that it takes up.
    pub fn finish(&self, ending: Ending, duration: Option<Duration>) -> Option<u64> {
        let kept_bytes = {
            let mut state = self.state();
            let started_at_ms = match state.phase {
                Phase::Queued => None,
                Phase::Running { started_at_ms } => Some(started_at_ms),
                Phase::Finished(_) => return None,
            };
            state.output.shrink();
            let kept_bytes = ending.kept_bytes() + state.output.kept_bytes() as u64;
            state.phase = Phase::Finished(Box::new(Finished {
                started_at_ms,
                finished_at_ms: now_ms(),
                duration,
                ending,
            }));
            kept_bytes
        };
        self.finished.notify_waiters();
        self.printed.notify_waiters();
        Some(kept_bytes)
    }

    /// Waits for the end. False when the time was over first.
    pub async fn ended(&self, deadline: Option<Instant>) -> bool {
        let notified = self.finished.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if self.status().is_final() {
            return true;
        }
        match deadline {
            None => notified.await,
            Some(deadline) => return timeout_at(deadline, notified).await.is_ok(),
        }
        true
    }

    /// The entries after the cursor; waits while there are none. `None` after the last one.
    pub async fn next_entries(&self, cursor: &mut Cursor) -> Option<Entries> {
        loop {
            let notified = self.printed.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            {
                let state = self.state();
                match state.output.next(cursor) {
                    Entries::None if state.phase.status().is_final() => return None,
                    Entries::None => {}
                    entries => return Some(entries),
                }
            }
            notified.await;
        }
    }

    pub fn cursor_after(&self, seq: u64) -> Cursor {
        self.state().output.cursor_after(seq)
    }

    pub fn page(&self, query: OutputQuery) -> (OutputPage, Status) {
        let state = self.state();
        (state.output.page(query), state.phase.status())
    }

    pub fn output_bytes_total(&self) -> u64 {
        self.state().output.bytes_total()
    }

    /// Its reply is that of an earlier request.
    pub fn is_replayed(&self) -> bool {
        match &self.state().phase {
            Phase::Finished(finished) => finished.ending.replayed,
            _ => false,
        }
    }

    pub fn not_run(&self) -> Option<Error> {
        match &self.state().phase {
            Phase::Finished(finished) => finished.ending.not_run.clone(),
            _ => None,
        }
    }

    /// Everything that is known.
    pub fn view(&self) -> Execution {
        let state = self.state();
        let mut view = self.bare_view(&state);
        if let Phase::Finished(finished) = &state.phase {
            view.result = finished.ending.result.clone();
            view.result_text = finished.ending.result_text.clone();
        }
        view.output = state.output.render();
        view
    }

    /// The same without result and output.
    pub fn summary(&self) -> Execution {
        self.bare_view(&self.state())
    }

    fn bare_view(&self, state: &State) -> Execution {
        let mut view = Execution {
            id: self.id,
            status: state.phase.status(),
            result: None,
            result_text: None,
            result_truncated: false,
            error: None,
            warnings: Vec::new(),
            output: String::new(),
            output_bytes_total: state.output.bytes_total(),
            output_truncated: state.output.bytes_dropped() > 0,
            created_at_ms: self.created_at_ms,
            started_at_ms: None,
            finished_at_ms: None,
            duration_ms: None,
            place: None,
        };
        match &state.phase {
            Phase::Queued => {}
            Phase::Running { started_at_ms } => view.started_at_ms = Some(*started_at_ms),
            Phase::Finished(finished) => {
                view.started_at_ms = finished.started_at_ms;
                view.finished_at_ms = Some(finished.finished_at_ms);
                view.duration_ms = finished
                    .duration
                    .map(|duration| duration.as_secs_f64() * 1e3);
                view.result_truncated = finished.ending.result_truncated;
                view.error = finished.ending.error.clone();
                view.warnings = finished.ending.warnings.clone();
                view.place = finished.ending.place.clone();
            }
        }
        view
    }
}

impl Phase {
    fn status(&self) -> Status {
        match self {
            Self::Queued => Status::Queued,
            Self::Running { .. } => Status::Running,
            Self::Finished(finished) => finished.ending.status,
        }
    }
}

impl Ending {
    fn kept_bytes(&self) -> u64 {
        /// What every record takes up beside its texts, roughly.
        const RECORD_BYTES: usize = 1024;
        let result = self.result.as_ref().map_or(0, |result| result.get().len());
        let text = self.result_text.as_ref().map_or(0, |text| text.len());
        let error = self.error.as_ref().map_or(0, |error| {
            error.message.len() + error.stack.as_ref().map_or(0, String::len)
        });
        let warnings = self.warnings.iter().map(String::len).sum::<usize>();
        (RECORD_BYTES + result + text + error + warnings) as u64
    }
}

/// The wall clock, in milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
