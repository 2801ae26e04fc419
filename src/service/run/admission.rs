//! Who may run, who waits, and who is sent away.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Error;
use crate::metrics;

/// A bounded number of places, and a bounded queue in front of them, first come, first served.
pub(super) struct Admission {
    places: Arc<Semaphore>,
    runs_max: usize,
    queue_max: usize,
    queued: AtomicUsize,
    pace: Mutex<Pace>,
}

/// How long places are held, for an estimate of when the next one will be free.
#[derive(Debug, Default)]
struct Pace {
    held_ms_average: Option<f64>,
}

/// An execution that was let in.
pub(super) enum Admitted {
    /// With a place.
    Now(Place),
    /// Into the queue.
    Queued(QueueSlot),
}

/// One of the places. Dropping it gives it to the next in the queue.
pub(super) struct Place {
    admission: Arc<Admission>,
    since: Instant,
    _permit: OwnedSemaphorePermit,
}

/// One of the queue's slots.
pub(super) struct QueueSlot {
    admission: Arc<Admission>,
    since: Instant,
}

impl Admission {
    pub fn new(runs_max: usize, queue_max: usize) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(runs_max)),
            runs_max,
            queue_max,
            queued: AtomicUsize::new(0),
            pace: Mutex::default(),
        })
    }

    /// Lets one in or refuses it, at once.
    pub fn admit(self: &Arc<Self>) -> Result<Admitted, Error> {
        // A permit is only free while nobody waits: the semaphore hands a returned one to the first
        // waiter directly.
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(Admitted::Now(Place::new(
                Arc::clone(self),
                permit,
                Duration::ZERO,
            )));
        }
        let reserved = self
            .queued
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |queued| {
                (queued < self.queue_max).then_some(queued + 1)
            });
        if reserved.is_err() {
            metrics::execution_refused();
            return Err(Error::QueueFull {
                queue_max: self.queue_max,
                retry_after_ms: self.retry_after_ms(),
            });
        }
        metrics::executions_queued_changed(1);
        Ok(Admitted::Queued(QueueSlot {
            admission: Arc::clone(self),
            since: Instant::now(),
        }))
    }

    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    pub fn running(&self) -> usize {
        self.runs_max - self.places.available_permits().min(self.runs_max)
    }

    /// When half of the queue will be gone, if runs go on to take as long as they did.
    ///
    /// Half, because all who are sent away come back at about the same time.
    fn retry_after_ms(&self) -> u64 {
        let pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let held_ms = pace.held_ms_average.unwrap_or(1000.0);
        let ahead = (self.queue_max / 2 + 1) as f64;
        let estimate = held_ms * ahead / self.runs_max.max(1) as f64;
        (estimate as u64).clamp(100, 60_000)
    }

    fn observe_held(&self, held: Duration) {
        let held_ms = held.as_secs_f64() * 1e3;
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.held_ms_average = Some(match pace.held_ms_average {
            None => held_ms,
            Some(average) => average + (held_ms - average) / 16.0,
        });
    }
}

impl QueueSlot {
    /// Waits for a place. Dropping the future gives up the slot.
    pub async fn place(self) -> Place {
        let permit = Arc::clone(&self.admission.places)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        Place::new(Arc::clone(&self.admission), permit, self.since.elapsed())
    }
}

impl Drop for QueueSlot {
    fn drop(&mut self) {
        self.admission.queued.fetch_sub(1, Ordering::Relaxed);
        metrics::executions_queued_changed(-1);
    }
}

impl Place {
    fn new(admission: Arc<Admission>, permit: OwnedSemaphorePermit, waited: Duration) -> Self {
        metrics::execution_waited(waited);
        metrics::executions_running_changed(1);
        Self {
            admission,
            since: Instant::now(),
            _permit: permit,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.observe_held(self.since.elapsed());
        metrics::executions_running_changed(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_then_the_queue_then_refusal() {
        let admission = Admission::new(2, 1);
        let Ok(Admitted::Now(first)) = admission.admit() else {
            panic!("a place is free");
        };
        let second = admission.admit().expect("another place");
        assert!(matches!(second, Admitted::Now(_)));
        let Ok(Admitted::Queued(slot)) = admission.admit() else {
            panic!("the queue has room");
        };
        assert_eq!((admission.running(), admission.queued()), (2, 1));
        let Err(Error::QueueFull {
            retry_after_ms,
            queue_max: 1,
        }) = admission.admit()
        else {
            panic!("the queue is full");
        };
        assert!((100..=60_000).contains(&retry_after_ms));

        drop(first);
        let third = slot.place().await;
        assert_eq!((admission.running(), admission.queued()), (2, 0));
        drop((second, third));
        assert_eq!((admission.running(), admission.queued()), (0, 0));
    }

    #[tokio::test]
    async fn a_slot_that_is_given_up_is_free_again() {
        let admission = Admission::new(1, 1);
        let _running = admission.admit().expect("a place");
        for _ in 0..10 {
            let waits = admission.admit().expect("a slot");
            assert!(admission.admit().is_err());
            drop(waits);
        }
        assert_eq!(admission.queued(), 0);
    }

    #[test]
    fn the_estimate_follows_the_pace() {
        let admission = Admission::new(2, 200);
        for _ in 0..100 {
            admission.observe_held(Duration::from_millis(10));
        }
        assert_eq!(admission.retry_after_ms(), 505);
        for _ in 0..1000 {
            admission.observe_held(Duration::from_secs(300));
        }
        assert_eq!(admission.retry_after_ms(), 60_000);
    }
}
