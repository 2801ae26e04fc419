use std::io::{self, Write as _};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::args::{ExecArgs, LimitArgs};
use super::report::Report;
use super::source::Source;
use super::{Exit, http_client};
use crate::config::{Config, Machine, RunConfig, Settings};
use crate::service::run::{Event, ExecutionRequest, LimitOverrides, Runs, level_prefix};
use crate::wire::{ExecutionBody, ExecutionRequestBody};
use crate::workers::{Engine, Options, Workers};

/// Runs code here or on a server, and prints what comes of it.
pub async fn exec(args: ExecArgs) -> anyhow::Result<Exit> {
    let source = match Source::read(&args.source, args.language) {
        Ok(source) => source,
        Err(error) => return Ok(wrong(&error)),
    };
    let input = args.input.clone().map(RawValue::from_string).transpose();
    let input = match input {
        Ok(input) => input.map(Arc::from),
        Err(error) => return Ok(wrong(&format_args!("--input is no JSON: {error}"))),
    };
    match &args.url {
        Some(url) => remote(url, &args, source, input).await,
        None => local(&args, source, input).await,
    }
}

pub(super) fn wrong(reason: &dyn std::fmt::Display) -> Exit {
    eprintln!("mcp-v8: {reason}");
    Exit::Usage
}

/// In processes of this program's own; the console's lines are printed while they come.
async fn local(
    args: &ExecArgs,
    source: Source,
    input: Option<Arc<RawValue>>,
) -> anyhow::Result<Exit> {
    let config = match Config::new(settings(args), &Machine::read()) {
        Ok(config) => config,
        Err(error) => return Ok(wrong(&error)),
    };
    let options = Options::new(config.run.runs_ready, config.sandbox);
    let engine = Engine::embedded().context("can't load the engine")?;
    let workers = Workers::start(engine, options)
        .await
        .context("can't start V8")?;
    let runs = Runs::alone(workers.clone(), config.run);
    let request = ExecutionRequest {
        code: source.code,
        language: source.language.into(),
        input,
        target: None,
        limits: LimitOverrides::default(),
        idempotency_key: None,
        principal: String::new(),
        task: None,
    };
    let id = runs.submit(request, None)?.id;
    let mut events = runs.events(&id)?;
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let mut interrupted = false;
    let execution = loop {
        let event = tokio::select! {
            event = events.next() => event,
            // The end comes as an event too.
            _ = &mut interrupt, if !interrupted => {
                interrupted = true;
                runs.cancel(&id)?;
                continue;
            }
        };
        match event {
            Some(Event::End(execution)) => break execution,
            Some(_) if args.json => {}
            Some(Event::Line { level, text, .. }) => {
                writeln!(io::stdout().lock(), "{}{text}", level_prefix(level))?;
            }
            Some(Event::Gap {
                dropped,
                dropped_bytes,
                ..
            }) => {
                eprintln!("mcp-v8: {dropped} lines ({dropped_bytes} bytes) were too fast to print");
            }
            None => bail!("the execution's events ended before it did"),
        }
    };
    workers.shutdown().await;
    let json = serde_json::to_vec(&ExecutionBody::from(*execution))?;
    print_end(&json, args.json, &Report::parse(&json)?)
}

/// One run, with the limits that were asked for as the only ones.
fn settings(args: &ExecArgs) -> Settings {
    let LimitArgs {
        timeout_secs,
        heap_mb,
        array_buffer_mb,
        memory_mb,
        stack_kb,
        result_bytes,
        output_bytes,
    } = args.limits;
    let builtin = RunConfig::default();
    let most = |asked: Option<u64>, max: u64| asked.map(|asked| asked.max(max));
    Settings {
        runs_max: Some(1),
        runs_ready: Some(1),
        timeout_secs,
        timeout_secs_max: most(timeout_secs, builtin.timeout_ms.max / 1000),
        heap_mb,
        heap_mb_max: most(heap_mb, builtin.heap_mb.max),
        array_buffer_mb,
        array_buffer_mb_max: most(array_buffer_mb, builtin.array_buffer_mb.max),
        memory_mb,
        memory_mb_max: most(memory_mb, builtin.memory_mb.max),
        stack_kb,
        stack_kb_max: most(stack_kb, builtin.stack_kb.max),
        result_bytes,
        result_bytes_max: most(result_bytes, builtin.result_bytes.max),
        output_bytes,
        output_bytes_max: most(output_bytes, builtin.output_bytes.max),
        sandbox: Some(args.sandbox),
        ..Settings::default()
    }
}

/// On a server, which stops the execution when this program goes away.
async fn remote(
    url: &str,
    args: &ExecArgs,
    source: Source,
    input: Option<Arc<RawValue>>,
) -> anyhow::Result<Exit> {
    let limits = &args.limits;
    let request = ExecutionRequestBody {
        code: source.code,
        language: Some(source.language.into()),
        input,
        timeout_ms: limits
            .timeout_secs
            .map(|seconds| seconds.saturating_mul(1000)),
        heap_mb: limits.heap_mb,
        array_buffer_mb: limits.array_buffer_mb,
        memory_mb: limits.memory_mb,
        stack_kb: limits.stack_kb,
        result_bytes: limits.result_bytes,
        output_bytes: limits.output_bytes,
        ..ExecutionRequestBody::default()
    };
    let body = Bytes::from(serde_json::to_vec(&request)?);
    let reply = http_client::call(url, "/api/exec", Some(body)).await?;
    if !reply.status.is_success() {
        return refused(&reply);
    }
    let report = Report::parse(&reply.body)?;
    if !args.json {
        report.print_output(&mut io::stdout().lock())?;
    }
    print_end(&reply.body, args.json, &report)
}

/// What is shown of a problem document.
#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
    hint: Option<String>,
}

pub(super) fn refused(reply: &http_client::Reply) -> anyhow::Result<Exit> {
    let Ok(problem) = serde_json::from_slice::<Problem>(&reply.body) else {
        bail!(
            "{}: {}",
            reply.status,
            String::from_utf8_lossy(&reply.body).trim_end()
        );
    };
    eprintln!("mcp-v8: {} ({})", problem.detail, problem.code);
    if let Some(hint) = problem.hint {
        eprintln!("{hint}");
    }
    Ok(Exit::CouldNotRun)
}

fn print_end(json: &[u8], as_json: bool, report: &Report) -> anyhow::Result<Exit> {
    let mut out = io::stdout().lock();
    if as_json {
        out.write_all(json)?;
        writeln!(out)?;
    } else {
        report.print_end(&mut out, &mut io::stderr().lock())?;
    }
    report.exit()
}
