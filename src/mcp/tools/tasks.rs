//! Tasks as plain tools, for clients that don't know the extension, and for later and repeated runs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rmcp::model::{CallToolResult, Tool};
use serde_json::{Value, json};

use super::{
    ToolError,
    arguments::{Arguments, kind},
    definitions::{
        WAIT_MS_MAX, adds, input, only_reads, running_properties, takes_away, tool, whole,
    },
    reply, run, task_reply,
};
use crate::{
    config::RunConfig,
    service::tasks::{MalformedTaskId, TaskFilter, TaskId, TaskStatus, Tasks},
    wire::{NewTaskBody, TaskBody, TaskListBody},
};

/// A call waits so long for the cluster.
const PATIENCE: Duration = Duration::from_secs(10);
const LIST_DEFAULT: u64 = 20;
const LIST_MAX: u64 = 100;

/// The tools, in an order that never changes.
pub(super) fn definitions(config: &RunConfig, has_sessions: bool) -> Vec<Tool> {
    let id = || {
        json!({
            "type": "string",
            "minLength": 32,
            "description": "The task's id, as task_create gave it.",
        })
    };
    vec![
        tool(
            "task_create",
            "Make a task",
            "Has JavaScript or TypeScript run in the background, at once, later (`delay_ms`, `run_at`) or \
             again and again (`cron`), and returns the task's id without waiting. A task is durable: it runs \
             although the server that took it ends, and its result is kept for days. Look at it with \
             task_get. The code, the limits and most arguments are those of run_js."
                .to_owned(),
            input(properties(config, has_sessions), &["code"]),
        )
        .with_output_schema::<TaskBody>()
        .with_annotations(adds()),
        tool(
            "task_get",
            "Look at a task",
            "Gives where a task stands, and its result, error and console output when it has ended. With \
             wait_ms it waits that long for the end."
                .to_owned(),
            input(
                json!({
                    "task_id": id(),
                    "wait_ms": whole(0, WAIT_MS_MAX, 0, "Wait up to this many milliseconds for the end."),
                }),
                &["task_id"],
            ),
        )
        .with_output_schema::<TaskBody>()
        .with_annotations(only_reads()),
        tool(
            "task_list",
            "List tasks",
            "Lists the tasks of this server, the newest first, without their results.".to_owned(),
            input(
                json!({
                    "status": {
                        "type": "string",
                        "enum": TaskStatus::ALL.map(TaskStatus::as_str),
                        "description": "Only the tasks that stand so.",
                    },
                    "labels": {
                        "type": "object",
                        "additionalProperties": { "type": "string" },
                        "description": "Only the tasks that have all of these labels.",
                    },
                    "limit": whole(1, LIST_MAX, LIST_DEFAULT, "The most tasks."),
                    "cursor": {
                        "type": "string",
                        "description": "The `next_cursor` of the page before, to go on.",
                    },
                }),
                &[],
            ),
        )
        .with_output_schema::<TaskListBody>()
        .with_annotations(only_reads()),
        tool(
            "task_cancel",
            "Cancel a task",
            "Stops a task for good: it does not run any more, and nothing is kept of what it runs now. One \
             with `cron` makes no more tasks."
                .to_owned(),
            input(json!({ "task_id": id() }), &["task_id"]),
        )
        .with_output_schema::<TaskBody>()
        .with_annotations(takes_away()),
    ]
}

fn properties(config: &RunConfig, has_sessions: bool) -> Value {
    let mut properties = running_properties(config, false, has_sessions);
    let own = json!({
        "delay_ms": { "type": "integer", "minimum": 0, "description": "Not before so many milliseconds have passed." },
        "run_at": { "type": "string", "description": "Not before this time (RFC 3339)." },
        "cron": {
            "type": "string",
            "description": "Again and again: minute, hour, day of the month, month, day of the week; with a sixth \
                            field in front, seconds. Each time makes a task of its own.",
        },
        "time_zone": { "type": "string", "description": "The time zone of `cron` by its IANA name; UTC when not given." },
        "retries": whole(0, 100, 0, "How often it is tried again when the code ends with an error."),
        "labels": {
            "type": "object",
            "additionalProperties": { "type": "string" },
            "description": "Up to 16 names with values, to find it by.",
        },
    });
    if let (Some(all), Value::Object(own)) = (properties.as_object_mut(), own) {
        all.extend(own);
    }
    properties
}

