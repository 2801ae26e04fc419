use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::runs::Drive;
use super::{ExecutionId, Runs};

/// An execution that is driven by the caller who waits for it.
///
/// When the caller goes away, the execution is stopped, and its drive goes on without the caller
/// until the process is gone and the record has its end.
pub(super) struct Attached {
    drive: Option<Drive>,
    cancel: CancellationToken,
}

impl Attached {
    pub fn new(drive: Drive, cancel: CancellationToken) -> Self {
        Self {
            drive: Some(drive),
            cancel,
        }
    }
}

impl Future for Attached {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(drive) = &mut self.drive else {
            return Poll::Ready(());
        };
        let poll = drive.as_mut().poll(context);
        if poll.is_ready() {
            self.drive = None;
        }
        poll
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let Some(drive) = self.drive.take() else {
            return;
        };
        self.cancel.cancel();
        // Without a runtime everything ends anyway, and the drive's own guard ends the record.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(drive);
        }
    }
}

/// Stops an execution when it is dropped, unless [`Self::disarm`] was called.
#[must_use = "dropping it stops the execution"]
pub struct CancelOnDrop {
    armed: Option<(Runs, ExecutionId)>,
}

impl CancelOnDrop {
    pub(super) fn new(runs: Runs, id: ExecutionId) -> Self {
        Self {
            armed: Some((runs, id)),
        }
    }

    /// Lets the execution go on.
    pub fn disarm(mut self) {
        self.armed = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some((runs, id)) = self.armed.take() {
            // One that is no longer kept needs no stop.
            let _ = runs.cancel(&id);
        }
    }
}
