//! A heap's count of what refers to it is what a count of all rows says, whatever the log was.

use std::collections::BTreeMap;

use cluster::proto::TaskState;
use cluster::state::StateReader;
use proptest::prelude::*;

use super::author::{Author, id, prelude};
use super::stage::Stage;

/// No entry of a drawn log names another heap.
const HEAPS: u64 = 32;
const ROWS_MAX: usize = 1000;

/// How often each heap is referred to, by all that can.
async fn counted(reader: &StateReader) -> BTreeMap<Vec<u8>, u64> {
    let mut named = Vec::new();
    for heap in (0..HEAPS).map(id) {
        let commit = reader.commit(&heap).await.expect("the disk works");
        named.extend(commit.map(|commit| commit.parent));
    }
    let sessions = reader
        .sessions("", None, ROWS_MAX)
        .await
        .expect("the disk works");
    named.extend(sessions.rows.into_iter().map(|session| session.heap_id));
    let tags = reader
        .tags("", None, ROWS_MAX)
        .await
        .expect("the disk works");
    named.extend(tags.rows.into_iter().map(|tag| tag.heap_id));
    let tasks = reader.tasks(None, ROWS_MAX).await.expect("the disk works");
    for task in tasks.rows {
        let live = [TaskState::Scheduled, TaskState::Queued, TaskState::Running];
        if live.contains(&task.state()) {
            named.push(task.parent_heap);
        }
        named.push(task.heap_id);
    }
    let mut counts = BTreeMap::new();
    for heap in named {
        *counts.entry(heap).or_default() += 1;
    }
    counts
}

async fn check(reader: &StateReader) -> u64 {
    let counts = counted(reader).await;
    let mut referred = 0;
    for heap in (0..HEAPS).map(id) {
        let Some(commit) = reader.commit(&heap).await.expect("the disk works") else {
            assert_eq!(counts.get(&heap), None, "{heap:?} is referred to and gone");
            continue;
        };
        let count = counts.get(&heap).copied().unwrap_or_default();
        assert_eq!(commit.references, count, "of {heap:?}");
        assert_eq!(commit.loose_ms > 0, count == 0, "of {heap:?}");
        let tags = reader
            .heap_tags(&heap, None, ROWS_MAX)
            .await
            .expect("the disk works");
        assert!(tags.rows.iter().all(|tag| tag.heap_id == heap));
        referred += count;
    }
    referred
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn heaps_count_what_refers_to_them(seed in any::<u64>(), length in 1_u64..600) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
        runtime.expect("threads can be started").block_on(async {
            let directory = tempfile::tempdir().expect("there is room");
            let mut stage = Stage::open(directory.path()).expect("it opens");
            let author = Author { seed };
            let prelude = prelude().len() as u64;
            stage.apply(author.entries(0..prelude + 1)).await;
            assert!(check(&stage.reader).await > 0, "the prelude refers to heaps");
            stage.apply(author.entries(prelude + 1..prelude + 1 + length)).await;
            check(&stage.reader).await;
        });
    }
}
