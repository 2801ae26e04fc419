//! The thread that owns the files: takes what waits, writes it at once, syncs once, answers in order.

use std::collections::VecDeque;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Instant;

use openraft::storage::IOFlushed;
use tracing::error;

use super::error::LogError;
use super::error::Operation;
use super::format::{BATCH_HEADER_BYTES, BatchEncoder, SegmentHeader};
use super::recovery::Held;
use super::replay::Replay;
use super::segment::{Directory, Failure, during};
use super::shared::{Done, Op, Shared, Work};
use crate::types::{LogId, TypeConfig, Vote};

/// A longer batch is cut: memory stays bounded, and the first callers aren't kept waiting.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// So much is written with zeros ahead of the log. Room that was only reserved costs each sync a commit of
/// the file system; over zeros a sync takes half the time.
const ZERO_AHEAD_BYTES: u64 = 256 << 10;

/// What a segment begins with.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    last: Option<LogId>,
}

impl From<&Replay> for Facts {
    fn from(replay: &Replay) -> Self {
        Self {
            vote: replay.vote,
            committed: replay.committed,
            purged: replay.index.purged().cloned(),
            last: replay.index.last().cloned(),
        }
    }
}

/// Who waits for the batch.
enum Ack {
    Flushed(IOFlushed<TypeConfig>),
    Done(Done),
}

impl Ack {
    fn send(self, result: Result<(), LogError>) {
        match self {
            Self::Flushed(flushed) => flushed.io_completed(result.map_err(Into::into)),
            // A caller who went away needs no answer.
            Self::Done(done) => drop(done.send(result)),
        }
    }
}

/// What a batch does to the readers' view once it is written.
enum Step {
    Entry { index: u64, offset: u64 },
    Truncated,
}

/// The state of the thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    directory: Directory,
    /// Oldest first; the last one is written to.
    segments: VecDeque<Held>,
    segment_bytes: u64,
    /// Where the next batch goes.
    offset: u64,
    /// Up to where the file is known to have been written with zeros.
    zeroed: u64,
    /// Everything before this position is on disk for certain.
    synced: u64,
    /// As of the last batch that is written, and with the one that is being built.
    written: Facts,
    building: Facts,
    encoder: BatchEncoder,
    steps: Vec<Step>,
    acks: Vec<Ack>,
    permits: usize,
    purged: bool,
}

