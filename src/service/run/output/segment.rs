use std::collections::VecDeque;

use memchr::{memchr, memchr_iter};
use worker_protocol::ConsoleLevel;

/// Marks stand at least this many bytes apart: the longest way to search for the start of a line.
const MARK_BYTES: u64 = 4096;

/// One console call, or a piece of one: how many bytes it takes up, line break included, its level,
/// and whether its start or its end was cut off. Packed, because there may be as many as lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry(u32);

impl Entry {
    const START_CUT: u32 = 8;
    const END_CUT: u32 = 16;
    const BYTES_SHIFT: u32 = 5;
    /// The longest entry that can be packed.
    pub const BYTES_MAX: usize = (u32::MAX >> Self::BYTES_SHIFT) as usize;

    pub fn new(level: ConsoleLevel, bytes: usize, start_cut: bool, end_cut: bool) -> Self {
        debug_assert!(bytes <= Self::BYTES_MAX);
        let mut packed = (bytes as u32) << Self::BYTES_SHIFT | level as u32;
        if start_cut {
            packed |= Self::START_CUT;
        }
        if end_cut {
            packed |= Self::END_CUT;
        }
        Self(packed)
    }

    pub fn bytes(self) -> usize {
        (self.0 >> Self::BYTES_SHIFT) as usize
    }

    pub fn level(self) -> ConsoleLevel {
        ConsoleLevel::try_from((self.0 & 7) as i32).unwrap_or(ConsoleLevel::Log)
    }

    pub fn start_is_cut(self) -> bool {
        self.0 & Self::START_CUT != 0
    }

    pub fn end_is_cut(self) -> bool {
        self.0 & Self::END_CUT != 0
    }
}

/// A place where a line starts, from which a search can begin.
#[derive(Clone, Copy, Debug)]
struct Mark {
    byte: u64,
    line: u64,
}

/// Text without a gap. Positions count from the start of the whole output, kept or not.
#[derive(Debug, Default)]
pub(super) struct Segment {
    /// Bytes before the first one that is kept.
    pub first_byte: u64,
    /// Line breaks before it.
    pub first_line: u64,
    /// Entries before it.
    pub first_entry: u64,
    text: VecDeque<u8>,
    entries: VecDeque<Entry>,
    breaks: u64,
    marks: VecDeque<Mark>,
}

impl Segment {
    pub fn len(&self) -> usize {
        self.text.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }

    /// The position after the last byte.
    pub fn end_byte(&self) -> u64 {
        self.first_byte + self.text.len() as u64
    }

    /// The line breaks up to the end.
    pub fn end_line(&self) -> u64 {
        self.first_line + self.breaks
    }

    /// The number of the entry after the last one.
    pub fn end_entry(&self) -> u64 {
        self.first_entry + self.entries.len() as u64
    }

    /// The entry of that number, which must be in this segment.
    pub fn entry(&self, number: u64) -> Entry {
        self.entries[(number - self.first_entry) as usize]
    }

    /// The memory that it takes up.
    pub fn kept_bytes(&self) -> usize {
        self.text.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.marks.capacity() * size_of::<Mark>()
    }

    /// Gives back memory that is reserved for more text.
    pub fn shrink(&mut self) {
        if self.text.capacity() - self.text.len() > MARK_BYTES as usize {
            self.text.shrink_to_fit();
            self.entries.shrink_to_fit();
            self.marks.shrink_to_fit();
        }
    }

    /// Appends an entry, given in pieces.
    pub fn push(&mut self, entry: Entry, pieces: [&str; 3]) {
        for piece in pieces {
            let start = self.end_byte();
            for position in memchr_iter(b'\n', piece.as_bytes()) {
                self.breaks += 1;
                self.mark(Mark {
                    byte: start + position as u64 + 1,
                    line: self.end_line(),
                });
            }
            self.text.extend(piece.as_bytes());
        }
        self.entries.push_back(entry);
    }

