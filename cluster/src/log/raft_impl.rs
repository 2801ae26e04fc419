//! What openraft asks of a log, answered by [`LogStore`].

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};

use futures::stream::{self, Stream, StreamExt as _};
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};

use super::LogStore;
use crate::types::{Entry, LogId, TypeConfig, Vote};

/// How much one message to a follower, or one step of `apply`, takes from the log.
const READ_BYTES_MAX: u64 = 4 << 20;

fn half_open(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<R>(&mut self, range: R) -> io::Result<Vec<Entry>>
    where
        R: RangeBounds<u64> + Clone + Debug + Send,
    {
        Ok(self.read(half_open(&range), u64::MAX).await?)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        Ok(self.read(start..end, READ_BYTES_MAX).await?)
    }

    // After a restart the range may be the whole log: it is read piece by piece.
    async fn entries_stream<R>(&mut self, range: R) -> impl Stream<Item = io::Result<Entry>> + Send
    where
        R: RangeBounds<u64> + Clone + Debug + Send,
    {
        let pieces = stream::unfold(
            (self.clone(), half_open(&range)),
            |(log, range)| async move {
                if range.is_empty() {
                    return None;
                }
                let piece = log.read(range.clone(), READ_BYTES_MAX).await;
                let rest = match piece.as_deref() {
                    Ok([.., last]) => last.log_id.index + 1..range.end,
                    _ => range.end..range.end,
                };
                let entries = match piece {
                    Ok(entries) => entries.into_iter().map(Ok).collect(),
                    Err(error) => vec![Err(error.into())],
                };
                Some((stream::iter(entries), (log, rest)))
            },
        );
        Box::pin(pieces.flatten())
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.vote()?)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let (last_purged_log_id, last_log_id) = self.ends()?;
        Ok(LogState {
            last_purged_log_id,
            last_log_id,
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        Ok(Self::save_vote(self, *vote).await?)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        Ok(Self::save_committed(self, committed)?)
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.committed()?)
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries = entries.into_iter().collect();
        Ok(Self::append(self, entries, flushed).await?)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        Ok(Self::truncate_after(self, last).await?)
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        Ok(Self::purge(self, upto)?)
    }
}
