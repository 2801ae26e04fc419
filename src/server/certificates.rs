//! Certificates that are renewed while the node runs.

use std::time::Duration;

use cluster::peers::Credentials;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_secs(10);

/// Reads them again when they are others, and at once on SIGHUP; until it is dropped.
pub(super) async fn follow(credentials: Credentials) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut beat = tokio::time::interval(PERIOD);
    let mut told = false;
    loop {
        let asked = tokio::select! {
            _ = beat.tick() => false,
            _ = hangup.recv() => true,
        };
        let credentials = credentials.clone();
        let read = spawn_blocking(move || credentials.reload()).await;
        match read.expect("reading certificates does not panic") {
            Ok(true) => {
                told = false;
                tracing::info!("new certificates: who connects from now on sees them");
            }
            Ok(false) if asked => tracing::info!("the certificates are the same as before"),
            Ok(false) => {}
            // A file may be new and the other not yet: what there is stays in force.
            Err(error) if asked || !told => {
                told = true;
                tracing::warn!(%error, "the certificates stay those of before");
            }
            Err(_) => {}
        }
    }
}
