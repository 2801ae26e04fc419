//! The extension `io.modelcontextprotocol/tasks` (SEP-2663), on the tasks of the cluster: an id that one node
//! gave is good at all of them, and outlives the node that gave it.
//!
//! A client that declares the extension has its `run_js` made into a task before anything runs. What ends
//! within [`PATIENCE`] is answered as ever; else the client gets the task, and asks for its end.

use std::time::{Duration, Instant};

use rmcp::{
    ErrorData,
    model::{
        CallToolResponse, CreateTaskResult, DetailedTask, ErrorCode as RpcCode, GetTaskResult,
        JsonObject, Task as McpTask, TaskPayload, TaskStatus as McpStatus,
    },
};
use serde_json::Value;

use super::tools::task_reply;
use crate::{
    error_code::ErrorCode,
    service::tasks::{Error, NewTask, Task, TaskId, TaskStatus, Tasks},
    wire::rfc3339,
};

/// A call waits so long for the end of its task before it is answered with the task.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// A request waits so long for its cluster.
const CLUSTER_PATIENCE: Duration = Duration::from_secs(10);
/// A client should ask no more often than that, in milliseconds.
const POLL_MS: u64 = 500;

/// Makes a task, and waits so long for its end.
pub(super) async fn begin(
    tasks: &Tasks,
    new: NewTask,
    wait: Duration,
) -> Result<CallToolResponse, Error> {
    let created = tasks.create(new, deadline()).await?;
    let task = tasks.get(&created.task.id, wait, deadline()).await?;
    if !task.status.is_final() {
        return Ok(CallToolResponse::Task(CreateTaskResult::new(head(
            tasks, &task,
        ))));
    }
    Ok(task_reply::of_run(&task).into())
}

/// Where a task stands, with what came of it.
pub(super) async fn get(tasks: &Tasks, id: &str) -> Result<GetTaskResult, ErrorData> {
    let task = tasks.get(&task_id(id)?, Duration::ZERO, deadline()).await;
    let task = task.map_err(|error| error_data(&error))?;
    let payload = payload(&task);
    Ok(GetTaskResult::new(DetailedTask::new(
        head(tasks, &task),
        payload,
    )))
}

/// Takes what a client answers to a task's questions: code in a sandbox has none.
pub(super) async fn update(tasks: &Tasks, id: &str) -> Result<(), ErrorData> {
    get(tasks, id).await.map(|_| ())
}

/// Stops a task; one that has ended stays as it is.
pub(super) async fn cancel(tasks: &Tasks, id: &str) -> Result<(), ErrorData> {
    match tasks.cancel(&task_id(id)?, deadline()).await {
        Ok(_) | Err(Error::WrongState { .. }) => Ok(()),
        Err(error) => Err(error_data(&error)),
    }
}

fn task_id(text: &str) -> Result<TaskId, ErrorData> {
    text.parse().map_err(|error| {
        let message = format!("{text:?} is no task of this server: {error}");
        ErrorData::invalid_params(message, None)
    })
}

fn head(tasks: &Tasks, task: &Task) -> McpTask {
    let status = match task.status {
        TaskStatus::Scheduled | TaskStatus::Queued | TaskStatus::Running => McpStatus::Working,
        TaskStatus::Cancelled => McpStatus::Cancelled,
        TaskStatus::Succeeded => McpStatus::Completed,
        TaskStatus::Failed if has_run(task) => McpStatus::Completed,
        TaskStatus::Failed | TaskStatus::Dead => McpStatus::Failed,
    };
    let (created, changed) = (rfc3339(task.created_ms), rfc3339(task.changed_ms));
    McpTask::new(task.id.as_str(), status, created, changed)
        .with_ttl_ms(tasks.kept_ms())
        .with_poll_interval_ms(POLL_MS)
}

/// A script that fails is a result of its tool; what could not run at all is none.
fn has_run(task: &Task) -> bool {
    task.report
        .as_ref()
        .is_some_and(|report| !report.is_not_run())
}

fn payload(task: &Task) -> TaskPayload {
    match task.status {
        TaskStatus::Scheduled | TaskStatus::Queued | TaskStatus::Running => TaskPayload::Working,
        TaskStatus::Cancelled => TaskPayload::Cancelled,
        TaskStatus::Succeeded => completed(task),
        TaskStatus::Failed if has_run(task) => completed(task),
        TaskStatus::Failed | TaskStatus::Dead => {
            let error = task
                .report
                .as_ref()
                .and_then(|report| report.error.as_ref());
            let code = error.map_or(ErrorCode::Internal, |error| error.code);
            let message = match (error, task.status) {
                (_, TaskStatus::Dead) => {
                    "the task was lost with its node too often to be tried again".to_owned()
                }
                (Some(error), _) => error.message.clone(),
                (None, _) => "the task could not run".to_owned(),
            };
            let mut object = JsonObject::new();
            object.insert("code".to_owned(), code.json_rpc_code().into());
            object.insert("message".to_owned(), message.into());
            object.insert("data".to_owned(), serde_json::json!({ "code": code }));
            TaskPayload::Failed { error: object }
        }
    }
}

fn completed(task: &Task) -> TaskPayload {
    let result = serde_json::to_value(task_reply::of_run(task));
    match result.expect("a reply has a JSON form") {
        Value::Object(result) => TaskPayload::Completed { result },
        _ => unreachable!("a tool's result is an object"),
    }
}

/// What a request about a task gets where there is no tool result to put an error in.
pub(super) fn error_data(error: &Error) -> ErrorData {
    let code = error.code();
    let rpc = i32::try_from(code.json_rpc_code()).unwrap_or(-32603);
    let data = serde_json::json!({ "code": code, "hint": error.hint() });
    ErrorData::new(RpcCode(rpc), error.to_string(), Some(data))
}

fn deadline() -> Instant {
    Instant::now() + CLUSTER_PATIENCE
}
