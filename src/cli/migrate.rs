//! `mcp-v8 session migrate`: a session's runs once more, in the engine of the server's version.

use std::io::{self, Write as _};

use axum::http::Method;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::Exit;
use super::exec::refused;
use super::http_client::{self, Reply};
use super::session::{parse, path};
use crate::wire::{
    CommitBody, CommitListBody, ExecutionRequestBody, LanguageName, RenameSessionBody, SessionBody,
};

/// A page of the history.
const PAGE: usize = 1000;
/// What the session is called until it is whole: an operator who finds it knows why it is there.
const SUFFIX: &str = " (migrating)";

/// What came of it.
#[derive(Debug, Serialize)]
struct Report {
    session: String,
    migrated: bool,
    from_engine: String,
    to_engine: String,
    runs: usize,
    /// Runs that say something else than they said before.
    differences: Vec<Difference>,
}

#[derive(Debug, Serialize)]
struct Difference {
    number: u64,
    code: String,
    was: Value,
    is: Value,
}

/// Runs everything again in a new session, compares what each run says, and lets the new session take the place of
/// the old one when all is the same.
pub async fn migrate(url: &str, session: &str, force: bool, json: bool) -> anyhow::Result<Exit> {
    let old: SessionBody = match get(url, &path(session, "")).await? {
        Ok(reply) => parse(&reply)?,
        Err(exit) => return Ok(exit),
    };
    let commits = match history(url, session).await? {
        Ok(commits) => commits,
        Err(exit) => return Ok(exit),
    };
    let fresh = format!("{session}{SUFFIX}");
    // What an earlier attempt has left.
    delete(url, &fresh).await?;
    let mut report = Report {
        session: session.to_owned(),
        migrated: false,
        from_engine: old.engine,
        to_engine: String::new(),
        runs: commits.len(),
        differences: Vec::new(),
    };
    for commit in &commits {
        let reply = post(url, "/api/exec", &request(commit, &fresh)?).await?;
        if !reply.status.is_success() {
            delete(url, &fresh).await?;
            return refused(&reply);
        }
        let is: Value = parse(&reply)?;
        if report.to_engine.is_empty() {
            let Ok(made) = get(url, &path(&fresh, "")).await? else {
                return Ok(Exit::Failed);
            };
            report.to_engine = parse::<SessionBody>(&made)?.engine;
            if report.to_engine == report.from_engine && !force {
                delete(url, &fresh).await?;
                report.runs = 0;
                print(&report, json)?;
                return Ok(Exit::Completed);
            }
        }
        let was = serde_json::to_value(commit)?;
        if said(&was) != said(&is) {
            report.differences.push(Difference {
                number: commit.number,
                code: commit.code.clone(),
                was: said(&was),
                is: said(&is),
            });
        }
    }
    report.migrated = !commits.is_empty() && (force || report.differences.is_empty());
    if report.migrated {
        let rename = RenameSessionBody {
            name: session.to_owned(),
            replace: true,
        };
        let renamed = post(url, &path(&fresh, "/rename"), &rename).await?;
        if !renamed.status.is_success() {
            return refused(&renamed);
        }
    } else {
        delete(url, &fresh).await?;
    }
    print(&report, json)?;
    Ok(match report.migrated || commits.is_empty() {
        true => Exit::Completed,
        false => Exit::Failed,
    })
}

/// All runs of a session, the oldest first.
async fn history(url: &str, session: &str) -> anyhow::Result<Result<Vec<CommitBody>, Exit>> {
    let mut commits = Vec::new();
    let mut from = String::new();
    loop {
        let path = path(session, &format!("/log?limit={PAGE}{from}"));
        let page: CommitListBody = match get(url, &path).await? {
            Ok(reply) => parse(&reply)?,
            Err(exit) => return Ok(Err(exit)),
        };
        commits.extend(page.commits);
        match page.next_from {
            Some(next) => from = format!("&from={next}"),
            None => break,
        }
    }
    commits.reverse();
    Ok(Ok(commits))
}

fn request(commit: &CommitBody, session: &str) -> anyhow::Result<ExecutionRequestBody> {
    let language: LanguageName = serde_json::from_value(Value::String(commit.language.clone()))?;
    Ok(ExecutionRequestBody {
        code: commit.code.clone(),
        language: Some(language),
        session: Some(session.to_owned()),
        ..ExecutionRequestBody::default()
    })
}

/// What a run tells a caller, without what is another thing each time.
fn said(reply: &Value) -> Value {
    let error = reply.get("error").filter(|error| !error.is_null());
    serde_json::json!({
        "status": reply["status"],
        "result_text": reply["result_text"],
        "output": reply["output"].as_str().unwrap_or_default(),
        "error": error.map(|error| (&error["name"], &error["message"])),
    })
}

async fn get(url: &str, path: &str) -> anyhow::Result<Result<Reply, Exit>> {
    let reply = http_client::call(url, path, None).await?;
    Ok(match reply.status.is_success() {
        true => Ok(reply),
        false => Err(refused(&reply)?),
    })
}

async fn post(url: &str, path: &str, body: &impl Serialize) -> anyhow::Result<Reply> {
    let json = Bytes::from(serde_json::to_vec(body)?);
    Ok(http_client::call(url, path, Some(json)).await?)
}

/// One that is not there is gone already.
async fn delete(url: &str, session: &str) -> anyhow::Result<()> {
    http_client::send(url, Method::DELETE, &path(session, ""), None).await?;
    Ok(())
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(report)?)?;
        return Ok(());
    }
    for difference in &report.differences {
        writeln!(
            out,
            "run {}: {:?}\n  was {}\n  is  {}",
            difference.number, difference.code, difference.was, difference.is
        )?;
    }
    let outcome = match (report.migrated, report.runs) {
        (true, _) => "lives in the new engine now",
        (false, 0) => "has nothing to migrate",
        (false, _) => "stays as it is (--force takes the differences)",
    };
    writeln!(
        out,
        "{:?} {outcome}: {} runs, {} differences",
        report.session,
        report.runs,
        report.differences.len()
    )?;
    Ok(())
}
