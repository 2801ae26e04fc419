//! Reading the state, on any number of threads.

mod tasks;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use prost::Message;
use tokio::sync::watch;

pub use self::tasks::LiveTask;
use super::hash::StateHash;
use super::machine::blocking;
use super::snapshot;
use super::snapshot_file::SnapshotFile;
use super::store::{Compacted, Store, StoreError};
use super::table::{self, Table};
use crate::proto::{
    BlobRecord, CommitRecord, EngineRecord, IdempotencyRecord, ImageRecord, NodeRecord,
    SessionRecord, SettingRecord, TagRecord,
};
use crate::types::{LogId, StoredMembership};

/// The most rows of one page.
pub const PAGE_ROWS_MAX: usize = 1000;

/// What the one that applies and all that read have in common.
pub(super) struct Shared {
    pub store: Arc<Store>,
    pub applied: watch::Sender<Option<LogId>>,
    /// All records of nodes: few, and needed where nobody may wait for the disk.
    pub nodes: watch::Sender<Arc<BTreeMap<u64, NodeRecord>>>,
    /// Another number whenever a task has changed.
    pub tasks: watch::Sender<u64>,
}

/// Reads this node's own state, which may lag behind the cluster's. Cheap to clone.
#[derive(Clone)]
pub struct StateReader(Arc<Shared>);

/// Some rows in the order of their keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// More follow.
    pub more: bool,
}

