//! Copies of what is in the bucket, of a limited size.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Error, Inner};
use crate::storage::BlobStore as _;

/// A full cache is emptied to this many hundredths of its size: not for each blob again.
const KEPT_PERCENT: u64 = 90;
/// What can't leave yet is looked at again after this time,
const PAUSE: Duration = Duration::from_secs(5);
/// and all of it after this.
const PERIOD: Duration = Duration::from_secs(600);

/// How full the cache is.
pub(super) struct Cache {
    bytes_max: u64,
    /// Counted upwards only, between two looks at what is really there.
    bytes: AtomicU64,
    full: Notify,
}

impl Cache {
    pub fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            bytes: AtomicU64::new(0),
            full: Notify::new(),
        }
    }

    /// Bytes came, or came again.
    pub fn added(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.bytes_max {
            self.full.notify_one();
        }
    }
}

/// Runs until the blobs are given up: makes room whenever there is too little.
pub(super) async fn cache_loop(cache: Arc<Cache>, blobs: Weak<Inner>) {
    while let Some(inner) = blobs.upgrade() {
        match inner.make_room().await {
            Ok(0) => {}
            Ok(removed) => tracing::debug!(removed, "the cache of blobs has room again"),
            Err(error) => tracing::warn!(%error, "the cache of blobs can't be emptied"),
        }
        // Nothing holds the blobs from here on: they may be given up meanwhile.
        drop(inner);
        tokio::time::sleep(PAUSE).await;
        // Told or not: looking is cheap.
        let _ = tokio::time::timeout(PERIOD, cache.full.notified()).await;
    }
}

impl Inner {
    /// Removes what was used longest ago until the cache is small enough; how many blobs went.
    ///
    /// What the bucket is not known to have stays.
    async fn make_room(&self) -> Result<usize, Error> {
        let cache = &self.cache;
        let mut listed = self.local.list().await?;
        let mut bytes: u64 = listed.iter().map(|blob| blob.bytes).sum();
        cache.bytes.store(bytes, Ordering::Relaxed);
        if bytes <= cache.bytes_max {
            return Ok(0);
        }
        let wanted = cache.bytes_max / 100 * KEPT_PERCENT;
        listed.sort_by_key(|blob| std::cmp::Reverse(blob.age));
        let mut removed = 0;
        for blob in listed {
            if bytes <= wanted {
                break;
            }
            let record = self.cluster.state().blob(&blob.id.0).await?;
            if record.is_some_and(|record| record.in_bucket) {
                self.local.remove(blob.id).await?;
                bytes -= blob.bytes;
                removed += 1;
            }
        }
        cache.bytes.store(bytes, Ordering::Relaxed);
        Ok(removed)
    }
}
