//! How messages reach a handler: one endpoint over HTTP, the older two-endpoint form, and the
//! standard streams.
//!
//! Nothing here knows what the handler offers, so the conformance server in `examples/` puts its own
//! handler behind the very same code.

mod calls;
mod envelope;
mod http;
mod keep_alive;
mod sse;
mod stdio;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use self::{
    http::streamable_router,
    sse::legacy_sse_router,
    stdio::{StdioError, serve_on_stdio},
};

/// What all transports share.
#[derive(Clone, Debug)]
pub struct TransportOptions {
    /// The largest request body, in bytes.
    pub body_bytes_max: usize,
    /// How long a tool call may stay silent before its reply is begun without waiting for it.
    pub quiet: Duration,
    /// The time between the comments that keep a silent stream alive.
    pub keep_alive: Duration,
    /// Open streams of the older transport at the same time; one more is refused.
    pub sse_sessions_max: usize,
    /// Ends every stream and every call when the node stops.
    pub shutdown: CancellationToken,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            body_bytes_max: 4 << 20,
            quiet: Duration::from_millis(1500),
            keep_alive: Duration::from_secs(10),
            sse_sessions_max: 1024,
            shutdown: CancellationToken::new(),
        }
    }
}
