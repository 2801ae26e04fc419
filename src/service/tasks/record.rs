//! Tasks as the cluster keeps them.

use std::sync::Arc;

use cluster::proto::{CreateTask, NodeRecord, TaskRecord, TaskState};
use cluster::state::{CODE_BYTES_MAX, TASK_INPUT_BYTES_MAX, TASK_REQUEST_BYTES_MAX};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Error, NewTask, Task, TaskId, TaskStatus};
use crate::raw_json;
use crate::service::run::{ExecutionId, ExecutionRequest, Language, LimitOverrides};
use crate::service::sessions::{HeapId, Target, TaskFence};

/// Labels, options and what stands around them have this much of a request's room.
const ROOM: usize = 6 * 1024;

/// What the cluster does not look at.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct TaskOptions {
    #[serde(default)]
    language: i32,
    #[serde(default)]
    limits: LimitOverrides,
}

/// Code and input in a blob of their own, where they are too long for the record.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LongRequest {
    code: String,
    #[serde(default, with = "raw_json", skip_serializing_if = "Option::is_none")]
    input: Option<Arc<RawValue>>,
}

/// The command for a task without its times, and what goes into a blob first.
pub(super) fn command(id: &TaskId, new: NewTask) -> (CreateTask, Option<LongRequest>) {
    let request = new.request;
    let (session, heap) = match request.target {
        None => (String::new(), None),
        Some(Target::Session(name)) => (name, None),
        Some(Target::Heap(heap)) => (String::new(), Some(heap)),
    };
    let options = TaskOptions {
        language: request.language.into(),
        limits: request.limits,
    };
    let input_bytes = request.input.as_ref().map_or(0, |input| input.get().len());
    let fits = request.code.len() <= CODE_BYTES_MAX
        && !request.code.is_empty()
        && input_bytes <= TASK_INPUT_BYTES_MAX
        && request.code.len() + input_bytes <= TASK_REQUEST_BYTES_MAX - ROOM;
    let (code, input, long) = match fits {
        true => (
            request.code,
            request
                .input
                .map_or_else(Vec::new, |input| input.get().into()),
            None,
        ),
        false => {
            let long = LongRequest {
                code: request.code,
                input: request.input,
            };
            (String::new(), Vec::new(), Some(long))
        }
    };
    let command = CreateTask {
        id: id.to_string(),
        code,
        session,
        input,
        idempotency_key: request.idempotency_key.unwrap_or_default(),
        parent_heap: HeapId::to_record(heap),
        options: serde_json::to_vec(&options).expect("plain data has a JSON form"),
        labels: new.labels,
        failures_max: new.retries.saturating_add(1),
        backoff_ms: new.backoff_ms,
        backoff_ms_max: new.backoff_ms_max,
        ..CreateTask::default()
    };
    (command, long)
}

/// What a node has to run for a task.
pub(super) fn request(
    record: &TaskRecord,
    long: Option<LongRequest>,
) -> Result<ExecutionRequest, Error> {
    let options: TaskOptions = match record.options.is_empty() {
        true => TaskOptions::default(),
        false => serde_json::from_slice(&record.options).map_err(|_| Error::Record)?,
    };
    let (code, input) = match long {
        Some(long) => (long.code, long.input),
        None if record.input.is_empty() => (record.code.clone(), None),
        None => {
            let input = String::from_utf8(record.input.clone()).map_err(|_| Error::Record)?;
            let input = RawValue::from_string(input).map_err(|_| Error::Record)?;
            (record.code.clone(), Some(Arc::from(input)))
        }
    };
    let heap = match record.parent_heap.is_empty() {
        true => None,
        false => Some(HeapId::from_bytes(&record.parent_heap).ok_or(Error::Record)?),
    };
    let target = match (&record.session[..], heap) {
        ("", None) => None,
        ("", Some(heap)) => Some(Target::Heap(heap)),
        (name, _) => Some(Target::Session(name.to_owned())),
    };
    Ok(ExecutionRequest {
        code,
        language: Language::try_from(options.language).map_err(|_| Error::Record)?,
        input,
        target,
        limits: options.limits,
        idempotency_key: None,
        principal: record.principal.clone(),
        task: Some(TaskFence {
            id: record.id.clone(),
            fence: record.fence,
        }),
    })
}

