//! The rows on disk and in memory: sled at one place in the log, and the changes since above it.
//!
//! `base` is the database, `overlay` the changes in memory, `layers` both as one. `merge` is the one thread
//! that writes: it takes all changes that wait, writes them as one batch with their place in the log, and
//! syncs before it takes the next. sled's own flush does not sync, and it reuses its segments as if it did.

mod base;
mod compact;
mod control;
mod directory;
mod error;
mod layers;
mod merge;
mod overlay;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;

use bytes::Bytes;
use openraft::EntryPayload;

pub(super) use self::base::{Base, Header};
pub use self::compact::Compacted;
use self::control::Control;
pub(super) use self::control::Pause;
use self::directory::Directory;
pub use self::error::{OpenError, SnapshotFault, StoreError};
use self::layers::Layers;
use super::apply::{self, Change, View};
use super::hash::StateHash;
use super::options::StateOptions;
use super::snapshot::SnapshotReader;
use super::table::{self, HEADER_KEY};
use crate::proto::{self, Reply, reply::Outcome};
use crate::types::{Entry, LogId, SnapshotMeta, StoredMembership};

/// The state, shared by the one that applies and all that read.
pub(super) struct Store {
    layers: RwLock<Layers>,
    control: Arc<Control>,
    directory: Directory,
    snapshots: PathBuf,
    overlay_bytes_max: usize,
    merge_bytes: usize,
    disk_bytes: AtomicU64,
    /// Of commands that are known.
    level: u32,
    /// Held by whoever puts another database in force.
    replacing: Mutex<()>,
}

fn read(layers: &RwLock<Layers>) -> RwLockReadGuard<'_, Layers> {
    layers.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(layers: &RwLock<Layers>) -> RwLockWriteGuard<'_, Layers> {
    layers.write().unwrap_or_else(PoisonError::into_inner)
}

/// What `apply` reads: all that was applied before.
struct Applied<'a>(&'a RwLock<Layers>);

impl View for Applied<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let base = {
            let layers = read(self.0);
            if let Some(value) = layers.get_in_memory(key) {
                return Ok(value);
            }
            Arc::clone(&layers.base)
        };
        base.get(key)
    }

    fn keys(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Bytes>, StoreError> {
        let mut keys = Vec::new();
        if limit > 0 {
            layers::scan(self.0, from, to, |key, _| {
                keys.push(key);
                keys.len() < limit
            })?;
        }
        Ok(keys)
    }
}

/// What others wait for, and entries have changed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Touched {
    /// A node's record.
    pub nodes: bool,
    /// A task.
    pub tasks: bool,
}

