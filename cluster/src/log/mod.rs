//! Log, vote and committed index, in append-only segments.
//!
//! It keeps what Raft must not forget, and knows nothing of what entries mean. One thread owns the files:
//! it takes all that waits, writes it with one write, syncs with one `fdatasync`, and only then answers.
//! Everything goes through its one queue in order, so nothing is ever durable before what came earlier.
//! Callers see their changes at once, in memory; what isn't in memory any more is read from the files.
//!
//! `format` has the bytes, `recovery` what is done with a directory after a crash and which damage is
//! noticed. A failed write or sync is final: the kernel may have dropped what it could not write, so
//! neither trying again nor reading back tells what is on disk.
//!
//! Why not the crate `raft-log`: a power loss may leave a broken record with an intact one behind it,
//! all of it unacknowledged, and that crate then refuses to open (0.4.6 cuts a tail only at the end of the
//! file or before zeros). It cuts as well where a damaged length points behind the end, even if what
//! follows was acknowledged. And its files grow with each write, so that each sync has to write the length.

mod error;
mod format;
mod index;
mod inspect;
mod memory;
mod metrics;
mod raft_impl;
mod reader;
mod recovery;
mod replay;
mod segment;
mod shared;
mod writer;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use openraft::storage::IOFlushed;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tracing::warn;

pub use self::error::{LogError, OpenError, Operation};
pub use self::format::Record;
pub use self::inspect::{Inspected, Inspection, inspect};
pub use self::metrics::LogMetrics;

use self::memory::{Memory, entry_bytes};
use self::segment::{Directory, at, during};
use self::shared::{Op, Shared, permits};
use self::writer::{Facts, Writer};
use crate::types::{Entry, LogId, TypeConfig, Vote};

/// The largest entry.
pub const ENTRY_BYTES_MAX: u64 = 64 << 20;

/// Where a log is, and how large its parts are.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// The log's own directory, made if need be.
    pub directory: PathBuf,
    /// How large a file is. A batch that is larger gets a file of its own.
    pub segment_bytes: u64,
    /// How much of the newest entries stays in memory.
    pub cache_bytes_max: u64,
}

impl LogOptions {
    /// The defaults.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            segment_bytes: 64 << 20,
            cache_bytes_max: 64 << 20,
        }
    }
}

/// An open log. Clones are handles on the same one; with the last of them it is closed.
#[derive(Clone)]
pub struct LogStore(Arc<Owner>);

