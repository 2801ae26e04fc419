use std::{future::Future, pin::Pin, time::Duration};

use axum::{
    body::{Body, BodyDataStream, Bytes, to_bytes},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use futures::{StreamExt, stream};
use rmcp::model::{ErrorData, JsonRpcError, RequestId};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// A comment: clients skip it, and everything between them and us sees traffic.
const COMMENT: &[u8] = b": keep-alive\n\n";
/// Replies that are no stream hold one message; the SDK bounds them by what the handler returned.
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// Waits for a reply, and when it stays out longer than `quiet` begins one in its place.
///
/// Under the newest protocol version the SDK sends nothing at all, not even headers, before the
/// handler's first message. A script that computes for a minute in silence would look dead to every
/// load balancer between us and the client. So the status and the headers of an event stream go out
/// first, then a comment now and then, and in the end the reply itself. Whoever drops the response
/// drops `reply` with it, so that a client that hangs up still cancels its call.
pub(super) async fn begin_when_quiet(
    reply: impl Future<Output = Response> + Send + 'static,
    id: Option<RequestId>,
    quiet: Duration,
    every: Duration,
) -> Response {
    let mut reply: Reply = Box::pin(reply);
    match tokio::time::timeout(quiet, &mut reply).await {
        Ok(response) => response,
        Err(_) => stream_of(reply, id, every),
    }
}

type Reply = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Where a reply that was begun early stands.
enum Phase {
    /// Headers and the first comment are still to be sent.
    Begin(Reply),
    /// The handler has said nothing so far.
    Waiting(Reply, Interval),
    /// Its own stream, which has keep-alives itself.
    Streaming(BodyDataStream),
    /// Nothing more to send.
    Over,
}

fn stream_of(reply: Reply, id: Option<RequestId>, every: Duration) -> Response {
    let chunks = stream::unfold((Phase::Begin(reply), id), move |(phase, id)| async move {
        match phase {
            Phase::Begin(reply) => {
                let mut ticks = interval_at(Instant::now() + every, every);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                Some((
                    Ok(Bytes::from_static(COMMENT)),
                    (Phase::Waiting(reply, ticks), id),
                ))
            }
            Phase::Waiting(mut reply, mut ticks) => {
                let response = tokio::select! {
                    biased;
                    response = &mut reply => response,
                    _ = ticks.tick() => {
                        let waiting = Phase::Waiting(reply, ticks);
                        return Some((Ok(Bytes::from_static(COMMENT)), (waiting, id)));
                    }
                };
                if is_event_stream(&response) {
                    next_of(response.into_body().into_data_stream(), id).await
                } else {
                    let event = as_event(response, id.clone()).await;
                    Some((Ok(event), (Phase::Over, id)))
                }
            }
            Phase::Streaming(body) => next_of(body, id).await,
            Phase::Over => None,
        }
    });
    Response::builder()
        .status(StatusCode::OK)
        .header(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        )
        .header(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))
        .header("x-accel-buffering", HeaderValue::from_static("no"))
        .body(Body::from_stream(chunks))
        .expect("status and headers are valid")
}

type Step = Option<(Result<Bytes, axum::Error>, (Phase, Option<RequestId>))>;

async fn next_of(mut body: BodyDataStream, id: Option<RequestId>) -> Step {
    let chunk = body.next().await?;
    Some((chunk, (Phase::Streaming(body), id)))
}

fn is_event_stream(response: &Response) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/event-stream"))
}