impl StateReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// The last entry that was applied.
    pub fn applied(&self) -> Option<LogId> {
        *self.0.applied.borrow()
    }

    /// The last entry whose effect is on disk.
    pub fn synced(&self) -> Option<LogId> {
        self.0.store.synced().0
    }

    /// The members as of the last entry.
    pub fn membership(&self) -> StoredMembership {
        self.0.store.membership()
    }

    /// Waits until an entry is applied; false when that does not happen in time.
    pub async fn wait_applied(&self, index: u64, deadline: Instant) -> bool {
        let mut applied = self.0.applied.subscribe();
        let reached = applied.wait_for(|applied| applied.is_some_and(|it| it.index >= index));
        tokio::time::timeout_at(deadline.into(), reached)
            .await
            .is_ok_and(|found| found.is_ok())
    }

    /// The hash after an entry, of the last some thousand.
    pub fn hash_at(&self, index: u64) -> Option<StateHash> {
        self.0.store.hash_at(index)
    }

    /// The hash computed anew from what is on disk, with the index at which that is.
    ///
    /// # Errors
    /// The disk's.
    pub async fn scan_hash(&self) -> Result<(u64, StateHash), StoreError> {
        let store = Arc::clone(&self.0.store);
        blocking(move || store.scan_hash()).await
    }

    /// The id that the next node gets: larger than all there ever were.
    ///
    /// # Errors
    /// The disk's.
    pub async fn next_node(&self) -> Result<u64, StoreError> {
        let key = table::next_node();
        match self.get(key.clone()).await? {
            None => Ok(1),
            Some(value) => u64::decode(value).map_err(|source| StoreError::malformed(&key, source)),
        }
    }

    /// Writes the state as of now into a file, which goes with its last user; and the index at which that is.
    ///
    /// # Errors
    /// The disk's.
    pub async fn export(&self) -> Result<(u64, SnapshotFile), StoreError> {
        let store = Arc::clone(&self.0.store);
        blocking(move || {
            let paused = store.pause()?;
            let file = snapshot::write(&paused, store.snapshots())?;
            Ok((paused.header.last_applied.map_or(0, |it| it.index), file))
        })
        .await
    }

    /// Rows by table.
    pub fn counts(&self) -> BTreeMap<u8, u64> {
        self.0.store.counts()
    }

    /// The size on disk, in bytes, as of the last write.
    pub fn state_bytes(&self) -> u64 {
        self.0.store.disk_bytes()
    }

    /// Brings all that is applied now to disk.
    ///
    /// # Errors
    /// The disk's.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let store = Arc::clone(&self.0.store);
        blocking(move || store.flush()).await
    }

    /// Writes the state anew, without the room that rows have left behind. It needs as much as the rows take
    /// beside what there is.
    ///
    /// # Errors
    /// The disk's; the state is as it was then.
    pub async fn compact(&self) -> Result<Compacted, StoreError> {
        let store = Arc::clone(&self.0.store);
        blocking(move || store.compact()).await
    }

    /// A node's record, from memory.
    pub fn known_node(&self, id: u64) -> Option<NodeRecord> {
        self.0.nodes.borrow().get(&id).cloned()
    }

    /// All records of nodes, from memory.
    pub fn known_nodes(&self) -> Vec<NodeRecord> {
        self.0.nodes.borrow().values().cloned().collect()
    }

    /// Tells when a record of a node has changed.
    pub fn watch_nodes(&self) -> watch::Receiver<Arc<BTreeMap<u64, NodeRecord>>> {
        self.0.nodes.subscribe()
    }

    /// A tag.
    ///
    /// # Errors
    /// The disk's.
    pub async fn tag(&self, name: &str) -> Result<Option<TagRecord>, StoreError> {
        self.record(table::tag(name)).await
    }

    /// Tags whose names begin with a prefix, after one of them, in the order of their names.
    ///
    /// # Errors
    /// The disk's.
    pub async fn tags(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<TagRecord>, StoreError> {
        self.page(table::tag(prefix), after.map(table::tag), limit)
            .await
    }

    /// Tags that point at a heap, after one of them, in the order of their names.
    ///
    /// # Errors
    /// The disk's.
    pub async fn heap_tags(
        &self,
        heap: &[u8],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<TagRecord>, StoreError> {
        let prefix = table::heap_tags(heap);
        let after = after.map(|name| table::heap_tag(heap, name));
        let name_at = prefix.len();
        let tag = move |row: &Bytes, _: &Bytes| Some(Table::Tags.key(&[&row[name_at..]]));
        self.page_by(prefix, after, limit, tag).await
    }

    /// A setting of the cluster.
    ///
    /// # Errors
    /// The disk's.
    pub async fn setting(&self, name: &str) -> Result<Option<SettingRecord>, StoreError> {
        self.record(table::setting(name)).await
    }

    /// Settings of the cluster, in the order of their names.
    ///
    /// # Errors
    /// The disk's.
    pub async fn settings(&self) -> Result<Page<SettingRecord>, StoreError> {
        self.page(table::setting(""), None, PAGE_ROWS_MAX).await
    }

    /// An engine.
    ///
    /// # Errors
    /// The disk's.
    pub async fn engine(&self, id: &[u8]) -> Result<Option<EngineRecord>, StoreError> {
        self.record(table::engine(id)).await
    }

    /// All engines, in the order of their ids.
    ///
    /// # Errors
    /// The disk's.
    pub async fn engines(&self) -> Result<Page<EngineRecord>, StoreError> {
        let prefix = Table::Engines.key(&[]);
        self.page(prefix, None, PAGE_ROWS_MAX).await
    }

    /// A blob's record.
    ///
    /// # Errors
    /// The disk's.
    pub async fn blob(&self, hash: &[u8]) -> Result<Option<BlobRecord>, StoreError> {
        self.record(table::blob(hash)).await
    }

    /// A session, by its id.
    ///
    /// # Errors
    /// The disk's.
    pub async fn session(&self, id: &[u8]) -> Result<Option<SessionRecord>, StoreError> {
        self.record(table::session(id)).await
    }

    /// A session, by its name.
    ///
    /// # Errors
    /// The disk's.
    pub async fn session_by_name(&self, name: &str) -> Result<Option<SessionRecord>, StoreError> {
        match self.get(table::session_name(name)).await? {
            Some(id) => self.session(&id).await,
            None => Ok(None),
        }
    }

    /// Sessions whose names begin with a prefix, after one of them, in the order of their names.
    ///
    /// # Errors
    /// The disk's.
    pub async fn sessions(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<SessionRecord>, StoreError> {
        let (prefix, after) = (table::session_name(prefix), after.map(table::session_name));
        let session = |_: &Bytes, id: &Bytes| Some(table::session(id));
        self.page_by(prefix, after, limit, session).await
    }

    /// What an idempotency key of a scope has made.
    ///
    /// # Errors
    /// The disk's.
    pub async fn idempotency(
        &self,
        principal: &str,
        scope: &[u8],
        key: &str,
    ) -> Result<Option<IdempotencyRecord>, StoreError> {
        self.record(table::idempotency_key(principal, scope, key))
            .await
    }

    /// The commit that made a heap.
    ///
    /// # Errors
    /// The disk's.
    pub async fn commit(&self, heap: &[u8]) -> Result<Option<CommitRecord>, StoreError> {
        self.record(table::commit(heap)).await
    }

    /// The image of a heap.
    ///
    /// # Errors
    /// The disk's.
    pub async fn image(&self, heap: &[u8]) -> Result<Option<ImageRecord>, StoreError> {
        self.record(table::image(heap)).await
    }

    /// Blobs after one of them, in the order of their hashes.
    ///
    /// # Errors
    /// The disk's.
    pub async fn blobs(
        &self,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Page<BlobRecord>, StoreError> {
        self.page(Table::Blobs.key(&[]), after.map(table::blob), limit)
            .await
    }

    /// The time of the oldest row of a table that is ordered by time, in milliseconds since 1970.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) async fn oldest_ms(&self, table: Table) -> Result<Option<u64>, StoreError> {
        let store = Arc::clone(&self.0.store);
        blocking(move || {
            let page = rows(&store, table.key(&[]), None, 1)?;
            let first = page.rows.first().and_then(|(key, _)| table::time_of(key));
            Ok(first.map(|(time, _)| time))
        })
        .await
    }

    async fn get(&self, key: Bytes) -> Result<Option<Bytes>, StoreError> {
        if let Some(value) = self.0.store.get_in_memory(&key) {
            return Ok(value);
        }
        let store = Arc::clone(&self.0.store);
        blocking(move || store.get(&key)).await
    }

    async fn record<M: Message + Default>(&self, key: Bytes) -> Result<Option<M>, StoreError> {
        let value = self.get(key.clone()).await?;
        value.map(|value| decode(&key, value)).transpose()
    }

    async fn page<M: Message + Default + 'static>(
        &self,
        prefix: Bytes,
        after: Option<Bytes>,
        limit: usize,
    ) -> Result<Page<M>, StoreError> {
        let store = Arc::clone(&self.0.store);
        blocking(move || {
            let page = rows(&store, prefix, after, limit)?;
            let decoded = page
                .rows
                .into_iter()
                .map(|(key, value)| decode(&key, value));
            Ok(Page {
                rows: decoded.collect::<Result<_, _>>()?,
                more: page.more,
            })
        })
        .await
    }

    /// What the rows of an index name; `key` tells from a row what that is.
    async fn page_by<M: Message + Default + 'static>(
        &self,
        prefix: Bytes,
        after: Option<Bytes>,
        limit: usize,
        key: impl Fn(&Bytes, &Bytes) -> Option<Bytes> + Send + 'static,
    ) -> Result<Page<M>, StoreError> {
        let store = Arc::clone(&self.0.store);
        blocking(move || {
            let page = rows(&store, prefix, after, limit)?;
            let mut found = Vec::with_capacity(page.rows.len());
            for key in page.rows.iter().filter_map(|(row, value)| key(row, value)) {
                // One that went between the two looks is not listed.
                if let Some(value) = store.get(&key)? {
                    found.push(decode(&key, value)?);
                }
            }
            Ok(Page {
                rows: found,
                more: page.more,
            })
        })
        .await
    }
}

fn rows(
    store: &Store,
    prefix: Bytes,
    after: Option<Bytes>,
    limit: usize,
) -> Result<Page<(Bytes, Bytes)>, StoreError> {
    let limit = limit.min(PAGE_ROWS_MAX);
    let to = table::end_of_prefix(&prefix);
    let mut from = prefix;
    if let Some(after) = after.filter(|after| *after >= from) {
        // The first key behind it.
        from = [&after[..], &[0]].concat().into();
    }
    let mut found = Vec::new();
    store.scan(&from, &to, |key, value| {
        found.push((key, value));
        found.len() <= limit
    })?;
    let more = found.len() > limit;
    found.truncate(limit);
    Ok(Page { rows: found, more })
}

fn decode<M: Message + Default>(key: &[u8], value: Bytes) -> Result<M, StoreError> {
    M::decode(value).map_err(|source| StoreError::malformed(key, source))
}
