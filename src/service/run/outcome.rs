//! What a caller is told of how a process ended.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;
use worker_protocol::{Done, ErrorKind, ScriptError};

use super::limits::Limits;
use super::record::Ending;
use super::{Error, ExecutionError, Status};
use crate::config::RunConfig;
use crate::error_code::ErrorCode;
use crate::workers::session::Refused;
use crate::workers::{OomCause, Outcome};

/// Messages and stacks are bounded, whatever a worker sends.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
const WARNINGS_MAX: usize = 64;

/// The ending of a process that ran.
pub(super) fn ending(outcome: Outcome, limits: &Limits, config: &RunConfig) -> Ending {
    match outcome {
        Outcome::Done(done) => of_done(done, limits, config),
        Outcome::TimedOut => failed(
            Status::TimedOut,
            ErrorCode::Timeout,
            "TimeoutError",
            format!(
                "the run was stopped after {} ms",
                limits.run.timeout.as_millis()
            ),
            Some(raise("timeout_ms", "timeout-secs", config.timeout_ms.max)),
        ),
        Outcome::OutOfMemory(cause) => out_of_memory(cause, limits, config),
        Outcome::Cancelled => cancelled(),
        Outcome::Crashed { signal, message } => {
            let mut text = match signal {
                Some(signal) => format!("the worker process was ended by signal {signal}"),
                None => "the worker process ended by itself".to_owned(),
            };
            if let Some(message) = message {
                text = format!("{text}: {message}");
            }
            let hint = "only this execution is affected; the same code may well crash again";
            failed(
                Status::Crashed,
                ErrorCode::WorkerCrashed,
                "WorkerCrashed",
                text,
                Some(hint.into()),
            )
        }
    }
}

/// Whether the same code would end with this error again, whatever else is different.
pub fn is_final(error: Option<ErrorCode>) -> bool {
    matches!(
        error,
        Some(
            ErrorCode::SyntaxError
                | ErrorCode::ModulesUnsupported
                | ErrorCode::CodeTooLarge
                | ErrorCode::LimitTooLarge
                | ErrorCode::InvalidRequest
        )
    )
}

/// Stopped by a caller.
pub(super) fn cancelled() -> Ending {
    failed(
        Status::Cancelled,
        ErrorCode::Cancelled,
        "Cancelled",
        "the execution was stopped by a caller".to_owned(),
        None,
    )
}

/// Nothing ran, or nothing is kept of it.
pub(super) fn not_run(error: Error) -> Ending {
    let mut ending = failed(
        Status::Crashed,
        error.code(),
        "NotRun",
        error.to_string(),
        Some(error.hint().into()),
    );
    ending.not_run = Some(error);
    ending
}

/// It ran, but what it changed can't be kept.
pub(super) fn not_kept(refused: &Refused) -> Ending {
    let code = refused.code().unwrap_or(ErrorCode::Internal);
    let hint =
        "the session stands where it stood before; an operator can raise the limits of a session";
    failed(
        Status::Failed,
        code,
        "NotKept",
        refused.to_string(),
        Some(hint.into()),
    )
}

/// The node lost track of the run; a fault of ours.
pub(super) fn lost() -> Ending {
    failed(
        Status::Crashed,
        ErrorCode::Internal,
        "InternalError",
        "the node failed while it watched the run".to_owned(),
        None,
    )
}

fn failed(
    status: Status,
    code: ErrorCode,
    name: &str,
    message: String,
    hint: Option<Cow<'static, str>>,
) -> Ending {
    Ending {
        status,
        result: None,
        result_text: None,
        result_truncated: false,
        error: Some(ExecutionError {
            code,
            name: name.to_owned(),
            message: clip(message, MESSAGE_BYTES_MAX),
            stack: None,
            line: None,
            column: None,
            hint,
        }),
        warnings: Vec::new(),
        place: None,
        replayed: false,
        not_run: None,
    }
}

