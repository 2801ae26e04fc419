//! Where the state is, and how much of it waits in memory.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// What this program makes of commands. A change of it, also of one field of one command, is a level of its own:
/// such a command says so, and is proposed only when all members have told that they know the level. Who does not
/// know it stops instead of making something else of it.
pub const LEVEL: u32 = 1;

/// Where the state is, and how much of it waits in memory.
#[derive(Clone, Debug)]
pub struct StateOptions {
    /// `state/` of the data directory.
    pub directory: PathBuf,
    /// `snapshots/` of the data directory.
    pub snapshots: PathBuf,
    /// Changes that may wait in memory, in bytes; beyond it `apply` waits for the disk.
    pub overlay_bytes_max: usize,
    /// So many bytes of changes are written without waiting for more. While a batch is written sled answers
    /// no reads, so a large one is felt by who writes meanwhile.
    pub merge_bytes: usize,
    /// A change waits at most so long for others to be written with.
    pub merge_delay: Duration,
    /// Commands and states of a higher level are refused.
    pub level: u32,
}

impl StateOptions {
    /// The defaults, for a data directory.
    pub fn new(data_directory: &Path) -> Self {
        Self {
            directory: data_directory.join("state"),
            snapshots: data_directory.join("snapshots"),
            overlay_bytes_max: 64 << 20,
            merge_bytes: 256 << 10,
            // Each batch is a sync beside those of the log; and what is settled meanwhile is never written.
            merge_delay: Duration::from_millis(500),
            level: LEVEL,
        }
    }
}
