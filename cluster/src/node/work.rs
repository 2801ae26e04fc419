//! What a node says of the work that it can take on, and whether it may go on with it.

use std::time::Instant;

use super::cluster::Cluster;
use super::disk::DiskLevel;
use crate::leader::Load;

impl Cluster {
    /// Tells what this node can take on; the leader hears of it with the next report.
    pub fn set_load(&self, load: Load) {
        self.0.core.load.send_if_modified(|known| {
            let load = Load {
                disk: known.disk,
                ..load
            };
            let other = *known != load;
            *known = load;
            other
        });
    }

    /// How much room the node's disk has.
    pub fn disk_level(&self) -> DiskLevel {
        self.0.core.disk.level()
    }

    /// Whether the cluster believes in this life of the node, as far as it can know: a leader said so less
    /// than a lease ago. Without it others may do its work by now.
    pub fn holds_lease(&self) -> bool {
        let core = &self.0.core;
        let confirmed = *core.confirmed.borrow();
        confirmed
            .is_some_and(|at| Instant::now().saturating_duration_since(at) < core.liveness.lease())
    }
}
