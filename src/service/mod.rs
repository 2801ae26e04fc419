//! The use cases, one folder each with one cheap-to-clone handle.

pub mod archive;
pub mod backup;
pub mod blobs;
mod cluster_code;
pub mod engines;
pub mod executions;
pub mod run;
pub mod sessions;
pub mod tags;
pub mod tasks;
