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
mod prompts;
mod resources;
mod tools;

use std::{net::Ipv4Addr, sync::Arc};

use anyhow::Context;
use fixtures::{Fixtures, Shared};
use mcp_v8::{
    api,
    config::{Config, Machine, Settings},
    mcp::{McpHandler, McpState, transport},
    service::{executions::Executions, run::Runs},
    workers::{Engine, Options, Workers},
};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port = match std::env::args().nth(1) {
        Some(port) => port.parse().context("the argument is a port")?,
        None => 0,
    };
    let config = Arc::new(Config::new(Settings::default(), &Machine::read())?);
    let options = Options::new(config.run.runs_ready, config.sandbox);
    let workers = Workers::start(Engine::embedded()?, options).await?;
    let state = McpState {
        executions: Executions::alone(Runs::alone(workers, config.run.clone())),
        tags: None,
        sessions: None,
        config,
        shutdown: CancellationToken::new(),
    };
    let options = state.transport_options();
    let config = Arc::clone(&state.config);
    let handler = McpHandler::new(state);
    let shared = Arc::new(Shared::new());
    let make = move || Fixtures::new(handler.clone(), Arc::clone(&shared));
    let router = api::protect(transport::streamable_router(make, options), &config.http);

    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on http://{}/mcp", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}
