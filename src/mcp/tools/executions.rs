use std::time::Duration;

use rmcp::model::CallToolResult;
use serde_json::Value;

use super::{
    ToolError,
    arguments::{ArgumentError, Arguments, kind},
    definitions::{
        BYTES_DEFAULT, BYTES_MAX, LINES_DEFAULT, LINES_MAX, LIST_DEFAULT, LIST_MAX, WAIT_MS_MAX,
    },
    execution_id, reply,
};
use crate::{
    mcp::console::Listener,
    service::{
        executions::Executions,
        run::{ExecutionList, ListCursor, ListPage, OutputPage, OutputQuery, Runs, Status},
    },
    wire::{ExecutionListBody, OutputBody},
};

/// A stopped run is gone within this time; its end then is in the reply.
const CANCEL_WAIT: Duration = Duration::from_secs(1);

/// Where an execution stands; after a wait, if that is asked for.
pub(super) async fn get(
    executions: &Executions,
    mut arguments: Arguments,
    mut listener: Listener,
) -> Result<CallToolResult, ToolError> {
    let id = execution_id(&mut arguments)?;
    let wait_ms = arguments.number_up_to("wait_ms", WAIT_MS_MAX)?;
    arguments.finish()?;
    let waiting = executions.get(&id, Duration::from_millis(wait_ms.unwrap_or(0)));
    tokio::pin!(waiting);
    loop {
        tokio::select! {
            execution = &mut waiting => return Ok(reply::of_execution(execution?)),
            () = listener.silence() => listener.heartbeat().await,
        }
    }
}

/// A part of the console output.
pub(super) async fn output(
    executions: &Executions,
    mut arguments: Arguments,
) -> Result<CallToolResult, ToolError> {
    let id = execution_id(&mut arguments)?;
    let query = output_query(&mut arguments)?;
    arguments.finish()?;
    let (page, status) = executions.output(&id, query).await?;
    let text = page_text(&page, query, status);
    Ok(reply::of_body(text, &OutputBody::new(&id, page, status)))
}

fn output_query(arguments: &mut Arguments) -> Result<OutputQuery, ArgumentError> {
    let line_offset = arguments.number("line_offset")?;
    let line_limit = arguments.number_up_to("line_limit", LINES_MAX)?;
    let byte_offset = arguments.number("byte_offset")?;
    let byte_limit = arguments.number_up_to("byte_limit", BYTES_MAX)?;
    let by_lines = line_offset.is_some() || line_limit.is_some();
    let by_bytes = byte_offset.is_some() || byte_limit.is_some();
    if by_lines && by_bytes {
        return Err(ArgumentError::Both {
            first: "line_offset, line_limit",
            second: "byte_offset, byte_limit",
        });
    }
    Ok(if by_bytes {
        OutputQuery::Bytes {
            offset: byte_offset.unwrap_or(0),
            limit: byte_limit.unwrap_or(BYTES_DEFAULT),
        }
    } else {
        OutputQuery::Lines {
            offset: line_offset.unwrap_or(1),
            limit: line_limit.unwrap_or(LINES_DEFAULT),
        }
    })
}

/// The page, and a last line that tells where in the whole it is and how to go on.
fn page_text(page: &OutputPage, query: OutputQuery, status: Status) -> String {
    let (place, next) = match query {
        OutputQuery::Lines { .. } => (
            format!(
                "lines {}-{} of {}",
                page.start_line, page.end_line, page.total_lines
            ),
            format!("line_offset {}", page.next_line_offset),
        ),
        OutputQuery::Bytes { .. } => (
            format!(
                "bytes {}-{} of {}",
                page.start_byte, page.end_byte, page.total_bytes
            ),
            format!("byte_offset {}", page.next_byte_offset),
        ),
    };
    let place = if page.data.is_empty() {
        format!("nothing here; {} bytes in all", page.total_bytes)
    } else {
        place
    };
    let mut text = page.data.clone();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&format!("[{place}"));
    if page.has_more {
        text.push_str(&format!("; go on with {next}"));
    } else if !status.is_final() {
        text.push_str(&format!("; still {}, go on with {next}", status.as_str()));
    }
    if page.dropped_bytes > 0 {
        text.push_str(&format!("; {} bytes were dropped", page.dropped_bytes));
    }
    text.push(']');
    text
}

/// A page of the executions, newest first.
pub(super) fn list(runs: &Runs, mut arguments: Arguments) -> Result<CallToolResult, ToolError> {
    let status = match arguments.text("status")? {
        None => None,
        Some(name) => Some(status(name)?),
    };
    let limit = arguments
        .number_up_to("limit", LIST_MAX)?
        .unwrap_or(LIST_DEFAULT);
    let after = match arguments.text("cursor")? {
        None => None,
        Some(cursor) => Some(cursor.parse::<ListCursor>()?),
    };
    arguments.finish()?;
    let page = ListPage {
        after,
        limit: usize::try_from(limit.max(1)).unwrap_or(usize::MAX),
        status,
    };
    let list = runs.list(page);
    let text = list_text(&list);
    Ok(reply::of_body(text, &ExecutionListBody::from(list)))
}

fn status(name: String) -> Result<Status, ArgumentError> {
    let known = Status::ALL
        .into_iter()
        .find(|status| status.as_str() == name);
    known.ok_or_else(|| {
        let expected = "queued, running, completed, failed, timed_out, out_of_memory, cancelled or \
                        crashed";
        kind("status", expected, &Value::String(name))
    })
}

fn list_text(list: &ExecutionList) -> String {
    let mut lines: Vec<String> = list
        .executions
        .iter()
        .map(|execution| {
            let took = match execution.duration_ms {
                Some(duration_ms) => format!(", {duration_ms:.1} ms"),
                None => String::new(),
            };
            format!("{} {}{took}", execution.id, execution.status.as_str())
        })
        .collect();
    if lines.is_empty() {
        lines.push("no executions".to_owned());
    }
    if let Some(next) = &list.next {
        lines.push(format!("[more: cursor {next}]"));
    }
    lines.join("\n")
}

/// Stops an execution.
pub(super) async fn cancel(
    executions: &Executions,
    mut arguments: Arguments,
) -> Result<CallToolResult, ToolError> {
    let id = execution_id(&mut arguments)?;
    arguments.finish()?;
    executions.cancel(&id, CANCEL_WAIT).await?;
    let execution = executions.get(&id, Duration::ZERO).await?;
    Ok(reply::of_execution(execution))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn query(value: Value) -> Result<OutputQuery, ArgumentError> {
        output_query(&mut Arguments::new(value.as_object().cloned()))
    }

    #[test]
    fn pages_are_by_lines_unless_bytes_are_named() {
        let lines = |offset, limit| Ok(OutputQuery::Lines { offset, limit });
        let bytes = |offset, limit| Ok(OutputQuery::Bytes { offset, limit });
        assert_eq!(query(json!({})), lines(1, LINES_DEFAULT));
        assert_eq!(query(json!({"line_offset": 5})), lines(5, LINES_DEFAULT));
        assert_eq!(query(json!({"byte_offset": 5})), bytes(5, BYTES_DEFAULT));
        assert_eq!(query(json!({"byte_limit": 9})), bytes(0, 9));
        assert!(query(json!({"byte_limit": 9, "line_limit": 9})).is_err());
        assert!(query(json!({"line_limit": LINES_MAX + 1})).is_err());
    }

    #[test]
    fn statuses_are_read_by_their_names() {
        assert_eq!(status("timed_out".into()), Ok(Status::TimedOut));
        assert!(
            status("done".into())
                .unwrap_err()
                .to_string()
                .contains("crashed")
        );
    }
}
