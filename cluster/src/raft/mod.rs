//! Between openraft and the network.
//!
//! It owns openraft's configuration, both ends of Raft's calls, and how its types and our messages
//! convert into each other. Who may call whom is the affair of `peers`; what a snapshot holds, that of
//! `state`.

mod append_stream;
mod config;
mod convert;
mod messages;
mod network;
mod server;
mod slot;
mod snapshot_receive;
mod snapshot_send;

pub use self::config::{RaftTimings, TimingsError};
pub use self::convert::ConvertError;
pub use self::network::{Network, NetworkFactory};
pub use self::server::{CHUNK_IDLE_TIMEOUT, RaftService};
pub use self::slot::RaftSlot;
pub use self::snapshot_receive::ReceiveError;