fn out_of_memory(cause: OomCause, limits: &Limits, config: &RunConfig) -> Ending {
    const MIB: u64 = 1 << 20;
    let (code, message, hint) = match cause {
        OomCause::Heap => (
            ErrorCode::HeapLimit,
            format!(
                "the JavaScript heap is over {} MiB",
                limits.run.heap_bytes_max / MIB
            ),
            raise("heap_mb", "heap-mb", config.heap_mb.max),
        ),
        OomCause::Memory => (
            ErrorCode::MemoryLimit,
            format!(
                "the run's memory is over {} MiB",
                limits.run.memory_bytes_max / MIB
            ),
            raise("memory_mb", "memory-mb", config.memory_mb.max),
        ),
        OomCause::System => (
            ErrorCode::SystemMemory,
            "the system had no more memory for this run".to_owned(),
            "the node is short of memory: try again later, or lower --runs-max".into(),
        ),
    };
    failed(
        Status::OutOfMemory,
        code,
        "OutOfMemory",
        message,
        Some(hint),
    )
}

fn of_done(done: Done, limits: &Limits, config: &RunConfig) -> Ending {
    let mut warnings = done.warnings;
    warnings.truncate(WARNINGS_MAX);
    for warning in &mut warnings {
        *warning = clip(std::mem::take(warning), MESSAGE_BYTES_MAX);
    }
    if let Some(error) = done.error {
        return Ending {
            warnings,
            ..of_script_error(error, limits, config)
        };
    }

    // A worker runs foreign code, so its word is checked: sizes, and that JSON is JSON.
    let bytes_max = usize::try_from(limits.run.result_bytes_max).unwrap_or(usize::MAX);
    let mut result_truncated = done.result_truncated;
    let mut result = None;
    match done.result_json {
        Some(json) if json.len() > bytes_max => result_truncated = true,
        Some(json) => match RawValue::from_string(json) {
            Ok(value) => result = Some(Arc::from(value)),
            Err(error) => tracing::warn!(%error, "a worker sent a result that is not JSON"),
        },
        None => {}
    }
    result_truncated |= done.result_text.len() > bytes_max;
    let result_text = clip(done.result_text, bytes_max);
    if result_truncated {
        warnings.push(format!(
            "the result is over {bytes_max} bytes and was cut; {}",
            raise("result_bytes", "result-bytes", config.result_bytes.max)
        ));
    }
    Ending {
        status: Status::Completed,
        result,
        result_text: Some(result_text.into()),
        result_truncated,
        error: None,
        warnings,
        place: None,
        replayed: false,
        not_run: None,
    }
}

fn of_script_error(error: ScriptError, limits: &Limits, config: &RunConfig) -> Ending {
    let (code, hint): (_, Option<Cow<'static, str>>) = match error.kind() {
        ErrorKind::Thrown => (ErrorCode::ScriptError, None),
        ErrorKind::Syntax => (ErrorCode::SyntaxError, None),
        ErrorKind::NeverSettles => (
            ErrorCode::NeverSettles,
            Some("no timer or other work is left that could settle the awaited promise".into()),
        ),
        ErrorKind::StackOverflow => (
            ErrorCode::StackOverflow,
            Some(raise("stack_kb", "stack-kb", config.stack_kb.max)),
        ),
        ErrorKind::ArrayBufferLimit => (
            ErrorCode::ArrayBufferLimit,
            Some(
                format!(
                    "all ArrayBuffers together may have {} MiB; {}",
                    limits.run.array_buffer_bytes_max >> 20,
                    raise(
                        "array_buffer_mb",
                        "array-buffer-mb",
                        config.array_buffer_mb.max
                    )
                )
                .into(),
            ),
        ),
        ErrorKind::ResultLimit => (
            ErrorCode::ResultTooLarge,
            Some(raise(
                "result_bytes",
                "result-bytes",
                config.result_bytes.max,
            )),
        ),
        ErrorKind::ModulesUnsupported => (
            ErrorCode::ModulesUnsupported,
            Some(
                "put everything into one script; the value of the last expression is the result"
                    .into(),
            ),
        ),
        ErrorKind::ResultUnrenderable => (
            ErrorCode::ResultUnrenderable,
            Some("end the script with a plain value, such as an object or a string".into()),
        ),
    };
    let status = match error.kind() {
        ErrorKind::ArrayBufferLimit => Status::OutOfMemory,
        _ => Status::Failed,
    };
    let position = |number| (number > 0).then_some(number);
    let mut ending = failed(status, code, &clip(error.name, 256), error.message, hint);
    if let Some(told) = &mut ending.error {
        told.stack = Some(clip(error.stack, MESSAGE_BYTES_MAX)).filter(|stack| !stack.is_empty());
        told.line = position(error.line);
        told.column = position(error.column);
    }
    ending
}

