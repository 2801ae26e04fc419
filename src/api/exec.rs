use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::prefer::Prefer;
use super::{ApiState, Problem, body};
use crate::service::executions::Executions;
use crate::service::run::{Error, Execution, ExecutionRequest, Status};
use crate::wire::{ExecutionBody, ExecutionRequestBody};

/// The reply to a request that did not wait.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "execution_id": "e1-19a2b3c4d5e-00112233445566778899",
    "status": "queued",
    "location": "/api/executions/e1-19a2b3c4d5e-00112233445566778899",
    "durable": false,
    "notice": "kept in memory by this node only, for a limited time: it is lost when the node ends"
}))]
pub struct AcceptedBody {
    /// Its id.
    execution_id: String,
    /// Where it stands.
    status: Status,
    /// Where to ask for it; the header `Location` has the same.
    location: String,
    /// Always false: the execution does not survive this node.
    durable: bool,
    /// The same in words.
    notice: &'static str,
}

const NOT_DURABLE: &str =
    "kept in memory by this node only, for a limited time: it is lost when the node ends";

/// Run code.
///
/// Waits for the end and gives the result; a script that fails is a 200 too, with another `status`.
/// A caller that goes away stops the execution, unless it gave an idempotency key.
///
/// With `Prefer: respond-async` the reply is a 202 at once (with `wait=SECONDS`, after so long at
/// most), and the result is at the `Location`. Such an execution is not durable: it is kept in memory
/// by the node that took it and is lost with it.
///
/// With `session` the code runs in a world that stays: its variables, functions and everything else are
/// there for the next run with the same `session`, on any node, and are on a majority of the nodes before
/// the reply comes. Runs of one session go one after the other. A script that throws has changed what it
/// changed until then; a run that is killed (by a limit, or by a caller) has changed nothing. With `heap`
/// the run begins with an earlier state, and what it makes belongs to no session.
#[utoipa::path(
    post,
    path = "/api/exec",
    operation_id = "exec",
    tag = "executions",
    params(
        ("Prefer" = Option<String>, Header, description = "`respond-async`, `wait=SECONDS`"),
        ("Idempotency-Key" = Option<String>, Header, description =
            "Makes a retry safe: the same key with the same request gives the stored reply, while \
             it runs too; with another request it is refused"),
        body::SourceOptions,
    ),
    request_body(
        description = "JSON with code and options; or the source text itself, with the options as \
                       query parameters",
        content(
            (ExecutionRequestBody = "application/json"),
            (String = "text/plain", example = "console.log('hello'); 1 + 2"),
            (String = "application/javascript", example = "1 + 2"),
            (String = "application/typescript", example = "const n: number = 3; n"),
        )
    ),
    responses(
        (status = 200, description = "The execution has ended, well or not", body = ExecutionBody,
            headers(("Idempotency-Replayed" = String, description =
                "`true` when the reply is that of an earlier request with the same key"))),
        (status = 202, description = "Accepted; not durable", body = AcceptedBody,
            headers(
                ("Location" = String, description = "Where to ask for it"),
                ("Preference-Applied" = String, description = "`respond-async`"))),
    )
)]
pub async fn exec(
    State(state): State<ApiState>,
    headers: HeaderMap,
    uri: Uri,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let mut request = body::parse(&headers, &uri, body)?.into_request(String::new())?;
    take_key(&headers, &mut request.idempotency_key)?;
    let prefer = Prefer::of(&headers);
    if prefer.respond_async {
        return Ok(respond_async(&state.executions, request, prefer.wait).await?);
    }
    let executed = state.executions.execute(request).await?;
    Ok(ended(executed.execution, executed.replayed))
}

/// Takes the header's key, which may stand in the body too.
pub fn take_key(headers: &HeaderMap, key: &mut Option<String>) -> Result<(), Problem> {
    let Some(given) = header_key(headers)? else {
        return Ok(());
    };
    if key.as_ref().is_some_and(|other| *other != given) {
        let detail = "the header Idempotency-Key and the field idempotency_key differ";
        return Err(Problem::invalid("idempotency_key", detail));
    }
    *key = Some(given);
    Ok(())
}

/// The header's key; the draft of its standard has it in quotes, most clients don't.
fn header_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let text = value
        .to_str()
        .map_err(|_| Problem::invalid("idempotency-key", "the header is no ASCII text"))?
        .trim();
    let bare = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    Ok(Some(bare.to_owned()))
}

async fn respond_async(
    executions: &Executions,
    request: ExecutionRequest,
    wait: Option<Duration>,
) -> Result<Response, Error> {
    let submitted = executions.submit(request).await?;
    let wait_for = wait.unwrap_or_default();
    let execution = executions.get(&submitted.id, wait_for).await?;
    if wait.is_some() && execution.status.is_final() {
        return Ok(ended(execution, submitted.replayed));
    }
    let location = format!("/api/executions/{}", submitted.id);
    let mut response = (
        StatusCode::ACCEPTED,
        Json(AcceptedBody {
            execution_id: submitted.id.to_string(),
            status: execution.status,
            location: location.clone(),
            durable: false,
            notice: NOT_DURABLE,
        }),
    )
        .into_response();
    let headers = response.headers_mut();
    let location = HeaderValue::try_from(location).expect("an id is ASCII");
    headers.insert(header::LOCATION, location);
    headers.insert(
        "preference-applied",
        HeaderValue::from_static("respond-async"),
    );
    mark_replayed(&mut response, submitted.replayed);
    Ok(response)
}

fn ended(execution: Execution, replayed: bool) -> Response {
    let mut response = Json(ExecutionBody::from(execution)).into_response();
    mark_replayed(&mut response, replayed);
    response
}

fn mark_replayed(response: &mut Response, replayed: bool) {
    const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
    if replayed {
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
}
