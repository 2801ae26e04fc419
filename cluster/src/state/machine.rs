//! The one that applies, and takes and installs snapshots.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use openraft::type_config::alias::SnapshotOf;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::options::StateOptions;
use super::reader::{Shared, StateReader};
use super::snapshot::{self, SnapshotReader};
use super::snapshot_file::SnapshotFile;
use super::store::{OpenError, Store, StoreError};
use super::table::Table;
use crate::proto::{NodeRecord, Reply};
use crate::types::{Entry, SnapshotMeta, TypeConfig};

/// So many entries take less than a millisecond to apply.
const HERE_ENTRIES_MAX: usize = 32;

/// The state as openraft drives it. There is one; reading is [`StateReader`]'s.
pub struct StateMachine {
    shared: Arc<Shared>,
    /// The last snapshot that was taken or installed by this process.
    current: watch::Sender<Option<SnapshotOf<TypeConfig, SnapshotFile>>>,
}

/// Takes one snapshot.
pub struct SnapshotBuilder {
    shared: Arc<Shared>,
    current: watch::Sender<Option<SnapshotOf<TypeConfig, SnapshotFile>>>,
}

impl StateMachine {
    /// Opens the state, or begins an empty one. It blocks.
    ///
    /// # Errors
    /// As [`OpenError`] tells.
    pub fn open(options: StateOptions) -> Result<(Self, StateReader), OpenError> {
        let store = Store::open(options)?;
        let nodes = read_nodes(&store)?;
        let shared = Arc::new(Shared {
            applied: watch::Sender::new(store.applied()),
            nodes: watch::Sender::new(Arc::new(nodes)),
            tasks: watch::Sender::new(0),
            store,
        });
        let machine = Self {
            shared: Arc::clone(&shared),
            current: watch::Sender::new(None),
        };
        Ok((machine, StateReader::new(shared)))
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.store.flush()).await
    }

    pub(crate) async fn apply_batch(&self, entries: Vec<Entry>) -> Result<Vec<Reply>, StoreError> {
        // Going to another thread and back costs a lone write a tenth of its time.
        if entries.len() <= HERE_ENTRIES_MAX && self.shared.store.is_in_memory() {
            return self.shared.apply(entries);
        }
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.apply(entries)).await
    }

    pub(super) fn builder(&self) -> SnapshotBuilder {
        SnapshotBuilder {
            shared: Arc::clone(&self.shared),
            current: self.current.clone(),
        }
    }

    /// Where in the log the state of a snapshot is, which nobody has told. It blocks for a moment.
    pub(crate) fn meta(file: &SnapshotFile) -> Result<SnapshotMeta, StoreError> {
        SnapshotReader::open(file)?.meta()
    }

    pub(crate) async fn install(
        &self,
        meta: &SnapshotMeta,
        file: SnapshotFile,
    ) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let (wanted, snapshot) = (meta.clone(), file.clone());
        blocking(move || {
            shared
                .store
                .install(&wanted, SnapshotReader::open(&snapshot)?)?;
            shared
                .nodes
                .send_replace(Arc::new(read_nodes(&shared.store)?));
            shared.applied.send_replace(shared.store.applied());
            shared.tasks.send_modify(|changes| *changes += 1);
            Ok(())
        })
        .await?;
        let snapshot = SnapshotOf::<TypeConfig, _> {
            meta: meta.clone(),
            snapshot: file,
        };
        self.current.send_replace(Some(snapshot));
        Ok(())
    }

    pub(super) fn current(&self) -> Option<SnapshotOf<TypeConfig, SnapshotFile>> {
        self.current.borrow().clone()
    }
}

impl Shared {
    fn apply(&self, entries: Vec<Entry>) -> Result<Vec<Reply>, StoreError> {
        let (replies, touched) = self.store.apply(entries)?;
        if touched.nodes {
            self.nodes.send_replace(Arc::new(read_nodes(&self.store)?));
        }
        self.applied.send_replace(self.store.applied());
        if touched.tasks {
            self.tasks.send_modify(|changes| *changes += 1);
        }
        Ok(replies)
    }
}

impl SnapshotBuilder {
    pub(super) async fn build(&self) -> Result<SnapshotOf<TypeConfig, SnapshotFile>, StoreError> {
        let shared = Arc::clone(&self.shared);
        let built = blocking(move || {
            let paused = shared.store.pause()?;
            let snapshot = snapshot::write(&paused, shared.store.snapshots())?;
            let meta = SnapshotMeta {
                last_log_id: paused.header.last_applied,
                last_membership: paused.header.membership,
            };
            Ok(SnapshotOf::<TypeConfig, _> { meta, snapshot })
        })
        .await?;
        self.current.send_replace(Some(built.clone()));
        Ok(built)
    }
}

/// Runs what waits for the disk on a thread that may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    spawn_blocking(work)
        .await
        .unwrap_or(Err(StoreError::Interrupted))
}

pub(super) fn failed(error: StoreError) -> io::Error {
    error.into()
}

fn read_nodes(store: &Store) -> Result<BTreeMap<u64, NodeRecord>, StoreError> {
    let mut nodes = BTreeMap::new();
    let mut fault = None;
    let (from, to) = (Table::Nodes.key(&[]), Table::Nodes.end());
    store.scan(&from, &to, |key, value| {
        match prost::Message::decode(value) {
            Ok(record) => {
                let record: NodeRecord = record;
                nodes.insert(record.id, record);
                true
            }
            Err(source) => {
                fault = Some(StoreError::malformed(&key, source));
                false
            }
        }
    })?;
    fault.map_or(Ok(nodes), Err)
}
