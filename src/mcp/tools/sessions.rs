//! Sessions: what an agent has done in its JavaScript worlds, and ways back and aside.

use std::time::{Duration, Instant};

use rmcp::model::{CallToolResult, JsonObject, Tool};
use serde_json::json;

use super::{
    ToolError,
    arguments::Arguments,
    definitions::{adds, input, only_reads, takes_away, tool, whole},
    reply,
};
use crate::{
    service::sessions::{Error, Point, Sessions},
    wire::{
        CommitListBody, CreateSessionBody, ResetSessionBody, SessionBody, SessionDiffBody,
        SessionListBody,
    },
    workers::RunLimits,
};

/// A call waits so long for the cluster.
const PATIENCE: Duration = Duration::from_secs(10);
const LIST_DEFAULT: u64 = 20;
const LIST_MAX: u64 = 1000;
const LOG_DEFAULT: u64 = 10;
const LOG_MAX: u64 = 100;
/// The most of a run's code in one line of a log, in bytes.
const CODE_BYTES_MAX: usize = 200;

/// The tools, in an order that never changes.
pub(super) fn definitions() -> Vec<Tool> {
    let session = || {
        json!({
            "type": "string",
            "minLength": 1,
            "maxLength": 256,
            "description": "The session's name, as in run_js.",
        })
    };
    let heap = |text: &str| json!({ "type": "string", "minLength": 64, "maxLength": 64, "description": text });
    let commit = |text: &str| json!({ "type": "integer", "minimum": 0, "description": text });
    vec![
        tool(
            "session_list",
            "List sessions",
            "Lists the sessions that run_js has made, in the order of their names, with how many runs \
             each has."
                .to_owned(),
            input(
                json!({
                    "prefix": {
                        "type": "string",
                        "description": "Only those whose names begin so.",
                    },
                    "after": {
                        "type": "string",
                        "description": "The `next_after` of the page before, to go on.",
                    },
                    "limit": whole(1, LIST_MAX, LIST_DEFAULT, "The most sessions."),
                }),
                &[],
            ),
        )
        .with_output_schema::<SessionListBody>()
        .with_annotations(only_reads()),
        tool(
            "session_log",
            "Read a session's history",
            "Lists what ran in a session, the newest first: the code, what came of it, and the heap that \
             it made. Each heap can be run from (`heap` of run_js), forked and gone back to."
                .to_owned(),
            input(
                json!({
                    "session": session(),
                    "from": heap("The `next_from` of the page before, to go on."),
                    "limit": whole(1, LOG_MAX, LOG_DEFAULT, "The most runs."),
                }),
                &["session"],
            ),
        )
        .with_output_schema::<CommitListBody>()
        .with_annotations(only_reads()),
        tool(
            "session_diff",
            "Compare two states of a session",
            "Tells which names stand for other values in two states of a session: what its runs in between have \
             made, changed and removed. Nothing runs."
                .to_owned(),
            input(
                json!({
                    "session": session(),
                    "from": {
                        "type": "string",
                        "description": "The first: `head`, a heap, or the number of a run (0: before the first). Left \
                                        out: where the second began.",
                    },
                    "to": { "type": "string", "default": "head", "description": "The second." },
                }),
                &["session"],
            ),
        )
        .with_output_schema::<SessionDiffBody>()
        .with_annotations(only_reads()),
        tool(
            "session_fork",
            "Fork a session",
            "Makes a new session that begins where another one stands, or stood. The other one is not \
             touched: try something there without losing the way back."
                .to_owned(),
            input(
                json!({
                    "session": session(),
                    "name": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": 256,
                        "description": "The name of the new session.",
                    },
                    "commit": commit("Begin after so many of its runs, as session_log numbers them; left out: where it stands."),
                    "heap": heap("Begin with this heap instead."),
                }),
                &["session", "name"],
            ),
        )
        .with_output_schema::<SessionBody>()
        .with_annotations(adds()),
        tool(
            "session_reset",
            "Go back in a session",
            "Moves a session to an earlier state. What it ran since is no longer part of it. Give \
             `commit` or `heap`."
                .to_owned(),
            input(
                json!({
                    "session": session(),
                    "commit": commit("Go back to after so many of its runs; 0: before the first."),
                    "heap": heap("Go to this heap."),
                }),
                &["session"],
            ),
        )
        .with_output_schema::<SessionBody>()
        .with_annotations(takes_away()),
        tool(
            "session_delete",
            "Delete a session",
            "Deletes a session. Sessions that were forked from it are not touched.".to_owned(),
            input(json!({ "session": session() }), &["session"]),
        )
        .with_output_schema::<SessionBody>()
        .with_annotations(takes_away()),
    ]
}

/// Whether one of these tools is meant.
pub(super) fn is_one(name: &str) -> bool {
    name.starts_with("session_")
}

/// Calls one of those that [`definitions`] lists.
pub(super) async fn call(
    sessions: &Sessions,
    limits: RunLimits,
    name: &str,
    arguments: Arguments,
) -> Result<CallToolResult, ToolError> {
    match name {
        "session_list" => list(sessions, arguments).await,
        "session_log" => log(sessions, arguments).await,
        "session_diff" => diff(sessions, limits, arguments).await,
        "session_fork" => fork(sessions, arguments).await,
        "session_reset" => reset(sessions, arguments).await,
        _ => delete(sessions, arguments).await,
    }
}

