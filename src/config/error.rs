use std::path::PathBuf;

use super::capacity::DoesNotFit;
use super::cluster_error::ClusterError;

/// Why a configuration is refused. The flag's name stands for the variable and the file's key too.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of `--config` can't be read.
    #[error("can't read the configuration file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The file of `--config` is no TOML, or has a key or a value that is not known.
    #[error("the configuration file {} is not valid: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A number outside of what makes sense.
    #[error("--{flag} is {value}, but must be from {min} to {max} {unit}")]
    OutOfRange {
        /// The flag.
        flag: &'static str,
        /// Its value.
        value: u64,
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
        /// What is counted.
        unit: &'static str,
    },
    /// Of two settings the first may not be larger than the second, and is.
    #[error("--{flag} is {value}, more than --{other}, which is {bound} {unit}: {advice}")]
    Over {
        /// The flag that is too large.
        flag: &'static str,
        /// Its value.
        value: u64,
        /// The flag that bounds it.
        other: &'static str,
        /// The bounding value.
        bound: u64,
        /// What is counted.
        unit: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// Both listeners on one port.
    #[error("--http-port and --sse-port are both {port}: each needs a port of its own")]
    SamePort {
        /// The port.
        port: u16,
    },
    /// A setting that means nothing without another one.
    #[error("--{flag} needs --{other}")]
    Needs {
        /// The flag.
        flag: &'static str,
        /// What is missing.
        other: &'static str,
    },
    /// Two settings of which only one can hold.
    #[error("--{flag} and --{other} can't be together: {advice}")]
    Against {
        /// The one.
        flag: &'static str,
        /// The other.
        other: &'static str,
        /// Why.
        advice: &'static str,
    },
    /// An empty name in a list.
    #[error("--{flag} has an empty entry: separate its names by single commas")]
    EmptyEntry {
        /// The flag.
        flag: &'static str,
    },
    /// No collector is there.
    #[error(
        "--otlp-endpoint is {given:?}: a URL with http:// and the collector's gRPC port is needed"
    )]
    OtlpEndpoint {
        /// What was said.
        given: String,
    },
    /// What concerns the cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// More executions than the memory holds.
    #[error(transparent)]
    DoesNotFit(#[from] DoesNotFit),
}
