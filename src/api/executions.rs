use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use serde::Deserialize;
use utoipa::IntoParams;

use super::prefer::WAIT_MAX;
use super::{ApiState, Problem, body};
use crate::error_code::ErrorCode;
use crate::service::run::{ExecutionId, ListPage, OutputQuery, Status};
use crate::wire::{CancelBody, ExecutionBody, ExecutionListBody, OutputBody};

const LIST_LIMIT: u64 = 100;
const LIST_LIMIT_MAX: u64 = 1000;
const LINE_LIMIT: u64 = 100;
const LINE_LIMIT_MAX: u64 = 10_000;
const BYTE_LIMIT: u64 = 4096;
const BYTE_LIMIT_MAX: u64 = 1 << 20;

/// A stopped execution is gone within moments; the reply waits so long for that at most.
const CANCEL_WAIT: Duration = Duration::from_secs(1);

/// Which executions to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// The most executions: 100 when not given, 1000 at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u64>,
    /// Only those that stand so.
    status: Option<Status>,
    /// Those of this node of the cluster, by name or id, instead of the one that answers.
    node: Option<String>,
}

/// How long to wait.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Hold the reply back until the end, but no longer than so many seconds; 60 at most.
    #[param(minimum = 0, maximum = 60)]
    wait: Option<f64>,
}

impl WaitQuery {
    /// How long that is.
    pub fn wait(&self) -> Result<Duration, Problem> {
        let wait_secs = self.wait.unwrap_or(0.0);
        if !(0.0..=WAIT_MAX.as_secs_f64()).contains(&wait_secs) {
            let detail = format!("wait is 0 to {} seconds", WAIT_MAX.as_secs());
            return Err(Problem::invalid("wait", detail).hint("ask again when the reply comes"));
        }
        Ok(Duration::from_secs_f64(wait_secs))
    }
}

/// Which part of the output.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// The first line, from 1.
    line_offset: Option<u64>,
    /// The most lines: 100 when not given, 10000 at most.
    line_limit: Option<u64>,
    /// The first byte, from 0; with `byte_offset` or `byte_limit` the page is by bytes.
    byte_offset: Option<u64>,
    /// The most bytes: 4096 when not given, 1048576 at most.
    byte_limit: Option<u64>,
}

/// The id in a path.
pub fn execution_id(text: &str) -> Result<ExecutionId, Problem> {
    text.parse()
        .map_err(|error: crate::service::run::MalformedId| {
            let detail = format!("{text:?} names no execution: {error}");
            Problem::new(ErrorCode::ExecutionNotFound, detail)
        })
}

/// List executions.
///
/// The executions of one node that are still kept, newest first, without results and outputs.
#[utoipa::path(
    get,
    path = "/api/executions",
    operation_id = "listExecutions",
    tag = "executions",
    params(ListQuery),
    responses((status = 200, description = "A page of executions", body = ExecutionListBody))
)]
pub async fn list(
    State(state): State<ApiState>,
    uri: Uri,
) -> Result<Json<ExecutionListBody>, Problem> {
    let query: ListQuery = body::query(&uri)?;
    let after = match query.cursor {
        None => None,
        Some(cursor) => Some(cursor.parse().map_err(
            |error: crate::service::run::MalformedCursor| {
                Problem::invalid("cursor", error.to_string())
            },
        )?),
    };
    let limit = within("limit", query.limit, LIST_LIMIT, LIST_LIMIT_MAX)?;
    let page = ListPage {
        after,
        limit: limit as usize,
        status: query.status,
    };
    let list = state.executions.list(page, query.node.as_deref()).await?;
    Ok(Json(list.into()))
}

