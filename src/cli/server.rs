//! The server that a command asks, and the form of what it prints.

use std::io::{self, Write as _};

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Exit;
use super::exec::refused;
use super::http_client;
use super::session::{escaped, parse};

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
    /// Asks for all pages of a list, which `take` takes, and tells where the next one begins. The exit when one is
    /// refused.
    pub async fn pages<P: DeserializeOwned>(
        &self,
        list: &str,
        mut take: impl FnMut(P) -> Option<String>,
    ) -> anyhow::Result<Option<Exit>> {
        let mut after = String::new();
        loop {
            let path = format!("{list}{after}");
            let reply = http_client::call(&self.url, &path, None).await?;
            if !reply.status.is_success() {
                return refused(&reply).map(Some);
            }
            match take(parse(&reply)?) {
                Some(next) => after = format!("&after={}", escaped(&next)),
                None => return Ok(None),
            }
        }
    }

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
