//! A snapshot as a file: written once, sent as it is, gone with its last user.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

/// A finished snapshot. The file is removed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct SnapshotFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    size: u64,
    digest: [u8; 32],
}

impl Drop for Inner {
    fn drop(&mut self) {
        // What stays is removed when the directory is opened again.
        let _ = fs::remove_file(&self.path);
    }
}

impl SnapshotFile {
    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// SHA-256 of the bytes.
    pub fn digest(&self) -> &[u8; 32] {
        &self.0.digest
    }

    /// Where it is, for as long as this is kept.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Opens it for reading, from its beginning.
    ///
    /// # Errors
    /// The file system's.
    pub fn open(&self) -> io::Result<File> {
        File::open(&self.0.path)
    }
}

/// A snapshot that is being written: built here, or received from a peer.
pub struct SnapshotWriter {
    file: File,
    path: PathBuf,
    size: u64,
    hasher: Sha256,
    finished: bool,
}

impl SnapshotWriter {
    /// Begins a new file in the directory, which must exist.
    ///
    /// # Errors
    /// The file system's.
    pub fn create(directory: &Path) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!("{}-{number}.snapshot", std::process::id()));
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)?;
        Ok(Self {
            file,
            path,
            size: 0,
            hasher: Sha256::new(),
            finished: false,
        })
    }

    /// Adds bytes. Callers pass large pieces: nothing is buffered.
    ///
    /// # Errors
    /// The file system's; the file is of no use then.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// How many bytes were written.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Ends it.
    ///
    /// # Errors
    /// The file system's.
    pub fn finish(mut self) -> io::Result<SnapshotFile> {
        self.file.sync_data()?;
        self.finished = true;
        Ok(SnapshotFile(Arc::new(Inner {
            path: self.path.clone(),
            size: self.size,
            digest: self.hasher.clone().finalize().into(),
        })))
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.path);
        }
    }
}
