//! What clients asked and were answered, and when.

use std::time::Duration;

/// A call of one client on one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It wrote this value, which nobody else writes.
    Write(u64),
    /// It read this value; none where there was nothing.
    Read(Option<u64>),
}

/// A call that took effect between its start and its end, or may have taken effect at any time after its
/// start.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub name: usize,
    pub action: Action,
    pub start: Duration,
    /// None: nobody knows whether it took effect, or will.
    pub end: Option<Duration>,
}

/// The calls of a run, without those that are known to have done nothing.
#[derive(Clone, Debug, Default)]
pub struct History(pub Vec<Call>);

impl History {
    pub fn of_name(&self, name: usize) -> Vec<Call> {
        let calls = self.0.iter().filter(|call| call.name == name);
        calls.copied().collect()
    }

    pub fn names(&self) -> Vec<usize> {
        let mut names: Vec<_> = self.0.iter().map(|call| call.name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    pub fn acknowledged_writes(&self) -> usize {
        let writes = self
            .0
            .iter()
            .filter(|call| matches!(call.action, Action::Write(_)));
        writes.filter(|call| call.end.is_some()).count()
    }

    /// The longest time without a write that was acknowledged, within a period.
    pub fn longest_silence(&self, from: Duration, to: Duration) -> Duration {
        let mut ends: Vec<_> = self
            .0
            .iter()
            .filter(|call| matches!(call.action, Action::Write(_)))
            .filter_map(|call| call.end)
            .filter(|end| (from..=to).contains(end))
            .chain([from, to])
            .collect();
        ends.sort_unstable();
        let gaps = ends.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap_or_default()
    }
}
