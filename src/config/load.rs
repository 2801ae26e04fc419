use std::path::Path;
use std::time::Duration;

use super::capacity::{Capacity, Wanted};
use super::range::{Range, number};
use super::{
    BackupConfig, BlobsConfig, Bound, ClusterConfig, Config, Error, HttpConfig, Machine, RunConfig,
    SessionsConfig, Settings, StateConfig, TasksConfig, TracesConfig,
};

impl Settings {
    /// What a TOML file says. Its keys are the flags' names without the dashes in front.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        toml::from_str(&text).map_err(|source| Error::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }
}

impl Config {
    /// Puts the defaults under what was said, and checks everything once.
    pub fn new(settings: Settings, machine: &Machine) -> Result<Self, Error> {
        let http = http(&settings)?;
        let run = run(&settings, machine)?;
        let body_bytes_max = number(http.body_bytes_max);
        if run.code_bytes_max > body_bytes_max {
            return Err(Error::Over {
                flag: "code-bytes-max",
                value: run.code_bytes_max,
                other: "body-bytes-max",
                bound: body_bytes_max,
                unit: "bytes",
                advice: "a request carries its code in its body",
            });
        }
        let drain = Range("drain-timeout-secs", 0, DAY, "seconds")
            .check(settings.drain_timeout_secs.unwrap_or(25))?;
        let delay = Range("stop-delay-secs", 0, 3600, "seconds")
            .check(settings.stop_delay_secs.unwrap_or(0))?;
        Ok(Self {
            tasks: TasksConfig::new(&settings, run.runs_max)?,
            run,
            sessions: SessionsConfig::new(&settings, machine)?,
            blobs: BlobsConfig::new(&settings)?,
            backup: BackupConfig::new(&settings)?,
            state: StateConfig::new(&settings)?,
            cluster: ClusterConfig::new(&settings)?,
            http,
            engine_file: settings.engine_file.clone(),
            sandbox: settings.sandbox.unwrap_or_default(),
            stop_delay: Duration::from_secs(delay),
            drain_timeout: Duration::from_secs(drain),
            log_format: settings.log_format.unwrap_or_default(),
            traces: TracesConfig::new(&settings)?,
        })
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const DAY: u64 = 86_400;
/// What each side of the channel to a worker takes in one frame, less room for the rest of it.
const FRAME_PART_MAX: u64 = 64 * MIB;

fn http(settings: &Settings) -> Result<HttpConfig, Error> {
    let builtin = HttpConfig::default();
    if let (Some(port @ 1..), Some(sse_port)) = (settings.http_port, settings.sse_port)
        && port == sse_port
    {
        return Err(Error::SamePort { port });
    }
    let body_bytes_max = Range("body-bytes-max", KIB, 2 * FRAME_PART_MAX, "bytes").check(
        settings
            .body_bytes_max
            .unwrap_or(number(builtin.body_bytes_max)),
    )?;
    Ok(HttpConfig {
        bind_host: settings.bind_host.unwrap_or(builtin.bind_host),
        http_port: settings.http_port,
        sse_port: settings.sse_port,
        allowed_hosts: names("allowed-hosts", settings.allowed_hosts.as_deref())?,
        allowed_origins: names("allowed-origins", settings.allowed_origins.as_deref())?,
        body_bytes_max: usize::try_from(body_bytes_max).expect("checked to be far smaller"),
    })
}

pub(super) fn names(flag: &'static str, names: Option<&[String]>) -> Result<Vec<String>, Error> {
    let names: Vec<String> = names
        .unwrap_or_default()
        .iter()
        .map(|name| name.trim().to_owned())
        .collect();
    if names.iter().any(String::is_empty) {
        Err(Error::EmptyEntry { flag })
    } else {
        Ok(names)
    }
}

fn run(settings: &Settings, machine: &Machine) -> Result<RunConfig, Error> {
    let builtin = RunConfig::default();
    let timeout_secs = Range("timeout-secs", 1, DAY, "seconds").bound(
        "timeout-secs-max",
        (settings.timeout_secs, settings.timeout_secs_max),
        Bound {
            default: builtin.timeout_ms.default / 1000,
            max: builtin.timeout_ms.max / 1000,
        },
    )?;
    let heap_mb = Range("heap-mb", 8, 4096, "MiB").bound(
        "heap-mb-max",
        (settings.heap_mb, settings.heap_mb_max),
        builtin.heap_mb,
    )?;
    let array_buffer_mb = Range("array-buffer-mb", 1, 4096, "MiB").bound(
        "array-buffer-mb-max",
        (settings.array_buffer_mb, settings.array_buffer_mb_max),
        builtin.array_buffer_mb,
    )?;
    let memory_mb = Range("memory-mb", 16, 16_384, "MiB").bound(
        "memory-mb-max",
        (settings.memory_mb, settings.memory_mb_max),
        builtin.memory_mb,
    )?;
    let stack_kb = Range("stack-kb", 64, 65_536, "KiB").bound(
        "stack-kb-max",
        (settings.stack_kb, settings.stack_kb_max),
        builtin.stack_kb,
    )?;
    let result_bytes = Range("result-bytes", KIB, FRAME_PART_MAX, "bytes").bound(
        "result-bytes-max",
        (settings.result_bytes, settings.result_bytes_max),
        builtin.result_bytes,
    )?;
    let output_bytes = Range("output-bytes", KIB, GIB, "bytes").bound(
        "output-bytes-max",
        (settings.output_bytes, settings.output_bytes_max),
        builtin.output_bytes,
    )?;
    // A heap that can't be filled before the process is killed would make the wrong limit speak.
    if heap_mb.default > memory_mb.default {
        return Err(Error::Over {
            flag: "heap-mb",
            value: heap_mb.default,
            other: "memory-mb",
            bound: memory_mb.default,
            unit: "MiB",
            advice: "a run's memory holds its heap, so raise the second",
        });
    }
    // The result is kept as JSON and as text.
    let kept_bytes_min = 2 * result_bytes.max + output_bytes.max;
    if let Some(bytes) = settings.kept_bytes_max {
        Range(
            "kept-bytes-max",
            kept_bytes_min,
            1 << 40,
            "bytes (from the largest result and output)",
        )
        .check(bytes)?;
    }
    if let Some(runs) = settings.runs_max {
        Range("runs-max", 1, 65_536, "executions").check(number(runs))?;
    }
    let Capacity {
        runs_max,
        runs_ready,
        kept_bytes_max,
    } = Capacity::derive(
        machine,
        Wanted {
            runs_max: settings.runs_max,
            runs_ready: settings.runs_ready,
            kept_bytes_max: settings.kept_bytes_max,
            kept_bytes_min,
            memory_mb: memory_mb.default,
        },
    )?;
    Range("runs-ready", 1, number(runs_max), "processes (--runs-max)").check(number(runs_ready))?;
    let queue_max = settings.queue_max.unwrap_or(builtin.queue_max);
    Range("queue-max", 0, 1 << 20, "executions").check(number(queue_max))?;
    // All that run and all that wait must be remembered, or an execution could be lost alive.
    let executions_min = runs_max + queue_max + 1;
    let executions_max = settings
        .executions_max
        .unwrap_or(builtin.executions_max.max(executions_min));
    Range(
        "executions-max",
        number(executions_min),
        10_000_000,
        "executions",
    )
    .check(number(executions_max))?;
    Ok(RunConfig {
        runs_max,
        runs_ready,
        queue_max,
        code_bytes_max: Range("code-bytes-max", 1, FRAME_PART_MAX, "bytes")
            .check(settings.code_bytes_max.unwrap_or(builtin.code_bytes_max))?,
        timeout_ms: Bound {
            default: timeout_secs.default * 1000,
            max: timeout_secs.max * 1000,
        },
        heap_mb,
        array_buffer_mb,
        memory_mb,
        stack_kb,
        result_bytes,
        output_bytes,
        executions_max,
        execution_ttl_secs: Range("execution-ttl-secs", 1, 30 * DAY, "seconds").check(
            settings
                .execution_ttl_secs
                .unwrap_or(builtin.execution_ttl_secs),
        )?,
        kept_bytes_max,
        idempotency_ttl_secs: Range("idempotency-ttl-secs", 1, 30 * DAY, "seconds").check(
            settings
                .idempotency_ttl_secs
                .unwrap_or(builtin.idempotency_ttl_secs),
        )?,
    })
}

#[cfg(test)]
#[path = "load_test.rs"]
mod load_test;
