//! The server that a command asks, and the form of what it prints.

use std::io::{self, Write as _};

use clap::Args;
use serde::Serialize;

use super::Exit;

/// Which server, and how its answers are printed.
#[derive(Debug, Args)]
pub struct Server {
    /// The server: any node of the cluster
    #[arg(
        long,
        env = "MCP_V8_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        global = true
    )]
    pub url: String,
    /// Print the server's JSON
    #[arg(long, global = true)]
    pub json: bool,
}

impl Server {
    /// Prints an answer: as it came, or as a text for people.
    pub fn print<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce(&T, &mut dyn io::Write) -> io::Result<()>,
    ) -> anyhow::Result<Exit> {
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(value)?)?;
        } else {
            text(value, &mut out)?;
        }
        Ok(Exit::Completed)
    }
}
