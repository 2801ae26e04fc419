use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

use super::{sessions, tags, tasks};
use crate::{
    config::{Bound, RunConfig},
    mcp::guide,
    service::run::Status,
    wire::{ExecutionBody, ExecutionListBody, OutputBody},
};

/// The most that `wait_ms` may be.
pub(super) const WAIT_MS_MAX: u64 = 120_000;
/// The most executions in one page of a list.
pub(super) const LIST_MAX: u64 = 100;
/// The executions in a page when nobody says how many.
pub(super) const LIST_DEFAULT: u64 = 20;
/// The most lines in one page of an output.
pub(super) const LINES_MAX: u64 = 10_000;
/// The lines in a page when nobody says how many.
pub(super) const LINES_DEFAULT: u64 = 200;
/// The most bytes in one page of an output.
pub(super) const BYTES_MAX: u64 = 1 << 20;
/// The bytes in a page when nobody says how many.
pub(super) const BYTES_DEFAULT: u64 = 16 << 10;

/// The tools with this node's numbers in their texts; the same list in the same order each time.
pub(super) fn all(
    config: &RunConfig,
    has_tags: bool,
    has_sessions: bool,
    has_tasks: bool,
) -> Vec<Tool> {
    let mut tools = of_executions(config, has_sessions);
    if has_sessions {
        tools.extend(sessions::definitions());
    }
    if has_tasks {
        tools.extend(tasks::definitions(config, has_sessions));
    }
    if has_tags {
        tools.extend(tags::definitions());
    }
    tools
}

fn of_executions(config: &RunConfig, has_sessions: bool) -> Vec<Tool> {
    let execution = "execution_id";
    vec![
        tool(
            "run_js",
            "Run JavaScript",
            format!(
                "Runs JavaScript or TypeScript in a fresh sandboxed V8 process and returns the value \
                 of the last expression and the console output.\n{}",
                guide::running(config, has_sessions)
            ),
            input(running_properties(config, true, has_sessions), &["code"]),
        )
        .with_output_schema::<ExecutionBody>()
        .with_annotations(runs_code()),
        tool(
            "execution_start",
            "Start JavaScript in the background",
            format!(
                "Starts JavaScript or TypeScript and returns its execution_id at once, without \
                 waiting for the end: for work that takes long or that runs beside other work. Look \
                 at it with execution_get, stop it with execution_cancel. {} The code, the limits \
                 and the arguments are those of run_js.",
                guide::retention(config)
            ),
            input(running_properties(config, false, has_sessions), &["code"]),
        )
        .with_output_schema::<ExecutionBody>()
        .with_annotations(runs_code()),
        tool(
            "execution_get",
            "Look at an execution",
            format!(
                "Gives the status of an execution, and its result, error and console output when it \
                 has ended. With wait_ms it waits that long for the end. {}",
                guide::retention(config)
            ),
            input(
                json!({
                    execution: id_property(),
                    "wait_ms": whole(0, WAIT_MS_MAX, 0, "Wait up to this many milliseconds for the end."),
                }),
                &[execution],
            ),
        )
        .with_output_schema::<ExecutionBody>()
        .with_annotations(only_reads()),
        tool(
            "execution_output",
            "Read console output",
            "Reads a part of an execution's console output, by lines or by bytes, also while it runs. \
             Numbers count over everything that was printed, so that a part can be asked for again; \
             when more is printed than is kept, the middle is dropped and the page says so."
                .to_owned(),
            input(
                json!({
                    execution: id_property(),
                    "line_offset": whole(1, u64::MAX, 1, "The first line, from 1."),
                    "line_limit": whole(1, LINES_MAX, LINES_DEFAULT, "The most lines."),
                    "byte_offset": {
                        "type": "integer",
                        "minimum": 0,
                        "description": "The first byte, from 0; pages by bytes instead of lines.",
                    },
                    "byte_limit": whole(1, BYTES_MAX, BYTES_DEFAULT, "The most bytes."),
                }),
                &[execution],
            ),
        )
        .with_output_schema::<OutputBody>()
        .with_annotations(only_reads()),
        tool(
            "execution_list",
            "List executions",
            format!(
                "Lists the executions of this server, newest first, without results and output. {}",
                guide::retention(config)
            ),
            input(
                json!({
                    "status": {
                        "type": "string",
                        "enum": Status::ALL.map(Status::as_str),
                        "description": "Only the executions that stand so.",
                    },
                    "limit": whole(1, LIST_MAX, LIST_DEFAULT, "The most executions."),
                    "cursor": {
                        "type": "string",
                        "description": "The `next_cursor` of the page before, to go on.",
                    },
                }),
                &[],
            ),
        )
        .with_output_schema::<ExecutionListBody>()
        .with_annotations(only_reads()),
        tool(
            "execution_cancel",
            "Stop an execution",
            "Stops an execution that waits or runs, also one in an endless loop. Stopping one that has \
             ended changes nothing. Gives the execution as it stands then."
                .to_owned(),
            input(json!({ execution: id_property() }), &[execution]),
        )
        .with_output_schema::<ExecutionBody>()
        .with_annotations(
            ToolAnnotations::new()
                .read_only(false)
                .destructive(true)
                .idempotent(true)
                .open_world(false),
        ),
    ]
}

/// A tool.
pub(super) fn tool(
    name: &'static str,
    title: &'static str,
    description: String,
    input: Arc<JsonObject>,
) -> Tool {
    Tool::new(name, description, input).with_title(title)
}

/// What a tool takes: an object with these properties and no others.
pub(super) fn input(properties: Value, required: &[&str]) -> Arc<JsonObject> {
    let schema = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    let Value::Object(schema) = schema else {
        unreachable!("the literal above is an object");
    };
    Arc::new(schema)
}

