use std::time::{Duration, Instant};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use futures::TryStreamExt as _;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{ApiState, Problem, body};
use crate::service::sessions::{Error, Point, Sessions};
use crate::wire::{
    CommitListBody, CreateSessionBody, RenameSessionBody, ResetSessionBody, SessionBody,
    SessionDiffBody, SessionListBody,
};

/// A request waits so long for its cluster.
const PATIENCE: Duration = Duration::from_secs(10);
const LIST_LIMIT: usize = 100;
const LOG_LIMIT: usize = 20;

/// Which sessions.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only those whose names begin so.
    #[serde(default)]
    prefix: String,
    /// `next_after` of the page before.
    after: Option<String>,
    /// The most sessions: 100 when not given, 1000 at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Which runs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// `next_from` of the page before, or any heap.
    from: Option<String>,
    /// The most runs: 20 when not given, 1000 at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// List sessions.
///
/// In the order of their names.
#[utoipa::path(
    get,
    path = "/api/sessions",
    operation_id = "listSessions",
    tag = "sessions",
    params(ListQuery),
    responses((status = 200, description = "A page of sessions", body = SessionListBody))
)]
pub async fn list(
    State(state): State<ApiState>,
    uri: Uri,
) -> Result<Json<SessionListBody>, Problem> {
    let query: ListQuery = body::query(&uri)?;
    let (after, limit) = (query.after.as_deref(), query.limit.unwrap_or(LIST_LIMIT));
    let page = sessions(&state)?.list(&query.prefix, after, limit, deadline());
    Ok(Json(page.await?.into()))
}

/// Make a session.
///
/// A run makes the session that it names, so this is for one that begins with an earlier state: where
/// another session stands, after so many of its runs, or with a heap.
#[utoipa::path(
    post,
    path = "/api/sessions",
    operation_id = "createSession",
    tag = "sessions",
    request_body = CreateSessionBody,
    responses((status = 201, description = "The session", body = SessionBody))
)]
pub async fn create(
    State(state): State<ApiState>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<SessionBody>), Problem> {
    let wanted: CreateSessionBody = body::json(&body.map_err(body::unread)?)?;
    let point = wanted.point()?;
    let sessions = sessions(&state)?;
    let made = match (&wanted.from, point) {
        (Some(from), point) => {
            let point = point.unwrap_or(Point::Head);
            sessions
                .create(wanted.name, Some((from, point)), "", deadline())
                .await
        }
        (None, Some(Point::Heap(heap))) => {
            sessions
                .create_from_heap(wanted.name, heap, "", deadline())
                .await
        }
        (None, Some(_)) => {
            let detail = "`commit` counts the runs of the session that `from` names";
            return Err(Problem::invalid("commit", detail));
        }
        (None, None) => sessions.create(wanted.name, None, "", deadline()).await,
    };
    Ok((StatusCode::CREATED, Json(made?.into())))
}

/// Look at a session.
#[utoipa::path(
    get,
    path = "/api/sessions/{name}",
    operation_id = "getSession",
    tag = "sessions",
    params(("name" = String, Path, description = "Its name, `/` in it as `%2F`")),
    responses((status = 200, description = "The session", body = SessionBody))
)]
pub async fn get(
    State(state): State<ApiState>,
    Path(name): Path<String>,
) -> Result<Json<SessionBody>, Problem> {
    let info = sessions(&state)?.info(&name, deadline()).await?;
    Ok(Json(info.into()))
}

/// Read a session's history.
///
/// The newest run first, with its code and its reply. Every heap in it can be run from, forked and gone
/// back to.
#[utoipa::path(
    get,
    path = "/api/sessions/{name}/log",
    operation_id = "sessionLog",
    tag = "sessions",
    params(("name" = String, Path, description = "Its name, `/` in it as `%2F`"), LogQuery),
    responses((status = 200, description = "A page of the history", body = CommitListBody))
)]
pub async fn log(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Json<CommitListBody>, Problem> {
    let query: LogQuery = body::query(&uri)?;
    let from = query.from.as_deref().map(str::parse).transpose();
    let from = from.map_err(|error: crate::service::sessions::MalformedHeap| {
        Problem::invalid("from", error.to_string())
    })?;
    let limit = query.limit.unwrap_or(LOG_LIMIT);
    let page = sessions(&state)?
        .log(&name, from, limit, deadline())
        .await?;
    Ok(Json(page.try_into()?))
}

/// Which two states.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DiffQuery {
    /// The first: `head`, a heap by its 64 hex digits, or the number of a run (0: before the first). Not given:
    /// where the second began.
    from: Option<String>,
    /// The second; `head` when not given.
    to: Option<String>,
}