/// Turns a plain reply into the one event of the stream that was begun for it.
async fn as_event(response: Response, id: Option<RequestId>) -> Bytes {
    let status = response.status();
    let body = to_bytes(response.into_body(), MESSAGE_BYTES_MAX)
        .await
        .unwrap_or_default();
    let is_message = body.first() == Some(&b'{') && !body.contains(&b'\n');
    let message = if is_message {
        body
    } else {
        // Only a reply that never met the handler is not JSON, for example while the node stops.
        let error = ErrorData::internal_error(
            format!(
                "the call ended without a reply (HTTP status {})",
                status.as_u16()
            ),
            None,
        );
        serde_json::to_vec(&JsonRpcError::new(id, error))
            .expect("an error of strings and numbers has a JSON form")
            .into()
    };
    let mut event = Vec::with_capacity(message.len() + 8);
    event.extend_from_slice(b"data: ");
    event.extend_from_slice(&message);
    event.extend_from_slice(b"\n\n");
    event.into()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use axum::response::IntoResponse;
    use futures::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    const QUIET: Duration = Duration::from_millis(20);
    const EVERY: Duration = Duration::from_millis(10);

    /// A call that answers when the test says so.
    fn call() -> (
        oneshot::Sender<Response>,
        impl Future<Output = Response> + Send + 'static,
    ) {
        let (answer, answered) = oneshot::channel();
        (answer, async move { answered.await.unwrap() })
    }

    async fn text_of(body: impl Into<Body>) -> String {
        let bytes = to_bytes(body.into(), 1 << 20).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    /// Opens the stream of a silent call and gives back the rest of it after `comments` comments.
    async fn begun(
        reply: impl Future<Output = Response> + Send + 'static,
        id: Option<RequestId>,
        comments: usize,
    ) -> BodyDataStream {
        let response = begin_when_quiet(reply, id, QUIET, EVERY).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "text/event-stream"
        );
        let mut chunks = response.into_body().into_data_stream();
        for _ in 0..comments {
            assert_eq!(chunks.next().await.unwrap().unwrap(), COMMENT);
        }
        chunks
    }

    async fn rest(chunks: BodyDataStream) -> String {
        let text = text_of(Body::from_stream(chunks)).await;
        text.replace(": keep-alive\n\n", "")
    }

    #[tokio::test]
    async fn a_quick_reply_is_left_alone() {
        let reply = async { (StatusCode::NOT_FOUND, "x").into_response() };
        let response = begin_when_quiet(reply, None, QUIET, EVERY).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(text_of(response.into_body()).await, "x");
    }

    #[tokio::test]
    async fn a_silent_call_gets_headers_comments_and_its_reply() {
        let (answer, reply) = call();
        let chunks = begun(reply, None, 4).await;
        let json = [(header::CONTENT_TYPE, "application/json")];
        answer.send((json, "{\"id\":1}").into_response()).unwrap();
        assert_eq!(rest(chunks).await, "data: {\"id\":1}\n\n");
    }

    #[tokio::test]
    async fn a_late_stream_is_spliced_in() {
        let (answer, reply) = call();
        let chunks = begun(reply, None, 1).await;
        let inner = "data: 1\n\ndata: 2\n\n";
        let stream = [(header::CONTENT_TYPE, "text/event-stream")];
        answer.send((stream, inner).into_response()).unwrap();
        assert_eq!(rest(chunks).await, inner);
    }

    #[tokio::test]
    async fn a_late_failure_becomes_an_error_with_the_id() {
        let (answer, reply) = call();
        let chunks = begun(reply, Some(RequestId::Number(7)), 1).await;
        let failure = (StatusCode::INTERNAL_SERVER_ERROR, "no message");
        answer.send(failure.into_response()).unwrap();
        let text = rest(chunks).await;
        assert!(
            text.contains("\"id\":7") && text.contains("-32603"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn dropping_the_response_drops_the_call() {
        struct Flag(Arc<AtomicBool>);
        impl Drop for Flag {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let dropped = Arc::new(AtomicBool::new(false));
        let flag = Flag(Arc::clone(&dropped));
        let reply = async move {
            let _flag = flag;
            std::future::pending::<Response>().await
        };
        let mut chunks = begun(reply, None, 2).await;
        assert!(chunks.next().now_or_never().is_none());
        assert!(!dropped.load(Ordering::SeqCst));
        drop(chunks);
        assert!(dropped.load(Ordering::SeqCst));
    }
}