async fn list(sessions: &Sessions, mut arguments: Arguments) -> Result<CallToolResult, ToolError> {
    let prefix = arguments.text("prefix")?.unwrap_or_default();
    let after = arguments.text("after")?;
    let limit = arguments.number_up_to("limit", LIST_MAX)?;
    arguments.finish()?;
    let limit = usize::try_from(limit.unwrap_or(LIST_DEFAULT)).unwrap_or(usize::MAX);
    let page = sessions.list(&prefix, after.as_deref(), limit, deadline());
    let body = SessionListBody::from(page.await?);
    let mut lines: Vec<_> = body
        .sessions
        .iter()
        .map(|session| format!("{}: {} runs", session.name, session.commits))
        .collect();
    if lines.is_empty() {
        lines.push("no sessions".to_owned());
    }
    if let Some(next) = &body.next_after {
        lines.push(format!("[more: after {next}]"));
    }
    Ok(reply::of_body(lines.join("\n"), &body))
}

async fn log(sessions: &Sessions, mut arguments: Arguments) -> Result<CallToolResult, ToolError> {
    let session = arguments.required_text("session")?;
    let from = arguments.text("from")?;
    let limit = arguments.number_up_to("limit", LOG_MAX)?;
    arguments.finish()?;
    let from = from.as_deref().map(str::parse).transpose();
    let from = from.map_err(crate::wire::Invalid::from)?;
    let limit = usize::try_from(limit.unwrap_or(LOG_DEFAULT)).unwrap_or(usize::MAX);
    let page = sessions.log(&session, from, limit, deadline()).await?;
    let body = CommitListBody::try_from(page)?;
    let mut lines: Vec<_> = body
        .commits
        .iter()
        .map(|commit| {
            let code = &commit.code[..commit.code.floor_char_boundary(CODE_BYTES_MAX)];
            let came = match (&commit.result_text, &commit.error) {
                (Some(result), _) => result.to_string(),
                (None, Some(error)) => format!("{}: {}", error.name, error.message),
                (None, None) => String::new(),
            };
            format!("{} {}\n  {code}\n  → {came}", commit.number, commit.heap)
        })
        .collect();
    if lines.is_empty() {
        lines.push("nothing has run in it yet".to_owned());
    }
    if let Some(next) = &body.next_from {
        lines.push(format!("[more: from {next}]"));
    }
    Ok(reply::of_body(lines.join("\n"), &body))
}

async fn diff(
    sessions: &Sessions,
    limits: RunLimits,
    mut arguments: Arguments,
) -> Result<CallToolResult, ToolError> {
    let session = arguments.required_text("session")?;
    let mut point = |name| {
        let text = arguments.text(name)?;
        let point = text.map(|text| text.parse()).transpose();
        point.map_err(ToolError::Point)
    };
    let (from, to) = (point("from")?, point("to")?);
    arguments.finish()?;
    let to = to.unwrap_or(Point::Head);
    let compared = sessions.compare(&session, from, to, limits, deadline());
    let body = SessionDiffBody::from(compared.await?);
    let mut lines = body.lines();
    if lines.is_empty() {
        lines.push("no name stands for another value".to_owned());
    }
    Ok(reply::of_body(lines.join("\n"), &body))
}

async fn fork(sessions: &Sessions, mut arguments: Arguments) -> Result<CallToolResult, ToolError> {
    let session = arguments.required_text("session")?;
    let wanted = CreateSessionBody {
        name: arguments.required_text("name")?,
        from: Some(session.clone()),
        heap: arguments.text("heap")?,
        commit: arguments.number("commit")?,
    };
    arguments.finish()?;
    let point = wanted.point()?.unwrap_or(Point::Head);
    let made = sessions.create(wanted.name, Some((&session, point)), "", deadline());
    told("begins there with", SessionBody::from(made.await?))
}

async fn reset(sessions: &Sessions, mut arguments: Arguments) -> Result<CallToolResult, ToolError> {
    let session = arguments.required_text("session")?;
    let wanted = ResetSessionBody {
        heap: arguments.text("heap")?,
        commit: arguments.number("commit")?,
        if_heap: None,
    };
    arguments.finish()?;
    let (point, _) = wanted.points()?;
    let point = point.ok_or(super::arguments::ArgumentError::Missing { name: "commit" })?;
    let info = sessions
        .reset(&session, point, None, "", deadline())
        .await?;
    told("stands at", SessionBody::from(info))
}

async fn delete(
    sessions: &Sessions,
    mut arguments: Arguments,
) -> Result<CallToolResult, ToolError> {
    let session = arguments.required_text("session")?;
    arguments.finish()?;
    let info = sessions.info(&session, deadline()).await?;
    sessions.delete(&session, "", deadline()).await?;
    told("is gone; it had", SessionBody::from(info))
}

fn told(verb: &str, body: SessionBody) -> Result<CallToolResult, ToolError> {
    let text = format!("{} {verb} {} runs", body.name, body.commits);
    Ok(reply::of_body(text, &body))
}

fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

/// The arguments of a run, in the session that a client has named for all of its calls, unless they name another
/// one or a heap.
pub(super) fn in_session(
    arguments: Option<JsonObject>,
    session: Option<&str>,
) -> Option<JsonObject> {
    let Some(session) = session else {
        return arguments;
    };
    let mut arguments = arguments.unwrap_or_default();
    if !arguments.contains_key("session") && !arguments.contains_key("heap") {
        arguments.insert("session".to_owned(), session.into());
    }
    Some(arguments)
}

impl From<Error> for ToolError {
    fn from(error: Error) -> Self {
        Self::Service(error.into())
    }
}
