//! The tools of the suite that take their time: real tasks of the node, code that runs in its workers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use mcp_v8::{
    mcp::McpHandler,
    service::{
        run::{ExecutionRequest, Language, LimitOverrides},
        tasks::NewTask,
    },
};
use rmcp::{ErrorData, RoleServer, model::*, service::RequestContext};
use serde_json::{json, value::to_raw_value};

use crate::{input, node::TAKEN_OUTPUT_BYTES};

/// The suite's tools for tasks, but for those whose task asks its client: code in a sandbox can't.
pub const TOOLS: [&str; 5] = [
    "greet",
    "slow_compute",
    "failing_job",
    "protocol_error_job",
    "test_tool_with_task",
];
/// A client without the extension waits for the end.
const LONGEST: Duration = Duration::from_secs(100);

const SLOW: &str = "await new Promise((done) => setTimeout(done, input.seconds * 1000)); \
                    console.log(input.label); `computed for ${input.seconds} s`";
const FAILING: &str =
    "await new Promise((done) => setTimeout(done, 1000)); throw new Error('the job failed')";

/// Calls one of them.
pub async fn call(
    handler: &McpHandler,
    request: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let arguments = request.arguments.unwrap_or_default();
    let text = |name: &str| arguments.get(name).and_then(|it| it.as_str()).unwrap_or("");
    let knows_tasks = context
        .client_capabilities()
        .is_some_and(|capabilities| capabilities.supports_tasks());
    let task = match &*request.name {
        "greet" => {
            let text = format!("Hello, {}!", text("name"));
            return Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into());
        }
        "slow_compute" => {
            let seconds = arguments.get("seconds").cloned().unwrap_or(json!(1));
            task(
                SLOW,
                json!({ "seconds": seconds, "label": text("label") }),
                None,
            )
        }
        // Declared as one that is never without a task.
        "failing_job" if !knows_tasks => {
            let required = ClientCapabilities::builder().enable_tasks().build();
            return Err(ErrorData::missing_required_client_capability(required));
        }
        "failing_job" => task(FAILING, json!(null), None),
        // More than the node allows that is to run it: the code can't even begin.
        "protocol_error_job" => task("1", json!(null), Some(TAKEN_OUTPUT_BYTES)),
        "test_tool_with_task" => {
            let answers = request.input_responses.unwrap_or_default();
            match input::text_of(answers.get("user_name"), "name") {
                None => return Ok(input::ask_for_name().into()),
                Some(name) => task("`Hello, ${input}!`", json!(name), None),
            }
        }
        name => {
            let message = format!("unknown tool: {name}");
            return Err(ErrorData::invalid_params(message, None));
        }
    };
    let wait = if knows_tasks { Duration::ZERO } else { LONGEST };
    handler.begin_task(task, wait).await
}

fn task(code: &str, input: serde_json::Value, output_bytes: Option<u64>) -> NewTask {
    let input = to_raw_value(&input).expect("a JSON value has a JSON form");
    NewTask {
        labels: BTreeMap::new(),
        ..NewTask::once(ExecutionRequest {
            code: code.to_owned(),
            language: Language::JavaScript,
            input: Some(Arc::from(input)),
            target: None,
            limits: LimitOverrides {
                timeout_ms: Some(90_000),
                output_bytes,
                ..LimitOverrides::default()
            },
            idempotency_key: None,
            principal: String::new(),
            task: None,
        })
    }
}
