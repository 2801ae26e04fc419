//! Engines: which there are, and what may run in them.

use cluster::proto::{AdminEngine, ListEnginesRequest, SetEngineRequest};
use serde::Serialize;

use super::args::Form;
use super::connection::Connection;
use super::error::AdminError;
use super::print::{columns, print};
use crate::cli::Exit;

#[derive(Serialize)]
struct Engines {
    engines: Vec<Engine>,
}

#[derive(Serialize)]
struct Engine {
    id: String,
    v8_version: String,
    v8_flags: String,
    cpu_baseline: String,
    state: String,
    /// The cluster has its bytes.
    kept: bool,
    sessions: u64,
    nodes: Vec<String>,
}

impl From<AdminEngine> for Engine {
    fn from(engine: AdminEngine) -> Self {
        Self {
            id: engine.id,
            v8_version: engine.v8_version,
            v8_flags: engine.v8_flags,
            cpu_baseline: engine.cpu_baseline,
            state: engine.state,
            kept: engine.kept,
            sessions: engine.sessions,
            nodes: engine.nodes,
        }
    }
}

#[derive(Serialize)]
struct Set<'a> {
    id: String,
    state: &'a str,
}

/// So much of an id tells engines apart in a table.
const ID_SHOWN: usize = 16;

async fn engines(connection: &Connection) -> Result<Vec<Engine>, AdminError> {
    let listed = connection
        .call(ListEnginesRequest {}, async |mut client, request| {
            client.list_engines(request).await
        })
        .await?;
    Ok(listed.engines.into_iter().map(Engine::from).collect())
}

/// Prints all of them.
pub async fn list(connection: &Connection, form: Form) -> Result<Exit, AdminError> {
    let engines = engines(connection).await?;
    print(form, &Engines { engines }, |it| {
        let rows: Vec<_> = it
            .engines
            .iter()
            .map(|engine| {
                vec![
                    engine.id.chars().take(ID_SHOWN).collect(),
                    engine.v8_version.clone(),
                    engine.state.clone(),
                    if engine.kept { "yes" } else { "not yet" }.to_owned(),
                    engine.sessions.to_string(),
                    engine.nodes.join(" "),
                ]
            })
            .collect();
        columns(
            &["ENGINE", "V8", "STATE", "KEPT", "SESSIONS", "NODES"],
            &rows,
        )
    })?;
    Ok(Exit::Completed)
}

/// Decides what may run in one.
pub async fn set(
    connection: &Connection,
    form: Form,
    engine: &str,
    state: &str,
) -> Result<Exit, AdminError> {
    let request = SetEngineRequest {
        id: engine.to_owned(),
        state: state.to_owned(),
    };
    let set = connection
        .call(request, async |mut client, request| {
            client.set_engine(request).await
        })
        .await?;
    let id = set.id;
    print(form, &Set { id, state }, |it| {
        format!("engine {} is {}", it.id, it.state)
    })?;
    Ok(Exit::Completed)
}

/// Retires one that no session lives in.
pub async fn retire(
    connection: &Connection,
    form: Form,
    engine: &str,
    force: bool,
) -> Result<Exit, AdminError> {
    let engines = engines(connection).await?;
    let used = engines.iter().filter(|it| it.id.starts_with(engine));
    let sessions: u64 = used.map(|it| it.sessions).sum();
    if sessions > 0 && !force {
        return Err(AdminError::Refused {
            message: format!(
                "{sessions} sessions live in engine {engine} and could not be used any more: forbid it, \
                 move or delete them, or say --force"
            ),
        });
    }
    set(connection, form, engine, "retired").await
}
