use std::{sync::Arc, time::Duration};

use rmcp::{ErrorData, RoleServer, model::*, service::RequestContext};
use serde_json::json;

use crate::{
    fixtures::{Change, Shared},
    input, tasks,
};

/// One red pixel.
pub const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// A sound of no samples.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";
/// The suite wants its notifications apart.
const STEP: Duration = Duration::from_millis(50);

const PLAIN: [&str; 13] = [
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_error_handling",
    "test_tool_with_progress",
    "test_tool_with_logging",
    "test_logging_tool",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
];

/// The tools that the suite calls.
pub fn list() -> Vec<Tool> {
    let empty = Arc::new(object(json!({ "type": "object", "properties": {} })));
    let mut tools: Vec<Tool> = PLAIN
        .into_iter()
        .chain(input::TOOLS)
        .chain(tasks::TOOLS)
        .map(|name| Tool::new(name, format!("Fixture {name}"), Arc::clone(&empty)))
        .collect();
    tools.push(Tool::new(
        "json_schema_2020_12_tool",
        "Tool with JSON Schema 2020-12 features",
        object(schema_2020_12()),
    ));
    tools.push(Tool::new(
        "test_x_mcp_header",
        "Tool with a parameter that is repeated in a header",
        object(json!({
            "type": "object",
            "properties": { "region": { "type": "string", "x-mcp-header": "Region" } },
            "required": ["region"],
        })),
    ));
    tools
}

fn schema_2020_12() -> serde_json::Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": { "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": { "street": { "type": "string" }, "city": { "type": "string" } },
        } },
        "properties": {
            "name": { "type": "string" },
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": { "type": "string" },
            "email": { "type": "string" },
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false,
    })
}

/// Calls one of them.
pub async fn call(
    shared: &Shared,
    request: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let content = match &*request.name {
        "test_simple_text" => vec![ContentBlock::text(
            "This is a simple text response for testing.",
        )],
        "test_image_content" => vec![ContentBlock::image(PNG, "image/png")],
        "test_audio_content" => vec![ContentBlock::audio(WAV, "audio/wav")],
        "test_embedded_resource" => vec![ContentBlock::embedded_text(
            "test://embedded-resource",
            "This is an embedded resource content.",
        )],
        "test_multiple_content_types" => {
            let data = json!({ "test": "data", "value": 123 }).to_string();
            let data = ResourceContents::text(data, "test://mixed-content-resource")
                .with_mime_type("application/json");
            vec![
                ContentBlock::text("Multiple content types test:"),
                ContentBlock::image(PNG, "image/png"),
                ContentBlock::resource(data),
            ]
        }
        "test_error_handling" => {
            let text = "This tool intentionally returns an error for testing";
            return Ok(CallToolResult::error(vec![ContentBlock::text(text)]).into());
        }
        "test_tool_with_progress" => {
            progress(&context).await?;
            vec![ContentBlock::text("Progress was reported.")]
        }
        "test_tool_with_logging" => {
            log(&context).await?;
            vec![ContentBlock::text("Three messages were logged.")]
        }
        "test_logging_tool" => {
            if context.meta.log_level().is_some() {
                log(&context).await?;
            }
            vec![ContentBlock::text(
                "Logged as far as the client asked for it.",
            )]
        }
        "test_missing_capability" => {
            needs_sampling(&context)?;
            vec![ContentBlock::text("The client can sample.")]
        }
        "test_streaming_elicitation" => return Ok(input::ask_for_name().into()),
        "test_trigger_tool_change" => changed(shared, Change::Tools),
        "test_trigger_prompt_change" => changed(shared, Change::Prompts),
        "json_schema_2020_12_tool" | "test_x_mcp_header" => vec![ContentBlock::text("ok")],
        name => {
            let message = format!("unknown tool: {name}");
            return Err(ErrorData::invalid_params(message, None));
        }
    };
    Ok(CallToolResult::success(content).into())
}

fn changed(shared: &Shared, change: Change) -> Vec<ContentBlock> {
    // Nobody may be listening.
    let _ = shared.changes.send(change);
    vec![ContentBlock::text("The change was announced.")]
}

async fn progress(context: &RequestContext<RoleServer>) -> Result<(), ErrorData> {
    for progress in [0.0, 50.0, 100.0] {
        if let Some(token) = context.meta.get_progress_token() {
            let note = ProgressNotificationParam::new(token, progress).with_total(100.0);
            context.peer.notify_progress(note).await.map_err(gone)?;
        }
        tokio::time::sleep(STEP).await;
    }
    Ok(())
}

#[expect(deprecated, reason = "older protocol versions log this way")]
async fn log(context: &RequestContext<RoleServer>) -> Result<(), ErrorData> {
    for text in [
        "Tool execution started",
        "Tool processing data",
        "Tool execution completed",
    ] {
        let note = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(text));
        context
            .peer
            .notify_logging_message(note)
            .await
            .map_err(gone)?;
        tokio::time::sleep(STEP).await;
    }
    Ok(())
}

fn gone(error: rmcp::ServiceError) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

fn needs_sampling(context: &RequestContext<RoleServer>) -> Result<(), ErrorData> {
    let declared = context
        .client_capabilities()
        .is_some_and(|capabilities| capabilities.sampling.is_some());
    if declared {
        return Ok(());
    }
    #[expect(deprecated, reason = "the suite asks for this very capability")]
    let required = ClientCapabilities::builder().enable_sampling().build();
    Err(ErrorData::missing_required_client_capability(required))
}
