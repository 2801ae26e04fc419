use std::borrow::Cow;

use rmcp::model::{CallToolResult, ContentBlock};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use super::{ToolError, cut::head_and_tail};
use crate::{
    mcp::resources,
    service::run::{Execution, ExecutionError, Status},
    wire::ExecutionBody,
};

/// A model reads this much in one reply without losing its thread, and clients show it whole.
const TEXT_BYTES_MAX: usize = 24 << 10;
/// What the text spends on an error at most.
const ERROR_BYTES_MAX: usize = 6 << 10;
/// What the text spends on the result at most when there is console output too.
const RESULT_BYTES_MAX: usize = 12 << 10;
/// A result or an output that is longer is cut in the structured form as well: many clients give that
/// form to the model instead of the text.
const STRUCTURED_BYTES_MAX: usize = 32 << 10;

/// The reply of a call that ran code: an error when the code did not complete.
pub(super) fn of_run(execution: Execution) -> CallToolResult {
    let failed = execution.status.is_final() && execution.status != Status::Completed;
    let mut result = of_execution(execution);
    result.is_error = Some(failed);
    result
}

/// The reply of a call that looked at an execution, however that has ended.
pub(super) fn of_execution(execution: Execution) -> CallToolResult {
    let text = Text::of(&execution);
    let output_link = resources::output_link(&execution);
    let execution_link = resources::execution_link(&execution);
    let (body, result_is_cut) = structured(execution);
    let mut content = vec![ContentBlock::text(text.text)];
    if text.output_is_cut {
        content.push(ContentBlock::resource_link(output_link));
    }
    if text.result_is_cut || result_is_cut {
        content.push(ContentBlock::resource_link(execution_link));
    }
    let mut result = CallToolResult::success(content);
    result.structured_content = Some(body);
    result
}

/// The body that the HTTP API gives, except that what is too long for one reply is cut and marked; and
/// whether that befell the result.
fn structured(execution: Execution) -> (Value, bool) {
    let execution_uri = resources::execution_uri(&execution.id);
    let output_uri = resources::output_uri(&execution.id);
    let mut body = ExecutionBody::from(execution);
    let mut result_is_cut = false;
    if body.result.as_ref().is_some_and(|result| !fits(result)) {
        body.result = None;
        result_is_cut = true;
    }
    if let Some(text) = &body.result_text {
        let whole = || format!("read the whole with resources/read {execution_uri}");
        if let Cow::Owned(short) = head_and_tail(text, STRUCTURED_BYTES_MAX, whole) {
            body.result_text = Some(short.into());
            result_is_cut = true;
        }
    }
    body.result_truncated |= result_is_cut;
    body.truncated |= result_is_cut;
    let whole = || format!("read the whole with resources/read {output_uri}");
    if let Cow::Owned(short) = head_and_tail(&body.output, STRUCTURED_BYTES_MAX, whole) {
        body.output = short;
        body.truncated = true;
    }
    if let Some(error) = &mut body.error {
        for text in [Some(&mut error.message), error.stack.as_mut()]
            .into_iter()
            .flatten()
        {
            let whole = || format!("read the whole with resources/read {execution_uri}");
            if let Cow::Owned(short) = head_and_tail(text, ERROR_BYTES_MAX, whole) {
                *text = short;
            }
        }
    }
    (json_of(&body), result_is_cut)
}

/// Whether a result can be passed on: one that is nested too deeply for readers of JSON can't.
pub(super) fn fits(result: &RawValue) -> bool {
    let json = result.get();
    json.len() <= STRUCTURED_BYTES_MAX && serde_json::from_str::<Value>(json).is_ok()
}

/// A reply with a text and its structured form.
pub(super) fn of_body(text: String, body: &impl Serialize) -> CallToolResult {
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(json_of(body));
    result
}

/// The reply of a call that did nothing. It has no structured form, since none would fit the schema.
pub(super) fn of_error(error: &ToolError) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(error.text())])
}

fn json_of(body: &impl Serialize) -> Value {
    serde_json::to_value(body).expect("a reply has a JSON form")
}

/// What a model reads of an execution.
struct Text {
    text: String,
    output_is_cut: bool,
    result_is_cut: bool,
}

