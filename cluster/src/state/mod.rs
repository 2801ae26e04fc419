//! The replicated state: what `apply` computes, in sled, and how it is read, copied and replaced.

mod snapshot_file;

use std::io;

use futures::Stream;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::type_config::alias::SnapshotOf;

pub use self::snapshot_file::{SnapshotFile, SnapshotWriter};
use crate::types::{LogId, SnapshotMeta, StoredMembership, TypeConfig};

/// The state as openraft drives it.
pub struct StateMachine;

/// Makes a snapshot.
pub struct SnapshotBuilder;

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<TypeConfig, SnapshotFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn apply<S>(&mut self, _entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + Send,
    {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder
    }

    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMeta,
        _file: SnapshotFile,
    ) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> io::Result<Option<SnapshotOf<TypeConfig, SnapshotFile>>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
