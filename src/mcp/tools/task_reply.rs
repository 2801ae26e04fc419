//! What callers are told of tasks.

use std::borrow::Cow;

use rmcp::model::{CallToolResult, ContentBlock};

use super::{cut::head_and_tail, reply};
use crate::{
    service::run::{Execution, ExecutionId},
    service::sessions::Place,
    service::tasks::Task,
    wire::TaskBody,
};

/// A model reads this much of a report in one reply.
const TEXT_BYTES_MAX: usize = 12 << 10;
/// A result or an output that is longer is cut in the structured form.
const STRUCTURED_BYTES_MAX: usize = 32 << 10;

/// The reply of run_js whose run was a task that has ended.
pub(in crate::mcp) fn of_run(task: &Task) -> CallToolResult {
    let Some(report) = task.report.clone() else {
        let text = format!(
            "Task {} is {}; nothing is kept of it.",
            task.id,
            task.status.as_str()
        );
        return CallToolResult::error(vec![ContentBlock::text(text)]);
    };
    let heap = task.heap.as_deref().and_then(|heap| heap.parse().ok());
    reply::of_run(Execution {
        id: task.execution.unwrap_or_else(|| ExecutionId::new(0, 0)),
        status: report.status,
        result: report.result,
        result_text: report.result_text,
        result_truncated: report.result_truncated,
        error: report.error,
        warnings: report.warnings,
        output_truncated: report.output_bytes > report.output.len() as u64,
        output: report.output,
        output_bytes_total: report.output_bytes,
        created_at_ms: task.created_ms,
        started_at_ms: task.started_ms,
        finished_at_ms: task.finished_ms,
        duration_ms: None,
        place: heap.map(|heap| Place {
            session: task.session.clone(),
            heap: Some(heap),
            parent: None,
        }),
    })
}

/// The reply of a call that made a task, or looked at one.
pub(super) fn of_task(task: Task) -> CallToolResult {
    let mut text = format!("Task {} is {}.", task.id, task.status.as_str());
    if let Some(cron) = &task.cron {
        text.push_str(&format!(" It makes a task at each time of {cron:?}."));
    } else if !task.status.is_final() {
        text.push_str(" Ask for its end with task_get and wait_ms, or stop it with task_cancel.");
    }
    let http = format!("GET /api/tasks/{}", task.id);
    let whole = || format!("{http} has the whole");
    if let Some(report) = &task.report {
        if let Some(error) = &report.error {
            let shown = format!("{}: {}", error.name, error.message);
            let cut = head_and_tail(&shown, TEXT_BYTES_MAX, whole);
            text.push_str(&format!("\n\n{cut}\n({})", error.code));
        }
        if let Some(result) = &report.result_text {
            let cut = head_and_tail(result, TEXT_BYTES_MAX, whole);
            text.push_str(&format!("\n\nResult:\n{cut}"));
        }
        if !report.output.is_empty() {
            let cut = head_and_tail(report.output.trim_end_matches('\n'), TEXT_BYTES_MAX, whole);
            text.push_str(&format!("\n\nConsole:\n{cut}"));
        }
    }
    let mut body = TaskBody::from(task);
    let short = |text: &str| match head_and_tail(text, STRUCTURED_BYTES_MAX, whole) {
        Cow::Owned(short) => Some(short),
        Cow::Borrowed(_) => None,
    };
    if let Some(code) = body.code.as_deref().and_then(short) {
        body.code = Some(code);
    }
    if let Some(report) = &mut body.report {
        if report
            .result
            .as_ref()
            .is_some_and(|result| !reply::fits(result))
        {
            report.result = None;
        }
        if let Some(text) = report.result_text.as_deref().and_then(short) {
            report.result_text = Some(text.into());
        }
        if let Some(output) = short(&report.output) {
            report.output = output;
        }
        if let Some(error) = &mut report.error
            && let Some(message) = short(&error.message)
        {
            error.message = message;
            error.stack = None;
        }
    }
    reply::of_body(text, &body)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::service::run::{Status, StoredReply};
    use crate::service::tasks::{TaskId, TaskStatus};

    fn task(output: String) -> Task {
        Task {
            id: TaskId::random(),
            status: TaskStatus::Succeeded,
            code: Some("1".to_owned()),
            session: None,
            run_at_ms: 1,
            cron: None,
            time_zone: None,
            parent: None,
            labels: BTreeMap::new(),
            attempts: 1,
            failures: 0,
            retries: 0,
            node: None,
            created_ms: 1,
            changed_ms: 3,
            started_ms: Some(2),
            finished_ms: Some(3),
            heap: None,
            execution: Some(ExecutionId::new(1, 1)),
            report: Some(StoredReply {
                status: Status::Completed,
                result: None,
                result_text: Some("1".into()),
                result_truncated: false,
                error: None,
                warnings: Vec::new(),
                output_bytes: output.len() as u64,
                output,
            }),
        }
    }

    #[test]
    fn a_long_report_is_cut_and_says_where_the_whole_is() {
        let task = task("0123456789abcde\n".repeat(10_000));
        let id = task.id.to_string();
        let reply = of_task(task);
        let text = &reply.content[0].as_text().expect("a text").text;
        assert!(
            text.starts_with(&format!("Task {id} is succeeded.")),
            "{text}"
        );
        assert!(text.len() < 2 * TEXT_BYTES_MAX && text.contains("Result:\n1"));
        assert!(text.contains(&format!("GET /api/tasks/{id}")));
        let structured = reply.structured_content.expect("it has one");
        let output = structured["report"]["output"].as_str().expect("a text");
        assert!(output.len() < STRUCTURED_BYTES_MAX + 512);
        assert_eq!(structured["report"]["output_bytes"], 160_000);
    }

    #[test]
    fn a_task_that_has_run_is_answered_as_the_run_would_be() {
        let reply = of_run(&task("hi\n".to_owned()));
        assert_eq!(reply.is_error, Some(false));
        let structured = reply.structured_content.expect("it has one");
        assert_eq!(
            (&structured["output"], &structured["status"]),
            (&"hi\n".into(), &"completed".into())
        );
        let mut cancelled = task(String::new());
        (cancelled.status, cancelled.report) = (TaskStatus::Cancelled, None);
        assert_eq!(of_run(&cancelled).is_error, Some(true));
    }
}
