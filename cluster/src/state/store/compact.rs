//! Giving room back to the disk.
//!
//! sled uses again what rows leave behind, and gives back only what is free at the end of its file. So all rows are written into a new
//! database, which is put in force as one from a snapshot is; what is applied meanwhile waits in memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Store, StoreError, write};
use crate::state::table::HEADER_KEY;

/// What a compaction has done to the size on disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// It was so large.
    pub before_bytes: u64,
    /// It is so large.
    pub after_bytes: u64,
}

impl Store {
    /// Writes all rows anew. It needs room for them beside what there is.
    pub fn compact(self: &Arc<Self>) -> Result<Compacted, StoreError> {
        let _replacing = self.replacing();
        let paused = self.pause()?;
        let (number, base) = self.next_base()?;
        for row in paused.base.rows() {
            let (key, value) = row?;
            // One by one, as `fill` does, for the same reason.
            base.put(&key, &value)?;
        }
        base.put(&HEADER_KEY, &paused.header.encode())?;
        base.sync()?;
        base.require_no_blobs()?;
        self.directory.switch(number)?;
        base.keep();
        let compacted = Compacted {
            before_bytes: paused.base.bytes()?,
            after_bytes: base.bytes()?,
        };
        self.disk_bytes
            .store(compacted.after_bytes, Ordering::Relaxed);
        let old = std::mem::replace(&mut write(&self.layers).base, Arc::new(base));
        old.retire();
        Ok(compacted)
    }
}