/// Ends the writer when nobody is left.
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl LogStore {
    /// Opens a log, or begins one. Reads all of it, so it blocks.
    ///
    /// # Errors
    /// See [`OpenError`]; a log that is damaged is never cut silently, see `recovery`.
    pub fn open(options: LogOptions) -> Result<Self, OpenError> {
        let path = options.directory;
        let directory = Directory::open(&path)?;
        let recovered = recovery::recover(&directory)?;
        if recovered.torn_bytes > 0 {
            warn!(
                directory = %path.display(),
                bytes = recovered.torn_bytes,
                "dropped the torn end of the raft log, which nobody was told of"
            );
        }
        let facts = Facts::from(&recovered.replay);
        let end =
            (recovered.segments.last()).map_or(0, |held| held.header.position(recovered.offset));
        let memory = Memory::new(recovered.replay, end, options.cache_bytes_max);
        let shared = Arc::new(Shared::new(memory));
        let writer = Writer::new(
            shared.clone(),
            directory,
            recovered.segments,
            options.segment_bytes,
            recovered.offset,
            facts,
        )
        .map_err(at(&path))?;
        thread::Builder::new()
            .name("raft-log".to_owned())
            .spawn(|| writer.run())
            .map_err(during(Operation::StartThread))
            .map_err(at(&path))?;
        Ok(Self(Arc::new(Owner(shared))))
    }

    fn shared(&self) -> &Shared {
        &self.0.0
    }

    /// Writes what waits, and returns when the directory is free. All handles are of no more use.
    pub async fn close(&self) {
        self.shared().close();
        self.shared().ended.cancelled().await;
    }

    /// Adds entries. They can be read when this returns; `flushed` is told when they are on disk.
    ///
    /// # Errors
    /// They don't follow, or the log failed or is closed. `flushed` is dropped then.
    pub async fn append(
        &self,
        entries: Vec<Entry>,
        flushed: IOFlushed<TypeConfig>,
    ) -> Result<(), LogError> {
        let mut bytes = 0;
        for entry in &entries {
            let size = entry_bytes(entry);
            if size > ENTRY_BYTES_MAX {
                return Err(LogError::EntryTooLarge {
                    bytes: size,
                    bytes_max: ENTRY_BYTES_MAX,
                });
            }
            bytes += size;
        }
        let permits = permits(bytes);
        self.shared().make_room(permits).await?;
        let mut state = self.shared().lock_open()?;
        if let Err((gap, index)) = state.memory.check_follows(&entries) {
            drop(state);
            self.shared().release(permits as usize);
            return Err(LogError::NotConsecutive {
                expected: gap.expected,
                index,
            });
        }
        state.memory.append(&entries);
        let op = Op::Append {
            entries,
            flushed,
            permits: permits as usize,
        };
        self.shared().push(state, op);
        Ok(())
    }

    /// Changes the vote; it is on disk when this returns.
    ///
    /// # Errors
    /// The log failed or is closed.
    pub async fn save_vote(&self, vote: Vote) -> Result<(), LogError> {
        let (done, saved) = oneshot::channel();
        {
            let mut state = self.shared().lock_open()?;
            state.memory.vote = Some(vote);
            self.shared().push(state, Op::Vote(vote, done));
        }
        saved.await.unwrap_or(Err(LogError::Closed))
    }

    /// Notes which entries are committed. It comes to disk with what is written next, or by itself when
    /// nothing is for a while.
    ///
    /// # Errors
    /// The log failed or is closed.
    pub fn save_committed(&self, committed: Option<LogId>) -> Result<(), LogError> {
        let mut state = self.shared().lock_open()?;
        state.memory.committed = committed;
        self.shared().push_committed(state);
        Ok(())
    }

    /// Drops the entries behind one, or all; that is on disk when this returns.
    ///
    /// # Errors
    /// The log failed or is closed.
    pub async fn truncate_after(&self, after: Option<LogId>) -> Result<(), LogError> {
        let (done, truncated) = oneshot::channel();
        {
            let mut state = self.shared().lock_open()?;
            let Some(last) = state.memory.truncate_after(after.as_ref()) else {
                return Ok(());
            };
            self.shared().push(state, Op::Truncate(last, done));
        }
        truncated.await.unwrap_or(Err(LogError::Closed))
    }

    /// Drops the entries up to one. Files go once that is on disk.
    ///
    /// # Errors
    /// The log failed or is closed.
    pub fn purge(&self, upto: LogId) -> Result<(), LogError> {
        let mut state = self.shared().lock_open()?;
        if state.memory.purge(&upto) {
            self.shared().push(state, Op::Purge(upto));
        }
        Ok(())
    }

    /// The entries of a range that are there: without those that are purged or not yet written. Stops
    /// early at the limit, but never before the first.
    ///
    /// # Errors
    /// The log failed or is closed, or an entry can't be read.
    pub async fn read(&self, range: Range<u64>, bytes_max: u64) -> Result<Vec<Entry>, LogError> {
        let found = self.shared().lock_open()?.memory.find(range, bytes_max);
        if found.on_disk.is_empty() {
            return Ok(found.in_memory);
        }
        let places = found.on_disk;
        let wanted = places.len();
        let read = spawn_blocking(move || reader::read(&places, bytes_max));
        // The task can't panic; it is dropped unfinished only when the runtime ends.
        let mut entries = read.await.map_err(|_| LogError::Closed)??;
        if entries.len() == wanted {
            let mut bytes: u64 = entries.iter().map(entry_bytes).sum();
            let fits = found.in_memory.into_iter().take_while(|entry| {
                bytes = bytes.saturating_add(entry_bytes(entry));
                bytes <= bytes_max
            });
            entries.extend(fits);
        }
        Ok(entries)
    }

    /// The vote.
    ///
    /// # Errors
    /// The log failed or is closed.
    pub fn vote(&self) -> Result<Option<Vote>, LogError> {
        Ok(self.shared().lock_open()?.memory.vote)
    }

    /// Which entries were last noted as committed.
    ///
    /// # Errors
    /// The log failed or is closed.
    pub fn committed(&self) -> Result<Option<LogId>, LogError> {
        Ok(self.shared().lock_open()?.memory.committed)
    }

    /// The last purged entry, and the last entry of all.
    ///
    /// # Errors
    /// The log failed or is closed.
    pub fn ends(&self) -> Result<(Option<LogId>, Option<LogId>), LogError> {
        let state = self.shared().lock_open()?;
        Ok((state.memory.purged().cloned(), state.memory.last().cloned()))
    }

    /// Whether there never was a vote or an entry.
    ///
    /// # Errors
    /// The log failed or is closed.
    pub fn is_empty(&self) -> Result<bool, LogError> {
        let memory = &self.shared().lock_open()?.memory;
        Ok(memory.vote.is_none() && memory.purged().is_none() && memory.last().is_none())
    }

    /// How many bytes of log are behind an entry.
    pub fn bytes_after(&self, index: u64) -> u64 {
        self.shared().lock().memory.bytes_after(index)
    }

    /// How large its files are, with the room that they reserve.
    pub fn disk_bytes(&self) -> u64 {
        self.shared().metrics.disk_bytes()
    }

    /// Its figures.
    pub fn metrics(&self) -> &LogMetrics {
        &self.shared().metrics
    }
}
