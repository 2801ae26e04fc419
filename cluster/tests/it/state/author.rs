//! Writes logs: first entries that put rows into every table, then whatever a seed draws.

use std::collections::{BTreeMap, BTreeSet};

use cluster::command::Command;
use cluster::proto::command::Kind;
use cluster::proto::{self, EngineState, Origin};
use cluster::types::{Entry, EntryPayload, LeaderId, LogId, Member, Membership};

use crate::draws::Draws;

/// Where in the log a session was claimed, and where a task was assigned: their fences.
const CLAIMED: u64 = 13;
const ASSIGNED: u64 = 17;
const ASSIGNED_AGAIN: u64 = 40;
/// Which proposals may still be sent again.
const OPEN: u64 = 8;

/// The same log for the same seed.
#[derive(Clone, Copy, Debug)]
pub struct Author {
    pub seed: u64,
}

impl Author {
    /// The entry of an index.
    pub fn entry(self, index: u64) -> Entry {
        let payload = match index {
            0 => EntryPayload::Membership(membership()),
            _ => match self.command(index) {
                Some(command) => EntryPayload::Normal(Command::encode(&command)),
                None => EntryPayload::Blank,
            },
        };
        Entry {
            log_id: log_id(index),
            payload,
        }
    }

    pub fn entries(self, range: std::ops::Range<u64>) -> Vec<Entry> {
        range.map(|index| self.entry(index)).collect()
    }

    fn command(self, index: u64) -> Option<proto::Command> {
        let prelude = prelude();
        let place = usize::try_from(index - 1).expect("tests are short");
        let mut draws = Draws::new(self.seed ^ index.wrapping_mul(0x9e37_79b9));
        let kind = match prelude.into_iter().nth(place) {
            Some(kind) => kind,
            None if draws.once_in(40) => return None,
            None => draw(&mut draws),
        };
        Some(proto::Command {
            principal: ["", "somebody"][draws.below(2) as usize].to_owned(),
            time_ms: 1_700_000_000_000 + index * 10 + draws.below(5000),
            origin: (index > 7).then(|| Origin {
                node: 1 + index % 3,
                incarnation: 1,
                // Now and then one is sent twice.
                sequence: index - draws.below(2),
                settled_below: index.saturating_sub(OPEN).max(1),
            }),
            level: 0,
            kind: Some(kind),
        })
    }
}

pub fn log_id(index: u64) -> LogId {
    LogId {
        leader_id: LeaderId {
            term: 1,
            node_id: 1,
        },
        index,
    }
}

fn membership() -> Membership {
    let member = |node: u64| Member {
        name: format!("n{node}"),
        address: format!("h:{node}"),
    };
    let members: BTreeMap<_, _> = (1..=3).map(|node| (node, member(node))).collect();
    let voters: BTreeSet<u64> = members.keys().copied().collect();
    Membership::new(vec![voters], members).expect("the voters are members")
}

fn hash(number: u64) -> Vec<u8> {
    vec![number as u8 + 1; 32]
}

pub fn id(number: u64) -> Vec<u8> {
    vec![number as u8 + 1; 16]
}

fn register(node: u64) -> Kind {
    Kind::RegisterNode(proto::RegisterNode {
        name: format!("n{node}"),
        address: format!("h:{node}"),
        directory_id: id(node),
        node: (node <= 3).then_some(node),
    })
}

fn up(node: u64, incarnation: u64) -> Kind {
    Kind::NodeUp(proto::NodeUp {
        node,
        incarnation,
        address: format!("h:{node}"),
        version: "0.1.0".to_owned(),
        cpu_baseline: "x86-64-v2".to_owned(),
        engine_id: id(0),
        http_address: format!("h:8{node}"),
        level: 0,
    })
}

