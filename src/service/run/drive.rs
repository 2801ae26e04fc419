//! An execution from its place in the queue to its end.

use std::sync::Arc;

use tracing::Instrument as _;

use super::admission::{Admitted, Place};
use super::limits::Limits;
use super::record::Record;
use super::runs::Inner;
use super::{Error, outcome};
use crate::workers::RunRequest;

/// Ends the record of a drive that panicked or was dropped by the runtime's end.
pub(super) struct EndsAnyway {
    pub(super) inner: Arc<Inner>,
    pub(super) record: Arc<Record>,
}

impl Drop for EndsAnyway {
    fn drop(&mut self) {
        // The usual case: it has ended, and this does nothing.
        if !self.record.status().is_final() {
            self.inner.finish(&self.record, outcome::lost(), None);
        }
    }
}

impl EndsAnyway {
    /// Waits for a place among those that run. None when it was stopped before.
    pub(super) async fn place(&self, admitted: Admitted) -> Option<Place> {
        match admitted {
            Admitted::Now(place) => Some(place),
            Admitted::Queued(slot) => tokio::select! {
                biased;
                () = self.record.cancel.cancelled() => {
                    self.inner.finish(&self.record, outcome::cancelled(), None);
                    None
                }
                place = slot.place() => Some(place),
            },
        }
    }
}

/// An execution without a state: it needs a place among those that run, and nothing else.
pub(super) async fn drive(
    guard: EndsAnyway,
    admitted: Admitted,
    request: RunRequest,
    limits: Limits,
) {
    let Some(place) = guard.place(admitted).await else {
        return;
    };
    let EndsAnyway { inner, record } = &guard;
    if !record.begin() {
        return;
    }
    let mut console = |line| record.print(&line);
    let ended = inner
        .workers
        .run(request, &mut console, record.cancel.clone())
        .instrument(tracing::debug_span!("run"))
        .await;
    drop(place);
    match ended {
        Ok(ended) => {
            let ending = outcome::ending(ended.outcome, &limits, &inner.config);
            inner.finish(record, ending, Some(ended.duration));
        }
        Err(error) => {
            tracing::warn!(execution_id = %record.id, %error, "no worker for an execution");
            let reason = error.to_string().into();
            let ending = outcome::not_run(Error::Unavailable { reason });
            inner.finish(record, ending, None);
        }
    }
}
