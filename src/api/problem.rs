use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error_code::ErrorCode;
use crate::service::{run, sessions, tags, tasks};
use crate::wire::Invalid;

/// An error of a request, as RFC 9457 has it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "type": "urn:mcp-v8:problem:limit_too_large",
    "title": "A limit is over its maximum",
    "status": 400,
    "detail": "heap_mb is 4096, over the maximum of 512 that this server allows",
    "code": "limit_too_large",
    "hint": "ask for less, or leave the field out to get the default",
    "field": "heap_mb"
}))]
pub struct Problem {
    /// A name for this kind of problem: `urn:mcp-v8:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// A sentence that is the same each time.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this request.
    detail: String,
    /// A stable code.
    code: ErrorCode,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
    /// The field, parameter or header that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Where the JSON is wrong: the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// Where the JSON is wrong: the column, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    /// When to repeat the request, in milliseconds; `Retry-After` has whole seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

/// The content type of a [`Problem`].
pub const CONTENT_TYPE: &str = "application/problem+json";

impl Problem {
    /// A problem of this kind.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:mcp-v8:problem:{code}"),
            title: code.title(),
            status: code.http_status(),
            detail: detail.into(),
            code,
            hint: None,
            field: None,
            line: None,
            column: None,
            retry_after_ms: None,
        }
    }

    /// A field, parameter or header has a value that is not accepted.
    pub fn invalid(field: &str, detail: impl Into<String>) -> Self {
        Self {
            field: Some(field.to_owned()),
            ..Self::new(ErrorCode::InvalidRequest, detail)
        }
    }

    /// The same with what the caller can do.
    pub fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// The same with the place in the JSON; places count from 1, and 0 is unknown.
    pub fn at(mut self, line: usize, column: usize) -> Self {
        self.line = (line > 0).then_some(line);
        self.column = (line > 0).then_some(column);
        self
    }

    /// The same with the field, when there is one.
    pub fn in_field(mut self, field: Option<String>) -> Self {
        self.field = field;
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after_ms.map(|ms| ms.div_ceil(1000).max(1));
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<run::Error> for Problem {
    fn from(error: run::Error) -> Self {
        let field =
            match &error {
                run::Error::LimitTooLarge { limit, .. }
                | run::Error::LimitTooSmall { limit, .. } => Some((*limit).to_owned()),
                run::Error::IdempotencyKeyLength { .. }
                | run::Error::IdempotencyConflict { .. } => Some("idempotency_key".to_owned()),
                run::Error::CodeTooLarge { .. } => Some("code".to_owned()),
                run::Error::Session(error) => error.field().map(str::to_owned),
                _ => None,
            };
        let mut problem = Self::new(error.code(), error.to_string())
            .hint(error.hint())
            .in_field(field);
        problem.retry_after_ms = error.retry_after_ms();
        problem
    }
}

impl From<sessions::Error> for Problem {
    fn from(error: sessions::Error) -> Self {
        run::Error::from(error).into()
    }
}

impl From<tags::Error> for Problem {
    fn from(error: tags::Error) -> Self {
        if error.code() == ErrorCode::Internal {
            tracing::error!(%error, "a tag could not be served");
        }
        let mut problem = Self::new(error.code(), error.to_string())
            .hint(error.hint())
            .in_field(error.field().map(str::to_owned));
        problem.retry_after_ms = error.retry_after_ms();
        problem
    }
}

impl From<tasks::Error> for Problem {
    fn from(error: tasks::Error) -> Self {
        match error {
            tasks::Error::Run(error) => return error.into(),
            tasks::Error::Session(error) => return error.into(),
            _ => {}
        }
        if error.code() == ErrorCode::Internal {
            tracing::error!(%error, "a task could not be served");
        }
        let mut problem = Self::new(error.code(), error.to_string())
            .hint(error.hint())
            .in_field(error.field().map(str::to_owned));
        problem.retry_after_ms = error.retry_after_ms();
        problem
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::invalid(invalid.field(), invalid.to_string())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn rendered(problem: Problem) -> (Response, serde_json::Value) {
        let (parts, body) = problem.into_response().into_parts();
        let bytes = body.collect().await.expect("a body in memory").to_bytes();
        let json = serde_json::from_slice(&bytes).expect("JSON");
        (Response::from_parts(parts, axum::body::Body::empty()), json)
    }

    #[tokio::test]
    async fn a_full_queue_tells_when_to_come_back() {
        let error = run::Error::QueueFull {
            queue_max: 7,
            retry_after_ms: 1200,
        };
        let (response, json) = rendered(error.into()).await;
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(response.headers()["content-type"], CONTENT_TYPE);
        assert_eq!(json["code"], "queue_full");
        assert_eq!(json["type"], "urn:mcp-v8:problem:queue_full");
        assert_eq!(json["status"], 429);
        assert_eq!(json["retry_after_ms"], 1200);
        assert!(json.get("field").is_none());
    }

    #[tokio::test]
    async fn a_limit_names_field_and_maximum() {
        let error = run::Error::LimitTooLarge {
            limit: "heap_mb",
            given: 4096,
            max: 512,
        };
        let (response, json) = rendered(error.into()).await;
        assert_eq!(response.status(), 400);
        assert_eq!(json["field"], "heap_mb");
        assert!(
            json["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains("512"))
        );
    }
}
