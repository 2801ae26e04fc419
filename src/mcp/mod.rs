//! The Model Context Protocol: what a client can call, and the transports it comes by.
//!
//! [`McpHandler`] parses a request, makes one call of the service and renders the answer. It is the
//! same for every transport and every version of the protocol; `transport` brings the messages.

mod console;
mod guide;
mod handler;
mod resources;
mod tasks;
mod tools;
pub mod transport;

use std::sync::Arc;

use axum::Router;
use tokio_util::sync::CancellationToken;
use transport::{StdioError, TransportOptions};

pub use handler::McpHandler;

use self::handler::Shared;
use crate::{
    config::Config,
    service::{executions::Executions, sessions::Sessions, tags::Tags, tasks::Tasks},
};

/// What the protocol's side of the node works with.
#[derive(Clone)]
pub struct McpState {
    /// The executions.
    pub executions: Executions,
    /// The tags; none where the program is no node.
    pub tags: Option<Tags>,
    /// The sessions; none where the node runs without them.
    pub sessions: Option<Sessions>,
    /// The tasks; none where the program is no node.
    pub tasks: Option<Tasks>,
    /// The configuration.
    pub config: Arc<Config>,
    /// Ends all streams when the node stops.
    pub shutdown: CancellationToken,
}

impl McpState {
    /// What the transports need of it.
    pub fn transport_options(&self) -> TransportOptions {
        TransportOptions {
            body_bytes_max: self.config.http.body_bytes_max,
            shutdown: self.shutdown.clone(),
            ..TransportOptions::default()
        }
    }
}

/// `/mcp`, for every version of the protocol.
pub fn http_router(state: McpState) -> Router {
    let options = state.transport_options();
    let shared = Shared::new(state);
    let make = move || McpHandler::sharing(Arc::clone(&shared));
    transport::streamable_router(make, options)
}

/// `/sse` and `/message`, the transport of the first version.
pub fn sse_router(state: McpState) -> Router {
    let options = state.transport_options();
    let shared = Shared::new(state);
    let make = move || McpHandler::sharing(Arc::clone(&shared));
    transport::legacy_sse_router(make, options)
}

/// One client on standard input and output.
pub async fn serve_stdio(state: McpState) -> Result<(), StdioError> {
    let shutdown = state.shutdown.clone();
    transport::serve_on_stdio(McpHandler::new(state), shutdown).await
}
