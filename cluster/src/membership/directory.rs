//! The data directory: one node's, and one process's at a time.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::marker::{Marker, MarkerError, Standing};
use crate::ids::NodeName;

/// A directory that this process holds.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    marker: Marker,
    // Held for as long as the process uses the directory.
    _lock: File,
}

/// The directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The file system refuses.
    #[error("can't use {path} as the data directory: {source}", path = path.display())]
    Io {
        /// The directory, or a file in it.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{path} is in use by another process", path = path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It belongs to another node.
    #[error(
        "{path} belongs to node {found}, not to {expected}: give this node its own directory, or \
         start it with --node-id {found}",
        path = path.display()
    )]
    Swapped {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: NodeName,
        /// Who wants it.
        expected: NodeName,
    },
    /// There is data, but not what says whose.
    #[error(
        "{path} has {entry} but no node.json, so whose data it is can't be told: restore node.json, or \
         start with an empty directory (a member of a cluster is then let in again by \
         `mcp-v8 admin members replace NAME`)",
        path = path.display()
    )]
    Unmarked {
        /// The directory.
        path: PathBuf,
        /// What was found.
        entry: &'static str,
    },
    /// `node.json` itself.
    #[error(transparent)]
    Marker(#[from] MarkerError),
}

impl Directory {
    /// Takes the directory, making it when there is none. Without a name the directory's own is taken,
    /// and a new directory gets a random one.
    ///
    /// # Errors
    /// It is not this node's, not whole, or somebody has it.
    pub fn open(path: &Path, name: Option<&NodeName>) -> Result<Self, DirectoryError> {
        let io_error = |path: &Path| {
            let path = path.to_owned();
            move |source| DirectoryError::Io { path, source }
        };
        fs::create_dir_all(path).map_err(io_error(path))?;
        let lock_path = path.join("LOCK");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(io_error(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DirectoryError::InUse {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => {
                return Err(DirectoryError::Io {
                    path: lock_path,
                    source,
                });
            }
        }
        let marker = match Marker::read(path)? {
            Some(marker) => marker,
            None => {
                for entry in ["raft", "state", "blobs"] {
                    if path.join(entry).exists() {
                        return Err(DirectoryError::Unmarked {
                            path: path.to_owned(),
                            entry,
                        });
                    }
                }
                let marker = Marker::new(name.cloned().unwrap_or_else(random_name));
                marker.write(path)?;
                marker
            }
        };
        if let Some(expected) = name.filter(|name| **name != marker.name) {
            return Err(DirectoryError::Swapped {
                path: path.to_owned(),
                found: marker.name,
                expected: expected.clone(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            marker,
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says of itself.
    pub fn marker(&self) -> &Marker {
        &self.marker
    }

    /// Begins a new life of the node, later than all before, whatever the clock says.
    ///
    /// # Errors
    /// The marker can't be written.
    pub fn begin_incarnation(&mut self, now_ms: u64) -> Result<u64, MarkerError> {
        let incarnation = now_ms.max(self.marker.incarnation + 1);
        self.update(|marker| marker.incarnation = incarnation)?;
        Ok(incarnation)
    }

    /// Changes what the node is.
    ///
    /// # Errors
    /// The marker can't be written.
    pub fn set_standing(&mut self, standing: Standing) -> Result<(), MarkerError> {
        self.update(|marker| marker.standing = standing)
    }

    /// Whether the node wants to be a voter.
    ///
    /// # Errors
    /// The marker can't be written.
    pub fn set_wants_vote(&mut self, wants_vote: bool) -> Result<(), MarkerError> {
        self.update(|marker| marker.wants_vote = wants_vote)
    }

    fn update(&mut self, change: impl FnOnce(&mut Marker)) -> Result<(), MarkerError> {
        let mut changed = self.marker.clone();
        change(&mut changed);
        if changed != self.marker {
            changed.write(&self.path)?;
            self.marker = changed;
        }
        Ok(())
    }
}

fn random_name() -> NodeName {
    let id = crate::ids::RandomId::random().to_string();
    format!("node-{}", &id[..8])
        .parse()
        .expect("letters, digits and '-'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        text.parse().unwrap()
    }

    #[test]
    fn a_directory_keeps_its_node() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("data");
        let first = Directory::open(&path, Some(&name("n1"))).unwrap();
        let id = first.marker().directory_id;
        assert!(matches!(
            Directory::open(&path, Some(&name("n1"))),
            Err(DirectoryError::InUse { .. })
        ));
        drop(first);
        let again = Directory::open(&path, None).unwrap();
        assert_eq!(again.marker().directory_id, id);
        drop(again);
        let error = Directory::open(&path, Some(&name("n2"))).unwrap_err();
        assert!(error.to_string().contains("--node-id n1"), "{error}");
    }

    #[test]
    fn data_without_a_marker_is_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("raft")).unwrap();
        let error = Directory::open(root.path(), None).unwrap_err();
        assert!(error.to_string().contains("members replace"), "{error}");
    }

    #[test]
    fn lives_never_go_back() {
        let root = tempfile::tempdir().unwrap();
        let mut directory = Directory::open(root.path(), None).unwrap();
        assert_eq!(directory.begin_incarnation(1000).unwrap(), 1000);
        assert_eq!(directory.begin_incarnation(500).unwrap(), 1001);
        drop(directory);
        let mut directory = Directory::open(root.path(), None).unwrap();
        assert_eq!(directory.begin_incarnation(500).unwrap(), 1002);
    }
}
