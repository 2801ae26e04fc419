//! openraft's own tests of a log and a state machine.

use std::io;

use cluster::log::{LogOptions, LogStore};
use cluster::state::{SnapshotBuilder, SnapshotFile, StateMachine, StateOptions};
use cluster::types::{Entry, EntryPayload, LogId, SnapshotMeta, StoredMembership, TypeConfig};
use futures::{Stream, StreamExt as _};
use openraft::StorageError;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::alias::SnapshotOf;

/// Our state machine refuses a log with a gap, which Raft never has; some tests of the suite leave some, and
/// here they get entries that do nothing.
struct Gapless(StateMachine);

impl RaftStateMachine<TypeConfig> for Gapless {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        self.0.applied_state().await
    }

    async fn apply<S>(&mut self, entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + Send,
    {
        let given: Vec<_> = entries.collect().await;
        let applied = self.0.applied_state().await?.0;
        let mut next = applied.map(|last| last.index + 1);
        let mut all = Vec::new();
        for item in given {
            let (entry, responder) = item?;
            let log_id = entry.log_id;
            for index in next.unwrap_or(log_id.index)..log_id.index {
                let filler = Entry {
                    log_id: LogId { index, ..log_id },
                    payload: EntryPayload::Blank,
                };
                all.push(Ok((filler, None)));
            }
            next = Some(log_id.index + 1);
            all.push(Ok((entry, responder)));
        }
        self.0.apply(futures::stream::iter(all)).await
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        self.0.get_snapshot_builder().await
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        file: SnapshotFile,
    ) -> io::Result<()> {
        self.0.install_snapshot(meta, file).await
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> io::Result<Option<SnapshotOf<TypeConfig, SnapshotFile>>> {
        self.0.get_current_snapshot().await
    }
}

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, Gapless, tempfile::TempDir> for Builder {
    async fn build(
        &self,
    ) -> Result<(tempfile::TempDir, LogStore, Gapless), StorageError<TypeConfig>> {
        let directory = tempfile::tempdir().expect("there is a directory for temporary files");
        let open = || -> io::Result<_> {
            let log = LogStore::open(LogOptions::new(directory.path().join("raft")));
            let state = StateMachine::open(StateOptions::new(directory.path()));
            Ok((
                log.map_err(io::Error::other)?,
                Gapless(state.map_err(io::Error::other)?.0),
            ))
        };
        let (log, state) = open().expect("an empty directory can be used");
        Ok((directory, log, state))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_and_state_are_what_openraft_expects() {
    Suite::test_all(Builder)
        .await
        .expect("every test of the suite passes");
}