impl Store {
    /// Opens the state, and starts the thread that writes it. It ends with the last handle.
    pub fn open(options: StateOptions) -> Result<Arc<Self>, OpenError> {
        let StateOptions {
            directory,
            snapshots,
            overlay_bytes_max,
            merge_bytes,
            merge_delay,
            level,
        } = options;
        // Snapshots of an earlier process belong to nobody any more.
        match fs::remove_dir_all(&snapshots) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::from(error).into());
            }
            _ => fs::create_dir_all(&snapshots).map_err(StoreError::from)?,
        }
        let (directory, number) = Directory::open(&directory)?;
        let (base, header) = Base::open(&directory.database(number))?;
        require_level(&base, level)?;
        let disk_bytes = AtomicU64::new(base.bytes()?);
        let store = Arc::new(Self {
            layers: RwLock::new(Layers::new(base, header)),
            control: Arc::default(),
            directory,
            snapshots,
            overlay_bytes_max,
            merge_bytes,
            disk_bytes,
            level,
            replacing: Mutex::new(()),
        });
        let merging = merge::Merging {
            store: Arc::downgrade(&store),
            control: Arc::clone(&store.control),
            delay: merge_delay,
        };
        thread::Builder::new()
            .name("state-merge".to_owned())
            .spawn(move || merging.run())
            .map_err(StoreError::from)?;
        Ok(store)
    }

    /// Applies entries in their order; blocks while too much waits for the disk.
    pub fn apply(&self, entries: Vec<Entry>) -> Result<(Vec<Reply>, Touched), StoreError> {
        let mut replies = Vec::with_capacity(entries.len());
        let mut touched = Touched::default();
        for entry in entries {
            self.control
                .wait_for_room(|| self.bytes() < self.overlay_bytes_max)?;
            replies.push(self.apply_one(entry, &mut touched)?);
        }
        let enough = read(&self.layers).active.bytes() >= self.merge_bytes;
        self.control.changed(enough);
        Ok((replies, touched))
    }

    fn apply_one(&self, entry: Entry, touched: &mut Touched) -> Result<Reply, StoreError> {
        let index = entry.log_id.index;
        let applied = self.applied().map(|log_id| log_id.index);
        // A log begins at 0 or, where a snapshot came first, behind it.
        if applied.is_some_and(|applied| index != applied + 1) {
            return Err(StoreError::OutOfOrder { index, applied });
        }
        let view = Applied(&self.layers);
        let done = || Reply {
            outcome: Some(Outcome::Done(proto::Done {})),
        };
        let (reply, changes, membership) = match entry.payload {
            EntryPayload::Blank => (done(), Vec::new(), None),
            EntryPayload::Normal(command) => {
                let applied = apply::apply(&view, index, &command, self.level)?;
                (applied.reply, applied.changes, None)
            }
            EntryPayload::Membership(membership) => {
                let stored = StoredMembership::new(Some(entry.log_id), membership);
                let changes = apply::apply_membership(&view, &stored)?;
                (done(), changes, Some(stored))
            }
        };
        touched.nodes |= changes.iter().any(Change::is_of_node);
        touched.tasks |= changes.iter().any(Change::is_of_task);
        let mut layers = write(&self.layers);
        layers.header.last_applied = Some(entry.log_id);
        if let Some(stored) = membership {
            layers.header.membership = stored;
        }
        layers.change(changes);
        Ok(reply)
    }

    /// A row, if that can be told without the disk.
    pub fn get_in_memory(&self, key: &[u8]) -> Option<Option<Bytes>> {
        read(&self.layers).get_in_memory(key)
    }

    /// A row. It may wait for the disk.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Applied(&self.layers).get(key)
    }

    /// Rows of a range in their order, until `take` has enough. It may wait for the disk.
    pub fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        take: impl FnMut(Bytes, Bytes) -> bool,
    ) -> Result<(), StoreError> {
        layers::scan(&self.layers, from, to, take)
    }

    /// The last entry that was applied.
    pub fn applied(&self) -> Option<LogId> {
        read(&self.layers).header.last_applied
    }

    /// The last entry whose effect survives a loss of power without the log.
    pub fn synced(&self) -> (Option<LogId>, StoredMembership) {
        let layers = read(&self.layers);
        (layers.synced.last_applied, layers.synced.membership.clone())
    }

    /// The members as of the last entry.
    pub fn membership(&self) -> StoredMembership {
        read(&self.layers).header.membership.clone()
    }

    /// The hash after an entry, if it is still kept.
    pub fn hash_at(&self, index: u64) -> Option<StateHash> {
        read(&self.layers).hash_at(index)
    }

    /// Rows by the number of their table.
    pub fn counts(&self) -> BTreeMap<u8, u64> {
        read(&self.layers).header.counts.clone()
    }

    /// The database's size, as of the last write to it.
    pub fn disk_bytes(&self) -> u64 {
        self.disk_bytes.load(Ordering::Relaxed)
    }

    /// Where snapshots are written.
    pub fn snapshots(&self) -> &PathBuf {
        &self.snapshots
    }

    /// Whether entries can be applied without waiting for the disk: sled has all of it in its memory, and the
    /// layers have room.
    pub fn is_in_memory(&self) -> bool {
        self.disk_bytes() <= base::CACHE_BYTES && self.bytes() < self.overlay_bytes_max
    }

    fn bytes(&self) -> usize {
        read(&self.layers).bytes()
    }

    /// Brings all that is applied now to disk, and keeps it so until the pause is dropped: what is applied
    /// meanwhile waits in memory.
    pub fn pause(self: &Arc<Self>) -> Result<Paused, StoreError> {
        let wanted = self.applied();
        self.control
            .wait_until(|| read(&self.layers).synced.last_applied >= wanted)?;
        let pause = Pause::begin(self)?;
        let layers = read(&self.layers);
        Ok(Paused {
            base: Arc::clone(&layers.base),
            header: layers.synced.clone(),
            _pause: pause,
        })
    }

    /// Brings all that is applied now to disk.
    pub fn flush(&self) -> Result<(), StoreError> {
        let wanted = self.applied();
        self.control
            .wait_until(|| read(&self.layers).synced.last_applied >= wanted)
    }

    /// Replaces the state by that of a snapshot.
    pub fn install(
        self: &Arc<Self>,
        meta: &SnapshotMeta,
        snapshot: SnapshotReader,
    ) -> Result<(), StoreError> {
        let _replacing = self.replacing();
        let pause = Pause::begin(self)?;
        let (number, base) = self.next_base()?;
        let header = fill(&base, meta, snapshot)?;
        require_level(&base, self.level)?;
        self.directory.switch(number)?;
        base.keep();
        self.disk_bytes.store(base.bytes()?, Ordering::Relaxed);
        let old = {
            let mut layers = write(&self.layers);
            std::mem::replace(&mut *layers, Layers::new(base, header))
        };
        old.base.retire();
        drop(pause);
        self.control.changed(false);
        Ok(())
    }

    fn replacing(&self) -> MutexGuard<'_, ()> {
        self.replacing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty database that is not in force. Unless it is kept, it goes with its last user.
    fn next_base(&self) -> Result<(u64, Base), StoreError> {
        let number = self.directory.create_next()?;
        let opened = Base::open(&self.directory.database(number));
        let (base, _) = opened.map_err(|error| match error {
            OpenError::Store(error) => error,
            _ => StoreError::Stopped,
        })?;
        base.retire();
        Ok((number, base))
    }

    /// Computes the hash anew from what is on disk.
    pub fn scan_hash(self: &Arc<Self>) -> Result<(u64, StateHash), StoreError> {
        let paused = self.pause()?;
        let mut hash = StateHash::default();
        for row in paused.base.rows() {
            let (key, value) = row?;
            hash.add(&key, &value);
        }
        Ok((
            paused.header.last_applied.map_or(0, |log_id| log_id.index),
            hash,
        ))
    }
}

