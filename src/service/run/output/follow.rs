use worker_protocol::ConsoleLevel;

use super::{Output, Segment, into_text, prefix};

/// Where a reader stands that follows an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::service::run) struct Cursor {
    /// The entries before it.
    entry: u64,
    /// The bytes before it.
    byte: u64,
}

/// What a reader gets next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::service::run) enum Entries {
    /// These came next; the number of an entry is its place in the whole output, from 1.
    Some(Vec<(u64, ConsoleLevel, String)>),
    /// These were dropped before the reader came to them.
    Gap {
        /// The number of the last entry before the one that comes next.
        last: u64,
        /// How many console calls.
        entries: u64,
        /// How many bytes, at most.
        bytes: u64,
    },
    /// Nothing more for now.
    None,
}

/// A batch ends with the entry that makes it this long.
const BATCH_BYTES: usize = 64 << 10;
const BATCH_ENTRIES: usize = 256;

impl Output {
    /// The place after the entry of that number, for a reader that comes back.
    pub fn cursor_after(&self, number: u64) -> Cursor {
        let number = number.min(self.entries_total);
        let segment = if number <= self.head.end_entry() {
            &self.head
        } else {
            &self.tail
        };
        let byte = if number < segment.first_entry {
            self.head.end_byte()
        } else {
            let entries = segment.first_entry..number;
            let bytes: u64 = entries
                .map(|entry| segment.entry(entry).bytes() as u64)
                .sum();
            segment.first_byte + bytes
        };
        Cursor {
            entry: number,
            byte,
        }
    }

    /// The entries after the cursor, which moves on.
    pub fn next(&self, cursor: &mut Cursor) -> Entries {
        let segment = if cursor.entry < self.head.end_entry() {
            &self.head
        } else {
            &self.tail
        };
        if cursor.byte < segment.first_byte {
            let gap = Entries::Gap {
                last: segment.first_entry,
                entries: segment.first_entry - cursor.entry,
                bytes: segment.first_byte - cursor.byte,
            };
            *cursor = Cursor {
                entry: segment.first_entry,
                byte: segment.first_byte,
            };
            return gap;
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while cursor.entry < segment.end_entry()
            && batch.len() < BATCH_ENTRIES
            && bytes < BATCH_BYTES
        {
            let (level, text) = entry_text(segment, cursor);
            bytes += text.len();
            batch.push((cursor.entry, level, text));
        }
        if batch.is_empty() {
            Entries::None
        } else {
            Entries::Some(batch)
        }
    }
}

/// The text of the entry at the cursor, as the script gave it; the cursor moves behind it.
fn entry_text(segment: &Segment, cursor: &mut Cursor) -> (ConsoleLevel, String) {
    let entry = segment.entry(cursor.entry);
    let level = entry.level();
    let end = cursor.byte + entry.bytes() as u64;
    let from = if entry.start_is_cut() {
        cursor.byte
    } else {
        (cursor.byte + prefix(level).len() as u64).min(end)
    };
    let to = if entry.end_is_cut() { end } else { end - 1 };
    let mut text = Vec::with_capacity((to.max(from) - from) as usize);
    segment.copy(from, to.max(from), &mut text);
    *cursor = Cursor {
        entry: cursor.entry + 1,
        byte: end,
    };
    (level, into_text(text))
}
