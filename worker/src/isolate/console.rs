//! Console lines on their way to the node.

use worker_protocol::{Console, ConsoleLine, from_worker};

use crate::address_space::clock;
use crate::channel;

/// Lines up to here are sent one by one, so that nothing is lost when the run is killed.
const EAGER_BYTES: usize = 64 << 10;
/// Past that, lines are gathered to this size,
const GATHER_BYTES: usize = 16 << 10;
/// or for this long.
const GATHER_NS: i64 = 5_000_000;

/// Gathers lines once a run prints a lot.
#[derive(Default)]
pub struct ConsoleBuffer {
    lines: Vec<ConsoleLine>,
    bytes: usize,
    sent_bytes: usize,
    flushed_ns: i64,
}

impl ConsoleBuffer {
    /// Adds a line and sends what is due.
    pub fn push(&mut self, level: i32, text: String) {
        self.bytes += text.len() + 1;
        self.lines.push(ConsoleLine { level, text });
        let due = self.sent_bytes + self.bytes <= EAGER_BYTES
            || self.bytes >= GATHER_BYTES
            || clock::monotonic_ns() - self.flushed_ns >= GATHER_NS;
        if due {
            self.flush();
        }
    }

    /// Sends what is gathered.
    pub fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        channel::send(from_worker::Frame::Console(Console { lines }));
        self.sent_bytes += self.bytes;
        self.bytes = 0;
        if self.sent_bytes > EAGER_BYTES {
            self.flushed_ns = clock::monotonic_ns();
        }
    }
}