/// One of each, in an order in which each is accepted; the first stands at index 1.
pub fn prelude() -> Vec<Kind> {
    let engine = || id(0);
    vec![
        register(1),
        register(2),
        register(3),
        up(1, 1),
        up(2, 1),
        up(3, 1),
        Kind::SetSetting(proto::SetSetting {
            name: "setting".to_owned(),
            value: "value".to_owned(),
        }),
        Kind::PutTag(proto::PutTag {
            name: "tag".to_owned(),
            value: b"{\"a\":1}".to_vec(),
            if_version: Some(0),
            heap_id: Vec::new(),
        }),
        Kind::PutEngine(proto::PutEngine {
            id: engine(),
            v8_version: "15.2".to_owned(),
            cpu_baseline: "x86-64-v2".to_owned(),
            ..proto::PutEngine::default()
        }),
        Kind::SetEngineState(proto::SetEngineState {
            id: engine(),
            state: EngineState::Allowed.into(),
        }),
        Kind::PutBlob(proto::PutBlob {
            hash: hash(0),
            size: 100,
            holders: vec![1, 2],
            in_bucket: false,
            only: false,
        }),
        Kind::PutBlob(proto::PutBlob {
            hash: hash(1),
            size: 200,
            holders: Vec::new(),
            in_bucket: true,
            only: false,
        }),
        Kind::ClaimSession(claim(0, 1)),
        Kind::CommitHeap(commit(CLAIMED, 1, 0)),
        Kind::PutImage(proto::PutImage {
            heap_id: id(1),
            blob: hash(0),
            size: 100,
            engine_id: engine(),
        }),
        Kind::CreateTask(create(0)),
        Kind::AssignTask(proto::AssignTask {
            id: "task-0".to_owned(),
            node: 2,
            incarnation: 1,
        }),
        Kind::FinishTask(finish(0, ASSIGNED)),
        Kind::CreateTask(create(1)),
        Kind::CancelTask(proto::CancelTask {
            id: "task-1".to_owned(),
        }),
        Kind::DeleteTask(proto::DeleteTask {
            id: "task-1".to_owned(),
        }),
        Kind::CreateTask(create(2)),
        Kind::DeleteTag(proto::DeleteTag {
            name: "none".to_owned(),
            if_version: None,
        }),
        Kind::DeleteBlob(proto::DeleteBlob { hash: hash(1) }),
        Kind::SetNodeDraining(proto::SetNodeDraining {
            node: 3,
            draining: true,
        }),
        Kind::NodeDown(proto::NodeDown {
            node: 3,
            incarnation: 1,
        }),
        Kind::ExpireIdempotencyKeys(proto::ExpireIdempotencyKeys {
            before_ms: 1,
            limit: 10,
        }),
        register(4),
        Kind::RemoveNode(proto::RemoveNode { node: 4 }),
        Kind::ClaimSession(claim(1, 1)),
        Kind::DeleteSession(proto::DeleteSession {
            session_id: id(1),
            if_heap: None,
        }),
        Kind::CreateSession(create_session(2, 1)),
        Kind::MoveSession(proto::MoveSession {
            session_id: id(2),
            heap_id: Vec::new(),
            if_heap: Some(id(1)),
        }),
        Kind::RenameSession(proto::RenameSession {
            session_id: id(2),
            name: "session-2b".to_owned(),
            replace: false,
        }),
        Kind::CommitHeap(branch(2, 1)),
        Kind::PutBlob(proto::PutBlob {
            hash: hash(2),
            size: 300,
            holders: vec![1, 2],
            in_bucket: false,
            only: false,
        }),
        Kind::CollectGarbage(proto::CollectGarbage {
            heaps_before_ms: 1,
            blobs_before_ms: 1,
            limit: 10,
        }),
        Kind::CreateTask(create_scheduled(3)),
        Kind::FireTask(fire(3, 1003)),
        Kind::AssignTask(proto::AssignTask {
            id: "task-3.1003".to_owned(),
            node: 2,
            incarnation: 1,
        }),
        Kind::CommitHeap(proto::CommitHeap {
            finish_task: Some(proto::FinishTask {
                id: "task-3.1003".to_owned(),
                fence: ASSIGNED_AGAIN,
                succeeded: true,
                ..proto::FinishTask::default()
            }),
            ..commit(CLAIMED, 3, 1)
        }),
        Kind::ExpireTasks(proto::ExpireTasks {
            before_ms: 1,
            keep_max: 1,
            limit: 10,
        }),
        Kind::PutTag(proto::PutTag {
            name: "heap".to_owned(),
            value: b"null".to_vec(),
            if_version: None,
            heap_id: id(3),
        }),
        Kind::CreateTask(proto::CreateTask {
            parent_heap: id(3),
            ..create(4)
        }),
    ]
}

