//! Reading tasks.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::{Page, StateReader, rows};
use crate::proto::{TaskCounts, TaskRecord, TaskState};
use crate::state::machine::blocking;
use crate::state::store::StoreError;
use crate::state::table::{self, Table};

/// A task that has not ended, as it stands among the others of its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveTask {
    /// When it is to run, in milliseconds since 1970.
    pub run_at_ms: u64,
    /// Its id.
    pub id: String,
}

impl StateReader {
    /// A task.
    ///
    /// # Errors
    /// The disk's.
    pub async fn task(&self, id: &str) -> Result<Option<TaskRecord>, StoreError> {
        self.record(table::task(id)).await
    }

    /// Tasks after one of them, in the order of their ids.
    ///
    /// # Errors
    /// The disk's.
    pub async fn tasks(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<TaskRecord>, StoreError> {
        self.page(Table::Tasks.key(&[]), after.map(table::task), limit)
            .await
    }

    /// Tasks, the newest first, after the one of a time and an id.
    ///
    /// # Errors
    /// The disk's.
    pub async fn newest_tasks(
        &self,
        after: Option<(u64, &str)>,
        limit: usize,
    ) -> Result<Page<TaskRecord>, StoreError> {
        let after = after.map(|(created_ms, id)| table::newest_task(created_ms, id));
        self.page_by(Table::NewestTasks.key(&[]), after, limit, named)
            .await
    }

    /// Tasks of a state that has not ended, by the time when they are to run.
    ///
    /// # Errors
    /// The disk's.
    pub async fn live_tasks(
        &self,
        state: TaskState,
        limit: usize,
    ) -> Result<Vec<LiveTask>, StoreError> {
        let store = Arc::clone(&self.0.store);
        let prefix = Table::LiveTasks.key(&[&[state as u8]]);
        blocking(move || {
            let page = rows(&store, prefix, None, limit)?;
            let live = |(key, _): &(Bytes, Bytes)| {
                // The table, the state, the time, the id.
                let (time, id) = key.get(2..)?.split_at_checked(8)?;
                Some(LiveTask {
                    run_at_ms: u64::from_be_bytes(time.try_into().ok()?),
                    id: std::str::from_utf8(id).ok()?.to_owned(),
                })
            };
            Ok(page.rows.iter().filter_map(live).collect())
        })
        .await
    }

    /// Tasks that run now, wherever.
    ///
    /// # Errors
    /// The disk's.
    pub async fn running_tasks(&self, limit: usize) -> Result<Vec<TaskRecord>, StoreError> {
        let prefix = Table::LiveTasks.key(&[&[TaskState::Running as u8]]);
        Ok(self.page_by(prefix, None, limit, named).await?.rows)
    }

    /// How many tasks there are.
    ///
    /// # Errors
    /// The disk's.
    pub async fn task_counts(&self) -> Result<TaskCounts, StoreError> {
        Ok(self.record(table::task_counts()).await?.unwrap_or_default())
    }

    /// Tells when any task is another one than before.
    pub fn watch_tasks(&self) -> watch::Receiver<u64> {
        self.0.tasks.subscribe()
    }
}

/// The task that a row of one of the indexes names.
fn named(row: &Bytes, _: &Bytes) -> Option<Bytes> {
    let id_at = match Table::of(row) {
        Some(Table::LiveTasks) => 10,
        _ => 9,
    };
    let id = row.get(id_at..).and_then(|id| std::str::from_utf8(id).ok());
    id.map(table::task)
}
