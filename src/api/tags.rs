use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{ApiState, Problem, body};
use crate::service::sessions::HeapId;
use crate::service::tags::{Filter, Freshness};
use crate::wire::{Invalid, PutTagBody, TagBody, TagListBody, TagVersionBody};

/// A request waits so long for its cluster.
const PATIENCE: Duration = Duration::from_secs(10);
const LIST_LIMIT: usize = 100;

/// How new the answer must be.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReadQuery {
    /// `true`: what this node has, which may lag behind; else all that was acknowledged before.
    #[serde(default)]
    local: bool,
}

/// Which tags.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only those whose names begin so.
    #[serde(default)]
    prefix: String,
    /// Only those that point at this heap; not beside `prefix`.
    #[param(value_type = Option<String>)]
    heap: Option<HeapId>,
    /// `next_after` of the page before.
    after: Option<String>,
    /// The most tags: 100 when not given, 1000 at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `true`: what this node has, which may lag behind; else all that was acknowledged before.
    #[serde(default)]
    local: bool,
}

/// When to remove it.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeleteQuery {
    /// Only if the tag has this version.
    if_version: Option<u64>,
}

/// List tags.
///
/// In the order of their names, with their values.
#[utoipa::path(
    get,
    path = "/api/tags",
    operation_id = "listTags",
    tag = "tags",
    params(ListQuery),
    responses((status = 200, description = "A page of tags", body = TagListBody))
)]
pub async fn list(State(state): State<ApiState>, uri: Uri) -> Result<Json<TagListBody>, Problem> {
    let query: ListQuery = body::query(&uri)?;
    let limit = query.limit.unwrap_or(LIST_LIMIT);
    let freshness = freshness(query.local);
    if query.heap.is_some() && !query.prefix.is_empty() {
        return Err(Problem::from(Invalid::Both {
            field: "heap",
            other: "prefix",
        }));
    }
    let filter = Filter {
        prefix: &query.prefix,
        heap: query.heap,
        after: query.after.as_deref(),
    };
    let page = state.tags.list(filter, limit, freshness).await?;
    Ok(Json(page.into()))
}

/// Read a tag.
#[utoipa::path(
    get,
    path = "/api/tags/{name}",
    operation_id = "getTag",
    tag = "tags",
    params(("name" = String, Path, description = "Its name, `/` in it as `%2F`"), ReadQuery),
    responses((status = 200, description = "The tag", body = TagBody))
)]
pub async fn get(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Json<TagBody>, Problem> {
    let query: ReadQuery = body::query(&uri)?;
    let tag = state.tags.get(&name, freshness(query.local)).await?;
    Ok(Json(tag.into()))
}

/// Write a tag.
///
/// The reply comes when a majority of the nodes has it on disk. With `if_version`, only one of several
/// writers that have read the same version succeeds. With `heap`, the tag points at a heap, which is kept as
/// long as it does, whatever becomes of its session.
#[utoipa::path(
    put,
    path = "/api/tags/{name}",
    operation_id = "putTag",
    tag = "tags",
    params(("name" = String, Path, description =
        "1 to 256 bytes without control characters, `/` in it as `%2F`")),
    request_body = PutTagBody,
    responses((status = 200, description = "It is written", body = TagVersionBody))
)]
pub async fn put(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Json<TagVersionBody>, Problem> {
    let put: PutTagBody = body::json(&bytes.map_err(body::unread)?)?;
    let new = put.into_tag(name.clone())?;
    let deadline = Instant::now() + PATIENCE;
    let version = state.tags.put(new, "", deadline).await?;
    Ok(Json(TagVersionBody { name, version }))
}

/// Remove a tag.
#[utoipa::path(
    delete,
    path = "/api/tags/{name}",
    operation_id = "deleteTag",
    tag = "tags",
    params(("name" = String, Path, description = "Its name, `/` in it as `%2F`"), DeleteQuery),
    responses((status = 200, description = "It is gone", body = TagVersionBody))
)]
pub async fn delete(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Json<TagVersionBody>, Problem> {
    let query: DeleteQuery = body::query(&uri)?;
    let deadline = Instant::now() + PATIENCE;
    let removed = state
        .tags
        .delete(name.clone(), query.if_version, "", deadline);
    let version = removed.await?;
    Ok(Json(TagVersionBody { name, version }))
}

fn freshness(local: bool) -> Freshness {
    if local {
        Freshness::Local
    } else {
        Freshness::Newest(Instant::now() + PATIENCE)
    }
}
