//! What these show: the layers in their order, the defaults, and a message for each refusal that
//! names the flag, the value and what is allowed.

use std::io::Write as _;

use clap::Parser as _;

use super::*;
use crate::config::{LogFormat, MemorySource, SandboxMode};

#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

fn flags(line: &str) -> Settings {
    Flags::try_parse_from(["mcp-v8"].into_iter().chain(line.split_whitespace()))
        .unwrap()
        .settings
}

fn machine() -> Machine {
    Machine {
        memory_bytes: 8 << 30,
        memory_from: MemorySource::Machine,
        cpus: 2,
    }
}

fn refused(line: &str) -> String {
    Config::new(flags(line), &machine())
        .unwrap_err()
        .to_string()
}

fn file(text: &str) -> Result<Settings, Error> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    Settings::from_file(file.path())
}

#[test]
fn silence_gives_the_built_in_values() {
    let config = Config::new(Settings::default(), &machine()).unwrap();
    // (8192 − 96 − 256) / 256 = 30.6
    let run = RunConfig {
        runs_max: 30,
        runs_ready: 8,
        ..RunConfig::default()
    };
    assert_eq!(config.run, run);
    assert_eq!(config.http, HttpConfig::default());
    assert_eq!(config.sandbox, SandboxMode::Auto);
    assert_eq!(config.log_format, LogFormat::Text);
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let file = file("heap-mb = 32\ntimeout-secs = 5\nallowed-hosts = [\"a.example\", \"b\"]\n");
    let config = Config::new(
        flags("--timeout-secs 7 --stateless").or(file.unwrap()),
        &machine(),
    )
    .unwrap();
    assert_eq!(config.run.heap_mb.default, 32);
    assert_eq!(
        config.run.timeout_ms,
        Bound {
            default: 7000,
            max: 300_000
        }
    );
    assert_eq!(
        config.run.array_buffer_mb,
        RunConfig::default().array_buffer_mb
    );
    assert_eq!(config.http.allowed_hosts, ["a.example", "b"]);
}

#[test]
fn names_of_the_older_server_mean_the_same() {
    let line = "--heap-memory-max 16 --execution-timeout 12 --max-concurrent-executions 3 \
                --allowed-hosts a,b --allowed-origins https://c --bind-host 0.0.0.0";
    let config = Config::new(flags(line), &machine()).unwrap();
    assert_eq!(config.run.heap_mb.default, 16);
    assert_eq!(config.run.timeout_ms.default, 12_000);
    assert_eq!(config.run.runs_max, 3);
    assert_eq!(config.http.allowed_hosts, ["a", "b"]);
    assert_eq!(config.http.allowed_origins, ["https://c"]);
    assert!(config.http.bind_host.is_unspecified());
    assert_eq!(file("heap-memory-max = 16\n").unwrap().heap_mb, Some(16));
}

#[test]
fn a_file_with_a_key_or_a_value_that_is_not_known_is_refused() {
    let error = file("heap-mbb = 32\n").unwrap_err().to_string();
    assert!(
        error.contains("heap-mbb") && error.contains("line 1"),
        "{error}"
    );
    let error = file("sandbox = \"maybe\"\n").unwrap_err().to_string();
    assert!(
        error.contains("maybe") && error.contains("require"),
        "{error}"
    );
    let error = Settings::from_file(Path::new("/nowhere/at.all"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("/nowhere/at.all"), "{error}");
}

#[test]
fn each_refusal_names_the_flag_the_value_and_what_is_allowed() {
    assert_eq!(
        refused("--heap-mb 4"),
        "--heap-mb is 4, but must be from 8 to 4096 MiB"
    );
    assert_eq!(
        refused("--timeout-secs 301"),
        "--timeout-secs is 301, more than --timeout-secs-max, which is 300 seconds: \
         lower the first or raise the second"
    );
    assert_eq!(
        refused("--heap-mb 300"),
        "--heap-mb is 300, more than --memory-mb, which is 256 MiB: \
         a run's memory holds its heap, so raise the second"
    );
    assert_eq!(
        refused("--http-port 8080 --sse-port 8080"),
        "--http-port and --sse-port are both 8080: each needs a port of its own"
    );
    assert_eq!(
        refused("--allowed-hosts a,,b"),
        "--allowed-hosts has an empty entry: separate its names by single commas"
    );
    assert_eq!(
        refused("--runs-max 2 --runs-ready 3"),
        "--runs-ready is 3, but must be from 1 to 2 processes (--runs-max)"
    );
    assert!(refused("--runs-max 31").contains("at most 30"));
    assert!(refused("--sessions-warm-max 0").contains("--sessions-warm-max is 0"));
    assert!(refused("--body-bytes-max 4096").contains("--code-bytes-max is 1048576"));
    assert!(refused("--kept-bytes-max 1000").contains("--kept-bytes-max is 1000"));
    assert!(refused("--executions-max 100").contains("--executions-max is 100"));
    assert!(refused("--runs-max 0").contains("--runs-max is 0"));
}

/// Port 0 takes a free port, so two of them never meet.
#[test]
fn both_listeners_may_take_free_ports() {
    let config = Config::new(flags("--http-port 0 --sse-port 0"), &machine()).unwrap();
    assert_eq!(
        (config.http.http_port, config.http.sse_port),
        (Some(0), Some(0))
    );
}

/// The help's text gives the defaults in words; this keeps them true.
#[test]
fn the_help_tells_the_true_defaults() {
    let run = RunConfig::default();
    let http = HttpConfig::default();
    let config = Config::new(Settings::default(), &machine()).unwrap();
    let expected = [
        ("bind-host", http.bind_host.to_string()),
        ("body-bytes-max", http.body_bytes_max.to_string()),
        ("queue-max", run.queue_max.to_string()),
        ("executions-max", run.executions_max.to_string()),
        ("execution-ttl-secs", run.execution_ttl_secs.to_string()),
        ("idempotency-ttl-secs", run.idempotency_ttl_secs.to_string()),
        ("timeout-secs", (run.timeout_ms.default / 1000).to_string()),
        ("timeout-secs-max", (run.timeout_ms.max / 1000).to_string()),
        ("heap-mb", run.heap_mb.default.to_string()),
        ("heap-mb-max", run.heap_mb.max.to_string()),
        ("array-buffer-mb", run.array_buffer_mb.default.to_string()),
        ("array-buffer-mb-max", run.array_buffer_mb.max.to_string()),
        ("memory-mb", run.memory_mb.default.to_string()),
        ("memory-mb-max", run.memory_mb.max.to_string()),
        ("stack-kb", run.stack_kb.default.to_string()),
        ("stack-kb-max", run.stack_kb.max.to_string()),
        ("code-bytes-max", run.code_bytes_max.to_string()),
        ("result-bytes", run.result_bytes.default.to_string()),
        ("result-bytes-max", run.result_bytes.max.to_string()),
        ("output-bytes", run.output_bytes.default.to_string()),
        ("output-bytes-max", run.output_bytes.max.to_string()),
        ("sandbox", "auto".to_owned()),
        (
            "drain-timeout-secs",
            config.drain_timeout.as_secs().to_string(),
        ),
        ("log-format", "text".to_owned()),
    ];
    let command = <Flags as clap::CommandFactory>::command();
    for (flag, default) in expected {
        let arg = command
            .get_arguments()
            .find(|arg| arg.get_long() == Some(flag))
            .unwrap();
        let help = arg.get_help().unwrap().to_string();
        assert!(
            help.ends_with(&format!("[default: {default}]")),
            "--{flag}: {help}"
        );
    }
}
