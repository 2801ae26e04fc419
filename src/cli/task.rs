//! `mcp-v8 task`: what people ask of tasks, over HTTP.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use axum::http::Method;
use bytes::Bytes;
use clap::{Args, Subcommand};
use serde_json::value::RawValue;

use super::Exit;
use super::args::LanguageArg;
use super::exec::{refused, wrong};
use super::http_client;
use super::server::Server;
use super::session::{escaped, parse};
use super::source::Source;
use crate::service::tasks::TaskStatus;
use crate::wire::{NewTaskBody, TaskBody, TaskListBody};

/// A page of a list.
const PAGE: usize = 1000;
/// So much of a task's code is in its line, in characters.
const CODE_SHOWN: usize = 60;
/// One question for a task's end waits so long, in seconds; the server's most.
const WAIT_SECS: u64 = 60;

/// Which server, and what to do there.
#[derive(Debug, Args)]
pub struct TaskArgs {
    #[command(flatten)]
    pub server: Server,
    #[command(subcommand)]
    pub command: TaskCommand,
}

/// What to do with tasks.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// Make one, and print its id
    Create(Box<CreateArgs>),
    /// Which there are, the newest first
    List {
        /// Only those that stand so: scheduled, queued, running, succeeded, failed, cancelled, dead
        #[arg(long, value_name = "STATUS")]
        status: Option<String>,
        /// Only those of this session
        #[arg(long, value_name = "SESSION")]
        session: Option<String>,
        /// Only those with this label; may be given more than once
        #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
        labels: Vec<(String, String)>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Where one stands, and what came of it
    Show {
        #[arg(value_name = "TASK")]
        task: String,
    },
    /// Wait for its end; ends with 0 when it has succeeded, else with 1
    Wait {
        #[arg(value_name = "TASK")]
        task: String,
    },
    /// What its console has printed
    Log {
        #[arg(value_name = "TASK")]
        task: String,
    },
    /// Stop one for good
    Cancel {
        #[arg(value_name = "TASK")]
        task: String,
    },
    /// Forget one that has ended
    Delete {
        #[arg(value_name = "TASK")]
        task: String,
    },
}

/// A task to be made.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The code, a file with it, or `-` for the standard input
    #[arg(value_name = "CODE")]
    code: String,
    /// The global `input`, as JSON
    #[arg(long, value_name = "JSON")]
    input: Option<String>,
    /// The session that it runs in
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// Not before this time (RFC 3339)
    #[arg(long, value_name = "TIME", conflicts_with_all = ["delay_ms", "cron"])]
    run_at: Option<String>,
    /// Not before so many milliseconds have passed
    #[arg(long, value_name = "MS", conflicts_with = "cron")]
    delay_ms: Option<u64>,
    /// Again and again, at the times of a cron expression
    #[arg(long, value_name = "CRON")]
    cron: Option<String>,
    /// Their time zone [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "cron")]
    time_zone: Option<String>,
    /// How often it is tried again after an error [default: 0]
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// A label to find it by; may be given more than once
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Makes a repeated command safe
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Wall clock of one attempt, in milliseconds
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
}