fn require_level(base: &Base, known: u32) -> Result<(), StoreError> {
    let found = apply::level_of(base.get(&table::level())?)?;
    match found <= known {
        true => Ok(()),
        false => Err(StoreError::Newer { found, known }),
    }
}

fn fill(
    base: &Base,
    meta: &SnapshotMeta,
    mut snapshot: SnapshotReader,
) -> Result<Header, StoreError> {
    let mut header = snapshot.header(meta)?;
    // One by one, and not synced: until `CURRENT` names it, a crash throws the whole directory away. sled frees what a
    // write replaces in steps of a few hundred objects, and takes a step after so many operations, of which a batch of
    // any size is one: written in batches of 1 MiB, 300 MB of rows left 4.5 GiB behind.
    while let Some((key, value)) = snapshot.next_row()? {
        header.change(&key, None, Some(&value));
        base.put(&key, &value)?;
    }
    snapshot.check_hash(header.hash)?;
    base.put(&HEADER_KEY, &header.encode())?;
    base.sync()?;
    base.require_no_blobs()?;
    Ok(header)
}

/// The state at one place in the log, on disk, for as long as this is kept.
pub(super) struct Paused {
    pub base: Arc<Base>,
    pub header: Header,
    _pause: Pause,
}

impl Drop for Store {
    fn drop(&mut self) {
        self.control.stop();
    }
}
