//! What has had its time: heaps that nothing reaches, blobs that nothing names, idempotency keys, tasks that
//! have ended.
//!
//! The leader looks for the oldest of each and has them removed by commands, so that all nodes do the same.

use std::time::Duration;

use crate::proto::command::Kind;
use crate::proto::{CollectGarbage, ExpireIdempotencyKeys, ExpireTasks};
use crate::state::{StateReader, StoreError, Table};

/// How long an idempotency key gives the stored reply.
const KEY_TTL: Duration = Duration::from_secs(24 * 3600);
/// How long a blob that nothing names is left alone: somebody may be about to name it.
const BLOB_GRACE: Duration = Duration::from_secs(3600);
/// So many go by one command.
const LIMIT: u32 = 256;

/// How long things are kept that nothing needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retention {
    /// Heaps that nothing reaches.
    pub heap_ttl: Duration,
    /// Tasks that have ended.
    pub task_ttl: Duration,
    /// So many tasks that have ended, the newest.
    pub tasks_kept_max: u64,
}

impl Retention {
    fn blob_ttl(self) -> Duration {
        self.heap_ttl.min(BLOB_GRACE)
    }

    /// What is due at a time.
    pub async fn due(self, state: &StateReader, now_ms: u64) -> Result<Vec<Kind>, StoreError> {
        let before = |ttl: Duration| now_ms.saturating_sub(ttl.as_millis() as u64);
        let (heaps, blobs) = (before(self.heap_ttl), before(self.blob_ttl()));
        let mut due = Vec::new();
        let is_due = |oldest: Option<u64>, before: u64| oldest.is_some_and(|it| it < before);
        let heap = is_due(state.oldest_ms(Table::LooseHeaps).await?, heaps);
        let blob = is_due(state.oldest_ms(Table::LooseBlobs).await?, blobs);
        if heap || blob {
            due.push(Kind::CollectGarbage(CollectGarbage {
                heaps_before_ms: heaps,
                blobs_before_ms: blobs,
                limit: LIMIT,
            }));
        }
        let keys = before(KEY_TTL);
        if is_due(state.oldest_ms(Table::IdempotencyAges).await?, keys) {
            due.push(Kind::ExpireIdempotencyKeys(ExpireIdempotencyKeys {
                before_ms: keys,
                limit: LIMIT,
            }));
        }
        let ended = before(self.task_ttl);
        let old = is_due(state.oldest_ms(Table::EndedTasks).await?, ended);
        if old || state.task_counts().await?.ended > self.tasks_kept_max {
            due.push(Kind::ExpireTasks(ExpireTasks {
                before_ms: ended,
                keep_max: self.tasks_kept_max,
                limit: LIMIT,
            }));
        }
        Ok(due)
    }
}
