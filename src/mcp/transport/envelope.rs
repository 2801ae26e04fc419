use std::borrow::Cow;

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{StatusCode, header},
    response::Response,
};
use rmcp::model::{ErrorData, JsonRpcError, RequestId};
use serde::Deserialize;
use serde_json::error::Category;

/// The two members of a JSON-RPC message that a transport has to know.
///
/// The SDK answers a body that it cannot read with 415 and a line of text, which no client can match
/// to its request. Looking at the envelope first lets every such body get a JSON-RPC error.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<'a> {
    /// The method; absent in replies.
    #[serde(borrow, default)]
    pub method: Option<Cow<'a, str>>,
    /// The id; absent in notifications.
    #[serde(default)]
    pub id: Option<RequestId>,
}

impl<'a> Envelope<'a> {
    /// Reads the envelope, or says what is wrong with the body.
    pub fn parse(body: &'a [u8]) -> Result<Self, ErrorData> {
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return Err(ErrorData::invalid_request(
                "batches are not supported; send each message in a request of its own",
                None,
            ));
        }
        serde_json::from_slice(body).map_err(|error| match error.classify() {
            Category::Data => {
                ErrorData::invalid_request(format!("not a JSON-RPC message: {error}"), None)
            }
            Category::Syntax | Category::Eof | Category::Io => {
                ErrorData::parse_error(format!("the body is not valid JSON: {error}"), None)
            }
        })
    }
}

/// The call that a `notifications/cancelled` takes back.
pub(super) fn cancelled_id(body: &[u8]) -> Option<RequestId> {
    #[derive(Deserialize)]
    struct Cancelled {
        params: Params,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params {
        request_id: RequestId,
    }
    let cancelled: Cancelled = serde_json::from_slice(body).ok()?;
    Some(cancelled.params.request_id)
}

/// The whole body, or the reply that refuses it.
pub(super) async fn whole_body(body: Body, bytes_max: usize) -> Result<Bytes, Box<Response>> {
    to_bytes(body, bytes_max).await.map_err(|_| {
        let message = format!("the body did not arrive whole within {bytes_max} bytes");
        let error = ErrorData::invalid_request(message, None);
        Box::new(error_reply(StatusCode::PAYLOAD_TOO_LARGE, None, error))
    })
}

/// The error for a body that is JSON and still no message.
pub(super) fn not_a_message() -> ErrorData {
    ErrorData::invalid_request(
        "not a JSON-RPC 2.0 message: it needs \"jsonrpc\": \"2.0\" and a method, a result or an error",
        None,
    )
}

/// A reply that carries one JSON-RPC error.
pub(super) fn error_reply(status: StatusCode, id: Option<RequestId>, error: ErrorData) -> Response {
    let body = serde_json::to_vec(&JsonRpcError::new(id, error))
        .expect("an error of strings and numbers has a JSON form");
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .expect("status and header are valid")
}

#[cfg(test)]
mod tests {
    use rmcp::model::ErrorCode;

    use super::*;

    #[test]
    fn reads_method_and_id() {
        let envelope = Envelope::parse(
            br#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"x":[1]}}"#,
        )
        .unwrap();
        assert_eq!(envelope.method.as_deref(), Some("tools/call"));
        assert_eq!(envelope.id, Some(RequestId::String("a".into())));
    }

    #[test]
    fn tells_broken_json_from_wrong_json() {
        for (body, code) in [
            (&b"{"[..], ErrorCode::PARSE_ERROR),
            (b"", ErrorCode::PARSE_ERROR),
            (b"{\"id\":1,}", ErrorCode::PARSE_ERROR),
            (b"7", ErrorCode::INVALID_REQUEST),
            (b"{\"id\":{}}", ErrorCode::INVALID_REQUEST),
            (b" [ {\"id\":1} ]", ErrorCode::INVALID_REQUEST),
        ] {
            let error = Envelope::parse(body).unwrap_err();
            assert_eq!(error.code, code, "{}", String::from_utf8_lossy(body));
        }
    }
}
