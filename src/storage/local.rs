//! Blobs in a directory: written beside, synced, renamed, and the directory synced. A name in the directory
//! means that the bytes were whole and on disk.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::{BlobError, BlobId, BlobStore, Stored};

/// Blobs in one directory of this node. Its own methods block; those of [`BlobStore`] don't.
#[derive(Debug)]
pub struct LocalBlobs {
    directory: PathBuf,
    temporary: PathBuf,
    damaged: PathBuf,
    next: AtomicU64,
}

impl LocalBlobs {
    /// Opens the directory, or makes it. What was half-written when the node last ended goes.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(directory: &Path) -> Result<Self, BlobError> {
        let blobs = Self {
            temporary: directory.join("unfinished"),
            damaged: directory.join("damaged"),
            directory: directory.to_owned(),
            next: AtomicU64::new(0),
        };
        match fs::remove_dir_all(&blobs.temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(at(&blobs.temporary)(error));
            }
            _ => {}
        }
        for made in [&blobs.directory, &blobs.temporary, &blobs.damaged] {
            fs::create_dir_all(made).map_err(at(made))?;
        }
        blobs.sync(directory)?;
        Ok(blobs)
    }

    /// Keeps bytes under their name. When it returns they are on disk.
    ///
    /// # Errors
    /// The disk's.
    pub fn put_blocking(&self, id: &BlobId, bytes: &[u8]) -> Result<(), BlobError> {
        let path = self.path(id);
        if let Ok(known) = File::options().append(true).open(&path) {
            // It is wanted again: its time begins anew.
            return known.set_modified(SystemTime::now()).map_err(at(&path));
        }
        let directory = path.parent().expect("a blob lies in a directory");
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let temporary = self.temporary.join(number.to_string());
        let written = (|| {
            let mut file = File::create(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()
        })();
        if let Err(error) = written {
            // The disk may be full: what is there of it is of no use.
            let _ = fs::remove_file(&temporary);
            return Err(at(&temporary)(error));
        }
        if !directory.exists() {
            fs::create_dir_all(directory).map_err(at(directory))?;
            self.sync(&self.directory)?;
        }
        fs::rename(&temporary, &path).map_err(at(&path))?;
        self.sync(directory)
    }

    /// The bytes, checked against their name; `None` where they are not here.
    ///
    /// # Errors
    /// The disk's; or they are damaged, and are not here from now on.
    pub fn get_blocking(&self, id: &BlobId) -> Result<Option<Vec<u8>>, BlobError> {
        let path = self.path(id);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(at(&path))?,
        };
        if BlobId::of(&bytes) == *id {
            return Ok(Some(bytes));
        }
        let moved_to = self.damaged.join(id.to_string());
        fs::rename(&path, &moved_to).map_err(at(&path))?;
        Err(BlobError::Damaged {
            id: *id,
            bytes: bytes.len(),
            moved_to,
        })
    }

    /// Whether a blob of the name is here; its bytes are not looked at.
    pub fn contains(&self, id: &BlobId) -> bool {
        self.path(id).exists()
    }

    /// Marks a blob as used: what was used longest ago leaves a full cache first.
    pub fn touch(&self, id: &BlobId) {
        let file = File::options().append(true).open(self.path(id));
        // It may have gone meanwhile, and is then used no more.
        let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
    }

    /// How many damaged copies are set aside.
    ///
    /// # Errors
    /// The disk's.
    pub async fn damaged(&self) -> Result<u64, BlobError> {
        let path = self.damaged.clone();
        let counted = spawn_blocking(move || {
            let entries = fs::read_dir(&path).map_err(at(&path))?;
            Ok(entries.flatten().count() as u64)
        });
        counted.await.expect("reading a directory does not panic")
    }

    /// All that are here.
    ///
    /// # Errors
    /// The disk's.
    pub fn list_blocking(&self) -> Result<Vec<Stored>, BlobError> {
        let mut found = Vec::new();
        let entries = fs::read_dir(&self.directory).map_err(at(&self.directory))?;
        for entry in entries
            .flatten()
            .filter(|entry| entry.file_name().len() == 2)
        {
            let path = entry.path();
            for blob in fs::read_dir(&path).map_err(at(&path))?.flatten() {
                let name = blob.file_name();
                let named = name.to_str().and_then(|name| name.parse().ok());
                let (Some(id), Ok(metadata)) = (named, blob.metadata()) else {
                    continue;
                };
                // A clock that was set back makes it new.
                let age = metadata
                    .modified()
                    .map(|at| at.elapsed().unwrap_or_default());
                found.push(Stored {
                    id,
                    bytes: metadata.len(),
                    age: age.unwrap_or_default(),
                });
            }
        }
        Ok(found)
    }

    /// Removes one; one that is not here is no error.
    ///
    /// # Errors
    /// The disk's.
    pub fn remove_blocking(&self, id: &BlobId) -> Result<(), BlobError> {
        let path = self.path(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&path)(error)),
            _ => Ok(()),
        }
    }

    /// Two digits of the name are a directory: a million files in one are slow on some file systems.
    fn path(&self, id: &BlobId) -> PathBuf {
        let name = id.to_string();
        self.directory.join(&name[..2]).join(&name)
    }

    fn sync(&self, directory: &Path) -> Result<(), BlobError> {
        File::open(directory)
            .and_then(|opened| opened.sync_all())
            .map_err(at(directory))
    }
}

