//! Which nodes live: they report to the leader, which keeps that in memory and commits only a death.
//!
//! The leader's own clock alone counts, and only durations of it. A new leader has heard nothing yet, so it
//! grants every node a full lease before it declares one dead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::node::DiskLevel;
use crate::proto::NodeRecord;

/// The reports that this node had while it leads. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Liveness {
    lease: Duration,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug, Default)]
struct Heard {
    // The term of the leadership that the reports belong to.
    term: u64,
    since: Option<Instant>,
    last: HashMap<(u64, u64), Report>,
}

#[derive(Clone, Copy, Debug)]
struct Report {
    at: Instant,
    load: Load,
}

/// What a node can take on, as it said last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// How many tasks it runs at once; 0 = it takes none now.
    pub task_slots: u32,
    /// What it runs and has waiting, tasks among it.
    pub runs: u32,
    /// How much room its disk has; the node itself knows.
    pub disk: DiskLevel,
}

impl Liveness {
    /// With that lease.
    pub fn new(lease: Duration) -> Self {
        Self {
            lease,
            heard: Arc::default(),
        }
    }

    /// The lease.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// A life of a node reported.
    pub fn report(&self, node: u64, incarnation: u64, load: Load, now: Instant) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard
            .last
            .insert((node, incarnation), Report { at: now, load });
    }

    /// What a life of a node said last, unless that is too long ago.
    pub fn load(&self, node: u64, incarnation: u64, now: Instant) -> Option<Load> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let report = heard.last.get(&(node, incarnation))?;
        let fresh = now.saturating_duration_since(report.at) < self.lease / 2;
        fresh.then_some(report.load)
    }

    /// As the leader of a term: the lives that are over, of those that the state believes in.
    pub fn expired(
        &self,
        term: u64,
        records: &[NodeRecord],
        own: u64,
        now: Instant,
    ) -> Vec<(u64, u64)> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.term != term || heard.since.is_none() {
            *heard = Heard {
                term,
                since: Some(now),
                last: HashMap::new(),
            };
        }
        let begun = heard.since.expect("just set");
        let alive = records.iter().filter(|record| record.alive);
        let lives: Vec<_> = alive
            .map(|record| (record.id, record.incarnation))
            .collect();
        heard.last.retain(|life, _| lives.contains(life));
        let silent = |life: &(u64, u64)| {
            let last = heard.last.get(life).map_or(begun, |report| report.at);
            now.saturating_duration_since(last) >= self.lease
        };
        let others = lives.into_iter().filter(|(node, _)| *node != own);
        others.filter(silent).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(5);

    fn record(id: u64, incarnation: u64) -> NodeRecord {
        NodeRecord {
            id,
            incarnation,
            alive: true,
            ..NodeRecord::default()
        }
    }

    #[test]
    fn a_silent_life_ends_after_the_lease_and_another_one_of_the_node_does_not() {
        let liveness = Liveness::new(LEASE);
        let records = [record(1, 10), record(2, 20), record(3, 30)];
        let start = Instant::now();
        assert!(liveness.expired(7, &records, 1, start).is_empty());
        let later = start + LEASE / 2;
        liveness.report(2, 20, Load::default(), later);
        // Node 3 reports with a life that the state does not know: the one that it knows is silent.
        liveness.report(3, 31, Load::default(), later);
        assert_eq!(liveness.expired(7, &records, 1, start + LEASE), [(3, 30)]);
        assert_eq!(
            liveness.expired(7, &records, 1, later + LEASE),
            [(2, 20), (3, 30)]
        );
    }

    #[test]
    fn a_new_leader_grants_a_full_lease() {
        let liveness = Liveness::new(LEASE);
        let records = [record(1, 10), record(2, 20)];
        let start = Instant::now();
        assert!(liveness.expired(7, &records, 1, start).is_empty());
        // Another node led in between; what was heard before says nothing now.
        let again = start + LEASE * 10;
        assert!(liveness.expired(9, &records, 1, again).is_empty());
        assert_eq!(liveness.expired(9, &records, 1, again + LEASE), [(2, 20)]);
    }

    #[test]
    fn what_a_node_can_take_on_is_forgotten_before_the_node_is() {
        let liveness = Liveness::new(LEASE);
        let load = Load {
            task_slots: 3,
            runs: 1,
            disk: DiskLevel::Low,
        };
        let start = Instant::now();
        liveness.report(2, 20, load, start);
        assert_eq!(liveness.load(2, 20, start + LEASE / 4), Some(load));
        assert_eq!(liveness.load(2, 21, start), None);
        // The leader looks for the dead, and knows of itself what it said.
        let records = [record(1, 10), record(2, 20)];
        liveness.expired(7, &records, 1, start);
        liveness.report(1, 10, load, start);
        liveness.expired(7, &records, 1, start);
        assert_eq!(liveness.load(1, 10, start), Some(load));
        liveness.report(2, 20, load, start);
        assert_eq!(liveness.load(2, 20, start + LEASE / 2), None);
    }

    #[test]
    fn the_dead_and_the_leader_itself_are_not_declared_dead() {
        let liveness = Liveness::new(LEASE);
        let mut dead = record(2, 20);
        dead.alive = false;
        let records = [record(1, 10), dead];
        let start = Instant::now();
        assert!(liveness.expired(7, &records, 1, start).is_empty());
        assert!(
            liveness
                .expired(7, &records, 1, start + LEASE * 2)
                .is_empty()
        );
    }
}
