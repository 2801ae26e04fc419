//! The server from outside: memory, descriptors, processes.

use std::fmt;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Connection, Target};
use crate::error::LoadError;
use crate::proc::{descriptors, rss_kb, tree_count};

/// How often the wait for quiet looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Looks in a row that must be alike for the server to be called quiet.
const ALIKE: usize = 5;

/// What was seen at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Resident memory of the node.
    pub node_kb: u64,
    /// Resident memory of the zygote; zero while there is none.
    pub zygote_kb: u64,
    /// The zygote's process; none between the death of one and the start of the next.
    pub zygote_pid: Option<u32>,
    /// How many zygotes there have been.
    pub zygote_starts: u64,
    /// Open descriptors of the node.
    pub descriptors: usize,
    /// The node and all that descend from it.
    pub processes: usize,
    /// Those among them that have ended and were not reaped.
    pub zombies: usize,
    /// Runs that wait or run.
    pub unfinished: u64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "node {} KiB, zygote {} KiB (process {}), {} descriptors, {} processes, {} zombies, \
             {} unfinished runs",
            self.node_kb,
            self.zygote_kb,
            self.zygote_pid.unwrap_or(0),
            self.descriptors,
            self.processes,
            self.zombies,
            self.unfinished,
        )
    }
}

/// Looks at a server through a connection that stays open, so that it counts in every sample.
#[derive(Debug)]
pub struct Watch {
    health: Connection,
    node_pid: u32,
}

impl Watch {
    /// Connects.
    pub async fn new(health: Target, node_pid: u32) -> Result<Self, LoadError> {
        Ok(Self {
            health: Connection::open(&health).await?,
            node_pid,
        })
    }

    /// Looks once.
    pub async fn sample(&mut self) -> Result<Sample, LoadError> {
        let answer = self.health.get().await?;
        let report: Value = serde_json::from_slice(&answer.body)?;
        let executions = &report["executions"];
        let number = |field| {
            executions[field]
                .as_u64()
                .ok_or(LoadError::Health { field })
        };
        let zygote_pid = executions["zygote_pid"].as_u64().map(|pid| pid as u32);
        let (processes, zombies) = tree_count(self.node_pid);
        Ok(Sample {
            node_kb: rss_kb(self.node_pid).unwrap_or(0),
            zygote_kb: zygote_pid.and_then(rss_kb).unwrap_or(0),
            zygote_pid,
            zygote_starts: number("zygote_starts")?,
            descriptors: descriptors(self.node_pid).unwrap_or(0),
            processes,
            zombies,
            unfinished: number("running")? + number("queued")?,
        })
    }

    /// Waits until nothing runs and counts stand still, at the level of `before` where there is
    /// one; past the limit it tells what it sees, whatever that is.
    pub async fn quiet(
        &mut self,
        before: Option<Sample>,
        limit: Duration,
    ) -> Result<Sample, LoadError> {
        let until = Instant::now() + limit;
        let mut last = self.sample().await?;
        let mut alike = 0;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.sample().await?;
            let counts = |sample: &Sample| (sample.descriptors, sample.processes);
            let back = before.is_none_or(|before| {
                now.descriptors <= before.descriptors && now.processes <= before.processes
            });
            let still = counts(&now) == counts(&last) && now.unfinished == 0 && now.zombies == 0;
            alike = if still && back { alike + 1 } else { 0 };
            last = now;
            if alike >= ALIKE || Instant::now() >= until {
                return Ok(now);
            }
        }
    }
}
