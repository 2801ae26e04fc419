//! `mcp-v8` runs JavaScript and TypeScript for AI agents and for anything that speaks HTTP.
//!
//! Arrows go down only:
//!
//! * `cli` reads the command line and the configuration, and starts a `server`.
//! * `server` is the only place that wires parts together.
//! * `api` (HTTP), `mcp` and `grpc` parse, make one call of a service, and render.
//! * `service` holds the use cases; it is the only place that joins workers, storage and cluster.
//! * `storage` keeps blobs, and `workers` owns the V8 processes.
//!
//! `wire` has the JSON that `api` and `mcp` share.
//!
//! `config`, `error_code`, `hex`, `metrics`, `raw_json`, `record_file` and `telemetry` are leaves that everybody may use.
//! ARCHITECTURE.md tells the same with the life of a request.

pub mod api;
pub mod cli;
pub mod config;
pub mod error_code;
pub mod grpc;
pub mod hex;
pub mod mcp;
pub mod metrics;
pub mod raw_json;
pub mod record_file;
pub mod server;
pub mod service;
pub mod storage;
pub mod telemetry;
pub mod wire;
pub mod workers;