fn claim(session: u64, node: u64) -> proto::ClaimSession {
    proto::ClaimSession {
        name: format!("session-{session}"),
        node,
        incarnation: 1,
        engine_id: id(0),
        session_id: id(session),
    }
}

fn commit(fence: u64, heap: u64, parent: u64) -> proto::CommitHeap {
    proto::CommitHeap {
        session_id: id(0),
        fence,
        heap_id: id(heap),
        parent: if parent == 0 { Vec::new() } else { id(parent) },
        engine_id: id(0),
        delta: b"delta".to_vec(),
        delta_blob: Vec::new(),
        reply: b"{}".to_vec(),
        code: "1 + 2".to_owned(),
        language: "javascript".to_owned(),
        idempotency_key: format!("heap-{heap}"),
        request_digest: hash(heap),
        record_blob: Vec::new(),
        finish_task: None,
    }
}

/// One that belongs to no session, and is too long to stand in the entry.
fn branch(heap: u64, parent: u64) -> proto::CommitHeap {
    proto::CommitHeap {
        session_id: Vec::new(),
        delta: Vec::new(),
        delta_blob: hash(0),
        reply: Vec::new(),
        code: String::new(),
        record_blob: hash(0),
        ..commit(0, heap, parent)
    }
}

fn create_session(session: u64, heap: u64) -> proto::CreateSession {
    proto::CreateSession {
        session_id: id(session),
        name: format!("session-{session}"),
        heap_id: if heap == 0 { Vec::new() } else { id(heap) },
        engine_id: id(0),
    }
}

fn create(task: u64) -> proto::CreateTask {
    proto::CreateTask {
        id: format!("task-{task}"),
        code: "1".to_owned(),
        session: String::new(),
        input: b"null".to_vec(),
        run_at_ms: 5 + task,
        attempts_max: 3,
        idempotency_key: format!("task-{task}"),
        request_digest: hash(task),
        ..proto::CreateTask::default()
    }
}

/// One that makes tasks; its first time is `1000 + task`.
fn create_scheduled(task: u64) -> proto::CreateTask {
    proto::CreateTask {
        run_at_ms: 1000 + task,
        options: b"{}".to_vec(),
        labels: [("team".to_owned(), "a".to_owned())].into(),
        failures_max: 2,
        backoff_ms: 100,
        backoff_ms_max: 1000,
        live_max: 1000,
        cron: "* * * * *".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        late_ms_max: 5000,
        ..create(task)
    }
}

fn fire(task: u64, due_ms: u64) -> proto::FireTask {
    proto::FireTask {
        id: format!("task-{task}"),
        due_ms,
        next_ms: due_ms + 1,
        task_id: format!("task-{task}.{due_ms}"),
    }
}

fn finish(task: u64, fence: u64) -> proto::FinishTask {
    proto::FinishTask {
        id: format!("task-{task}"),
        fence,
        succeeded: true,
        report: b"{}".to_vec(),
        ..proto::FinishTask::default()
    }
}

