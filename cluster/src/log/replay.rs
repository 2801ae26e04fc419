//! What the records say, one after the other.

use super::format::Record;
use super::index::Index;
use crate::types::{LogId, Vote};

/// Vote, committed index and entries as they are after the records so far.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    pub(super) index: Index,
    /// Entries up to here were in segments that are gone: they must turn out to be purged.
    absent_upto: Option<u64>,
}

/// The record contradicts those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contradiction;

impl Replay {
    /// Takes the next record, which stands at a position.
    pub(super) fn apply(&mut self, position: u64, record: Record) -> Result<(), Contradiction> {
        match record {
            Record::Entry(entry) => self
                .index
                .append(entry.log_id, position)
                .map_err(|_| Contradiction)?,
            Record::Vote(vote) => self.vote = Some(vote),
            Record::Committed(committed) => self.committed = committed,
            Record::TruncateAfter(after) => {
                self.index.truncate_after(after.as_ref());
                self.absent_upto = match (self.absent_upto, &after) {
                    (Some(absent), Some(after)) => Some(absent.min(after.index)),
                    _ => None,
                };
            }
            Record::Purge(upto) => {
                self.index.purge(&upto);
            }
            Record::LogEnd(last) => match self.index.last() {
                Some(known) if *known == last => {}
                Some(_) => return Err(Contradiction),
                None => {
                    self.absent_upto = Some(last.index);
                    self.index.begin_after(last);
                }
            },
        }
        Ok(())
    }

    /// Whether an entry that should be there is in no segment.
    pub(super) fn lacks_entries(&self) -> bool {
        let purged = self.index.purged().map(|purged| purged.index);
        self.absent_upto
            .is_some_and(|absent| purged.is_none_or(|purged| purged < absent))
    }
}
