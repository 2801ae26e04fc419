//! The node's MCP endpoint with the tools, prompts and resources that the conformance suite calls.
//!
//! The suite needs servers to offer fixtures by name. They live here and not in the node, so that a
//! release carries none of them; workers, service, handler and transport are the node's own.
//!
//! ```sh
//! cargo run --example conformance_server -- 8123
//! conformance server --url http://127.0.0.1:8123/mcp --requirements 2026-07-28
//! ```

mod fixtures;
mod input;
mod node;
mod prompts;
mod resources;
mod tasks;
mod tools;

use std::{net::Ipv4Addr, sync::Arc};

use anyhow::Context;
use fixtures::{Fixtures, Shared};
use mcp_v8::{
    api,
    config::{Config, Machine, Settings},
    mcp::{McpHandler, transport},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port = match std::env::args().nth(1) {
        Some(port) => port.parse().context("the argument is a port")?,
        None => 0,
    };
    // The suite leaves tasks behind that take a minute each.
    let settings = Settings {
        runs_max: Some(64),
        ..Settings::default()
    };
    let config = Arc::new(Config::new(settings, &Machine::read())?);
    let directory = tempfile::tempdir()?;
    let (state, _runner) = node::start(config, directory.path()).await?;
    let options = state.transport_options();
    let config = Arc::clone(&state.config);
    let handler = McpHandler::new(state);
    let shared = Arc::new(Shared::new(handler.clone()));
    let make = move || Fixtures::new(handler.clone(), Arc::clone(&shared));
    let router = api::protect(transport::streamable_router(make, options), &config.http);

    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on http://{}/mcp", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}
