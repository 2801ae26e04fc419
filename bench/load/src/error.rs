//! What can go wrong while measuring.

use std::io;
use std::path::PathBuf;

/// Why a measurement could not be made or did not hold.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The address to measure is not `http://host:port/path`.
    #[error("not an address of the form http://host:port/path: {url}")]
    Address {
        /// What was given.
        url: String,
    },
    /// The connection could not be made or broke.
    #[error("connection: {0}")]
    Connection(#[source] io::Error),
    /// The exchange of HTTP failed.
    #[error("http: {0}")]
    Http(#[from] hyper::Error),
    /// A request could not be put together.
    #[error("request: {0}")]
    Request(#[from] hyper::http::Error),
    /// No answer came in time.
    #[error("no answer within {limit_ms} ms")]
    NoAnswer {
        /// How long was waited.
        limit_ms: u64,
    },
    /// An answer that must not be.
    #[error("wrong answer, status {status}: {body}")]
    WrongAnswer {
        /// Its HTTP status.
        status: u16,
        /// The start of its body.
        body: String,
    },
    /// A file could not be read.
    #[error("{path}: {source}")]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The operating system refused.
    #[error("{what}: {source}")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The server's health report lacks what the soak watches.
    #[error("the health report lacks {field}")]
    Health {
        /// The missing member.
        field: &'static str,
    },
    /// An answer that is not JSON.
    #[error("json: {0}")]
    Json(#[from] serde_json::Error),
    /// Measured, and not good enough.
    #[error("{failed} of {checks} checks failed")]
    Failed {
        /// How many failed.
        failed: usize,
        /// How many were made.
        checks: usize,
    },
    /// An address of a node is not `host:port`.
    #[error("endpoint {endpoint}: {source}")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// Why not.
        source: tonic::transport::Error,
    },
    /// A call of gRPC failed.
    #[error("{endpoint}: {status}")]
    Call {
        /// Which node was asked.
        endpoint: String,
        /// What it said, or what its channel did.
        status: Box<tonic::Status>,
    },
    /// A node did not get ready.
    #[error("not ready within {limit_ms} ms: {last}")]
    NotReady {
        /// How long was waited.
        limit_ms: u64,
        /// What it did at last.
        last: String,
    },
    /// A line that the failover writer does not understand.
    #[error("not `down N` or `up N` with the number of an endpoint: {line}")]
    Order {
        /// What was given.
        line: String,
    },
    /// A worker program did not do what a worker does.
    #[error("the worker ended or answered what a worker does not answer")]
    Worker,
    /// Not a single request could be made.
    #[error("every request failed; the first because of: {first}")]
    NothingMeasured {
        /// The first request's error.
        first: String,
    },
}