/// Whether one of these tools is meant.
pub(super) fn is_one(name: &str) -> bool {
    name.starts_with("task_")
}

/// Calls one of those that [`definitions`] lists.
pub(super) async fn call(
    tasks: &Tasks,
    name: &str,
    arguments: Arguments,
) -> Result<CallToolResult, ToolError> {
    match name {
        "task_create" => create(tasks, arguments).await,
        "task_get" => get(tasks, arguments).await,
        "task_list" => list(tasks, arguments).await,
        _ => cancel(tasks, arguments).await,
    }
}

async fn create(tasks: &Tasks, mut arguments: Arguments) -> Result<CallToolResult, ToolError> {
    // What only tasks have; the rest is a run's.
    let own = NewTaskBody {
        run_at: arguments.text("run_at")?,
        delay_ms: arguments.number("delay_ms")?,
        cron: arguments.text("cron")?,
        time_zone: arguments.text("time_zone")?,
        retries: arguments
            .number("retries")?
            .map(|retries| u32::try_from(retries).unwrap_or(u32::MAX)),
        labels: labels(&mut arguments)?,
        ..NewTaskBody::default()
    };
    let mut task = own.into_task(String::new())?;
    task.request = run::request(arguments)?;
    let created = tasks.create(task, deadline()).await?;
    Ok(task_reply::of_task(created.task))
}

async fn get(tasks: &Tasks, mut arguments: Arguments) -> Result<CallToolResult, ToolError> {
    let id = task_id(&mut arguments)?;
    let wait_ms = arguments.number_up_to("wait_ms", WAIT_MS_MAX)?;
    arguments.finish()?;
    let wait = Duration::from_millis(wait_ms.unwrap_or(0));
    Ok(task_reply::of_task(tasks.get(&id, wait, deadline()).await?))
}

async fn list(tasks: &Tasks, mut arguments: Arguments) -> Result<CallToolResult, ToolError> {
    let status = match arguments.text("status")? {
        None => None,
        Some(text) => {
            let known = TaskStatus::ALL.into_iter().find(|it| it.as_str() == text);
            let status = known.ok_or_else(|| kind("status", "a status", &text.into()))?;
            Some(status)
        }
    };
    let filter = TaskFilter {
        status,
        labels: labels(&mut arguments)?,
        ..TaskFilter::default()
    };
    let after = arguments.text("cursor")?;
    let after = after.map(|text| text.parse()).transpose();
    let after = after.map_err(ToolError::TaskCursor)?;
    let limit = arguments.number_up_to("limit", LIST_MAX)?;
    arguments.finish()?;
    let limit = usize::try_from(limit.unwrap_or(LIST_DEFAULT)).unwrap_or(usize::MAX);
    let page = tasks.list(&filter, after, limit, deadline()).await?;
    let body = TaskListBody::from(page);
    let mut lines: Vec<_> = body
        .tasks
        .iter()
        .map(|task| format!("{}: {}", task.task_id, task.status.as_str()))
        .collect();
    if lines.is_empty() {
        lines.push("no tasks".to_owned());
    }
    if let Some(next) = &body.next_cursor {
        lines.push(format!("[more: cursor {next}]"));
    }
    Ok(reply::of_body(lines.join("\n"), &body))
}

async fn cancel(tasks: &Tasks, mut arguments: Arguments) -> Result<CallToolResult, ToolError> {
    let id = task_id(&mut arguments)?;
    arguments.finish()?;
    Ok(task_reply::of_task(tasks.cancel(&id, deadline()).await?))
}

fn task_id(arguments: &mut Arguments) -> Result<TaskId, ToolError> {
    let text = arguments.required_text("task_id")?;
    text.parse()
        .map_err(|source: MalformedTaskId| ToolError::TaskId { text, source })
}

fn labels(arguments: &mut Arguments) -> Result<BTreeMap<String, String>, ToolError> {
    let Some(value) = arguments.any("labels") else {
        return Ok(BTreeMap::new());
    };
    let labels = serde_json::from_value(value.clone());
    Ok(labels.map_err(|_| kind("labels", "an object with strings", &value))?)
}

fn deadline() -> Instant {
    Instant::now() + PATIENCE
}
