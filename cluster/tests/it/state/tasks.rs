//! What commands make of tasks.

use cluster::command::Command;
use cluster::proto::command::Kind;
use cluster::proto::{self, TaskRecord, TaskState};
use cluster::types::{Entry, EntryPayload};

use super::author::{Author, log_id};
use super::stage::Stage;

/// Nodes 1 to 3 live; a tag, an engine and some blobs are there.
const PRELUDE: u64 = 13;
const AUTHOR: Author = Author { seed: 11 };

struct Tasks {
    stage: Stage,
    now_ms: u64,
    _directory: tempfile::TempDir,
}

impl Tasks {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory for temporary files");
        let mut stage = Stage::open(directory.path()).expect("an empty directory opens");
        stage.apply(AUTHOR.entries(0..PRELUDE)).await;
        Self {
            stage,
            now_ms: 1_800_000_000_000,
            _directory: directory,
        }
    }

    /// Gives the index, which is the fence of what was granted.
    async fn apply(&mut self, kind: Kind) -> u64 {
        let index = self.stage.next();
        let command = proto::Command {
            time_ms: self.now_ms,
            kind: Some(kind),
            ..proto::Command::default()
        };
        let entry = Entry {
            log_id: log_id(index),
            payload: EntryPayload::Normal(Command::encode(&command)),
        };
        self.stage.apply(vec![entry]).await;
        index
    }

    async fn create(&mut self, id: &str, change: impl FnOnce(&mut proto::CreateTask)) {
        let mut create = proto::CreateTask {
            id: id.to_owned(),
            code: "1".to_owned(),
            run_at_ms: self.now_ms,
            attempts_max: 20,
            failures_max: 1,
            ..proto::CreateTask::default()
        };
        change(&mut create);
        self.apply(Kind::CreateTask(create)).await;
    }

    async fn assign(&mut self, id: &str, node: u64) -> u64 {
        let assign = proto::AssignTask {
            id: id.to_owned(),
            node,
            incarnation: 1,
        };
        self.apply(Kind::AssignTask(assign)).await
    }

    async fn finish(
        &mut self,
        id: &str,
        fence: u64,
        change: impl FnOnce(&mut proto::FinishTask),
    ) -> u64 {
        let mut finish = proto::FinishTask {
            id: id.to_owned(),
            fence,
            ..proto::FinishTask::default()
        };
        change(&mut finish);
        self.apply(Kind::FinishTask(finish)).await
    }

    async fn get(&self, id: &str) -> Option<TaskRecord> {
        self.stage.reader.task(id).await.expect("the disk works")
    }

    async fn state(&self, id: &str) -> Option<TaskState> {
        self.get(id).await.map(|task| task.state())
    }

    /// Scheduled, queued, running, ended.
    async fn counts(&self) -> [u64; 4] {
        let counts = self
            .stage
            .reader
            .task_counts()
            .await
            .expect("the disk works");
        let counts = [
            counts.scheduled,
            counts.queued,
            counts.running,
            counts.ended,
        ];
        // They are what the rows say.
        for (state, count) in [
            (TaskState::Scheduled, counts[0]),
            (TaskState::Queued, counts[1]),
            (TaskState::Running, counts[2]),
        ] {
            let live = self
                .stage
                .reader
                .live_tasks(state, 1000)
                .await
                .expect("the disk works");
            assert_eq!(live.len() as u64, count, "{state:?}");
        }
        let all = self
            .stage
            .reader
            .newest_tasks(None, 1000)
            .await
            .expect("the disk works");
        assert_eq!(all.rows.len() as u64, counts.iter().sum::<u64>());
        counts
    }
}

