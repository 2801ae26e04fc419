//! The HTTP transport of the protocol's first version: one stream down, one address for messages up.
//!
//! Later versions dropped it and so did the SDK; old clients still speak it. A session is the stream:
//! it begins with `GET /sse`, ends when that stream ends, and lives on this node alone.

mod sessions;

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures::{Stream, StreamExt, stream};
use rmcp::{
    ServerHandler,
    model::{ClientJsonRpcMessage, ErrorData, RequestId, ServerJsonRpcMessage},
    service::serve_server_with_ct,
};
use serde::Deserialize;
use sessions::{OpenSession, Sessions};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, PollSender};

use super::{
    TransportOptions,
    envelope::{Envelope, error_reply, not_a_message, whole_body},
};

/// Messages that may wait for a client that reads slowly; then the handler waits too.
const DOWN_MESSAGES_MAX: usize = 64;

/// Serves `GET /sse` and `POST /message?sessionId=…`.
///
/// `make_handler` is called for each stream. As with the other transport, who may call is decided in
/// front of this router.
pub fn legacy_sse_router<H, F>(make_handler: F, options: TransportOptions) -> Router
where
    H: ServerHandler,
    F: Fn() -> H + Send + Sync + 'static,
{
    let legacy = Legacy {
        make_handler: Arc::new(make_handler),
        sessions: Sessions::new(options.sse_sessions_max),
        options,
    };
    Router::new()
        .route("/sse", get(open::<H>))
        .route("/message", post(message::<H>))
        .with_state(legacy)
}

struct Legacy<H> {
    make_handler: Arc<dyn Fn() -> H + Send + Sync>,
    sessions: Sessions,
    options: TransportOptions,
}

impl<H> Clone for Legacy<H> {
    fn clone(&self) -> Self {
        Self {
            make_handler: Arc::clone(&self.make_handler),
            sessions: self.sessions.clone(),
            options: self.options.clone(),
        }
    }
}

async fn open<H: ServerHandler>(State(legacy): State<Legacy<H>>) -> Response {
    let Some((session, up)) = legacy.sessions.open() else {
        let mut response = error_reply(
            StatusCode::SERVICE_UNAVAILABLE,
            None,
            ErrorData::internal_error("too many open /sse streams; try again later", None),
        );
        let retry_after = HeaderValue::from_static("5");
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, retry_after);
        return response;
    };
    let (down, outgoing) = mpsc::channel(DOWN_MESSAGES_MAX);
    let ended = legacy.options.shutdown.child_token();
    let transport = (PollSender::new(down), ReceiverStream::new(up));
    let serving = serve_server_with_ct((legacy.make_handler)(), transport, ended.clone());
    tokio::spawn(async move {
        match serving.await {
            Ok(running) => {
                if let Err(error) = running.waiting().await {
                    tracing::error!(%error, "a session of the legacy transport broke");
                }
            }
            Err(error) => tracing::debug!(%error, "a client opened /sse and said nothing valid"),
        }
    });
    let mut response = Sse::new(events(session, outgoing, ended))
        .keep_alive(
            KeepAlive::new()
                .interval(legacy.options.keep_alive)
                .text("keep-alive"),
        )
        .into_response();
    response
        .headers_mut()
        .insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// First where to post, then what the handler says, until it ends or the client goes.
///
/// The stream owns the session: dropping it forgets the session and cancels its calls.
fn events(
    session: OpenSession,
    outgoing: mpsc::Receiver<ServerJsonRpcMessage>,
    ended: CancellationToken,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let endpoint = Event::default()
        .event("endpoint")
        .data(format!("/message?sessionId={}", session.id()));
    let until_ended = ended.clone().cancelled_owned();
    let owned = (session, ended.drop_guard());
    let messages = ReceiverStream::new(outgoing).map(move |message| {
        let _alive = &owned;
        let text = serde_json::to_string(&message).expect("a message has a JSON form");
        Event::default().event("message").data(text)
    });
    stream::once(async { endpoint })
        .chain(messages)
        .take_until(until_ended)
        .map(Ok)
}

#[derive(Deserialize)]
struct MessageQuery {
    #[serde(rename = "sessionId")]
    session_id: Option<String>,
}

async fn message<H: ServerHandler>(
    State(legacy): State<Legacy<H>>,
    Query(query): Query<MessageQuery>,
    body: Body,
) -> Response {
    // The session is looked up first, so that nobody without one makes us read a body.
    let session = match query.session_id {
        Some(id) => legacy.sessions.get(&id),
        None => {
            let error = ErrorData::invalid_request(
                "the sessionId of the stream is missing from the address",
                None,
            );
            return error_reply(StatusCode::BAD_REQUEST, None, error);
        }
    };
    let Some(session) = session else {
        return unknown_session(None);
    };
    let body = match whole_body(body, legacy.options.body_bytes_max).await {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    let id = match Envelope::parse(&body) {
        Ok(envelope) => envelope.id,
        Err(error) => return error_reply(StatusCode::BAD_REQUEST, None, error),
    };
    let Ok(message) = serde_json::from_slice::<ClientJsonRpcMessage>(&body) else {
        return error_reply(StatusCode::BAD_REQUEST, id, not_a_message());
    };
    match session.try_send(message) {
        Ok(()) => (StatusCode::ACCEPTED, "Accepted").into_response(),
        Err(TrySendError::Closed(_)) => unknown_session(id),
        Err(TrySendError::Full(_)) => {
            let error = ErrorData::internal_error("the session takes no more messages now", None);
            error_reply(StatusCode::SERVICE_UNAVAILABLE, id, error)
        }
    }
}

fn unknown_session(id: Option<RequestId>) -> Response {
    let error = ErrorData::invalid_request(
        "this session is unknown here: its stream has ended; open /sse again",
        None,
    );
    error_reply(StatusCode::NOT_FOUND, id, error)
}