impl Text {
    fn of(execution: &Execution) -> Self {
        let id = &execution.id;
        let mut sections = Vec::new();
        match (execution.status, &execution.error) {
            (Status::Queued | Status::Running, _) => sections.push(format!(
                "Execution {id} is {}. Ask for its end with execution_get and wait_ms, or stop it \
                 with execution_cancel.",
                execution.status.as_str()
            )),
            (_, Some(error)) => sections.push(error_text(execution.status, error)),
            (Status::Completed, None) => {}
            (status, None) => sections.push(format!("The execution is {}.", status.as_str())),
        }

        let used: usize = sections.iter().map(String::len).sum();
        let mut result_is_cut = false;
        if let Some(result) = &execution.result_text {
            let room = if execution.output.is_empty() {
                TEXT_BYTES_MAX - used
            } else {
                RESULT_BYTES_MAX.min(TEXT_BYTES_MAX - used)
            };
            let text = head_and_tail(result, room, || {
                format!(
                    "read the whole with resources/read {}",
                    resources::execution_uri(id)
                )
            });
            result_is_cut = matches!(text, Cow::Owned(_));
            sections.push(format!("Result:\n{text}"));
            if execution.result_truncated {
                sections.push("The result was cut at its limit (result_bytes).".to_owned());
            }
        }

        let used: usize = sections.iter().map(String::len).sum();
        let mut output_is_cut = false;
        if !execution.output.is_empty() {
            let room = TEXT_BYTES_MAX.saturating_sub(used).max(TEXT_BYTES_MAX / 6);
            let text = head_and_tail(&execution.output, room, || {
                format!(
                    "read the whole with resources/read {} or execution_output",
                    resources::output_uri(id)
                )
            });
            output_is_cut = matches!(text, Cow::Owned(_));
            sections.push(format!("Console:\n{}", text.trim_end_matches('\n')));
            if execution.output_truncated {
                sections.push(format!(
                    "The console printed {} bytes in all; the middle was dropped at the limit \
                     (output_bytes).",
                    execution.output_bytes_total
                ));
            }
        }
        for warning in &execution.warnings {
            sections.push(format!("Warning: {warning}"));
        }
        Self {
            text: sections.join("\n\n"),
            output_is_cut,
            result_is_cut,
        }
    }
}

