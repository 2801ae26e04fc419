//! The frames that travel between a node and its workers, and nothing else.
//!
//! A frame is a 32-bit little-endian length followed by one protobuf message: [`ToWorker`] in one
//! direction, [`FromWorker`] in the other. Nodes speak to workers that were built by older releases,
//! so a field keeps its number and its meaning for ever, numbers are never used twice, and a reader
//! passes over fields that it does not know.
//!
//! A worker's descriptors are part of the protocol too: see [`fd`].

mod codec;
mod frames;

pub use codec::{FRAME_BYTES_MAX, FrameError, decode, encode, frame_length};
pub use frames::*;

/// The version of this protocol. A worker tells its own in [`ZygoteReady`]; a node refuses one that
/// is newer than its own.
pub const PROTOCOL_VERSION: u32 = 1;

/// The descriptors that a worker is started with.
pub mod fd {
    /// Zygote: the order socket (`SOCK_SEQPACKET`). One message in is one frame out of the
    /// handshake; after it, each message of one byte asks for one fork. Run: its channel.
    pub const ORDERS: i32 = 3;
    /// Zygote: the socket (`SOCK_SEQPACKET`) from which each child, never the zygote, takes the
    /// descriptor of its own channel.
    pub const HANDOFF: i32 = 4;
    /// Run: its channel (`SOCK_STREAM`), moved here from wherever it arrived.
    pub const CHANNEL: i32 = 3;
}
