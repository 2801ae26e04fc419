//! Clusters that commit writes: the same client, names and values for etcd and for our tags.
//!
//! The scripts `bench/raft`, `bench/failover` and `bench/growth` start the nodes and make the tables.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use self::connection::{Connection, System};
use crate::error::LoadError;
use crate::print;

mod connection;
mod failover;
mod fdatasync;
mod fill;
mod gaps;
mod put;
mod ready;
mod record;

/// What to do with a cluster.
#[derive(Debug, Subcommand)]
pub enum RaftCommand {
    /// As many clients as told, each writes its next record when its last one is committed
    Put(put::PutArgs),
    /// Write so many records, as fast as so many at a time are
    Fill(fill::FillArgs),
    /// A write each few milliseconds, while nodes go down and come up; then read everything back
    Failover(failover::FailoverArgs),
    /// Wait until each node has committed a write and has it in its own state
    Ready(ready::ReadyArgs),
    /// A bare loop of append and fdatasync
    Fdatasync {
        /// Where the file is made
        #[arg(long)]
        directory: PathBuf,
        /// How much each time
        #[arg(long, default_value_t = 300)]
        bytes: usize,
        /// How long
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
    },
}

/// Which cluster.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// What it is made of
    #[arg(long)]
    system: System,
    /// host:port of each node, with commas; writer N goes to node N modulo their number
    #[arg(long, required = true, value_delimiter = ',')]
    endpoints: Vec<String>,
}

impl ClusterArgs {
    /// The connection of a writer: its own.
    fn connect(&self, writer: usize) -> Result<Connection, LoadError> {
        let endpoint = &self.endpoints[writer % self.endpoints.len()];
        Connection::new(self.system, endpoint)
    }
}

/// Runs it.
pub async fn run(command: RaftCommand) -> Result<(), LoadError> {
    match command {
        RaftCommand::Put(args) => print(&put::run(args).await?),
        RaftCommand::Fill(args) => print(&fill::run(args).await?),
        RaftCommand::Failover(args) => failover::run(args).await,
        RaftCommand::Ready(args) => print(&ready::run(args).await?),
        RaftCommand::Fdatasync {
            directory,
            bytes,
            seconds,
        } => {
            let lasting = Duration::from_secs_f64(seconds);
            print(&fdatasync::run(&directory, bytes, lasting)?)
        }
    }
}