/// The error as the user's own console would show it, then what to do about it.
fn error_text(status: Status, error: &ExecutionError) -> String {
    let headline = format!("{}: {}", error.name, error.message);
    let shown = match &error.stack {
        // V8 begins a stack with the headline, unless the script has changed it.
        Some(stack) if stack.starts_with(&error.name) => stack.clone(),
        Some(stack) => format!("{headline}\n{stack}"),
        None => headline,
    };
    let whole = || "ask execution_get for all of it".to_owned();
    let mut text = head_and_tail(&shown, ERROR_BYTES_MAX, whole).into_owned();
    text.push_str(&format!("\n({}, {}", status.as_str(), error.code.as_str()));
    if let Some(line) = error.line {
        text.push_str(&format!(", line {line}"));
        if let Some(column) = error.column {
            text.push_str(&format!(", column {column}"));
        }
    }
    text.push(')');
    if let Some(hint) = &error.hint {
        text.push_str(&format!("\nHint: {hint}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{json, value::to_raw_value};

    use super::*;
    use crate::{error_code::ErrorCode, service::run::ExecutionId};

    fn completed(result: Value, output: &str) -> Execution {
        Execution {
            place: None,
            id: ExecutionId::new(1, 1),
            status: Status::Completed,
            result_text: Some(result.to_string().into()),
            result: Some(Arc::from(to_raw_value(&result).unwrap())),
            result_truncated: false,
            error: None,
            warnings: Vec::new(),
            output: output.to_owned(),
            output_bytes_total: output.len() as u64,
            output_truncated: false,
            created_at_ms: 1,
            started_at_ms: Some(2),
            finished_at_ms: Some(3),
            duration_ms: Some(1.0),
        }
    }

    fn text_of(result: &CallToolResult) -> &str {
        &result.content[0].as_text().unwrap().text
    }

    #[test]
    fn a_small_result_is_the_http_body_and_a_short_text() {
        let execution = completed(json!({"b": 1, "a": [2]}), "hello\n");
        let body = json_of(&ExecutionBody::from(execution.clone()));
        let result = of_run(execution);
        assert_eq!(result.is_error, Some(false));
        let structured = result.structured_content.as_ref().unwrap();
        assert_eq!(structured, &body);
        // The order of the keys is the script's.
        assert!(structured.to_string().contains(r#"{"b":1,"a":[2]}"#));
        assert_eq!(
            text_of(&result),
            "Result:\n{\"b\":1,\"a\":[2]}\n\nConsole:\nhello"
        );
        assert_eq!(result.content.len(), 1);
    }

    #[test]
    fn a_failure_is_an_error_with_name_line_and_hint() {
        let mut execution = completed(json!(null), "before\n");
        execution.status = Status::Failed;
        execution.result = None;
        execution.result_text = None;
        execution.error = Some(ExecutionError {
            code: ErrorCode::ScriptError,
            name: "TypeError".into(),
            message: "x is not a function".into(),
            stack: Some("TypeError: x is not a function\n    at f (3:7)".into()),
            line: Some(3),
            column: Some(7),
            hint: Some("call something else".into()),
        });
        let result = of_run(execution.clone());
        assert_eq!(result.is_error, Some(true));
        assert_eq!(
            text_of(&result),
            "TypeError: x is not a function\n    at f (3:7)\n(failed, script_error, line 3, column \
             7)\nHint: call something else\n\nConsole:\nbefore"
        );
        assert_eq!(
            result.structured_content.unwrap()["error"]["code"],
            "script_error"
        );
        // Looking at a failed execution is no failure.
        assert_eq!(of_execution(execution).is_error, Some(false));
    }

    #[test]
    fn long_output_is_cut_in_both_forms_and_linked() {
        let output = "0123456789abcdef\n".repeat(10_000);
        let result = of_run(completed(json!(1), &output));
        let text = text_of(&result);
        assert!(text.len() < TEXT_BYTES_MAX + 512, "{}", text.len());
        assert!(text.contains("of 170000 bytes left out here"));
        let link = serde_json::to_value(&result.content[1]).unwrap();
        assert_eq!(link["type"], "resource_link");
        assert!(link["uri"].as_str().unwrap().ends_with("/output"), "{link}");
        assert_eq!(link["size"], 170_000);
        let structured = result.structured_content.unwrap();
        assert_eq!(structured["truncated"], true);
        assert!(structured["output"].as_str().unwrap().len() < STRUCTURED_BYTES_MAX + 512);
        assert_eq!(structured["result"], 1);
    }

    #[test]
    fn a_long_result_is_left_out_of_the_structured_form_and_linked() {
        let result = of_run(completed(json!("x".repeat(100_000)), "a\n"));
        assert!(text_of(&result).len() < TEXT_BYTES_MAX);
        assert!(text_of(&result).ends_with("Console:\na"));
        let structured = result.structured_content.unwrap();
        assert_eq!(structured.get("result"), None);
        assert_eq!(structured["truncated"], true);
        assert_eq!(structured["result_truncated"], true);
        let link = serde_json::to_value(&result.content[1]).unwrap();
        assert!(
            link["uri"].as_str().unwrap().starts_with("exec://e1-"),
            "{link}"
        );
    }

    #[test]
    fn a_result_that_is_nested_too_deeply_is_left_out() {
        let mut execution = completed(json!(1), "");
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        execution.result = Some(Arc::from(RawValue::from_string(deep).unwrap()));
        execution.result_text = Some("[[[…]]]".into());
        let result = of_run(execution);
        assert_eq!(result.content.len(), 2, "the whole is linked");
        let structured = result.structured_content.unwrap();
        assert_eq!(structured.get("result"), None);
        assert_eq!(structured["result_truncated"], true);
    }

    #[test]
    fn an_endless_message_is_cut_in_both_forms() {
        let mut execution = completed(json!(null), "");
        execution.status = Status::Failed;
        execution.error = Some(ExecutionError {
            code: ErrorCode::ScriptError,
            name: "Error".into(),
            message: "m".repeat(1_000_000),
            stack: None,
            line: None,
            column: None,
            hint: None,
        });
        let result = of_run(execution);
        assert!(text_of(&result).len() < TEXT_BYTES_MAX);
        assert!(result.structured_content.unwrap().to_string().len() < 2 * ERROR_BYTES_MAX);
    }
}
