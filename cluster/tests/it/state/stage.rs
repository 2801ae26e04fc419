//! A state machine without Raft around it.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use cluster::state::{LEVEL, SnapshotFile, StateHash, StateMachine, StateOptions, StateReader};
use cluster::types::{Entry, SnapshotMeta};
use openraft::storage::{RaftSnapshotBuilder as _, RaftStateMachine as _};

pub struct Stage {
    machine: StateMachine,
    pub reader: StateReader,
}

impl Stage {
    /// Opens what is in a directory; small batches, so that there are many of them.
    pub fn open(directory: &Path) -> Result<Self, String> {
        Self::of_level(directory, LEVEL)
    }

    /// The same with a program of another level.
    pub fn of_level(directory: &Path, level: u32) -> Result<Self, String> {
        let options = StateOptions {
            level,
            merge_bytes: 16 << 10,
            merge_delay: Duration::from_millis(2),
            ..StateOptions::new(directory)
        };
        let opened = StateMachine::open(options);
        let (machine, reader) = opened.map_err(|error| format!("{error}: {error:?}"))?;
        Ok(Self { machine, reader })
    }

    pub async fn apply(&mut self, entries: Vec<Entry>) {
        self.try_apply(entries).await.expect("the disk works");
    }

    pub async fn try_apply(&mut self, entries: Vec<Entry>) -> std::io::Result<()> {
        let stream = futures::stream::iter(entries.into_iter().map(|entry| Ok((entry, None))));
        self.machine.apply(stream).await
    }

    pub async fn snapshot(&mut self) -> (SnapshotMeta, SnapshotFile) {
        let mut builder = self.machine.get_snapshot_builder().await;
        let built = builder.build_snapshot().await.expect("the disk works");
        (built.meta, built.snapshot)
    }

    pub async fn install(&mut self, (meta, file): &(SnapshotMeta, SnapshotFile)) {
        let installed = self.try_install((meta, file)).await;
        installed.expect("a whole snapshot is taken");
    }

    pub async fn try_install(
        &mut self,
        (meta, file): (&SnapshotMeta, &SnapshotFile),
    ) -> std::io::Result<()> {
        self.machine.install_snapshot(meta, file.clone()).await
    }

    /// The first index that was not applied.
    pub fn next(&self) -> u64 {
        self.reader.applied().map_or(0, |last| last.index + 1)
    }

    /// The first index whose effect is not on disk.
    pub fn next_synced(&self) -> u64 {
        self.reader.synced().map_or(0, |last| last.index + 1)
    }

    pub fn hash(&self) -> StateHash {
        match self.reader.applied() {
            Some(last) => self.reader.hash_at(last.index).expect("the last is kept"),
            None => StateHash::default(),
        }
    }

    /// Closes it, with all that is applied on disk or not, and opens it again.
    pub async fn reopened(self, directory: &Path, flushed: bool) -> Self {
        self.close(directory, flushed).await;
        Self::open(directory).expect("it opens again")
    }

    /// Closes it, with all that is applied on disk or not.
    pub async fn close(self, directory: &Path, flushed: bool) {
        if flushed {
            self.reader.flush().await.expect("the disk works");
        }
        drop(self);
        // The database has threads that end a moment after its handle; its lock goes with the last.
        let current = std::fs::read_to_string(directory.join("state/CURRENT"));
        let current = current.expect("there is one in force");
        let data = directory.join("state").join(current.trim()).join("db");
        let data = File::open(data).expect("it is there");
        data.lock().expect("the kernel can lock it");
    }
}
