//! What a node tells of what it does: its log, and traces for whoever collects them.
//!
//! * `request`: the id of a request, which goes with it from node to node.
//! * `traces`: the way to a collector.

mod request;
mod traces;

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

pub use self::request::{Caller, RequestId};
pub use self::traces::Traces;
use crate::config::{LogFormat, TracesConfig};

/// Starts the log, on the standard error stream, since the standard output may carry MCP or a result. `RUST_LOG`
/// decides what is in it, else `level`; the libraries of MCP, Raft and S3 are left out then but for their errors,
/// since they tell of every request, step and missing role.
///
/// With a collector it needs a tokio runtime. A second call changes nothing, so tests in one process may all
/// call it.
///
/// # Errors
/// The collector's address is none.
pub fn start(
    format: LogFormat,
    level: &str,
    traces: Option<&TracesConfig>,
) -> anyhow::Result<Option<Traces>> {
    let asked = std::env::var("RUST_LOG")
        .ok()
        .filter(|asked| !asked.is_empty());
    let filter = asked
        .and_then(|asked| EnvFilter::try_new(asked).ok())
        .unwrap_or_else(|| {
            EnvFilter::new(format!(
                "{level},rmcp=error,openraft=error,aws_config=error,opentelemetry=error"
            ))
        });
    let log = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let log = match format {
        LogFormat::Text => log
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .boxed(),
        LogFormat::Json => log.json().flatten_event(true).boxed(),
    };
    let traces = traces.map(Traces::to_collector).transpose()?;
    let exported = traces.as_ref().map(Traces::layer);
    let started = tracing_subscriber::registry()
        .with(log.with_filter(filter))
        .with(exported)
        .try_init();
    if started.is_err() {
        tracing::debug!("the log was started before");
    }
    Ok(traces)
}