/// Whether a batch must be on disk before the next step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sync {
    Now,
    WithNext,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        directory: Directory,
        segments: Vec<Held>,
        segment_bytes: u64,
        offset: u64,
        facts: Facts,
    ) -> Result<Self, Failure> {
        let mut writer = Self {
            shared,
            directory,
            segments: VecDeque::new(),
            segment_bytes,
            offset,
            zeroed: offset,
            synced: 0,
            building: facts.clone(),
            written: facts,
            encoder: BatchEncoder::new(),
            steps: Vec::new(),
            acks: Vec::new(),
            permits: 0,
            purged: false,
        };
        if segments.is_empty() {
            writer.begin_segment(0)?;
        } else {
            let mut state = writer.shared.lock();
            for held in &segments {
                state.memory.begin_segment(held);
            }
            drop(state);
            writer.segments = segments.into();
            writer.synced = writer.position();
        }
        writer.measure();
        Ok(writer)
    }

    /// The position of the next batch.
    pub(super) fn position(&self) -> u64 {
        self.segments
            .back()
            .map_or(0, |held| held.header.position(self.offset))
    }

    /// Works until the log is closed or fails.
    pub(super) fn run(mut self) {
        let shared = self.shared.clone();
        if let Err((operation, source)) = self.work() {
            error!(%operation, error = %source, "the raft log failed");
            let failed = LogError::Failed {
                operation,
                source: Arc::new(source),
            };
            let queued = shared.fail(&failed);
            let acks = std::mem::take(&mut self.acks);
            acks.into_iter()
                .chain(queued.into_iter().filter_map(Op::into_ack))
                .for_each(|ack| ack.send(Err(failed.clone())));
        }
        // The lock on the directory goes with it.
        drop(self);
        shared.ended.cancel();
    }

    fn work(&mut self) -> Result<(), Failure> {
        let mut taken = Vec::new();
        loop {
            // A batch that no later one vouches for: leave a mark as soon as there is time.
            let vouched = self.synced != self.position();
            let work = self.shared.next(&mut taken, !vouched);
            let (committed, sync) = match work {
                Work::Write(committed) => (committed, Sync::Now),
                Work::Idle(committed) if committed.is_none() && vouched => continue,
                Work::Idle(committed) => (committed, Sync::WithNext),
                Work::Stop(committed) => {
                    self.committed(committed);
                    return self.flush(Sync::Now);
                }
            };
            let mut ops = taken.drain(..);
            while let Some(op) = ops.next() {
                if let Err(failure) = self.add(op) {
                    // Those behind it get the same answer.
                    self.acks.extend(ops.filter_map(Op::into_ack));
                    return Err(failure);
                }
            }
            drop(ops);
            self.committed(committed);
            self.flush(sync)?;
        }
    }

    fn committed(&mut self, committed: Option<Option<LogId>>) {
        if let Some(committed) = committed {
            self.encoder.committed(committed.as_ref());
            self.building.committed = committed;
        }
    }

    fn add(&mut self, op: Op) -> Result<(), Failure> {
        match op {
            Op::Append {
                entries,
                flushed,
                permits,
            } => {
                for entry in &entries {
                    if self.encoder.len() >= BATCH_BYTES_MAX
                        && let Err(failure) = self.flush(Sync::Now)
                    {
                        self.acks.push(Ack::Flushed(flushed));
                        return Err(failure);
                    }
                    let offset = self.encoder.entry(entry);
                    let index = entry.log_id.index;
                    self.steps.push(Step::Entry { index, offset });
                }
                if let Some(entry) = entries.last() {
                    self.building.last = Some(entry.log_id);
                }
                self.permits += permits;
                self.acks.push(Ack::Flushed(flushed));
            }
            Op::Vote(vote, done) => {
                self.encoder.vote(&vote);
                self.building.vote = Some(vote);
                self.acks.push(Ack::Done(done));
            }
            Op::Truncate(last, done) => {
                self.encoder.truncate_after(last.as_ref());
                self.building.last = last;
                self.steps.push(Step::Truncated);
                self.acks.push(Ack::Done(done));
            }
            Op::Purge(upto) => {
                self.encoder.purge(&upto);
                if (self.building.last.as_ref()).is_none_or(|last| last.index < upto.index) {
                    self.building.last = Some(upto);
                }
                self.building.purged = Some(upto);
                self.purged = true;
            }
        }
        Ok(())
    }

    /// Writes the batch that was built, and tells everybody.
    fn flush(&mut self, sync: Sync) -> Result<(), Failure> {
        let bytes = self.encoder.len() as u64;
        let room = self.segments.back().map_or(0, |held| held.file_bytes);
        if self.offset + bytes + BATCH_HEADER_BYTES as u64 > room {
            self.begin_segment(bytes)?;
        }
        let position = self.position();
        let held = self.segments.back_mut().expect("there is always a segment");
        let batch_bytes = self
            .encoder
            .finish(held.header.salt, position, self.synced)
            .len();
        let end = self.offset + batch_bytes as u64;
        if end > self.zeroed {
            self.zeroed = (end + ZERO_AHEAD_BYTES).min(held.file_bytes);
            let zeros = usize::try_from(self.zeroed - end).expect("the zeros are a small piece");
            self.encoder.pad(zeros);
        }
        held.file
            .write_all_at(self.encoder.bytes(), self.offset)
            .map_err(during(Operation::Write))?;
        let file = held.file.clone();
        let entries = self.steps.iter().filter_map(|step| match step {
            Step::Entry { index, .. } => Some(*index),
            Step::Truncated => None,
        });
        held.entries_upto = held.entries_upto.max(entries.max());
        self.offset = end;
        self.written = self.building.clone();
        if sync == Sync::Now {
            let began = Instant::now();
            file.sync_data().map_err(during(Operation::Sync))?;
            self.shared.metrics.synced(began.elapsed());
            self.synced = self.position();
            for ack in self.acks.drain(..) {
                ack.send(Ok(()));
            }
        }
        self.shared.metrics.wrote(self.steps.len(), batch_bytes);
        self.publish(position);
        self.encoder.clear();
        self.shared.release(std::mem::take(&mut self.permits));
        if std::mem::take(&mut self.purged) {
            self.remove_purged()?;
        }
        Ok(())
    }

    fn publish(&mut self, position: u64) {
        let end = self.position();
        let mut state = self.shared.lock();
        for step in self.steps.drain(..) {
            match step {
                Step::Entry { index, offset } => state.memory.wrote_entry(index, position + offset),
                Step::Truncated => state.memory.wrote_truncation(),
            }
        }
        state.memory.wrote_batch(end);
    }

    /// Goes on in a new file. It begins with what the files before it said.
    fn begin_segment(&mut self, batch_bytes: u64) -> Result<(), Failure> {
        let base = self.position();
        if let Some(held) = self.segments.back()
            && self.synced != base
        {
            held.file.sync_data().map_err(during(Operation::Sync))?;
        }
        let sequence = match self.segments.back() {
            Some(held) => held.header.sequence + 1,
            None => 1,
        };
        let mut salt = [0; 8];
        getrandom::fill(&mut salt).expect("the kernel has randomness once it runs programs");
        let salt = u64::from_le_bytes(salt);
        let header = SegmentHeader {
            sequence,
            base,
            salt,
        };
        let mut facts = BatchEncoder::new();
        if let Some(last) = &self.written.last {
            facts.log_end(last);
        }
        if let Some(purged) = &self.written.purged {
            facts.purge(purged);
        }
        if let Some(vote) = &self.written.vote {
            facts.vote(vote);
        }
        if self.written.committed.is_some() {
            facts.committed(self.written.committed.as_ref());
        }
        let mut start = header.encode().to_vec();
        start.extend_from_slice(facts.finish(salt, base, base));
        let offset = start.len() as u64;
        // The batch that waits must fit, however small segments are.
        let least = offset + batch_bytes + 2 * BATCH_HEADER_BYTES as u64;
        let file_bytes = self.segment_bytes.max(least);
        let file = self.directory.create(&header, &start, file_bytes)?;
        let held = Held {
            header,
            file,
            file_bytes,
            entries_upto: None,
        };
        self.offset = offset;
        self.zeroed = offset;
        self.shared.lock().memory.begin_segment(&held);
        self.segments.push_back(held);
        self.synced = self.position();
        self.measure();
        Ok(())
    }

    /// Removes segments of which every entry is purged. The purge itself is on disk by now.
    fn remove_purged(&mut self) -> Result<(), Failure> {
        let purged = self.written.purged.as_ref().map(|purged| purged.index);
        let mut removed = false;
        while self.segments.len() > 1 && self.segments[0].entries_upto <= purged {
            let held = self.segments.pop_front().expect("there are two at least");
            self.shared
                .lock()
                .memory
                .drop_segments_before(held.header.sequence + 1);
            self.directory.remove(held.header.sequence)?;
            removed = true;
        }
        if removed {
            self.directory.sync()?;
            self.measure();
        }
        Ok(())
    }

    fn measure(&self) {
        let bytes = self.segments.iter().map(|held| held.file_bytes).sum();
        self.shared.metrics.on_disk(bytes);
    }
}

impl Op {
    fn into_ack(self) -> Option<Ack> {
        match self {
            Self::Append { flushed, .. } => Some(Ack::Flushed(flushed)),
            Self::Vote(_, done) | Self::Truncate(_, done) => Some(Ack::Done(done)),
            Self::Purge(_) => None,
        }
    }
}
