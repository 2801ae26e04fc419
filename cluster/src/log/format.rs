//! The bytes of a segment.
//!
//! All numbers are little-endian. A *position* counts the bytes of all batches ever written, over all
//! segments: a segment's header says at which one it begins.
//!
//! ```text
//! segment       header (64 bytes), batches, zeros up to the end of the file
//! header        "mcpv8log"  version u32  crc u32 (of what follows)  sequence u64  base u64  salt u64  zeros
//! batch         batch header (40 bytes), records, zeros up to a multiple of 8
//! batch header  magic u32  crc u32 (of what follows)  body_bytes u64  salt u64  position u64  synced u64
//! record        payload_bytes u32  crc u32 (of what follows)  kind u8  payload
//! ```
//!
//! A batch is one write, and counts as a whole or not at all. `synced` is the position up to which
//! everything was on disk for certain when the batch was written. `salt` is random for each segment, so
//! that no value of a user can look like a batch.
//!
//! | kind | payload |
//! |---|---|
//! | 1 entry | `Entry`; its index follows the last one |
//! | 2 vote | `Vote` |
//! | 3 committed | `LogId`, empty for none |
//! | 4 truncate after | `LogId` of the entry that is the last now, empty when none stays |
//! | 5 purge | `LogId` up to which entries are gone |
//! | 6 log end | `LogId` of the last entry before this segment |
//!
//! The messages are those of `proto/`. A segment begins with a batch of kinds 6, 5, 2 and 3, each left
//! out where there is none: what the segments before it said, so that they can be removed.

use bytes::Bytes;
use prost::Message;

use crate::proto;
use crate::types::{Entry, LogId, Vote};

/// The format that is written.
pub(super) const VERSION: u32 = 1;
/// Where a segment's first batch begins.
pub(super) const SEGMENT_HEADER_BYTES: u64 = 64;
/// Before a batch's first record.
pub(super) const BATCH_HEADER_BYTES: usize = 40;
/// Before a record's payload.
pub(super) const RECORD_HEADER_BYTES: usize = 9;
/// Batches begin at multiples of it.
pub(super) const BATCH_ALIGNMENT: u64 = 8;

const SEGMENT_MAGIC: [u8; 8] = *b"mcpv8log";
const BATCH_MAGIC: u32 = u32::from_le_bytes(*b"btch");

const KIND_ENTRY: u8 = 1;
const KIND_VOTE: u8 = 2;
const KIND_COMMITTED: u8 = 3;
const KIND_TRUNCATE_AFTER: u8 = 4;
const KIND_PURGE: u8 = 5;
const KIND_LOG_END: u8 = 6;

/// One thing that a log says.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// An entry was appended.
    Entry(Entry),
    /// The vote changed.
    Vote(Vote),
    /// Entries up to here are known to be committed.
    Committed(Option<LogId>),
    /// The entries after this one are gone.
    TruncateAfter(Option<LogId>),
    /// The entries up to here are gone.
    Purge(LogId),
    /// The last entry before a segment.
    LogEnd(LogId),
}

/// What stands at the beginning of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// The segment's number, from 1, as in its name.
    pub(super) sequence: u64,
    /// The position of its first batch.
    pub(super) base: u64,
    /// Stands in each of its batches.
    pub(super) salt: u64,
}

/// Why bytes are no header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// Of another format.
    Version(u32),
    /// Damaged, or no segment at all.
    Damaged,
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(
        bytes[offset..offset + 4]
            .try_into()
            .expect("the slice has 4 bytes"),
    )
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(
        bytes[offset..offset + 8]
            .try_into()
            .expect("the slice has 8 bytes"),
    )
}

/// The next place where a batch may begin.
pub(super) fn align(offset: u64) -> u64 {
    offset.next_multiple_of(BATCH_ALIGNMENT)
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES as usize] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
        bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.base.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32fast::hash(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let bytes = bytes
            .get(..SEGMENT_HEADER_BYTES as usize)
            .ok_or(HeaderError::Damaged)?;
        if bytes[..8] != SEGMENT_MAGIC {
            return Err(HeaderError::Damaged);
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        if u32_at(bytes, 12) != crc32fast::hash(&bytes[16..]) {
            return Err(HeaderError::Damaged);
        }
        Ok(Self {
            sequence: u64_at(bytes, 16),
            base: u64_at(bytes, 24),
            salt: u64_at(bytes, 32),
        })
    }

    /// The position of what stands at an offset of the file.
    pub(super) fn position(&self, offset: u64) -> u64 {
        self.base + (offset - SEGMENT_HEADER_BYTES)
    }
}