#[tokio::test]
async fn a_result_counts_only_with_the_fence_in_force() {
    let mut tasks = Tasks::new().await;
    tasks.create("a", |_| {}).await;
    assert_eq!(tasks.counts().await, [0, 1, 0, 0]);
    let first = tasks.assign("a", 1).await;
    assert_eq!(tasks.counts().await, [0, 0, 1, 0]);
    // The node lives: nobody else gets it.
    tasks.assign("a", 2).await;
    assert_eq!(tasks.get("a").await.unwrap().fence, first);
    let down = proto::NodeDown {
        node: 1,
        incarnation: 1,
    };
    tasks.apply(Kind::NodeDown(down)).await;
    let second = tasks.assign("a", 2).await;
    assert_eq!(tasks.get("a").await.unwrap().fence, second);
    // What the first node still says comes too late.
    tasks.finish("a", first, |it| it.succeeded = true).await;
    assert_eq!(tasks.state("a").await, Some(TaskState::Running));
    let end = |it: &mut proto::FinishTask| {
        it.succeeded = true;
        it.report = b"2".to_vec();
    };
    tasks.finish("a", second, end).await;
    tasks
        .finish("a", second, |it| it.report = b"3".to_vec())
        .await;
    let ended = tasks.get("a").await.unwrap();
    assert_eq!(
        (ended.state(), &ended.report[..]),
        (TaskState::Succeeded, &b"2"[..])
    );
    assert_eq!(tasks.counts().await, [0, 0, 0, 1]);
}

#[tokio::test]
async fn errors_are_counted_and_lost_attempts_are_not() {
    let mut tasks = Tasks::new().await;
    let retried = |it: &mut proto::CreateTask| {
        it.failures_max = 3;
        it.backoff_ms = 100;
        it.backoff_ms_max = 150;
    };
    tasks.create("a", retried).await;
    for pause in [100, 150] {
        let fence = tasks.assign("a", 1).await;
        tasks.finish("a", fence, |_| {}).await;
        let task = tasks.get("a").await.unwrap();
        assert_eq!(task.state(), TaskState::Queued);
        assert_eq!(task.run_at_ms, tasks.now_ms + pause);
        let fence = tasks.assign("a", 1).await;
        tasks.finish("a", fence, |it| it.lost = true).await;
        assert_eq!(tasks.state("a").await, Some(TaskState::Queued));
    }
    let fence = tasks.assign("a", 1).await;
    tasks.finish("a", fence, |_| {}).await;
    assert_eq!(tasks.state("a").await, Some(TaskState::Failed));
    // Lost again and again, it is given up.
    tasks.create("b", |it| it.attempts_max = 2).await;
    for end in [TaskState::Queued, TaskState::Dead] {
        let fence = tasks.assign("b", 1).await;
        tasks.finish("b", fence, |it| it.lost = true).await;
        assert_eq!(tasks.state("b").await, Some(end));
    }
    // What can't succeed is not tried again.
    tasks.create("c", |it| it.failures_max = 9).await;
    let fence = tasks.assign("c", 1).await;
    tasks.finish("c", fence, |it| it.last = true).await;
    assert_eq!(tasks.state("c").await, Some(TaskState::Failed));
    assert_eq!(tasks.counts().await, [0, 0, 0, 3]);
}

#[tokio::test]
async fn a_due_time_makes_one_task() {
    let mut tasks = Tasks::new().await;
    let hourly = |it: &mut proto::CreateTask| {
        it.cron = "0 * * * *".to_owned();
        it.run_at_ms = 1000;
        it.labels.insert("team".to_owned(), "a".to_owned());
    };
    tasks.create("s", hourly).await;
    assert_eq!(tasks.counts().await, [1, 0, 0, 0]);
    let fire = |due_ms, next_ms, id: &str| {
        Kind::FireTask(proto::FireTask {
            id: "s".to_owned(),
            due_ms,
            next_ms,
            task_id: id.to_owned(),
        })
    };
    // Two leaders, one after the other, saw the same time come.
    tasks.apply(fire(1000, 2000, "s.1000")).await;
    tasks.apply(fire(1000, 2000, "s.1000-again")).await;
    assert_eq!(tasks.counts().await, [1, 1, 0, 0]);
    let made = tasks.get("s.1000").await.unwrap();
    assert_eq!((&made.parent[..], &made.cron[..]), ("s", ""));
    assert_eq!(made.labels["team"], "a");
    // A time that passes makes none.
    tasks.apply(fire(2000, 3000, "")).await;
    assert_eq!(tasks.get("s").await.unwrap().run_at_ms, 3000);
    let cancel = proto::CancelTask { id: "s".to_owned() };
    tasks.apply(Kind::CancelTask(cancel)).await;
    tasks.apply(fire(3000, 4000, "s.3000")).await;
    assert_eq!(tasks.counts().await, [0, 1, 0, 1]);
}

