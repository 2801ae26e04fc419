//! Which entries there are, and where each stands.

use std::collections::VecDeque;

use crate::types::{LeaderId, LogId};

/// The bounds of the log and the position of each of its entries: 8 bytes for each.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    purged: Option<LogId>,
    last: Option<LogId>,
    /// The index of the first of `places`, or of the next one to come.
    first: u64,
    places: VecDeque<u64>,
    leaders: LeaderRuns,
}

/// An entry that doesn't follow the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) expected: u64,
}

impl Index {
    pub(super) fn purged(&self) -> Option<&LogId> {
        self.purged.as_ref()
    }

    /// The last entry, or the last that was purged.
    pub(super) fn last(&self) -> Option<&LogId> {
        self.last.as_ref()
    }

    /// The index of the first entry that is there, or would be.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// One more than the index of the last entry that is there.
    pub(super) fn end(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    /// Where an entry stands.
    pub(super) fn place(&self, index: u64) -> Option<u64> {
        let nth = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.places.get(nth).copied()
    }

    /// Sets where an entry stands; ignored when it isn't there any more.
    pub(super) fn set_place(&mut self, index: u64, place: u64) {
        let nth = index
            .checked_sub(self.first)
            .and_then(|nth| usize::try_from(nth).ok());
        if let Some(slot) = nth.and_then(|nth| self.places.get_mut(nth)) {
            *slot = place;
        }
    }

    /// Adds an entry. An empty log that was never purged takes any index.
    pub(super) fn append(&mut self, log_id: LogId, place: u64) -> Result<(), Gap> {
        match &self.last {
            Some(last) if log_id.index != last.index + 1 => {
                return Err(Gap {
                    expected: last.index + 1,
                });
            }
            _ if self.places.is_empty() => self.first = log_id.index,
            _ => {}
        }
        self.leaders.push(log_id.index, log_id.leader_id);
        self.places.push_back(place);
        self.last = Some(log_id);
        Ok(())
    }

    /// Drops the entries behind one, all without it. Tells the last entry now, if anything changed.
    pub(super) fn truncate_after(&mut self, after: Option<&LogId>) -> Option<Option<LogId>> {
        let last = self.last.as_ref()?;
        if after.is_some_and(|after| after.index >= last.index) {
            return None;
        }
        let keep = after.map_or(0, |after| after.index + 1);
        let kept = usize::try_from(keep.saturating_sub(self.first))
            .unwrap_or(usize::MAX)
            .min(self.places.len());
        self.places.truncate(kept);
        let leader = after.and_then(|after| self.leaders.get(after.index));
        self.leaders.truncate(keep);
        let last = after.map(|after| LogId {
            // Replayed from the middle, the log may not know who led then.
            leader_id: leader.unwrap_or(after.leader_id),
            index: after.index,
        });
        let purged = self.purged;
        self.last = match (last, purged) {
            (Some(last), Some(purged)) if last.index <= purged.index => Some(purged),
            (None, purged) => purged,
            (last, _) => last,
        };
        Some(self.last)
    }

    /// Drops the entries up to one. Tells whether anything changed.
    pub(super) fn purge(&mut self, upto: &LogId) -> bool {
        if (self.purged.as_ref()).is_some_and(|purged| purged.index >= upto.index) {
            return false;
        }
        let next = upto.index + 1;
        let gone = usize::try_from(next.saturating_sub(self.first))
            .unwrap_or(usize::MAX)
            .min(self.places.len());
        self.places.drain(..gone);
        self.leaders.purge(next);
        self.first = if self.places.is_empty() {
            next
        } else {
            self.first.max(next)
        };
        if (self.last.as_ref()).is_none_or(|last| last.index < upto.index) {
            self.leaders = LeaderRuns::default();
            self.last = Some(*upto);
        }
        self.purged = Some(*upto);
        true
    }

    /// Starts a log of which the beginning isn't there.
    pub(super) fn begin_after(&mut self, last: LogId) {
        self.first = last.index + 1;
        self.last = Some(last);
    }
}

/// Who led from which index on.
#[derive(Clone, Debug, Default)]
struct LeaderRuns(VecDeque<(u64, LeaderId)>);

impl LeaderRuns {
    fn push(&mut self, index: u64, leader: LeaderId) {
        if self.0.back().is_none_or(|(_, last)| *last != leader) {
            self.0.push_back((index, leader));
        }
    }

    fn get(&self, index: u64) -> Option<LeaderId> {
        let behind = self.0.partition_point(|(first, _)| *first <= index);
        Some(self.0.get(behind.checked_sub(1)?)?.1)
    }

    fn truncate(&mut self, end: u64) {
        let kept = self.0.partition_point(|(first, _)| *first < end);
        self.0.truncate(kept);
    }

    fn purge(&mut self, next: u64) {
        while self.0.get(1).is_some_and(|(first, _)| *first <= next) {
            self.0.pop_front();
        }
    }
}