pub(super) fn running_properties(config: &RunConfig, waits: bool, has_sessions: bool) -> Value {
    let bound = |bound: Bound, text: &str| whole(1, bound.max, bound.default, text);
    let mut properties = json!({
        "code": {
            "type": "string",
            "description": "The source text. The value of its last expression is the result.",
        },
        "language": {
            "type": "string",
            "enum": ["auto", "javascript", "typescript"],
            "default": "auto",
            "description": "auto takes code that is no JavaScript as TypeScript.",
        },
        "input": { "description": "Any JSON value; the code sees it as the global `input`." },
        "timeout_ms": bound(config.timeout_ms, "Wall clock time for the run, in milliseconds."),
        "heap_mb": bound(config.heap_mb, "JavaScript heap, in MB."),
        "array_buffer_mb": bound(config.array_buffer_mb, "All ArrayBuffers together, in MB."),
        "memory_mb": bound(config.memory_mb, "Private memory of the process, in MB."),
        "stack_kb": bound(config.stack_kb, "Stack of JavaScript calls, in KB."),
        "result_bytes": bound(config.result_bytes, "Size of the rendered result."),
        "output_bytes": bound(
            config.output_bytes,
            "Console output that is kept; of more, the middle is dropped.",
        ),
        "session": {
            "type": "string",
            "minLength": 1,
            "maxLength": 256,
            "description": "Keep what the code leaves behind: variables, functions, everything. The next \
                            call with the same session goes on from there. Any name; a new one begins \
                            empty.",
        },
        "heap": {
            "type": "string",
            "minLength": 64,
            "maxLength": 64,
            "description": "Begin with the state that an earlier run in a session gave as its heap, \
                            without changing that session.",
        },
        "idempotency_key": {
            "type": "string",
            "minLength": 1,
            "description": "Makes a repeated call safe: the same key with the same arguments gives \
                            the first execution again instead of a second run.",
        },
    });
    if !has_sessions && let Some(properties) = properties.as_object_mut() {
        properties.remove("session");
        properties.remove("heap");
    }
    if waits {
        properties["wait_ms"] = json!({
            "type": "integer",
            "minimum": 0,
            "maximum": WAIT_MS_MAX,
            "description": "Return after this many milliseconds even if the code still runs; it goes \
                            on then, and execution_get tells its end. Left out: wait for the end.",
        });
    }
    properties
}

fn id_property() -> Value {
    json!({
        "type": "string",
        "description": "The execution_id that run_js or execution_start gave.",
    })
}

/// A whole number within bounds.
pub(super) fn whole(minimum: u64, maximum: u64, default: u64, description: &str) -> Value {
    let mut schema = json!({
        "type": "integer",
        "minimum": minimum,
        "maximum": maximum,
        "default": default,
        "description": description,
    });
    if maximum == u64::MAX
        && let Some(schema) = schema.as_object_mut()
    {
        // No bound is meant, and not every client's numbers go that far.
        schema.remove("maximum");
    }
    schema
}

/// A run touches nothing but itself; but it costs and it is not the same twice.
fn runs_code() -> ToolAnnotations {
    ToolAnnotations::new()
        .read_only(false)
        .destructive(false)
        .idempotent(false)
        .open_world(false)
}

/// It makes something new and touches nothing else.
pub(super) fn adds() -> ToolAnnotations {
    ToolAnnotations::new()
        .read_only(false)
        .destructive(false)
        .idempotent(false)
        .open_world(false)
}

/// It removes something, or what something was; twice does no more than once.
pub(super) fn takes_away() -> ToolAnnotations {
    ToolAnnotations::new()
        .read_only(false)
        .destructive(true)
        .idempotent(true)
        .open_world(false)
}

/// It changes nothing.
pub(super) fn only_reads() -> ToolAnnotations {
    ToolAnnotations::new()
        .read_only(true)
        .idempotent(true)
        .open_world(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_the_same_each_time_and_follows_the_rules() {
        let config = RunConfig::default();
        let tools = all(&config, true, true, true);
        assert_eq!(tools, all(&config, true, true, true));
        let names: Vec<_> = tools.iter().map(|tool| &*tool.name).collect();
        assert_eq!(names[0], "run_js");
        assert!(names.contains(&"session_log"));
        let without = all(&config, true, false, true);
        assert!(
            without
                .iter()
                .all(|tool| !tool.name.starts_with("session_"))
        );
        assert!(
            without[0].input_schema["properties"]
                .get("session")
                .is_none()
        );
        for tool in &tools {
            assert!(tool.name.len() <= 64);
            assert!(
                tool.name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            );
            assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
            assert_eq!(
                tool.input_schema["additionalProperties"], false,
                "{}",
                tool.name
            );
            let output = tool
                .output_schema
                .as_ref()
                .expect("each tool tells its output");
            assert_eq!(output["type"], "object", "{}", tool.name);
            assert!(tool.annotations.is_some());
            // Older versions of the protocol want an object for each property; `true` is none.
            for schema in [&tool.input_schema, output] {
                for (name, property) in schema["properties"].as_object().unwrap() {
                    assert!(property.is_object(), "{}: {name} is {property}", tool.name);
                }
            }
        }
    }

    #[test]
    fn the_first_argument_that_a_model_reads_is_the_code() {
        let tools = all(&RunConfig::default(), true, true, true);
        let properties = tools[0].input_schema["properties"].as_object().unwrap();
        assert_eq!(properties.keys().next().unwrap(), "code");
        assert_eq!(properties["timeout_ms"]["maximum"], 300_000);
        assert_eq!(properties["heap_mb"]["default"], 64);
    }
}
