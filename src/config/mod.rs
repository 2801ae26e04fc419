//! What the operator decides: one immutable [`Config`].
//!
//! Each source is a [`Settings`]; the nearer one wins: flags, then the environment (`MCP_V8_…`), then
//! the file of `--config`, then the defaults. [`Config::new`] checks the result once, against the
//! [`Machine`] too.

mod backup;
mod blobs;
pub mod capacity;
mod cluster;
mod cluster_error;
mod credentials;
mod error;
mod http;
mod load;
mod machine;
mod range;
mod run;
mod sessions;
mod settings;
mod state;
mod tasks;
mod traces;

use std::path::PathBuf;
use std::time::Duration;

pub use backup::BackupConfig;
pub use blobs::{BlobsConfig, BucketConfig, S3Durability};
pub use cluster::ClusterConfig;
pub use cluster_error::ClusterError;
pub use credentials::{CredentialSource, CredentialsError};
pub use error::Error;
pub use http::HttpConfig;
pub use machine::{Machine, MemorySource};
pub use run::{Bound, RunConfig};
use serde::Deserialize;
pub use sessions::SessionsConfig;
pub use settings::Settings;
pub use state::StateConfig;
pub use tasks::TasksConfig;
pub use traces::TracesConfig;

/// The whole configuration; made and checked once at start, never changed afterwards.
#[derive(Clone, Debug)]
pub struct Config {
    /// Executions: how many, how long, how large.
    pub run: RunConfig,
    /// Sessions: whether there are any, and how many are warm.
    pub sessions: SessionsConfig,
    /// Tasks: how many, and how long they are kept.
    pub tasks: TasksConfig,
    /// Where blobs are, and how they are looked after.
    pub blobs: BlobsConfig,
    /// Backups that are taken by themselves.
    pub backup: Option<BackupConfig>,
    /// What one session's state may cost.
    pub state: StateConfig,
    /// The cluster.
    pub cluster: ClusterConfig,
    /// The listeners.
    pub http: HttpConfig,
    /// File of the engine that new sessions run in; else the one of this program.
    pub engine_file: Option<PathBuf>,
    /// How much of the sandbox must hold.
    pub sandbox: SandboxMode,
    /// How long a stopping node still takes requests.
    pub stop_delay: Duration,
    /// How long a stopping node waits for its executions.
    pub drain_timeout: Duration,
    /// The form of the log.
    pub log_format: LogFormat,
    /// Where traces go.
    pub traces: Option<TracesConfig>,
}

/// How much of the sandbox must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum SandboxMode {
    /// The node does not start unless every layer works here.
    Require,
    /// Layers that this host lacks are left out, and the log says which.
    #[default]
    Auto,
    /// No layer: for debugging on a machine of one's own.
    Off,
}

impl SandboxMode {
    /// As the flag spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Require => "require",
            Self::Auto => "auto",
            Self::Off => "off",
        }
    }
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object on each line.
    Json,
}