impl BlobStore for Arc<LocalBlobs> {
    async fn put(&self, id: BlobId, bytes: Bytes) -> Result<(), BlobError> {
        let local = Self::clone(self);
        spawn_blocking(move || local.put_blocking(&id, &bytes))
            .await
            .expect("keeping a blob does not panic")
    }

    async fn get(&self, id: BlobId) -> Result<Option<Bytes>, BlobError> {
        let local = Self::clone(self);
        let read = spawn_blocking(move || local.get_blocking(&id)).await;
        let read = read.expect("reading a blob does not panic")?;
        Ok(read.map(Bytes::from))
    }

    async fn remove(&self, id: BlobId) -> Result<(), BlobError> {
        let local = Self::clone(self);
        spawn_blocking(move || local.remove_blocking(&id))
            .await
            .expect("removing a blob does not panic")
    }

    async fn list(&self) -> Result<Vec<Stored>, BlobError> {
        let local = Self::clone(self);
        spawn_blocking(move || local.list_blocking())
            .await
            .expect("listing blobs does not panic")
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BlobError {
    let path = path.to_owned();
    move |source| BlobError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::suite;

    fn blobs() -> (tempfile::TempDir, LocalBlobs) {
        let directory = tempfile::tempdir().expect("a directory");
        let blobs = LocalBlobs::open(&directory.path().join("blobs")).expect("opened");
        (directory, blobs)
    }

    #[tokio::test]
    async fn it_is_a_blob_store() {
        let (directory, blobs) = blobs();
        suite::blob_store(&Arc::new(blobs)).await;
        let again = LocalBlobs::open(&directory.path().join("blobs")).expect("opened");
        suite::after_a_restart(&Arc::new(again)).await;
    }

    #[test]
    fn a_damaged_blob_is_told_once_and_is_gone() {
        let (_directory, blobs) = blobs();
        let id = BlobId::of(b"bytes");
        blobs.put_blocking(&id, b"bytes").expect("kept");
        fs::write(blobs.path(&id), b"bytez").expect("written");
        let error = blobs.get_blocking(&id).expect_err("damaged");
        assert!(matches!(&error, BlobError::Damaged { moved_to, .. } if moved_to.exists()));
        assert_eq!(blobs.get_blocking(&id).expect("read"), None);
        // A good copy can take its place.
        blobs.put_blocking(&id, b"bytes").expect("kept");
        assert!(blobs.get_blocking(&id).expect("read").is_some());
    }

    #[test]
    fn what_is_half_written_is_no_blob_and_goes() {
        let (directory, blobs) = blobs();
        fs::write(blobs.temporary.join("7"), b"by").expect("written");
        drop(blobs);
        let path = directory.path().join("blobs");
        let again = LocalBlobs::open(&path).expect("opened");
        let left = fs::read_dir(&again.temporary).expect("read").count();
        assert_eq!(left, 0);
    }
}