#[tokio::test]
async fn tasks_are_bounded_and_those_that_have_ended_go_the_oldest_first() {
    let mut tasks = Tasks::new().await;
    for number in 0..5 {
        tasks
            .create(&format!("t{number}"), |it| it.live_max = 3)
            .await;
    }
    assert_eq!(tasks.counts().await, [0, 3, 0, 0]);
    for number in 0..3 {
        tasks.now_ms += 1000;
        let id = format!("t{number}");
        let fence = tasks.assign(&id, 1).await;
        tasks.finish(&id, fence, |it| it.succeeded = true).await;
    }
    let expire = |before_ms, keep_max| {
        Kind::ExpireTasks(proto::ExpireTasks {
            before_ms,
            keep_max,
            limit: 100,
        })
    };
    tasks.apply(expire(tasks.now_ms - 1500, 100)).await;
    assert_eq!(tasks.counts().await, [0, 0, 0, 2]);
    assert_eq!(tasks.state("t0").await, None);
    tasks.apply(expire(0, 1)).await;
    assert_eq!(tasks.state("t1").await, None);
    assert_eq!(tasks.state("t2").await, Some(TaskState::Succeeded));
    // The newest first, and page by page.
    for number in 0..5 {
        tasks.now_ms += 1;
        tasks.create(&format!("n{number}"), |_| {}).await;
    }
    let page = tasks.stage.reader.newest_tasks(None, 2).await.unwrap();
    let ids: Vec<_> = page.rows.iter().map(|task| &task.id[..]).collect();
    assert_eq!((ids, page.more), (vec!["n4", "n3"], true));
    let last = &page.rows[1];
    let after = Some((last.created_ms, &last.id[..]));
    let page = tasks.stage.reader.newest_tasks(after, 9).await.unwrap();
    let ids: Vec<_> = page.rows.iter().map(|task| &task.id[..]).collect();
    assert_eq!((ids, page.more), (vec!["n2", "n1", "n0", "t2"], false));
}

#[tokio::test]
async fn a_run_in_a_session_and_its_task_end_together_or_not_at_all() {
    let mut tasks = Tasks::new().await;
    tasks
        .stage
        .apply(AUTHOR.entries(PRELUDE..PRELUDE + 1))
        .await;
    let session = tasks.stage.reader.session_by_name("session-0").await;
    let session = session.unwrap().expect("the author has claimed it");
    tasks.create("a", |_| {}).await;
    let old = tasks.assign("a", 2).await;
    tasks.finish("a", old, |it| it.lost = true).await;
    let fence = tasks.assign("a", 1).await;
    let commit = |task_fence, heap: u8| {
        Kind::CommitHeap(proto::CommitHeap {
            session_id: session.id.clone(),
            fence: session.fence,
            heap_id: vec![heap; 32],
            engine_id: session.engine_id.clone(),
            delta: b"d".to_vec(),
            reply: b"{\"n\":1}".to_vec(),
            code: "n".to_owned(),
            finish_task: Some(proto::FinishTask {
                id: "a".to_owned(),
                fence: task_fence,
                succeeded: true,
                ..proto::FinishTask::default()
            }),
            ..proto::CommitHeap::default()
        })
    };
    // The task is another node's by now: the session stands where it stood.
    tasks.apply(commit(old, 7)).await;
    let now = |tasks: &Tasks| {
        let (reader, id) = (tasks.stage.reader.clone(), session.id.clone());
        async move { reader.session(&id).await.unwrap().unwrap().heap_id }
    };
    assert!(now(&tasks).await.is_empty());
    assert!(tasks.stage.reader.commit(&[7; 32]).await.unwrap().is_none());
    tasks.apply(commit(fence, 8)).await;
    assert_eq!(now(&tasks).await, [8; 32]);
    let task = tasks.get("a").await.unwrap();
    assert_eq!(task.state(), TaskState::Succeeded);
    assert_eq!(
        (&task.report[..], task.heap_id),
        (&b"{\"n\":1}"[..], vec![8; 32])
    );
}
