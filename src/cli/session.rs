//! `mcp-v8 session`: what people ask of sessions, over HTTP.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;
use axum::http::Method;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Exit;
use super::args::{PointArgs, SessionArgs, SessionCommand};
use super::exec::refused;
use super::http_client::{self, Reply};
use super::migrate::migrate;
use super::server::Server;
use crate::wire::{
    CommitListBody, CreateSessionBody, RenameSessionBody, ResetSessionBody, SessionBody,
    SessionDiffBody, SessionListBody,
};

/// A page of a list.
const PAGE: usize = 1000;
/// So much of a run's code is in its line of a log, in characters.
const CODE_SHOWN: usize = 60;

/// Does what the command line says.
pub async fn session(args: SessionArgs) -> anyhow::Result<Exit> {
    let SessionArgs { server, command } = args;
    let asked = Sessions { server };
    match command {
        SessionCommand::List { prefix } => asked.list(&prefix).await,
        SessionCommand::Show { session } => {
            asked.show(Method::GET, &path(&session, ""), None).await
        }
        SessionCommand::Diff { session, from, to } => asked.diff(&session, from, &to).await,
        SessionCommand::Log { session, limit } => asked.log(&session, limit).await,
        SessionCommand::Fork {
            session,
            name,
            point: PointArgs { commit, heap },
        } => {
            let from = heap.is_none().then_some(session);
            let body = CreateSessionBody {
                name,
                from,
                heap,
                commit,
            };
            asked.post("/api/sessions", &body).await
        }
        SessionCommand::Reset {
            session,
            point: PointArgs { commit, heap },
        } => {
            let body = ResetSessionBody {
                heap,
                commit,
                if_heap: None,
            };
            asked.post(&path(&session, "/reset"), &body).await
        }
        SessionCommand::Rename {
            session,
            name,
            replace,
        } => {
            let body = RenameSessionBody { name, replace };
            asked.post(&path(&session, "/rename"), &body).await
        }
        SessionCommand::Delete { session } => {
            let path = path(&session, "");
            let reply = http_client::send(&asked.server.url, Method::DELETE, &path, None).await?;
            match reply.status.is_success() {
                true => Ok(Exit::Completed),
                false => refused(&reply),
            }
        }
        SessionCommand::Export {
            session,
            file,
            engine,
        } => asked.export(&session, &file, engine).await,
        SessionCommand::Migrate { session, force } => {
            migrate(&asked.server.url, &session, force, asked.server.json).await
        }
        SessionCommand::Import { file, session } => {
            let bytes = std::fs::read(&file);
            let bytes = bytes.with_context(|| format!("can't read {}", file.display()))?;
            let body = Some(("application/octet-stream", Bytes::from(bytes)));
            asked
                .show(Method::POST, &path(&session, "/import"), body)
                .await
        }
    }
}

/// What a server is asked.
struct Sessions {
    server: Server,
}

impl Sessions {
    async fn list(&self, prefix: &str) -> anyhow::Result<Exit> {
        let mut all = SessionListBody {
            sessions: Vec::new(),
            next_after: None,
        };
        let path = format!("/api/sessions?limit={PAGE}&prefix={}", escaped(prefix));
        let take = |page: SessionListBody| {
            all.sessions.extend(page.sessions);
            page.next_after
        };
        if let Some(refused) = self.server.pages(&path, take).await? {
            return Ok(refused);
        }
        self.server.print(&all, |all, out| {
            for session in &all.sessions {
                write_session(session, out)?;
            }
            Ok(())
        })
    }

    async fn log(&self, session: &str, limit: usize) -> anyhow::Result<Exit> {
        let path = path(session, &format!("/log?limit={limit}"));
        let reply = http_client::call(&self.server.url, &path, None).await?;
        if !reply.status.is_success() {
            return refused(&reply);
        }
        self.server
            .print(&parse::<CommitListBody>(&reply)?, |log, out| {
                for commit in &log.commits {
                    let code: String = commit.code.chars().take(CODE_SHOWN).collect();
                    let said = commit.result_text.as_deref().unwrap_or_default();
                    let said: String = said.chars().take(CODE_SHOWN).collect();
                    writeln!(
                        out,
                        "{:>6}  {}  {:?}  {:?}  {said:?}",
                        commit.number, commit.heap, commit.status, code
                    )?;
                }
                Ok(())
            })
    }

    async fn diff(&self, session: &str, from: Option<String>, to: &str) -> anyhow::Result<Exit> {
        let from = from.map_or(String::new(), |from| format!("&from={}", escaped(&from)));
        let path = path(session, &format!("/diff?to={}{from}", escaped(to)));
        let reply = http_client::call(&self.server.url, &path, None).await?;
        if !reply.status.is_success() {
            return refused(&reply);
        }
        self.server
            .print(&parse::<SessionDiffBody>(&reply)?, |diff, out| {
                let mut lines = diff.lines().into_iter();
                lines.try_for_each(|line| writeln!(out, "{line}"))
            })
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Exit> {
        let json = Bytes::from(serde_json::to_vec(body)?);
        self.show(Method::POST, path, Some(("application/json", json)))
            .await
    }

    /// What answers with a session.
    async fn show(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Bytes)>,
    ) -> anyhow::Result<Exit> {
        let reply = http_client::send(&self.server.url, method, path, body).await?;
        if !reply.status.is_success() {
            return refused(&reply);
        }
        self.server
            .print(&parse::<SessionBody>(&reply)?, write_session)
    }

    async fn export(&self, session: &str, file: &Path, engine: bool) -> anyhow::Result<Exit> {
        let path = path(session, &format!("/export?engine={engine}"));
        let reply = http_client::call(&self.server.url, &path, None).await?;
        if !reply.status.is_success() {
            return refused(&reply);
        }
        let made = File::options().write(true).create_new(true).open(file);
        let written = made.and_then(|mut made| {
            made.write_all(&reply.body)?;
            made.sync_all()
        });
        written.with_context(|| format!("can't write {}", file.display()))?;
        if !self.server.json {
            writeln!(io::stdout(), "{} bytes", reply.body.len())?;
        }
        Ok(Exit::Completed)
    }
}

fn write_session(session: &SessionBody, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(
        out,
        "{:?}  {} runs  {}  on {}",
        session.name,
        session.commits,
        session.heap.as_deref().unwrap_or("nothing yet"),
        session.owner.as_deref().unwrap_or("no node"),
    )
}

pub(super) fn parse<T: DeserializeOwned>(reply: &Reply) -> anyhow::Result<T> {
    serde_json::from_slice(&reply.body).context("the server speaks of something else")
}

pub(super) fn path(session: &str, rest: &str) -> String {
    format!("/api/sessions/{}{rest}", escaped(session))
}

/// As it may stand in a part of a path or in a value of a query.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        assert_eq!(path("a/b ü", "/log"), "/api/sessions/a%2Fb%20%C3%BC/log");
    }
}
