//! `mcp-v8 tag`: names with small values, and names for heaps, over HTTP.

use std::io;
use std::sync::Arc;

use axum::http::Method;
use bytes::Bytes;
use clap::{Args, Subcommand};
use serde_json::value::RawValue;

use super::Exit;
use super::exec::{refused, wrong};
use super::http_client;
use super::server::Server;
use super::session::{escaped, parse};
use crate::wire::{PutTagBody, TagBody, TagListBody, TagVersionBody};

/// A page of a list.
const PAGE: usize = 1000;

/// Which server, and what to do there.
#[derive(Debug, Args)]
pub struct TagArgs {
    #[command(flatten)]
    pub server: Server,
    #[command(subcommand)]
    pub command: TagCommand,
}

/// What to do with tags.
#[derive(Debug, Subcommand)]
pub enum TagCommand {
    /// Write one, and print its version
    Put {
        #[arg(value_name = "TAG")]
        tag: String,
        /// Its value, as JSON
        #[arg(
            value_name = "JSON",
            allow_hyphen_values = true,
            required_unless_present = "heap"
        )]
        value: Option<String>,
        /// The heap that it points at: it is kept as long as the tag does
        #[arg(long, value_name = "HEAP")]
        heap: Option<String>,
        /// Only if it has this version; 0: only if there is no such tag
        #[arg(long, value_name = "N")]
        if_version: Option<u64>,
    },
    /// Print one
    Get {
        #[arg(value_name = "TAG")]
        tag: String,
    },
    /// Which there are, in the order of their names
    List {
        /// Only those whose names begin so
        #[arg(value_name = "PREFIX", default_value = "")]
        prefix: String,
        /// Only those that point at this heap
        #[arg(long, value_name = "HEAP", conflicts_with = "prefix")]
        heap: Option<String>,
    },
    /// Remove one
    Delete {
        #[arg(value_name = "TAG")]
        tag: String,
        /// Only if it has this version
        #[arg(long, value_name = "N")]
        if_version: Option<u64>,
    },
}

/// Does what the command line says.
pub async fn tag(args: TagArgs) -> anyhow::Result<Exit> {
    let TagArgs { server, command } = args;
    match command {
        TagCommand::Put {
            tag,
            value,
            heap,
            if_version,
        } => {
            let value = value.map(RawValue::from_string).transpose();
            let Ok(value) = value else {
                return Ok(wrong(
                    &"the value is no JSON; a text has quotes: '\"text\"'",
                ));
            };
            let body = PutTagBody {
                value: value.map(Arc::from),
                heap,
                if_version,
            };
            let json = Bytes::from(serde_json::to_vec(&body)?);
            let body = Some(("application/json", json));
            let reply = http_client::send(&server.url, Method::PUT, &path(&tag), body).await?;
            print_version(&server, &reply)
        }
        TagCommand::Get { tag } => {
            let reply = http_client::call(&server.url, &path(&tag), None).await?;
            if !reply.status.is_success() {
                return refused(&reply);
            }
            server.print(&parse::<TagBody>(&reply)?, write_tag)
        }
        TagCommand::List { prefix, heap } => list(&server, &prefix, heap.as_deref()).await,
        TagCommand::Delete { tag, if_version } => {
            let version = if_version.map_or_else(String::new, |it| format!("?if_version={it}"));
            let path = path(&tag) + &version;
            let reply = http_client::send(&server.url, Method::DELETE, &path, None).await?;
            print_version(&server, &reply)
        }
    }
}

async fn list(server: &Server, prefix: &str, heap: Option<&str>) -> anyhow::Result<Exit> {
    let mut all = TagListBody {
        tags: Vec::new(),
        next_after: None,
    };
    let which = match heap {
        Some(heap) => format!("heap={}", escaped(heap)),
        None => format!("prefix={}", escaped(prefix)),
    };
    let take = |page: TagListBody| {
        all.tags.extend(page.tags);
        page.next_after
    };
    let path = format!("/api/tags?limit={PAGE}&{which}");
    if let Some(refused) = server.pages(&path, take).await? {
        return Ok(refused);
    }
    server.print(&all, |all, out| {
        let mut tags = all.tags.iter();
        tags.try_for_each(|tag| write_tag(tag, out))
    })
}

fn print_version(server: &Server, reply: &http_client::Reply) -> anyhow::Result<Exit> {
    if !reply.status.is_success() {
        return refused(reply);
    }
    server.print(&parse::<TagVersionBody>(reply)?, |tag, out| {
        writeln!(out, "{:?}  version {}", tag.name, tag.version)
    })
}

fn write_tag(tag: &TagBody, out: &mut dyn io::Write) -> io::Result<()> {
    let heap = tag
        .heap
        .as_deref()
        .map_or_else(String::new, |heap| format!("  heap {heap}"));
    writeln!(
        out,
        "{:?}  {}  version {}{heap}",
        tag.name,
        tag.value.get(),
        tag.version
    )
}

fn path(tag: &str) -> String {
    format!("/api/tags/{}", escaped(tag))
}