/// Get an execution.
///
/// With `wait`, the reply is held back until the end or until the time is over, whichever is first.
#[utoipa::path(
    get,
    path = "/api/executions/{id}",
    operation_id = "getExecution",
    tag = "executions",
    params(("id" = String, Path, description = "Its id"), WaitQuery),
    responses((status = 200, description = "What is known of it", body = ExecutionBody))
)]
pub async fn get(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<ExecutionBody>, Problem> {
    let id = execution_id(&id)?;
    let query: WaitQuery = body::query(&uri)?;
    let execution = state.executions.get(&id, query.wait()?).await?;
    Ok(Json(execution.into()))
}

/// Read console output.
///
/// A part of it, by lines or by bytes, also while the script runs.
#[utoipa::path(
    get,
    path = "/api/executions/{id}/output",
    operation_id = "getExecutionOutput",
    tag = "executions",
    params(("id" = String, Path, description = "Its id"), PageQuery),
    responses((status = 200, description = "A part of the output", body = OutputBody))
)]
pub async fn output(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<OutputBody>, Problem> {
    let id = execution_id(&id)?;
    let query: PageQuery = body::query(&uri)?;
    let part = query.part()?;
    let (page, status) = state.executions.output(&id, part).await?;
    Ok(Json(OutputBody::new(&id, page, status)))
}

impl PageQuery {
    /// Which part that is. Bytes are asked for by either of their parameters, and then lines by none.
    pub fn part(&self) -> Result<OutputQuery, Problem> {
        if self.byte_offset.is_none() && self.byte_limit.is_none() {
            let offset = within("line_offset", self.line_offset, 1, u64::MAX)?;
            let limit = within("line_limit", self.line_limit, LINE_LIMIT, LINE_LIMIT_MAX)?;
            return Ok(OutputQuery::Lines { offset, limit });
        }
        if self.line_offset.is_some() || self.line_limit.is_some() {
            let detail = "a page is by lines or by bytes, not by both";
            return Err(Problem::invalid("byte_offset", detail));
        }
        Ok(OutputQuery::Bytes {
            offset: self.byte_offset.unwrap_or(0),
            limit: within("byte_limit", self.byte_limit, BYTE_LIMIT, BYTE_LIMIT_MAX)?,
        })
    }
}

fn within(name: &str, given: Option<u64>, default: u64, max: u64) -> Result<u64, Problem> {
    match given {
        None => Ok(default),
        Some(given) if (1..=max).contains(&given) => Ok(given),
        Some(0) => Err(Problem::invalid(name, format!("{name} is 1 or more"))),
        Some(_) => Err(Problem::invalid(name, format!("{name} is {max} at most"))),
    }
}

/// Stop an execution.
///
/// One that waits ends at once, one that runs is killed, one that has ended stays as it is. Stopping
/// twice is no error.
#[utoipa::path(
    post,
    path = "/api/executions/{id}/cancel",
    operation_id = "cancelExecution",
    tag = "executions",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "Where it stands now", body = CancelBody))
)]
pub async fn cancel(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<CancelBody>, Problem> {
    let id = execution_id(&id)?;
    let status = state.executions.cancel(&id, CANCEL_WAIT).await?;
    Ok(Json(CancelBody::new(&id, status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Result<OutputQuery, Problem> {
        let uri: Uri = format!("/x?{query}").parse().expect("a URI");
        body::query::<PageQuery>(&uri)?.part()
    }

    #[test]
    fn a_page_is_by_lines_or_by_bytes() {
        let lines = |offset, limit| Some(OutputQuery::Lines { offset, limit });
        let bytes = |offset, limit| Some(OutputQuery::Bytes { offset, limit });
        assert_eq!(asked("").ok(), lines(1, 100));
        assert_eq!(asked("line_offset=7&line_limit=2").ok(), lines(7, 2));
        assert_eq!(asked("byte_offset=5&byte_limit=7").ok(), bytes(5, 7));
        assert_eq!(asked("byte_limit=7").ok(), bytes(0, 7));
        for wrong in [
            "line_offset=0",
            "line_limit=0",
            "byte_limit=99999999",
            "line_limit=1&byte_offset=1",
            "line_offset=x",
            "x=1",
        ] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
    }
}
