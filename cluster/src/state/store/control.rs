//! What the writing thread and those that wait for it tell each other.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Store, StoreError};

/// Those who wait look again after this time, should a word have been missed.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What the writing thread and those that wait for it tell each other.
#[derive(Default)]
pub(super) struct Control {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// So many want the database to stay as it is.
    pauses: usize,
    /// A batch is being written.
    writing: bool,
    /// Somebody waits for what is in memory to be written: it is not to wait for more.
    urgent: usize,
    stopped: bool,
    failed: Option<StoreError>,
    /// When the oldest change that is not being written came.
    since: Option<Instant>,
    /// What waits is enough for a batch.
    enough: bool,
}

/// What the writing thread does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Write,
    Stop,
    LookAgain,
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was applied; `enough` tells whether what waits is worth a batch.
    pub fn changed(&self, enough: bool) {
        let mut state = self.lock();
        let first = state.since.is_none();
        if first {
            state.since = Some(Instant::now());
        }
        if first || enough && !state.enough {
            state.enough |= enough;
            self.changed.notify_all();
        }
    }

    /// The store is closed: what is in memory comes back from the log.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Writing has failed, for good.
    pub fn fail(&self, error: StoreError) {
        let mut state = self.lock();
        state.writing = false;
        state.failed.get_or_insert(error);
        self.changed.notify_all();
    }

    /// Waits, for a while, until there is something to write and nobody minds. After [`Next::Write`] the
    /// thread is writing until [`Control::written`].
    pub fn next(&self, delay: Duration) -> Next {
        let mut state = self.lock();
        if state.stopped || state.failed.is_some() {
            return Next::Stop;
        }
        let now = Instant::now();
        let due = state.since.map(|since| since + delay);
        let ready = due.is_some_and(|due| due <= now || state.urgent > 0 || state.enough);
        if ready && state.pauses == 0 {
            state.writing = true;
            state.since = None;
            state.enough = false;
            return Next::Write;
        }
        let wait = match due {
            Some(due) if state.pauses == 0 => due.saturating_duration_since(now).min(LOOK_AGAIN),
            _ => LOOK_AGAIN,
        };
        state = self
            .changed
            .wait_timeout(state, wait)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        drop(state);
        Next::LookAgain
    }

    /// A batch is on disk.
    pub fn written(&self) {
        self.lock().writing = false;
        self.changed.notify_all();
    }

    /// Waits until enough was written.
    pub fn wait_for_room(&self, has_room: impl Fn() -> bool) -> Result<(), StoreError> {
        if has_room() {
            let state = self.lock();
            return state.failed.clone().map_or(Ok(()), Err);
        }
        self.wait_until(has_room)
    }

    /// Makes haste, and waits until something is written.
    pub fn wait_until(&self, reached: impl Fn() -> bool) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.urgent += 1;
        state.since.get_or_insert_with(Instant::now);
        self.changed.notify_all();
        let outcome = loop {
            if let Some(error) = &state.failed {
                break Err(error.clone());
            }
            if state.stopped {
                break Err(StoreError::Stopped);
            }
            if reached() {
                break Ok(());
            }
            let waited = self.changed.wait_timeout(state, LOOK_AGAIN);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        state.urgent -= 1;
        outcome
    }
}

/// While it lives nothing is written to the database.
pub(in crate::state) struct Pause(Arc<Store>);

impl Pause {
    pub(super) fn begin(store: &Arc<Store>) -> Result<Self, StoreError> {
        let control = &store.control;
        control.lock().pauses += 1;
        let pause = Self(Arc::clone(store));
        let mut state = control.lock();
        while state.writing {
            let waited = control.changed.wait_timeout(state, LOOK_AGAIN);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        match state.failed.clone() {
            Some(error) => Err(error),
            None => {
                drop(state);
                Ok(pause)
            }
        }
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        let control = &self.0.control;
        control.lock().pauses -= 1;
        control.changed.notify_all();
    }
}
