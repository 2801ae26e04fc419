use std::{future::Future, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use rmcp::{
    ServerHandler,
    model::RequestId,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use tower::ServiceExt;

use super::{
    TransportOptions,
    calls::{Call, Calls},
    envelope::{Envelope, cancelled_id, error_reply, not_a_message, whole_body},
    keep_alive,
};

/// Where clients of older versions repeat the name that their `initialize` got.
static SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// Serves `/mcp` for every protocol version, without sessions: any node answers any request.
///
/// `make_handler` is called for each request. Who may call (`Host`, `Origin`) is not decided here:
/// the server puts one guard in front of all its routers.
pub fn streamable_router<H, F>(make_handler: F, options: TransportOptions) -> Router
where
    H: ServerHandler,
    F: Fn() -> H + Send + Sync + 'static,
{
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_sse_keep_alive(Some(options.keep_alive))
        .with_max_request_body_bytes(options.body_bytes_max)
        .with_cancellation_token(options.shutdown.child_token())
        .disable_allowed_hosts()
        .disable_allowed_origins();
    let service = StreamableHttpService::new(
        move || Ok(make_handler()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    Router::new()
        .route("/mcp", any(answer::<H>))
        .with_state(Endpoint {
            service,
            options,
            calls: Calls::default(),
        })
}

struct Endpoint<H> {
    service: StreamableHttpService<H, NeverSessionManager>,
    options: TransportOptions,
    calls: Calls,
}

impl<H> Clone for Endpoint<H> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            options: self.options.clone(),
            calls: self.calls.clone(),
        }
    }
}

async fn answer<H: ServerHandler>(
    State(endpoint): State<Endpoint<H>>,
    request: Request,
) -> Response {
    if request.method() != Method::POST || !has_json_body(&request) {
        return endpoint.pass(request).await;
    }
    let (parts, body) = request.into_parts();
    let body_bytes_max = endpoint.options.body_bytes_max;
    let body = match whole_body(body, body_bytes_max).await {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    let envelope = match Envelope::parse(&body) {
        Ok(envelope) => envelope,
        Err(error) => return error_reply(StatusCode::BAD_REQUEST, None, error),
    };
    let (id, method) = (envelope.id, envelope.method.as_deref());
    let session = parts
        .headers
        .get(&SESSION)
        .and_then(|value| value.to_str().ok());
    match (method, id.clone(), session) {
        (Some("tools/call"), Some(id), session) => {
            let call = session.and_then(|session| endpoint.calls.begin(session, id.clone()));
            let (quiet, every) = (endpoint.options.quiet, endpoint.options.keep_alive);
            let request = Request::from_parts(parts, Body::from(body));
            let reply = endpoint.pass_json(request, Some(id.clone()));
            let reply = keep_alive::begin_when_quiet(reply, Some(id), quiet, every);
            match call {
                Some(call) => until_cancelled(reply, call).await,
                None => reply.await,
            }
        }
        (Some("initialize"), ..) => {
            let request = Request::from_parts(parts, Body::from(body));
            let mut response = endpoint.pass_json(request, id).await;
            let name = Calls::session_name().and_then(|name| HeaderValue::try_from(name).ok());
            if let (StatusCode::OK, Some(name)) = (response.status(), name) {
                response.headers_mut().insert(&SESSION, name);
            }
            response
        }
        (Some("notifications/cancelled"), None, Some(session)) => {
            if let Some(id) = cancelled_id(&body) {
                endpoint.calls.cancel(session, id);
            }
            let request = Request::from_parts(parts, Body::from(body));
            endpoint.pass_json(request, None).await
        }
        _ => {
            let request = Request::from_parts(parts, Body::from(body));
            endpoint.pass_json(request, id).await
        }
    }
}

/// The reply to a call that its client may take back.
async fn until_cancelled(reply: impl Future<Output = Response>, call: Call) -> Response {
    let response = tokio::select! {
        response = reply => response,
        // Nobody waits for a reply; the post still needs its end.
        () = call.cancelled() => return StatusCode::ACCEPTED.into_response(),
    };
    response.map(|body| call.guard(body))
}

impl<H: ServerHandler> Endpoint<H> {
    async fn pass(self, request: Request) -> Response {
        match self.service.oneshot(request).await {
            Ok(response) => response.map(Body::new),
            Err(never) => match never {},
        }
    }

    /// Like [`Endpoint::pass`] for a body that was read as JSON: 415 then means that the SDK found
    /// no message in it.
    async fn pass_json(self, request: Request, id: Option<RequestId>) -> Response {
        let response = self.pass(request).await;
        if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            return error_reply(StatusCode::BAD_REQUEST, id, not_a_message());
        }
        response
    }
}

/// Whether the SDK would read the body; it refuses other media types with 415 itself.
fn has_json_body(request: &Request) -> bool {
    request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}