/// Which field and which flag raise a limit.
fn raise(field: &str, flag: &str, max: u64) -> Cow<'static, str> {
    format!("raise `{field}` in the request, up to {max} on this server (--{flag}-max)").into()
}

fn clip(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::run::LimitOverrides;

    fn told(outcome: Outcome) -> Ending {
        let config = RunConfig::default();
        let asked = LimitOverrides {
            result_bytes: Some(100),
            ..LimitOverrides::default()
        };
        let limits = Limits::resolve(&config, &asked).expect("within the maximum");
        ending(outcome, &limits, &config)
    }

    fn done(json: Option<&str>, text: &str) -> Outcome {
        Outcome::Done(Done {
            result_json: json.map(str::to_owned),
            result_text: text.to_owned(),
            ..Done::default()
        })
    }

    #[test]
    fn a_result_with_and_without_json() {
        let ending = told(done(Some("null"), "null"));
        assert_eq!(ending.status, Status::Completed);
        assert_eq!(ending.result.expect("null is a value").get(), "null");
        let ending = told(done(None, "undefined"));
        assert!(ending.result.is_none() && !ending.result_truncated);
        assert_eq!(ending.result_text.as_deref(), Some("undefined"));
    }

    #[test]
    fn a_worker_that_lies_is_cut() {
        let long = format!("\"{}\"", "é".repeat(200));
        let ending = told(done(Some(&long), &long));
        assert!(ending.result.is_none() && ending.result_truncated);
        assert!(ending.result_text.is_some_and(|text| text.len() <= 100));
        assert!(
            ending
                .warnings
                .iter()
                .any(|warning| warning.contains("result_bytes"))
        );
        let ending = told(done(Some("}{"), "x"));
        assert!(ending.result.is_none());
        assert_eq!(ending.status, Status::Completed);
    }

    #[test]
    fn every_limit_error_says_what_raises_it() {
        let script = |kind: ErrorKind| {
            Outcome::Done(Done {
                error: Some(ScriptError {
                    kind: kind as i32,
                    name: "RangeError".into(),
                    message: "too much".into(),
                    line: 2,
                    ..ScriptError::default()
                }),
                ..Done::default()
            })
        };
        for (outcome, status, code, field) in [
            (
                Outcome::TimedOut,
                Status::TimedOut,
                ErrorCode::Timeout,
                "timeout_ms",
            ),
            (
                Outcome::OutOfMemory(OomCause::Heap),
                Status::OutOfMemory,
                ErrorCode::HeapLimit,
                "heap_mb",
            ),
            (
                Outcome::OutOfMemory(OomCause::Memory),
                Status::OutOfMemory,
                ErrorCode::MemoryLimit,
                "memory_mb",
            ),
            (
                Outcome::OutOfMemory(OomCause::System),
                Status::OutOfMemory,
                ErrorCode::SystemMemory,
                "--runs-max",
            ),
            (
                script(ErrorKind::ArrayBufferLimit),
                Status::OutOfMemory,
                ErrorCode::ArrayBufferLimit,
                "array_buffer_mb",
            ),
            (
                script(ErrorKind::StackOverflow),
                Status::Failed,
                ErrorCode::StackOverflow,
                "stack_kb",
            ),
            (
                script(ErrorKind::ResultLimit),
                Status::Failed,
                ErrorCode::ResultTooLarge,
                "result_bytes",
            ),
        ] {
            let ending = told(outcome);
            assert_eq!(ending.status, status);
            let error = ending.error.expect("it failed");
            assert_eq!(error.code, code);
            let hint = error.hint.expect("a limit has a hint");
            assert!(hint.contains(field), "{hint}");
        }
    }

    #[test]
    fn positions_that_are_unknown_are_left_out() {
        let ending = told(Outcome::Done(Done {
            error: Some(ScriptError {
                name: "TypeError".into(),
                message: "x is not a function".into(),
                line: 3,
                ..ScriptError::default()
            }),
            ..Done::default()
        }));
        let error = ending.error.expect("it failed");
        assert_eq!(
            (error.line, error.column, error.stack),
            (Some(3), None, None)
        );
        assert_eq!(error.code, ErrorCode::ScriptError);
    }
}