/// What stands before a batch's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchHeader {
    pub(super) body_bytes: u64,
    pub(super) position: u64,
    pub(super) synced: u64,
}

impl BatchHeader {
    fn encode(&self, salt: u64) -> [u8; BATCH_HEADER_BYTES] {
        let mut bytes = [0; BATCH_HEADER_BYTES];
        bytes[..4].copy_from_slice(&BATCH_MAGIC.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[16..24].copy_from_slice(&salt.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.position.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.synced.to_le_bytes());
        let crc = crc32fast::hash(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at an offset of a segment, if a whole one of this segment stands there.
    pub(super) fn decode(segment: &[u8], offset: u64, header: &SegmentHeader) -> Option<Self> {
        let start = usize::try_from(offset).ok()?;
        let bytes = segment.get(start..)?.get(..BATCH_HEADER_BYTES)?;
        if u32_at(bytes, 0) != BATCH_MAGIC || u32_at(bytes, 4) != crc32fast::hash(&bytes[8..]) {
            return None;
        }
        let batch = Self {
            body_bytes: u64_at(bytes, 8),
            position: u64_at(bytes, 24),
            synced: u64_at(bytes, 32),
        };
        let here = u64_at(bytes, 16) == header.salt && batch.position == header.position(offset);
        here.then_some(batch)
    }
}

/// A batch as it was read.
#[derive(Debug)]
pub(super) struct Batch {
    /// Each with its offset in the segment.
    pub(super) records: Vec<(u64, Record)>,
    /// Where the next batch begins.
    pub(super) next: u64,
}

/// What stands where a batch might.
#[derive(Debug)]
pub(super) enum Parsed {
    /// A whole batch.
    Batch(Batch),
    /// None, or one that was not written as a whole.
    Nothing,
    /// A record whose checksum is right and that makes no sense all the same.
    Senseless {
        /// Where.
        offset: u64,
    },
}

/// Reads the batch at an offset of a segment.
pub(super) fn parse_batch(segment: &Bytes, offset: u64, header: &SegmentHeader) -> Parsed {
    let Some(batch) = BatchHeader::decode(segment, offset, header) else {
        return Parsed::Nothing;
    };
    let begin = offset + BATCH_HEADER_BYTES as u64;
    let end = match begin.checked_add(batch.body_bytes) {
        Some(end) if end <= segment.len() as u64 => end,
        _ => return Parsed::Nothing,
    };
    let mut records = Vec::new();
    let mut at = begin;
    while at < end {
        let Some((kind, payload)) = record_at(segment, at, end) else {
            return Parsed::Nothing;
        };
        let next = at + (RECORD_HEADER_BYTES + payload.len()) as u64;
        match Record::decode(kind, payload) {
            Some(record) => records.push((at, record)),
            None => return Parsed::Senseless { offset: at },
        }
        at = next;
    }
    Parsed::Batch(Batch {
        records,
        next: align(end),
    })
}

/// How many bytes the record has whose first bytes these are.
pub(super) fn record_bytes(start: &[u8]) -> Option<usize> {
    let header = start.get(..RECORD_HEADER_BYTES)?;
    usize::try_from(u32_at(header, 0))
        .ok()?
        .checked_add(RECORD_HEADER_BYTES)
}

/// Kind and payload of the record at an offset, if it is whole.
fn record_at(bytes: &Bytes, offset: u64, end: u64) -> Option<(u8, Bytes)> {
    let start = usize::try_from(offset).ok()?;
    let end = usize::try_from(end).ok()?;
    let size = record_bytes(bytes.get(start..end)?)?;
    let stop = start.checked_add(size).filter(|stop| *stop <= end)?;
    if u32_at(bytes, start + 4) != crc32fast::hash(&bytes[start + 8..stop]) {
        return None;
    }
    Some((
        bytes[start + 8],
        bytes.slice(start + RECORD_HEADER_BYTES..stop),
    ))
}

/// The entry whose record stands at the beginning of the bytes.
pub(super) fn parse_entry(bytes: &Bytes) -> Option<Entry> {
    let (kind, payload) = record_at(bytes, 0, bytes.len() as u64)?;
    match Record::decode(kind, payload)? {
        Record::Entry(entry) => Some(entry),
        _ => None,
    }
}

impl Record {
    fn decode(kind: u8, payload: Bytes) -> Option<Self> {
        fn log_id(payload: Bytes) -> Option<LogId> {
            proto::LogId::decode(payload).ok()?.try_into().ok()
        }
        fn optional(payload: Bytes) -> Option<Option<LogId>> {
            if payload.is_empty() {
                return Some(None);
            }
            log_id(payload).map(Some)
        }
        Some(match kind {
            KIND_ENTRY => Self::Entry(proto::Entry::decode(payload).ok()?.try_into().ok()?),
            KIND_VOTE => Self::Vote(proto::Vote::decode(payload).ok()?.try_into().ok()?),
            KIND_COMMITTED => Self::Committed(optional(payload)?),
            KIND_TRUNCATE_AFTER => Self::TruncateAfter(optional(payload)?),
            KIND_PURGE => Self::Purge(log_id(payload)?),
            KIND_LOG_END => Self::LogEnd(log_id(payload)?),
            _ => return None,
        })
    }
}

/// Builds batches, one after the other, in the same memory.
pub(super) struct BatchEncoder {
    bytes: Vec<u8>,
}

impl BatchEncoder {
    pub(super) fn new() -> Self {
        let mut encoder = Self { bytes: Vec::new() };
        encoder.clear();
        encoder
    }

    /// Begins a new batch.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(BATCH_HEADER_BYTES, 0);
    }

    /// How long the batch is by now.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds an entry and tells its offset in the batch.
    pub(super) fn entry(&mut self, entry: &Entry) -> u64 {
        let offset = self.bytes.len() as u64;
        self.record(KIND_ENTRY, Some(proto::Entry::from(entry)));
        offset
    }

    pub(super) fn vote(&mut self, vote: &Vote) {
        self.record(KIND_VOTE, Some(proto::Vote::from(vote)));
    }

    pub(super) fn committed(&mut self, committed: Option<&LogId>) {
        self.record(KIND_COMMITTED, committed.map(proto::LogId::from));
    }

    pub(super) fn truncate_after(&mut self, last: Option<&LogId>) {
        self.record(KIND_TRUNCATE_AFTER, last.map(proto::LogId::from));
    }

    pub(super) fn purge(&mut self, upto: &LogId) {
        self.record(KIND_PURGE, Some(proto::LogId::from(upto)));
    }

    pub(super) fn log_end(&mut self, last: &LogId) {
        self.record(KIND_LOG_END, Some(proto::LogId::from(last)));
    }

    fn record(&mut self, kind: u8, payload: Option<impl Message>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
        self.bytes[start + 8] = kind;
        if let Some(payload) = payload {
            payload
                .encode(&mut self.bytes)
                .expect("a Vec has room for any message");
        }
        let size = self.bytes.len() - start - RECORD_HEADER_BYTES;
        let size = u32::try_from(size).expect("entries are refused far below 4 GiB");
        let crc = crc32fast::hash(&self.bytes[start + 8..]);
        self.bytes[start..start + 4].copy_from_slice(&size.to_le_bytes());
        self.bytes[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    }

    /// The finished batch for this place of a segment.
    pub(super) fn finish(&mut self, salt: u64, position: u64, synced: u64) -> &[u8] {
        let header = BatchHeader {
            body_bytes: (self.bytes.len() - BATCH_HEADER_BYTES) as u64,
            position,
            synced,
        };
        self.bytes[..BATCH_HEADER_BYTES].copy_from_slice(&header.encode(salt));
        self.bytes.resize(
            self.bytes.len().next_multiple_of(BATCH_ALIGNMENT as usize),
            0,
        );
        &self.bytes
    }

    /// Zeros behind the finished batch, to be written with it.
    pub(super) fn pad(&mut self, zeros: usize) {
        self.bytes.resize(self.bytes.len() + zeros, 0);
    }

    /// What is to be written.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