/// Where a record says that a task stands.
pub(super) fn status(record: &TaskRecord) -> Result<TaskStatus, Error> {
    Ok(match record.state() {
        TaskState::Unspecified => return Err(Error::Record),
        TaskState::Scheduled => TaskStatus::Scheduled,
        TaskState::Queued => TaskStatus::Queued,
        TaskState::Running => TaskStatus::Running,
        TaskState::Succeeded => TaskStatus::Succeeded,
        TaskState::Failed => TaskStatus::Failed,
        TaskState::Cancelled => TaskStatus::Cancelled,
        TaskState::Dead => TaskStatus::Dead,
    })
}

/// What callers are told of a task, without its report.
pub(super) fn task(record: TaskRecord, nodes: &[NodeRecord]) -> Result<Task, Error> {
    let status = status(&record)?;
    let given = |text: String| (!text.is_empty()).then_some(text);
    let fence = TaskFence {
        id: record.id.clone(),
        fence: record.fence,
    };
    let node = nodes.iter().find(|node| node.id == record.owner_node);
    Ok(Task {
        status,
        session: given(record.session),
        code: given(record.code),
        run_at_ms: record.run_at_ms,
        time_zone: given(record.time_zone).filter(|_| !record.cron.is_empty()),
        cron: given(record.cron),
        parent: given(record.parent).map(|parent| TaskId::of_record(&parent)),
        labels: record.labels,
        attempts: record.attempts,
        failures: record.failures,
        retries: record.failures_max.saturating_sub(1),
        node: node.map(|node| node.name.clone()),
        created_ms: record.created_ms,
        changed_ms: record.changed_ms,
        execution: (record.attempts > 0)
            .then(|| ExecutionId::of_task(record.owner_node, record.owner_incarnation, &fence)),
        started_ms: (record.started_ms > 0).then_some(record.started_ms),
        finished_ms: status.is_final().then_some(record.changed_ms),
        heap: HeapId::from_bytes(&record.heap_id).map(|heap| heap.to_string()),
        report: None,
        id: TaskId::of_record(&record.id),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::service::tasks::When;

    fn new(code: String, input: Option<&str>, target: Option<Target>) -> NewTask {
        let input = input.map(|json| Arc::from(RawValue::from_string(json.to_owned()).unwrap()));
        NewTask {
            request: ExecutionRequest {
                code,
                language: Language::TypeScript,
                input,
                target,
                limits: LimitOverrides {
                    timeout_ms: Some(7),
                    ..LimitOverrides::default()
                },
                idempotency_key: None,
                principal: String::new(),
                task: None,
            },
            when: When::Now,
            retries: 2,
            backoff_ms: 1,
            backoff_ms_max: 2,
            labels: BTreeMap::new(),
        }
    }

    /// As the cluster would keep it.
    fn kept(command: CreateTask) -> TaskRecord {
        TaskRecord {
            id: command.id,
            code: command.code,
            session: command.session,
            parent_heap: command.parent_heap,
            input: command.input,
            options: command.options,
            fence: 9,
            ..TaskRecord::default()
        }
    }

    #[test]
    fn what_runs_is_what_was_asked_for() {
        let heap = Target::Heap(HeapId([3; 32]));
        let session = Target::Session("s".to_owned());
        let long = "1;".repeat(CODE_BYTES_MAX);
        for (code, input, target) in [
            ("1".to_owned(), None, None),
            ("input".to_owned(), Some("{\"a\":[1, 2]}"), Some(session)),
            (long, Some("null"), Some(heap)),
        ] {
            let asked = new(code.clone(), input, target.clone());
            let (command, long) = command(&TaskId::random(), asked);
            assert_eq!(long.is_some(), command.code.is_empty());
            let run = request(&kept(command), long).unwrap();
            assert_eq!(run.code, code);
            assert_eq!(run.input.as_ref().map(|input| input.get()), input);
            assert_eq!((run.target, run.language), (target, Language::TypeScript));
            assert_eq!(run.limits.timeout_ms, Some(7));
            assert_eq!(run.task.unwrap().fence, 9);
        }
    }
}
