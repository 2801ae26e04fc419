//! The console output that is kept of one execution: its head, and the tail as a ring.
//!
//! Positions (bytes, lines, and entries, which are calls of the console) count over everything that
//! was printed, kept or not, and never change. So a reader that pages or follows while the script
//! prints is never sent back, and learns of what it missed.

mod follow;
mod page;
mod segment;

use memchr::memchr_iter;
use worker_protocol::{ConsoleLevel, ConsoleLine};

pub(super) use follow::{Cursor, Entries};
pub use page::{OutputPage, OutputQuery};
use segment::{Entry, Segment};

/// An entry counts as this many bytes at least, which bounds the bookkeeping of empty lines.
const ENTRY_BYTES_MIN: usize = 4;

/// The console output of one execution.
#[derive(Debug)]
pub(super) struct Output {
    bytes_max: usize,
    head: Segment,
    head_is_open: bool,
    tail: Segment,
    bytes_total: u64,
    lines_total: u64,
    entries_total: u64,
}

impl Output {
    /// Keeps at most so many bytes: half from the start, the rest from the end.
    pub fn new(bytes_max: u64) -> Self {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        Self {
            bytes_max: bytes_max.min(Entry::BYTES_MAX),
            head: Segment::default(),
            head_is_open: true,
            tail: Segment::default(),
            bytes_total: 0,
            lines_total: 0,
            entries_total: 0,
        }
    }

    /// The size of all that was printed.
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    /// How much of it was dropped.
    pub fn bytes_dropped(&self) -> u64 {
        self.bytes_total - (self.head.len() + self.tail.len()) as u64
    }

    /// The memory that it takes up.
    pub fn kept_bytes(&self) -> usize {
        self.head.kept_bytes() + self.tail.kept_bytes()
    }

    /// Gives back memory that is reserved for more text; called when there will be no more.
    pub fn shrink(&mut self) {
        self.head.shrink();
        self.tail.shrink();
    }

    /// Adds one call of the console.
    pub fn push(&mut self, line: &ConsoleLine) {
        let level = line.level();
        let pieces = [prefix(level), &line.text, "\n"];
        let bytes = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        if self.head_is_open {
            let entries_max = self.bytes_max / 2 / ENTRY_BYTES_MIN;
            if self.head.len() + bytes <= self.bytes_max / 2
                && self.head.entry_count() < entries_max.max(1)
            {
                self.head
                    .push(Entry::new(level, bytes, false, false), pieces);
                self.advance(bytes, self.head.end_line());
                return;
            }
            self.head_is_open = false;
            self.restart_tail(0, 0);
        }
        if bytes > self.tail_bytes_max() {
            self.push_huge(level, &pieces.concat());
            return;
        }
        self.tail
            .push(Entry::new(level, bytes, false, false), pieces);
        self.advance(bytes, self.tail.end_line());
        let bytes_max = self.tail_bytes_max();
        let entries_max = self.bytes_max / ENTRY_BYTES_MIN;
        let entries_max = entries_max.saturating_sub(self.head.entry_count()).max(1);
        while self.tail.len() > bytes_max || self.tail.entry_count() > entries_max {
            self.tail.pop_front();
        }
    }

    /// Adds an entry that does not fit into the tail: its start goes where the head has room and
    /// nothing was dropped yet, its end is the tail.
    fn push_huge(&mut self, level: ConsoleLevel, text: &str) {
        let mut rest = text;
        let head_room = (self.bytes_max / 2).saturating_sub(self.head.len());
        if self.tail.is_empty() && self.bytes_dropped() == 0 && head_room > 0 {
            let (start, end) = text.split_at(text.floor_char_boundary(head_room));
            let entry = Entry::new(level, start.len(), false, true);
            self.head.push(entry, [start, "", ""]);
            self.advance(start.len(), self.head.end_line());
            rest = end;
        }
        let kept_from = rest.ceil_char_boundary(rest.len().saturating_sub(self.tail_bytes_max()));
        let (dropped, kept) = rest.split_at(kept_from);
        self.restart_tail(
            dropped.len(),
            memchr_iter(b'\n', dropped.as_bytes()).count(),
        );
        let start_cut = kept.len() < text.len();
        self.tail.push(
            Entry::new(level, kept.len(), start_cut, false),
            [kept, "", ""],
        );
        self.advance(rest.len(), self.tail.end_line());
    }

    fn tail_bytes_max(&self) -> usize {
        self.bytes_max - self.head.len()
    }

    fn restart_tail(&mut self, skipped_bytes: usize, skipped_lines: usize) {
        self.tail.restart(
            self.bytes_total + skipped_bytes as u64,
            self.lines_total + skipped_lines as u64,
            self.entries_total,
        );
    }

    fn advance(&mut self, bytes: usize, lines_total: u64) {
        self.bytes_total += bytes as u64;
        self.lines_total = lines_total;
        self.entries_total += 1;
    }

    /// Everything that is kept, with a line that tells what is missing.
    pub fn render(&self) -> String {
        let mut text = Vec::with_capacity(self.head.len() + self.tail.len() + 64);
        self.head
            .copy(self.head.first_byte, self.head.end_byte(), &mut text);
        let dropped = self.bytes_dropped();
        if dropped > 0 {
            if text.last().is_some_and(|&last| last != b'\n') {
                text.push(b'\n');
            }
            text.extend_from_slice(left_out(dropped).as_bytes());
            text.push(b'\n');
        }
        self.tail
            .copy(self.tail.first_byte, self.tail.end_byte(), &mut text);
        into_text(text)
    }
}

/// What stands before the text of a level.
pub fn prefix(level: ConsoleLevel) -> &'static str {
    match level {
        ConsoleLevel::Log | ConsoleLevel::Debug => "",
        ConsoleLevel::Info => "[INFO] ",
        ConsoleLevel::Warn => "[WARN] ",
        ConsoleLevel::Error => "[ERROR] ",
    }
}

fn left_out(bytes: u64) -> String {
    format!("[... {bytes} bytes left out ...]")
}

/// Text that was only ever cut between characters.
fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text is cut between characters only")
}

#[cfg(test)]
mod tests;
