//! The log: on the standard error stream, since the standard output may carry MCP or a result.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Starts the log. `RUST_LOG` decides what is in it, else `level`; the libraries of MCP, Raft and
/// S3 are left out then but for their errors, since they tell of every request, step and missing role.
///
/// A second call changes nothing, so tests in one process may all call it.
pub fn start(format: LogFormat, level: &str) {
    let asked = std::env::var("RUST_LOG")
        .ok()
        .filter(|asked| !asked.is_empty());
    let filter = asked
        .and_then(|asked| EnvFilter::try_new(asked).ok())
        .unwrap_or_else(|| {
            EnvFilter::new(format!(
                "{level},rmcp=error,openraft=error,aws_config=error"
            ))
        });
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let started = match format {
        LogFormat::Text => log
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("the log was started before");
    }
}