    fn mark(&mut self, mark: Mark) {
        let last = self.marks.back().map_or(self.first_byte, |last| last.byte);
        if mark.byte - last >= MARK_BYTES {
            self.marks.push_back(mark);
        }
    }

    /// Drops the first entry.
    pub fn pop_front(&mut self) {
        let Some(entry) = self.entries.pop_front() else {
            return;
        };
        let breaks = self
            .text
            .drain(..entry.bytes())
            .filter(|&byte| byte == b'\n')
            .count() as u64;
        self.first_byte += entry.bytes() as u64;
        self.first_line += breaks;
        self.first_entry += 1;
        self.breaks -= breaks;
        while self
            .marks
            .front()
            .is_some_and(|mark| mark.byte < self.first_byte)
        {
            self.marks.pop_front();
        }
    }

    /// Drops everything and goes on at another position.
    pub fn restart(&mut self, first_byte: u64, first_line: u64, first_entry: u64) {
        self.text.clear();
        self.entries.clear();
        self.marks.clear();
        self.breaks = 0;
        self.first_byte = first_byte;
        self.first_line = first_line;
        self.first_entry = first_entry;
    }

    /// Appends the bytes between two positions, both inside the segment.
    pub fn copy(&self, from: u64, to: u64, into: &mut Vec<u8>) {
        let from = (from - self.first_byte) as usize;
        let to = (to - self.first_byte) as usize;
        let (front, back) = self.text.as_slices();
        if from < front.len() {
            into.extend_from_slice(&front[from..to.min(front.len())]);
        }
        if to > front.len() {
            into.extend_from_slice(&back[from.saturating_sub(front.len())..to - front.len()]);
        }
    }

    /// The nearest position, not before `at`, that is not inside a character.
    pub fn boundary_from(&self, at: u64) -> u64 {
        let mut index = (at - self.first_byte) as usize;
        while index < self.text.len() && self.text[index] & 0xC0 == 0x80 {
            index += 1;
        }
        self.first_byte + index as u64
    }

    /// The nearest position, not after `at`, that is not inside a character.
    pub fn boundary_up_to(&self, at: u64) -> u64 {
        let mut index = (at - self.first_byte) as usize;
        while index > 0 && index < self.text.len() && self.text[index] & 0xC0 == 0x80 {
            index -= 1;
        }
        self.first_byte + index as u64
    }

    /// The position after the next line break at or after `from`.
    pub fn after_break(&self, from: u64) -> Option<u64> {
        let from = (from - self.first_byte) as usize;
        let (front, back) = self.text.as_slices();
        let found = if from < front.len() {
            memchr(b'\n', &front[from..])
                .map(|position| from + position)
                .or_else(|| memchr(b'\n', back).map(|position| front.len() + position))
        } else {
            memchr(b'\n', &back[from - front.len()..]).map(|position| from + position)
        };
        found.map(|position| self.first_byte + position as u64 + 1)
    }

    /// Where the line starts that has so many line breaks before it; the first kept byte when that
    /// line began before the segment did.
    pub fn line_start(&self, line: u64) -> u64 {
        debug_assert!((self.first_line..=self.end_line()).contains(&line));
        let after = self.marks.partition_point(|mark| mark.line <= line);
        let (mut byte, mut at) = match after.checked_sub(1) {
            Some(index) => (self.marks[index].byte, self.marks[index].line),
            None => (self.first_byte, self.first_line),
        };
        while at < line {
            match self.after_break(byte) {
                Some(next) => byte = next,
                None => break,
            }
            at += 1;
        }
        byte
    }

    /// The line breaks before a position.
    pub fn line_of(&self, at: u64) -> u64 {
        let after = self.marks.partition_point(|mark| mark.byte <= at);
        let (mut byte, mut line) = match after.checked_sub(1) {
            Some(index) => (self.marks[index].byte, self.marks[index].line),
            None => (self.first_byte, self.first_line),
        };
        while let Some(next) = self.after_break(byte).filter(|&next| next <= at) {
            byte = next;
            line += 1;
        }
        line
    }
}
