//! The log as callers see it: ahead of the files by what is being written.

use std::collections::VecDeque;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use super::format::SEGMENT_HEADER_BYTES;
use super::index::{Gap, Index};
use super::recovery::Held;
use super::replay::Replay;
use crate::types::{Entry, EntryPayload, LogId, Vote};

/// The place of an entry that is not in a file yet.
const UNWRITTEN: u64 = u64::MAX;

/// What an entry takes in memory, roughly.
pub(super) fn entry_bytes(entry: &Entry) -> u64 {
    const FIXED: u64 = 64;
    const MEMBER: u64 = 128;
    FIXED
        + match &entry.payload {
            EntryPayload::Blank => 0,
            EntryPayload::Normal(command) => command.bytes().len() as u64,
            EntryPayload::Membership(membership) => MEMBER * membership.nodes().count() as u64,
        }
}

/// A segment, for readers.
#[derive(Clone, Debug)]
struct Segment {
    sequence: u64,
    base: u64,
    file: Arc<File>,
}

/// An entry that has to be read from a file.
#[derive(Debug)]
pub(super) struct OnDisk {
    pub(super) index: u64,
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
}

/// Entries of a range: those in files, then those in memory.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) on_disk: Vec<OnDisk>,
    pub(super) in_memory: Vec<Entry>,
}

/// Vote, committed index, the places of all entries and the newest of them.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    index: Index,
    /// The newest entries: all that are in no file yet, and before them what fits.
    cache: VecDeque<Entry>,
    cache_bytes: u64,
    cache_bytes_max: u64,
    segments: VecDeque<Segment>,
    /// The position behind the last batch.
    end: u64,
    /// For each truncation that isn't written yet, from which index on it drops entries.
    truncations: VecDeque<u64>,
}

impl Memory {
    pub(super) fn new(replay: Replay, end: u64, cache_bytes_max: u64) -> Self {
        Self {
            vote: replay.vote,
            committed: replay.committed,
            index: replay.index,
            cache: VecDeque::new(),
            cache_bytes: 0,
            cache_bytes_max,
            segments: VecDeque::new(),
            end,
            truncations: VecDeque::new(),
        }
    }

    pub(super) fn purged(&self) -> Option<&LogId> {
        self.index.purged()
    }

    pub(super) fn last(&self) -> Option<&LogId> {
        self.index.last()
    }

    fn cache_first(&self) -> u64 {
        self.index.end() - self.cache.len() as u64
    }

    /// Checks that the entries follow.
    pub(super) fn check_follows(&self, entries: &[Entry]) -> Result<(), (Gap, u64)> {
        let mut expected = self.index.last().map(|last| last.index + 1);
        for entry in entries {
            let index = entry.log_id.index;
            if let Some(expected) = expected.filter(|expected| *expected != index) {
                return Err((Gap { expected }, index));
            }
            expected = Some(index + 1);
        }
        Ok(())
    }

    /// Adds entries that were checked.
    pub(super) fn append(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.index
                .append(entry.log_id, UNWRITTEN)
                .expect("it was checked that the entries follow");
            self.cache_bytes += entry_bytes(entry);
            self.cache.push_back(entry.clone());
        }
    }

    /// Drops the entries behind one; tells the last entry now, if anything changed.
    pub(super) fn truncate_after(&mut self, after: Option<&LogId>) -> Option<Option<LogId>> {
        let cache_first = self.cache_first();
        let last = self.index.truncate_after(after)?;
        let kept = self.index.end().saturating_sub(cache_first);
        while self.cache.len() as u64 > kept {
            self.forget_newest();
        }
        self.truncations
            .push_back(after.map_or(0, |after| after.index + 1));
        Some(last)
    }

    /// Drops the entries up to one; tells whether anything changed.
    pub(super) fn purge(&mut self, upto: &LogId) -> bool {
        if !self.index.purge(upto) {
            return false;
        }
        while (self.cache.front()).is_some_and(|entry| entry.log_id.index <= upto.index) {
            self.forget_oldest();
        }
        true
    }

    fn forget_oldest(&mut self) {
        if let Some(entry) = self.cache.pop_front() {
            self.cache_bytes -= entry_bytes(&entry);
        }
    }

    fn forget_newest(&mut self) {
        if let Some(entry) = self.cache.pop_back() {
            self.cache_bytes -= entry_bytes(&entry);
        }
    }

    /// A new segment is in use.
    pub(super) fn begin_segment(&mut self, held: &Held) {
        self.segments.push_back(Segment {
            sequence: held.header.sequence,
            base: held.header.base,
            file: held.file.clone(),
        });
    }

    /// Segments before this one are gone.
    pub(super) fn drop_segments_before(&mut self, sequence: u64) {
        while (self.segments.front()).is_some_and(|segment| segment.sequence < sequence) {
            self.segments.pop_front();
        }
    }

    /// An entry is in a file, at this position. It may be gone by now, and another one in its place.
    pub(super) fn wrote_entry(&mut self, index: u64, position: u64) {
        if self.truncations.iter().all(|end| index < *end) {
            self.index.set_place(index, position);
        }
    }

    /// The oldest truncation is written.
    pub(super) fn wrote_truncation(&mut self) {
        let written = self.truncations.pop_front();
        assert!(written.is_some(), "each written truncation was noted");
    }

    /// A batch ends here; what no reader needs in memory can go.
    pub(super) fn wrote_batch(&mut self, end: u64) {
        self.end = end;
        while self.cache_bytes > self.cache_bytes_max {
            match self.index.place(self.cache_first()) {
                Some(UNWRITTEN) | None => break,
                Some(_) => self.forget_oldest(),
            }
        }
    }

    /// How many bytes of the files are behind an entry. What is being written doesn't count.
    pub(super) fn bytes_after(&self, index: u64) -> u64 {
        let next = index.saturating_add(1).max(self.index.first());
        match self.index.place(next) {
            Some(UNWRITTEN) | None => 0,
            Some(place) => self.end - place,
        }
    }

    /// The entries of a range that are there, fewer than asked when the limit is reached (but one).
    /// Entries in files count with nothing here: their reader counts them.
    pub(super) fn find(&self, range: Range<u64>, bytes_max: u64) -> Found {
        let start = range.start.max(self.index.first());
        let end = range.end.min(self.index.end());
        let mut found = Found::default();
        let cache_first = self.cache_first();
        for index in start..end.min(cache_first) {
            let place = self.index.place(index).expect("the range was cut to fit");
            let nth = self
                .segments
                .partition_point(|segment| segment.base <= place);
            let segment = &self.segments[nth - 1];
            found.on_disk.push(OnDisk {
                index,
                file: segment.file.clone(),
                offset: SEGMENT_HEADER_BYTES + (place - segment.base),
            });
        }
        let mut bytes = 0;
        for index in start.max(cache_first)..end {
            let nth = usize::try_from(index - cache_first).expect("the cache is in memory");
            let entry = &self.cache[nth];
            bytes += entry_bytes(entry);
            if bytes > bytes_max && !(found.in_memory.is_empty() && found.on_disk.is_empty()) {
                break;
            }
            found.in_memory.push(entry.clone());
        }
        found
    }
}
