//! What a data directory says of itself: `node.json`.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ids::{ClusterId, DirectoryId, NodeName};

/// The format of this version.
const FORMAT: u32 = 1;
const FILE: &str = "node.json";

/// The content of `node.json`. It is replaced as a whole, durably.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    format: u32,
    /// Made with the directory: tells it from another one of the same node's name.
    pub directory_id: DirectoryId,
    /// The node that it belongs to.
    pub name: NodeName,
    /// The last start, in milliseconds since 1970; each start is later than the one before.
    pub incarnation: u64,
    /// What the node is.
    pub standing: Standing,
    /// A learner that wants to be a voter when it has caught up.
    pub wants_vote: bool,
}

/// What a node is, as far as its own directory knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Standing {
    /// No member of anything yet.
    Empty,
    /// A cluster is being restored into it; if nobody does, that was not finished.
    Restoring,
    /// It forms a cluster and has not told all of them yet.
    Forming(Plan),
    /// It was told what it will be, and waits until all others were told as well.
    Adopted {
        /// The cluster.
        cluster_id: ClusterId,
        /// Its id there.
        node: u64,
        /// The node that forms the cluster, which alone may change its mind.
        from: NodeName,
    },
    /// A member: its Raft may vote.
    Member {
        /// The cluster.
        cluster_id: ClusterId,
        /// Its id there.
        node: u64,
    },
}

/// Who is to be in the cluster that this node forms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The new cluster's name.
    pub cluster_id: ClusterId,
    /// Names of earlier plans that were given up before anybody voted.
    pub supersedes: Vec<ClusterId>,
    /// All first members, this node among them, by their ids.
    pub members: Vec<PlannedMember>,
}

/// One of a plan's members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedMember {
    /// Its id: 1 for the first by name, and so on.
    pub node: u64,
    /// What its operator calls it.
    pub name: NodeName,
    /// host:port of its cluster port; empty for a node that has none.
    pub address: String,
    /// Its directory.
    pub directory_id: DirectoryId,
}

/// `node.json` can't be read, written or believed.
#[derive(Debug, thiserror::Error)]
pub enum MarkerError {
    /// The file system refuses.
    #[error("can't {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The text is not what a node writes.
    #[error("{path} is damaged: {source}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// Another version wrote it.
    #[error("{path} has format {found}; this version reads format {FORMAT}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The number in it.
        found: u32,
    },
}

impl Marker {
    /// That of a directory that was just made.
    pub fn new(name: NodeName) -> Self {
        Self {
            format: FORMAT,
            directory_id: DirectoryId::random(),
            name,
            incarnation: 0,
            standing: Standing::Empty,
            wants_vote: true,
        }
    }

    /// Reads it; `None` when there is none.
    ///
    /// # Errors
    /// It is there and can't be used.
    pub fn read(directory: &Path) -> Result<Option<Self>, MarkerError> {
        let path = directory.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(MarkerError::Io {
                    action: "read",
                    path,
                    source,
                });
            }
        };
        let marker: Self = match serde_json::from_slice(&text) {
            Ok(marker) => marker,
            Err(source) => return Err(MarkerError::Malformed { path, source }),
        };
        if marker.format != FORMAT {
            return Err(MarkerError::Format {
                path,
                found: marker.format,
            });
        }
        Ok(Some(marker))
    }

    /// Replaces it; on return it survives a loss of power.
    ///
    /// # Errors
    /// The file system's; which of the two is there then is not known.
    pub fn write(&self, directory: &Path) -> Result<(), MarkerError> {
        let path = directory.join(FILE);
        let text = serde_json::to_vec_pretty(self).expect("plain data has a JSON form");
        replace(directory, &path, &text).map_err(|source| MarkerError::Io {
            action: "write",
            path,
            source,
        })
    }

    /// The cluster that it belongs to, or will.
    pub fn cluster_id(&self) -> Option<ClusterId> {
        match &self.standing {
            Standing::Empty | Standing::Restoring => None,
            Standing::Forming(plan) => Some(plan.cluster_id),
            Standing::Adopted { cluster_id, .. } | Standing::Member { cluster_id, .. } => {
                Some(*cluster_id)
            }
        }
    }

    /// Its id, once it is a member.
    pub fn node(&self) -> Option<u64> {
        match &self.standing {
            Standing::Member { node, .. } => Some(*node),
            _ => None,
        }
    }
}

fn replace(directory: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("json.new");
    let mut file = File::create(&fresh)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    // The name is an entry of the directory, which has to be durable as well.
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Marker::read(directory.path()).unwrap(), None);
        let mut marker = Marker::new("n1".parse().unwrap());
        marker.standing = Standing::Forming(Plan {
            cluster_id: ClusterId::random(),
            supersedes: vec![ClusterId::random()],
            members: vec![PlannedMember {
                node: 1,
                name: "n1".parse().unwrap(),
                address: "127.0.0.1:1".into(),
                directory_id: marker.directory_id,
            }],
        });
        marker.write(directory.path()).unwrap();
        assert_eq!(
            Marker::read(directory.path()).unwrap(),
            Some(marker.clone())
        );
        marker.standing = Standing::Member {
            cluster_id: ClusterId::random(),
            node: 7,
        };
        marker.write(directory.path()).unwrap();
        assert_eq!(Marker::read(directory.path()).unwrap(), Some(marker));
    }

    #[test]
    fn what_is_no_marker_is_an_error_and_not_an_empty_node() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        for text in ["", "{", "{}", "[1]"] {
            fs::write(&path, text).unwrap();
            assert!(matches!(
                Marker::read(directory.path()),
                Err(MarkerError::Malformed { .. })
            ));
        }
        Marker::new("n1".parse().unwrap())
            .write(directory.path())
            .unwrap();
        let later = fs::read_to_string(&path)
            .unwrap()
            .replace("\"format\": 1", "\"format\": 2");
        fs::write(&path, later).unwrap();
        assert!(matches!(
            Marker::read(directory.path()),
            Err(MarkerError::Format { found: 2, .. })
        ));
    }
}