/// Something that may be accepted or not; what matters is that all nodes agree.
fn draw(draws: &mut Draws) -> Kind {
    let node = 1 + draws.below(4);
    let incarnation = 1 + draws.below(3);
    let few = draws.below(6);
    let tag = format!("tag-{}", draws.below(40));
    let if_version = draws.once_in(4).then(|| draws.below(200));
    match draws.below(40) {
        0 => register(node),
        1 => up(node, incarnation),
        2 => Kind::NodeDown(proto::NodeDown { node, incarnation }),
        3 => Kind::SetNodeDraining(proto::SetNodeDraining {
            node,
            draining: draws.once_in(2),
        }),
        4 => Kind::RemoveNode(proto::RemoveNode { node: 4 + few }),
        5 => Kind::SetSetting(proto::SetSetting {
            name: format!("setting-{few}"),
            value: ["", "x"][draws.below(2) as usize].to_owned(),
        }),
        6 => Kind::DeleteTag(proto::DeleteTag {
            name: tag,
            if_version,
        }),
        7 => Kind::PutBlob(proto::PutBlob {
            hash: hash(few),
            size: few,
            holders: vec![node, 1],
            in_bucket: draws.once_in(2),
            only: draws.once_in(4),
        }),
        8 => Kind::DeleteBlob(proto::DeleteBlob { hash: hash(few) }),
        9 => Kind::ClaimSession(claim(few, node)),
        10 => Kind::CommitHeap(commit(draws.below(100), 1 + few, draws.below(7))),
        11 => Kind::DeleteSession(proto::DeleteSession {
            session_id: id(few),
            if_heap: draws.once_in(2).then(|| id(1 + draws.below(7))),
        }),
        12 => Kind::CreateTask(proto::CreateTask {
            parent_heap: match draws.once_in(2) {
                true => id(1 + draws.below(7)),
                false => Vec::new(),
            },
            ..create(few)
        }),
        27 => Kind::CommitHeap(proto::CommitHeap {
            finish_task: Some(finish(few, draws.below(100))),
            ..branch(1 + draws.below(20), draws.below(7))
        }),
        13 => Kind::AssignTask(proto::AssignTask {
            id: format!("task-{few}"),
            node,
            incarnation,
        }),
        14 => Kind::FinishTask(finish(few, draws.below(100))),
        15 => Kind::CancelTask(proto::CancelTask {
            id: format!("task-{few}"),
        }),
        16 => Kind::DeleteTask(proto::DeleteTask {
            id: format!("task-{few}"),
        }),
        17 => Kind::ExpireIdempotencyKeys(proto::ExpireIdempotencyKeys {
            before_ms: 1_700_000_000_000 + draws.below(4000),
            limit: 3,
        }),
        18 => Kind::CreateSession(create_session(few, draws.below(7))),
        19 => Kind::MoveSession(proto::MoveSession {
            session_id: id(few),
            heap_id: id(1 + draws.below(6)),
            if_heap: draws.once_in(2).then(|| id(1 + draws.below(6))),
        }),
        20 => Kind::RenameSession(proto::RenameSession {
            session_id: id(few),
            name: format!("session-{}", draws.below(8)),
            replace: draws.once_in(2),
        }),
        22 => Kind::CollectGarbage(proto::CollectGarbage {
            heaps_before_ms: 1_700_000_000_000 + draws.below(4000),
            blobs_before_ms: 1_700_000_000_000 + draws.below(4000),
            limit: 3,
        }),
        21 => Kind::CommitHeap(branch(1 + few, draws.below(7))),
        23 => Kind::CreateTask(create_scheduled(few)),
        24 => Kind::FireTask(fire(few, 1000 + few + draws.below(3))),
        25 => Kind::ExpireTasks(proto::ExpireTasks {
            before_ms: 1_700_000_000_000 + draws.below(4000),
            keep_max: draws.below(3),
            limit: 2,
        }),
        26 => Kind::FinishTask(proto::FinishTask {
            succeeded: draws.once_in(2),
            last: draws.once_in(2),
            lost: draws.once_in(2),
            report: Vec::new(),
            report_blob: hash(draws.below(3)),
            ..finish(few, draws.below(100))
        }),
        _ => {
            let length = match draws.below(20) {
                0 => draws.below(60_000),
                _ => 1 + draws.below(400),
            };
            Kind::PutTag(proto::PutTag {
                name: tag,
                value: draws.bytes(length as usize),
                if_version,
                heap_id: match draws.once_in(2) {
                    true => id(1 + draws.below(7)),
                    false => Vec::new(),
                },
            })
        }
    }
}
