//! Measures servers that run code for each request: closed loop, constant arrival, soak, floors; and
//! clusters that commit writes.
//!
//! Each command prints one line of JSON (the soak more), so that `bench/run` can make tables.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, Parser, Subcommand};
use serde::Serialize;

use crate::client::Target;
use crate::error::LoadError;

mod arrival;
mod client;
mod closed;
mod error;
mod floor;
mod floor_run;
mod images;
mod latency;
mod proc;
mod raft;
mod soak;

/// Measures servers that run code for each request.
#[derive(Debug, Parser)]
#[command(name = "mcp-v8-load", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// As many clients as told, each sends its next request when it has its answer
    Closed(ClosedArgs),
    /// Small programs at a constant rate; latency counts from the moment a request was due
    Arrival(ArrivalArgs),
    /// Mixed runs at full speed, a twentieth of them hostile; every answer is checked
    Soak(soak::SoakArgs),
    /// A bare loop of fork, exit, reap
    FloorFork {
        /// Private memory that the parent has written, in MiB
        #[arg(long, default_value_t = 0)]
        touched_mb: usize,
        /// How long
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
    },
    /// A bare loop of fork, evaluate, exit, reap over the worker program
    FloorRun {
        /// The worker program that a build leaves under target/worker
        #[arg(long)]
        worker: PathBuf,
        /// What to evaluate
        #[arg(long, default_value = "1 + 2")]
        code: String,
        /// How long
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
    },
    /// Sessions without a node: start, runs and what they change, entry
    Images(images::ImagesArgs),
    /// Clusters that commit writes: ours and etcd's, by the same client
    #[command(subcommand)]
    Raft(raft::RaftCommand),
    /// Serve a handler that answers at once, to be measured with `closed`
    FloorServe,
}

#[derive(Debug, Args)]
struct ClosedArgs {
    /// http://host:port/path; more than one, with commas, are given to the clients in turn
    #[arg(long, value_delimiter = ',', required = true)]
    url: Vec<String>,
    /// The body of each request; `{client}` in it is the client's number, `{turn}` goes round
    #[arg(
        long,
        conflicts_with = "body_file",
        required_unless_present = "body_file"
    )]
    body: Option<String>,
    /// A file with the body of each request
    #[arg(long)]
    body_file: Option<PathBuf>,
    /// `{turn}` goes from 0 to before this number and begins again
    #[arg(long, default_value_t = 1)]
    turns: u64,
    /// Its type
    #[arg(long, default_value = "application/json")]
    content_type: String,
    /// Clients, with a connection each
    #[arg(long, default_value_t = 1)]
    concurrency: usize,
    /// How long it counts
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// How long it runs before that
    #[arg(long, default_value_t = 1.0)]
    warmup_seconds: f64,
    /// What a right answer holds
    #[arg(long, default_value = "")]
    expect: String,
    /// The server's process, to read the memory of its tree in the middle of the run
    #[arg(long)]
    pid: Option<u32>,
}

#[derive(Debug, Args)]
struct ArrivalArgs {
    /// http://host:port/api/exec
    #[arg(long)]
    url: String,
    /// Requests for each second
    #[arg(long)]
    rate: u32,
    /// How long
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mcp-v8-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), LoadError> {
    // Before there is a runtime: the loop must be the only thread.
    if let Command::FloorFork {
        touched_mb,
        seconds,
    } = command
    {
        return print(&floor::fork_loop(
            touched_mb,
            Duration::from_secs_f64(seconds),
        )?);
    }
    if let Command::FloorRun {
        worker,
        code,
        seconds,
    } = &command
    {
        return print(&floor_run::run_loop(
            worker,
            code,
            Duration::from_secs_f64(*seconds),
        )?);
    }
    if let Command::Images(args) = &command {
        return images::images(args);
    }
    // One thread: the client shares the machine with what it measures and takes as little as it can.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| LoadError::System {
            what: "start the runtime",
            source,
        })?;
    runtime.block_on(async {
        match command {
            Command::Closed(args) => print(&closed::run(args.read()?).await?),
            Command::Arrival(args) => {
                let lasting = Duration::from_secs_f64(args.seconds);
                print(&arrival::run(Target::parse(&args.url)?, args.rate, lasting).await?)
            }
            Command::Soak(args) => soak::run(args).await,
            Command::Raft(command) => raft::run(command).await,
            Command::FloorServe => floor::serve().await,
            Command::FloorFork { .. } | Command::FloorRun { .. } | Command::Images(_) => {
                unreachable!("answered above")
            }
        }
    })
}

impl ClosedArgs {
    fn read(self) -> Result<closed::Closed, LoadError> {
        let body = match (self.body, self.body_file) {
            (_, Some(path)) => Bytes::from(
                std::fs::read(&path).map_err(|source| LoadError::File { path, source })?,
            ),
            (body, None) => Bytes::from(body.unwrap_or_default()),
        };
        Ok(closed::Closed {
            targets: self
                .url
                .iter()
                .map(|url| Target::parse(url))
                .collect::<Result<_, _>>()?,
            body,
            turns: self.turns,
            content_type: self.content_type,
            concurrency: self.concurrency,
            warmup: Duration::from_secs_f64(self.warmup_seconds),
            measured: Duration::from_secs_f64(self.seconds),
            expect: self.expect,
            pid: self.pid,
        })
    }
}

fn print<T: Serialize>(report: &T) -> Result<(), LoadError> {
    println!("{}", serde_json::to_string(report)?);
    Ok(())
}
