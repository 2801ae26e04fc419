use std::io;
use std::process;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell shows for a program that an interrupt ended.
const ENDED_AT_ONCE: i32 = 130;

/// Tells when the node was asked to stop.
#[derive(Clone)]
pub(super) struct Stop(CancellationToken);

impl Stop {
    /// The first SIGTERM or SIGINT asks; the second one ends the process at once, and its workers
    /// with it. The task that listens ends with the process.
    pub fn on_signals() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let asked = CancellationToken::new();
        let stop = Self(asked.clone());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if asked.is_cancelled() {
                    tracing::warn!("asked again: ending at once");
                    process::exit(ENDED_AT_ONCE);
                }
                asked.cancel();
            }
        });
        Ok(stop)
    }

    /// Returns when somebody asked.
    pub async fn asked(&self) {
        self.0.cancelled().await;
    }
}
