use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use rmcp::model::CallToolResult;
use serde_json::value::to_raw_value;

use super::{
    ToolError,
    arguments::{ArgumentError, Arguments, kind},
    definitions::WAIT_MS_MAX,
    reply,
};
use crate::{
    config::RunConfig,
    mcp::console::Listener,
    service::executions::Executions,
    service::run::{Event, Execution, ExecutionId, ExecutionRequest, Language, LimitOverrides},
    wire::target,
};

/// Runs code and waits for its end.
pub(super) async fn run_js(
    executions: &Executions,
    config: &RunConfig,
    mut arguments: Arguments,
    mut listener: Listener,
) -> Result<CallToolResult, ToolError> {
    let wait_ms = arguments.number_up_to("wait_ms", WAIT_MS_MAX)?;
    let request = request(arguments)?;
    if wait_ms.is_none() && !listener.wants_lines() {
        // Nobody listens, so nothing needs to follow the output.
        let executed = executions.execute(request).await?;
        return Ok(reply::of_run(executed.execution));
    }
    // A caller that names a key may come back for the answer; one that does not has gone for good.
    let may_come_back = request.idempotency_key.is_some();
    let submitted = executions.submit(request).await?;
    let guard = executions.cancel_on_drop(submitted.id);
    let guard = if may_come_back {
        guard.disarm();
        None
    } else {
        Some(guard)
    };
    // The run's own deadline ends it; this bounds the time in the queue before it.
    let longest = config.timeout_ms.max.saturating_mul(2);
    let at_most = Duration::from_millis(wait_ms.unwrap_or(longest));
    let followed = follow(executions, submitted.id, &mut listener);
    let execution = match tokio::time::timeout(at_most, followed).await {
        Ok(execution) => execution?,
        Err(_) => executions.get(&submitted.id, Duration::ZERO).await?,
    };
    if let Some(guard) = guard {
        guard.disarm();
    }
    Ok(reply::of_run(execution))
}

/// What run_js is to run, and how long its caller waits; without a bound, when it says none.
pub(super) fn wanted(
    mut arguments: Arguments,
) -> Result<(ExecutionRequest, Option<Duration>), ToolError> {
    let wait_ms = arguments.number_up_to("wait_ms", WAIT_MS_MAX)?;
    Ok((request(arguments)?, wait_ms.map(Duration::from_millis)))
}

/// Starts code and does not wait.
pub(super) async fn start(
    executions: &Executions,
    arguments: Arguments,
) -> Result<CallToolResult, ToolError> {
    let submitted = executions.submit(request(arguments)?).await?;
    let execution = executions.get(&submitted.id, Duration::ZERO).await?;
    Ok(reply::of_execution(execution))
}

/// Tells the client what is printed until the end.
async fn follow(
    executions: &Executions,
    id: ExecutionId,
    listener: &mut Listener,
) -> Result<Execution, ToolError> {
    let mut events = executions.events_after(&id, 0).await?;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = listener.silence() => {
                listener.heartbeat().await;
                continue;
            }
        };
        match event {
            Some(Event::Line { level, text, .. }) => listener.line(level, &text).await,
            Some(Event::Gap { dropped, .. }) => listener.gap(dropped).await,
            Some(Event::End(execution)) => return Ok(*execution),
            None => return Ok(executions.get(&id, Duration::ZERO).await?),
        }
    }
}

pub(super) fn request(mut arguments: Arguments) -> Result<ExecutionRequest, ToolError> {
    let code = arguments.required_text("code")?;
    let language = language(arguments.text("language")?)?;
    let input = match arguments.any("input") {
        None => None,
        Some(value) => {
            let raw = to_raw_value(&value).expect("a JSON value has a JSON form");
            Some(Arc::from(raw))
        }
    };
    let limits = LimitOverrides {
        timeout_ms: arguments.number("timeout_ms")?,
        heap_mb: arguments.number("heap_mb")?,
        array_buffer_mb: arguments.number("array_buffer_mb")?,
        memory_mb: arguments.number("memory_mb")?,
        stack_kb: arguments.number("stack_kb")?,
        result_bytes: arguments.number("result_bytes")?,
        output_bytes: arguments.number("output_bytes")?,
    };
    let limits = other_names(limits, &mut arguments)?;
    let target = target(arguments.text("session")?, arguments.text("heap")?)?;
    let idempotency_key = arguments.text("idempotency_key")?;
    arguments.finish()?;
    Ok(ExecutionRequest {
        code,
        language,
        input,
        target,
        limits,
        idempotency_key,
        principal: String::new(),
        task: None,
    })
}

