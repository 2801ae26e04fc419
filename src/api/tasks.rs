use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::executions::{PageQuery, WaitQuery};
use super::{ApiState, Problem, body, exec};
use crate::error_code::ErrorCode;
use crate::service::tasks::{MalformedTaskId, TaskFilter, TaskId, TaskStatus};
use crate::wire::{NewTaskBody, OutputBody, TaskBody, TaskListBody};

/// A request waits so long for its cluster.
const PATIENCE: Duration = Duration::from_secs(10);
const LIST_LIMIT: usize = 100;

/// Which tasks.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only those that stand so.
    status: Option<TaskStatus>,
    /// Only those of this session.
    session: Option<String>,
    /// Only those with these labels: `name=value`, several with commas between them.
    labels: Option<String>,
    /// Only those that this task with `cron` made.
    parent: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// The most tasks: 100 when not given, 1000 at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// The id in a path.
fn task_id(text: &str) -> Result<TaskId, Problem> {
    text.parse().map_err(|error: MalformedTaskId| {
        let detail = format!("{text:?} names no task: {error}");
        Problem::new(ErrorCode::TaskNotFound, detail)
    })
}

fn labels(text: &str) -> Result<BTreeMap<String, String>, Problem> {
    let label = |part: &str| {
        let (name, value) = part.split_once('=')?;
        (!name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
    };
    let labels: Option<_> = text.split(',').map(label).collect();
    labels.ok_or_else(|| Problem::invalid("labels", "labels are `name=value,name=value`"))
}

/// Make a task.
///
/// Code that runs whatever becomes of nodes: when the reply comes, a majority of them has it. A node with
/// room runs it, at once or at its time; when that node dies, another one does. Its result is recorded once.
/// What the code does outside of its session (there is little: the sandbox has no network) may happen more
/// than once.
#[utoipa::path(
    post,
    path = "/api/tasks",
    operation_id = "createTask",
    tag = "tasks",
    params(("Idempotency-Key" = Option<String>, Header, description =
        "Makes a retry safe: the same key with the same request gives the same task")),
    request_body = NewTaskBody,
    responses(
        (status = 201, description = "The task", body = TaskBody,
            headers(("Location" = String, description = "Where to ask for it"))),
        (status = 200, description = "The task that the same key made before", body = TaskBody),
    )
)]
pub async fn create(
    State(state): State<ApiState>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let mut wanted: NewTaskBody = body::json(&body.map_err(body::unread)?)?;
    exec::take_key(&headers, &mut wanted.idempotency_key)?;
    let created = state
        .tasks
        .create(wanted.into_task(String::new())?, deadline())
        .await?;
    let location = format!("/api/tasks/{}", created.task.id);
    let location = HeaderValue::try_from(location).expect("a task id is ASCII");
    let status = match created.replayed {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    let body = Json(TaskBody::from(created.task));
    Ok((status, [(header::LOCATION, location)], body).into_response())
}

/// List tasks.
///
/// The newest first, without their reports. A page looks at 10,000 tasks at most: with a filter it may have
/// fewer than asked for, and `next_cursor` goes on.
#[utoipa::path(
    get,
    path = "/api/tasks",
    operation_id = "listTasks",
    tag = "tasks",
    params(ListQuery),
    responses((status = 200, description = "A page of tasks", body = TaskListBody))
)]
pub async fn list(State(state): State<ApiState>, uri: Uri) -> Result<Json<TaskListBody>, Problem> {
    let query: ListQuery = body::query(&uri)?;
    let filter = TaskFilter {
        status: query.status,
        session: query.session,
        labels: query
            .labels
            .as_deref()
            .map_or(Ok(BTreeMap::new()), labels)?,
        parent: query.parent.as_deref().map(task_id).transpose()?,
    };
    let after = query.cursor.as_deref().map(str::parse).transpose();
    let after = after.map_err(|error: crate::service::tasks::MalformedTaskCursor| {
        Problem::invalid("cursor", error.to_string())
    })?;
    let limit = query.limit.unwrap_or(LIST_LIMIT);
    let page = state.tasks.list(&filter, after, limit, deadline()).await?;
    Ok(Json(page.into()))
}

/// Get a task.
///
/// With `wait`, the reply is held back until the end or until the time is over, whichever is first.
#[utoipa::path(
    get,
    path = "/api/tasks/{id}",
    operation_id = "getTask",
    tag = "tasks",
    params(("id" = String, Path, description = "Its id"), WaitQuery),
    responses((status = 200, description = "What is known of it", body = TaskBody))
)]
pub async fn get(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<TaskBody>, Problem> {
    let id = task_id(&id)?;
    let query: WaitQuery = body::query(&uri)?;
    let task = state.tasks.get(&id, query.wait()?, deadline()).await?;
    Ok(Json(task.into()))
}

/// Read a task's console output.
///
/// Of the attempt that runs, or of the last one while the node that ran it keeps it. The whole output of an
/// attempt that has ended is in the task's report too.
#[utoipa::path(
    get,
    path = "/api/tasks/{id}/log",
    operation_id = "taskLog",
    tag = "tasks",
    params(("id" = String, Path, description = "Its id"), PageQuery),
    responses((status = 200, description = "A page of it", body = OutputBody))
)]
pub async fn log(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<OutputBody>, Problem> {
    let id = task_id(&id)?;
    let part = body::query::<PageQuery>(&uri)?.part()?;
    let execution = state.tasks.execution(&id, deadline()).await?;
    let execution = execution.ok_or_else(|| {
        Problem::new(ErrorCode::ExecutionNotFound, "no node has begun with it")
            .hint("GET /api/tasks/{id} tells where it stands")
    })?;
    let (page, status) = state.executions.output(&execution, part).await?;
    Ok(Json(OutputBody::new(&execution, page, status)))
}

/// Cancel a task.
///
/// It does not run any more, and nothing is kept of what it runs at that moment. One with `cron` makes no
/// more tasks; those that it has made stay.
#[utoipa::path(
    post,
    path = "/api/tasks/{id}/cancel",
    operation_id = "cancelTask",
    tag = "tasks",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "The task", body = TaskBody))
)]
pub async fn cancel(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<TaskBody>, Problem> {
    let task = state.tasks.cancel(&task_id(&id)?, deadline()).await?;
    Ok(Json(task.into()))
}

/// Delete a task that has ended.
#[utoipa::path(
    delete,
    path = "/api/tasks/{id}",
    operation_id = "deleteTask",
    tag = "tasks",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 204, description = "It is gone"))
)]
pub async fn delete(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    state.tasks.delete(&task_id(&id)?, deadline()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn deadline() -> Instant {
    Instant::now() + PATIENCE
}
