//! One sled database: the state at one place in the log.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bytes::Bytes;
use prost::Message as _;

use super::directory::sync_directory;
use super::{OpenError, StoreError};
use crate::proto;
use crate::state::hash::StateHash;
use crate::state::table::{self, HEADER_KEY, Table};
use crate::types::{LogId, StoredMembership};

/// What sled may keep in memory, in bytes.
pub(super) const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// A leaf of the tree must stay below a quarter of this, in bytes: sled puts a larger one into a file of its
/// own, which it never syncs.
const SEGMENT_BYTES: usize = 8 * 1024 * 1024;
/// sled's file of all rows, which it locks.
const DATA: &str = "db";
/// The form of rows and header.
const FORMAT: u32 = 1;

/// Where the state is, and what can be told without reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::state) struct Header {
    pub last_applied: Option<LogId>,
    pub membership: StoredMembership,
    pub hash: StateHash,
    /// Rows by the number of their table.
    pub counts: BTreeMap<u8, u64>,
}

impl Header {
    /// Nothing was ever applied.
    pub fn is_unused(&self) -> bool {
        *self == Self::default()
    }

    /// The membership is a row: it is not written twice.
    pub fn encode(&self) -> Vec<u8> {
        proto::StateHeader {
            format: FORMAT,
            last_applied: self.last_applied.as_ref().map(Into::into),
            hash: self.hash.to_bytes().to_vec(),
            counts: self
                .counts
                .iter()
                .map(|(table, count)| (u32::from(*table), *count))
                .collect(),
        }
        .encode_to_vec()
    }

    /// Takes a changed row in.
    pub fn change(&mut self, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        let table = key.first().copied().expect("a key has a table");
        let count = self.counts.entry(table).or_default();
        if let Some(old) = old {
            self.hash.remove(key, old);
            *count -= 1;
        }
        if let Some(new) = new {
            self.hash.add(key, new);
            *count += 1;
        }
    }
}

/// The database. Its directory goes with it once it is retired.
pub(in crate::state) struct Base {
    // None only while it is dropped: it must be closed before its files go.
    database: Option<sled::Db>,
    // sled's flush does not sync: this handle does.
    file: File,
    path: PathBuf,
    retired: AtomicBool,
}

impl Base {
    /// Opens the database of a directory, and makes it where there is none.
    pub fn open(path: &Path) -> Result<(Self, Header), OpenError> {
        fs::create_dir_all(path).map_err(StoreError::from)?;
        let corrupt = |source| OpenError::Corrupt {
            path: path.to_owned(),
            source,
        };
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .segment_size(SEGMENT_BYTES)
            .mode(sled::Mode::HighThroughput);
        remove_torn_snapshots(path).map_err(StoreError::from)?;
        // sled panics on some kinds of damage: on a thread of its own that is a result.
        let opened = thread::Builder::new()
            .name("state-open".to_owned())
            .spawn(move || config.open())
            .map_err(StoreError::from)?
            .join();
        let database = match opened {
            Err(_panic) => return Err(corrupt(None)),
            Ok(Err(error @ sled::Error::Io(_))) => return Err(StoreError::from(error).into()),
            Ok(Err(error)) => return Err(corrupt(Some(error.into()))),
            Ok(Ok(database)) => database,
        };
        let file = File::open(path.join(DATA)).map_err(StoreError::from)?;
        // sled writes its configuration once, never syncs it, and does not open without it.
        File::open(path.join("conf"))
            .and_then(|conf| conf.sync_all())
            .map_err(StoreError::from)?;
        let base = Self {
            database: Some(database),
            file,
            path: path.to_owned(),
            retired: AtomicBool::new(false),
        };
        base.sync()?;
        for directory in [path.join("blobs"), path.to_owned()] {
            if directory.is_dir() {
                sync_directory(&directory).map_err(StoreError::from)?;
            }
        }
        base.require_no_blobs()?;
        let header = base.header().map_err(|error| corrupt(Some(error)))?;
        Ok((base, header))
    }

    /// Makes an empty database that is whole on disk, and closes it.
    pub fn make(path: &Path) -> Result<(), OpenError> {
        let (base, _) = Self::open(path)?;
        drop(base);
        // Threads of sled's may outlive its handle for a moment; the lock goes with the last of them.
        let data = File::open(path.join(DATA)).map_err(StoreError::from)?;
        data.lock().map_err(StoreError::from)?;
        // Closing has written once more.
        Ok(sync_tree(path).map_err(StoreError::from)?)
    }

    fn database(&self) -> &sled::Db {
        self.database
            .as_ref()
            .expect("the database is there until it is dropped")
    }

    fn header(&self) -> Result<Header, StoreError> {
        let Some(bytes) = self.database().get(HEADER_KEY)? else {
            return Ok(Header::default());
        };
        let message = proto::StateHeader::decode(&bytes[..])
            .map_err(|source| StoreError::malformed(&HEADER_KEY, source))?;
        if message.format != FORMAT {
            return Err(StoreError::Format {
                found: message.format,
                known: FORMAT,
            });
        }
        let membership_key = table::membership();
        let membership = match self.get(&membership_key)? {
            None => StoredMembership::default(),
            Some(value) => proto::StoredMembership::decode(value)
                .map_err(|source| StoreError::malformed(&membership_key, source))?
                .try_into()?,
        };
        Ok(Header {
            last_applied: message.last_applied.map(LogId::try_from).transpose()?,
            membership,
            hash: message.hash.as_slice().try_into()?,
            counts: message
                .counts
                .into_iter()
                .filter_map(|(table, count)| Some((u8::try_from(table).ok()?, count)))
                .collect(),
        })
    }

    /// A row's value.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self.database().get(key)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    /// The rows from a key on, to before another, in their order.
    pub fn range(
        &self,
        from: &[u8],
        to: &[u8],
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), StoreError>> {
        // sled panics on a range that ends before it begins.
        let to = to.max(from);
        self.database().range(from..to).map(|row| {
            let (key, value) = row?;
            Ok((Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)))
        })
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = Result<(sled::IVec, sled::IVec), StoreError>> {
        let first = [Table::ALL[0].number()];
        self.database().range(first..).map(|row| Ok(row?))
    }

    /// Writes rows together: all of them or none.
    pub fn write(&self, batch: sled::Batch) -> Result<(), StoreError> {
        Ok(self.database().apply_batch(batch)?)
    }

    /// Writes a row alone.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.database().insert(key, value)?;
        Ok(())
    }

    /// Makes all that was written durable.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.database().flush()?;
        Ok(self.file.sync_data()?)
    }

    /// Fails when sled has made a file that it does not sync.
    pub fn require_no_blobs(&self) -> Result<(), StoreError> {
        let path = self.path.join("blobs");
        let empty = match fs::read_dir(&path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(_) => true,
        };
        if empty {
            Ok(())
        } else {
            Err(StoreError::Unsynced { path })
        }
    }

    /// Its size on disk, in bytes.
    pub fn bytes(&self) -> Result<u64, StoreError> {
        Ok(self.database().size_on_disk()?)
    }

    /// Its directory stays after all.
    pub fn keep(&self) {
        self.retired.store(false, Ordering::Relaxed);
    }

    /// Its directory goes when its last user has gone.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }
}

/// Makes all files below a directory durable, and their names.
fn sync_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_directory(path)
}

/// sled keeps notes for a quicker start and refuses to open when the power went while it wrote one. It
/// does as well without.
fn remove_torn_snapshots(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

impl Drop for Base {
    fn drop(&mut self) {
        drop(self.database.take());
        if self.retired.load(Ordering::Relaxed) {
            // What stays is removed at the next start.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
