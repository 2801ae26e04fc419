use std::io;
use std::time::Duration;

/// Why no process could be had; nothing ran.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The node is stopping.
    #[error("the workers are stopping")]
    Stopping,
    /// No forked process became ready in time.
    #[error("no worker became ready within {waited:?}")]
    NoneReady {
        /// How long it was waited for.
        waited: Duration,
    },
    /// Process after process died before it took its frame.
    #[error("{attempts} workers died before they took their frame")]
    Dying {
        /// How many were tried.
        attempts: usize,
    },
}

/// Why the workers can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The embedded program could not be made executable.
    #[error("can't prepare the worker program")]
    Program(#[source] io::Error),
    /// The process could not be started.
    #[error("can't start the worker program")]
    Spawn(#[source] io::Error),
    /// A socket of the handshake failed.
    #[error("can't talk to the worker")]
    Socket(#[source] io::Error),
    /// The zygote ended before it was ready.
    #[error("the worker ended before it was ready")]
    Ended,
    /// The zygote says why it can't work here.
    #[error("the worker can't work here: {reason}")]
    Refused {
        /// Its own words.
        reason: String,
    },
    /// The zygote answered what this node does not understand.
    #[error("the worker answered what this node does not understand")]
    Protocol,
    /// The zygote speaks a newer protocol than this node.
    #[error("the worker speaks protocol {theirs}, this node {ours}")]
    Version {
        /// The worker's.
        theirs: u32,
        /// The node's.
        ours: u32,
    },
    /// The zygote was not ready in time.
    #[error("the worker was not ready within {waited:?}")]
    TimedOut {
        /// How long it was waited for.
        waited: Duration,
    },
}