/// Compare two states of a session.
///
/// Tells which names stand for other values: properties of the global object, and what was declared with `let`,
/// `const` and `class`. Values are compared as a console shows them (8 levels deep, up to 16,384 characters),
/// functions by their source text. Nothing runs, and both stay what they are.
#[utoipa::path(
    get,
    path = "/api/sessions/{name}/diff",
    operation_id = "diffSession",
    tag = "sessions",
    params(("name" = String, Path, description = "Its name, `/` in it as `%2F`"), DiffQuery),
    responses((status = 200, description = "What differs", body = SessionDiffBody))
)]
pub async fn diff(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Json<SessionDiffBody>, Problem> {
    let query: DiffQuery = body::query(&uri)?;
    let point = |field, text: Option<&str>| {
        let point = text.map(str::parse::<Point>).transpose();
        point.map_err(|error| Problem::invalid(field, error.to_string()))
    };
    let from = point("from", query.from.as_deref())?;
    let to = point("to", query.to.as_deref())?.unwrap_or(Point::Head);
    let limits = state.executions.runs().largest_limits();
    let compared = sessions(&state)?.compare(&name, from, to, limits, deadline());
    Ok(Json(compared.await?.into()))
}

/// Go back to an earlier state, or to any other heap.
///
/// What the session runs at that moment is not kept. The heaps that it leaves stay in the history of what
/// was forked from them.
#[utoipa::path(
    post,
    path = "/api/sessions/{name}/reset",
    operation_id = "resetSession",
    tag = "sessions",
    params(("name" = String, Path, description = "Its name, `/` in it as `%2F`")),
    request_body = ResetSessionBody,
    responses((status = 200, description = "The session", body = SessionBody))
)]
pub async fn reset(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<SessionBody>, Problem> {
    let wanted: ResetSessionBody = body::json(&body.map_err(body::unread)?)?;
    let (point, if_heap) = wanted.points()?;
    let point = point.ok_or_else(|| {
        Problem::invalid(
            "heap",
            "`heap` or `commit` has to say where the session is to stand",
        )
    })?;
    let info = sessions(&state)?.reset(&name, point, if_heap, "", deadline());
    Ok(Json(info.await?.into()))
}

/// Rename a session.
#[utoipa::path(
    post,
    path = "/api/sessions/{name}/rename",
    operation_id = "renameSession",
    tag = "sessions",
    params(("name" = String, Path, description = "Its name, `/` in it as `%2F`")),
    request_body = RenameSessionBody,
    responses((status = 200, description = "The session", body = SessionBody))
)]
pub async fn rename(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<SessionBody>, Problem> {
    let wanted: RenameSessionBody = body::json(&body.map_err(body::unread)?)?;
    let info = sessions(&state)?.rename(&name, wanted.name, wanted.replace, "", deadline());
    Ok(Json(info.await?.into()))
}

/// Delete a session.
///
/// Its name is free again. Its heaps stay for what was forked from them.
#[utoipa::path(
    delete,
    path = "/api/sessions/{name}",
    operation_id = "deleteSession",
    tag = "sessions",
    params(("name" = String, Path, description = "Its name, `/` in it as `%2F`")),
    responses((status = 204, description = "It is gone"))
)]
pub async fn delete(
    State(state): State<ApiState>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    sessions(&state)?.delete(&name, "", deadline()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What goes with an export.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// The engine as well: some 20 MB, for a cluster of another version.
    #[serde(default)]
    engine: bool,
}

/// Take a session along.
///
/// One file with all that led to where the session stands: what each run was, said and changed. A file that
/// breaks off has no end, and is not taken by an import.
#[utoipa::path(
    get,
    path = "/api/sessions/{name}/export",
    operation_id = "exportSession",
    tag = "sessions",
    params(("name" = String, Path, description = "Its name, `/` in it as `%2F`"), ExportQuery),
    responses((
        status = 200,
        description = "The file",
        content_type = "application/octet-stream",
        body = Vec<u8>
    ))
)]
pub async fn export(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let query: ExportQuery = body::query(&uri)?;
    let file = sessions(&state)?.export(&name, query.engine, deadline());
    let file = file.await?.map_err(|error| {
        // The client sees that the body breaks off, and not why.
        tracing::warn!(%error, "an export ends early");
        error
    });
    let kind = [(CONTENT_TYPE, "application/octet-stream")];
    Ok((kind, Body::from_stream(file)).into_response())
}

/// Bring a session from a file.
///
/// Every heap has the name that it had, since a name is a hash over all that led to it; what does not fit is
/// refused. The file may be of any size.
#[utoipa::path(
    post,
    path = "/api/sessions/{name}/import",
    operation_id = "importSession",
    tag = "sessions",
    params(("name" = String, Path, description = "Its name from now on, `/` in it as `%2F`")),
    request_body(content_type = "application/octet-stream", content = Vec<u8>),
    responses((status = 201, description = "The session", body = SessionBody))
)]
pub async fn import(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    file: Body,
) -> Result<(StatusCode, Json<SessionBody>), Problem> {
    let file = file.into_data_stream();
    let info = sessions(&state)?.import(name, file, "").await?;
    Ok((StatusCode::CREATED, Json(info.into())))
}

fn sessions(state: &ApiState) -> Result<&Sessions, Error> {
    state.sessions.as_ref().ok_or(Error::Off)
}

fn deadline() -> Instant {
    Instant::now() + PATIENCE
}
