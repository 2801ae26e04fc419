//! The frames that travel between a node and its workers, and nothing else.
//!
//! A frame is a 32-bit little-endian length followed by one protobuf message: [`ToWorker`] in one
//! direction, [`FromWorker`] in the other. Nodes speak to workers that were built by older releases,
//! so a field keeps its number and its meaning for ever, numbers are never used twice, and a reader
//! passes over fields that it does not know.
//!
//! A worker's descriptors are part of the protocol too: see [`fd`].

mod codec;
mod entry;
mod frames;
mod handoff;

pub use codec::{FRAME_BYTES_MAX, FrameError, decode, encode, frame_length};
pub use entry::{STEP_BYTES, Step, StepKind};
pub use frames::*;
pub use handoff::{HANDOFF_BYTES, Handoff, Role};

/// The version of this protocol. A worker tells its own in [`ZygoteReady`]; a node refuses one that
/// is newer than its own.
pub const PROTOCOL_VERSION: u32 = 1;

/// The descriptors of a worker.
///
/// Every process of a worker is a copy of one that waits in the same routine for the same thing: an
/// order to fork. What becomes of the copy is told by the message that it finds on its parent's
/// hand-off socket: [`Handoff`], and which descriptors come with it.
pub mod fd {
    /// The channel (`SOCK_STREAM`): frames in both directions.
    pub const CHANNEL: i32 = 3;
    /// The hand-off socket (`SOCK_SEQPACKET`), from which each child, never the process itself, takes
    /// one message: a [`Handoff`](super::Handoff) and the descriptors that it names.
    pub const HANDOFF: i32 = 4;
    /// The socket of orders (`SOCK_SEQPACKET`): each message of one byte asks for one fork; a message
    /// of one byte in the other direction is the `errno` of a fork that failed.
    pub const ORDERS: i32 = 5;
    /// The image that is to be entered, while it is.
    pub const IMAGE: i32 = 6;
}

pub mod layout;
