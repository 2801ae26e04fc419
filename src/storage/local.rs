//! Blobs in a directory: written beside, synced, renamed, and the directory synced. A name in the directory
//! means that the bytes were whole and on disk.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::{BlobError, BlobId};

/// Blobs in one directory of this node. Everything blocks.
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

    /// Keeps bytes. When it returns they are on disk.
    ///
    /// # Errors
    /// The disk's.
    pub fn put(&self, bytes: &[u8]) -> Result<BlobId, BlobError> {
        let id = BlobId::of(bytes);
        let path = self.path(&id);
        if let Ok(known) = File::options().append(true).open(&path) {
            // It is wanted again: its time begins anew.
            known.set_modified(SystemTime::now()).map_err(at(&path))?;
            return Ok(id);
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
        self.sync(directory)?;
        Ok(id)
    }

    /// The bytes, checked against their name; `None` where they are not here.
    ///
    /// # Errors
    /// The disk's; or they are damaged, and are not here from now on.
    pub fn get(&self, id: &BlobId) -> Result<Option<Vec<u8>>, BlobError> {
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

    /// The blobs that are here, with their ages since they were last kept. The order is that of the directory.
    ///
    /// # Errors
    /// The disk's.
    pub fn list(&self) -> Result<Vec<(BlobId, Duration)>, BlobError> {
        let mut found = Vec::new();
        let entries = fs::read_dir(&self.directory).map_err(at(&self.directory))?;
        for entry in entries
            .flatten()
            .filter(|entry| entry.file_name().len() == 2)
        {
            let path = entry.path();
            for blob in fs::read_dir(&path).map_err(at(&path))?.flatten() {
                let name = blob.file_name();
                let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
                    continue;
                };
                let modified = blob.metadata().and_then(|it| it.modified());
                // A clock that was set back makes it new.
                let age = modified.map(|at| at.elapsed().unwrap_or_default());
                found.push((id, age.unwrap_or_default()));
            }
        }
        Ok(found)
    }

    /// Removes a blob; one that is not here is removed already.
    ///
    /// # Errors
    /// The disk's.
    pub fn remove(&self, id: &BlobId) -> Result<(), BlobError> {
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

fn at(path: &Path) -> impl FnOnce(io::Error) -> BlobError {
    let path = path.to_owned();
    move |source| BlobError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blobs() -> (tempfile::TempDir, LocalBlobs) {
        let directory = tempfile::tempdir().expect("a directory");
        let blobs = LocalBlobs::open(&directory.path().join("blobs")).expect("opened");
        (directory, blobs)
    }

    #[test]
    fn what_was_kept_is_there_after_a_restart() {
        let (directory, blobs) = blobs();
        let id = blobs.put(b"bytes").expect("kept");
        assert_eq!(blobs.put(b"bytes").expect("kept again"), id);
        assert!(!blobs.contains(&BlobId::of(b"others")));
        let again = LocalBlobs::open(&directory.path().join("blobs")).expect("opened");
        assert_eq!(
            again.get(&id).expect("read").as_deref(),
            Some(&b"bytes"[..])
        );
        let listed = again.list().expect("listed");
        assert!(matches!(&listed[..], [(one, age)] if *one == id && age.as_secs() < 60));
        again.remove(&id).expect("removed");
        again.remove(&id).expect("removed already");
        assert_eq!(again.get(&id).expect("read"), None);
    }

    #[test]
    fn a_damaged_blob_is_told_once_and_is_gone() {
        let (_directory, blobs) = blobs();
        let id = blobs.put(b"bytes").expect("kept");
        fs::write(blobs.path(&id), b"bytez").expect("written");
        let error = blobs.get(&id).expect_err("damaged");
        assert!(matches!(&error, BlobError::Damaged { moved_to, .. } if moved_to.exists()));
        assert_eq!(blobs.get(&id).expect("read"), None);
        // A good copy can take its place.
        assert_eq!(blobs.put(b"bytes").expect("kept"), id);
        assert!(blobs.get(&id).expect("read").is_some());
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
