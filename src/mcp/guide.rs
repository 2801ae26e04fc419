//! The texts that tell a model what it can do here, with this node's own numbers.

use crate::config::RunConfig;

/// What the server is, for the client's system prompt.
pub(super) fn instructions(config: &RunConfig, has_sessions: bool, has_tasks: bool) -> String {
    let memory = match has_sessions {
        true => {
            "Nothing persists between runs, unless they name the same `session`: then all that the code has \
             left, variables, functions and the rest, is there for the next run, and session_log, \
             session_fork and session_reset look back, aside and go back."
        }
        false => {
            "Nothing persists between runs: put all the data that code needs into `input` or the code itself."
        }
    };
    let later = match has_tasks {
        true => {
            " What has to run later, again and again, or although this server ends, is a task: task_create, \
             task_get, task_list, task_cancel."
        }
        false => "",
    };
    format!(
        "Runs JavaScript and TypeScript in V8, each run in a fresh sandboxed process without network, \
         files or environment. Use run_js for anything that ends within {}; it returns the value of \
         the last expression and the console output. For longer work, or to do other things \
         meanwhile, start it with execution_start and look at it with execution_get, \
         execution_output and execution_cancel. {memory}{later} What is to be remembered in words, or shared \
         with other agents, goes into tags (tag_put, tag_get, tag_list), which code can't reach.",
        duration(config.timeout_ms.max),
    )
}

/// The description of the tools that run code, after their own first sentences.
pub(super) fn running(config: &RunConfig, has_sessions: bool) -> String {
    let memory = match has_sessions {
        true => {
            "- Nothing persists without `session`: every other run starts in a fresh process, without the \
             variables of earlier ones."
        }
        false => {
            "- Nothing persists: every run starts in a fresh process, without the variables of earlier ones."
        }
    };
    format!(
        "The code runs as in a browser's console:\n\
         - The value of the last expression is the result. Do not write `return` at the top level. \
         An object literal at the start needs parentheses: `({{a: 1}})`.\n\
         - Top-level `await` works; a promise as the last value is awaited. Timers and promises are \
         drained before the run ends.\n\
         - TypeScript works as it is: types are removed, not checked.\n\
         - `input` is the JSON value passed beside the code. Pass data this way rather than by \
         pasting it into the code.\n\
         - Available: the whole ECMAScript language and library, console.*, setTimeout/setInterval, \
         queueMicrotask, URL, URLSearchParams, TextEncoder/TextDecoder, structuredClone, atob/btoa, \
         crypto.getRandomValues/randomUUID/subtle.digest, AbortController, Event/EventTarget, \
         performance.now, WebAssembly, Intl with all locales.\n\
         - Not available: network (no fetch), files, environment variables, processes, \
         import/require of modules or packages, Node.js, Deno and browser page APIs.\n\
         {memory}\n\
         Limits (default, maximum): time {}, {}; JavaScript heap {} MB, {} MB; ArrayBuffers {} MB, \
         {} MB; code {}; result {}, {}; kept console output {}, {}. Over a limit the run fails with \
         an error that names the limit; ask for more with the argument of that name.\n\
         Return small results and print little: filter and summarize data in the code. Long output \
         is cut in the middle in the reply; the whole of it stays readable with execution_output.",
        duration(config.timeout_ms.default),
        duration(config.timeout_ms.max),
        config.heap_mb.default,
        config.heap_mb.max,
        config.array_buffer_mb.default,
        config.array_buffer_mb.max,
        bytes(config.code_bytes_max),
        bytes(config.result_bytes.default),
        bytes(config.result_bytes.max),
        bytes(config.output_bytes.default),
        bytes(config.output_bytes.max),
    )
}

/// How long an execution can still be asked for.
pub(super) fn retention(config: &RunConfig) -> String {
    format!(
        "Executions are kept in memory on this server for {} after they end, the newest {} of them.",
        duration(config.execution_ttl_secs.saturating_mul(1000)),
        config.executions_max,
    )
}

fn duration(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        _ if ms.is_multiple_of(3_600_000) => plural(ms / 3_600_000, "hour"),
        _ if ms.is_multiple_of(60_000) => plural(ms / 60_000, "minute"),
        _ if ms.is_multiple_of(1000) => plural(ms / 1000, "second"),
        _ => format!("{:.1} seconds", ms as f64 / 1000.0),
    }
}

fn plural(count: u64, unit: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{s}")
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MB", bytes >> 20),
        _ => format!("{} KB", bytes >> 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_configuration() {
        let mut config = RunConfig::default();
        config.timeout_ms.default = 1500;
        config.timeout_ms.max = 60_000;
        config.heap_mb.max = 77;
        config.code_bytes_max = 3 << 20;
        config.execution_ttl_secs = 7200;
        let text = running(&config, true);
        for number in ["time 1.5 seconds, 1 minute", "64 MB, 77 MB", "code 3 MB"] {
            assert!(text.contains(number), "{number} is missing from {text}");
        }
        assert!(retention(&config).contains("for 2 hours"));
        assert!(instructions(&config, true, true).contains("within 1 minute"));
    }

    #[test]
    fn a_model_is_told_of_what_there_is_and_of_nothing_else() {
        let config = RunConfig::default();
        let all = instructions(&config, true, true) + &running(&config, true);
        assert!(
            all.contains("`session`") && all.contains("task_create"),
            "{all}"
        );
        let few = instructions(&config, false, false) + &running(&config, false);
        assert!(!few.contains("session") && !few.contains("task_"), "{few}");
    }
}
