//! The bounds of connections between nodes, and why they are where they are.

use std::time::Duration;

/// Largest message, in bytes. Appends are cut well below it (`raft` does that).
pub const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// Until a connection stands, TLS included. A node in the same network answers in milliseconds or not at all.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A client that has not ended its handshake by then is let go.
pub(super) const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a sender may have under way in one stream, and
pub(super) const STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// in one connection: enough for 10 Gbit/s at 3 ms, and a bound to what a peer can make us hold.
pub(super) const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// Larger than the default 16 KiB: a snapshot's chunk takes 4 frames instead of 64.
pub(super) const FRAME_BYTES_MAX: u32 = 256 << 10;

/// Open streams of one connection: many writers share one.
pub(super) const STREAMS_MAX: u32 = 2048;
/// Open connections of one node.
pub(super) const CONNECTIONS_MAX: usize = 1024;

/// The server asks silent clients so often whether they live,
pub(super) const SERVER_PING_PERIOD: Duration = Duration::from_secs(10);
/// and waits so long. An answer may stand behind megabytes of a snapshot on a slow link.
pub(super) const SERVER_PING_TIMEOUT: Duration = Duration::from_secs(30);

/// After accept failed, which it does again at once while there are no descriptors left.
pub(super) const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);