/// Names that clients of similar servers know. They are not in the schema, only understood.
fn other_names(
    mut limits: LimitOverrides,
    arguments: &mut Arguments,
) -> Result<LimitOverrides, ArgumentError> {
    let heap_mb = arguments.number("heap_memory_max_mb")?;
    limits.heap_mb = one_of(("heap_mb", limits.heap_mb), ("heap_memory_max_mb", heap_mb))?;
    let secs = arguments.number("execution_timeout_secs")?;
    let timeout_ms = secs.map(|secs| secs.saturating_mul(1000));
    limits.timeout_ms = one_of(
        ("timeout_ms", limits.timeout_ms),
        ("execution_timeout_secs", timeout_ms),
    )?;
    Ok(limits)
}

fn one_of(
    (first, ours): (&'static str, Option<u64>),
    (second, other): (&'static str, Option<u64>),
) -> Result<Option<u64>, ArgumentError> {
    match (ours, other) {
        (Some(_), Some(_)) => Err(ArgumentError::Both { first, second }),
        (ours, other) => Ok(ours.or(other)),
    }
}

fn language(name: Option<String>) -> Result<Language, ArgumentError> {
    match name.as_deref() {
        None | Some("auto") => Ok(Language::Auto),
        Some("javascript" | "js") => Ok(Language::JavaScript),
        Some("typescript" | "ts") => Ok(Language::TypeScript),
        Some(other) => Err(kind(
            "language",
            "auto, javascript or typescript",
            &other.into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::mcp::tools::definitions;
    use crate::service::sessions::Target;

    fn parse(value: Value) -> Result<ExecutionRequest, String> {
        let arguments = Arguments::new(value.as_object().cloned());
        request(arguments).map_err(|error| error.text())
    }

    #[test]
    fn every_argument_of_the_schema_is_understood() {
        let tools = definitions::all(&RunConfig::default(), false, true, false);
        let start = tools
            .iter()
            .find(|tool| tool.name == "execution_start")
            .unwrap();
        let properties = start.input_schema["properties"].as_object().unwrap();
        let mut arguments = json!({});
        assert!(properties.contains_key("heap"));
        for (name, schema) in properties {
            // Instead of a session, never with one.
            if name == "heap" {
                continue;
            }
            arguments[name] = match schema.get("type").and_then(Value::as_str) {
                Some("integer") => json!(7),
                Some("string") => schema["enum"][0].as_str().unwrap_or("text").into(),
                _ => json!({"z": 1, "a": null}),
            };
        }
        let request = parse(arguments).unwrap();
        assert_eq!(request.code, "text");
        assert_eq!(request.limits.output_bytes, Some(7));
        assert_eq!(request.target, Some(Target::Session("text".to_owned())));
        let heap = "0a".repeat(32);
        let branch = parse(json!({"code": "1", "heap": heap})).unwrap();
        assert_eq!(branch.target, Some(Target::Heap(heap.parse().unwrap())));
        let both = parse(json!({"code": "1", "heap": heap, "session": "s"}));
        assert!(both.unwrap_err().contains("give one of them"));
        assert_eq!(request.idempotency_key.as_deref(), Some("text"));
        // The order of the keys is the caller's.
        assert_eq!(request.input.unwrap().get(), r#"{"z":1,"a":null}"#);
    }

    #[test]
    fn names_of_similar_servers_are_understood_once() {
        let request =
            parse(json!({"code": "1", "heap_memory_max_mb": 16, "execution_timeout_secs": 2}))
                .unwrap();
        assert_eq!(request.limits.heap_mb, Some(16));
        assert_eq!(request.limits.timeout_ms, Some(2000));
        let error = parse(json!({"code": "1", "heap_mb": 1, "heap_memory_max_mb": 2}));
        assert!(error.unwrap_err().contains("say the same"));
    }

    #[test]
    fn a_null_input_is_an_input() {
        let input = |value: Value| parse(value).unwrap().input.map(|raw| raw.get().to_owned());
        assert_eq!(
            input(json!({"code": "1", "input": null})).as_deref(),
            Some("null")
        );
        assert_eq!(input(json!({"code": "1"})), None);
    }

    #[test]
    fn mistakes_are_named() {
        for (arguments, text) in [
            (json!({}), "`code` is missing"),
            (json!({"code": 1}), "`code` must be a string"),
            (
                json!({"code": "1", "language": "python"}),
                "the string \"python\"",
            ),
            (json!({"code": "1", "timeout": 3}), "no argument `timeout`"),
            (
                json!({"code": "1", "heap_mb": "64"}),
                "`heap_mb` must be a whole number",
            ),
        ] {
            let error = parse(arguments).unwrap_err();
            assert!(
                error.starts_with("invalid_request: ") && error.contains(text),
                "{error}"
            );
        }
    }
}
