//! Opening what a process left behind, however it ended.
//!
//! Each batch is one write followed by one `fdatasync`, and nothing of it is acknowledged before. So after
//! a power loss only what was written since the last `fdatasync` can be damaged: any blocks of it may be
//! there or not, so a whole batch may even stand behind a broken one. Three cases are told apart at the
//! first place where no whole batch stands:
//!
//! * Another segment follows. It was made after this one was synced, and says where this one ended: if it
//!   isn't here, something that was safe is gone. [`OpenError::Corrupt`].
//! * A later batch header in the last segment says in `synced` that this place was safe before it was
//!   written. Again [`OpenError::Corrupt`]. The header is believed even if its own batch is broken.
//! * Neither: the torn tail. It was acknowledged to nobody. Everything from here on is overwritten with
//!   zeros and synced before the log is used, so that no whole batch of it can ever come to life behind
//!   new ones.
//!
//! What can't be told apart: damage to the newest batches that no later header vouches for looks like a
//! torn tail. The writer leaves such a header as soon as it is idle, so this concerns what was written in
//! the last moments before a crash, and only if the disk loses what it had said was safe.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::error::{OpenError, Operation};
use super::format::{
    BATCH_ALIGNMENT, BatchHeader, HeaderError, Parsed, Record, SEGMENT_HEADER_BYTES, SegmentHeader,
    parse_batch,
};
use super::replay::Replay;
use super::segment::{self, Directory, at, during};

/// A segment that is in use.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) header: SegmentHeader,
    pub(super) file: Arc<File>,
    pub(super) file_bytes: u64,
    /// The highest index of an entry that was ever written to it.
    pub(super) entries_upto: Option<u64>,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) replay: Replay,
    /// Oldest first.
    pub(super) segments: Vec<Held>,
    /// Where the next batch goes in the last one.
    pub(super) offset: u64,
    /// How many bytes of a torn tail were dropped.
    pub(super) torn_bytes: u64,
}

/// Reads a whole segment and its header.
pub(super) fn load(path: &Path, sequence: u64) -> Result<(SegmentHeader, Bytes), OpenError> {
    let data = std::fs::read(path)
        .map_err(during(Operation::Read))
        .map_err(at(path))?;
    let corrupt = || OpenError::Corrupt {
        segment: path.to_owned(),
        offset: 0,
    };
    match SegmentHeader::decode(&data) {
        Ok(header) if header.sequence == sequence => Ok((header, data.into())),
        Ok(_) | Err(HeaderError::Damaged) => Err(corrupt()),
        Err(HeaderError::Version(version)) => Err(OpenError::Version {
            segment: path.to_owned(),
            version,
        }),
    }
}

/// Reads all segments, repairs a torn tail, and makes durable what was read.
pub(super) fn recover(directory: &Directory) -> Result<Recovered, OpenError> {
    let in_directory = at(directory.path());
    directory.remove_unfinished().map_err(&in_directory)?;
    let sequences = consecutive(directory)?;
    let mut recovered = Recovered {
        replay: Replay::default(),
        segments: Vec::new(),
        offset: SEGMENT_HEADER_BYTES,
        torn_bytes: 0,
    };
    // Where the segment before ended.
    let mut end: Option<u64> = None;
    for (nth, &sequence) in sequences.iter().enumerate() {
        let path = directory.segment_path(sequence);
        let corrupt = |offset| OpenError::Corrupt {
            segment: path.clone(),
            offset,
        };
        let (header, data) = load(&path, sequence)?;
        if end.is_some_and(|end| end != header.base) {
            // The one before ended too early.
            let before = &recovered.segments[nth - 1].header;
            return Err(OpenError::Corrupt {
                segment: directory.segment_path(before.sequence),
                offset: recovered.offset,
            });
        }
        let (offset, entries_upto) =
            replay_segment(&mut recovered.replay, &header, &data).map_err(corrupt)?;
        if offset == SEGMENT_HEADER_BYTES {
            // The first batch was on disk before the file had its name.
            return Err(corrupt(offset));
        }
        let file = segment::open(&path, true)?;
        if nth + 1 == sequences.len() {
            if vouched_for(&header, &data, offset) {
                return Err(corrupt(offset));
            }
            recovered.torn_bytes = wipe(&file, &data, offset).map_err(at(&path))?;
            // What was read may be in the page cache alone. From now on it counts as durable.
            file.sync_all()
                .map_err(during(Operation::Sync))
                .map_err(at(&path))?;
        }
        end = Some(header.position(offset));
        recovered.offset = offset;
        recovered.segments.push(Held {
            header,
            file: Arc::new(file),
            file_bytes: data.len() as u64,
            entries_upto,
        });
    }
    if recovered.replay.lacks_entries() {
        return Err(OpenError::Missing {
            directory: directory.path().to_owned(),
            sequence: sequences.first().map_or(1, |first| first - 1),
        });
    }
    directory.sync().map_err(&in_directory)?;
    Ok(recovered)
}

/// The numbers of the segments that count. Segments are removed from the oldest on, but a crash may undo
/// the removal of an older one and not that of a newer: what stands before a hole was to be removed.
fn consecutive(directory: &Directory) -> Result<Vec<u64>, OpenError> {
    let mut sequences = segment::list(directory.path())?;
    let holes = sequences
        .windows(2)
        .rposition(|pair| pair[0] + 1 != pair[1]);
    if let Some(hole) = holes {
        for sequence in sequences.drain(..=hole) {
            directory
                .remove(sequence)
                .map_err(at(&directory.segment_path(sequence)))?;
        }
    }
    Ok(sequences)
}

/// Takes all whole batches. Tells where they end and which index is the highest, or where what stands
/// there contradicts what stood before.
fn replay_segment(
    replay: &mut Replay,
    header: &SegmentHeader,
    data: &Bytes,
) -> Result<(u64, Option<u64>), u64> {
    let mut offset = SEGMENT_HEADER_BYTES;
    let mut entries_upto = None;
    loop {
        match parse_batch(data, offset, header) {
            Parsed::Nothing => return Ok((offset, entries_upto)),
            Parsed::Senseless { offset } => return Err(offset),
            Parsed::Batch(batch) => {
                for (at, record) in batch.records {
                    if let Record::Entry(entry) = &record {
                        entries_upto = entries_upto.max(Some(entry.log_id.index));
                    }
                    replay.apply(header.position(at), record).map_err(|_| at)?;
                }
                offset = batch.next;
            }
        }
    }
}

/// Whether a batch behind this place says that it was safe.
fn vouched_for(header: &SegmentHeader, data: &Bytes, offset: u64) -> bool {
    let position = header.position(offset);
    (offset..data.len() as u64)
        .step_by(BATCH_ALIGNMENT as usize)
        .filter_map(|offset| BatchHeader::decode(data, offset, header))
        .any(|batch| batch.synced > position)
}

/// Overwrites all that isn't zero from the offset on, and tells how much that was.
fn wipe(file: &File, data: &Bytes, offset: u64) -> Result<u64, segment::Failure> {
    let tail = usize::try_from(offset)
        .ok()
        .and_then(|offset| data.get(offset..))
        .unwrap_or_default();
    let torn = tail
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    if torn > 0 {
        file.write_all_at(&vec![0; torn], offset)
            .map_err(during(Operation::Write))?;
    }
    Ok(torn as u64)
}