fn label(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("a label is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Does what the command line says.
pub async fn task(args: TaskArgs) -> anyhow::Result<Exit> {
    let TaskArgs { server, command } = args;
    let asked = Tasks { server };
    match command {
        TaskCommand::Create(args) => asked.create(*args).await,
        TaskCommand::List {
            status,
            session,
            labels,
            limit,
        } => asked.list(status, session, labels, limit).await,
        TaskCommand::Show { task } => asked.show(Method::GET, &path(&task, "")).await,
        TaskCommand::Wait { task } => asked.wait(&task).await,
        TaskCommand::Log { task } => asked.log(&task).await,
        TaskCommand::Cancel { task } => asked.show(Method::POST, &path(&task, "/cancel")).await,
        TaskCommand::Delete { task } => {
            let path = path(&task, "");
            let reply = http_client::send(&asked.server.url, Method::DELETE, &path, None).await?;
            match reply.status.is_success() {
                true => Ok(Exit::Completed),
                false => refused(&reply),
            }
        }
    }
}

fn path(task: &str, rest: &str) -> String {
    format!("/api/tasks/{}{rest}", escaped(task))
}

/// What a server is asked.
struct Tasks {
    server: Server,
}

impl Tasks {
    async fn create(&self, args: CreateArgs) -> anyhow::Result<Exit> {
        let input = match args.input.map(RawValue::from_string).transpose() {
            Ok(input) => input.map(Into::into),
            Err(error) => return Ok(wrong(&format_args!("--input is no JSON: {error}"))),
        };
        let source = match Source::read(&args.code, LanguageArg::Auto) {
            Ok(source) => source,
            Err(error) => return Ok(wrong(&error)),
        };
        let body = NewTaskBody {
            code: source.code,
            language: Some(source.language.into()),
            input,
            session: args.session,
            run_at: args.run_at,
            delay_ms: args.delay_ms,
            cron: args.cron,
            time_zone: args.time_zone,
            retries: args.retries,
            labels: args.labels.into_iter().collect::<BTreeMap<_, _>>(),
            idempotency_key: args.idempotency_key,
            timeout_ms: args.timeout_ms,
            ..NewTaskBody::default()
        };
        let json = Bytes::from(serde_json::to_vec(&body)?);
        let body = Some(("application/json", json));
        let reply = http_client::send(&self.server.url, Method::POST, "/api/tasks", body).await?;
        if !reply.status.is_success() {
            return refused(&reply);
        }
        self.server.print(&parse::<TaskBody>(&reply)?, |task, out| {
            writeln!(out, "{}", task.task_id)
        })
    }

    async fn list(
        &self,
        status: Option<String>,
        session: Option<String>,
        labels: Vec<(String, String)>,
        limit: usize,
    ) -> anyhow::Result<Exit> {
        let mut filter = String::new();
        let labels: Vec<_> = labels
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let labels = (!labels.is_empty()).then(|| labels.join(","));
        for (name, value) in [("status", status), ("session", session), ("labels", labels)] {
            if let Some(value) = value {
                filter.push_str(&format!("&{name}={}", escaped(&value)));
            }
        }
        let mut all = TaskListBody {
            tasks: Vec::new(),
            next_cursor: None,
        };
        loop {
            let page = PAGE.min(limit - all.tasks.len());
            let cursor = all.next_cursor.take();
            let cursor = cursor.map_or(String::new(), |it| format!("&cursor={}", escaped(&it)));
            let path = format!("/api/tasks?limit={page}{filter}{cursor}");
            let reply = http_client::call(&self.server.url, &path, None).await?;
            if !reply.status.is_success() {
                return refused(&reply);
            }
            let page: TaskListBody = parse(&reply)?;
            all.tasks.extend(page.tasks);
            all.next_cursor = page.next_cursor;
            if all.next_cursor.is_none() || all.tasks.len() >= limit {
                break;
            }
        }
        self.server.print(&all, |all, out| {
            all.tasks.iter().try_for_each(|task| write_line(task, out))
        })
    }

    async fn wait(&self, task: &str) -> anyhow::Result<Exit> {
        let path = path(task, &format!("?wait={WAIT_SECS}"));
        loop {
            let reply = http_client::call(&self.server.url, &path, None).await?;
            if !reply.status.is_success() {
                return refused(&reply);
            }
            let task: TaskBody = parse(&reply)?;
            if task.status == TaskStatus::Scheduled {
                anyhow::bail!("the task makes others at times and has no end of its own");
            }
            if task.status.is_final() {
                self.server.print(&task, write_whole)?;
                return Ok(match task.status {
                    TaskStatus::Succeeded => Exit::Completed,
                    _ => Exit::Failed,
                });
            }
        }
    }

    async fn log(&self, task: &str) -> anyhow::Result<Exit> {
        let reply = http_client::call(&self.server.url, &path(task, "?wait=0"), None).await?;
        if !reply.status.is_success() {
            return refused(&reply);
        }
        let known: TaskBody = parse(&reply)?;
        let output = match &known.report {
            Some(report) if known.status.is_final() => report.output.clone(),
            _ => {
                let path = path(task, "/log?byte_limit=1048576");
                let reply = http_client::call(&self.server.url, &path, None).await?;
                if !reply.status.is_success() {
                    return refused(&reply);
                }
                parse::<crate::wire::OutputBody>(&reply)?.data
            }
        };
        io::stdout().write_all(output.as_bytes())?;
        Ok(Exit::Completed)
    }

    /// What answers with a task.
    async fn show(&self, method: Method, path: &str) -> anyhow::Result<Exit> {
        let reply = http_client::send(&self.server.url, method, path, None).await?;
        if !reply.status.is_success() {
            return refused(&reply);
        }
        self.server.print(&parse::<TaskBody>(&reply)?, write_whole)
    }
}

fn write_line(task: &TaskBody, out: &mut dyn io::Write) -> io::Result<()> {
    let code = task.code.as_deref().unwrap_or("(long)");
    let code: String = code.chars().take(CODE_SHOWN).collect();
    writeln!(
        out,
        "{}  {:<9}  {}  {:?}",
        task.task_id,
        task.status.as_str(),
        task.created_at,
        code
    )
}

fn write_whole(task: &TaskBody, out: &mut dyn io::Write) -> io::Result<()> {
    let optional = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    writeln!(out, "task      {}", task.task_id)?;
    writeln!(out, "status    {}", task.status.as_str())?;
    if let Some(cron) = &task.cron {
        let zone = task.time_zone.as_deref().unwrap_or("UTC");
        writeln!(out, "times     {cron} ({zone}), next {}", task.run_at)?;
    }
    let tried = format!("{} attempts, {} errors", task.attempts, task.failures);
    writeln!(out, "tried     {tried}, {} retries at most", task.retries)?;
    writeln!(out, "node      {}", optional(&task.node))?;
    writeln!(out, "session   {}", optional(&task.session))?;
    writeln!(out, "made      {}", task.created_at)?;
    writeln!(out, "begun     {}", optional(&task.started_at))?;
    writeln!(out, "ended     {}", optional(&task.finished_at))?;
    for (name, value) in &task.labels {
        writeln!(out, "label     {name}={value}")?;
    }
    if let Some(report) = &task.report {
        if let Some(error) = &report.error {
            writeln!(
                out,
                "error     {}: {} ({})",
                error.name, error.message, error.code
            )?;
        }
        if let Some(result) = &report.result_text {
            writeln!(out, "result    {result}")?;
        }
        if !report.output.is_empty() {
            writeln!(out, "printed   {} bytes", report.output_bytes)?;
        }
    }
    Ok(())
}
