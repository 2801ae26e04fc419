//! The times and bounds that openraft runs with, and why they are where they are.

use std::sync::Arc;

use openraft::{Config, SnapshotPolicy};

/// Shortest heartbeat, in milliseconds. openraft looks at its clock some five times in each.
pub const HEARTBEAT_MS_MIN: u64 = 10;
/// Longest time until an election, in milliseconds.
pub const ELECTION_MS_MAX: u64 = 60_000;

/// Most entries of one append. Values are at most 64 KiB, so that it fits into a message; the network
/// cuts what is larger still.
const APPEND_ENTRIES_MAX: u64 = 256;
/// Most entries of one write to the log, and most proposals that are taken together: one group commit.
const BATCH_ENTRIES_MAX: u64 = 1024;
/// What waits for openraft's own loop. Whoever proposes bounds what is under way well below it.
const CHANNEL_SIZE: u64 = 8192;
/// Entries behind a snapshot that stay in the log, so that a follower which was away for a moment needs
/// no snapshot: at some 300 bytes they are 3 MB and a few seconds of the highest load.
const LOG_KEPT_ENTRIES: u64 = 10_000;
/// A learner this close to the leader counts as caught up.
const CAUGHT_UP_ENTRIES: u64 = 1_000;
/// A snapshot's transfer ends when nothing moved for so long, however long it takes as a whole.
const SNAPSHOT_IDLE_TIMEOUT_MS: u64 = 10_000;
/// Between two attempts to reach a follower that can't be reached. It is found again within half a
/// second of its return.
const BACKOFF: &str = "50ms 100ms 200ms ...500ms";

/// How fast a dead leader is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaftTimings {
    /// The leader tells that it lives so often, in milliseconds.
    pub heartbeat_ms: u64,
    /// A follower waits between this and
    pub election_min_ms: u64,
    /// this long, chosen at random, after the leader's lease has ended, before it wants to lead. The
    /// lease is as long as this.
    pub election_max_ms: u64,
}

impl Default for RaftTimings {
    /// A dead leader is replaced after 0.9 to 1.2 s: the lease and then the wait.
    fn default() -> Self {
        Self {
            heartbeat_ms: 100,
            election_min_ms: 300,
            election_max_ms: 600,
        }
    }
}

/// The times don't fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimingsError {
    /// The clock that openraft goes by is not finer.
    #[error("a heartbeat of {heartbeat_ms} ms is shorter than {HEARTBEAT_MS_MIN} ms")]
    HeartbeatTooShort {
        /// What was given.
        heartbeat_ms: u64,
    },
    /// One lost heartbeat must not cost an election.
    #[error(
        "the election timeout of {election_min_ms} ms is less than twice the heartbeat of \
         {heartbeat_ms} ms"
    )]
    ElectionTooShort {
        /// The least time until an election.
        election_min_ms: u64,
        /// The heartbeat.
        heartbeat_ms: u64,
    },
    /// Without room between them all followers want to lead at the same time.
    #[error(
        "the longest election timeout, {election_max_ms} ms, must be at least 1.5 times the \
         shortest, {election_min_ms} ms"
    )]
    NoSpread {
        /// The shortest.
        election_min_ms: u64,
        /// The longest.
        election_max_ms: u64,
    },
    /// A cluster without a leader for minutes is none.
    #[error("an election timeout of {election_max_ms} ms is over {ELECTION_MS_MAX} ms")]
    ElectionTooLong {
        /// What was given.
        election_max_ms: u64,
    },
}

impl RaftTimings {
    /// Checks that they fit together.
    ///
    /// # Errors
    /// The first one that doesn't.
    pub fn validate(self) -> Result<Self, TimingsError> {
        let Self {
            heartbeat_ms,
            election_min_ms,
            election_max_ms,
        } = self;
        if heartbeat_ms < HEARTBEAT_MS_MIN {
            return Err(TimingsError::HeartbeatTooShort { heartbeat_ms });
        }
        if election_max_ms > ELECTION_MS_MAX {
            return Err(TimingsError::ElectionTooLong { election_max_ms });
        }
        if election_min_ms / 2 < heartbeat_ms {
            return Err(TimingsError::ElectionTooShort {
                election_min_ms,
                heartbeat_ms,
            });
        }
        if election_max_ms.saturating_mul(2) < election_min_ms.saturating_mul(3) {
            return Err(TimingsError::NoSpread {
                election_min_ms,
                election_max_ms,
            });
        }
        Ok(self)
    }

    /// openraft's configuration.
    ///
    /// # Errors
    /// The times don't fit together.
    pub fn config(self) -> Result<Arc<Config>, TimingsError> {
        let timings = self.validate()?;
        let config = Config {
            cluster_name: "mcp-v8".to_owned(),
            heartbeat_interval: timings.heartbeat_ms,
            election_timeout_min: timings.election_min_ms,
            election_timeout_max: timings.election_max_ms,
            // A node that was cut off must not depose the leader when it comes back.
            enable_pre_vote: Some(true),
            // `state` decides by size, which openraft doesn't know.
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: LOG_KEPT_ENTRIES,
            replication_lag_threshold: CAUGHT_UP_ENTRIES,
            install_snapshot_timeout: SNAPSHOT_IDLE_TIMEOUT_MS,
            max_payload_entries: APPEND_ENTRIES_MAX,
            max_append_entries: Some(BATCH_ENTRIES_MAX),
            api_batch_capacity: BATCH_ENTRIES_MAX,
            // Waiting for company costs a lone writer its latency; under load the queue fills by itself.
            api_batch_linger_ms: 0,
            api_channel_size: Some(CHANNEL_SIZE),
            notification_channel_size: Some(CHANNEL_SIZE),
            backoff: BACKOFF.to_owned(),
            // A leader that restarts would lead on at once, and answer reads by the committed index it
            // has read from disk, which may be older than what it acknowledged. An election is safe.
            enable_leader_restore: Some(false),
            // A follower whose log went backwards has lost data: never paper over that.
            allow_log_reversion: Some(false),
            ..Config::default()
        };
        let config = config
            .validate()
            .expect("our rules for the times are stricter than openraft's");
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timings(heartbeat_ms: u64, election_min_ms: u64, election_max_ms: u64) -> RaftTimings {
        RaftTimings {
            heartbeat_ms,
            election_min_ms,
            election_max_ms,
        }
    }

    #[test]
    fn what_we_accept_openraft_accepts() {
        for fitting in [
            RaftTimings::default(),
            timings(10, 20, 30),
            timings(100, 1000, 2000),
            timings(20_000, 40_000, 60_000),
        ] {
            let config = fitting.config().unwrap();
            assert_eq!(config.heartbeat_interval, fitting.heartbeat_ms);
            assert_eq!(config.enable_pre_vote, Some(true));
        }
    }

    #[test]
    fn times_that_lose_leaders_are_refused() {
        let refused = |timings: RaftTimings| timings.config().unwrap_err();
        assert!(matches!(
            refused(timings(0, 300, 600)),
            TimingsError::HeartbeatTooShort { .. }
        ));
        assert!(matches!(
            refused(timings(200, 300, 600)),
            TimingsError::ElectionTooShort { .. }
        ));
        assert!(matches!(
            refused(timings(100, 600, 600)),
            TimingsError::NoSpread { .. }
        ));
        assert!(matches!(
            refused(timings(100, 300, u64::MAX)),
            TimingsError::ElectionTooLong { .. }
        ));
        assert!(matches!(
            refused(timings(u64::MAX, u64::MAX, 600)),
            TimingsError::ElectionTooShort { .. }
        ));
    }
}
