//! An empty directory becomes that of a new cluster's first node.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{Piece, RestoreError};
use crate::command::Command;
use crate::ids::{ClusterId, NodeName};
use crate::log::{LogOptions, LogStore};
use crate::membership::{Directory, Standing};
use crate::node::now_ms;
use crate::proto::command::Kind;
use crate::proto::reply::Outcome;
use crate::proto::{self, BlobRecord, PutBlob, RemoveNode};
use crate::state::{
    SnapshotFile, SnapshotWriter, StateHash, StateMachine, StateOptions, StateReader,
};
use crate::types::{Entry, EntryPayload, LeaderId, LogId, Member, Membership, Vote};

/// A restoration under way. Until [`Restore::finish`] the directory is of no use for anything else, and one that was
/// left in the middle can only be begun anew.
pub struct Restore {
    directory: Directory,
    machine: StateMachine,
    state: StateReader,
}

/// A blob whose bytes the new node has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its name.
    pub hash: Vec<u8>,
    /// How many bytes it has.
    pub size: u64,
}

/// What it has become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The new cluster.
    pub cluster_id: ClusterId,
    /// The id of its one node.
    pub node: u64,
    /// The last entry of the old log.
    pub index: u64,
    /// The hash of the state as of that entry.
    pub hash: StateHash,
}

impl Restore {
    /// Whether a directory is empty, or not there, so that a cluster can be restored into it.
    ///
    /// # Errors
    /// It can't be used.
    pub fn is_possible(directory: &Path) -> Result<bool, RestoreError> {
        let marker = crate::membership::Marker::read(directory)?;
        Ok(marker.is_none_or(|marker| is_empty(&marker.standing)))
    }

    /// Takes an empty directory. It blocks.
    ///
    /// # Errors
    /// It is not empty, or can't be used.
    pub fn begin(path: &Path, name: Option<&NodeName>) -> Result<Self, RestoreError> {
        let mut directory = Directory::open(path, name)?;
        if !is_empty(&directory.marker().standing) {
            return Err(RestoreError::NotEmpty {
                path: path.to_owned(),
                cluster_id: directory.marker().cluster_id(),
            });
        }
        directory.set_standing(Standing::Restoring)?;
        for part in ["raft", "state", "snapshots"] {
            let part = path.join(part);
            match fs::remove_dir_all(&part) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(at(&part)(error));
                }
                _ => {}
            }
        }
        let (machine, state) = StateMachine::open(StateOptions::new(path))?;
        Ok(Self {
            directory,
            machine,
            state,
        })
    }

    /// A file for the bytes of a snapshot.
    ///
    /// # Errors
    /// The disk's.
    pub fn snapshot_file(&self) -> Result<SnapshotWriter, RestoreError> {
        let path = self.path("snapshots");
        SnapshotWriter::create(&path).map_err(at(&path))
    }

    /// Begins with the state of a snapshot.
    ///
    /// # Errors
    /// It is damaged, or the disk fails.
    pub async fn snapshot(&self, file: SnapshotFile) -> Result<(), RestoreError> {
        let meta = StateMachine::meta(&file)?;
        Ok(self.machine.install(&meta, file).await?)
    }

    /// Goes on with a piece of the log. What is in the state already is passed over.
    ///
    /// # Errors
    /// It is damaged, or there is a hole before it.
    pub async fn piece(&self, bytes: &Bytes) -> Result<(), RestoreError> {
        let mut entries = Piece::entries(bytes)?;
        let next = self.state.applied().map_or(0, |applied| applied.index + 1);
        entries.retain(|entry| entry.log_id.index >= next);
        match entries.first() {
            None => Ok(()),
            Some(first) if first.log_id.index > next => Err(RestoreError::Gap {
                applied: next.saturating_sub(1),
                next: first.log_id.index,
            }),
            Some(_) => {
                self.machine.apply_batch(entries).await?;
                Ok(())
            }
        }
    }

    /// All blobs that the state so far knows.
    ///
    /// # Errors
    /// The disk's.
    pub async fn blobs(&self) -> Result<Vec<BlobRecord>, RestoreError> {
        super::left::blobs(&self.state).await
    }

    /// The state so far.
    pub fn state(&self) -> &StateReader {
        &self.state
    }

    /// Makes the directory that of the first node, at this address, of a cluster of its own. The old nodes are
    /// gone, and of the blobs outside of a bucket those are there that this node holds.
    ///
    /// # Errors
    /// There is no state, or the disk fails.
    pub async fn finish(
        mut self,
        address: String,
        held: Vec<Held>,
    ) -> Result<Restored, RestoreError> {
        let last = self.state.applied().ok_or(RestoreError::Nothing)?;
        let (_, hash) = self.state.scan_hash().await?;
        let node = self.state.next_node().await?;
        let leader_id = LeaderId {
            term: last.leader_id.term + 1,
            node_id: node,
        };
        let member = Member {
            name: self.directory.marker().name.to_string(),
            address,
        };
        let members = Membership::new(
            vec![BTreeSet::from([node])],
            BTreeMap::from([(node, member)]),
        );
        let members = members.expect("the one voter is a member");
        let removed = self.state.known_nodes().into_iter();
        let removed = removed.map(|record| Kind::RemoveNode(RemoveNode { node: record.id }));
        let held = held.into_iter().map(|held| {
            Kind::PutBlob(PutBlob {
                hash: held.hash,
                size: held.size,
                holders: vec![node],
                in_bucket: false,
                only: true,
            })
        });
        let commands = removed.chain(held).map(|kind| {
            let command = proto::Command {
                time_ms: now_ms(),
                kind: Some(kind),
                ..proto::Command::default()
            };
            EntryPayload::Normal(Command::encode(&command))
        });
        let payloads = std::iter::once(EntryPayload::Membership(members)).chain(commands);
        let entries: Vec<Entry> = (last.index + 1..)
            .zip(payloads)
            .map(|(index, payload)| Entry {
                log_id: LogId { leader_id, index },
                payload,
            })
            .collect();
        for reply in self.machine.apply_batch(entries).await? {
            if let Some(Outcome::Refused(refused)) = reply.outcome {
                let reason = refused.reason;
                return Err(RestoreError::Refused { reason });
            }
        }
        self.state.flush().await?;
        self.begin_log(leader_id).await?;
        let cluster_id = ClusterId::random();
        self.directory
            .set_standing(Standing::Member { cluster_id, node })?;
        Ok(Restored {
            cluster_id,
            node,
            index: last.index,
            hash,
        })
    }

    /// The log is empty, and everything that follows is later than what the state holds.
    async fn begin_log(&self, leader_id: LeaderId) -> Result<(), RestoreError> {
        let path = self.path("raft");
        let opened = tokio::task::spawn_blocking(|| LogStore::open(LogOptions::new(path)));
        let log = opened.await.expect("opening does not panic")?;
        log.save_vote(Vote::new(leader_id.term, leader_id.node_id))
            .await?;
        if let Some(applied) = self.state.applied() {
            log.purge(applied)?;
        }
        log.close().await;
        Ok(())
    }

    fn path(&self, part: &str) -> PathBuf {
        self.directory.path().join(part)
    }
}

fn is_empty(standing: &Standing) -> bool {
    matches!(standing, Standing::Empty | Standing::Restoring)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    let path = path.to_owned();
    move |source| RestoreError::Io { path, source }
}
