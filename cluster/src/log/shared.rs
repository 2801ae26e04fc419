//! Between the callers and the writer thread: one lock, one queue.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::storage::IOFlushed;
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use super::error::LogError;
use super::memory::Memory;
use super::metrics::LogMetrics;
use crate::types::{Entry, LogId, TypeConfig, Vote};

/// How much may wait for the writer.
pub(super) const QUEUE_BYTES_MAX: u64 = 32 << 20;
/// One permit of `room`.
const PERMIT_BYTES: u64 = 1024;

/// How long the writer waits for a batch in which the committed index could travel before it writes one
/// for it alone.
const IDLE_TIMEOUT: Duration = Duration::from_millis(10);

/// Answers a caller who waits for the disk.
pub(super) type Done = oneshot::Sender<Result<(), LogError>>;

/// What the writer is to write.
pub(super) enum Op {
    Append {
        entries: Vec<Entry>,
        flushed: IOFlushed<TypeConfig>,
        permits: usize,
    },
    Vote(Vote, Done),
    /// The last entry that stays.
    Truncate(Option<LogId>, Done),
    Purge(LogId),
}

/// What the writer has to do next.
pub(super) enum Work {
    /// There are operations; the committed index comes along if it changed.
    Write(Option<Option<LogId>>),
    /// Nothing came for a while.
    Idle(Option<Option<LogId>>),
    /// Closed, and nothing left.
    Stop(Option<Option<LogId>>),
}

#[derive(Debug)]
enum Phase {
    Open,
    Closing,
    Failed(LogError),
}

/// How the writer sleeps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sleep {
    Awake,
    /// It looks again by itself soon.
    Light,
    Deep,
}

pub(super) struct State {
    pub(super) memory: Memory,
    queue: Vec<Op>,
    committed_unsaved: bool,
    phase: Phase,
    sleep: Sleep,
}

/// What store and writer share.
pub(super) struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    /// Room in the queue.
    room: Semaphore,
    pub(super) metrics: LogMetrics,
    /// The writer is gone, and with it the lock on the directory.
    pub(super) ended: CancellationToken,
}

/// The room that entries of so many bytes take.
pub(super) fn permits(bytes: u64) -> u32 {
    let permits = bytes.min(QUEUE_BYTES_MAX).div_ceil(PERMIT_BYTES);
    u32::try_from(permits).expect("the queue's limit fits")
}

impl Shared {
    pub(super) fn new(memory: Memory) -> Self {
        Self {
            state: Mutex::new(State {
                memory,
                queue: Vec::new(),
                committed_unsaved: false,
                phase: Phase::Open,
                sleep: Sleep::Awake,
            }),
            wake: Condvar::new(),
            room: Semaphore::new(permits(QUEUE_BYTES_MAX) as usize),
            metrics: LogMetrics::new(),
            ended: CancellationToken::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Only an assertion of ours can have poisoned it; the writer then ends with it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, unless the log failed or was closed.
    pub(super) fn lock_open(&self) -> Result<MutexGuard<'_, State>, LogError> {
        let state = self.lock();
        match &state.phase {
            Phase::Open => Ok(state),
            Phase::Closing => Err(LogError::Closed),
            Phase::Failed(error) => Err(error.clone()),
        }
    }

    /// Waits until the queue has room for so much more.
    pub(super) async fn make_room(&self, permits: u32) -> Result<(), LogError> {
        match self.room.acquire_many(permits).await {
            Ok(room) => {
                room.forget();
                Ok(())
            }
            Err(_) => Err(self.lock_open().err().unwrap_or(LogError::Closed)),
        }
    }

    /// Gives room back.
    pub(super) fn release(&self, permits: usize) {
        self.room.add_permits(permits);
    }

    /// Adds to the queue. The caller holds the lock since it changed the memory.
    pub(super) fn push(&self, mut state: MutexGuard<'_, State>, op: Op) {
        state.queue.push(op);
        let asleep = state.sleep != Sleep::Awake;
        state.sleep = Sleep::Awake;
        drop(state);
        if asleep {
            self.wake.notify_one();
        }
    }

    /// The committed index changed. No reason to wake a writer that will look anyway.
    pub(super) fn push_committed(&self, mut state: MutexGuard<'_, State>) {
        state.committed_unsaved = true;
        let deep = state.sleep == Sleep::Deep;
        drop(state);
        if deep {
            self.wake.notify_one();
        }
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Open) {
            state.phase = Phase::Closing;
        }
        drop(state);
        self.room.close();
        self.wake.notify_one();
    }

    /// Nothing more will work. Returns what was still queued.
    pub(super) fn fail(&self, error: &LogError) -> Vec<Op> {
        let mut state = self.lock();
        state.phase = Phase::Failed(error.clone());
        let queue = std::mem::take(&mut state.queue);
        drop(state);
        self.room.close();
        queue
    }

    /// Waits for work and takes all operations there are.
    pub(super) fn next(&self, taken: &mut Vec<Op>, mut look_again: bool) -> Work {
        let mut state = self.lock();
        loop {
            let closing = !matches!(state.phase, Phase::Open);
            if !state.queue.is_empty() || closing {
                state.sleep = Sleep::Awake;
                std::mem::swap(&mut state.queue, taken);
                let committed = state.take_committed();
                return if taken.is_empty() {
                    Work::Stop(committed)
                } else {
                    Work::Write(committed)
                };
            }
            if look_again || state.committed_unsaved {
                state.sleep = Sleep::Light;
                let (locked, waited) = self
                    .wake
                    .wait_timeout(state, IDLE_TIMEOUT)
                    .unwrap_or_else(PoisonError::into_inner);
                state = locked;
                if waited.timed_out() && state.queue.is_empty() {
                    state.sleep = Sleep::Awake;
                    return Work::Idle(state.take_committed());
                }
                look_again = true;
            } else {
                state.sleep = Sleep::Deep;
                state = self
                    .wake
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl State {
    fn take_committed(&mut self) -> Option<Option<LogId>> {
        std::mem::take(&mut self.committed_unsaved).then_some(self.memory.committed)
    }
}
